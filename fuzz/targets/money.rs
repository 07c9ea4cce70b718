//! Any text as an amount, a whole number and a measure, compared with slow arithmetic on digits as text.

#![no_main]

use tidegate::number::{count_digits, parse_decimal, parse_double, parse_integer};
use tidegate_fuzz::spelt;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = spelt(input, "0123456789012345678900.,-+eE \u{a0}\u{202f}\u{2212}₦KSh$£.xé");
    let number = Number::read(text.trim(), true);
    assert_eq!(parse_decimal(&text), number.as_ref().and_then(Number::ten_thousandths), "{text:?}");
    assert_eq!(count_digits(&text).is_some(), number.is_some(), "{text:?}");
    let plain = Number::read(text.trim(), false);
    assert_eq!(parse_integer(&text), plain.as_ref().and_then(Number::whole), "{text:?}");
    let measure = plain.as_ref().map(Number::measure).filter(|value| value.abs() < 1e15);
    assert_eq!(parse_double(&text), measure, "{text:?}");
});

/// A number as its digits: `digits` with the point before the last `scale` of them, however many zeros that takes.
struct Number {
    is_negative: bool,
    digits: String,
    scale: i64,
}

impl Number {
    fn read(text: &str, with_currency: bool) -> Option<Self> {
        let (sign, rest) = sign(text);
        let mut rest = rest;
        let mut is_negative = sign == Some('-');
        if with_currency {
            let bare = without_currency(if sign == Some('-') { rest.trim_start() } else { text })?;
            if bare.is_cut {
                // A sign may stand before the currency or behind it, not on both sides.
                let (inner, unsigned) = self::sign(bare.number);
                if inner.is_some() && is_negative {
                    return None;
                }
                is_negative |= inner == Some('-');
                rest = unsigned;
            }
        }
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            None => (rest, 0),
            Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = grouped(whole)?;
        if !fraction.chars().all(|c| c.is_ascii_digit()) || whole.len() + fraction.len() == 0 {
            return None;
        }
        Some(Self { is_negative, digits: whole + fraction, scale: fraction.len() as i64 - exponent })
    }

    /// Digits before the point and behind it.
    fn parts(&self) -> (String, String) {
        let mut digits = self.digits.clone();
        let mut scale = self.scale;
        while scale < 0 {
            digits.push('0');
            scale += 1;
        }
        while (digits.len() as i64) < scale {
            digits.insert(0, '0');
        }
        let fraction = digits.split_off(digits.len() - scale as usize);
        (digits, fraction)
    }

    /// Rounded to four places, half away from zero, if fifteen significant digits say it.
    fn ten_thousandths(&self) -> Option<i128> {
        let (whole, fraction) = self.parts();
        let is_rounded_up = fraction.chars().nth(4).is_some_and(|digit| digit >= '5');
        let four: String = fraction.chars().chain("0000".chars()).take(4).collect();
        let mut digits: Vec<char> = format!("0{whole}{four}").chars().collect();
        if is_rounded_up {
            for digit in digits.iter_mut().rev() {
                if *digit != '9' {
                    *digit = char::from(*digit as u8 + 1);
                    break;
                }
                *digit = '0';
            }
        }
        let text: String = digits.into_iter().collect();
        let text = text.trim_start_matches('0');
        if text.trim_end_matches('0').len() > 15 || text.len() > 19 {
            return None;
        }
        let value: i128 = if text.is_empty() { 0 } else { text.parse().expect("at most 19 digits") };
        Some(if self.is_negative { -value } else { value })
    }

    fn whole(&self) -> Option<i64> {
        let (whole, fraction) = self.parts();
        if fraction.contains(|digit| digit != '0') {
            return None;
        }
        let sign = if self.is_negative { "-" } else { "" };
        let whole = whole.trim_start_matches('0');
        format!("{sign}{}", if whole.is_empty() { "0" } else { whole }).parse().ok()
    }

    fn measure(&self) -> f64 {
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, -self.scale).parse().expect("digits and an exponent")
    }
}

fn sign(text: &str) -> (Option<char>, &str) {
    let mut chars = text.chars();
    match chars.next() {
        Some('-' | '\u{2212}') => (Some('-'), chars.as_str()),
        Some('+') => (Some('+'), chars.as_str()),
        _ => (None, text),
    }
}

struct Bare<'a> {
    number: &'a str,
    is_cut: bool,
}

/// A sign or code of one to four letters on one side.
fn without_currency(text: &str) -> Option<Bare<'_>> {
    let is_currency = |c: char| c.is_alphabetic() || "₦$£".contains(c);
    let before: String = text.chars().take_while(|&c| is_currency(c)).collect();
    let after: String = text.chars().rev().take_while(|&c| is_currency(c)).collect();
    if !before.is_empty() {
        let number = &text[before.len()..];
        let number = match number.strip_prefix('.') {
            Some(rest) if rest.chars().next().is_some_and(char::is_whitespace) => rest,
            _ => number,
        };
        return (before.chars().count() <= 4).then(|| Bare { number: number.trim_start(), is_cut: true });
    }
    if !after.is_empty() {
        let number = &text[..text.len() - after.len()];
        return (after.chars().count() <= 4).then(|| Bare { number: number.trim_end(), is_cut: true });
    }
    Some(Bare { number: text, is_cut: false })
}

fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_short = (1..=3).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    let value: i64 = is_short.then(|| text.parse().ok()).flatten()?;
    (value.abs() <= 40).then_some(value)
}

/// Digits, or groups of three behind a first one of up to three.
fn grouped(whole: &str) -> Option<String> {
    let groups: Vec<&str> = whole.split([',', ' ', '\u{a0}', '\u{202f}']).collect();
    if !groups.iter().all(|group| group.chars().all(|c| c.is_ascii_digit())) {
        return None;
    }
    let fits = groups.len() == 1
        || ((1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3));
    fits.then(|| groups.concat())
}
