//! KeptLines: matches the rows of a record that may be incomplete in its file with the record's
//! stored lines.
//!
//! A row whose key cannot be read may be a line of any record. So while a file has such a row, a
//! line that is missing in the file is not deleted. Line numbers mean nothing then: if B of the
//! lines A, B, C cannot be read, C comes second. So lines are matched by content: an equal row is
//! the same line, a row with the same identifiers is that line, changed, and any other row is new.
//! If all stored lines have their rows, they are numbered as in any file. Otherwise stored lines
//! without a row stay where they are, and new lines come after them. Values of the record that only
//! the missing row may have stay too.

use crate::transform::diff::Known;
use crate::transform::project::Projected;
use crate::transform::row_hash::{RowHash, hash_rows};
use crate::transform::table_rows::TableRows;
use crate::values::canonical::Values;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_select::concat::concat;
use entity::{Kind, TableShape};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Maximum number of stored lines with the same identifiers that a row is compared with. A record
/// may have thousands, and every row would be compared with all of them.
const ALIKE_MAX: usize = 64;

/// Columns of a line that are its place, or have no content of their own.
const NOT_COMPARED: [&str; 3] = ["market", "line_no", "_rescued"];

/// The stored lines of some records of a chunk, grouped by record, in the order of their numbers.
#[derive(Debug)]
pub struct StoredLines {
    /// The record of each line.
    pub record: Vec<usize>,
    /// Its number.
    pub line_no: Vec<i64>,
    /// The columns that the chunk's lines have, in their order.
    pub columns: Vec<ArrayRef>,
}

/// The records in `kept` whose lines differ from the stored ones.
pub fn differing(projected: &Projected, known: &Known, kept: &[usize]) -> Vec<usize> {
    let Some(lines) = &projected.lines else { return Vec::new() };
    let of_records = rows_of_records(lines, projected.keys.len());
    let is_stored = |record: usize| {
        let stored = known.lines(record).iter().map(|(_, hash)| hash);
        stored.eq(&lines.hashes[of_records[record].clone()])
    };
    kept.iter().copied().filter(|&record| !is_stored(record)).collect()
}

/// Gives the lines of the stored records in `kept` the numbers of the stored lines that they match,
/// and keeps the stored values of these records where the chunk has none.
pub fn keep(
    projected: &mut Projected,
    kept: &[usize],
    stored: &StoredLines,
    lines_shape: &TableShape,
) {
    let Some(lines) = &mut projected.lines else { return };
    let of_records = rows_of_records(lines, projected.keys.len());
    let cells = Cells::of(lines, stored, lines_shape);
    let mut numbers: Vec<i64> = numbers_of(&lines.batch).values().to_vec();
    let mut line_counts: BTreeMap<usize, i64> = BTreeMap::new();
    for of_record in stored.record.chunk_by(|one, other| one == other) {
        let record = of_record[0];
        let first = stored.record.partition_point(|&other| other < record);
        let rows = of_records[record].clone();
        let taken = cells.taken(rows.clone(), first..first + of_record.len());
        // Nothing is missing: the lines have the order of the file.
        if taken.iter().flatten().count() == of_record.len() {
            continue;
        }
        let mut count = of_record.len() as i64;
        for (row, taken) in rows.zip(taken) {
            numbers[row] = taken.map_or_else(
                || {
                    count += 1;
                    count
                },
                |line| stored.line_no[line],
            );
        }
        line_counts.insert(record, count);
    }
    let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
    replace_column(lines, "line_no", &numbers);
    keep_values(&mut projected.records, kept, &line_counts);
}

/// A value that the rows of a record lack may be in the row that cannot be read. So such a cell
/// counts as absent, not as NULL.
fn keep_values(records: &mut TableRows, kept: &[usize], line_counts: &BTreeMap<usize, i64>) {
    let schema = records.batch.schema();
    let index_of = |name: &str| schema.index_of(name).expect("every table of records has it");
    let (count_column, rescued_column) = (index_of("line_count"), index_of("_rescued"));
    let rescued = records.batch.column(rescued_column).as_string::<i32>().clone();
    for &record in kept {
        let texts: HashMap<String, String> = match rescued.is_valid(record) {
            true => serde_json::from_str(rescued.value(record))
                .expect("it was written as a map of texts"),
            false => HashMap::new(),
        };
        let columns = schema.fields().iter().zip(records.batch.columns()).enumerate();
        let lacking = columns.filter(|(index, (field, values))| {
            *index != rescued_column
                && !values.is_valid(record)
                && !texts.contains_key(field.name())
        });
        records.absent.extend(lacking.map(|(index, _)| (record, index)));
    }
    records.absent.sort_unstable();
    records.absent.dedup();
    let counts = records.batch.column(count_column).as_primitive::<Int64Type>();
    let counts: Int64Array = (0..counts.len())
        .map(|record| line_counts.get(&record).copied().unwrap_or(counts.value(record)))
        .collect();
    let counts: ArrayRef = Arc::new(counts);
    replace_column(records, "line_count", &counts);
}

fn replace_column(rows: &mut TableRows, name: &str, values: &ArrayRef) {
    let schema = rows.batch.schema();
    let columns = schema.fields().iter().zip(rows.batch.columns());
    let columns = columns.map(|(field, old)| {
        let values = if field.name() == name { values } else { old };
        (field.name().clone(), Arc::clone(values), true)
    });
    rows.batch = RecordBatch::try_from_iter_with_nullable(columns)
        .expect("the new column is as long as the old one");
    rows.hashes = hash_rows(&rows.batch);
    rows.encoded = None;
}

fn numbers_of(batch: &RecordBatch) -> &Int64Array {
    batch.column_by_name("line_no").expect("lines are numbered").as_primitive::<Int64Type>()
}

/// The consecutive rows of each record.
fn rows_of_records(lines: &TableRows, records: usize) -> Vec<Range<usize>> {
    let end_of = |record: usize| lines.record.partition_point(|&other| other as usize <= record);
    let mut start = 0;
    (0..records)
        .map(|record| {
            let rows = start..end_of(record);
            start = rows.end;
            rows
        })
        .collect()
}

/// The cells of a chunk's lines, followed by those of the stored lines.
struct Cells {
    columns: Vec<ArrayRef>,
    /// The content of each line.
    contents: Vec<RowHash>,
    /// The identifiers of each line.
    identities: Vec<RowHash>,
    has_identity: Vec<bool>,
    /// Index of the first stored line.
    stored_at: usize,
}

impl Cells {
    fn of(lines: &TableRows, stored: &StoredLines, shape: &TableShape) -> Self {
        let schema = lines.batch.schema();
        let is_compared =
            |name: &String| !NOT_COMPARED.contains(&name.as_str()) && !shape.key.contains(name);
        let mut compared: Vec<(String, ArrayRef)> = Vec::new();
        for ((field, own), stored) in
            schema.fields().iter().zip(lines.batch.columns()).zip(&stored.columns)
        {
            if is_compared(field.name()) {
                let both = concat(&[own, stored]).expect("both have the type of the column's kind");
                compared.push((field.name().clone(), both));
            }
        }
        let is_identifier =
            |name: &str| shape.column(name).is_some_and(|column| column.kind == Kind::Identifier);
        let identifiers: Vec<(String, ArrayRef)> =
            compared.iter().filter(|(name, _)| is_identifier(name)).cloned().collect();
        let rows = lines.hashes.len() + stored.record.len();
        let has_identity = (0..rows)
            .map(|row| identifiers.iter().any(|(_, values)| values.is_valid(row)))
            .collect();
        Self {
            contents: hashes_of(&compared, rows),
            identities: hashes_of(&identifiers, rows),
            has_identity,
            columns: compared.into_iter().map(|(_, values)| values).collect(),
            stored_at: lines.hashes.len(),
        }
    }

    /// For each row of a record, the index of the stored line that it matches.
    fn taken(&self, rows: Range<usize>, stored: Range<usize>) -> Vec<Option<usize>> {
        let mut same: HashMap<RowHash, VecDeque<usize>> = HashMap::new();
        for line in stored.clone() {
            same.entry(self.contents[self.stored_at + line]).or_default().push_back(line);
        }
        let mut taken: Vec<Option<usize>> =
            rows.clone().map(|row| same.get_mut(&self.contents[row])?.pop_front()).collect();
        let mut is_free = vec![true; stored.len()];
        taken.iter().flatten().for_each(|&line| is_free[line - stored.start] = false);
        let mut alike: HashMap<RowHash, VecDeque<usize>> = HashMap::new();
        for line in stored.clone().filter(|line| is_free[line - stored.start]) {
            alike.entry(self.identities[self.stored_at + line]).or_default().push_back(line);
        }
        for (row, taken) in rows.zip(&mut taken).filter(|(_, taken)| taken.is_none()) {
            *taken =
                alike.get_mut(&self.identities[row]).and_then(|lines| self.most_alike(row, lines));
        }
        taken
    }

    /// Takes the most similar line from those with the row's identifiers; of equally similar ones,
    /// the first. Without identifiers, the line must share half of its cells with the row.
    fn most_alike(&self, row: usize, lines: &mut VecDeque<usize>) -> Option<usize> {
        let shared = |line: usize| {
            let line = self.stored_at + line;
            let columns = self.columns.iter();
            let filled = columns.filter(|values| values.is_valid(row) || values.is_valid(line));
            filled.fold((0, 0), |(same, filled), values| {
                (same + usize::from(Values::of(values).is_same(row, line)), filled + 1)
            })
        };
        let candidates =
            lines.iter().take(ALIKE_MAX).enumerate().map(|(place, &line)| (place, shared(line)));
        let alike =
            candidates.filter(|(_, (same, filled))| self.has_identity[row] || 2 * same >= *filled);
        let (place, _) =
            alike.min_by_key(|(place, (same, _))| (std::cmp::Reverse(*same), *place))?;
        lines.remove(place)
    }
}

fn hashes_of(columns: &[(String, ArrayRef)], rows: usize) -> Vec<RowHash> {
    if columns.is_empty() {
        return vec![RowHash::default(); rows];
    }
    let nullable = columns.iter().map(|(name, values)| (name.clone(), Arc::clone(values), true));
    hash_rows(
        &RecordBatch::try_from_iter_with_nullable(nullable).expect("all columns have as many rows"),
    )
}
