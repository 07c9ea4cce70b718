//! Read-only: the database as the commands see it that only look. They need no lease, so they work
//! beside a writer; they migrate nothing, add no column, and create no file.

use crate::config::Config;
use crate::error::SyncError;
use crate::sink::Sink;
use crate::sink::db::Db;
use crate::sink::db::connect::{Access, connect_for};
use crate::sink::db::connection::Connection;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::sqlite_handle::with_handle;
use entity::files;
use migration::{Migrator, MigratorTrait};
use rusqlite::config::DbConfig;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::{ConnectionTrait, EntityTrait, Statement, sqlx};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

impl Sink {
    /// Opens the database for looking at it; `None` when nothing was ever synced into it.
    ///
    /// # Errors
    ///
    /// A passing one while the database is away; [`SyncError::NoDatabase`] when it is a file that is not there;
    /// [`SyncError::Configuration`] when its tables are of another release.
    pub async fn open_read_only(config: &Config) -> Result<Option<Self>, SyncError> {
        let connection = connect_to_look(config).await?;
        let sink = Self::over(Db::to_look(connection, config), config)?;
        if !sink.is_migrated().await? {
            sink.db.end_connections().await?;
            return Ok(None);
        }
        sink.ledger.load_obstacles().await?;
        let shapes = sink.marts.existing_shapes(&sink.db.connection).await?;
        *sink.tables.shapes.write().expect("no code panics while it holds the shapes") = Arc::new(shapes);
        Ok(Some(sink))
    }

    /// Whether all tables are there; without any, or before anything was synced, there is nothing to see.
    async fn is_migrated(&self) -> Result<bool, SyncError> {
        let table = Migrator::migration_table_name().to_string();
        if self.db.columns_of(&table).await?.is_empty() {
            return Ok(false);
        }
        let versions = Statement::from_string(self.db.dialect.backend(), format!("SELECT version FROM {table}"));
        let rows = self.db.connection.query_all_raw(versions).await?;
        let done = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<HashSet<String>, _>>()?;
        if Migrator::migrations().iter().all(|step| done.contains(step.name())) {
            return Ok(true);
        }
        let has_ledger = !self.db.columns_of("tidegate_files").await?.is_empty();
        if has_ledger && files::Entity::find().one(&self.db.connection).await?.is_some() {
            let reason =
                "the tables were made by an older release; `tidegate sync` or `tidegate run` brings them up to date";
            return Err(SyncError::Configuration(reason.to_owned()));
        }
        Ok(false)
    }
}

pub(crate) async fn connect_to_look(config: &Config) -> Result<Connection, SyncError> {
    if let Some(path) = sqlite_file(config.database_url.reveal()) {
        // Not whether it exists: a folder on the way may be closed to whoever looks.
        std::fs::metadata(&path).map_err(|source| SyncError::NoDatabase { path, source })?;
    }
    connect_for(Access::Look, config, &Interrupt::default()).await
}

/// The file of a SQLite database.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let is_in_file = url.starts_with("sqlite:") && !url.contains(":memory:") && !url.contains("mode=memory");
    let options = is_in_file.then(|| url.parse::<SqliteConnectOptions>().ok()).flatten()?;
    Some(options.get_filename().to_owned())
}

/// Whether a SQLite database has a write-ahead log with something in it: a writer runs, or it was killed.
pub(crate) fn has_log(url: &str) -> bool {
    let Some(path) = sqlite_file(url) else { return false };
    let log = PathBuf::from(format!("{}-wal", path.display()));
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Leaves the log to whoever writes: the last connection that is closed would move it into the database.
pub(crate) fn leave_log(options: SqlitePoolOptions) -> SqlitePoolOptions {
    options.after_connect(|connection, _| {
        Box::pin(async move {
            let leave =
                |handle: &rusqlite::Connection| handle.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            with_handle(connection, leave).await.map(drop).map_err(|error| sqlx::Error::Configuration(error.into()))
        })
    })
}
