//! Forms: one table of texts as a file of each format.

use arrow_array::builder::{Decimal128Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, NaiveDateTime};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use rust_xlsxwriter::{Format, Workbook};
use std::io::{Cursor, Write};
use std::sync::Arc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A table of texts.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of its columns.
    pub header: Vec<String>,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Of a CSV text without line ends in cells; rows of another width are left out.
    pub fn of_csv(text: &str) -> Self {
        let mut rows = text.lines().map(cells_of_line);
        let mut header = rows.next().expect("a header");
        let named = header.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let width = header.len();
        header.truncate(named);
        let rows = rows.filter(|row| row.len() == width);
        Self { header, rows: rows.map(|row| row[..named].to_vec()).collect() }
    }

    /// Of an array of objects without others in them; a member that one lacks is no value.
    pub fn of_json(text: &str) -> Self {
        let objects: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(text).expect("an array of objects");
        let mut header: Vec<String> = Vec::new();
        for name in objects.iter().flat_map(|object| object.keys()) {
            if !header.contains(name) {
                header.push(name.clone());
            }
        }
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let cell = |object: &serde_json::Map<String, serde_json::Value>, name: &String| {
            object.get(name).map(text).unwrap_or_default()
        };
        let rows = objects.iter();
        let rows = rows.map(|object| header.iter().map(|name| cell(object, name)).collect());
        Self { rows: rows.collect(), header }
    }

    /// As CSV by a delimiter.
    pub fn csv(&self, delimiter: char) -> Vec<u8> {
        let mut text = String::new();
        for row in std::iter::once(&self.header).chain(&self.rows) {
            let cells = row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            text.push_str(&cells.collect::<Vec<_>>().join(&delimiter.to_string()));
            text.push('\n');
        }
        text.into_bytes()
    }

    /// As objects, one a line.
    pub fn ndjson(&self) -> Vec<u8> {
        let object = |row: &Vec<String>| {
            let members = self.header.iter().zip(row).map(|(name, cell)| {
                let cell = if cell.is_empty() { "null".to_owned() } else { json_of(name, cell) };
                format!("{}: {cell}", serde_json::json!(name))
            });
            format!("{{{}}}\n", members.collect::<Vec<_>>().join(", "))
        };
        self.rows.iter().map(object).collect::<String>().into_bytes()
    }

    /// As an array of objects.
    pub fn json(&self) -> Vec<u8> {
        let lines = String::from_utf8(self.ndjson()).expect("it is text");
        format!("[{}]", lines.trim_end().replace("}\n{", "},\n{")).into_bytes()
    }

    /// As a workbook: numbers, days and moments are those of Excel.
    pub fn xlsx(&self) -> Vec<u8> {
        let mut workbook = Workbook::new();
        let moment = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000");
        let sheet = workbook.add_worksheet();
        for (column, name) in (0..).zip(&self.header) {
            sheet.write(0, column, name).expect("it fits");
        }
        for (line, row) in (1..).zip(&self.rows) {
            for ((column, name), cell) in (0..).zip(&self.header).zip(row) {
                let written = match kind_of(name, cell) {
                    _ if cell.is_empty() => continue,
                    Kind::Number => sheet.write(line, column, number(cell)),
                    Kind::Moment => {
                        let serial = millis(cell) as f64 / 86_400_000.0 + 25_569.0;
                        sheet.write_with_format(line, column, serial, &moment)
                    }
                    Kind::Text => sheet.write(line, column, cell),
                };
                written.expect("it fits");
            }
        }
        workbook.save_to_buffer().expect("memory takes it")
    }

    /// As a columnar file: a column is of numbers or moments if all of its values are.
    pub fn parquet(&self) -> Vec<u8> {
        let columns = self.header.iter().enumerate().map(|(index, name)| {
            let cells: Vec<&str> = self.rows.iter().map(|row| row[index].as_str()).collect();
            (name.clone(), column(name, &cells))
        });
        let (names, arrays): (Vec<String>, Vec<ArrayRef>) = columns.unzip();
        parquet(names.into_iter().zip(arrays).collect(), WriterProperties::builder().build())
    }
}

/// Named arrays as a columnar file.
pub fn parquet(columns: Vec<(String, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("of one length");
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("plain types");
    writer.write(&batch).expect("memory takes it");
    writer.into_inner().expect("memory takes it")
}

/// Files in an archive.
pub fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        archive.start_file(*name, SimpleFileOptions::default()).expect("memory takes it");
        archive.write_all(bytes).expect("memory takes it");
    }
    archive.finish().expect("memory takes it").into_inner()
}

/// Packed by gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

enum Kind {
    Number,
    Moment,
    Text,
}

/// What a cell is where types are kept: identifiers are texts, and so is what a number would be
/// written otherwise.
fn kind_of(name: &str, cell: &str) -> Kind {
    let lower = name.to_lowercase();
    let is_identifier = lower.ends_with("id") || lower == "sku";
    let is_number = cell.len() < 15 && cell.parse::<f64>().is_ok_and(|it| it.to_string() == cell);
    match cell {
        _ if is_number && !is_identifier => Kind::Number,
        cell if cell.ends_with('Z') && DateTime::parse_from_rfc3339(cell).is_ok() => Kind::Moment,
        _ => Kind::Text,
    }
}

fn json_of(name: &str, cell: &str) -> String {
    match kind_of(name, cell) {
        Kind::Number => cell.to_owned(),
        _ => serde_json::json!(cell).to_string(),
    }
}

fn number(cell: &str) -> f64 {
    cell.parse().expect("it is a number")
}

fn millis(cell: &str) -> i64 {
    let moment = NaiveDateTime::parse_from_str(cell, "%Y-%m-%dT%H:%M:%S%.fZ");
    moment.expect("it is a moment").and_utc().timestamp_millis()
}

fn column(name: &str, cells: &[&str]) -> ArrayRef {
    let values = || cells.iter().filter(|cell| !cell.is_empty());
    let has_values = values().next().is_some();
    let value = |cell: &&str| (!cell.is_empty()).then(|| (*cell).to_owned());
    if has_values && values().all(|cell| matches!(kind_of(name, cell), Kind::Moment)) {
        let mut builder = TimestampMillisecondBuilder::new()
            .with_data_type(DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
        cells.iter().for_each(|cell| builder.append_option(value(cell).map(|cell| millis(&cell))));
        return Arc::new(builder.finish());
    }
    if has_values && values().all(|cell| matches!(kind_of(name, cell), Kind::Number)) {
        const SCALE: i8 = 8;
        let mut builder = Decimal128Builder::new()
            .with_precision_and_scale(30, SCALE)
            .expect("it is within bounds");
        let scaled = |cell: String| {
            let (whole, places) = cell.split_once('.').unwrap_or((&cell, ""));
            let digits = format!("{whole}{places:0<8}");
            digits.parse::<i128>().expect("they are digits")
        };
        cells.iter().for_each(|cell| builder.append_option(value(cell).map(scaled)));
        return Arc::new(builder.finish());
    }
    let mut builder = StringBuilder::new();
    cells.iter().for_each(|cell| builder.append_option(value(cell)));
    Arc::new(builder.finish())
}

/// The cells of a line with quotes around some of them.
fn cells_of_line(line: &str) -> Vec<String> {
    let (mut cells, mut is_quoted) = (vec![String::new()], false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut().expect("there is always one");
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            character => cell.push(character),
        }
    }
    cells
}
