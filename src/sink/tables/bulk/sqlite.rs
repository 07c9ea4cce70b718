//! Bulk writes of rows and reads of hashes on SQLite: one compiled statement runs once for each
//! row, on the connection's own handle. Values are bound directly from the arrow columns.

use crate::error::SyncError;
use crate::feed::record_key::KeyColumns;
use crate::sink::db::sqlite_handle::with_handle;
use crate::transform::diff::Known;
use crate::transform::row_hash::RowHash;
use crate::transform::table_rows::TableRows;
use crate::values::canonical::Values;
use crate::values::moment::write_moment;
use crate::values::number::DECIMAL_SCALE;
use arrow_array::types::Date32Type;
use rusqlite::types::Null;
use rusqlite::{Connection, Row, Statement};
use rust_decimal::Decimal;
use sea_orm::sqlx::SqliteConnection;
use std::borrow::Cow;

/// Up to this number of units, a decimal and its divisor are both exact as reals, so their quotient
/// is the real nearest to the decimal.
const EXACT_UNITS_MAX: u128 = 1 << 53;

/// Runs a statement once for each row, with its columns, hash and file id as parameters.
pub(crate) async fn run_for_rows(
    connection: &mut SqliteConnection,
    sql: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<(), SyncError> {
    let run = |connection: &Connection| bind_and_run(&mut connection.prepare(sql)?, rows, file_id);
    Ok(with_handle(connection, run).await?)
}

/// Queries for stored hashes by market and key: hash and file id of records, number and hash of
/// lines.
pub(crate) struct HashQueries {
    pub key: KeyColumns,
    pub records: String,
    pub lines: Option<String>,
}

/// Looks up the hashes of the records with these keys, and of their lines, one by one.
pub(crate) async fn stored_hashes(
    connection: &mut SqliteConnection,
    queries: &HashQueries,
    market: &str,
    keys: &[String],
) -> Result<Known, SyncError> {
    let look_up = |connection: &Connection| {
        // Read in one snapshot; otherwise SQLite locks and unlocks its files for each lookup.
        let _snapshot = connection.unchecked_transaction()?;
        let mut known = Known::nothing(keys.len());
        let mut records = connection.prepare(&queries.records)?;
        let mut lines =
            queries.lines.as_ref().map(|lines| connection.prepare(lines)).transpose()?;
        records.raw_bind_parameter(1, market)?;
        if let Some(lines) = &mut lines {
            lines.raw_bind_parameter(1, market)?;
        }
        let mut of_record = Vec::new();
        for (record, key) in keys.iter().enumerate() {
            let parts = queries.key.split(key);
            bind_key(&mut records, &parts)?;
            let mut rows = records.raw_query();
            // Records are committed whole, so a missing record has no lines.
            let Some(row) = rows.next()? else { continue };
            known.add_record(record, hash(row, 0)?, row.get(1)?);
            let Some(lines) = &mut lines else { continue };
            bind_key(lines, &parts)?;
            let mut rows = lines.raw_query();
            while let Some(row) = rows.next()? {
                of_record.push((row.get(0)?, hash(row, 1)?));
            }
            known.add_lines(record, of_record.drain(..));
        }
        Ok(known)
    };
    Ok(with_handle(connection, look_up).await?)
}

/// Binds the parts of a key, which stand behind the market.
fn bind_key(statement: &mut Statement<'_>, parts: &[Cow<'_, str>]) -> rusqlite::Result<()> {
    (2..)
        .zip(parts)
        .try_for_each(|(parameter, part)| statement.raw_bind_parameter(parameter, &**part))
}

/// An invalid hash equals no other, so the row is written again.
fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<RowHash> {
    Ok(row
        .get_ref(column)?
        .as_blob()
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or_default())
}

fn bind_and_run(
    statement: &mut Statement<'_>,
    rows: &TableRows,
    file_id: i64,
) -> rusqlite::Result<()> {
    let columns: Vec<Values<'_>> = rows.batch.columns().iter().map(Values::of).collect();
    let hash_at = columns.len() + 1;
    // Parameters keep their values between runs.
    statement.raw_bind_parameter(hash_at + 1, file_id)?;
    let mut text = String::new();
    for (row, hash) in rows.hashes.iter().enumerate() {
        for (parameter, &column) in (1..).zip(&columns) {
            bind(column, statement, parameter, row, &mut text)?;
        }
        statement.raw_bind_parameter(hash_at, &hash[..])?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// Binds one cell; `text` is a buffer for values that SQLite stores as text.
fn bind(
    column: Values<'_>,
    statement: &mut Statement<'_>,
    parameter: usize,
    row: usize,
    text: &mut String,
) -> rusqlite::Result<()> {
    if column.is_null(row) {
        return statement.raw_bind_parameter(parameter, Null);
    }
    match column {
        Values::Text(values) => statement.raw_bind_parameter(parameter, values.value(row)),
        Values::Integer(values) => statement.raw_bind_parameter(parameter, values.value(row)),
        Values::Double(values) => statement.raw_bind_parameter(parameter, values.value(row)),
        Values::Decimal(values) => statement.raw_bind_parameter(parameter, real(values.value(row))),
        Values::Day(values) => {
            let day = Date32Type::to_naive_date_opt(values.value(row)).map(|day| day.to_string());
            statement.raw_bind_parameter(parameter, day)
        }
        Values::Moment(values) => {
            text.clear();
            write_moment(values.value(row), text);
            statement.raw_bind_parameter(parameter, text.as_str())
        }
    }
}

/// The real nearest to this number of ten-thousandths.
pub(crate) fn real(units: i128) -> f64 {
    if units.unsigned_abs() < EXACT_UNITS_MAX {
        return units as f64 / 10_f64.powi(DECIMAL_SCALE as i32);
    }
    let decimal = Decimal::from_i128_with_scale(units, DECIMAL_SCALE);
    decimal.to_string().parse().expect("a decimal's text is a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_the_nearest_reals() {
        for units in
            [0, 1, -1, 23, 10_000, 12_345_678, -999_999_999_999_999, 123_456_789_012_345_678]
        {
            let text = Decimal::from_i128_with_scale(units, DECIMAL_SCALE).to_string();
            assert_eq!(Ok(real(units)), text.parse(), "{text}");
        }
    }
}
