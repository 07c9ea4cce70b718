//! Session: configuration, database, local state and stop signal of one process.

use crate::config::Config;
use crate::error::SyncError;
use crate::process::progress;
use crate::process::progress::Board;
use crate::process::turns::Turns;
use crate::sink::Sink;
use crate::source::unchanged::record_index::RecordIndexes;
use crate::sync::checkpoint::Checkpoints;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a sync works with.
#[derive(Clone, Debug)]
pub struct Session {
    /// What tidegate was told.
    pub config: Arc<Config>,
    /// The database.
    pub sink: Arc<Sink>,
    /// The resume files.
    pub checkpoints: Checkpoints,
    /// What is known of the records of the last exports.
    pub indexes: RecordIndexes,
    /// Whose turn it is.
    pub turns: Turns,
    /// The files at work.
    pub board: Board,
    /// Set when the process is to end.
    pub shutdown: CancellationToken,
}

/// Clears up what a crash left behind: marks of mart groups, and resume files that nobody needs.
///
/// # Errors
///
/// When the database or the state directory fails.
pub async fn clear_up(session: &Session) -> Result<(), SyncError> {
    session.sink.marts.refresh_marts(None).await?;
    let unfinished = session.sink.ledger.unfinished_files().await?;
    session.checkpoints.retain(&unfinished);
    session.indexes.clear_up();
    Ok(())
}

/// Work that blocks leaves the async threads here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    let current = progress::current();
    let done = tokio::task::spawn_blocking(move || progress::on_behalf_of(current, work));
    done.await.map_err(|panic| SyncError::Internal(panic.to_string()))?
}
