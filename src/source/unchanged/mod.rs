//! Unchanged: records that stand as they stood in the last export.

pub mod record_index;
pub mod skips;
pub(crate) mod episode;
