//! Walk: looks at every folder below a directory by descriptors, so that it never leaves it, and
//! goes on past what it cannot look at.

use crate::source::find::beneath::is_astray;
use crate::source::find::blind_spots::BlindSpots;
use crate::source::find::watch::Watcher;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Deepest folder below the directory that is looked into.
const DEPTH_MAX: usize = 32;

/// How a folder is opened to be looked into.
const LOOKED_INTO: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What a walk needs.
pub(in crate::source) struct Walk<'a> {
    /// Hears of every folder before it is looked into, so that nothing that comes meanwhile is
    /// missed.
    pub watcher: Option<&'a Watcher>,
    /// Whether a file or folder is left out.
    pub is_excluded: &'a dyn Fn(&Path) -> bool,
    /// Takes the files; whether to go on.
    pub take: &'a mut dyn FnMut(PathBuf, &Stat) -> bool,
    /// What could not be looked at.
    pub blind_spots: BlindSpots,
}

/// Device and inode of a folder.
type Identity = (u64, u64);

impl Walk<'_> {
    /// Looks at everything below a directory, which may be reached by links.
    pub fn start(&mut self, root: &Path) {
        match rustix::fs::open(root, LOOKED_INTO, Mode::empty()) {
            Ok(folder) => drop(self.look_into(&folder, root, &mut Vec::new())),
            Err(error) => self.pass_by(root, &error.into()),
        }
    }

    /// Looks into a folder; whether to go on.
    fn look_into(&mut self, folder: &OwnedFd, path: &Path, above: &mut Vec<Identity>) -> bool {
        let identity = match fstat(folder) {
            Ok(stat) => (stat.st_dev, stat.st_ino),
            Err(error) => {
                self.pass_by(path, &error.into());
                return true;
            }
        };
        if above.contains(&identity) {
            self.blind_spots.unread.add(path, "it is mounted below itself".to_owned());
            return true;
        }
        if let Some(Err(error)) = self.watcher.map(|watcher| watcher.watch(path)) {
            self.blind_spots.unwatched.add(path, watch_reason(&error));
        }
        let folders = match self.look_at_entries(folder, path) {
            Ok(Some(folders)) => folders,
            Ok(None) => return false,
            Err(error) => {
                self.pass_by(path, &error);
                return true;
            }
        };
        above.push(identity);
        let goes_on = folders.iter().all(|name| self.enter(folder, name, &path.join(name), above));
        above.pop();
        goes_on
    }

    /// Takes the files of a folder and returns its folders; `None` if the taker wants no more.
    fn look_at_entries(
        &mut self,
        folder: &OwnedFd,
        path: &Path,
    ) -> io::Result<Option<Vec<OsString>>> {
        let mut folders = Vec::new();
        let mut unseen = None;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let entry_path = path.join(name);
            if [OsStr::new("."), OsStr::new("..")].contains(&name)
                || (self.is_excluded)(&entry_path)
            {
                continue;
            }
            // Some file systems do not tell what an entry is.
            match entry.file_type() {
                FileType::Directory => folders.push(name.to_owned()),
                FileType::RegularFile | FileType::Unknown => {
                    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                            FileType::RegularFile if !(self.take)(entry_path, &stat) => {
                                return Ok(None);
                            }
                            FileType::Directory => folders.push(name.to_owned()),
                            _ => {}
                        },
                        Err(error) => unseen = Some(io::Error::from(error)),
                    }
                }
                _ => {}
            }
        }
        // A folder whose names may be read and whose files may not be looked at.
        if let Some(error) = unseen {
            self.pass_by(path, &error);
        }
        Ok(Some(folders))
    }

    fn enter(
        &mut self,
        folder: &OwnedFd,
        name: &OsStr,
        path: &Path,
        above: &mut Vec<Identity>,
    ) -> bool {
        if above.len() >= DEPTH_MAX {
            self.blind_spots
                .unread
                .add(path, format!("it lies more than {DEPTH_MAX} folders deep"));
            return true;
        }
        match openat(folder, name, LOOKED_INTO | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(folder) => self.look_into(&folder, path, above),
            Err(error) => {
                self.pass_by(path, &error.into());
                true
            }
        }
    }

    /// An entry that vanished or became a link since its name was read counts as absent.
    fn pass_by(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound && !is_astray(error) {
            self.blind_spots.unread.add(path, error.to_string());
        }
    }
}

/// What the kernel calls a lack of space is a limit.
fn watch_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "fs.inotify.max_user_watches is used up; raise it".to_owned(),
        _ => error.to_string(),
    }
}
