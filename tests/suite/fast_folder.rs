//! The folder below which sandboxes and servers lie: in memory, where there is room.
//!
//! Tests kill processes, which loses nothing that a file system holds. None stops the machine, so
//! none needs a disk, and a disk that others use takes longer to make and flush files than
//! everything else together.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const MEMORY: &str = "/dev/shm";

/// Several times what a run uses at a time: databases go with their tests.
const BYTES_FREE_MIN: u64 = 4 << 30;

/// The folder: in memory, or the temporary one.
pub fn path() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let has_room = rustix::fs::statvfs(MEMORY)
            .is_ok_and(|folder| folder.f_bavail.saturating_mul(folder.f_frsize) >= BYTES_FREE_MIN);
        let is_open = rustix::fs::access(MEMORY, rustix::fs::Access::WRITE_OK).is_ok();
        if has_room && is_open { MEMORY.into() } else { std::env::temp_dir() }
    });
    &FOLDER
}
