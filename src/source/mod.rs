//! Files: watching and scanning the inbox, and reading one file as chunks of whole records.

pub mod describe;
pub mod find;
pub mod format;
pub mod mentions;
pub mod other_rows;
pub mod reader;
pub mod record_size;
pub mod repeated_keys;
pub mod rows;
mod scalars;
pub mod seen_keys;
pub mod survey;
pub mod text;
pub mod unchanged;
mod wrapper;
mod zip_directory;
