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
    AccessMode, ConnectionTrait, DatabaseTransaction, DbErr, IsolationLevel, Statement, TransactionTrait, Value,
};
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
    /// `None` when the database was opened for looking only; then nothing can be written.
    pub(crate) lease: Option<Lease>,
    /// Held by who writes. It is the last lock that anybody asks for.
    pub(crate) writing: Mutex<()>,
    /// MySQL's connection for write transactions, between two of them.
    idle: Arc<Idle>,
    /// Why the lease could not be kept, the last time that it was tried.
    beat_fault: std::sync::Mutex<Option<String>>,
    /// When work was last committed: what tells a new outage from one that goes on.
    last_commit: std::sync::Mutex<Option<Instant>>,
    /// Set when the process is to end: then long steps do.
    pub(crate) stop: CancellationToken,
    interrupt: Interrupt,
    /// `None` where there is no log to move pages of.
    pub(crate) page_mover: Option<PageMover>,
}

impl Db {
    /// A database to write to.
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

    /// A database to look at.
    pub(crate) fn to_look(connection: Connection, config: &Config) -> Self {
        Self {
            dialect: Dialect::of(connection.get_database_backend()),
            collation: None,
            lease: None,
            writing: Mutex::new(()),
            idle: Arc::new(Idle::new(config.database_url.clone(), Bounds::of(config))),
            beat_fault: std::sync::Mutex::default(),
            last_commit: std::sync::Mutex::new(None),
            stop: CancellationToken::new(),
            interrupt: Interrupt::default(),
            page_mover: None,
            connection,
        }
    }

    /// When something was last committed.
    pub fn last_commit(&self) -> Option<Instant> {
        *self.last_commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the database does its work: it answers a query of its ledger, and took the last sign of life. A server
    /// that answers a ping may refuse everything else.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub async fn ask(&self) -> Result<(), SyncError> {
        let ledger = Query::select().column(files::Column::Id).from(files::Entity).limit(1).to_owned();
        self.connection.query_all(&ledger).await?;
        Ok(())
    }

    /// Why the database did not take the last sign of life; `None` when it did.
    pub fn beat_fault(&self) -> Option<String> {
        self.beat_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows that this process lives, so that nobody takes its lease.
    ///
    /// # Errors
    ///
    /// [`SyncError::LeaseLost`] when somebody has.
    pub async fn keep_lease(&self) -> Result<(), SyncError> {
        // Not in turn with the writers: one that is long at it must not look dead to others.
        let beat = self.connection.bounds.keep_short(self.lease()?.beat(&self.connection)).await;
        // A transaction of this process keeps the row locked for as long as it takes; whether it moves is asked elsewhere.
        if beat.is_ok() || self.writing.try_lock().is_ok() {
            *self.beat_fault.lock().unwrap_or_else(PoisonError::into_inner) =
                beat.as_ref().err().map(ToString::to_string);
        }
        beat
    }

    pub(crate) fn lease(&self) -> Result<&Lease, SyncError> {
        let looking_only = || SyncError::Internal("it was to write to a database that it only looks at".to_owned());
        self.lease.as_ref().ok_or_else(looking_only)
    }

    /// A write transaction. It fails at once if the lease is lost, and keeps it otherwise.
    pub(crate) async fn begin(&self) -> Result<WriteTransaction<'_>, SyncError> {
        let writing = aloud("another file's transaction", self.writing.lock()).await;
        self.begin_holding(writing).await
    }

    /// As [`Db::begin`], for who has the right to write already.
    pub(crate) async fn begin_holding<'a>(
        &'a self,
        writing: MutexGuard<'a, ()>,
    ) -> Result<WriteTransaction<'a>, SyncError> {
        let lease = self.lease()?;
        let transaction = Transaction::begin(&self.connection, self.dialect, &self.idle).await?;
        // The first statement writes, so SQLite takes its write lock here and never has to upgrade one.
        transaction.keep_short(lease.beat(&transaction)).await?;
        Ok(WriteTransaction { transaction, last_commit: &self.last_commit, late_lease: None, _guard: Some(writing) })
    }

    /// As [`Db::begin`], for who holds `writing` already and, on the servers, may have two such transactions at a time.
    pub(crate) async fn begin_beside_others(&self) -> Result<WriteTransaction<'_>, SyncError> {
        let lease = self.lease()?;
        let transaction = Transaction::begin(&self.connection, self.dialect, &self.idle).await?;
        // The lease's row stays locked from here on: asked for at the beginning, the two would follow one another.
        let late_lease = (self.dialect != Dialect::Sqlite).then_some(lease);
        if late_lease.is_none() {
            transaction.keep_short(lease.beat(&transaction)).await?;
        }
        Ok(WriteTransaction { transaction, last_commit: &self.last_commit, late_lease, _guard: None })
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

    /// Ends the connections. A process that ends before its last SQLite connection does leaves a `-wal` file behind.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn end_connections(&self) -> Result<(), SyncError> {
        Ok(self.connection.close_by_ref().await?)
    }

    /// A view of the database in which nothing changes while it is looked at.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseTransaction, SyncError> {
        let (isolation, access) = match self.dialect {
            // A SQLite transaction sees what was there at its first read.
            Dialect::Sqlite => (None, None),
            _ => (Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)),
        };
        Ok(self.connection.begin_with_config(isolation, access).await?)
    }

    /// The columns that a table or view has in the database, in order.
    pub(crate) async fn columns_of(&self, table: &str) -> Result<Vec<String>, SyncError> {
        self.columns_in(&self.connection, table).await
    }

    /// As [`Db::columns_of`], as a transaction sees it.
    pub(crate) async fn columns_in(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
    ) -> Result<Vec<String>, SyncError> {
        let query =
            Statement::from_sql_and_values(self.dialect.backend(), self.dialect.columns_query(), [table.into()]);
        let rows = connection.query_all_raw(query).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Does what may fail without the transaction failing with it, where a transaction can take back what it did to
    /// tables. The outer error is one that ends the transaction: a database that is away, or a fault of tidegate itself.
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

/// The texts that a query of one column gives.
pub(crate) async fn texts(connection: &impl ConnectionTrait, query: &SelectStatement) -> Result<Vec<String>, DbErr> {
    connection.query_all(query).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}
