//! SyncError: what can go wrong with a sync, and the one table of what becomes of it.

use crate::process::secret::conceal;
use rustix::io::Errno;
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
    /// The database does not change its tables as a file needs them.
    #[error("{reason}; the file is tried again by the next `sync`, and by `run` at its next scan")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The database failed or is away.
    #[error("database: {}", conceal(&.0.message))]
    Database(DatabaseFailure),
    /// A server does not let this process in, or does not answer.
    #[error("cannot reach the database {place}: {}", conceal(source.message.trim_start_matches("Connection Error: ")))]
    Unreached {
        /// Where it is meant to be: host, port and name.
        place: String,
        /// Why.
        source: DatabaseFailure,
    },
    /// The file of a SQLite database is not there, or is not to be seen, and is not to be made either.
    #[error("{}", no_database(path, source))]
    NoDatabase {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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
    #[error("{}", conceal(.0))]
    Configuration(String),
    /// The database refuses what a mart or view asks of it.
    #[error("{file}: the database refuses it: {}{}; correct the file", conceal(&source.message), source.detail)]
    Definition {
        /// The mart's or view's file.
        file: String,
        /// Why.
        source: DatabaseFailure,
    },
    /// tidegate's own directory cannot be written.
    #[error("cannot write {}: {source}; check the space left and the permissions of state_dir", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What a file unpacks or decodes to cannot be kept.
    #[error("cannot unpack or decode it in {}: {source}; check the space left in state_dir", path.display())]
    Spool {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A fault of tidegate itself.
    #[error("tidegate made a mistake: {}; please report it with the file", conceal(.0))]
    Internal(String),
    /// The process was asked to stop.
    #[error("stopped")]
    Stopped,
}

/// What a database answered, without its driver's types.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct DatabaseFailure {
    /// As the driver words it.
    pub message: String,
    /// What the database says beside it, such as which objects depend on a table: ` (…)`, or nothing.
    pub detail: String,
    /// Why it may be gone at the next attempt; `None` for what stays.
    pub passing: Option<&'static str>,
    /// What the code asks about it.
    pub kind: FailureKind,
}

/// The failures of a database that are answered by more than waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no connection.
    NotConnected,
    /// A relation has no column of a name.
    MissingColumn,
    /// A table or a row of it would be wider than the database takes.
    TooWide,
    /// Any other.
    Other,
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
        // The reason may quote the file, and PostgreSQL stores no NUL in text.
        Self::Damaged { reason: reason.into().replace('\0', "\\x00") }
    }

    /// A file of the state directory cannot be written.
    pub fn state(path: &Path, source: std::io::Error) -> Self {
        Self::State { path: path.to_owned(), source }
    }

    /// There is no room for what a file unpacks or decodes to.
    pub fn spool(path: &Path, source: std::io::Error) -> Self {
        Self::Spool { path: path.to_owned(), source }
    }

    /// As the fault of a mart's or view's file, if the database refuses a statement rather than fails.
    pub fn in_definition(self, file: &str) -> Self {
        match self {
            Self::Database(source) if source.passing.is_none() => Self::Definition { file: file.to_owned(), source },
            error => error,
        }
    }

    /// Whether the database cannot be used as it was asked for: it refuses the user, or is not there.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Unreached { .. } | Self::Database(DatabaseFailure { kind: FailureKind::NotConnected, .. }))
    }

    /// Whether PostgreSQL says that a relation has no column of a name.
    pub const fn is_about_missing_column(&self) -> bool {
        matches!(self, Self::Database(DatabaseFailure { kind: FailureKind::MissingColumn, .. }))
    }

    /// Whether a table or a row of it would be wider than the database takes.
    pub const fn is_too_wide(&self) -> bool {
        matches!(self, Self::Database(DatabaseFailure { kind: FailureKind::TooWide, .. }))
    }

    /// What is to be waited for, and why; `None` for what waiting does not mend.
    pub fn awaited(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Database(error) | Self::Unreached { source: error, .. } => {
                error.passing.map(|why| ("the database", why))
            }
            Self::Spool { source, .. } if is_full(source) => Some(("room in state_dir", "its disk is full")),
            Self::Spool { source, .. } | Self::Read { source, .. } if is_short(source) => {
                Some(("descriptors", "the process or its machine has no more"))
            }
            _ => None,
        }
    }

    /// What becomes of it: the one policy table.
    pub fn verdict(&self) -> Verdict {
        match self {
            _ if self.awaited().is_some() => Verdict::Retry,
            Self::ChangedWhileRead { .. } => Verdict::Rescan,
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Verdict::Rescan,
            Self::Damaged { .. } | Self::Refused { .. } => Verdict::Quarantine,
            Self::Read { .. }
            | Self::Spool { .. }
            | Self::Database(_)
            | Self::Unreached { .. }
            | Self::Definition { .. }
            | Self::Internal(_) => Verdict::Fail,
            Self::NoDatabase { .. }
            | Self::LeaseLost
            | Self::LeaseHeld { .. }
            | Self::Configuration(_)
            | Self::State { .. }
            | Self::Stopped => Verdict::Fatal,
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Of the process's own descriptors, or of the machine's (open(2)).
fn is_short(error: &std::io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn no_database(path: &Path, source: &std::io::Error) -> String {
    let path = path.display();
    match source.kind() {
        std::io::ErrorKind::NotFound => format!(
            "there is no database at {path}: nothing was synced into it yet; if another one is meant, name it (--config, \
             --database, --state-dir)"
        ),
        _ => format!("the database {path} cannot be opened: {source}; run this as its owner or as root"),
    }
}
