//! Db: connections, dialects, transactions and the lease.

pub(crate) mod bounds;
pub(crate) mod connect;
pub(crate) mod connection;
pub mod dialect;
pub(crate) mod failure;
pub(crate) mod keepsakes;
pub mod lease;
pub(crate) mod long_step;
pub(crate) mod lost;
pub(crate) mod mysql;
pub(crate) mod mysql_values;
pub mod passing;
pub(crate) mod reach;
pub(crate) mod sockets;
pub mod sqlite_file;
pub(crate) mod sqlite_handle;
pub(crate) mod transaction;
pub(crate) mod wal;
pub(crate) mod write;

use crate::config::Config;
use crate::error::{SyncError, Verdict};
use crate::process::waiting::aloud;
use crate::sink::db::bounds::Bounds;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::lease::Lease;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::mysql::Idle;
use crate::sink::db::transaction::Transaction;
use crate::sink::db::wal::PageMover;
use crate::sink::db::write::WriteTransaction;
use entity::files;
use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbErr, IsolationLevel, Statement,
    TransactionTrait, Value,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// One database: its connections, and the right to write to it.
#[derive(Debug)]
pub struct Db {
    pub(crate) connection: Connection,
    pub(crate) dialect: Dialect,
    pub(crate) collation: Option<String>,
    /// `None` if the database was opened read-only.
    pub(crate) lease: Option<Lease>,
    /// Held by the current writer. It is the last lock in the locking order.
    pub(crate) writing: Mutex<()>,
    /// MySQL's connection for write transactions, kept here between two of them.
    idle: Arc<Idle>,
    /// Why the last heartbeat of the lease failed; the health check reports it.
    beat_fault: std::sync::Mutex<Option<String>>,
    /// The files that wait for the database, each with when and why it last had to; the health
    /// check reports one.
    waiting: std::sync::Mutex<BTreeMap<PathBuf, (Instant, String)>>,
    /// Time of the last commit, to tell a new outage from one that continues.
    last_commit: std::sync::Mutex<Option<Instant>>,
    /// Stop signal of the process; it cancels long steps.
    pub(crate) stop: CancellationToken,
    interrupt: Interrupt,
    /// `None` on databases without a write-ahead log to checkpoint.
    pub(crate) page_mover: Option<PageMover>,
    /// How many days earlier versions of records are kept; 0 keeps none.
    pub(crate) history_keep_days: u32,
}

impl Db {
    /// Opens a database for writing.
    pub(crate) fn of_writer(
        connection: Connection,
        config: &Config,
        stop: CancellationToken,
        interrupt: Interrupt,
        collation: Option<String>,
        lease: Lease,
    ) -> Self {
        let looked_at = Self::to_look(connection, config);
        let page_mover = PageMover::of(&looked_at.connection, looked_at.dialect);
        Self { stop, interrupt, collation, lease: Some(lease), page_mover, ..looked_at }
    }

    /// Opens a database read-only.
    pub(crate) fn to_look(connection: Connection, config: &Config) -> Self {
        Self {
            dialect: Dialect::of(connection.get_database_backend()),
            collation: None,
            lease: None,
            writing: Mutex::new(()),
            idle: Arc::new(Idle::new(config.database_url.clone(), Bounds::of(config))),
            beat_fault: std::sync::Mutex::default(),
            waiting: std::sync::Mutex::default(),
            last_commit: std::sync::Mutex::new(None),
            stop: CancellationToken::new(),
            interrupt: Interrupt::default(),
            page_mover: None,
            history_keep_days: config.history_keep_days,
            connection,
        }
    }

    /// When something was last committed.
    pub fn last_commit(&self) -> Option<Instant> {
        *self.last_commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the database works: it answers a query of the ledger, and accepted the last
    /// heartbeat. A ping is not enough, because a server that answers it may refuse everything
    /// else.
    ///
    /// # Errors
    ///
    /// The reason why it does not work.
    pub async fn ask(&self) -> Result<(), SyncError> {
        let ledger =
            Query::select().column(files::Column::Id).from(files::Entity).limit(1).to_owned();
        self.connection.query_all(&ledger).await?;
        Ok(())
    }

    /// Why the last heartbeat failed; `None` if it succeeded.
    pub fn beat_fault(&self) -> Option<String> {
        self.beat_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why a file waits for the database; `None` if none does, or something was committed since. A
    /// heartbeat is so small that it may succeed on a full disk.
    pub fn write_fault(&self) -> Option<String> {
        let last_commit = self.last_commit();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = waiting.values();
        let fault = faults.find(|(at, _)| last_commit.is_none_or(|commit| commit < *at));
        fault.map(|(_, reason)| reason.clone())
    }

    /// Notes that a file waits for the database, and why.
    pub fn note_waiting(&self, file: &Path, reason: String) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(file.to_owned(), (Instant::now(), reason));
    }

    /// Notes that the work on a file has ended.
    pub fn note_end(&self, file: &Path) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(file);
    }

    /// Sends a heartbeat, so that no other process takes the lease.
    ///
    /// # Errors
    ///
    /// [`SyncError::LeaseLost`] when another process has taken it.
    pub async fn keep_lease(&self) -> Result<(), SyncError> {
        // Does not wait for `writing`: a long write must not make this process look dead.
        let beat = self.connection.bounds.keep_short(self.lease()?.beat(&self.connection)).await;
        // A transaction of this process may keep the row locked; whether that one makes progress is
        // checked elsewhere.
        if beat.is_ok() || self.writing.try_lock().is_ok() {
            *self.beat_fault.lock().unwrap_or_else(PoisonError::into_inner) =
                beat.as_ref().err().map(ToString::to_string);
        }
        beat
    }

    pub(crate) fn lease(&self) -> Result<&Lease, SyncError> {
        let looking_only = || {
            SyncError::Internal("it was to write to a database that it only looks at".to_owned())
        };
        self.lease.as_ref().ok_or_else(looking_only)
    }

    /// Begins a write transaction. It fails at once if the lease is lost, and renews the lease
    /// otherwise.
    pub(crate) async fn begin(&self) -> Result<WriteTransaction<'_>, SyncError> {
        let writing = aloud("another file's transaction", self.writing.lock()).await;
        self.begin_holding(writing).await
    }

    /// Like [`Db::begin`], for a caller that already has the right to write.
    pub(crate) async fn begin_holding<'a>(
        &'a self,
        writing: MutexGuard<'a, ()>,
    ) -> Result<WriteTransaction<'a>, SyncError> {
        let lease = self.lease()?;
        let transaction = Transaction::begin(&self.connection, self.dialect, &self.idle).await?;
        // The first statement writes, so SQLite takes its write lock here and never upgrades a read
        // lock.
        transaction.keep_short(lease.beat(&transaction)).await?;
        Ok(WriteTransaction {
            transaction,
            last_commit: &self.last_commit,
            late_lease: None,
            _guard: Some(writing),
        })
    }

    /// Like [`Db::begin`], for a caller that already holds `writing`. On servers it may have two
    /// such transactions at a time.
    pub(crate) async fn begin_beside_others(&self) -> Result<WriteTransaction<'_>, SyncError> {
        let lease = self.lease()?;
        let transaction = Transaction::begin(&self.connection, self.dialect, &self.idle).await?;
        // Checking the lease locks its row until the commit. If it were checked at the beginning,
        // the two transactions could not run in parallel.
        let late_lease = (self.dialect != Dialect::Sqlite).then_some(lease);
        if late_lease.is_none() {
            transaction.keep_short(lease.beat(&transaction)).await?;
        }
        Ok(WriteTransaction {
            transaction,
            last_commit: &self.last_commit,
            late_lease,
            _guard: None,
        })
    }

    pub(crate) async fn execute_sql(
        &self,
        connection: &impl ConnectionTrait,
        sql: String,
        binds: Vec<Value>,
    ) -> Result<u64, DbErr> {
        let statement = Statement::from_sql_and_values(self.dialect.backend(), sql, binds);
        Ok(connection.execute_raw(statement).await?.rows_affected())
    }

    /// Closes the connections. A process that ends before its last SQLite connection is closed
    /// leaves a `-wal` file behind.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn end_connections(&self) -> Result<(), SyncError> {
        Ok(self.connection.close_by_ref().await?)
    }

    /// A consistent snapshot of the database for reading.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseTransaction, SyncError> {
        let (isolation, access) = match self.dialect {
            // A SQLite snapshot begins with the first read.
            Dialect::Sqlite => (None, None),
            _ => (Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)),
        };
        Ok(self.connection.begin_with_config(isolation, access).await?)
    }

    /// The columns that a table or view has in the database, in order.
    pub(crate) async fn columns_of(&self, table: &str) -> Result<Vec<String>, SyncError> {
        self.columns_in(&self.connection, table).await
    }

    /// Like [`Db::columns_of`], as a transaction sees it.
    pub(crate) async fn columns_in(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
    ) -> Result<Vec<String>, SyncError> {
        let query = Statement::from_sql_and_values(
            self.dialect.backend(),
            self.dialect.columns_query(),
            [table.into()],
        );
        let rows = connection.query_all_raw(query).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Runs work that may fail without ending the transaction, on databases that can roll back
    /// changes of tables. The outer error ends the transaction: the database is away, or tidegate
    /// has a fault.
    pub(crate) async fn attempt<T>(
        &self,
        connection: &impl ConnectionTrait,
        work: impl Future<Output = Result<T, SyncError>>,
    ) -> Result<Result<T, SyncError>, SyncError> {
        let is_nested = self.dialect.rolls_back_ddl();
        if is_nested {
            connection.execute_unprepared("SAVEPOINT tidegate_attempt").await?;
        }
        let done = match work.await {
            Err(error @ SyncError::Database(_)) if error.verdict() == Verdict::Fail => Err(error),
            done => Ok(done?),
        };
        if is_nested {
            if done.is_err() {
                connection.execute_unprepared("ROLLBACK TO SAVEPOINT tidegate_attempt").await?;
            }
            connection.execute_unprepared("RELEASE SAVEPOINT tidegate_attempt").await?;
        }
        Ok(done)
    }
}

/// The texts that a query of one column returns.
pub(crate) async fn texts(
    connection: &impl ConnectionTrait,
    query: &SelectStatement,
) -> Result<Vec<String>, DbErr> {
    connection.query_all(query).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}
