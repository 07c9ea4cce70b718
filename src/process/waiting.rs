//! Waiting: logs long waits for something in this process, and what the wait is for. Every such
//! wait ends by itself: each statement has a time limit, so nothing is held longer than its
//! statements run.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Waits up to this are not logged: files at work take turns, and such waits are normal.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Waits for `wait`. If that takes long, logs that it waits, and later how long it took.
pub async fn aloud<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let started = Instant::now();
    tokio::pin!(wait);
    tokio::select! {
        done = &mut wait => return done,
        () = sleep(QUIET_MAX) => tracing::info!("waiting for {what}"),
    }
    let done = wait.await;
    tracing::info!(
        waited_ms = crate::process::clock::millis(started.elapsed()),
        "waited for {what}"
    );
    done
}
