//! Canonical: the one text of a value, whatever the kind of its column. Row hashes use it, and a
//! column that becomes text holds it, so a row keeps its hash when a column is widened.
//!
//! | kind | text |
//! |---|---|
//! | integer | `5` |
//! | decimal | `5.5`, without zeros at its end |
//! | double | the shortest text that is read back as the same number, without an exponent; -0 is `0` |
//! | moment | `2022-02-17T16:36:27.000Z`; at exact midnight `2022-02-17` |
//! | day | `2022-02-17` |
//! | text | itself |

use crate::values::moment::{DAY_MS, civil};
use crate::values::number::DECIMAL_SCALE;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use std::io::Write;

/// A column whose values can be written.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Text.
    Text(&'a StringArray),
    /// Whole numbers.
    Integer(&'a Int64Array),
    /// Ten-thousandths.
    Decimal(&'a Decimal128Array),
    /// Measures.
    Double(&'a Float64Array),
    /// Milliseconds since 1970.
    Moment(&'a TimestampMillisecondArray),
    /// Days since 1970.
    Day(&'a Date32Array),
}

impl<'a> Values<'a> {
    /// The values of a column that `clean` made.
    ///
    /// # Panics
    ///
    /// When the column has a type that `clean` never makes.
    pub fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Int64 => Self::Integer(column.as_primitive::<Int64Type>()),
            DataType::Decimal128(..) => Self::Decimal(column.as_primitive::<Decimal128Type>()),
            DataType::Float64 => Self::Double(column.as_primitive::<Float64Type>()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Self::Moment(column.as_primitive::<TimestampMillisecondType>())
            }
            DataType::Date32 => Self::Day(column.as_primitive::<Date32Type>()),
            other => unreachable!("clean makes no column of type {other}"),
        }
    }

    /// Whether there is no value.
    pub fn is_null(self, row: usize) -> bool {
        match self {
            Self::Text(values) => values.is_null(row),
            Self::Integer(values) => values.is_null(row),
            Self::Decimal(values) => values.is_null(row),
            Self::Double(values) => values.is_null(row),
            Self::Moment(values) => values.is_null(row),
            Self::Day(values) => values.is_null(row),
        }
    }

    /// Whether two cells hold the same value, or both none.
    pub fn is_same(self, one: usize, other: usize) -> bool {
        if self.is_null(one) || self.is_null(other) {
            return self.is_null(one) && self.is_null(other);
        }
        match self {
            Self::Text(values) => values.value(one) == values.value(other),
            Self::Integer(values) => values.value(one) == values.value(other),
            Self::Decimal(values) => values.value(one) == values.value(other),
            // Compared like bits, so that NaN equals itself.
            Self::Double(values) => values.value(one).total_cmp(&values.value(other)).is_eq(),
            Self::Moment(values) => values.value(one) == values.value(other),
            Self::Day(values) => values.value(one) == values.value(other),
        }
    }

    /// Appends the text of a value that is there.
    pub fn push(self, text: &mut Vec<u8>, row: usize) {
        match self {
            Self::Text(values) => text.extend(values.value(row).as_bytes()),
            Self::Integer(values) => push_integer(text, values.value(row)),
            Self::Decimal(values) => push_decimal(text, values.value(row)),
            Self::Double(values) => push_double(text, values.value(row)),
            Self::Moment(values) => push_moment(text, values.value(row)),
            Self::Day(values) => push_day(text, i64::from(values.value(row))),
        }
    }
}

/// Appends a whole number.
pub fn push_integer(text: &mut Vec<u8>, value: i64) {
    push_signed(text, i128::from(value));
}

/// Appends ten-thousandths as a number.
pub fn push_decimal(text: &mut Vec<u8>, ten_thousandths: i128) {
    const UNIT: u64 = 10_u64.pow(DECIMAL_SCALE);
    if ten_thousandths < 0 {
        text.push(b'-');
    }
    let units = ten_thousandths.unsigned_abs();
    // Division of 128 bits is slow, and few numbers need it.
    let (whole, mut fraction) = match u64::try_from(units) {
        Ok(units) => ((units / UNIT).into(), units % UNIT),
        Err(_) => (units / u128::from(UNIT), (units % u128::from(UNIT)) as u64),
    };
    push_digits(text, whole, 1);
    if fraction == 0 {
        return;
    }
    let mut places = DECIMAL_SCALE as usize;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        places -= 1;
    }
    text.push(b'.');
    push_digits(text, fraction.into(), places);
}

/// Appends a measure.
pub fn push_double(text: &mut Vec<u8>, value: f64) {
    // Adding zero makes -0.0 and 0.0 one value, as they are in every database's comparison.
    write!(text, "{}", value + 0.0).expect("memory takes what is written to it");
}

/// Appends a moment, given in milliseconds since 1970.
pub fn push_moment(text: &mut Vec<u8>, millis: i64) {
    push_day(text, millis.div_euclid(DAY_MS));
    let of_day = millis.rem_euclid(DAY_MS).unsigned_abs();
    if of_day == 0 {
        return;
    }
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    for (before, number) in
        [(b'T', seconds / 3600), (b':', seconds / 60 % 60), (b':', seconds % 60)]
    {
        text.push(before);
        push_digits(text, u128::from(number), 2);
    }
    text.push(b'.');
    push_digits(text, u128::from(millis), 3);
    text.push(b'Z');
}

/// Appends a day, given in days since 1970.
pub fn push_day(text: &mut Vec<u8>, day: i64) {
    let (year, month, day) = civil(day);
    push_digits(text, u128::from(year.unsigned_abs()), 4);
    text.push(b'-');
    push_digits(text, u128::from(month), 2);
    text.push(b'-');
    push_digits(text, u128::from(day), 2);
}

fn push_signed(text: &mut Vec<u8>, value: i128) {
    if value < 0 {
        text.push(b'-');
    }
    push_digits(text, value.unsigned_abs(), 1);
}

/// Appends a number with at least so many digits.
fn push_digits(text: &mut Vec<u8>, number: u128, digits_min: usize) {
    /// Digits of the largest number.
    const DIGITS_MAX: usize = 39;
    let mut digits = [b'0'; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    let mut push = |digit: u8| {
        at -= 1;
        digits[at] = b'0' + digit;
    };
    // Division of 128 bits is slow, and few numbers need it.
    if let Ok(mut number) = u64::try_from(number) {
        while number > 0 {
            push((number % 10) as u8);
            number /= 10;
        }
    } else {
        let mut number = number;
        while number > 0 {
            push((number % 10) as u8);
            number /= 10;
        }
    }
    text.extend(&digits[at.min(DIGITS_MAX - digits_min)..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::moment::{format_moment, parse_moment};
    use chrono::NaiveDate;

    fn text(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        push(&mut text);
        String::from_utf8(text).expect("digits and punctuation")
    }

    #[test]
    fn numbers_have_one_text() {
        for (value, expected) in [
            (0, "0"),
            (5, "5"),
            (-17, "-17"),
            (i64::MAX, "9223372036854775807"),
            (i64::MIN, "-9223372036854775808"),
        ] {
            assert_eq!(text(|text| push_integer(text, value)), expected);
        }
        for (units, expected) in [
            (0, "0"),
            (50_000, "5"),
            (55_000, "5.5"),
            (24, "0.0024"),
            (-100, "-0.01"),
            (1_042_500_000, "104250"),
            (9_999_999_999_999_999_999, "999999999999999.9999"),
        ] {
            assert_eq!(text(|text| push_decimal(text, units)), expected);
        }
        for (value, expected) in [
            (36.0, "36"),
            (-0.0, "0"),
            (-1.261_113_4, "-1.2611134"),
            (1e-7, "0.0000001"),
            (3.7e14, "370000000000000"),
        ] {
            assert_eq!(text(|text| push_double(text, value)), expected);
        }
    }

    #[test]
    fn moments_have_the_text_that_sqlite_stores_and_midnights_that_of_days() {
        for moment in
            ["0001-01-01T00:00:00.001Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"]
        {
            let millis = parse_moment(moment).expect("a moment");
            assert_eq!(text(|text| push_moment(text, millis)), moment);
            assert_eq!(text(|text| push_moment(text, millis)), format_moment(millis));
        }
        let midnight = parse_moment("2022-02-17").expect("a moment");
        assert_eq!(text(|text| push_moment(text, midnight)), "2022-02-17");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let first = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a day");
        for days in (-719_162..2_932_896).step_by(97) {
            let day = first + chrono::Duration::days(days);
            assert_eq!(text(|text| push_day(text, days)), day.to_string());
        }
    }
}
