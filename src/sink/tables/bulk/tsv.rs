//! TSV: encodes rows as the file for MySQL's LOAD DATA. Bytes are written as they are, so a hash
//! takes 32 bytes.

use crate::sink::tables::bulk::encoder;
use crate::transform::table_rows::TableRows;
use crate::values::canonical::{Values, push_decimal, push_integer};
use crate::values::moment::write_moment;
use arrow_array::types::Date32Type;
use bytes::Bytes;
use std::io::Write;
use std::sync::Arc;

/// Encodes rows, their hashes and the file id.
pub(crate) fn blocks(rows: &TableRows, file_id: i64) -> Arc<[Bytes]> {
    let columns: Vec<Values<'_>> = rows.batch.columns().iter().map(Values::of).collect();
    let mut scratch = String::new();
    // InnoDB stores rows in key order, and is faster if they arrive in that order; exports begin
    // with the newest.
    let mut order: Vec<usize> = (0..rows.hashes.len()).collect();
    if let Some(Values::Text(keys)) = columns.get(1) {
        order.sort_by_key(|&row| keys.value(row));
    }
    encoder::blocks(b"", order.len(), b"", |block, at| {
        let row = order[at];
        for &column in &columns {
            push_cell(block, column, row, &mut scratch);
            block.push(b'\t');
        }
        push_escaped(block, &rows.hashes[row]);
        block.push(b'\t');
        push_integer(block, file_id);
        block.push(b'\n');
    })
}

fn push_cell(block: &mut Vec<u8>, column: Values<'_>, row: usize, scratch: &mut String) {
    if column.is_null(row) {
        block.extend(b"\\N");
        return;
    }
    match column {
        Values::Text(values) => push_escaped(block, values.value(row).as_bytes()),
        Values::Integer(values) => push_integer(block, values.value(row)),
        Values::Double(values) => {
            write!(block, "{}", values.value(row)).expect("a vector takes all text");
        }
        Values::Decimal(values) => push_decimal(block, values.value(row)),
        Values::Day(values) => {
            let day = Date32Type::to_naive_date_opt(values.value(row));
            let day = day.expect("days come from parse_day, in chrono's range");
            write!(block, "{day}").expect("a vector takes all text");
        }
        Values::Moment(values) => {
            scratch.clear();
            write_moment(values.value(row), scratch);
            // Write no zone: column and session are in UTC, and the server may not know the zone's
            // name.
            block.extend(scratch.trim_end_matches('Z').as_bytes());
        }
    }
}

/// Characters that end a cell or a row, or begin an escape (MySQL, LOAD DATA).
fn push_escaped(block: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    while let Some(at) = memchr::memchr3(b'\\', b'\t', b'\n', rest) {
        block.extend(&rest[..at]);
        block.extend(match rest[at] {
            b'\\' => b"\\\\",
            b'\t' => b"\\t",
            _ => b"\\n",
        });
        rest = &rest[at + 1..];
    }
    block.extend(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMillisecondArray,
    };

    #[test]
    fn what_would_end_a_cell_is_escaped() {
        let mut block = Vec::new();
        push_escaped(&mut block, "a\tb\\N\r\né\\".as_bytes());
        assert_eq!(block, "a\\tb\\\\N\r\\né\\\\".as_bytes());
    }

    #[test]
    fn a_row_is_these_literal_bytes() {
        let columns: [(&str, ArrayRef); 4] = [
            ("a", Arc::new(StringArray::from(vec![Some("")]))),
            ("b", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("c", Arc::new(TimestampMillisecondArray::from(vec![1]))),
            (
                "d",
                Arc::new(Decimal128Array::from(vec![-15_000]).with_data_type(
                    crate::transform::clean::arrow_type(crate::feed::layout::Kind::Decimal),
                )),
            ),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, values)| (name, values, true)),
        );
        let batch = batch.expect("columns of one length");
        let mut hash = [0xa1; 32];
        hash[..4].copy_from_slice(b"\0\\\t\n");
        let rows = TableRows {
            batch,
            record: vec![0],
            hashes: vec![hash],
            absent: Vec::new(),
            encoded: None,
        };
        let expected =
            [b"\t\\N\t1970-01-01T00:00:00.001\t-1.5\t\0\\\\\\t\\n", &hash[4..], b"\t7\n"].concat();
        assert_eq!(blocks(&rows, 7).concat(), expected);
    }
}
