//! Spreadsheet: protects exported CSV cells from being taken for formulas.
//!
//! Operators correct rejected rows with a spreadsheet, which runs a cell that begins with `=` as a
//! formula. The export puts an apostrophe in front of such cells, and the import removes it.

use std::borrow::Cow;

/// What stands before a cell that a spreadsheet would take for a formula.
const GUARD: char = '\'';

/// Characters that formulas begin with, and the guard itself, so that every cell comes back as it
/// went out.
const FORMULA_STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', GUARD];

/// A cell for a spreadsheet: with the guard in front, if it begins like a formula and is not a
/// number.
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if !cell.starts_with(FORMULA_STARTS) || is_signed_number(cell) {
        return Cow::Borrowed(cell);
    }
    Cow::Owned(format!("{GUARD}{cell}"))
}

/// A cell as it was before the export.
pub fn unguarded(cell: &str) -> &str {
    if is_guarded(cell.as_bytes()) { &cell[1..] } else { cell }
}

/// Whether a cell begins with a guard.
pub fn is_guarded(cell: &[u8]) -> bool {
    let starts_formula = |byte: &u8| FORMULA_STARTS.contains(&char::from(*byte));
    cell.first().is_some_and(|&byte| char::from(byte) == GUARD)
        && cell.get(1).is_some_and(starts_formula)
}

/// Whether it is a number as people write it: digits after a sign, with a decimal point or groups.
/// `-1+1` and `-` alone are not.
fn is_signed_number(cell: &str) -> bool {
    let Some(number) = cell.strip_prefix(['+', '-']) else { return false };
    number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|b| b.is_ascii_digit() || b",.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_taken_for_a_formula_and_each_comes_back() {
        for (cell, out) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1+1", "'+1+1"),
            ("-1+cmd", "'-1+cmd"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'=1", "''=1"),
            ("''", "'''"),
            ("'", "''"),
            ("-", "'-"),
            ("+", "'+"),
            ("-5", "-5"),
            ("+5.25", "+5.25"),
            ("-1,234.50", "-1,234.50"),
            ("1=1", "1=1"),
            ("", ""),
            (" =1", " =1"),
        ] {
            assert_eq!((guarded(cell).as_ref(), unguarded(&guarded(cell))), (out, cell));
        }
        assert_eq!(unguarded("'plain"), "'plain", "what somebody typed is his");
    }
}
