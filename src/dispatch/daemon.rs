//! Daemon: the long-running tasks and their one main loop. Events only wake a scan; the scan
//! decides.

use crate::config::Config;
use crate::dispatch::health::Health;
use crate::dispatch::inbox::Inbox;
use crate::dispatch::lanes::{LaneEnd, sync_lane};
use crate::dispatch::retention::forget_old;
use crate::dispatch::retry::{Patience, list_restless, open_sink, patiently};
use crate::dispatch::vanished::watch_for_vanished;
use crate::error::{SyncError, Verdict};
use crate::process::modes::make_folders;
use crate::sink::Sink;
use crate::sink::db::lease::BEAT_INTERVAL;
use crate::source::find::watch::{Hint, Watch};
use crate::sync::checkpoint::Checkpoints;
use crate::sync::session::{Session, clear_up};
use sd_notify::NotifyState;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;

/// Longest time between two turns of the loop. Each turn tells the watchdog and the health check
/// that the process is alive.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Pause between an event and the scan that it asks for, so that a burst of 20,000 files does not
/// start 20,000 scans.
const SCAN_PAUSE: Duration = Duration::from_millis(200);

/// Pause after a scan that got no answer from the ledger. The lanes wait for the database with
/// their own retries, and log that.
const SCAN_RETRY_PAUSE: Duration = Duration::from_secs(3);

/// How often the ledger is asked for files that an operator approved. Often, because the operator
/// waits for the result.
const APPROVALS_INTERVAL: Duration = Duration::from_secs(1);

/// How long the lanes may take to finish their current chunk when the process must stop. A lane
/// that takes longer is cut off. This is as safe as a crash: its transaction rolls back.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long work outside the lanes may take to end when the process must stop. It covers the time
/// until a long statement ends after the database was told to cancel it.
const CUT_MAX: Duration = Duration::from_secs(1);

/// How long each of the last requests to the database may take, before the process ends anyway.
pub const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// What wakes the main loop.
#[derive(Debug)]
enum Event {
    Hints(Vec<Hint>),
    Approved(Vec<String>),
    LaneEnded(Box<LaneEnd>),
    LaneBroken(String),
    Turn,
    Shutdown,
}

/// Runs the daemon until it is asked to stop.
///
/// # Errors
///
/// When the process cannot continue.
pub async fn run(
    config: Config,
    health: Arc<Health>,
    shutdown: CancellationToken,
) -> Result<(), SyncError> {
    let config = Arc::new(with_real_inbox(config)?);
    let checkpoints = Checkpoints::open(&config.state_dir)?;
    // If the inbox cannot be watched, it is only scanned; `/readyz` and the log say why.
    let (watch, started) = Watch::start(&config.inbox);
    let started = started.map_err(|error| cannot_watch(&error));
    if let Err(reason) = &started {
        tracing::warn!(reason, "scanning without events");
    }
    health.set_watcher(started);
    // From here on systemd counts the process as started, even if the database is away; `/readyz`
    // reports the database.
    tell_systemd(&[NotifyState::Ready]);
    let opening = open_sink(&config, Patience::Endless, &shutdown);
    let Some(sink) = unless_stopped(beating(&health, opening), &shutdown).await? else {
        return Ok(());
    };
    let sink = Arc::new(sink);
    tracing::info!(inbox = %config.inbox.display(), database = %config.database_url, "watching");
    let session = Session::new(
        config,
        checkpoints,
        Arc::clone(&sink),
        health.board.clone(),
        shutdown.clone(),
    );
    let keeper = tokio::spawn(keep_lease(session.clone()));
    let result = run_loop(session, watch, &health).await;
    keeper.abort();
    health.set_sink(None);
    say_farewell(&sink).await;
    result
}

/// Resolves links in the path of the inbox, so that a file has the same path in the ledger for
/// `run` and for `sync`.
fn with_real_inbox(config: Config) -> Result<Config, SyncError> {
    let failed = |error| SyncError::state(&config.inbox, error);
    make_folders(&config.inbox).map_err(failed)?;
    let inbox = config.inbox.canonicalize().map_err(failed)?;
    Ok(Config { inbox, ..config })
}

async fn run_loop(session: Session, watch: Watch, health: &Arc<Health>) -> Result<(), SyncError> {
    let shutdown = session.shutdown.clone();
    let sink = Arc::clone(&session.sink);
    let starting = beating(health, Loop::start(session, watch, Arc::clone(health)));
    let result = match unless_stopped(starting, &shutdown).await? {
        None => Ok(()),
        Some(started) => {
            health.set_sink(Some(Arc::clone(&sink)));
            started.turn().await
        }
    };
    // If the lease was lost, `keep_lease` stopped the loop. Ask once more to return that as the
    // reason.
    match tokio::time::timeout(FAREWELL_MAX, sink.db.keep_lease()).await {
        Ok(Err(SyncError::LeaseLost)) => Err(SyncError::LeaseLost),
        _ => result,
    }
}

/// Gives up the lease, so that the next process need not wait, and closes the database, so that
/// SQLite leaves all data in its main file.
pub async fn say_farewell(sink: &Sink) {
    // Statements that still run had their time to end, and would delay the next two steps.
    sink.db.interrupt();
    if let Some(reason) = in_time(sink.give_up_lease()).await {
        tracing::warn!(reason, "the lease was not given up; it expires by itself");
    }
    if let Some(reason) = in_time(sink.close_database()).await {
        tracing::warn!(reason, "the database was not closed");
    }
}

/// Runs a last request to the database; returns why it failed, if it did.
async fn in_time(words: impl Future<Output = Result<(), SyncError>>) -> Option<String> {
    match tokio::time::timeout(FAREWELL_MAX, words).await {
        Ok(said) => said.err().map(|error| error.to_string()),
        Err(_) => Some("the database did not answer".to_owned()),
    }
}

/// Keeps the watchdog alive while `work` runs, so that it does not mistake a long wait for a hang.
async fn beating<T>(health: &Health, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(TURN_MAX) => beat(health, None),
        }
    }
}

/// Runs `work`; returns `None` if the process was asked to stop first. Work that is cut off then is
/// as safe as in a crash.
pub async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, SyncError>>,
    shutdown: &CancellationToken,
) -> Result<Option<T>, SyncError> {
    let done = tokio::select! {
        () = async { shutdown.cancelled().await; tokio::time::sleep(CUT_MAX).await } => Err(SyncError::Stopped),
        done = work => done,
    };
    match done {
        Err(SyncError::Stopped) => {
            tell_systemd(&[NotifyState::Stopping]);
            Ok(None)
        }
        done => done.map(Some),
    }
}

/// Renews the lease between commits, and stops the process if the lease is lost.
pub async fn keep_lease(session: Session) {
    let mut interval = tokio::time::interval(BEAT_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(error @ SyncError::LeaseLost) = session.sink.db.keep_lease().await {
            tracing::error!(reason = %error, "stopping");
            session.shutdown.cancel();
        }
    }
}

/// Sends the paths of approved files to the main loop, again and again until the files are taken.
async fn look_for_approvals(session: Session, approved: mpsc::Sender<Vec<String>>) {
    let mut interval = tokio::time::interval(APPROVALS_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // An error is ignored here: the lanes notice and report a database that is away.
        let paths = session.sink.ledger.approved_paths().await.unwrap_or_default();
        if !paths.is_empty() && approved.send(paths).await.is_err() {
            return;
        }
    }
}

struct Loop {
    session: Session,
    watch: Watch,
    approved: mpsc::Receiver<Vec<String>>,
    health: Arc<Health>,
    inbox: Inbox,
    lanes: JoinSet<LaneEnd>,
    scan_at: Instant,
    look_at: Instant,
    /// Identity of the watched directory. It shows when the directory was replaced by another one.
    watched: Option<Identity>,
}

impl Loop {
    async fn start(session: Session, watch: Watch, health: Arc<Health>) -> Result<Self, SyncError> {
        patiently(Patience::Endless, &session.shutdown, async || clear_up(&session).await).await?;
        let now = Instant::now();
        let (sender, approved) = mpsc::channel(1);
        tokio::spawn(look_for_approvals(session.clone(), sender));
        tokio::spawn(watch_for_vanished(session.clone()));
        tokio::spawn(forget_old(session.clone()));
        Ok(Self {
            approved,
            inbox: Inbox::new(Arc::clone(&session.config)),
            watched: identity_of(&session.config),
            session,
            watch,
            health,
            lanes: JoinSet::new(),
            scan_at: now,
            look_at: now,
        })
    }

    async fn turn(mut self) -> Result<(), SyncError> {
        let health = Arc::clone(&self.health);
        let result = loop {
            self.check_watch();
            if let Err(error) = beating(&health, self.scan_if_due()).await {
                break Err(error);
            }
            beating(&health, self.start_lanes()).await;
            beat(&health, Some(self.inbox.backlog()));
            let followed = match self.next_event().await {
                Event::Turn => Ok(()),
                Event::Hints(hints) => {
                    self.follow(&hints);
                    Ok(())
                }
                Event::Approved(paths) => {
                    self.take_up(&paths);
                    Ok(())
                }
                Event::LaneEnded(end) => beating(&health, self.end_lane(*end)).await,
                Event::LaneBroken(panic) => Err(SyncError::Internal(panic)),
                Event::Shutdown => break Ok(()),
            };
            if followed.is_err() {
                break followed;
            }
        };
        tell_systemd(&[NotifyState::Stopping]);
        self.session.shutdown.cancel();
        let drained =
            tokio::time::timeout(DRAIN_MAX, beating(&health, drain(&mut self.lanes))).await;
        result.and(drained.unwrap_or(Ok(())))
    }

    async fn next_event(&mut self) -> Event {
        let wake_at = self.scan_at.min(self.look_at).min(Instant::now() + TURN_MAX);
        tokio::select! {
            () = self.session.shutdown.cancelled() => Event::Shutdown,
            hints = self.watch.next() => Event::Hints(hints),
            Some(paths) = self.approved.recv() => Event::Approved(paths),
            Some(end) = self.lanes.join_next() => match end {
                Ok(end) => Event::LaneEnded(Box::new(end)),
                Err(panic) => Event::LaneBroken(panic.to_string()),
            },
            () = sleep_until(wake_at) => Event::Turn,
        }
    }

    async fn scan_if_due(&mut self) -> Result<(), SyncError> {
        if Instant::now() < self.scan_at {
            return Ok(());
        }
        let watcher = Some(self.watch.watcher());
        let looked = tokio::select! {
            () = self.session.shutdown.cancelled() => return Ok(()),
            looked = self.inbox.look_at_everything(Some(&self.session.sink), watcher) => looked,
        };
        match looked {
            Ok(blind_spots) => {
                self.health.set_blind_spots(&blind_spots);
                self.scan_at = Instant::now() + self.session.config.scan_interval;
                Ok(())
            }
            Err(error) if matches!(error.verdict(), Verdict::Retry | Verdict::Fail) => {
                tracing::warn!(reason = %error, "the ledger did not answer; the inbox is scanned again");
                self.scan_at = Instant::now() + SCAN_RETRY_PAUSE;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Watches the inbox again if its directory was removed and created again: the old watch
    /// reports nothing of the new directory.
    fn check_watch(&mut self) {
        let identity = identity_of(&self.session.config);
        if identity.is_some() && identity == self.watched && !self.watch.is_lost() {
            return;
        }
        let state = match identity {
            None => Err(format!(
                "the inbox {} is gone; make it again",
                self.session.config.inbox.display()
            )),
            Some(_) => self.watch.renew().map_err(|error| cannot_watch(&error)),
        };
        self.watched = identity.filter(|_| state.is_ok());
        if self.health.set_watcher(state.clone()) {
            match state {
                Ok(()) => tracing::info!("watching the inbox again"),
                Err(reason) => tracing::warn!(reason, "scanning without events"),
            }
        }
        // Files that arrived in the meantime caused no event.
        if self.watched.is_some() {
            self.scan_at = Instant::now();
        }
    }

    fn follow(&mut self, hints: &[Hint]) {
        let mut is_everything = false;
        for hint in hints {
            is_everything |= self.inbox.follow(hint);
        }
        if is_everything {
            self.scan_at = self.scan_at.min(Instant::now() + SCAN_PAUSE);
        }
    }

    /// Forgets approved files, so that a scan takes them: they did not change on disk, so the inbox
    /// counts them as done.
    fn take_up(&mut self, approved: &[String]) {
        for path in approved {
            if self.inbox.forget(path) {
                self.scan_at = Instant::now();
            }
        }
    }

    async fn start_lanes(&mut self) {
        let ready = self.inbox.take_ready();
        self.look_at = ready.look_at.unwrap_or_else(|| Instant::now() + TURN_MAX);
        for (lane, files) in ready.lanes {
            self.lanes.spawn(sync_lane(self.session.clone(), lane, files, Patience::Endless));
        }
        for file in ready.restless {
            list_restless(&self.session, &file).await;
        }
    }

    async fn end_lane(&mut self, end: LaneEnd) -> Result<(), SyncError> {
        self.inbox.free(&end.lane);
        let paths = end.files.iter().map(|(file, _)| file.path_text()).collect();
        let ledger = self.session.sink.ledger.newest_files_at(paths).await;
        if let Err(error) = &ledger {
            // The next scan asks the ledger again.
            tracing::warn!(reason = %error, "the ledger did not answer");
        }
        for (file, report) in end.files {
            if let (Some(_), Ok(ledger)) = (&report, &ledger) {
                match ledger.get(&file.path_text()) {
                    Some(record) => self.inbox.note(&record.into()),
                    None => self.inbox.note_unreadable(&file),
                }
            }
            // A file that changed or was replaced in the meantime waits until it settles again.
            self.inbox.wait_again(&file);
        }
        match end.fatal {
            None | Some(SyncError::Stopped) => Ok(()),
            Some(error) => Err(error),
        }
    }
}

/// Waits for all lanes; each stops after its current chunk.
async fn drain(lanes: &mut JoinSet<LaneEnd>) -> Result<(), SyncError> {
    while let Some(end) = lanes.join_next().await {
        if let Ok(LaneEnd { fatal: Some(error), .. }) = end
            && !matches!(error, SyncError::Stopped)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Device and inode of a directory.
type Identity = (u64, u64);

fn identity_of(config: &Config) -> Option<Identity> {
    let metadata = std::fs::metadata(&config.inbox).ok().filter(std::fs::Metadata::is_dir)?;
    Some((metadata.dev(), metadata.ino()))
}

fn cannot_watch(error: &std::io::Error) -> String {
    format!("the inbox cannot be watched, and is only scanned: {error}")
}

fn beat(health: &Health, backlog: Option<usize>) {
    health.beat(backlog);
    tell_systemd(&[NotifyState::Watchdog]);
}

/// Tells systemd a state. Does nothing if systemd did not start the process.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(reason = %error, "systemd was not told");
    }
}
