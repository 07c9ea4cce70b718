//! Around: what a row means beside its own cells: values that stand above it, rows that are no
//! data, and members that its object lacked.

use super::CsvRows;
use crate::chunk::LackingMembers;
use crate::source::rows::Fault;
use crate::source::rows::cells::Cell;

impl CsvRows<'_> {
    /// The empty cells of a row whose members its object lacked.
    pub(super) fn absent(&self, raw: &[u8], lacking: &LackingMembers) -> Vec<usize> {
        let text = |&cell: &Cell| {
            let text = std::str::from_utf8(cell.bytes(raw)).unwrap_or_default();
            self.dialect.unquoted(text, cell)
        };
        let number = self.cells.get(lacking.number_column).map(text);
        let columns = number
            .and_then(|number| lacking.by_number.get(&number.trim().parse().ok()?))
            .into_iter()
            .flatten();
        let is_empty =
            |column: &&usize| self.cells.get(**column).is_none_or(|cell| text(cell).is_empty());
        columns.filter(is_empty).copied().collect()
    }

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
