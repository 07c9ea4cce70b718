//! Made files of all forms: whatever the format, the names and the cells, what describe says of a
//! file stores each value as it is meant, or as the text that it is.

use crate::describe::declared;
use crate::exactness::Known;
use crate::seed;
use fastrand::Rng;
use std::fs;
use tidegate::config::{Config, Overrides};

/// Files of one run.
const FILES: u64 = 320;

/// Names as exports have them, and the columns that they become.
const NAMES: [(&str, &str); 11] = [
    ("Größe (cm)", "größe_cm"),
    ("Order No", "order_no"),
    ("a.b", "a_b"),
    ("Line\nBreak", "line_break"),
    ("名前", "名前"),
    ("market", "market_2"),
    ("x'y\"z", "x_y_z"),
    ("  spaced ", "spaced"),
    ("[datasets.x]", "datasets_x"),
    ("Total €", "total"),
    ("rowid", "rowid_2"),
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const WORDS: [&str; 11] = [
    "a, b",
    "c; d",
    "say \"x\"",
    "two\nlines",
    "ünï",
    "'q'",
    "=1+1",
    "\u{202e}x",
    "#",
    "[x]",
    "6\" pipe",
];

/// A column: what each cell says, and what that is as a value of the right type.
struct MadeColumn {
    name: (&'static str, &'static str),
    cells: Vec<(String, Option<String>)>,
}

impl MadeColumn {
    fn any(random: &mut Rng, name: (&'static str, &'static str), rows: usize) -> Self {
        let (kind, form) = (random.u8(..8), random.u8(..5));
        let cells = (0..rows).map(|_| match random.u8(..8) {
            0 => (["", "-", "null"][random.usize(..3)].to_owned(), None),
            _ => {
                let (text, value) = cell(random, kind, form);
                (text, Some(value))
            }
        });
        Self { name, cells: cells.collect() }
    }
}

/// A cell of a kind in some form, and what it means.
fn cell(random: &mut Rng, kind: u8, form: u8) -> (String, String) {
    let (year, month, day) = (random.u16(1990..2030), random.u8(1..=12), random.u8(1..=28));
    let iso = format!("{year}-{month:02}-{day:02}");
    match (kind, form) {
        (0 | 1, 0) => (format!("{day:02}/{month:02}/{year}"), iso),
        (0 | 1, 1) => (format!("{month}/{day}/{year}"), iso),
        (0 | 1, 2) => (format!("{day:02}.{month:02}.{year}"), iso),
        (0 | 1, 3) => (format!("{day} {} {year}", MONTHS[usize::from(month) - 1]), iso),
        (0 | 1, _) => (iso.clone(), iso),
        (2, 0) => (format!("{day:02}/{month:02}/{year} 09:05"), format!("{iso}T09:05:00.000Z")),
        (2, _) => (format!("{iso} 09:05:07"), format!("{iso}T09:05:07.000Z")),
        (3, _) => {
            let truth = random.bool();
            (if truth { "Yes" } else { "no" }.to_owned(), u8::from(truth).to_string())
        }
        (4, _) => {
            let number = random.u16(..2000);
            (format!("{number:04}"), number.to_string())
        }
        (5, _) => {
            let (whole, cents) = (random.u32(..1000), random.u32(..100));
            let plain = format!("{whole}.{cents:02}");
            let plain = plain.trim_end_matches('0').trim_end_matches('.').to_owned();
            (format!("{whole}{}{cents:02}", if form < 3 { ',' } else { '.' }), plain)
        }
        _ => {
            let word = WORDS[random.usize(..WORDS.len())].to_owned();
            (word.clone(), word)
        }
    }
}

/// A file of these columns behind a key, and the end of its name.
fn made_file(random: &mut Rng, columns: &[MadeColumn], rows: usize) -> (Vec<u8>, &'static str) {
    match random.u8(..8) {
        0 => (objects(columns, rows).join("\n").into_bytes(), "ndjson"),
        1 => {
            let text = format!(
                "{{\"n\": 1, \"data\": {{\"rows\": [{}]}}}}",
                objects(columns, rows).join(", ")
            );
            (text.into_bytes(), "json")
        }
        form => (csv(random, form, columns, rows), "csv"),
    }
}

fn objects(columns: &[MadeColumn], rows: usize) -> Vec<String> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let object = |row: usize| {
        let members = columns
            .iter()
            .map(|column| format!(", {}: {}", text(column.name.0), text(&column.cells[row].0)));
        format!("{{\"id\": \"K-{row}\"{}}}", members.collect::<String>())
    };
    (0..rows).map(object).collect()
}

fn csv(random: &mut Rng, form: u8, columns: &[MadeColumn], rows: usize) -> Vec<u8> {
    let delimiter = [",", ";", "\t", "|"][random.usize(..4)];
    let quoted = |text: &str| match text.contains([',', ';', '\t', '|', '"', '\n', '\'']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut lines: Vec<String> = Vec::new();
    if form == 2 {
        lines.extend(["The report".to_owned(), "of a shop".to_owned(), String::new()]);
    }
    let header =
        std::iter::once("id".to_owned()).chain(columns.iter().map(|column| quoted(column.name.0)));
    lines.push(header.collect::<Vec<_>>().join(delimiter));
    for row in 0..rows {
        let cells = columns.iter().map(|column| quoted(&column.cells[row].0));
        lines.push(
            std::iter::once(format!("K-{row}")).chain(cells).collect::<Vec<_>>().join(delimiter),
        );
    }
    if form == 3 {
        lines.push(format!("Total{}", delimiter.repeat(columns.len())));
    }
    let text = lines.join("\r\n") + "\r\n";
    match form {
        4 => {
            [&[0xff, 0xfe][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()]
                .concat()
        }
        _ => text.into_bytes(),
    }
}

#[test]
fn every_value_is_stored_as_meant_or_as_its_text() {
    let seed = seed::of("DESCRIBE_SEED");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = Config::load(&Overrides::default()).expect("the embedded defaults");
    let mut typed = 0;
    for number in 0..FILES {
        let seed = seed.wrapping_add(number);
        let mut random = Rng::with_seed(seed);
        let rows = random.usize(2..30);
        let mut names = NAMES;
        random.shuffle(&mut names);
        let count = random.usize(2..6);
        let columns = names[..count].iter().map(|&name| MadeColumn::any(&mut random, name, rows));
        let columns: Vec<MadeColumn> = columns.collect();
        let (bytes, extension) = made_file(&mut random, &columns, rows);
        let path = directory.path().join(format!("t.{extension}"));
        fs::write(&path, &bytes).expect("writable");
        let own = declared(directory.path(), &path, &config);
        let dataset =
            own.datasets.iter().find(|dataset| dataset.name == "t").expect("it is declared");
        let toml = fs::read_to_string(directory.path().join("described.toml")).unwrap_or_default();
        let said = format!("DESCRIBE_SEED={seed}\n{}\n{toml}", String::from_utf8_lossy(&bytes));
        let stored = Known::nothing_of(dataset)
            .read(&path, &own)
            .unwrap_or_else(|| panic!("refused: {said}"));
        assert_eq!(stored.len(), rows, "{said}");
        for (row, stored) in stored.iter().enumerate() {
            for MadeColumn { name, cells } in &columns {
                let (cell, (value, rescued)) = (&cells[row], &stored[name.1]);
                let is_right = match (&cell.1, value) {
                    (None, None) => true,
                    (Some(_), Some((text, true))) => *text == cell.0,
                    (Some(value), Some((text, false))) => value == text,
                    _ => false,
                };
                typed += u64::from(matches!(value, Some((_, false))));
                let is_right = is_right && rescued.is_none();
                assert!(
                    is_right,
                    "{}: {cell:?} is stored as {value:?}, rescued {rescued:?}: {said}",
                    name.1
                );
            }
        }
    }
    assert!(typed > 10 * FILES, "only {typed} values have a type");
}
