//! Sync: the way of one file, from its path to its rows and marts. Read this first.

pub mod alarms;
pub mod archive;
pub mod checkpoint;
pub mod correction;
pub mod delete;
pub mod explain;
pub mod look;
pub mod pipeline;
pub mod precedence;
pub mod quarantine;
pub mod report;
pub(crate) mod rule_pass;
pub mod session;
mod shared_table;
pub mod take;
pub mod touched_keys;
pub mod undo;
pub mod unmatched;
pub mod write;

use crate::error::SyncError;
use crate::process::clock::{millis, now_ms};
use crate::process::progress::step;
use crate::process::turns::Turn;
use crate::sink::ledger::file_state::FileState;
use crate::source::find::scan::SourceFile;
use crate::source::unchanged::skips::Skips;
use crate::sync::alarms::check_rules;
use crate::sync::archive::put_away;
use crate::sync::correction::correction;
use crate::sync::delete::delete_unmentioned;
use crate::sync::look::{header_of, look};
use crate::sync::report::{
    FIRST_ROWS_MAX, FileReport, Outcome, note_of_unknown, report, warning_of_stale,
};
use crate::sync::session::Session;
use crate::sync::shared_table::check_owners;
use crate::sync::take::{Claim, take};
use crate::sync::unmatched::{list_unmatched, settle_dataset};
use crate::sync::write::{Written, write_chunks};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long indexes and marts wait for a file that is still being hashed. A gigabyte takes seconds;
/// a larger file may take hours, or turn out to be unchanged.
const TAKING_AWAITED_MAX: Duration = Duration::from_secs(5);

/// Syncs one file: its rows, deletions, indexes and marts.
///
/// # Errors
///
/// [`SyncError::verdict`] says what becomes of each.
pub async fn sync_file(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
) -> Result<FileReport, SyncError> {
    let started = Instant::now();
    if let Some(reason) = &source_file.refusal {
        return Err(SyncError::damaged(reason.as_str()));
    }
    let Some((dataset, route)) = &source_file.route else {
        return list_unmatched(session, turn, source_file, started).await;
    };
    let dataset = &settle_dataset(session, turn, source_file, dataset).await?;
    // Hold off index creation until this file is loaded; a smaller file in parallel must not build
    // them first.
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
        Claim::Unchanged(file) => {
            put_away(session, source_file).await?;
            return Ok(report(source_file, &file, Outcome::Unchanged, started));
        }
        Claim::Quarantined(file) => {
            return Ok(report(source_file, &file, Outcome::Quarantined, started));
        }
        Claim::PutAside(file) => {
            return Ok(report(source_file, &file, Outcome::of_put_aside(file.state), started));
        }
        Claim::Held(file) => return Ok(report(source_file, &file, Outcome::Held, started)),
        Claim::ToSync(taken) => *taken,
    };
    let taken_ms = millis(started.elapsed());
    let number_forms = session.sink.ledger.number_forms(&dataset.name, &route.market).await?;
    let dataset = &Arc::new(dataset.with_number_forms(number_forms));
    step("looking at it");
    let (mut surveyed, mut skips, company) = look(session, taken, dataset).await?;
    check_owners(session, &surveyed, dataset).await?;
    let looked_ms = millis(started.elapsed()) - taken_ms;
    tracing::debug!(file_id = surveyed.file.id, taken_ms, looked_ms, "file looked at");
    let correction = correction(session, source_file, &mut surveyed, dataset).await?.map(Arc::new);
    step("giving its tables new columns");
    surveyed.record_number_forms(session, dataset).await?;
    let dataset = &Arc::new(dataset.with_proofs(&surveyed.survey.numbers.proved));
    let evolved = session
        .sink
        .evolve(&surveyed.layout, dataset, surveyed.file.id, now_ms(), &company)
        .await?;
    if evolved.has_widened {
        // A column became wider, so values that were rescued in the last export may fit now: read
        // every record again.
        skips = Skips::default();
    }
    // Another market may have added the same column in the meantime, with another kind.
    Arc::make_mut(&mut surveyed.layout).adopt_kinds(dataset, &session.sink.tables.shapes());
    let may_have_rejects = surveyed.survey.rows_rejected > 0 || dataset.has_refusing_rules();
    if may_have_rejects && surveyed.file.header.is_none() {
        let header = header_of(&surveyed, source_file);
        session.sink.ledger.set_header(surveyed.file.id, &header).await?;
    }
    step("writing its rows");
    let Written { mut file, records_disagreeing, is_newest, index, faults } = write_chunks(
        session,
        &surveyed,
        skips,
        dataset,
        correction.clone(),
        company,
        &evolved.kinds_stay,
    )
    .await?;
    drop(filling);
    let indexes_started = Instant::now();
    step("making indexes");
    session.sink.tables.make_indexes().await?;
    tracing::debug!(
        file_id = file.id,
        elapsed_ms = millis(indexes_started.elapsed()),
        "indexes are there"
    );
    step("deleting what it does not mention");
    // Delete after the file's own rows are written, so that a crash never leaves a record out.
    let held = match is_newest {
        true => delete_unmentioned(session, &surveyed, dataset, &mut file).await?,
        false => None,
    };
    let (state, outcome) = match held {
        Some(_) => (FileState::Held, Outcome::Held),
        None => (FileState::Synced, Outcome::Synced),
    };
    let unknown =
        note_of_unknown(&session.sink.ledger.unknown_records_of(file.id, FIRST_ROWS_MAX).await?);
    let (note, closes_none) = match &correction {
        Some(correction) => (correction.note.clone(), correction.closes_none.clone()),
        None => (None, None),
    };
    let error = [held, unknown, note].into_iter().flatten().collect::<Vec<_>>().join("; ");
    file.error = (!error.is_empty()).then_some(error);
    if let Some(index) = index {
        surveyed.leave_index(session, dataset, index).await?;
    }
    drop(evolved.kinds_stay);
    // Measured apart from the refresh, because this may wait for another file.
    session.sink.marts.make_indexes_for_marts(Some(&at_work)).await?;
    let refresh_started = Instant::now();
    step("refreshing the marts");
    session.sink.marts.refresh_marts(Some(&at_work)).await?;
    let marts_ms = millis(refresh_started.elapsed());
    step("checking its rules");
    let faults = surveyed.rule_pass.as_ref().map_or(faults, |pass| pass.faults.clone());
    let (alarms, rules) = check_rules(session, &file, dataset, &faults).await?;
    fail::fail_point!("before_finish", |_| std::process::abort());
    session.sink.finish_file(&file, state, is_newest, &alarms, now_ms()).await?;
    session.checkpoints.remove(file.id);
    if outcome == Outcome::Synced {
        put_away(session, source_file).await?;
    }
    let warning = match closes_none {
        None => warning_of_stale(session, &file).await?,
        warning => warning,
    };
    Ok(FileReport {
        records_disagreeing,
        marts_ms,
        warning,
        rules,
        ..report(source_file, &file, outcome, started)
    })
}
