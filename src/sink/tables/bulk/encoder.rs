//! Encoder: encodes rows in blocks for a server's bulk load. During a first load, workers encode
//! rows while the server receives the rows before.

use crate::sink::db::dialect::Dialect;
use crate::sink::tables::bulk::{copy, tsv};
use crate::transform::table_rows::TableRows;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of a block: large enough that messages cost little, small compared with a chunk.
const BLOCK_BYTES: usize = 1 << 18;

/// Encodes the rows of a file for the server.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    dialect: Dialect,
    file_id: i64,
}

impl Encoder {
    /// An encoder for rows of this file.
    pub const fn new(dialect: Dialect, file_id: i64) -> Self {
        Self { dialect, file_id }
    }

    /// Encodes the rows with their hashes and the file id; `None` on SQLite, which binds values one
    /// by one.
    pub fn encode(self, rows: &TableRows) -> Option<Arc<[Bytes]>> {
        match self.dialect {
            Dialect::Sqlite => None,
            Dialect::Mysql => Some(tsv::blocks(rows, self.file_id)),
            Dialect::Postgres => Some(copy::blocks(rows, self.file_id)),
        }
    }
}

/// Collects in blocks what `push_row` appends for each row, between a head and a tail.
pub(crate) fn blocks(
    head: &[u8],
    rows: usize,
    tail: &[u8],
    mut push_row: impl FnMut(&mut Vec<u8>, usize),
) -> Arc<[Bytes]> {
    let mut blocks = Vec::new();
    let capacity = BLOCK_BYTES + BLOCK_BYTES / 4;
    let mut block = Vec::with_capacity(capacity);
    block.extend(head);
    for row in 0..rows {
        push_row(&mut block, row);
        if block.len() >= BLOCK_BYTES {
            blocks.push(std::mem::replace(&mut block, Vec::with_capacity(capacity)).into());
        }
    }
    block.extend(tail);
    blocks.push(block.into());
    blocks.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_one_another_without_a_gap() {
        let blocks =
            blocks(b"head", BLOCK_BYTES + 1, b"tail", |block, row| block.extend([row as u8, 7]));
        assert!(blocks.len() > 1);
        let expected: Vec<u8> = (0..=BLOCK_BYTES).flat_map(|row| [row as u8, 7]).collect();
        assert_eq!(blocks.concat(), [b"head", &expected[..], b"tail"].concat());
    }
}
