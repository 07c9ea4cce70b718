//! Fits: counts the values of a file that fit the columns with declared kinds.
//!
//! A file most of whose values in a column do not fit is another export, not dirt. That is to be
//! known before its first commit, so each value is looked at in the survey too: nearly all show by
//! their signs that they fit.

use crate::feed::dataset::OnTypeChange;
use crate::feed::layout::{Layout, LayoutColumn, Role};
use crate::transform::clean::{fits_kind, is_of_other_currency};
use entity::Kind;

/// Number of misfits that a refusal names: enough to see what the column has instead.
const FIRST_MISFITS_MAX: usize = 3;

/// Fewer misfits are dirt, whatever their share.
const MISFITS_MIN: u64 = 20;

/// Misfits in fewer than one row of this many are dirt in a column that is mostly empty.
const ROWS_PER_MISFIT_MAX: u64 = 100;

/// What was counted of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// By column.
    pub columns: Vec<ColumnFits>,
    /// The column of the file that says which currency the amounts of a row are in.
    pub symbol: Option<usize>,
}

/// What was counted of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFits {
    /// One of the layout's columns, copies included.
    pub index: usize,
    kind: Kind,
    /// Whether the characters of a cell show that it fits, and no declaration changes its meaning.
    is_by_signs: bool,
    /// Values that are not NULL.
    pub values: u64,
    /// Those of them that do not fit.
    pub misfits: u64,
    /// Whether one of those is in a currency that cannot be believed.
    pub is_of_currency: bool,
    /// The first of those: row, text.
    pub first: Vec<(u64, String)>,
}

impl Fits {
    /// The columns of a layout whose values are rescued if they do not fit.
    pub fn of(layout: &Layout) -> Self {
        let columns = layout.all().enumerate();
        let columns = columns.filter_map(|(index, column)| ColumnFits::of(index, column));
        Self { columns: columns.collect(), symbol: layout.currency_symbol() }
    }

    /// The first column in which more than this percentage of the values does not fit.
    pub fn worst(&self, percent_max: f64, rows_read: u64) -> Option<&ColumnFits> {
        self.columns.iter().find(|column| {
            column.misfits >= MISFITS_MIN
                && column.misfits * ROWS_PER_MISFIT_MAX >= rows_read
                && column.percent() > percent_max
        })
    }
}

impl ColumnFits {
    /// Of a column whose values are rescued where they do not fit.
    pub fn of(index: usize, column: &LayoutColumn) -> Option<Self> {
        let is_rescuing = column.on_type_change == Some(OnTypeChange::Rescue);
        let kind = column.kind.filter(|&kind| kind != Kind::Text && is_rescuing)?;
        let Role::Column(_) = column.role else { return None };
        let is_by_signs = column.is_plain() && !column.has_two_currencies;
        let (values, misfits, is_of_currency) = (0, 0, false);
        Some(Self { index, kind, is_by_signs, values, misfits, is_of_currency, first: Vec::new() })
    }

    /// Share of its values that do not fit.
    pub fn percent(&self) -> f64 {
        100.0 * self.misfits as f64 / self.values.max(1) as f64
    }

    /// Takes a cell into account, with the currency that its row says, or `""`.
    pub fn observe(&mut self, cell: &str, symbol: &str, row: u64, column: &LayoutColumn) {
        if self.is_by_signs && is_plain(self.kind, cell.as_bytes()) {
            self.values += 1;
        } else if let Some(meaning) = column.meaning(cell) {
            self.values += 1;
            let is_foreign = column.has_two_currencies
                || !symbol.is_empty() && is_of_other_currency(cell, symbol, column);
            if is_foreign || !fits_kind(meaning, column) {
                self.misfits += 1;
                self.is_of_currency |= is_foreign;
                if self.first.len() < FIRST_MISFITS_MAX {
                    self.first.push((row, cell.to_owned()));
                }
            }
        }
    }
}

/// Whether a cell fits by its signs alone, as most do.
fn is_plain(kind: Kind, cell: &[u8]) -> bool {
    const SHORT_NUMBER_BYTES_MAX: usize = 10;
    const SHORT_IDENTIFIER_BYTES_MAX: usize = 64;
    match kind {
        Kind::Integer | Kind::Decimal | Kind::Double => {
            !cell.is_empty()
                && cell.len() <= SHORT_NUMBER_BYTES_MAX
                && cell.iter().all(u8::is_ascii_digit)
        }
        Kind::Time => {
            matches!(cell, [b'1' | b'2', _, _, _, b'-', _, _, b'-', _, _, b'T' | b' ', .., b'Z'])
        }
        Kind::Identifier => {
            (3..=SHORT_IDENTIFIER_BYTES_MAX).contains(&cell.len())
                && cell[0].is_ascii_alphanumeric()
                && !matches!(cell[1], b'.' | b',' | b'e' | b'E' | b'/')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_refused_for_many_misfits_and_not_for_dirt() {
        let column = |values, misfits| ColumnFits {
            index: 0,
            kind: Kind::Decimal,
            is_by_signs: true,
            values,
            misfits,
            is_of_currency: false,
            first: Vec::new(),
        };
        let is_refused = |values, misfits, rows| {
            let fits = Fits { columns: vec![column(values, misfits)], symbol: None };
            fits.worst(50.0, rows).is_some()
        };
        assert!(is_refused(40, 21, 100));
        assert!(!is_refused(40, 20, 100), "half of them is not more than half");
        assert!(!is_refused(19, 19, 100), "fewer than 20");
        assert!(!is_refused(20, 20, 2001), "fewer than one row of a hundred");
        assert!(is_refused(20, 20, 2000));
    }
}
