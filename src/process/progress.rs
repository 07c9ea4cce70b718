//! Progress: the current step of each file at work and the time of its last progress, so that a
//! stuck file is noticed. Code that reads, commits or refreshes calls [`moved`]; it needs no
//! reference to the file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

tokio::task_local! {
    static WORK: Work;
}

/// The files at work, with their steps.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Vec<Work>>>);

/// A file on the board. Dropping it takes the file off the board.
#[derive(Debug)]
pub struct Entry {
    board: Board,
    work: Work,
}

/// Handle to the step of one file. Tasks and threads that work for the file share it.
#[derive(Clone, Debug)]
pub struct Work(Arc<Mutex<Place>>);

#[derive(Debug)]
struct Place {
    file: String,
    step: &'static str,
    moved_at: Instant,
}

impl Board {
    /// Puts a file on the board.
    pub fn begin(&self, path: &Path) -> Entry {
        let place =
            Place { file: path.display().to_string(), step: "taking it", moved_at: Instant::now() };
        let work = Work(Arc::new(Mutex::new(place)));
        lock(&self.0).push(work.clone());
        Entry { board: self.clone(), work }
    }

    /// Files without progress for at least `longest`, each as a sentence with its step.
    pub fn stuck(&self, longest: Duration) -> Vec<String> {
        let at_work = lock(&self.0).clone();
        let stuck = at_work.iter().filter_map(|work| {
            let place = lock(&work.0);
            let still = place.moved_at.elapsed();
            let is_stuck = still >= longest;
            is_stuck.then(|| {
                format!("{} has not moved for {} s, at {}", place.file, still.as_secs(), place.step)
            })
        });
        stuck.collect()
    }
}

impl Entry {
    /// The handle for tasks that work for this file.
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
    /// Runs `work` for this file: [`step`] and [`moved`] in it refer to the file.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        WORK.scope(self, work).await
    }
}

/// The file that the caller works for; `None` if there is none.
pub fn current() -> Option<Work> {
    WORK.try_with(Clone::clone).ok()
}

/// Runs `done` on another thread for the file that [`current`] returned on the calling one.
pub fn on_behalf_of<T>(work: Option<Work>, done: impl FnOnce() -> T) -> T {
    match work {
        Some(work) => WORK.sync_scope(work, done),
        None => done(),
    }
}

/// Records that the caller's file has reached a step.
pub fn step(step: &'static str) {
    note(|place| place.step = step);
}

/// Records progress of the caller's file.
pub fn moved() {
    note(|_| {});
}

fn note(change: impl FnOnce(&mut Place)) {
    // This does nothing if the caller works for no file.
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
