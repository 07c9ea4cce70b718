//! Exactness: whatever a table looks like, no stored value is another one than the file's: it is
//! the value, the text as it stood, NULL with the text in `_rescued`, a reject, or the file is
//! refused. Random tables in random locales, without any declaration, read as a sync reads them.

use crate::sandbox::Sandbox;
use crate::seed;
use crate::written::{Locale, Meaning, Written, WrittenTable};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use tidegate::chunk::Position;
use tidegate::config::{Config, Overrides};
use tidegate::feed::dataset::Dataset;
use tidegate::feed::layout::{Shapes, lacking_tables};
use tidegate::feed::number_form::NumberForms;
use tidegate::sink::tables::declared_shapes;
use tidegate::source::reader::Reader;
use tidegate::source::survey::survey;
use tidegate::source::text::content::Content;
use tidegate::source::text::read_text;
use tidegate::transform::transform;
use tidegate::values::canonical::Values;

/// Tables of one run; each is followed by a second file of its dataset.
const TABLES: u64 = 2500;

/// Wrong tables that are shown: enough to see whether they have one fault.
const FAULTS_SHOWN_MAX: usize = 12;

/// Tables that go through the built program into each database.
const STORED_TABLES: u64 = 40;

const CONFIGURATION: &str = r#"
[datasets.found]
paths = ['/found-(?<market>\d+)-\d\.(?:csv|json)$']
key = "key"
table = "found"

[datasets.orders]
decimal = "auto"
"#;

/// Columns of orders that are declared as numbers.
const DECLARED: [&str; 6] =
    ["order_total", "sub_total", "tax", "tip", "discount", "distance_in_km"];

/// Columns of a table: of orders, and of a dataset whose columns nobody declared.
const NAMES: [(&str, &str, &[&str]); 2] = [
    (
        "orders",
        "order_id",
        &[
            "order_total",
            "sub_total",
            "tax",
            "tip",
            "discount",
            "distance_in_km",
            "order_time",
            "merchant_id",
        ],
    ),
    ("found", "key", &["a", "b", "c", "shop_id", "größe"]),
];

/// What is known of a dataset after the files before.
pub struct Known {
    dataset: Arc<Dataset>,
    shapes: Shapes,
    forms: NumberForms,
}

/// What was stored of a file: of each row and column its text and whether it is text, and what was
/// rescued.
pub type Stored = Vec<BTreeMap<String, (Option<(String, bool)>, Option<String>)>>;

#[test]
fn no_stored_value_is_another_one_than_the_files() {
    let seed = seed::of("TIDEGATE_EXACTNESS_SEED");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config_path = directory.path().join("tidegate.toml");
    std::fs::write(&config_path, CONFIGURATION).expect("writable");
    let overrides = Overrides { config: Some(config_path), ..Overrides::default() };
    let config = Config::load(&overrides).expect("a valid configuration");
    let (mut numbers, mut files_read, mut faults) = (0, 0, Vec::new());
    for number in 0..TABLES {
        let mut random = Rng::with_seed(seed.wrapping_add(number));
        let locale = Locale::hostile(&mut random);
        let (name, key, names) = NAMES[usize::from(random.u8(..3) > 0)];
        let dataset =
            config.datasets.iter().find(|dataset| dataset.name == name).expect("it is configured");
        let mut known = Known::nothing_of(dataset);
        for file in 0..2 {
            let columns = random.usize(1..=names.len().min(6));
            let names = random.choose_multiple(names.iter().copied(), columns);
            let table = locale.table(&mut random, key, &names);
            let path = directory.path().join(format!("{number}-{file}.{}", table.extension));
            std::fs::write(&path, &table.bytes).expect("writable");
            let read = known.read_with_rejects(&path, &config);
            std::fs::remove_file(&path).expect("it was written");
            let Some((stored, rejected)) = read else { continue };
            files_read += 1;
            if let Some(wrong) = difference(&table, &stored, rejected, &mut numbers) {
                faults.push(format!(
                    "{wrong}\nTIDEGATE_EXACTNESS_SEED={} file {file}, {locale:?}\n{}\n{}",
                    seed.wrapping_add(number),
                    table.text,
                    table.bytes.escape_ascii()
                ));
                break;
            }
        }
    }
    let first = &faults[..faults.len().min(FAULTS_SHOWN_MAX)];
    assert!(faults.is_empty(), "{} tables are wrong, as\n{}", faults.len(), first.join("\n\n"));
    // Text and refusals alone would be right, too.
    println!("{files_read} files were read, with {numbers} numbers");
    assert!(files_read > TABLES, "only {files_read} files were read");
    assert!(numbers > TABLES, "only {numbers} values were read as numbers");
}

impl Known {
    /// Nothing but a dataset.
    pub fn nothing_of(dataset: &Arc<Dataset>) -> Self {
        Self { dataset: Arc::clone(dataset), shapes: declared_shapes(), forms: NumberForms::new() }
    }

    /// Reads a file as a sync does; `None` when it is refused.
    pub fn read(&mut self, path: &Path, config: &Config) -> Option<Stored> {
        let (stored, rejected) = self.read_with_rejects(path, config)?;
        assert_eq!(rejected, 0);
        Some(stored)
    }

    /// The same of a file that may have rows that cannot be loaded, and how many it has.
    pub fn read_with_rejects(&mut self, path: &Path, config: &Config) -> Option<(Stored, usize)> {
        let limits = &config.limits;
        let dataset = &self.dataset.with_number_forms(self.forms.clone());
        let root = path.parent().expect("it is in a folder");
        let mut content = Content::open(root, path, limits).expect("nobody else knows the file");
        content.hash().expect("nobody else knows the file");
        let text = read_text(content, dataset, None, limits, root).ok()?;
        let (survey, mut layout) = survey(&text, dataset, &self.shapes, limits).ok()?;
        if survey.numbers.contradiction.is_some() {
            return None;
        }
        self.forms = dataset.with_proofs(&survey.numbers.proved).number_forms().clone();
        for shape in lacking_tables(dataset, &self.shapes) {
            self.shapes.insert(shape.name.clone(), shape);
        }
        for change in layout.reconcile(dataset, &self.shapes) {
            let shape = self.shapes.get_mut(&change.table).expect("it was made above");
            shape.columns.retain(|column| column.name != change.column.name);
            shape.columns.push(change.column);
        }
        layout.adopt_kinds(dataset, &self.shapes);
        let mut reader =
            Reader::new(&text.content, &layout, dataset, limits, &survey, Position::default())
                .expect("surveyed");
        let (mut stored, mut rejected) = (Stored::new(), 0);
        while let Some(chunk) = reader.next_chunk().expect("surveyed") {
            let projected = transform(chunk, survey.format.rows, &layout, dataset, "1");
            rejected += projected.rejects.len();
            stored.extend(rows(&projected.records.batch));
        }
        Some((stored, rejected))
    }
}

/// The rows of a batch, by column.
fn rows(batch: &RecordBatch) -> Stored {
    let rescued = batch.column_by_name("_rescued").expect("every table has it").as_string::<i32>();
    let schema = batch.schema();
    let row = |row: usize| {
        let texts: BTreeMap<String, String> = match rescued.is_valid(row) {
            true => serde_json::from_str(rescued.value(row)).expect("it is JSON"),
            false => BTreeMap::new(),
        };
        let cells = schema.fields().iter().zip(batch.columns()).map(|(field, values)| {
            let name = field.name();
            (name.clone(), (value(values, row), texts.get(name).cloned()))
        });
        cells.collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The canonical text of a value, and whether its column is text.
fn value(values: &ArrayRef, row: usize) -> Option<(String, bool)> {
    if values.is_null(row) {
        return None;
    }
    let mut text = Vec::new();
    Values::of(values).push(&mut text, row);
    Some((
        String::from_utf8(text).expect("canonical texts are UTF-8"),
        values.as_string_opt::<i32>().is_some(),
    ))
}

/// The first value that is not the file's.
pub fn difference(
    table: &WrittenTable,
    stored: &Stored,
    rejected: usize,
    numbers: &mut u64,
) -> Option<String> {
    if stored.len() + rejected != table.rows.len() {
        return Some(format!("{} of {} rows, {rejected} rejected", stored.len(), table.rows.len()));
    }
    for row in stored {
        let (key, _) = &row[&table.key];
        let is_own = |own: &&Option<String>| own.as_ref() == key.as_ref().map(|(key, _)| key);
        let Some(number) = table.keys.iter().position(|own| is_own(&own)) else {
            return Some(format!("no row has the key {key:?}"));
        };
        for (column, cell) in table.columns.iter().zip(&table.rows[number]) {
            let Some((value, rescued)) = row.get(column) else {
                return Some(format!("no column {column} is stored"));
            };
            *numbers += u64::from(matches!(value, Some((_, false))));
            if !is_right(column, cell, value.as_ref(), rescued.as_deref()) {
                return Some(format!(
                    "{column}: {cell:?} is stored as {value:?}, rescued {rescued:?}"
                ));
            }
        }
    }
    None
}

fn is_right(
    column: &str,
    cell: &Written,
    value: Option<&(String, bool)>,
    rescued: Option<&str>,
) -> bool {
    let is_identifier = column.ends_with("_id");
    match (value, &cell.meaning) {
        (None, Meaning::Nothing) => rescued.is_none(),
        (None, _) => rescued.is_some_and(|text| text == cell.text || cell.is_json_number),
        (Some(_), Meaning::Nothing) => false,
        (Some((text, true)), Meaning::Id(id)) if is_identifier => text == id,
        (Some((_, true)), Meaning::Lost) if is_identifier => false,
        (Some((text, true)), _) => *text == cell.text.trim() || *text == cell.text,
        // A code in a column that somebody declared to hold numbers is one.
        (Some((text, false)), Meaning::Other | Meaning::Id(_)) => {
            DECLARED.contains(&column) && is_same_code(text, cell.text.trim())
        }
        (Some(_), Meaning::Lost) => false,
        (Some((text, false)), Meaning::Moment(moment)) => text == moment,
        (Some((text, false)), Meaning::Number(number)) => match DECLARED.contains(&column) {
            true if column == "distance_in_km" => text.parse::<f64>() == number.parse::<f64>(),
            true => *text == rounded(number),
            false => text == number,
        },
    }
}

fn is_same_code(text: &str, code: &str) -> bool {
    // TOP is the code of a currency, too.
    let digits = code.strip_prefix("TOP ").or_else(|| code.strip_prefix('+')).unwrap_or(code);
    digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse::<u64>().ok() == text.parse().ok()
}

/// A number to four places, half away from zero.
pub fn rounded(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut units: u128 =
        format!("{whole}{:0<4}", &fraction[..fraction.len().min(4)]).parse().expect("digits");
    units += u128::from(fraction.as_bytes().get(4).is_some_and(|digit| *digit >= b'5'));
    let mut text = String::new();
    write!(text, "{}.{:04}", units / 10_000, units % 10_000)
        .expect("memory takes what is written to it");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "0" { text.to_owned() } else { format!("{sign}{text}") }
}

/// Whether a measure of more than 15 digits is shown so: SQLite writes no more of them.
fn is_shown_as(value: &str, number: &str) -> bool {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let shown = |text: &str| text.parse::<f64>().map(|number| format!("{number:.14e}"));
    digits > 15 && shown(value).is_ok_and(|value| shown(number).is_ok_and(|number| number == value))
}

// The same through the built program, so that what the databases hold is known as well.
scenario!(no_database_holds_another_value_than_the_files);
fn no_database_holds_another_value_than_the_files(sandbox: &Sandbox) {
    let seed = seed::of("TIDEGATE_EXACTNESS_SEED");
    let configuration = sandbox.path("tidegate.toml");
    std::fs::write(&configuration, "unmatched = 'create'\nunmatched_key = 'code'")
        .expect("writable");
    let mut tables = Vec::new();
    for number in 0..STORED_TABLES {
        let mut random = Rng::with_seed(seed.wrapping_add(number));
        let table = Locale::any(&mut random).table(&mut random, "code", &["a", "b", "c"]);
        sandbox.drop_file(&format!("t{number}x.{}", table.extension), &table.text);
        tables.push(table);
    }
    let configuration = configuration.to_string_lossy().into_owned();
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", configuration.as_str())]);
    assert_eq!(report.exit, 0, "{} {report:?}", report.stderr);
    for (number, table) in tables.iter().enumerate() {
        let rows = sandbox.rows(&format!("SELECT a, b, c FROM t{number}x ORDER BY code"));
        assert_eq!(rows.len(), table.rows.len(), "seed {seed} table {number}");
        for (row, cells) in rows.iter().zip(&table.rows) {
            let is_same = |(value, cell): (&str, &Written)| match &cell.meaning {
                Meaning::Nothing => value == "-",
                Meaning::Number(number) => {
                    value == cell.text
                        || is_same_number(value, number)
                        || is_shown_as(value, number)
                }
                _ => value == cell.text,
            };
            let values: Vec<&str> = row.split('|').collect();
            assert!(
                values.len() == cells.len() && values.iter().copied().zip(cells).all(is_same),
                "seed {seed} table {number}: {row}\n{}",
                table.text
            );
        }
    }
}

/// Drivers write measures in their own ways.
fn is_same_number(value: &str, number: &str) -> bool {
    value == number || value.parse::<f64>().is_ok_and(|value| number.parse() == Ok(value))
}
