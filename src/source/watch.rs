//! Watch: the file system's events as hints. They wake a scan, and say which files were closed.
//!
//! The handler only passes an event on: a slow one would make the kernel drop events. What does not fit
//! into the queue is not lost either, because a full scan is asked for instead.

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Events that wait to be taken; beyond it a full scan is cheaper than the list.
const EVENTS_MAX: usize = 4096;

/// What an event says about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It was closed after writing, or moved here: it may be complete.
    Closed(PathBuf),
    /// It was made or written to, and not closed since.
    Written(PathBuf),
    /// It was removed, or something but its content changed.
    Touched(PathBuf),
    /// Anything may have happened: look at everything.
    Everything,
}

/// A watched directory.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    events: mpsc::Receiver<Result<Event, notify::Error>>,
    is_overflown: Arc<AtomicBool>,
    is_lost: bool,
    root: PathBuf,
}

impl Watch {
    /// Watches a directory and everything below.
    ///
    /// # Errors
    ///
    /// When the file system refuses, for example because `fs.inotify.max_user_watches` is used up.
    pub fn start(root: &Path) -> Result<Self, notify::Error> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let is_overflown = Arc::new(AtomicBool::new(false));
        let overflow = Arc::clone(&is_overflown);
        let pass_on = move |event: Result<Event, notify::Error>| {
            // Every file that is read sends such an event; none of them says anything.
            let is_reading = event.as_ref().is_ok_and(|event| is_about_reading(event.kind));
            if !is_reading && sender.try_send(event).is_err() {
                overflow.store(true, Ordering::Release);
            }
        };
        // Links are not followed, so what they point at need not be watched.
        let mut watcher = RecommendedWatcher::new(pass_on, Config::default().with_follow_symlinks(false))?;
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(Self { watcher, events, is_overflown, is_lost: false, root: root.to_owned() })
    }

    /// The next hints, at least one, in the order of the events.
    pub async fn next(&mut self) -> Vec<Hint> {
        let mut events = Vec::new();
        self.events.recv_many(&mut events, EVENTS_MAX).await;
        let mut hints = Vec::new();
        for event in events {
            self.is_lost |= event.as_ref().is_ok_and(|event| takes_away(event, &self.root));
            hints.extend(hints_of(event));
        }
        if self.is_overflown.swap(false, Ordering::AcqRel) {
            hints.push(Hint::Everything);
        }
        hints.dedup();
        hints
    }

    /// Whether the directory itself was removed or moved since it was watched: then no more events come,
    /// even if another one, which may get the same inode, has taken its place.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Watches again: a directory that was removed and made anew sends no events any more.
    ///
    /// # Errors
    ///
    /// As [`Watch::start`].
    pub fn renew(&mut self) -> Result<(), notify::Error> {
        // A watch that the kernel already dropped cannot be removed; that is no failure here.
        let _ = self.watcher.unwatch(&self.root);
        self.watcher.watch(&self.root, RecursiveMode::Recursive)?;
        self.is_lost = false;
        Ok(())
    }
}

const fn is_about_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}

fn takes_away(event: &Event, root: &Path) -> bool {
    matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)))
        && event.paths.iter().any(|path| path == root)
}

fn hints_of(event: Result<Event, notify::Error>) -> Vec<Hint> {
    let Ok(event) = event else { return vec![Hint::Everything] };
    if event.need_rescan() {
        return vec![Hint::Everything];
    }
    let is_folder = |path: &PathBuf| path.is_dir();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => event.paths.into_iter().map(Hint::Closed).collect(),
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
            event.paths.into_iter().map(Hint::Written).collect()
        }
        // Files in a folder that is moved in, or made and filled at once, send no events of their own.
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) if event.paths.iter().any(is_folder) => {
            vec![Hint::Everything]
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
            event.paths.into_iter().map(Hint::Closed).collect()
        }
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(RemoveKind::File) => {
            event.paths.into_iter().map(Hint::Touched).collect()
        }
        EventKind::Remove(_) | EventKind::Any | EventKind::Other => vec![Hint::Everything],
        EventKind::Access(_) => Vec::new(),
    }
}
