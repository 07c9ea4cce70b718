//! Chunk: a bounded run of whole records as it came from a file, the unit of parallel work, of commit
//! and of resume. Plain data.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// Where reading goes on: everything before it is committed.
///
/// Records whose rows follow one another are read in file order, in pass 0. Records whose rows stand
/// apart are gathered afterwards, in as many passes over the file as memory asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// 0 is the pass in file order; from 1 on, the gathering passes.
    pub pass: u32,
    /// Pass 0: byte offset of the next row.
    pub offset: u64,
    /// Pass 0: number of rows before it.
    pub row: u64,
    /// Gathering passes: records of this pass that are done.
    pub records: u64,
    /// Gathering passes: how many there are, which the memory limit decided when the first one began.
    pub passes: u32,
    /// Whether nothing is left to read.
    pub done: bool,
}

impl Position {
    /// Whether more is done here than there.
    pub fn is_after(self, other: Self) -> bool {
        let place = |position: Self| (position.done, position.pass, position.offset, position.records);
        place(self) > place(other)
    }
}

/// A row that cannot be loaded, kept as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// 1 is the first row after the header.
    pub row_number: u64,
    /// The row of the file that it corrects, where it stands in a corrected copy.
    pub corrects_row: Option<u64>,
    /// The record that it belongs to; empty when it is of none, `None` when that cannot be read.
    pub record_key: Option<String>,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// Why, and what to do.
    pub reason: String,
    /// The row as it was; bytes that are not text as `\xNN`.
    pub raw: String,
}

/// A row of a corrected copy that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectedRow {
    /// Its number in the file that the copy corrects.
    pub number: u64,
    /// The record that it is in now.
    pub key: String,
    /// Its cells: JSON, column to text.
    pub cells: String,
}

/// Rows of other files that complete the records of a corrected copy.
#[derive(Debug, Default)]
pub struct JoinedRows {
    /// By the record's key, in the order of their numbers.
    pub by_key: HashMap<String, Vec<JoinedRow>>,
    /// Columns that they have and the copy has not, which stand behind its own.
    pub columns_added: usize,
    /// Column of the copy that has the numbers of its rows.
    pub number_column: usize,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct JoinedRow {
    /// Its number in the file that the copy corrects.
    pub number: u64,
    /// Its cells as the copy writes them, the added ones included.
    pub bytes: Vec<u8>,
    /// Columns that it does not have.
    pub absent: Vec<usize>,
}

/// Whole records, still as text.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The accepted rows, one after the other, in a form that arrow's decoder of the format takes.
    pub bytes: Vec<u8>,
    /// Key of each record.
    pub keys: Vec<String>,
    /// Rows of each record, as a range of the chunk's accepted rows.
    pub records: Vec<Range<usize>>,
    /// JSON keys that single objects do not have: (row, column of the layout).
    pub absent: Vec<(usize, usize)>,
    /// Of a corrected copy: accepted rows that are not its own, but stand in the file that it corrects.
    pub joined: Vec<usize>,
    /// Rows that cannot be loaded.
    pub rejects: Vec<Reject>,
    /// Memory that the rejects take.
    pub reject_bytes: usize,
    /// Of each record what an index keeps, where one is made.
    pub seen: Vec<SeenRecord>,
    /// Unchanged records that were passed by, each run with the number of records of the chunk before it.
    pub skips: Vec<(usize, Skip)>,
    /// Rows of the file that this chunk accounts for.
    pub rows_read: u64,
    /// Rows that are no data.
    pub rows_skipped: u64,
    /// Rows whose shifted cells were put back.
    pub rows_repaired: u64,
    /// Where reading goes on after this chunk.
    pub next: Position,
}

/// A record as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub struct SeenRecord {
    /// Digest of its bytes.
    pub digest: RecordDigest,
    /// Part of the hash of its key.
    pub key_hash: u32,
    /// Its bytes.
    pub bytes: u64,
    /// Rows whose shifted cells were put back.
    pub repaired: u32,
}

/// SHA-256 of the bytes of a record, from its first row to the end of its last one, cut to 128 bits: as good as
/// never equal by chance.
pub type RecordDigest = [u8; 16];

/// A record of an export, and what it became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of its bytes.
    pub digest: RecordDigest,
    /// Part of the hash of its key; two records that share it are only read without need.
    pub key_hash: u32,
    /// Its bytes.
    pub bytes: u32,
    /// Its rows.
    pub rows: u32,
    /// Rows of tables that it became: its own, and its lines.
    pub table_rows: u32,
    /// Rows whose shifted cells were put back.
    pub repaired: u32,
    /// Rows with a value that does not fit its column.
    pub rescued: u32,
    /// Whether its rows disagree on what belongs to the record.
    pub disagrees: bool,
}

/// What skipped records count as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkipCounts {
    /// Rows of the file.
    pub rows: u64,
    /// Rows whose shifted cells were put back.
    pub repaired: u64,
    /// Rows with a value that does not fit its column.
    pub rescued: u64,
    /// Table rows that are as they were.
    pub table_rows: u64,
    /// Records.
    pub records: u64,
    /// Records whose rows disagree.
    pub disagreeing: u64,
}

impl std::ops::AddAssign for SkipCounts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.repaired += other.repaired;
        self.rescued += other.rescued;
        self.table_rows += other.table_rows;
        self.records += other.records;
        self.disagreeing += other.disagreeing;
    }
}

/// A run of unchanged records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Offset of its first byte in the file.
    pub start: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What it counts as.
    pub counts: SkipCounts,
    /// Its records in the index.
    pub entries: Range<u32>,
}

impl Chunk {
    /// Number of accepted rows.
    pub fn rows(&self) -> usize {
        self.records.last().map_or(0, |last| last.end)
    }
}

/// Counts of a file's own rows, and of the table rows they became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows after the header.
    pub read: u64,
    /// Rows that reached the tables.
    pub accepted: u64,
    /// Rows that repeat another one, or lost to a later one of the same key.
    pub duplicate: u64,
    /// Rows that could not be loaded.
    pub rejected: u64,
    /// Rows that are no data, such as the header once more.
    pub skipped: u64,
    /// Rows whose shifted cells were put back.
    pub repaired: u64,
    /// Rows with a value that does not fit its column, which is kept in `_rescued`.
    pub rescued: u64,
    /// Table rows inserted.
    pub new: u64,
    /// Table rows changed.
    pub modified: u64,
    /// Table rows that already were so.
    pub unchanged: u64,
    /// Table rows that lost to a newer file.
    pub stale: u64,
    /// Table rows removed.
    pub deleted: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
        self.repaired += other.repaired;
        self.rescued += other.rescued;
        self.new += other.new;
        self.modified += other.modified;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.deleted += other.deleted;
    }
}
