//! Project: makes table rows of cleaned rows: each record once, and its numbered lines.
//!
//! A pure function of the chunk, its layout and the dataset, so that any worker can run it.

use crate::chunk::{Chunk, CorrectedRow, Entry, Position, Reject, Skip};
use crate::feed::dataset::{Dataset, DuplicateLines, Owner, RepeatedKeys};
use crate::feed::layout::{Layout, LayoutColumn, Role};
use crate::feed::record_key::split;
use crate::transform::clean::Cleaned;
use crate::transform::faults::Faults;
use crate::transform::row_hash::hash_rows;
use crate::transform::table_rows::TableRows;
use crate::values::canonical::Values;
use crate::values::cell::hex;
use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_row::{RowConverter, SortField};
use arrow_select::take::{take, take_record_batch};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Up to this many rows of a record, each row is compared with every other one. A few columns
/// usually show the difference; making rows comparable as bytes would read every column of every
/// row.
const COMPARED_ROWS_MAX: usize = 32;

/// A chunk as table rows.
#[derive(Debug)]
pub struct Projected {
    /// Key of each record.
    pub keys: Vec<String>,
    /// A row per record.
    pub records: TableRows,
    /// The records' lines, if the dataset has them.
    pub lines: Option<TableRows>,
    /// Rows that cannot be loaded.
    pub rejects: Vec<Reject>,
    /// Rows of the file that this chunk accounts for.
    pub rows_read: u64,
    /// Rows that repeat another row, or were replaced by a later one.
    pub rows_duplicate: u64,
    /// Rows that are not data.
    pub rows_skipped: u64,
    /// Rows whose shifted cells were put back.
    pub rows_repaired: u64,
    /// Rows of the file with a value that does not fit its column.
    pub rows_rescued: u64,
    /// Records whose rows disagree on what belongs to the record.
    pub records_disagreeing: u64,
    /// The entry of each record for the record index, if one is made.
    pub entries: Vec<Entry>,
    /// Unchanged records that were skipped: each run, with the number of records before it.
    pub skips: Vec<(usize, Skip)>,
    /// For a corrected copy: the rows of the corrected file that this chunk has.
    pub corrected_rows: Vec<CorrectedRow>,
    /// Values that break a rule, or do not fit their column.
    pub faults: Faults,
    /// Records of which the file says nothing of lines, in order: the stored ones stay.
    pub lines_absent: Vec<usize>,
    /// Where reading continues after this chunk.
    pub next: Position,
}

/// Projects a cleaned chunk.
pub fn project(
    chunk: Chunk,
    cleaned: &Cleaned,
    layout: &Layout,
    dataset: &Dataset,
    market: &str,
) -> Projected {
    let source = Source { layout, cleaned, chunk: &chunk, market, dataset };
    let rows = chunk.rows();
    let (records, lines, disagreeing, kept) = match &dataset.lines {
        None => {
            let kept = kept_rows(&chunk, dataset);
            (source.kept_rows(&kept), None, vec![false; chunk.records.len()], kept)
        }
        Some(lines) => {
            let line_rows = source.line_rows(lines.duplicates);
            let (merged, lines) = (source.merged_rows(&line_rows), source.lines(&line_rows));
            let with_records = std::iter::zip(&chunk.records, line_rows);
            // A record without lines is kept as its only row.
            let kept = with_records.flat_map(|(record, rows)| {
                if rows.is_empty() { record.clone().collect() } else { rows }
            });
            (merged, Some(lines), source.disagreeing(), kept.collect())
        }
    };
    let is_joined = |row: &&usize| chunk.joined.binary_search(row).is_ok();
    // A repetition that involves a row of another file does not count for this file.
    let joined_kept = kept.iter().filter(is_joined).count();
    let joined_left_out = chunk.joined.len() - joined_kept;
    let lines_absent = chunk.records_without_word_of_lines().collect();
    let entries = entries(&chunk, cleaned, lines.as_ref(), &disagreeing);
    let rows_rescued = rows_rescued(cleaned, 0..rows).filter(|row| !is_joined(&row)).count() as u64;
    let (records, keys) = match dataset.is_keyless() {
        // Different texts may become the same row after cleaning.
        true => distinct_rows(records),
        false => (records, chunk.keys),
    };
    let rows_kept = if lines.is_some() { kept.len() } else { records.batch.num_rows() };
    Projected {
        records,
        lines,
        rows_duplicate: (rows - rows_kept - joined_left_out) as u64 + chunk.rows_repeated,
        records_disagreeing: disagreeing.iter().filter(|&&disagrees| disagrees).count() as u64,
        entries,
        skips: chunk.skips,
        keys,
        rejects: chunk.rejects,
        rows_read: chunk.rows_read,
        rows_skipped: chunk.rows_skipped,
        rows_repaired: chunk.rows_repaired,
        rows_rescued,
        corrected_rows: Vec::new(),
        faults: Faults::default(),
        lines_absent,
        next: chunk.next,
    }
}

/// The rows of this range with a value that does not fit its column.
fn rows_rescued(cleaned: &Cleaned, rows: Range<usize>) -> impl Iterator<Item = usize> {
    let start = cleaned.rescued.partition_point(|cell| cell.row < rows.start);
    let of_rows =
        cleaned.rescued[start..].iter().map(|cell| cell.row).take_while(move |&row| row < rows.end);
    let mut last = None;
    of_rows.filter(move |&row| last.replace(row) != Some(row))
}

fn entries(
    chunk: &Chunk,
    cleaned: &Cleaned,
    lines: Option<&TableRows>,
    disagreeing: &[bool],
) -> Vec<Entry> {
    let mut table_rows = vec![1_u32; chunk.seen.len()];
    for &record in lines.iter().flat_map(|lines| &lines.record) {
        if let Some(table_rows) = table_rows.get_mut(record as usize) {
            *table_rows += 1;
        }
    }
    let seen = chunk.seen.iter().zip(&chunk.records).zip(table_rows).zip(disagreeing);
    seen.map(|(((seen, rows), table_rows), &disagrees)| Entry {
        digest: seen.digest,
        key_hash: seen.key_hash,
        // A record has at most record_rows_max rows of row_bytes_max. If a number does not fit
        // here, the index does not find the record again.
        bytes: u32::try_from(seen.bytes).unwrap_or(0),
        rows: u32::try_from(rows.len()).unwrap_or(0),
        table_rows,
        repaired: seen.repaired,
        rescued: u32::try_from(rows_rescued(cleaned, rows.clone()).count()).unwrap_or(u32::MAX),
        disagrees,
    })
    .filter(|entry| entry.bytes > 0)
    .collect()
}

/// The rows that differ, with their hashes as keys.
fn distinct_rows(rows: TableRows) -> (TableRows, Vec<String>) {
    let mut seen = HashSet::with_capacity(rows.hashes.len());
    let kept: Vec<usize> =
        (0..rows.hashes.len()).filter(|&row| seen.insert(rows.hashes[row])).collect();
    let keys = kept.iter().map(|&row| hex(&rows.hashes[row])).collect();
    if kept.len() == rows.hashes.len() {
        return (rows, keys);
    }
    let batch = take_record_batch(&rows.batch, &indices(kept.iter().copied()))
        .expect("indices come from the batch");
    let hashes = kept.iter().map(|&row| rows.hashes[row]).collect();
    (
        TableRows {
            batch,
            record: (0..).take(kept.len()).collect(),
            hashes,
            absent: Vec::new(),
            encoded: None,
        },
        keys,
    )
}

/// The row of each record that counts.
fn kept_rows(chunk: &Chunk, dataset: &Dataset) -> Vec<usize> {
    let kept = |record: &Range<usize>| match dataset.repeated_keys {
        RepeatedKeys::First => record.start,
        // If all rows are equal, any row may count as the last one.
        RepeatedKeys::Last | RepeatedKeys::Quarantine => record.end - 1,
    };
    chunk.records.iter().map(kept).collect()
}

struct Source<'a> {
    layout: &'a Layout,
    cleaned: &'a Cleaned,
    chunk: &'a Chunk,
    market: &'a str,
    dataset: &'a Dataset,
}

impl Source<'_> {
    /// Without lines, one of the rows with the same key is the whole record.
    fn kept_rows(&self, rows: &[usize]) -> TableRows {
        let mut table = TableBuilder::new(
            self,
            &self.chunk.keys.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let indices = indices(rows.iter().copied());
        for (index, values) in self.columns(Owner::Record) {
            let absent = (0..rows.len()).filter(|&row| self.is_absent(rows[row], index));
            table.push_column(index, take_rows(values, &indices), absent.collect());
        }
        let rescued =
            self.rescued_texts(rows.iter().map(|&row| row..row + 1), goes_to(Owner::Record));
        table.finish(rescued, (0..).take(rows.len()).collect())
    }

    /// The record's own columns: the last value of each that is not NULL.
    fn merged_rows(&self, line_rows: &[Vec<usize>]) -> TableRows {
        let records = &self.chunk.records;
        let mut table = TableBuilder::new(
            self,
            &self.chunk.keys.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        for (index, values) in self.columns(Owner::Record) {
            let nulls = values.nulls();
            let last_value = |record: &Range<usize>| match nulls {
                None => record.end - 1,
                Some(nulls) => {
                    record.clone().rev().find(|&row| nulls.is_valid(row)).unwrap_or(record.end - 1)
                }
            };
            let indices = indices(records.iter().map(last_value));
            let is_absent =
                |record: &Range<usize>| record.clone().all(|row| self.is_absent(row, index));
            let absent = (0..records.len()).filter(|&row| is_absent(&records[row]));
            table.push_column(index, take_rows(values, &indices), absent.collect());
        }
        let line_counts: Int64Array = line_rows.iter().map(|rows| rows.len() as i64).collect();
        // Where nothing is said of lines, the stored ones stay, and so does their number.
        let line_count = table.columns.len();
        let unsaid = self.chunk.records_without_word_of_lines();
        table.absent.extend(unsaid.map(|record| (record, line_count)));
        table.push("line_count", Arc::new(line_counts));
        let rescued = self.rescued_texts(records.iter().cloned(), goes_to(Owner::Record));
        table.finish(rescued, (0..).take(records.len()).collect())
    }

    fn lines(&self, line_rows: &[Vec<usize>]) -> TableRows {
        let record: Vec<u32> = line_rows
            .iter()
            .zip(0..)
            .flat_map(|(rows, record)| std::iter::repeat_n(record, rows.len()))
            .collect();
        let keys: Vec<&str> =
            record.iter().map(|&record| self.chunk.keys[record as usize].as_str()).collect();
        let rows: Vec<usize> = line_rows.concat();
        let indices = indices(rows.iter().copied());
        let mut table = TableBuilder::new(self, &keys);
        let line_no: Int64Array = line_rows.iter().flat_map(|rows| 1..=rows.len() as i64).collect();
        table.push("line_no", Arc::new(line_no));
        for (index, values) in self.columns(Owner::Line) {
            let absent = (0..rows.len()).filter(|&row| self.is_absent(rows[row], index));
            table.push_column(index, take_rows(values, &indices), absent.collect());
        }
        let rescued =
            self.rescued_texts(rows.iter().map(|&row| row..row + 1), goes_to(Owner::Line));
        table.finish(rescued, record)
    }

    /// The rows of each record that are lines of it.
    fn line_rows(&self, duplicates: DuplicateLines) -> Vec<Vec<usize>> {
        let records = &self.chunk.records;
        let has_line = |record: &Range<usize>| record.len() > 1 || !self.has_no_line(record.start);
        if duplicates == DuplicateLines::Keep {
            let rows =
                |record: &Range<usize>| record.clone().filter(|_| has_line(record)).collect();
            return records.iter().map(rows).collect();
        }
        // Only the first row of an object has the record's own columns.
        let json = &self.dataset.json;
        let are_objects = !self.chunk.later_lines.is_empty()
            || (json.lines.is_some() && self.layout.is_correction());
        let is_compared =
            |index: usize| !are_objects || !self.layout.at(index).is_of_first_row(json);
        // Lines of an order differ in line columns, mostly in the first ones.
        let of_lines = self.columns(Owner::Line).chain(self.columns(Owner::Record));
        let of_lines = of_lines.filter(|&(index, _)| is_compared(index));
        // What is rescued of a line's member tells lines apart, whichever table it goes to.
        let is_kept = |column: &LayoutColumn| !are_objects || !column.is_of_first_row(json);
        let rows = (0..self.chunk.rows()).map(|row| row..row + 1);
        let rescued: ArrayRef = Arc::new(self.rescued_texts(rows, is_kept));
        let columns: Vec<ArrayRef> =
            of_lines.map(|(_, values)| values).chain([&rescued]).cloned().collect();
        let values: Vec<Values<'_>> = columns.iter().map(Values::of).collect();
        let is_same =
            |one: usize, other: usize| values.iter().all(|values| values.is_same(one, other));
        let distinct = |record: &Range<usize>| {
            if !has_line(record) {
                return Vec::new();
            }
            // In a large record, comparing every pair of rows would take too long.
            if record.len() > COMPARED_ROWS_MAX {
                return distinct_by_bytes(&columns, record);
            }
            let mut kept: Vec<usize> = Vec::with_capacity(record.len());
            for row in record.clone() {
                if !kept.iter().any(|&earlier| is_same(earlier, row)) {
                    kept.push(row);
                }
            }
            kept
        };
        records.iter().map(distinct).collect()
    }

    /// For each record, whether its rows disagree on the record's own columns.
    fn disagreeing(&self) -> Vec<bool> {
        let mut is_disagreeing = vec![false; self.chunk.records.len()];
        for (_, values) in self.columns(Owner::Record) {
            let values = Values::of(values);
            for (record, is_disagreeing) in self.chunk.records.iter().zip(&mut is_disagreeing) {
                *is_disagreeing |= record.len() > 1 && has_two_values(values, record.clone());
            }
        }
        is_disagreeing
    }

    fn columns(&self, owner: Owner) -> impl Iterator<Item = (usize, &ArrayRef)> {
        let columns = self.layout.all().zip(&self.cleaned.columns).enumerate();
        columns
            .filter(move |(_, (column, _))| column.role == Role::Column(owner))
            .filter_map(|(index, (_, values))| Some((index, values.as_ref()?)))
    }

    fn is_absent(&self, row: usize, column: usize) -> bool {
        self.layout.is_absent(self.chunk, row, column, &self.dataset.json)
    }

    /// Whether the only row of a record is not a line. In a corrected copy, an object without lines
    /// has no value in any line column.
    fn has_no_line(&self, row: usize) -> bool {
        if self.dataset.json.lines.is_some() && self.layout.is_correction() {
            return self.columns(Owner::Line).all(|(_, values)| values.is_null(row));
        }
        self.chunk.without_line.binary_search(&row).is_ok()
    }

    /// [`Source::rescued`] of each of these ranges of rows.
    fn rescued_texts(
        &self,
        runs: impl ExactSizeIterator<Item = Range<usize>>,
        is_wanted: impl Fn(&LayoutColumn) -> bool,
    ) -> StringArray {
        match self.cleaned.rescued.is_empty() {
            true => StringArray::new_null(runs.len()),
            false => runs.map(|rows| self.rescued(rows, &is_wanted)).collect(),
        }
    }

    /// JSON of the texts that were rescued in these rows, the last one of each column; `None` if
    /// there are none.
    fn rescued(
        &self,
        rows: Range<usize>,
        is_wanted: impl Fn(&LayoutColumn) -> bool,
    ) -> Option<String> {
        let rescued = &self.cleaned.rescued;
        let start = rescued.partition_point(|cell| cell.row < rows.start);
        let end = rescued.partition_point(|cell| cell.row < rows.end);
        let texts: BTreeMap<&str, &str> = rescued[start..end]
            .iter()
            .map(|cell| (self.layout.at(cell.column), cell))
            .filter(|(column, _)| is_wanted(column))
            .map(|(column, cell)| (column.name.as_str(), cell.raw.as_str()))
            .collect();
        (!texts.is_empty()).then(|| serde_json::to_string(&texts).expect("a map of texts is JSON"))
    }
}

fn goes_to(owner: Owner) -> impl Fn(&LayoutColumn) -> bool {
    move |column| column.role == Role::Column(owner)
}

/// Collects the columns of one table.
struct TableBuilder<'a> {
    layout: &'a Layout,
    columns: Vec<(String, ArrayRef)>,
    absent: Vec<(usize, usize)>,
}

impl<'a> TableBuilder<'a> {
    fn new(source: &Source<'a>, keys: &[&str]) -> Self {
        let markets = StringArray::from_iter_values(std::iter::repeat_n(source.market, keys.len()));
        let mut columns: Vec<(String, ArrayRef)> = vec![("market".to_owned(), Arc::new(markets))];
        let key = source.layout.key();
        for (&part, parts) in key.iter().zip(key_parts(keys, key.len())) {
            columns.push((source.layout.key_column(part).name.clone(), Arc::new(parts)));
        }
        Self { layout: source.layout, columns, absent: Vec::new() }
    }

    fn push_column(&mut self, index: usize, values: ArrayRef, absent: Vec<usize>) {
        let column = self.columns.len();
        self.absent.extend(absent.into_iter().map(|row| (row, column)));
        self.push(&self.layout.at(index).name.clone(), values);
    }

    fn push(&mut self, name: &str, values: ArrayRef) {
        self.columns.push((name.to_owned(), values));
    }

    fn finish(mut self, rescued: StringArray, record: Vec<u32>) -> TableRows {
        self.push("_rescued", Arc::new(rescued));
        let nullable = self.columns.into_iter().map(|(name, values)| (name, values, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable)
            .expect("every column has a value for each row");
        self.absent.sort_unstable();
        TableRows { hashes: hash_rows(&batch), batch, record, absent: self.absent, encoded: None }
    }
}

/// The keys' parts, by column.
fn key_parts(keys: &[&str], columns: usize) -> Vec<StringArray> {
    if columns < 2 {
        return vec![StringArray::from_iter_values(keys); columns];
    }
    let mut parts: Vec<StringBuilder> = (0..columns).map(|_| StringBuilder::new()).collect();
    // The lines of a record are consecutive.
    for lines in keys.chunk_by(|one, other| one == other) {
        for (part, column) in split(lines[0], columns).iter().zip(&mut parts) {
            lines.iter().for_each(|_| column.append_value(part));
        }
    }
    parts.iter_mut().map(StringBuilder::finish).collect()
}

fn indices(rows: impl Iterator<Item = usize>) -> UInt32Array {
    rows.map(|row| u32::try_from(row).expect("a chunk has fewer than 2^32 rows")).collect()
}

/// The first row of each group of rows with equal values in every column.
fn distinct_by_bytes(columns: &[ArrayRef], rows: &Range<usize>) -> Vec<usize> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let columns: Vec<ArrayRef> =
        columns.iter().map(|column| column.slice(rows.start, rows.len())).collect();
    let comparable = RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(&columns))
        .expect("every cleaned type can be compared as bytes");
    let mut seen = HashSet::with_capacity(rows.len());
    rows.clone().filter(|&row| seen.insert(comparable.row(row - rows.start))).collect()
}

fn take_rows(values: &ArrayRef, indices: &UInt32Array) -> ArrayRef {
    take(values, indices, None).expect("indices come from the same chunk")
}

fn has_two_values(values: Values<'_>, rows: Range<usize>) -> bool {
    let mut valid = rows.filter(|&row| !values.is_null(row));
    let Some(first) = valid.next() else { return false };
    valid.any(|row| !values.is_same(first, row))
}
