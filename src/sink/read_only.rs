//! Read-only: the database as the commands see it that only look. They need no lease, so they work
//! beside a writer; they migrate nothing, add no column, and create no file.

use crate::config::Config;
use crate::error::SyncError;
use crate::sink::marts::definition::Definitions;
use crate::sink::db::bounds::Bounds;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::mysql;
use crate::sink::db::sqlite_handle::with_handle;
use crate::sink::ledger::obstacles;
use crate::sink::tables::{evolve, indexes};
use crate::sink::{Access, Sink, connect_for};
use entity::files;
use migration::{Migrator, MigratorTrait};
use rusqlite::config::DbConfig;
use sea_orm::sqlx;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, EntityTrait, IsolationLevel, Statement, TransactionTrait,
};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

impl Sink {
    /// Opens the database for looking at it; `None` when nothing was ever synced into it.
    ///
    /// # Errors
    ///
    /// A passing one while the database is away; [`SyncError::NoDatabase`] when it is a file that is not there;
    /// [`SyncError::Configuration`] when its tables are of another release.
    pub async fn open_read_only(config: &Config) -> Result<Option<Self>, SyncError> {
        let connection = connect_to_look(config).await?;
        let dialect = Dialect::of(connection.get_database_backend());
        let sink = Self {
            dialect,
            definitions: Definitions::load(config.marts_dir.as_deref())?,
            shapes: RwLock::new(Arc::new(evolve::declared_shapes())),
            indexes: indexes::Indexes::of(dialect),
            writing: Mutex::new(()),
            idle: Arc::new(mysql::Idle::new(config.database_url.clone(), Bounds::of(config))),
            evolving: Mutex::new(false),
            kinds: Arc::default(),
            promised: std::sync::Mutex::default(),
            obstacles: obstacles::Obstacles::default(),
            table_columns_max: config.limits.table_columns_max,
            at_work: std::sync::Mutex::default(),
            beside: Arc::default(),
            beat_fault: std::sync::Mutex::default(),
            last_commit: std::sync::Mutex::new(None),
            files_at_work: Default::default(),
            stop: CancellationToken::new(),
            interrupt: Interrupt::default(),
            page_mover: None,
            collation: None,
            lease: None,
            connection,
        };
        if !sink.is_migrated().await? {
            sink.end_connections().await?;
            return Ok(None);
        }
        sink.load_obstacles().await?;
        let shapes = sink.existing_shapes(&sink.connection).await?;
        *sink.shapes.write().expect("no code panics while it holds the shapes") = Arc::new(shapes);
        Ok(Some(sink))
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

    /// Whether all tables are there; without any, or before anything was synced, there is nothing to see.
    async fn is_migrated(&self) -> Result<bool, SyncError> {
        let table = Migrator::migration_table_name().to_string();
        if self.columns_of(&table).await?.is_empty() {
            return Ok(false);
        }
        let versions = Statement::from_string(self.dialect.backend(), format!("SELECT version FROM {table}"));
        let rows = self.connection.query_all_raw(versions).await?;
        let done = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<HashSet<String>, _>>()?;
        if Migrator::migrations().iter().all(|step| done.contains(step.name())) {
            return Ok(true);
        }
        let has_ledger = !self.columns_of("tidegate_files").await?.is_empty();
        if has_ledger && files::Entity::find().one(&self.connection).await?.is_some() {
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
