//! Declared files: whatever a file looks like, with the declaration that says so its stored values
//! are the source's. Random tables in random dialects, encodings, locales and forms, each with its
//! dataset in one configuration, through the built program into SQLite; what must be stored is
//! worked out by a model of its own.

mod cells;
mod csv;
mod declaration;
mod described;
mod expected;
mod json;
mod layers;
mod moments;
mod names;
mod numbers;
mod rows;
mod rules;
mod table;

use crate::sandbox::{Report, Sandbox};
use crate::seed;
use expected::{Expected, Stored};
use fastrand::Rng;
use flate2::write::GzEncoder;
use layers::Surroundings;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use table::{Form, Table};

/// Runs of the program, each with all tables of a batch.
const BATCHES: u64 = 20;

/// Tables of a batch: SQLite takes 500 parts of a query.
const TABLES: u64 = 105;

/// Faults of a batch that are shown.
const SHOWN_MAX: usize = 3;

/// A file, its declaration, and what is to be stored of it.
pub struct Declared {
    pub table: Table,
    pub file_name: String,
    pub text: String,
    pub bytes: Vec<u8>,
    pub toml: String,
    expected: Expected,
}

impl Declared {
    /// The table of this number of a batch.
    pub fn any(random: &mut Rng, number: u64, surroundings: &Surroundings) -> Self {
        let mut table = Table::any(random, number, surroundings);
        let (text, headers_again) = match table.form {
            Form::Csv => csv::write(random, &mut table),
            _ => (json::write(random, &table), 0),
        };
        let has_mark =
            table.alphabet.encoding.to_ascii_lowercase().starts_with("utf") && random.u8(..4) == 0;
        let mut bytes = names::encoded(table.alphabet.encoding, &text, has_mark);
        let is_utf8 = std::str::from_utf8(&bytes).is_ok() && !bytes.is_ascii();
        table.layer.tries_utf8 = !is_utf8 && !bytes.contains(&0) && random.u8(..3) == 0;
        let mut extension = match &table.form {
            Form::Csv => ["csv", "csv", "txt"][random.usize(..3)],
            Form::Objects { is_document, .. } | Form::Nested { is_document, .. } => {
                if *is_document { "json" } else { ["ndjson", "jsonl"][random.usize(..2)] }
            }
        }
        .to_owned();
        if random.u8(..12) == 0 {
            let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&bytes).expect("memory");
            bytes = packed.finish().expect("memory");
            extension.push_str(".gz");
        }
        let toml = table.toml(random);
        let file_name = table.file_name(&extension);
        let expected = Expected::of(&table, headers_again);
        Self { table, file_name, text, bytes, toml, expected }
    }
}

#[test]
fn a_declared_files_values_are_stored_as_they_are() {
    let seed = seed::of("DECLARED_SEED");
    // A number is the seed of the batch that failed.
    let is_repeated = std::env::var("DECLARED_SEED").is_ok_and(|seed| seed != "any");
    let batches = if is_repeated { 1 } else { BATCHES };
    let next = AtomicU64::new(0);
    let work = || {
        let mut values = 0;
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= batches {
                return values;
            }
            values += check_batch(seed.wrapping_add(batch.wrapping_mul(0x9e37_79b9)));
        }
    };
    // A process waits for its disk part of the time.
    let values: u64 = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .sum()
    });
    // Nothing at all would be right, too.
    assert!(values > batches * TABLES * 10, "only {values} values were compared");
}

/// Syncs the files of one batch, and compares what is stored; returns the number of values.
fn check_batch(seed: u64) -> u64 {
    let mut random = Rng::with_seed(seed);
    let surroundings = Surroundings::any(&mut random);
    let files: Vec<Declared> = (0..TABLES)
        .map(|number| {
            let mut random = Rng::with_seed(seed.wrapping_add(1 + number));
            Declared::any(&mut random, number, &surroundings)
        })
        .collect();
    let sandbox = Sandbox::sqlite();
    let mut toml = format!("rejects_max_percent = 100\n{}", surroundings.toml());
    for file in &files {
        toml.push_str(&file.toml);
        sandbox.drop_file(&file.file_name, &file.bytes);
    }
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, &toml).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", path.as_str())]);
    assert!(
        report.exit < 2,
        "DECLARED_SEED={seed}: {}\n{}",
        report.stderr,
        of_mistake(&report, &files)
    );
    let stored = stored(&sandbox, &files);
    let (mut lines, mut faults) = (String::new(), String::new());
    let mut count = 0;
    let mut values = 0;
    for file in &files {
        let fault = refusal(&report, file)
            .or_else(|| file.expected.tables.iter().find_map(|table| difference(table, &stored)));
        values += file
            .expected
            .tables
            .iter()
            .map(|table| table.columns.len() * table.rows.len())
            .sum::<usize>();
        if let Some(fault) = fault {
            count += 1;
            writeln!(lines, "{}: {}", file.file_name, fault.replace('\n', " ")).expect("memory");
            if count <= SHOWN_MAX {
                writeln!(
                    faults,
                    "{fault}\n--- {} {:?}\n{}\n--- {}",
                    file.file_name, file.table.form, file.text, file.toml
                )
                .expect("memory");
            }
        }
    }
    assert!(
        count == 0,
        "{count} of {TABLES} tables differ\n{faults}\n{}\n{lines}DECLARED_SEED={seed}",
        surroundings.toml()
    );
    u64::try_from(values).expect("few")
}

/// The declaration that a message of the configuration speaks of.
fn of_mistake<'f>(report: &Report, files: &'f [Declared]) -> &'f str {
    let names =
        |file: &&Declared| report.stderr.contains(&format!("datasets.{}.", file.table.dataset));
    files.iter().find(names).map_or("", |file| file.toml.as_str())
}

/// What is wrong with how a file was taken.
fn refusal(report: &Report, file: &Declared) -> Option<String> {
    let name = file.file_name.rsplit('/').next().unwrap_or_default();
    let own = report.files.iter().find(|own| own.name.ends_with(name));
    let Some(own) = own else { return Some(format!("no report on {name}")) };
    if own.outcome != "synced" {
        return Some(format!("{name} is {}: {}", own.outcome, own.error));
    }
    let wrong =
        file.expected.counts.iter().find(|(count, expected)| own.counts[**count] != **expected);
    wrong.map(|(count, expected)| {
        format!("{name}: {count} is {} and not {expected}: {:?}", own.counts[*count], own.counts)
    })
}

/// The rows of each table with the columns that it has.
type Found = BTreeMap<String, (Vec<String>, Vec<Vec<Json>>)>;

/// All that is stored of the files, in one query for the columns and one for the rows.
fn stored(sandbox: &Sandbox, files: &[Declared]) -> Found {
    let columns = sandbox.rows(
        "SELECT json_group_array(json_array(m.name, p.name)) FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'",
    );
    let pairs: Vec<(String, String)> = serde_json::from_str(&columns[0]).expect("names");
    let mut by_table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, column) in pairs {
        by_table.entry(table).or_default().insert(column);
    }
    let mut found = Found::new();
    let mut queries = Vec::new();
    for expected in files.iter().flat_map(|file| &file.expected.tables) {
        let Some(own) = by_table.get(&expected.name) else { continue };
        let bookkeeping = ["_row_hash", "_file_id", "_deleted_at"];
        let columns: Vec<String> =
            own.iter().filter(|name| !bookkeeping.contains(&name.as_str())).cloned().collect();
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let name = &expected.name;
        queries.push(format!(
            "SELECT json_array('{name}', json_group_array(json_array({}))) FROM \"{name}\"",
            list.join(", ")
        ));
        found.insert(name.clone(), (columns, Vec::new()));
    }
    for row in sandbox.rows(&queries.join(" UNION ALL ")) {
        let (name, rows): (String, Vec<Vec<Json>>) = serde_json::from_str(&row).expect("rows");
        found.get_mut(&name).expect("it was asked for").1 = rows;
    }
    found
}

/// What of a table is not as it is to be.
fn difference(expected: &Stored, found: &Found) -> Option<String> {
    let name = &expected.name;
    let Some((columns, rows)) = found.get(name) else {
        return Some(format!("there is no table {name}"));
    };
    if let Some(column) = columns.iter().find(|column| {
        !expected.columns.contains(column) && *column != "line_count" && *column != "line_no"
    }) {
        return Some(format!("{name} has a column {column}"));
    }
    // A column that no file has a value for need not be there.
    let place = |column: &String| columns.iter().position(|own| own == column);
    let places: Vec<Option<usize>> = expected.columns.iter().map(place).collect();
    let row = |row: &Vec<Json>| -> Vec<Json> {
        let cells = places.iter().zip(&expected.columns);
        let cell = |(place, column): (&Option<usize>, &String)| {
            let value = place.map_or(Json::Null, |place| row[place].clone());
            match (column.as_str(), &value) {
                ("_rescued", Json::String(text)) => serde_json::from_str(text).expect("it is JSON"),
                _ => value,
            }
        };
        cells.map(cell).collect()
    };
    let mut rest: Vec<Vec<Json>> = rows.iter().map(row).collect();
    for row in &expected.rows {
        let Some(at) = rest.iter().position(|own| is_same(own, row)) else {
            let key = |own: &&Vec<Json>| own.iter().zip(row).take(2).all(|(own, row)| own == row);
            let near = rest.iter().find(key).or(rest.first());
            return Some(format!(
                "{name} {:?}\nexpected {}\nstored   {}",
                expected.columns,
                Json::from(row.clone()),
                near.map_or_else(String::new, |row| Json::from(row.clone()).to_string())
            ));
        };
        rest.swap_remove(at);
    }
    rest.first()
        .map(|row| format!("{name} {:?}\nalso has {}", expected.columns, Json::from(row.clone())))
}

fn is_same(own: &[Json], expected: &[Json]) -> bool {
    own.iter().zip(expected).all(|(own, expected)| match (own, expected) {
        (Json::Number(own), Json::Number(expected)) => {
            own == expected || own.as_f64() == expected.as_f64()
        }
        (own, expected) => own == expected,
    })
}
