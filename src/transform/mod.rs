//! Transform: pure functions from a chunk of a file to table rows and their hashes.

pub mod clean;
pub mod diff;
pub mod kept_lines;
pub mod project;
pub mod row_hash;
