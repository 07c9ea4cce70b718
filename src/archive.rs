//! Archive: what happens to a file once its rows are committed.

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::source::content::Stamp;
use crate::source::scan::SourceFile;
use std::path::{Path, PathBuf};

/// Keeps, archives or deletes a synced file, as configured. A file that changed meanwhile stays, and so does
/// one that cannot be moved: its rows are in the tables, so that is worth a line in the log and no more.
pub fn put_away(config: &Config, source_file: &SourceFile) {
    if let Err(error) = try_put_away(config, source_file) {
        tracing::error!(path = %source_file.path.display(), reason = %error, "file stays in the inbox");
    }
}

fn try_put_away(config: &Config, source_file: &SourceFile) -> Result<(), SyncError> {
    let path = &source_file.path;
    let is_same = std::fs::symlink_metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == source_file.stamp);
    if config.after_sync == AfterSync::Keep || !is_same {
        return Ok(());
    }
    if config.after_sync == AfterSync::Delete {
        return std::fs::remove_file(path).map_err(|error| SyncError::state(path, error));
    }
    let target =
        free_path(&config.archive_dir.join(path.strip_prefix(&config.inbox).unwrap_or(Path::new(&source_file.name()))));
    move_file(path, &target).map_err(|error| SyncError::state(&target, error))
}

fn move_file(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::rename(from, to) {
        // The archive may be on another file system.
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            std::fs::copy(from, to)?;
            std::fs::File::open(to)?.sync_all()?;
            std::fs::remove_file(from)
        }
        result => result,
    }
}

/// The path, or with `.1`, `.2`, … when an earlier version of the file is there.
fn free_path(path: &Path) -> PathBuf {
    if !path.exists() {
        return path.to_owned();
    }
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    (1..).map(numbered).find(|path| !path.exists()).expect("numbers do not end before files do")
}
