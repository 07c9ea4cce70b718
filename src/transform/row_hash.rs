//! RowHash: the SHA-256 of one stored row, which distinguishes new and modified rows from unchanged
//! ones.
//!
//! The hashed bytes are a version byte, then for every column that is not NULL, in the order of the
//! names' bytes: the name's length (u16) and bytes, the length (u32) and bytes of the value's
//! canonical text; all integers big-endian. NULLs are left out, so a new column changes only the
//! rows that have a value in it. The kind of the column does not count, so widening a column
//! changes no row.

use crate::values::canonical::Values;
use arrow_array::{ArrayRef, RecordBatch};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// SHA-256 of one stored row.
pub type RowHash = [u8; 32];

/// Incremented when the meaning of the hashed bytes changes; then every stored hash is outdated.
const HASH_VERSION: u8 = 2;

/// Rows that one rayon task hashes.
const ROWS_PER_TASK: usize = 2048;

/// A column prepared for hashing, with the bytes that go in front of each value.
struct HashColumn<'a> {
    prefix: Vec<u8>,
    values: Values<'a>,
}

/// Hashes every row of a batch.
pub fn hash_rows(batch: &RecordBatch) -> Vec<RowHash> {
    let schema = batch.schema();
    let mut named: Vec<(&String, &ArrayRef)> =
        schema.fields().iter().map(|field| field.name()).zip(batch.columns()).collect();
    named.sort_by_key(|(name, _)| name.as_bytes());
    let columns: Vec<HashColumn<'_>> =
        named.into_iter().map(|(name, values)| hash_column(name, values)).collect();
    let mut hashes = vec![[0; 32]; batch.num_rows()];
    hashes.par_chunks_mut(ROWS_PER_TASK).enumerate().for_each(|(task, hashes)| {
        let mut bytes = Vec::with_capacity(1024);
        for (row, hash) in (task * ROWS_PER_TASK..).zip(hashes) {
            bytes.clear();
            bytes.push(HASH_VERSION);
            columns.iter().for_each(|column| push_value(&mut bytes, column, row));
            *hash = Sha256::digest(&bytes).into();
        }
    });
    hashes
}

fn hash_column<'a>(name: &str, values: &'a ArrayRef) -> HashColumn<'a> {
    let length = u16::try_from(name.len()).expect("column names are at most 63 bytes");
    let prefix = [&length.to_be_bytes(), name.as_bytes()].concat();
    HashColumn { prefix, values: Values::of(values) }
}

fn push_value(bytes: &mut Vec<u8>, column: &HashColumn<'_>, row: usize) {
    const LENGTH_BYTES: usize = size_of::<u32>();
    if column.values.is_null(row) {
        return;
    }
    bytes.extend(&column.prefix);
    // The length is known once the text is written.
    let start = bytes.len() + LENGTH_BYTES;
    bytes.extend([0; LENGTH_BYTES]);
    column.values.push(bytes, row);
    let length =
        u32::try_from(bytes.len() - start).expect("row_bytes_max keeps values far below 4 GiB");
    bytes[start - LENGTH_BYTES..start].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::layout::Kind;
    use crate::transform::clean::arrow_type;
    use crate::values::cell::hex;
    use arrow_array::{
        Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        TimestampMillisecondArray,
    };
    use std::sync::Arc;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, values)| (name, values, true)),
        )
        .expect("equal lengths")
    }

    #[test]
    fn hashes_these_literal_bytes() {
        let batch = batch(vec![
            ("b", Arc::new(StringArray::from(vec!["x"]))),
            ("a", Arc::new(Int64Array::from(vec![2]))),
        ]);
        let bytes = b"\x02\x00\x01a\x00\x00\x00\x012\x00\x01b\x00\x00\x00\x01x";
        let expected: RowHash = Sha256::digest(bytes).into();
        assert_eq!(hash_rows(&batch), [expected]);
        assert_eq!(
            hex(&expected),
            "a85784e001fb04ebeca465c19f777c0023a8bcb4c79b33fbbda0939d9e9debb1"
        );
    }

    #[test]
    fn a_null_column_changes_nothing_and_borders_between_values_count() {
        let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let without = hash_rows(&batch(vec![("a", text(vec![Some("x")]))]));
        let with_null =
            hash_rows(&batch(vec![("a", text(vec![Some("x")])), ("z", text(vec![None]))]));
        assert_eq!(without, with_null);
        let one =
            hash_rows(&batch(vec![("a", text(vec![Some("xy")])), ("b", text(vec![Some("")]))]));
        let other =
            hash_rows(&batch(vec![("a", text(vec![Some("x")])), ("b", text(vec![Some("y")]))]));
        assert_ne!(one, other);
    }

    /// A column that is widened must change no hash.
    #[test]
    fn a_value_has_one_hash_whatever_the_kind_of_its_column() {
        let hash = |values: ArrayRef| hash_rows(&batch(vec![("a", values)]));
        let text = |value: &str| hash(Arc::new(StringArray::from(vec![value])));
        let decimal = |units: i128| {
            hash(Arc::new(
                Decimal128Array::from(vec![units]).with_data_type(arrow_type(Kind::Decimal)),
            ))
        };
        assert_eq!(hash(Arc::new(Int64Array::from(vec![-5]))), text("-5"));
        assert_eq!(decimal(-50_000), text("-5"));
        assert_eq!(decimal(55_000), text("5.5"));
        assert_eq!(hash(Arc::new(Float64Array::from(vec![5.5]))), text("5.5"));
        assert_eq!(hash(Arc::new(Float64Array::from(vec![-0.0]))), text("0"));
        assert_eq!(hash(Arc::new(Date32Array::from(vec![19_040]))), text("2022-02-17"));
        let moment = |millis: i64| hash(Arc::new(TimestampMillisecondArray::from(vec![millis])));
        assert_eq!(moment(19_040 * 86_400_000), text("2022-02-17"));
        assert_eq!(moment(1_645_115_787_000), text("2022-02-17T16:36:27.000Z"));
    }
}
