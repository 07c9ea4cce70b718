//! Write: a transaction together with the right to write, and the lease that it keeps.

use crate::error::SyncError;
use crate::sink::db::lease::Lease;
use crate::sink::db::transaction::Transaction;
use std::sync::PoisonError;
use std::time::Instant;
use tokio::sync::MutexGuard;

/// A transaction, and the right to write.
pub(crate) struct WriteTransaction<'a> {
    pub(crate) transaction: Transaction,
    pub(super) last_commit: &'a std::sync::Mutex<Option<Instant>>,
    /// Set when the lease was not asked for at the beginning.
    pub(super) late_lease: Option<&'a Lease>,
    /// `None` when the one who began it holds `writing`.
    pub(super) _guard: Option<MutexGuard<'a, ()>>,
}

impl WriteTransaction<'_> {
    pub(crate) async fn commit(self) -> Result<(), SyncError> {
        if let Some(lease) = self.late_lease {
            lease.beat(&self.transaction).await?;
        }
        let last_commit = self.last_commit;
        self.commit_without_progress().await?;
        *last_commit.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// Commits what an attempt begins with, each time anew: it says nothing of whether the attempt will get further.
    pub(crate) async fn commit_without_progress(self) -> Result<(), SyncError> {
        Ok(self.transaction.commit().await?)
    }
}
