//! Any text as a time, and any time as text and back.

#![no_main]

use tidegate::values::moment::{format_moment, parse_day, parse_moment};
use tidegate_fuzz::spelt;

/// 0001-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z.
const MOMENT_MIN: i64 = -62_135_596_800_000;
const MOMENT_MAX: i64 = 253_402_300_799_999;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = spelt(input, "0123456789-:.,TtZz +/UTCGMéx");
    if let Some(moment) = parse_moment(&text) {
        assert!(
            (MOMENT_MIN..=MOMENT_MAX).contains(&moment),
            "{text} is {moment}, which no database holds"
        );
        round_trip(moment);
    }
    if let Some(day) = parse_day(&text) {
        assert_eq!(parse_day(&day.to_string()), Some(day), "{text}");
    }
    if let Some(bytes) = input.first_chunk::<10>() {
        let number = i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let moment = MOMENT_MIN + number.rem_euclid(MOMENT_MAX - MOMENT_MIN + 1);
        round_trip(moment);
        in_another_zone(
            moment,
            i64::from(bytes[8]) % 16,
            i64::from(bytes[9]) % 60,
            bytes[9] & 64 == 0,
        );
    }
});

fn round_trip(moment: i64) {
    let text = format_moment(moment);
    assert_eq!(parse_moment(&text), Some(moment), "{text}");
    assert_eq!(parse_moment(&text.replace('T', " ").replace('Z', "")), Some(moment), "{text}");
    // What is under the millisecond is cut.
    assert_eq!(parse_moment(&text.replace('Z', "999Z")), Some(moment), "{text}");
    assert_eq!(parse_moment(&format!(" {text}\u{a0}")), Some(moment), "{text}");
    let midnight = parse_moment(&text[..10]).expect("a day is its midnight");
    assert_eq!(midnight, moment.div_euclid(86_400_000) * 86_400_000, "{text}");
}

/// The same moment as a clock elsewhere shows it.
fn in_another_zone(moment: i64, hours: i64, minutes: i64, is_east: bool) {
    let offset = (hours * 60 + minutes) * 60_000 * if is_east { 1 } else { -1 };
    let shown = moment + offset;
    if !(MOMENT_MIN..=MOMENT_MAX).contains(&shown) {
        return;
    }
    let sign = if is_east { '+' } else { '-' };
    for zone in [format!("{sign}{hours:02}:{minutes:02}"), format!(" {sign}{hours:02}{minutes:02}")]
    {
        let text = format_moment(shown).replace('Z', &zone);
        assert_eq!(parse_moment(&text), Some(moment), "{text}");
    }
}
