//! Files of the model: records written as an export, in any of its forms and with any of its
//! faults, beside what they mean.

use crate::model::feed::{Column, Feed, KEYS, Value};
use fastrand::Rng;
use std::collections::BTreeMap;

/// A record as an export has it.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// What belongs to the record.
    pub header: BTreeMap<&'static str, Value>,
    /// What belongs to each of its lines.
    pub lines: Vec<BTreeMap<&'static str, Value>>,
}

/// A row of a file, as tidegate must understand it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The record it belongs to, if that can be read.
    pub key: Option<String>,
    /// The columns that it has.
    pub cells: BTreeMap<&'static str, Value>,
    /// Whether it cannot be loaded.
    pub is_broken: bool,
    /// Whether its cells are shifted.
    pub is_shifted: bool,
    /// Whether it is no data: the header again, which is skipped.
    pub is_header: bool,
    /// Whether it names its columns, as an object does.
    pub has_columns: bool,
    /// The record that it would belong to if that could be read.
    pub meant: String,
    /// Of a corrected copy: its number in the file that it corrects.
    pub corrects: Option<u64>,
}

impl Row {
    /// Whether it may belong to any record.
    pub fn is_of_unknown_record(&self) -> bool {
        self.key.is_none() && !self.is_header
    }
}

/// A file's bytes and what they mean.
#[derive(Clone, Debug)]
pub struct File {
    pub extension: &'static str,
    pub bytes: Vec<u8>,
    /// `None` when the file as a whole is damaged.
    pub rows: Option<Vec<Row>>,
}

/// A fault of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nul,
    Undecodable,
    Cut,
    AfterQuote,
    NoKey,
    Spreadsheet,
    TooLongKey,
    HeaderAgain,
    NoObject,
}

const CSV_FAULTS: [Fault; 8] = [
    Fault::Nul,
    Fault::Undecodable,
    Fault::Cut,
    Fault::AfterQuote,
    Fault::NoKey,
    Fault::Spreadsheet,
    Fault::TooLongKey,
    Fault::HeaderAgain,
];
const JSON_FAULTS: [Fault; 6] = [
    Fault::Nul,
    Fault::Undecodable,
    Fault::NoKey,
    Fault::Spreadsheet,
    Fault::TooLongKey,
    Fault::NoObject,
];

/// A row on its way into a file.
#[derive(Clone, Debug)]
struct Draft {
    key: String,
    cells: BTreeMap<&'static str, Value>,
    fault: Option<Fault>,
    /// Of a JSON object: columns that it lacks.
    lacks: Vec<&'static str>,
}

/// Writes records as a file.
pub fn write(random: &mut Rng, feed: Feed, records: &[(String, Export)]) -> File {
    let is_json = match feed {
        Feed::Customers => random.u8(..4) > 0,
        _ => random.u8(..6) == 0,
    };
    let mut columns: Vec<&'static Column> =
        feed.columns().iter().filter(|_| random.u8(..8) > 0).collect();
    random.shuffle(&mut columns);
    let mut drafts = drafts(random, feed, records);
    if random.u8(..3) == 0 {
        add_faults(random, &mut drafts, if is_json { &JSON_FAULTS } else { &CSV_FAULTS });
    }
    if is_json {
        json(random, feed, &columns, drafts)
    } else {
        csv(random, feed, columns, &drafts, true)
    }
}

/// Writes records as a CSV file with every column and without faults: it says all there is to say
/// of them.
pub fn write_complete(random: &mut Rng, feed: Feed, records: &[(String, Export)]) -> File {
    let mut columns: Vec<&'static Column> = feed.columns().iter().collect();
    random.shuffle(&mut columns);
    let drafts = drafts(random, feed, records);
    csv(random, feed, columns, &drafts, false)
}

/// A corrected copy of the rows of unknown records of a file, or of some of them; `None` where
/// there are none.
pub fn correct(random: &mut Rng, feed: Feed, file: &File) -> Option<File> {
    let rows = file.rows.as_ref()?.iter().zip(1..).filter(|(row, _)| row.is_of_unknown_record());
    let mut rows: Vec<Row> = rows
        .map(|(row, number)| {
            let key = if random.u8(..6) == 0 {
                KEYS[random.usize(..KEYS.len())].to_owned()
            } else {
                row.meant.clone()
            };
            Row {
                key: Some(key),
                is_broken: false,
                has_columns: true,
                corrects: Some(number),
                ..row.clone()
            }
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    // Another copy may bring the rest.
    if random.u8(..3) == 0 {
        rows.retain(|_| random.bool());
    }
    let is_there = |column: &&Column| rows.iter().any(|row| row.cells.contains_key(column.name));
    let columns: Vec<&Column> = feed.columns().iter().filter(is_there).collect();
    let names =
        columns.iter().map(|column| column.spellings[0]).chain(["_row", "_column", "_reason"]);
    let mut lines = vec![
        std::iter::once(feed.key_spellings()[0])
            .chain(names)
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    ];
    for row in &mut rows {
        row.cells = columns
            .iter()
            .map(|column| (column.name, row.cells.get(column.name).cloned().unwrap_or(Value::Null)))
            .collect();
        let cells =
            columns.iter().map(|column| row.cells[column.name].written(random, column.kind, true));
        let key = row.key.clone().expect("it was typed in");
        let number = row.corrects.expect("it has one").to_string();
        lines.push(
            [vec![key], cells.collect(), vec![number, String::new(), "no key".to_owned()]].concat(),
        );
    }
    let text = |line: &Vec<String>| {
        let cells: Vec<String> = line.iter().map(|cell| quoted(cell, ',', false)).collect();
        cells.join(",") + "\n"
    };
    Some(File {
        extension: "rejects.csv",
        bytes: lines.iter().map(text).collect::<String>().into_bytes(),
        rows: Some(rows),
    })
}

/// A row per line, or per customer, with what else exports do: rows twice, and rows apart from
/// their record.
fn drafts(random: &mut Rng, feed: Feed, records: &[(String, Export)]) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (key, record) in records {
        let lines = if feed == Feed::Customers { &[BTreeMap::new()][..] } else { &record.lines };
        for (number, line) in lines.iter().enumerate() {
            let mut cells = record.header.clone();
            // Deliveries have some columns on the last row of a task alone.
            if feed == Feed::Deliveries && number + 1 < lines.len() {
                cells.extend(["tip", "subtotal"].map(|name| (name, Value::Null)));
            }
            cells.extend(line.clone());
            let draft = Draft { key: key.clone(), cells, fault: None, lacks: Vec::new() };
            if feed != Feed::Deliveries && random.u8(..12) == 0 {
                let mut twice = draft.clone();
                if feed == Feed::Customers {
                    twice.cells.insert("language", Value::Text("outdone".to_owned()));
                }
                drafts.push(twice);
            }
            drafts.push(draft);
        }
    }
    match random.u8(..6) {
        // Rows of a record stay in their order: the last one decides.
        0 => drafts = interleaved(random, drafts),
        1 if !drafts.is_empty() => {
            let moved = drafts.remove(random.usize(..drafts.len()));
            drafts.push(moved);
        }
        _ => {}
    }
    drafts
}

/// All rows mixed, however they belong together.
fn interleaved(random: &mut Rng, mut drafts: Vec<Draft>) -> Vec<Draft> {
    random.shuffle(&mut drafts);
    drafts
}

fn add_faults(random: &mut Rng, drafts: &mut Vec<Draft>, faults: &[Fault]) {
    for _ in 0..random.usize(1..3) {
        if drafts.is_empty() {
            return;
        }
        let fault = faults[random.usize(..faults.len())];
        let index = random.usize(..drafts.len());
        match fault {
            Fault::HeaderAgain | Fault::NoObject | Fault::NoKey => {
                let extra = Draft { fault: Some(fault), ..drafts[index].clone() };
                drafts.insert(index, extra);
            }
            _ => drafts[index].fault = Some(fault),
        }
    }
}

/// What tidegate is to make of a row that has these columns.
fn meaning(draft: &Draft, columns: &[&'static Column]) -> Row {
    let cell = |column: &&'static Column| {
        let value = draft.cells.get(column.name).cloned().unwrap_or(Value::Null);
        (column.name, value)
    };
    let is_keyless = matches!(
        draft.fault,
        Some(
            Fault::NoKey
                | Fault::Spreadsheet
                | Fault::TooLongKey
                | Fault::HeaderAgain
                | Fault::NoObject
        )
    );
    Row {
        key: (!is_keyless).then(|| draft.key.clone()),
        cells: columns
            .iter()
            .filter(|column| !draft.lacks.contains(&column.name))
            .map(cell)
            .collect(),
        is_broken: draft.fault.is_some(),
        is_shifted: false,
        is_header: draft.fault == Some(Fault::HeaderAgain),
        has_columns: draft.fault != Some(Fault::NoObject),
        meant: draft.key.clone(),
        corrects: None,
    }
}

fn key_cell(draft: &Draft) -> String {
    match draft.fault {
        Some(Fault::NoKey) => "-".to_owned(),
        Some(Fault::Spreadsheet) => "3.68E+29".to_owned(),
        Some(Fault::TooLongKey) => "k".repeat(192),
        _ => draft.key.clone(),
    }
}

fn spelling(random: &mut Rng, spellings: &[&'static str]) -> &'static str {
    spellings[random.usize(..spellings.len())]
}

fn csv(
    random: &mut Rng,
    feed: Feed,
    mut columns: Vec<&'static Column>,
    drafts: &[Draft],
    may_shift: bool,
) -> File {
    let is_tsv = may_shift && random.u8(..5) == 0;
    let delimiter = if is_tsv { '\t' } else { ',' };
    // With one column that swallows, and none beyond the header, there is one way to undo a shift.
    let may_shift = may_shift && !is_tsv && random.u8(..3) == 0;
    if may_shift {
        let mut swallowing = 0;
        columns.retain(|column| {
            swallowing += usize::from(column.swallows);
            !column.swallows || swallowing == 1
        });
    }
    let has_faults = drafts.iter().any(|draft| draft.fault.is_some());
    // In front of a column that may shift it, the key of a broken row can be read.
    let key_at = if has_faults { 0 } else { random.usize(..=columns.len()) };
    let mut names: Vec<&str> =
        columns.iter().map(|column| spelling(random, column.spellings)).collect();
    names.insert(key_at, spelling(random, feed.key_spellings()));
    let written: Vec<Vec<String>> = drafts
        .iter()
        .map(|draft| {
            let cell = |column: &&'static Column| {
                let value = draft.cells.get(column.name).unwrap_or(&Value::Null);
                value.written(random, column.kind, !column.is_declared)
            };
            columns.iter().map(cell).collect()
        })
        .collect();
    let takes = |draft: &Draft, cells: &[String]| {
        let value = |column: &Column| draft.cells.get(column.name).unwrap_or(&Value::Null).clone();
        columns.iter().zip(cells).all(|(column, cell)| column.takes(feed, &value(column), cell))
    };
    let all_take = drafts.iter().zip(&written).all(|(draft, cells)| takes(draft, cells));
    let padding = if !may_shift && !has_faults && all_take { random.usize(..3) } else { 0 };
    let end = if random.bool() { "\n" } else { "\r\n" };
    let mut bytes = if random.u8(..5) == 0 { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
    let join = |cells: &[String]| cells.join(&delimiter.to_string());
    let padded = |row: String| row + &delimiter.to_string().repeat(padding) + end;
    bytes.extend(
        padded(join(&names.iter().map(|&name| quoted(name, delimiter, false)).collect::<Vec<_>>()))
            .bytes(),
    );
    let mut rows = Vec::new();
    for (draft, cells) in drafts.iter().zip(&written) {
        if draft.fault == Some(Fault::Cut) && !columns.is_empty() {
            let (cells, row) = short(random, feed, draft, &columns);
            bytes.extend(padded(join(&cells)).bytes());
            rows.push(row);
            continue;
        }
        let mut row = meaning(draft, &columns);
        let may_shift = may_shift && draft.fault.is_none() && takes(draft, cells);
        let mut texts: Vec<String> = columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| {
                let is_shift = may_shift
                    && column.swallows
                    && cell.contains(',')
                    && !cell.contains(['"', '\n']);
                row.is_shifted |= is_shift;
                if is_shift { cell.clone() } else { quoted(cell, delimiter, random.u8(..8) == 0) }
            })
            .collect();
        texts.insert(key_at, quoted(&key_cell(draft), delimiter, random.u8(..8) == 0));
        bytes.extend(padded_or_broken(draft, &texts, &names, &join, &padded));
        rows.push(row);
        if random.u8(..20) == 0 {
            bytes.extend(end.bytes());
        }
    }
    if random.bool() && !rows.is_empty() {
        let last =
            bytes.len() - bytes.iter().rev().take_while(|byte| b"\r\n".contains(byte)).count();
        bytes.truncate(last);
    }
    File { extension: if is_tsv { "tsv" } else { "csv" }, bytes, rows: Some(rows) }
}

/// A row with fewer cells than the header has, of which each fits its column: it means that the
/// others have no value.
fn short(
    random: &mut Rng,
    feed: Feed,
    draft: &Draft,
    columns: &[&'static Column],
) -> (Vec<String>, Row) {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut cells = vec![quoted(&draft.key)];
    let mut short = Draft { fault: None, cells: BTreeMap::new(), ..draft.clone() };
    for column in &columns[..random.usize(..columns.len())] {
        let value = draft.cells.get(column.name).cloned().unwrap_or(Value::Null);
        let written = if value == Value::Null {
            String::new()
        } else {
            value.written(random, column.kind, false)
        };
        // What files have in other columns decides their types, and with them what fits.
        if !column.is_declared || !column.takes(feed, &value, &written) {
            break;
        }
        cells.push(quoted(&written));
        short.cells.insert(column.name, value);
    }
    (cells, meaning(&short, columns))
}

/// The bytes of a row, with its fault.
fn padded_or_broken(
    draft: &Draft,
    texts: &[String],
    names: &[&str],
    join: &impl Fn(&[String]) -> String,
    padded: &impl Fn(String) -> String,
) -> Vec<u8> {
    let last = texts.len() - 1;
    let with_last = |text: &str| {
        let mut texts = texts.to_vec();
        texts[last] = text.to_owned();
        padded(join(&texts)).into_bytes()
    };
    match draft.fault {
        Some(Fault::Nul) if last > 0 => with_last("n\0l"),
        Some(Fault::Undecodable) if last > 0 => {
            let mut bytes = with_last("\u{1}");
            bytes.iter_mut().filter(|byte| **byte == 1).for_each(|byte| *byte = 0xff);
            bytes
        }
        // Such a row ends at its first line end, wherever that is.
        Some(Fault::AfterQuote) if last > 0 => {
            let cells: Vec<String> =
                texts[..last].iter().map(|text| text.replace('\n', " ")).collect();
            padded(join(&[cells.as_slice(), &["\"a\" b".to_owned()]].concat())).into_bytes()
        }
        // Without other columns there is no cell that could be broken but the key.
        Some(Fault::Nul | Fault::Undecodable | Fault::AfterQuote | Fault::Cut) if last == 0 => {
            padded(format!("{}{}x", texts[0], join(&[String::new(), String::new()]))).into_bytes()
        }
        Some(Fault::HeaderAgain) => {
            padded(join(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()))
                .into_bytes()
        }
        _ => padded(join(texts)).into_bytes(),
    }
}

/// A cell, in quotes if it must be or `is_wanted`.
fn quoted(cell: &str, delimiter: char, is_wanted: bool) -> String {
    let must_be = cell.contains([delimiter, '\n', '\r']) || cell.starts_with('"');
    if must_be || is_wanted {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn json(random: &mut Rng, feed: Feed, columns: &[&'static Column], drafts: Vec<Draft>) -> File {
    let names: Vec<&str> =
        columns.iter().map(|column| spelling(random, column.spellings)).collect();
    let key_name = spelling(random, feed.key_spellings());
    let mut objects: Vec<Vec<u8>> = Vec::new();
    let mut rows = Vec::new();
    for mut draft in drafts {
        draft.lacks =
            columns.iter().map(|column| column.name).filter(|_| random.u8(..10) == 0).collect();
        objects.push(object(random, &draft, key_name, columns, &names));
        rows.push(meaning(&draft, columns));
    }
    let is_array = random.bool();
    let separator: &[u8] = if is_array { b",\n" } else { b"\n" };
    let mut bytes = objects.join(separator);
    if is_array {
        bytes = [b"[ ", bytes.as_slice(), b" ]\n"].concat();
    }
    File { extension: if is_array { "json" } else { "ndjson" }, bytes, rows: Some(rows) }
}

fn object(
    random: &mut Rng,
    draft: &Draft,
    key_name: &str,
    columns: &[&'static Column],
    names: &[&str],
) -> Vec<u8> {
    if draft.fault == Some(Fault::NoObject) {
        return b"7".to_vec();
    }
    let text = |text: &str| serde_json::to_string(text).expect("text is JSON");
    let key = key_cell(draft);
    let is_number = key.parse::<u128>().is_ok_and(|number| number.to_string() == key);
    let mut members =
        vec![format!("{}: {}", text(key_name), if is_number { key } else { text(&key) })];
    for (column, name) in columns.iter().zip(names) {
        let value = draft.cells.get(column.name).unwrap_or(&Value::Null);
        if draft.lacks.contains(&column.name) {
            continue;
        }
        let written = value.written(random, column.kind, !column.is_declared);
        let member = match value {
            Value::Null if random.bool() => "null".to_owned(),
            Value::Count(_) | Value::Amount(_)
                if written.parse::<f64>().is_ok() && random.bool() =>
            {
                written
            }
            _ => text(&written),
        };
        members.push(format!("{}: {member}", text(name)));
    }
    match draft.fault {
        Some(Fault::Nul) => members.push("\"Zero\": \"\\u0000\"".to_owned()),
        Some(Fault::Undecodable) => members.push("\"Zero\": \"\u{1}\"".to_owned()),
        _ => {}
    }
    random.shuffle(&mut members);
    let mut bytes = format!("{{{}}}", members.join(", ")).into_bytes();
    if draft.fault == Some(Fault::Undecodable) {
        bytes.iter_mut().filter(|byte| **byte == 1).for_each(|byte| *byte = 0xff);
    }
    bytes
}
