//! Beneath: opens files and folders below a directory, and follows no link on the way, no matter
//! when the link was made. A folder that is swapped for a link after a scan has found it leads
//! nowhere. Everything else is asked of what was opened.

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Stat, chmodat, mkdirat, openat, openat2, statat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// How a folder on the way is opened: only to pass through, so it need not be readable.
const PASSED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder that was opened, and the name of something in it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The folder.
    pub folder: OwnedFd,
    /// The name.
    pub name: &'a OsStr,
}

impl<'a> Entry<'a> {
    /// The place of a path in its folder. The directory itself may be reached by links, nothing
    /// below it may.
    ///
    /// # Errors
    ///
    /// When the path is not below the directory, or a folder on the way is not a folder or is gone.
    pub fn of(root: &Path, path: &'a Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let folder = path.parent().ok_or(Errno::INVAL)?;
        Ok(Self { folder: open_folder(root, folder)?, name })
    }

    /// What it is, without following it.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(statat(&self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Opens a file for reading. A pipe that took its place is not waited for.
///
/// # Errors
///
/// When it is gone, cannot be read, or a link is on the way; [`is_astray`] recognises the last
/// case.
pub fn open_file(root: &Path, path: &Path) -> io::Result<File> {
    let (root, below) = open_root(root, path)?;
    Ok(open_at(root.as_fd(), below, OFlags::RDONLY | OFlags::NONBLOCK)?.into())
}

/// Opens a folder, to work with its entries. It need not be readable.
///
/// # Errors
///
/// As [`open_file`].
pub fn open_folder(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let (root, below) = open_root(root, path)?;
    if below.as_os_str().is_empty() {
        return Ok(root);
    }
    Ok(open_at(root.as_fd(), below, PASSED)?)
}

/// Opens a folder below another one, making what is missing with this mode.
///
/// # Errors
///
/// When one of them cannot be made, or a link is on the way.
pub fn make_folders(folder: OwnedFd, below: &Path, mode: Mode) -> io::Result<OwnedFd> {
    let mut folder = folder;
    for component in below.components() {
        let Component::Normal(name) = component else { return Err(Errno::XDEV.into()) };
        match mkdirat(&folder, name, mode) {
            // Whatever the umask.
            Ok(()) => chmodat(&folder, name, mode, AtFlags::empty())?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        folder = openat(&folder, name, PASSED | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(folder)
}

/// Whether what was asked for is not there any more: a link, or something that is no folder, stands
/// on the way.
pub fn is_astray(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::LOOP, Errno::NOTDIR, Errno::XDEV, Errno::NXIO]
        .into_iter()
        .any(|astray| errno == Some(astray))
}

fn open_root<'a>(root: &Path, path: &'a Path) -> io::Result<(OwnedFd, &'a Path)> {
    let below = path.strip_prefix(root).map_err(|_| Errno::XDEV)?;
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    Ok((rustix::fs::open(root, PASSED, Mode::empty())?, below))
}

/// One system call where the kernel has it.
fn open_at(folder: BorrowedFd<'_>, below: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(folder, below, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve)
    {
        // Linux before 5.6 lacks it, and filters of system calls that do not know it forbid it.
        Err(Errno::NOSYS | Errno::PERM) => open_by_components(folder, below, flags),
        opened => opened,
    }
}

fn open_by_components(
    folder: BorrowedFd<'_>,
    below: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let mut components = below.components().peekable();
    let mut opened: Option<OwnedFd> = None;
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { return Err(Errno::XDEV) };
        let flags = if components.peek().is_some() { PASSED } else { flags };
        let from = opened.as_ref().map_or(folder, AsFd::as_fd);
        opened =
            Some(openat(from, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?);
    }
    opened.ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed_below_the_directory_with_either_way_of_opening() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path().join("inbox");
        fs::create_dir_all(root.join("a/b")).expect("writable");
        fs::create_dir(directory.path().join("outside")).expect("writable");
        fs::write(directory.path().join("outside/file"), "secret").expect("writable");
        fs::write(root.join("a/b/file"), "own").expect("writable");
        symlink(directory.path().join("outside"), root.join("a/link")).expect("writable");
        symlink("../a/b/file", root.join("a/file")).expect("writable");
        symlink(&root, directory.path().join("way")).expect("writable");

        let folder = rustix::fs::open(&root, PASSED, Mode::empty()).expect("it is there");
        for open in [open_at, open_by_components] {
            let open = |below: &str| open(folder.as_fd(), Path::new(below), OFlags::RDONLY);
            assert!(open("a/b/file").is_ok());
            for astray in [
                "a/link/file",
                "a/link",
                "a/file",
                "a/b/file/x",
                "../outside/file",
                "/etc/hostname",
            ] {
                let error = io::Error::from(open(astray).expect_err(astray));
                assert!(is_astray(&error), "{astray}: {error}");
            }
            assert_eq!(open("a/gone").err(), Some(Errno::NOENT));
        }
        let way = directory.path().join("way");
        assert!(
            open_file(&way, &way.join("a/b/file")).is_ok(),
            "the directory itself may be reached by a link"
        );
        assert!(open_folder(&way, &way.join("a/link")).is_err_and(|error| is_astray(&error)));
    }
}
