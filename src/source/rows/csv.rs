//! CSV rows: the rows of a file of delimited cells, and what is wrong with each.
//!
//! Rows that fit are later decoded by arrow-csv; what it would take for something else is rewritten
//! or rejected here.

mod around;
mod asked;
mod form;
mod observed;

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::decimals::Observer;
use crate::feed::layout::{KeyPart, Layout, LayoutColumn, column_name};
use crate::feed::row_format::{CellTypes, Dialect};
use crate::source::rows::cells::{Cell, Split, is_blank, split_row};
use crate::source::rows::csv::asked::Asked;
use crate::source::rows::csv::form::TextRow;
use crate::source::rows::csv::observed::{Observed, observe};
use crate::source::rows::fill::Fill;
use crate::source::rows::fits::Fits;
use crate::source::rows::guards::{clear_numbers, without_guards};
use crate::source::rows::repair::Repair;
use crate::source::rows::runaway::{Shape, runaway_end};
use crate::source::rows::typed::{TypedRow, read_typed};
use crate::source::rows::{
    Fault, Form, Part, RowRef, SkippedLines, joined_key, key_part, repair, text_key,
};
use crate::source::text::content::Window;
use crate::transform::clean::misfit;
use crate::values::identifier::visible;
use memchr::memchr;
use regex::Regex;
use std::borrow::Cow;
use std::cell::RefCell;

/// The rows of a CSV file after its header.
#[derive(Debug)]
pub struct CsvRows<'a> {
    window: Window<'a>,
    dialect: Dialect,
    layout: &'a Layout,
    /// From columns to patterns: rows that match are not data.
    no_rows: Vec<(usize, &'a Regex)>,
    /// What rows leave to those below.
    fill: Fill,
    /// Columns of the key, in its order; none where each distinct row is a record.
    key: Vec<KeyPart>,
    /// Whether it is a corrected copy of rejected rows.
    is_correction: bool,
    field_bytes_max: usize,
    cells: Vec<Cell>,
    /// The beginning of the last row that was too long.
    long: Vec<u8>,
    /// The last row with what the rows above it say, if they say anything of it.
    filled: Vec<u8>,
    /// Rows so far.
    number: u64,
    /// Observers of columns that hold numbers, or whose kind the data decides.
    observers: Vec<Observer>,
    /// Whether rows that do not fit by their count say something of these columns too.
    asks_odd_rows: bool,
    /// Whether any row did not fit by its count, so that the kinds of columns decide what becomes
    /// of it.
    has_odd_rows: bool,
    /// How well values fit their columns, if that is counted.
    fits: Option<Fits>,
    /// What was asked of rows that do not fit by their count.
    asked: RefCell<Asked>,
}

impl<'a> CsvRows<'a> {
    /// The rows from the window's place on, of which `number` came before.
    pub fn new(
        window: Window<'a>,
        dialect: Dialect,
        layout: &'a Layout,
        dataset: &'a Dataset,
        field_bytes_max: usize,
        number: u64,
    ) -> Self {
        Self {
            window,
            dialect,
            layout,
            no_rows: (dataset.no_rows.iter())
                .filter_map(|(column, pattern)| Some((layout.index_of(column)?, pattern)))
                .collect(),
            fill: Fill::of(layout, dataset),
            key: layout.key(),
            is_correction: layout.is_correction(),
            field_bytes_max,
            cells: Vec::new(),
            long: Vec::new(),
            filled: Vec::new(),
            number,
            observers: Vec::new(),
            asks_odd_rows: false,
            has_odd_rows: false,
            fits: None,
            asked: RefCell::default(),
        }
    }

    /// Offset in the file of what is read next.
    pub const fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Number of the row that was read last.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Passes by a run of rows.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn skip(&mut self, bytes: u64, rows: u64) -> Result<(), SyncError> {
        self.number += rows;
        self.window.skip(bytes)
    }

    /// Also observes the columns whose kind the data decides, and how numbers are written.
    pub fn observing(mut self) -> Self {
        let columns = self.layout.all().enumerate();
        self.observers =
            columns.filter_map(|(index, column)| Observer::of(index, column)).collect();
        self
    }

    /// Also finds out, of columns whose kind no other row says, what they hold in rows that do not
    /// fit by their count.
    pub fn observing_odd_rows(mut self) -> Self {
        self = self.observing();
        self.observers.retain(|observer| self.layout.at(observer.column).kind.is_none());
        self.asks_odd_rows = true;
        self
    }

    /// Also counts the values that do not fit columns whose kind a declaration says.
    pub fn counting_fits(mut self) -> Self {
        self.fits = Some(Fits::of(self.layout));
        self
    }

    /// What was counted.
    pub const fn take_fits(&mut self) -> Option<Fits> {
        self.fits.take()
    }

    /// What was asked of rows that do not fit by their count.
    pub(in crate::source) fn take_asked(&mut self) -> Asked {
        self.asked.take()
    }

    /// Whether any row did not fit by its count.
    pub const fn has_odd_rows(&self) -> bool {
        self.has_odd_rows
    }

    /// What was found out.
    pub fn into_observers(self) -> Vec<Observer> {
        self.observers
    }

    /// The next row that is not blank.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, SyncError> {
        loop {
            let split = split_row(
                self.window.rest(),
                self.window.is_at_end(),
                self.dialect,
                &mut self.cells,
            );
            let (end, next, is_spaced, broken) = match split {
                Split::Incomplete => {
                    self.window.fill()?;
                    continue;
                }
                Split::TooLong => return self.long_row().map(Some),
                Split::Row { next: 0, .. } => return Ok(None),
                Split::Row { end, next, is_spaced } => match self.runaway_end(end) {
                    Some(end) => (
                        end,
                        end + 1,
                        false,
                        Some("a quote opens a cell and closes only in a later row"),
                    ),
                    None => (end, next, is_spaced, None),
                },
                Split::Broken { end, next, reason } => (end, next, false, Some(reason)),
            };
            let is_blank = broken.is_none() && is_blank(self.window.rest(), &self.cells);
            if !is_blank {
                return Ok(Some(self.row(end, next, is_spaced, broken)));
            }
            self.window.advance(next);
        }
    }

    fn runaway_end(&self, row_end: usize) -> Option<usize> {
        // Every quote of such a text is right.
        if self.dialect.is_typed() {
            return None;
        }
        let shape = Shape {
            dialect: self.dialect,
            columns: self.layout.columns.len(),
            named: self.layout.named(),
            // If rows have no key, their first cells are used.
            key: self.key.first().map_or(0, |key| key.source),
        };
        runaway_end(&self.window.rest()[..row_end], &self.cells, &shape)
    }

    /// A row that is longer than it may be: what is kept of it is its beginning, and the rest is
    /// passed by.
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
        let form = Form::Broken(Fault::row(
            "the row is longer than row_bytes_max; the beginning of it is kept",
        ));
        let next_offset = self.window.offset();
        let raw = &self.long[..];
        let (absent, part) = (Vec::new(), Part::Row);
        Ok(RowRef {
            number: self.number,
            offset,
            next_offset,
            raw,
            whole: raw,
            key,
            form,
            absent,
            part,
            skipped: SkippedLines::default(),
        })
    }

    fn row(
        &mut self,
        end: usize,
        next: usize,
        is_spaced: bool,
        broken: Option<&'static str>,
    ) -> RowRef<'_> {
        self.number += 1;
        let offset = self.window.offset();
        self.window.advance(next);
        let whole = self.window.passed(next);
        let raw = &whole[..end];
        let is_usual = self.has_usual_count(raw);
        let (dialect, layout) = (self.dialect, self.layout);
        let mut clear = match self.is_correction {
            true => clear_numbers(raw, &self.cells, dialect),
            false => Vec::new(),
        };
        let mut own = match broken {
            Some(reason) => Err(Fault::row(reason)),
            None if self.is_correction => {
                Ok(without_guards(raw, &self.cells, &clear, dialect, layout))
            }
            None => self.filled(raw),
        };
        // What quotes say of types is clear before anything is read by the rules of its column.
        let TypedRow { clear: typed_clear, bytes: typed, fault: long_identifier } = match &own {
            Ok(filled) if dialect.is_typed() => self.typed(filled.as_deref(), raw),
            _ => TypedRow::default(),
        };
        let is_by_type = typed.is_some();
        let mut shown = None;
        if dialect.is_typed() {
            clear = typed_clear;
        }
        if let (Ok(own), Some(typed)) = (&mut own, typed) {
            shown = own.replace(typed);
        }
        // As a reject, a row must say itself what the rows above it said: it goes out for
        // correction without them.
        let is_filled = !self.is_correction && !is_by_type && matches!(own, Ok(Some(_)));
        let mut filled = None;
        let (key, mut form) = match own {
            Err(fault) => (self.leading_key(raw), Form::Broken(fault)),
            Ok(None) => self.read(raw, is_spaced),
            Ok(Some(bytes)) => {
                split_row(&bytes, true, self.dialect, &mut self.cells);
                let read = self.read(&bytes, is_spaced);
                split_row(raw, true, self.dialect, &mut self.cells);
                match read {
                    (key, Form::Fits) => (key, Form::Rewritten { bytes, is_repaired: false }),
                    read => {
                        filled = is_filled.then_some(bytes);
                        read
                    }
                }
            }
        };
        if let (Some(fault), Form::Fits | Form::Rewritten { .. }) = (long_identifier, &form) {
            form = Form::Broken(fault);
        }
        if !self.fill.is_empty() {
            // Of a typed row, as it is written: before anything was read.
            let as_written = match &form {
                Form::Rewritten { .. } if dialect.is_typed() => &Form::Fits,
                form => form,
            };
            let mut cells = Vec::new();
            let (bytes, cells) = match &shown {
                None => (raw, &self.cells),
                Some(bytes) => {
                    split_row(bytes, true, dialect, &mut cells);
                    (bytes.as_slice(), &cells)
                }
            };
            self.fill.note_row(bytes, cells, as_written, is_usual, dialect);
        }
        // A row whose cells were put back fits, or is none that says anything of a column.
        let mut own_cells = Vec::new();
        let counted = match &form {
            Form::Fits => Some((raw, &self.cells)),
            Form::Rewritten { bytes, .. } if is_by_type => {
                split_row(bytes, true, dialect, &mut own_cells);
                Some((bytes.as_slice(), &own_cells))
            }
            _ => None,
        };
        if let (Some(fits), Some((bytes, cells)), true) = (&mut self.fits, counted, is_usual) {
            let row_text = std::str::from_utf8(bytes).ok();
            let text = |source: usize| {
                let cell = cells[source];
                Some(dialect.unquoted(cell.text(bytes, row_text)?, cell))
            };
            let symbol = fits.symbol.and_then(text).unwrap_or_default();
            for column in &mut fits.columns {
                if let Some(text) = text(self.layout.source(column.index)) {
                    column.observe(&text, &symbol, self.number, self.layout.at(column.index));
                }
            }
        }
        self.has_odd_rows |= !is_usual && broken.is_none();
        if !self.observers.is_empty() && is_usual != self.asks_odd_rows {
            let has_texts = dialect.types == CellTypes::Columns;
            let quoted = if has_texts { self.cells.as_slice() } else { &[] };
            let observed = |bytes: &[u8], cells: &[Cell], observers: &mut [Observer]| {
                let row = Observed { bytes, cells, quoted, clear: &clear, is_usual };
                observe(observers, &row, dialect, layout);
            };
            match &form {
                // The cells of the row as it is.
                Form::Fits => observed(raw, &self.cells, &mut self.observers),
                Form::Rewritten { bytes, .. } => {
                    let mut cells = Vec::new();
                    split_row(bytes, true, dialect, &mut cells);
                    observed(bytes, &cells, &mut self.observers);
                }
                Form::Broken(_) | Form::Skipped => {}
            }
        }
        let next_offset = offset + next as u64;
        let (absent, part, skipped) = (Vec::new(), Part::Row, SkippedLines::default());
        if let (true, None, Form::Rewritten { bytes, .. }) = (is_filled, &filled, &mut form) {
            filled = Some(std::mem::take(bytes));
            form = Form::Fits;
        }
        let raw = match filled.or(shown) {
            Some(bytes) => {
                self.filled = bytes;
                &self.filled
            }
            None => raw,
        };
        let number = self.number;
        RowRef { number, offset, next_offset, raw, whole, key, form, absent, part, skipped }
    }

    /// What a typed row is to its columns; the cells are those of `raw`.
    fn typed(&self, filled: Option<&[u8]>, raw: &[u8]) -> TypedRow {
        match filled {
            None => read_typed(raw, &self.cells, self.dialect, self.layout),
            Some(bytes) => {
                let mut cells = Vec::new();
                split_row(bytes, true, self.dialect, &mut cells);
                read_typed(bytes, &cells, self.dialect, self.layout)
            }
        }
    }

    /// Whether the row has as many cells as the header, or as the padding of most rows makes it,
    /// and nothing where the header has no name: then it fits as it stands.
    fn has_usual_count(&self, raw: &[u8]) -> bool {
        let (cells, columns, named) =
            (self.cells.len(), self.layout.columns.len(), self.layout.named());
        let is_blank = |cell: &Cell| {
            cell.bytes(raw)
                .iter()
                .all(|byte| byte.is_ascii_whitespace() || *byte == self.dialect.quote)
        };
        cells == named
            || ((cells == columns || cells == columns + self.dialect.padding)
                && self.cells[named..].iter().all(is_blank))
    }

    /// The key of a row, as far as it can be read, and how the row fits its columns.
    fn read(&self, raw: &[u8], is_spaced: bool) -> (Option<String>, Form) {
        let Ok(text) = std::str::from_utf8(raw) else {
            let fault = self.cell_fault(
                raw,
                "the bytes are not UTF-8 text: export the file as UTF-8, or set `encoding` of the dataset",
                |bytes| std::str::from_utf8(bytes).is_err(),
            );
            return (self.leading_key(raw), Form::Broken(fault));
        };
        if self.is_header(text) || self.is_no_row(text) {
            return (None, Form::Skipped);
        }
        let shape = match self.dialect.is_typed() {
            // Every cell stands where its file has it.
            true if self.has_usual_count(raw) => Repair::Fits,
            true => Repair::Impossible,
            false => self.believed(text, repair::repair(&TextRow { text, rows: self })),
        };
        let key = match self.key_of(text, &shape) {
            Ok(key) => key,
            Err(fault) => return (None, Form::Broken(fault)),
        };
        let has_nul = |bytes: &[u8]| {
            let error = bytes.strip_prefix(b"\0#").filter(|_| self.dialect.is_typed());
            memchr(0, error.unwrap_or(bytes)).is_some()
        };
        if memchr(0, raw).is_some() && self.cells.iter().any(|cell| has_nul(cell.bytes(raw))) {
            let fault = self.cell_fault(raw, "the value holds a NUL byte", has_nul);
            return (key, Form::Broken(fault));
        }
        if raw.len() > self.field_bytes_max {
            let reason = format!(
                "the value is longer than field_bytes_max allows ({} bytes)",
                self.field_bytes_max
            );
            let is_long = |bytes: &[u8]| bytes.len() > self.field_bytes_max;
            if self.cells.iter().any(|cell| is_long(cell.bytes(raw))) {
                return (key, Form::Broken(self.cell_fault(raw, &reason, is_long)));
            }
        }
        (key, self.fitting_form(text, shape, is_spaced).unwrap_or_else(Form::Broken))
    }

    /// The form of a row whose cells fit the types of columns that take nothing else.
    fn fitting_form(&self, text: &str, shape: Repair, is_spaced: bool) -> Result<Form, Fault> {
        let widths = if let Repair::Shifted(widths) = &shape { widths.clone() } else { Vec::new() };
        let form = self.form(text, shape, is_spaced)?;
        let mut first = 0;
        for (index, column) in self.layout.columns[..self.layout.named()].iter().enumerate() {
            let width = widths.get(index).copied().unwrap_or(1);
            if let Some(&cell) = self.cells.get(first).filter(|_| width == 1 && column.is_strict())
            {
                let cell_text = self.dialect.unquoted(&text[cell.start..cell.end], cell);
                if let Some(reason) = misfit(&cell_text, &cell_text, column) {
                    return Err(Fault::cell(Some(column.name.clone()), &reason));
                }
            }
            first += width;
        }
        Ok(form)
    }

    /// A fault of the first cell that `is_at_fault`.
    fn cell_fault(&self, raw: &[u8], reason: &str, is_at_fault: impl Fn(&[u8]) -> bool) -> Fault {
        let cell = self.cells.iter().position(|cell| is_at_fault(cell.bytes(raw)));
        let column = cell.and_then(|cell| self.layout.columns.get(cell));
        Fault::cell(column.map(|column| column.name.clone()), reason)
    }

    /// Whether the row is the header once more, as where files were put one behind the other:
    /// whatever its case, with or without a byte order mark before it.
    fn is_header(&self, text: &str) -> bool {
        let is_name = |(cell, column): (&Cell, &LayoutColumn)| {
            let cell_text = self.dialect.unquoted(&text[cell.start..cell.end], *cell);
            // After a byte order mark, a quote does not open a cell.
            let name = visible(&cell_text).trim_matches(char::from(self.dialect.quote));
            is_same_name(visible(name), visible(&column.raw_name))
        };
        // The first cell tells nearly always; a row of nothing but empty cells may stand under a
        // header without names.
        let columns = &self.layout.columns;
        let named = self.layout.named();
        self.cells.len() >= named
            && named > 0
            && self.cells.iter().zip(columns).all(is_name)
            && self.cells[named..]
                .iter()
                .all(|cell| cell.start == cell.end || text[cell.start..cell.end].trim().is_empty())
    }

    /// The key of a row that is text; `None` when the row's shift leaves open where it is.
    fn key_of(&self, text: &str, shape: &Repair) -> Result<Option<String>, Fault> {
        if self.key.is_empty() {
            return Ok(Some(text_key(text.as_bytes())));
        }
        let cell_of = |key: KeyPart| match shape {
            Repair::Shifted(widths) => self.cells.get(widths[..key.source].iter().sum::<usize>()),
            _ => self.cells.get(key.source),
        };
        let is_certain =
            matches!(shape, Repair::Fits | Repair::Shifted(_)) || self.is_key_leading();
        if !is_certain || self.key.iter().any(|&key| cell_of(key).is_none()) {
            return Ok(None);
        }
        let parts = || {
            let parts = self
                .key
                .iter()
                .filter_map(|&key| Some((self.layout.key_column(key), *cell_of(key)?)));
            parts.map(|(column, cell)| {
                (column, self.dialect.unquoted(&text[cell.start..cell.end], cell))
            })
        };
        if parts().all(|(column, cell_text)| cell_text.trim() == column.raw_name.trim()) {
            return Err(Fault::header_again());
        }
        let part = |(column, cell_text): (&LayoutColumn, Cow<'_, str>)| {
            key_part(&cell_text, column, "the row has no key")
        };
        joined_key(parts().map(part)).map(Some)
    }

    /// The key of a row that cannot be read as a whole, if nothing before it can have shifted it.
    fn leading_key(&self, raw: &[u8]) -> Option<String> {
        if !self.is_key_leading() {
            return None;
        }
        let part = |&key: &KeyPart| {
            let cell = *self.cells.get(key.source)?;
            let text = self
                .dialect
                .unquoted(std::str::from_utf8(raw.get(cell.start..cell.end)?).ok()?, cell);
            key_part(&text, self.layout.key_column(key), "").ok()
        };
        joined_key(self.key.iter().map(|key| part(key).ok_or_else(|| Fault::row("")))).ok()
    }

    /// Whether no column in front of the key's last one may have swallowed delimiters.
    fn is_key_leading(&self) -> bool {
        let last = self.key.iter().map(|key| key.source).max();
        last.is_some_and(|last| !self.layout.columns[..last].iter().any(|column| column.swallows))
    }
}

/// Whether two names are one, whatever their case.
fn is_same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || (!one.is_ascii() && !other.is_ascii() && column_name(one) == column_name(other))
}
