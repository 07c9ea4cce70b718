//! Keys: checks that the configuration has only known keys, and suggests the right one for a
//! misspelled key.

use crate::config::{ConfigurationError, DEFAULT_TOML};
use crate::feed::words::nearest;
use config::{File, FileFormat, Map, Value, ValueKind};

/// All keys that a dataset may have.
const DATASET_KEYS: [&str; 27] = [
    "paths",
    "header_has",
    "kind",
    "table",
    "key",
    "lines_table",
    "duplicate_lines",
    "repeated_keys",
    "new_columns",
    "deletes",
    "deletes_max_percent",
    "rejects_max_percent",
    "rescued_max_percent",
    "on_type_change",
    "no_rows",
    "fill_down",
    "delimiter",
    "quote",
    "sheet",
    "encoding",
    "decimal",
    "dates",
    "timezone",
    "currencies",
    "null_tokens",
    "json",
    "columns",
];

/// Keys of what a dataset says of its JSON documents.
const JSON_KEYS: [&str; 2] = ["root", "lines"];

/// Keys of one column of a dataset.
const COLUMN_KEYS: [&str; 20] = [
    "from",
    "type",
    "of",
    "take",
    "map",
    "decimal",
    "dates",
    "timezone",
    "currencies",
    "null_tokens",
    "swallows",
    "form",
    "required",
    "one_of",
    "pattern",
    "min",
    "max",
    "unique",
    "references",
    "on_violation",
];

/// Keys that hold for all datasets, or for those of one market.
const DEFAULT_KEYS: [&str; 6] =
    ["decimal", "dates", "timezone", "encoding", "currencies", "null_tokens"];

/// Refuses unknown keys: a misspelled key would otherwise do nothing, without a message.
pub(super) fn check_keys(merged: &config::Config) -> Result<(), ConfigurationError> {
    let ValueKind::Table(table) = &merged.cache.kind else { return Ok(()) };
    let defaults = config::Config::builder()
        .add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml))
        .build()?;
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
    table_at(table, path[0])
        .and_then(|table| table_at(table, path[1]))
        .is_some_and(|table| table.contains_key(path[2]))
}

/// The keys that a source of the configuration has in a table.
pub(super) fn keys_of<'s>(
    source: &'s config::Config,
    path: [&str; 3],
) -> impl Iterator<Item = &'s String> + use<'s> {
    let table = match &source.cache.kind {
        ValueKind::Table(table) => {
            path.into_iter().try_fold(table, |table, key| table_at(table, key))
        }
        _ => None,
    };
    table.into_iter().flat_map(|table| table.keys())
}

fn table_at<'t>(table: &'t Map<String, Value>, key: &str) -> Option<&'t Map<String, Value>> {
    match &table.get(key)?.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

fn tables_in(
    table: Option<&Map<String, Value>>,
) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
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
    let known: Vec<&str> = datasets
        .iter()
        .filter(|(_, dataset)| has_paths(dataset))
        .map(|(name, _)| name.as_str())
        .collect();
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

fn check_table(
    prefix: &str,
    table: &Map<String, Value>,
    known: &[&str],
) -> Result<(), ConfigurationError> {
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let nearest = nearest(key, known).map(|nearest| format!("{prefix}{nearest}"));
    Err(ConfigurationError::UnknownKey { key: format!("{prefix}{key}"), nearest })
}
