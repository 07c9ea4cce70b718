//! Retention: removes what is kept for a time only, in small transactions.

use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::sink::ledger::Ledger;
use crate::sync::session::Session;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the daemon looks for what is old by now.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Transactions that one `sync` spends on it: a hundred thousand versions.
const BATCHES_OF_SYNC: u32 = 100;

const DAY_MS: i64 = 86_400_000;

/// Removes old versions of records, again and again.
pub(crate) async fn forget_old(session: Session) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if session.shutdown.is_cancelled() {
            return;
        }
        if let Err(error) = remove(&session, u32::MAX).await {
            // The lanes notice and report a database that is away.
            tracing::debug!(reason = %error, "old versions of records stay for now");
        }
    }
}

/// Removes old versions of records, as many as a `sync` has time for.
pub(crate) async fn forget_some(session: &Session) -> Result<(), SyncError> {
    remove(session, BATCHES_OF_SYNC).await
}

async fn remove(session: &Session, batches_max: u32) -> Result<(), SyncError> {
    let ledger: &Ledger = &session.sink.ledger;
    let before_ms = now_ms() - i64::from(session.config.history_keep_days) * DAY_MS;
    for _ in 0..batches_max {
        if session.shutdown.is_cancelled() || !ledger.remove_old_versions(before_ms).await? {
            break;
        }
    }
    Ok(())
}
