//! Keys: checks that the configuration has only known keys, and suggests the right one for a
//! misspelled key.

use crate::config::{ConfigurationError, DEFAULT_TOML};
use config::{File, FileFormat, Map, Value, ValueKind};

/// Suggest a known key only if it is at least this similar (Jaro–Winkler, 0 to 1).
const NEAREST_SIMILARITY_MIN: f64 = 0.6;

/// All keys that a dataset may have.
const DATASET_KEYS: [&str; 25] = [
    "paths",
    "header_has",
    "kind",
    "table",
    "key",
    "record_columns",
    "lines_table",
    "line_columns",
    "duplicate_lines",
    "repeated_keys",
    "new_columns",
    "deletes",
    "deletes_max_percent",
    "rescued_max_percent",
    "on_type_change",
    "swallows",
    "extracts",
    "forms",
    "encoding",
    "delimiter",
    "quote",
    "decimal",
    "currencies",
    "json",
    "columns",
];

/// Keys of what a dataset says of its JSON documents.
const JSON_KEYS: [&str; 2] = ["root", "lines"];

/// Keys of one column of a dataset.
const COLUMN_KEYS: [&str; 2] = ["decimal", "currencies"];

/// Keys that hold for all datasets, or for those of one market.
const DEFAULT_KEYS: [&str; 2] = ["decimal", "currencies"];

/// Refuses unknown keys: a misspelled key would otherwise do nothing, without a message.
pub(super) fn check_keys(merged: &config::Config) -> Result<(), ConfigurationError> {
    let ValueKind::Table(table) = &merged.cache.kind else { return Ok(()) };
    let defaults = config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml)).build()?;
    let ValueKind::Table(known) = &defaults.cache.kind else { return Ok(()) };
    let mut known: Vec<&str> = known.keys().map(String::as_str).collect();
    known.extend(["datasets", "markets"]);
    check_table("", table, &known)?;
    if let Some(defaults) = table_at(table, "defaults") {
        check_table("defaults.", defaults, &DEFAULT_KEYS)?;
    }
    for (market, settings) in tables_in(table_at(table, "markets")) {
        check_table(&format!("markets.{market}."), settings, &DEFAULT_KEYS)?;
    }
    let Some(datasets) = table_at(table, "datasets") else { return Ok(()) };
    for (name, dataset) in tables_in(Some(datasets)) {
        check_dataset(name, dataset, datasets)?;
        check_table(&format!("datasets.{name}."), dataset, &DATASET_KEYS)?;
        if let Some(json) = table_at(dataset, "json") {
            check_table(&format!("datasets.{name}.json."), json, &JSON_KEYS)?;
        }
        for (column, settings) in tables_in(table_at(dataset, "columns")) {
            check_table(&format!("datasets.{name}.columns.{column}."), settings, &COLUMN_KEYS)?;
        }
    }
    Ok(())
}

/// Whether a source of the configuration has a key in a table of a table.
pub(super) fn has_key(source: &config::Config, path: [&str; 3]) -> bool {
    let ValueKind::Table(table) = &source.cache.kind else { return false };
    table_at(table, path[0]).and_then(|table| table_at(table, path[1])).is_some_and(|table| table.contains_key(path[2]))
}

fn table_at<'t>(table: &'t Map<String, Value>, key: &str) -> Option<&'t Map<String, Value>> {
    match &table.get(key)?.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

fn tables_in(table: Option<&Map<String, Value>>) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
    table.into_iter().flatten().filter_map(|(name, value)| match &value.kind {
        ValueKind::Table(table) => Some((name, table)),
        _ => None,
    })
}

/// Refuses a dataset without `paths`. Most likely its name is a misspelled name of a known dataset.
fn check_dataset(
    name: &str,
    dataset: &Map<String, Value>,
    datasets: &Map<String, Value>,
) -> Result<(), ConfigurationError> {
    let has_paths = |dataset: &Value| matches!(&dataset.kind, ValueKind::Table(table) if table.contains_key("paths"));
    if dataset.contains_key("paths") || dataset.contains_key("header_has") {
        return Ok(());
    }
    let known: Vec<&str> =
        datasets.iter().filter(|(_, dataset)| has_paths(dataset)).map(|(name, _)| name.as_str()).collect();
    match nearest(name, &known) {
        None => Err(ConfigurationError::Invalid(format!(
            "datasets.{name}: a dataset of your own needs `paths` or `header_has`"
        ))),
        Some(nearest) => Err(ConfigurationError::UnknownKey {
            key: format!("datasets.{name}"),
            nearest: Some(format!("datasets.{nearest}")),
        }),
    }
}

fn check_table(prefix: &str, table: &Map<String, Value>, known: &[&str]) -> Result<(), ConfigurationError> {
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let nearest = nearest(key, known).map(|nearest| format!("{prefix}{nearest}"));
    Err(ConfigurationError::UnknownKey { key: format!("{prefix}{key}"), nearest })
}

/// The known key that is most similar to this one, if it is similar enough.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(key, candidate);
    let nearest = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    nearest.filter(|nearest| likeness(nearest) >= NEAREST_SIMILARITY_MIN)
}
