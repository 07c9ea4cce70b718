//! Clock: the time of day and durations, in the units of the ledger and the log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time now, in milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
