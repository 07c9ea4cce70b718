//! JsonFits: how many values of JSON objects fit the columns whose kinds a declaration says, while
//! objects may still bring new columns.

use crate::feed::layout::Layout;
use crate::source::rows::fits::{ColumnFits, Fits};
use crate::source::rows::json_values::{Member, cell_text, is_null, text_for};

/// What was counted so far.
#[derive(Debug, Default)]
pub struct JsonFits {
    columns: Vec<Option<ColumnFits>>,
    /// The same of the layout's copies, which stand behind columns that are still to come.
    copies: Vec<Option<ColumnFits>>,
    /// The column that says which currency the amounts of an object are in.
    symbol: Option<usize>,
}

impl JsonFits {
    /// Of the columns that a layout has so far.
    pub fn of(layout: &Layout) -> Self {
        let mut fits = Self::default();
        fits.extend(layout);
        fits
    }

    /// Adds the columns that came since.
    pub fn extend(&mut self, layout: &Layout) {
        let columns = layout.columns.iter().enumerate().skip(self.columns.len());
        self.columns.extend(columns.map(|(index, column)| ColumnFits::of(index, column)));
        let copies = layout.copies.iter().enumerate().skip(self.copies.len());
        self.copies.extend(copies.map(|(copy, own)| ColumnFits::of(copy, &own.column)));
        self.symbol = layout.currency_symbol();
    }

    /// Takes an object that can be loaded into account: its members, and the column of each.
    pub fn observe(
        &mut self,
        members: &[Member<'_>],
        columns: &[Option<usize>],
        row: u64,
        layout: &Layout,
    ) {
        let symbol = self.symbol.and_then(|own| columns.iter().position(|it| *it == Some(own)));
        let symbol = symbol.and_then(|place| cell_text(&members[place].1)).unwrap_or_default();
        for ((_, value), index) in members.iter().zip(columns) {
            let Some(index) = index.filter(|_| !is_null(value)) else { continue };
            let copies = layout.copies.iter().zip(&mut self.copies);
            let copies = copies.filter(|(copy, _)| copy.source == index);
            let copies = copies.map(|(copy, fits)| (&copy.column, fits));
            let own = (&layout.columns[index], &mut self.columns[index]);
            for (column, fits) in std::iter::once(own).chain(copies) {
                let Some(fits) = fits else { continue };
                let (Some(text), Some(written)) = (text_for(value, column), cell_text(value))
                else {
                    continue;
                };
                let named = fits.first.len();
                fits.observe(&text, &symbol, row, column);
                // A refusal names what stands in the file.
                if let Some((_, first)) = fits.first.get_mut(named) {
                    *first = written.into_owned();
                }
            }
        }
    }

    /// What was counted of all objects.
    pub fn finish(self) -> Fits {
        let first_copy = self.columns.len();
        let copies = self.copies.into_iter().flatten();
        let copies = copies.map(|mut fits| {
            fits.index += first_copy;
            fits
        });
        let columns = self.columns.into_iter().flatten().chain(copies).collect();
        Fits { columns, symbol: self.symbol }
    }
}
