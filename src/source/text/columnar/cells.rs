//! Cells: the values of a columnar file as typed cells, each as its type says.

use crate::error::SyncError;
use crate::source::text::typed_rows::{
    TypedRows, clock_text, day_text, moment_text, number_text, short_number_text,
};
use crate::values::cell::hex;
use crate::values::moment::{DAY_MS, within_bounds};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

/// Deepest nesting of lists and of structures in them.
const DEPTH_MAX: usize = 16;

/// A value of one row.
enum Value<'a> {
    /// None.
    Null,
    /// A text, or bytes that may be one.
    Text(&'a [u8]),
    /// A text that was made of the value: a list, a time of day, a UUID.
    Made(String),
    /// A number, moment or truth value.
    Plain(String),
    /// A number that may be infinite.
    Number(f64),
    /// None that could be read.
    Unreadable(String),
}

/// Writes the value of a row.
pub fn write_cell(rows: &mut TypedRows<'_, '_>, column: &ArrayRef, row: usize, is_uuid: bool) {
    match value(column, row, is_uuid) {
        Value::Null => rows.empty(),
        Value::Text(text) => rows.text(text),
        Value::Made(text) => rows.text(text.as_bytes()),
        Value::Plain(text) => rows.value(&text),
        Value::Number(number) => rows.number(number),
        Value::Unreadable(what) => rows.error(&what),
    }
}

/// Whether values of a type can be read.
///
/// # Errors
///
/// Names the column and its type.
pub fn check_type(name: &str, data_type: &DataType, depth: usize) -> Result<(), SyncError> {
    let is_read = match data_type {
        DataType::Duration(_) | DataType::Interval(_) | DataType::Union(..) => false,
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
            return check_type(name, field.data_type(), depth + 1);
        }
        DataType::Struct(fields) => {
            return fields
                .iter()
                .try_for_each(|field| check_type(name, field.data_type(), depth + 1));
        }
        _ => depth <= DEPTH_MAX,
    };
    match is_read {
        true => Ok(()),
        false => Err(SyncError::damaged(format!(
            "its column {name} is of type {data_type}, which is not read: leave it out, or write it as text"
        ))),
    }
}

fn value(column: &ArrayRef, row: usize, is_uuid: bool) -> Value<'_> {
    if column.is_null(row) {
        return Value::Null;
    }
    macro_rules! whole {
        ($type:ty) => {
            Value::Plain(column.as_primitive::<$type>().value(row).to_string())
        };
    }
    macro_rules! decimal {
        ($type:ty, $precision:expr, $scale:expr) => {
            Value::Plain(<$type>::format_decimal(
                column.as_primitive::<$type>().value(row),
                *$precision,
                *$scale,
            ))
        };
    }
    match column.data_type() {
        DataType::Boolean => Value::Plain(column.as_boolean().value(row).to_string()),
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Float16 => short_number(column.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => short_number(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::Number(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(precision, scale) => decimal!(Decimal32Type, precision, scale),
        DataType::Decimal64(precision, scale) => decimal!(Decimal64Type, precision, scale),
        DataType::Decimal128(precision, scale) => decimal!(Decimal128Type, precision, scale),
        DataType::Decimal256(precision, scale) => decimal!(Decimal256Type, precision, scale),
        DataType::Date32 => day(column.as_primitive::<Date32Type>().value(row).into()),
        DataType::Date64 => day(column.as_primitive::<Date64Type>().value(row).div_euclid(DAY_MS)),
        DataType::Timestamp(unit, zone) => moment(timestamp(column, *unit, row), zone.is_some()),
        DataType::Time32(_) | DataType::Time64(_) => Value::Made(clock_text(clock(column, row))),
        DataType::Utf8View => Value::Text(column.as_string_view().value(row).as_bytes()),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).as_bytes()),
        DataType::BinaryView => Value::Text(column.as_binary_view().value(row)),
        DataType::Binary => Value::Text(column.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => {
            let bytes = column.as_fixed_size_binary().value(row);
            Value::Made(if is_uuid { uuid(bytes) } else { hex(bytes) })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) | DataType::Struct(_) => {
            let mut json = String::new();
            write_json(column, row, &mut json);
            Value::Made(json)
        }
        DataType::Null => Value::Null,
        other => Value::Unreadable(format!("a value of type {other}")),
    }
}

fn short_number<'a>(number: f32) -> Value<'a> {
    match number.is_finite() {
        true => Value::Plain(short_number_text(number)),
        false => Value::Number(number.into()),
    }
}

fn day<'a>(day: i64) -> Value<'a> {
    match day.checked_mul(DAY_MS).and_then(within_bounds) {
        Some(_) => Value::Plain(day_text(day)),
        None => Value::Unreadable(format!("day {day} since 1970")),
    }
}

fn moment<'a>(millis: Option<i64>, is_utc: bool) -> Value<'a> {
    match millis.and_then(within_bounds) {
        Some(millis) => Value::Plain(moment_text(millis, is_utc)),
        None => Value::Unreadable("a moment beyond the years 1 to 9999".to_owned()),
    }
}

/// In milliseconds since 1970; further digits are cut.
fn timestamp(column: &ArrayRef, unit: TimeUnit, row: usize) -> Option<i64> {
    match unit {
        TimeUnit::Second => {
            column.as_primitive::<TimestampSecondType>().value(row).checked_mul(1000)
        }
        TimeUnit::Millisecond => Some(column.as_primitive::<TimestampMillisecondType>().value(row)),
        TimeUnit::Microsecond => {
            Some(column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1000))
        }
        TimeUnit::Nanosecond => {
            Some(column.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000_000))
        }
    }
}

/// In milliseconds since midnight.
fn clock(column: &ArrayRef, row: usize) -> i64 {
    match column.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(column.as_primitive::<Time32SecondType>().value(row)) * 1000
        }
        DataType::Time32(_) => column.as_primitive::<Time32MillisecondType>().value(row).into(),
        DataType::Time64(TimeUnit::Microsecond) => {
            column.as_primitive::<Time64MicrosecondType>().value(row) / 1000
        }
        _ => column.as_primitive::<Time64NanosecondType>().value(row) / 1_000_000,
    }
}

fn uuid(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    match digits.len() {
        32 => [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]]
            .join("-"),
        _ => digits,
    }
}

/// A value as JSON, as the files of other formats have lists.
fn write_json(column: &ArrayRef, row: usize, json: &mut String) {
    if column.is_null(row) {
        return json.push_str("null");
    }
    let list = |elements: ArrayRef, json: &mut String| {
        json.push('[');
        for element in 0..elements.len() {
            if element > 0 {
                json.push(',');
            }
            write_json(&elements, element, json);
        }
        json.push(']');
    };
    match column.data_type() {
        DataType::List(_) => list(column.as_list::<i32>().value(row), json),
        DataType::LargeList(_) => list(column.as_list::<i64>().value(row), json),
        DataType::Map(..) => {
            let entries: ArrayRef = std::sync::Arc::new(column.as_map().value(row));
            list(entries, json);
        }
        DataType::Struct(fields) => {
            json.push('{');
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                push_text(field.name(), json);
                json.push(':');
                write_json(column.as_struct().column(index), row, json);
            }
            json.push('}');
        }
        data_type => match value(column, row, false) {
            Value::Null => json.push_str("null"),
            Value::Text(text) => push_text(&String::from_utf8_lossy(text), json),
            Value::Made(text) | Value::Unreadable(text) => push_text(&text, json),
            Value::Plain(text) if data_type.is_numeric() || *data_type == DataType::Boolean => {
                json.push_str(&text);
            }
            Value::Plain(text) => push_text(&text, json),
            Value::Number(number) if number.is_finite() => json.push_str(&number_text(number)),
            Value::Number(number) => push_text(&number.to_string(), json),
        },
    }
}

fn push_text(text: &str, json: &mut String) {
    json.push_str(&serde_json::to_string(text).expect("a text is JSON"));
}
