//! Indexes: the indexes that marts and views need on the market tables. They are created after a
//! table's first load, because sorting all keys once costs a fraction of inserting each one.
//!
//! Without them a planner may compare each row of one table with all rows of another. So no mart is
//! computed before all tables that it reads have their indexes.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Owner};
use crate::sink::db::dialect::Dialect;
use crate::sink::db::long_step::SAID_EVERY;
use crate::sink::tables::Tables;
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Expr, IndexCreateStatement, Query};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a written file waits for other files that fill a table of its marts. After that the
/// table gets its indexes and the marts are computed, although more rows are coming. A million
/// lines take less time on two cores, and a waiting file occupies one of two lanes.
const FILLING_WAIT_MAX: Duration = Duration::from_secs(60);

/// The indexes that tables need, which tables have them, and which are being loaded without them.
#[derive(Debug)]
pub(crate) struct Indexes {
    /// Empty on databases where indexes are created with the tables.
    of_tables: HashMap<&'static str, Vec<IndexCreateStatement>>,
    state: Mutex<State>,
    /// Notified whenever a file has filled its tables.
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    indexed: HashSet<String>,
    /// Market and table that files are being written to, once for each such file.
    fillings: Vec<(String, String)>,
}

/// A file that is being written. While it exists, missing indexes of its tables are not created.
#[derive(Debug)]
pub struct Filling<'a> {
    indexes: &'a Indexes,
    market: String,
    tables: BTreeSet<String>,
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.indexes.state(|state| {
            for table in &self.tables {
                let is_own =
                    |(market, filled): &(String, String)| *market == self.market && filled == table;
                if let Some(at) = state.fillings.iter().position(is_own) {
                    state.fillings.swap_remove(at);
                }
            }
        });
        self.indexes.filled.notify_waiters();
    }
}

pub(crate) fn filling_wait_max() -> Duration {
    fail::fail_point!("filling_wait_max", |_| Duration::ZERO);
    FILLING_WAIT_MAX
}

impl Indexes {
    /// The indexes for a database; none is created yet.
    pub fn of(dialect: Dialect) -> Self {
        let mut of_tables: HashMap<&str, Vec<IndexCreateStatement>> = HashMap::new();
        for (table, index) in migration::market_indexes(dialect.backend()) {
            of_tables.entry(table).or_default().push(index);
        }
        Self { of_tables, state: Mutex::default(), filled: Notify::new() }
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn are_lacking(&self, table: &str) -> bool {
        self.of_tables.contains_key(table) && !self.state(|state| state.indexed.contains(table))
    }

    /// Whether a file is being written to a table, of one market or of any market.
    fn is_filled(&self, table: &str, market: Option<&str>) -> bool {
        let is_meant = |(of, filled): &(String, String)| {
            filled == table && market.is_none_or(|market| market == of)
        };
        self.state(|state| state.fillings.iter().any(is_meant))
    }

    /// Waits until no file is being written to it.
    async fn filled(&self, table: &str, market: Option<&str>) {
        loop {
            let filled = self.filled.notified();
            tokio::pin!(filled);
            // Subscribe before the check, because the other file may end right after it.
            filled.as_mut().enable();
            if !self.is_filled(table, market) {
                return;
            }
            filled.await;
        }
    }
}

impl Tables {
    /// Registers a file of this dataset before it is written.
    pub fn start_filling(&self, dataset: &Dataset, market: &str) -> Filling<'_> {
        let tables: BTreeSet<String> =
            [Owner::Record, Owner::Line].map(|owner| dataset.table_of(owner).to_owned()).into();
        let fillings = tables.iter().map(|table| (market.to_owned(), table.clone()));
        self.indexes.state(|state| state.fillings.extend(fillings));
        Filling { indexes: &self.indexes, market: market.to_owned(), tables }
    }

    /// Creates the indexes of every table with rows, unless another file is filling it; then that
    /// file creates them at its end. A start creates those that a crash left out.
    ///
    /// # Errors
    ///
    /// When the database fails, or the process stops.
    pub async fn make_indexes(&self) -> Result<(), SyncError> {
        for table in self.indexes.of_tables.keys() {
            let is_due = self.indexes.are_lacking(table) && !self.indexes.is_filled(table, None);
            if is_due && self.holds_rows(table).await? {
                self.make_indexes_of(table).await?;
            }
        }
        Ok(())
    }

    /// Creates the indexes of these tables once no file fills them, or after waiting too long.
    pub(crate) async fn make_indexes_in_time(&self, tables: &[String]) -> Result<(), SyncError> {
        let deadline = Instant::now() + filling_wait_max();
        for table in tables {
            if !self.wait_for_filling(table, None, deadline).await? {
                tracing::warn!(
                    table,
                    "a table gets its indexes while it is filled, which then takes longer"
                );
            }
            self.make_indexes_of(table).await?;
        }
        Ok(())
    }

    /// Whether the other files ended in time.
    pub(crate) async fn wait_for_filling(
        &self,
        table: &str,
        market: Option<&str>,
        deadline: Instant,
    ) -> Result<bool, SyncError> {
        let say = async {
            sleep_until((Instant::now() + SAID_EVERY).min(deadline)).await;
            tracing::warn!(
                table,
                wait_max_s = FILLING_WAIT_MAX.as_secs(),
                "a mart waits for another file that fills a table which it reads"
            );
            std::future::pending::<()>().await;
        };
        tokio::select! {
            filled = timeout_at(deadline, self.indexes.filled(table, market)) => Ok(filled.is_ok()),
            () = self.db.stop.cancelled() => Err(SyncError::Stopped),
            () = say => Ok(false),
        }
    }

    async fn make_indexes_of(&self, table: &str) -> Result<(), SyncError> {
        let _writing = self.db.writing.lock().await;
        if !self.indexes.are_lacking(table) {
            // Another file was faster.
            return Ok(());
        }
        let started = Instant::now();
        let write = self.db.begin_beside_others().await?;
        let make = async {
            for index in self.indexes.of_tables.get(table).into_iter().flatten() {
                write.transaction.execute(index).await?;
            }
            Ok::<_, SyncError>(())
        };
        self.db
            .long_step(&format!("making the indexes of {table}"), write.transaction.session, make)
            .await?;
        write.commit().await?;
        tracing::debug!(table, elapsed_ms = started.elapsed().as_millis() as u64, "indexes made");
        self.indexes.state(|state| state.indexed.insert(table.to_owned()));
        Ok(())
    }

    pub(crate) async fn holds_rows(&self, table: &str) -> Result<bool, SyncError> {
        let query =
            Query::select().expr(Expr::value(1)).from(Alias::new(table)).limit(1).to_owned();
        Ok(self.db.connection.query_one(&query).await?.is_some())
    }
}
