//! Waiting: what waits long for something of this process says for what. What is waited for ends by itself: each statement
//! has a bound, and so everything that is held while statements run.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Waits up to this are the usual turns of files at work, and nobody's business.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Waits, and says so once it takes long, and how long it took.
pub async fn aloud<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let started = Instant::now();
    tokio::pin!(wait);
    tokio::select! {
        done = &mut wait => return done,
        () = sleep(QUIET_MAX) => tracing::info!("waiting for {what}"),
    }
    let done = wait.await;
    tracing::info!(waited_ms = crate::process::clock::millis(started.elapsed()), "waited for {what}");
    done
}
