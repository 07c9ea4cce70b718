//! TSV: rows as the text that PostgreSQL's COPY and MySQL's LOAD DATA both read.

use crate::moment::write_moment;
use crate::number::DECIMAL_SCALE;
use crate::project::TableRows;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use rust_decimal::Decimal;
use std::fmt::Write;

/// Text that is encoded before it is sent: enough that a message costs little, small beside a chunk.
pub(super) const SEND_BYTES: usize = 1 << 18;

/// The little in which the two databases differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Bytes are `\x` and hexadecimal digits, moments end in `Z`.
    Postgres,
    /// Bytes are hexadecimal digits for UNHEX, moments name no zone.
    Mysql,
}

/// Appends a row: its columns, its hash, the file.
pub(super) fn push_row(text: &mut String, rows: &TableRows, row: usize, file_id: i64, spelling: Spelling) {
    for values in rows.batch.columns() {
        push_cell(text, values, row, spelling);
        text.push('\t');
    }
    if spelling == Spelling::Postgres {
        text.push_str("\\\\x");
    }
    rows.hashes[row].iter().for_each(|&byte| push_hex(text, byte));
    writeln!(text, "\t{file_id}").expect("a string takes all text");
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn push_cell(text: &mut String, values: &ArrayRef, row: usize, spelling: Spelling) {
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
        _ => {
            write_moment(values.as_primitive::<TimestampMillisecondType>().value(row), text);
            if spelling == Spelling::Mysql {
                let zone = text.pop();
                debug_assert_eq!(zone, Some('Z'), "the column and the session are in UTC");
            }
        }
    }
}

fn push(text: &mut String, value: impl std::fmt::Display) {
    write!(text, "{value}").expect("a string takes all text");
}

/// The characters that end a cell or a row, or begin an escape (PostgreSQL, COPY, text format; MySQL, LOAD DATA).
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
    use arrow_array::{RecordBatch, StringArray, TimestampMillisecondArray};
    use std::sync::Arc;

    #[test]
    fn what_would_end_a_cell_is_escaped() {
        let mut text = String::new();
        push_escaped(&mut text, "a\tb\\N\r\né\\");
        assert_eq!(text, "a\\tb\\\\N\\r\\né\\\\");
    }

    #[test]
    fn each_database_reads_its_own_spelling() {
        let columns: [(&str, ArrayRef); 3] = [
            ("a", Arc::new(StringArray::from(vec![Some("")]))),
            ("b", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("c", Arc::new(TimestampMillisecondArray::from(vec![1]))),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)));
        let batch = batch.expect("columns of one length");
        let rows = TableRows { batch, record: vec![0], hashes: vec![[0xa1; 32]], absent: Vec::new() };
        let hash = "a1".repeat(32);
        for (spelling, expected) in [
            (Spelling::Postgres, format!("\t\\N\t1970-01-01T00:00:00.001Z\t\\\\x{hash}\t7\n")),
            (Spelling::Mysql, format!("\t\\N\t1970-01-01T00:00:00.001\t{hash}\t7\n")),
        ] {
            let mut text = String::new();
            push_row(&mut text, &rows, 0, 7, spelling);
            assert_eq!(text, expected);
        }
    }
}
