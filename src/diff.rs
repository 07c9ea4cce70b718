//! Diff: which rows of a projected chunk are new, modified, unchanged or stale, by comparing their
//! hashes with the stored ones. Rows that did not change go no further than this.

use crate::project::{Projected, TableRows};
use crate::row_hash::RowHash;
use std::collections::{HashMap, HashSet};

/// What the tables hold of the records in a chunk.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Of each record that is there: its hash, and the file that last wrote it.
    pub records: HashMap<String, (RowHash, i64)>,
    /// Of each of its lines, by key and number: the hash.
    pub lines: HashMap<String, HashMap<i64, RowHash>>,
}

/// Rows of one table by what is to become of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSets {
    /// Not in the table.
    pub new: Vec<usize>,
    /// In the table with another hash.
    pub changed: Vec<usize>,
    /// Number of rows that are in the table as they are.
    pub unchanged: u64,
}

/// What a chunk changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Of the table of records.
    pub records: RowSets,
    /// Of the table of lines.
    pub lines: RowSets,
    /// Lines that the record has no more: key and line number.
    pub removed_lines: Vec<(String, i64)>,
    /// Table rows that lost to a newer file.
    pub stale: u64,
    /// Records that won over what was stored, or are new.
    pub winners: HashSet<usize>,
}

/// Compares a chunk with what is stored. `wins` says whether this file's record replaces one that the
/// given file wrote, `adds_unknown` whether one that is not stored is added.
pub fn diff(projected: &Projected, known: &Known, adds_unknown: bool, wins: impl Fn(i64) -> bool) -> Diff {
    let mut diff = Diff::default();
    for (record, key) in projected.keys.iter().enumerate() {
        match known.records.get(key) {
            Some(&(_, file_id)) if !wins(file_id) => diff.stale += 1,
            None if !adds_unknown => diff.stale += 1,
            _ => {
                diff.winners.insert(record);
            }
        }
    }
    for &record in &diff.winners {
        let stored = known.records.get(&projected.keys[record]).map(|(hash, _)| hash);
        diff.records.sort_in(record, projected.records.hashes[record], stored);
    }
    diff.records.new.sort_unstable();
    diff.records.changed.sort_unstable();
    if let Some(lines) = &projected.lines {
        diff_lines(&mut diff, projected, lines, known);
    }
    diff
}

fn diff_lines(diff: &mut Diff, projected: &Projected, lines: &TableRows, known: &Known) {
    let mut counts = vec![0_i64; projected.keys.len()];
    for (row, &record) in lines.record.iter().enumerate() {
        let record = record as usize;
        counts[record] += 1;
        if !diff.winners.contains(&record) {
            diff.stale += 1;
            continue;
        }
        let stored = known.lines.get(&projected.keys[record]).and_then(|lines| lines.get(&counts[record]));
        diff.lines.sort_in(row, lines.hashes[row], stored);
    }
    for &record in &diff.winners {
        let key = &projected.keys[record];
        let stored = known.lines.get(key).into_iter().flat_map(HashMap::keys);
        let removed = stored.filter(|&&line_no| line_no > counts[record]);
        diff.removed_lines.extend(removed.map(|&line_no| (key.clone(), line_no)));
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
