//! Sink: the database. Connecting, and everything that a file's rows become there.
//!
//! Reads and writes of the ledger and of the tables go through one [`Sink`]. Write transactions follow
//! one another, on every database: SQLite knows only one writer, and on the servers that leaves no
//! deadlock to think about. The one exception are two marts that servers compute at a time (`refresh`).

pub mod db;
pub mod ledger;
pub mod marts;
pub mod read_only;
pub mod scratch;
pub mod tables;

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::feed::layout::Shapes;
use crate::sink::marts::definition::Definitions;
use crate::process::modes::{is_open_to_others, make_file};
use crate::process::waiting::aloud;
use crate::sink::db::bounds::Bounds;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::lease::Lease;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::transaction::Transaction;
use crate::sink::tables::indexes::Indexes;
use entity::files;
use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::sqlx::Connection as _;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DbErr, EntityTrait, QuerySelect, SqlxError, Statement, Value,
};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Connections of the pool: one or two write, except on MySQL, the others answer health checks, read known hashes, and on
/// SQLite compute marts ahead and move pages of the log.
const CONNECTIONS_MAX: u32 = 4;

/// How long one attempt to connect may take before the database counts as away; for a command that waits less, so long as
/// it waits, but not so short that a server in the next room seems away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// How long a database that could not be opened may take to be closed: one whose connection waits for another process's lock
/// would hold up the end for as long as it waits.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Where servers listen unless the URL says otherwise.
const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;

/// Pages that a SQLite connection keeps: the inner pages of every index of a large table, so that a row
/// costs few reads; negative means KiB (sqlite.org/pragma.html#pragma_cache_size).
const SQLITE_CACHE_KIB: &str = "-8192";

/// Pages of the write-ahead log after which SQLite moves them into the database: the chunks of a large file
/// change many pages again and again, and each is moved once for all of them. 32 MiB of disk.
const SQLITE_LOG_PAGES: &str = "8192";

/// Rows that SQLite's thread may be ahead of who reads them: with few, the two wait for each other at every step.
const SQLITE_ROWS_AHEAD: usize = 1000;

/// Prepared statements that a SQLite connection keeps; one of many rows takes a megabyte.
const SQLITE_STATEMENTS_MAX: usize = 40;

/// The database.
#[derive(Debug)]
pub struct Sink {
    pub(crate) connection: Connection,
    pub(crate) dialect: Dialect,
    pub(crate) shapes: RwLock<Arc<Shapes>>,
    pub(crate) definitions: Definitions,
    pub(crate) indexes: Indexes,
    pub(crate) collation: Option<String>,
    /// `None` when the database was opened for looking only; then nothing can be written.
    pub(crate) lease: Option<Lease>,
    pub(crate) writing: Mutex<()>,
    /// MySQL's connection for write transactions, between two of them.
    pub(crate) idle: Arc<crate::sink::db::mysql::Idle>,
    /// Held while tables get columns. Whether the ledger may know of columns that tables or views lack,
    /// because the database went away in between.
    pub(crate) evolving: Mutex<bool>,
    /// Held for reading while a file's chunks are written, whose values have the kinds that the columns had when
    /// it was begun, and for writing while a column takes another kind. Nobody who holds it waits for
    /// `evolving`, and it is asked for only by the one who holds that.
    pub(crate) kinds: Arc<tokio::sync::RwLock<()>>,
    /// Tables that files of unknown feeds are to get, by dataset: none of them may be there yet.
    pub(crate) promised: std::sync::Mutex<BTreeMap<String, String>>,
    /// What stands in the way of changes.
    pub(crate) obstacles: crate::sink::ledger::obstacles::Obstacles,
    /// Most columns of a table.
    pub(crate) table_columns_max: usize,
    /// Files whose attempt is counted already for this process.
    pub(crate) at_work: std::sync::Mutex<HashSet<i64>>,
    /// Held for reading while a file is worked on, and for writing by one in whose hands a process may have died.
    pub(crate) beside: Arc<tokio::sync::RwLock<()>>,
    /// Why the lease could not be kept, the last time that it was tried.
    pub(crate) beat_fault: std::sync::Mutex<Option<String>>,
    /// When work was last committed: what tells a new outage from one that goes on.
    pub(crate) last_commit: std::sync::Mutex<Option<Instant>>,
    pub(crate) files_at_work: crate::sink::marts::FilesAtWork,
    /// Set when the process is to end: then long steps do.
    pub(crate) stop: CancellationToken,
    pub(crate) interrupt: Interrupt,
    /// `None` where there is no log to move pages of.
    pub(crate) page_mover: Option<crate::sink::db::wal::PageMover>,
}

impl Sink {
    /// Connects, takes the lease, brings the schema up to date, and makes marts and views what the
    /// configuration says.
    ///
    /// # Errors
    ///
    /// A passing one while the database is away; [`SyncError::LeaseHeld`] while another process writes.
    pub async fn open(config: &Config, stop: &CancellationToken) -> Result<Self, SyncError> {
        let interrupt = Interrupt::default();
        let connection = connect_for(Access::Write, config, &interrupt).await?;
        let opened = Self::open_on(connection.clone(), config, stop.clone(), interrupt).await;
        if opened.is_err() {
            // A process that ends before its last SQLite connection does leaves a `-wal` file behind. What opening failed
            // with is what matters.
            let _ = timeout(CLOSE_MAX, connection.close_by_ref()).await;
        }
        opened
    }

    async fn open_on(
        connection: Connection,
        config: &Config,
        stop: CancellationToken,
        interrupt: Interrupt,
    ) -> Result<Self, SyncError> {
        let dialect = Dialect::of(connection.get_database_backend());
        check_strictness(&connection, dialect).await?;
        let collation = migration::ddl::text_collation(&connection).await?;
        // The lease comes before everything else: two processes that start at once must not both migrate.
        let lease = Lease::take(&connection, collation.as_deref(), config.lease_wait).await?;
        connection.bounds.keep(Migrator::up(&*connection, None)).await?;
        let sink = Self {
            definitions: Definitions::load(config.marts_dir.as_deref())?,
            shapes: RwLock::new(Arc::new(crate::sink::tables::evolve::declared_shapes())),
            indexes: Indexes::of(dialect),
            writing: Mutex::new(()),
            idle: Arc::new(crate::sink::db::mysql::Idle::new(config.database_url.clone(), Bounds::of(config))),
            evolving: Mutex::new(false),
            kinds: Arc::default(),
            promised: std::sync::Mutex::default(),
            obstacles: crate::sink::ledger::obstacles::Obstacles::default(),
            table_columns_max: config.limits.table_columns_max,
            at_work: std::sync::Mutex::default(),
            beside: Arc::default(),
            beat_fault: std::sync::Mutex::default(),
            last_commit: std::sync::Mutex::new(None),
            files_at_work: Default::default(),
            stop,
            interrupt,
            page_mover: crate::sink::db::wal::PageMover::of(&connection, dialect),
            connection,
            dialect,
            collation,
            lease: Some(lease),
        };
        sink.load_obstacles().await?;
        sink.forget_obstacles_of_others().await?;
        sink.restore_columns().await?;
        sink.make_indexes().await?;
        let dropped = sink.define_marts().await?;
        sink.define_views(dropped).await?;
        sink.check_datasets(&config.datasets).await?;
        Ok(sink)
    }

    /// The shapes of all tables, as they are now.
    pub fn shapes(&self) -> Arc<Shapes> {
        Arc::clone(&self.shapes.read().expect("no code panics while it holds the shapes"))
    }

    /// What makes rows of a file what this database's bulk path takes.
    pub fn encoder(&self, file_id: i64) -> crate::sink::tables::bulk::encoder::Encoder {
        crate::sink::tables::bulk::encoder::Encoder::new(self.dialect, file_id)
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

    /// Gives the lease up, so that the next process need not wait.
    ///
    /// # Errors
    ///
    /// When the database does not answer; the lease then runs out by itself.
    pub async fn give_up_lease(&self) -> Result<(), SyncError> {
        let _writing = self.writing.lock().await;
        self.release_files().await?;
        self.lease()?.give_up(&self.connection).await
    }

    /// Ends the connections, with everything in SQLite's main file.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn close_database(&self) -> Result<(), SyncError> {
        if self.dialect == Dialect::Sqlite {
            crate::sink::db::wal::empty_log(&self.connection).await?;
        }
        self.end_connections().await
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

    /// As [`Sink::begin`], for who has the right to write already.
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

    /// As [`Sink::begin`], for who holds `writing` already and, on the servers, may have two such transactions at a time.
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
}

/// The texts that a query of one column gives.
pub(crate) async fn texts(connection: &impl ConnectionTrait, query: &SelectStatement) -> Result<Vec<String>, DbErr> {
    connection.query_all(query).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// A transaction, and the right to write.
pub(crate) struct WriteTransaction<'a> {
    pub(crate) transaction: Transaction,
    last_commit: &'a std::sync::Mutex<Option<Instant>>,
    /// Set when the lease was not asked for at the beginning.
    late_lease: Option<&'a Lease>,
    /// `None` when the one who began it holds `writing`.
    _guard: Option<MutexGuard<'a, ()>>,
}

impl WriteTransaction<'_> {
    pub(crate) async fn commit(self) -> Result<(), SyncError> {
        if let Some(lease) = self.late_lease {
            lease.beat(&self.transaction).await?;
        }
        let last_commit = self.last_commit;
        self.commit_without_progress().await?;
        *last_commit.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// Commits what an attempt begins with, each time anew: it says nothing of whether the attempt will get further.
    async fn commit_without_progress(self) -> Result<(), SyncError> {
        Ok(self.transaction.commit().await?)
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write,
    /// SQLite creates no file and refuses changes. Not by its read-only mode, which leaves a `-wal` and
    /// a `-shm` file behind; a file that may not be written is opened nevertheless.
    Look,
}

/// Connects without changing anything but, on SQLite, creating a missing file.
///
/// # Errors
///
/// When the database is away or refuses.
async fn connect(config: &Config) -> Result<Connection, SyncError> {
    connect_for(Access::Write, config, &Interrupt::default()).await
}

async fn connect_for(access: Access, config: &Config, interrupt: &Interrupt) -> Result<Connection, SyncError> {
    let (url, bounds) = (&config.database_url, Bounds::of(config));
    crate::sink::db::reach::reach(url, config.database_wait.clamp(CONNECT_TIMEOUT_MIN, CONNECT_TIMEOUT)).await?;
    if access == Access::Write {
        make_sqlite_file(config);
    }
    // After a power loss NORMAL may lack the last commits, which then are made again from the file. That
    // needs the file to be there still.
    let synchronous = if config.after_sync == AfterSync::Keep { "NORMAL" } else { "FULL" };
    let mut options = ConnectOptions::new(url.reveal());
    let interrupt = interrupt.clone();
    options
        .max_connections(CONNECTIONS_MAX)
        .connect_timeout(CONNECT_TIMEOUT)
        .acquire_timeout(CONNECT_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(move |pool| interrupt.watched_by(pool))
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .create_if_missing(access == Access::Write)
                .statement_cache_capacity(SQLITE_STATEMENTS_MAX)
                .row_buffer_size(SQLITE_ROWS_AHEAD)
                .pragma("cache_size", SQLITE_CACHE_KIB)
                .pragma("wal_autocheckpoint", SQLITE_LOG_PAGES)
                .busy_timeout(bounds.lock_wait());
            match access {
                Access::Write => options.pragma("journal_mode", "WAL").pragma("synchronous", synchronous),
                Access::Look => options.pragma("query_only", "ON"),
            }
        });
    bound_sessions(&mut options, bounds);
    if access == Access::Look && read_only::has_log(url.reveal()) {
        options.map_sqlx_sqlite_pool_opts(read_only::leave_log);
    }
    let pool = Database::connect(options).await.map_err(|error| match error.to_string().contains(url.reveal()) {
        // The library repeats a URL that it cannot read, with the password in it.
        true => SyncError::Configuration(
            "database_url cannot be read; write special characters of user and password as %XX".to_owned(),
        ),
        false => error.into(),
    })?;
    Ok(Connection::new(pool, bounds))
}

/// Tells each session of a server its bounds, and has the pool give up connections that do not answer when they come back
/// to it: it would wait for them for ever.
fn bound_sessions(options: &mut ConnectOptions, bounds: Bounds) {
    let port = options.get_url().parse().ok().and_then(|url: url::Url| url.port());
    let silent = |_| SqlxError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer on a connection"));
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let pool = pool.after_connect(move |connection, _| {
            crate::sink::db::sockets::watch_over(port.unwrap_or(POSTGRES_PORT));
            Box::pin(async move { bounds.tell_postgres(connection).await })
        });
        pool.after_release(move |connection, _| {
            Box::pin(async move { timeout(CONNECT_TIMEOUT, connection.ping()).await.map_err(silent)?.map(|()| true) })
        })
    });
    options.map_sqlx_mysql_pool_opts(move |pool| {
        let pool = pool.after_connect(move |connection, _| {
            crate::sink::db::sockets::watch_over(port.unwrap_or(MYSQL_PORT));
            Box::pin(async move { bounds.tell_mysql(connection).await })
        });
        pool.after_release(move |connection, _| {
            Box::pin(async move { timeout(CONNECT_TIMEOUT, connection.ping()).await.map_err(silent)?.map(|()| true) })
        })
    });
}

/// Whether the database does its work for this user: it answers a query of its ledger, and a server lets it write there. It
/// is asked to change a row that is not there.
///
/// # Errors
///
/// What is in the way.
pub async fn check(config: &Config) -> Result<(), SyncError> {
    let connection = read_only::connect_to_look(config).await?;
    check_ledger(&connection).await?;
    Ok(connection.close_by_ref().await?)
}

async fn check_ledger(connection: &Connection) -> Result<(), SyncError> {
    let dialect = Dialect::of(connection.get_database_backend());
    let columns =
        |table: &str| Statement::from_sql_and_values(dialect.backend(), dialect.columns_query(), [table.into()]);
    if connection.query_all_raw(columns("tidegate_files")).await?.is_empty() {
        return Ok(());
    }
    files::Entity::find().select_only().column(files::Column::Id).limit(1).into_tuple::<i64>().all(connection).await?;
    if dialect != Dialect::Sqlite {
        let nothing = "UPDATE tidegate_lease SET beats = beats WHERE id = 0";
        connection.bounds.keep_short(connection.execute_unprepared(nothing)).await?;
    }
    Ok(())
}

/// The driver would make the file as the umask says. One that others may read was made so by an earlier release, or opened
/// by somebody who wants it so: that is theirs to say.
fn make_sqlite_file(config: &Config) {
    let Some(file) = read_only::sqlite_file(config.database_url.reveal()) else { return };
    if is_open_to_others(&file) {
        tracing::warn!(path = %file.display(), "everybody may read the database; chmod o= it, unless that is meant");
    }
    // What is in the way, connecting says.
    let _ = make_file(&file);
}

/// Without strict mode MySQL cuts values silently.
async fn check_strictness(connection: &Connection, dialect: Dialect) -> Result<(), SyncError> {
    if dialect != Dialect::Mysql {
        return Ok(());
    }
    let mode = Statement::from_string(dialect.backend(), "SELECT CAST(@@sql_mode AS CHAR)");
    let row = connection.query_one_raw(mode).await?;
    let mode: String = row.map_or(Ok(String::new()), |row| row.try_get_by_index(0))?;
    if mode.contains("STRICT_") {
        return Ok(());
    }
    Err(SyncError::Configuration(
        "the server's sql_mode lacks STRICT_TRANS_TABLES, so it would cut values silently; add it".to_owned(),
    ))
}
