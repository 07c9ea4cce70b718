//! SQLite file: where a SQLite database is on disk, and its write-ahead log beside it.

use crate::sink::db::sqlite_handle::with_handle;
use rusqlite::config::DbConfig;
use sea_orm::sqlx;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use std::path::PathBuf;

/// The file of a SQLite database.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let is_in_file =
        url.starts_with("sqlite:") && !url.contains(":memory:") && !url.contains("mode=memory");
    let options = is_in_file.then(|| url.parse::<SqliteConnectOptions>().ok()).flatten()?;
    Some(options.get_filename().to_owned())
}

/// Whether a SQLite database has a non-empty write-ahead log: a writer is running or was killed.
pub(crate) fn has_log(url: &str) -> bool {
    let Some(path) = sqlite_file(url) else { return false };
    let log = PathBuf::from(format!("{}-wal", path.display()));
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Keeps the log as it is for the writer; otherwise the last closed connection would move it into
/// the database.
pub(crate) fn leave_log(options: SqlitePoolOptions) -> SqlitePoolOptions {
    options.after_connect(|connection, _| {
        Box::pin(async move {
            let leave = |handle: &rusqlite::Connection| {
                handle.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            };
            with_handle(connection, leave)
                .await
                .map(drop)
                .map_err(|error| sqlx::Error::Configuration(error.into()))
        })
    })
}
