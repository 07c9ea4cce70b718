//! Moments as exports write them: UTC, to the millisecond.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

/// Parses `2022-02-17T16:36:27.123456+03:00` and its kin into milliseconds since 1970, UTC.
///
/// `T` or a space stands between day and time; seconds, fraction and zone may be missing; no zone means
/// UTC; digits under the millisecond are cut; a day alone is its midnight. `None` for anything else.
pub fn parse_moment(text: &str) -> Option<i64> {
    let text = text.trim();
    let day = parse_day(text.get(..10)?)?;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = clock.find(['Z', 'z', '+', '-', ' ']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let millis_of_day = parse_clock(clock)?;
    let offset = parse_zone(zone.trim_start())?;
    let midnight = day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis();
    let moment = midnight + millis_of_day - offset;
    // Another zone may carry the moment over the edge of what databases hold.
    let year = DateTime::from_timestamp_millis(moment)?.year();
    (1..=9999).contains(&year).then_some(moment)
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

/// Formats as `2022-02-17T16:36:27.000Z`, the form SQLite stores.
pub fn format_moment(millis: i64) -> String {
    let mut text = String::with_capacity(24);
    write_moment(millis, &mut text);
    text
}

/// Appends what [`format_moment`] gives; millions of rows have several moments each.
pub fn write_moment(millis: i64, text: &mut String) {
    let moment = DateTime::<Utc>::from_timestamp_millis(millis)
        .expect("moments come from parse_moment or the clock, both in chrono's range");
    let year = u32::try_from(moment.year()).expect("both give years from 1 to 9999");
    push_digits(text, year, 4);
    for (separator, number, width) in [
        ('-', moment.month(), 2),
        ('-', moment.day(), 2),
        ('T', moment.hour(), 2),
        (':', moment.minute(), 2),
        (':', moment.second(), 2),
        ('.', moment.timestamp_subsec_millis(), 3),
    ] {
        text.push(separator);
        push_digits(text, number, width);
    }
    text.push('Z');
}

fn push_digits(text: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        text.push(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8));
    }
}

fn parse_clock(clock: &str) -> Option<i64> {
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
fn parse_zone(zone: &str) -> Option<i64> {
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
}
