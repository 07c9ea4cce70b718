//! Copy: encodes rows in the binary format of PostgreSQL's COPY, so that the server need not parse
//! numbers and times from text. The format is in PostgreSQL's documentation ("COPY, binary
//! format"); the format of each type is in its `recv` function.

use crate::sink::tables::bulk::encoder;
use crate::transform::table_rows::TableRows;
use crate::values::canonical::Values;
use crate::values::number::DECIMAL_SCALE;
use bytes::Bytes;
use std::sync::Arc;

/// Signature, flags, and length 0 of the header extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// End marker, in place of a row's field count.
const TAIL: &[u8] = &(-1_i16).to_be_bytes();

/// Field length that means NULL.
const NULL: &[u8] = &(-1_i32).to_be_bytes();

/// PostgreSQL counts from 2000: days and milliseconds after 1970.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MS: i64 = EPOCH_DAYS as i64 * 86_400_000;

/// Encodes rows, their hashes and the file id.
pub(crate) fn blocks(rows: &TableRows, file_id: i64) -> Arc<[Bytes]> {
    let columns: Vec<Values<'_>> = rows.batch.columns().iter().map(Values::of).collect();
    let fields =
        i16::try_from(columns.len() + 2).expect("a table of PostgreSQL has at most 1600 columns");
    encoder::blocks(HEAD, rows.hashes.len(), TAIL, |block, row| {
        block.extend(fields.to_be_bytes());
        columns.iter().for_each(|&column| push_cell(block, column, row));
        push_field(block, &rows.hashes[row]);
        push_field(block, &file_id.to_be_bytes());
    })
}

/// The column types that the output of [`blocks`] is for, as `format_type` names them.
pub(crate) fn types(rows: &TableRows) -> impl Iterator<Item = &'static [&'static str]> {
    let own = rows.batch.columns().iter().map(|column| -> &[&str] {
        match Values::of(column) {
            Values::Text(_) => &["text", "character varying"],
            Values::Integer(_) => &["bigint"],
            Values::Double(_) => &["double precision"],
            Values::Decimal(_) => &["numeric"],
            Values::Day(_) => &["date"],
            Values::Moment(_) => &["timestamp with time zone"],
        }
    });
    own.chain([&["bytea"] as &[&str], &["bigint"]])
}

fn push_field(block: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).expect("a field is at most 2 GiB long");
    block.extend(length.to_be_bytes());
    block.extend(bytes);
}

fn push_cell(block: &mut Vec<u8>, column: Values<'_>, row: usize) {
    if column.is_null(row) {
        block.extend(NULL);
        return;
    }
    match column {
        Values::Text(values) => push_field(block, values.value(row).as_bytes()),
        Values::Integer(values) => push_field(block, &values.value(row).to_be_bytes()),
        Values::Double(values) => push_field(block, &values.value(row).to_be_bytes()),
        Values::Decimal(values) => push_numeric(block, values.value(row)),
        Values::Day(values) => push_field(block, &(values.value(row) - EPOCH_DAYS).to_be_bytes()),
        Values::Moment(values) => {
            push_field(block, &((values.value(row) - EPOCH_MS) * 1000).to_be_bytes());
        }
    }
}

/// Encodes ten-thousandths as a numeric. Its digits have base 10,000, so the last digit is the
/// whole fraction.
fn push_numeric(block: &mut Vec<u8>, ten_thousandths: i128) {
    const BASE: u64 = 10_u64.pow(DECIMAL_SCALE);
    const NEGATIVE: u16 = 0x4000;
    // Last digit first; 39 decimal digits need at most 10 of these.
    let mut digits = [0_u16; 10];
    let mut count = 0_u16;
    let mut push = |digit: u64| {
        digits[usize::from(count)] = digit as u16;
        count += 1;
    };
    let mut rest = ten_thousandths.unsigned_abs();
    // 128-bit division is slow, and few numbers need it.
    while rest > u128::from(u64::MAX) {
        push((rest % u128::from(BASE)) as u64);
        rest /= u128::from(BASE);
    }
    let mut rest = rest as u64;
    while rest > 0 {
        push(rest % BASE);
        rest /= BASE;
    }
    // Weight of the first digit; the digit right before the point has weight 0.
    let weight = count.cast_signed() - 2;
    let sign = if ten_thousandths < 0 { NEGATIVE } else { 0 };
    block.extend(i32::from(8 + 2 * count).to_be_bytes());
    block.extend(
        [count, weight.cast_unsigned(), sign, DECIMAL_SCALE as u16]
            .map(u16::to_be_bytes)
            .as_flattened(),
    );
    digits[..usize::from(count)].iter().rev().for_each(|digit| block.extend(digit.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Date32Array, RecordBatch, StringArray, TimestampMillisecondArray};

    #[test]
    fn a_row_is_these_literal_bytes() {
        let columns: [(&str, ArrayRef); 4] = [
            ("a", Arc::new(StringArray::from(vec![Some("é")]))),
            ("b", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("c", Arc::new(TimestampMillisecondArray::from(vec![946_684_800_001]))),
            ("d", Arc::new(Date32Array::from(vec![10_956]))),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, values)| (name, values, true)),
        );
        let batch = batch.expect("columns of one length");
        let rows = TableRows {
            batch,
            record: vec![0],
            hashes: vec![[0xa1; 32]],
            absent: Vec::new(),
            encoded: None,
        };
        let row = [
            &[0, 6][..],
            b"\0\0\0\x02\xc3\xa9",
            b"\xff\xff\xff\xff",
            b"\0\0\0\x08\0\0\0\0\0\0\x03\xe8",
            b"\0\0\0\x04\xff\xff\xff\xff",
            b"\0\0\0\x20",
            &[0xa1; 32],
            b"\0\0\0\x08\0\0\0\0\0\0\0\x07",
            b"\xff\xff",
        ];
        assert_eq!(
            blocks(&rows, 7).concat(),
            [b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", &row.concat()[..]].concat()
        );
    }

    #[test]
    fn ten_thousandths_are_digits_of_base_ten_thousand() {
        for (units, expected) in [
            (0, &[0, 0xfffe, 0, 4][..]),
            (1, &[1, 0xffff, 0, 4, 1]),
            (-50_000, &[2, 0, 0x4000, 4, 5, 0]),
            (12_345_678, &[2, 0, 0, 4, 1234, 5678]),
            (-(i128::from(u64::MAX) + 1), &[5, 3, 0x4000, 4, 1844, 6744, 737, 955, 1616]),
        ] {
            let mut block = Vec::new();
            push_numeric(&mut block, units);
            let (length, words) = block.split_at(4);
            assert_eq!(length, u32::try_from(words.len()).expect("few").to_be_bytes());
            let words: Vec<u16> =
                words.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect();
            assert_eq!(words, expected, "{units}");
        }
    }
}
