//! Bulk rows into SQLite: one compiled statement, run once a row with values bound straight from the arrow
//! columns, on the transaction's own handle.

use super::transaction::exec_failed;
use crate::error::SyncError;
use crate::moment::write_moment;
use crate::number::DECIMAL_SCALE;
use crate::project::TableRows;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow_schema::DataType;
use rusqlite::types::Null;
use rusqlite::{Connection, Statement};
use rust_decimal::Decimal;
use sea_orm::sqlx::{self, SqliteConnection};
use sea_orm::{DbErr, RuntimeErr};

/// Units up to which a decimal and its divisor are both exact as reals, so that their quotient is the real
/// nearest to the decimal.
const EXACT_UNITS_MAX: u128 = 1 << 53;

/// Runs a statement once for each row: its columns, the hash and the file are the statement's parameters.
pub(super) async fn run_for_rows(
    connection: &mut SqliteConnection,
    sql: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<(), SyncError> {
    let mut handle = connection.lock_handle().await.map_err(exec_failed)?;
    tokio::task::block_in_place(|| {
        let connection = borrow(&mut handle).map_err(failed)?;
        let mut statement = connection.prepare(sql).map_err(failed)?;
        bind_and_run(&mut statement, rows, file_id).map_err(failed)
    })?;
    Ok(())
}

/// The handle as a connection of the library that binds without copies.
#[expect(unsafe_code, reason = "a borrowed handle is passed from one SQLite library to another")]
fn borrow<'h>(handle: &'h mut sqlx::sqlite::LockedSqliteHandle<'_>) -> rusqlite::Result<BorrowedConnection<'h>> {
    let raw = handle.as_raw_handle().as_ptr();
    // SAFETY: the handle is open and, while `handle` is borrowed, nobody else uses it: the lock stops the
    // driver's thread. Both libraries link the same SQLite, which the shared `links` key of libsqlite3-sys
    // enforces. `from_handle` takes no ownership, so dropping the connection closes nothing.
    let connection = unsafe { Connection::from_handle(raw.cast()) }?;
    Ok(BorrowedConnection { connection, _handle: std::marker::PhantomData })
}

/// A connection that cannot outlive the lock on its handle.
struct BorrowedConnection<'h> {
    connection: Connection,
    _handle: std::marker::PhantomData<&'h mut ()>,
}

impl BorrowedConnection<'_> {
    fn prepare(&self, sql: &str) -> rusqlite::Result<Statement<'_>> {
        self.connection.prepare(sql)
    }
}

fn bind_and_run(statement: &mut Statement<'_>, rows: &TableRows, file_id: i64) -> rusqlite::Result<()> {
    let columns: Vec<Cells<'_>> = rows.batch.columns().iter().map(Cells::of).collect();
    let hash_at = columns.len() + 1;
    // Parameters keep their values from one run to the next.
    statement.raw_bind_parameter(hash_at + 1, file_id)?;
    let mut text = String::new();
    for (row, hash) in rows.hashes.iter().enumerate() {
        for (parameter, cells) in (1..).zip(&columns) {
            cells.bind(statement, parameter, row, &mut text)?;
        }
        statement.raw_bind_parameter(hash_at, &hash[..])?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// A column, looked at as what it is once and not for each row.
enum Cells<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array),
    Day(&'a Date32Array),
    Time(&'a TimestampMillisecondArray),
}

impl<'a> Cells<'a> {
    fn of(values: &'a ArrayRef) -> Self {
        match values.data_type() {
            DataType::Utf8 => Self::Text(values.as_string()),
            DataType::Int64 => Self::Integer(values.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Double(values.as_primitive::<Float64Type>()),
            DataType::Decimal128(..) => Self::Decimal(values.as_primitive::<Decimal128Type>()),
            DataType::Date32 => Self::Day(values.as_primitive::<Date32Type>()),
            _ => Self::Time(values.as_primitive::<TimestampMillisecondType>()),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(values) => values.is_null(row),
            Self::Integer(values) => values.is_null(row),
            Self::Double(values) => values.is_null(row),
            Self::Decimal(values) => values.is_null(row),
            Self::Day(values) => values.is_null(row),
            Self::Time(values) => values.is_null(row),
        }
    }

    /// Binds one cell; `text` is scratch space for values that SQLite has as text only.
    fn bind(
        &self,
        statement: &mut Statement<'_>,
        parameter: usize,
        row: usize,
        text: &mut String,
    ) -> rusqlite::Result<()> {
        if self.is_null(row) {
            return statement.raw_bind_parameter(parameter, Null);
        }
        match self {
            Self::Text(values) => statement.raw_bind_parameter(parameter, values.value(row)),
            Self::Integer(values) => statement.raw_bind_parameter(parameter, values.value(row)),
            Self::Double(values) => statement.raw_bind_parameter(parameter, values.value(row)),
            Self::Decimal(values) => statement.raw_bind_parameter(parameter, real(values.value(row))),
            Self::Day(values) => {
                let day = Date32Type::to_naive_date_opt(values.value(row)).map(|day| day.to_string());
                statement.raw_bind_parameter(parameter, day)
            }
            Self::Time(values) => {
                text.clear();
                write_moment(values.value(row), text);
                statement.raw_bind_parameter(parameter, text.as_str())
            }
        }
    }
}

/// The real nearest to a decimal of that many ten-thousandths.
pub(super) fn real(units: i128) -> f64 {
    if units.unsigned_abs() < EXACT_UNITS_MAX {
        return units as f64 / 10_f64.powi(DECIMAL_SCALE as i32);
    }
    let decimal = Decimal::from_i128_with_scale(units, DECIMAL_SCALE);
    decimal.to_string().parse().expect("a decimal's text is a number")
}

/// As the driver would have said it, as far as [`SyncError::verdict`] asks: whether it may pass.
fn failed(error: rusqlite::Error) -> DbErr {
    let primary_code = error.sqlite_error().map(|error| error.extended_code & 0xff);
    // Busy, locked, out of memory, read-only, I/O, full, cannot open.
    let is_passing = matches!(primary_code, Some(5 | 6 | 7 | 8 | 10 | 13 | 14));
    match is_passing {
        true => exec_failed(sqlx::Error::Io(std::io::Error::other(error))),
        false => DbErr::Exec(RuntimeErr::Internal(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_the_nearest_reals() {
        for units in [0, 1, -1, 23, 10_000, 12_345_678, -999_999_999_999_999, 123_456_789_012_345_678] {
            let text = Decimal::from_i128_with_scale(units, DECIMAL_SCALE).to_string();
            assert_eq!(Ok(real(units)), text.parse(), "{text}");
        }
    }
}
