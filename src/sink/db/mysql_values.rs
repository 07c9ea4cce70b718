//! MySQL values: converts SeaORM values to parameters of the driver that writes, and its rows to
//! SeaORM values.

use chrono::{Datelike, NaiveDateTime, Timelike};
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Params, Row, Value as Cell, from_value_opt};
use sea_orm::{DbErr, Value, Values};
use std::collections::BTreeMap;

/// The collation id of binary columns.
const BINARY: u16 = 63;

/// Converts a statement's values to parameters.
pub(crate) fn params(values: Values) -> Result<Params, DbErr> {
    let cells = values.0.into_iter().map(param).collect::<Result<Vec<_>, _>>()?;
    Ok(if cells.is_empty() { Params::Empty } else { Params::Positional(cells) })
}

fn param(value: Value) -> Result<Cell, DbErr> {
    Ok(match value {
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::BigInt(value) => value.into(),
        Value::Unsigned(value) => value.into(),
        Value::BigUnsigned(value) => value.into(),
        Value::Double(value) => value.into(),
        Value::Decimal(value) => value.into(),
        Value::String(value) => value.into(),
        Value::Bytes(value) => value.into(),
        Value::ChronoDate(value) => value.map_or(Cell::NULL, |day| moment_cell(day.into())),
        Value::ChronoDateTime(value) => value.map_or(Cell::NULL, moment_cell),
        Value::ChronoDateTimeUtc(value) => {
            value.map_or(Cell::NULL, |moment| moment_cell(moment.naive_utc()))
        }
        other => return Err(DbErr::Type(format!("no statement binds values like {other:?}"))),
    })
}

/// A day (at midnight) or a moment. The driver's own conversion panics for years before 1000, which
/// MySQL can store.
fn moment_cell(moment: NaiveDateTime) -> Cell {
    let year =
        u16::try_from(moment.year()).expect("parse_moment and parse_day give years from 1 to 9999");
    // Month, day, hour, minute and second are below 256.
    let part = |number: u32| number as u8;
    Cell::Date(
        year,
        part(moment.month()),
        part(moment.day()),
        part(moment.hour()),
        part(moment.minute()),
        part(moment.second()),
        moment.nanosecond() / 1000,
    )
}

/// A row by column name. SeaORM can also read by index, but counts in alphabetical order: read
/// several columns by name.
pub(crate) fn row_values(mut row: Row) -> Result<BTreeMap<String, Value>, DbErr> {
    let columns = row.columns();
    let cells = columns.iter().enumerate().map(|(index, column)| {
        let cell = row.take(index).unwrap_or(Cell::NULL);
        Ok((column.name_str().into_owned(), value(column, cell)?))
    });
    cells.collect()
}

fn value(column: &Column, cell: Cell) -> Result<Value, DbErr> {
    let is_unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
    let is_binary = column.character_set() == BINARY;
    let value = match column.column_type() {
        ColumnType::MYSQL_TYPE_LONGLONG if is_unsigned => {
            from_value_opt(cell).map(Value::BigUnsigned)
        }
        ColumnType::MYSQL_TYPE_LONGLONG => from_value_opt(cell).map(Value::BigInt),
        ColumnType::MYSQL_TYPE_LONG if is_unsigned => from_value_opt(cell).map(Value::Unsigned),
        ColumnType::MYSQL_TYPE_LONG => from_value_opt(cell).map(Value::Int),
        ColumnType::MYSQL_TYPE_DOUBLE => from_value_opt(cell).map(Value::Double),
        ColumnType::MYSQL_TYPE_NEWDECIMAL => from_value_opt(cell).map(Value::Decimal),
        ColumnType::MYSQL_TYPE_DATE => from_value_opt(cell).map(Value::ChronoDate),
        // Session and columns are in UTC.
        ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_TIMESTAMP => from_value_opt(cell)
            .map(|moment: Option<NaiveDateTime>| {
                Value::ChronoDateTimeUtc(moment.map(|moment| moment.and_utc()))
            }),
        _ if is_binary => from_value_opt(cell).map(Value::Bytes),
        _ => from_value_opt(cell).map(Value::String),
    };
    value.map_err(|error| DbErr::Type(format!("column {}: {error}", column.name_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    #[test]
    fn days_and_moments_of_any_year_are_bound() {
        let day = NaiveDate::from_ymd_opt(1, 1, 1).expect("a day");
        assert_eq!(param(Value::ChronoDate(Some(day))), Ok(Cell::Date(1, 1, 1, 0, 0, 0, 0)));
        let moment = NaiveDate::from_ymd_opt(9999, 12, 31)
            .and_then(|day| day.and_hms_milli_opt(23, 59, 59, 999));
        assert_eq!(
            param(Value::ChronoDateTime(moment)),
            Ok(Cell::Date(9999, 12, 31, 23, 59, 59, 999_000))
        );
        assert_eq!(param(Value::ChronoDateTimeUtc(None)), Ok(Cell::NULL));
    }
}
