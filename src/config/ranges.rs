//! Ranges: numbers of the configuration that only make sense between two others.

use crate::config::ConfigurationError;
use std::time::Duration;

/// A share in percent.
pub(super) fn percent(key: &str, value: f64) -> Result<f64, ConfigurationError> {
    if (0.0..=100.0).contains(&value) {
        return Ok(value);
    }
    Err(ConfigurationError::Invalid(format!("{key} must be between 0 and 100")))
}

/// A bound; servers count some of them in whole seconds, and know no longer ones than in four bytes of milliseconds.
pub(super) fn at_least_a_second(key: &str, milliseconds: u64) -> Result<Duration, ConfigurationError> {
    if (1_000..=i32::MAX as u64).contains(&milliseconds) {
        return Ok(Duration::from_millis(milliseconds));
    }
    Err(ConfigurationError::Invalid(format!("{key} must be between 1000 and {}", i32::MAX)))
}
