//! Inbox: which files of the watched directory are new and have settled.
//!
//! A file that was seen to be closed is settled when it has not changed for `settle_ms`; any other when it
//! has not changed for `settle_scan_ms`, which its inode's change time may prove at once.

use crate::config::Config;
use crate::lanes::lanes_of;
use crate::quarantine;
use crate::sink::known_files::KnownFile;
use crate::sink::ledger::FileState;
use crate::source::scan::{Lane, SourceFile, scan};
use crate::source::watch::Hint;
use crate::sync::{inode, now_ms};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Files that a lane takes at once: the others come right after it, and meanwhile the main loop learns
/// what became of these, and newer files of other lanes get their turn.
const LANE_FILES_MAX: usize = 500;

/// Files that are not in the ledger as they are.
#[derive(Debug)]
pub struct Inbox {
    config: Arc<Config>,
    /// The newest record of every path.
    ledger: HashMap<String, Known>,
    waiting: BTreeMap<PathBuf, Waiting>,
    /// How many files of which lanes are being worked on.
    busy: HashMap<Lane, usize>,
    /// Where tidegate writes below the inbox itself.
    own_dirs: Vec<PathBuf>,
}

/// What of a ledger's record tells whether a file is the same.
#[derive(Debug)]
struct Known {
    size_bytes: i64,
    modified_ns: i64,
    inode: i64,
    changed_ns: i64,
    transform: String,
    /// Refused files are tried again under other rules.
    is_refused: bool,
    /// Failed files are tried again, but not at once.
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    file: SourceFile,
    unchanged_since: Instant,
    is_closed: bool,
}

/// Files that can be synced now, by lane, and when to look again.
#[derive(Debug, Default)]
pub struct Ready {
    /// Settled files of lanes that nobody works on.
    pub lanes: Vec<(Lane, Vec<SourceFile>)>,
    /// When the next one may have settled.
    pub look_at: Option<Instant>,
}

impl Inbox {
    /// An inbox whose files the ledger knows as it says.
    pub fn new(config: Arc<Config>, ledger: impl IntoIterator<Item = KnownFile>) -> Self {
        let own_dirs = config.own_dirs_below(&config.inbox);
        let mut inbox =
            Self { config, ledger: HashMap::new(), waiting: BTreeMap::new(), busy: HashMap::new(), own_dirs };
        ledger.into_iter().for_each(|file| inbox.note(file));
        inbox
    }

    /// Looks at every file below the inbox.
    pub fn see_everything(&mut self, found: Vec<SourceFile>) {
        let found_paths: HashSet<&PathBuf> = found.iter().map(|file| &file.path).collect();
        self.waiting.retain(|path, _| found_paths.contains(path));
        for file in found {
            self.see(file, None);
        }
    }

    /// Follows a hint; whether everything is to be looked at.
    pub fn follow(&mut self, hint: &Hint) -> bool {
        match hint {
            Hint::Everything => return true,
            Hint::Closed(path) => self.see_path(path, Some(true)),
            Hint::Written(path) => self.see_path(path, Some(false)),
            Hint::Touched(path) => self.see_path(path, None),
        }
        false
    }

    /// Takes the files that have settled.
    pub fn take_ready(&mut self) -> Ready {
        let now = Instant::now();
        let is_free = |waiting: &&Waiting| !self.busy.contains_key(&waiting.file.lane());
        let is_due = |waiting: &&Waiting| self.settles_at(waiting) <= now;
        let due: Vec<PathBuf> =
            self.waiting.values().filter(is_due).filter(is_free).map(|waiting| waiting.file.path.clone()).collect();
        // What changed since it was seen last waits anew, and what was synced meanwhile no more.
        due.iter().for_each(|path| self.see_path(path, None));
        let mut settled = Vec::new();
        let mut unsettled = Vec::new();
        let mut ready = Ready::default();
        for waiting in self.waiting.values() {
            let settles_at = self.settles_at(waiting);
            if settles_at <= now {
                settled.push(waiting.file.clone());
            } else {
                ready.look_at = Some(ready.look_at.map_or(settles_at, |at| at.min(settles_at)));
                unsettled.push(waiting.file.clone());
            }
        }
        ready.lanes = self.take_lanes(settled, unsettled);
        ready
    }

    fn take_lanes(&mut self, settled: Vec<SourceFile>, unsettled: Vec<SourceFile>) -> Vec<(Lane, Vec<SourceFile>)> {
        if settled.is_empty() {
            return Vec::new();
        }
        let now_ms = now_ms();
        let rank = |file: &SourceFile| (file.version_ms(now_ms), file.path_text());
        let unsettled = lanes_of(unsettled);
        let mut lanes = Vec::new();
        for (lane, mut files) in lanes_of(settled) {
            if self.busy.contains_key(&lane) {
                continue;
            }
            // A newer export does not overtake an older one that is about to settle.
            if let Some(first) = unsettled.get(&lane).and_then(|files| files.first()) {
                let first = rank(first);
                files.retain(|file| lane.is_none() || rank(file) < first);
            }
            files.truncate(LANE_FILES_MAX);
            if files.is_empty() {
                continue;
            }
            files.iter().for_each(|file| {
                self.waiting.remove(&file.path);
            });
            self.busy.insert(lane.clone(), files.len());
            lanes.push((lane, files));
        }
        lanes
    }

    /// Files that wait or are worked on.
    pub fn backlog(&self) -> usize {
        self.waiting.len() + self.busy.values().sum::<usize>()
    }

    /// A lane is free again.
    pub fn free(&mut self, lane: &Lane) {
        self.busy.remove(lane);
    }

    /// Waits for a file to settle again, unless the ledger knows it as it is now.
    pub fn wait_again(&mut self, file: &SourceFile) {
        self.see_path(&file.path, None);
    }

    /// Takes a path for one that the ledger does not know, so that the next scan finds it; `false` when it is not
    /// known anyway.
    pub fn forget(&mut self, path: &str) -> bool {
        self.ledger.remove(path).is_some()
    }

    /// Notes what the ledger knows of a path now.
    pub fn note(&mut self, file: KnownFile) {
        let is_open = matches!(file.state, FileState::Pending | FileState::Syncing);
        if is_open {
            self.ledger.remove(&file.path);
            return;
        }
        let known = Known {
            size_bytes: file.size_bytes,
            modified_ns: file.modified_ns,
            inode: file.inode,
            changed_ns: file.changed_ns,
            transform: file.transform,
            is_refused: file.state == FileState::Quarantined,
            retry_at: (file.state == FileState::Failed).then(|| Instant::now() + self.config.scan_interval),
        };
        self.ledger.insert(file.path, known);
    }

    /// Notes a file that failed before the ledger knew it.
    pub fn note_unreadable(&mut self, file: &SourceFile) {
        let known = Known {
            size_bytes: i64::try_from(file.stamp.size_bytes).unwrap_or(i64::MAX),
            modified_ns: file.stamp.modified_ns,
            inode: inode(file.stamp),
            changed_ns: file.stamp.changed_ns,
            transform: transform(file).to_owned(),
            is_refused: false,
            retry_at: Some(Instant::now() + self.config.scan_interval),
        };
        self.ledger.insert(file.path_text(), known);
    }

    /// Looks at a path; `is_closed` is what an event just said about it.
    fn see_path(&mut self, path: &Path, is_closed: Option<bool>) {
        match SourceFile::at(path, &self.config.datasets) {
            Some(file) if !self.is_excluded(path) => self.see(file, is_closed),
            _ => {
                self.waiting.remove(path);
            }
        }
    }

    fn see(&mut self, file: SourceFile, is_closed: Option<bool>) {
        if self.is_known(&file) {
            self.waiting.remove(&file.path);
            return;
        }
        match self.waiting.get_mut(&file.path) {
            // A look that finds it as it was says nothing new.
            Some(waiting) if waiting.file.stamp == file.stamp && is_closed.is_none() => {}
            waiting => {
                // Who sets times and permissions after closing, as copying programs do, is not writing.
                let was_closed = waiting.is_some_and(|waiting| waiting.is_closed && is_same_size(waiting, &file));
                let is_closed = is_closed.unwrap_or(was_closed);
                let waiting = Waiting { unchanged_since: Instant::now(), is_closed, file };
                self.waiting.insert(waiting.file.path.clone(), waiting);
            }
        }
    }

    /// Whether it is in a hidden folder, or among tidegate's own files.
    fn is_excluded(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.config.inbox).unwrap_or(path);
        below.components().any(|component| component.as_os_str().to_string_lossy().starts_with('.'))
            || self.own_dirs.iter().any(|own| path.starts_with(own))
    }

    fn is_known(&self, file: &SourceFile) -> bool {
        let Some(known) = self.ledger.get(&file.path_text()) else { return false };
        u64::try_from(known.size_bytes) == Ok(file.stamp.size_bytes)
            && known.modified_ns == file.stamp.modified_ns
            && known.inode == inode(file.stamp)
            && known.changed_ns == file.stamp.changed_ns
            && known.transform == self.rules(file, known.is_refused)
            && known.retry_at.is_none_or(|at| at > Instant::now())
    }

    /// What the ledger has for its rules when they are those of now.
    fn rules<'a>(&self, file: &'a SourceFile, is_refused: bool) -> Cow<'a, str> {
        match transform(file) {
            fingerprint if is_refused => quarantine::rules(fingerprint, &self.config).into(),
            fingerprint => fingerprint.into(),
        }
    }

    fn settles_at(&self, waiting: &Waiting) -> Instant {
        if waiting.is_closed {
            return waiting.unchanged_since + self.config.settle;
        }
        let age_ms = u64::try_from(now_ms() - waiting.file.stamp.changed_ns.div_euclid(1_000_000)).unwrap_or(0);
        let rest = self.config.settle_scan.saturating_sub(Duration::from_millis(age_ms));
        (Instant::now() + rest).min(waiting.unchanged_since + self.config.settle_scan)
    }
}

fn is_same_size(waiting: &Waiting, file: &SourceFile) -> bool {
    let (before, now) = (waiting.file.stamp, file.stamp);
    (before.inode, before.size_bytes) == (now.inode, now.size_bytes)
}

/// Everything below the inbox that may be taken.
pub fn scan_inbox(config: &Config) -> Vec<SourceFile> {
    scan(&config.inbox, &config.datasets, &config.own_dirs_below(&config.inbox))
}

fn transform(file: &SourceFile) -> &str {
    file.route.as_ref().map_or("", |(dataset, _)| &dataset.fingerprint)
}
