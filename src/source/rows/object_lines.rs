//! ObjectLines: splits a JSON object with an array of lines into a row for each line.
//!
//! The first row is the object with its first line in the place of the array. Each further one is
//! the line, under the array's path, with those members of the record that every row needs: so the
//! rows of a large object are together hardly longer than the object. An object without lines is
//! one row. Lines that are no data are no rows: the first row has the first line that is.

use crate::error::SyncError;
use crate::source::rows::json_values::{Members, flatten_record};
use crate::source::rows::{Fault, Form, Part, SkippedLines};
use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::ops::Range;

/// An object whose lines are rows.
#[derive(Debug)]
pub struct OpenObject {
    /// Its length.
    pub length: usize,
    /// Its lines, or why they cannot be read.
    lines: Result<ObjectLines, String>,
    /// Those of its lines that are data, by their places.
    kept: Vec<usize>,
    /// Rows that were read.
    pub rows_read: usize,
    /// The key of all of its rows.
    pub key: Option<String>,
    /// Why there is no key.
    fault: Option<Fault>,
    /// What each further row begins with.
    pub repeated: Vec<u8>,
}

impl OpenObject {
    /// Splits an object. If it is not text or not an object, it is one row, which says so.
    ///
    /// # Errors
    ///
    /// When it has more lines than a record may.
    pub fn of(raw: &[u8], path: &str, lines_max: usize) -> Result<Self, SyncError> {
        let lines = match std::str::from_utf8(raw) {
            Ok(text) => ObjectLines::of(text, path, lines_max),
            Err(_) => Err("the bytes are not UTF-8 text".to_owned()),
        };
        if lines.as_ref().is_ok_and(|lines| lines.lines() > lines_max) {
            return Err(SyncError::damaged(format!(
                "an object has more lines in `{path}` than record_rows_max allows ({lines_max})"
            )));
        }
        let kept = (0..lines.as_ref().map_or(0, ObjectLines::lines)).collect();
        Ok(Self {
            length: raw.len(),
            lines,
            kept,
            rows_read: 0,
            key: None,
            fault: None,
            repeated: Vec::new(),
        })
    }

    /// Number of its lines, whether they are data or not.
    pub fn lines(&self) -> usize {
        self.lines.as_ref().map_or(0, ObjectLines::lines)
    }

    /// Keeps the lines of these places only.
    pub fn keep(&mut self, lines: Vec<usize>) {
        self.kept = lines;
    }

    /// The lines beside the next row that are no data. The row of an object without any line that
    /// is data stands behind all of them.
    pub fn skipped(&self) -> SkippedLines {
        let end = self.lines();
        let place = |row: usize| self.kept.get(row).copied();
        let begin = self.rows_read.checked_sub(1).and_then(place).map_or(0, |line| line + 1);
        let own = place(self.rows_read).unwrap_or(end);
        let is_last = self.rows_read + 1 == self.kept.len();
        let after = if is_last { end - own - 1 } else { 0 };
        SkippedLines { before: (own - begin) as u64, after: after as u64 }
    }

    /// What the next row is.
    pub fn next_part(&self) -> Part {
        let is_last = self.rows_read + 1 >= self.kept.len();
        match self.rows_read {
            0 if self.kept.is_empty() => Part::NoLine {
                is_absent: self.lines.as_ref().is_ok_and(|lines| lines.array.is_empty()),
            },
            0 => Part::FirstLine { is_last },
            _ => Part::LaterLine { is_last },
        }
    }

    /// Writes the next row.
    pub fn write_row(&self, raw: &[u8], row: &mut Vec<u8>) {
        match (&self.lines, std::str::from_utf8(raw)) {
            (Ok(lines), Ok(text)) => match (self.rows_read, self.kept.get(self.rows_read)) {
                (1.., Some(&line)) => lines.later_row(text, line, &self.repeated, row),
                (_, first) => lines.first_row(text, first.copied(), row),
            },
            _ => {
                row.clear();
                row.extend(raw);
            }
        }
    }

    /// Writes a line by itself, below the lines' name.
    pub fn write_line(&self, raw: &[u8], path: &str, line: usize, row: &mut Vec<u8>) {
        let (Ok(lines), Ok(text)) = (&self.lines, std::str::from_utf8(raw)) else { return };
        lines.later_row(text, line, &repeated(b"{}", path, |_| false), row);
    }

    /// The part of a row in its object: all rows have one key, and a value that is not a line is a
    /// fault.
    pub fn checked(&mut self, key: Option<String>, form: Form, raw: &[u8], path: &str) -> Form {
        if self.rows_read == 0 {
            self.key = key;
            self.fault = match &form {
                Form::Broken(fault) if self.key.is_none() => Some(fault.clone()),
                _ => None,
            };
        }
        match (form, &self.lines, &self.fault) {
            (form @ Form::Broken(_), ..) => form,
            (_, _, Some(fault)) => Form::Broken(fault.clone()),
            (_, Err(reason), _) => Form::Broken(Fault::row(reason)),
            (form, Ok(lines), _) => match std::str::from_utf8(raw) {
                Ok(text) => match self.kept.get(self.rows_read) {
                    Some(&line) if !lines.is_object(text, line) => {
                        let number = line + 1;
                        let reason = format!("element {number} of `{path}` is no object");
                        Form::Broken(Fault::row(&reason))
                    }
                    _ => form,
                },
                Err(_) => form,
            },
        }
    }
}

/// An object, by what it is in its text.
#[derive(Debug, Default)]
struct ObjectLines {
    /// The array in the text.
    array: Range<usize>,
    /// Its elements.
    lines: Vec<Range<usize>>,
}

impl ObjectLines {
    /// Splits an object; of more than `lines_max` lines, one more is kept.
    ///
    /// # Errors
    ///
    /// Why it has no lines that can be read.
    pub fn of(object: &str, path: &str, lines_max: usize) -> Result<Self, String> {
        let mut found = Vec::new();
        find(object, path, &mut found);
        let array = match found.as_slice() {
            [] => return Ok(Self::default()),
            [array] => array.get(),
            _ => return Err(format!("the object has `{path}` twice")),
        };
        let place = place_in(object, array);
        if array == "null" {
            return Ok(Self { array: place, lines: Vec::new() });
        }
        if !array.starts_with('[') {
            return Err(format!("`{path}` is no array of lines"));
        }
        let lines = serde_json::Deserializer::from_str(array)
            .deserialize_seq(FirstElements { max: lines_max });
        let lines = lines.map_err(|error| format!("`{path}` cannot be read: {error}"))?;
        Ok(Self {
            array: place,
            lines: lines.into_iter().map(|line| place_in(object, line.get())).collect(),
        })
    }

    /// Number of lines.
    pub const fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Whether a line is an object.
    pub fn is_object(&self, object: &str, line: usize) -> bool {
        object[self.lines[line].clone()].starts_with('{')
    }

    /// The first row: the object with the first line that is data instead of the array.
    pub fn first_row(&self, object: &str, line: Option<usize>, row: &mut Vec<u8>) {
        let line = line.map_or("null", |line| &object[self.lines[line].clone()]);
        let line = if self.array.is_empty() { "" } else { line };
        row.clear();
        for part in [&object[..self.array.start], line, &object[self.array.end..]] {
            row.extend(part.bytes());
        }
    }

    /// A further row: what [`repeated`] made, and a line.
    pub fn later_row(&self, object: &str, line: usize, repeated: &[u8], row: &mut Vec<u8>) {
        row.clear();
        row.extend(repeated);
        row.extend(object[self.lines[line].clone()].bytes());
        row.push(b'}');
    }
}

/// What each row after the first begins with: the members of the record that `is_repeated` says,
/// and the lines' name.
pub fn repeated(first_row: &[u8], path: &str, is_repeated: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut row = vec![b'{'];
    let text = String::from_utf8_lossy(first_row);
    for (name, value) in flatten_record(&text).unwrap_or_default() {
        if is_repeated(&name) {
            push_name(&mut row, &name);
            row.extend(value.get().bytes());
            row.push(b',');
        }
    }
    push_name(&mut row, path);
    row
}

fn push_name(row: &mut Vec<u8>, name: &str) {
    row.extend(serde_json::to_vec(name).expect("a text is JSON"));
    row.push(b':');
}

/// The values that a path means in an object.
fn find<'a>(object: &'a str, path: &str, found: &mut Vec<&'a RawValue>) {
    let Ok(Members(members)) = serde_json::from_str::<Members<'a>>(object) else { return };
    for (name, value) in members {
        if name == path {
            found.push(value);
        } else if let Some(below) =
            path.strip_prefix(name.as_ref()).and_then(|rest| rest.strip_prefix('.'))
        {
            find(value.get(), below, found);
        }
    }
}

/// Where a part of a text is in it.
fn place_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

/// Reads the first elements of an array.
struct FirstElements {
    max: usize,
}

impl<'de> Visitor<'de> for FirstElements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while let Some(element) = elements.next_element()? {
            if first.len() <= self.max {
                first.push(element);
            }
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(object: &str, path: &str) -> Result<Vec<String>, String> {
        let lines = ObjectLines::of(object, path, 10)?;
        let mut row = Vec::new();
        let first = (lines.lines() > 0).then_some(0);
        lines.first_row(object, first, &mut row);
        let again = repeated(&row, path, |name| name == "id");
        let mut rows = vec![String::from_utf8_lossy(&row).into_owned()];
        for line in 1..lines.lines() {
            lines.later_row(object, line, &again, &mut row);
            rows.push(String::from_utf8_lossy(&row).into_owned());
        }
        Ok(rows)
    }

    #[test]
    fn an_object_is_a_row_for_each_line() {
        let object = r#"{"id": "ä", "to": {"x": 1}, "lines": [ {"a": 1}, {"a": [2]} ,5], "z": 0}"#;
        let expected = [
            r#"{"id": "ä", "to": {"x": 1}, "lines": {"a": 1}, "z": 0}"#,
            r#"{"id":"ä","lines":{"a": [2]}}"#,
            r#"{"id":"ä","lines":5}"#,
        ];
        assert_eq!(rows(object, "lines").expect("lines"), expected);
        let deep = r#"{"id":1,"cart":{"n":2,"lines":[{},{"a":1}]}}"#;
        let expected =
            [r#"{"id":1,"cart":{"n":2,"lines":{}}}"#, r#"{"id":1,"cart.lines":{"a":1}}"#];
        assert_eq!(rows(deep, "cart.lines").expect("lines"), expected);
        for none in [r#"{"id":1}"#, r#"{"id":1,"lines":null}"#] {
            assert_eq!(rows(none, "lines").expect("no lines"), [none]);
        }
        assert_eq!(rows(r#"{"lines":[]}"#, "lines").expect("no lines"), [r#"{"lines":null}"#]);
        for broken in [r#"{"lines":5}"#, r#"{"lines":[],"lines":[]}"#] {
            assert!(rows(broken, "lines").is_err());
        }
    }
}
