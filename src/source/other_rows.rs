//! OtherRows: what a file has of some records, for a corrected copy of its rejects that has only
//! some of their rows.

use crate::chunk::Chunk;
use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::{Layout, Role};
use crate::feed::row_format::RowFormat;
use crate::source::reader::rows_at;
use crate::source::rows::{Form, Part};
use crate::source::text::content::Content;
use crate::transform::decode::decode;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A row that was accepted.
#[derive(Clone, Debug)]
pub struct OtherRow {
    /// 1 is the first row after the header.
    pub number: u64,
    /// Its texts, by column.
    pub cells: BTreeMap<String, String>,
}

/// The rows of one record, still as they are read.
#[derive(Default)]
struct RawRecord {
    numbers: Vec<u64>,
    chunk: Chunk,
    is_broken: bool,
}

/// The rows that a file has of these records, as far as the file could bring them in.
///
/// # Errors
///
/// When the file cannot be read, or has more of them than memory may hold.
pub fn read_other_rows(
    content: &Content,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    limits: &Limits,
    keys: &HashSet<String>,
) -> Result<HashMap<String, Vec<OtherRow>>, SyncError> {
    let mut records: HashMap<String, RawRecord> = HashMap::new();
    let mut bytes = 0;
    let mut rows = rows_at(content, format, layout, dataset, limits, 0, 0)?;
    while let Some(row) = rows.next_row()? {
        let Some(key) = row.key.filter(|key| keys.contains(key)) else { continue };
        bytes += row.raw.len() as u64;
        if bytes > limits.gather_bytes_max {
            return Err(SyncError::damaged(
                "the records that it corrects have more rows than memory_max_mb has room for; correct them in several copies",
            ));
        }
        let record = records.entry(key).or_default();
        let index = record.numbers.len();
        match row.form {
            Form::Broken(_) | Form::Skipped => record.is_broken = true,
            Form::Fits => record.chunk.bytes.extend(row.raw),
            Form::Rewritten { bytes, .. } => record.chunk.bytes.extend(bytes),
        }
        record.chunk.bytes.push(b'\n');
        record.chunk.absent.extend(row.absent.into_iter().map(|column| (index, column)));
        record.numbers.push(row.number);
        if matches!(row.part, Part::LaterLine { .. }) {
            record.chunk.later_lines.push(index);
        }
    }
    let whole = records.into_iter().filter(|(_, record)| !record.is_broken);
    Ok(whole.map(|(key, record)| (key, record.decoded(format, layout, dataset))).collect())
}

impl RawRecord {
    fn decoded(mut self, format: RowFormat, layout: &Layout, dataset: &Dataset) -> Vec<OtherRow> {
        self.chunk.records.push(0..self.numbers.len());
        let batch = decode(&self.chunk, format, layout);
        let columns = layout
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| matches!(column.role, Role::Column(_)));
        let columns: Vec<(usize, &String)> =
            columns.map(|(index, column)| (index, &column.name)).collect();
        let row = |(row, number): (usize, u64)| {
            let own = columns
                .iter()
                .filter(|(index, _)| !layout.is_absent(&self.chunk, row, *index, &dataset.json));
            let cells = own.map(|&(index, name)| {
                let values = batch.column(index).as_string::<i32>();
                (
                    name.clone(),
                    if values.is_valid(row) { values.value(row).to_owned() } else { String::new() },
                )
            });
            OtherRow { number, cells: cells.collect() }
        };
        self.numbers.iter().copied().enumerate().map(row).collect()
    }
}
