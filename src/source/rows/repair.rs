//! Repair: puts a row back whose cells were shifted by unquoted delimiters in a text column.
//!
//! A text column may have swallowed some of them. Of all ways to undo that, the ones with the fewest
//! swallowed delimiters count, and only if typed columns leave exactly one.

use std::collections::HashSet;

/// Swallowed delimiters a row may have; beyond that it is damage, not text.
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
    /// Whether the column may have swallowed delimiters.
    fn swallows(&self, column: usize) -> bool;
    /// Whether one cell could stand in the column.
    fn conforms(&self, column: usize, cell: usize) -> bool;
}

/// Finds out what the cells of a row are to its columns.
pub fn repair(row: &impl Row) -> Repair {
    let (columns, cells) = (row.columns(), row.cells());
    if cells < columns {
        return Repair::Impossible;
    }
    let surplus = cells - columns;
    if surplus == 0 {
        return Repair::Fits;
    }
    // What stands beyond the columns after the repair must be padding, so empty.
    let filled = (0..cells).rev().find(|&cell| !row.is_empty(cell)).map_or(0, |last| last + 1);
    let fewest = filled.saturating_sub(columns);
    for swallowed in fewest..=surplus.min(SWALLOWED_MAX) {
        let mut search = Search { row, widths: Vec::with_capacity(columns), found: Vec::new(), dead: HashSet::new() };
        search.extend(0, swallowed);
        match search.found.len() {
            0 => {}
            1 if swallowed == 0 => return Repair::Fits,
            1 => return Repair::Shifted(search.found.remove(0)),
            // A row whose count fits is left alone rather than guessed at.
            _ if fewest == 0 => return Repair::Fits,
            _ => return Repair::Ambiguous(search.found),
        }
    }
    if fewest == 0 { Repair::Fits } else { Repair::Impossible }
}

struct Search<'a, R> {
    row: &'a R,
    widths: Vec<usize>,
    found: Vec<Vec<usize>>,
    /// Columns, with delimiters left to swallow, from which no way leads on: without it, hostile rows
    /// would be searched for minutes.
    dead: HashSet<(usize, usize)>,
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
        if self.dead.contains(&(column, swallowed)) {
            return;
        }
        let found_before = self.found.len();
        let most = if self.row.swallows(column) { swallowed } else { 0 };
        for extra in 0..=most {
            if self.found.len() == CANDIDATES_MAX {
                return;
            }
            // Several cells make a text with delimiters in it, which only a text column can hold.
            if extra == 0 && !self.row.conforms(column, cell) {
                continue;
            }
            self.widths.push(1 + extra);
            self.extend(cell + 1 + extra, swallowed - extra);
            self.widths.pop();
        }
        if self.found.len() == found_before {
            self.dead.insert((column, swallowed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns: digits, text that swallows, digits, digits, text that swallows, status, free text.
    struct Line<'a>(Vec<&'a str>);

    impl Row for Line<'_> {
        fn columns(&self) -> usize {
            7
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
        fn conforms(&self, column: usize, cell: usize) -> bool {
            let text = self.0[cell];
            match column {
                0 | 2 | 3 => text.bytes().all(|byte| byte.is_ascii_digit()),
                5 => matches!(text, "Done" | "Failed" | ""),
                _ => true,
            }
        }
    }

    fn repaired(line: &str) -> Repair {
        repair(&Line(line.split(',').collect()))
    }

    #[test]
    fn rows_that_fit_are_left_alone() {
        assert_eq!(repaired("1,leave it,2,3,x,Done,y"), Repair::Fits);
        assert_eq!(repaired("1,leave it,2,3,x,Done,y,,"), Repair::Fits);
        assert_eq!(repaired("1,leave it,not a number,3,x,Done,y,,"), Repair::Fits);
    }

    #[test]
    fn one_to_four_commas_are_put_back() {
        assert_eq!(repaired("1,by 12,30pm,2,3,x,Done,y"), Repair::Shifted(vec![1, 2, 1, 1, 1, 1, 1]));
        assert_eq!(repaired("1,by 12,30pm,2,3,x,Done,y,"), Repair::Shifted(vec![1, 2, 1, 1, 1, 1, 1]));
        assert_eq!(repaired("1,a,b,c,2,3,a,b,c,Done,y"), Repair::Shifted(vec![1, 3, 1, 1, 3, 1, 1]));
        assert_eq!(repaired("1,x,2,3,a,b,c,d,e,Done,y"), Repair::Shifted(vec![1, 1, 1, 1, 5, 1, 1]));
    }

    #[test]
    fn a_hidden_shift_inside_the_padding_is_seen_by_the_types() {
        assert_eq!(repaired("1,by 12,30pm,2,3,x,Done,"), Repair::Shifted(vec![1, 2, 1, 1, 1, 1, 1]));
    }

    #[test]
    fn two_ways_or_none_are_not_guessed() {
        let two = vec![vec![1, 1, 1, 1, 2, 1, 1], vec![1, 2, 1, 1, 1, 1, 1]];
        assert_eq!(repaired("1,call 0800,123,2,4,x,Open,y"), Repair::Impossible);
        assert_eq!(repaired("1,call,5,2,3,x,Done,y"), Repair::Ambiguous(two));
        assert_eq!(repaired("1,x,2,3,x,Done,y,z"), Repair::Impossible);
        assert_eq!(repaired("1,x,2"), Repair::Impossible);
    }
}
