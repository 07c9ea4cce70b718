//! WAL: SQLite's write-ahead log, whose pages move into the database while the next rows are written.
//!
//! SQLite itself moves them within a commit once there are [`super::SQLITE_LOG_PAGES`], and then the writer waits for all
//! of them. Moved beside it before, few are left for that commit. What fails here that commit does.
//!
//! A checkpoint beside a writer that begins the log anew could damage the database before SQLite 3.51.3
//! (sqlite.org/wal.html#walresetbug). The one that is built in is newer; one of the system may not be.

use super::dialect::Dialect;
use sea_orm::DatabaseConnection;
use sea_orm::sqlx;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Rows after which pages are moved: about what a chunk of a first load has, and far more than a small drop.
const ROWS_PER_MOVE: u64 = 8_192;

/// The first SQLite in which that is mended, as its number says it (sqlite.org/c3ref/libversion.html).
const SAFE_SINCE: i32 = 3_051_003;

/// Moves pages, once at a time.
#[derive(Debug, Default)]
pub(super) struct PageMover {
    /// Rows that were written since pages were moved last.
    rows: AtomicU64,
    is_moving: Arc<AtomicBool>,
}

impl PageMover {
    /// Says that so many rows are committed.
    pub fn written(&self, rows: u64, connection: &DatabaseConnection, dialect: Dialect) {
        if dialect != Dialect::Sqlite || rusqlite::version_number() < SAFE_SINCE {
            return;
        }
        if self.rows.fetch_add(rows, Ordering::Relaxed) + rows < ROWS_PER_MOVE {
            return;
        }
        if self.is_moving.swap(true, Ordering::Relaxed) {
            return;
        }
        self.rows.store(0, Ordering::Relaxed);
        let (pool, is_moving) = (connection.get_sqlite_connection_pool().clone(), Arc::clone(&self.is_moving));
        tokio::spawn(async move {
            // Passive: it waits for nobody, and nobody waits for it (sqlite.org/c3ref/wal_checkpoint_v2.html).
            let moved = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)").execute(&pool).await;
            if let Err(error) = moved {
                tracing::debug!(%error, "pages of the write-ahead log stay there");
            }
            is_moving.store(false, Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sqlite_that_is_built_in_moves_pages_safely() {
        assert!(rusqlite::version_number() >= SAFE_SINCE, "{}", rusqlite::version());
    }
}
