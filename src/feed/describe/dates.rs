//! Date facts: which ways of writing days and moments all values of a column have.
//!
//! Ways differ in the order of day, month and year. If the values have ways of two orders, nothing
//! proves which one is meant.

use crate::values::dates::{Dates, MomentRules};
use chrono_tz::Tz;
use std::sync::LazyLock;

/// Moments before this year are not moments, but short years read as long ones.
const YEAR_MIN_MS: i64 = -30_610_224_000_000;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The year.
    Year,
    /// The day.
    Day,
    /// The month.
    Month,
    /// The month has a name, so that the order does not matter.
    Named,
}

/// A way of writing days and moments.
#[derive(Debug)]
struct Way {
    /// What the configuration calls it.
    word: String,
    order: Order,
    rules: MomentRules,
    /// Whether a value begins with a year of four digits.
    begins_with_year: bool,
}

/// Patterns of days, and what comes first in them.
const DAYS: [(&str, Order); 19] = [
    ("%Y/%m/%d", Order::Year),
    ("%Y.%m.%d", Order::Year),
    ("%y-%m-%d", Order::Year),
    ("%y/%m/%d", Order::Year),
    ("%y.%m.%d", Order::Year),
    ("%d %b %y", Order::Named),
    ("%d-%b-%y", Order::Named),
    ("%b %d, %y", Order::Named),
    ("%b-%d-%y", Order::Named),
    ("%b-%d-%Y", Order::Named),
    ("%d %b %Y", Order::Named),
    ("%d-%b-%Y", Order::Named),
    ("%d. %B %Y", Order::Named),
    ("%d %B %Y", Order::Named),
    ("%b %d, %Y", Order::Named),
    ("%B %d, %Y", Order::Named),
    ("%b %d %Y", Order::Named),
    ("%a, %d %b %Y", Order::Named),
    ("%A, %B %d, %Y", Order::Named),
];

/// What may stand behind a day.
const CLOCKS: [&str; 9] = [
    "",
    " %H:%M",
    " %H:%M:%S",
    " %I:%M %p",
    " %I:%M:%S %p",
    ", %H:%M",
    ", %I:%M %p",
    " %H:%M:%S %z",
    "T%H:%M:%S",
];

/// Patterns other than a day with a clock after it.
const OTHERS: [(&str, Order); 3] = [
    ("%Y-%m-%d %I:%M %p", Order::Year),
    ("%Y-%m-%d %I:%M:%S %p", Order::Year),
    ("%d/%b/%Y:%H:%M:%S %z", Order::Named),
];

static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
    let with_clocks =
        DAYS.iter().flat_map(|&(day, order)| CLOCKS.map(|clock| (format!("{day}{clock}"), order)));
    let words = [("iso", Order::Year), ("dmy", Order::Day), ("mdy", Order::Month)]
        .into_iter()
        .chain(OTHERS);
    let all = words.map(|(word, order)| (word.to_owned(), order)).chain(with_clocks);
    all.filter_map(|(word, order)| Way::of(&word, order)).collect()
});

impl Way {
    fn of(word: &str, order: Order) -> Option<Self> {
        let dates = Dates::of(&[word.to_owned()]).ok()??;
        let rules = MomentRules { dates, zone: Tz::UTC };
        Some(Self { word: word.to_owned(), order, rules, begins_with_year: word.starts_with("%Y") })
    }

    /// Whether it reads a value, and whether as a day.
    fn reads(&self, text: &str) -> Option<bool> {
        let has_year = || text.len() > 4 && text.as_bytes()[..4].iter().all(u8::is_ascii_digit);
        // Eight digits may be a number.
        let is_short_year = self.word.starts_with("%y");
        if is_version(text)
            || (is_short_year && !text.as_bytes().iter().take(2).all(u8::is_ascii_digit))
        {
            return None;
        }
        let is_meant = text.len() >= 6
            && (!self.begins_with_year || has_year())
            && (self.word != "iso" || text.len() >= 10);
        let moment = self.rules.moment(text).filter(|&moment| is_meant && moment > YEAR_MIN_MS)?;
        Some(moment % crate::values::moment::DAY_MS == 0 && self.rules.day(text).is_some())
    }
}

/// Whether a text is rather a version: three numbers with points, without a long year and not all
/// of two digits.
fn is_version(text: &str) -> bool {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let parts: Vec<&str> = numbers.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| part.len() <= 2)
        && parts.iter().any(|part| part.len() != 2)
}

/// Which ways all values of a column have.
#[derive(Clone, Debug, Default)]
pub struct DateFacts {
    /// Ways that read all values so far; `None` before the first one.
    alive: Option<Vec<AliveWay>>,
    /// The first value that more than one order reads.
    open: Option<String>,
    /// Whether a value has a time of day without a zone.
    pub has_local_time: bool,
}

#[derive(Clone, Copy, Debug)]
struct AliveWay {
    way: usize,
    /// Whether all are days.
    are_days: bool,
}

/// What the values of a column prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatesProof {
    /// They are no days or moments.
    None,
    /// They are written this way.
    Way {
        /// What the configuration calls it.
        word: String,
        /// Whether they are days without a time.
        are_days: bool,
    },
    /// Several orders read all of them.
    Open {
        /// What the configuration calls the ways.
        words: Vec<String>,
        /// A value of which each makes another moment, if there is one.
        example: String,
        /// Whether they are days without a time.
        are_days: bool,
    },
}

impl DateFacts {
    /// Takes one value into account that is not a null token.
    pub fn observe(&mut self, text: &str) {
        if self.alive.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        // Most texts are not days, and most of them show it: they have too few digits or are too
        // long.
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let may_be = (2..=24).contains(&digits) && (6..=48).contains(&text.len());
        let ways: Vec<AliveWay> = match self.alive.take() {
            _ if !may_be => Vec::new(),
            None => (0..WAYS.len()).map(|way| AliveWay { way, are_days: true }).collect(),
            Some(alive) => alive,
        };
        let still = |alive: AliveWay| {
            let is_day = WAYS[alive.way].reads(text)?;
            Some(AliveWay { are_days: alive.are_days && is_day, ..alive })
        };
        let alive: Vec<AliveWay> = ways.into_iter().filter_map(still).collect();
        if self.open.is_none() && is_read_twice(&alive, text) {
            self.open = Some(text.to_owned());
        }
        if let Some(first) = alive.first().filter(|_| !self.has_local_time) {
            self.has_local_time = has_local_time(&WAYS[first.way], text);
        }
        self.alive = Some(alive);
    }

    /// What the values prove.
    pub fn proof(&self) -> DatesProof {
        let alive = self.alive.as_deref().unwrap_or_default();
        let Some(first) = alive.first() else { return DatesProof::None };
        let mut orders: Vec<AliveWay> = Vec::new();
        // The other orders also read ISO days among their own.
        let alive = if WAYS[first.way].word == "iso" { &alive[..1] } else { alive };
        for own in alive {
            if !orders.iter().any(|other| WAYS[other.way].order == WAYS[own.way].order) {
                orders.push(*own);
            }
        }
        let word = |alive: &AliveWay| WAYS[alive.way].word.clone();
        match orders.as_slice() {
            [own] => DatesProof::Way { word: word(own), are_days: own.are_days },
            several => DatesProof::Open {
                words: several.iter().map(word).collect(),
                example: self.open.clone().unwrap_or_default(),
                are_days: first.are_days,
            },
        }
    }
}

/// Whether two ways make two moments of a text.
fn is_read_twice(alive: &[AliveWay], text: &str) -> bool {
    let moments = alive.iter().map(|alive| WAYS[alive.way].rules.moment(text));
    let mut moments: Vec<Option<i64>> = moments.collect();
    moments.dedup();
    moments.len() > 1
}

/// Whether a text has a time of day that means another moment in another zone.
fn has_local_time(way: &Way, text: &str) -> bool {
    let elsewhere = MomentRules { zone: Tz::Asia__Tokyo, ..way.rules.clone() };
    way.rules.day(text).is_none() && way.rules.moment(text) != elsewhere.moment(text)
}

/// What a text is by a word of the configuration, for people: `3 April 2022`.
pub fn shown(text: &str, word: &str) -> Option<String> {
    let way = WAYS.iter().find(|way| way.word == word)?;
    let day = chrono::DateTime::from_timestamp_millis(way.rules.moment(text)?)?;
    Some(day.format("%-d %B %Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(values: &[&str]) -> DatesProof {
        let mut facts = DateFacts::default();
        values.iter().for_each(|value| facts.observe(value));
        facts.proof()
    }

    fn way(word: &str, are_days: bool) -> DatesProof {
        DatesProof::Way { word: word.to_owned(), are_days }
    }

    #[test]
    fn the_order_is_proven_by_a_part_that_is_no_month() {
        assert_eq!(proof(&["03/04/2022", "17/02/2022"]), way("dmy", true));
        assert_eq!(proof(&["03/04/2022 10:00", "02/17/2022 9:05"]), way("mdy", false));
        assert_eq!(proof(&["17/02/2022", "02/17/2022"]), DatesProof::None);
        assert_eq!(proof(&["17.02.2022", "soon"]), DatesProof::None);
        assert_eq!(proof(&["2022-02-17", "2022-02-18T10:00:00Z"]), way("iso", false));
        assert_eq!(proof(&[]), DatesProof::None);
    }

    #[test]
    fn what_several_orders_read_is_open() {
        let DatesProof::Open { words, example, are_days } = proof(&["03/03/2022", "03/04/2022"])
        else {
            panic!("it is open")
        };
        assert_eq!(
            (words, example.as_str(), are_days),
            (vec!["dmy".to_owned(), "mdy".to_owned()], "03/04/2022", true)
        );
        assert_eq!(shown("03/04/2022", "dmy").as_deref(), Some("3 April 2022"));
        assert_eq!(shown("03/04/2022", "mdy").as_deref(), Some("4 March 2022"));
        assert!(
            matches!(proof(&["22-02-17"]), DatesProof::Open { .. }),
            "22 Feb 2017 or 17 Feb 2022"
        );
    }

    #[test]
    fn names_of_months_prove_all() {
        assert_eq!(proof(&["17 Feb 2022", "1 Mar 2022"]), way("%d %b %Y", true));
        assert_eq!(proof(&["17 Feb 22"]), way("%d %b %y", true));
        assert_eq!(proof(&["Feb 17, 2022 4:05 PM"]), way("%b %d, %Y %I:%M %p", false));
        assert_eq!(proof(&["2022/02/17 16:36"]), way("%Y/%m/%d %H:%M", false));
        for none in [
            "12345678",
            "1.2.3",
            "99-12",
            "Room 5 of 2022",
            "12.50",
            "Market 1 2 3",
            "7.12.20",
            "13.1.10",
        ] {
            assert_eq!(proof(&[none]), DatesProof::None, "{none}");
        }
    }
}
