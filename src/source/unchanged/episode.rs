//! Episode: a time in which a local cache file cannot be kept. The work goes on without it, and the
//! log says so once, however many chunks and files the episode lasts.

use crate::error::SyncError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether one kind of local files fails at the moment. Clones are the same episode.
#[derive(Clone, Debug)]
pub struct Episode {
    what: &'static str,
    is_failing: Arc<AtomicBool>,
}

impl Episode {
    /// No episode yet, of files with this name in the log.
    pub fn of(what: &'static str) -> Self {
        Self { what, is_failing: Arc::default() }
    }

    /// The kept or read value; `None` on failure, with a warning if it begins an episode.
    pub fn forgive<T>(&self, tried: Result<T, SyncError>) -> Option<T> {
        tried
            .map_err(|error| {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(reason = %error, "going on without {}", self.what);
                }
            })
            .ok()
    }

    /// Says that it works again, if it did not. Only for what needs room and the directory: to
    /// remove a file that is not there always succeeds.
    pub fn end(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("{} are kept again", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn an_episode_lasts_until_something_is_kept_again() {
        let episode = Episode::of("checkpoints");
        let full = || SyncError::state(Path::new("x"), std::io::ErrorKind::StorageFull.into());
        assert_eq!(episode.forgive(Ok(1)), Some(1));
        assert_eq!(episode.clone().forgive::<()>(Err(full())), None);
        assert!(episode.is_failing.load(Ordering::Relaxed));
        assert_eq!(episode.forgive(Ok(2)), Some(2));
        assert!(episode.is_failing.load(Ordering::Relaxed), "only what was kept ends it");
        episode.end();
        assert!(!episode.is_failing.load(Ordering::Relaxed));
    }
}
