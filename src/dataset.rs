//! Dataset: one validated feed. What kind of file it is, how its paths look, which columns it has, and
//! which tables they go to. Made from the profile by `config`, never from anywhere else.

use crate::moment::parse_day;
use crate::schema::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind};
use chrono::NaiveDate;
use regex::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Changes whenever the same bytes under the same profile would give other rows: then files are synced again.
pub const TRANSFORM_VERSION: u32 = 2;

/// What one file of a dataset holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// The whole export.
    #[default]
    Full,
    /// Only what changed.
    Delta,
}

/// Which table a column goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The table with a row per record.
    Record,
    /// The table with a row per line of a record.
    #[default]
    Line,
}

/// What becomes of a value that does not fit its column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTypeChange {
    /// The column takes a wider type.
    Widen,
    /// The column is NULL, and the text goes to `_rescued`.
    Rescue,
    /// The row cannot be loaded, and with it its record.
    Reject,
}

/// What becomes of the exact duplicate rows of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateLines {
    /// They are real.
    #[default]
    Keep,
    /// They are faults of the export and count once.
    Drop,
}

/// What becomes of stored records that the newest full export does not mention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletes {
    /// They stay.
    #[default]
    Keep,
    /// Their `_deleted_at` is set, and they leave marts and enriched views.
    Mark,
    /// They go, with all their lines.
    Remove,
}

/// A dataset as the profile writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSettings {
    /// Patterns of its paths, with the groups `market` and, optionally, `date`.
    pub paths: Vec<String>,
    /// Whether files are whole exports.
    #[serde(default)]
    pub kind: FeedKind,
    /// Table with a row per record.
    pub table: String,
    /// Column that identifies a record within a market.
    pub key: String,
    /// Columns that belong to the record.
    #[serde(default)]
    pub record_columns: Vec<String>,
    /// Table with a row per line, if records have lines.
    #[serde(default)]
    pub lines_table: Option<String>,
    /// Columns that belong to a line.
    #[serde(default)]
    pub line_columns: Vec<String>,
    /// What becomes of exact duplicate rows.
    #[serde(default)]
    pub duplicate_lines: DuplicateLines,
    /// Where columns go that are in neither list.
    #[serde(default)]
    pub new_columns: Owner,
    /// What becomes of records that a newer full export does not mention.
    #[serde(default)]
    pub deletes: Deletes,
    /// Share of a market's records above which their deletion waits for approval; else the configuration's.
    #[serde(default)]
    pub deletes_max_percent: Option<f64>,
    /// What becomes of values that do not fit their column; unset, declared columns rescue and found ones widen.
    #[serde(default)]
    pub on_type_change: Option<OnTypeChange>,
    /// Text columns whose delimiters may stand unquoted.
    #[serde(default)]
    pub swallows: Vec<String>,
    /// Column to the pattern whose first group is the value.
    #[serde(default)]
    pub extracts: BTreeMap<String, String>,
    /// Column to the pattern of its values, for the repair of shifted rows.
    #[serde(default)]
    pub forms: BTreeMap<String, String>,
}

/// One validated feed.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name in the profile and in the ledger.
    pub name: String,
    /// Whether files are whole exports.
    pub kind: FeedKind,
    /// Table with a row per record.
    pub table: String,
    /// Column that identifies a record within a market.
    pub key: String,
    /// The table of lines, if records have lines.
    pub lines: Option<Lines>,
    /// What becomes of records that a newer full export does not mention.
    pub deletes: Deletes,
    /// Share of a market's records above which their deletion waits for approval, in percent.
    pub deletes_max_percent: Option<f64>,
    /// Cells that mean "no value".
    pub null_tokens: Arc<NullTokens>,
    /// Fingerprint of everything that decides what rows a file gives.
    pub fingerprint: String,
    paths: Vec<Regex>,
    record_columns: HashSet<String>,
    new_columns: Owner,
    on_type_change: Option<OnTypeChange>,
    swallows: HashSet<String>,
    extracts: BTreeMap<String, Regex>,
    forms: BTreeMap<String, Regex>,
}

/// The table of a record's lines.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Its name.
    pub table: String,
    /// What becomes of exact duplicate rows.
    pub duplicates: DuplicateLines,
    columns: HashSet<String>,
}

/// What a path says about its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The market, as written.
    pub market: String,
    /// The day in the name, if there is one.
    pub date: Option<NaiveDate>,
}

/// Cells that mean "no value".
#[derive(Debug)]
pub struct NullTokens {
    tokens: HashSet<String>,
    bytes_max: usize,
}

impl NullTokens {
    /// The given tokens.
    pub fn new(tokens: impl IntoIterator<Item = String>) -> Self {
        let tokens: HashSet<String> = tokens.into_iter().collect();
        let bytes_max = tokens.iter().map(String::len).max().unwrap_or(0);
        Self { tokens, bytes_max }
    }

    /// Whether a cell means "no value".
    pub fn matches(&self, cell: &str) -> bool {
        let trimmed = cell.trim();
        trimmed.len() <= self.bytes_max && self.tokens.contains(trimmed)
    }
}

impl Dataset {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Says which setting is wrong and why.
    pub fn new(name: &str, settings: &DatasetSettings, null_tokens: &Arc<NullTokens>) -> Result<Self, String> {
        let paths = settings.paths.iter().map(|path| pattern(name, "paths", path)).collect::<Result<Vec<_>, _>>()?;
        if let Some(path) = paths.iter().find(|path| !path.capture_names().flatten().any(|group| group == "market")) {
            return Err(format!("datasets.{name}.paths: `{path}` has no group (?<market>…)"));
        }
        if settings.key.is_empty() || settings.table.is_empty() {
            return Err(format!("datasets.{name}: `key` and `table` must be given"));
        }
        let lines = settings.lines_table.as_ref().map(|table| Lines {
            table: table.clone(),
            duplicates: settings.duplicate_lines,
            columns: settings.line_columns.iter().cloned().collect(),
        });
        if lines.is_none() && !settings.line_columns.is_empty() {
            return Err(format!("datasets.{name}.line_columns needs lines_table"));
        }
        if settings.deletes_max_percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            return Err(format!("datasets.{name}.deletes_max_percent must be between 0 and 100"));
        }
        let patterns = |key: &str, patterns: &BTreeMap<String, String>| {
            patterns
                .iter()
                .map(|(column, text)| Ok((column.clone(), pattern(name, key, text)?)))
                .collect::<Result<BTreeMap<_, _>, String>>()
        };
        Ok(Self {
            name: name.to_owned(),
            kind: settings.kind,
            table: settings.table.clone(),
            key: settings.key.clone(),
            new_columns: if lines.is_some() { settings.new_columns } else { Owner::Record },
            lines,
            deletes: settings.deletes,
            deletes_max_percent: settings.deletes_max_percent,
            null_tokens: Arc::clone(null_tokens),
            fingerprint: fingerprint(settings, null_tokens),
            paths,
            record_columns: settings.record_columns.iter().cloned().collect(),
            on_type_change: settings.on_type_change,
            swallows: settings.swallows.iter().cloned().collect(),
            extracts: patterns("extracts", &settings.extracts)?,
            forms: patterns("forms", &settings.forms)?,
        })
    }

    /// What a path says, if it is one of this dataset's. Separators are `/`, with one in front.
    pub fn route(&self, path: &str) -> Option<Route> {
        let captures = self.paths.iter().find_map(|pattern| pattern.captures(path))?;
        let market = captures.name("market")?.as_str();
        // A market is part of every key, and no database would take a longer one.
        (market.chars().count() <= IDENTIFIER_CHARS_MAX).then(|| Route {
            market: market.to_owned(),
            date: captures.name("date").and_then(|date| parse_day(date.as_str())),
        })
    }

    /// Which table a column goes to.
    pub fn owner(&self, column: &str) -> Owner {
        match &self.lines {
            _ if self.record_columns.contains(column) => Owner::Record,
            Some(lines) if lines.columns.contains(column) => Owner::Line,
            _ => self.new_columns,
        }
    }

    /// Name of the table a column of this owner goes to.
    pub fn table_of(&self, owner: Owner) -> &str {
        match (owner, &self.lines) {
            (Owner::Line, Some(lines)) => &lines.table,
            _ => &self.table,
        }
    }

    /// What becomes of a value that does not fit a column. What cannot be widened is rescued instead.
    pub fn on_type_change(&self, column: &ColumnShape) -> OnTypeChange {
        let default = if column.is_declared { OnTypeChange::Rescue } else { OnTypeChange::Widen };
        match self.on_type_change.unwrap_or(default) {
            OnTypeChange::Widen if column.is_pinned || !Kind::WIDENABLE.contains(&column.kind) => OnTypeChange::Rescue,
            wanted => wanted,
        }
    }

    /// Whether a column's delimiters may stand unquoted.
    pub fn swallows(&self, column: &str) -> bool {
        self.swallows.contains(column)
    }

    /// The pattern whose first group is the column's value.
    pub fn extract(&self, column: &str) -> Option<&Regex> {
        self.extracts.get(column)
    }

    /// The pattern of the column's values.
    pub fn form(&self, column: &str) -> Option<&Regex> {
        self.forms.get(column)
    }
}

fn pattern(dataset: &str, key: &str, text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("datasets.{dataset}.{key}: `{text}` is not a pattern: {error}"))
}

/// The paths are left out: which files belong to a dataset does not change the rows of one. So is what becomes
/// of records that a file does not mention: that takes effect with the next export.
fn fingerprint(settings: &DatasetSettings, null_tokens: &NullTokens) -> String {
    let rules =
        DatasetSettings { paths: Vec::new(), deletes: Deletes::Keep, deletes_max_percent: None, ..settings.clone() };
    let mut tokens: Vec<&String> = null_tokens.tokens.iter().collect();
    tokens.sort();
    let text =
        serde_json::to_string(&(TRANSFORM_VERSION, rules, tokens)).expect("settings are plain strings and lists");
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
