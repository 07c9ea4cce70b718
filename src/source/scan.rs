//! Scan: which files there are. Events only wake a scan; a scan decides.

use super::content::Stamp;
use super::rows::printable;
use crate::dataset::{Dataset, Route};
use crate::rejects::{corrected_paths, stem};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use walkdir::{DirEntry, WalkDir};

/// Ends of names that programs give to files they are still writing.
const TEMPORARY_ENDS: [&str; 4] = [".tmp", ".part", ".crdownload", "~"];

/// Deepest folder below the inbox that is looked into.
const DEPTH_MAX: usize = 32;

/// A file as a scan found it.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Absolute path.
    pub path: PathBuf,
    /// What it looked like.
    pub stamp: Stamp,
    /// Its dataset, and what the path says; `None` when no dataset matches.
    pub route: Option<(Arc<Dataset>, Route)>,
}

impl SourceFile {
    /// The file at a path, if it is one that may be taken.
    pub fn at(path: &Path, datasets: &[Arc<Dataset>]) -> Option<Self> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        (metadata.is_file() && is_wanted_name(path)).then(|| Self {
            path: path.to_owned(),
            stamp: Stamp::of(&metadata),
            route: route(path, datasets),
        })
    }

    /// The path as the ledger has it; bytes that are not text as `\\xNN`, so that two paths stay two.
    pub fn path_text(&self) -> String {
        printable(self.path.as_os_str().as_bytes())
    }

    /// The name, for people.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The version that the name or the modification time gives, never later than now; milliseconds since 1970.
    pub fn version_ms(&self, now_ms: i64) -> i64 {
        let date = self.route.as_ref().and_then(|(_, route)| route.date);
        let version = match date.and_then(|date| date.and_hms_opt(0, 0, 0)) {
            Some(midnight) => midnight.and_utc().timestamp_millis(),
            None => self.stamp.modified_ns.div_euclid(1_000_000),
        };
        version.min(now_ms)
    }

    /// Files with the same lane are synced one after the other.
    pub fn lane(&self) -> Lane {
        self.route.as_ref().map(|(dataset, route)| (dataset.name.clone(), route.market.clone()))
    }
}

/// Dataset and market; `None` for unmatched files.
pub type Lane = Option<(String, String)>;

/// Every file below a directory that may be taken: not hidden, not temporary, no link, and not tidegate's own.
pub fn scan(root: &Path, datasets: &[Arc<Dataset>], own_dirs: &[PathBuf]) -> Vec<SourceFile> {
    let is_visible = |entry: &DirEntry| {
        entry.depth() == 0 || (!is_hidden(entry.path()) && !own_dirs.iter().any(|own| own == entry.path()))
    };
    WalkDir::new(root)
        .max_depth(DEPTH_MAX)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_visible)
        // What vanishes or cannot be read while it is looked at is found by the next scan.
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| SourceFile::at(entry.path(), datasets))
        .collect()
}

/// The first dataset that a path belongs to, and what the path says.
pub fn route(path: &Path, datasets: &[Arc<Dataset>]) -> Option<(Arc<Dataset>, Route)> {
    let text = path.to_string_lossy();
    let Some(corrected) = corrected_paths(&text) else {
        return datasets.iter().find_map(|dataset| dataset.for_path(&text));
    };
    let (dataset, route) =
        datasets.iter().find_map(|dataset| corrected.iter().find_map(|path| dataset.for_path(path)))?;
    // A day in the name is that of the export: what an operator corrects afterwards is newer.
    Some((dataset, Route { date: None, corrects: Some(stem(&text).to_owned()), ..route }))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_wanted_name(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    !name.starts_with('.') && !TEMPORARY_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_temporary_linked_and_own_files_are_left_alone() {
        let inbox = tempfile::tempdir().expect("a temporary directory");
        for name in ["a.csv", ".b.csv", "c.csv.part", "d.TMP", "e.csv~", "sub/f.csv", ".hidden/g.csv", "own/i.csv"] {
            let path = inbox.path().join(name);
            std::fs::create_dir_all(path.parent().expect("below the inbox")).expect("writable");
            std::fs::write(path, "x").expect("writable");
        }
        std::os::unix::fs::symlink("/etc/hostname", inbox.path().join("h.csv")).expect("writable");
        let found: Vec<String> =
            scan(inbox.path(), &[], &[inbox.path().join("own")]).iter().map(SourceFile::name).collect();
        assert_eq!(found, ["a.csv", "f.csv"]);
    }
}
