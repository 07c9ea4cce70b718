//! Typed rows: the rows of a workbook or a columnar file as text.
//!
//! They are CSV in which quotes say what a cell is: texts stand in quotes; numbers, moments, truth
//! values and errors do not (`"A-1",12.5,2022-02-17,#REF!`). So nothing is lost by which a number
//! is told from a text that looks like one, and all later passes read it as they read other CSV.

use crate::error::SyncError;
use crate::source::text::spool::Spool;
use crate::values::moment::{DAY_MS, format_moment};

/// Significant digits that a binary number of 64 bits always holds: a longer one may have been
/// another number before it was stored as that.
const DIGITS_MAX: usize = 15;

/// Places behind the point of the smallest numbers that are written without an exponent.
const PLACES_MAX: i32 = 20;

/// Rows that are being written.
#[derive(Debug)]
pub struct TypedRows<'s, 'd> {
    spool: &'s mut Spool<'d>,
    /// Cells of each row.
    width: usize,
    row_bytes_max: usize,
    /// Most bytes of all rows.
    bytes_max: u64,
    row: Vec<u8>,
    cells: usize,
    /// Whether a cell of the row has a value.
    has_value: bool,
    is_too_long: bool,
    /// Bytes of all rows, of blank ones too, which are not kept.
    bytes: u64,
}

impl<'s, 'd> TypedRows<'s, 'd> {
    /// No rows yet. Each will have at least that many cells.
    pub const fn new(
        spool: &'s mut Spool<'d>,
        width: usize,
        row_bytes_max: usize,
        bytes_max: u64,
    ) -> Self {
        Self {
            spool,
            width,
            row_bytes_max,
            bytes_max,
            row: Vec::new(),
            cells: 0,
            has_value: false,
            is_too_long: false,
            bytes: 0,
        }
    }

    /// Cells that the row has so far.
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// A cell without a value.
    pub fn empty(&mut self) {
        self.push(b"");
    }

    /// A text; an empty one is no value.
    pub fn text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return self.empty();
        }
        let quotes = text.iter().filter(|&&byte| byte == b'"').count();
        if self.row.len() + text.len() + quotes + 3 > self.row_bytes_max {
            // Its beginning without what would make several cells or rows of it.
            let room = (self.row_bytes_max + 1).saturating_sub(self.row.len());
            let beginning = &text[..text.len().min(room)];
            let plain = |&byte: &u8| if matches!(byte, b'"' | b',') { b' ' } else { byte };
            let mut plain: Vec<u8> = beginning.iter().map(plain).collect();
            plain.resize(room, b' ');
            return self.push(&plain);
        }
        let mut quoted = Vec::with_capacity(text.len() + quotes + 2);
        quoted.push(b'"');
        for &byte in text {
            quoted.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        }
        quoted.push(b'"');
        self.push(&quoted);
    }

    /// A number, moment or truth value, as text.
    pub fn value(&mut self, value: &str) {
        self.push(value.as_bytes());
    }

    /// A number of 64 bits.
    pub fn number(&mut self, number: f64) {
        match number.is_finite() {
            true => self.value(&number_text(number)),
            false if number.is_nan() => self.empty(),
            false => self.error(&number.to_string()),
        }
    }

    /// A cell without a value that could be read, and what stands there.
    pub fn error(&mut self, what: &str) {
        let what = what.trim_start_matches('#');
        let plain: String =
            what.chars().filter(|c| !matches!(c, '"' | ',' | '\n' | '\r')).collect();
        self.push(format!("#{plain}").as_bytes());
    }

    /// Ends the row, unless it has no value at all: then it is none.
    ///
    /// # Errors
    ///
    /// When there are more rows than the limit allows, or no room for them.
    pub fn end_row(&mut self) -> Result<(), SyncError> {
        while self.cells < self.width {
            self.empty();
        }
        self.bytes += self.row.len() as u64 + 1;
        if self.bytes > self.bytes_max {
            return Err(SyncError::damaged(format!(
                "its rows are more text than decompressed_bytes_max allows ({})",
                self.bytes_max
            )));
        }
        if self.has_value {
            if self.is_too_long {
                // Where the row ends must be clear without its quotes.
                let ends = self.row.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r'));
                ends.for_each(|byte| *byte = b' ');
            }
            self.row.push(b'\n');
            self.spool.write(&self.row)?;
        }
        self.row.clear();
        (self.cells, self.has_value, self.is_too_long) = (0, false, false);
        Ok(())
    }

    fn push(&mut self, cell: &[u8]) {
        if self.cells > 0 && !self.is_too_long {
            self.row.push(b',');
        }
        self.cells += 1;
        self.has_value |= !cell.is_empty();
        if self.is_too_long {
            return;
        }
        self.row.extend(cell);
        self.is_too_long = self.row.len() > self.row_bytes_max;
    }
}

/// A number as it is written: with an exponent only where it has more digits than it may have had.
/// An identifier of so many is none (`values::identifier`).
pub fn number_text(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    if number == 0.0 {
        return "0".to_owned();
    }
    let places = i32::try_from(digits).unwrap_or(0) - 1 - exponent;
    if digits > DIGITS_MAX || exponent >= DIGITS_MAX as i32 || places > PLACES_MAX {
        return format!("{mantissa}E{exponent:+}");
    }
    number.to_string()
}

/// The same of a number of 32 bits, whose digits are fewer.
pub fn short_number_text(number: f32) -> String {
    number_text(number.to_string().parse().unwrap_or(f64::from(number)))
}

/// A moment in milliseconds since 1970, without a zone unless it is known to be UTC.
pub fn moment_text(millis: i64, is_utc: bool) -> String {
    let mut text = format_moment(millis);
    if !is_utc {
        text.truncate(text.len() - 1);
    }
    text
}

/// A day, in days since 1970.
pub fn day_text(day: i64) -> String {
    let mut text = format_moment(day.saturating_mul(DAY_MS));
    text.truncate("2022-02-17".len());
    text
}

/// A time of day or a duration, in milliseconds.
pub fn clock_text(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    let (seconds, rest) = (millis / 1000, millis % 1000);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
    format!("{sign}{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::text::spool::Store;
    use std::path::Path;

    #[test]
    fn numbers_have_an_exponent_only_where_digits_may_be_lost() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (12.5, "12.5"),
            (-7.0, "-7"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1E+15"),
            (1_234_567_890_123_456.0, "1.234567890123456E+15"),
            (0.1 + 0.2, "3.0000000000000004E-1"),
            (1e-15, "0.000000000000001"),
            (1e-300, "1E-300"),
        ] {
            assert_eq!(number_text(number), text);
        }
        assert_eq!(short_number_text(0.1), "0.1");
        assert_eq!(short_number_text(16_777_216.0), "16777216");
    }

    #[test]
    fn rows_have_the_width_of_the_header_and_blank_ones_are_none() {
        let mut spool = Spool::new(Path::new("/"), u64::MAX);
        let mut rows = TypedRows::new(&mut spool, 3, 20, 1000);
        rows.text(b"a \"b\",\nc");
        rows.number(1.5);
        rows.end_row().expect("it is short");
        rows.empty();
        rows.end_row().expect("it is short");
        for _ in 0..4 {
            rows.error("#N/A");
        }
        rows.end_row().expect("it is short");
        rows.text(b"x\ny");
        rows.text(b"twenty \"characters\", and more");
        rows.value("1");
        rows.end_row().expect("it is cut off");
        let Store::Memory(bytes) = spool.finish().expect("it is short").store else {
            panic!("there is memory")
        };
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            "\"a \"\"b\"\",\nc\",1.5,\n#N/A,#N/A,#N/A,#N/A\n\"x y\",twenty  characte\n"
        );
    }
}
