//! Attempts: counts in the ledger the processes that died while working on a file. A file's ledger
//! line is marked before the work begins. If the next start finds the mark, the process before it
//! died; after enough deaths the file is refused.
//!
//! | what happens to the process | what the line says |
//! |---|---|
//! | it takes the file up | one quick death more, once for each process |
//! | it is at it for [`QUICK_MAX`] without a commit | a slow death instead |
//! | it commits a chunk | one slow death: the file moved, whatever became of those before |
//! | it commits the last chunk, is done with the file, or ends in order | nothing |
//! | it dies | what it said before |
//!
//! A file that kills a process does so again at the same place, after the same work. A quick death
//! says less, because it may be chance, as with one small file of many; so more quick deaths are
//! needed.
//!
//! Two files may have been at work when the process died, and both are suspects. Each then runs
//! alone until its next commit, so that another death is clearly its own. Work after the last chunk
//! (indexes, marts) belongs to no file, and is not counted.

use crate::chunk::Position;
use crate::error::SyncError;
use crate::process::waiting::aloud;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::files::FileRecord;
use entity::files;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::task::JoinHandle;

/// Slow deaths at the same place after which a file is refused: one may be chance, a second may be
/// an operator's retry, and the third is caused by the file.
const SLOW_DEATHS_MAX: u32 = 3;

/// Deaths of any kind after which a file is refused. A restart takes seconds, so this also ends
/// within minutes.
const DEATHS_MAX: u32 = 10;

/// A death up to this time is a quick one. Filling the memory takes longer, and a small file is
/// done by then.
pub const QUICK_MAX: Duration = Duration::from_secs(1);

/// Processes that took a file up since its last commit; the last one is counted as dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Quick deaths: at work for no longer than [`QUICK_MAX`].
    pub quick: u32,
    /// Slow deaths.
    pub slow: u32,
}

/// Whether a file runs in parallel with others, while this is held.
#[derive(Debug)]
pub struct Company {
    /// `None` only while one guard replaces the other.
    beside: Option<Beside>,
    /// Timer that turns the quick death into a slow one.
    counting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Beside {
    /// In parallel with other files.
    #[expect(dead_code, reason = "it is held until it is dropped")]
    Others(OwnedRwLockReadGuard<()>),
    /// Alone, because a process may have died because of it.
    Nobody(OwnedRwLockWriteGuard<()>),
}

impl Company {
    /// The file has committed: other files may run too.
    #[must_use]
    pub fn moved(mut self) -> Self {
        self.stop_counting();
        self.beside = self.beside.take().map(|beside| match beside {
            Beside::Nobody(guard) => Beside::Others(guard.downgrade()),
            others => others,
        });
        self
    }

    fn stop_counting(&mut self) {
        if let Some(counting) = self.counting.take() {
            counting.abort();
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.stop_counting();
    }
}

impl Attempts {
    /// The mark for the first process that takes a file up.
    pub const FIRST: Self = Self { quick: 1, slow: 0 };

    /// The mark after a commit.
    pub const MOVED: Self = Self { quick: 0, slow: 1 };

    const fn deaths(self) -> u32 {
        self.quick + self.slow
    }

    const fn are_enough(self) -> bool {
        self.slow >= SLOW_DEATHS_MAX || self.deaths() >= DEATHS_MAX
    }

    /// The form stored in the ledger.
    pub(crate) fn of_ledger(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(crate) fn to_ledger(self) -> String {
        serde_json::to_string(&self).expect("plain numbers")
    }
}

impl Ledger {
    /// Marks a file as taken up by this process, and waits until it may run.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] when too many processes died while working on it.
    pub async fn take_up(self: &Arc<Self>, file: &FileRecord) -> Result<Company, SyncError> {
        // Once all rows of a file are committed, the rest is not work on the file.
        let is_done = file.position == Some(Position::Done);
        let is_new = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).contains(&file.id);
        let before = if is_done || is_new { Attempts::default() } else { file.attempts };
        if before.are_enough() {
            return Err(SyncError::damaged(format!(
                "{} processes in a row ended without a word while they worked on it, and got no further; see what ended \
                 them (memory, kill -9). To have it tried again as it is, run: tidegate approve {}",
                before.deaths(),
                crate::process::terminal::quoted(&file.path)
            )));
        }
        let lock = Arc::clone(&self.beside);
        let beside = match before.deaths() {
            0 => Beside::Others(
                aloud("another file that a process may have died of", lock.read_owned()).await,
            ),
            // Only files at work are counted.
            _ => Beside::Nobody(
                aloud("the files at work, to go on alone after a crash", lock.write_owned()).await,
            ),
        };
        if is_done {
            return Ok(Company { beside: Some(beside), counting: None });
        }
        let now = Attempts { quick: before.quick + 1, ..before };
        if !is_new {
            self.write_attempts(file.id, now).await?;
            self.count(file.id);
        }
        let (ledger, file_id) = (Arc::clone(self), file.id);
        let counting = tokio::spawn(async move {
            tokio::time::sleep(QUICK_MAX).await;
            ledger.count_slow(file_id, now).await;
        });
        Ok(Company { beside: Some(beside), counting: Some(counting) })
    }

    /// Records that a death from now on is a slow one, unless the file has committed since.
    async fn count_slow(&self, file_id: i64, quick: Attempts) {
        let slow = Attempts { quick: quick.quick - 1, slow: quick.slow + 1 };
        let noted = files::Entity::update_many()
            .col_expr(files::Column::Attempts, Expr::value(slow.to_ledger()))
            .filter(files::Column::Id.eq(file_id))
            .filter(files::Column::Attempts.eq(quick.to_ledger()))
            .exec(&self.db.connection)
            .await;
        if let Err(error) = noted {
            // If this fails, a death counts as a quick one.
            tracing::debug!(file_id, reason = %SyncError::from(error), "an attempt was not noted");
        }
    }

    /// Counts a file as begun by this process.
    pub(crate) fn count(&self, file_id: i64) {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(file_id);
    }

    /// Removes the mark of a finished file.
    pub(crate) fn uncount(&self, file_id: i64) {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&file_id);
    }

    /// Removes all marks of this process, because it ends normally.
    pub(crate) async fn release_files(&self) -> Result<(), SyncError> {
        let ids: Vec<i64> =
            self.at_work.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if ids.is_empty() {
            return Ok(());
        }
        files::Entity::update_many()
            .col_expr(files::Column::Attempts, Expr::value(None::<String>))
            .filter(files::Column::Id.is_in(ids))
            .exec(&self.db.connection)
            .await?;
        Ok(())
    }

    async fn write_attempts(&self, file_id: i64, attempts: Attempts) -> Result<(), SyncError> {
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::Attempts, Expr::value(attempts.to_ledger()))
            .filter(files::Column::Id.eq(file_id))
            .exec(&write.transaction)
            .await?;
        write.commit_without_progress().await
    }
}
