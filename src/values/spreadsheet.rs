//! Spreadsheet: protects exported CSV cells from being taken for formulas.
//!
//! Operators correct rejected rows with a spreadsheet, which runs a cell that begins with `=` as a
//! formula. The export puts an apostrophe in front of such cells, and the import removes it.
//!
//! The same apostrophe marks numbers of JSON with decimals, as `'1.250`: JSON says that a point
//! stands before decimals, which a text in a CSV file does not. It also keeps a spreadsheet from
//! reading them its own way.

use crate::values::number::{Decimals, clear_text};
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

/// A number of JSON for a spreadsheet: marked, if its text could be read in another way.
pub fn marked_number(json: &str) -> Cow<'_, str> {
    let has_exponent = json.contains(['e', 'E']);
    // A text that looks like this is guarded as a formula.
    let number = match json.starts_with('-') && has_exponent {
        true => clear_text(json, Decimals::Point).map(Cow::Owned),
        false => Some(Cow::Borrowed(json)),
    };
    match number {
        Some(number) if number.contains(['.', 'e', 'E']) => Cow::Owned(format!("{GUARD}{number}")),
        Some(number) => number,
        None => guarded(json),
    }
}

/// The number of JSON in a marked cell; `None` in any other one.
pub fn clear_number(cell: &str) -> Option<&str> {
    let number = cell.strip_prefix(GUARD)?;
    let is_formula = number.starts_with('-') && number.contains(['e', 'E']);
    let is_marked = number.contains(['.', 'e', 'E']) && !is_formula;
    (is_marked && clear_text(number, Decimals::Point).is_some()).then_some(number)
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

    #[test]
    fn a_number_of_json_is_marked_where_a_text_could_be_another_one() {
        for (json, out) in [
            ("1.250", "'1.250"),
            ("-0.5", "'-0.5"),
            ("12.5e1", "'12.5e1"),
            ("-12.5e-1", "'-1.25"),
            ("-5E2", "-500"),
            ("12", "12"),
            ("-12", "-12"),
        ] {
            assert_eq!(marked_number(json), out);
            let number = out.strip_prefix('\'');
            assert_eq!(clear_number(out), number);
        }
        for text in ["1.250", "'1.250", "-12.5e1", "+1.5", "'", "=1.5", "'-1.5"] {
            assert_eq!(clear_number(&guarded(text)), None, "{text}");
        }
        for typed in ["'12", "'1,5", "'x", "'1.5.0", "1.5"] {
            assert_eq!(clear_number(typed), None, "{typed}");
        }
    }
}
