//! Fits: counts the values of a file that fit the columns with declared kinds.
//!
//! A file most of whose values in a column do not fit is another export, not dirt. That is to be
//! known before its first commit, so each value is looked at in the survey too: nearly all show by
//! their signs that they fit.

use crate::feed::dataset::OnTypeChange;
use crate::feed::layout::{Layout, LayoutColumn, Role};
use crate::transform::clean::{fits_kind, is_of_other_currency};
use crate::values::number::Decimals;
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
    /// What the sign before decimals decides, if it is not known yet; else `None`.
    signs: Option<Signs>,
    /// Whether one of those is in a currency that cannot be believed.
    pub is_of_currency: bool,
    /// The first of those: row, text.
    pub first: Vec<(u64, String)>,
}

/// Values of a column that may fit by one sign and not by another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signs {
    /// Those with a point before decimals, and nothing else than digits.
    points: u64,
    /// The same with a comma.
    commas: u64,
    /// All others that are more than digits.
    others: u64,
}

impl Signs {
    fn observe(&mut self, kind: Kind, cell: &str) {
        if is_plain(kind, cell.as_bytes()) {
            return;
        }
        match lone_sign(cell).filter(|_| kind != Kind::Integer) {
            Some(b'.') => self.points += 1,
            Some(_) => self.commas += 1,
            None => self.others += 1,
        }
    }

    /// How many of them may not fit.
    const fn misfits_max(self, decimals: Decimals) -> u64 {
        match decimals {
            Decimals::Point | Decimals::PointOnly => self.commas + self.others,
            Decimals::Comma => self.points + self.others,
            _ => self.points + self.commas + self.others,
        }
    }
}

/// The only sign among the digits of a number of usual size.
fn lone_sign(cell: &str) -> Option<u8> {
    const WHOLE_DIGITS_MAX: usize = 9;
    const DECIMALS_MAX: usize = 4;
    let cell = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, decimals) = cell.split_once(['.', ','])?;
    let is_digits = |text: &str, max: usize| {
        (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    (is_digits(whole, WHOLE_DIGITS_MAX) && is_digits(decimals, DECIMALS_MAX))
        .then(|| cell.as_bytes()[whole.len()])
}

impl Fits {
    /// Whether there may be enough misfits of a column for a refusal, once it is read so.
    pub fn may_have_many(&self, index: usize, decimals: Decimals) -> bool {
        let column = self.columns.iter().find(|column| column.index == index);
        column.is_none_or(|column| {
            let by_sign = column.signs.map_or(0, |signs| signs.misfits_max(decimals));
            column.misfits + by_sign >= MISFITS_MIN
        })
    }

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
        let is_open = column.holds_numbers() && column.rules.decimals == Decimals::Either;
        Some(Self {
            index,
            kind,
            is_by_signs,
            values: 0,
            misfits: 0,
            signs: is_open.then(Signs::default),
            is_of_currency: false,
            first: Vec::new(),
        })
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
            if let Some(signs) = &mut self.signs {
                signs.observe(self.kind, meaning);
            }
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
    fn a_number_with_one_sign_fits_by_it() {
        for (cell, sign) in [
            ("3.42", Some(b'.')),
            ("-3,4", Some(b',')),
            ("1,234", Some(b',')),
            ("1,234.5", None),
            ("KSh 3.42", None),
            ("3.", None),
            (".5", None),
            ("3.14159", None),
            ("34", None),
        ] {
            assert_eq!(lone_sign(cell), sign, "{cell}");
        }
        let mut signs = Signs::default();
        for cell in ["3.42", "3.5", "1,2", "x"] {
            signs.observe(Kind::Decimal, cell);
        }
        assert_eq!(signs.misfits_max(Decimals::Point), 2);
        assert_eq!(signs.misfits_max(Decimals::Comma), 3);
        assert_eq!(signs.misfits_max(Decimals::Open), 4);
        signs.observe(Kind::Integer, "3.0");
        assert_eq!(signs.misfits_max(Decimals::Point), 3);
    }

    #[test]
    fn a_column_is_refused_for_many_misfits_and_not_for_dirt() {
        let column = |values, misfits| ColumnFits {
            index: 0,
            kind: Kind::Decimal,
            is_by_signs: true,
            values,
            misfits,
            signs: None,
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
