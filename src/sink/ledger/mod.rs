//! Ledger: what was synced, one file a table.

pub mod approvals;
pub mod attempts;
pub mod files;
pub mod generations;
pub mod known_files;
pub(crate) mod marks;
pub mod now;
pub mod number_forms;
pub mod obstacles;
pub mod open_rejects;
pub mod overview;
pub(crate) mod recorded;
pub mod rejects;

use crate::sink::db::Db;
use crate::sink::ledger::obstacles::Obstacles;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tokio::sync::RwLock;

/// What was synced, refused and changed, as the database has it.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) db: Arc<Db>,
    /// What stands in the way of changes.
    obstacles: Obstacles,
    /// Files whose attempt is counted already for this process.
    at_work: Mutex<HashSet<i64>>,
    /// Held for reading while a file is worked on, and for writing by one in whose hands a process may have died.
    beside: Arc<RwLock<()>>,
}

impl Ledger {
    /// The ledger of a database.
    pub(crate) fn new(db: Arc<Db>) -> Self {
        Self { db, obstacles: Obstacles::default(), at_work: Mutex::default(), beside: Arc::default() }
    }
}
