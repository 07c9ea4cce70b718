//! Failure: turns driver errors into the program's own. Only this file and [`super::passing`] know
//! error codes of databases.

use crate::error::{DatabaseFailure, FailureKind, SyncError};
use crate::sink::db::passing;
use crate::sink::db::passing::Coded;
use crate::sink::db::sqlite_handle::why_passing_in_sqlite;
use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::{DbErr, RuntimeErr, SqlxError, SqlxMySqlError, SqlxPostgresError, SqlxSqliteError};
use std::borrow::Cow;
use std::error::Error as StdError;
use thiserror::Error;

impl From<DbErr> for SyncError {
    fn from(error: DbErr) -> Self {
        if is_interrupt(&error) {
            Self::Stopped
        } else {
            Self::Database(DatabaseFailure::from(error))
        }
    }
}

impl From<DbErr> for DatabaseFailure {
    fn from(error: DbErr) -> Self {
        Self {
            message: error.to_string(),
            detail: detail(&error),
            passing: why_passing(&error),
            kind: kind(&error),
        }
    }
}

fn kind(error: &DbErr) -> FailureKind {
    if matches!(error, DbErr::Conn(_)) {
        return FailureKind::NotConnected;
    }
    let Some(answer) = answer(error) else { return FailureKind::Other };
    let code = answer.code().unwrap_or_default();
    // Too many columns, row too large.
    let is_mysql = mysql_number(answer).is_some_and(|number| matches!(number, 1117 | 1118));
    // PostgreSQL: too many columns, row is too big. SQLite has no code for it.
    let is_too_wide = is_mysql
        || code == "54011"
        || code == "54000"
        || code == "1" && answer.message().starts_with("too many columns");
    match code.as_ref() {
        "42703" => FailureKind::MissingColumn,
        _ if is_too_wide => FailureKind::TooWide,
        _ => FailureKind::Other,
    }
}

/// Converts a driver's error on a statement.
fn answer(error: &DbErr) -> Option<&(dyn DatabaseError + 'static)> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return None;
    };
    if let SqlxError::Database(error) = error.as_ref() { Some(error.as_ref()) } else { None }
}

/// PostgreSQL's detail of an error, such as which objects depend on a table.
fn detail(error: &DbErr) -> String {
    let error = answer(error).and_then(|error| error.try_downcast_ref::<SqlxPostgresError>());
    error
        .and_then(SqlxPostgresError::detail)
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default()
}

/// Whether SQLite interrupted a statement; only the stop of the process does that.
fn is_interrupt(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    match error.as_ref() {
        SqlxError::Database(error) => error
            .try_downcast_ref::<SqlxSqliteError>()
            .is_some_and(|error| error.code().as_deref() == Some("9")),
        SqlxError::Io(error) => error.kind() == std::io::ErrorKind::Interrupted,
        _ => false,
    }
}

/// Why a database error is passing; `None` for a permanent one.
fn why_passing(error: &DbErr) -> Option<&'static str> {
    const SILENT: &str = "the connection failed or is silent";
    let runtime = match error {
        DbErr::ConnectionAcquire(_) => return Some("no connection was to be had in time"),
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return None,
    };
    let RuntimeErr::SqlxError(cause) = runtime else {
        return matches!(error, DbErr::Conn(_)).then_some(SILENT);
    };
    match cause.as_ref() {
        SqlxError::Database(error) => why_passing_by_code(error.as_ref()),
        SqlxError::Io(error) => {
            let inner = error.get_ref().and_then(|error| error.downcast_ref());
            inner.and_then(why_passing_in_sqlite).or(Some(SILENT))
        }
        SqlxError::Tls(_)
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

/// The error number of a MySQL server, from either driver.
fn mysql_number(error: &(dyn DatabaseError + 'static)) -> Option<u16> {
    let of_pool = error.try_downcast_ref::<SqlxMySqlError>().map(SqlxMySqlError::number);
    of_pool.or_else(|| error.try_downcast_ref::<ServerAnswer>().map(|answer| answer.number))
}

/// An error of the MySQL connection that writes, in the shape of the pool driver's errors, which
/// only that driver can construct.
#[derive(Debug, Error)]
#[error("{number} ({state}): {message}")]
pub struct ServerAnswer {
    number: u16,
    state: String,
    message: String,
}

impl ServerAnswer {
    /// An error with these parts of MySQL's error packet.
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
