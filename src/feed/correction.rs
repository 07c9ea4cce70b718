//! Correction: the names and notes that identify a corrected copy of rejected rows, and what it
//! says about them.

use crate::chunk::{Chunk, CorrectedRow, Reject};
use crate::feed::layout::{Layout, NOTES, Role};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a row without a fault of its own is rejected, after the row that has one.
pub const OF_SAME_RECORD: &str =
    "of the same record cannot be loaded, and records are loaded whole";

/// End of the name of a file of rejected rows.
pub const REJECTS_END: &str = ".rejects.csv";

/// Extensions of files, without those of compression.
const EXTENSIONS: [&str; 8] =
    [".csv", ".tsv", ".txt", ".json", ".ndjson", ".jsonl", ".xlsx", ".parquet"];

/// Extensions of compressed files.
const COMPRESSIONS: [&str; 2] = [".gz", ".zst"];

/// The columns of a file, as they are named in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Their names.
    pub columns: Vec<String>,
    /// Delimiter of cells; `None` if rows are JSON objects.
    pub delimiter: Option<char>,
    /// What stands around cells.
    pub quote: char,
    /// Whether quotes in its rows tell texts from numbers, as in those of workbooks and columnar
    /// files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_typed: bool,
    /// The file's folder below the directory that was given to sync. It may name the market, so a
    /// corrected copy must lie in a folder of this name. `None` if an earlier version, which did
    /// not keep it, has read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// A rejected row as it is written for correction.
#[derive(Clone, Debug)]
pub struct OpenReject {
    /// Its number in the file.
    pub row_number: u64,
    /// Its number in the file that this one corrects.
    pub corrects_row: Option<u64>,
    /// The column at fault.
    pub column: Option<String>,
    /// Why.
    pub reason: String,
    /// As it was.
    pub raw: String,
}

impl OpenReject {
    /// `row 3, order_id: the row has no key`
    pub fn place_and_reason(&self) -> String {
        place_and_reason(self.row_number, self.column.as_deref(), &self.reason)
    }
}

/// A row at fault, for people.
pub fn place_and_reason(row_number: u64, column: Option<&str>, reason: &str) -> String {
    let column = column.map(|column| format!(", {column}")).unwrap_or_default();
    format!("row {row_number}{column}: {reason}")
}

/// A file's name without its extensions, and without `.rejects`.
pub fn stem(path: &str) -> &str {
    let mut name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    for ends in [&COMPRESSIONS[..], &EXTENSIONS[..], &[".rejects"][..]] {
        name = ends.iter().find_map(|end| without_end(name, end)).unwrap_or(name);
    }
    name
}

/// The paths that a file of corrected rows may correct; `None` when it is no such file.
pub fn corrected_paths(path: &str) -> Option<Vec<String>> {
    let start = without_end(path, REJECTS_END)?;
    let plain = EXTENSIONS.map(|extension| format!("{start}{extension}"));
    let compressed = plain.iter().flat_map(|path| COMPRESSIONS.map(|end| format!("{path}{end}")));
    Some(plain.iter().cloned().chain(compressed).collect())
}

fn without_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(end.len())?;
    let is_end = text.is_char_boundary(at) && text[at..].eq_ignore_ascii_case(end);
    is_end.then(|| &text[..at])
}

/// The rows of the corrected file that a chunk of a corrected copy holds.
pub fn corrected_rows(chunk: &Chunk, batch: &RecordBatch, layout: &Layout) -> Vec<CorrectedRow> {
    let Some(index) = row_note(layout) else { return Vec::new() };
    let numbers = batch.column(index).as_string::<i32>();
    let of_records = chunk.records.iter().zip(&chunk.keys);
    let rows = of_records.flat_map(|(rows, key)| rows.clone().map(move |row| (row, key)));
    let is_own = |&(row, _): &(usize, &String)| chunk.joined.binary_search(&row).is_err();
    rows.filter(is_own)
        .filter_map(|(row, key)| {
            let number =
                numbers.is_valid(row).then(|| numbers.value(row).trim().parse().ok())??;
            Some(CorrectedRow {
                number,
                key: key.clone(),
                cells: cells_of(chunk, batch, layout, row),
            })
        })
        .collect()
}

/// The cells of a row by their columns, as JSON.
fn cells_of(chunk: &Chunk, batch: &RecordBatch, layout: &Layout, row: usize) -> String {
    let has_data = |index: usize| {
        matches!(layout.columns[index].role, Role::Column(_))
            && chunk.absent.binary_search(&(row, index)).is_err()
    };
    let cells: BTreeMap<&str, &str> = (0..layout.columns.len())
        .filter(|&index| has_data(index))
        .map(|index| {
            let values = batch.column(index).as_string::<i32>();
            (
                layout.columns[index].name.as_str(),
                if values.is_valid(row) { values.value(row) } else { "" },
            )
        })
        .collect();
    serde_json::to_string(&cells).expect("a map of texts is JSON")
}

/// Adds to the rejects of a corrected copy the numbers of the rows that they correct, if they can
/// be read.
pub fn note_corrected_rows(rejects: &mut [Reject], layout: &Layout, delimiter: char, quote: char) {
    let Some(index) = row_note(layout) else { return };
    for reject in rejects {
        let (cells, _) = split_cells(&reject.raw, delimiter, quote);
        reject.corrects_row = cells.get(index).and_then(|cell| cell.trim().parse().ok());
    }
}

/// Index of the column with the numbers of rows, in a corrected copy.
pub fn row_note(layout: &Layout) -> Option<usize> {
    layout
        .columns
        .iter()
        .position(|column| column.role == Role::Note && column.raw_name == NOTES[0])
}

/// The cells of a row, without their quotes; `false` if a quote in it does not close. Then only
/// delimiters count.
pub fn split_cells(row: &str, delimiter: char, quote: char) -> (Vec<String>, bool) {
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let (cell, after) = match rest.strip_prefix(quote) {
            None => match rest.split_once(delimiter) {
                Some((cell, after)) => (cell.to_owned(), Some(after)),
                None => (rest.to_owned(), None),
            },
            Some(inner) => match quoted_cell(inner, delimiter, quote) {
                Some(found) => found,
                None => return (row.split(delimiter).map(str::to_owned).collect(), false),
            },
        };
        cells.push(cell);
        let Some(after) = after else { return (cells, true) };
        rest = after;
    }
}

/// A cell behind its opening quote, and what comes after its delimiter.
fn quoted_cell(inner: &str, delimiter: char, quote: char) -> Option<(String, Option<&str>)> {
    let mut from = 0;
    loop {
        let closing = from + inner[from..].find(quote)?;
        let after = &inner[closing + 1..];
        if after.starts_with(quote) {
            from = closing + 2;
            continue;
        }
        let cell = inner[..closing].replace(&format!("{quote}{quote}"), &quote.to_string());
        return match after.strip_prefix(delimiter) {
            None if !after.is_empty() => None,
            next => Some((cell, next)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_for_a_file_and_its_rejects() {
        for path in
            ["/in/Market 1 Orders.csv", "Market 1 Orders.JSON.gz", "/x/Market 1 Orders.rejects.csv"]
        {
            assert_eq!(stem(path), "Market 1 Orders");
        }
        assert_eq!(
            corrected_paths("/in/a.Rejects.csv").map(|paths| paths[0].clone()),
            Some("/in/a.csv".to_owned())
        );
        assert_eq!(corrected_paths("/in/rejects.csv"), None);
    }
}
