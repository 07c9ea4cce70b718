//! Find: finds the files that the paths of a command line name.

use crate::cli::CommandError;
use crate::cli::logging::complain;
use crate::config::Config;
use crate::dispatch::once::Found;
use crate::source::find::blind_spots::BlindSpots;
use crate::source::find::scan::{SourceFile, scan};
use crate::source::find::zipped::{folder_of, real_path};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn find(paths: &[PathBuf], config: &Config) -> Result<Found, CommandError> {
    let mut found = Found::default();
    for path in paths {
        let unreadable =
            |error| CommandError::Usage(format!("cannot read {}: {error}", path.display()));
        // A file has the same path in the ledger, however it is named on the command line.
        let path = real_path(path).map_err(unreadable)?;
        if path.is_dir() {
            let BlindSpots { unread, .. } = scan(
                &Arc::from(path.as_path()),
                &config.datasets,
                &config.limits,
                &config.own_dirs_below(&path),
                None,
                &mut |file| {
                    found.files.push(file);
                    true
                },
            );
            found.unread.extend(unread);
            found.folders.push(path);
        } else {
            found.files.extend(named_files(&path, config)?);
        }
    }
    found.files.sort_by(|one, other| one.path.cmp(&other.path));
    found.files.dedup_by(|one, other| one.path == other.path);
    for (path, reason) in &found.unread.reasons {
        complain(format_args!("passed by, because it cannot be read: {path}: {reason}"));
    }
    Ok(found)
}

/// A file that was named explicitly must be taken or refused: skipping it silently would look like
/// a success. An archive means all of its members.
pub(super) fn named_files(path: &Path, config: &Config) -> Result<Vec<SourceFile>, CommandError> {
    let folder: Arc<Path> = Arc::from(folder_of(path));
    let files = SourceFile::all_at(&folder, path, &config.datasets, &config.limits);
    if files.is_empty() {
        let why = "its name is hidden or temporary, or it is no ordinary file; rename it";
        return Err(CommandError::Usage(format!("cannot take {}: {why}", path.display())));
    }
    Ok(files)
}
