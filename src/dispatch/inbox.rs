//! Inbox: decides which files of the watched directory are new and have settled.
//!
//! If an event reported that a file was closed, it is settled once it has not changed for
//! `settle_ms`. Any other file is settled once it has not changed for `settle_scan_ms`; the change
//! time of its inode may prove this at the first look.
//!
//! The ledger is asked only about paths that exist, in batches, and its answer is kept as a few
//! bytes per path. So millions of paths in the ledger whose files are gone take no memory.

use crate::config::Config;
use crate::dispatch::lanes::lanes_of;
use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::process::clock::now_ms;
use crate::sink::Sink;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::known_files::{KnownFile, PathKey};
use crate::source::find::blind_spots::BlindSpots;
use crate::source::find::scan::{Lane, SourceFile, scan};
use crate::source::find::watch::{Hint, Watcher};
use crate::sync::quarantine;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// Files that a lane takes at a time; the rest follow right after. The limit lets the main loop
/// learn the results of these files, and gives newer files of other lanes a turn.
const LANE_FILES_MAX: usize = 500;

/// Files that a scan hands over at a time: as many as one query of the ledger asks for.
const SCANNED_FILES: usize = 500;

/// The files of the watched directory that are new or changed compared with the ledger.
#[derive(Debug)]
pub struct Inbox {
    config: Arc<Config>,
    root: Arc<Path>,
    /// The ledger's answers about paths that exist. The ledger is asked again at each scan about
    /// paths that do not fit.
    known: HashMap<PathKey, Known>,
    waiting: BTreeMap<PathBuf, Waiting>,
    /// Number of files at work in each busy lane.
    busy: HashMap<Lane, usize>,
    /// Directories below the inbox that tidegate itself writes to. Their files are not exports.
    own_dirs: Vec<PathBuf>,
    /// Number of the last scan. Entries with an older number are gone from the directory.
    scan: u32,
    /// Start of the clock of `Known::retry_at_s`.
    started: Instant,
}

/// The part of a ledger line that tells whether a file is unchanged. Small, because there may be
/// millions.
#[derive(Debug)]
struct Known {
    /// Digest of the file's stamp and of the rules that it was read under.
    digest: u64,
    scan: u32,
    /// When a failed file is tried again, in seconds since the start; 0 for all other files.
    retry_at_s: u32,
    /// Set for a quarantined file, which is tried again once its rules change.
    is_refused: bool,
}

#[derive(Debug)]
struct Waiting {
    file: SourceFile,
    unchanged_since: Instant,
    /// When the file was last settled, or when it appeared.
    unsettled_since: Instant,
    is_closed: bool,
    /// Set if the file has not settled for `settle_max`, so that newer files no longer wait for it.
    is_restless: bool,
    scan: u32,
}

/// Files that can be synced now, and when to look again.
#[derive(Debug, Default)]
pub struct Ready {
    /// Settled files of lanes that are not busy.
    pub lanes: Vec<(Lane, Vec<SourceFile>)>,
    /// When the next file may have settled.
    pub look_at: Option<Instant>,
    /// Files that have not settled for so long that newer files no longer wait for them. Each is
    /// named once.
    pub restless: Vec<SourceFile>,
}

impl Inbox {
    /// An inbox before its first scan.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            root: Arc::from(config.inbox.as_path()),
            own_dirs: config.own_dirs_below(&config.inbox),
            config,
            known: HashMap::new(),
            waiting: BTreeMap::new(),
            busy: HashMap::new(),
            scan: 0,
            started: Instant::now(),
        }
    }

    /// Scans every file below the inbox, and returns what could not be read. Asks the ledger, if it
    /// is open, about paths that it does not know yet.
    ///
    /// # Errors
    ///
    /// When the database fails. The next scan then asks about the remaining paths.
    pub async fn look_at_everything(
        &mut self,
        sink: Option<&Sink>,
        watcher: Option<Watcher>,
    ) -> Result<BlindSpots, SyncError> {
        self.scan += 1;
        let (batches, mut found) = mpsc::channel(1);
        let (config, root, own_dirs) =
            (Arc::clone(&self.config), Arc::clone(&self.root), self.own_dirs.clone());
        let scanning = tokio::task::spawn_blocking(move || {
            scan_in_batches(&config, &root, &own_dirs, watcher.as_ref(), &batches)
        });
        while let Some(files) = found.recv().await {
            let unknown = self.see_known(files);
            if !unknown.is_empty() {
                let paths: Vec<String> = unknown.iter().map(SourceFile::path_text).collect();
                let is_room = self.known.len() < self.config.limits.known_files_max;
                let ledger = match sink {
                    Some(sink) => sink.ledger.known_files_at(&paths).await?,
                    None => Vec::new(),
                };
                ledger.iter().for_each(|file| self.note(file));
                unknown.into_iter().for_each(|file| self.see(file, None));
                if !is_room {
                    for path in &paths {
                        self.forget(path);
                    }
                }
            }
        }
        let blind_spots = scanning.await.map_err(|panic| SyncError::Internal(panic.to_string()))?;
        self.known.retain(|_, known| known.scan == self.scan);
        self.waiting.retain(|_, waiting| waiting.scan == self.scan);
        Ok(blind_spots)
    }

    /// Updates files whose ledger line is already known, and returns the others.
    fn see_known(&mut self, files: Vec<SourceFile>) -> Vec<SourceFile> {
        let mut unknown = Vec::new();
        for file in files {
            let known = self.known.get_mut(&PathKey::of(&file.path_text()));
            if let Some(known) = known {
                known.scan = self.scan;
            } else if !self.waiting.contains_key(&file.path) {
                unknown.push(file);
                continue;
            }
            self.see(file, None);
        }
        unknown
    }

    /// Follows a hint from the watcher. Returns whether a full scan is needed.
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
        let is_due = |waiting: &&Waiting| self.settles_at(waiting, now) <= now;
        let due: Vec<PathBuf> = self
            .waiting
            .values()
            .filter(is_due)
            .filter(is_free)
            .map(|waiting| waiting.file.path.clone())
            .collect();
        // A file that changed since the last look starts to wait again; a file that was synced in
        // the meantime no longer waits.
        due.iter().for_each(|path| self.see_path(path, None));
        let settle_at: Vec<Instant> =
            self.waiting.values().map(|waiting| self.settles_at(waiting, now)).collect();
        let mut settled = Vec::new();
        let mut unsettled = Vec::new();
        let mut ready = Ready::default();
        for (waiting, settles_at) in self.waiting.values_mut().zip(settle_at) {
            if settles_at <= now {
                (waiting.unsettled_since, waiting.is_restless) = (now, false);
                settled.push(waiting.file.clone());
                continue;
            }
            ready.look_at = Some(ready.look_at.map_or(settles_at, |at| at.min(settles_at)));
            if now.duration_since(waiting.unsettled_since) < self.config.settle_max {
                unsettled.push(waiting.file.clone());
            } else if !waiting.is_restless {
                waiting.is_restless = true;
                ready.restless.push(waiting.file.clone());
            }
        }
        ready.lanes = self.take_lanes(settled, unsettled);
        ready
    }

    fn take_lanes(
        &mut self,
        settled: Vec<SourceFile>,
        unsettled: Vec<SourceFile>,
    ) -> Vec<(Lane, Vec<SourceFile>)> {
        if settled.is_empty() {
            return Vec::new();
        }
        let now_ms = now_ms();
        let version = |file: &SourceFile| file.version(now_ms);
        let unsettled = lanes_of(unsettled);
        let mut lanes = Vec::new();
        for (lane, mut files) in lanes_of(settled) {
            if self.busy.contains_key(&lane) {
                continue;
            }
            // A newer export must not overtake an older one that has not settled yet.
            if let Some(first) = unsettled.get(&lane).and_then(|files| files.first()) {
                let first = version(first);
                files.retain(|file| lane.is_none() || version(file) < first);
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

    /// Number of files that wait or are worked on.
    pub fn backlog(&self) -> usize {
        self.waiting.len() + self.busy.values().sum::<usize>()
    }

    /// Marks a lane as free again.
    pub fn free(&mut self, lane: &Lane) {
        self.busy.remove(lane);
    }

    /// Lets a file wait until it settles again, unless the ledger knows its present version.
    pub fn wait_again(&mut self, file: &SourceFile) {
        self.see_path(&file.path, None);
    }

    /// Forgets the ledger's answer about a path, so that the next scan asks again. Returns `false`
    /// if there was none.
    pub fn forget(&mut self, path: &str) -> bool {
        self.known.remove(&PathKey::of(path)).is_some()
    }

    /// Stores the ledger's present answer about a path.
    pub fn note(&mut self, file: &KnownFile) {
        if file.is_wanted || matches!(file.state, FileState::Pending | FileState::Syncing) {
            self.known.remove(&file.key);
            return;
        }
        let known = Known {
            digest: digest(file.stamp, &file.rules_digest),
            scan: self.scan,
            retry_at_s: if file.state == FileState::Failed { self.retry_at_s() } else { 0 },
            is_refused: file.state == FileState::Quarantined,
        };
        self.known.insert(file.key, known);
    }

    /// Stores that a file failed before it got a ledger line.
    pub fn note_unreadable(&mut self, file: &SourceFile) {
        let known = Known {
            digest: digest(file.stamp, rules_digest(file)),
            scan: self.scan,
            retry_at_s: self.retry_at_s(),
            is_refused: false,
        };
        self.known.insert(PathKey::of(&file.path_text()), known);
    }

    /// When a file that fails now is tried again, in seconds since the start; never 0.
    fn retry_at_s(&self) -> u32 {
        let at = self.started.elapsed() + self.config.scan_interval;
        u32::try_from(at.as_secs()).unwrap_or(u32::MAX).max(1)
    }

    /// Looks at a path. `is_closed` says what an event just reported about it, if there was one.
    fn see_path(&mut self, path: &Path, is_closed: Option<bool>) {
        let Config { datasets, limits, .. } = &*self.config;
        let files = match self.is_excluded(path) {
            true => Vec::new(),
            false => SourceFile::all_at(&self.root, path, datasets, limits),
        };
        if !files.iter().any(|file| file.path == path) {
            self.waiting.remove(path);
        }
        files.into_iter().for_each(|file| self.see(file, is_closed));
    }

    fn see(&mut self, file: SourceFile, is_closed: Option<bool>) {
        if self.is_known(&file) {
            self.waiting.remove(&file.path);
            return;
        }
        let now = Instant::now();
        let waiting = self.waiting.get_mut(&file.path);
        // Without an event and without a change, there is nothing new.
        if let Some(waiting) = waiting
            && waiting.file.stamp == file.stamp
            && is_closed.is_none()
        {
            waiting.scan = self.scan;
            return;
        }
        let before = self.waiting.remove(&file.path);
        // Copying programs set times and permissions after they close a file; that is not writing.
        let was_closed = before
            .as_ref()
            .is_some_and(|waiting| waiting.is_closed && is_same_size(waiting, &file));
        let waiting = Waiting {
            unchanged_since: now,
            unsettled_since: before.as_ref().map_or(now, |before| before.unsettled_since),
            is_closed: is_closed.unwrap_or(was_closed),
            is_restless: before.is_some_and(|before| before.is_restless),
            scan: self.scan,
            file,
        };
        self.waiting.insert(waiting.file.path.clone(), waiting);
    }

    /// Whether a path is hidden, in a hidden folder, or among tidegate's own files.
    fn is_excluded(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.config.inbox).unwrap_or(path);
        below.components().any(|component| component.as_os_str().to_string_lossy().starts_with('.'))
            || self.own_dirs.iter().any(|own| path.starts_with(own))
    }

    fn is_known(&self, file: &SourceFile) -> bool {
        let Some(known) = self.known.get(&PathKey::of(&file.path_text())) else { return false };
        known.digest == digest(file.stamp, &self.rules(file, known.is_refused))
            && (known.retry_at_s == 0
                || u64::from(known.retry_at_s) > self.started.elapsed().as_secs())
    }

    /// The digest of the present rules, in the form that the ledger stores for this file.
    fn rules<'a>(&self, file: &'a SourceFile, is_refused: bool) -> Cow<'a, str> {
        match rules_digest(file) {
            fingerprint if is_refused => quarantine::rules(fingerprint, &self.config).into(),
            fingerprint => fingerprint.into(),
        }
    }

    /// When a file settles. Computed from the caller's `now`, so that a file that has already
    /// settled gets a time that is not after `now`.
    fn settles_at(&self, waiting: &Waiting, now: Instant) -> Instant {
        if waiting.is_closed {
            return waiting.unchanged_since + self.config.settle;
        }
        let age_ms = u64::try_from(now_ms() - waiting.file.stamp.changed_ns.div_euclid(1_000_000))
            .unwrap_or(0);
        let rest = self.config.settle_scan.saturating_sub(Duration::from_millis(age_ms));
        (now + rest).min(waiting.unchanged_since + self.config.settle_scan)
    }
}

fn is_same_size(waiting: &Waiting, file: &SourceFile) -> bool {
    let (before, now) = (waiting.file.stamp, file.stamp);
    (before.inode, before.size_bytes) == (now.inode, now.size_bytes)
}

/// Scans the inbox and sends its files in batches, until the scan ends or the receiver is gone.
fn scan_in_batches(
    config: &Config,
    root: &Arc<Path>,
    own_dirs: &[PathBuf],
    watcher: Option<&Watcher>,
    batches: &mpsc::Sender<Vec<SourceFile>>,
) -> BlindSpots {
    let mut batch = Vec::new();
    let blind_spots =
        scan(root, &config.datasets, &config.limits, own_dirs, watcher, &mut |file| {
            batch.push(file);
            batch.len() < SCANNED_FILES || batches.blocking_send(std::mem::take(&mut batch)).is_ok()
        });
    // A receiver that is gone is no error of the scan.
    let _ = batches.blocking_send(batch);
    blind_spots
}

fn rules_digest(file: &SourceFile) -> &str {
    file.route.as_ref().map_or("", |(dataset, _)| &dataset.fingerprint)
}

/// Digest of a file's stamp and rules. 64 bits are enough to distinguish one version of a path from
/// the next.
fn digest(stamp: Stamp, rules_digest: &str) -> u64 {
    let mut digest = Xxh3::new();
    for number in [stamp.ledger_size(), stamp.modified_ns, stamp.ledger_inode(), stamp.changed_ns] {
        digest.update(&number.to_le_bytes());
    }
    digest.update(rules_digest.as_bytes());
    digest.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn inbox(directory: &Path, settle_scan_ms: u64, settle_max_ms: u64) -> Inbox {
        let config =
            Config::load(&Overrides { inbox: Some(directory.to_owned()), ..Overrides::default() });
        Inbox::new(Arc::new(Config {
            settle_scan: Duration::from_millis(settle_scan_ms),
            settle_max: Duration::from_millis(settle_max_ms),
            ..config.expect("the defaults")
        }))
    }

    fn drop_file(inbox: &Inbox, name: &str) -> SourceFile {
        let path = inbox.root.join(name);
        std::fs::write(&path, "Order ID\n1\n").expect("a writable directory");
        SourceFile::at(&inbox.root, &path, &inbox.config.datasets, &inbox.config.limits)
            .expect("an ordinary file")
    }

    #[test]
    fn a_file_that_settled_long_ago_is_taken_at_the_first_look() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut inbox = inbox(directory.path(), 300, 60_000);
        let file = drop_file(&inbox, "Market 1 Orders.csv");
        while now_ms() - file.stamp.changed_ns / 1_000_000 < 300 {
            std::thread::yield_now();
        }
        inbox.see(file.clone(), None);
        let ready = inbox.take_ready();
        assert_eq!(ready.lanes.len(), 1);
        assert_eq!(ready.lanes[0].1[0].path, file.path);
    }

    #[test]
    fn a_file_that_has_not_settled_is_not_looked_at_before_it_may_have() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut inbox = inbox(directory.path(), 600_000, 6_000_000);
        let file = drop_file(&inbox, "Market 1 Orders.csv");
        inbox.see(file, None);
        let ready = inbox.take_ready();
        assert!(ready.lanes.is_empty());
        assert!(ready.look_at.is_some_and(|at| at > Instant::now() + Duration::from_secs(300)));
    }

    #[test]
    fn a_file_that_never_settles_holds_back_nobody_after_a_while_and_is_told_once() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let names = ["market-1-orders-2024-01-01.csv", "market-1-orders-2024-01-02.csv"];
        for (settle_max_ms, is_passed_by) in [(6_000_000, false), (0, true)] {
            let mut inbox = inbox(directory.path(), 600_000, settle_max_ms);
            let [restless, newer] = names.map(|name| drop_file(&inbox, name));
            inbox.see(restless.clone(), Some(false));
            inbox.see(newer.clone(), Some(true));
            inbox.waiting.get_mut(&newer.path).expect("it waits").unchanged_since -=
                Duration::from_secs(1);
            let ready = inbox.take_ready();
            let taken: Vec<&PathBuf> =
                ready.lanes.iter().flat_map(|(_, files)| files).map(|file| &file.path).collect();
            let told: Vec<&PathBuf> = ready.restless.iter().map(|file| &file.path).collect();
            let (expected_taken, expected_told) = if is_passed_by {
                (vec![&newer.path], vec![&restless.path])
            } else {
                Default::default()
            };
            assert_eq!((taken, told), (expected_taken, expected_told));
            assert_eq!(inbox.take_ready().restless.len(), 0);
        }
    }
}
