//! Form: how a row is taken, as it stands, rewritten, or not at all.

use crate::feed::layout::Role;
use crate::source::rows::csv::CsvRows;
use crate::source::rows::repair::Repair;
use crate::source::rows::{Fault, Form, repair};
use crate::transform::clean::{clean_key, fits_kind};
use crate::values::number::Spelling;
use entity::Kind;

impl CsvRows<'_> {
    pub(super) fn form(&self, text: &str, shape: Repair, is_spaced: bool) -> Result<Form, Fault> {
        let width = self.layout.columns.len();
        match shape {
            Repair::Fits if self.cells.len() == width && !is_spaced => Ok(Form::Fits),
            Repair::Fits => {
                let cells = self.cells.len().min(self.layout.named());
                Ok(Form::Rewritten {
                    bytes: self.rewrite(text, &vec![1; cells]),
                    is_repaired: false,
                })
            }
            Repair::Shifted(widths) => {
                Ok(Form::Rewritten { bytes: self.rewrite(text, &widths), is_repaired: true })
            }
            Repair::Ambiguous(candidates) => {
                let readings: Vec<String> =
                    candidates.iter().map(|widths| self.reading(text, widths)).collect();
                Err(Fault::row(&format!(
                    "{}, and there is more than one way to undo that: {}; quote the text",
                    self.count_fault(),
                    readings.join(" or ")
                )))
            }
            Repair::Impossible if self.cells.len() < self.layout.named() => {
                let misfit = self.cells.iter().zip(&self.layout.columns).enumerate().find(
                    |&(index, (&cell, _))| {
                        let cell_text = self.dialect.unquoted(&text[cell.start..cell.end], cell);
                        !self.conforms(&cell_text, index)
                    },
                );
                let why = misfit.map_or_else(
                    || "the key is not among them".to_owned(),
                    |(_, (_, column))| format!("what stands in {} does not fit it", column.name),
                );
                Err(Fault::row(&format!("{}, and {why}: write every cell", self.count_fault())))
            }
            Repair::Impossible if self.dialect.is_typed() => Err(Fault::row(&format!(
                "{}: give the further cells a name in the header, or empty them",
                self.count_fault()
            ))),
            Repair::Impossible => Err(Fault::row(&format!(
                "{}: quote text that holds the delimiter",
                self.count_fault()
            ))),
        }
    }

    /// A repair whose put-together cells are what their columns hold: an amount that its column
    /// cannot read is none, and a cell in quotes is no part of a text without.
    pub(super) fn believed(&self, text: &str, shape: Repair) -> Repair {
        let Repair::Shifted(widths) = &shape else { return shape };
        let mut first = 0;
        for (index, (column, &width)) in self.layout.columns.iter().zip(widths).enumerate() {
            let cells = &self.cells[first..first + width];
            first += width;
            if width == 1 {
                continue;
            }
            let span = &text[cells[0].start..cells[width - 1].end];
            let is_read = column.swallows
                || column.meaning(span).is_some_and(|meaning| self.fits(index, meaning));
            if !is_read || cells.iter().any(|cell| cell.is_quoted) {
                return Repair::Impossible;
            }
        }
        shape
    }

    /// Whether a cell could stand in a column: it means "no value", or fits the column's type and
    /// form.
    fn conforms(&self, cell: &str, index: usize) -> bool {
        // A column that may be widened accepts values of any type. Its current kind still helps to
        // tell cells apart.
        let column = &self.layout.columns[index];
        let has_form = || column.form().is_none_or(|form| form.is_match(cell.trim()));
        column.meaning(cell).is_none_or(|meaning| self.fits(index, meaning) && has_form())
    }

    /// Whether the meaning of a cell fits a column of the file.
    fn fits(&self, index: usize, meaning: &str) -> bool {
        let column = &self.layout.columns[index];
        self.asked.borrow_mut().note(index, column, meaning);
        fits_kind(meaning, column)
    }

    pub(super) fn count_fault(&self) -> String {
        format!(
            "the row has {} cells where the header has {}",
            self.cells.len(),
            self.layout.named()
        )
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
        if texts.is_empty() { "the row as it stands".to_owned() } else { texts.join(", ") }
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
                bytes.extend(self.dialect.quoted(span).bytes());
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

/// The current row as the repair sees it.
pub(super) struct TextRow<'a, 'b> {
    pub(super) text: &'a str,
    pub(super) rows: &'a CsvRows<'b>,
}

impl repair::Row for TextRow<'_, '_> {
    fn columns(&self) -> usize {
        self.rows.layout.named()
    }

    fn cells(&self) -> usize {
        self.rows.cells.len()
    }

    fn has_usual_count(&self) -> bool {
        self.rows.has_usual_count(self.text.as_bytes())
    }

    fn is_required(&self, column: usize) -> bool {
        let layout = self.rows.layout;
        let mut fed = layout.all().enumerate().filter(|&(index, _)| layout.source(index) == column);
        self.rows.key.iter().any(|key| key.source == column)
            || fed.any(|(_, column)| column.is_required())
    }

    fn is_cut_amount(&self, column: usize, cell: usize, width: usize) -> bool {
        let column = &self.rows.layout.columns[column];
        let span = || self.rows.span(self.text, cell, width);
        matches!(column.kind, Some(Kind::Integer | Kind::Decimal | Kind::Double | Kind::Total))
            && repair::is_cut_amount(span(), self.rows.dialect.delimiter)
            && column.form().is_none_or(|form| form.is_match(span().trim()))
    }

    fn is_empty(&self, cell: usize) -> bool {
        let cell = self.rows.cells[cell];
        self.rows.dialect.unquoted(&self.text[cell.start..cell.end], cell).trim().is_empty()
    }

    fn swallows(&self, column: usize) -> bool {
        self.rows.layout.columns[column].swallows
    }

    fn has_form(&self, column: usize, cell: usize, width: usize) -> bool {
        let form = self.rows.layout.columns[column].form();
        form.is_none_or(|form| form.is_match(self.rows.span(self.text, cell, width).trim()))
    }

    fn may_swallow(&self, column: usize) -> bool {
        let column = &self.rows.layout.columns[column];
        matches!(column.role, Role::Column(_))
            && !column.rules.is_declared
            && matches!(column.kind, None | Some(Kind::Text | Kind::Identifier))
    }

    fn may_be_amount(&self, cell: usize, width: usize) -> bool {
        let span = self.rows.span(self.text, cell, width);
        repair::is_cut_amount(span, self.rows.dialect.delimiter)
    }

    fn is_clear_amount(&self, cell: usize, width: usize) -> bool {
        let span = self.rows.span(self.text, cell, width);
        repair::is_clear_amount(span, self.rows.dialect.delimiter)
    }

    fn conforms(&self, column: usize, cell: usize) -> bool {
        let cell = self.rows.cells[cell];
        let text = self.rows.dialect.unquoted(&self.text[cell.start..cell.end], cell);
        let own = &self.rows.layout.columns[column];
        match own.role {
            Role::Key(_) => matches!(clean_key(&text, own), Some(Ok(_))),
            _ => self.rows.conforms(&text, column),
        }
    }

    fn may_stand(&self, column: usize, cell: usize) -> bool {
        if self.conforms(column, cell) {
            return true;
        }
        let cell = self.rows.cells[cell];
        let text = self.rows.dialect.unquoted(&self.text[cell.start..cell.end], cell);
        let column = &self.rows.layout.columns[column];
        let is_number = || {
            Spelling::of(&text, &column.rules).is_some_and(|number| number.is_number_of_either())
        };
        match column.role {
            Role::Key(_) => false,
            _ => !column.rules.is_declared || (column.holds_numbers() && is_number()),
        }
    }
}
