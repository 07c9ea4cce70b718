//! Bulk rows into PostgreSQL: COPY in text form, straight into the table or into one that lasts as long as
//! the transaction.

use super::transaction::exec_failed;
use crate::moment::write_moment;
use crate::number::DECIMAL_SCALE;
use crate::project::TableRows;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use rust_decimal::Decimal;
use sea_orm::DbErr;
use sea_orm::sqlx::PgConnection;
use std::fmt::Write;

/// Text that is encoded before it is sent: enough that a message costs little, small beside a chunk.
const SEND_BYTES: usize = 1 << 18;

/// Copies rows, their hashes and the file into a table's columns, which come in that order.
pub(super) async fn copy_rows(
    connection: &mut PgConnection,
    table: &str,
    columns: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<(), DbErr> {
    let mut copy =
        connection.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN")).await.map_err(exec_failed)?;
    let mut text = String::with_capacity(SEND_BYTES + (SEND_BYTES >> 2));
    for (row, hash) in rows.hashes.iter().enumerate() {
        for values in rows.batch.columns() {
            push_cell(&mut text, values, row);
            text.push('\t');
        }
        text.push_str("\\\\x");
        hash.iter().for_each(|&byte| push_hex(&mut text, byte));
        writeln!(text, "\t{file_id}").expect("a string takes all text");
        if text.len() >= SEND_BYTES {
            copy.send(text.as_bytes()).await.map_err(exec_failed)?;
            text.clear();
        }
    }
    copy.send(text.as_bytes()).await.map_err(exec_failed)?;
    copy.finish().await.map_err(exec_failed)?;
    Ok(())
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn push_cell(text: &mut String, values: &ArrayRef, row: usize) {
    if values.is_null(row) {
        text.push_str("\\N");
        return;
    }
    match values.data_type() {
        DataType::Utf8 => push_escaped(text, values.as_string::<i32>().value(row)),
        DataType::Int64 => push(text, values.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => push(text, values.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => {
            let units = values.as_primitive::<Decimal128Type>().value(row);
            push(text, Decimal::from_i128_with_scale(units, DECIMAL_SCALE));
        }
        DataType::Date32 => {
            let day = Date32Type::to_naive_date_opt(values.as_primitive::<Date32Type>().value(row));
            push(text, day.expect("days come from parse_day, in chrono's range"));
        }
        _ => write_moment(values.as_primitive::<TimestampMillisecondType>().value(row), text),
    }
}

fn push(text: &mut String, value: impl std::fmt::Display) {
    write!(text, "{value}").expect("a string takes all text");
}

/// The characters that end a cell or a row, or begin an escape (PostgreSQL, COPY, text format).
fn push_escaped(text: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '\t', '\n', '\r']) {
        text.push_str(&rest[..at]);
        text.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\t' => "\\t",
            b'\n' => "\\n",
            _ => "\\r",
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_cell_is_escaped() {
        let mut text = String::new();
        push_escaped(&mut text, "a\tb\\N\r\né\\");
        assert_eq!(text, "a\\tb\\\\N\\r\\né\\\\");
    }
}
