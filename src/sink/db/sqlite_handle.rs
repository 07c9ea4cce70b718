//! SQLite handle: lends the driver's connection to a second library, which runs compiled statements
//! directly. The driver would send a message to another thread and copy every value for each row.

use crate::sink::db::passing;
use crate::sink::db::passing::Coded;
use crate::sink::db::transaction::exec_failed;
use rusqlite::{Connection, ErrorCode};
use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::SqliteConnection;
use sea_orm::sqlx::sqlite::LockedSqliteHandle;
use sea_orm::{DbErr, RuntimeErr, sqlx};
use std::io::ErrorKind;

/// Runs `work` with the handle of a connection, in its transaction if there is one.
pub(crate) async fn with_handle<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, DbErr> {
    let mut handle = connection.lock_handle().await.map_err(exec_failed)?;
    tokio::task::block_in_place(|| lend(&mut handle, work)).map_err(failed)
}

/// Whether a connection has no transaction, neither for SQLite nor for the driver. First the
/// driver's thread does what it was told before, such as a rollback.
///
/// SQLite may end a transaction by itself when a statement fails, as on a full disk
/// (sqlite.org/lang_transaction.html). The driver's `ROLLBACK` fails then, and it goes on counting
/// the transaction as open. It makes the next one a savepoint, whose rollback leaves a transaction
/// open that keeps the write lock.
pub(crate) async fn is_free(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    let is_autocommit = lend(&mut handle, |handle| Ok(handle.is_autocommit()))
        .map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
    drop(handle);
    Ok(is_autocommit && !connection.is_in_transaction())
}

/// Runs `work` with the handles of two connections.
pub(crate) async fn with_handles<T>(
    first: &mut SqliteConnection,
    second: &mut SqliteConnection,
    work: impl FnOnce(&Connection, &Connection) -> rusqlite::Result<T>,
) -> Result<T, DbErr> {
    let mut first = first.lock_handle().await.map_err(exec_failed)?;
    let mut second = second.lock_handle().await.map_err(exec_failed)?;
    let work = || lend(&mut first, |first| lend(&mut second, |second| work(first, second)));
    tokio::task::block_in_place(work).map_err(failed)
}

#[expect(unsafe_code, reason = "a borrowed handle is passed from one SQLite library to another")]
fn lend<T>(
    handle: &mut LockedSqliteHandle<'_>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // SAFETY: the handle is open. `handle` stays locked for the whole call, and the driver's thread
    // does not use the connection meanwhile. Both libraries link the same SQLite, because
    // libsqlite3-sys can be linked only once. `from_handle` takes no ownership, so dropping the
    // connection closes nothing, and `work` gets only a reference that ends here.
    let connection = unsafe { Connection::from_handle(handle.as_raw_handle().as_ptr().cast()) }?;
    work(&connection)
}

/// Why an error of the second library is passing; `None` for a permanent one.
pub(crate) fn why_passing_in_sqlite(error: &rusqlite::Error) -> Option<&'static str> {
    let code = u32::try_from(error.sqlite_error()?.extended_code).ok()?;
    passing::why(Coded::Sqlite(code))
}

/// Converts to the driver's error, as far as the verdict needs it: whether it is passing.
fn failed(error: rusqlite::Error) -> DbErr {
    let kind = match error.sqlite_error().map(|error| error.code) {
        Some(ErrorCode::OperationInterrupted) => ErrorKind::Interrupted,
        _ if why_passing_in_sqlite(&error).is_some() => ErrorKind::Other,
        _ => return DbErr::Exec(RuntimeErr::Internal(error.to_string())),
    };
    exec_failed(sqlx::Error::Io(std::io::Error::new(kind, error)))
}
