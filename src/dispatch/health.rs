//! Health: whether the process can work, as monitoring and systemd ask for it.

use crate::process::progress::Board;
use crate::sink::Sink;
use crate::source::find::blind_spots::BlindSpots;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The main loop turns at least every second; silent for so long, it hangs.
const STALL_MAX: Duration = Duration::from_secs(60);

/// How long the database may take to answer a health check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What the parts of the daemon tell about themselves.
#[derive(Debug)]
pub struct Health {
    /// When the process started.
    pub started: Instant,
    beat: Mutex<Instant>,
    watcher: Mutex<Result<(), String>>,
    sink: RwLock<Option<Arc<Sink>>>,
    backlog: Mutex<usize>,
    blind_spots: Mutex<BlindSpots>,
    /// The files at work.
    pub board: Board,
    stuck_after: Duration,
}

impl Health {
    /// Of a process that starts; a file may stand still for so long.
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

    /// The main loop turned, or waits for something that it must not go on without.
    pub fn beat(&self, backlog: Option<usize>) {
        *lock(&self.beat) = Instant::now();
        if let Some(backlog) = backlog {
            *lock(&self.backlog) = backlog;
        }
    }

    /// The watcher works, or why it does not; whether that is news.
    pub fn set_watcher(&self, state: Result<(), String>) -> bool {
        let mut watcher = lock(&self.watcher);
        let is_news = *watcher != state;
        *watcher = state;
        is_news
    }

    /// The database is open.
    pub fn set_sink(&self, sink: Option<Arc<Sink>>) {
        *self.sink.write().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// The database, once it is open.
    pub fn sink(&self) -> Option<Arc<Sink>> {
        self.sink.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Files that wait or are worked on.
    pub fn backlog(&self) -> usize {
        *lock(&self.backlog)
    }

    /// What the last scan could not look at; what is news of it is logged.
    pub fn set_blind_spots(&self, blind_spots: &BlindSpots) {
        let before = std::mem::replace(&mut *lock(&self.blind_spots), blind_spots.clone());
        blind_spots.log_changes(&before);
    }

    /// What the last scan could not look at.
    pub fn blind_spots(&self) -> BlindSpots {
        lock(&self.blind_spots).clone()
    }

    /// Why the process cannot work; empty when it can.
    pub fn faults(&self) -> Vec<String> {
        let silent = lock(&self.beat).elapsed();
        if silent > STALL_MAX {
            return vec![format!("the main loop has not turned for {} s", silent.as_secs())];
        }
        Vec::new()
    }

    /// Why nothing can be synced at the moment; empty when it can.
    pub async fn obstacles(&self) -> Vec<String> {
        let mut obstacles = self.faults();
        obstacles.extend(lock(&self.watcher).clone().err());
        obstacles.extend(self.board.stuck(self.stuck_after));
        match self.sink() {
            None => obstacles.push("the database was not reached yet".to_owned()),
            Some(sink) => match tokio::time::timeout(PING_TIMEOUT, sink.db.ask()).await {
                Ok(Ok(())) => obstacles.extend(sink.db.beat_fault()),
                Ok(Err(error)) => obstacles.push(error.to_string()),
                Err(_) => obstacles.push(format!("the database did not answer in {} s", PING_TIMEOUT.as_secs())),
            },
        }
        obstacles
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
