//! CSV rows: where each row and cell begins and ends, and what is wrong with a row.
//!
//! A quote opens a quoted cell only at the cell's start: `6" pipe` is text. Rows that fit are later
//! decoded by arrow-csv; what it would take for something else is rewritten or rejected here.

use super::content::Window;
use super::repair::{self, Repair};
use super::rows::{Fault, Form, RowRef, text_key};
use crate::clean::{clean_key, conforms, misfit};
use crate::dataset::Dataset;
use crate::error::SyncError;
use crate::inference::Inference;
use crate::schema::{Kind, Layout, Role};
use memchr::{memchr, memchr2, memchr3};
use std::borrow::Cow;

const QUOTE: u8 = b'"';

/// One cell of a row, as offsets from the row's start, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    start: usize,
    end: usize,
    is_quoted: bool,
}

/// How a row ends.
#[derive(Debug, PartialEq, Eq)]
enum Split {
    /// Bytes of the row, and of the row with its line end.
    Row { end: usize, next: usize },
    /// A quoted cell never closes, or goes on after its closing quote: the row ends at its first line end.
    Broken { end: usize, next: usize, reason: &'static str },
    /// The row is longer than `row_bytes_max`.
    TooLong,
    /// More bytes are needed.
    Incomplete,
}

/// How the cells of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// What stands between cells.
    pub delimiter: u8,
    /// Longest row.
    pub row_bytes_max: usize,
}

/// The rows of a CSV file after its header.
#[derive(Debug)]
pub struct CsvRows<'a> {
    window: Window<'a>,
    dialect: Dialect,
    layout: &'a Layout,
    dataset: &'a Dataset,
    /// Column of the key; `None` where each distinct row is a record.
    key: Option<usize>,
    cells: Vec<Cell>,
    /// The beginning of the last row that was too long.
    long: Vec<u8>,
    /// Rows so far.
    number: u64,
    /// Columns whose kind the data decides, and what their values have in common.
    inferences: Vec<(usize, Inference)>,
}

/// Reads the header, the first row of the window.
///
/// # Errors
///
/// When there is none, or it is not text.
pub fn read_header(window: &mut Window<'_>, dialect: Dialect) -> Result<Vec<String>, SyncError> {
    if window.rest().starts_with(b"\xef\xbb\xbf") {
        window.advance(3);
    }
    let mut cells = Vec::new();
    loop {
        match split_row(window.rest(), window.is_at_end(), dialect, &mut cells) {
            Split::Incomplete => window.fill()?,
            Split::TooLong => return Err(SyncError::damaged("the header is longer than row_bytes_max")),
            Split::Broken { reason, .. } => {
                return Err(SyncError::damaged(format!("the header cannot be read: {reason}")));
            }
            Split::Row { next: 0, .. } => return Err(SyncError::damaged("the file has no header")),
            Split::Row { end, next } => {
                window.advance(next);
                let row = window.passed(next);
                let header: Result<Vec<String>, _> = cells
                    .iter()
                    .map(|cell| {
                        std::str::from_utf8(cell_bytes(row, *cell)).map(|text| unquoted(text, *cell).into_owned())
                    })
                    .collect();
                if end == 0 {
                    continue;
                }
                return header.map_err(|_| SyncError::damaged("the header is not UTF-8 text"));
            }
        }
    }
}

impl<'a> CsvRows<'a> {
    /// The rows from the window's place on, of which `number` came before.
    pub const fn new(
        window: Window<'a>,
        dialect: Dialect,
        layout: &'a Layout,
        dataset: &'a Dataset,
        key: Option<usize>,
        number: u64,
    ) -> Self {
        Self {
            window,
            dialect,
            layout,
            dataset,
            key,
            cells: Vec::new(),
            long: Vec::new(),
            number,
            inferences: Vec::new(),
        }
    }

    /// Also finds out what columns hold whose kind the data decides.
    pub fn inferring(mut self) -> Self {
        let columns = self.layout.columns.iter().enumerate();
        self.inferences = columns.filter_map(|(index, column)| Some((index, column.inference()?))).collect();
        self
    }

    /// The kind that each of these columns needs; `None` while no value says so.
    pub fn into_kinds(self) -> Vec<(usize, Option<Kind>)> {
        self.inferences.into_iter().map(|(column, inference)| (column, inference.kind())).collect()
    }

    /// The next row that is not blank.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, SyncError> {
        loop {
            let split = split_row(self.window.rest(), self.window.is_at_end(), self.dialect, &mut self.cells);
            let (end, next, broken) = match split {
                Split::Incomplete => {
                    self.window.fill()?;
                    continue;
                }
                Split::TooLong => return self.long_row().map(Some),
                Split::Row { next: 0, .. } => return Ok(None),
                Split::Row { end, next } => (end, next, None),
                Split::Broken { end, next, reason } => (end, next, Some(reason)),
            };
            let is_blank = broken.is_none() && self.cells.iter().all(|cell| cell.start == cell.end);
            if !is_blank {
                return Ok(Some(self.row(end, next, broken)));
            }
            self.window.advance(next);
        }
    }

    /// A row that is longer than it may be: what is kept of it is its beginning, and the rest is passed by.
    fn long_row(&mut self) -> Result<RowRef<'_>, SyncError> {
        self.number += 1;
        let offset = self.window.offset();
        let kept = self.window.rest().len().min(self.dialect.row_bytes_max);
        self.long = self.window.rest()[..kept].to_vec();
        let key = self.leading_key(&self.long);
        loop {
            let (passed, is_over) = match memchr(b'\n', self.window.rest()) {
                Some(end) => (end + 1, true),
                None => (self.window.rest().len(), self.window.is_at_end()),
            };
            self.window.advance(passed);
            if is_over {
                break;
            }
            self.window.fill()?;
        }
        let form = Form::Broken(Fault::row("the row is longer than row_bytes_max; the beginning of it is kept"));
        let next_offset = self.window.offset();
        Ok(RowRef { number: self.number, offset, next_offset, raw: &self.long, key, form, absent: Vec::new() })
    }

    fn row(&mut self, end: usize, next: usize, broken: Option<&'static str>) -> RowRef<'_> {
        self.number += 1;
        let offset = self.window.offset();
        self.window.advance(next);
        let raw = &self.window.passed(next)[..end];
        let (key, form) = match broken {
            Some(reason) => (self.leading_key(raw), Form::Broken(Fault::row(reason))),
            None => self.read(raw),
        };
        if !self.inferences.is_empty() {
            match &form {
                Form::Fits => observe(&mut self.inferences, raw, self.dialect, self.dataset),
                Form::Rewritten { bytes, .. } => observe(&mut self.inferences, bytes, self.dialect, self.dataset),
                Form::Broken(_) => {}
            }
        }
        RowRef { number: self.number, offset, next_offset: offset + next as u64, raw, key, form, absent: Vec::new() }
    }

    /// The key of a row, as far as it can be read, and what the row is to its columns.
    fn read(&self, raw: &[u8]) -> (Option<String>, Form) {
        let Ok(text) = std::str::from_utf8(raw) else {
            let fault = self.cell_fault(raw, "the bytes are not UTF-8 text: export the file as UTF-8", |bytes| {
                std::str::from_utf8(bytes).is_err()
            });
            return (self.leading_key(raw), Form::Broken(fault));
        };
        let shape = repair::repair(&TextRow { text, rows: self });
        let key = match self.key_of(text, &shape) {
            Ok(key) => key,
            Err(fault) => return (None, Form::Broken(fault)),
        };
        if memchr(0, raw).is_some() {
            let fault = self.cell_fault(raw, "the value holds a NUL byte", |bytes| memchr(0, bytes).is_some());
            return (key, Form::Broken(fault));
        }
        (key, self.fitting_form(text, shape).unwrap_or_else(Form::Broken))
    }

    /// The form of a row whose cells fit the types of columns that take nothing else.
    fn fitting_form(&self, text: &str, shape: Repair) -> Result<Form, Fault> {
        let widths = if let Repair::Shifted(widths) = &shape { widths.clone() } else { Vec::new() };
        let form = self.form(text, shape)?;
        let mut first = 0;
        for (index, column) in self.layout.columns[..self.layout.named()].iter().enumerate() {
            let width = widths.get(index).copied().unwrap_or(1);
            if let Some(&cell) = self.cells.get(first).filter(|_| width == 1 && column.is_strict()) {
                let cell_text = unquoted(&text[cell.start..cell.end], cell);
                if let Some(reason) = misfit(&cell_text, column, &self.dataset.null_tokens) {
                    return Err(Fault::cell(Some(column.name.clone()), &reason));
                }
            }
            first += width;
        }
        Ok(form)
    }

    /// A fault of the first cell that `is_at_fault`.
    fn cell_fault(&self, raw: &[u8], reason: &str, is_at_fault: impl Fn(&[u8]) -> bool) -> Fault {
        let cell = self.cells.iter().position(|cell| is_at_fault(cell_bytes(raw, *cell)));
        let column = cell.and_then(|cell| self.layout.columns.get(cell));
        Fault::cell(column.map(|column| column.name.clone()), reason)
    }

    /// The key of a row that is text; `None` when the row's shift leaves open where it is.
    fn key_of(&self, text: &str, shape: &Repair) -> Result<Option<String>, Fault> {
        let Some(key) = self.key else {
            let is_header = !self.cells.is_empty()
                && self.cells.iter().zip(&self.layout.columns).all(|(&cell, column)| {
                    unquoted(&text[cell.start..cell.end], cell).trim() == column.raw_name.trim()
                });
            return if is_header { Err(Fault::row("the header again")) } else { Ok(Some(text_key(text.as_bytes()))) };
        };
        let column = &self.layout.columns[key];
        let index = match shape {
            Repair::Shifted(widths) => widths[..key].iter().sum(),
            _ => key,
        };
        let is_certain = matches!(shape, Repair::Fits | Repair::Shifted(_)) || self.is_key_leading();
        let Some(&cell) = self.cells.get(index).filter(|_| is_certain) else { return Ok(None) };
        let cell_text = unquoted(&text[cell.start..cell.end], cell);
        if cell_text.trim() == column.raw_name.trim() {
            return Err(Fault::row("the header again"));
        }
        match clean_key(&cell_text, column, &self.dataset.null_tokens) {
            None => Err(Fault::cell(Some(column.name.clone()), "the row has no key")),
            Some(Err(reason)) => Err(Fault::cell(Some(column.name.clone()), &reason)),
            Some(Ok(key)) if key.contains('\0') => {
                Err(Fault::cell(Some(column.name.clone()), "the key holds a NUL byte"))
            }
            Some(Ok(key)) => Ok(Some(key.to_owned())),
        }
    }

    /// The key of a row that cannot be read as a whole, if nothing before it can have shifted it.
    fn leading_key(&self, raw: &[u8]) -> Option<String> {
        let key = self.key?;
        let cell = *self.cells.get(key).filter(|_| self.is_key_leading())?;
        let text = unquoted(std::str::from_utf8(raw.get(cell.start..cell.end)?).ok()?, cell);
        let key = clean_key(&text, &self.layout.columns[key], &self.dataset.null_tokens)?;
        key.ok().filter(|key| !key.contains('\0')).map(str::to_owned)
    }

    /// Whether no column in front of the key may have swallowed delimiters.
    fn is_key_leading(&self) -> bool {
        self.key.is_some_and(|key| !self.layout.columns[..key].iter().any(|column| column.swallows))
    }

    fn form(&self, text: &str, shape: Repair) -> Result<Form, Fault> {
        let width = self.layout.columns.len();
        match shape {
            Repair::Fits if self.cells.len() == width => Ok(Form::Fits),
            Repair::Fits => {
                Ok(Form::Rewritten { bytes: self.rewrite(text, &vec![1; self.layout.named()]), is_repaired: false })
            }
            Repair::Shifted(widths) => Ok(Form::Rewritten { bytes: self.rewrite(text, &widths), is_repaired: true }),
            Repair::Ambiguous(candidates) => {
                let readings: Vec<String> = candidates.iter().map(|widths| self.reading(text, widths)).collect();
                Err(Fault::row(&format!(
                    "{}, and there is more than one way to undo that: {}; quote the text",
                    self.count_fault(),
                    readings.join(" or ")
                )))
            }
            Repair::Impossible => {
                Err(Fault::row(&format!("{}: quote text that holds the delimiter", self.count_fault())))
            }
        }
    }

    fn count_fault(&self) -> String {
        format!("the row has {} cells where the header has {}", self.cells.len(), self.layout.named())
    }

    /// The swallowing columns' texts under one way to undo the shift.
    fn reading(&self, text: &str, widths: &[usize]) -> String {
        let mut first = 0;
        let mut texts = Vec::new();
        for (column, &width) in self.layout.columns.iter().zip(widths) {
            if width > 1 {
                texts.push(format!("{} = `{}`", column.name, self.span(text, first, width)));
            }
            first += width;
        }
        texts.join(", ")
    }

    /// The row with the cells of each column made one, and exactly the header's number of cells.
    fn rewrite(&self, text: &str, widths: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len() + 8);
        let mut first = 0;
        for (column, &width) in widths.iter().enumerate() {
            if column > 0 {
                bytes.push(self.dialect.delimiter);
            }
            let span = self.span(text, first, width);
            if width == 1 {
                bytes.extend(span.bytes());
            } else {
                bytes.push(QUOTE);
                bytes.extend(span.replace('"', "\"\"").bytes());
                bytes.push(QUOTE);
            }
            first += width;
        }
        let padding = self.layout.columns.len() - widths.len();
        bytes.extend(std::iter::repeat_n(self.dialect.delimiter, padding));
        bytes
    }

    fn span<'t>(&self, text: &'t str, first: usize, width: usize) -> &'t str {
        &text[self.cells[first].start..self.cells[first + width - 1].end]
    }
}

/// Notes what the cells of columns look like whose kind the data decides.
fn observe(inferences: &mut [(usize, Inference)], row: &[u8], dialect: Dialect, dataset: &Dataset) {
    let mut cells = Vec::new();
    split_row(row, true, dialect, &mut cells);
    for (column, inference) in inferences {
        let Some(&cell) = cells.get(*column) else { continue };
        let Ok(text) = std::str::from_utf8(cell_bytes(row, cell)) else { continue };
        let text = unquoted(text, cell);
        if !dataset.null_tokens.matches(&text) {
            inference.observe(&text);
        }
    }
}

/// The current row as the repair sees it.
struct TextRow<'a, 'b> {
    text: &'a str,
    rows: &'a CsvRows<'b>,
}

impl repair::Row for TextRow<'_, '_> {
    fn columns(&self) -> usize {
        self.rows.layout.named()
    }

    fn cells(&self) -> usize {
        self.rows.cells.len()
    }

    fn is_empty(&self, cell: usize) -> bool {
        let cell = self.rows.cells[cell];
        unquoted(&self.text[cell.start..cell.end], cell).trim().is_empty()
    }

    fn swallows(&self, column: usize) -> bool {
        self.rows.layout.columns[column].swallows
    }

    fn conforms(&self, column: usize, cell: usize) -> bool {
        let cell = self.rows.cells[cell];
        let text = unquoted(&self.text[cell.start..cell.end], cell);
        let column = &self.rows.layout.columns[column];
        let null_tokens = &self.rows.dataset.null_tokens;
        match column.role {
            Role::Key => matches!(clean_key(&text, column, null_tokens), Some(Ok(_))),
            _ => conforms(&text, column, null_tokens),
        }
    }
}

fn cell_bytes(row: &[u8], cell: Cell) -> &[u8] {
    &row[cell.start..cell.end]
}

fn unquoted(text: &str, cell: Cell) -> Cow<'_, str> {
    if !cell.is_quoted {
        return Cow::Borrowed(text);
    }
    let inner = &text[1..text.len() - 1];
    if inner.contains('"') { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) }
}

/// Finds the cells of the first row of `bytes`. `next` is 0 only where nothing is left.
fn split_row(bytes: &[u8], is_at_end: bool, dialect: Dialect, cells: &mut Vec<Cell>) -> Split {
    cells.clear();
    let mut start = 0;
    loop {
        let (end, is_quoted) = match cell_end(bytes, start, is_at_end, dialect) {
            CellEnd::At(end, is_quoted) => (end, is_quoted),
            CellEnd::Incomplete if bytes.len() > dialect.row_bytes_max => return Split::TooLong,
            CellEnd::Incomplete => return Split::Incomplete,
            CellEnd::Broken(reason) => return broken_row(bytes, is_at_end, dialect, reason),
        };
        if end > dialect.row_bytes_max {
            return Split::TooLong;
        }
        cells.push(Cell { start, end, is_quoted });
        match bytes.get(end) {
            None if is_at_end => return Split::Row { end, next: end },
            None => return Split::Incomplete,
            Some(&byte) if byte == dialect.delimiter => start = end + 1,
            Some(b'\n') => return Split::Row { end, next: end + 1 },
            // A carriage return ends a row, with or without a line feed after it.
            Some(_) => match bytes.get(end + 1) {
                None if !is_at_end => return Split::Incomplete,
                Some(b'\n') => return Split::Row { end, next: end + 2 },
                _ => return Split::Row { end, next: end + 1 },
            },
        }
    }
}

enum CellEnd {
    At(usize, bool),
    Incomplete,
    Broken(&'static str),
}

/// Where the cell that begins at `start` ends: at a delimiter, a line end, or the end of the bytes.
fn cell_end(bytes: &[u8], start: usize, is_at_end: bool, dialect: Dialect) -> CellEnd {
    if bytes.get(start) != Some(&QUOTE) {
        let rest = &bytes[start..];
        return match memchr3(dialect.delimiter, b'\n', b'\r', rest) {
            Some(length) => CellEnd::At(start + length, false),
            None if is_at_end => CellEnd::At(bytes.len(), false),
            None => CellEnd::Incomplete,
        };
    }
    let mut from = start + 1;
    loop {
        let quote = match memchr(QUOTE, &bytes[from..]) {
            Some(length) if from + length < dialect.row_bytes_max => from + length,
            None if !is_at_end && bytes.len() <= dialect.row_bytes_max => return CellEnd::Incomplete,
            _ => return CellEnd::Broken("a quote opens a cell and never closes"),
        };
        match bytes.get(quote + 1) {
            Some(&QUOTE) => from = quote + 2,
            None if !is_at_end => return CellEnd::Incomplete,
            None | Some(b'\n' | b'\r') => return CellEnd::At(quote + 1, true),
            Some(&byte) if byte == dialect.delimiter => return CellEnd::At(quote + 1, true),
            Some(_) => return CellEnd::Broken("a quoted cell goes on after its closing quote"),
        }
    }
}

/// A broken row ends at its first line end, so that the rows after it are not lost with it.
fn broken_row(bytes: &[u8], is_at_end: bool, dialect: Dialect, reason: &'static str) -> Split {
    match memchr2(b'\n', b'\r', bytes) {
        Some(end) if end > dialect.row_bytes_max => Split::TooLong,
        Some(end) => Split::Broken { end, next: end + 1, reason },
        None if bytes.len() > dialect.row_bytes_max => Split::TooLong,
        None if is_at_end => Split::Broken { end: bytes.len(), next: bytes.len(), reason },
        None => Split::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect { delimiter: b',', row_bytes_max: 64 };

    fn cells(text: &str) -> (Split, Vec<&str>) {
        let mut cells = Vec::new();
        let split = split_row(text.as_bytes(), true, DIALECT, &mut cells);
        (split, cells.iter().map(|cell| &text[cell.start..cell.end]).collect())
    }

    #[test]
    fn rows_end_at_line_ends_outside_quotes() {
        assert_eq!(cells("a,\"b\nc\",d\r\ne"), (Split::Row { end: 9, next: 11 }, vec!["a", "\"b\nc\"", "d"]));
        assert_eq!(cells("a,\nb"), (Split::Row { end: 2, next: 3 }, vec!["a", ""]));
        assert_eq!(cells("a"), (Split::Row { end: 1, next: 1 }, vec!["a"]));
        assert_eq!(cells(""), (Split::Row { end: 0, next: 0 }, vec![""]));
    }

    #[test]
    fn a_quote_inside_a_cell_is_text() {
        assert_eq!(cells("6\" pipe,x\ny\""), (Split::Row { end: 9, next: 10 }, vec!["6\" pipe", "x"]));
    }

    #[test]
    fn a_quote_that_never_closes_costs_one_line() {
        let reason = "a quote opens a cell and never closes";
        assert_eq!(cells("a,\"b\nc,d\n").0, Split::Broken { end: 4, next: 5, reason });
        let reason = "a quoted cell goes on after its closing quote";
        assert_eq!(cells("a,\"b\nc,\"d\n").0, Split::Broken { end: 4, next: 5, reason });
    }

    #[test]
    fn a_row_that_the_bytes_do_not_end_is_incomplete() {
        let mut cells = Vec::new();
        for text in ["a,b", "a,\"b", "a,\"b\"", "a,b\r", ""] {
            assert_eq!(split_row(text.as_bytes(), false, DIALECT, &mut cells), Split::Incomplete, "{text}");
        }
    }
}
