//! Ranges: checks that numbers of the configuration are between their limits.

use crate::config::ConfigurationError;
use std::time::Duration;

/// Checks that a value is between 0 and 100.
pub(super) fn percent(key: &str, value: f64) -> Result<f64, ConfigurationError> {
    if (0.0..=100.0).contains(&value) {
        return Ok(value);
    }
    Err(ConfigurationError::Invalid(format!("{key} must be between 0 and 100")))
}

/// Checks a time limit. It must be at least a second, because servers count some limits in whole
/// seconds, and must fit into 32 bits of milliseconds, which is the longest that servers accept.
pub(super) fn at_least_a_second(
    key: &str,
    milliseconds: u64,
) -> Result<Duration, ConfigurationError> {
    if (1_000..=i32::MAX as u64).contains(&milliseconds) {
        return Ok(Duration::from_millis(milliseconds));
    }
    Err(ConfigurationError::Invalid(format!("{key} must be between 1000 and {}", i32::MAX)))
}
