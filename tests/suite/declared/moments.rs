//! Days and moments as a declaration says that they are written, and what they are in UTC: by the
//! zones' own rules, worked out here.

use fastrand::Rng;

const DAY: i64 = 86_400;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Patterns of moments.
const MOMENT_PATTERNS: [&[&str]; 10] = [
    &["%d.%m.%Y %H:%M", "%d.%m.%Y"],
    &["%d.%m.%Y %H:%M:%S"],
    &["%m/%d/%Y %I:%M %p", "%m/%d/%Y"],
    &["%Y/%m/%d %H:%M:%S", "%Y/%m/%d"],
    &["%d %b %y %H:%M", "%d %b %y"],
    &["%A, %d %B %Y %H:%M"],
    &["%Y%m%d%H%M%S"],
    &["%d/%b/%Y:%H:%M:%S %z"],
    &["%s"],
    &["%m-%d-%y", "%d.%m.%Y %H:%M"],
];

/// Patterns of days.
const DAY_PATTERNS: [&[&str]; 5] =
    [&["%d.%m.%Y"], &["%d %B %Y", "%m/%d/%Y"], &["%m-%d-%y"], &["%Y%m%d"], &["%Y-%j"]];

/// How a declaration says that days are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    Iso,
    DayFirst,
    MonthFirst,
    Patterns(&'static [&'static str]),
}

impl Dates {
    pub fn any(random: &mut Rng, is_of_days: bool) -> Self {
        match random.u8(..5) {
            0 => Self::Iso,
            1 => Self::DayFirst,
            2 => Self::MonthFirst,
            _ if is_of_days => Self::Patterns(DAY_PATTERNS[random.usize(..DAY_PATTERNS.len())]),
            _ => Self::Patterns(MOMENT_PATTERNS[random.usize(..MOMENT_PATTERNS.len())]),
        }
    }

    /// The words of the configuration.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::Iso => vec!["iso"],
            Self::DayFirst => vec!["dmy"],
            Self::MonthFirst => vec!["mdy"],
            Self::Patterns(patterns) => patterns.to_vec(),
        }
    }

    /// Whether a day alone can be written so.
    pub fn has_days(self) -> bool {
        match self {
            Self::Patterns(patterns) => patterns.iter().any(|pattern| is_of_day(pattern)),
            _ => true,
        }
    }
}

fn is_of_day(pattern: &str) -> bool {
    !pattern.contains("%H") && !pattern.contains("%I") && !pattern.contains("%s")
}

/// A zone of the IANA database, and since when it has had the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    pub name: &'static str,
    /// Minutes that it is ahead of UTC in winter.
    ahead: i64,
    summer: Summer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summer {
    Never,
    Eu,
    Us,
    NewZealand,
}

pub const UTC: Zone = Zone { name: "UTC", ahead: 0, summer: Summer::Never };

pub const ZONES: [Zone; 12] = [
    UTC,
    Zone { name: "Africa/Lagos", ahead: 60, summer: Summer::Never },
    Zone { name: "Asia/Kolkata", ahead: 330, summer: Summer::Never },
    Zone { name: "Asia/Kathmandu", ahead: 345, summer: Summer::Never },
    Zone { name: "America/Bogota", ahead: -300, summer: Summer::Never },
    Zone { name: "Europe/Berlin", ahead: 60, summer: Summer::Eu },
    Zone { name: "Europe/Berlin", ahead: 60, summer: Summer::Eu },
    Zone { name: "Europe/Lisbon", ahead: 0, summer: Summer::Eu },
    Zone { name: "Europe/Athens", ahead: 120, summer: Summer::Eu },
    Zone { name: "America/New_York", ahead: -300, summer: Summer::Us },
    Zone { name: "America/Los_Angeles", ahead: -480, summer: Summer::Us },
    Zone { name: "Pacific/Auckland", ahead: 720, summer: Summer::NewZealand },
];

impl Zone {
    /// When a year's summer time begins and ends, in seconds of UTC.
    fn changes(self, year: i64) -> Option<(i64, i64)> {
        let winter = self.ahead * 60;
        match self.summer {
            Summer::Never => None,
            Summer::Eu => {
                Some((last_sunday(year, 3) * DAY + 3600, last_sunday(year, 10) * DAY + 3600))
            }
            Summer::Us => Some((
                (first_sunday(year, 3) + 7) * DAY + 2 * 3600 - winter,
                first_sunday(year, 11) * DAY + 2 * 3600 - winter - 3600,
            )),
            // Of the year before.
            Summer::NewZealand => Some((
                last_sunday(year, 9) * DAY + 2 * 3600 - winter,
                first_sunday(year, 4) * DAY + 3 * 3600 - winter - 3600,
            )),
        }
    }

    fn ahead_at(self, utc: i64) -> i64 {
        let winter = self.ahead * 60;
        let is_summer = self.changes(civil(utc.div_euclid(DAY)).0).is_some_and(|(start, end)| {
            if start < end { (start..end).contains(&utc) } else { utc >= start || utc < end }
        });
        winter + if is_summer { 3600 } else { 0 }
    }

    /// A local time in UTC: the first of two, where a change repeats it; none, where one leaves it
    /// out.
    pub fn in_utc(self, local: i64) -> Option<i64> {
        let ahead = [self.ahead * 60 + 3600, self.ahead * 60];
        ahead.into_iter().map(|ahead| local - ahead).find(|utc| local - utc == self.ahead_at(*utc))
    }

    /// A local time, often one near a change.
    fn any_local(self, random: &mut Rng) -> i64 {
        let year = random.i64(2009..2034);
        let changes = self.changes(year).filter(|_| random.u8(..3) == 0);
        match changes {
            Some((start, end)) => {
                let change = if random.bool() { start } else { end };
                change + self.ahead * 60 + random.i64(-5400..9000)
            }
            None => days(year, random.i64(1..=12), random.i64(1..=28)) * DAY + random.i64(0..DAY),
        }
    }
}

/// What a text says of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A time at wherever the reader takes it to be, in milliseconds.
    Local(i64),
    /// A time in UTC, in milliseconds.
    Utc(i64),
}

impl Said {
    /// The stored form; `None` where there is no such time.
    pub fn stored(&self, zone: Zone) -> Option<String> {
        let utc = match *self {
            Self::Utc(utc) => utc,
            Self::Local(local) => {
                let (seconds, millis) = (local.div_euclid(1000), local.rem_euclid(1000));
                zone.in_utc(seconds)? * 1000 + millis
            }
        };
        let (seconds, millis) = (utc.div_euclid(1000), utc.rem_euclid(1000));
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        let of_day = seconds.rem_euclid(DAY);
        Some(format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        ))
    }
}

/// A moment as these words have it written.
pub fn moment(random: &mut Rng, dates: Dates, zone: Zone) -> (String, Said) {
    let local = zone.any_local(random);
    match dates {
        Dates::Patterns(patterns) => {
            let pattern = patterns[random.usize(..patterns.len())];
            let (text, kept, offset) = by_pattern(random, pattern, local);
            let said = match offset {
                Some(offset) => Said::Utc((kept - offset) * 1000),
                None => Said::Local(kept * 1000),
            };
            (text, said)
        }
        // A year in front is a year, whatever the order.
        Dates::Iso => {
            let day = day_text(random, Dates::Iso, local / DAY);
            with_clock(random, &day, local, false)
        }
        _ if random.u8(..10) == 0 => moment(random, Dates::Iso, zone),
        dates => {
            let day = day_text(random, dates, local / DAY);
            with_clock(random, &day, local, true)
        }
    }
}

/// A day as these words have it written, and as it is stored.
pub fn day(random: &mut Rng, dates: Dates) -> (String, String) {
    let day = days(random.i64(1970..2067), random.i64(1..=12), random.i64(1..=28));
    let (year, month, of_month) = civil(day);
    let stored = format!("{year:04}-{month:02}-{of_month:02}");
    let text = match dates {
        Dates::Patterns(patterns) => {
            let own: Vec<&str> =
                patterns.iter().copied().filter(|pattern| is_of_day(pattern)).collect();
            let pattern = own[random.usize(..own.len())];
            by_pattern(random, pattern, day * DAY).0
        }
        dates => day_text(random, dates, day),
    };
    (text, stored)
}

fn day_text(random: &mut Rng, dates: Dates, day: i64) -> String {
    let (year, month, day) = civil(day);
    if dates == Dates::Iso {
        return format!("{year:04}-{month:02}-{day:02}");
    }
    let (first, second) = if dates == Dates::DayFirst { (day, month) } else { (month, day) };
    let sign = ['/', '.', '-'][random.usize(..3)];
    let year = match random.bool() && (1969..=2068).contains(&year) {
        true => format!("{:02}", year % 100),
        false => format!("{year:04}"),
    };
    match random.bool() {
        true => format!("{first:02}{sign}{second:02}{sign}{year}"),
        false => format!("{first}{sign}{second}{sign}{year}"),
    }
}

/// A day with a clock behind it, or without one, and perhaps a zone.
fn with_clock(random: &mut Rng, day: &str, local: i64, is_loose: bool) -> (String, Said) {
    let of_day = local.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    if random.u8(..8) == 0 {
        return (day.to_owned(), Said::Local((local - of_day) * 1000));
    }
    let (tail, kept, millis) = match random.u8(..4) {
        0 => (String::new(), local - second, 0),
        1 => {
            let digits = random.u32(..1_000_000);
            let text = format!(":{second:02}.{digits:06}");
            (text, local, i64::from(digits / 1000))
        }
        _ => (format!(":{second:02}"), local, 0),
    };
    let separators: &[&str] = if is_loose { &[" ", "T", ", "] } else { &[" ", "T"] };
    let separator = separators[random.usize(..separators.len())];
    let clock = match is_loose && random.u8(..3) == 0 {
        true => {
            let half = if hour < 12 { ["AM", "am"] } else { ["PM", "pm"] }[random.usize(..2)];
            let space = if random.bool() { " " } else { "" };
            format!("{}:{minute:02}{tail}{space}{half}", (hour + 11) % 12 + 1)
        }
        false if is_loose && random.bool() => format!("{hour}:{minute:02}{tail}"),
        false => format!("{hour:02}:{minute:02}{tail}"),
    };
    let offsets = [("Z", 0), ("+03:00", 180), ("-0530", -330), ("+02", 120), (" +01:00", 60)];
    let (zone, said) = match random.u8(..4) {
        0 => {
            let (text, minutes) = offsets[random.usize(..offsets.len())];
            (text, Said::Utc((kept - minutes * 60) * 1000 + millis))
        }
        _ => ("", Said::Local(kept * 1000 + millis)),
    };
    (format!("{day}{separator}{clock}{zone}"), said)
}

/// A time by a pattern, what of it the pattern keeps, and the seconds ahead of UTC that it says.
fn by_pattern(random: &mut Rng, pattern: &str, local: i64) -> (String, i64, Option<i64>) {
    let day = local.div_euclid(DAY);
    let (year, month, of_month) = civil(day);
    let of_day = local.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let minutes = [0, 60, -300, 330][random.usize(..4)];
    let name = MONTHS[usize::try_from(month).expect("from 1") - 1];
    let text = pattern
        .replace("%d", &format!("{of_month:02}"))
        .replace("%m", &format!("{month:02}"))
        .replace("%Y", &format!("{year:04}"))
        .replace("%y", &format!("{:02}", year % 100))
        .replace("%b", &name[..3])
        .replace("%B", name)
        .replace("%A", WEEKDAYS[usize::try_from((day + 4).rem_euclid(7)).expect("below 7")])
        .replace("%j", &format!("{:03}", day - days(year, 1, 1) + 1))
        .replace("%H", &format!("{hour:02}"))
        .replace("%I", &format!("{:02}", (hour + 11) % 12 + 1))
        .replace("%p", if hour < 12 { "AM" } else { "PM" })
        .replace("%M", &format!("{minute:02}"))
        .replace("%S", &format!("{second:02}"))
        .replace("%s", &local.to_string())
        .replace("%z", &offset_text(minutes));
    let kept = match () {
        () if is_of_day(pattern) => local - of_day,
        () if pattern.contains("%S") || pattern.contains("%s") => local,
        () => local - second,
    };
    // Seconds since 1970 are of UTC, whatever the zone.
    let offset = match () {
        () if pattern.contains("%z") => Some(minutes * 60),
        () if pattern.contains("%s") => Some(0),
        () => None,
    };
    (text, kept, offset)
}

fn offset_text(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970, counted year by year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    years + (1..month).map(|month| days_of_month(year, month)).sum::<i64>() + day - 1
}

/// The other way round.
fn civil(day: i64) -> (i64, i64, i64) {
    let (mut year, mut rest) = (1970, day);
    while rest >= 365 + i64::from(is_leap(year)) {
        rest -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

fn first_sunday(year: i64, month: i64) -> i64 {
    let first = days(year, month, 1);
    first + (3 - first).rem_euclid(7)
}

fn last_sunday(year: i64, month: i64) -> i64 {
    let last = days(year, month, days_of_month(year, month));
    last - (last - 3).rem_euclid(7)
}
