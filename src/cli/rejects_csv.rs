//! Rejects CSV: writes rows that could not be loaded to a CSV file for an operator. The file has
//! their columns and three note columns. Corrected and dropped again, it is read as a delta and
//! closes the rejects.
//!
//! A row that was not corrected must become a reject again, and never other data. So cells that fit
//! into no column are written after the notes, where they make the row too long.

use crate::feed::correction::{Header, OF_SAME_RECORD, OpenReject, split_cells};
use crate::feed::layout::{NOTES, column_name};
use crate::values::number::{Decimals, clear_text};
use crate::values::spreadsheet::{clear_number, guarded, marked_number, unguarded};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting of a JSON object that is flattened; it bounds the recursion.
const DEPTH_MAX: usize = 16;

/// A file of rejected rows: their columns, the notes, and after them the cells that fit into no
/// column. For JSON, columns that none of the objects has are left out, because an empty cell is a
/// value and an absent member is not.
#[derive(Debug)]
pub struct RejectsCsv<'a> {
    header: &'a Header,
    columns: Vec<usize>,
    is_correction: bool,
}

/// Columns in which at least one rejected row has a cell.
#[derive(Debug, Default)]
pub struct ColumnsInUse(BTreeSet<usize>);

impl ColumnsInUse {
    /// Adds the columns of a row.
    pub fn observe(&mut self, reject: &OpenReject, header: &Header) {
        let cells = Row::of(reject, header).cells;
        self.0.extend(
            cells.iter().enumerate().filter(|(_, cell)| cell.is_some()).map(|(column, _)| column),
        );
    }
}

impl<'a> RejectsCsv<'a> {
    /// A file for rows with this header. For JSON objects, it has only the columns that are in use.
    pub fn new(header: &'a Header, in_use: &ColumnsInUse) -> Self {
        let is_correction = is_correction(header);
        let columns = (0..named(header))
            .filter(|&column| !is_correction || !NOTES.contains(&header.columns[column].as_str()))
            .filter(|&column| header.delimiter.is_some() || in_use.0.contains(&column))
            .collect();
        Self { header, columns, is_correction }
    }

    /// The header row.
    pub fn head(&self) -> Vec<u8> {
        let mut csv = Vec::new();
        let names = self.columns.iter().map(|&column| match self.header.columns[column].as_str() {
            name if self.is_correction => unguarded(name),
            name => name,
        });
        write_row(&mut csv, names.chain(NOTES).map(guarded));
        csv
    }

    /// The row of one reject.
    pub fn row(&self, reject: &OpenReject) -> Vec<u8> {
        let mut csv = Vec::new();
        let row = Row::of(reject, self.header);
        let number = match reject.corrects_row {
            Some(number) => number.to_string(),
            None if self.is_correction => String::new(),
            None => reject.row_number.to_string(),
        };
        let notes = [number.as_str(), reject.column.as_deref().unwrap_or_default(), &reject.reason];
        let cells =
            self.columns.iter().map(|&column| row.cells[column].as_deref().unwrap_or_default());
        let cells = cells.map(Cow::Borrowed).chain(notes.into_iter().map(guarded));
        write_row(&mut csv, cells.chain(row.surplus.iter().map(|cell| guarded(cell))));
        csv
    }
}

fn is_correction(header: &Header) -> bool {
    NOTES.iter().all(|note| header.columns.iter().any(|column| column == note))
}

/// Number of columns up to the last one with a name; the columns after it are padding.
fn named(header: &Header) -> usize {
    header.columns.iter().rposition(|column| !column.trim().is_empty()).map_or(0, |last| last + 1)
}

/// The cells of a rejected row, by the columns of its file.
struct Row {
    /// As they are written: guarded, or marked as a number of JSON.
    cells: Vec<Option<String>>,
    /// Cells that fit into no column.
    surplus: Vec<String>,
}

impl Row {
    fn of(reject: &OpenReject, header: &Header) -> Self {
        let mut row = match header.delimiter {
            Some(delimiter) if header.is_typed => {
                Self::of_typed(&reject.raw, delimiter, header.quote, named(header))
            }
            Some(delimiter) => Self::of_csv(&reject.raw, delimiter, header.quote, named(header)),
            None => Self::of_json(&reject.raw, header),
        };
        let is_correction = is_correction(header);
        if is_correction {
            row.surplus.iter_mut().for_each(|cell| *cell = unguarded(cell).to_owned());
        }
        if header.delimiter.is_some() && !header.is_typed {
            let is_marked = |cell: &str| is_correction && clear_number(cell).is_some();
            let cells = row.cells.iter_mut().flatten().filter(|cell| !is_marked(cell));
            cells.for_each(|cell| {
                let original = if is_correction { unguarded(cell) } else { cell.as_str() };
                *cell = guarded(original).into_owned();
            });
        }
        // No cell shows an error of the row as a whole. Without its raw text at the end, the row
        // would look correct.
        let is_whole = reject.column.is_none() && !reject.reason.ends_with(OF_SAME_RECORD);
        if is_whole && row.surplus.is_empty() {
            row.surplus.push(reject.raw.clone());
        }
        row
    }

    fn of_csv(raw: &str, delimiter: char, quote: char, columns: usize) -> Self {
        let (mut cells, is_whole) = split_cells(raw, delimiter, quote);
        let mut surplus = cells.split_off(cells.len().min(columns));
        let filled =
            surplus.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
        surplus.truncate(filled);
        if surplus.is_empty() && (!is_whole || cells.len() < columns) {
            surplus.push(raw.to_owned());
        }
        cells.resize(columns, String::new());
        Self { cells: cells.into_iter().map(Some).collect(), surplus }
    }

    /// Texts stand in quotes; what does not is marked as the numbers of JSON are.
    fn of_typed(raw: &str, delimiter: char, quote: char, columns: usize) -> Self {
        let mut row = Self::of_csv(raw, delimiter, quote, columns);
        let is_quoted = starts_of_cells(raw, delimiter, quote);
        for (index, cell) in row.cells.iter_mut().enumerate() {
            let is_text = is_quoted.get(index).copied().unwrap_or(true);
            let is_number = |cell: &str| clear_text(cell, Decimals::Point).is_some();
            if let Some(cell) = cell {
                *cell = match !is_text && is_number(cell) {
                    true => marked_number(cell).into_owned(),
                    false => guarded(cell).into_owned(),
                };
            }
        }
        row
    }

    fn of_json(raw: &str, header: &Header) -> Self {
        let mut members = BTreeMap::new();
        if flatten(raw, "", 0, &mut members).is_none() {
            return Self { cells: vec![None; header.columns.len()], surplus: vec![raw.to_owned()] };
        }
        let cells =
            header.columns.iter().map(|column| members.remove(&column_name(column))).collect();
        Self { cells, surplus: Vec::new() }
    }
}

/// Whether each cell of a row begins with a quote.
fn starts_of_cells(row: &str, delimiter: char, quote: char) -> Vec<bool> {
    let (mut starts, mut is_start, mut is_inside) = (Vec::new(), true, false);
    for c in row.chars() {
        if is_start {
            starts.push(c == quote);
            is_start = false;
        }
        is_inside ^= c == quote;
        is_start |= c == delimiter && !is_inside;
    }
    if is_start {
        starts.push(false);
    }
    starts
}

/// Collects the members of an object by the names of their columns, as they are written; `None` if
/// it cannot be parsed.
fn flatten(
    object: &str,
    prefix: &str,
    depth: usize,
    members: &mut BTreeMap<String, String>,
) -> Option<()> {
    let own: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(object).ok().filter(|_| depth <= DEPTH_MAX)?;
    for (name, value) in own {
        let (name, raw) = (format!("{prefix}{name}"), value.get());
        match raw.as_bytes().first()? {
            b'{' => flatten(raw, &format!("{name}_"), depth + 1, members)?,
            b'"' => {
                let text: String = serde_json::from_str(raw).ok()?;
                drop(members.insert(column_name(&name), guarded(&text).into_owned()));
            }
            b'-' | b'0'..=b'9' => {
                drop(members.insert(column_name(&name), marked_number(raw).into_owned()));
            }
            b'n' => drop(members.insert(column_name(&name), String::new())),
            _ => drop(members.insert(column_name(&name), guarded(raw).into_owned())),
        }
    }
    Some(())
}

fn write_row<'a>(csv: &mut Vec<u8>, cells: impl Iterator<Item = Cow<'a, str>>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            csv.push(b',');
        }
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

/// Restores bytes that are stored as `\xNN` because databases cannot store them: NUL, and bytes
/// that are not UTF-8.
fn restored(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend(before.bytes());
        let byte = after.get(..2).filter(|digits| !digits.starts_with('+'));
        match byte
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|&byte| byte == 0 || byte >= 0x80)
        {
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
        let header = Header { columns, delimiter, quote: '"', is_typed: false, folder: None };
        let mut in_use = ColumnsInUse::default();
        rejects.iter().for_each(|reject| in_use.observe(reject, &header));
        let csv = RejectsCsv::new(&header, &in_use);
        let rows = rejects.iter().flat_map(|reject| csv.row(reject));
        String::from_utf8_lossy(&csv.head().into_iter().chain(rows).collect::<Vec<u8>>())
            .into_owned()
    }

    #[test]
    fn what_fits_into_no_column_goes_behind_the_notes() {
        let rejects = [
            reject(3, Some("id"), "no key", r#"-;"x;""y""";z"#),
            reject(4, None, "4 cells where 3", "1;a;b;c"),
            reject(5, None, "a quote opens a cell and never closes", "2;\"a;b"),
            reject(6, None, "2 cells where 3", "2;a"),
            reject(
                7,
                None,
                "row 6 of the same record cannot be loaded, and records are loaded whole",
                "2;a;b;;",
            ),
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
            reject(
                1,
                Some("id"),
                "no key",
                r#"{"ID":12345678901234567890,"a":{"b":"x,"},"n":null}"#,
            ),
            reject(2, None, "not an object", "[1]"),
        ];
        let expected = "Id,a_b,N,_row,_column,_reason\n12345678901234567890,\"x,\",,1,id,no key\n,,,2,,not an object,[1]\n";
        assert_eq!(csv(&["Id", "a_b", "N", "other"], None, &rejects), expected);
    }

    #[test]
    fn numbers_of_json_stay_numbers_in_a_copy_of_a_copy() {
        let raw = r#"{"id":1,"p":1.250,"t":"1.250","e":-12.5e1,"f":"-12.5e1"}"#;
        let columns = ["id", "p", "t", "e", "f"];
        let text = csv(&columns, None, &[reject(1, Some("id"), "bad", raw)]);
        assert_eq!(
            text,
            "id,p,t,e,f,_row,_column,_reason\n1,'1.250,1.250,-125,'-12.5e1,1,id,bad\n"
        );
        let mut again = reject(1, Some("id"), "bad", text.lines().nth(1).expect("a row"));
        again.corrects_row = Some(1);
        let columns = [&columns[..], &NOTES].concat();
        assert_eq!(csv(&columns, Some(','), &[again]), text);
    }

    #[test]
    fn numbers_of_a_workbook_are_marked_and_its_texts_are_not() {
        let raw = r#""A,1",12.5,"12.5",-7,"-7",#REF!,2022-02-17,"say ""x"", y",,1.5E+20"#;
        let columns: Vec<String> = (0..10).map(|column| format!("c{column}")).collect();
        let header =
            Header { columns, delimiter: Some(','), quote: '"', is_typed: true, folder: None };
        let csv = RejectsCsv::new(&header, &ColumnsInUse::default());
        let row = csv.row(&reject(1, Some("id"), "bad", raw));
        assert_eq!(
            String::from_utf8_lossy(&row),
            "\"A,1\",'12.5,12.5,-7,-7,#REF!,2022-02-17,\"say \"\"x\"\", y\",,'1.5E+20,1,c0,bad\n"
                .replace("c0,bad", "id,bad")
        );
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
