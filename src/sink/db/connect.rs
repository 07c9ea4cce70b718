//! Connect: opens the pool of connections, each session with its bounds, for writing or for looking only.

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::process::modes::{is_open_to_others, make_file};
use crate::sink::db::bounds::Bounds;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::long_step::Interrupt;
use crate::sink::read_only;
use sea_orm::sqlx::Connection as _;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, SqlxError, Statement};
use std::time::Duration;
use tokio::time::timeout;

/// Connections of the pool: one or two write, except on MySQL, the others answer health checks, read known hashes, and on
/// SQLite compute marts ahead and move pages of the log.
pub(crate) const CONNECTIONS_MAX: u32 = 4;

/// How long one attempt to connect may take before the database counts as away; for a command that waits less, so long as
/// it waits, but not so short that a server in the next room seems away.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Where servers listen unless the URL says otherwise.
pub(crate) const POSTGRES_PORT: u16 = 5432;
pub(crate) const MYSQL_PORT: u16 = 3306;

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

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
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
pub(crate) async fn connect(config: &Config) -> Result<Connection, SyncError> {
    connect_for(Access::Write, config, &Interrupt::default()).await
}

pub(crate) async fn connect_for(
    access: Access,
    config: &Config,
    interrupt: &Interrupt,
) -> Result<Connection, SyncError> {
    let (url, bounds) = (&config.database_url, Bounds::of(config));
    super::reach::reach(url, config.database_wait.clamp(CONNECT_TIMEOUT_MIN, CONNECT_TIMEOUT)).await?;
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
            super::sockets::watch_over(port.unwrap_or(POSTGRES_PORT));
            Box::pin(async move { bounds.tell_postgres(connection).await })
        });
        pool.after_release(move |connection, _| {
            Box::pin(async move { timeout(CONNECT_TIMEOUT, connection.ping()).await.map_err(silent)?.map(|()| true) })
        })
    });
    options.map_sqlx_mysql_pool_opts(move |pool| {
        let pool = pool.after_connect(move |connection, _| {
            super::sockets::watch_over(port.unwrap_or(MYSQL_PORT));
            Box::pin(async move { bounds.tell_mysql(connection).await })
        });
        pool.after_release(move |connection, _| {
            Box::pin(async move { timeout(CONNECT_TIMEOUT, connection.ping()).await.map_err(silent)?.map(|()| true) })
        })
    });
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
pub(crate) async fn check_strictness(connection: &Connection, dialect: Dialect) -> Result<(), SyncError> {
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
