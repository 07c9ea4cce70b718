//! Identifier: the text of an identifier without what stands around it, and whether a spreadsheet
//! damaged it.

use crate::values::cell::trimmed;

/// A text without the white space and the invisible characters around it. Copies from web pages and
/// concatenated files have such characters; with them, the same identifier would be a different
/// one.
pub fn visible(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => trimmed(text).trim_matches(|c: char| c.is_whitespace() || is_invisible(c)),
    }
}

/// Characters without a width: soft hyphen, zero-width spaces, joiners and marks of direction, byte
/// order mark.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Removes what makes Excel keep a cell as text: `="00123"` and `'00123` are 00123.
pub fn without_excel(text: &str) -> &str {
    match text.as_bytes() {
        [b'=', b'"', .., b'"'] if text.len() > 2 => visible(&text[2..text.len() - 1]),
        [b'\'', b'0'..=b'9', ..] => &text[1..],
        _ => text,
    }
}

/// Whether a spreadsheet turned an identifier into a number, so that digits are lost: `3.68E+29`,
/// `4,01235E+12`, `1.23e12`, `1E+5`. With no sign and no decimals, the `e` may be a letter of the
/// identifier itself: `12e45678` and `1e5` are text.
pub fn is_spreadsheet_notation(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Most identifiers are decided here.
    let [b'0'..=b'9', b'.' | b',' | b'e' | b'E', ..] = bytes else { return false };
    let Some(exponent_at) = bytes.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return false;
    };
    let is_digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    let has_decimals = exponent_at > 1;
    if has_decimals && !is_digits(&bytes[2..exponent_at]) {
        return false;
    }
    let exponent = &bytes[exponent_at + 1..];
    let digits = match exponent {
        [b'+' | b'-', digits @ ..] => digits,
        digits if has_decimals => digits,
        _ => return false,
    };
    is_digits(digits) && digits.len() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_an_identifier_is_cut() {
        for text in [
            "00123",
            " 00123\t",
            "\u{feff}00123",
            "00123\u{200b}",
            "\u{ad}\u{a0}00123 \u{2060}",
            "=\"00123\"",
            "'00123",
        ] {
            assert_eq!(without_excel(visible(text)), "00123", "{text:?}");
        }
        for text in ["O'Neil", "'s-Gravenhage", "=00123", "=\"", "a\u{200b}b", "''1"] {
            assert_eq!(without_excel(visible(text)), text, "{text:?}");
        }
        assert_eq!(without_excel("=\"\""), "");
        assert_eq!(visible("\u{200b} \u{feff}"), "");
    }

    #[test]
    fn spreadsheet_notation_is_told_from_identifiers_that_look_like_it() {
        for text in ["3.68E+29", "4,01235E+12", "1.23e12", "1.23E12", "1E+5", "2e-3", "9.9E-100"] {
            assert!(is_spreadsheet_notation(text), "{text}");
        }
        let identifiers = [
            "12e45678",
            "1e5",
            "1E5",
            "12E+5",
            "1.E+5",
            "1.2.3E+5",
            "1.23E",
            "1.23E+",
            "1.23E1234",
            "E+5",
            "1.5",
            "",
            "1",
            "1.2E+5x",
        ];
        for text in identifiers {
            assert!(!is_spreadsheet_notation(text), "{text}");
        }
    }
}
