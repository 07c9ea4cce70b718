//! Any text as an amount, a whole number and a measure, under each reading of `.` and `,`, compared
//! with a slow reading by patterns. No text is two numbers: what nothing declares or proves is read
//! only as what it can only mean.

#![no_main]

use regex::Regex;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use tidegate::values::currency::Currencies;
use tidegate::values::number::{
    DecimalSign, Decimals, NumberRules, Spelling, clear_text, parse_decimal, parse_double,
    parse_integer,
};
use tidegate_fuzz::spelt;

const LETTERS: &str =
    "0123456789012345678900000.,.,-+eE()' \u{2019}\u{a0}\u{2009}\u{202f}\u{2212}₦$KShRs.NGNMx";

static CURRENCIES: LazyLock<Arc<Currencies>> = LazyLock::new(|| {
    let codes = [("KSh", "KES"), ("Rs.", "INR")];
    let codes = codes.map(|(sign, code)| (sign.to_owned(), vec![code.to_owned()]));
    Arc::new(Currencies::new(&BTreeMap::from(codes)))
});

/// Whole numbers with or without groups of one kind, and decimals behind a point or a comma.
static FORMS: LazyLock<[Vec<Regex>; 2]> = LazyLock::new(|| {
    [('.', ","), (',', ".")].map(|(sign, group)| {
        let separators = [group, "'", "\u{2019}", " ", "\u{a0}", "\u{2009}", "\u{202f}"];
        let form = |separator: &str| {
            let (sign, separator) = (regex::escape(&sign.to_string()), regex::escape(separator));
            let whole = format!("[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}})+|[0-9]+");
            Regex::new(&format!("^(?:{whole})?(?:{sign}[0-9]+)?$")).expect("made of constants")
        };
        separators.map(form).into()
    })
});

static FRONT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^(KSh|Rs\\.|\\p{Sc}|[A-Z]{3})").expect("a constant"));
static BACK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(KSh|Rs\\.|\\p{Sc}|[A-Z]{3})$").expect("a constant"));

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = spelt(input, LETTERS);
    let rules =
        |decimals| NumberRules { decimals, currencies: Arc::clone(&CURRENCIES), is_declared: true };
    let value = |decimals| parse_decimal(&text, &rules(decimals));
    let [point, comma] = [Decimals::Point, Decimals::Comma].map(value);
    for decimals in
        [Decimals::Point, Decimals::Comma, Decimals::PointOnly, Decimals::Open, Decimals::Neither]
    {
        let read = value(decimals);
        // No reading makes another number of it than one of the two signs does.
        assert!(read.is_none() || read == point || read == comma, "{text:?} {decimals:?}");
        if let (Some(whole), Some(units)) = (parse_integer(&text, &rules(decimals)), read) {
            assert_eq!(i128::from(whole) * 10_000, units, "{text:?} {decimals:?}");
        }
        if let (Some(measure), Some(units)) = (parse_double(&text, &rules(decimals)), read) {
            let difference = (measure * 10_000.0 - units as f64).abs();
            assert!(
                difference <= 0.5 + measure.abs() * 1e-11,
                "{text:?} {decimals:?}: {measure} {units}"
            );
        }
    }
    let [open, point_only] = [Decimals::Open, Decimals::PointOnly].map(value);
    let spelling = Spelling::of(&text, &rules(Decimals::Either));
    let has_both_ways = spelling.is_some_and(|spelling| {
        let number = |decimals| spelling.number(decimals).is_some();
        number(Decimals::Point) && number(Decimals::Comma)
    });
    if has_both_ways && point != comma {
        assert_eq!(open, None, "{text:?} may be either");
    }
    if text.contains(',') {
        assert_eq!(point_only, None, "{text:?}: a comma may be anything");
    }
    if !text.contains(['.', ',']) {
        assert_eq!([point, comma, open], [value(Decimals::Neither); 3], "{text:?}");
    }
    match spelling.and_then(|spelling| spelling.proof()) {
        Some(DecimalSign::Point) => assert_eq!(comma, None, "{text:?} proves a point"),
        Some(DecimalSign::Comma) => assert_eq!(point, None, "{text:?} proves a comma"),
        None => {}
    }
    for (sign, read) in [('.', point), (',', comma)] {
        assert_eq!(read, slow(text.trim(), sign), "{text:?} with {sign}");
    }
    // A number of JSON is the same to every column.
    if let Ok(serde_json::Value::Number(number)) = serde_json::from_str(&text) {
        let clear = |decimals| {
            clear_text(text.trim(), decimals)
                .and_then(|text| parse_decimal(&text, &rules(decimals)))
        };
        let texts =
            [Decimals::Point, Decimals::Comma, Decimals::PointOnly, Decimals::Open].map(clear);
        assert!(texts.iter().all(|other| *other == texts[0]), "{number}: {texts:?}");
    }
});

/// The number by patterns: rounded to four places, half away from zero, if fifteen significant
/// digits say it.
fn slow(text: &str, sign: char) -> Option<i128> {
    let (is_negative, body) = without_ends(text)?;
    let patterns = if sign == '.' { &FORMS[0] } else { &FORMS[1] };
    let is_number = body.ends_with(|c: char| c.is_ascii_digit())
        && patterns.iter().any(|form| form.is_match(&body));
    if !is_number {
        return None;
    }
    let (whole, fraction) = body.rsplit_once(sign).unwrap_or((&body, ""));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (whole, fraction) = (digits(whole), digits(fraction));
    let four: String = fraction.chars().chain("0000".chars()).take(4).collect();
    let units = format!("0{whole}{four}");
    let units = units.trim_start_matches('0');
    if units.len() > 30 {
        return None;
    }
    let mut units: i128 = if units.is_empty() { 0 } else { units.parse().expect("digits") };
    units += i128::from(fraction.chars().nth(4).is_some_and(|digit| digit >= '5'));
    let text = units.to_string();
    if text.trim_end_matches('0').len() > 15 || text.len() > 19 {
        return None;
    }
    Some(if is_negative { -units } else { units })
}

/// Takes sign, parentheses and currency off, each at most once.
fn without_ends(text: &str) -> Option<(bool, String)> {
    let space = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}');
    let (mut body, mut is_negative, mut has_sign, mut has_currency) =
        (text.to_owned(), false, false, false);
    let (front, back) = (&*FRONT, &*BACK);
    loop {
        let first = body.chars().next()?;
        if first.is_ascii_digit() || matches!(first, '.' | ',') {
            break;
        }
        if first == '(' && !has_sign && body.ends_with(')') && body.len() > 1 {
            (has_sign, is_negative) = (true, true);
            body = body[1..body.len() - 1].trim_matches(space).to_owned();
        } else if first == '(' && !has_sign {
            body = cut(&body, back, false, &mut has_currency)?.trim_end_matches(space).to_owned();
        } else if matches!(first, '+' | '-' | '\u{2212}') && !has_sign {
            (has_sign, is_negative) = (true, first != '+');
            body = body[first.len_utf8()..].to_owned();
            if body.starts_with(space) {
                return None;
            }
        } else {
            let rest = cut(&body, front, true, &mut has_currency)?;
            let currency = &body[..body.len() - rest.len()];
            if currency.ends_with(char::is_alphabetic) && rest.starts_with(['.', ',']) {
                return None;
            }
            body = rest.trim_start_matches(space).to_owned();
        }
    }
    while !body.ends_with(|c: char| c.is_ascii_digit()) {
        let minus = ['-', '\u{2212}'].into_iter().find(|&minus| body.ends_with(minus));
        if let Some(minus) = minus
            .filter(|minus| !has_sign && !body[..body.len() - minus.len_utf8()].ends_with(space))
        {
            (has_sign, is_negative) = (true, true);
            body.truncate(body.len() - minus.len_utf8());
        } else {
            body = cut(&body, back, false, &mut has_currency)?.trim_end_matches(space).to_owned();
        }
    }
    Some((is_negative, body))
}

/// The text without the currency at one of its ends; letters around one make it none.
fn cut(text: &str, pattern: &Regex, is_front: bool, has_currency: &mut bool) -> Option<String> {
    let found = pattern.find(text).filter(|_| !*has_currency)?;
    let currency = found.as_str();
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code && !tidegate::values::currency::is_iso_code(currency) {
        return None;
    }
    let rest = if is_front { &text[found.end()..] } else { &text[..found.start()] };
    let touches = match is_front {
        true => currency.ends_with(char::is_alphabetic) && rest.starts_with(char::is_alphabetic),
        false => currency.starts_with(char::is_alphabetic) && rest.ends_with(char::is_alphabetic),
    };
    *has_currency = true;
    (!touches).then(|| rest.to_owned())
}
