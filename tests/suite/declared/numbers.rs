//! Numbers as a declaration says that they are written, and what they are.

use super::table::{Cell, Value};
use crate::exactness::rounded;
use crate::written::grouped;
use fastrand::Rng;

/// Signs of currencies that only a declaration makes known, with the codes that they may be.
pub const SIGNS: [(&str, &str); 4] = [("KSh", "KES"), ("Rs.", "INR"), ("zł", "PLN"), ("Tk", "BDT")];

/// What holds a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Integer,
    Decimal,
    Double,
}

/// How the numbers of a column are written.
#[derive(Clone, Debug)]
pub struct Style {
    pub decimal: char,
    group: Option<char>,
    pub currency: Option<&'static str>,
    minus: usize,
    is_behind: bool,
    is_touching: bool,
}

impl Style {
    pub fn any(random: &mut Rng, decimal: char, is_encodable: impl Fn(&str) -> bool) -> Self {
        let others: &[char] = match decimal {
            '.' => &[',', ',', ',', '\'', ' ', '\u{a0}', '\u{2009}'],
            _ => &['.', '.', '.', '\'', '’', '\u{202f}', ' '],
        };
        let group = others[random.usize(..others.len())];
        let currency = match random.u8(..3) {
            0 => Some(
                ["€", "$", "₦", "£", "NGN", "EUR", "KSh", "Rs.", "zł", "Tk"][random.usize(..10)],
            ),
            _ => None,
        };
        Self {
            decimal,
            group: (random.u8(..4) > 0 && is_encodable(&group.to_string())).then_some(group),
            currency: currency.filter(|currency| is_encodable(currency)),
            minus: random.usize(..if is_encodable("\u{2212}") { 4 } else { 3 }),
            is_behind: random.bool(),
            is_touching: random.bool(),
        }
    }

    /// A number, and what its column has of it.
    pub fn cell(&self, random: &mut Rng, holder: Holder) -> Cell {
        let places = match holder {
            Holder::Integer => [0, 0, 0, 0, 0, 1, 2][random.usize(..7)],
            Holder::Decimal => [0, 2, 2, 2, 3, 3, 1, 4, 5, 6][random.usize(..10)],
            Holder::Double => random.usize(..8),
        };
        let digits = random.u32(1..8);
        // Four digits in front of three are what a wrong reading of signs would not notice.
        let digits = if random.u8(..3) == 0 { 4 } else { digits };
        let whole = random.u64(..10_u64.pow(digits)).to_string();
        let fraction: String = match holder {
            // A whole number with decimals is one only where they are zeros.
            Holder::Integer if random.u8(..8) > 0 => "0".repeat(places),
            _ => (0..places).map(|_| char::from(b'0' + random.u8(..10))).collect(),
        };
        let is_negative = random.u8(..5) == 0;
        let sign = if is_negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        let plain = format!("{sign}{whole}{point}{fraction}");
        let value = match holder {
            Holder::Integer if fraction.bytes().any(|digit| digit != b'0') => Value::Rescued,
            Holder::Integer => Value::Whole(format!("{sign}{whole}").parse().expect("digits")),
            Holder::Decimal => Value::Real(rounded(&plain)),
            Holder::Double => Value::Real(plain.clone()),
        };
        let text = self.written(random, &whole, &fraction, is_negative);
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let plain = match random.u8(..6) {
            0 if !digits.is_empty() => format!("{sign}{digits}e-{}", fraction.len()),
            1 if !digits.is_empty() => format!("{sign}{digits}0E-{}", fraction.len() + 1),
            _ => plain,
        };
        Cell { raw: Some(plain), ..Cell::of(&text, value) }
    }

    fn written(&self, random: &mut Rng, whole: &str, fraction: &str, is_negative: bool) -> String {
        let is_grouped = random.u8(..3) > 0;
        let mut text = match self.group.filter(|_| is_grouped) {
            Some(group) => grouped(whole, group),
            // Only in found columns digits behind a zero may be a name.
            None if random.u8(..8) == 0 => format!("00{whole}"),
            None => whole.to_owned(),
        };
        if !fraction.is_empty() {
            text.push(self.decimal);
            text.push_str(fraction);
        }
        let signed = |text: &str| match self.minus {
            _ if !is_negative => text.to_owned(),
            0 => format!("-{text}"),
            1 => format!("{text}-"),
            2 => format!("({text})"),
            _ => format!("\u{2212}{text}"),
        };
        let Some(currency) = self.currency.filter(|_| random.u8(..5) > 0) else {
            return signed(&text);
        };
        // `Rs.5` may be half of a rupee.
        let space = if self.is_touching && !currency.ends_with('.') { "" } else { " " };
        let beside = |text: &str| match self.is_behind {
            true => format!("{text}{space}{currency}"),
            false => format!("{currency}{space}{text}"),
        };
        if random.bool() { signed(&beside(&text)) } else { beside(&signed(&text)) }
    }
}
