//! Repair: puts a row back whose cells were shifted by unquoted delimiters in a text column.
//!
//! A text column may have swallowed some of them, and an amount in a number column may have been
//! cut (`1,100.00`). Of all ways to undo that, the ones with the fewest swallowed delimiters count,
//! and only if typed columns leave exactly one.

use memchr::memchr_iter;
use std::borrow::Cow;

/// Maximum number of swallowed delimiters in a row; with more, the row is damaged. Every number up
/// to it is a bit of [`Search::dead`].
const SWALLOWED_MAX: usize = 64;

/// Candidates that an ambiguous row is reported with.
const CANDIDATES_MAX: usize = 2;

/// What the cells of a row are to its columns.
#[derive(Debug, PartialEq, Eq)]
pub enum Repair {
    /// The row fits as it stands.
    Fits,
    /// Cells that belong to each column, in order.
    Shifted(Vec<usize>),
    /// More than one way: the first ones.
    Ambiguous(Vec<Vec<usize>>),
    /// No way.
    Impossible,
}

/// What the search asks about columns and cells.
pub trait Row {
    /// Number of columns that cells must be found for.
    fn columns(&self) -> usize;
    /// Number of cells.
    fn cells(&self) -> usize;
    /// Whether a cell is empty.
    fn is_empty(&self, cell: usize) -> bool;
    /// Whether the column may have swallowed delimiters, as somebody says.
    fn swallows(&self, column: usize) -> bool;
    /// Whether so many cells from `cell` on, put together, have the form of the column's values.
    fn has_form(&self, column: usize, cell: usize, width: usize) -> bool;
    /// Whether it may although nobody says so: it holds text, and nobody said anything of it.
    fn may_swallow(&self, column: usize) -> bool;
    /// Whether one cell could stand in the column.
    fn conforms(&self, column: usize, cell: usize) -> bool;
    /// Whether one cell could stand in the column if nothing is taken for granted: other rows have
    /// only suggested what an undeclared column holds, and how its numbers are read.
    fn may_stand(&self, column: usize, cell: usize) -> bool;
    /// Whether the row has the usual number of cells of the file, and nothing after the last
    /// column.
    fn has_usual_count(&self) -> bool;
    /// Whether a row cannot do without the column.
    fn is_required(&self, column: usize) -> bool;
    /// Whether the column holds numbers, and so many cells from `cell` on are one that delimiters
    /// cut.
    fn is_cut_amount(&self, column: usize, cell: usize, width: usize) -> bool;
    /// Whether so many cells from `cell` on may be an amount that delimiters cut, whatever its
    /// column holds.
    fn may_be_amount(&self, cell: usize, width: usize) -> bool;
    /// Whether they can be nothing else: `₦ 1,100.00` is one, `12,5` may be two numbers.
    fn is_clear_amount(&self, cell: usize, width: usize) -> bool;
}

/// Columns that may have swallowed delimiters, in a search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Swallowing {
    /// None: amounts were cut, also in columns that cut amounts made text.
    Amounts,
    /// Those of which somebody says so.
    Named,
    /// Those of which nobody says anything, too.
    Any,
}

/// Finds out how the cells of a row fit its columns.
pub fn repair(row: &impl Row) -> Repair {
    if row.has_usual_count() {
        return Repair::Fits;
    }
    let (columns, cells) = (row.columns(), row.cells());
    if cells <= columns {
        let is_whole = (0..cells).all(|cell| row.conforms(cell, cell))
            && !(cells..columns).any(|column| row.is_required(column));
        return if is_whole { Repair::Fits } else { Repair::Impossible };
    }
    let surplus = cells - columns;
    // Cells after the last column must be padding after the repair, so empty.
    let filled = (0..cells).rev().find(|&cell| !row.is_empty(cell)).map_or(0, |last| last + 1);
    let fewest = filled.saturating_sub(columns);
    for swallowed in fewest..=surplus.min(SWALLOWED_MAX) {
        let mut found = ways(row, swallowed, Swallowing::Named);
        if found.len() == 1 && (swallowed == 0 || has_doubtful_amount(row, &found[0])) {
            // `1,034.00` for 1034 also reads as 1 and a text; padding hides that there is a cell
            // too many.
            let cut = (swallowed + 1..=surplus.min(SWALLOWED_MAX))
                .find_map(|swallowed| ways(row, swallowed, Swallowing::Amounts).pop());
            match cut {
                None if swallowed == 0 => return Repair::Fits,
                None => {}
                Some(cut) => found.push(cut),
            }
        }
        match found.len() {
            0 => {}
            // `red, 5,3` may be a text and a number as well as a word and half of an amount.
            1 if has_doubtful_amount(row, &found[0]) => {
                return match ways(row, swallowed, Swallowing::Any) {
                    found if found.len() > 1 => Repair::Ambiguous(found),
                    _ => Repair::Shifted(found.remove(0)),
                };
            }
            1 => return Repair::Shifted(found.remove(0)),
            _ => return Repair::Ambiguous(found),
        }
    }
    Repair::Impossible
}

/// The ways in which columns swallowed so many delimiters, at most [`CANDIDATES_MAX`].
fn ways(row: &impl Row, swallowed: usize, swallowing: Swallowing) -> Vec<Vec<usize>> {
    let widths = Vec::with_capacity(row.columns());
    let mut search =
        Search { row, swallowing, widths, found: Vec::new(), dead: vec![0; row.columns()] };
    search.extend(0, swallowed);
    search.found
}

/// Whether a way puts an amount together of cells that could be two.
fn has_doubtful_amount(row: &impl Row, widths: &[usize]) -> bool {
    let mut first = 0;
    widths.iter().enumerate().any(|(column, &width)| {
        let cell = first;
        first += width;
        width > 1 && !row.swallows(column) && !row.is_clear_amount(cell, width)
    })
}

/// Whether a text reads as one amount that has the delimiter as a sign between its digits: groups
/// of thousands (`1,100.00`) or decimals (`12,5`, `1.250,50`). What it stands for is for the column
/// to say.
pub fn is_cut_amount(text: &str, delimiter: u8) -> bool {
    if delimiter != b',' && delimiter != b'.' {
        return false;
    }
    // Most texts are none, and this is asked of every way in which cells may belong together.
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if memchr_iter(delimiter, bytes).any(|at| at == 0 || !is_digit(at - 1) || !is_digit(at + 1)) {
        return false;
    }
    let (delimiter, other) = (char::from(delimiter), if delimiter == b',' { '.' } else { ',' });
    let text = &without_other_groups(text);
    // A currency, a sign or parentheses may stand around the digits.
    let is_beside = |c: char| !c.is_ascii_digit() && c != '"' && c != delimiter && c != other;
    let text = text
        .trim()
        .trim_start_matches(|c: char| is_beside(c) || c == '.')
        .trim_end_matches(|c: char| is_beside(c) || c == '.');
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_group = |text: &str| text.len() == 3 && is_digits(text);
    let begins = |text: &str| text.len() <= 3 && is_digits(text);
    let mut pieces: Vec<&str> = text.split(delimiter).collect();
    let Some(last) = pieces.pop().filter(|_| !pieces.is_empty()) else { return false };
    if pieces.len() == 1 && is_digits(last) {
        let mut groups = pieces[0].split(other);
        let first = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        if is_digits(first)
            && (rest.is_empty() || (begins(first) && rest.into_iter().all(is_group)))
        {
            return true;
        }
    }
    let (whole, decimals) = last.split_once(other).unwrap_or((last, "0"));
    begins(pieces[0])
        && pieces[1..].iter().all(|piece| is_group(piece))
        && is_group(whole)
        && is_digits(decimals)
}

/// Whether such an amount can be nothing else: a currency before its groups, and decimals behind
/// them.
pub fn is_clear_amount(text: &str, delimiter: u8) -> bool {
    let other = if delimiter == b',' { '.' } else { ',' };
    let begins_with_currency = !text.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let decimals = text.rfind(char::from(delimiter)).and_then(|last| text[last..].find(other));
    begins_with_currency && decimals.is_some()
}

/// A text without what else stands between groups of thousands.
fn without_other_groups(text: &str) -> Cow<'_, str> {
    let is_group_sign =
        |c: char| matches!(c, ' ' | '\'' | '’' | '\u{a0}' | '\u{2009}' | '\u{202f}');
    if !text.trim().contains(is_group_sign) {
        return Cow::Borrowed(text);
    }
    let chars: Vec<char> = text.chars().collect();
    let is_among_digits = |at: usize| {
        let is_digit =
            |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
        is_digit(at.checked_sub(1)) && is_digit(Some(at + 1))
    };
    let kept = chars.iter().enumerate();
    let kept = kept.filter(|&(at, &c)| !(is_group_sign(c) && is_among_digits(at)));
    Cow::Owned(kept.map(|(_, c)| c).collect())
}

struct Search<'a, R> {
    row: &'a R,
    swallowing: Swallowing,
    widths: Vec<usize>,
    found: Vec<Vec<usize>>,
    /// For each column, the numbers of delimiters left to swallow with which no way leads on from
    /// there, as bits: without it, hostile rows would be searched for minutes.
    dead: Vec<u128>,
}

impl<R: Row> Search<'_, R> {
    /// Gives cells from `cell` on to the columns that have none yet.
    fn extend(&mut self, cell: usize, swallowed: usize) {
        let column = self.widths.len();
        if column == self.row.columns() {
            if swallowed == 0 {
                self.found.push(self.widths.clone());
            }
            return;
        }
        if self.dead[column] >> swallowed & 1 == 1 {
            return;
        }
        let found_before = self.found.len();
        let swallows = match self.swallowing {
            Swallowing::Amounts => false,
            Swallowing::Named => self.row.swallows(column),
            Swallowing::Any => self.row.swallows(column) || self.row.may_swallow(column),
        };
        for extra in 0..=swallowed {
            if self.found.len() == CANDIDATES_MAX {
                return;
            }
            // Several cells make a text with delimiters in it, or an amount.
            let is_possible = match extra {
                0 if self.swallowing == Swallowing::Named => self.row.conforms(column, cell),
                0 => self.row.may_stand(column, cell),
                _ => {
                    (swallows && self.row.has_form(column, cell, 1 + extra))
                        || self.row.is_cut_amount(column, cell, 1 + extra)
                        || (self.swallowing == Swallowing::Amounts
                            && self.row.may_swallow(column)
                            && self.row.may_be_amount(cell, 1 + extra))
                }
            };
            if !is_possible {
                continue;
            }
            self.widths.push(1 + extra);
            self.extend(cell + 1 + extra, swallowed - extra);
            self.widths.pop();
        }
        if self.found.len() == found_before {
            self.dead[column] |= 1 << swallowed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns: digits, text that swallows, digits, digits, text that swallows, status, free text,
    /// an amount.
    struct Line<'a>(Vec<&'a str>);

    impl Row for Line<'_> {
        fn columns(&self) -> usize {
            8
        }
        fn cells(&self) -> usize {
            self.0.len()
        }
        fn is_empty(&self, cell: usize) -> bool {
            self.0[cell].is_empty()
        }
        fn swallows(&self, column: usize) -> bool {
            column == 1 || column == 4
        }
        fn has_form(&self, _: usize, _: usize, _: usize) -> bool {
            true
        }
        fn may_swallow(&self, _: usize) -> bool {
            false
        }
        fn conforms(&self, column: usize, cell: usize) -> bool {
            let text = self.0[cell];
            match column {
                0 => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
                2 | 3 => text.bytes().all(|byte| byte.is_ascii_digit()),
                5 => matches!(text, "Done" | "Failed" | ""),
                7 => text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'),
                _ => true,
            }
        }
        fn may_stand(&self, column: usize, cell: usize) -> bool {
            self.conforms(column, cell)
        }
        fn has_usual_count(&self) -> bool {
            self.0.len() == 8
        }
        fn is_required(&self, column: usize) -> bool {
            column == 0
        }
        fn is_cut_amount(&self, column: usize, cell: usize, width: usize) -> bool {
            column == 7 && is_cut_amount(&self.0[cell..cell + width].join(","), b',')
        }
        fn may_be_amount(&self, cell: usize, width: usize) -> bool {
            is_cut_amount(&self.0[cell..cell + width].join(","), b',')
        }
        fn is_clear_amount(&self, cell: usize, width: usize) -> bool {
            is_clear_amount(&self.0[cell..cell + width].join(","), b',')
        }
    }

    fn repaired(line: &str) -> Repair {
        repair(&Line(line.split(',').collect()))
    }

    #[test]
    fn rows_that_fit_are_left_alone() {
        for line in [
            "1,leave it,2,3,x,Done,y,5",
            "1,leave it,2,3,x,Done,y,5,,",
            "1,leave it,not a number,3,x,Done,y,5",
            "1,leave it,2,3,x,Done",
            "1,leave it",
        ] {
            assert_eq!(repaired(line), Repair::Fits, "{line}");
        }
    }

    #[test]
    fn one_to_four_commas_are_put_back() {
        for (line, widths) in [
            ("1,by 12,30pm,2,3,x,Done,y,5", [1, 2, 1, 1, 1, 1, 1, 1]),
            ("1,by 12,30pm,2,3,x,Done,y,5,", [1, 2, 1, 1, 1, 1, 1, 1]),
            ("1,a,b,c,2,3,a,b,c,Done,y,5", [1, 3, 1, 1, 3, 1, 1, 1]),
            ("1,x,2,3,a,b,c,d,e,Done,y,5", [1, 1, 1, 1, 5, 1, 1, 1]),
            ("1,by 12,30pm,2,3,x,Done,,", [1, 2, 1, 1, 1, 1, 1, 1]),
        ] {
            assert_eq!(repaired(line), Repair::Shifted(widths.into()), "{line}");
        }
    }

    #[test]
    fn an_amount_that_was_cut_is_one_of_the_ways() {
        for line in
            ["1,x,2,3,x,Done,y,1,100.00", "1,x,2,3,x,Done,y,12,5", "1,x,2,3,x,Done,y,12,426"]
        {
            assert_eq!(repaired(line), Repair::Shifted(vec![1, 1, 1, 1, 1, 1, 1, 2]), "{line}");
        }
        assert_eq!(repaired("1,x,2,3,x,Done,y,1,abc"), Repair::Impossible);
        let put_back = Repair::Shifted(vec![1, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(repaired("1,x,2,3,x,Done,y,1,100.00,"), put_back);
    }

    #[test]
    fn what_fits_beside_its_padding_and_as_an_amount_is_not_guessed() {
        struct Short<'a>(Vec<&'a str>);
        impl Row for Short<'_> {
            fn columns(&self) -> usize {
                3
            }
            fn cells(&self) -> usize {
                self.0.len()
            }
            fn is_empty(&self, cell: usize) -> bool {
                self.0[cell].is_empty()
            }
            fn swallows(&self, _: usize) -> bool {
                false
            }
            fn has_form(&self, _: usize, _: usize, _: usize) -> bool {
                true
            }
            fn may_swallow(&self, column: usize) -> bool {
                column == 2
            }
            fn conforms(&self, column: usize, cell: usize) -> bool {
                column != 1 || self.0[cell].bytes().all(|byte| byte.is_ascii_digit())
            }
            fn may_stand(&self, column: usize, cell: usize) -> bool {
                self.conforms(column, cell)
            }
            fn has_usual_count(&self) -> bool {
                false
            }
            fn is_required(&self, column: usize) -> bool {
                column == 0
            }
            fn is_cut_amount(&self, column: usize, cell: usize, width: usize) -> bool {
                column == 1 && is_cut_amount(&self.0[cell..cell + width].join(","), b',')
            }
            fn may_be_amount(&self, cell: usize, width: usize) -> bool {
                is_cut_amount(&self.0[cell..cell + width].join(","), b',')
            }
            fn is_clear_amount(&self, cell: usize, width: usize) -> bool {
                is_clear_amount(&self.0[cell..cell + width].join(","), b',')
            }
        }
        let repaired = |line: &str| repair(&Short(line.split(',').collect()));
        assert_eq!(repaired("a,1,034.00,"), Repair::Ambiguous(vec![vec![1, 1, 1], vec![1, 2, 1]]));
        assert_eq!(repaired("a,1,b,"), Repair::Fits);
        assert_eq!(repaired("a,x,b,"), Repair::Impossible);
        assert_eq!(repaired("a,5"), Repair::Fits);
        assert_eq!(repaired("a,x"), Repair::Impossible);
        // The text behind a number may have had the comma.
        assert_eq!(repaired("a,₦ 1,034.00,b"), Repair::Shifted(vec![1, 2, 1]));
        assert_eq!(repaired("a,12,5,b"), Repair::Ambiguous(vec![vec![1, 1, 2], vec![1, 2, 1]]));
    }

    #[test]
    fn two_ways_or_none_are_not_guessed() {
        let two = vec![vec![1, 1, 1, 1, 2, 1, 1, 1], vec![1, 2, 1, 1, 1, 1, 1, 1]];
        assert_eq!(repaired("1,call 0800,123,2,4,x,Open,y,5"), Repair::Impossible);
        assert_eq!(repaired("1,call,5,2,3,x,Done,y,5"), Repair::Ambiguous(two));
        assert_eq!(repaired("1,x,2,3,x,Done,y,5,z"), Repair::Impossible);
        assert_eq!(repaired("1,x,far"), Repair::Impossible);
        assert_eq!(repaired(",x"), Repair::Impossible);
    }

    #[test]
    fn an_amount_that_delimiters_cut_is_told_from_others() {
        for text in [
            "1,100.00",
            "12,5",
            "12,426",
            "KSh 1,100",
            "-7,50",
            "1,234,567",
            "1.250,50",
            "₦ 1,100.00",
            "(1,250)",
            "5,00 KSh",
            "825,76 Rs.",
            "736 250,659",
            "5’234’499,94",
        ] {
            assert!(is_cut_amount(text, b','), "{text}");
        }
        for text in [
            "1,",
            ",5",
            "12, 5",
            "a,b",
            "10.00,123",
            "1,100,5",
            "KSh 1,KSh 2",
            "1,\"5\"",
            "x1,5y2",
            "1,2,3",
            "1,100.0.0",
        ] {
            assert!(!is_cut_amount(text, b','), "{text}");
        }
        assert!(!is_cut_amount("1;100", b';'), "no number has that sign");
    }
}
