//! Modes: what tidegate makes for itself is its own, files 0600 and folders 0700, whatever the umask it was started with.
//! What it makes for people, by the commands that write a file for them, is as their umask says.

use rustix::fs::Mode;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

/// A folder of tidegate's.
const FOLDER_MODE: u32 = 0o700;

/// A file of tidegate's.
pub const FILE_MODE: u32 = 0o600;

/// The umask that the process was started with.
static UMASK: OnceLock<u32> = OnceLock::new();

/// Closes everything that is made from now on to others, also what libraries make. Called before any thread runs.
pub fn keep_private() {
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // A second call would find its own.
    let _ = UMASK.set(before.bits());
}

/// Makes a folder of tidegate's, and those above it that are missing.
///
/// # Errors
///
/// When one cannot be made.
pub fn make_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// As [`make_folders`], and closes one that an earlier release left open: nobody else has any business in it.
///
/// # Errors
///
/// When it cannot be made.
pub fn make_own_folder(path: &Path) -> io::Result<()> {
    make_folders(path)?;
    if is_open_to_others(path) {
        // Only its owner may; then it is somebody's who wants it so.
        let _ = std::fs::set_permissions(path, PermissionsExt::from_mode(FOLDER_MODE));
    }
    Ok(())
}

/// Whether everybody may read something.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

/// The mode of tidegate's folders, for the system.
pub const fn folder_mode() -> Mode {
    Mode::RWXU
}

/// Makes an empty file of tidegate's, unless something is there.
///
/// # Errors
///
/// When it cannot be made.
pub fn make_file(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file that was made to a person, as their umask says; of what holds rows, others see nothing all the same.
///
/// # Errors
///
/// When the mode cannot be set.
pub fn give_to_person(file: &File, holds_rows: bool) -> io::Result<()> {
    let most = if holds_rows { 0o660 } else { 0o666 };
    file.set_permissions(PermissionsExt::from_mode(most & !persons_umask()))
}

/// Makes a folder for a person, and those above it that are missing.
///
/// # Errors
///
/// When one cannot be made.
pub fn make_persons_folders(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_persons_folders)?;
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(persons_folder_mode().bits()))
}

/// The mode of a folder for a person, which holds rows.
pub fn persons_folder_mode() -> Mode {
    Mode::from_bits_truncate(0o770 & !persons_umask())
}

/// Where the process did not set one, as in tests of single functions, the usual one.
fn persons_umask() -> u32 {
    UMASK.get().copied().unwrap_or(0o022)
}
