//! Health: whether the process can work, for monitoring and for systemd.

use crate::process::progress::Board;
use crate::sink::Sink;
use crate::source::find::blind_spots::BlindSpots;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The main loop turns at least every second. After this long without a turn, it counts as hung.
const STALL_MAX: Duration = Duration::from_secs(60);

/// How long the database may take to answer a health check, before it counts as away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that the parts of the daemon report about themselves.
#[derive(Debug)]
pub struct Health {
    /// When the process started, for its uptime.
    pub started: Instant,
    beat: Mutex<Instant>,
    watcher: Mutex<Result<(), String>>,
    sink: RwLock<Option<Arc<Sink>>>,
    backlog: Mutex<usize>,
    blind_spots: Mutex<BlindSpots>,
    /// The files at work and their steps, to find stuck ones.
    pub board: Board,
    stuck_after: Duration,
}

impl Health {
    /// The health of a process that is starting. A file without progress for `stuck_after` counts
    /// as stuck.
    pub fn new(stuck_after: Duration) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            beat: Mutex::new(now),
            watcher: Mutex::new(Err("the watcher is not started yet".to_owned())),
            sink: RwLock::new(None),
            backlog: Mutex::new(0),
            blind_spots: Mutex::default(),
            board: Board::default(),
            stuck_after,
        }
    }

    /// Records that the main loop turned, or that it waits for something that it needs.
    pub fn beat(&self, backlog: Option<usize>) {
        *lock(&self.beat) = Instant::now();
        if let Some(backlog) = backlog {
            *lock(&self.backlog) = backlog;
        }
    }

    /// Sets whether the watcher works, or why not. Returns whether this is a change.
    pub fn set_watcher(&self, state: Result<(), String>) -> bool {
        let mut watcher = lock(&self.watcher);
        let is_news = *watcher != state;
        *watcher = state;
        is_news
    }

    /// Sets the open database; `None` when it is closed.
    pub fn set_sink(&self, sink: Option<Arc<Sink>>) {
        *self.sink.write().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// The database, once it is open.
    pub fn sink(&self) -> Option<Arc<Sink>> {
        self.sink.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of files that wait or are worked on.
    pub fn backlog(&self) -> usize {
        *lock(&self.backlog)
    }

    /// Sets what the last scan could not look at, and logs the changes.
    pub fn set_blind_spots(&self, blind_spots: &BlindSpots) {
        let before = std::mem::replace(&mut *lock(&self.blind_spots), blind_spots.clone());
        blind_spots.log_changes(&before);
    }

    /// What the last scan could not look at.
    pub fn blind_spots(&self) -> BlindSpots {
        lock(&self.blind_spots).clone()
    }

    /// Why the process itself does not work; empty if it does. For `/healthz`.
    pub fn faults(&self) -> Vec<String> {
        let silent = lock(&self.beat).elapsed();
        if silent > STALL_MAX {
            return vec![format!("the main loop has not turned for {} s", silent.as_secs())];
        }
        Vec::new()
    }

    /// Why nothing can be synced at the moment; empty if files can be synced. For `/readyz`.
    pub async fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.faults();
        obstacles.extend(lock(&self.watcher).clone().err());
        obstacles.extend(self.board.stuck(self.stuck_after));
        match self.sink() {
            None => obstacles.push("the database was not reached yet".to_owned()),
            Some(sink) => match tokio::time::timeout(PING_TIMEOUT, sink.db.ask()).await {
                Ok(Ok(())) => {
                    obstacles.extend(sink.db.beat_fault());
                    obstacles.extend(sink.db.write_fault());
                    obstacles.dedup();
                }
                Ok(Err(error)) => obstacles.push(error.to_string()),
                Err(_) => obstacles
                    .push(format!("the database did not answer in {} s", PING_TIMEOUT.as_secs())),
            },
        }
        obstacles
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use crate::process::secret::Secret;
    use std::path::Path;
    use tokio_util::sync::CancellationToken;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_end_of_one_file_leaves_the_reason_why_another_waits() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}/db.sqlite", directory.path().display());
        let config = Config::load(&Overrides {
            database_url: Some(Secret::new(url)),
            state_dir: Some(directory.path().join("state")),
            ..Overrides::default()
        });
        let config = config.expect("the embedded defaults are valid");
        std::fs::create_dir(&config.state_dir).expect("a writable temporary directory");
        let sink = Box::pin(Sink::open(&config, &CancellationToken::new())).await;
        let sink = Arc::new(sink.expect("a new database"));
        let health = Health::new(Duration::from_secs(600));
        health.set_watcher(Ok(()));
        health.set_sink(Some(Arc::clone(&sink)));
        assert_eq!(health.obstacles().await, [""; 0]);
        let [a, b] = ["/in/market 1/orders.csv", "/in/market 2/orders.csv"].map(Path::new);
        sink.db.note_waiting(a, "the disk is full".to_owned());
        sink.db.note_waiting(b, "a table is locked".to_owned());
        sink.db.note_end(a);
        assert_eq!(health.obstacles().await, ["a table is locked"]);
        sink.db.note_waiting(a, "the disk is full".to_owned());
        sink.db.note_end(b);
        assert_eq!(health.obstacles().await, ["the disk is full"]);
        sink.db.note_end(a);
        assert_eq!(health.obstacles().await, [""; 0]);
    }
}
