//! Cells: where the cells and the rows of delimited text begin and end.
//!
//! A quote opens a quoted cell only at the cell's start, spaces before it aside: `6" pipe` is text,
//! `"a", "b"` are the cells a and b.

use crate::feed::row_format::Dialect;
use memchr::{memchr, memchr2, memchr3};
use std::borrow::Cow;

/// Bytes of a cell that are looked at one by one: most cells are empty or short, and calling a
/// search costs more.
const NEAR_BYTES: usize = 8;

/// One cell of a row, as offsets from the row's start, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Offset of its first byte.
    pub start: usize,
    /// Offset after its last one.
    pub end: usize,
    /// Whether quotes stand around it.
    pub is_quoted: bool,
}

impl Cell {
    /// Its bytes in the row.
    pub fn bytes(self, row: &[u8]) -> &[u8] {
        &row[self.start..self.end]
    }

    /// Its text; `None` if it is none. `row_text` is the whole row, if that is text.
    pub fn text<'t>(self, row: &'t [u8], row_text: Option<&'t str>) -> Option<&'t str> {
        match row_text {
            Some(text) => Some(&text[self.start..self.end]),
            None => std::str::from_utf8(self.bytes(row)).ok(),
        }
    }
}

/// Whether a row has nothing but delimiters and white space.
pub fn is_blank(row: &[u8], cells: &[Cell]) -> bool {
    let is_empty = |cell: &Cell| {
        cell.start == cell.end
            || (!cell.is_quoted && cell.bytes(row).iter().all(u8::is_ascii_whitespace))
    };
    cells.iter().all(is_empty)
}

/// How a row ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Split {
    /// Bytes of the row, and of the row with its line end.
    Row {
        /// Bytes of the row.
        end: usize,
        /// Bytes of the row with its line end; 0 only where nothing is left.
        next: usize,
        /// Whether spaces stand between a delimiter and the quote after it, which no decoder of CSV
        /// takes.
        is_spaced: bool,
    },
    /// A quoted cell never closes, or goes on after its closing quote: the row ends at its first
    /// line end.
    Broken {
        /// Bytes of the row.
        end: usize,
        /// Bytes of the row with its line end.
        next: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The row is longer than `row_bytes_max`.
    TooLong,
    /// More bytes are needed.
    Incomplete,
}

impl Dialect {
    /// A cell's text without the quotes around it.
    pub fn unquoted<'t>(&self, text: &'t str, cell: Cell) -> Cow<'t, str> {
        if !cell.is_quoted {
            return Cow::Borrowed(text);
        }
        let inner = &text[1..text.len() - 1];
        if memchr(self.quote, inner.as_bytes()).is_none() {
            return Cow::Borrowed(inner);
        }
        let quote = char::from(self.quote);
        Cow::Owned(inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
    }

    /// The number in a cell of a row.
    pub fn number_in(&self, row: &[u8], cell: usize) -> Option<u64> {
        let mut cells = Vec::new();
        split_row(row, true, *self, &mut cells);
        let cell = *cells.get(cell)?;
        self.unquoted(std::str::from_utf8(cell.bytes(row)).ok()?, cell).trim().parse().ok()
    }

    /// A text with quotes around it.
    pub fn quoted(&self, text: &str) -> String {
        let quote = char::from(self.quote);
        format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}")))
    }
}

/// Finds the cells of the first row of `bytes`. `next` is 0 only where nothing is left.
pub fn split_row(bytes: &[u8], is_at_end: bool, dialect: Dialect, cells: &mut Vec<Cell>) -> Split {
    cells.clear();
    let mut start = 0;
    let mut is_spaced = false;
    loop {
        if bytes.get(start) == Some(&b' ') {
            let spaces = bytes[start..].iter().take_while(|&&byte| byte == b' ').count();
            match bytes.get(start + spaces) {
                Some(byte) if *byte == dialect.quote => {
                    start += spaces;
                    is_spaced = true;
                }
                None if !is_at_end && bytes.len() <= dialect.row_bytes_max => {
                    return Split::Incomplete;
                }
                _ => {}
            }
        }
        let (end, is_quoted) = match cell_end(bytes, start, is_at_end, dialect) {
            CellEnd::At(end, is_quoted) => (end, is_quoted),
            CellEnd::Incomplete if bytes.len() > dialect.row_bytes_max => return Split::TooLong,
            CellEnd::Incomplete => return Split::Incomplete,
            CellEnd::Broken(reason) => return broken_row(bytes, is_at_end, dialect, reason),
        };
        if end > dialect.row_bytes_max {
            return Split::TooLong;
        }
        cells.push(Cell { start, end, is_quoted });
        match bytes.get(end) {
            None if is_at_end => return Split::Row { end, next: end, is_spaced },
            None => return Split::Incomplete,
            Some(&byte) if byte == dialect.delimiter => start = end + 1,
            Some(b'\n') => return Split::Row { end, next: end + 1, is_spaced },
            // A carriage return ends a row, with or without a line feed after it.
            Some(_) => match bytes.get(end + 1) {
                None if !is_at_end => return Split::Incomplete,
                Some(b'\n') => return Split::Row { end, next: end + 2, is_spaced },
                _ => return Split::Row { end, next: end + 1, is_spaced },
            },
        }
    }
}

enum CellEnd {
    At(usize, bool),
    Incomplete,
    Broken(&'static str),
}

/// Where the cell that begins at `start` ends: at a delimiter, a line end, or the end of the bytes.
fn cell_end(bytes: &[u8], start: usize, is_at_end: bool, dialect: Dialect) -> CellEnd {
    if bytes.get(start) != Some(&dialect.quote) {
        let rest = &bytes[start..];
        let near = &rest[..rest.len().min(NEAR_BYTES)];
        let is_end = |&byte: &u8| byte == dialect.delimiter || byte == b'\n' || byte == b'\r';
        let far =
            || Some(near.len() + memchr3(dialect.delimiter, b'\n', b'\r', &rest[near.len()..])?);
        return match near.iter().position(is_end).or_else(far) {
            Some(length) => CellEnd::At(start + length, false),
            None if is_at_end => CellEnd::At(bytes.len(), false),
            None => CellEnd::Incomplete,
        };
    }
    let mut from = start + 1;
    loop {
        let closing = match memchr(dialect.quote, &bytes[from..]) {
            Some(length) if from + length < dialect.row_bytes_max => from + length,
            None if !is_at_end && bytes.len() <= dialect.row_bytes_max => {
                return CellEnd::Incomplete;
            }
            _ => return CellEnd::Broken("a quote opens a cell and never closes"),
        };
        match bytes.get(closing + 1) {
            Some(&byte) if byte == dialect.quote => from = closing + 2,
            None if !is_at_end => return CellEnd::Incomplete,
            None | Some(b'\n' | b'\r') => return CellEnd::At(closing + 1, true),
            Some(&byte) if byte == dialect.delimiter => return CellEnd::At(closing + 1, true),
            Some(_) => return CellEnd::Broken("a quoted cell goes on after its closing quote"),
        }
    }
}

/// A broken row ends at its first line end, so that the rows after it are not lost with it.
fn broken_row(bytes: &[u8], is_at_end: bool, dialect: Dialect, reason: &'static str) -> Split {
    match memchr2(b'\n', b'\r', bytes) {
        Some(end) if end > dialect.row_bytes_max => Split::TooLong,
        Some(end) => Split::Broken { end, next: end + 1, reason },
        None if bytes.len() > dialect.row_bytes_max => Split::TooLong,
        None if is_at_end => Split::Broken { end: bytes.len(), next: bytes.len(), reason },
        None => Split::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::row_format::CellTypes;

    const DIALECT: Dialect = Dialect {
        delimiter: b',',
        quote: b'"',
        row_bytes_max: 64,
        padding: 0,
        types: CellTypes::None,
    };

    const fn row(end: usize, next: usize) -> Split {
        Split::Row { end, next, is_spaced: false }
    }

    fn cells(text: &str) -> (Split, Vec<&str>) {
        let mut cells = Vec::new();
        let split = split_row(text.as_bytes(), true, DIALECT, &mut cells);
        (split, cells.iter().map(|cell| &text[cell.start..cell.end]).collect())
    }

    #[test]
    fn rows_end_at_line_ends_outside_quotes() {
        assert_eq!(cells("a,\"b\nc\",d\r\ne"), (row(9, 11), vec!["a", "\"b\nc\"", "d"]));
        assert_eq!(cells("a,\nb"), (row(2, 3), vec!["a", ""]));
        assert_eq!(cells("a"), (row(1, 1), vec!["a"]));
        assert_eq!(cells(""), (row(0, 0), vec![""]));
    }

    #[test]
    fn a_quote_inside_a_cell_is_text() {
        assert_eq!(cells("6\" pipe,x\ny\""), (row(9, 10), vec!["6\" pipe", "x"]));
    }

    #[test]
    fn spaces_before_a_quote_are_no_part_of_the_cell() {
        let spaced = |end: usize, next: usize| Split::Row { end, next, is_spaced: true };
        assert_eq!(
            cells("\"a\", \"b, c\",   \"\"\n"),
            (spaced(17, 18), vec!["\"a\"", "\"b, c\"", "\"\""])
        );
        assert_eq!(cells(" \"a\"\n"), (spaced(4, 5), vec!["\"a\""]));
        assert_eq!(cells("a, b,  \n"), (row(7, 8), vec!["a", " b", "  "]));
        assert_eq!(cells(" 6\" pipe,x"), (row(10, 10), vec![" 6\" pipe", "x"]));
        let mut found = Vec::new();
        for text in ["a, ", "a, \"b", " "] {
            assert_eq!(
                split_row(text.as_bytes(), false, DIALECT, &mut found),
                Split::Incomplete,
                "{text}"
            );
        }
    }

    #[test]
    fn a_quote_that_never_closes_costs_one_line() {
        let reason = "a quote opens a cell and never closes";
        assert_eq!(cells("a,\"b\nc,d\n").0, Split::Broken { end: 4, next: 5, reason });
        let reason = "a quoted cell goes on after its closing quote";
        assert_eq!(cells("a,\"b\nc,\"d\n").0, Split::Broken { end: 4, next: 5, reason });
    }

    #[test]
    fn a_row_that_the_bytes_do_not_end_is_incomplete() {
        let mut cells = Vec::new();
        for text in ["a,b", "a,\"b", "a,\"b\"", "a,b\r", ""] {
            assert_eq!(
                split_row(text.as_bytes(), false, DIALECT, &mut cells),
                Split::Incomplete,
                "{text}"
            );
        }
    }
}
