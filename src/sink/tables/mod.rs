//! Tables: the market tables, with their columns, indexes and rows.

pub(crate) mod before_images;
pub mod bulk;
pub(crate) mod by_key;
pub mod indexes;
pub mod known;
pub mod stored_lines;
pub mod stored_records;
pub mod stored_rules;
pub mod upsert;

use crate::feed::layout::Shapes;
use crate::sink::db::Db;

pub(crate) use crate::sink::ledger::Ledger;
use crate::sink::tables::bulk::encoder::Encoder;
use crate::sink::tables::indexes::Indexes;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use tokio::sync::{Mutex, OwnedRwLockReadGuard};

/// The column that marks a record as deleted. No file can have this column, because names from
/// files begin with a letter.
pub const DELETED_AT: &str = "_deleted_at";

/// While this guard lives, no column changes its kind. Locks are taken in this order: the file's
/// [`Company`], `evolving`, `kinds`, the database's `writing`. Each requires the one before it: a
/// file evolves tables while it holds its company, and writes chunks while kinds are fixed.
///
/// [`Company`]: crate::sink::ledger::attempts::Company
#[derive(Debug)]
pub struct KindsStay(
    #[expect(dead_code, reason = "it is held until it is dropped")]
    pub(crate)  OwnedRwLockReadGuard<()>,
);

/// The tables of the markets.
#[derive(Debug)]
pub struct Tables {
    pub(crate) db: Arc<Db>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shapes: RwLock<Arc<Shapes>>,
    pub(crate) indexes: Indexes,
    /// Held while tables get columns. The value says whether the ledger may list columns that
    /// tables or views lack, because the database failed in between.
    pub(crate) evolving: Mutex<bool>,
    /// Held for reading while a file's chunks are written, and for writing while a column changes
    /// its kind, because chunks hold values of the old kind. Taken only while `evolving` is held.
    pub(crate) kinds: Arc<tokio::sync::RwLock<()>>,
    /// Table names reserved for files of unknown feeds, by dataset; the tables may not exist yet.
    pub(crate) promised: std::sync::Mutex<BTreeMap<String, String>>,
    /// Maximum number of columns of a table, from the configuration.
    pub(crate) table_columns_max: usize,
}

impl Tables {
    /// The declared tables of a database.
    pub(crate) fn new(ledger: &Arc<Ledger>, table_columns_max: usize) -> Self {
        Self {
            db: Arc::clone(&ledger.db),
            ledger: Arc::clone(ledger),
            shapes: RwLock::new(Arc::new(declared_shapes())),
            indexes: Indexes::of(ledger.db.dialect),
            evolving: Mutex::new(false),
            kinds: Arc::default(),
            promised: std::sync::Mutex::default(),
            table_columns_max,
        }
    }

    /// The current shapes of all tables.
    pub fn shapes(&self) -> Arc<Shapes> {
        Arc::clone(&self.shapes.read().expect("no code panics while it holds the shapes"))
    }

    /// The encoder of a file's rows for this database's bulk load.
    pub fn encoder(&self, file_id: i64) -> Encoder {
        Encoder::new(self.db.dialect, file_id)
    }
}

/// The shapes of the market tables as the entities declare them.
pub fn declared_shapes() -> Shapes {
    entity::market_tables().into_iter().map(|shape| (shape.name.clone(), shape)).collect()
}
