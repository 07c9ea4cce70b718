//! Turns: limit how many files are worked on at once. Hashing a large file takes long but needs
//! little memory and no database, so it has its own limit, and files of other lanes continue in the
//! meantime.

use std::sync::Arc;
use tokio::sync::{AcquireError, Mutex, OwnedSemaphorePermit, Semaphore};

/// Lanes that work at the same time. Two are enough: one reads and cleans while the other writes.
const WORKING_MAX: usize = 2;

/// Large files that are hashed at the same time, in addition to the working lanes. More would only
/// compete for one disk.
const HASHING_MAX: usize = 2;

/// The limits of one process; clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    working: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
}

/// The permission of one lane to work. A lane waits for it, and gives it up while it hashes a large
/// file.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    /// `None` before the turn begins, and while the lane hashes.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(WORKING_MAX)),
            hashing: Arc::new(Semaphore::new(HASHING_MAX)),
        }
    }
}

impl Turns {
    /// A turn for a lane, which has not begun yet.
    pub fn turn(&self) -> Arc<Turn> {
        Arc::new(Turn { turns: self.clone(), permit: Mutex::new(None) })
    }
}

impl Turn {
    /// Waits until it is the lane's turn.
    pub async fn begin(&self) {
        *self.permit.lock().await =
            Some(acquired(Arc::clone(&self.turns.working).acquire_owned().await));
    }

    /// Gives up the turn, hashes, and waits for a new turn. Other lanes can work in the meantime.
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
