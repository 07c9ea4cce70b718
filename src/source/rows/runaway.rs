//! Runaway: a quote that opens a cell and closes only in a later row, so that the rows between are
//! taken for text.

use crate::feed::row_format::Dialect;
use crate::source::rows::cells::{Cell, Split, split_row};
use memchr::memchr2;

/// Lines of a quoted cell that are looked at for rows: enough to tell rows from text, few enough
/// that a hostile file does not have all of its lines looked at again for each of them.
const RUNAWAY_LINES_MAX: usize = 64;

/// What the rows of a file look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How cells are written.
    pub dialect: Dialect,
    /// Columns of the header, padding included.
    pub columns: usize,
    /// Those that have a name.
    pub named: usize,
    /// The column by which rows are told from text.
    pub key: usize,
}

/// Where the first line of the row that was just split ends, when its quote ran away: the rows
/// after it were taken for text, up to the next quote that happens to stand where one closes. Text
/// of several lines is left alone unless its lines read as rows: all of them in a row that fits,
/// one in a row that fits no way.
pub fn runaway_end(row: &[u8], row_cells: &[Cell], shape: &Shape) -> Option<usize> {
    let &Shape { dialect, columns, named, key } = shape;
    let has_lines =
        |cell: &Cell| cell.is_quoted && memchr2(b'\n', b'\r', cell.bytes(row)).is_some();
    if !row_cells.iter().any(has_lines) || named < 2 {
        return None;
    }
    let expected =
        |cells: usize| cells == columns + dialect.padding || (named..=columns).contains(&cells);
    let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let mut lines = row.split(is_line_end);
    let first = lines.next()?;
    let own_key = first.split(|&byte| byte == dialect.delimiter).nth(key)?;
    let mut cells = Vec::new();
    let mut is_row = |line: &[u8]| {
        let split = split_row(line, true, dialect, &mut cells);
        matches!(split, Split::Row { .. })
            && expected(cells.len())
            && signs(cells[key].bytes(line), dialect) == signs(own_key, dialect)
    };
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).take(RUNAWAY_LINES_MAX).collect();
    let is_runaway = match lines.as_slice() {
        // A row that fits is only doubted for whole rows inside of it: its last line, by which it
        // ends, is none of them, and may open a quote of its own.
        [swallowed @ .., last] if expected(row_cells.len()) => {
            let cells_of_last = last.split(|&byte| byte == dialect.delimiter).count();
            !swallowed.is_empty()
                && swallowed.iter().all(|line| is_row(line))
                && expected(cells_of_last)
        }
        lines => lines.iter().any(|line| is_row(line)),
    };
    is_runaway.then_some(first.len())
}

/// Which kinds of characters a key has: digits, letters, white space, others. Two keys of a file
/// have the same.
fn signs(key: &[u8], dialect: Dialect) -> [bool; 4] {
    let mut signs = [false; 4];
    for &byte in key.trim_ascii().iter().filter(|&&byte| byte != dialect.quote) {
        let kind = match byte {
            b'0'..=b'9' => 0,
            b' ' | b'\t' => 1,
            byte if byte.is_ascii_alphabetic() || !byte.is_ascii() => 2,
            _ => 3,
        };
        signs[kind] = true;
    }
    signs
}
