//! Dispatch: who starts a sync and when: the daemon, one run, a plan; lanes, retries, health.

pub mod daemon;
pub mod health;
pub mod inbox;
pub mod lanes;
pub mod once;
pub mod plan;
pub mod retry;
pub mod vanished;
