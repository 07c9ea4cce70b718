//! Report: what was done with a file, for people and scripts.

use crate::chunk::Counts;
use crate::error::SyncError;
use crate::feed::correction::OpenReject;
use crate::feed::rules::BrokenRule;
use crate::feed::version::Version;
use crate::process::clock::millis;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::rejects::UnknownRecords;
use crate::source::find::scan::SourceFile;
use crate::sync::session::Session;
use serde::Serialize;
use std::time::Instant;

/// Rows that the `error` of a file names at most.
pub(crate) const FIRST_ROWS_MAX: u64 = 3;

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Its rows are in the tables and marts.
    Synced,
    /// Its content was synced before.
    Unchanged,
    /// No dataset matches its path.
    Unmatched,
    /// Refused as a whole.
    Quarantined,
    /// Its rows are in the tables and marts; what it would delete waits for approval.
    Held,
    /// Given up.
    Failed,
    /// An operator undid it.
    Undone,
    /// An operator dismissed it.
    Dismissed,
}

impl Outcome {
    /// That of a file which an operator put aside.
    pub(crate) const fn of_put_aside(state: FileState) -> Self {
        match state {
            FileState::Undone => Self::Undone,
            _ => Self::Dismissed,
        }
    }
}

/// The result of one file, for people and for `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Absolute path.
    pub path: String,
    /// Name, for people.
    pub name: String,
    /// The feed.
    pub dataset: Option<String>,
    /// The market.
    pub market: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Rows of the file, and table rows written.
    #[serde(flatten)]
    pub counts: Counts,
    /// Records whose rows have different values in columns of the record.
    pub records_disagreeing: u64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Part of `elapsed_ms` that refreshed marts.
    pub marts_ms: u64,
    /// What an operator should know although nothing failed.
    pub warning: Option<String>,
    /// Why it is not synced, or which part of it was not done.
    pub error: Option<String>,
    /// Rules of its columns, and how often each is broken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<BrokenRule>,
    /// Whether an earlier attempt already reported the same.
    #[serde(skip)]
    pub is_old_news: bool,
}

/// The result of one file, for people and for `--json`.
pub fn report(
    source_file: &SourceFile,
    file: &FileRecord,
    outcome: Outcome,
    started: Instant,
) -> FileReport {
    FileReport {
        path: file.path.clone(),
        name: source_file.name(),
        dataset: file.dataset.clone(),
        market: file.market.clone(),
        outcome,
        counts: if matches!(outcome, Outcome::Synced | Outcome::Held) {
            file.counts
        } else {
            Counts::default()
        },
        records_disagreeing: 0,
        elapsed_ms: millis(started.elapsed()),
        marts_ms: 0,
        warning: None,
        error: file.error.clone(),
        rules: Vec::new(),
        is_old_news: false,
    }
}

/// Warns if all rows of a file are older than what is stored: otherwise a file without any effect
/// looks like a success.
pub(crate) async fn warning_of_stale(
    session: &Session,
    file: &FileRecord,
) -> Result<Option<String>, SyncError> {
    let Counts { new, modified, unchanged, deleted, stale, .. } = file.counts;
    if stale == 0 || new + modified + unchanged + deleted > 0 {
        return Ok(None);
    }
    let newer = session.sink.ledger.newest_synced(file).await?;
    let newer = newer.map_or_else(String::new, |Version { path, .. }| {
        format!(": {path} is newer and was synced before")
    });
    Ok(Some(format!(
        "all of its rows are older than what is stored, so it changed nothing{newer}; if it is the right one, write it again \
         under a path that is known, or with a later time or date in its name"
    )))
}

/// The `error` text of a file with rejects whose record is unknown.
pub(crate) fn note_of_unknown(unknown: &UnknownRecords) -> Option<String> {
    let UnknownRecords { rows, first } = unknown;
    let cannot = match rows {
        0 => return None,
        1 => "1 of its rows cannot be loaded and does".to_owned(),
        rows => format!("{rows} of its rows cannot be loaded and do"),
    };
    let named: Vec<String> = first.iter().map(OpenReject::place_and_reason).collect();
    Some(format!(
        "{cannot} not say of which record ({}): it deletes no line and no record, because any may be there; correct with \
         tidegate rejects --export, or drop a right export",
        named.join("; ")
    ))
}
