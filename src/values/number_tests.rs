//! Tests of the number policy: what is a number, which one, and what it proves.

use crate::values::number::*;
use std::collections::BTreeMap;

fn rules(decimals: Decimals, is_declared: bool) -> NumberRules {
    let codes = [
        ("KSh", vec!["KES"]),
        ("Rs.", vec!["INR"]),
        ("Sh", vec!["KES"]),
        ("Sh.", vec!["KES"]),
        ("$", vec!["USD"]),
    ];
    let codes: BTreeMap<String, Vec<String>> = codes
        .into_iter()
        .map(|(sign, codes)| (sign.to_owned(), codes.into_iter().map(str::to_owned).collect()))
        .collect();
    NumberRules { decimals, currencies: Arc::new(Currencies::new(&codes)), is_declared }
}

#[test]
fn money_is_read_with_its_dirt() {
    let point = rules(Decimals::Point, true);
    for (text, expected) in [
        ("104250", Some(1_042_500_000)),
        ("₦ 104250.00", Some(1_042_500_000)),
        ("KSh 1,250.50", Some(12_505_000)),
        ("1,250.50 KSh", Some(12_505_000)),
        ("NGN 1,250.50", Some(12_505_000)),
        ("-KSh 5", Some(-50_000)),
        ("KSh -5", Some(-50_000)),
        ("KSh 5-", Some(-50_000)),
        ("5-", Some(-50_000)),
        ("5- KSh", Some(-50_000)),
        ("\u{2212}5", Some(-50_000)),
        ("+5", Some(50_000)),
        ("(5.00)", Some(-50_000)),
        ("(KSh 5.00)", Some(-50_000)),
        ("KSh (5.00)", Some(-50_000)),
        ("(5.00) KSh", Some(-50_000)),
        ("(5.00)₦", Some(-50_000)),
        ("(5.00) km", None),
        ("KSh (5.00) KSh", None),
        ("$.5", Some(5_000)),
        ("Rs. 12", Some(120_000)),
        ("Rs.500", Some(5_000_000)),
        ("Sh.500", None),
        ("Sh. 500", Some(5_000_000)),
        ("-KSh.5", None),
        ("₦.5", Some(5_000)),
        ("1 250 000", Some(12_500_000_000)),
        ("1\u{202f}250.5", Some(12_505_000)),
        ("1\u{2009}250.5", Some(12_505_000)),
        ("1'250.50", Some(12_505_000)),
        ("1’250’000", Some(12_500_000_000)),
        ("1 250,000", None),
        ("1,250 000", None),
        ("0,250", None),
        ("1,250,50", None),
        ("₦ 0.0023773377665555553", Some(24)),
        ("0.00005", Some(1)),
        ("-0.00005", Some(-1)),
        ("0.00004999", Some(0)),
        ("0.000009", Some(0)),
        ("99999999999.9999", Some(999_999_999_999_999)),
        ("999999999999.9999", None),
        ("100000000000000", Some(1_000_000_000_000_000_000)),
        ("999999999999999", Some(9_999_999_999_999_990_000)),
        ("1000000000000000", None),
        ("2.5E3", None),
        ("1E17", None),
        ("1.2M", None),
        ("3.4k", None),
        ("250 CR", None),
        ("no 5", None),
        ("5 km", None),
        ("1,25", None),
        ("1,2500", None),
        ("1250,000", None),
        ("12.5.1", None),
        ("12.", None),
        ("12,", None),
        ("- 5", None),
        ("5 -", None),
        ("--5", None),
        ("-5-", None),
        ("-(5)", None),
        ("(-5)", None),
        ("(5", None),
        ("5)", None),
        ("5+", None),
        ("KSh 5 KSh", None),
        ("KSh 5 $", None),
        ("KSh", None),
        ("inf", None),
        ("", None),
        ("-", None),
        ("()", None),
        (".", None),
        (",", None),
        ("٣", None),
        ("1_000", None),
        ("0x10", None),
        ("1 2", None),
        ("12 345 6789", None),
        ("=\"5\"", None),
    ] {
        assert_eq!(parse_decimal(text, &point), expected, "{text}");
    }
}

#[test]
fn a_comma_before_decimals_makes_points_groups() {
    let comma = rules(Decimals::Comma, true);
    for (text, expected) in [
        ("1.250,50", Some(12_505_000)),
        ("1.250", Some(12_500_000)),
        ("1.250.000", Some(12_500_000_000)),
        ("12,5", Some(125_000)),
        ("0,350", Some(3_500)),
        ("1,250", Some(12_500)),
        ("12.5", None),
        ("0.350", None),
        ("1,250.50", None),
        ("1,250,000", None),
        ("1'250,5", Some(12_505_000)),
        ("5,00 €", Some(50_000)),
        ("12", Some(120_000)),
    ] {
        assert_eq!(parse_decimal(text, &comma), expected, "{text}");
    }
}

#[test]
fn what_nothing_proves_is_a_number_only_if_it_can_be_no_other() {
    let decimals = |text: &str, decimals| parse_decimal(text, &rules(decimals, true));
    for text in ["1.250", "1,250", "1,234,567", "101,102", "1.234.567"] {
        assert_eq!(decimals(text, Decimals::Open), None, "{text}");
        assert_eq!(decimals(text, Decimals::Neither), None, "{text}");
        assert!(decimals(text, Decimals::Either).is_some(), "{text}");
    }
    assert_eq!(decimals("12.5", Decimals::Open), Some(125_000));
    assert_eq!(decimals("12,5", Decimals::Open), Some(125_000));
    assert_eq!(decimals("12.5", Decimals::Neither), None);
    assert_eq!(decimals("12", Decimals::Neither), Some(120_000));
    assert_eq!(decimals("1 250", Decimals::Neither), Some(12_500_000));
    assert_eq!(decimals("1.250", Decimals::PointOnly), Some(12_500));
    assert_eq!(decimals("101,102", Decimals::PointOnly), None);
    assert_eq!(decimals("1,234,567", Decimals::PointOnly), None);
}

#[test]
fn a_value_proves_a_sign_if_only_one_makes_it_a_number() {
    use DecimalSign::{Comma, Point};
    let rules = rules(Decimals::Either, true);
    for (text, expected) in [
        ("12.5", Some(Point)),
        ("0.350", Some(Point)),
        ("1,250.50", Some(Point)),
        ("1 250.500", Some(Point)),
        ("1234.567", Some(Point)),
        ("KSh 12.50", Some(Point)),
        ("(12.50)", Some(Point)),
        (".5", Some(Point)),
        (".500", Some(Point)),
        ("12,5", Some(Comma)),
        ("0,350", Some(Comma)),
        ("1.250,50", Some(Comma)),
        ("1'250,500", Some(Comma)),
        ("1.250", None),
        ("1,250", None),
        ("1,234,567", None),
        ("1.234.567", None),
        ("1 250", None),
        ("12", None),
        ("12.5.1", None),
        ("1,25.5", None),
        ("20.02.2022", None),
        ("word", None),
    ] {
        let proof = Spelling::of(text, &rules).and_then(|spelling| spelling.proof());
        assert_eq!(proof, expected, "{text}");
    }
}

#[test]
fn letters_beside_a_found_number_are_a_currency_only_if_somebody_says_so() {
    let found = rules(Decimals::Point, false);
    for (text, expected) in [
        ("TOP 10", None),
        ("NGN 10", None),
        ("KSh 10", Some(100_000)),
        ("₦ 10", Some(100_000)),
        ("10 kg", None),
    ] {
        assert_eq!(parse_decimal(text, &found), expected, "{text}");
    }
}

#[test]
fn places_are_counted_and_measures_known_that_hold_all_digits() {
    let rules = rules(Decimals::Point, false);
    for (text, places, is_measure) in [
        ("12", 0, true),
        ("₦ 1,200.50", 1, true),
        ("0.00120", 4, true),
        ("-1.2611134", 7, true),
        ("0", 0, true),
        ("0.12345678901234567", 17, false),
        ("0.1234567890123456", 16, true),
        ("0.123456789012345678", 18, false),
        ("1234567890123456.5", 1, false),
        ("33868731567991.441", 3, false),
        ("0.30000000000000004", 17, true),
    ] {
        let number = Spelling::of(text, &rules)
            .and_then(|spelling| spelling.number(Decimals::Point))
            .expect(text);
        assert_eq!((number.places(), number.is_exact_measure()), (places, is_measure), "{text}");
    }
}

#[test]
fn codes_are_no_numbers_where_nobody_declares_them() {
    let rules = rules(Decimals::Point, false);
    for (text, expected) in [
        ("0712", true),
        ("007", true),
        ("+254700000000", true),
        ("0", false),
        ("0.5", false),
        ("-05", true),
        ("70", false),
    ] {
        let spelling = Spelling::of(text, &rules).expect(text);
        assert_eq!(spelling.is_code(), expected, "{text}");
    }
}

#[test]
fn whole_numbers_may_end_in_zeros_after_the_point() {
    let rules = rules(Decimals::Point, true);
    for (text, expected) in [
        ("12", Some(12)),
        (" 12.0 ", Some(12)),
        ("1,250", Some(1250)),
        ("-7", Some(-7)),
        ("7-", Some(-7)),
        ("1E3", None),
        ("12.5", None),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("true", None),
    ] {
        assert_eq!(parse_integer(text, &rules), expected, "{text}");
    }
}

#[test]
fn measures_are_finite() {
    let rules = rules(Decimals::Point, true);
    assert_eq!(parse_double("-1.2611134", &rules), Some(-1.261_113_4));
    assert_eq!(parse_double("11,997.31", &rules), Some(11997.31));
    assert_eq!(parse_double("\u{2212}1,997.5", &rules), Some(-1997.5));
    for text in [
        "3.7E+29",
        "3.7E+14",
        "-1000000000000000",
        "inf",
        "NaN",
        "0x10",
        "1_000",
        "",
        "5 km",
        "6,5311683",
        "12.",
    ] {
        assert_eq!(parse_double(text, &rules), None, "{text}");
    }
    let open = self::rules(Decimals::Open, true);
    assert_eq!(parse_double("6.531", &open), None);
    assert_eq!(parse_double("6.5311", &open), Some(6.5311));
}

#[test]
fn numbers_of_json_are_clear_whatever_their_column_is() {
    for (json, decimals, expected) in [
        ("1.250", Decimals::Point, Some("1.25")),
        ("1.125", Decimals::Open, Some("1.1250")),
        ("1.125", Decimals::Comma, Some("1,125")),
        ("-0.50", Decimals::Comma, Some("-0,5")),
        ("1.5e3", Decimals::Point, Some("1500")),
        ("1.5E-3", Decimals::Point, Some("0.0015")),
        ("123.0", Decimals::Comma, Some("123,0")),
        ("12345678901234567890", Decimals::Comma, Some("12345678901234567890")),
        ("1e99", Decimals::Point, None),
        ("true", Decimals::Point, None),
        ("\"5\"", Decimals::Point, None),
    ] {
        let text = clear_text(json, decimals);
        assert_eq!(text.as_deref(), expected, "{json}");
        if let (Some(text), true) = (text, json.len() < 12) {
            let rules = rules(decimals, true);
            let value = parse_double(&text, &rules);
            assert_eq!(value, json.parse().ok(), "{json} is {text}");
        }
    }
}
