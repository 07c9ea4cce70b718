//! Dispatch: who starts a sync and when. The daemon, a single run and a plan start syncs; the
//! inbox, lanes and retries decide when; health reports the state.

pub mod daemon;
pub mod describe;
pub mod health;
pub mod inbox;
pub mod lanes;
pub mod once;
pub mod plan;
pub(crate) mod retention;
pub mod retry;
pub mod unseen;
pub mod vanished;
