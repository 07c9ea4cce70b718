//! The folder of this process's servers, gone with it: at its exit, or in a later run's sweep.

use super::process::end;
use super::program::Program;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{env, mem};

const FOLDER_PREFIX: &str = "tidegate-servers-";

pub type Running = BTreeMap<u16, (&'static Program, Child)>;

/// The servers that run now, by port, for the exit of the process to find.
pub fn running() -> MutexGuard<'static, Running> {
    static RUNNING: Mutex<Running> = Mutex::new(BTreeMap::new());
    // Each change is one insert or remove: a test that panics leaves nothing half done.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of this process's servers. Its lock says that it is in use, and ends with us.
pub fn process_folder() -> &'static Path {
    static FOLDER: LazyLock<(PathBuf, File)> = LazyLock::new(|| {
        sweep_stale_folders();
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir();
        let folder = folder.expect("the temporary folder can be written").keep();
        let lock = File::open(&folder).expect("it is ours");
        lock.lock().expect("a local folder can be locked");
        // The servers' accounts must get through to their own folders.
        fs::set_permissions(&folder, Permissions::from_mode(0o711)).expect("it is ours");
        call_at_exit(remove_everything);
        (folder, lock)
    });
    &FOLDER.0
}

/// Removes what killed test processes left.
fn sweep_stale_folders() {
    let entries = fs::read_dir(env::temp_dir()).expect("the temporary folder can be read");
    for folder in entries.flatten().map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(FOLDER_PREFIX) && has_lost_its_owner(&folder) {
            // What resists is another user's, or has a server that is still ending: not for us.
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// A process locks its folder before it puts anything in. So one with contents that is unlocked
/// afterwards (not before) has a dead owner; an empty one may have an owner about to lock it.
fn has_lost_its_owner(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| entries.count() > 0)
        && File::open(folder).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// libtest leaves through `process::exit`, which drops no static but does call exit handlers.
#[expect(unsafe_code, reason = "std has no exit handlers")]
fn call_at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a plain function, there until the end.
    let status = unsafe { libc::atexit(handler) };
    assert_eq!(status, 0, "the C library has room for an exit handler");
}

extern "C" fn remove_everything() {
    let servers = mem::take(&mut *running());
    for (program, child) in servers.into_values() {
        end(program, child);
    }
    let _ = fs::remove_dir_all(process_folder());
}
