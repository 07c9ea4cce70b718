//! Name: what a dataset is called after the name of a file, and the pattern of that file's later
//! siblings.

use crate::feed::layout::shortened;
use crate::feed::table_names;
use crate::values::moment::parse_day;
use regex::Regex;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Ends of names of packed files.
const PACKED: [&str; 2] = [".gz", ".zst"];

/// A day, other numbers, and what stands between them.
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?<day>\d{4}-?\d{2}-?\d{2})|(?<market>(?i:market|shop|store|filiale|branch)[ _-]?)(?<number>\d+)|(?<digits>\d+)")
        .expect("the pattern is a constant")
});

/// What a file's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// A name for the dataset, which others may have, too.
    pub dataset: String,
    /// The pattern of paths of this file and its siblings.
    pub pattern: String,
    /// Whether the pattern captures a market.
    pub has_market: bool,
}

impl FileName {
    /// Reads the name of a file, as paths have it.
    pub fn of(name: &str) -> Self {
        let packed = PACKED
            .iter()
            .find(|end| name.to_lowercase().ends_with(**end))
            .map_or(0, |end| end.len());
        let plain = &name[..name.len() - packed];
        let (stem, extension) = plain.rsplit_once('.').unwrap_or((plain, ""));
        let Generalised { pattern, words, has_market } = Generalised::of(stem);
        let extension =
            if extension.is_empty() { String::new() } else { format!(r"\.{}", escaped(extension)) };
        Self {
            dataset: table_names::of_file(&words),
            pattern: format!(r"(?i)/{pattern}{extension}(?:\.(?:gz|zst))?$"),
            has_market,
        }
    }

    /// The pattern of nothing but a file of that very name.
    pub fn exact(name: &str) -> String {
        format!("/{}$", escaped(name))
    }
}

/// A stem with its days and numbers left open.
struct Generalised {
    pattern: String,
    /// What is left without them.
    words: String,
    has_market: bool,
}

impl Generalised {
    fn of(stem: &str) -> Self {
        let is_day = |text: &str| parse_day(text).is_some();
        let touches_digit = |start: usize, end: usize| {
            let bytes = stem.as_bytes();
            let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
            is_digit(start.checked_sub(1).and_then(|at| bytes.get(at))) || is_digit(bytes.get(end))
        };
        let days = PARTS.captures_iter(stem).filter_map(|part| part.name("day"));
        let days =
            days.filter(|day| is_day(day.as_str()) && !touches_digit(day.start(), day.end()));
        let last_day = days.last().map(|day| day.start());
        let (mut pattern, mut words, mut end) = (String::new(), String::new(), 0);
        let mut has_market = false;
        for part in PARTS.captures_iter(stem) {
            let whole = part.get(0).expect("a match has a whole");
            let between = &stem[end..whole.start()];
            pattern.push_str(&escaped(between));
            words.push_str(between);
            end = whole.end();
            if Some(whole.start()) == last_day {
                pattern.push_str(r"(?<date>\d{4}-?\d{2}-?\d{2})");
                words.push(' ');
                continue;
            }
            match part.name("market") {
                Some(word) if !has_market => {
                    has_market = true;
                    pattern.push_str(&format!(r"{}(?<market>\d+)", escaped(word.as_str())));
                    words.push_str(word.as_str());
                }
                _ => push_number(&mut pattern, &mut words, whole.as_str(), between, &stem[end..]),
            }
        }
        pattern.push_str(&escaped(&stem[end..]));
        words.push_str(&stem[end..]);
        if last_day.is_none() {
            pattern.push_str(r"(?:[ _.-]*(?<date>\d{4}-?\d{2}-?\d{2}))?");
        }
        Self { pattern, words, has_market }
    }
}

/// A number between separators, or a long one, is another one in the next file; one in a word such
/// as `b2b` is not.
fn push_number(pattern: &mut String, words: &mut String, text: &str, before: &str, after: &str) {
    const LONG_DIGITS: usize = 4;
    let is_in_word =
        before.ends_with(char::is_alphabetic) || after.starts_with(char::is_alphabetic);
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_in_word && (text.len() < LONG_DIGITS || !is_number) {
        pattern.push_str(&escaped(text));
        words.push_str(text);
        return;
    }
    let open: String = text.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    let mut is_open = false;
    for c in open.chars() {
        match c {
            'd' if is_open => {}
            'd' => pattern.push_str(r"\d+"),
            other => pattern.push_str(&escaped(&other.to_string())),
        }
        is_open = c == 'd';
    }
    words.push(' ');
}

/// A text as a pattern of it, without signs that are not to be seen.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in regex::escape(text).chars() {
        match c {
            c if c.is_control() => pattern.push_str(&format!(r"\x{{{:x}}}", u32::from(c))),
            c => pattern.push(c),
        }
    }
    // Outside of classes it means nothing.
    pattern.replace(r"\-", "-")
}

/// The name, or the first one with a suffix that is not taken.
pub fn free_name(name: &str, taken: &HashSet<String>) -> String {
    let mut free = shortened(name, "");
    let mut suffix = 2;
    while taken.contains(&free) {
        free = shortened(name, &format!("_{suffix}"));
        suffix += 1;
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_numbers_are_left_open() {
        for (name, dataset, pattern) in [
            (
                "sales.csv",
                "sales",
                r"(?i)/sales(?:[ _.-]*(?<date>\d{4}-?\d{2}-?\d{2}))?\.csv(?:\.(?:gz|zst))?$",
            ),
            (
                "orders_export_2024-03-01.csv",
                "orders_export",
                r"(?i)/orders_export_(?<date>\d{4}-?\d{2}-?\d{2})\.csv(?:\.(?:gz|zst))?$",
            ),
            (
                "Market 1 Sales.csv.gz",
                "market_sales",
                r"(?i)/Market (?<market>\d+) Sales(?:[ _.-]*(?<date>\d{4}-?\d{2}-?\d{2}))?\.csv(?:\.(?:gz|zst))?$",
            ),
            (
                "b2b 17 (1).tsv",
                "b2b",
                r"(?i)/b2b \d+ \(\d+\)(?:[ _.-]*(?<date>\d{4}-?\d{2}-?\d{2}))?\.tsv(?:\.(?:gz|zst))?$",
            ),
            ("20240301.json", "file", r"(?i)/(?<date>\d{4}-?\d{2}-?\d{2})\.json(?:\.(?:gz|zst))?$"),
        ] {
            let found = FileName::of(name);
            assert_eq!((found.dataset.as_str(), found.pattern.as_str()), (dataset, pattern));
            assert!(
                Regex::new(&found.pattern).expect("a pattern").is_match(&format!("/inbox/{name}")),
                "{name}"
            );
        }
    }

    #[test]
    fn hostile_names_match_themselves() {
        for name in [
            "a'b\n(c[.csv",
            "x.y.z",
            "…",
            "12345678901",
            "2024-13-45.csv",
            "a\\b.csv",
            "shop1shop2.csv",
            "é'''\".json",
        ] {
            let path = format!("/in/{name}");
            for pattern in [FileName::of(name).pattern, FileName::exact(name)] {
                assert!(
                    Regex::new(&pattern).expect("a pattern").is_match(&path),
                    "{name}: {pattern}"
                );
                assert!(!pattern.contains('\n'));
            }
        }
    }

    #[test]
    fn names_that_are_taken_get_a_suffix() {
        let taken = HashSet::from(["orders".to_owned(), "orders_2".to_owned()]);
        assert_eq!(free_name("orders", &taken), "orders_3");
    }
}
