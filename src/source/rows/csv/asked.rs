//! Asked: what a look asks of the cells of rows that do not fit by their count, while the signs
//! before decimals are not known. If every answer is the same once they are, the look was right
//! about those rows, and need not be repeated.

use crate::feed::layout::{Layout, LayoutColumn};
use crate::transform::clean::fits_kind;
use crate::values::number::Decimals;
use std::collections::{BTreeMap, HashSet};

/// Spellings that are kept; a look with more is repeated.
const SPELLINGS_MAX: usize = 10_000;

/// Digits of a number that fits whatever they are.
const DIGITS_MAX: usize = 14;

/// Spellings of numbers, by column of the file.
#[derive(Debug, Default)]
pub(in crate::source) struct Asked {
    spellings: BTreeMap<usize, HashSet<String>>,
    kept: usize,
    /// Whether some were not kept.
    has_others: bool,
}

impl Asked {
    /// Notes that it was asked whether the meaning of a cell fits a column.
    pub(super) fn note(&mut self, index: usize, column: &LayoutColumn, meaning: &str) {
        let is_open = column.holds_numbers() && column.rules.decimals == Decimals::Either;
        if !is_open || self.has_others || !meaning.contains(['.', ',']) {
            return;
        }
        let digits = meaning.bytes().filter(u8::is_ascii_digit).count();
        let spelling = spelling(meaning);
        let own = self.spellings.entry(index).or_default();
        if digits > DIGITS_MAX {
            self.has_others = true;
        } else if !own.contains(&spelling) {
            self.has_others = self.kept == SPELLINGS_MAX;
            self.kept += 1;
            own.insert(spelling);
        }
    }

    /// Whether an answer is another one now that the layout says how numbers are read.
    pub fn differs_in(&self, layout: &Layout) -> bool {
        self.has_others
            || self.spellings.iter().any(|(&index, spellings)| {
                let column = &layout.columns[index];
                let mut open = column.clone();
                open.rules.decimals = Decimals::Either;
                spellings.iter().any(|text| fits_kind(text, column) != fits_kind(text, &open))
            })
    }
}

/// A number as it is written: which digits stand in it does not matter, except that no group of
/// thousands begins with zero.
fn spelling(meaning: &str) -> String {
    meaning.chars().map(|c| if c.is_ascii_digit() && c != '0' { '9' } else { c }).collect()
}
