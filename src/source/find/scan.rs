//! Scan: finds the files. Events only start a scan; the scan decides.

use crate::feed::correction::{corrected_paths, stem};
use crate::feed::dataset::{Dataset, Route};
use crate::feed::stamp::Stamp;
use crate::feed::version::{Version, own_ms};
use crate::source::find::beneath::Entry;
use crate::source::find::blind_spots::BlindSpots;
use crate::source::find::by_header::{ByHeader, by_header};
use crate::source::find::path_text::path_text;
use crate::source::find::walk::Walk;
use crate::source::find::watch::Watcher;
use rustix::fs::FileType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ends of names that programs give to files they are still writing.
const TEMPORARY_ENDS: [&str; 4] = [".tmp", ".part", ".crdownload", "~"];

/// A file as a scan found it.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The directory below which no link is followed to it.
    pub root: Arc<Path>,
    /// Absolute path.
    pub path: PathBuf,
    /// What it looked like.
    pub stamp: Stamp,
    /// Its dataset, and what the path says; `None` when no dataset matches.
    pub route: Option<(Arc<Dataset>, Route)>,
    /// Why no dataset matches, if not for the usual reason.
    pub unmatched_reason: Option<String>,
}

impl SourceFile {
    /// The file at a path below a directory, if it is one that may be taken.
    pub fn at(root: &Arc<Path>, path: &Path, datasets: &[Arc<Dataset>]) -> Option<Self> {
        let stat = Entry::of(root, path).and_then(|entry| entry.stat()).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        (is_file && is_wanted_name(path))
            .then(|| Self::found(root, path.to_owned(), Stamp::of(&stat), datasets))
    }

    fn found(root: &Arc<Path>, path: PathBuf, stamp: Stamp, datasets: &[Arc<Dataset>]) -> Self {
        let by_path = route(&path, datasets);
        let is_by_path = by_path.as_ref().is_some_and(|(dataset, _)| !dataset.is_made);
        let header =
            if is_by_path { ByHeader::None } else { by_header(root, &path, stamp, datasets) };
        let (route, unmatched_reason) = match header {
            ByHeader::None => (by_path, None),
            ByHeader::Of(dataset, route) => (Some((dataset, route)), None),
            ByHeader::Tie(reason) => (None, Some(reason)),
        };
        Self { root: Arc::clone(root), route, unmatched_reason, path, stamp }
    }

    /// The path as the ledger has it.
    pub fn path_text(&self) -> String {
        path_text(&self.path)
    }

    /// The name, for people.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The name as it ends the path in the ledger; patterns are matched against it.
    pub fn name_text(&self) -> String {
        self.path.file_name().map(|name| path_text(Path::new(name))).unwrap_or_default()
    }

    /// Its version if its path was never taken before.
    pub fn version(&self, now_ms: i64) -> Version {
        let day = self.route.as_ref().and_then(|(_, route)| route.date);
        Version { ms: own_ms(self.stamp.modified_ns, day, now_ms), path: self.path_text() }
    }

    /// Files with the same lane are synced one after the other.
    pub fn lane(&self) -> Lane {
        self.route.as_ref().map(|(dataset, route)| (dataset.table.clone(), route.market.clone()))
    }
}

/// Table and market, because several datasets may write to one table; `None` for unmatched files.
pub type Lane = Option<(String, String)>;

/// Finds every file below a directory that may be taken: not hidden, not temporary, no link, and
/// not tidegate's own. `take` says whether to go on. A watcher hears of every folder.
pub fn scan(
    root: &Arc<Path>,
    datasets: &[Arc<Dataset>],
    own_dirs: &[PathBuf],
    watcher: Option<&Watcher>,
    take: &mut dyn FnMut(SourceFile) -> bool,
) -> BlindSpots {
    let mut walk = Walk {
        watcher,
        is_excluded: &|path| is_hidden(path) || own_dirs.iter().any(|own| own == path),
        take: &mut |path, stat| {
            !is_wanted_name(&path) || take(SourceFile::found(root, path, Stamp::of(stat), datasets))
        },
        blind_spots: BlindSpots::default(),
    };
    walk.start(root);
    walk.blind_spots
}

/// The first dataset that a path belongs to, and what the path says.
pub fn route(path: &Path, datasets: &[Arc<Dataset>]) -> Option<(Arc<Dataset>, Route)> {
    let text = path_text(path);
    let Some(corrected) = corrected_paths(&text) else {
        return datasets.iter().find_map(|dataset| dataset.for_path(&text));
    };
    let (dataset, route) = datasets
        .iter()
        .find_map(|dataset| corrected.iter().find_map(|path| dataset.for_path(path)))?;
    // A day in the name is the day of the export; a later correction by an operator is newer.
    Some((dataset, Route { date: None, corrects: Some(stem(&text).to_owned()), ..route }))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_wanted_name(path: &Path) -> bool {
    let name =
        path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    !name.starts_with('.') && !TEMPORARY_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_temporary_linked_and_own_files_are_left_alone() {
        let inbox = tempfile::tempdir().expect("a temporary directory");
        for name in [
            "a.csv",
            ".b.csv",
            "c.csv.part",
            "d.TMP",
            "e.csv~",
            "sub/f.csv",
            ".hidden/g.csv",
            "own/i.csv",
        ] {
            let path = inbox.path().join(name);
            std::fs::create_dir_all(path.parent().expect("below the inbox")).expect("writable");
            std::fs::write(path, "x").expect("writable");
        }
        std::os::unix::fs::symlink("/etc/hostname", inbox.path().join("h.csv")).expect("writable");
        let mut found = Vec::new();
        let root = Arc::from(inbox.path());
        scan(&root, &[], &[inbox.path().join("own")], None, &mut |file| {
            found.push(file.name());
            true
        });
        found.sort();
        assert_eq!(found, ["a.csv", "f.csv"]);
    }
}
