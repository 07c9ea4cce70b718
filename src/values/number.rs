//! Numbers as exports write them: currency signs, thousands separators, spaces. Decimal all the way,
//! never through binary floating point.

use crate::values::cell::trimmed;

/// Digits after the point that a decimal column keeps.
pub const DECIMAL_SCALE: u32 = 4;

/// Significant digits that survive on every database: SQLite holds decimals as 64-bit reals.
const SIGNIFICANT_DIGITS_MAX: u32 = 15;

/// Ten-thousandths that a decimal column holds: 15 digits before the point and 4 after it.
const DECIMAL_UNITS_MAX: i128 = 10_i128.pow(19) - 1;

/// Size up to which measures are kept: what is larger would overflow the sums of the marts.
const DOUBLE_MAX: f64 = 1e15;

/// Largest exponent accepted in `1.5E3`; anything beyond could not be stored anyway.
const EXPONENT_MAX: i32 = 40;

/// Digits of which every number fits 64 bits.
const PLAIN_DIGITS_MAX: usize = 18;

/// The hyphen, and the minus that typography asks for.
const MINUS: [char; 2] = ['-', '\u{2212}'];

/// Longest currency sign or code (`KSh`, `₦`, `Rs.`), in characters.
const CURRENCY_CHARS_MAX: usize = 4;

/// A number taken apart: its digits without separators, and where the point stands among them.
struct Digits {
    is_negative: bool,
    digits: Vec<u8>,
    /// Digits after the point; negative when zeros are missing at the end.
    scale: i32,
}

/// Parses money or a quantity into ten-thousandths: `KSh 1,250.50` is 12505000.
///
/// Rounds half away from zero. `None` when the text is not a number, or when the rounded value needs
/// more than 15 significant digits, or is too large to be stored.
pub fn parse_decimal(text: &str) -> Option<i128> {
    if let Some(units) = plain_units(text) {
        return Some(units.into());
    }
    let digits = parse_digits(strip_currency(trimmed(text))?)?;
    let rounded = round_to_scale(&digits)?;
    let fits = rounded <= DECIMAL_UNITS_MAX && significant_digits(rounded) <= SIGNIFICANT_DIGITS_MAX;
    fits.then_some(if digits.is_negative { -rounded } else { rounded })
}

/// Ten-thousandths of what nearly every number is: ASCII digits, at most one point among them and at most
/// four digits after it, few enough for any database. `None` says nothing about other texts.
fn plain_units(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > SIGNIFICANT_DIGITS_MAX as usize {
        return None;
    }
    let mut units: i64 = 0;
    let mut places = None;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                units = units * 10 + i64::from(byte - b'0');
                places = places.map(|places| places + 1);
            }
            b'.' if places.is_none() => places = Some(0),
            _ => return None,
        }
    }
    let missing = match places {
        None => DECIMAL_SCALE,
        Some(places @ 1..=DECIMAL_SCALE) if digits[0] != b'.' => DECIMAL_SCALE - places,
        Some(_) => return None,
    };
    // 15 digits with four zeros behind them have 19: below the largest of 64 bits only up to 9.2 of the first.
    let units = units.checked_mul(10_i64.pow(missing))?;
    Some(if is_negative { -units } else { units })
}

/// Parses a whole number: `1,250` and `12.0` are, `1.5` is not.
pub fn parse_integer(text: &str) -> Option<i64> {
    let text = trimmed(text);
    if (1..=PLAIN_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.bytes().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')));
    }
    let number = parse_digits(text)?;
    let fraction = usize::try_from(number.scale.max(0)).ok()?;
    let split = number.digits.len().saturating_sub(fraction);
    let (whole, rest) = number.digits.split_at(split);
    if rest.iter().any(|&digit| digit != b'0') {
        return None;
    }
    let mut value: i64 = 0;
    let zeros = std::iter::repeat_n(&b'0', usize::try_from((-number.scale).max(0)).ok()?);
    for digit in whole.iter().chain(zeros) {
        // Counted downwards, because the negative range is one larger.
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if number.is_negative { Some(value) } else { value.checked_neg() }
}

/// Parses a measure. `None` when the text is not a number, or too large for one.
pub fn parse_double(text: &str) -> Option<f64> {
    let text = trimmed(text);
    parse_digits(text)?;
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return text.parse::<f64>().ok().filter(|value| *value < DOUBLE_MAX);
    }
    let plain = text.chars().filter(|&c| !is_group_separator(c));
    // The standard library reads only the hyphen as a minus.
    let plain: String = plain.map(|c| if MINUS.contains(&c) { '-' } else { c }).collect();
    plain.parse::<f64>().ok().filter(|value| value.abs() < DOUBLE_MAX)
}

/// Digits of a number: those after the point, and the significant ones. `None` when the text is not a number.
pub fn count_digits(text: &str) -> Option<(u32, u32)> {
    let number = parse_digits(strip_currency(text.trim())?)?;
    let zeros_at_end = number.digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    let significant = &number.digits[..number.digits.len() - zeros_at_end];
    let zeros_before = significant.iter().take_while(|&&digit| digit == b'0').count();
    let places = number.scale - i32::try_from(zeros_at_end).ok()?;
    Some((u32::try_from(places).unwrap_or(0), u32::try_from(significant.len() - zeros_before).ok()?))
}

/// Cuts a sign or code such as `₦`, `KSh` or `EUR` off one end, keeping a minus before it.
fn strip_currency(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    let (sign, unsigned) = match text.strip_prefix(MINUS) {
        Some(rest) => ("-", rest.trim_start()),
        None => ("", text),
    };
    let before: usize = unsigned.chars().take_while(|&c| is_currency(c)).map(char::len_utf8).sum();
    if before > 0 {
        let (currency, number) = unsigned.split_at(before);
        // `Rs.` ends in a point that is no decimal point. Where digits follow at once, it may be either.
        let is_abbreviation = currency.ends_with(char::is_alphabetic);
        let number = match number.strip_prefix('.') {
            Some(rest) if rest.starts_with(char::is_whitespace) => rest,
            Some(_) if is_abbreviation => return None,
            _ => number,
        };
        return is_short(currency).then(|| format!("{sign}{}", number.trim_start()).into());
    }
    let after: usize = unsigned.chars().rev().take_while(|&c| is_currency(c)).map(char::len_utf8).sum();
    if after > 0 {
        let (number, currency) = unsigned.split_at(unsigned.len() - after);
        return is_short(currency).then(|| format!("{sign}{}", number.trim_end()).into());
    }
    Some(text.into())
}

/// Letters and currency signs (general category Sc), as in `KSh`, `₦`, `US$`.
fn is_currency(c: char) -> bool {
    c.is_alphabetic()
        || matches!(c, '$' | '\u{a2}'..='\u{a5}' | '\u{58f}' | '\u{60b}' | '\u{9f2}' | '\u{9f3}' | '\u{9fb}' | '\u{af1}' | '\u{bf9}' | '\u{e3f}' | '\u{17db}' | '\u{20a0}'..='\u{20cf}' | '\u{fdfc}')
}

fn is_short(currency: &str) -> bool {
    currency.chars().count() <= CURRENCY_CHARS_MAX
}

/// Comma, space, no-break space, narrow no-break space: what stands between groups of three digits.
const fn is_group_separator(c: char) -> bool {
    matches!(c, ',' | ' ' | '\u{a0}' | '\u{202f}')
}

fn parse_digits(text: impl AsRef<str>) -> Option<Digits> {
    let text = text.as_ref();
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'+' => (false, &text[1..]),
        _ => text.strip_prefix(MINUS).map_or((false, text), |rest| (true, rest)),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = ungroup(whole)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || (digits.is_empty() && fraction.is_empty()) {
        return None;
    }
    digits.extend(fraction.bytes());
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    Some(Digits { is_negative, digits, scale })
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = text.parse().ok()?;
    (exponent.abs() <= EXPONENT_MAX).then_some(exponent)
}

/// The digits before the point; separators must leave groups of three.
fn ungroup(whole: &str) -> Option<Vec<u8>> {
    let mut groups = whole.split(is_group_separator);
    let first = groups.next()?;
    let mut digits = first.as_bytes().to_vec();
    let mut is_grouped = false;
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        is_grouped = true;
        digits.extend(group.bytes());
    }
    let first_fits = !is_grouped || (1..=3).contains(&first.len());
    (first_fits && digits.iter().all(u8::is_ascii_digit)).then_some(digits)
}

/// The value in units of 10^-4, half away from zero.
fn round_to_scale(number: &Digits) -> Option<i128> {
    let shift = i32::try_from(DECIMAL_SCALE).ok()? - number.scale;
    if shift >= 0 {
        let mut value = digits_value(&number.digits)?;
        for _ in 0..shift {
            value = value.checked_mul(10)?;
        }
        return Some(value);
    }
    let dropped = usize::try_from(-shift).ok()?;
    let kept = number.digits.len().saturating_sub(dropped);
    let value = digits_value(&number.digits[..kept])?;
    // With more digits dropped than there are, the first dropped one is a zero before them.
    let is_rounded_up = dropped <= number.digits.len() && number.digits.get(kept).is_some_and(|&digit| digit >= b'5');
    Some(value + i128::from(is_rounded_up))
}

fn digits_value(digits: &[u8]) -> Option<i128> {
    digits.iter().try_fold(0_i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')))
}

/// Digits between the first and the last that is not zero.
fn significant_digits(mut value: i128) -> u32 {
    while value != 0 && value % 10 == 0 {
        value /= 10;
    }
    value.checked_ilog10().map_or(0, |digits| digits + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_with_its_dirt() {
        for (text, expected) in [
            ("104250", Some(1_042_500_000)),
            ("₦ 104250.00", Some(1_042_500_000)),
            ("KSh 1,250.50", Some(12_505_000)),
            ("1,250.50 KSh", Some(12_505_000)),
            ("-KSh 5", Some(-50_000)),
            ("KSh -5", Some(-50_000)),
            ("$.5", Some(5_000)),
            ("Rs. 12", Some(120_000)),
            ("Rs.500", None),
            ("-Tsh.5", None),
            ("₦.5", Some(5_000)),
            ("1 250 000", Some(12_500_000_000)),
            ("₦ 0.0023773377665555553", Some(24)),
            ("0.00005", Some(1)),
            ("-0.00005", Some(-1)),
            ("0.00004999", Some(0)),
            ("0.000009", Some(0)),
            ("2.5E3", Some(25_000_000)),
            ("5E-1", Some(5_000)),
            ("99999999999.9999", Some(999_999_999_999_999)),
            ("999999999999.9999", None),
            ("100000000000000", Some(1_000_000_000_000_000_000)),
            ("999999999999999", Some(9_999_999_999_999_990_000)),
            ("1000000000000000", None),
            ("1E17", None),
            ("1,25", None),
            ("1,2500", None),
            ("1250,000", None),
            ("12.5.1", None),
            ("abcde 5", None),
            ("KSh 5 KSh", None),
            ("KSh", None),
            ("inf", None),
            ("", None),
            ("-", None),
            (".", None),
            ("٣", None),
            ("1E999", None),
        ] {
            assert_eq!(parse_decimal(text), expected, "{text}");
        }
    }

    #[test]
    fn digits_are_counted_without_the_zeros_around_them() {
        for (text, expected) in [
            ("12", Some((0, 2))),
            ("₦ 1,200.50", Some((1, 5))),
            ("0.00120", Some((4, 2))),
            ("1200", Some((0, 2))),
            ("-1.2611134", Some((7, 8))),
            ("0", Some((0, 0))),
            ("x", None),
        ] {
            assert_eq!(count_digits(text), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_end_in_zeros_after_the_point() {
        for (text, expected) in [
            ("12", Some(12)),
            (" 12.0 ", Some(12)),
            ("1,250", Some(1250)),
            ("-7", Some(-7)),
            ("1E3", Some(1000)),
            ("12.5", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("KSh 5", None),
            ("true", None),
        ] {
            assert_eq!(parse_integer(text), expected, "{text}");
        }
    }

    #[test]
    fn measures_are_finite() {
        assert_eq!(parse_double("-1.2611134"), Some(-1.261_113_4));
        assert_eq!(parse_double("11,997.31"), Some(11997.31));
        assert_eq!(parse_double("3.7E+14"), Some(3.7e14));
        assert_eq!(parse_double("\u{2212}1,997.5"), Some(-1997.5));
        for text in ["3.7E+29", "-1E15", "inf", "NaN", "0x10", "1_000", "", "5 km"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
    }
}
