//! Dates: how days and moments are written if they are not ISO, and the zone of moments that name
//! none.

use crate::values::cell::trimmed;
use crate::values::moment::{parse_clock, parse_day, parse_moment_with, parse_zone, within_bounds};
use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse, parse_and_remainder};
use chrono::{Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};
use std::fmt::Write;

/// Two-digit years up to this one are of the century that began in 2000, later ones of the one
/// before (POSIX, `strptime`, `%y`).
const LAST_SHORT_YEAR: i32 = 68;

/// How the days and moments of a column are written.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentRules {
    /// How days are written.
    pub dates: Dates,
    /// The zone of moments that name none.
    pub zone: Tz,
}

/// How days are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Dates {
    /// `2022-02-17`
    Iso,
    /// `17/02/2022`
    DayFirst,
    /// `02/17/2022`
    MonthFirst,
    /// By one of these patterns of strftime, tried in turn.
    Patterns(Vec<Vec<Item<'static>>>),
}

impl Default for MomentRules {
    fn default() -> Self {
        Self { dates: Dates::Iso, zone: Tz::UTC }
    }
}

impl Dates {
    /// What a `dates` of the configuration says; `None` for nothing.
    ///
    /// # Errors
    ///
    /// When a pattern is not valid.
    pub fn of(words: &[String]) -> Result<Option<Self>, String> {
        match words {
            [] => Ok(None),
            [word] if word == "iso" => Ok(Some(Self::Iso)),
            [word] if word == "dmy" => Ok(Some(Self::DayFirst)),
            [word] if word == "mdy" => Ok(Some(Self::MonthFirst)),
            patterns => patterns
                .iter()
                .map(|pattern| items(pattern))
                .collect::<Result<_, _>>()
                .map(Self::Patterns)
                .map(Some),
        }
    }
}

impl MomentRules {
    /// Whether these are the rules without any declaration.
    pub fn is_iso_utc(&self) -> bool {
        self.dates == Dates::Iso && self.zone == Tz::UTC
    }

    /// A moment, in milliseconds since 1970, UTC. A local time that a clock change skips is `None`;
    /// of a time that it repeats, the first one is meant.
    pub fn moment(&self, text: &str) -> Option<i64> {
        let text = trimmed(text);
        let local = |moment: NaiveDateTime| self.in_utc(moment);
        match &self.dates {
            Dates::Iso => parse_moment_with(text, local),
            Dates::DayFirst | Dates::MonthFirst => match self.leading_day(text) {
                Some((day, "")) => within_bounds(local(day.and_hms_opt(0, 0, 0)?)?),
                Some((day, rest)) => within_bounds(moment_of(day, rest, local)?),
                None => parse_moment_with(text, local),
            },
            Dates::Patterns(patterns) => patterns.iter().find_map(|pattern| {
                let (parsed, day, zone_name) = parsed_day(pattern, text)?;
                let time = parsed.to_naive_time();
                let time = match (
                    time,
                    parsed.hour_mod_12().is_some() || parsed.hour_div_12().is_some(),
                ) {
                    (Ok(time), _) => time,
                    (Err(_), true) => return None,
                    (Err(_), false) => chrono::NaiveTime::MIN,
                };
                let moment = day.and_time(time);
                let millis = match (parsed.offset(), zone_name) {
                    (Some(seconds), _) => {
                        moment.and_utc().timestamp_millis() - i64::from(seconds) * 1000
                    }
                    (None, Some(name)) => self.in_named(moment, name)?,
                    (None, None) => local(moment)?,
                };
                within_bounds(millis)
            }),
        }
    }

    /// A moment, or the day that begins with it, by the first of the patterns that says all of it.
    pub fn spelt(&self, millis: i64, is_day: bool) -> Option<String> {
        let Dates::Patterns(patterns) = &self.dates else { return None };
        let local = Utc.timestamp_millis_opt(millis).single()?.with_timezone(&self.zone);
        patterns.iter().find_map(|pattern| {
            let mut text = String::new();
            write!(text, "{}", local.format_with_items(pattern.iter())).ok()?;
            let is_said = match is_day {
                true => self.day(&text) == Some(local.date_naive()),
                false => self.moment(&text) == Some(millis),
            };
            is_said.then_some(text)
        })
    }

    /// A day.
    pub fn day(&self, text: &str) -> Option<NaiveDate> {
        let text = trimmed(text);
        match &self.dates {
            Dates::Iso => parse_day(text),
            Dates::DayFirst | Dates::MonthFirst => match self.leading_day(text) {
                Some((day, "")) => Some(day),
                Some(_) => None,
                None => parse_day(text),
            },
            Dates::Patterns(patterns) => patterns.iter().find_map(|pattern| {
                let (parsed, day, _) = parsed_day(pattern, text)?;
                let has_time = parsed.hour_mod_12().is_some()
                    || parsed.minute().is_some()
                    || parsed.second().is_some();
                (!has_time).then_some(day)
            }),
        }
    }

    fn in_utc(&self, moment: NaiveDateTime) -> Option<i64> {
        if self.zone == Tz::UTC {
            return Some(moment.and_utc().timestamp_millis());
        }
        match self.zone.from_local_datetime(&moment) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => {
                Some(moment.timestamp_millis())
            }
            LocalResult::None => None,
        }
    }

    /// A moment in a zone that is named: by its distance from UTC, or by what the declared zone is
    /// called then, which also says which of two equal local times is meant. Other names are many
    /// zones each: `CST` is one of America, of China and of Cuba.
    fn in_named(&self, moment: NaiveDateTime, name: &str) -> Option<i64> {
        if let Some(offset) = parse_zone(name).filter(|_| !name.is_empty()) {
            return Some(moment.and_utc().timestamp_millis() - offset);
        }
        let (first, second) = match self.zone.from_local_datetime(&moment) {
            LocalResult::Single(moment) => (moment, None),
            LocalResult::Ambiguous(first, second) => (first, Some(second)),
            LocalResult::None => return None,
        };
        let mut all = std::iter::once(first).chain(second);
        let is_called =
            |moment: &chrono::DateTime<Tz>| moment.offset().abbreviation() == Some(name);
        all.find(is_called).map(|moment| moment.timestamp_millis())
    }

    /// The day at the front of a text, by this order, and what follows it. A text that begins with
    /// a four-digit year is no such day, whatever the order.
    fn leading_day<'t>(&self, text: &'t str) -> Option<(NaiveDate, &'t str)> {
        let (first, rest) = leading_number(text, 2)?;
        let separator = rest.chars().next().filter(|sign| matches!(sign, '/' | '.' | '-'))?;
        let (second, rest) = leading_number(&rest[1..], 2)?;
        let rest = rest.strip_prefix(separator)?;
        let (year, rest) = leading_year(rest)?;
        let (day, month) =
            if self.dates == Dates::DayFirst { (first, second) } else { (second, first) };
        Some((NaiveDate::from_ymd_opt(year, month, day)?, rest))
    }
}

/// A clock and perhaps a zone behind a day.
fn moment_of(
    day: NaiveDate,
    rest: &str,
    local: impl Fn(NaiveDateTime) -> Option<i64>,
) -> Option<i64> {
    let clock =
        rest.strip_prefix(['T', 't', ' ']).or_else(|| rest.strip_prefix(", "))?.trim_start();
    let zone_at = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let (clock, half) = half_of_day(clock.trim_end());
    let millis = parse_clock(&padded(clock))?;
    let millis = match half {
        None => millis,
        Some(half) => {
            const HOUR_MS: i64 = 3_600_000;
            let hour = millis / HOUR_MS;
            (1..=12)
                .contains(&hour)
                .then(|| millis - hour * HOUR_MS + (hour % 12 + 12 * half) * HOUR_MS)?
        }
    };
    let moment = day.and_time(chrono::NaiveTime::MIN) + chrono::TimeDelta::milliseconds(millis);
    match zone {
        "" => local(moment),
        zone => Some(moment.and_utc().timestamp_millis() - parse_zone(zone)?),
    }
}

/// A clock without the `AM` or `PM` behind it, and the half of the day that this says.
fn half_of_day(clock: &str) -> (&str, Option<i64>) {
    let Some(at) = clock.len().checked_sub(2).filter(|&at| clock.is_char_boundary(at)) else {
        return (clock, None);
    };
    let half = match clock[at..].to_ascii_lowercase().as_str() {
        "am" => 0,
        "pm" => 1,
        _ => return (clock, None),
    };
    (clock[..at].trim_end(), Some(half))
}

/// A clock whose hour has two digits: these forms write `9:05`.
fn padded(clock: &str) -> String {
    match clock.find(':') {
        Some(1) => format!("0{clock}"),
        _ => clock.to_owned(),
    }
}

/// The number at the front of a text, of at most this many digits, and what follows it.
fn leading_number(text: &str, digits_max: usize) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok().filter(|_| digits <= digits_max)?;
    Some((number, &text[digits..]))
}

/// The year at the front of a text, of two or four digits, and what follows it.
fn leading_year(text: &str) -> Option<(i32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let year: i32 = text[..digits].parse().ok()?;
    let year = match digits {
        2 if year <= LAST_SHORT_YEAR => 2000 + year,
        2 => 1900 + year,
        4 if year > 0 => year,
        _ => return None,
    };
    Some((year, &text[digits..]))
}

/// A pattern of strftime as chrono's items.
fn items(pattern: &str) -> Result<Vec<Item<'static>>, String> {
    let items = StrftimeItems::new(pattern).parse_to_owned();
    let has_field = |items: &Vec<Item<'_>>| {
        items.iter().any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_)))
    };
    items.ok().filter(has_field).ok_or_else(|| {
        format!("`{pattern}` is neither `iso`, `dmy`, `mdy` nor a pattern of strftime such as `%d.%m.%Y %H:%M`")
    })
}

/// Parses a text by a pattern, and returns the fields with the day, and the name of a zone where
/// the pattern has one (`%Z`), which the library passes by.
fn parsed_day<'t>(
    pattern: &[Item<'static>],
    text: &'t str,
) -> Option<(Parsed, NaiveDate, Option<&'t str>)> {
    let mut parsed = Parsed::new();
    let zone = pattern.iter().position(|item| *item == Item::Fixed(Fixed::TimezoneName));
    let zone_name = match zone {
        Some(at) => {
            let rest = parse_and_remainder(&mut parsed, text, pattern[..at].iter()).ok()?;
            let (name, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            parse(&mut parsed, rest, pattern[at + 1..].iter()).ok()?;
            Some(name)
        }
        None => {
            parse(&mut parsed, text, pattern.iter()).ok()?;
            None
        }
    };
    let day = match parsed.timestamp() {
        // Seconds since 1970 are a day and a time of UTC.
        Some(_) => {
            let moment = parsed.to_datetime_with_timezone(&Utc).ok()?;
            let mut whole = Parsed::new();
            whole.set_offset(0).ok()?;
            whole.set_hour(i64::from(chrono::Timelike::hour(&moment))).ok()?;
            whole.set_minute(i64::from(chrono::Timelike::minute(&moment))).ok()?;
            whole.set_second(i64::from(chrono::Timelike::second(&moment))).ok()?;
            return Some((whole, moment.date_naive(), None));
        }
        None => parsed.to_naive_date().ok()?,
    };
    // The rule for two-digit years is our own: chrono ends its century a year later.
    let is_short = parsed.year().is_none() && parsed.year_div_100().is_none();
    let year = day.year();
    let day = match is_short && year == 2000 + LAST_SHORT_YEAR + 1 {
        true => day.with_year(year - 100)?,
        false => day,
    };
    (1..=9999).contains(&day.year()).then_some((parsed, day, zone_name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::moment::format_moment;

    fn rules(dates: &[&str], zone: &str) -> MomentRules {
        let words: Vec<String> = dates.iter().map(|&word| word.to_owned()).collect();
        let dates = Dates::of(&words).expect("patterns").unwrap_or(Dates::Iso);
        MomentRules { dates, zone: zone.parse().expect("a zone") }
    }

    #[track_caller]
    fn is(rules: &MomentRules, text: &str, expected: Option<&str>) {
        assert_eq!(rules.moment(text).map(format_moment).as_deref(), expected, "{text}");
    }

    #[test]
    fn the_order_of_day_and_month_is_declared() {
        let (day_first, month_first) = (rules(&["dmy"], "UTC"), rules(&["mdy"], "UTC"));
        is(&day_first, "03/04/2022", Some("2022-04-03T00:00:00.000Z"));
        is(&month_first, "03/04/2022", Some("2022-03-04T00:00:00.000Z"));
        is(&day_first, "3.4.22 9:05", Some("2022-04-03T09:05:00.000Z"));
        is(&month_first, "3/4/69, 12:30 AM", Some("1969-03-04T00:30:00.000Z"));
        is(&month_first, "3/4/68 12:30:01 pm", Some("2068-03-04T12:30:01.000Z"));
        is(&day_first, "31-01-2022 10:00 +03:00", Some("2022-01-31T07:00:00.000Z"));
        is(&day_first, "2022-04-03T10:00:00Z", Some("2022-04-03T10:00:00.000Z"));
        for none in [
            "31/04/2022",
            "13/13/2022",
            "1/2",
            "1/2/022",
            "1/2.2022",
            "03/04/2022 25:00",
            "03/04/2022x",
            "",
        ] {
            is(&day_first, none, None);
        }
        assert_eq!(day_first.day("3/4/2022"), NaiveDate::from_ymd_opt(2022, 4, 3));
        assert_eq!(day_first.day("3/4/2022 10:00"), None, "a moment is no day");
    }

    #[test]
    fn patterns_are_tried_in_turn() {
        let patterns = rules(&["%d.%m.%Y %H:%M", "%d %b %y", "%s"], "UTC");
        is(&patterns, "17.02.2022 16:36", Some("2022-02-17T16:36:00.000Z"));
        is(&patterns, "17 Feb 69", Some("1969-02-17T00:00:00.000Z"));
        is(&patterns, "1645115787", Some("2022-02-17T16:36:27.000Z"));
        is(&patterns, "2022-02-17", None);
        let zoned = rules(&["%d/%b/%Y:%H:%M:%S %z"], "Africa/Lagos");
        is(&zoned, "17/Feb/2022:16:36:27 -0500", Some("2022-02-17T21:36:27.000Z"));
        let named = rules(&["%d.%m.%Y %H:%M %Z"], "Europe/Berlin");
        is(&named, "17.02.2024 10:00 CET", Some("2024-02-17T09:00:00.000Z"));
        is(&named, "17.07.2024 10:00 CEST", Some("2024-07-17T08:00:00.000Z"));
        is(&named, "17.07.2024 10:00 CET", None);
        is(&named, "27.10.2024 02:30 CET", Some("2024-10-27T01:30:00.000Z"));
        is(&named, "17.02.2024 10:00 UTC", Some("2024-02-17T10:00:00.000Z"));
        is(&named, "17.02.2024 10:00 +0300", Some("2024-02-17T07:00:00.000Z"));
        is(&named, "17.02.2024 10:00 PST", None);
        is(&named, "17.02.2024 10:00", None);
        assert!(Dates::of(&["%Q".to_owned()]).is_err());
        assert!(Dates::of(&["yyyy-mm-dd".to_owned()]).is_err(), "no field at all");
    }

    #[test]
    fn a_clock_change_leaves_out_times_and_repeats_others() {
        let berlin = rules(&[], "Europe/Berlin");
        is(&berlin, "2022-02-17 16:36:27", Some("2022-02-17T15:36:27.000Z"));
        is(&berlin, "2022-03-27 02:30:00", None);
        is(&berlin, "2022-10-30 02:30:00", Some("2022-10-30T00:30:00.000Z"));
        is(&berlin, "2022-10-30 02:30:00Z", Some("2022-10-30T02:30:00.000Z"));
        is(&berlin, "2022-02-17", Some("2022-02-16T23:00:00.000Z"));
    }
}
