//! Attempts: in whose hands a process died, as the ledger tells. Before a file is worked on, its line says so; the next
//! start that finds it so knows that the process before it died, and stops at [`DEATHS_MAX`].
//!
//! | what happens to the process | what the line says |
//! |---|---|
//! | it takes the file up | one process more, once for each process |
//! | a chunk is committed | one process: the file moved, whatever became of those before |
//! | the last chunk is committed, the file is done with, or the process ends in order | none |
//! | it dies | what it said before |
//!
//! Two files may have been at work when it died, and both are suspects: each goes on alone until it has moved, so that
//! another death is its own. What comes after the last chunk (indexes, marts) is no file's, and is not counted.

use super::Sink;
use super::ledger::FileRecord;
use crate::error::SyncError;
use crate::waiting::aloud;
use entity::files;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

/// Processes that may die with the same file in hand, at the same place: one may be killed by chance, two by an operator who tries
/// again, and three are what the file does.
const DEATHS_MAX: u32 = 3;

/// What the ledger says of those who took a file up since it last moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Processes that took it up.
    pub processes: u32,
}

/// Whether a file is worked on in company, while this is held.
#[derive(Debug)]
pub enum Company {
    /// Beside other files.
    Beside(OwnedRwLockReadGuard<()>),
    /// Alone, because a process may have died of it.
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Company {
    /// Lets other files be worked on too.
    #[must_use]
    pub fn beside(self) -> Self {
        match self {
            Self::Alone(guard) => Self::Beside(guard.downgrade()),
            beside => beside,
        }
    }
}

impl Attempts {
    /// What a line says in whose hands one process is.
    pub const FIRST: Self = Self { processes: 1 };

    /// As the ledger has it.
    pub(super) fn of_ledger(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn to_ledger(self) -> String {
        serde_json::to_string(&self).expect("plain numbers")
    }
}

impl Sink {
    /// Notes that this process takes a file up, and waits until it may be worked on.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] when too many processes died with it in hand.
    pub async fn take_up(&self, file: &FileRecord) -> Result<Company, SyncError> {
        // What is left of a file whose rows are all there is no work on the file.
        let is_done = file.position.is_some_and(|position| position.done);
        let is_counted = is_done || self.at_work.lock().unwrap_or_else(PoisonError::into_inner).contains(&file.id);
        let deaths = if is_counted { 0 } else { file.attempts.processes };
        if deaths >= DEATHS_MAX {
            return Err(SyncError::damaged(format!(
                "{deaths} processes in a row ended without a word while they worked on it, and got no further; see what ended \
                 them (memory, kill -9). To have it tried again as it is, run: tidegate approve {}",
                crate::terminal::quoted(&file.path)
            )));
        }
        let beside = Arc::clone(&self.beside);
        let company = match deaths {
            0 => Company::Beside(aloud("another file that a process may have died of", beside.read_owned()).await),
            // Only who is at work is counted.
            _ => Company::Alone(aloud("the files at work, to go on alone after a crash", beside.write_owned()).await),
        };
        if !is_counted {
            self.write_attempts(file.id, Attempts { processes: deaths + 1 }).await?;
            self.count(file.id);
        }
        Ok(company)
    }

    /// Has a file that this process begins counted as its own.
    pub(super) fn count(&self, file_id: i64) {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(file_id);
    }

    /// Has a file that is done with counted no more.
    pub(super) fn uncount(&self, file_id: i64) {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&file_id);
    }

    /// Says that this process dies of none of its files: it ends in order.
    pub(super) async fn release_files(&self) -> Result<(), SyncError> {
        let ids: Vec<i64> = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if ids.is_empty() {
            return Ok(());
        }
        files::Entity::update_many()
            .col_expr(files::Column::Attempts, Expr::value(None::<String>))
            .filter(files::Column::Id.is_in(ids))
            .exec(&self.connection)
            .await?;
        Ok(())
    }

    async fn write_attempts(&self, file_id: i64, attempts: Attempts) -> Result<(), SyncError> {
        let write = self.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::Attempts, Expr::value(attempts.to_ledger()))
            .filter(files::Column::Id.eq(file_id))
            .exec(&write.transaction)
            .await?;
        write.commit_without_progress().await
    }
}
