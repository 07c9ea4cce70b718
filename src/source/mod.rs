//! Files: watching and scanning the inbox, and reading one file as chunks of whole records.

pub mod beneath;
pub mod blind_spots;
pub mod cells;
pub mod compression;
pub mod content;
pub mod csv;
pub mod encoding;
pub mod format;
pub mod json;
pub mod mentions;
pub mod other_rows;
pub mod path_text;
pub mod reader;
pub mod record_index;
pub mod repair;
pub mod repaired;
pub mod rows;
pub mod scan;
pub mod seen_keys;
pub mod skips;
pub mod spool;
pub mod survey;
pub mod text;
pub mod walk;
pub mod watch;
