//! Numbers as exports write them: signs, currencies, groups of thousands. They stay decimal, and
//! never become binary floating point on the way.
//!
//! A text is a number only if it can mean nothing else. The text alone does not say whether `,` or
//! `.` stands before the decimals: [`Decimals`] says how to read `1.250`, from a declaration or
//! from the file's other values.

use crate::values::cell::trimmed;
use crate::values::currency::Currencies;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Digits after the point that a decimal column keeps.
pub const DECIMAL_SCALE: u32 = 4;

/// Significant digits that survive on every database: SQLite holds decimals as 64-bit reals.
const SIGNIFICANT_DIGITS_MAX: u32 = 15;

/// Ten-thousandths that a decimal column holds: 15 digits before the point and 4 after it.
const DECIMAL_UNITS_MAX: i128 = 10_i128.pow(19) - 1;

/// Largest measure that is kept. A larger one would overflow the sums of the marts.
const DOUBLE_MAX: f64 = 1e15;

/// Significant digits that a 64-bit binary floating point number keeps.
const DOUBLE_DIGITS_MAX: usize = 17;

/// Largest exponent accepted in JSON's `1.5E3`; anything beyond could not be stored anyway.
const EXPONENT_MAX: i32 = 40;

/// Every number of this many digits fits 64 bits.
const PLAIN_DIGITS_MAX: usize = 18;

/// Maximum number of separators in one number. With groups of three digits, that is more digits
/// than any column keeps.
const SEPARATORS_MAX: usize = 16;

/// The hyphen, and the typographic minus sign.
const MINUS: [char; 2] = ['-', '\u{2212}'];

/// What stands before the decimals of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DecimalSign {
    /// `12.50`
    #[serde(rename = ".")]
    Point,
    /// `12,50`
    #[serde(rename = ",")]
    Comma,
}

impl DecimalSign {
    /// The sign itself.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Point => ".",
            Self::Comma => ",",
        }
    }

    /// The sign that this text is.
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "." => Some(Self::Point),
            "," => Some(Self::Comma),
            _ => None,
        }
    }

    /// The other sign.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }
}

/// How `.` and `,` are read in the numbers of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decimals {
    /// A point stands before decimals: declared, or proved by the column.
    #[default]
    Point,
    /// A comma stands before decimals: declared, or proved by the column.
    Comma,
    /// Other columns prove a point. A comma may be anything, and does not separate groups.
    PointOnly,
    /// Nothing proves either sign: a text is a number only if it can be read in just one way.
    Open,
    /// The column proves both signs: a text with either sign is not a number.
    Neither,
    /// Not known yet: a text is a number if it can be read in either way.
    Either,
}

impl From<DecimalSign> for Decimals {
    fn from(sign: DecimalSign) -> Self {
        match sign {
            DecimalSign::Point => Self::Point,
            DecimalSign::Comma => Self::Comma,
        }
    }
}

/// The rules by which the texts of a column are numbers.
#[derive(Clone, Debug, Default)]
pub struct NumberRules {
    /// How `.` and `,` are read.
    pub decimals: Decimals,
    /// What may stand beside a number.
    pub currencies: Arc<Currencies>,
    /// Whether the column is declared. If so, ISO 4217 codes may stand beside a number too.
    pub is_declared: bool,
}

impl NumberRules {
    /// The same with another reading of `.` and `,`.
    #[must_use]
    pub fn reading(&self, decimals: Decimals) -> Self {
        Self { decimals, ..self.clone() }
    }
}

/// Parses money or a quantity into ten-thousandths: `KSh 1,250.50` is 12505000.
///
/// Rounds half away from zero. `None` when the text is not a number, or when the rounded value
/// needs more than 15 significant digits, or is too large to be stored.
pub fn parse_decimal(text: &str, rules: &NumberRules) -> Option<i128> {
    if let Some(units) = plain_units(text, rules.decimals) {
        return Some(units.into());
    }
    let spelling = Spelling::of(text, rules)?;
    if let Some(units) = plain_units(spelling.body, rules.decimals) {
        let units = i128::from(units);
        return Some(if spelling.is_negative { -units } else { units });
    }
    spelling.number(rules.decimals)?.ten_thousandths()
}

/// Parses a whole number: `1,250` and `12.0` are whole numbers, `1.5` is not.
pub fn parse_integer(text: &str, rules: &NumberRules) -> Option<i64> {
    let text = trimmed(text);
    if (1..=PLAIN_DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some(text.bytes().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')));
    }
    Spelling::of(text, rules)?.number(rules.decimals)?.whole()
}

/// Parses a measure. `None` when the text is not a number, or too large for one.
pub fn parse_double(text: &str, rules: &NumberRules) -> Option<f64> {
    let text = trimmed(text);
    if is_plain_measure(text, rules.decimals) {
        return text.parse::<f64>().ok().filter(|value| value.abs() < DOUBLE_MAX);
    }
    Spelling::of(text, rules)?.number(rules.decimals)?.measure()
}

/// Fast path for nearly every number, in ten-thousandths: ASCII digits with at most one point and
/// at most four digits after it, few enough for any database. `None` says nothing about other
/// texts.
fn plain_units(text: &str, decimals: Decimals) -> Option<i64> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > SIGNIFICANT_DIGITS_MAX as usize {
        return None;
    }
    let may_have_point = matches!(decimals, Decimals::Point | Decimals::PointOnly);
    let mut units: i64 = 0;
    let mut places = None;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                units = units * 10 + i64::from(byte - b'0');
                places = places.map(|places| places + 1);
            }
            b'.' if places.is_none() && may_have_point => places = Some(0),
            _ => return None,
        }
    }
    let missing = match places {
        None => DECIMAL_SCALE,
        Some(places @ 1..=DECIMAL_SCALE) if digits[0] != b'.' => DECIMAL_SCALE - places,
        Some(_) => return None,
    };
    // 15 digits with four zeros behind them have 19 digits, and such a number fits 64 bits only
    // below 9.2e18.
    let units = units.checked_mul(10_i64.pow(missing))?;
    Some(if is_negative { -units } else { units })
}

/// Whether the text is only digits with at most one point between them. The standard library reads
/// such a text as this policy does.
fn is_plain_measure(text: &str, decimals: Decimals) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let (Some(first), Some(last)) = (digits.first(), digits.last()) else { return false };
    let may_have_point = matches!(decimals, Decimals::Point | Decimals::PointOnly);
    let mut points = 0;
    for byte in digits {
        match byte {
            b'0'..=b'9' => {}
            b'.' => points += 1,
            _ => return false,
        }
    }
    first.is_ascii_digit()
        && last.is_ascii_digit()
        && (points == 0 || points == 1 && may_have_point)
}

/// A text, split into what may be a number and what stands around it.
#[derive(Clone, Copy, Debug)]
pub struct Spelling<'t> {
    is_negative: bool,
    /// Digits, and signs among them.
    body: &'t str,
    /// The currency beside it.
    pub currency: Option<&'t str>,
    /// Whether digits stand behind a `+`.
    has_plus: bool,
    separators: Separators,
}

/// The signs among the digits of a number, and how many digits stand between them.
#[derive(Clone, Copy, Debug, Default)]
struct Separators {
    count: usize,
    signs: [char; SEPARATORS_MAX],
    /// Digits before the first sign.
    first_digits: usize,
    /// Digits after the last sign.
    last_digits: usize,
    /// Whether there are three digits between any two signs.
    are_groups: bool,
}

impl<'t> Spelling<'t> {
    /// Splits a text: at most one sign and one currency around digits. `None` if it has anything
    /// else.
    pub fn of(text: &'t str, rules: &NumberRules) -> Option<Self> {
        Self::taken_apart(trimmed(text), &rules.currencies, rules.is_declared)
    }

    fn taken_apart(text: &'t str, currencies: &Currencies, is_declared: bool) -> Option<Self> {
        let mut body = text;
        let mut sign = None;
        let mut currency = None;
        // Before the digits: a sign, a parenthesis that a closing one answers, and a currency, in
        // any order. A sign touches what it belongs to.
        loop {
            let first = body.chars().next()?;
            let before = match first {
                '0'..='9' | '.' | ',' => break,
                '(' if sign.is_none() && body.ends_with(')') => {
                    sign = Some('(');
                    body = body[1..body.len() - 1].trim_matches(is_space);
                    continue;
                }
                '(' if sign.is_none() => {
                    let (rest, found) =
                        currencies.split_back(body, is_declared).filter(|_| currency.is_none())?;
                    currency = Some(found);
                    body = rest.trim_end_matches(is_space);
                    continue;
                }
                '+' | '-' | '\u{2212}' if sign.is_none() => Some(first),
                _ => None,
            };
            if let Some(before) = before {
                sign = Some(before);
                body = &body[before.len_utf8()..];
                if body.starts_with(is_space) {
                    return None;
                }
                continue;
            }
            let (found, rest) =
                currencies.split_front(body, is_declared).filter(|_| currency.is_none())?;
            // `Tsh.5` may mean 0.5 or 5. The same holds for `Rs.5`, if `Rs` is a currency too.
            let is_short =
                found.strip_suffix('.').is_some_and(|short| currencies.is_currency(short));
            if found.ends_with(char::is_alphabetic) && rest.starts_with(['.', ','])
                || is_short && rest.starts_with(|c: char| c.is_ascii_digit())
            {
                return None;
            }
            currency = Some(found);
            body = rest.trim_start_matches(is_space);
        }
        while !body.ends_with(|c: char| c.is_ascii_digit()) {
            if let Some(rest) =
                body.strip_suffix(MINUS).filter(|rest| sign.is_none() && !rest.ends_with(is_space))
            {
                sign = Some('-');
                body = rest;
                continue;
            }
            let (rest, found) =
                currencies.split_back(body, is_declared).filter(|_| currency.is_none())?;
            currency = Some(found);
            body = rest.trim_end_matches(is_space);
        }
        let separators = Separators::of(body)?;
        let is_negative = matches!(sign, Some('-' | '\u{2212}' | '('));
        Some(Self { is_negative, body, currency, has_plus: sign == Some('+'), separators })
    }

    /// Whether it is written like a number and not like a code. Digits after a zero or a plus may
    /// be a code.
    pub fn is_code(&self) -> bool {
        self.has_plus || matches!(self.body.as_bytes(), [b'0', b'0'..=b'9', ..])
    }

    /// Which sign stands before its decimals, if only one reading makes it a number. Three digits
    /// behind one sign, and groups behind several of the same, prove nothing.
    pub fn proof(&self) -> Option<DecimalSign> {
        let signs = self.separators.signs();
        let decimal = |sign: &&char| matches!(sign, '.' | ',');
        let count = signs.iter().filter(decimal).count();
        if count == 0 || (count > 1 && signs.iter().all(|sign| *sign == signs[0])) {
            return None;
        }
        match (self.is_number('.'), self.is_number(',')) {
            (true, false) => Some(DecimalSign::Point),
            (false, true) => Some(DecimalSign::Comma),
            _ => None,
        }
    }

    /// Whether it is a number under at least one reading.
    pub fn is_number_of_either(&self) -> bool {
        self.is_number('.') || self.is_number(',')
    }

    /// The number that a column with this reading has for it.
    pub fn number(&self, decimals: Decimals) -> Option<Number> {
        let has = |sign: char| self.separators.signs().contains(&sign);
        let sign = match decimals {
            Decimals::Point => '.',
            Decimals::Comma => ',',
            Decimals::PointOnly if has(',') => return None,
            Decimals::PointOnly => '.',
            Decimals::Open | Decimals::Neither if !has('.') && !has(',') => '.',
            Decimals::Open => match self.proof()? {
                DecimalSign::Point => '.',
                DecimalSign::Comma => ',',
            },
            Decimals::Neither => return None,
            Decimals::Either if self.is_number('.') => '.',
            Decimals::Either => ',',
        };
        self.is_number(sign).then(|| {
            let scale =
                if self.separators.ends_with(sign) { self.separators.last_digits } else { 0 };
            let digits = self.body.bytes().filter(u8::is_ascii_digit).collect();
            Number {
                is_negative: self.is_negative,
                digits,
                scale: i32::try_from(scale).unwrap_or(i32::MAX),
            }
        })
    }

    /// Whether it is a number if this sign stands before decimals: it occurs at most once, as the
    /// last sign, and all other signs are equal and separate groups of three.
    fn is_number(&self, sign: char) -> bool {
        let Separators { count, first_digits, last_digits, are_groups, .. } = self.separators;
        let signs = self.separators.signs();
        let has_decimals = self.separators.ends_with(sign);
        let groups = if has_decimals { &signs[..count - 1] } else { signs };
        if groups.contains(&sign) || groups.iter().any(|group| *group != groups[0]) {
            return false;
        }
        if groups.is_empty() {
            return true;
        }
        (1..=3).contains(&first_digits)
            && !self.body.starts_with('0')
            && are_groups
            && (has_decimals || last_digits == 3)
    }
}

impl Separators {
    /// `None` when something is neither a digit nor a sign among digits, or where a number cannot
    /// end.
    fn of(body: &str) -> Option<Self> {
        let mut found = Self { are_groups: true, ..Self::default() };
        let mut digits = 0;
        for c in body.chars() {
            if c.is_ascii_digit() {
                digits += 1;
                continue;
            }
            if !(is_space(c) || matches!(c, '.' | ',' | '\'' | '\u{2019}'))
                || found.count == SEPARATORS_MAX
            {
                return None;
            }
            match found.count {
                0 => found.first_digits = digits,
                _ => found.are_groups &= digits == 3,
            }
            found.signs[found.count] = c;
            found.count += 1;
            digits = 0;
        }
        if found.count == 0 {
            found.first_digits = digits;
        }
        found.last_digits = digits;
        (digits > 0).then_some(found)
    }

    fn signs(&self) -> &[char] {
        &self.signs[..self.count]
    }

    fn ends_with(&self, sign: char) -> bool {
        self.signs().last() == Some(&sign)
    }
}

/// What may stand between groups of thousands, and around a currency: a space, also a no-break one.
const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}')
}

/// A parsed number: its digits without separators, and the place of the point among them.
#[derive(Clone, Debug)]
pub struct Number {
    is_negative: bool,
    digits: Vec<u8>,
    /// Digits after the point; negative when zeros are missing at the end.
    scale: i32,
}

impl Number {
    /// In units of 10^-4, rounded half away from zero, if a decimal column holds that on every
    /// database.
    pub fn ten_thousandths(&self) -> Option<i128> {
        let rounded = round_to_scale(self)?;
        let fits =
            rounded <= DECIMAL_UNITS_MAX && significant_digits(rounded) <= SIGNIFICANT_DIGITS_MAX;
        fits.then_some(if self.is_negative { -rounded } else { rounded })
    }

    /// As a whole number, if it is one.
    pub fn whole(&self) -> Option<i64> {
        let fraction = usize::try_from(self.scale.max(0)).ok()?;
        let split = self.digits.len().saturating_sub(fraction);
        let (whole, rest) = self.digits.split_at(split);
        if rest.iter().any(|&digit| digit != b'0') {
            return None;
        }
        let mut value: i64 = 0;
        let zeros = std::iter::repeat_n(&b'0', usize::try_from((-self.scale).max(0)).ok()?);
        for digit in whole.iter().chain(zeros) {
            // Counted downwards, because the negative range is one larger.
            value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
        }
        if self.is_negative { Some(value) } else { value.checked_neg() }
    }

    /// The nearest measure; `None` if the number is too large for one.
    pub fn measure(&self) -> Option<f64> {
        let sign = if self.is_negative { "-" } else { "" };
        let digits = std::str::from_utf8(&self.digits).ok()?;
        let text = format!("{sign}{digits}e{}", -self.scale);
        text.parse::<f64>().ok().filter(|value| value.abs() < DOUBLE_MAX)
    }

    /// Digits after the point, without zeros at the end.
    pub fn places(&self) -> u32 {
        let zeros_at_end = self.digits.iter().rev().take_while(|&&digit| digit == b'0').count();
        u32::try_from(i64::from(self.scale) - zeros_at_end as i64).unwrap_or(0)
    }

    /// Whether a decimal column holds it without rounding.
    pub fn is_exact_decimal(&self) -> bool {
        self.places() <= DECIMAL_SCALE && self.ten_thousandths().is_some()
    }

    /// Whether a measure holds it exactly: the shortest digits that identify the measure (at most
    /// 17) are the digits of the number. Then every place that writes the measure writes these
    /// digits.
    pub fn is_exact_measure(&self) -> bool {
        let start = self.digits.iter().take_while(|&&digit| digit == b'0').count();
        let significant = &self.digits[start..];
        let zeros_at_end = significant.iter().rev().take_while(|&&digit| digit == b'0').count();
        let significant = &significant[..significant.len() - zeros_at_end];
        if significant.len() > DOUBLE_DIGITS_MAX {
            return false;
        }
        let Some(measure) = self.measure() else { return false };
        // Every measure keeps this few digits.
        if significant.len() <= SIGNIFICANT_DIGITS_MAX as usize {
            return true;
        }
        let has_same_digits = |text: String| {
            let mantissa = text.split('e').next().unwrap_or_default();
            let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
            let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
            digits[..digits.len() - zeros] == *significant
        };
        has_same_digits(format!("{measure:e}"))
    }
}

/// A number of JSON as a text that a column with this reading reads as the same number: JSON
/// numbers are clear, whatever the other values of the column are. `None` if it is not a number, or
/// too long.
pub fn clear_text(json: &str, decimals: Decimals) -> Option<String> {
    let (mantissa, exponent) = match json.find(['e', 'E']) {
        Some(at) => (&json[..at], parse_exponent(&json[at + 1..])?),
        None => (json, 0),
    };
    let (sign, unsigned) =
        mantissa.strip_prefix('-').map_or(("", mantissa), |unsigned| ("-", unsigned));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
    while scale < 0 {
        digits.push('0');
        scale += 1;
    }
    let scale = usize::try_from(scale).ok()?;
    while digits.len() <= scale {
        digits.insert(0, '0');
    }
    let whole = digits[..digits.len() - scale].trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = digits[digits.len() - scale..].trim_end_matches('0');
    if fraction.is_empty() {
        // `0.00` is not the word `0`, which may mean no value.
        let zero = if decimals == Decimals::Comma && json.contains('.') { ",0" } else { "" };
        return Some(format!("{sign}{whole}{zero}"));
    }
    let point = if decimals == Decimals::Comma { ',' } else { '.' };
    // Three digits behind a point could be a group.
    let zero = if decimals == Decimals::Open && fraction.len() == 3 { "0" } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}{zero}"))
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = text.parse().ok()?;
    (exponent.abs() <= EXPONENT_MAX).then_some(exponent)
}

/// The value in units of 10^-4, half away from zero.
fn round_to_scale(number: &Number) -> Option<i128> {
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
    // If more digits are dropped than there are, the first dropped digit is a zero in front of
    // them.
    let is_rounded_up = dropped <= number.digits.len()
        && number.digits.get(kept).is_some_and(|&digit| digit >= b'5');
    Some(value + i128::from(is_rounded_up))
}

fn digits_value(digits: &[u8]) -> Option<i128> {
    digits.iter().try_fold(0_i128, |value, digit| {
        value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))
    })
}

/// Digits between the first and the last that is not zero.
fn significant_digits(mut value: i128) -> u32 {
    while value != 0 && value % 10 == 0 {
        value /= 10;
    }
    value.checked_ilog10().map_or(0, |digits| digits + 1)
}

#[cfg(test)]
#[path = "number_tests.rs"]
mod tests;
