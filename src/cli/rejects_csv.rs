//! Rejects: rows that could not be loaded, on their way to an operator and back. They leave as a CSV file of their own,
//! with the columns they had and three notes; corrected and dropped again it is read as a delta, and closes them.
//!
//! A row that nobody corrected must be a reject again, never other data: what of it fits into no column goes
//! behind the notes, where it makes the row one cell too long.

use crate::chunk::{Chunk, CorrectedRow, Reject};
use crate::feed::layout::{Layout, NOTES, Role, column_name};
use crate::values::spreadsheet::{guarded, unguarded};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Why a row without a fault of its own is rejected, after the row that has one.
pub const OF_SAME_RECORD: &str = "of the same record cannot be loaded, and records are loaded whole";

/// End of the name of a file of rejected rows.
pub const REJECTS_END: &str = ".rejects.csv";

/// Extensions of files, without those of compression.
const EXTENSIONS: [&str; 5] = [".csv", ".tsv", ".json", ".ndjson", ".jsonl"];

/// Extensions of compressed files.
const COMPRESSIONS: [&str; 2] = [".gz", ".zst"];

/// Deepest nesting of a JSON object that is flattened.
const DEPTH_MAX: usize = 16;

/// The columns of a file, as they are named in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Their names.
    pub columns: Vec<String>,
    /// What stands between the cells of a row; `None` where rows are JSON objects.
    pub delimiter: Option<char>,
    /// What stands around cells.
    pub quote: char,
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
            let number = numbers.is_valid(row).then(|| numbers.value(row).trim().parse().ok())??;
            Some(CorrectedRow { number, key: key.clone(), cells: cells_of(chunk, batch, layout, row) })
        })
        .collect()
}

/// The cells of a row by their columns, as JSON.
fn cells_of(chunk: &Chunk, batch: &RecordBatch, layout: &Layout, row: usize) -> String {
    let has_data = |index: usize| {
        matches!(layout.columns[index].role, Role::Column(_)) && chunk.absent.binary_search(&(row, index)).is_err()
    };
    let cells: BTreeMap<&str, &str> = (0..layout.columns.len())
        .filter(|&index| has_data(index))
        .map(|index| {
            let values = batch.column(index).as_string::<i32>();
            (layout.columns[index].name.as_str(), if values.is_valid(row) { values.value(row) } else { "" })
        })
        .collect();
    serde_json::to_string(&cells).expect("a map of texts is JSON")
}

/// Notes of the rejects of a corrected copy which rows they were, where that can be read.
pub fn note_corrected_rows(rejects: &mut [Reject], layout: &Layout, delimiter: char, quote: char) {
    let Some(index) = row_note(layout) else { return };
    for reject in rejects {
        let (cells, _) = split_cells(&reject.raw, delimiter, quote);
        reject.corrects_row = cells.get(index).and_then(|cell| cell.trim().parse().ok());
    }
}

/// Index of the column with the numbers of rows, in a corrected copy.
pub fn row_note(layout: &Layout) -> Option<usize> {
    layout.columns.iter().position(|column| column.role == Role::Note && column.raw_name == NOTES[0])
}

/// A file of rejected rows: their columns, the notes, and behind them what fits into no column. Columns that none of
/// several JSON objects has are left out, because an empty cell says more than an absent member.
#[derive(Debug)]
pub struct RejectsCsv<'a> {
    header: &'a Header,
    columns: Vec<usize>,
    is_correction: bool,
}

/// The columns that rejected rows have a cell in.
#[derive(Debug, Default)]
pub struct ColumnsInUse(BTreeSet<usize>);

impl ColumnsInUse {
    /// Looks at a row.
    pub fn observe(&mut self, reject: &OpenReject, header: &Header) {
        let cells = Row::of(reject, header).cells;
        self.0.extend(cells.iter().enumerate().filter(|(_, cell)| cell.is_some()).map(|(column, _)| column));
    }
}

impl<'a> RejectsCsv<'a> {
    /// Of the rows of a file with that header; of JSON objects with those columns.
    pub fn new(header: &'a Header, in_use: &ColumnsInUse) -> Self {
        let is_correction = is_correction(header);
        let columns = (0..named(header))
            .filter(|&column| !is_correction || !NOTES.contains(&header.columns[column].as_str()))
            .filter(|&column| header.delimiter.is_some() || in_use.0.contains(&column))
            .collect();
        Self { header, columns, is_correction }
    }

    /// The first row.
    pub fn head(&self) -> Vec<u8> {
        let mut csv = Vec::new();
        let names = self.columns.iter().map(|&column| match self.header.columns[column].as_str() {
            name if self.is_correction => unguarded(name),
            name => name,
        });
        write_row(&mut csv, names.chain(NOTES));
        csv
    }

    /// A rejected row.
    pub fn row(&self, reject: &OpenReject) -> Vec<u8> {
        let mut csv = Vec::new();
        let row = Row::of(reject, self.header);
        let number = match reject.corrects_row {
            Some(number) => number.to_string(),
            None if self.is_correction => String::new(),
            None => reject.row_number.to_string(),
        };
        let notes = [number.as_str(), reject.column.as_deref().unwrap_or_default(), &reject.reason];
        let cells = self.columns.iter().map(|&column| row.cells[column].as_deref().unwrap_or_default());
        write_row(&mut csv, cells.chain(notes).chain(row.surplus.iter().map(String::as_str)));
        csv
    }
}

fn is_correction(header: &Header) -> bool {
    NOTES.iter().all(|note| header.columns.iter().any(|column| column == note))
}

/// Columns up to the last one with a name: what comes after it is padding.
fn named(header: &Header) -> usize {
    header.columns.iter().rposition(|column| !column.trim().is_empty()).map_or(0, |last| last + 1)
}

/// A rejected row by the columns of its file.
struct Row {
    cells: Vec<Option<String>>,
    /// What fits into no column.
    surplus: Vec<String>,
}

impl Row {
    fn of(reject: &OpenReject, header: &Header) -> Self {
        let mut row = match header.delimiter {
            Some(delimiter) => Self::of_csv(&reject.raw, delimiter, header.quote, named(header)),
            None => Self::of_json(&reject.raw, header),
        };
        if is_correction(header) {
            let cells = row.cells.iter_mut().flatten().chain(&mut row.surplus);
            cells.for_each(|cell| *cell = unguarded(cell).to_owned());
        }
        // A fault of the row as a whole is not in any of the cells: without the row itself behind them it would be gone.
        let is_whole = reject.column.is_none() && !reject.reason.ends_with(OF_SAME_RECORD);
        if is_whole && row.surplus.is_empty() {
            row.surplus.push(reject.raw.clone());
        }
        row
    }

    fn of_csv(raw: &str, delimiter: char, quote: char, columns: usize) -> Self {
        let (mut cells, is_whole) = split_cells(raw, delimiter, quote);
        let mut surplus = cells.split_off(cells.len().min(columns));
        let filled = surplus.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
        surplus.truncate(filled);
        if surplus.is_empty() && (!is_whole || cells.len() < columns) {
            surplus.push(raw.to_owned());
        }
        cells.resize(columns, String::new());
        Self { cells: cells.into_iter().map(Some).collect(), surplus }
    }

    fn of_json(raw: &str, header: &Header) -> Self {
        let mut members = BTreeMap::new();
        if flatten(raw, "", 0, &mut members).is_none() {
            return Self { cells: vec![None; header.columns.len()], surplus: vec![raw.to_owned()] };
        }
        let cells = header.columns.iter().map(|column| members.remove(&column_name(column))).collect();
        Self { cells, surplus: Vec::new() }
    }
}

/// Collects the members of an object by the names of their columns; `None` when it cannot be read.
fn flatten(object: &str, prefix: &str, depth: usize, members: &mut BTreeMap<String, String>) -> Option<()> {
    let own: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object).ok().filter(|_| depth <= DEPTH_MAX)?;
    for (name, value) in own {
        let (name, raw) = (format!("{prefix}{name}"), value.get());
        match raw.as_bytes().first()? {
            b'{' => flatten(raw, &format!("{name}_"), depth + 1, members)?,
            b'"' => drop(members.insert(column_name(&name), serde_json::from_str(raw).ok()?)),
            b'n' => drop(members.insert(column_name(&name), String::new())),
            _ => drop(members.insert(column_name(&name), raw.to_owned())),
        }
    }
    Some(())
}

/// The cells of a row, without their quotes; `false` when a quote in it does not close, and delimiters alone count.
fn split_cells(row: &str, delimiter: char, quote: char) -> (Vec<String>, bool) {
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

fn write_row<'a>(csv: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            csv.push(b',');
        }
        let cell = guarded(cell);
        if cell.contains(['"', ',', '\n', '\r']) {
            csv.push(b'"');
            csv.extend(restored(&cell.replace('"', "\"\"")));
            csv.push(b'"');
        } else {
            csv.extend(restored(&cell));
        }
    }
    csv.push(b'\n');
}

/// With the bytes that were kept as `\xNN` because no database stores them: NUL, and what is not UTF-8.
fn restored(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend(before.bytes());
        let byte = after.get(..2).filter(|digits| !digits.starts_with('+'));
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|&byte| byte == 0 || byte >= 0x80) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.extend(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend(rest.bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(row_number: u64, column: Option<&str>, reason: &str, raw: &str) -> OpenReject {
        let (column, reason, raw) = (column.map(str::to_owned), reason.to_owned(), raw.to_owned());
        OpenReject { row_number, corrects_row: None, column, reason, raw }
    }

    fn csv(columns: &[&str], delimiter: Option<char>, rejects: &[OpenReject]) -> String {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        let header = Header { columns, delimiter, quote: '"' };
        let mut in_use = ColumnsInUse::default();
        rejects.iter().for_each(|reject| in_use.observe(reject, &header));
        let csv = RejectsCsv::new(&header, &in_use);
        let rows = rejects.iter().flat_map(|reject| csv.row(reject));
        String::from_utf8_lossy(&csv.head().into_iter().chain(rows).collect::<Vec<u8>>()).into_owned()
    }

    #[test]
    fn names_are_the_same_for_a_file_and_its_rejects() {
        for path in ["/in/Market 1 Orders.csv", "Market 1 Orders.JSON.gz", "/x/Market 1 Orders.rejects.csv"] {
            assert_eq!(stem(path), "Market 1 Orders");
        }
        assert_eq!(corrected_paths("/in/a.Rejects.csv").map(|paths| paths[0].clone()), Some("/in/a.csv".to_owned()));
        assert_eq!(corrected_paths("/in/rejects.csv"), None);
    }

    #[test]
    fn what_fits_into_no_column_goes_behind_the_notes() {
        let rejects = [
            reject(3, Some("id"), "no key", r#"-;"x;""y""";z"#),
            reject(4, None, "4 cells where 3", "1;a;b;c"),
            reject(5, None, "a quote opens a cell and never closes", "2;\"a;b"),
            reject(6, None, "2 cells where 3", "2;a"),
            reject(7, None, "row 6 of the same record cannot be loaded, and records are loaded whole", "2;a;b;;"),
        ];
        let expected = "id,t,u,_row,_column,_reason\n\
             '-,\"x;\"\"y\"\"\",z,3,id,no key\n\
             1,a,b,4,,4 cells where 3,c\n\
             2,\"\"\"a\",b,5,,a quote opens a cell and never closes,\"2;\"\"a;b\"\n\
             2,a,,6,,2 cells where 3,2;a\n\
             2,a,b,7,,\"row 6 of the same record cannot be loaded, and records are loaded whole\"\n";
        assert_eq!(csv(&["id", "t", "u", " "], Some(';'), &rejects), expected);
    }

    #[test]
    fn objects_are_written_by_their_members() {
        let rejects = [
            reject(1, Some("id"), "no key", r#"{"ID":12345678901234567890,"a":{"b":"x,"},"n":null}"#),
            reject(2, None, "not an object", "[1]"),
        ];
        let expected =
            "Id,a_b,N,_row,_column,_reason\n12345678901234567890,\"x,\",,1,id,no key\n,,,2,,not an object,[1]\n";
        assert_eq!(csv(&["Id", "a_b", "N", "other"], None, &rejects), expected);
    }

    #[test]
    fn bytes_that_are_no_text_come_back() {
        assert_eq!(restored("a\\x00b\\xE9\\x41\\xZ"), b"a\0b\xE9\\x41\\xZ");
    }

    #[test]
    fn rejects_of_a_corrected_copy_keep_their_first_numbers() {
        let mut again = reject(1, Some("id"), "no key", "-,a,17,id,no key");
        again.corrects_row = Some(17);
        let text = csv(&["id", "t", "_row", "_column", "_reason"], Some(','), &[again]);
        assert_eq!(text, "id,t,_row,_column,_reason\n'-,a,17,id,no key\n");
    }

    #[test]
    fn names_and_notes_are_guarded_and_nothing_is_guarded_twice() {
        let text = csv(&["=id", "t"], Some(','), &[reject(1, Some("=id"), "@no key", "=1+1,'=2")]);
        assert_eq!(text, "'=id,t,_row,_column,_reason\n'=1+1,''=2,1,'=id,'@no key\n");
        let mut again = reject(1, Some("=id"), "no key", "'=1+1,''=2,1,'=id,'@no key,'=more");
        again.corrects_row = Some(1);
        let text = csv(&["'=id", "t", "_row", "_column", "_reason"], Some(','), &[again]);
        assert_eq!(text, "'=id,t,_row,_column,_reason\n'=1+1,''=2,1,'=id,no key,'=more\n");
    }
}
