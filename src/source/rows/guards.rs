//! Guards: the cells of a corrected copy as they were before its export guarded them against
//! spreadsheets and marked the numbers of JSON.

use crate::feed::layout::Layout;
use crate::feed::row_format::Dialect;
use crate::source::rows::cells::Cell;
use crate::source::rows::json_values::number_text;
use crate::values::spreadsheet::{clear_number, is_guarded};
use std::borrow::Cow;

/// A number of JSON in a row, as JSON writes it.
#[derive(Debug)]
pub struct ClearNumber {
    /// Its cell.
    pub cell: usize,
    /// Its text.
    pub json: String,
}

/// The numbers of JSON in a row of a corrected copy.
pub fn clear_numbers(row: &[u8], cells: &[Cell], dialect: Dialect) -> Vec<ClearNumber> {
    let numbers = cells.iter().enumerate().filter_map(|(index, &cell)| {
        // Nearly every cell is told by its first byte.
        let first = cell.start + usize::from(cell.is_quoted);
        row.get(first).filter(|&&byte| byte == b'\'')?;
        let text = dialect.unquoted(std::str::from_utf8(cell.bytes(row)).ok()?, cell);
        Some(ClearNumber { cell: index, json: clear_number(&text)?.to_owned() })
    });
    numbers.collect()
}

/// A row of a corrected copy as it was before its export; `None` where no cell was changed.
pub fn without_guards(
    row: &[u8],
    cells: &[Cell],
    clear: &[ClearNumber],
    dialect: Dialect,
    layout: &Layout,
) -> Option<Vec<u8>> {
    let is_changed = |cell: &Cell| {
        row.get(cell.start + usize::from(cell.is_quoted)..cell.end).is_some_and(is_guarded)
    };
    if clear.is_empty() && !cells.iter().any(is_changed) {
        return None;
    }
    let mut bytes = Vec::with_capacity(row.len());
    let mut copied = 0;
    for (index, cell) in cells.iter().enumerate() {
        if let Some(number) = clear.iter().find(|number| number.cell == index) {
            bytes.extend(&row[copied..cell.start]);
            let text = text_of_number(&number.json, index, layout);
            match text.as_bytes().contains(&dialect.delimiter) {
                true => bytes.extend(dialect.quoted(&text).bytes()),
                false => bytes.extend(text.bytes()),
            }
            copied = cell.end;
        } else if is_changed(cell) {
            let guard = cell.start + usize::from(cell.is_quoted);
            bytes.extend(&row[copied..guard]);
            copied = guard + 1;
        }
    }
    bytes.extend(&row[copied..]);
    Some(bytes)
}

/// A number of JSON as the first column of numbers that its cell feeds reads it.
fn text_of_number<'j>(json: &'j str, cell: usize, layout: &Layout) -> Cow<'j, str> {
    let copies = layout.copies.iter().filter(|copy| copy.source == cell).map(|copy| &copy.column);
    let mut fed = layout.columns.get(cell).into_iter().chain(copies);
    let column = fed.find(|column| column.holds_numbers());
    column.and_then(|column| number_text(json, column)).map_or(Cow::Borrowed(json), Cow::Owned)
}
