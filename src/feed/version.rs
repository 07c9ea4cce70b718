//! Version: which of two files of a dataset and market is the newer one. A newer file's word
//! counts.

use chrono::NaiveDate;

const DAY_MS: i64 = 86_400_000;

/// The version of a file: ordered by time, then by path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Milliseconds since 1970.
    pub ms: i64,
    /// Absolute path, as the ledger has it.
    pub path: String,
}

/// The time of a file at a path without earlier content: the modification time, kept within the day
/// (UTC) that the name gives, and never later than now. Milliseconds since 1970.
pub fn own_ms(modified_ns: i64, day: Option<NaiveDate>, now_ms: i64) -> i64 {
    let modified_ms = modified_ns.div_euclid(1_000_000);
    let in_day = match day.and_then(|day| day.and_hms_opt(0, 0, 0)) {
        Some(midnight) => {
            let start_ms = midnight.and_utc().timestamp_millis();
            modified_ms.clamp(start_ms, start_ms + DAY_MS - 1)
        }
        None => modified_ms,
    };
    in_day.min(now_ms)
}

/// The time of new content at a path whose earlier content had `last_ms`: what somebody puts there
/// later is newer, whatever its own time.
pub fn after(own_ms: i64, last_ms: i64) -> i64 {
    own_ms.max(last_ms + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Option<NaiveDate> {
        Some(text.parse().expect("a date"))
    }

    #[test]
    fn a_day_in_the_name_holds_the_time_within_it() {
        let start = 1_645_056_000_000; // 2022-02-17T00:00:00Z
        let now = start + 100 * DAY_MS;
        assert_eq!(own_ms((start + 5) * 1_000_000, day("2022-02-17"), now), start + 5);
        assert_eq!(own_ms(0, day("2022-02-17"), now), start);
        assert_eq!(own_ms(now * 1_000_000, day("2022-02-17"), now), start + DAY_MS - 1);
        assert_eq!(own_ms(now * 1_000_000, None, now), now);
    }

    #[test]
    fn no_file_is_newer_than_now() {
        assert_eq!(own_ms(9_000_000_000, None, 5), 5);
        assert_eq!(own_ms(0, day("2030-01-01"), 5), 5);
    }

    #[test]
    fn a_time_before_1970_is_rounded_down() {
        assert_eq!(own_ms(-1, None, 0), -1);
    }

    #[test]
    fn new_content_at_a_path_is_newer_than_what_was_there() {
        assert_eq!(after(10, 20), 21);
        assert_eq!(after(30, 20), 30);
    }

    #[test]
    fn ties_go_by_path() {
        let version = |ms, path: &str| Version { ms, path: path.to_owned() };
        assert!(version(1, "/b") < version(2, "/a"));
        assert!(version(1, "/a") < version(1, "/b"));
    }
}
