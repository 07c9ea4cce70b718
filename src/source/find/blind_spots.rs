//! Blind spots: what a scan could not look at and passed by, so that one folder does not stop the
//! others, and somebody hears of it.

use crate::source::find::path_text::path_text;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Number of places of each kind that are reported with their reasons: enough to see what they have
/// in common, however many there are.
const TOLD_MAX: usize = 100;

/// What a scan could not look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlindSpots {
    /// Folders that cannot be read, or only in part: nothing in them is taken.
    pub unread: Places,
    /// Folders that cannot be watched: only scans find files there.
    pub unwatched: Places,
}

/// Places with the reason of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// How many there are.
    pub count: usize,
    /// The first ones, by path.
    pub reasons: BTreeMap<String, String>,
}

impl Places {
    /// Adds a place.
    pub fn add(&mut self, path: &Path, reason: String) {
        self.count += 1;
        if self.reasons.len() < TOLD_MAX {
            self.reasons.insert(path_text(path), reason);
        }
    }

    /// Adds other places.
    pub fn extend(&mut self, other: Self) {
        self.count += other.count;
        self.reasons.extend(other.reasons);
    }

    /// Those that were not among others.
    pub fn news<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_news =
            |(path, reason): &(&String, &String)| before.reasons.get(*path) != Some(reason);
        self.reasons.iter().filter(is_news).map(|(path, reason)| (path.as_str(), reason.as_str()))
    }
}

impl BlindSpots {
    /// Logs each new place once, and each place that is no longer blind.
    pub fn log_changes(&self, before: &Self) {
        for (path, reason) in self.unread.news(&before.unread) {
            tracing::warn!(path, reason, "passed by: cannot be read");
        }
        for path in
            before.unread.reasons.keys().filter(|path| !self.unread.reasons.contains_key(*path))
        {
            tracing::info!(path, "passed by no longer");
        }
        let is_more = self.unwatched.count > before.unwatched.count;
        if let Some((path, reason)) = self.unwatched.reasons.first_key_value().filter(|_| is_more) {
            let folders = self.unwatched.count;
            tracing::warn!(path, reason, folders, "scanned only: folders cannot be watched");
        }
        if self.unwatched.count == 0 && before.unwatched.count > 0 {
            tracing::info!("every folder is watched again");
        }
    }
}
