//! Modes: permissions of the files and folders that tidegate creates. Its own files get 0600 and
//! its own folders 0700, whatever the umask is. Files that a command writes for a person follow the
//! umask of that person.

use rustix::fs::Mode;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

/// Only the owner may use a folder of tidegate.
const FOLDER_MODE: u32 = 0o700;

/// Mode of tidegate's own files: only the owner may read and write them, because they may hold
/// rows.
pub const FILE_MODE: u32 = 0o600;

/// The umask that the process was started with. Files for people follow it.
static UMASK: OnceLock<u32> = OnceLock::new();

/// Sets the umask so that only the owner can use new files and folders, including those that
/// libraries create. Called before any thread runs.
pub fn keep_private() {
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // Only the first call sees the original umask; a second one would see ours.
    let _ = UMASK.set(before.bits());
}

/// Creates one of tidegate's own folders, and its missing parents.
///
/// # Errors
///
/// When a folder cannot be created.
pub fn make_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Like [`make_folders`], and also closes an existing folder that an earlier release left open to
/// others.
///
/// # Errors
///
/// When it cannot be created.
pub fn make_own_folder(path: &Path) -> io::Result<()> {
    make_folders(path)?;
    if is_open_to_others(path) {
        // This fails if another user owns the folder; then that user decides its mode.
        let _ = std::fs::set_permissions(path, PermissionsExt::from_mode(FOLDER_MODE));
    }
    Ok(())
}

/// Whether users other than the owner and the group have any access to a file or folder.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

/// The mode of tidegate's own folders, as a type for system calls.
pub const fn folder_mode() -> Mode {
    Mode::RWXU
}

/// Creates an empty file of tidegate's own, unless the path exists.
///
/// # Errors
///
/// When it cannot be created.
pub fn make_file(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Gives a new file for a person the mode that their umask allows. If the file holds rows, users
/// outside its group never get access.
///
/// # Errors
///
/// When the mode cannot be set.
pub fn give_to_person(file: &File, holds_rows: bool) -> io::Result<()> {
    let most = if holds_rows { 0o660 } else { 0o666 };
    file.set_permissions(PermissionsExt::from_mode(most & !persons_umask()))
}

/// Creates a folder for a person, and its missing parents.
///
/// # Errors
///
/// When a folder cannot be created.
pub fn make_persons_folders(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_persons_folders)?;
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(persons_folder_mode().bits()))
}

/// The mode of a folder for a person. It holds rows, so users outside its group never get access.
pub fn persons_folder_mode() -> Mode {
    Mode::from_bits_truncate(0o770 & !persons_umask())
}

/// The umask from the start of the process, or the usual 022 if [`keep_private`] was not called, as
/// in unit tests.
fn persons_umask() -> u32 {
    UMASK.get().copied().unwrap_or(0o022)
}
