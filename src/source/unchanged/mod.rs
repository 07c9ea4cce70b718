//! Unchanged: records that did not change since the last export.

pub(crate) mod episode;
pub mod record_index;
pub mod skips;
