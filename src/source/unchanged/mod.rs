//! Unchanged: records that stand as they stood in the last export.

pub(crate) mod episode;
pub mod record_index;
pub mod skips;
