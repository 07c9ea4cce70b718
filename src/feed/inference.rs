//! Inference: what the values of a column have in common, so that it gets the narrowest kind that
//! holds all of them, or a wider one than it has.
//!
//! A kind is chosen only if it holds everything in the values: a text that looks like a number but
//! may be a name, such as `007`, `L7` or `+254700000000`, stays text. Which number a text is may
//! show only at the end of the file; until then every reading of `.` and `,` is counted.

use crate::feed::layout::LayoutColumn;
use crate::values::currency::{may_have_currency, plain};
use crate::values::dates::{Dates, MomentRules};
use crate::values::number::{
    DecimalSign, Decimals, Number, NumberRules, Spelling, clear_text, parse_decimal,
};
use entity::Kind;
use std::sync::Arc;

/// Digits of whole numbers that every kind of number holds.
const SHORT_DIGITS_MAX: usize = 15;

/// Characters of a day, which every moment begins with.
const DAY_CHARS: usize = 10;

/// The readings that a file may turn out to prove.
const READINGS: [Decimals; 4] =
    [Decimals::Point, Decimals::Comma, Decimals::PointOnly, Decimals::Open];

/// What the values of a column have in common, as far as they were seen.
#[derive(Clone, Debug)]
pub struct Inference {
    is_identifier: bool,
    /// What the column holds already.
    stored: Option<Kind>,
    rules: NumberRules,
    moments: Arc<MomentRules>,
    /// Their kinds as numbers under each reading; only under the first if the reading is known.
    views: [View; READINGS.len()],
    /// Whether each can be read as a number in some way, even if not in the way of the column.
    is_numeric: bool,
    may_be_day: bool,
    may_be_time: bool,
    has_values: bool,
    /// What stands beside every amount.
    currency: Option<String>,
    /// Whether a number stands alone. Whether that is an amount in the currency of the others,
    /// nothing says.
    has_bare: bool,
}

/// Which kinds hold all values by one reading.
#[derive(Clone, Copy, Debug)]
struct View {
    integer: bool,
    decimal: bool,
    double: bool,
}

impl View {
    const NOTHING: Self = Self { integer: false, decimal: false, double: false };

    /// The kinds that hold a number with this beside it.
    fn of(number: &Number, currency: Beside) -> Self {
        let is_bare = currency == Beside::Nothing;
        Self {
            integer: is_bare && number.whole().is_some(),
            decimal: currency != Beside::Another && number.is_exact_decimal(),
            double: is_bare && number.is_exact_measure(),
        }
    }

    const fn join(&mut self, other: Self) {
        self.integer &= other.integer;
        self.decimal &= other.decimal;
        self.double &= other.double;
    }

    const fn is_open(self) -> bool {
        self.integer || self.decimal || self.double
    }
}

/// What stands beside a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// The currency of the whole column.
    TheCurrency,
    /// Another one, or one where other values have none.
    Another,
}

impl Inference {
    /// Nothing seen yet of a column that is new, or holds values of a stored kind, each beside its
    /// currency. Names of identifiers are text whatever their values look like.
    pub fn new(column: &LayoutColumn) -> Self {
        let LayoutColumn { name, kind: stored, rules, currency, moments, .. } = column;
        Self::of(name, *stored, rules.clone(), currency.clone(), Arc::clone(moments))
    }

    fn of(
        name: &str,
        stored: Option<Kind>,
        rules: NumberRules,
        currency: Option<String>,
        moments: Arc<MomentRules>,
    ) -> Self {
        let is_identifier = name == "id" || name == "sku" || name.ends_with("_id");
        let may_be = |kinds: &[Kind]| stored.is_none_or(|stored| kinds.contains(&stored));
        let view = View {
            integer: may_be(&[Kind::Integer]),
            decimal: may_be(&[Kind::Integer, Kind::Decimal]),
            double: may_be(&[Kind::Double]),
        };
        Self {
            is_identifier,
            stored,
            rules,
            moments,
            views: [view; READINGS.len()],
            is_numeric: !is_identifier && view.is_open(),
            may_be_day: may_be(&[Kind::Day]),
            may_be_time: may_be(&[Kind::Day, Kind::Time]),
            // An amount with letters beside plain numbers is text, and stored whole numbers had no
            // letters.
            has_values: stored.is_some_and(|stored| stored != Kind::Decimal),
            currency,
            has_bare: false,
        }
    }

    /// Takes one value that is not a null token into account. A number of JSON is clear, whatever
    /// the others are.
    pub fn observe(&mut self, value: &str, is_json_number: bool) {
        let value = value.trim();
        if is_short_integer(value) {
            self.may_be_day = false;
            self.may_be_time = false;
            self.has_values = true;
            self.has_bare = true;
            return;
        }
        let is_text = !self.is_numeric && !self.may_be_day && !self.may_be_time;
        if is_text && self.has_values {
            return;
        }
        self.may_be_day = self.may_be_day && is_held_by(Kind::Day, value, &self.moments);
        self.may_be_time = self.may_be_time && is_held_by(Kind::Time, value, &self.moments);
        match is_json_number {
            _ if !self.is_numeric => {}
            true => self.observe_clear(value),
            false => self.observe_number(value),
        }
        self.has_values = true;
    }

    /// Takes a value into account that its file says is a text, whatever it looks like. Returns
    /// `false` where a table has the column already: its kind decides what the text is.
    pub fn observe_text(&mut self) -> bool {
        if self.stored.is_some() {
            return false;
        }
        (self.is_numeric, self.may_be_day, self.may_be_time) = (false, false, false);
        self.views = [View::NOTHING; READINGS.len()];
        self.has_values = true;
        true
    }

    fn observe_clear(&mut self, json: &str) {
        self.has_bare = true;
        let rules = self.rules.reading(Decimals::Point);
        let text = clear_text(json, Decimals::Point);
        let number =
            text.as_ref().and_then(|text| Spelling::of(text, &rules)?.number(Decimals::Point));
        let view = number.map_or(View::NOTHING, |number| View::of(&number, Beside::Nothing));
        self.views.iter_mut().for_each(|own| own.join(view));
    }

    fn observe_number(&mut self, value: &str) {
        let spelling = Spelling::of(value, &self.rules).filter(|spelling| !spelling.is_code());
        let Some(spelling) = spelling else {
            self.views = [View::NOTHING; READINGS.len()];
            self.is_numeric = false;
            return;
        };
        self.is_numeric = spelling.is_number_of_either();
        let currency = match spelling.currency {
            None => {
                self.has_bare = true;
                Beside::Nothing
            }
            Some(currency) => {
                if self.currency.is_none() && !self.has_values {
                    self.currency = Some(currency.to_owned());
                }
                let is_own = self.currency.as_deref().map(plain) == Some(plain(currency));
                if is_own { Beside::TheCurrency } else { Beside::Another }
            }
        };
        let is_known = self.rules.decimals != Decimals::Either;
        if is_known || !value.contains(['.', ',']) {
            let number = spelling.number(self.rules.decimals);
            let view = number.map_or(View::NOTHING, |number| View::of(&number, currency));
            self.views.iter_mut().for_each(|own| own.join(view));
        } else {
            for (reading, own) in
                READINGS.iter().zip(&mut self.views).filter(|(_, own)| own.is_open())
            {
                own.join(
                    spelling
                        .number(*reading)
                        .map_or(View::NOTHING, |number| View::of(&number, currency)),
                );
            }
        }
    }

    /// Whether all values so far are numbers, one way or the other.
    pub const fn is_numeric(&self) -> bool {
        self.is_numeric
    }

    /// Whether there are values, and each of them is a number, one way or the other.
    pub const fn has_numbers(&self) -> bool {
        self.has_values && self.is_numeric
    }

    /// The narrowest kind that holds every value seen and stored, by this reading; `None` when
    /// there was none.
    pub fn kind(&self, decimals: Decimals) -> Option<Kind> {
        let view = match READINGS.iter().position(|&reading| reading == decimals) {
            _ if self.rules.decimals != Decimals::Either => self.views[0],
            Some(reading) => self.views[reading],
            None => View::NOTHING,
        };
        match self {
            _ if self.is_identifier => Some(Kind::Identifier),
            _ if !self.has_values => self.stored,
            _ if view.integer => Some(Kind::Integer),
            _ if self.is_mixed() => Some(Kind::Text),
            _ if view.decimal => Some(Kind::Decimal),
            _ if view.double => Some(Kind::Double),
            _ if self.may_be_day => Some(Kind::Day),
            _ if self.may_be_time => Some(Kind::Time),
            _ => Some(Kind::Text),
        }
    }

    /// Whether amounts beside a currency and numbers alone stand in a new column, in any order.
    const fn is_mixed(&self) -> bool {
        self.stored.is_none() && self.has_bare && self.currency.is_some()
    }

    /// What stands beside the amounts that were seen.
    pub fn currency(&self) -> Option<&str> {
        self.currency.as_deref()
    }
}

/// What the values of a column show of how its numbers are written.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Values that are numbers only if a point stands before decimals, and only if a comma does.
    point: u64,
    comma: u64,
    /// The first value of each.
    first: [Option<String>; 2],
    /// Whether a point or comma stands in any value.
    pub has_separators: bool,
    /// Whether a value that proves neither sign is a number if a point stands before decimals, and
    /// if a comma does. Only known where the column's sign is not.
    is_open_number: [bool; 2],
    currency: Option<String>,
    /// Whether two currencies contradict each other.
    pub has_two_currencies: bool,
}

impl Evidence {
    /// Takes one value into account.
    pub fn observe(&mut self, value: &str, rules: &NumberRules) {
        let value = value.trim();
        if may_have_currency(value) {
            self.observe_currency(value, rules);
        }
        if value.bytes().any(|byte| matches!(byte, b'.' | b',')) {
            self.has_separators = true;
            match proof(value, rules) {
                Some(DecimalSign::Point) => self.point += 1,
                Some(DecimalSign::Comma) => self.comma += 1,
                None => return self.observe_open(value, rules),
            }
            self.keep_first(value);
        }
    }

    /// Takes a value into account whose number, if it is one, depends on the column's sign.
    fn observe_open(&mut self, value: &str, rules: &NumberRules) {
        if rules.decimals != Decimals::Either || self.is_open_number == [true; 2] {
            return;
        }
        let Some(spelling) = Spelling::of(value, rules) else { return };
        // A point that other columns prove lets no comma separate groups.
        for (seen, reading) in
            self.is_open_number.iter_mut().zip([Decimals::PointOnly, Decimals::Comma])
        {
            *seen |= spelling.number(reading).is_some();
        }
    }

    /// Whether a number among the values is this one only because of a sign that they don't prove.
    pub const fn is_read_by(&self, sign: DecimalSign) -> bool {
        let [point, comma] = self.is_open_number;
        match sign {
            DecimalSign::Point => point,
            DecimalSign::Comma => comma,
        }
    }

    /// Keeps the values by which each sign showed first.
    fn keep_first(&mut self, value: &str) {
        for (count, first) in [self.point, self.comma].into_iter().zip(&mut self.first) {
            if count == 1 && first.is_none() {
                *first = Some(value.to_owned());
            }
        }
    }

    fn observe_currency(&mut self, value: &str, rules: &NumberRules) {
        // Nearly every amount of a column stands beside the same currency.
        let rest =
            self.currency.as_ref().and_then(|currency| value.strip_prefix(currency.as_str()));
        if rest.is_some_and(|rest| rest.starts_with(|c: char| c == ' ' || c.is_ascii_digit())) {
            return;
        }
        let Some(currency) = Spelling::of(value, rules).and_then(|spelling| spelling.currency)
        else {
            return;
        };
        match &self.currency {
            None => self.currency = Some(currency.to_owned()),
            Some(own) => self.has_two_currencies |= rules.currencies.contradict(own, currency),
        }
    }

    /// How many values prove a sign.
    pub const fn count(&self, sign: DecimalSign) -> u64 {
        match sign {
            DecimalSign::Point => self.point,
            DecimalSign::Comma => self.comma,
        }
    }

    /// The first value that proves a sign.
    pub fn first(&self, sign: DecimalSign) -> Option<&str> {
        let [point, comma] = &self.first;
        match sign {
            DecimalSign::Point => point.as_deref(),
            DecimalSign::Comma => comma.as_deref(),
        }
    }
}

/// What a value proves. Most values are digits with one point among them, and are decided fast.
fn proof(value: &str, rules: &NumberRules) -> Option<DecimalSign> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if let Some((whole, fraction)) = digits.split_once('.')
        && !whole.is_empty()
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        let may_be_group = fraction.len() == 3 && whole.len() <= 3 && !whole.starts_with('0');
        return (!fraction.is_empty() && !may_be_group).then_some(DecimalSign::Point);
    }
    Spelling::of(value, rules)?.proof()
}

/// Whether a column of that kind loses nothing of a moment or day but its spelling.
fn is_held_by(kind: Kind, value: &str, moments: &MomentRules) -> bool {
    let is_iso = moments.dates == Dates::Iso;
    match kind {
        // Eight digits are a number rather than a day.
        Kind::Day => (!is_iso || value.len() == DAY_CHARS) && moments.day(value).is_some(),
        _ => (!is_iso || value.len() >= DAY_CHARS) && moments.moment(value).is_some(),
    }
}

/// Whether a column of that kind that was found in files loses nothing of a value but its spelling.
pub fn is_kept_by(kind: Kind, value: &str, column: &LayoutColumn) -> bool {
    let rules = &column.rules;
    let value = value.trim();
    if is_short_integer(value) {
        return !matches!(kind, Kind::Day | Kind::Time);
    }
    let number = || {
        let spelling = Spelling::of(value, rules).filter(|spelling| !spelling.is_code())?;
        Some((spelling.number(rules.decimals)?, spelling.currency.is_none()))
    };
    match kind {
        Kind::Decimal => {
            number().is_some_and(|(number, _)| number.is_exact_decimal())
                && parse_decimal(value, rules).is_some()
        }
        Kind::Integer => {
            number().is_some_and(|(number, is_bare)| is_bare && number.whole().is_some())
        }
        Kind::Double => {
            number().is_some_and(|(number, is_bare)| is_bare && number.is_exact_measure())
        }
        Kind::Day | Kind::Time => is_held_by(kind, value, &column.moments),
        _ => true,
    }
}

/// Whether it has the form of most numbers, as a fast check.
fn is_short_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value).as_bytes();
    let begins_well = digits.first().is_some_and(|&first| first != b'0' || digits.len() == 1);
    begins_well && digits.len() <= SHORT_DIGITS_MAX && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::values::currency::Currencies;

    fn rules(decimals: Decimals) -> NumberRules {
        let codes = [("KSh".to_owned(), vec!["KES".to_owned()])];
        NumberRules {
            decimals,
            currencies: Arc::new(Currencies::new(&codes.into())),
            is_declared: false,
        }
    }

    fn kind(name: &str, stored: Option<Kind>, values: &[&str]) -> Option<Kind> {
        kind_by(Decimals::Point, Decimals::Point, name, stored, values)
    }

    fn kind_by(
        known: Decimals,
        found: Decimals,
        name: &str,
        stored: Option<Kind>,
        values: &[&str],
    ) -> Option<Kind> {
        let mut inference = Inference::of(name, stored, rules(known), None, Arc::default());
        values.iter().for_each(|value| inference.observe(value, false));
        inference.kind(found)
    }

    #[test]
    fn kinds_are_those_of_the_reading_that_the_file_proves() {
        for (values, point, comma, point_only, open) in [
            (&["1.250", "2.400"][..], Kind::Decimal, Kind::Integer, Kind::Decimal, Kind::Text),
            (&["12.5", "1.250"], Kind::Decimal, Kind::Text, Kind::Decimal, Kind::Text),
            (&["12,5", "1.250"], Kind::Text, Kind::Decimal, Kind::Text, Kind::Text),
            (&["101,102", "103"], Kind::Integer, Kind::Decimal, Kind::Text, Kind::Text),
            (&["1.234.567"], Kind::Text, Kind::Integer, Kind::Text, Kind::Text),
            (&["1,234,567", "7"], Kind::Integer, Kind::Text, Kind::Text, Kind::Text),
            (&["12.5", "12,5"], Kind::Text, Kind::Text, Kind::Text, Kind::Decimal),
            (&["1 250", "7"], Kind::Integer, Kind::Integer, Kind::Integer, Kind::Integer),
            (&["KSh 1,250.50"], Kind::Decimal, Kind::Text, Kind::Text, Kind::Decimal),
        ] {
            for (reading, expected) in READINGS.into_iter().zip([point, comma, point_only, open]) {
                let found = kind_by(Decimals::Either, reading, "x", None, values);
                assert_eq!(found, Some(expected), "{values:?} {reading:?}");
                assert_eq!(
                    kind_by(reading, reading, "x", None, values),
                    found,
                    "{values:?} {reading:?}"
                );
            }
        }
        assert_eq!(
            kind_by(Decimals::Either, Decimals::Neither, "x", None, &["12.5", "12,5"]),
            Some(Kind::Text)
        );
    }

    #[test]
    fn numbers_of_json_are_what_they_are() {
        let mut inference = Inference::of("x", None, rules(Decimals::Either), None, Arc::default());
        ["1.250", "1.5e1"].into_iter().for_each(|value| inference.observe(value, true));
        for reading in READINGS {
            assert_eq!(inference.kind(reading), Some(Kind::Decimal));
        }
    }

    #[test]
    fn evidence_is_counted_and_currencies_compared() {
        let mut evidence = Evidence::default();
        for value in ["12.5", "0,350", "1.250", "KSh 1.50", "KES 5", "1,250.50", "x 1.5"] {
            evidence.observe(value, &NumberRules { is_declared: true, ..rules(Decimals::Either) });
        }
        assert_eq!((evidence.point, evidence.comma, evidence.has_two_currencies), (3, 1, false));
        assert_eq!(evidence.first(DecimalSign::Comma), Some("0,350"));
        evidence.observe("5 $", &rules(Decimals::Either));
        assert!(evidence.has_two_currencies);
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
        assert_eq!(kind("fee", &["KSh 10.00", "₦ 10.00"]), Kind::Text);
        assert_eq!(kind("fee", &["TOP 10", "TOP 20"]), Kind::Text);
        assert_eq!(kind("balance", &["(5.00)", "5-"]), Kind::Integer);
        assert_eq!(kind("share", &["0.12345678901234567"]), Kind::Text);
        assert_eq!(kind("fee", &["10.00", "KSh 10.00"]), Kind::Text);
        assert_eq!(kind("fee", &["KSh 10.00", "10.00"]), Kind::Text);
        assert_eq!(kind("fee", &["₦ 10.50", "7"]), Kind::Text);
        assert_eq!(kind("fee", &["￥ 10.50", "¥ 7"]), Kind::Decimal);
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

    /// The kind that the data needs is the join of the kinds.
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
