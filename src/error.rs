//! SyncError: what can go wrong with a sync, and the one table of what becomes of it.

use sea_orm::DbErr;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What can go wrong with a sync.
#[derive(Debug, Error)]
pub enum SyncError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check that it exists and that tidegate may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file changed while it was read.
    #[error("{} changed while it was read; it is read again when it has settled", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// A file's structure is damaged.
    #[error("{reason}; correct the file and drop it again")]
    Damaged {
        /// How.
        reason: String,
    },
    /// The database failed or is away.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// Another process took over the lease.
    #[error("another tidegate writes to this database now; stop one of the two")]
    LeaseLost,
    /// Another process holds the lease.
    #[error("{holder} writes to this database; stop it, or wait until it has finished")]
    LeaseHeld {
        /// Who.
        holder: String,
    },
    /// Something is wrong with the configuration, a profile, a mart or a view.
    #[error("{0}")]
    Configuration(String),
    /// tidegate's own directory cannot be written.
    #[error("cannot write {}: {source}; check the space left and the permissions of state_dir", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A fault of tidegate itself.
    #[error("tidegate made a mistake: {0}; please report it with the file")]
    Internal(String),
    /// The process was asked to stop.
    #[error("stopped")]
    Stopped,
}

/// What becomes of a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait for the database, then go on where it stopped.
    Retry,
    /// Look at the file again when it has settled.
    Rescan,
    /// Refuse the file until its content changes.
    Quarantine,
    /// Give up this file; it is tried again at the next scan that finds it changed.
    Fail,
    /// End the process.
    Fatal,
}

impl SyncError {
    /// A file cannot be read.
    pub fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    /// A file changed while it was read.
    pub fn changed_while_read(path: &Path) -> Self {
        Self::ChangedWhileRead { path: path.to_owned() }
    }

    /// A file's structure is damaged.
    pub fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }

    /// A file of the state directory cannot be written.
    pub fn state(path: &Path, source: std::io::Error) -> Self {
        Self::State { path: path.to_owned(), source }
    }

    /// What becomes of it: the one policy table.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Database(error) if is_passing(error) => Verdict::Retry,
            Self::ChangedWhileRead { .. } => Verdict::Rescan,
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Verdict::Rescan,
            Self::Damaged { .. } => Verdict::Quarantine,
            Self::Read { .. } | Self::Database(_) | Self::Internal(_) => Verdict::Fail,
            Self::LeaseLost | Self::LeaseHeld { .. } | Self::Configuration(_) | Self::State { .. } | Self::Stopped => {
                Verdict::Fatal
            }
        }
    }
}

/// Whether a database error may be gone at the next attempt: the connection, a deadlock, a full disk,
/// a server that is starting or stopping. What the database says about a statement is not.
fn is_passing(error: &DbErr) -> bool {
    let text = match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => return true,
        DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime.to_string(),
        other => other.to_string(),
    };
    const PASSING: [&str; 23] = [
        "error communicating with database",
        "expected to read",
        "pool timed out",
        "PoolTimedOut",
        "PoolClosed",
        "Connection refused",
        "Connection reset",
        "Broken pipe",
        "closed",
        "connection",
        "terminating connection",
        "the database system is",
        "server shutdown",
        "Server shutdown",
        "(code: 5)",
        "database is locked",
        "database or disk is full",
        "Deadlock found",
        "Lock wait timeout",
        "deadlock detected",
        "could not serialize",
        "No space left",
        "worker crashed",
    ];
    PASSING.iter().any(|passing| text.contains(passing))
}
