//! Read-only: opens the database for commands that only read. They need no lease, so they run in
//! parallel with a writer. They migrate nothing, add no column, and create no file.

use crate::config::Config;
use crate::error::SyncError;
use crate::sink::Sink;
use crate::sink::db::Db;
use crate::sink::db::connect::{Access, connect_for};
use crate::sink::db::connection::Connection;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::sqlite_file::sqlite_file;
use entity::files;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use std::collections::HashSet;
use std::sync::Arc;

impl Sink {
    /// Opens the database for reading; `None` if nothing was ever synced into it.
    ///
    /// # Errors
    ///
    /// A passing error while the database is away; [`SyncError::NoDatabase`] when its file is
    /// missing; [`SyncError::Configuration`] when its tables are of another release.
    pub async fn open_read_only(config: &Config) -> Result<Option<Self>, SyncError> {
        let connection = connect_to_look(config).await?;
        let sink = Self::over(Db::to_look(connection, config), config)?;
        if !sink.is_migrated().await? {
            sink.db.end_connections().await?;
            return Ok(None);
        }
        sink.ledger.load_obstacles().await?;
        let shapes = sink.marts.existing_shapes(&sink.db.connection).await?;
        *sink.tables.shapes.write().expect("no code panics while it holds the shapes") =
            Arc::new(shapes);
        Ok(Some(sink))
    }

    /// Checks that all tables exist. Without tables, or before the first sync, there is nothing to
    /// read.
    async fn is_migrated(&self) -> Result<bool, SyncError> {
        let table = Migrator::migration_table_name().to_string();
        if self.db.columns_of(&table).await?.is_empty() {
            return Ok(false);
        }
        let versions = Statement::from_string(
            self.db.dialect.backend(),
            format!("SELECT version FROM {table}"),
        );
        let rows = self.db.connection.query_all_raw(versions).await?;
        let done = rows
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<HashSet<String>, _>>()?;
        if Migrator::migrations().iter().all(|step| done.contains(step.name())) {
            return Ok(true);
        }
        let has_ledger = !self.db.columns_of("tidegate_files").await?.is_empty();
        if has_ledger && files::Entity::find().one(&self.db.connection).await?.is_some() {
            let reason = "the tables were made by an older release; `tidegate sync` or `tidegate run` brings them up to date";
            return Err(SyncError::Configuration(reason.to_owned()));
        }
        Ok(false)
    }
}

pub(crate) async fn connect_to_look(config: &Config) -> Result<Connection, SyncError> {
    if let Some(path) = sqlite_file(config.database_url.reveal()) {
        // Try to read it instead of testing existence: a folder in its path may be closed to this
        // user.
        std::fs::metadata(&path).map_err(|source| SyncError::NoDatabase { path, source })?;
    }
    connect_for(Access::Look, config, &Interrupt::default()).await
}
