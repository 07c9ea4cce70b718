//! Rows: the rows of a file one after the other, whatever its format.

pub mod cells;
pub mod csv;
pub mod elements;
pub mod fill;
pub mod fits;
pub mod guards;
pub mod header;
pub mod json;
mod json_fits;
pub(in crate::source) mod json_values;
pub mod object_lines;
pub mod repair;
pub mod repaired;
mod runaway;
mod typed;

use crate::error::SyncError;
use crate::feed::encoding::Encoding;
use crate::feed::layout::LayoutColumn;
use crate::feed::record_key::{KEY_BYTES_MAX, join};
use crate::source::rows::csv::CsvRows;
use crate::source::rows::json::JsonRows;
use crate::source::text::encoding::written;
use crate::transform::clean::clean_key;
use crate::values::cell::hex;
use sha2::{Digest, Sha256};

/// One row, borrowed from the reader.
#[derive(Debug)]
pub struct RowRef<'a> {
    /// 1 is the first row after the header.
    pub number: u64,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Offset of what comes after it.
    pub next_offset: u64,
    /// Its bytes as they are.
    pub raw: &'a [u8],
    /// The same with what ends the row.
    pub whole: &'a [u8],
    /// The record it belongs to, when that can be read.
    pub key: Option<String>,
    /// Whether it can be loaded, and how.
    pub form: Form,
    /// Columns of the layout that its JSON object does not have.
    pub absent: Vec<usize>,
    /// What of its record it holds.
    pub part: Part,
    /// Lines of its object beside it that are no data.
    pub skipped: SkippedLines,
}

/// Lines of an object that are no data. They are told with a line that is, and count as rows: so
/// the rows of an object stay one run, and what is counted of it is counted with its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedLines {
    /// Directly in front of the row.
    pub before: u64,
    /// Behind it, if it is the last row of its object.
    pub after: u64,
}

/// What a row holds of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The record's own columns, and a line of it if it has lines. Other rows of the record may
    /// stand anywhere.
    Row,
    /// The same, as the first row of an object that is a whole record.
    FirstLine {
        /// Whether it is the only one.
        is_last: bool,
    },
    /// A further line of an object, without what belongs to the record.
    LaterLine {
        /// Whether it is the last one.
        is_last: bool,
    },
    /// An object without lines, or without any that is data.
    NoLine {
        /// Whether it lacks the member of lines.
        is_absent: bool,
    },
}

impl Part {
    /// Whether an object begins with it that is a whole record.
    pub const fn begins_object(self) -> bool {
        matches!(self, Self::FirstLine { .. } | Self::NoLine { .. })
    }

    /// Whether reading may go on behind it after a restart.
    pub const fn ends_object(self) -> bool {
        !matches!(self, Self::FirstLine { is_last: false } | Self::LaterLine { is_last: false })
    }
}

/// What a row is to its columns.
#[derive(Debug)]
pub enum Form {
    /// It can be decoded as it stands.
    Fits,
    /// It can be decoded in this form.
    Rewritten {
        /// The row to decode.
        bytes: Vec<u8>,
        /// Whether shifted cells were put back.
        is_repaired: bool,
    },
    /// It cannot be loaded.
    Broken(Fault),
    /// It is no data: the header once more, or what a dataset says is none.
    Skipped,
}

/// Why a row cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// Why, and what to do.
    pub reason: String,
    /// Whether the row is the header again, which belongs to no record.
    pub is_header: bool,
}

impl Fault {
    /// A fault of the row as a whole.
    pub fn row(reason: &str) -> Self {
        Self::cell(None, reason)
    }

    /// A fault of one cell.
    pub fn cell(column: Option<String>, reason: &str) -> Self {
        Self { column, reason: reason.to_owned(), is_header: false }
    }

    /// The header inside of the file.
    pub fn header_again() -> Self {
        Self { is_header: true, ..Self::row("the header again") }
    }
}

impl RowRef<'_> {
    /// Rows in the file before it, and before the lines in front of it that are skipped.
    pub const fn rows_before(&self) -> u64 {
        self.number - self.skipped.before - 1
    }

    /// Number of the last row that it tells of.
    pub const fn last_number(&self) -> u64 {
        self.number + self.skipped.after
    }

    /// Rows of the file that it tells of.
    pub const fn rows(&self) -> u64 {
        self.last_number() - self.rows_before()
    }

    /// Those of them that are no data.
    pub fn rows_skipped(&self) -> u64 {
        let own = u64::from(matches!(self.form, Form::Skipped));
        self.skipped.before + self.skipped.after + own
    }

    /// Whether it cannot be loaded and may belong to any record: what the file lacks of a record
    /// may be in it.
    pub fn is_of_unknown_record(&self) -> bool {
        self.key.is_none() && matches!(&self.form, Form::Broken(fault) if !fault.is_header)
    }
}

/// The rows of a file.
#[derive(Debug)]
pub enum Rows<'a> {
    /// Of a CSV file.
    Csv(CsvRows<'a>),
    /// Of a JSON file.
    Json(JsonRows<'a>),
}

impl Rows<'_> {
    /// Offset in the file of the next row; `None` if only the rows themselves show it.
    pub const fn offset(&self) -> Option<u64> {
        match self {
            Self::Csv(rows) => Some(rows.offset()),
            Self::Json(_) => None,
        }
    }

    /// Passes by a run of rows.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn skip(&mut self, bytes: u64, rows: u64) -> Result<(), SyncError> {
        match self {
            Self::Csv(csv) => csv.skip(bytes, rows),
            Self::Json(_) => unreachable!("of JSON files nothing is skipped"),
        }
    }

    /// Number of the row that was read last.
    pub const fn number(&self) -> u64 {
        match self {
            Self::Csv(rows) => rows.number(),
            Self::Json(rows) => rows.number(),
        }
    }

    /// The next row.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its structure is damaged.
    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, SyncError> {
        match self {
            Self::Csv(rows) => rows.next_row(),
            Self::Json(rows) => rows.next_row(),
        }
    }
}

/// The key of a row's record, from its parts in order.
fn joined_key(parts: impl Iterator<Item = Result<String, Fault>>) -> Result<String, Fault> {
    match join(parts)? {
        key if key.len() <= KEY_BYTES_MAX => Ok(key),
        _ => Err(Fault::row(&format!(
            "the columns of the key are together longer than {KEY_BYTES_MAX} bytes"
        ))),
    }
}

/// The part of a record's key that stands in a cell; `missing` says that there is none.
fn key_part(cell: &str, column: &LayoutColumn, missing: &str) -> Result<String, Fault> {
    let fault = |reason: &str| Fault::cell(Some(column.name.clone()), reason);
    match clean_key(cell, column) {
        None => Err(fault(missing)),
        Some(Err(reason)) => Err(fault(&reason)),
        Some(Ok(key)) if key.contains('\0') => Err(fault("the key holds a NUL byte")),
        Some(Ok(key)) => Ok(key.to_owned()),
    }
}

/// The key of a row that is a record by itself: its own text, so that rows with one text are one
/// record.
pub fn text_key(raw: &[u8]) -> String {
    hex(&Sha256::digest(raw))
}

/// A row's bytes as text; what is not text as `\xNN`.
pub fn printable(raw: &[u8]) -> String {
    printable_in(raw, Encoding::Utf8)
}

/// The text that was made of a row; what could not be decoded as `\xNN`, by the bytes that the file
/// has there.
pub fn printable_in(raw: &[u8], encoding: Encoding) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut invalid = Vec::new();
    for chunk in raw.utf8_chunks() {
        if !chunk.valid().is_empty() {
            push_bytes(&mut text, &mut invalid, encoding);
        }
        for c in chunk.valid().chars() {
            // PostgreSQL stores no NUL in text.
            if c == '\0' { text.push_str("\\x00") } else { text.push(c) }
        }
        invalid.extend(chunk.invalid());
    }
    push_bytes(&mut text, &mut invalid, encoding);
    text
}

fn push_bytes(text: &mut String, invalid: &mut Vec<u8>, encoding: Encoding) {
    for byte in written(invalid, encoding) {
        text.push_str(&format!("\\x{byte:02X}"));
    }
    invalid.clear();
}
