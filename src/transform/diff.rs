//! Diff: which rows of a projected chunk are new, modified, unchanged or stale, by comparing their
//! hashes with the stored ones. Unchanged rows go no further.

use crate::transform::project::Projected;
use crate::transform::row_hash::RowHash;
use crate::transform::table_rows::TableRows;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use std::ops::Range;

/// What the tables have of a chunk's records.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The stored record of each record of the chunk, by its index there.
    records: Vec<Option<KnownRecord>>,
    /// Number and hash of each stored line, grouped by record, in order.
    lines: Vec<(i64, RowHash)>,
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct KnownRecord {
    /// Its hash.
    pub hash: RowHash,
    /// The file that last wrote it.
    pub file_id: i64,
    /// Range of its lines in the lines of the chunk.
    lines: Range<usize>,
}

impl Known {
    /// For this many records, of which none is stored.
    pub fn nothing(records: usize) -> Self {
        Self { records: vec![None; records], lines: Vec::new() }
    }

    /// Adds a stored record. Its lines are added later.
    pub fn add_record(&mut self, record: usize, hash: RowHash, file_id: i64) {
        self.records[record] = Some(KnownRecord { hash, file_id, lines: 0..0 });
    }

    /// The stored lines of a stored record, in any order.
    pub fn add_lines(&mut self, record: usize, lines: impl IntoIterator<Item = (i64, RowHash)>) {
        let start = self.lines.len();
        self.lines.extend(lines);
        self.lines[start..].sort_unstable_by_key(|&(line_no, _)| line_no);
        if let Some(known) = &mut self.records[record] {
            known.lines = start..self.lines.len();
        }
    }

    /// The stored state of a record of the chunk.
    pub fn record(&self, record: usize) -> Option<&KnownRecord> {
        self.records[record].as_ref()
    }

    /// Number and hash of each stored line of a record, in order.
    pub fn lines(&self, record: usize) -> &[(i64, RowHash)] {
        self.record(record).map_or(&[], |known| &self.lines[known.lines.clone()])
    }

    /// The hash of a stored line.
    pub fn line(&self, record: usize, line_no: i64) -> Option<&RowHash> {
        let lines = self.lines(record);
        lines.binary_search_by_key(&line_no, |&(line_no, _)| line_no).ok().map(|at| &lines[at].1)
    }

    /// Files that last wrote any of the records; one may come more than once.
    pub fn file_ids(&self) -> impl Iterator<Item = i64> {
        self.records.iter().flatten().map(|known| known.file_id)
    }

    /// Records of the chunk that are stored.
    pub fn stored(&self) -> impl Iterator<Item = usize> {
        self.records.iter().enumerate().filter_map(|(record, known)| known.as_ref().map(|_| record))
    }
}

/// Rows of one table, by what has to be done with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSets {
    /// Not in the table.
    pub new: Vec<usize>,
    /// In the table with another hash.
    pub changed: Vec<usize>,
    /// Number of rows that the table has unchanged.
    pub unchanged: u64,
}

/// What a chunk changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// For the table of records.
    pub records: RowSets,
    /// For the table of lines.
    pub lines: RowSets,
    /// Lines that the record no longer has: key and line number.
    pub removed_lines: Vec<(String, i64)>,
    /// Table rows that lost to a newer file.
    pub stale: u64,
    /// Records that are new or replaced the stored ones, in order.
    pub winners: Vec<usize>,
}

/// Compares a chunk with what is stored. Three functions decide about a record, by its index in the
/// chunk: `adds_unknown` whether it is added if it is not stored, `wins` whether it replaces a
/// record that the given file wrote, and `keeps_lines` whether stored lines that it lacks stay.
pub fn diff(
    projected: &Projected,
    known: &Known,
    adds_unknown: impl Fn(usize) -> bool,
    wins: impl Fn(usize, i64) -> bool,
    keeps_lines: impl Fn(usize) -> bool,
) -> Diff {
    let mut diff = Diff::default();
    let mut is_winner = vec![false; projected.keys.len()];
    for (record, is_winner) in is_winner.iter_mut().enumerate() {
        let stored = known.record(record);
        *is_winner =
            stored.map_or_else(|| adds_unknown(record), |stored| wins(record, stored.file_id));
        if *is_winner {
            diff.winners.push(record);
            diff.records.sort_in(
                record,
                projected.records.hashes[record],
                stored.map(|stored| &stored.hash),
            );
        } else {
            diff.stale += 1;
        }
    }
    if let Some(lines) = &projected.lines {
        diff_lines(&mut diff, projected, lines, known, &is_winner, keeps_lines);
    }
    diff
}

fn diff_lines(
    diff: &mut Diff,
    projected: &Projected,
    lines: &TableRows,
    known: &Known,
    is_winner: &[bool],
    keeps_lines: impl Fn(usize) -> bool,
) {
    let mut counts = vec![0_i64; projected.keys.len()];
    let numbers = lines
        .batch
        .column_by_name("line_no")
        .expect("lines are numbered")
        .as_primitive::<Int64Type>();
    for (row, &record) in lines.record.iter().enumerate() {
        let record = record as usize;
        counts[record] += 1;
        if !is_winner[record] {
            diff.stale += 1;
            continue;
        }
        diff.lines.sort_in(row, lines.hashes[row], known.line(record, numbers.value(row)));
    }
    for &record in diff.winners.iter().filter(|&&record| !keeps_lines(record)) {
        let removed = known.lines(record).iter().filter(|&&(line_no, _)| line_no > counts[record]);
        diff.removed_lines
            .extend(removed.map(|&(line_no, _)| (projected.keys[record].clone(), line_no)));
    }
    diff.removed_lines.sort_unstable();
}

impl RowSets {
    fn sort_in(&mut self, row: usize, hash: RowHash, stored: Option<&RowHash>) {
        match stored {
            None => self.new.push(row),
            Some(stored) if *stored == hash => self.unchanged += 1,
            Some(_) => self.changed.push(row),
        }
    }
}
