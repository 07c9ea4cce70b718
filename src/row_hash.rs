//! RowHash: the SHA-256 of one stored row, by which new and modified rows are told from unchanged ones.
//!
//! The hashed bytes are a version byte, then for every column that is not NULL, in the order of the
//! names' bytes: the name's length (u16) and bytes, a tag for the kind of value, the value's length
//! (u32) and bytes; all integers big-endian. NULLs are left out, so a new column changes only the rows
//! that have a value in it.

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types};
use arrow_schema::{DataType, TimeUnit};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// SHA-256 of one stored row.
pub type RowHash = [u8; 32];

/// Grows when the hashed bytes change their meaning; then every stored hash is outdated.
const HASH_VERSION: u8 = 1;

/// Rows that one rayon task hashes.
const ROWS_PER_TASK: usize = 2048;

const TAG_TEXT: u8 = 1;
const TAG_INTEGER: u8 = 2;
const TAG_DECIMAL: u8 = 3;
const TAG_DOUBLE: u8 = 4;
const TAG_TIME: u8 = 5;
const TAG_DAY: u8 = 6;

/// A column ready to be hashed: what stands before each of its values.
struct HashColumn {
    prefix: Vec<u8>,
    values: ArrayRef,
}

/// Hashes every row of a batch.
pub fn hash_rows(batch: &RecordBatch) -> Vec<RowHash> {
    let schema = batch.schema();
    let mut named: Vec<(&String, &ArrayRef)> =
        schema.fields().iter().map(|field| field.name()).zip(batch.columns()).collect();
    named.sort_by_key(|(name, _)| name.as_bytes());
    let columns: Vec<HashColumn> = named.into_iter().map(|(name, values)| hash_column(name, values)).collect();
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

fn hash_column(name: &str, values: &ArrayRef) -> HashColumn {
    let length = u16::try_from(name.len()).expect("column names are at most 63 bytes");
    let mut prefix = length.to_be_bytes().to_vec();
    prefix.extend(name.as_bytes());
    prefix.push(match values.data_type() {
        DataType::Utf8 => TAG_TEXT,
        DataType::Int64 => TAG_INTEGER,
        DataType::Decimal128(..) => TAG_DECIMAL,
        DataType::Float64 => TAG_DOUBLE,
        DataType::Timestamp(TimeUnit::Millisecond, _) => TAG_TIME,
        DataType::Date32 => TAG_DAY,
        other => unreachable!("clean makes no column of type {other}"),
    });
    HashColumn { prefix, values: values.clone() }
}

fn push_value(bytes: &mut Vec<u8>, column: &HashColumn, row: usize) {
    let values = &column.values;
    if values.is_null(row) {
        return;
    }
    bytes.extend(&column.prefix);
    match values.data_type() {
        DataType::Utf8 => push_bytes(bytes, values.as_string::<i32>().value(row).as_bytes()),
        DataType::Int64 => push_bytes(bytes, &values.as_primitive::<types::Int64Type>().value(row).to_be_bytes()),
        DataType::Decimal128(..) => {
            push_bytes(bytes, &values.as_primitive::<types::Decimal128Type>().value(row).to_be_bytes());
        }
        // Adding zero makes -0.0 and 0.0 one value, as they are in every database's comparison.
        DataType::Float64 => {
            push_bytes(bytes, &(values.as_primitive::<types::Float64Type>().value(row) + 0.0).to_bits().to_be_bytes());
        }
        DataType::Date32 => push_bytes(bytes, &values.as_primitive::<types::Date32Type>().value(row).to_be_bytes()),
        _ => push_bytes(bytes, &values.as_primitive::<types::TimestampMillisecondType>().value(row).to_be_bytes()),
    }
}

fn push_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("row_bytes_max keeps values far below 4 GiB");
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::hex;
    use arrow_array::{Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)))
            .expect("equal lengths")
    }

    #[test]
    fn hashes_these_literal_bytes() {
        let batch =
            batch(vec![("b", Arc::new(StringArray::from(vec!["x"]))), ("a", Arc::new(Int64Array::from(vec![2])))]);
        let bytes = b"\x01\x00\x01a\x02\x00\x00\x00\x08\0\0\0\0\0\0\0\x02\x00\x01b\x01\x00\x00\x00\x01x";
        let expected: RowHash = Sha256::digest(bytes).into();
        assert_eq!(hash_rows(&batch), [expected]);
        assert_eq!(hex(&expected), "73615aa4807050b98ab15a2f9e737e4b54b770ab441f2c86eefb3174c0563e9d");
    }

    #[test]
    fn a_null_column_changes_nothing_and_borders_between_values_count() {
        let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let without = hash_rows(&batch(vec![("a", text(vec![Some("x")]))]));
        let with_null = hash_rows(&batch(vec![("a", text(vec![Some("x")])), ("z", text(vec![None]))]));
        assert_eq!(without, with_null);
        let one = hash_rows(&batch(vec![("a", text(vec![Some("xy")])), ("b", text(vec![Some("")]))]));
        let other = hash_rows(&batch(vec![("a", text(vec![Some("x")])), ("b", text(vec![Some("y")]))]));
        assert_ne!(one, other);
    }
}
