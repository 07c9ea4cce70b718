//! Turns: how many files are worked on at once. Hashing a large file takes long, little memory and no database, so it has
//! turns of its own: files of other lanes go on meanwhile.

use std::sync::Arc;
use tokio::sync::{AcquireError, Mutex, OwnedSemaphorePermit, Semaphore};

/// Lanes that are worked on at once: one reads and cleans while another writes.
const WORKING_MAX: usize = 2;

/// Large files that are hashed at once, beside those: more would only share one disk.
const HASHING_MAX: usize = 2;

/// The turns of a process.
#[derive(Clone, Debug)]
pub struct Turns {
    working: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
}

/// The turn of a lane.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    /// `None` before its turn, and while it hashes.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { working: Arc::new(Semaphore::new(WORKING_MAX)), hashing: Arc::new(Semaphore::new(HASHING_MAX)) }
    }
}

impl Turns {
    /// A lane's, which is yet to come.
    pub fn turn(&self) -> Arc<Turn> {
        Arc::new(Turn { turns: self.clone(), permit: Mutex::new(None) })
    }
}

impl Turn {
    /// Waits until it is the lane's turn.
    pub async fn begin(&self) {
        *self.permit.lock().await = Some(acquired(Arc::clone(&self.turns.working).acquire_owned().await));
    }

    /// Hashes beside those whose turn it is, and goes on when it is this one's turn again.
    pub async fn hash<T>(&self, hashing: impl Future<Output = T>) -> T {
        let mut permit = self.permit.lock().await;
        *permit = None;
        let hashed = {
            let _hashing = acquired(Arc::clone(&self.turns.hashing).acquire_owned().await);
            hashing.await
        };
        *permit = Some(acquired(Arc::clone(&self.turns.working).acquire_owned().await));
        hashed
    }
}

fn acquired(permit: Result<OwnedSemaphorePermit, AcquireError>) -> OwnedSemaphorePermit {
    permit.expect("no semaphore of turns is ever closed")
}
