//! SyncError: the errors of a sync, and the one table that decides what follows from each.

use crate::process::secret::conceal;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error of a sync.
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
        /// What is damaged, and where.
        reason: String,
    },
    /// The database refuses a change of tables that a file needs.
    #[error("{reason}; the file is tried again by the next `sync`, and by `run` at its next scan")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The database failed or is away.
    #[error("database: {}", conceal(&.0.message))]
    Database(DatabaseFailure),
    /// A server refuses the connection, or does not answer.
    #[error("cannot reach the database {place}: {}", conceal(source.message.trim_start_matches("Connection Error: ")))]
    Unreached {
        /// Host, port and database name.
        place: String,
        /// Why.
        source: DatabaseFailure,
    },
    /// The file of a SQLite database is missing or not accessible, and this command does not create
    /// it.
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
        /// The holder.
        holder: String,
    },
    /// Something is wrong with the configuration, a profile, a mart or a view.
    #[error("{}", conceal(.0))]
    Configuration(String),
    /// The database refuses the query of a mart or view.
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
    /// The unpacked or decoded content of a file cannot be stored.
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

/// An error of the database, without its driver's types.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct DatabaseFailure {
    /// The driver's message.
    pub message: String,
    /// Further detail from the database, such as which objects depend on a table: ` (…)`, or empty.
    pub detail: String,
    /// Why it is passing; `None` for a permanent error.
    pub passing: Option<&'static str>,
    /// The kind of failure, as far as the code distinguishes it.
    pub kind: FailureKind,
}

/// Kinds of database failures that need more than waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no connection.
    NotConnected,
    /// A relation lacks a column that the statement names.
    MissingColumn,
    /// A table or row would be wider than the database allows.
    TooWide,
    /// Any other.
    Other,
}

/// What follows from a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait for the database, then continue where it stopped.
    Retry,
    /// Look at the file again once it has stopped changing.
    Rescan,
    /// Refuse the file until its content changes.
    Quarantine,
    /// Give up this file. It is tried again when a scan finds it changed.
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

    /// There is no room for the unpacked or decoded content of a file.
    pub fn spool(path: &Path, source: std::io::Error) -> Self {
        Self::Spool { path: path.to_owned(), source }
    }

    /// Blames the file of a mart or view, if the database refused the statement rather than failed.
    pub fn in_definition(self, file: &str) -> Self {
        match self {
            Self::Database(source) if source.passing.is_none() => {
                Self::Definition { file: file.to_owned(), source }
            }
            error => error,
        }
    }

    /// Whether the database cannot be used at all: it refuses the user, or does not exist.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Unreached { .. }
                | Self::Database(DatabaseFailure { kind: FailureKind::NotConnected, .. })
        )
    }

    /// Whether PostgreSQL reports a missing column.
    pub const fn is_about_missing_column(&self) -> bool {
        matches!(self, Self::Database(DatabaseFailure { kind: FailureKind::MissingColumn, .. }))
    }

    /// Whether a table or row would be wider than the database allows.
    pub const fn is_too_wide(&self) -> bool {
        matches!(self, Self::Database(DatabaseFailure { kind: FailureKind::TooWide, .. }))
    }

    /// What to wait for, and why; `None` if waiting does not help.
    pub fn awaited(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Database(error) | Self::Unreached { source: error, .. } => {
                error.passing.map(|why| ("the database", why))
            }
            Self::Spool { source, .. } if is_full(source) => {
                Some(("room in state_dir", "its disk is full"))
            }
            Self::Spool { source, .. } | Self::Read { source, .. } if is_short(source) => {
                Some(("descriptors", "the process or its machine has no more"))
            }
            _ => None,
        }
    }

    /// The policy table: what follows from each error.
    pub fn verdict(&self) -> Verdict {
        match self {
            _ if self.awaited().is_some() => Verdict::Retry,
            Self::ChangedWhileRead { .. } => Verdict::Rescan,
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Verdict::Rescan
            }
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

/// Out of file descriptors: of the process, or of the machine (open(2)).
fn is_short(error: &std::io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn no_database(path: &Path, source: &std::io::Error) -> String {
    let path = path.display();
    match source.kind() {
        std::io::ErrorKind::NotFound => format!(
            "there is no database at {path}: nothing was synced into it yet; if another one is meant, name it (--config, \
             --database, --state-dir)"
        ),
        _ => format!(
            "the database {path} cannot be opened: {source}; run this as its owner or as root"
        ),
    }
}
