//! SyncError: what can go wrong with a sync, and the one table of what becomes of it.

use crate::process::secret::conceal;
use crate::sink::db::passing;
use crate::sink::db::passing::Coded;
use rustix::io::Errno;
use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::{DbErr, RuntimeErr, SqlxError, SqlxMySqlError, SqlxPostgresError, SqlxSqliteError};
use std::borrow::Cow;
use std::error::Error as StdError;
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
    #[error("database: {}", conceal(&.0.to_string()))]
    Database(DbErr),
    /// A server does not let this process in, or does not answer.
    #[error("cannot reach the database {place}: {}", conceal(source.to_string().trim_start_matches("Connection Error: ")))]
    Unreached {
        /// Where it is meant to be: host, port and name.
        place: String,
        /// Why.
        source: DbErr,
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
    #[error("{file}: the database refuses it: {}{}; correct the file", conceal(&source.to_string()), detail(source))]
    Definition {
        /// The mart's or view's file.
        file: String,
        /// Why.
        source: DbErr,
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
            Self::Database(source) if why_passing(&source).is_none() => {
                Self::Definition { file: file.to_owned(), source }
            }
            error => error,
        }
    }

    /// Whether the database cannot be used as it was asked for: it refuses the user, or is not there.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(DbErr::Conn(_)) | Self::Unreached { .. })
    }

    /// Whether PostgreSQL says that a relation has no column of a name.
    pub fn is_about_missing_column(&self) -> bool {
        self.answer().is_some_and(|error| error.code().is_some_and(|code| code == "42703"))
    }

    /// What the database answered to a statement.
    fn answer(&self) -> Option<&(dyn DatabaseError + 'static)> {
        let Self::Database(DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
            self
        else {
            return None;
        };
        if let SqlxError::Database(error) = error.as_ref() { Some(error.as_ref()) } else { None }
    }

    /// Whether a table or a row of it would be wider than the database takes.
    pub fn is_too_wide(&self) -> bool {
        let Some(error) = self.answer() else { return false };
        // Too many columns, too large a row.
        let mysql = mysql_number(error).is_some_and(|number| matches!(number, 1117 | 1118));
        let code = error.code().unwrap_or_default();
        // PostgreSQL: too many columns, row is too big. SQLite has no code for it.
        mysql || code == "54011" || code == "54000" || code == "1" && error.message().starts_with("too many columns")
    }

    /// What is to be waited for, and why; `None` for what waiting does not mend.
    pub fn awaited(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Database(error) | Self::Unreached { source: error, .. } => {
                why_passing(error).map(|why| ("the database", why))
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

impl From<DbErr> for SyncError {
    fn from(error: DbErr) -> Self {
        if is_interrupt(&error) { Self::Stopped } else { Self::Database(error) }
    }
}

/// What PostgreSQL says beside an error, such as which objects depend on a table.
fn detail(error: &DbErr) -> String {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return String::new();
    };
    let SqlxError::Database(error) = error.as_ref() else { return String::new() };
    let detail = error.try_downcast_ref::<SqlxPostgresError>().and_then(SqlxPostgresError::detail);
    detail.map(|detail| format!(" ({detail})")).unwrap_or_default()
}

/// Whether SQLite ended a statement because it was told to: only who stops the process tells it.
fn is_interrupt(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    match error.as_ref() {
        SqlxError::Database(error) => {
            error.try_downcast_ref::<SqlxSqliteError>().is_some_and(|error| error.code().as_deref() == Some("9"))
        }
        SqlxError::Io(error) => error.kind() == std::io::ErrorKind::Interrupted,
        _ => false,
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

/// Why a database error may be gone at the next attempt; `None` for one that stays.
fn why_passing(error: &DbErr) -> Option<&'static str> {
    const SILENT: &str = "the connection failed or is silent";
    let runtime = match error {
        DbErr::ConnectionAcquire(_) => return Some("no connection was to be had in time"),
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return None,
    };
    let RuntimeErr::SqlxError(cause) = runtime else { return matches!(error, DbErr::Conn(_)).then_some(SILENT) };
    match cause.as_ref() {
        SqlxError::Database(error) => why_passing_by_code(error.as_ref()),
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => Some(SILENT),
        _ => None,
    }
}

fn why_passing_by_code(error: &(dyn DatabaseError + 'static)) -> Option<&'static str> {
    if let Some(number) = mysql_number(error) {
        return passing::why(Coded::Mysql(number));
    }
    let code = error.code().unwrap_or_default();
    match error.try_downcast_ref::<SqlxPostgresError>() {
        Some(_) => passing::why(Coded::Postgres(&code)),
        None => code.parse().ok().and_then(|code| passing::why(Coded::Sqlite(code))),
    }
}

/// The number of a MySQL server's error, of either driver.
fn mysql_number(error: &(dyn DatabaseError + 'static)) -> Option<u16> {
    let of_pool = error.try_downcast_ref::<SqlxMySqlError>().map(SqlxMySqlError::number);
    of_pool.or_else(|| error.try_downcast_ref::<ServerAnswer>().map(|answer| answer.number))
}

/// An error that a MySQL server answers on the connection that writes, in the form of the pool's driver, whose own
/// nobody else can make.
#[derive(Debug, Error)]
#[error("{number} ({state}): {message}")]
pub struct ServerAnswer {
    number: u16,
    state: String,
    message: String,
}

impl ServerAnswer {
    /// One with these parts of MySQL's error packet.
    pub const fn new(number: u16, state: String, message: String) -> Self {
        Self { number, state, message }
    }
}

impl DatabaseError for ServerAnswer {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.state))
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
