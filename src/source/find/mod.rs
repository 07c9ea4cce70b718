//! Find: which files are there, by scans and events.

pub mod beneath;
pub mod blind_spots;
pub mod by_header;
mod members;
pub mod path_text;
pub mod scan;
pub mod walk;
pub mod watch;
pub mod zipped;
