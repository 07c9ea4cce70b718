//! Indexes: what marts and views read the market tables by, made when a table has been filled for the first
//! time. Sorting all of its keys once costs a fraction of inserting each where it belongs.

use super::Sink;
use crate::dataset::{Dataset, Owner};
use crate::error::SyncError;
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Expr, Query};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Which tables have their indexes, and whether any is being filled without.
#[derive(Debug, Default)]
pub(super) struct Indexes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    indexed: HashSet<String>,
    fillings: usize,
}

/// A file that is being written to a table without indexes; while there is one, they wait.
#[derive(Debug)]
pub struct Filling<'a>(Option<&'a Indexes>);

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if let Some(indexes) = self.0 {
            indexes.state(|state| state.fillings -= 1);
        }
    }
}

impl Indexes {
    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink {
    /// Says that a file of this dataset is about to be written.
    pub fn start_filling(&self, dataset: &Dataset) -> Filling<'_> {
        let is_filling = self.indexes.state(|state| {
            let has_indexes = |owner| state.indexed.contains(dataset.table_of(owner));
            let is_filling = !has_indexes(Owner::Record) || !has_indexes(Owner::Line);
            state.fillings += usize::from(is_filling);
            is_filling
        });
        Filling(is_filling.then_some(&self.indexes))
    }

    /// Makes the indexes of every table that holds something, unless another file is filling one: then that
    /// file's end makes them. A start makes those that a crash left out.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn make_indexes(&self) -> Result<(), SyncError> {
        let indexes = migration::market_indexes(self.dialect.backend());
        for table in self.shapes().keys() {
            let is_due = self.indexes.state(|state| state.fillings == 0 && !state.indexed.contains(table));
            if !is_due || !self.holds_rows(table).await? {
                continue;
            }
            let _writing = self.writing.lock().await;
            for (_, index) in indexes.iter().filter(|(of, _)| of == table) {
                self.connection.execute(index).await?;
            }
            self.indexes.state(|state| state.indexed.insert(table.clone()));
        }
        Ok(())
    }

    async fn holds_rows(&self, table: &str) -> Result<bool, SyncError> {
        let query = Query::select().expr(Expr::value(1)).from(Alias::new(table)).limit(1).to_owned();
        Ok(self.connection.query_one(&query).await?.is_some())
    }
}
