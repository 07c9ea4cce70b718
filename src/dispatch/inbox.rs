//! Inbox: which files of the watched directory are new and have settled.
//!
//! A file that was seen to be closed is settled when it has not changed for `settle_ms`; any other when it
//! has not changed for `settle_scan_ms`, which its inode's change time may prove at once.
//!
//! The ledger is asked about paths that are there, a batch at a time, and what it says of each is kept as a few bytes: a
//! ledger of millions of paths that are gone takes no memory.

use crate::config::Config;
use crate::dispatch::lanes::lanes_of;
use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::process::clock::now_ms;
use crate::sink::Sink;
use crate::sink::ledger::files::FileState;
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

/// Files that a lane takes at once: the others come right after it, and meanwhile the main loop learns
/// what became of these, and newer files of other lanes get their turn.
const LANE_FILES_MAX: usize = 500;

/// Files that a scan hands over at once: as many as one query of the ledger asks for.
const SCANNED_FILES: usize = 500;

/// Files that are not in the ledger as they are.
#[derive(Debug)]
pub struct Inbox {
    config: Arc<Config>,
    root: Arc<Path>,
    /// What the ledger says of paths that are there. What does not fit is asked for at each scan.
    known: HashMap<PathKey, Known>,
    waiting: BTreeMap<PathBuf, Waiting>,
    /// How many files of which lanes are being worked on.
    busy: HashMap<Lane, usize>,
    /// Where tidegate writes below the inbox itself.
    own_dirs: Vec<PathBuf>,
    /// Number of the last scan: what it has not seen is gone.
    scan: u32,
    /// What moments are counted from.
    started: Instant,
}

/// What of a ledger's record tells whether a file is the same: one of millions, so it is small.
#[derive(Debug)]
struct Known {
    /// Of the file as it was seen, and the rules it was read under.
    digest: u64,
    scan: u32,
    /// Failed files are tried again, but not at once: seconds since the start, 0 for all others.
    retry_at_s: u32,
    /// Refused files are tried again under other rules.
    is_refused: bool,
}

#[derive(Debug)]
struct Waiting {
    file: SourceFile,
    unchanged_since: Instant,
    /// When it was settled last, or came.
    unsettled_since: Instant,
    is_closed: bool,
    /// It has not settled for so long that nobody waits for it.
    is_restless: bool,
    scan: u32,
}

/// Files that can be synced now, by lane, and when to look again.
#[derive(Debug, Default)]
pub struct Ready {
    /// Settled files of lanes that nobody works on.
    pub lanes: Vec<(Lane, Vec<SourceFile>)>,
    /// When the next one may have settled.
    pub look_at: Option<Instant>,
    /// Files that have changed for so long that nobody waits for them from now on.
    pub restless: Vec<SourceFile>,
}

impl Inbox {
    /// An inbox that nobody has looked at yet.
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

    /// Looks at every file below the inbox, and says what could not be looked at. Files that it does not know are asked of
    /// the ledger, if there is one yet.
    ///
    /// # Errors
    ///
    /// When the database fails; then what it did not tell is for the next look.
    pub async fn look_at_everything(
        &mut self,
        sink: Option<&Sink>,
        watcher: Option<Watcher>,
    ) -> Result<BlindSpots, SyncError> {
        self.scan += 1;
        let (batches, mut found) = mpsc::channel(1);
        let (config, root, own_dirs) = (Arc::clone(&self.config), Arc::clone(&self.root), self.own_dirs.clone());
        let scanning =
            tokio::task::spawn_blocking(move || scan_in_batches(&config, &root, &own_dirs, watcher.as_ref(), &batches));
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

    /// Looks at files that the ledger was asked about before, and returns the others.
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
        let is_due = |waiting: &&Waiting| self.settles_at(waiting, now) <= now;
        let due: Vec<PathBuf> =
            self.waiting.values().filter(is_due).filter(is_free).map(|waiting| waiting.file.path.clone()).collect();
        // What changed since it was seen last waits anew, and what was synced meanwhile no more.
        due.iter().for_each(|path| self.see_path(path, None));
        let settle_at: Vec<Instant> = self.waiting.values().map(|waiting| self.settles_at(waiting, now)).collect();
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

    fn take_lanes(&mut self, settled: Vec<SourceFile>, unsettled: Vec<SourceFile>) -> Vec<(Lane, Vec<SourceFile>)> {
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
            // A newer export does not overtake an older one that is about to settle.
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

    /// Forgets what the ledger says of a path, so that the next scan asks it again; `false` when it is forgotten anyway.
    pub fn forget(&mut self, path: &str) -> bool {
        self.known.remove(&PathKey::of(path)).is_some()
    }

    /// Notes what the ledger knows of a path now.
    pub fn note(&mut self, file: &KnownFile) {
        if matches!(file.state, FileState::Pending | FileState::Syncing) {
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

    /// Notes a file that failed before the ledger knew it.
    pub fn note_unreadable(&mut self, file: &SourceFile) {
        let known = Known {
            digest: digest(file.stamp, rules_digest(file)),
            scan: self.scan,
            retry_at_s: self.retry_at_s(),
            is_refused: false,
        };
        self.known.insert(PathKey::of(&file.path_text()), known);
    }

    /// When what fails now is tried again; never 0.
    fn retry_at_s(&self) -> u32 {
        let at = self.started.elapsed() + self.config.scan_interval;
        u32::try_from(at.as_secs()).unwrap_or(u32::MAX).max(1)
    }

    /// Looks at a path; `is_closed` is what an event just said about it.
    fn see_path(&mut self, path: &Path, is_closed: Option<bool>) {
        match SourceFile::at(&self.root, path, &self.config.datasets) {
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
        let now = Instant::now();
        let waiting = self.waiting.get_mut(&file.path);
        // A look that finds it as it was says nothing new.
        if let Some(waiting) = waiting
            && waiting.file.stamp == file.stamp
            && is_closed.is_none()
        {
            waiting.scan = self.scan;
            return;
        }
        let before = self.waiting.remove(&file.path);
        // Who sets times and permissions after closing, as copying programs do, is not writing.
        let was_closed = before.as_ref().is_some_and(|waiting| waiting.is_closed && is_same_size(waiting, &file));
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

    /// Whether it is in a hidden folder, or among tidegate's own files.
    fn is_excluded(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.config.inbox).unwrap_or(path);
        below.components().any(|component| component.as_os_str().to_string_lossy().starts_with('.'))
            || self.own_dirs.iter().any(|own| path.starts_with(own))
    }

    fn is_known(&self, file: &SourceFile) -> bool {
        let Some(known) = self.known.get(&PathKey::of(&file.path_text())) else { return false };
        known.digest == digest(file.stamp, &self.rules(file, known.is_refused))
            && (known.retry_at_s == 0 || u64::from(known.retry_at_s) > self.started.elapsed().as_secs())
    }

    /// What the ledger has for its rules when they are those of now.
    fn rules<'a>(&self, file: &'a SourceFile, is_refused: bool) -> Cow<'a, str> {
        match rules_digest(file) {
            fingerprint if is_refused => quarantine::rules(fingerprint, &self.config).into(),
            fingerprint => fingerprint.into(),
        }
    }

    /// By `now`, so that one that is settled already is so at the moment that is asked about, and not a little later.
    fn settles_at(&self, waiting: &Waiting, now: Instant) -> Instant {
        if waiting.is_closed {
            return waiting.unchanged_since + self.config.settle;
        }
        let age_ms = u64::try_from(now_ms() - waiting.file.stamp.changed_ns.div_euclid(1_000_000)).unwrap_or(0);
        let rest = self.config.settle_scan.saturating_sub(Duration::from_millis(age_ms));
        (now + rest).min(waiting.unchanged_since + self.config.settle_scan)
    }
}

fn is_same_size(waiting: &Waiting, file: &SourceFile) -> bool {
    let (before, now) = (waiting.file.stamp, file.stamp);
    (before.inode, before.size_bytes) == (now.inode, now.size_bytes)
}

/// Hands over everything below the inbox that may be taken, until nobody wants more.
fn scan_in_batches(
    config: &Config,
    root: &Arc<Path>,
    own_dirs: &[PathBuf],
    watcher: Option<&Watcher>,
    batches: &mpsc::Sender<Vec<SourceFile>>,
) -> BlindSpots {
    let mut batch = Vec::new();
    let blind_spots = scan(root, &config.datasets, own_dirs, watcher, &mut |file| {
        batch.push(file);
        batch.len() < SCANNED_FILES || batches.blocking_send(std::mem::take(&mut batch)).is_ok()
    });
    // Nobody there to take them any more is no fault of the scan.
    let _ = batches.blocking_send(batch);
    blind_spots
}

fn rules_digest(file: &SourceFile) -> &str {
    file.route.as_ref().map_or("", |(dataset, _)| &dataset.fingerprint)
}

/// 64 bits are enough to tell one version of a path from the next one.
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
        let config = Config::load(&Overrides { inbox: Some(directory.to_owned()), ..Overrides::default() });
        Inbox::new(Arc::new(Config {
            settle_scan: Duration::from_millis(settle_scan_ms),
            settle_max: Duration::from_millis(settle_max_ms),
            ..config.expect("the defaults")
        }))
    }

    fn drop_file(inbox: &Inbox, name: &str) -> SourceFile {
        let path = inbox.root.join(name);
        std::fs::write(&path, "Order ID\n1\n").expect("a writable directory");
        SourceFile::at(&inbox.root, &path, &inbox.config.datasets).expect("an ordinary file")
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
            inbox.waiting.get_mut(&newer.path).expect("it waits").unchanged_since -= Duration::from_secs(1);
            let ready = inbox.take_ready();
            let taken: Vec<&PathBuf> = ready.lanes.iter().flat_map(|(_, files)| files).map(|file| &file.path).collect();
            let told: Vec<&PathBuf> = ready.restless.iter().map(|file| &file.path).collect();
            let (expected_taken, expected_told) =
                if is_passed_by { (vec![&newer.path], vec![&restless.path]) } else { Default::default() };
            assert_eq!((taken, told), (expected_taken, expected_told));
            assert_eq!(inbox.take_ready().restless.len(), 0);
        }
    }
}
