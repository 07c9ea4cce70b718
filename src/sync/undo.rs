//! Undo: takes synced files back, newest first. Tables, marts and rejects are then what they were
//! before them.
//!
//! Which files these are is written first, all or none. From then on the undo goes on at every
//! start until it has ended, before anything else is synced.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::record_key::KeyColumns;
use crate::process::clock::now_ms;
use crate::process::progress::moved;
use crate::sink::Sink;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::undone::AppliedFile;
use crate::sync::report::{FIRST_ROWS_MAX, note_of_unknown};
use crate::sync::session::Session;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was taken back of a file.
#[derive(Clone, Debug, Serialize)]
pub struct UndoneFile {
    /// Absolute path.
    pub path: String,
    /// Id of its line in the ledger.
    pub file_id: i64,
    /// The feed.
    pub dataset: String,
    /// The market.
    pub market: String,
    /// Table rows that it had added.
    pub rows_new: u64,
    /// Table rows that it had changed.
    pub rows_modified: u64,
    /// Table rows that it had removed or marked.
    pub rows_deleted: u64,
}

impl From<&AppliedFile> for UndoneFile {
    fn from(applied: &AppliedFile) -> Self {
        let FileRecord { path, id, dataset, market, counts, .. } = &applied.file;
        Self {
            path: path.clone(),
            file_id: *id,
            dataset: dataset.clone().unwrap_or_default(),
            market: market.clone().unwrap_or_default(),
            rows_new: counts.new,
            rows_modified: counts.modified,
            rows_deleted: counts.deleted,
        }
    }
}

/// Why files are not undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Later files of the same tables and market are to be undone as well: their paths.
    Later(Vec<String>),
    /// The history does not go back that far for these files.
    NoHistory(Vec<String>),
}

/// All files to undo, newest first, or why they are not.
///
/// # Errors
///
/// When the database fails, or a dataset is not configured.
pub async fn files_to_undo(
    sink: &Sink,
    datasets: &[Arc<Dataset>],
    chosen: &[AppliedFile],
    and_later: bool,
) -> Result<Result<Vec<AppliedFile>, Refusal>, SyncError> {
    let mut all: BTreeMap<i64, AppliedFile> =
        chosen.iter().map(|applied| (applied.file.id, applied.clone())).collect();
    let mut unnamed = Vec::new();
    for applied in chosen {
        let feeds = feeds_of_tables(sink, datasets, &applied.file).await?;
        let market = applied.file.market.as_deref().unwrap_or_default();
        for later in sink.ledger.applied_after(applied, &feeds, market).await? {
            let is_chosen = chosen.iter().any(|chosen| chosen.file.id == later.file.id);
            if !is_chosen && !unnamed.contains(&later.file.path) {
                unnamed.push(later.file.path.clone());
            }
            all.entry(later.file.id).or_insert(later);
        }
    }
    if !and_later && !unnamed.is_empty() {
        return Ok(Err(Refusal::Later(unnamed)));
    }
    let mut all: Vec<AppliedFile> = all.into_values().collect();
    all.sort_by_key(|applied| std::cmp::Reverse(applied.order()));
    let lost = all.iter().filter(|applied| !applied.has_history);
    let lost: Vec<String> = lost.map(|applied| applied.file.path.clone()).collect();
    Ok(if lost.is_empty() { Ok(all) } else { Err(Refusal::NoHistory(lost)) })
}

/// The datasets that write to the tables of a file.
async fn feeds_of_tables(
    sink: &Sink,
    datasets: &[Arc<Dataset>],
    file: &FileRecord,
) -> Result<Vec<String>, SyncError> {
    let own = dataset_of(sink, datasets, file).await?;
    let of_table = datasets.iter().filter(|dataset| dataset.table == own.table);
    let mut feeds: Vec<String> = of_table.map(|dataset| dataset.name.clone()).collect();
    feeds.push(own.name.clone());
    Ok(feeds)
}

/// The dataset of a file of the ledger.
async fn dataset_of(
    sink: &Sink,
    datasets: &[Arc<Dataset>],
    file: &FileRecord,
) -> Result<Arc<Dataset>, SyncError> {
    let name = file.dataset.as_deref().unwrap_or_default();
    let market = file.market.as_deref().unwrap_or_default();
    if let Some(dataset) = datasets.iter().find(|dataset| dataset.name == name) {
        return Ok(dataset.of_market(market));
    }
    // One that was made for the path.
    let made = datasets.iter().filter_map(|dataset| dataset.for_path(&file.path));
    let made = made.map(|(dataset, _)| dataset).find(|dataset| dataset.name == name);
    if let Some(dataset) = made
        && let Some((table, key)) = sink.tables.made_table(&dataset).await?
    {
        return Ok(Arc::new(dataset.settled(&table, &KeyColumns::one(&key))));
    }
    Err(SyncError::Configuration(format!(
        "{} belongs to the dataset `{name}`, which is not configured; configure it again to undo the file",
        file.path
    )))
}

/// Begins to undo these files. Nothing else may be at work.
///
/// # Errors
///
/// When the database fails or the lease is lost.
pub async fn begin_undo(session: &Session, files: &[AppliedFile]) -> Result<(), SyncError> {
    let ids: Vec<i64> = files.iter().map(|applied| applied.file.id).collect();
    session.sink.ledger.begin_undo(&ids, now_ms()).await?;
    fail::fail_point!("after_undo_begin", |_| std::process::abort());
    Ok(())
}

/// Ends every undo that has begun. Marts are to be refreshed afterwards.
///
/// # Errors
///
/// When the database fails, the lease is lost, or the process is to end.
pub async fn end_undos(session: &Session) -> Result<(), SyncError> {
    for applied in session.sink.ledger.unfinished_undos().await? {
        let dataset = dataset_of(&session.sink, &session.config.datasets, &applied.file).await?;
        undo_file(session, &applied.file, &dataset).await?;
        tracing::warn!(path = applied.file.path, file_id = applied.file.id, "file undone");
    }
    Ok(())
}

async fn undo_file(
    session: &Session,
    file: &FileRecord,
    dataset: &Dataset,
) -> Result<(), SyncError> {
    let sink = &session.sink;
    let go_on = || {
        moved();
        if session.shutdown.is_cancelled() { Err(SyncError::Stopped) } else { Ok(()) }
    };
    while sink.restore_versions(file, dataset).await? > 0 {
        go_on()?;
    }
    let mut after = String::new();
    while let Some(last) = sink.remove_brought(file, dataset, &after).await? {
        after = last;
        go_on()?;
    }
    sink.undo_rejects(file).await?;
    if file.corrects.is_some() {
        // Its rows are missing again in the export that it corrected.
        for export in sink.ledger.exports_without_note(file).await? {
            let unknown = sink.ledger.unknown_records_of(export, FIRST_ROWS_MAX).await?;
            if let Some(note) = note_of_unknown(&unknown) {
                sink.ledger.set_note(export, &note).await?;
            }
        }
    }
    sink.end_undo(file, dataset).await?;
    session.checkpoints.remove(file.id);
    Ok(())
}
