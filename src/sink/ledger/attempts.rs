//! Attempts: in whose hands a process died, as the ledger tells. Before a file is worked on, its line says so; the next
//! start that finds it so knows that the process before it died, and stops when these are enough.
//!
//! | what happens to the process | what the line says |
//! |---|---|
//! | it takes the file up | one quick death more, once for each process |
//! | it is at it for [`QUICK_MAX`] without a commit | a slow death instead |
//! | it commits a chunk | one slow death: the file moved, whatever became of those before |
//! | it commits the last chunk, is done with the file, or ends in order | nothing |
//! | it dies | what it said before |
//!
//! What a file does to a process it does again at the same place, after the same work. A process that was killed soon after
//! it took the file up says less: that may be chance, as for a small file of many, so it takes more of these.
//!
//! Two files may have been at work when it died, and both are suspects: each goes on alone until it has moved, so that
//! another death is its own. What comes after the last chunk (indexes, marts) is no file's, and is not counted.

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

/// Processes that may die with the same file in hand, at the same place, and after some work: one may be killed by chance,
/// two by an operator who tries again, and three are what the file does.
const SLOW_DEATHS_MAX: u32 = 3;

/// Processes that may die so at all: a restart takes seconds, so that this ends within minutes too.
const DEATHS_MAX: u32 = 10;

/// Up to this a death is a quick one. What fills the memory takes longer; a small file is done by then.
pub const QUICK_MAX: Duration = Duration::from_secs(1);

/// What the ledger says of the processes that took a file up since it last moved, as if the last one were dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Those that had it for no longer than [`QUICK_MAX`].
    pub quick: u32,
    /// The others.
    pub slow: u32,
}

/// Whether a file is worked on in company, while this is held.
#[derive(Debug)]
pub struct Company {
    /// `None` only while one takes the place of the other.
    beside: Option<Beside>,
    /// Counts a slow death once it is one.
    counting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Beside {
    /// Beside other files.
    #[expect(dead_code, reason = "it is held until it is dropped")]
    Others(OwnedRwLockReadGuard<()>),
    /// Alone, because a process may have died of it.
    Nobody(OwnedRwLockWriteGuard<()>),
}

impl Company {
    /// The file has moved: others may be worked on too.
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
    /// What the line of a file says that the first process takes up.
    pub const FIRST: Self = Self { quick: 1, slow: 0 };

    /// What it says once the file has moved.
    pub const MOVED: Self = Self { quick: 0, slow: 1 };

    const fn deaths(self) -> u32 {
        self.quick + self.slow
    }

    const fn are_enough(self) -> bool {
        self.slow >= SLOW_DEATHS_MAX || self.deaths() >= DEATHS_MAX
    }

    /// As the ledger has it.
    pub(crate) fn of_ledger(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(crate) fn to_ledger(self) -> String {
        serde_json::to_string(&self).expect("plain numbers")
    }
}

impl Ledger {
    /// Notes that this process takes a file up, and waits until it may be worked on.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] when too many processes died with it in hand.
    pub async fn take_up(self: &Arc<Self>, file: &FileRecord) -> Result<Company, SyncError> {
        // What is left of a file whose rows are all there is no work on the file.
        let is_done = file.position.is_some_and(|position| position.done);
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
            0 => Beside::Others(aloud("another file that a process may have died of", lock.read_owned()).await),
            // Only who is at work is counted.
            _ => Beside::Nobody(aloud("the files at work, to go on alone after a crash", lock.write_owned()).await),
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

    /// Notes that a process that dies now dies slowly, unless the file has moved.
    async fn count_slow(&self, file_id: i64, quick: Attempts) {
        let slow = Attempts { quick: quick.quick - 1, slow: quick.slow + 1 };
        let noted = files::Entity::update_many()
            .col_expr(files::Column::Attempts, Expr::value(slow.to_ledger()))
            .filter(files::Column::Id.eq(file_id))
            .filter(files::Column::Attempts.eq(quick.to_ledger()))
            .exec(&self.db.connection)
            .await;
        if let Err(error) = noted {
            // Then it counts as a quick one.
            tracing::debug!(file_id, reason = %SyncError::from(error), "an attempt was not noted");
        }
    }

    /// Has a file that this process begins counted as its own.
    pub(crate) fn count(&self, file_id: i64) {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(file_id);
    }

    /// Has a file that is done with counted no more.
    pub(crate) fn uncount(&self, file_id: i64) {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&file_id);
    }

    /// Says that this process dies of none of its files: it ends in order.
    pub(crate) async fn release_files(&self) -> Result<(), SyncError> {
        let ids: Vec<i64> = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
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
