//! WAL: checkpoints SQLite's write-ahead log, that is, moves its pages into the database, while the
//! next rows are written.
//!
//! SQLite itself does this within a commit once the log has [`crate::sink::SQLITE_LOG_PAGES`], and
//! the writer waits. An earlier checkpoint in parallel leaves few pages for that commit. If it
//! fails, that commit does the work.
//!
//! Before SQLite 3.51.3, a checkpoint in parallel with a writer that resets the log could damage
//! the database (sqlite.org/wal.html#walresetbug). The bundled SQLite is newer; one of the system
//! may not be.

use crate::process::secret::conceal;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::transaction::{exec_failed, not_acquired, query_failed};
use sea_orm::sqlx::{AssertSqlSafe, Row, SqlitePool};
use sea_orm::{DatabaseConnection, DbErr, sqlx};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Rows between two checkpoints: about one chunk of a first load, and far more than a small file
/// has.
const ROWS_PER_MOVE: u64 = 8_192;

/// The first SQLite version with the fix, as its version number (sqlite.org/c3ref/libversion.html).
const SAFE_SINCE: i32 = 3_051_003;

/// How long a clean shutdown waits for other readers of the log.
const READERS_WAIT_MS: u32 = 1_000;

/// How long it waits for the checkpoint of its own that runs.
const END_WAIT: Duration = Duration::from_secs(20);

/// Moves all pages into the database and empties the log, so that the main file is complete. Logs
/// if another process prevents it.
pub(crate) async fn empty_log(connection: &DatabaseConnection) -> Result<(), DbErr> {
    let mut connection =
        connection.get_sqlite_connection_pool().acquire().await.map_err(not_acquired)?;
    let wait = AssertSqlSafe(format!("PRAGMA busy_timeout = {READERS_WAIT_MS}"));
    sqlx::raw_sql(wait).execute(&mut *connection).await.map_err(exec_failed)?;
    let emptied =
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
    let is_busy: i64 = emptied.and_then(|row| row.try_get(0)).map_err(query_failed)?;
    if is_busy != 0 {
        tracing::warn!(
            "another process has the database open, so that its newest rows stay in the -wal file beside it: copy both, \
             or end that process and sync again"
        );
    }
    Ok(())
}

/// Runs checkpoints, one at a time.
#[derive(Debug)]
pub(crate) struct PageMover {
    pool: SqlitePool,
    /// Rows written since the last checkpoint.
    rows: AtomicU64,
    /// The last checkpoint that began.
    moving: Mutex<Option<JoinHandle<()>>>,
}

impl PageMover {
    /// `Some` only for SQLite, with a version that does it safely.
    pub fn of(connection: &DatabaseConnection, dialect: Dialect) -> Option<Self> {
        (dialect == Dialect::Sqlite && rusqlite::version_number() >= SAFE_SINCE).then(|| Self {
            pool: connection.get_sqlite_connection_pool().clone(),
            rows: AtomicU64::default(),
            moving: Mutex::default(),
        })
    }

    /// Counts committed rows, and starts a checkpoint when there are enough.
    pub fn written(&self, rows: u64) {
        let is_due = self.rows.fetch_add(rows, Ordering::Relaxed) + rows >= ROWS_PER_MOVE;
        if !is_due {
            return;
        }
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if moving.as_ref().is_some_and(|moving| !moving.is_finished()) {
            return;
        }
        self.rows.store(0, Ordering::Relaxed);
        let pool = self.pool.clone();
        *moving = Some(tokio::spawn(async move {
            // A passive checkpoint waits for nobody, and nobody waits for it
            // (sqlite.org/c3ref/wal_checkpoint_v2.html).
            let moved = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)").execute(&pool).await;
            if let Err(error) = moved {
                tracing::debug!(error = %conceal(&error.to_string()), "pages of the write-ahead log stay there");
            }
        }));
    }

    /// Waits for a checkpoint that runs: to another one it is like another process.
    pub async fn end(&self) {
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(moving) = moving {
            // What takes longer is left to the log; the next one to open it moves it.
            let _ = tokio::time::timeout(END_WAIT, moving).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::{ConnectOptions, ConnectionTrait, Database};

    #[test]
    fn the_sqlite_that_is_built_in_moves_pages_safely() {
        assert!(rusqlite::version_number() >= SAFE_SINCE, "{}", rusqlite::version());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pages_move_after_many_rows_and_stay_after_few() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("moved.db");
        let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", file.display()));
        // SQLite's own checkpoints are off.
        options.map_sqlx_sqlite_opts(|options| {
            options.pragma("journal_mode", "WAL").pragma("wal_autocheckpoint", "0")
        });
        let connection = Database::connect(options).await.expect("a new database");
        let rows = "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) SELECT i FROM n";
        connection.execute_unprepared(rows).await.expect("it can be written");
        let bytes = || file.metadata().expect("it is there").len();
        let before = bytes();
        let mover = PageMover::of(&connection, Dialect::Sqlite).expect("it is safe");
        mover.written(ROWS_PER_MOVE - 1);
        mover.end().await;
        assert_eq!(bytes(), before);
        mover.written(1);
        mover.end().await;
        assert!(bytes() > before, "the database still has {before} bytes");
    }
}
