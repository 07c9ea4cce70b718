//! Sink: the database, from the connection to the tables, the ledger and the marts.
//!
//! All reads and writes of the ledger and of the tables go through one [`Sink`]. Write transactions
//! run one after the other on every database: SQLite allows only one writer, and on servers this
//! avoids deadlocks. The one exception: servers compute two marts at a time (`refresh`).

pub mod commit;
pub mod db;
mod declared_tables;
pub mod deletes;
pub mod evolve;
pub mod ledger;
pub mod marts;
pub mod read_only;
pub mod scratch;
pub mod tables;
pub mod undo;
pub mod widen;

use crate::config::Config;
use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::sink::db::connect::{Access, check_strictness, connect_for};
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::lease::Lease;
use crate::sink::db::long_step::Interrupt;
use crate::sink::db::{Db, wal};
use crate::sink::declared_tables::NamesAre;
use crate::sink::ledger::Ledger;
use crate::sink::marts::Marts;
use crate::sink::marts::definition::Definitions;
use crate::sink::tables::Tables;
use entity::files;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, EntityTrait, QuerySelect, Statement};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Time limit for closing a database that could not be opened. Without it, a connection that waits
/// for another process's lock would delay the exit.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// The database: what was synced, the tables of the markets, and the metrics on them.
#[derive(Debug)]
pub struct Sink {
    /// Connections, and the right to write.
    pub db: Arc<Db>,
    /// What was synced.
    pub ledger: Arc<Ledger>,
    /// The markets' tables.
    pub tables: Arc<Tables>,
    /// Metrics and views.
    pub marts: Arc<Marts>,
}

impl Sink {
    /// Connects, takes the lease, migrates the schema, and creates the configured marts and views.
    ///
    /// # Errors
    ///
    /// A passing error while the database is away; [`SyncError::LeaseHeld`] while another process
    /// writes.
    pub async fn open(config: &Config, stop: &CancellationToken) -> Result<Self, SyncError> {
        let interrupt = Interrupt::default();
        let connection = connect_for(Access::Write, config, &interrupt).await?;
        let opened = Self::open_on(connection.clone(), config, stop.clone(), interrupt).await;
        if opened.is_err() {
            // Close the connections, because a process that ends before its last SQLite connection
            // leaves a `-wal` file behind. Ignore errors here: the error of opening matters.
            let _ = timeout(CLOSE_MAX, connection.close_by_ref()).await;
        }
        opened
    }

    fn over(db: Db, config: &Config) -> Result<Self, SyncError> {
        let db = Arc::new(db);
        let ledger = Arc::new(Ledger::new(Arc::clone(&db)));
        let tables = Arc::new(Tables::new(&ledger, config.limits.table_columns_max));
        let marts = Arc::new(Marts::new(&tables, Definitions::load(config.marts_dir.as_deref())?));
        Ok(Self { db, ledger, tables, marts })
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
        // Take the lease first: two processes that start at once must not both migrate.
        let lease = Lease::take(&connection, collation.as_deref(), config.lease_wait).await?;
        connection.bounds.keep(Migrator::up(&*connection, None)).await?;
        let db = Db::of_writer(connection, config, stop, interrupt, collation, lease);
        let sink = Self::over(db, config)?;
        sink.ledger.load_obstacles().await?;
        sink.ledger.forget_obstacles_of_others(&sink.marts.definitions.names()).await?;
        sink.restore_columns().await?;
        sink.record_declared_tables(&config.datasets, now_ms(), NamesAre::Free).await?;
        sink.restore_columns().await?;
        sink.tables.make_indexes().await?;
        let dropped = sink.marts.define_marts().await?;
        sink.marts.define_views(dropped).await?;
        sink.check_datasets(&config.datasets).await?;
        Ok(sink)
    }

    /// Gives the lease up, so that the next process need not wait.
    ///
    /// # Errors
    ///
    /// When the database does not answer; the lease then expires by itself.
    pub async fn give_up_lease(&self) -> Result<(), SyncError> {
        let _writing = self.db.writing.lock().await;
        self.ledger.release_files().await?;
        self.db.lease()?.give_up(&self.db.connection).await
    }

    /// Closes the connections, after SQLite's log is moved into its main file.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn close_database(&self) -> Result<(), SyncError> {
        if self.db.dialect == Dialect::Sqlite {
            if let Some(mover) = &self.db.page_mover {
                mover.end().await;
            }
            wal::empty_log(&self.db.connection).await?;
        }
        self.db.end_connections().await
    }
}

/// Checks that the database works for this user: it answers a query of the ledger, and a server
/// allows writes to it. The check updates a row that does not exist.
///
/// # Errors
///
/// The reason why it does not work.
pub async fn check(config: &Config) -> Result<(), SyncError> {
    let connection = read_only::connect_to_look(config).await?;
    check_ledger(&connection).await?;
    Ok(connection.close_by_ref().await?)
}

async fn check_ledger(connection: &Connection) -> Result<(), SyncError> {
    let dialect = Dialect::of(connection.get_database_backend());
    let columns = |table: &str| {
        Statement::from_sql_and_values(dialect.backend(), dialect.columns_query(), [table.into()])
    };
    if connection.query_all_raw(columns("tidegate_files")).await?.is_empty() {
        return Ok(());
    }
    files::Entity::find()
        .select_only()
        .column(files::Column::Id)
        .limit(1)
        .into_tuple::<i64>()
        .all(connection)
        .await?;
    if dialect != Dialect::Sqlite {
        let nothing = "UPDATE tidegate_lease SET beats = beats WHERE id = 0";
        connection.bounds.keep_short(connection.execute_unprepared(nothing)).await?;
    }
    Ok(())
}
