//! Files: watching and scanning the inbox, and reading one file as chunks of whole records.

pub mod content;
pub mod csv;
pub mod json;
pub mod mentions;
pub mod reader;
pub mod repair;
pub mod repaired;
pub mod rows;
pub mod scan;
pub mod seen_keys;
pub mod survey;
pub mod watch;
