//! Chunk: a bounded run of whole records from a file. It is the unit of parallel work, of commit
//! and of resume. Plain data.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// Where reading continues; everything before it is committed.
///
/// First, records with consecutive rows are read in the order of the file. Records with scattered
/// rows are gathered afterwards, in as many passes over the file as the memory limit requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredPosition", into = "StoredPosition")]
pub enum Position {
    /// In the order of the file.
    InOrder {
        /// Byte offset of the next row.
        offset: u64,
        /// Number of rows before it.
        row: u64,
    },
    /// In a pass that gathers records.
    Gathering {
        /// The first pass is 1.
        pass: u32,
        /// Number of passes. The memory limit decided it when the first one began.
        passes: u32,
        /// Records of this pass that are done.
        records: u64,
    },
    /// The whole file is read.
    Done,
}

impl Position {
    /// The beginning of the file.
    pub const START: Self = Self::InOrder { offset: 0, row: 0 };

    /// Whether this position is further than the other one.
    pub fn is_after(self, other: Self) -> bool {
        let place = |position: Self| match position {
            Self::InOrder { offset, .. } => (0, 0, offset),
            Self::Gathering { pass, records, .. } => (1, pass, records),
            Self::Done => (2, 0, 0),
        };
        place(self) > place(other)
    }
}

impl Default for Position {
    fn default() -> Self {
        Self::START
    }
}

/// A position as the ledger and checkpoints keep it. Pass 0 is the one in the order of the file.
#[derive(Default, Serialize, Deserialize)]
struct StoredPosition {
    pass: u32,
    offset: u64,
    row: u64,
    records: u64,
    passes: u32,
    done: bool,
}

impl From<StoredPosition> for Position {
    fn from(stored: StoredPosition) -> Self {
        let StoredPosition { pass, offset, row, records, passes, done } = stored;
        match pass {
            _ if done => Self::Done,
            0 => Self::InOrder { offset, row },
            _ => Self::Gathering { pass, passes, records },
        }
    }
}

impl From<Position> for StoredPosition {
    fn from(position: Position) -> Self {
        match position {
            Position::InOrder { offset, row } => Self { offset, row, ..Self::default() },
            Position::Gathering { pass, passes, records } => {
                Self { pass, passes, records, ..Self::default() }
            }
            Position::Done => Self { done: true, ..Self::default() },
        }
    }
}

/// A rejected row, kept as it was in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// 1 is the first row after the header.
    pub row_number: u64,
    /// In a corrected copy: its row number in the file that the copy corrects.
    pub corrects_row: Option<u64>,
    /// Key of its record; empty if it belongs to none, `None` if the key cannot be read.
    pub record_key: Option<String>,
    /// The column with the fault, if there is one.
    pub column: Option<String>,
    /// Why it cannot be loaded, and what to do.
    pub reason: String,
    /// The original row; bytes that are not text are written as `\xNN`.
    pub raw: String,
}

/// A loaded row of a corrected copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectedRow {
    /// Its row number in the file that the copy corrects.
    pub number: u64,
    /// Key of the record that it is in now.
    pub key: String,
    /// Its cells: JSON, from column to text.
    pub cells: String,
}

/// Rows from other files that complete the records of a corrected copy.
#[derive(Debug, Default)]
pub struct JoinedRows {
    /// By record key, in the order of their row numbers.
    pub by_key: HashMap<String, Vec<JoinedRow>>,
    /// Columns that these rows have and the copy lacks; they are appended to the copy's.
    pub columns_added: usize,
    /// Column of the copy that holds row numbers.
    pub number_column: usize,
}

/// One such row.
#[derive(Clone, Debug)]
pub struct JoinedRow {
    /// Its row number in the file that the copy corrects.
    pub number: u64,
    /// Its cells in the copy's columns, including the appended ones.
    pub bytes: Vec<u8>,
    /// Columns that the row lacks.
    pub absent: Vec<usize>,
}

/// Whole records as text, before decoding.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The accepted rows in sequence, as input for arrow's decoder of the format.
    pub bytes: Vec<u8>,
    /// Key of each record.
    pub keys: Vec<String>,
    /// Rows of each record, as a range of the chunk's accepted rows.
    pub records: Vec<Range<usize>>,
    /// JSON keys that single objects lack: (row, column of the layout).
    pub absent: Vec<(usize, usize)>,
    /// Accepted rows that are further lines of a JSON object: they lack what belongs to the record.
    pub later_lines: Vec<usize>,
    /// Accepted rows that are records without lines.
    pub without_line: Vec<usize>,
    /// Those of them whose JSON object lacks the member of lines, which says nothing of its lines.
    pub lines_absent: Vec<usize>,
    /// Rows of objects whose key another object of the file has, which counts instead.
    pub rows_repeated: u64,
    /// In a corrected copy: accepted rows that come from the file that it corrects.
    pub joined: Vec<usize>,
    /// Numbers of the accepted rows in the file.
    pub numbers: Vec<u64>,
    /// Where each accepted row ends in `bytes`; kept if a rule may still reject rows.
    pub ends: Vec<usize>,
    /// The same for accepted rows that were rewritten: how they stood in the file.
    pub originals: Vec<OriginalRow>,
    /// Rejected rows.
    pub rejects: Vec<Reject>,
    /// Memory size of the rejects, which counts towards the chunk's limit.
    pub reject_bytes: usize,
    /// For each record, its entry for the record index, if one is made.
    pub seen: Vec<SeenRecord>,
    /// Runs of unchanged records that were skipped, each with the number of chunk records before
    /// it.
    pub skips: Vec<(usize, Skip)>,
    /// Rows of the file that this chunk covers.
    pub rows_read: u64,
    /// Rows that are no data.
    pub rows_skipped: u64,
    /// Rows with shifted cells that were repaired.
    pub rows_repaired: u64,
    /// Where reading continues after this chunk.
    pub next: Position,
}

/// An accepted row that was rewritten before it was decoded.
#[derive(Clone, Debug)]
pub struct OriginalRow {
    /// Its place among the accepted rows.
    pub row: usize,
    /// Its bytes in the file.
    pub bytes: Vec<u8>,
    /// Whether shifted cells were put back.
    pub is_repaired: bool,
}

/// A record's bytes in the file, for the record index.
#[derive(Clone, Copy, Debug)]
pub struct SeenRecord {
    /// Digest of its bytes.
    pub digest: RecordDigest,
    /// Part of the hash of its key.
    pub key_hash: u32,
    /// Its length in bytes.
    pub bytes: u64,
    /// Rows with shifted cells that were repaired.
    pub repaired: u32,
}

/// SHA-256 of a record's bytes, from the start of its first row to the end of its last, cut to 128
/// bits: two never match by chance in practice.
pub type RecordDigest = [u8; 16];

/// A record of an export, and the table rows it became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Digest of its bytes.
    pub digest: RecordDigest,
    /// Part of the hash of its key. Two records that share it are only read unnecessarily.
    pub key_hash: u32,
    /// Its length in bytes.
    pub bytes: u32,
    /// Its number of rows in the file.
    pub rows: u32,
    /// Table rows that it became: the record and its lines.
    pub table_rows: u32,
    /// Rows with shifted cells that were repaired.
    pub repaired: u32,
    /// Rows with a value that does not fit its column.
    pub rescued: u32,
    /// Whether its rows have different values in columns of the record.
    pub disagrees: bool,
}

/// Counts for skipped records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkipCounts {
    /// Rows of the file.
    pub rows: u64,
    /// Rows with shifted cells that were repaired.
    pub repaired: u64,
    /// Rows with a value that does not fit its column.
    pub rescued: u64,
    /// Unchanged table rows.
    pub table_rows: u64,
    /// Records.
    pub records: u64,
    /// Records whose rows have different values in columns of the record.
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

/// A run of unchanged, skipped records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Offset of its first byte in the file.
    pub start: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Counts of its records.
    pub counts: SkipCounts,
    /// Range of its records in the index.
    pub entries: Range<u32>,
}

impl Chunk {
    /// Number of accepted rows.
    pub fn rows(&self) -> usize {
        self.records.last().map_or(0, |last| last.end)
    }

    /// How an accepted row that was rewritten stood in the file.
    pub fn original(&self, row: usize) -> Option<&OriginalRow> {
        self.originals
            .binary_search_by_key(&row, |original| original.row)
            .ok()
            .map(|at| &self.originals[at])
    }

    /// An accepted row as it stood in the file.
    pub fn raw(&self, row: usize) -> String {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        // A line feed ends each row.
        let decoded = || &self.bytes[start..self.ends[row] - 1];
        let bytes = self.original(row).map_or_else(decoded, |original| &original.bytes);
        // PostgreSQL stores no NUL in text.
        String::from_utf8_lossy(bytes).replace('\0', "\\x00")
    }

    /// Whether an accepted row comes from another file.
    pub fn is_joined(&self, row: usize) -> bool {
        self.joined.binary_search(&row).is_ok()
    }

    /// Records whose JSON object lacks the member of lines, in order.
    pub fn records_without_word_of_lines(&self) -> impl Iterator<Item = usize> {
        let begins_at =
            |row: &usize| self.records.binary_search_by_key(row, |rows| rows.start).ok();
        // Several objects of one key are whole only together.
        let is_alone = |record: &usize| self.records[*record].len() == 1;
        self.lines_absent.iter().filter_map(begins_at).filter(is_alone)
    }

    /// Takes records out of an already decoded chunk, and returns which rows remain.
    pub fn leave_out(&mut self, is_left_out: &[bool]) -> Vec<usize> {
        let kept = |record: &usize| !is_left_out[*record];
        let rows: Vec<usize> = (0..self.records.len())
            .filter(kept)
            .flat_map(|record| self.records[record].clone())
            .collect();
        let place = |row: &usize| rows.binary_search(row).ok();
        self.absent =
            self.absent.iter().filter_map(|(row, column)| Some((place(row)?, *column))).collect();
        for of_rows in [
            &mut self.later_lines,
            &mut self.without_line,
            &mut self.lines_absent,
            &mut self.joined,
        ] {
            *of_rows = of_rows.iter().filter_map(place).collect();
        }
        let repaired =
            |original: &&OriginalRow| original.is_repaired && place(&original.row).is_none();
        self.rows_repaired -= self.originals.iter().filter(repaired).count() as u64;
        self.numbers = rows.iter().map(|&row| self.numbers[row]).collect();
        (self.bytes, self.ends, self.originals) = Default::default();
        for (before, _) in &mut self.skips {
            *before = (0..*before).filter(kept).count();
        }
        let mut end = 0;
        let records = std::mem::take(&mut self.records).into_iter().enumerate();
        self.records = records
            .filter(|(record, _)| kept(record))
            .map(|(_, rows)| {
                end += rows.len();
                end - rows.len()..end
            })
            .collect();
        let mut record = 0..;
        let mut is_kept = || record.next().is_some_and(|record| kept(&record));
        self.keys.retain(|_| is_kept());
        let mut record = 0..;
        let mut is_kept = || record.next().is_some_and(|record| kept(&record));
        self.seen.retain(|_| is_kept());
        rows
    }
}

/// Makes [`Counts`] of one list, so that no count can miss in any of the others.
macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counts of a file's rows, and of the table rows they became.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counts {
            /// What each is called in the ledger, reports and metrics, in the order of
            /// [`Self::all`].
            pub const NAMES: [&str; 12] = [$(stringify!($name)),+];

            /// Every count, in the order of [`Self::NAMES`].
            pub const fn all(&self) -> [u64; 12] {
                [$(self.$name),+]
            }

            /// The counts that [`Self::all`] gives.
            pub const fn of(all: [u64; 12]) -> Self {
                let [$($name),+] = all;
                Self { $($name),+ }
            }
        }
    };
}

counts! {
    /// Rows after the header.
    read,
    /// Rows that reached the tables.
    accepted,
    /// Rows that repeat another row, or lost to a later row of the same key.
    duplicate,
    /// Rejected rows.
    rejected,
    /// Rows that are no data, such as the header once more.
    skipped,
    /// Rows with shifted cells that were repaired.
    repaired,
    /// Rows with a value that does not fit its column, which is kept in `_rescued`.
    rescued,
    /// Table rows inserted.
    new,
    /// Table rows changed.
    modified,
    /// Table rows that were already up to date.
    unchanged,
    /// Table rows that were not written, because a newer file had written them.
    stale,
    /// Table rows removed.
    deleted,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let mut sums = self.all();
        sums.iter_mut().zip(other.all()).for_each(|(sum, count)| *sum += count);
        *self = Self::of(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_kept_as_it_always_was() {
        for (position, stored) in [
            (
                Position::InOrder { offset: 9, row: 1 },
                r#"{"pass":0,"offset":9,"row":1,"records":0,"passes":0,"done":false}"#,
            ),
            (
                Position::Gathering { pass: 2, passes: 3, records: 7 },
                r#"{"pass":2,"offset":0,"row":0,"records":7,"passes":3,"done":false}"#,
            ),
            (Position::Done, r#"{"pass":0,"offset":0,"row":0,"records":0,"passes":0,"done":true}"#),
        ] {
            assert_eq!(serde_json::to_string(&position).expect("plain data"), stored);
            assert_eq!(
                serde_json::from_str::<Position>(stored).expect("it is what was written"),
                position
            );
        }
        // As the end was kept once, with the pass after the last one.
        let end = r#"{"pass":1,"offset":0,"row":0,"records":0,"passes":0,"done":true}"#;
        assert_eq!(
            serde_json::from_str::<Position>(end).expect("it is what was written"),
            Position::Done
        );
    }

    #[test]
    fn every_count_has_its_name() {
        let numbered = Counts::of(std::array::from_fn(|index| index as u64));
        let json = serde_json::to_value(numbered).expect("counts are plain numbers");
        for (name, count) in Counts::NAMES.iter().zip(numbered.all()) {
            assert_eq!(json[name], count, "{name}");
        }
    }

    #[test]
    fn records_that_are_left_out_take_their_rows_with_them() {
        let mut chunk = Chunk {
            bytes: b"a\nb1\nb2\nc\n".to_vec(),
            ends: vec![2, 5, 8, 10],
            numbers: vec![1, 2, 3, 4],
            keys: ["a", "b", "c"].map(str::to_owned).into(),
            records: vec![0..1, 1..3, 3..4],
            absent: vec![(1, 7), (3, 7)],
            later_lines: vec![2],
            joined: vec![3],
            originals: vec![OriginalRow { row: 2, bytes: b"b\0".to_vec(), is_repaired: true }],
            rows_repaired: 1,
            skips: vec![(
                2,
                Skip { start: 0, bytes: 1, counts: SkipCounts::default(), entries: 0..1 },
            )],
            ..Chunk::default()
        };
        assert_eq!([0, 1, 2].map(|row| chunk.raw(row)), ["a", "b1", "b\\x00"]);
        assert_eq!(chunk.leave_out(&[false, true, false]), [0, 3]);
        assert_eq!(
            (chunk.keys, chunk.records),
            (vec!["a".to_owned(), "c".to_owned()], vec![0..1, 1..2])
        );
        assert_eq!(
            (chunk.numbers, chunk.absent, chunk.joined),
            (vec![1, 4], vec![(1, 7)], vec![1])
        );
        assert_eq!((chunk.later_lines, chunk.rows_repaired, chunk.skips[0].0), (Vec::new(), 0, 1));
    }
}
