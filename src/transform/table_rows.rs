//! Table rows: what a chunk becomes in one table, as columns, with the hash of each row.

use crate::transform::row_hash::RowHash;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of one table.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// Columns by their names in the table, key first, without the bookkeeping ones.
    pub batch: RecordBatch,
    /// Record of the chunk that each row belongs to.
    pub record: Vec<u32>,
    /// SHA-256 of each row.
    pub hashes: Vec<RowHash>,
    /// Cells whose column the row's JSON object did not have: (row, column of the batch).
    pub absent: Vec<(usize, usize)>,
    /// The rows, encoded for the database's bulk path, if a worker has encoded them.
    pub encoded: Option<Arc<[Bytes]>>,
}

/// The rows at these ascending indices.
pub fn take_rows(rows: &TableRows, indices: &[usize]) -> TableRows {
    if indices.len() == rows.hashes.len() {
        // All rows, as in a first load: share the columns instead of copying them.
        return rows.clone();
    }
    let taken: UInt32Array = indices
        .iter()
        .map(|&row| u32::try_from(row).expect("a chunk has fewer than 2^32 rows"))
        .collect();
    let position: HashMap<usize, usize> =
        indices.iter().enumerate().map(|(new, &old)| (old, new)).collect();
    TableRows {
        batch: take_record_batch(&rows.batch, &taken).expect("indices come from the same batch"),
        record: indices.iter().map(|&row| rows.record[row]).collect(),
        hashes: indices.iter().map(|&row| rows.hashes[row]).collect(),
        absent: rows
            .absent
            .iter()
            .filter_map(|&(row, column)| Some((*position.get(&row)?, column)))
            .collect(),
        encoded: None,
    }
}
