//! Retry: waits for a database that is away, with backoff and jitter, and records the state of a
//! file that failed. This is the only place where anything is tried again.

use crate::config::Config;
use crate::error::{SyncError, Verdict};
use crate::process::clock::{millis, now_ms};
use crate::process::turns::Turn;
use crate::sink::Sink;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::{FileRecord, NewFile, UNHASHED};
use crate::source::find::scan::SourceFile;
use crate::sync::report::{FileReport, Outcome, report};
use crate::sync::session::Session;
use crate::sync::take::{new_file, note_stamp};
use crate::sync::{quarantine, sync_file};
use backon::{BackoffBuilder, ExponentialBuilder};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// First and longest pause between two attempts. Jitter makes each pause up to twice as long, so
/// that many daemons do not return to a server at the same moment. Longer pauses would hardly help
/// a server that is away, and would delay the work once it is back.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// How long a file waits for the database until the health check says so. Shorter waits are
/// ordinary: a deadlock is over at the next attempt.
const WAIT_UNSAID_MAX: Duration = Duration::from_secs(2);

/// How long to wait for a database that is away.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Wait until the database is back.
    Endless,
    /// Give up after this long without a success.
    Limited(Duration),
}

/// What to do with a file after an attempt.
#[derive(Debug)]
pub enum Tried {
    /// The file is done: synced, failed, quarantined or held.
    Ended(Box<FileReport>),
    /// The file changed while it was read: look at it again when it has settled.
    Later,
}

/// Opens the database; waits while it is away.
///
/// # Errors
///
/// When waiting does not help, or the patience ends.
pub async fn open_sink(
    config: &Config,
    patience: Patience,
    shutdown: &CancellationToken,
) -> Result<Sink, SyncError> {
    patiently(patience, shutdown, async || Box::pin(Sink::open(config, shutdown)).await).await
}

/// Asks the database something, and tries again while it is away.
///
/// # Errors
///
/// When waiting does not help, or the patience ends.
pub async fn patiently<T>(
    patience: Patience,
    shutdown: &CancellationToken,
    ask: impl AsyncFn() -> Result<T, SyncError>,
) -> Result<T, SyncError> {
    let mut pauses = Pauses::new(patience);
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => pauses.after(error, None, shutdown).await?,
        }
    }
}

/// Asks which version of each path was taken last, and tries again while the database is away.
///
/// # Errors
///
/// When waiting does not help, or the patience ends.
pub async fn last_taken_patiently(
    session: &Session,
    paths: &[String],
    patience: Patience,
) -> Result<HashMap<String, FileRecord>, SyncError> {
    // This does not use `patiently`: with it, the compiler cannot prove that the future of a lane
    // is `Send`.
    let mut pauses = Pauses::new(patience);
    loop {
        match session.sink.ledger.last_taken_files_at(paths).await {
            Ok(taken) => return Ok(taken),
            Err(error) => pauses.after(error, None, &session.shutdown).await?,
        }
    }
}

/// Syncs a file, and tries again while the database is away.
///
/// # Errors
///
/// When the process cannot continue.
pub async fn sync_patiently(
    session: &Session,
    turn: &Arc<Turn>,
    source_file: &SourceFile,
    patience: Patience,
) -> Result<Tried, SyncError> {
    let tried = sync_until_done(session, turn, source_file, patience).await;
    session.sink.db.note_end(&source_file.path);
    tried
}

async fn sync_until_done(
    session: &Session,
    turn: &Arc<Turn>,
    source_file: &SourceFile,
    patience: Patience,
) -> Result<Tried, SyncError> {
    let started = Instant::now();
    let mut pauses = Pauses::new(patience);
    loop {
        let error = match sync_contained(session, turn, source_file).await {
            Ok(report) => return Ok(Tried::Ended(Box::new(report))),
            Err(error) => error,
        };
        match error.verdict() {
            Verdict::Retry => {
                match pauses.after_failed_write(error, session, source_file).await {
                    Ok(()) => {}
                    // Only this file fails: another one may need less disk space.
                    Err(error @ (SyncError::Spool { .. } | SyncError::Read { .. })) => {
                        return Ok(Tried::Ended(Box::new(
                            give_up(session, source_file, &error, started).await?,
                        )));
                    }
                    Err(error) => return Err(error),
                }
            }
            Verdict::Rescan => {
                tracing::info!(path = %source_file.path.display(), reason = %error, "file left for later");
                return Ok(Tried::Later);
            }
            Verdict::Fatal => return Err(error),
            Verdict::Quarantine | Verdict::Fail => {
                // The state of the file is written to the same database, which may be away by now.
                match give_up(session, source_file, &error, started).await {
                    Ok(report) => return Ok(Tried::Ended(Box::new(report))),
                    Err(away) if matches!(away.verdict(), Verdict::Retry | Verdict::Fatal) => {
                        pauses.after_failed_write(away, session, source_file).await?;
                    }
                    // The ledger refused the state, but an error of one file is no reason to stop.
                    Err(refused) => {
                        tracing::error!(reason = %refused, "the ledger did not take the state of a file");
                        let report = unknown_report(
                            source_file,
                            Outcome::Failed,
                            error.to_string(),
                            started,
                        );
                        return Ok(Tried::Ended(Box::new(report)));
                    }
                }
            }
        }
    }
}

/// Syncs a file in a task of its own, so that a panic fails the file and not the process.
async fn sync_contained(
    session: &Session,
    turn: &Arc<Turn>,
    source_file: &SourceFile,
) -> Result<FileReport, SyncError> {
    let entry = session.board.begin(&source_file.path);
    let (session, turn, source_file) = (session.clone(), Arc::clone(turn), source_file.clone());
    let work = entry.work();
    let syncing =
        tokio::spawn(work.scope(async move { sync_file(&session, &turn, &source_file).await }));
    syncing.await.unwrap_or_else(|panic| Err(SyncError::Internal(panic.to_string())))
}

async fn give_up(
    session: &Session,
    source_file: &SourceFile,
    error: &SyncError,
    started: Instant,
) -> Result<FileReport, SyncError> {
    let (state, outcome) = match error.verdict() {
        Verdict::Quarantine => (FileState::Quarantined, Outcome::Quarantined),
        _ => (FileState::Failed, Outcome::Failed),
    };
    let reason = error.to_string();
    let newest = session.sink.ledger.newest_file(&source_file.path_text()).await?;
    let mut file = match newest {
        Some(file) if file.state == FileState::Syncing => file,
        // The file failed before it got a ledger line.
        newest if matches!(error, SyncError::Read { .. } | SyncError::Damaged { .. }) => {
            let (file, is_old_news) =
                list_unhashed(session, source_file, newest, state, &reason).await?;
            return Ok(FileReport { is_old_news, ..report(source_file, &file, outcome, started) });
        }
        _ => return Ok(unknown_report(source_file, outcome, reason, started)),
    };
    if state == FileState::Quarantined {
        file.rules_digest = match error {
            SyncError::Refused { .. } => quarantine::BY_DATABASE.to_owned(),
            _ => quarantine::rules(&file.rules_digest, &session.config),
        };
    }
    session
        .sink
        .ledger
        .set_state(file.id, state, &file.rules_digest, Some(&reason), now_ms())
        .await?;
    session.checkpoints.remove(file.id);
    file.error = Some(reason);
    Ok(report(source_file, &file, outcome, started))
}

/// Logs and records a file that keeps changing and is passed by: newer files of its lane no longer
/// wait for it.
pub async fn list_restless(session: &Session, source_file: &SourceFile) {
    let reason = format!(
        "it has kept changing for settle_max_ms ({}): newer files of its market no longer wait for it; it is taken \
         when it settles",
        session.config.settle_max.as_millis()
    );
    tracing::warn!(path = source_file.path_text(), reason, "file passed by");
    let listed = async {
        let newest = session.sink.ledger.newest_file(&source_file.path_text()).await?;
        list_unhashed(session, source_file, newest, FileState::Failed, &reason).await
    };
    if let Err(error) = listed.await {
        tracing::warn!(path = source_file.path_text(), reason = %error, "the ledger was not told");
    }
}

/// Gives a file whose content is unknown a ledger line with the reason. Returns the line, and
/// whether it said the same before. The line has no digest, so it never counts as known content.
async fn list_unhashed(
    session: &Session,
    source_file: &SourceFile,
    newest: Option<FileRecord>,
    state: FileState,
    reason: &str,
) -> Result<(FileRecord, bool), SyncError> {
    let route = source_file.route.as_ref();
    let fingerprint = route.map_or("", |(dataset, _)| &dataset.fingerprint);
    let new = NewFile {
        version_ms: source_file.version(now_ms()).ms,
        dataset: route.map(|(dataset, _)| dataset.name.clone()),
        market: route.map(|(_, route)| route.market.clone()),
        state,
        rules_digest: match state {
            FileState::Quarantined => quarantine::rules(fingerprint, &session.config),
            _ => fingerprint.to_owned(),
        },
        corrects: route.and_then(|(_, route)| route.corrects.clone()),
        error: Some(reason.to_owned()),
        ..new_file(source_file.path_text(), UNHASHED.to_owned(), source_file.stamp)
    };
    let is_of_it = |file: &FileRecord| {
        file.sha256 == UNHASHED
            && (file.stamp.size_bytes, &file.dataset, &file.market)
                == (new.stamp.size_bytes, &new.dataset, &new.market)
    };
    let Some(mut file) = newest.filter(is_of_it) else {
        return Ok((session.sink.ledger.add_file(&new, now_ms()).await?, false));
    };
    let is_old_news = file.state == state && file.error == new.error;
    if !is_old_news || file.rules_digest != new.rules_digest {
        session
            .sink
            .ledger
            .set_state(file.id, state, &new.rules_digest, Some(reason), now_ms())
            .await?;
    }
    note_stamp(&session.sink, &file, source_file.stamp).await?;
    file = FileRecord {
        state,
        rules_digest: new.rules_digest,
        error: new.error,
        stamp: new.stamp,
        ..file
    };
    Ok((file, is_old_news))
}

/// The report of a file that failed before it got a ledger line.
pub(crate) fn unknown_report(
    source_file: &SourceFile,
    outcome: Outcome,
    reason: String,
    started: Instant,
) -> FileReport {
    let route = source_file.route.as_ref();
    FileReport {
        path: source_file.path_text(),
        name: source_file.name(),
        dataset: route.map(|(dataset, _)| dataset.name.clone()),
        market: route.map(|(_, route)| route.market.clone()),
        outcome,
        counts: crate::chunk::Counts::default(),
        records_disagreeing: 0,
        elapsed_ms: millis(started.elapsed()),
        marts_ms: 0,
        warning: None,
        error: Some(reason),
        rules: Vec::new(),
        is_old_news: false,
    }
}

/// Growing pauses between attempts, until the patience ends.
struct Pauses {
    patience: Patience,
    /// Time of the first failure since the last success.
    away_since: Option<Instant>,
    pauses: backon::ExponentialBackoff,
}

impl Pauses {
    fn new(patience: Patience) -> Self {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .without_max_times()
            .with_jitter()
            .build();
        Self { patience, away_since: None, pauses }
    }

    /// Pauses after a passing error in the work on a file, and tells the health check if the
    /// database has been unusable for long.
    async fn after_failed_write(
        &mut self,
        error: SyncError,
        session: &Session,
        source_file: &SourceFile,
    ) -> Result<(), SyncError> {
        let db = &session.sink.db;
        let last_commit = db.last_commit();
        let is_long = self.away_since.is_some_and(|since| {
            since.elapsed() >= WAIT_UNSAID_MAX && last_commit.is_none_or(|commit| commit <= since)
        });
        if is_long && matches!(error, SyncError::Database(_) | SyncError::Unreached { .. }) {
            db.note_waiting(&source_file.path, error.to_string());
        }
        self.after(error, last_commit, &session.shutdown).await
    }

    /// Pauses after a passing error. Returns any other error, and also a passing one when the
    /// patience ends. A success since the first failure resets the pauses and the patience, because
    /// a long file may meet more than one outage.
    async fn after(
        &mut self,
        error: SyncError,
        last_success: Option<Instant>,
        shutdown: &CancellationToken,
    ) -> Result<(), SyncError> {
        if error.verdict() != Verdict::Retry {
            return Err(error);
        }
        if self.away_since.is_some_and(|since| last_success.is_some_and(|success| success > since))
        {
            *self = Self::new(self.patience);
        }
        let away_since = *self.away_since.get_or_insert_with(Instant::now);
        let rest = match self.patience {
            Patience::Endless => Duration::MAX,
            Patience::Limited(longest) => longest.saturating_sub(away_since.elapsed()),
        };
        if rest.is_zero() {
            return Err(error);
        }
        let pause = self.pauses.next().unwrap_or(PAUSE_MAX).min(rest);
        let (what, because) = error.awaited().unwrap_or_default();
        let (waited_ms, pause_ms) = (millis(away_since.elapsed()), millis(pause));
        tracing::warn!(reason = %error, because, waited_ms, pause_ms, "waiting for {what}");
        tokio::select! {
            () = shutdown.cancelled() => Err(SyncError::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// Asks something of a database that is opened read-only; waits while it is away. `None` if nothing
/// was ever synced into it.
///
/// # Errors
///
/// When the database cannot be reached in time, or refuses the connection.
pub async fn look_at_database<T>(
    config: &Config,
    ask: impl AsyncFn(&Sink) -> Result<T, SyncError>,
) -> Result<Option<T>, SyncError> {
    let patience = Patience::Limited(config.database_wait);
    patiently(patience, &CancellationToken::new(), async || {
        match Box::pin(Sink::open_read_only(config)).await? {
            Some(sink) => {
                let answer = ask(&sink).await;
                sink.db.end_connections().await?;
                answer.map(Some)
            }
            None => Ok(None),
        }
    })
    .await
}

/// Opens a database read-only; waits while it is away. `None` if nothing was ever synced into it.
/// For callers that print results while they read them, and so cannot start again.
///
/// # Errors
///
/// When the database cannot be reached in time, or refuses the connection.
pub async fn open_to_look(config: &Config) -> Result<Option<Sink>, SyncError> {
    let patience = Patience::Limited(config.database_wait);
    patiently(patience, &CancellationToken::new(), async || {
        Box::pin(Sink::open_read_only(config)).await
    })
    .await
}

/// Waits until the database works, at most `database_wait`. Creates nothing.
///
/// # Errors
///
/// [`SyncError::NoDatabase`] if the database is a file that does not exist; otherwise when it
/// cannot be reached in time, or refuses the connection.
pub async fn wait_for_database(config: &Config) -> Result<(), SyncError> {
    let patience = Patience::Limited(config.database_wait);
    patiently(patience, &CancellationToken::new(), async || crate::sink::check(config).await).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;
    use std::path::PathBuf;

    fn full_disk() -> SyncError {
        SyncError::Spool { path: PathBuf::from("spool"), source: Error::from_raw_os_error(28) }
    }

    async fn after(patience: Patience, error: SyncError) -> Result<(), SyncError> {
        Pauses::new(patience).after(error, None, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn what_waiting_does_not_help_is_given_back_at_once() {
        let damaged = SyncError::Damaged { reason: "no key".to_owned() };
        let given = after(Patience::Endless, damaged).await;
        assert!(matches!(given, Err(SyncError::Damaged { .. })), "{given:?}");
    }

    #[tokio::test]
    async fn what_passes_is_given_back_once_the_patience_ends() {
        let given = after(Patience::Limited(Duration::ZERO), full_disk()).await;
        assert!(matches!(given, Err(SyncError::Spool { .. })), "{given:?}");
        let mut pauses = Pauses::new(Patience::Limited(Duration::from_millis(300)));
        let started = Instant::now();
        let shutdown = CancellationToken::new();
        while pauses.after(full_disk(), None, &shutdown).await.is_ok() {}
        assert!(started.elapsed() >= Duration::from_millis(300));
    }

    #[tokio::test]
    async fn a_success_in_between_begins_the_patience_anew() {
        let mut pauses = Pauses::new(Patience::Limited(Duration::from_millis(150)));
        let shutdown = CancellationToken::new();
        for _ in 0..4 {
            // Longer than the patience, if it were all one outage.
            let success = Some(Instant::now());
            tokio::time::sleep(Duration::from_millis(1)).await;
            let waited = pauses.after(full_disk(), success, &shutdown).await;
            assert!(waited.is_ok(), "{waited:?}");
        }
    }

    #[tokio::test]
    async fn a_stop_ends_the_wait() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let stopped = Pauses::new(Patience::Endless).after(full_disk(), None, &shutdown).await;
        assert!(matches!(stopped, Err(SyncError::Stopped)), "{stopped:?}");
    }
}
