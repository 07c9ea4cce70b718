//! Repaired rows: the first rows of a file whose shifted cells are put back, for commands that show
//! them.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::row_format::Dialect;
use crate::source::rows::csv::CsvRows;
use crate::source::rows::header::read_header;
use crate::source::rows::{Form, printable};
use crate::source::text::content::{Content, Window};
use serde::Serialize;

/// A row whose shifted cells are put back.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedRow {
    /// 1 is the first row after the header.
    pub row: u64,
    /// The record that it belongs to.
    pub key: Option<String>,
    /// As it stands in the file; bytes that are not text as `\xNN`.
    pub raw: String,
}

/// The first repaired rows of a CSV file that was surveyed, at most so many.
///
/// # Errors
///
/// When the file cannot be read.
pub fn repaired_rows(
    content: &Content,
    dialect: Dialect,
    layout: &Layout,
    dataset: &Dataset,
    field_bytes_max: usize,
    rows_max: usize,
) -> Result<Vec<RepairedRow>, SyncError> {
    let mut repaired = Vec::new();
    let mut window = Window::at(content, 0)?;
    read_header(&mut window, dialect, dataset)?;
    let mut rows = CsvRows::new(window, dialect, layout, dataset, field_bytes_max, 0);
    while repaired.len() < rows_max
        && let Some(row) = rows.next_row()?
    {
        if matches!(row.form, Form::Rewritten { is_repaired: true, .. }) {
            repaired.push(RepairedRow { row: row.number, key: row.key, raw: printable(row.raw) });
        }
    }
    Ok(repaired)
}
