//! Observed: what the cells of a row show of how a column's values are written.

use crate::feed::decimals::Observer;
use crate::feed::layout::Layout;
use crate::feed::row_format::Dialect;
use crate::source::rows::cells::Cell;
use crate::source::rows::guards::ClearNumber;
use crate::values::cell::unfit_text;
use std::borrow::Cow;

/// A row whose cells are observed.
pub(super) struct Observed<'r> {
    /// Its bytes.
    pub bytes: &'r [u8],
    /// Its cells.
    pub cells: &'r [Cell],
    /// Its cells as they are written, where quotes mean that a column holds texts alone.
    pub quoted: &'r [Cell],
    /// Those of its cells that are numbers of JSON.
    pub clear: &'r [ClearNumber],
    /// Whether it fits as it stands: only then is it a proof.
    pub is_usual: bool,
}

/// Notes what the cells of columns look like that hold numbers, or whose kind the data decides.
pub(super) fn observe(
    observers: &mut [Observer],
    row: &Observed<'_>,
    dialect: Dialect,
    layout: &Layout,
) {
    let row_text = std::str::from_utf8(row.bytes).ok();
    for observer in observers {
        let source = layout.source(observer.column);
        let cell = row.cells.get(source).filter(|cell| cell.start < cell.end);
        let Some(&cell) = cell else { continue };
        let Some(text) = cell.text(row.bytes, row_text) else { continue };
        let number = row.clear.iter().find(|number| number.cell == source);
        let text = number
            .map_or_else(|| dialect.unquoted(text, cell), |number| Cow::Borrowed(&*number.json));
        let column = layout.at(observer.column);
        let is_text = row.quoted.get(source).is_some_and(|cell| cell.is_quoted);
        match column.meaning(&text).filter(|meaning| unfit_text(meaning).is_none()) {
            Some(_) if is_text && observer.observe_text() => {}
            Some(meaning) => observer.observe(meaning, number.is_some(), row.is_usual, column),
            None => {}
        }
    }
}
