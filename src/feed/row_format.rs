//! Row format: how the rows of a file are written.

use serde::{Deserialize, Serialize};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// Delimited cells under a header.
    Csv(Dialect),
    /// Objects, in an array or not.
    Json,
}

/// How the cells of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// What stands between cells.
    pub delimiter: u8,
    /// What stands around cells that hold a delimiter or a line end.
    pub quote: u8,
    /// Longest row.
    pub row_bytes_max: usize,
    /// Number of empty cells that most rows have after the last column of the header.
    pub padding: usize,
    /// What quotes say of the types of cells.
    #[serde(default, skip_serializing_if = "CellTypes::is_none")]
    pub types: CellTypes,
}

/// What quotes say of the types of cells. A workbook or a columnar file is made into such a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellTypes {
    /// Nothing: every cell is a text.
    #[default]
    None,
    /// Of a workbook. Cells in quotes are texts as anywhere; others are numbers, moments, truth
    /// values and errors.
    Sheet,
    /// Of a columnar file. The same, and a column of texts holds nothing else.
    Columns,
}

impl CellTypes {
    /// Whether quotes say nothing.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl Dialect {
    /// How the rows of a workbook or columnar file are written once they are text.
    pub const fn typed(types: CellTypes, row_bytes_max: usize) -> Self {
        Self { delimiter: b',', quote: b'"', row_bytes_max, padding: 0, types }
    }

    /// Whether quotes say which cells are texts.
    pub const fn is_typed(&self) -> bool {
        !self.types.is_none()
    }

    /// Whether anything stands around cells.
    pub const fn has_quotes(&self) -> bool {
        self.quote != NO_QUOTE
    }
}

/// The delimiter that a dataset declares; `None` if it is found in each file.
pub(super) fn delimiter(dataset: &str, text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        b"" | b"auto" => Ok(None),
        b"tab" => Ok(Some(b'\t')),
        &[byte]
            if byte == b'\t' || (byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'\'')) =>
        {
            Ok(Some(byte))
        }
        _ => Err(format!(
            "datasets.{dataset}.delimiter: `{text}` is neither `auto`, `tab` nor one sign such as `;`"
        )),
    }
}

/// A byte that no row of text has: cells have no quotes, and a quote character is text.
const NO_QUOTE: u8 = 0;

/// The quote that a dataset declares; `None` if it is found in each file.
pub(super) fn quote(dataset: &str, text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        b"" | b"auto" => Ok(None),
        b"none" => Ok(Some(NO_QUOTE)),
        &[byte @ (b'"' | b'\'')] => Ok(Some(byte)),
        _ => Err(format!(
            "datasets.{dataset}.quote: `{text}` is neither `auto`, `none`, `\"` nor `'`"
        )),
    }
}
