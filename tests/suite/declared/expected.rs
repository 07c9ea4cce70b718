//! What a table is to be stored as: worked out from what its cells mean, and from nothing of the
//! program.

use super::table::{Cell, Column, Form, Row, Table, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A table of the database.
#[derive(Clone, Debug)]
pub struct Stored {
    pub name: String,
    pub columns: Vec<String>,
    /// Its rows, as JSON texts of which each has a value of each column.
    pub rows: Vec<Vec<Json>>,
}

/// What is stored of a file, and what is said of its rows.
#[derive(Clone, Debug)]
pub struct Expected {
    pub tables: Vec<Stored>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Expected {
    pub fn of(table: &Table, headers_again: u64) -> Self {
        let rows: Vec<&Row> = table.rows.iter().filter(|row| !row.is_total).collect();
        let mut records: Vec<Vec<&Row>> = Vec::new();
        for &row in &rows {
            let own = records
                .iter_mut()
                .find(|record| record[0].record == row.record && (!table.is_keyless()));
            match own {
                Some(record) => record.push(row),
                None => records.push(vec![row]),
            }
        }
        let (records, broken): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|rows| keeps_rules(table, rows));
        let rejected: usize = broken.iter().map(Vec::len).sum();
        let rows: Vec<&Row> = records.concat();
        let mut duplicates = 0;
        let tables = match table.lines_table {
            None => {
                let read = records.len();
                let mut stored = without_lines(table, &records);
                if table.is_keyless() {
                    distinct(&mut stored.rows);
                }
                duplicates += rows.len() - stored.rows.len();
                debug_assert!(table.is_keyless() || read == stored.rows.len());
                vec![stored]
            }
            Some(_) => with_lines(table, &records, &mut duplicates),
        };
        let totals = table.rows.iter().filter(|row| row.is_total).count();
        let count = |count: usize| u64::try_from(count).expect("few");
        let counts = [
            ("read", count(table.rows.len()) + headers_again),
            ("skipped", count(totals) + headers_again),
            ("rejected", count(rejected)),
        ];
        let mut counts: BTreeMap<&str, u64> = counts.into();
        // Without a key, rows that are written differently and mean the same may be met in
        // different chunks, and the later one finds itself stored.
        if !table.is_keyless() {
            counts.insert("duplicate", count(duplicates));
        }
        Self { tables, counts }
    }
}

/// Whether a record as a whole, and each of its lines, is as the declaration says.
fn keeps_rules(table: &Table, rows: &[&Row]) -> bool {
    let with_rules = table.columns.iter().enumerate();
    let mut with_rules =
        with_rules.filter_map(|(index, column)| Some((index, column, column.rule?)));
    with_rules.all(|(index, column, rule)| {
        let mut values = rows
            .iter()
            .filter(|row| !column.is_of_line || !row.is_bare)
            .map(|row| row.cells[index].as_ref().map(|cell| &cell.value));
        if column.is_of_line {
            return values.all(|value| rule.holds(value));
        }
        let is_value =
            |value: &Option<&Value>| !matches!(value, None | Some(Value::Null | Value::Rescued));
        rule.holds(values.rfind(is_value).flatten())
    })
}

fn without_lines(table: &Table, records: &[Vec<&Row>]) -> Stored {
    let columns: Vec<usize> = stored_columns(table, |_| true);
    let rows = records.iter().map(|rows| {
        let row = match table.repeated_keys {
            Some("first") => rows[0],
            _ => rows[rows.len() - 1],
        };
        let cells = columns
            .iter()
            .map(|&column| (&table.columns[column], row.cells[column].iter().collect()));
        let mut values = head(table, row);
        values.extend(values_of(cells));
        values
    });
    Stored { name: table.table.clone(), columns: names(table, &columns, &[]), rows: rows.collect() }
}

fn with_lines(table: &Table, records: &[Vec<&Row>], duplicates: &mut usize) -> Vec<Stored> {
    let of_record = stored_columns(table, |column| !column.is_of_line);
    let of_line = stored_columns(table, |column| column.is_of_line);
    let (mut record_rows, mut line_rows) = (Vec::new(), Vec::new());
    for rows in records {
        let mut lines: Vec<&Row> = rows.iter().copied().filter(|row| !row.is_bare).collect();
        if table.drops_duplicates {
            let before = lines.len();
            lines = distinct_lines(table, &lines);
            *duplicates += before - lines.len();
        }
        let mut values = head(table, rows[0]);
        values.push(json!(lines.len()));
        let cells = of_record.iter().map(|&column| {
            let cells = rows.iter().filter_map(|row| row.cells[column].as_ref());
            let own = &table.columns[column];
            // What belongs to an object stands in it once; its lines repeat it here.
            (own, cells.collect())
        });
        values.extend(values_of(cells));
        record_rows.push(values);
        for (number, row) in lines.into_iter().enumerate() {
            let mut values = head(table, row);
            values.push(json!(number + 1));
            values.extend(values_of(
                of_line
                    .iter()
                    .map(|&column| (&table.columns[column], row.cells[column].iter().collect())),
            ));
            line_rows.push(values);
        }
    }
    let lines_table = table.lines_table.clone().expect("it has lines");
    vec![
        Stored {
            name: table.table.clone(),
            columns: names(table, &of_record, &["line_count"]),
            rows: record_rows,
        },
        Stored {
            name: lines_table,
            columns: names(table, &of_line, &["line_no"]),
            rows: line_rows,
        },
    ]
}

/// The lines that differ in anything that is stored of them.
fn distinct_lines<'r>(table: &Table, lines: &[&'r Row]) -> Vec<&'r Row> {
    let is_nested = matches!(table.form, Form::Nested { .. });
    let compared =
        stored_columns(table, |column| !is_nested || column.is_of_line || column.is_in_line);
    let values = |row: &Row| -> Vec<Json> {
        let cells = compared
            .iter()
            .map(|&column| (&table.columns[column], row.cells[column].iter().collect()));
        values_of(cells)
    };
    let mut seen: Vec<Vec<Json>> = Vec::new();
    let mut kept = Vec::new();
    for &row in lines {
        let own = values(row);
        if !seen.contains(&own) {
            seen.push(own);
            kept.push(row);
        }
    }
    kept
}

fn distinct(rows: &mut Vec<Vec<Json>>) {
    let mut seen: Vec<Vec<Json>> = Vec::new();
    rows.retain(|row| {
        let is_new = !seen.contains(row);
        seen.push(row.clone());
        is_new
    });
}

/// The columns that are stored beside the key.
fn stored_columns(table: &Table, is_wanted: impl Fn(&Column) -> bool) -> Vec<usize> {
    let is_own =
        |column: &Column| column.key_part.is_none() && column.is_stored && is_wanted(column);
    (0..table.columns.len()).filter(|&column| is_own(&table.columns[column])).collect()
}

fn names(table: &Table, columns: &[usize], counted: &[&str]) -> Vec<String> {
    let key = table.key();
    let key = key.iter().map(|&column| table.columns[column].name.clone());
    let own = columns.iter().map(|&column| table.columns[column].name.clone());
    let counted = counted.iter().map(|&name| name.to_owned());
    [String::from("market")]
        .into_iter()
        .chain(key)
        .chain(counted)
        .chain(own)
        .chain([String::from("_rescued")])
        .collect()
}

/// The market and the key.
fn head(table: &Table, row: &Row) -> Vec<Json> {
    let mut values = vec![json!(table.market)];
    for column in table.key() {
        values.push(row.cells[column].as_ref().map_or(Json::Null, |cell| value_json(&cell.value)));
    }
    values
}

/// Of each column the last of these values, and all texts that do not fit.
fn values_of<'t>(cells: impl Iterator<Item = (&'t Column, Vec<&'t Cell>)>) -> Vec<Json> {
    let mut rescued = serde_json::Map::new();
    let mut values = Vec::new();
    for (column, cells) in cells {
        let is_value = |cell: &&&Cell| !matches!(cell.value, Value::Null | Value::Rescued);
        let value = cells.iter().rfind(is_value);
        values.push(value.map_or(Json::Null, |cell| value_json(&cell.value)));
        if let Some(cell) = cells.iter().rfind(|cell| cell.value == Value::Rescued) {
            rescued.insert(column.name.clone(), json!(cell.text));
        }
    }
    values.push(if rescued.is_empty() { Json::Null } else { Json::Object(rescued) });
    values
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Null | Value::Rescued => Json::Null,
        Value::Text(text) => json!(text),
        Value::Whole(number) => json!(number),
        Value::Real(number) => json!(number.parse::<f64>().expect("digits")),
    }
}
