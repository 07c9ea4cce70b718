//! Fill: columns in which an empty cell means the value of the row above.

use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::row_format::Dialect;
use crate::source::rows::cells::{Cell, split_row};
use crate::source::rows::{Fault, Form};

/// What the rows so far leave to those below.
#[derive(Debug, Default)]
pub struct Fill {
    columns: Vec<FillColumn>,
}

/// One column of a file.
#[derive(Debug)]
struct FillColumn {
    index: usize,
    name: String,
    above: Above,
}

/// What the last row has in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Above {
    /// No row had a value.
    Nothing,
    /// This.
    Text(String),
    /// A row that cannot be read may have had one.
    Unknown,
}

impl Fill {
    /// The columns of a file that a dataset names.
    pub fn of(layout: &Layout, dataset: &Dataset) -> Self {
        // The rows of a corrected copy are not in their old places.
        let names = dataset.fill_down.iter().filter(|_| !layout.is_correction());
        let columns = names.filter_map(|name| {
            let index = layout.index_of(name)?;
            Some(FillColumn {
                index,
                name: layout.columns[index].name.clone(),
                above: Above::Nothing,
            })
        });
        Self { columns: columns.collect() }
    }

    /// Whether no column is filled.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The row with the values of the rows above in its empty cells; `None` if it needs none.
    ///
    /// # Errors
    ///
    /// When a row above that cannot be read may say it.
    pub fn filled(
        &self,
        row: &[u8],
        cells: &[Cell],
        dialect: Dialect,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let mut fills: Vec<(usize, &str)> = Vec::new();
        for column in &self.columns {
            if cells.get(column.index).is_some_and(|&cell| !text_of(row, cell, dialect).is_empty())
            {
                continue;
            }
            match &column.above {
                Above::Nothing => {}
                Above::Text(text) => fills.push((column.index, text)),
                Above::Unknown => {
                    let reason = "the cell is empty, so it means what the row above has, and that row cannot be read: \
                                  write the value, or correct the row above";
                    return Err(Fault::cell(Some(column.name.clone()), reason));
                }
            }
        }
        if fills.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(row.len() + 32);
        // A row may end before the cell.
        let last = fills.iter().map(|(filled, _)| filled + 1).max().unwrap_or_default();
        for index in 0..cells.len().max(last) {
            if index > 0 {
                bytes.push(dialect.delimiter);
            }
            match (fills.iter().find(|(filled, _)| *filled == index), cells.get(index)) {
                // Where nothing stands around cells, nothing in them needs it: the text was a cell.
                (Some((_, text)), _) if !dialect.has_quotes() || dialect.is_typed() => {
                    bytes.extend(text.bytes());
                }
                (Some((_, text)), _) => bytes.extend(dialect.quoted(text).bytes()),
                (None, Some(cell)) => bytes.extend(&row[cell.start..cell.end]),
                (None, None) => {}
            }
        }
        Ok(Some(bytes))
    }

    /// Keeps the values of a row for the rows below. A row that is not data has none.
    pub fn note_row(
        &mut self,
        raw: &[u8],
        cells: &[Cell],
        form: &Form,
        is_usual: bool,
        dialect: Dialect,
    ) {
        let mut own_cells = Vec::new();
        let (bytes, cells, is_read) = match form {
            Form::Skipped => return,
            Form::Rewritten { bytes, .. } => {
                split_row(bytes, true, dialect, &mut own_cells);
                (bytes.as_slice(), own_cells.as_slice(), true)
            }
            Form::Fits => (raw, cells, true),
            Form::Broken(_) => (raw, cells, is_usual),
        };
        let is_text = is_read && std::str::from_utf8(bytes).is_ok();
        self.note(is_text.then_some((bytes, cells)), dialect);
    }

    /// Keeps the values of a row; `None` for a row that cannot be read.
    fn note(&mut self, row: Option<(&[u8], &[Cell])>, dialect: Dialect) {
        for column in &mut self.columns {
            let Some((row, cells)) = row else {
                column.above = Above::Unknown;
                continue;
            };
            let text = cells
                .get(column.index)
                .map(|&cell| text_of(row, cell, dialect))
                .unwrap_or_default();
            if !text.is_empty() {
                column.above = Above::Text(text);
            }
        }
    }
}

fn text_of(row: &[u8], cell: Cell, dialect: Dialect) -> String {
    let text = String::from_utf8_lossy(&row[cell.start..cell.end]);
    // Quotes are part of what a typed cell is.
    if dialect.is_typed() {
        return text.into_owned();
    }
    dialect.unquoted(&text, cell).trim().to_owned()
}
