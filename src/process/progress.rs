//! Progress: at which step each file at work is, and when it last moved, so that one that stands still is noticed. What reads,
//! commits and refreshes says so by [`moved`], wherever it runs for a file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

tokio::task_local! {
    static WORK: Work;
}

/// The files at work.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Vec<Work>>>);

/// A file at work, until it is dropped.
#[derive(Debug)]
pub struct Entry {
    board: Board,
    work: Work,
}

/// Where a file is.
#[derive(Clone, Debug)]
pub struct Work(Arc<Mutex<Place>>);

#[derive(Debug)]
struct Place {
    file: String,
    step: &'static str,
    moved_at: Instant,
}

impl Board {
    /// A file is worked on from now on.
    pub fn begin(&self, path: &Path) -> Entry {
        let place = Place { file: path.display().to_string(), step: "taking it", moved_at: Instant::now() };
        let work = Work(Arc::new(Mutex::new(place)));
        lock(&self.0).push(work.clone());
        Entry { board: self.clone(), work }
    }

    /// What has not moved for so long.
    pub fn stuck(&self, longest: Duration) -> Vec<String> {
        let at_work = lock(&self.0).clone();
        let stuck = at_work.iter().filter_map(|work| {
            let place = lock(&work.0);
            let still = place.moved_at.elapsed();
            let is_stuck = still >= longest;
            is_stuck.then(|| format!("{} has not moved for {} s, at {}", place.file, still.as_secs(), place.step))
        });
        stuck.collect()
    }
}

impl Entry {
    /// What is done for the file.
    pub fn work(&self) -> Work {
        self.work.clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.board.0).retain(|work| !Arc::ptr_eq(&work.0, &self.work.0));
    }
}

impl Work {
    /// Does something for the file.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        WORK.scope(self, work).await
    }
}

/// The file that the caller works for; `None` outside of files.
pub fn current() -> Option<Work> {
    WORK.try_with(Clone::clone).ok()
}

/// Does something on another thread for the file that [`current`] gave there.
pub fn on_behalf_of<T>(work: Option<Work>, done: impl FnOnce() -> T) -> T {
    match work {
        Some(work) => WORK.sync_scope(work, done),
        None => done(),
    }
}

/// The file that the caller works for has come to a step.
pub fn step(step: &'static str) {
    note(|place| place.step = step);
}

/// The file that the caller works for has moved.
pub fn moved() {
    note(|_| {});
}

fn note(change: impl FnOnce(&mut Place)) {
    // Outside of files nobody asks.
    let _ = WORK.try_with(|work| {
        let mut place = lock(&work.0);
        place.moved_at = Instant::now();
        change(&mut place);
    });
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_stands_still_is_named_with_its_step_until_it_moves_or_is_done_with() {
        let board = Board::default();
        let entry = board.begin(Path::new("/in/a.csv"));
        let all = || board.stuck(Duration::ZERO);
        entry
            .work()
            .scope(async {
                step("writing it");
                let work = current();
                assert!(work.is_some());
                let elsewhere = std::thread::spawn(|| on_behalf_of(work, moved));
                elsewhere.join().expect("it does not panic");
            })
            .await;
        assert_eq!(all(), ["/in/a.csv has not moved for 0 s, at writing it"]);
        assert_eq!(board.stuck(Duration::from_secs(60)), Vec::<String>::new());
        assert!(current().is_none());
        drop(entry);
        assert_eq!(all(), Vec::<String>::new());
    }
}
