//! Choose: the file of the ledger that an argument means, by its path or its name.

use crate::cli::CommandError;
use crate::process::terminal::quoted;
use crate::sink::ledger::files::FileRecord;
use crate::source::find::path_text::path_text;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The absolute path that an argument means, also if nothing is there any more.
pub(super) fn absolute_path(wanted: &str) -> PathBuf {
    let path = Path::new(wanted);
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_default()
}

/// How the ledger writes that path.
pub(super) fn ledger_path(wanted: &str) -> String {
    path_text(&absolute_path(wanted))
}

/// The newest of these lines of the ledger, newest first, if all are of one path. `what` says which
/// files may be chosen.
pub(super) fn newest_of_one_path(
    lines: Vec<FileRecord>,
    wanted: &str,
    what: &str,
) -> Result<FileRecord, CommandError> {
    let paths: BTreeSet<&String> = lines.iter().map(|line| &line.path).collect();
    if paths.len() > 1 {
        let paths: Vec<String> = paths.into_iter().map(|path| quoted(path).to_string()).collect();
        return Err(CommandError::Usage(format!(
            "several files are named `{wanted}`; give a path: {}",
            paths.join(", ")
        )));
    }
    lines.into_iter().next().ok_or_else(|| {
        CommandError::Usage(format!(
            "`{wanted}` is no {what}; `tidegate status` lists what was synced"
        ))
    })
}
