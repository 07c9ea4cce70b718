//! Find: finds the files that the paths of a command line name.

use crate::cli::CommandError;
use crate::cli::logging::complain;
use crate::config::Config;
use crate::dispatch::once::Found;
use crate::source::find::blind_spots::BlindSpots;
use crate::source::find::scan::{SourceFile, scan};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn find(paths: &[PathBuf], config: &Config) -> Result<Found, CommandError> {
    let mut found = Found::default();
    for path in paths {
        let unreadable =
            |error| CommandError::Usage(format!("cannot read {}: {error}", path.display()));
        // A file has the same path in the ledger, however it is named on the command line.
        let path = path.canonicalize().map_err(unreadable)?;
        if path.is_dir() {
            let BlindSpots { unread, .. } = scan(
                &Arc::from(path.as_path()),
                &config.datasets,
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
            found.files.push(named_file(&path, config)?);
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
/// a success.
fn named_file(path: &Path, config: &Config) -> Result<SourceFile, CommandError> {
    let folder = path.parent().unwrap_or(path);
    SourceFile::at(&Arc::from(folder), path, &config.datasets).ok_or_else(|| {
        let why = "its name is hidden or temporary, or it is no ordinary file; rename it";
        CommandError::Usage(format!("cannot take {}: {why}", path.display()))
    })
}
