//! Scan: finds the files. Events only start a scan; the scan decides.

use crate::config::Limits;
use crate::feed::correction::{corrected_paths, stem};
use crate::feed::dataset::{Dataset, Route};
use crate::feed::stamp::Stamp;
use crate::feed::version::{Version, own_ms};
use crate::source::find::blind_spots::BlindSpots;
use crate::source::find::by_header::{ByHeader, by_header};
use crate::source::find::path_text::path_text;
use crate::source::find::walk::Walk;
use crate::source::find::watch::Watcher;
use crate::source::find::zipped::{is_zip, list, member_of, stamp_at, unpacked_path};
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
    /// Why it is refused before it is read, if it is.
    pub refusal: Option<String>,
}

impl SourceFile {
    /// The files at a path below a directory that may be taken: one, none, or the members of an
    /// archive.
    pub fn all_at(
        root: &Arc<Path>,
        path: &Path,
        datasets: &[Arc<Dataset>],
        limits: &Limits,
    ) -> Vec<Self> {
        let Ok(Some(stamp)) = stamp_at(root, path, limits) else { return Vec::new() };
        if !is_wanted_name(path) {
            return Vec::new();
        }
        let finder = Finder { root, datasets, limits };
        let mut files = Vec::new();
        finder.each(path.to_owned(), stamp, &mut |file| {
            files.push(file);
            true
        });
        files
    }

    /// The file at a path, if it is one that may be taken; of an archive, what is to be said of it
    /// as a whole.
    pub fn at(
        root: &Arc<Path>,
        path: &Path,
        datasets: &[Arc<Dataset>],
        limits: &Limits,
    ) -> Option<Self> {
        Self::all_at(root, path, datasets, limits).into_iter().find(|file| file.path == path)
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
    limits: &Limits,
    own_dirs: &[PathBuf],
    watcher: Option<&Watcher>,
    take: &mut dyn FnMut(SourceFile) -> bool,
) -> BlindSpots {
    let finder = Finder { root, datasets, limits };
    let mut walk = Walk {
        watcher,
        is_excluded: &|path| is_hidden(path) || own_dirs.iter().any(|own| own == path),
        take: &mut |path, stat| !is_wanted_name(&path) || finder.each(path, Stamp::of(stat), take),
        blind_spots: BlindSpots::default(),
    };
    walk.start(root);
    walk.blind_spots
}

/// What makes files of paths.
struct Finder<'a> {
    root: &'a Arc<Path>,
    datasets: &'a [Arc<Dataset>],
    limits: &'a Limits,
}

impl Finder<'_> {
    /// Takes a file, or the members of an archive and what is to be said of it as a whole; whether
    /// to go on.
    fn each(&self, path: PathBuf, stamp: Stamp, take: &mut dyn FnMut(SourceFile) -> bool) -> bool {
        if !is_zip(&path) || member_of(self.root, &path).is_some() {
            return take(self.found(path, stamp));
        }
        let listing = match list(self.root, &path, stamp, self.limits) {
            Ok(listing) => listing,
            // Whoever opens it says why it cannot be read.
            Err(_) => return take(self.plain(path, stamp)),
        };
        let is_told = listing.refusal.is_some() || listing.unread.is_some();
        let whole = is_told.then(|| SourceFile {
            refusal: listing.refusal.clone(),
            unmatched_reason: listing.unread.clone(),
            ..self.plain(path.clone(), stamp)
        });
        let members = listing.members.iter().filter(|member| is_wanted_member(&member.name));
        let members = members.map(|member| {
            let stamp = Stamp { size_bytes: member.size_bytes, ..stamp };
            let member_path = path.join(&member.name);
            if !member.is_zip() {
                return self.found(member_path, stamp);
            }
            let reason =
                "it is an archive in an archive, which is not read: unpack it into the inbox";
            let unmatched_reason = Some(reason.to_owned());
            SourceFile { unmatched_reason, ..self.plain(member_path, stamp) }
        });
        members.chain(whole).all(take)
    }

    fn plain(&self, path: PathBuf, stamp: Stamp) -> SourceFile {
        let (route, unmatched_reason, refusal) = (None, None, None);
        SourceFile { root: Arc::clone(self.root), route, unmatched_reason, refusal, path, stamp }
    }

    fn found(&self, path: PathBuf, stamp: Stamp) -> SourceFile {
        let Self { root, datasets, limits } = self;
        let by_path = route(&unpacked_path(root, &path), datasets);
        let is_by_path = by_path.as_ref().is_some_and(|(dataset, _)| !dataset.is_made);
        let header = match is_by_path {
            true => ByHeader::None,
            false => by_header(root, &path, stamp, datasets, limits),
        };
        let (route, unmatched_reason) = match header {
            ByHeader::None => (by_path, None),
            ByHeader::Of(dataset, route) => (Some((dataset, route)), None),
            ByHeader::Tie(reason) => (None, Some(reason)),
        };
        SourceFile { route, unmatched_reason, ..self.plain(path, stamp) }
    }
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

/// Whether a member of an archive is none that is left alone in a folder.
pub fn is_wanted_member(name: &str) -> bool {
    is_wanted_name(Path::new(name)) && !name.split('/').any(|part| part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

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
        let config = Config::load(&Overrides::default()).expect("the defaults");
        scan(&root, &[], &config.limits, &[inbox.path().join("own")], None, &mut |file| {
            found.push(file.name());
            true
        });
        found.sort();
        assert_eq!(found, ["a.csv", "f.csv"]);
    }
}
