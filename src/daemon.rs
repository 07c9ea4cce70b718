//! Daemon: the long-running tasks and their one loop. Events only wake a scan; a scan decides.

use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::error::SyncError;
use crate::health::Health;
use crate::inbox::{Inbox, scan_inbox};
use crate::lanes::{LaneEnd, LanePermits, sync_lane};
use crate::retry::{Patience, open_sink};
use crate::sink::Sink;
use crate::sink::lease::BEAT_INTERVAL;
use crate::source::scan::SourceFile;
use crate::source::watch::{Hint, Watch};
use crate::sync::Context;
use sd_notify::NotifyState;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;

/// Longest time between two turns of the loop: the watchdog and the health check hear of each.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Scans that events ask for are at least so far apart; a burst of 20,000 files must not mean as many scans.
const SCAN_PAUSE: Duration = Duration::from_millis(200);

/// What wakes the loop.
#[derive(Debug)]
enum Event {
    Hints(Vec<Hint>),
    LaneEnded(Box<LaneEnd>),
    Turn,
    Shutdown,
}

/// Runs until it is asked to stop.
///
/// # Errors
///
/// When the process cannot go on.
pub async fn run(config: Arc<Config>, health: Arc<Health>, shutdown: CancellationToken) -> Result<(), SyncError> {
    std::fs::create_dir_all(&config.inbox).map_err(|error| SyncError::state(&config.inbox, error))?;
    let checkpoints = Checkpoints::open(&config.state_dir)?;
    let watch = Watch::start(&config.inbox)
        .map_err(|error| SyncError::Configuration(format!("cannot watch {}: {error}", config.inbox.display())))?;
    health.set_watcher(Ok(()));
    // From here on systemd counts it as started, whether or not the database is there: `/readyz` tells.
    tell_systemd(&[NotifyState::Ready]);
    let sink = match wait_for_sink(&config, &health, &shutdown).await {
        Err(SyncError::Stopped) => return Ok(()),
        sink => Arc::new(sink?),
    };
    health.set_sink(Some(Arc::clone(&sink)));
    tracing::info!(inbox = %config.inbox.display(), database = %config.database_url, "watching");
    let context = Context { config, sink: Arc::clone(&sink), checkpoints, shutdown };
    let keeper = tokio::spawn(keep_lease(context.clone()));
    let result = Loop::start(context, watch, Arc::clone(&health)).await?.turn().await;
    keeper.abort();
    health.set_sink(None);
    tell_systemd(&[NotifyState::Stopping]);
    if let Err(error) = sink.give_up_lease().await {
        tracing::warn!(reason = %error, "the lease was not given up and runs out by itself");
    }
    result
}

/// Beats while the database is awaited, so that the watchdog does not take patience for a hang.
async fn wait_for_sink(config: &Config, health: &Health, shutdown: &CancellationToken) -> Result<Sink, SyncError> {
    let opening = open_sink(config, Patience::Endless, shutdown);
    tokio::pin!(opening);
    loop {
        tokio::select! {
            sink = &mut opening => return sink,
            () = tokio::time::sleep(TURN_MAX) => beat(health, 0),
        }
    }
}

/// Keeps the lease between commits; ends the process when it is lost.
pub async fn keep_lease(context: Context) {
    let mut interval = tokio::time::interval(BEAT_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(error @ SyncError::LeaseLost) = context.sink.keep_lease().await {
            tracing::error!(reason = %error, "stopping");
            context.shutdown.cancel();
        }
    }
}

struct Loop {
    context: Context,
    watch: Watch,
    health: Arc<Health>,
    inbox: Inbox,
    lanes: JoinSet<LaneEnd>,
    permits: LanePermits,
    scan_at: Instant,
    look_at: Instant,
    /// The directory that is watched; another one may stand in its place later.
    watched_inode: Option<u64>,
}

impl Loop {
    async fn start(context: Context, watch: Watch, health: Arc<Health>) -> Result<Self, SyncError> {
        let ledger = context.sink.newest_files().await?;
        // Marks that a crash or a changed definition left behind.
        context.sink.refresh_marts().await?;
        let now = Instant::now();
        Ok(Self {
            inbox: Inbox::new(Arc::clone(&context.config), ledger),
            watched_inode: inode_of(&context.config),
            context,
            watch,
            health,
            lanes: JoinSet::new(),
            permits: LanePermits::default(),
            scan_at: now,
            look_at: now,
        })
    }

    async fn turn(mut self) -> Result<(), SyncError> {
        loop {
            self.scan_if_due().await?;
            self.start_lanes();
            beat(&self.health, self.inbox.backlog());
            match self.next_event().await {
                Event::Turn => {}
                Event::Hints(hints) => self.follow(&hints),
                Event::LaneEnded(end) => self.end_lane(*end).await?,
                Event::Shutdown => break,
            }
        }
        // Each lane stops after the chunk in hand.
        while let Some(end) = self.lanes.join_next().await {
            if let Ok(LaneEnd { fatal: Some(error), .. }) = end
                && !matches!(error, SyncError::Stopped)
            {
                return Err(error);
            }
        }
        // The keeper stops the loop when the lease is lost; then this says so.
        self.context
            .sink
            .keep_lease()
            .await
            .or_else(|error| if matches!(error, SyncError::LeaseLost) { Err(error) } else { Ok(()) })
    }

    async fn next_event(&mut self) -> Event {
        let wake_at = self.scan_at.min(self.look_at).min(Instant::now() + TURN_MAX);
        tokio::select! {
            () = self.context.shutdown.cancelled() => Event::Shutdown,
            hints = self.watch.next() => Event::Hints(hints),
            Some(end) = self.lanes.join_next() => match end {
                Ok(end) => Event::LaneEnded(Box::new(end)),
                Err(panic) => {
                    tracing::error!(reason = %panic, "a lane panicked");
                    Event::Shutdown
                }
            },
            () = sleep_until(wake_at) => Event::Turn,
        }
    }

    async fn scan_if_due(&mut self) -> Result<(), SyncError> {
        if Instant::now() < self.scan_at {
            return Ok(());
        }
        self.check_watch();
        let config = Arc::clone(&self.context.config);
        let found = tokio::task::spawn_blocking(move || scan_inbox(&config));
        let found: Vec<SourceFile> = found.await.map_err(|panic| SyncError::Internal(panic.to_string()))?;
        self.inbox.see_everything(found);
        self.scan_at = Instant::now() + self.context.config.scan_interval;
        Ok(())
    }

    /// A directory that was removed and made anew is silent until it is watched again.
    fn check_watch(&mut self) {
        let inode = inode_of(&self.context.config);
        if inode.is_some() && inode == self.watched_inode {
            return;
        }
        let state = match inode {
            None => Err(format!("the inbox {} is gone", self.context.config.inbox.display())),
            Some(_) => self.watch.renew().map_err(|error| format!("the inbox cannot be watched: {error}")),
        };
        match &state {
            Ok(()) => tracing::info!("watching the inbox again"),
            Err(reason) => tracing::warn!(reason, "scanning without events"),
        }
        self.watched_inode = inode.filter(|_| state.is_ok());
        self.health.set_watcher(state);
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

    fn start_lanes(&mut self) {
        let ready = self.inbox.take_ready();
        self.look_at = ready.look_at.unwrap_or_else(|| Instant::now() + TURN_MAX);
        for (lane, files) in ready.lanes {
            self.lanes.spawn(sync_lane(self.context.clone(), lane, files, Patience::Endless, self.permits.clone()));
        }
    }

    async fn end_lane(&mut self, end: LaneEnd) -> Result<(), SyncError> {
        self.inbox.free(&end.lane);
        for (file, report) in end.files {
            match (&report, self.context.sink.newest_file(&file.path_text()).await) {
                (Some(_), Ok(Some(record))) => self.inbox.note(&record),
                (Some(_), Ok(None)) => self.inbox.note_unreadable(&file),
                // What the ledger did not tell now, the next scan asks again.
                (_, Err(error)) => tracing::warn!(reason = %error, "the ledger did not answer"),
                (None, _) => {}
            }
            if report.is_none()
                || SourceFile::at(&file.path, &self.context.config.datasets).is_some_and(|now| now.stamp != file.stamp)
            {
                self.inbox.wait_again(file);
            }
        }
        match end.fatal {
            None | Some(SyncError::Stopped) => Ok(()),
            Some(error) => Err(error),
        }
    }
}

fn inode_of(config: &Config) -> Option<u64> {
    std::fs::metadata(&config.inbox).ok().filter(std::fs::Metadata::is_dir).map(|metadata| metadata.ino())
}

fn beat(health: &Health, backlog: usize) {
    health.beat(backlog);
    tell_systemd(&[NotifyState::Watchdog]);
}

/// Does nothing when systemd did not start the process.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(reason = %error, "systemd was not told");
    }
}
