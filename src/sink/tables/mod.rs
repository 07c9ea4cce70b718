//! Tables: the markets' tables: their columns, indexes and rows.

pub mod bulk;
pub mod indexes;
pub mod known;
pub mod stored_lines;
pub mod upsert;

use crate::feed::layout::Shapes;
use crate::sink::db::Db;

pub(crate) use crate::sink::ledger::Ledger;
use crate::sink::tables::bulk::encoder::Encoder;
use crate::sink::tables::indexes::Indexes;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use tokio::sync::{Mutex, OwnedRwLockReadGuard};

/// The column that marks a record as deleted. No file has such a column: names of theirs begin with a letter.
pub const DELETED_AT: &str = "_deleted_at";

/// While it lives, no column takes another kind. Locks are taken in this order: [`Company`] of the
/// file, `evolving`, `kinds`, `writing` of the database. Each is asked for with the one before it: a
/// file evolves in company, and its chunks are written while kinds stay.
///
/// [`Company`]: crate::sink::ledger::attempts::Company
#[derive(Debug)]
pub struct KindsStay(
    #[expect(dead_code, reason = "it is held until it is dropped")] pub(crate) OwnedRwLockReadGuard<()>,
);

/// The tables of the markets.
#[derive(Debug)]
pub struct Tables {
    pub(crate) db: Arc<Db>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shapes: RwLock<Arc<Shapes>>,
    pub(crate) indexes: Indexes,
    /// Held while tables get columns. Whether the ledger may know of columns that tables or views lack,
    /// because the database went away in between.
    pub(crate) evolving: Mutex<bool>,
    /// Held for reading while a file's chunks are written, and for writing while a column takes
    /// another kind: chunks hold values of the old kind. Asked for only while `evolving` is held.
    pub(crate) kinds: Arc<tokio::sync::RwLock<()>>,
    /// Tables that files of unknown feeds are to get, by dataset: none of them may be there yet.
    pub(crate) promised: std::sync::Mutex<BTreeMap<String, String>>,
    /// Most columns of a table.
    pub(crate) table_columns_max: usize,
}

impl Tables {
    /// The tables of a database, as they are declared.
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

    /// The shapes of all tables, as they are now.
    pub fn shapes(&self) -> Arc<Shapes> {
        Arc::clone(&self.shapes.read().expect("no code panics while it holds the shapes"))
    }

    /// What makes rows of a file what this database's bulk path takes.
    pub fn encoder(&self, file_id: i64) -> Encoder {
        Encoder::new(self.db.dialect, file_id)
    }
}

/// The shapes of the market tables as the entities declare them.
pub fn declared_shapes() -> Shapes {
    entity::market_tables().into_iter().map(|shape| (shape.name.clone(), shape)).collect()
}
