//! Inference: what the values of a column have in common, so that it gets the narrowest kind that holds
//! all of them, or a wider one than it has.
//!
//! A kind is only taken when it holds all that the values say: what looks like a number and may be a name,
//! such as `007`, `L7` or `+254700000000`, is text.

use crate::values::moment::{parse_day, parse_moment};
use crate::values::number::{DECIMAL_SCALE, count_digits, parse_decimal, parse_double, parse_integer};
use entity::Kind;

/// Significant digits that a binary floating point number of 64 bits gives back.
const DOUBLE_DIGITS_MAX: u32 = 17;

/// Digits of whole numbers that every kind of number holds.
const SHORT_DIGITS_MAX: usize = 15;

/// Characters of a day, which every moment begins with.
const DAY_CHARS: usize = 10;

/// What the values of a column have in common, as far as they were seen.
#[derive(Clone, Debug)]
pub struct Inference {
    is_identifier: bool,
    /// What the column holds already.
    stored: Option<Kind>,
    may_be_integer: bool,
    may_be_decimal: bool,
    may_be_double: bool,
    may_be_day: bool,
    may_be_time: bool,
    has_values: bool,
    /// The letters that stand beside every amount.
    currency: Option<String>,
}

impl Inference {
    /// Nothing seen yet of a column that is new, or holds values of the stored kind. Names of identifiers are
    /// text whatever their values look like.
    pub fn new(name: &str, stored: Option<Kind>) -> Self {
        let is_identifier = name == "id" || name == "sku" || name.ends_with("_id");
        let may_be = |kinds: &[Kind]| stored.is_none_or(|stored| kinds.contains(&stored));
        Self {
            is_identifier,
            stored,
            may_be_integer: may_be(&[Kind::Integer]),
            may_be_decimal: may_be(&[Kind::Integer, Kind::Decimal]),
            may_be_double: may_be(&[Kind::Double]),
            may_be_day: may_be(&[Kind::Day]),
            may_be_time: may_be(&[Kind::Day, Kind::Time]),
            // An amount with letters beside plain numbers is text, and stored whole numbers had none.
            has_values: stored.is_some_and(|stored| stored != Kind::Decimal),
            currency: None,
        }
    }

    /// Takes one value that is not a null token into account.
    pub fn observe(&mut self, value: &str) {
        let value = value.trim();
        if is_short_integer(value) {
            self.may_be_day = false;
            self.may_be_time = false;
            self.has_values = true;
            return;
        }
        self.may_be_day &= is_held_by(Kind::Day, value);
        self.may_be_time &= is_held_by(Kind::Time, value);
        let is_number = is_plain_number(value) || self.is_amount(value);
        self.may_be_integer &= is_held_by(Kind::Integer, value);
        self.may_be_decimal &= is_number && is_exact_decimal(value);
        self.may_be_double &= is_held_by(Kind::Double, value);
        self.has_values = true;
    }

    /// The narrowest kind that holds every value seen and stored; `None` when there was none.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            _ if self.is_identifier => Some(Kind::Identifier),
            _ if !self.has_values => self.stored,
            _ if self.may_be_integer => Some(Kind::Integer),
            _ if self.may_be_decimal => Some(Kind::Decimal),
            _ if self.may_be_double => Some(Kind::Double),
            _ if self.may_be_day => Some(Kind::Day),
            _ if self.may_be_time => Some(Kind::Time),
            _ => Some(Kind::Text),
        }
    }

    /// `KSh 10.00`: letters apart from a number with two decimals, and the same letters in every value, so
    /// that a column without them says as much.
    fn is_amount(&mut self, value: &str) -> bool {
        let Some((one, other)) = value.split_once(' ') else { return false };
        let is_letters = |text: &str| text.chars().all(|c| c.is_alphabetic() || c == '.');
        let (currency, number) = if is_letters(one) { (one, other) } else { (other, one) };
        let has_cents = number.split_once('.').is_some_and(|(_, cents)| cents.len() == 2);
        if !is_letters(currency) || !has_cents || !is_plain_number(number) {
            return false;
        }
        if !self.has_values {
            self.currency = Some(currency.to_owned());
        }
        self.currency.as_deref() == Some(currency)
    }
}

/// Whether a column of that kind loses nothing of a value but its spelling.
pub fn is_held_by(kind: Kind, value: &str) -> bool {
    let value = value.trim();
    match kind {
        Kind::Integer => is_plain_number(value) && parse_integer(value).is_some(),
        Kind::Decimal => is_plain_number(value) && is_exact_decimal(value),
        Kind::Double => {
            let significant = count_digits(value).map_or(0, |(_, significant)| significant);
            is_plain_number(value) && significant <= DOUBLE_DIGITS_MAX && parse_double(value).is_some()
        }
        Kind::Day => value.len() == DAY_CHARS && parse_day(value).is_some(),
        Kind::Time => value.len() >= DAY_CHARS && parse_moment(value).is_some(),
        _ => true,
    }
}

/// As [`is_held_by`], with the letters of a currency beside an amount.
pub fn is_kept_by(kind: Kind, value: &str) -> bool {
    let value = value.trim();
    match kind {
        _ if is_short_integer(value) => !matches!(kind, Kind::Day | Kind::Time),
        Kind::Decimal => !is_code(value) && !value.starts_with('+') && is_exact_decimal(value),
        _ => is_held_by(kind, value),
    }
}

/// Whether a decimal column holds the number without rounding it.
fn is_exact_decimal(value: &str) -> bool {
    count_digits(value).is_some_and(|(places, _)| places <= DECIMAL_SCALE) && parse_decimal(value).is_some()
}

fn is_code(value: &str) -> bool {
    value.len() > 1 && value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether nothing but the value is lost when a text that can be read as a number is stored as one.
fn is_plain_number(value: &str) -> bool {
    !is_code(value) && !value.starts_with('+') && !value.contains(char::is_alphabetic)
}

/// Whether it is what most numbers are, which spares the longer look.
fn is_short_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value).as_bytes();
    let begins_well = digits.first().is_some_and(|&first| first != b'0' || digits.len() == 1);
    begins_well && digits.len() <= SHORT_DIGITS_MAX && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, stored: Option<Kind>, values: &[&str]) -> Option<Kind> {
        let mut inference = Inference::new(name, stored);
        values.iter().for_each(|value| inference.observe(value));
        inference.kind()
    }

    #[test]
    fn kinds_are_inferred_from_every_value() {
        let kind = |name: &str, values: &[&str]| kind(name, None, values).unwrap_or(Kind::Text);
        assert_eq!(kind("points", &["1", "20"]), Kind::Integer);
        assert_eq!(kind("points", &["1", "2.5"]), Kind::Decimal);
        assert_eq!(kind("points", &["1", "abc"]), Kind::Text);
        assert_eq!(kind("postcode", &["00123", "00124"]), Kind::Text);
        assert_eq!(kind("shelf", &["L7", "L8"]), Kind::Text);
        assert_eq!(kind("room", &["Room 5", "Room 6"]), Kind::Text);
        assert_eq!(kind("phone", &["+254700000000"]), Kind::Text);
        assert_eq!(kind("code", &["1E5"]), Kind::Text);
        assert_eq!(kind("barcode", &["12345678901234567890"]), Kind::Text);
        assert_eq!(kind("serial", &["1234567890123456789", "1.5"]), Kind::Text);
        assert_eq!(kind("latitude", &["-1.2611134", "36"]), Kind::Double);
        assert_eq!(kind("fee", &["KSh 10.00", "KSh 1,250.50"]), Kind::Decimal);
        assert_eq!(kind("fee", &["₦ 10", "₦ 0.5"]), Kind::Decimal);
        assert_eq!(kind("fee", &["KSh 10.00", "USD 10.00"]), Kind::Text);
        assert_eq!(kind("fee", &["10.00", "KSh 10.00"]), Kind::Text);
        assert_eq!(kind("at", &["2022-02-17T16:36:27Z"]), Kind::Time);
        assert_eq!(kind("at", &["2022-02-17", "2022-02-17T16:36:27Z"]), Kind::Time);
        assert_eq!(kind("day", &["2022-02-17", "2022-02-18"]), Kind::Day);
        assert_eq!(kind("day", &["2022-02-17", "17"]), Kind::Text);
        assert_eq!(kind("day", &["20220217"]), Kind::Integer);
        assert_eq!(kind("voucher_id", &["1"]), Kind::Identifier);
        assert_eq!(kind("empty", &[]), Kind::Text);
    }

    #[test]
    fn stored_values_count_as_seen() {
        let kind = |stored: Kind, values: &[&str]| kind("x", Some(stored), values);
        assert_eq!(kind(Kind::Integer, &[]), Some(Kind::Integer));
        assert_eq!(kind(Kind::Integer, &["5"]), Some(Kind::Integer));
        assert_eq!(kind(Kind::Integer, &["5.5"]), Some(Kind::Decimal));
        assert_eq!(kind(Kind::Integer, &["KSh 5.00"]), Some(Kind::Text));
        assert_eq!(kind(Kind::Integer, &["2022-02-17"]), Some(Kind::Text));
        assert_eq!(kind(Kind::Decimal, &["5"]), Some(Kind::Decimal));
        assert_eq!(kind(Kind::Decimal, &["KSh 5.00"]), Some(Kind::Decimal));
        assert_eq!(kind(Kind::Decimal, &["1.23456"]), Some(Kind::Text));
        assert_eq!(kind(Kind::Double, &["5"]), Some(Kind::Double));
        assert_eq!(kind(Kind::Double, &["five"]), Some(Kind::Text));
        assert_eq!(kind(Kind::Day, &["2022-02-17"]), Some(Kind::Day));
        assert_eq!(kind(Kind::Day, &["2022-02-17 08:00"]), Some(Kind::Time));
        assert_eq!(kind(Kind::Time, &["2022-02-17"]), Some(Kind::Time));
        assert_eq!(kind(Kind::Time, &["17/02/2022"]), Some(Kind::Text));
    }

    /// What the data needs is what joining the kinds says.
    #[test]
    fn kinds_join_as_their_values_do() {
        let values = [
            (Kind::Integer, "5"),
            (Kind::Decimal, "5.5"),
            (Kind::Double, "5.123456"),
            (Kind::Day, "2022-02-17"),
            (Kind::Time, "2022-02-17 08:00"),
            (Kind::Text, "five"),
        ];
        for (stored, _) in values.iter().filter(|(kind, _)| *kind != Kind::Text) {
            for (needed, value) in values {
                let joined = Some(stored.joined(needed));
                assert_eq!(kind("x", Some(*stored), &[value]), joined, "{stored:?} and {value}");
            }
        }
    }
}
