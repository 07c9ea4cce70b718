//! Ledger: what was synced, one file a table.

pub mod approvals;
pub mod attempts;
pub mod files;
pub mod generations;
pub mod known_files;
pub mod now;
pub mod number_forms;
pub mod obstacles;
pub mod open_rejects;
pub mod overview;
pub(crate) mod recorded;
pub mod rejects;
