//! Sync: what becomes of one file. Read this first.

pub mod archive;
pub mod checkpoint;
pub mod correction;
pub mod delete;
pub mod look;
pub mod pipeline;
pub mod precedence;
pub mod quarantine;
pub mod report;
pub mod session;
mod shared_table;
pub mod take;
pub mod touched_keys;
pub mod unmatched;
pub mod write;

use crate::error::SyncError;
use crate::process::clock::{millis, now_ms};
use crate::process::progress::step;
use crate::process::turns::Turn;
use crate::sink::ledger::files::FileState;
use crate::source::find::scan::SourceFile;
use crate::source::unchanged::skips::Skips;
use crate::sync::archive::put_away;
use crate::sync::correction::correction;
use crate::sync::delete::delete_unmentioned;
use crate::sync::look::{header_of, look};
use crate::sync::report::{FIRST_ROWS_MAX, FileReport, Outcome, note_of_unknown, report, warning_of_stale};
use crate::sync::session::Session;
use crate::sync::shared_table::check_owners;
use crate::sync::take::{Taken, take};
use crate::sync::unmatched::{list_unmatched, settle_dataset};
use crate::sync::write::{Written, write_chunks};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long indexes and marts wait for a file that is yet to be hashed: a gigabyte takes seconds, and beyond that a file
/// may take hours, or never turn out to be one that is written.
const TAKING_AWAITED_MAX: Duration = Duration::from_secs(5);

/// Brings the tables to what a file says.
///
/// # Errors
///
/// [`SyncError::verdict`] says what becomes of each.
pub async fn sync_file(session: &Session, turn: &Turn, source_file: &SourceFile) -> Result<FileReport, SyncError> {
    let started = Instant::now();
    let Some((dataset, route)) = &source_file.route else {
        return list_unmatched(session, turn, source_file, started).await;
    };
    let dataset = &settle_dataset(session, turn, source_file, dataset).await?;
    // From here on: a smaller file beside this one would else make the indexes just before this one fills the table.
    let mut filling = session.sink.tables.start_filling(dataset, &route.market);
    let mut at_work = session.sink.marts.start_work(&route.market, &dataset.table);
    let mut taking = pin!(take(session, turn, source_file, dataset, route));
    let taken = match timeout(TAKING_AWAITED_MAX, &mut taking).await {
        Ok(taken) => taken?,
        Err(_) => {
            drop((filling, at_work));
            let taken = taking.await?;
            filling = session.sink.tables.start_filling(dataset, &route.market);
            at_work = session.sink.marts.start_work(&route.market, &dataset.table);
            taken
        }
    };
    let taken = match taken {
        Taken::Unchanged(file) => {
            put_away(&session.config, source_file);
            return Ok(report(source_file, &file, Outcome::Unchanged, started));
        }
        Taken::Quarantined(file) => return Ok(report(source_file, &file, Outcome::Quarantined, started)),
        Taken::Held(file) => return Ok(report(source_file, &file, Outcome::Held, started)),
        Taken::Work(taken) => *taken,
    };
    let taken_ms = millis(started.elapsed());
    step("looking at it");
    let (mut surveyed, mut skips, company) = look(session, taken, dataset).await?;
    check_owners(session, &surveyed, dataset).await?;
    let looked_ms = millis(started.elapsed()) - taken_ms;
    tracing::debug!(file_id = surveyed.file.id, taken_ms, looked_ms, "file looked at");
    let correction = correction(session, source_file, &mut surveyed, dataset).await?.map(Arc::new);
    step("giving its tables new columns");
    let evolved = session.sink.evolve(&surveyed.layout, dataset, surveyed.file.id, now_ms()).await?;
    if evolved.has_widened {
        // What did not fit its column in the last export, because the column could not take another kind then, may fit now.
        skips = Skips::default();
    }
    // Another market may have brought the same column meanwhile, and its values decided what it holds.
    Arc::make_mut(&mut surveyed.layout).adopt_kinds(dataset, &session.sink.tables.shapes());
    if surveyed.survey.rows_rejected > 0 && surveyed.file.header.is_none() {
        session.sink.ledger.set_header(surveyed.file.id, &header_of(&surveyed)).await?;
    }
    step("writing its rows");
    let Written { mut file, records_disagreeing, is_newest, index } =
        write_chunks(session, &surveyed, skips, dataset, correction.clone(), company).await?;
    drop(filling);
    let indexes_started = Instant::now();
    step("making indexes");
    session.sink.tables.make_indexes().await?;
    tracing::debug!(file_id = file.id, elapsed_ms = millis(indexes_started.elapsed()), "indexes are there");
    step("deleting what it does not mention");
    // After the file's own rows: a record is only deleted once all that the file mentions are there.
    let held = match is_newest {
        true => delete_unmentioned(session, &surveyed, dataset, &mut file).await?,
        false => None,
    };
    let (state, outcome) = match held {
        Some(_) => (FileState::Held, Outcome::Held),
        None => (FileState::Synced, Outcome::Synced),
    };
    let unknown = note_of_unknown(&session.sink.ledger.unknown_records_of(file.id, FIRST_ROWS_MAX).await?);
    let note = correction.and_then(|correction| correction.note.clone());
    let error = [held, unknown, note].into_iter().flatten().collect::<Vec<_>>().join("; ");
    file.error = (!error.is_empty()).then_some(error);
    if let Some(index) = index {
        surveyed.leave_index(session, dataset, index).await?;
    }
    drop(evolved.kinds_stay);
    // Apart from the refresh: the time goes to the file that is waited for.
    session.sink.marts.make_indexes_for_marts(Some(&at_work)).await?;
    let refresh_started = Instant::now();
    step("refreshing the marts");
    session.sink.marts.refresh_marts(Some(&at_work)).await?;
    let marts_ms = millis(refresh_started.elapsed());
    session.sink.finish_file(&file, state, is_newest, now_ms()).await?;
    session.checkpoints.remove(file.id);
    if outcome == Outcome::Synced {
        put_away(&session.config, source_file);
    }
    let warning = warning_of_stale(session, &file).await?;
    Ok(FileReport { records_disagreeing, marts_ms, warning, ..report(source_file, &file, outcome, started) })
}
