//! Once: syncs the files that were named on the command line, and ends.

use crate::config::Config;
use crate::dispatch::daemon::{DRAIN_MAX, FAREWELL_MAX, keep_lease, say_farewell, unless_stopped};
use crate::dispatch::lanes::{LaneEnd, lanes_of, sync_lane};
use crate::dispatch::retention::forget_some;
use crate::dispatch::retry::{Patience, open_sink, patiently};
use crate::dispatch::vanished::note_vanished;
use crate::error::SyncError;
use crate::process::progress::Board;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::sink::marts::summary::Revenue;
use crate::source::find::blind_spots::Places;
use crate::source::find::scan::SourceFile;
use crate::sync::checkpoint::Checkpoints;
use crate::sync::report::{FileReport, Outcome};
use crate::sync::session::{Session, clear_up};
use crate::sync::undo::{Refusal, UndoneFile, begin_undo, files_to_undo};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The files and folders that the paths of a command line name.
#[derive(Debug, Default)]
pub struct Found {
    /// The files to sync.
    pub files: Vec<SourceFile>,
    /// Paths that cannot be read and are skipped.
    pub unread: Places,
    /// The folders that were searched. Files that are gone from them are noted in the ledger.
    pub folders: Vec<PathBuf>,
}

/// The results of all files.
#[derive(Debug, Default)]
pub struct Once {
    /// The files that were tried.
    pub reports: Vec<FileReport>,
    /// Paths of files that changed while they were read.
    pub left: Vec<String>,
    /// Paths that could not be read.
    pub unread: Places,
    /// The revenue of each market, once all files are done.
    pub revenues: Vec<Revenue>,
}

impl Once {
    /// Whether every file is done and none needs an operator.
    pub fn is_whole(&self) -> bool {
        let is_bad = |report: &FileReport| {
            matches!(report.outcome, Outcome::Quarantined | Outcome::Held | Outcome::Failed)
        };
        self.left.is_empty() && self.unread.count == 0 && !self.reports.iter().any(is_bad)
    }
}

/// Syncs these files, and notes in the ledger which files are gone from the searched folders. Calls
/// `tell` with the report of each file, or with `None` for a file that changed while it was read.
///
/// # Errors
///
/// When a passing error lasts longer than `database_wait`, or an error is fatal.
pub async fn sync_once(
    config: Config,
    found: Found,
    shutdown: CancellationToken,
    tell: &mut (dyn FnMut(&SourceFile, Option<&FileReport>) + Send),
) -> Result<Once, SyncError> {
    let patience = Patience::Limited(config.database_wait);
    let checkpoints = Checkpoints::open(&config.state_dir)?;
    let opening = unless_stopped(open_sink(&config, patience, &shutdown), &shutdown).await?;
    let sink = Arc::new(opening.ok_or(SyncError::Stopped)?);
    let session =
        Session::new(Arc::new(config), checkpoints, Arc::clone(&sink), Board::default(), shutdown);
    let keeper = tokio::spawn(keep_lease(session.clone()));
    let result = sync_all(&session, found, patience, tell).await;
    keeper.abort();
    say_farewell(&sink).await;
    result
}

/// How an undo ended.
#[derive(Debug)]
pub enum Undo {
    /// These files are undone, newest first.
    Done(Vec<UndoneFile>),
    /// Nothing was undone.
    Refused(Refusal),
}

/// Undoes these files of the ledger, and refreshes the marts.
///
/// # Errors
///
/// When a passing error lasts longer than `database_wait`, or an error is fatal. An undo that has
/// begun then goes on at the next start.
pub async fn undo_once(
    config: Config,
    ids: &[i64],
    and_later: bool,
    shutdown: CancellationToken,
) -> Result<Undo, SyncError> {
    let patience = Patience::Limited(config.database_wait);
    let checkpoints = Checkpoints::open(&config.state_dir)?;
    let opening = unless_stopped(open_sink(&config, patience, &shutdown), &shutdown).await?;
    let sink = Arc::new(opening.ok_or(SyncError::Stopped)?);
    let session =
        Session::new(Arc::new(config), checkpoints, Arc::clone(&sink), Board::default(), shutdown);
    let keeper = tokio::spawn(keep_lease(session.clone()));
    let result = undo_all(&session, ids, and_later, patience).await;
    keeper.abort();
    say_farewell(&sink).await;
    result
}

async fn undo_all(
    session: &Session,
    ids: &[i64],
    and_later: bool,
    patience: Patience,
) -> Result<Undo, SyncError> {
    let clear = async || {
        let clearing_up = patiently(patience, &session.shutdown, async || clear_up(session).await);
        unless_stopped(clearing_up, &session.shutdown).await?.ok_or(SyncError::Stopped)
    };
    clear().await?;
    // Chosen again under the lease: other files may have come meanwhile.
    let mut chosen = Vec::new();
    for &id in ids {
        chosen.extend(session.sink.ledger.applied_file(id).await?);
    }
    let datasets = &session.config.datasets;
    let files = match files_to_undo(&session.sink, datasets, &chosen, and_later).await? {
        Ok(files) => files,
        Err(refusal) => return Ok(Undo::Refused(refusal)),
    };
    begin_undo(session, &files).await?;
    clear().await?;
    Ok(Undo::Done(files.iter().map(UndoneFile::from).collect()))
}

async fn sync_all(
    session: &Session,
    Found { files, unread, folders }: Found,
    patience: Patience,
    tell: &mut (dyn FnMut(&SourceFile, Option<&FileReport>) + Send),
) -> Result<Once, SyncError> {
    let clearing_up = patiently(patience, &session.shutdown, async || clear_up(session).await);
    unless_stopped(clearing_up, &session.shutdown).await?.ok_or(SyncError::Stopped)?;
    for folder in &folders {
        patiently(patience, &session.shutdown, async || note_vanished(session, folder).await)
            .await?;
    }
    let mut lanes = JoinSet::new();
    for (lane, files) in lanes_of(files) {
        lanes.spawn(sync_lane(session.clone(), lane, files, patience));
    }
    let mut done = Once { unread, ..Once::default() };
    let mut fatal = None;
    while let Some(end) = next_end(&mut lanes, &session.shutdown).await {
        let end = end.map_err(|panic| SyncError::Internal(panic.to_string()))?;
        fatal = fatal.or(end.fatal);
        for (file, mut report) in end.files {
            if let Some(report) = report.as_mut().filter(|report| report.outcome == Outcome::Held) {
                let file = session.sink.ledger.newest_file(&report.path).await?;
                file.iter().for_each(|file| release(report, file));
            }
            tell(&file, report.as_ref());
            if report.is_none() {
                done.left.push(file.path_text());
            }
            done.reports.extend(report);
        }
    }
    if let Some(error) =
        fatal.or_else(|| session.shutdown.is_cancelled().then_some(SyncError::Stopped))
    {
        // If the lease was lost, `keep_lease` stopped the work. Ask once more to return that as the
        // reason.
        let kept = tokio::time::timeout(FAREWELL_MAX, session.sink.db.keep_lease()).await;
        let is_lost = matches!((&error, kept), (SyncError::Stopped, Ok(Err(SyncError::LeaseLost))));
        return Err(if is_lost { SyncError::LeaseLost } else { error });
    }
    patiently(patience, &session.shutdown, async || forget_some(session).await).await?;
    let summary =
        patiently(patience, &session.shutdown, async || session.sink.marts.summary().await);
    done.revenues = unless_stopped(summary, &session.shutdown).await?.ok_or(SyncError::Stopped)?;
    Ok(done)
}

/// A later file of the lane may have replaced a held one: then there is nothing left to approve.
fn release(report: &mut FileReport, file: &FileRecord) {
    if file.state == FileState::Synced {
        report.outcome = Outcome::Synced;
        report.error.clone_from(&file.error);
    }
}

/// Waits for the next lane to end. After a stop signal, returns `None` once [`DRAIN_MAX`] is over.
async fn next_end(
    lanes: &mut JoinSet<LaneEnd>,
    shutdown: &CancellationToken,
) -> Option<Result<LaneEnd, tokio::task::JoinError>> {
    tokio::select! {
        end = lanes.join_next() => end,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN_MAX).await } => None,
    }
}
