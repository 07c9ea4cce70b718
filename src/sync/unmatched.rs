//! Unmatched: files whose path matches no dataset. Each still gets a line in the ledger, or its own
//! table if the configuration says so.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::record_key::KeyColumns;
use crate::feed::stamp::Stamp;
use crate::process::clock::now_ms;
use crate::process::turns::Turn;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::{FileRecord, NewFile};
use crate::source::find::scan::SourceFile;
use crate::source::survey::first_columns;
use crate::source::text::content::Content;
use crate::source::text::read_text;
use crate::sync::report::{FileReport, Outcome, report};
use crate::sync::session::{Session, blocking};
use crate::sync::take::{hash_in_turn, is_put_aside, new_file, note_put_aside, note_stamp};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Lists one file in the ledger, or stores its new stamp.
///
/// # Errors
///
/// When the file cannot be read, or the database fails.
pub async fn list_unmatched(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
    started: Instant,
) -> Result<FileReport, SyncError> {
    let newest = session.sink.ledger.newest_file(&source_file.path_text()).await?;
    let (content, sha256) = hash_in_turn(session, turn, source_file).await?;
    if let Some(file) = newest.as_ref().filter(|file| file.sha256 == sha256 && is_put_aside(file)) {
        note_put_aside(&session.sink, file, "", content.stamp()).await?;
        return Ok(report(source_file, file, Outcome::of_put_aside(file.state), started));
    }
    let file =
        match newest.filter(|file| file.sha256 == sha256 && file.state == FileState::Unmatched) {
            Some(file) => {
                note_stamp(&session.sink, &file, content.stamp()).await?;
                file
            }
            None => {
                session
                    .sink
                    .ledger
                    .add_file(&unmatched(source_file, sha256, content.stamp()), now_ms())
                    .await?
            }
        };
    Ok(report(source_file, &file, Outcome::Unmatched, started))
}

/// Gives a dataset that was made for a file its table and key, existing or new. Returns any other
/// dataset as it is.
///
/// # Errors
///
/// When the file cannot be read, or the database fails.
pub async fn settle_dataset(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
    dataset: &Arc<Dataset>,
) -> Result<Arc<Dataset>, SyncError> {
    if !dataset.is_made {
        return Ok(Arc::clone(dataset));
    }
    if let Some((table, key)) = session.sink.tables.made_table(dataset).await? {
        return Ok(Arc::new(dataset.settled(&table, &KeyColumns::one(&key))));
    }
    let config = Arc::clone(&session.config);
    let keyless = Arc::new(dataset.settled(&dataset.table, &KeyColumns::row_hash()));
    let of_file = Arc::clone(&keyless);
    // Hashing also detects the encoding.
    let (content, _) = hash_in_turn(session, turn, source_file).await?;
    let columns = blocking(move || {
        let text = read_text(content, &of_file, None, &config.limits, &config.state_dir)?;
        first_columns(&text, &of_file, &config.limits)
    });
    let has_key = match columns.await {
        Ok(columns) => dataset.key.lacking_in(&columns).is_none(),
        // A damaged file is reported when the survey reads all of it.
        Err(SyncError::Damaged { .. }) => false,
        Err(error) => return Err(error),
    };
    let table = session.sink.free_table(dataset).await?;
    let key = if has_key { &dataset.key } else { &keyless.key };
    Ok(Arc::new(dataset.settled(&table, key)))
}

/// Lists all files that are new to the ledger in one transaction, because thousands at once are
/// mostly new. [`list_unmatched`] takes the rest.
///
/// # Errors
///
/// When the database fails.
pub async fn list_new_unmatched(
    session: &Session,
    turn: &Turn,
    source_files: &[SourceFile],
) -> Result<HashMap<PathBuf, FileReport>, SyncError> {
    let started = Instant::now();
    let paths = source_files.iter().map(SourceFile::path_text).collect();
    let known = session.sink.ledger.newest_files_at(paths).await?;
    let unknown: Vec<SourceFile> = source_files
        .iter()
        .filter(|file| file.refusal.is_none() && !known.contains_key(&file.path_text()))
        .cloned()
        .collect();
    let config = Arc::clone(&session.config);
    let read = turn.hash(blocking(move || Ok(read_all(unknown, &config.limits)))).await?;
    let new_files: Vec<NewFile> = read.iter().map(|(_, new_file)| new_file.clone()).collect();
    let records = session.sink.ledger.add_files(&new_files, now_ms()).await?;
    let listed = read.iter().filter_map(|(source_file, new_file)| {
        let record: &FileRecord = records.get(&new_file.path)?;
        Some((source_file.path.clone(), report(source_file, record, Outcome::Unmatched, started)))
    });
    Ok(listed.collect())
}

/// Files that can be read as they are.
fn read_all(source_files: Vec<SourceFile>, limits: &Limits) -> Vec<(SourceFile, NewFile)> {
    let read = source_files.into_iter().filter_map(|source_file| {
        let mut content = Content::open(&source_file.root, &source_file.path, limits).ok()?;
        let sha256 = content.hash().ok()?;
        let new_file = unmatched(&source_file, sha256, content.stamp());
        Some((source_file, new_file))
    });
    read.collect()
}

fn unmatched(source_file: &SourceFile, sha256: String, stamp: Stamp) -> NewFile {
    NewFile {
        version_ms: source_file.version(now_ms()).ms,
        state: FileState::Unmatched,
        error: Some(source_file.unmatched_reason.clone().unwrap_or_else(|| {
            "no dataset's paths match it; rename it, or add a pattern to the profile".to_owned()
        })),
        ..new_file(source_file.path_text(), sha256, stamp)
    }
}
