//! Watch: the file system's events as hints. They wake a scan, and say which files were closed.
//!
//! The handler only passes an event on: a slow one would make the kernel drop events. What does not fit
//! into the queue is not lost either, because a full scan is asked for instead.

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Hints that wait to be taken; beyond it a full scan is cheaper than the list.
const HINTS_MAX: usize = 4096;

/// What an event says about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It was closed after writing, or moved here: it may be complete.
    Closed(PathBuf),
    /// It was made or written to.
    Touched(PathBuf),
    /// Anything may have happened: look at everything.
    Everything,
}

/// A watched directory.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    hints: mpsc::Receiver<Hint>,
    is_overflown: Arc<AtomicBool>,
    root: PathBuf,
}

impl Watch {
    /// Watches a directory and everything below.
    ///
    /// # Errors
    ///
    /// When the file system refuses, for example because `fs.inotify.max_user_watches` is used up.
    pub fn start(root: &Path) -> Result<Self, notify::Error> {
        let (sender, hints) = mpsc::channel(HINTS_MAX);
        let is_overflown = Arc::new(AtomicBool::new(false));
        let overflow = Arc::clone(&is_overflown);
        let mut watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            for hint in hints_of(event) {
                if sender.try_send(hint).is_err() {
                    overflow.store(true, Ordering::Release);
                }
            }
        })?;
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(Self { watcher, hints, is_overflown, root: root.to_owned() })
    }

    /// The next hints, at least one.
    pub async fn next(&mut self) -> Vec<Hint> {
        let mut hints = Vec::new();
        self.hints.recv_many(&mut hints, HINTS_MAX).await;
        if self.is_overflown.swap(false, Ordering::AcqRel) {
            hints.push(Hint::Everything);
        }
        hints
    }

    /// Watches again: a directory that was removed and made anew sends no events any more.
    ///
    /// # Errors
    ///
    /// As [`Watch::start`].
    pub fn renew(&mut self) -> Result<(), notify::Error> {
        // A watch that the kernel already dropped cannot be removed; that is no failure here.
        let _ = self.watcher.unwatch(&self.root);
        self.watcher.watch(&self.root, RecursiveMode::Recursive)
    }
}

fn hints_of(event: Result<Event, notify::Error>) -> Vec<Hint> {
    let Ok(event) = event else { return vec![Hint::Everything] };
    if event.need_rescan() {
        return vec![Hint::Everything];
    }
    let is_folder = |path: &PathBuf| path.is_dir();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => event.paths.into_iter().map(Hint::Closed).collect(),
        // Files in a folder that is moved in, or made and filled at once, send no events of their own.
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) if event.paths.iter().any(is_folder) => {
            vec![Hint::Everything]
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
            event.paths.into_iter().map(Hint::Closed).collect()
        }
        EventKind::Create(_) | EventKind::Modify(_) => event.paths.into_iter().map(Hint::Touched).collect(),
        EventKind::Remove(_) | EventKind::Any | EventKind::Other => vec![Hint::Everything],
        EventKind::Access(_) => Vec::new(),
    }
}
