//! Session: configuration, database, local state and stop signal of one process.

use crate::config::Config;
use crate::error::SyncError;
use crate::process::progress;
use crate::process::progress::Board;
use crate::process::turns::Turns;
use crate::sink::Sink;
use crate::source::unchanged::record_index::RecordIndexes;
use crate::sync::checkpoint::Checkpoints;
use crate::sync::undo::end_undos;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Everything that a sync needs. One per process; clones share it.
#[derive(Clone, Debug)]
pub struct Session {
    /// The configuration.
    pub config: Arc<Config>,
    /// The database.
    pub sink: Arc<Sink>,
    /// Checkpoints of unfinished files.
    pub checkpoints: Checkpoints,
    /// Record indexes of the last exports.
    pub indexes: RecordIndexes,
    /// Limits how many files are worked on at once.
    pub turns: Turns,
    /// Which step each file at work is in, for `status` and `/readyz`.
    pub board: Board,
    /// Cancelled when the process must end.
    pub shutdown: CancellationToken,
}

impl Session {
    /// A session over an open database. `checkpoints` are opened before it: a state directory that
    /// cannot be used is a mistake of the configuration, and said before anything is waited for.
    pub fn new(
        config: Arc<Config>,
        checkpoints: Checkpoints,
        sink: Arc<Sink>,
        board: Board,
        shutdown: CancellationToken,
    ) -> Self {
        let indexes = RecordIndexes::of(&config.state_dir);
        Self { config, sink, checkpoints, indexes, turns: Turns::default(), board, shutdown }
    }
}

/// Cleans up after a crash: ends undos, refreshes marked marts, and removes checkpoints of finished
/// files.
///
/// # Errors
///
/// When the database or the state directory fails.
pub async fn clear_up(session: &Session) -> Result<(), SyncError> {
    end_undos(session).await?;
    session.sink.marts.refresh_marts(None).await?;
    let unfinished = session.sink.ledger.unfinished_files().await?;
    session.checkpoints.retain(&unfinished);
    session.indexes.clear_up();
    Ok(())
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    let current = progress::current();
    let done = tokio::task::spawn_blocking(move || progress::on_behalf_of(current, work));
    done.await.map_err(|panic| SyncError::Internal(panic.to_string()))?
}
