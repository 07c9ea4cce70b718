//! Connect: opens the connection pool, for writing or read-only, and sets the limits of each
//! session.

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::process::modes::{is_open_to_others, make_file};
use crate::sink::db::bounds::Bounds;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::sqlite_file::{has_log, leave_log, sqlite_file};
use crate::sink::db::sqlite_handle::is_free;
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::sqlite::SqlitePoolOptions;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, SqlxError, Statement};
use std::time::Duration;
use tokio::time::timeout;

/// Connections of the pool. One or two write, except on MySQL, which has a separate connection for
/// that. The others answer health checks and read stored hashes; on SQLite they also compute marts
/// ahead and checkpoint the log.
pub(crate) const CONNECTIONS_MAX: u32 = 4;

/// Connect timeouts: the usual one, and the least. A command that waits for less time shortens the
/// timeout to its own wait, but never below the least, so that a nearby server does not seem away.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Default ports, for URLs without one.
pub(crate) const POSTGRES_PORT: u16 = 5432;
pub(crate) const MYSQL_PORT: u16 = 3306;

/// Page cache of a SQLite connection. It holds the inner pages of every index of a large table, so
/// that a row costs few reads. A negative number means KiB
/// (sqlite.org/pragma.html#pragma_cache_size).
const SQLITE_CACHE_KIB: &str = "-8192";

/// Pages of the write-ahead log at which SQLite checkpoints it, 32 MiB of disk. The chunks of a
/// large file change the same pages many times, and a late checkpoint moves each page only once.
const SQLITE_LOG_PAGES: &str = "8192";

/// Rows that SQLite's thread may read ahead of the consumer. With few, the two wait for each other
/// at every step.
const SQLITE_ROWS_AHEAD: usize = 1000;

/// Prepared statements that a SQLite connection caches; a statement for many rows takes a megabyte.
const SQLITE_STATEMENTS_MAX: usize = 40;

/// Whether a connection writes or only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    /// SQLite creates no file and refuses changes. Its read-only mode is not used, because that
    /// leaves a `-wal` and a `-shm` file behind. A write-protected file can still be opened.
    Look,
}

/// Connects. Changes nothing, except that SQLite creates a missing file.
///
/// # Errors
///
/// When the database is away or refuses the connection.
pub(crate) async fn connect(config: &Config) -> Result<Connection, SyncError> {
    connect_for(Access::Write, config, &Interrupt::default()).await
}

pub(crate) async fn connect_for(
    access: Access,
    config: &Config,
    interrupt: &Interrupt,
) -> Result<Connection, SyncError> {
    let (url, bounds) = (&config.database_url, Bounds::of(config));
    check_no_folder(url.reveal())?;
    super::reach::reach(url, config.database_wait.clamp(CONNECT_TIMEOUT_MIN, CONNECT_TIMEOUT))
        .await?;
    if access == Access::Write {
        make_sqlite_file(config);
    }
    // With NORMAL, a power loss may undo the last commits. They are then made again from the file,
    // so the file must still exist.
    let synchronous = if config.after_sync == AfterSync::Keep { "NORMAL" } else { "FULL" };
    let mut options = ConnectOptions::new(url.reveal());
    let interrupt = interrupt.clone();
    options
        .max_connections(CONNECTIONS_MAX)
        .connect_timeout(CONNECT_TIMEOUT)
        .acquire_timeout(CONNECT_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(move |pool| close_unless_free(interrupt.watched_by(pool)))
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .create_if_missing(access == Access::Write)
                .statement_cache_capacity(SQLITE_STATEMENTS_MAX)
                .row_buffer_size(SQLITE_ROWS_AHEAD)
                .pragma("cache_size", SQLITE_CACHE_KIB)
                .pragma("wal_autocheckpoint", SQLITE_LOG_PAGES)
                .busy_timeout(bounds.lock_wait());
            match access {
                Access::Write => {
                    options.pragma("journal_mode", "WAL").pragma("synchronous", synchronous)
                }
                Access::Look => options.pragma("query_only", "ON"),
            }
        });
    bound_sessions(&mut options, bounds);
    if access == Access::Look && has_log(url.reveal()) {
        options.map_sqlx_sqlite_pool_opts(|pool| close_unless_free(leave_log(pool)));
    }
    let pool = Database::connect(options).await.map_err(|error| {
        match error.to_string().contains(url.reveal()) {
            // The library's error repeats an unreadable URL, including the password.
            true => SyncError::Configuration(
                "database_url cannot be read; write special characters of user and password as %XX"
                    .to_owned(),
            ),
            false => error.into(),
        }
    })?;
    Ok(Connection::new(pool, bounds))
}

/// Refuses a folder where the file of a SQLite database should be: no wait makes it one.
fn check_no_folder(url: &str) -> Result<(), SyncError> {
    match sqlite_file(url).filter(|path| path.is_dir()) {
        None => Ok(()),
        Some(path) => Err(SyncError::Configuration(format!(
            "database_url: {} is a folder; name a file, such as sqlite://{}",
            path.display(),
            path.join("tidegate.db").display()
        ))),
    }
}

/// Closes a connection whose transaction did not end, which ends it, instead of giving it to
/// others.
fn close_unless_free(pool: SqlitePoolOptions) -> SqlitePoolOptions {
    pool.after_release(|connection, _| {
        Box::pin(async move {
            let is_free = is_free(connection).await?;
            if !is_free {
                tracing::debug!("a connection is closed because its transaction did not end");
            }
            Ok(is_free)
        })
    })
}

/// Sets the limits in each server session, and makes the pool drop connections that do not answer
/// when they are returned; otherwise it would wait for them for ever.
fn bound_sessions(options: &mut ConnectOptions, bounds: Bounds) {
    let port = options.get_url().parse().ok().and_then(|url: url::Url| url.port());
    let silent = |_| {
        SqlxError::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "no answer on a connection",
        ))
    };
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let pool = pool.after_connect(move |connection, _| {
            super::sockets::watch_over(port.unwrap_or(POSTGRES_PORT));
            Box::pin(async move { bounds.tell_postgres(connection).await })
        });
        pool.after_release(move |connection, _| {
            Box::pin(async move {
                timeout(CONNECT_TIMEOUT, connection.ping()).await.map_err(silent)?.map(|()| true)
            })
        })
    });
    options.map_sqlx_mysql_pool_opts(move |pool| {
        let pool = pool.after_connect(move |connection, _| {
            super::sockets::watch_over(port.unwrap_or(MYSQL_PORT));
            Box::pin(async move { bounds.tell_mysql(connection).await })
        });
        pool.after_release(move |connection, _| {
            Box::pin(async move {
                timeout(CONNECT_TIMEOUT, connection.ping()).await.map_err(silent)?.map(|()| true)
            })
        })
    });
}

/// The driver would create the file with the umask's rights. The rights of an existing file stay:
/// an earlier release or the operator chose them.
fn make_sqlite_file(config: &Config) {
    let Some(file) = sqlite_file(config.database_url.reveal()) else { return };
    if is_open_to_others(&file) {
        tracing::warn!(path = %file.display(), "everybody may read the database; chmod o= it, unless that is meant");
    }
    // If this fails, connecting reports the reason.
    let _ = make_file(&file);
}

/// Without strict mode MySQL truncates values silently.
pub(crate) async fn check_strictness(
    connection: &Connection,
    dialect: Dialect,
) -> Result<(), SyncError> {
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
        "the server's sql_mode lacks STRICT_TRANS_TABLES, so it would cut values silently; add it"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::sqlx;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_whose_transaction_sqlite_ended_itself_is_not_given_to_others() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("full.db").display());
        let pool = close_unless_free(SqlitePoolOptions::new().max_connections(1));
        let pool = pool.connect(&url).await.expect("a new database");
        let small = "CREATE TABLE t (v); PRAGMA max_page_count = 2";
        sqlx::raw_sql(small).execute(&pool).await.expect("it can be written");
        let mut transaction = pool.begin().await.expect("a free connection");
        let too_much = "INSERT INTO t VALUES (zeroblob(100000))";
        let full = sqlx::raw_sql(too_much).execute(&mut *transaction).await;
        assert!(full.is_err_and(|error| error.to_string().contains("(code: 13)")));
        drop(transaction);
        let mut connection = pool.acquire().await.expect("a new connection");
        assert!(is_free(&mut connection).await.expect("it works"));
        // The limit was set for the other connection.
        sqlx::raw_sql(too_much).execute(&mut *connection).await.expect("there is room");
    }
}
