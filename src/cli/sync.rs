//! `tidegate sync`: files or directories, once.

use crate::cli::logging::{OF_COMMAND, complain, start_logging};
use crate::cli::print::{counted, grouped, plural};
use crate::cli::signals::{Hangup, cancel_on_signal};
use crate::cli::{CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json};
use crate::config::Config;
use crate::dispatch::daemon::{DRAIN_MAX, FAREWELL_MAX, keep_lease, say_farewell, unless_stopped};
use crate::dispatch::lanes::{LaneEnd, lanes_of, sync_lane};
use crate::dispatch::retry::{Patience, open_sink, patiently};
use crate::dispatch::vanished::note_vanished;
use crate::error::SyncError;
use crate::process::progress::Board;
use crate::process::turns::Turns;
use crate::sink::ledger::files::{FileRecord, FileState};
use crate::sink::marts::summary::Revenue;
use crate::source::find::blind_spots::{BlindSpots, Places};
use crate::source::find::scan::{SourceFile, scan};
use crate::source::unchanged::record_index::RecordIndexes;
use crate::sync::checkpoint::Checkpoints;
use crate::sync::report::{FileReport, Outcome};
use crate::sync::session::{Session, clear_up};
use clap::Args;
use rust_decimal::Decimal;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct SyncArguments {
    /// Files, or directories with everything below them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn execute(shared: &Shared, own: &SyncArguments) -> Result<Exit, CommandError> {
    let config = Config::load(&shared.overrides())?;
    // What was done is printed to the standard output; logs only tell what is wrong.
    start_logging(&config, OF_COMMAND)?;
    let found = find(&own.paths, &config)?;
    let runtime = runtime(&config)?;
    let result = runtime.block_on(sync(config, found, shared.json));
    runtime.shutdown_timeout(THREADS_GRACE);
    result
}

/// What the paths of a command line name.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files.
    pub files: Vec<SourceFile>,
    /// What cannot be read, and is passed by.
    pub unread: Places,
    /// The folders that were looked through.
    pub folders: Vec<PathBuf>,
}

pub(super) fn find(paths: &[PathBuf], config: &Config) -> Result<Found, CommandError> {
    let mut found = Found::default();
    for path in paths {
        let unreadable = |error| CommandError::Usage(format!("cannot read {}: {error}", path.display()));
        // One file has one path in the ledger, however it was named on the command line.
        let path = path.canonicalize().map_err(unreadable)?;
        if path.is_dir() {
            let BlindSpots { unread, .. } =
                scan(&Arc::from(path.as_path()), &config.datasets, &config.own_dirs_below(&path), None, &mut |file| {
                    found.files.push(file);
                    true
                });
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

/// What is named is wanted: to leave it out in silence would look like a success.
fn named_file(path: &Path, config: &Config) -> Result<SourceFile, CommandError> {
    let folder = path.parent().unwrap_or(path);
    SourceFile::at(&Arc::from(folder), path, &config.datasets).ok_or_else(|| {
        let why = "its name is hidden or temporary, or it is no ordinary file; rename it";
        CommandError::Usage(format!("cannot take {}: {why}", path.display()))
    })
}

/// Syncs these files; what the ledger says of files that are gone from the folders is noted.
pub(super) async fn sync(config: Config, found: Found, is_json: bool) -> Result<Exit, CommandError> {
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown, Hangup::Ends)?;
    let patience = Patience::Limited(config.database_wait);
    let checkpoints = Checkpoints::open(&config.state_dir)?;
    let indexes = RecordIndexes::of(&config.state_dir);
    let opening = unless_stopped(open_sink(&config, patience, &shutdown), &shutdown).await?;
    let sink = Arc::new(opening.ok_or(SyncError::Stopped)?);
    let (config, turns, board) = (Arc::new(config), Turns::default(), Board::default());
    let session = Session { config, sink: Arc::clone(&sink), checkpoints, indexes, turns, board, shutdown };
    let keeper = tokio::spawn(keep_lease(session.clone()));
    let result = sync_all(&session, found, patience, is_json).await;
    keeper.abort();
    say_farewell(&sink).await;
    result
}

async fn sync_all(
    session: &Session,
    Found { files, unread, folders }: Found,
    patience: Patience,
    is_json: bool,
) -> Result<Exit, CommandError> {
    let clearing_up = patiently(patience, &session.shutdown, async || clear_up(session).await);
    unless_stopped(clearing_up, &session.shutdown).await?.ok_or(SyncError::Stopped)?;
    for folder in &folders {
        patiently(patience, &session.shutdown, async || note_vanished(session, folder).await).await?;
    }
    let mut lanes = JoinSet::new();
    for (lane, files) in lanes_of(files) {
        lanes.spawn(sync_lane(session.clone(), lane, files, patience));
    }
    let mut reports: Vec<FileReport> = Vec::new();
    let mut left: Vec<String> = Vec::new();
    let mut fatal = None;
    while let Some(end) = next_end(&mut lanes, &session.shutdown).await {
        let end = end.map_err(|panic| SyncError::Internal(panic.to_string()))?;
        fatal = fatal.or(end.fatal);
        for (file, mut report) in end.files {
            if let Some(report) = report.as_mut().filter(|report| report.outcome == Outcome::Held) {
                let file = session.sink.ledger.newest_file(&report.path).await?;
                file.iter().for_each(|file| release(report, file));
            }
            match &report {
                Some(report) if !is_json => print_report(report),
                Some(_) => {}
                None => {
                    left.push(file.path_text());
                    complain(format_args!("{} changed while it was read; sync it again", file.path.display()));
                }
            }
            reports.extend(report);
        }
    }
    if let Some(error) = fatal.or_else(|| session.shutdown.is_cancelled().then_some(SyncError::Stopped)) {
        // The keeper of the lease stops the work when it is lost; then this says so.
        let kept = tokio::time::timeout(FAREWELL_MAX, session.sink.db.keep_lease()).await;
        let is_lost = matches!((&error, kept), (SyncError::Stopped, Ok(Err(SyncError::LeaseLost))));
        return Err(if is_lost { SyncError::LeaseLost } else { error }.into());
    }
    let summary = patiently(patience, &session.shutdown, async || session.sink.marts.summary().await);
    let revenues = unless_stopped(summary, &session.shutdown).await?.ok_or(SyncError::Stopped)?;
    if is_json {
        say_json(&json!({ "files": reports, "left": left, "markets": revenues, "unread": unread }));
    } else {
        print_summary(&revenues);
    }
    let is_bad = |report: &FileReport| matches!(report.outcome, Outcome::Quarantined | Outcome::Held | Outcome::Failed);
    let is_whole = left.is_empty() && unread.count == 0 && !reports.iter().any(is_bad);
    Ok(if is_whole { Exit::Done } else { Exit::FilesFailed })
}

/// A later file of the lane may have superseded one that was held: then nothing is left to approve.
fn release(report: &mut FileReport, file: &FileRecord) {
    if file.state == FileState::Synced {
        report.outcome = Outcome::Synced;
        report.error.clone_from(&file.error);
    }
}

/// The next lane that ends. Once the work is to stop, a lane has only so long for the chunk in hand.
async fn next_end(
    lanes: &mut JoinSet<LaneEnd>,
    shutdown: &CancellationToken,
) -> Option<Result<LaneEnd, tokio::task::JoinError>> {
    tokio::select! {
        end = lanes.join_next() => end,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN_MAX).await } => None,
    }
}

pub(super) fn print_report(report: &FileReport) {
    let dataset = report.dataset.as_deref().unwrap_or("-");
    let name = &report.name;
    let counts = &report.counts;
    match report.outcome {
        Outcome::Synced => say(format_args!(
            "{dataset:<11} {name:<42}  +{} ~{} −{} ={} !{}  {:.1} s{}{}{}",
            grouped(counts.new),
            grouped(counts.modified),
            grouped(counts.deleted),
            grouped(counts.unchanged),
            grouped(counts.rejected),
            report.elapsed_ms as f64 / 1000.0,
            stale(counts.stale),
            report.warning.as_ref().map(|warning| format!("  warning: {warning}")).unwrap_or_default(),
            report.error.as_ref().map(|note| format!("  {note}")).unwrap_or_default()
        )),
        Outcome::Held => {
            say(format_args!(
                "{dataset:<11} {name:<42}  +{} ~{} −{} ={} !{}  {:.1} s{}  held: {}",
                grouped(counts.new),
                grouped(counts.modified),
                grouped(counts.deleted),
                grouped(counts.unchanged),
                grouped(counts.rejected),
                report.elapsed_ms as f64 / 1000.0,
                stale(counts.stale),
                report.error.as_deref().unwrap_or("no reason is known")
            ));
        }
        Outcome::Unchanged => say(format_args!("{dataset:<11} {name:<42}  unchanged")),
        outcome => {
            let reason = report.error.as_deref().unwrap_or("no reason is known");
            say(format_args!("{dataset:<11} {name:<42}  {}: {reason}", format!("{outcome:?}").to_lowercase()));
        }
    }
}

/// Table rows that lost to a newer file, where there are any.
pub(super) fn stale(rows: u64) -> String {
    if rows == 0 { String::new() } else { format!("  <{}", grouped(rows)) }
}

fn print_summary(revenues: &[Revenue]) {
    for revenue in revenues {
        say(format_args!(
            "\nmarket {}: {} {} from {}; top customers",
            revenue.market,
            money(revenue.total_amount),
            revenue.currency_symbol,
            counted(u64::try_from(revenue.orders_count).unwrap_or(0), "order")
        ));
        for customer in &revenue.top_customers {
            say(format_args!(
                "  {:<12} {:>16} {}  {:>4} {}",
                customer.customer_id,
                money(customer.total_amount),
                revenue.currency_symbol,
                customer.orders_count,
                plural(customer.orders_count.unsigned_abs(), "order")
            ));
        }
    }
}

fn money(amount: Decimal) -> String {
    let text = format!("{:.2}", amount.round_dp(2));
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    format!("{sign}{}.{cents}", grouped(digits.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_grouped() {
        assert_eq!(money("31539596.44".parse().expect("a decimal")), "31,539,596.44");
        assert_eq!(money("-1234.5".parse().expect("a decimal")), "-1,234.50");
    }
}
