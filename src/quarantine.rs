//! Quarantine: decides, before the first commit, whether a file is refused as a whole.
//!
//! Damaged structure is found by the survey itself; what is left to decide here is the share of rejects.

use crate::error::SyncError;
use crate::source::survey::Survey;

/// Refuses a file with too large a share of rejected rows.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the share and the limit.
pub fn check_rejects(survey: &Survey, rejects_max_percent: f64) -> Result<(), SyncError> {
    let percent = 100.0 * survey.rows_rejected as f64 / survey.rows_read.max(1) as f64;
    if percent <= rejects_max_percent {
        return Ok(());
    }
    Err(SyncError::damaged(format!(
        "{} of {} rows cannot be loaded, which is {percent:.1} % where rejects_max_percent allows {rejects_max_percent}",
        survey.rows_rejected, survey.rows_read
    )))
}
