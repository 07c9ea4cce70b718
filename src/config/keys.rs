//! Keys: which ones the configuration may have, and where an unknown one stands.

use crate::config::{ConfigurationError, DEFAULT_TOML};
use config::{File, FileFormat, Map, Value, ValueKind};

/// A key whose unlikeness to every known one is larger than this is not called a misspelling of it.
const NEAREST_SIMILARITY_MIN: f64 = 0.6;

/// Keys of a dataset.
const DATASET_KEYS: [&str; 21] = [
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
];

/// Refuses keys that nothing reads: a misspelt one would silently do nothing.
pub(super) fn check_keys(merged: &config::Config) -> Result<(), ConfigurationError> {
    let ValueKind::Table(table) = &merged.cache.kind else { return Ok(()) };
    let defaults = config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml)).build()?;
    let ValueKind::Table(known) = &defaults.cache.kind else { return Ok(()) };
    let mut known: Vec<&str> = known.keys().map(String::as_str).collect();
    known.push("datasets");
    check_table("", table, &known)?;
    let Some(Value { kind: ValueKind::Table(datasets), .. }) = table.get("datasets") else { return Ok(()) };
    for (name, dataset) in datasets {
        if let ValueKind::Table(dataset) = &dataset.kind {
            check_dataset(name, dataset, datasets)?;
            check_table(&format!("datasets.{name}."), dataset, &DATASET_KEYS)?;
        }
    }
    Ok(())
}

/// A dataset without paths that no profile has is most likely a misspelt one.
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

/// The known key most like this one, if any is like it.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(key, candidate);
    let nearest = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    nearest.filter(|nearest| likeness(nearest) >= NEAREST_SIMILARITY_MIN)
}
