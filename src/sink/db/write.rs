//! Write: a transaction that holds the right to write and renews the lease.

use crate::error::SyncError;
use crate::sink::db::lease::Lease;
use crate::sink::db::transaction::Transaction;
use std::sync::PoisonError;
use std::time::Instant;
use tokio::sync::MutexGuard;

/// A transaction with the right to write.
pub(crate) struct WriteTransaction<'a> {
    pub(crate) transaction: Transaction,
    pub(super) last_commit: &'a std::sync::Mutex<Option<Instant>>,
    /// Set if the lease was not checked at the beginning; then the commit checks it.
    pub(super) late_lease: Option<&'a Lease>,
    /// `None` if the caller holds `writing`.
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

    /// Commits a statement that every attempt repeats at its start. It does not count as progress
    /// of the attempt.
    pub(crate) async fn commit_without_progress(self) -> Result<(), SyncError> {
        Ok(self.transaction.commit().await?)
    }
}
