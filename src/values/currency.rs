//! Currency: the sign or code beside an amount, and whether two of them can mean the same currency.
//!
//! A sign of Unicode's category Sc is always a currency. Letters are one only if they are declared:
//! `currencies` names them (`KSh`, `Rs.`), and declared columns also allow ISO 4217 codes. With
//! other letters, a text is not a number.

use std::collections::BTreeMap;

/// Signs by the codes that they may stand for.
pub type CurrencyCodes = BTreeMap<String, Vec<String>>;

/// The active codes of ISO 4217, sorted.
const ISO_CODES: [&str; 173] = [
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD",
    "CAD", "CDF", "CHE", "CHF", "CHW", "CLF", "CLP", "CNY", "COP", "COU", "CRC", "CUP", "CVE",
    "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL",
    "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR",
    "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD",
    "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK",
    "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO",
    "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON",
    "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD",
    "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD",
    "TZS", "UAH", "UGX", "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND", "VUV",
    "WST", "XAF", "XAG", "XAU", "XCD", "XCG", "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XUA",
    "YER", "ZAR", "ZMW", "ZWG",
];

/// Characters of an ISO code.
const CODE_CHARS: usize = 3;

/// The currencies that texts may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Currencies {
    /// Longest sign first, so that `Rs.` is met before `Rs`.
    signs: Vec<(String, Vec<String>)>,
    /// First bytes of those signs, as bits, for a fast check: almost no cell begins with one.
    starts: [u64; 4],
    /// Last bytes of them.
    ends: [u64; 4],
}

impl Currencies {
    /// The declared signs.
    pub fn new(codes: &CurrencyCodes) -> Self {
        let mut currencies = Self::default();
        for (sign, codes) in codes {
            let (Some(&first), Some(&last)) = (sign.as_bytes().first(), sign.as_bytes().last())
            else {
                continue;
            };
            currencies.starts[usize::from(first / 64)] |= 1 << (first % 64);
            currencies.ends[usize::from(last / 64)] |= 1 << (last % 64);
            currencies.signs.push((sign.clone(), codes.clone()));
        }
        currencies.signs.sort_by_key(|(sign, _)| std::cmp::Reverse(sign.len()));
        currencies
    }

    /// Splits the currency off the front of a text: it, and what follows.
    pub fn split_front<'t>(&self, text: &'t str, is_declared: bool) -> Option<(&'t str, &'t str)> {
        let first = *text.as_bytes().first()?;
        if first.is_ascii_digit() {
            return None;
        }
        let ends_as_word = |length: usize| {
            let (currency, rest) = text.split_at(length);
            !(currency.ends_with(char::is_alphabetic) && rest.starts_with(char::is_alphabetic))
        };
        if self.starts[usize::from(first / 64)] & 1 << (first % 64) != 0 {
            let is_front = |(sign, _): &&(String, Vec<String>)| text.starts_with(sign.as_str());
            if let Some((sign, _)) =
                self.signs.iter().find(is_front).filter(|(sign, _)| ends_as_word(sign.len()))
            {
                return Some(text.split_at(sign.len()));
            }
        }
        let sign = text.chars().next().filter(|&c| is_currency_sign(c));
        if let Some(sign) = sign {
            return Some(text.split_at(sign.len_utf8()));
        }
        let is_code = is_declared
            && text.get(..CODE_CHARS).is_some_and(is_iso_code)
            && ends_as_word(CODE_CHARS);
        is_code.then(|| text.split_at(CODE_CHARS))
    }

    /// Splits the currency off the end of a text: what comes before, and it.
    pub fn split_back<'t>(&self, text: &'t str, is_declared: bool) -> Option<(&'t str, &'t str)> {
        let last = *text.as_bytes().last()?;
        if last.is_ascii_digit() {
            return None;
        }
        let begins_as_word = |at: usize| {
            let (rest, currency) = text.split_at(at);
            !(currency.starts_with(char::is_alphabetic) && rest.ends_with(char::is_alphabetic))
        };
        if self.ends[usize::from(last / 64)] & 1 << (last % 64) != 0 {
            let is_back = |(sign, _): &&(String, Vec<String>)| text.ends_with(sign.as_str());
            let found = self.signs.iter().find(is_back).map(|(sign, _)| text.len() - sign.len());
            if let Some(at) = found.filter(|&at| begins_as_word(at)) {
                return Some(text.split_at(at));
            }
        }
        let sign = text.chars().next_back().filter(|&c| is_currency_sign(c));
        if let Some(sign) = sign {
            return Some(text.split_at(text.len() - sign.len_utf8()));
        }
        let at = text.len().checked_sub(CODE_CHARS)?;
        let is_code = is_declared && text.get(at..).is_some_and(is_iso_code) && begins_as_word(at);
        is_code.then(|| text.split_at(at))
    }

    /// Whether a text is nothing but a currency.
    pub fn is_currency(&self, text: &str) -> bool {
        self.split_front(text, true).is_some_and(|(_, rest)| rest.is_empty())
    }

    /// Whether two currencies have no code in common. A sign without declared codes equals only
    /// itself.
    pub fn contradict(&self, one: &str, other: &str) -> bool {
        let (one, other) = (plain(one), plain(other));
        if one == other {
            return false;
        }
        let is_of = |code: &str, currency: &str| match self.codes(currency) {
            Some(codes) => codes.iter().any(|own| own == code),
            None => code == currency,
        };
        match self.codes(one) {
            Some(codes) => !codes.iter().any(|code| is_of(code, other)),
            None => !is_of(one, other),
        }
    }

    fn codes(&self, currency: &str) -> Option<&[String]> {
        let is_it = |(sign, _): &&(String, Vec<String>)| plain(sign) == currency;
        self.signs.iter().find(is_it).map(|(_, codes)| codes.as_slice())
    }
}

/// The usual form of a currency sign: Unicode has wider ones of the same meaning, for East Asian
/// text ("Halfwidth and Fullwidth Forms").
pub fn plain(currency: &str) -> &str {
    match currency {
        "\u{ff04}" | "\u{fe69}" => "$",
        "\u{ffe0}" => "\u{a2}",
        "\u{ffe1}" => "\u{a3}",
        "\u{ffe5}" => "\u{a5}",
        "\u{ffe6}" => "\u{20a9}",
        currency => currency,
    }
}

/// Whether a text begins or ends with anything but digits and signs of numbers, as with a currency.
/// Almost no text does, and the first and last byte show that.
pub fn may_have_currency(text: &str) -> bool {
    let inner = text.trim_matches(['-', '+', '(', ')', '\u{2212}', ' ']).as_bytes();
    let is_other = |byte: &u8| !byte.is_ascii_digit() && *byte != b'.';
    inner.first().is_some_and(is_other) || inner.last().is_some_and(is_other)
}

/// Whether it is a code of ISO 4217, in capitals.
pub fn is_iso_code(text: &str) -> bool {
    text.len() == CODE_CHARS
        && text.bytes().all(|byte| byte.is_ascii_uppercase())
        && ISO_CODES.contains(&text)
}

/// Whether it is of Unicode's general category Sc.
pub const fn is_currency_sign(c: char) -> bool {
    matches!(
        c,
        '$' | '\u{a2}'..='\u{a5}' | '\u{58f}' | '\u{60b}' | '\u{7fe}' | '\u{7ff}' | '\u{9f2}' | '\u{9f3}' | '\u{9fb}'
            | '\u{af1}' | '\u{bf9}' | '\u{e3f}' | '\u{17db}' | '\u{20a0}'..='\u{20c0}' | '\u{a838}' | '\u{fdfc}'
            | '\u{fe69}' | '\u{ff04}' | '\u{ffe0}' | '\u{ffe1}' | '\u{ffe5}' | '\u{ffe6}'
            | '\u{11fdd}'..='\u{11fe0}' | '\u{1e2ff}' | '\u{1ecb0}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currencies() -> Currencies {
        let codes = [
            ("KSh", vec!["KES"]),
            ("Rs.", vec!["INR", "PKR"]),
            ("Rs", vec!["INR", "PKR"]),
            ("$", vec!["USD", "CAD"]),
            ("US$", vec!["USD"]),
            ("€", vec!["EUR"]),
        ];
        let codes = codes
            .into_iter()
            .map(|(sign, codes)| (sign.to_owned(), codes.into_iter().map(str::to_owned).collect()));
        Currencies::new(&codes.collect())
    }

    #[test]
    fn signs_codes_and_declared_letters_are_currencies_and_other_letters_are_none() {
        let currencies = currencies();
        for (text, is_declared, front) in [
            ("KSh 5", false, Some("KSh")),
            ("KShs 5", false, None),
            ("Rs.500", false, Some("Rs.")),
            ("US$5", false, Some("US$")),
            ("₦5", false, Some("₦")),
            ("NGN 5", true, Some("NGN")),
            ("NGN 5", false, None),
            ("ngn 5", true, None),
            ("TOP 10", false, None),
            ("NGNX 5", true, None),
            ("no 5", true, None),
            ("5", true, None),
            ("", true, None),
        ] {
            assert_eq!(
                currencies.split_front(text, is_declared).map(|(front, _)| front),
                front,
                "{text}"
            );
        }
        for (text, is_declared, back) in [
            ("5 KSh", false, Some("KSh")),
            ("5 xKSh", false, None),
            ("5€", false, Some("€")),
            ("5 EUR", true, Some("EUR")),
            ("5 EUR", false, None),
            ("250 CR", true, None),
            ("1.2M", true, None),
        ] {
            assert_eq!(
                currencies.split_back(text, is_declared).map(|(_, back)| back),
                back,
                "{text}"
            );
        }
    }

    #[test]
    fn currencies_contradict_each_other_only_without_a_code_in_common() {
        let currencies = currencies();
        for (one, other, contradict) in [
            ("￥", "¥", false),
            ("＄", "CAD", false),
            ("＄", "€", true),
            ("$", "US$", false),
            ("$", "CAD", false),
            ("US$", "CAD", true),
            ("KSh", "KES", false),
            ("KSh", "₦", true),
            ("₦", "₦", false),
            ("₦", "NGN", true),
            ("€", "EUR", false),
        ] {
            assert_eq!(currencies.contradict(one, other), contradict, "{one} {other}");
            assert_eq!(currencies.contradict(other, one), contradict, "{other} {one}");
        }
    }
}
