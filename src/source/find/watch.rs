//! Watch: the file system's events as hints. They wake a scan, and say which files were closed.
//!
//! A scan has each folder watched before it looks into it. A folder that cannot be watched is still
//! scanned, so a failure here stops nothing; the library's recursive watch would fail as a whole
//! for one such folder.
//!
//! The handler only passes an event on: a slow one would make the kernel drop events. What does not
//! fit into the queue is not lost either, because a full scan is asked for instead.

use notify::event::{
    AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode,
};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    root: PathBuf,
    events: mpsc::Receiver<notify::Result<Event>>,
    queue: Queue,
    watcher: Watcher,
    is_lost: bool,
}

/// Where the handler puts events.
#[derive(Clone, Debug)]
struct Queue {
    sender: mpsc::Sender<notify::Result<Event>>,
    is_overflown: Arc<AtomicBool>,
}

/// Watches folders for scans. `None` if the kernel gives no more event queues.
#[derive(Clone, Debug)]
pub struct Watcher(Arc<Mutex<Option<RecommendedWatcher>>>);

impl Watch {
    /// Watches a directory; the folders below it are for scans.
    ///
    /// # Errors
    ///
    /// Beside the watch, which may be renewed: when the directory cannot be watched.
    pub fn start(root: &Path) -> (Self, io::Result<()>) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let queue = Queue { sender, is_overflown: Arc::default() };
        let watcher = Watcher(Arc::default());
        let mut watch = Self { root: root.to_owned(), events, queue, watcher, is_lost: true };
        let started = watch.renew();
        (watch, started)
    }

    /// Watches again: a directory that was removed and made anew sends no events any more.
    ///
    /// # Errors
    ///
    /// When the directory cannot be watched.
    pub fn renew(&mut self) -> io::Result<()> {
        self.watcher.start(&self.queue)?;
        self.watcher.forget(&self.root);
        self.watcher.watch(&self.root)?;
        self.is_lost = false;
        Ok(())
    }

    /// What has folders watched.
    pub fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// The next hints, in the order of the events.
    pub async fn next(&mut self) -> Vec<Hint> {
        let mut events = Vec::new();
        self.events.recv_many(&mut events, EVENTS_MAX).await;
        let mut hints = Vec::new();
        for event in events {
            self.is_lost |= event.as_ref().is_ok_and(|event| takes_away(event, &self.root));
            hints.extend(hints_of(event));
        }
        if self.queue.is_overflown.swap(false, Ordering::AcqRel) {
            hints.push(Hint::Everything);
        }
        hints.dedup();
        hints
    }

    /// Whether the directory is not watched, or was removed or moved since: then no more events
    /// come, even if another one, which may get the same inode, has taken its place.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }
}

impl Queue {
    fn put(&self, event: notify::Result<Event>) {
        // Every read of a file sends such an event, and it means nothing.
        let is_reading = event.as_ref().is_ok_and(|event| is_about_reading(event.kind));
        if !is_reading && self.sender.try_send(event).is_err() {
            self.is_overflown.store(true, Ordering::Release);
        }
    }
}

impl Watcher {
    /// Watches a folder; one that is watched already stays so.
    ///
    /// # Errors
    ///
    /// When it may not be read or is gone, or `fs.inotify.max_user_watches` is used up.
    pub fn watch(&self, folder: &Path) -> io::Result<()> {
        match self.library().as_mut() {
            Some(library) => library.watch(folder, RecursiveMode::NonRecursive).map_err(io_error),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// A watch that the kernel already dropped cannot be removed; that is no failure here.
    fn forget(&self, folder: &Path) {
        let _ = self.library().as_mut().map(|library| library.unwatch(folder));
    }

    fn start(&self, queue: &Queue) -> io::Result<()> {
        let mut library = self.library();
        if library.is_none() {
            let queue = queue.clone();
            let configuration = Config::default().with_follow_symlinks(false);
            *library = Some(
                RecommendedWatcher::new(move |event| queue.put(event), configuration)
                    .map_err(io_error)?,
            );
        }
        Ok(())
    }

    fn library(&self) -> std::sync::MutexGuard<'_, Option<RecommendedWatcher>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system's own error text: the library has names of its own for some errors.
fn io_error(error: notify::Error) -> io::Error {
    match error.kind {
        ErrorKind::Io(error) => error,
        ErrorKind::MaxFilesWatch => io::ErrorKind::StorageFull.into(),
        ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        _ => io::Error::other(error),
    }
}

const fn is_about_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}

fn takes_away(event: &Event, root: &Path) -> bool {
    matches!(
        event.kind,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
    ) && event.paths.iter().any(|path| path == root)
}

fn hints_of(event: notify::Result<Event>) -> Vec<Hint> {
    let Ok(event) = event else { return vec![Hint::Everything] };
    if event.need_rescan() {
        return vec![Hint::Everything];
    }
    let is_folder = |path: &PathBuf| path.is_dir();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            event.paths.into_iter().map(Hint::Closed).collect()
        }
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
            event.paths.into_iter().map(Hint::Written).collect()
        }
        // Files in a folder that is moved in, or made and filled at once, send no events of their
        // own; in one whose permissions change, files may come to light.
        EventKind::Create(_) | EventKind::Modify(_) if event.paths.iter().any(is_folder) => {
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
