//! RecordJson: a stored record with its lines as one JSON object, and back.
//!
//! | member | value |
//! |---|---|
//! | a column | its canonical text; a whole number as a number; no member where it is NULL |
//! | `_file_id`, `_rescued`, `_deleted_at` | as the row has them |
//! | `_lines` | the lines, each such an object |
//!
//! Texts keep every digit, so the values that are read back have the hashes that they had.
//! Names from files begin with a letter, so none is one of the others.

use crate::feed::layout::{ColumnShape, Kind};
use crate::transform::clean::arrow_type;
use crate::transform::row_hash::hash_rows;
use crate::transform::table_rows::TableRows;
use crate::values::canonical::Values;
use crate::values::moment::{parse_day, parse_moment};
use crate::values::number::DECIMAL_SCALE;
use arrow_array::types::Date32Type;
use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The member with a record's lines.
pub const LINES: &str = "_lines";

/// The member with the file that last wrote the row.
pub const FILE_ID: &str = "_file_id";

/// Stored rows of one table, as columns.
#[derive(Debug, Default)]
pub struct StoredRows {
    /// The key of each row's record.
    pub keys: Vec<String>,
    /// The file that last wrote each row.
    pub file_ids: Vec<i64>,
    /// Columns by name, without hash and file.
    pub columns: Vec<(String, ArrayRef)>,
}

/// Rows to be written again, of one file.
#[derive(Debug)]
pub struct RowsOfFile {
    /// The file that had written them.
    pub file_id: i64,
    /// The rows.
    pub rows: TableRows,
}

/// A text of the history that does not describe a record of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotARecord(pub String);

/// Writes each record as JSON, by its key. `lines` are in the order of their numbers.
pub fn write_records(records: &StoredRows, lines: Option<&StoredRows>) -> BTreeMap<String, String> {
    let mut of_record: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, key) in lines.iter().flat_map(|lines| lines.keys.iter().enumerate()) {
        of_record.entry(key).or_default().push(row);
    }
    let (record_cells, line_cells) = (Cells::of(records), lines.map(Cells::of));
    let mut written = BTreeMap::new();
    for (row, key) in records.keys.iter().enumerate() {
        let mut text = Vec::with_capacity(512);
        text.push(b'{');
        record_cells.push_members(&mut text, row);
        if let Some(cells) = &line_cells {
            text.extend(b",\"_lines\":[");
            for (index, &line) in of_record.get(key.as_str()).into_iter().flatten().enumerate() {
                text.extend(if index == 0 { &b"{"[..] } else { &b",{"[..] });
                cells.push_members(&mut text, line);
                text.push(b'}');
            }
            text.push(b']');
        }
        text.push(b'}');
        let text = String::from_utf8(text).expect("names, values and frames are text");
        written.insert(key.clone(), text);
    }
    written
}

/// The columns of stored rows, ready to be written.
struct Cells<'a> {
    file_ids: &'a [i64],
    columns: Vec<(Vec<u8>, Values<'a>)>,
}

impl<'a> Cells<'a> {
    fn of(rows: &'a StoredRows) -> Self {
        let column = |(name, values): &'a (String, ArrayRef)| {
            let mut member = Vec::new();
            push_text(&mut member, name);
            member.push(b':');
            (member, Values::of(values))
        };
        Self { file_ids: &rows.file_ids, columns: rows.columns.iter().map(column).collect() }
    }

    fn push_members(&self, text: &mut Vec<u8>, row: usize) {
        for (member, values) in self.columns.iter().filter(|(_, values)| !values.is_null(row)) {
            text.extend(member);
            match values {
                Values::Text(texts) => push_text(text, texts.value(row)),
                Values::Integer(_) => values.push(text, row),
                _ => {
                    // Digits, signs and letters of moments need no escape.
                    text.push(b'"');
                    values.push(text, row);
                    text.push(b'"');
                }
            }
            text.push(b',');
        }
        push_text(text, FILE_ID);
        text.extend(format!(":{}", self.file_ids[row]).bytes());
    }
}

fn push_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("memory takes what is written to it");
}

/// The members of a record, and of its lines.
#[derive(Clone, Debug, Default)]
pub struct RecordMembers {
    /// Those of the record.
    pub record: Map<String, Value>,
    /// Those of each line.
    pub lines: Vec<Map<String, Value>>,
}

impl RecordMembers {
    /// Reads what [`write_records`] wrote.
    ///
    /// # Errors
    ///
    /// When it is no such text.
    pub fn read(json: &str) -> Result<Self, NotARecord> {
        let mut record: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| NotARecord(error.to_string()))?;
        let lines = match record.remove(LINES) {
            None => Vec::new(),
            Some(lines) => {
                serde_json::from_value(lines).map_err(|error| NotARecord(error.to_string()))?
            }
        };
        Ok(Self { record, lines })
    }
}

/// The rows of a table with these columns that such members describe, by the file that wrote them.
/// Columns without a member are NULL. Columns in `not_hashed` are written and not hashed.
///
/// # Errors
///
/// When a member is of no column, or its text is no value of its column.
pub fn table_rows(
    rows: &[&Map<String, Value>],
    columns: &[ColumnShape],
    not_hashed: &str,
) -> Result<Vec<RowsOfFile>, NotARecord> {
    let mut by_file: BTreeMap<i64, Vec<&Map<String, Value>>> = BTreeMap::new();
    for &row in rows {
        let file_id = row.get(FILE_ID).and_then(Value::as_i64);
        let lacks = || NotARecord("it does not say which file wrote it".to_owned());
        let is_known =
            |name: &&String| *name == FILE_ID || columns.iter().any(|column| column.name == **name);
        if let Some(name) = row.keys().find(|name| !is_known(name)) {
            return Err(NotARecord(format!("the table has no column `{name}` any more")));
        }
        by_file.entry(file_id.ok_or_else(lacks)?).or_default().push(row);
    }
    let rows_of_file = |(file_id, rows): (i64, Vec<&Map<String, Value>>)| {
        let named = columns.iter().map(|column| Ok((column, values_of(&rows, column)?)));
        let named: Vec<(&ColumnShape, ArrayRef)> = named.collect::<Result<_, NotARecord>>()?;
        let batch = |all: bool| {
            let chosen = named.iter().filter(|(column, _)| all || column.name != not_hashed);
            RecordBatch::try_from_iter_with_nullable(
                chosen.map(|(column, values)| (&column.name, Arc::clone(values), true)),
            )
            .expect("every column has a value for each row")
        };
        let (hashes, batch) = (hash_rows(&batch(false)), batch(true));
        let record = vec![0; hashes.len()];
        let rows = TableRows { batch, record, hashes, absent: Vec::new(), encoded: None };
        Ok(RowsOfFile { file_id, rows })
    };
    by_file.into_iter().map(rows_of_file).collect()
}

/// The values of one column, of its present kind: a column may have been widened since.
fn values_of(rows: &[&Map<String, Value>], column: &ColumnShape) -> Result<ArrayRef, NotARecord> {
    fn parsed<T>(
        rows: &[&Map<String, Value>],
        column: &ColumnShape,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<Option<T>>, NotARecord> {
        let value = |row: &&Map<String, Value>| {
            let text = match row.get(&column.name) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let (name, kind) = (&column.name, column.kind.name());
            let misfit = || NotARecord(format!("`{text}` is no {kind}, which `{name}` holds"));
            parse(&text).map(Some).ok_or_else(misfit)
        };
        rows.iter().map(value).collect()
    }
    Ok(match column.kind {
        Kind::Identifier | Kind::Text | Kind::Hash => {
            Arc::new(StringArray::from(parsed(rows, column, |text| Some(text.to_owned()))?))
        }
        Kind::Integer => {
            Arc::new(Int64Array::from(parsed(rows, column, |text| text.parse().ok())?))
        }
        Kind::Double => {
            Arc::new(Float64Array::from(parsed(rows, column, |text| text.parse().ok())?))
        }
        Kind::Decimal | Kind::Total => {
            let units = parsed(rows, column, ten_thousandths)?;
            Arc::new(Decimal128Array::from(units).with_data_type(arrow_type(Kind::Decimal)))
        }
        Kind::Time => {
            Arc::new(TimestampMillisecondArray::from(parsed(rows, column, parse_moment)?))
        }
        Kind::Day => {
            let days =
                parsed(rows, column, |text| parse_day(text).map(Date32Type::from_naive_date));
            Arc::new(Date32Array::from(days?))
        }
    })
}

fn ten_thousandths(text: &str) -> Option<i128> {
    let mut decimal: Decimal = text.parse().ok()?;
    let is_exact = decimal.normalize().scale() <= DECIMAL_SCALE;
    decimal.rescale(DECIMAL_SCALE);
    is_exact.then(|| decimal.mantissa())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    fn stored(columns: Vec<(&str, ArrayRef)>, keys: &[&str]) -> StoredRows {
        StoredRows {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            file_ids: (1..).take(keys.len()).collect(),
            columns: columns.into_iter().map(|(name, values)| (name.to_owned(), values)).collect(),
        }
    }

    fn shape(name: &str, kind: Kind) -> ColumnShape {
        ColumnShape::found(name.to_owned(), kind)
    }

    /// Values of every kind, with those that a number or a moment on the way would change.
    fn record() -> (StoredRows, Vec<ColumnShape>) {
        let decimals = Decimal128Array::from(vec![Some(9_999_999_999_999_999), Some(-24)])
            .with_data_type(arrow_type(Kind::Decimal));
        let columns: Vec<(&str, Kind, ArrayRef)> = vec![
            ("id", Kind::Identifier, Arc::new(StringArray::from(vec!["007", "a\"\u{7}\\é"]))),
            ("note", Kind::Text, Arc::new(StringArray::from(vec![None, Some("")]))),
            ("whole", Kind::Integer, Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
            ("money", Kind::Decimal, Arc::new(decimals)),
            ("measure", Kind::Double, Arc::new(Float64Array::from(vec![0.1 + 0.2, -5e-324]))),
            ("at", Kind::Time, Arc::new(TimestampMillisecondArray::from(vec![86_400_000, -1]))),
            ("day", Kind::Day, Arc::new(Date32Array::from(vec![Some(19_040), None]))),
            ("gone", Kind::Time, Arc::new(TimestampMillisecondArray::from(vec![None, Some(7)]))),
        ];
        let shapes = columns.iter().map(|&(name, kind, _)| shape(name, kind)).collect();
        let columns = columns.into_iter().map(|(name, _, values)| (name, values)).collect();
        (stored(columns, &["007", "b"]), shapes)
    }

    #[test]
    fn a_record_comes_back_with_every_digit_and_its_hash() {
        let (records, shapes) = record();
        let written = write_records(&records, None);
        for (row, key) in ["007", "b"].into_iter().enumerate() {
            let members = RecordMembers::read(&written[key]).expect("it was written");
            let back = table_rows(&[&members.record], &shapes, "gone").expect("it fits");
            assert_eq!((back.len(), back[0].file_id), (1, row as i64 + 1));
            for (index, (name, values)) in records.columns.iter().enumerate() {
                let same = back[0].rows.batch.column(index);
                assert_eq!(same.to_data(), values.slice(row, 1).to_data(), "{name}");
            }
            let hashed = records.columns.iter().filter(|(name, _)| name != "gone");
            let hashed = hashed.map(|(name, values)| (name, values.slice(row, 1), true));
            let batch = RecordBatch::try_from_iter_with_nullable(hashed).expect("equal lengths");
            assert_eq!(back[0].rows.hashes, hash_rows(&batch));
        }
    }

    #[test]
    fn a_value_keeps_its_hash_in_a_column_that_was_widened_since() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![5]))),
            ("d", Arc::new(Date32Array::from(vec![19_040]))),
        ];
        let before = RecordBatch::try_from_iter_with_nullable(
            columns.iter().map(|(name, values)| (*name, Arc::clone(values), true)),
        );
        let before = hash_rows(&before.expect("equal lengths"));
        let written = write_records(&stored(columns, &["1"]), None);
        let members = RecordMembers::read(&written["1"]).expect("it was written");
        for kinds in [[Kind::Decimal, Kind::Time], [Kind::Double, Kind::Text], [Kind::Text; 2]] {
            let shapes = [shape("n", kinds[0]), shape("d", kinds[1]), shape("new", Kind::Text)];
            let back = table_rows(&[&members.record], &shapes, "").expect("it fits");
            assert_eq!(back[0].rows.hashes, before, "{kinds:?}");
            assert_eq!(back[0].rows.batch.column(2).null_count(), 1);
        }
        let refused = table_rows(&[&members.record], &[shape("n", Kind::Integer)], "");
        let refused = refused.expect_err("`d` is gone");
        assert_eq!(refused.0, "the table has no column `d` any more");
        let refused =
            table_rows(&[&members.record], &[shape("n", Kind::Day), shape("d", Kind::Day)], "");
        assert_eq!(refused.expect_err("5 is no day").0, "`5` is no date, which `n` holds");
    }

    #[test]
    fn lines_belong_to_their_record_and_rows_to_their_file() {
        let ids = |ids: Vec<&str>| Arc::new(StringArray::from(ids)) as ArrayRef;
        let numbers = |numbers: Vec<i64>| Arc::new(Int64Array::from(numbers)) as ArrayRef;
        let records = stored(vec![("id", ids(vec!["a", "b"]))], &["a", "b"]);
        let lines = stored(
            vec![("id", ids(vec!["b", "a", "b"])), ("line_no", numbers(vec![1, 1, 2]))],
            &["b", "a", "b"],
        );
        let written = write_records(&records, Some(&lines));
        assert_eq!(
            written["a"],
            r#"{"id":"a","_file_id":1,"_lines":[{"id":"a","line_no":1,"_file_id":2}]}"#
        );
        let members = RecordMembers::read(&written["b"]).expect("it was written");
        let shapes = [shape("id", Kind::Identifier), shape("line_no", Kind::Integer)];
        let rows: Vec<&Map<String, Value>> = members.lines.iter().collect();
        let back = table_rows(&rows, &shapes, "").expect("they fit");
        let files: Vec<i64> = back.iter().map(|rows| rows.file_id).collect();
        assert_eq!(files, [1, 3]);
        let number = back[1].rows.batch.column(1).as_primitive::<arrow_array::types::Int64Type>();
        assert_eq!(number.value(0), 2);
        assert!(RecordMembers::read("[]").is_err());
    }
}
