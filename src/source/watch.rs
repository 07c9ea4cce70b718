//! Watch: the file system's events as hints. They wake a scan, and say which files were closed.
//!
//! A scan has each folder watched before it looks into it. A folder that cannot be watched is scanned all the same, so
//! nothing here stops anything. Events that the kernel dropped are not lost either, because a full scan is asked for instead.

use inotify::{Event, EventMask, EventOwned, Inotify, WatchDescriptor, WatchMask, Watches};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for events that are taken at once, between two turns of the main loop: thousands with names of usual length.
const EVENTS_BYTES: usize = 256 << 10;

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
    /// `None` where the kernel gives no more event queues.
    events: Option<AsyncFd<Inotify>>,
    watcher: Watcher,
    buffer: Vec<u8>,
    is_lost: bool,
}

/// Has folders watched; scans have one.
#[derive(Clone, Debug)]
pub struct Watcher {
    watches: Option<Watches>,
    folders: Arc<Mutex<HashMap<WatchDescriptor, PathBuf>>>,
}

impl Watch {
    /// Watches a directory; the folders below it are for scans.
    ///
    /// # Errors
    ///
    /// Beside the watch, which may be renewed: when the directory cannot be watched.
    pub fn start(root: &Path) -> (Self, io::Result<()>) {
        let watcher = Watcher { watches: None, folders: Arc::default() };
        let mut watch =
            Self { root: root.to_owned(), events: None, watcher, buffer: vec![0; EVENTS_BYTES], is_lost: true };
        let started = watch.renew();
        (watch, started)
    }

    /// Watches again: a directory that was removed and made anew sends no events any more.
    ///
    /// # Errors
    ///
    /// When the directory cannot be watched.
    pub fn renew(&mut self) -> io::Result<()> {
        if self.events.is_none() {
            let events = Inotify::init()?;
            self.watcher.watches = Some(events.watches());
            self.events = Some(readable(events)?);
        }
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
        let Some(events) = &mut self.events else { return std::future::pending().await };
        let read = match events.readable_mut().await {
            Ok(mut guard) => guard.try_io(|inotify| {
                let events = inotify.get_mut().read_events(&mut self.buffer)?;
                Ok(events.map(|event| event.to_owned()).collect::<Vec<EventOwned>>())
            }),
            Err(error) => Ok(Err(error)),
        };
        let mut hints = Vec::new();
        match read {
            Ok(Ok(events)) => {
                for event in events {
                    self.is_lost |= self.watcher.takes_away(&event, &self.root);
                    hints.extend(self.watcher.hint_of(event));
                }
            }
            Ok(Err(_)) => hints.push(Hint::Everything),
            // It was not readable after all: nothing is new.
            Err(_) => {}
        }
        hints.dedup();
        hints
    }

    /// Whether the directory is not watched, or was removed or moved since: then no more events come,
    /// even if another one, which may get the same inode, has taken its place.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }
}

#[expect(unsafe_code, reason = "tokio has no other way since it minds who closes a descriptor")]
fn readable(events: Inotify) -> io::Result<AsyncFd<Inotify>> {
    // SAFETY: it owns its descriptor, and never gives it away or takes another one.
    Ok(unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }?)
}

impl Watcher {
    /// Watches a folder; one that is watched already stays so, under this path.
    ///
    /// # Errors
    ///
    /// When it may not be read or is gone, or `fs.inotify.max_user_watches` is used up.
    pub fn watch(&self, folder: &Path) -> io::Result<()> {
        let Some(watches) = &self.watches else { return Err(io::ErrorKind::Unsupported.into()) };
        let mask = WatchMask::ATTRIB
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::MOVE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR
            | WatchMask::DONT_FOLLOW
            | WatchMask::EXCL_UNLINK;
        // Held meanwhile: an event that comes at once finds the folder's path.
        let mut folders = self.folders();
        let descriptor = watches.clone().add(folder, mask)?;
        folders.insert(descriptor, folder.to_owned());
        Ok(())
    }

    fn folders(&self) -> std::sync::MutexGuard<'_, HashMap<WatchDescriptor, PathBuf>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn takes_away(&self, event: &EventOwned, root: &Path) -> bool {
        let gone = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED | EventMask::UNMOUNT;
        event.mask.intersects(gone) && self.folders().get(&event.wd).is_some_and(|folder| folder == root)
    }

    fn hint_of(&self, event: EventOwned) -> Option<Hint> {
        let Event { wd, mask, name, .. } = event;
        if mask.contains(EventMask::IGNORED) {
            // The folder is gone, and its descriptor may be another one's soon.
            self.folders().remove(&wd);
            return None;
        }
        if mask.intersects(EventMask::Q_OVERFLOW | EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT) {
            return Some(Hint::Everything);
        }
        let path = self.path_of(&wd, name)?;
        // Files in a folder that is moved in, or made and filled at once, send no events of their own; in one whose
        // permissions change, files may come to light.
        if mask.contains(EventMask::ISDIR) {
            return Some(Hint::Everything);
        }
        Some(match mask {
            _ if mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO) => Hint::Closed(path),
            _ if mask.intersects(EventMask::CREATE | EventMask::MODIFY) => Hint::Written(path),
            _ => Hint::Touched(path),
        })
    }

    /// `None` for a folder that is gone.
    fn path_of(&self, folder: &WatchDescriptor, name: Option<OsString>) -> Option<PathBuf> {
        let folders = self.folders();
        let folder = folders.get(folder)?;
        Some(name.map_or_else(|| folder.clone(), |name| folder.join(name)))
    }
}
