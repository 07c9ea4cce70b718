//! Moments as exports write them: UTC, to the millisecond.

use crate::values::cell::trimmed;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Parses `2022-02-17T16:36:27.123456+03:00` and similar forms into milliseconds since 1970, UTC.
///
/// `T` or a space stands between day and time; seconds, fraction and zone may be missing; no zone
/// means UTC; digits under the millisecond are cut; a day alone is its midnight. `None` for
/// anything else.
pub fn parse_moment(text: &str) -> Option<i64> {
    parse_moment_with(text, |moment| Some(moment.and_utc().timestamp_millis()))
}

/// The same, where `local` says what a moment without a zone is in UTC, if there is such a moment.
pub fn parse_moment_with(text: &str, local: impl Fn(NaiveDateTime) -> Option<i64>) -> Option<i64> {
    let text = trimmed(text);
    if let Some(moment) = plain_moment(text.as_bytes()) {
        return Some(moment);
    }
    let day = parse_day(text.get(..10)?)?;
    let rest = &text[10..];
    if rest.is_empty() {
        return within_bounds(local(day.and_hms_opt(0, 0, 0)?)?);
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = clock.find(['Z', 'z', '+', '-', ' ']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let millis_of_day = parse_clock(clock)?;
    let moment = day.and_time(NaiveTime::MIN) + TimeDelta::milliseconds(millis_of_day);
    within_bounds(match zone.trim_start() {
        "" => local(moment)?,
        zone => moment.and_utc().timestamp_millis() - parse_zone(zone)?,
    })
}

/// The moment, if databases can store it: the shift to UTC may move it out of the range.
pub fn within_bounds(millis: i64) -> Option<i64> {
    let year = DateTime::from_timestamp_millis(millis)?.year();
    (1..=9999).contains(&year).then_some(millis)
}

/// Fast path for nearly every moment: `2022-02-17T16:36:27.123Z`. `None` says nothing about other
/// texts.
fn plain_moment(text: &[u8]) -> Option<i64> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b'.',
        f1,
        f2,
        f3,
        b'Z',
    ] = text
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    let days = days_of_civil(year, month, day)?;
    let fits = year > 0 && hour < 24 && minute < 60 && second < 60;
    fits.then_some(
        (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(&[f1, f2, f3])?,
    )
}

/// Parses `YYYY-MM-DD` or `YYYYMMDD`.
pub fn parse_day(text: &str) -> Option<NaiveDate> {
    let (year, month, day) = match text.len() {
        10 if text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' => {
            (text.get(..4)?, text.get(5..7)?, text.get(8..)?)
        }
        8 => (text.get(..4)?, text.get(4..6)?, text.get(6..)?),
        _ => return None,
    };
    let year = i32::try_from(number(year)?).ok().filter(|&year| year > 0)?;
    NaiveDate::from_ymd_opt(year, number(month)?, number(day)?)
}

/// Earlier "days" in names are other numbers.
const FIRST_YEAR: i32 = 1990;

/// The last `2022-02-17` or `20220217` in a name that has no further digit beside it.
pub fn last_day(name: &str) -> Option<NaiveDate> {
    let bytes = name.as_bytes();
    let digits = |start: usize, count: usize| -> Option<u32> {
        let text = bytes.get(start..start + count)?;
        text.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(text).ok()?.parse().ok())?
    };
    let day_at = |start: usize| {
        let is_free = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at)).is_none_or(|byte| !byte.is_ascii_digit())
        };
        let dashed = bytes.get(start + 4) == Some(&b'-') && bytes.get(start + 7) == Some(&b'-');
        let (month, day, length) = if dashed { (5, 8, 10) } else { (4, 6, 8) };
        let (year, month, day) =
            (digits(start, 4)?, digits(start + month, 2)?, digits(start + day, 2)?);
        let day = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        (is_free(start.checked_sub(1)) && is_free(Some(start + length)) && day.year() >= FIRST_YEAR)
            .then_some(day)
    };
    (0..bytes.len()).rev().find_map(day_at)
}

/// Year, month and day of the Gregorian calendar, by arithmetic on eras of 400 years that begin in
/// March (Howard Hinnant, "chrono-compatible low-level date algorithms"): a third of what chrono
/// takes.
pub const fn civil(day: i64) -> (i64, u64, u64) {
    const ERA_DAYS: i64 = 146_097;
    let shifted = day + 719_468;
    let era = shifted.div_euclid(ERA_DAYS);
    let of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month.unsigned_abs(), day.unsigned_abs())
}

/// The inverse: days since 1970 of a day of the Gregorian calendar; `None` if there is no such day.
const fn days_of_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > days_in_month {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Formats as `2022-02-17T16:36:27.000Z`, the form SQLite stores.
pub fn format_moment(millis: i64) -> String {
    let mut text = String::with_capacity(24);
    write_moment(millis, &mut text);
    text
}

/// Appends what [`format_moment`] gives; millions of rows have several moments each.
pub fn write_moment(millis: i64, text: &mut String) {
    let (year, month, day) = civil(millis.div_euclid(DAY_MS));
    let of_day = millis.rem_euclid(DAY_MS).unsigned_abs();
    let mut form = *b"0000-00-00T00:00:00.000Z";
    for (from, to, number) in [
        (0, 4, year.unsigned_abs()),
        (5, 7, month),
        (8, 10, day),
        (11, 13, of_day / 3_600_000),
        (14, 16, of_day / 60_000 % 60),
        (17, 19, of_day / 1000 % 60),
        (20, 23, of_day % 1000),
    ] {
        let mut rest = number;
        for digit in form[from..to].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    text.push_str(std::str::from_utf8(&form).expect("digits and punctuation"));
}

/// A clock as milliseconds of the day.
pub fn parse_clock(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let hour = two_digits(parts.next()?)?;
    let minute = two_digits(parts.next()?)?;
    let (second, millis) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
            (two_digits(whole)?, parse_millis(fraction)?)
        }
    };
    let fits = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    fits.then_some(((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn parse_millis(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let three: String = fraction.chars().chain("00".chars()).take(3).collect();
    three.parse().ok()
}

/// The zone's offset from UTC in milliseconds.
pub fn parse_zone(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.strip_prefix(['+', '-'])?;
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn two_digits(text: &str) -> Option<i64> {
    (text.len() == 2).then(|| number(text)).flatten().map(i64::from)
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_utc_to_the_millisecond() {
        for (text, expected) in [
            ("2022-02-17T16:36:27.000Z", Some("2022-02-17T16:36:27.000Z")),
            ("2022-02-17T16:36:27.123999Z", Some("2022-02-17T16:36:27.123Z")),
            ("2022-02-17 16:36:27", Some("2022-02-17T16:36:27.000Z")),
            ("2022-02-17 16:36:27 +03:00", Some("2022-02-17T13:36:27.000Z")),
            ("2022-02-17T23:30-0130", Some("2022-02-18T01:00:00.000Z")),
            ("2022-02-17", Some("2022-02-17T00:00:00.000Z")),
            ("2022-02-17T16:36:27.5 UTC", Some("2022-02-17T16:36:27.500Z")),
            ("2022-02-30", None),
            ("2022-02-17T24:00:00Z", None),
            ("2022-02-17T16:36:60Z", None),
            ("2022-02-17Z", None),
            ("17/02/2022", None),
            ("2022-02-17T16:36:27.Z", None),
            ("2022-02-17T1:36:27Z", None),
            ("2022-02-17T16:36:27ZZ", None),
            ("0000-01-01", None),
            ("9999-12-31T23:59:59-01:00", None),
            ("", None),
            ("ééééé", None),
        ] {
            assert_eq!(parse_moment(text).map(format_moment).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_day_in_a_name_is_the_last_one_that_is_a_day() {
        let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        assert_eq!(last_day("orders-2022-02-17.csv"), day("2022-02-17"));
        assert_eq!(last_day("20220216_20220217.csv"), day("2022-02-17"));
        for name in [
            "orders.csv",
            "120220217.csv",
            "2022-02-171.csv",
            "19890101.csv",
            "20221301.csv",
            "2022-02.csv",
        ] {
            assert_eq!(last_day(name), None, "{name}");
        }
    }
}
