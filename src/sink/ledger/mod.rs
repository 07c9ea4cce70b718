//! Ledger: what was synced, one file a table.

pub mod alarms;
pub mod approvals;
pub mod attempts;
pub mod file_state;
pub mod files;
pub mod generations;
pub mod history;
pub mod known_files;
pub(crate) mod markets;
pub(crate) mod marks;
pub mod now;
pub mod number_forms;
pub mod obstacles;
pub mod open_rejects;
pub mod overview;
pub mod put_aside;
pub(crate) mod recorded;
pub mod rejects;
pub mod undone;
pub mod versions;

use crate::sink::db::Db;
use crate::sink::ledger::obstacles::Obstacles;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tokio::sync::RwLock;

/// The ledger: what was synced, refused and changed.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) db: Arc<Db>,
    /// Known obstacles to changes of tables, views and marts.
    obstacles: Obstacles,
    /// Files whose attempt by this process is already counted.
    at_work: Mutex<HashSet<i64>>,
    /// Held for reading by each file at work, and for writing by a file that may have killed a
    /// process, so that it runs alone.
    beside: Arc<RwLock<()>>,
}

impl Ledger {
    /// The ledger of a database.
    pub(crate) fn new(db: Arc<Db>) -> Self {
        Self {
            db,
            obstacles: Obstacles::default(),
            at_work: Mutex::default(),
            beside: Arc::default(),
        }
    }
}
