//! Around: what a row means beside its own cells: values that stand above it, and rows that are no
//! data.

use super::CsvRows;
use crate::source::rows::Fault;

impl CsvRows<'_> {
    /// The row with what those above say in its empty cells. A row with more cells that are not
    /// empty may have them elsewhere.
    pub(super) fn filled(&self, raw: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if self.fill.is_empty() {
            return Ok(None);
        }
        let surplus = self.cells.get(self.layout.columns.len()..).unwrap_or_default();
        let is_in_place = surplus.iter().all(|cell| cell.bytes(raw).trim_ascii().is_empty());
        if !is_in_place {
            return Ok(None);
        }
        self.fill.filled(raw, &self.cells, self.dialect)
    }

    /// Whether a row is no data, as the dataset says.
    pub(super) fn is_no_row(&self, text: &str) -> bool {
        self.no_rows.iter().any(|&(column, pattern)| {
            let cell = self.cells.get(column);
            cell.is_some_and(|&cell| {
                pattern.is_match(self.dialect.unquoted(&text[cell.start..cell.end], cell).trim())
            })
        })
    }
}
