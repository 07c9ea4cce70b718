//! Declaration: the settings of a dataset and its columns, as the configuration has them. All are
//! optional: what is not declared is found in files. [`crate::feed::dataset`] checks it.

use crate::feed::encoding::one_or_several;
use crate::feed::json_settings::JsonSettings;
use crate::feed::words::{one_of, one_of_or_none, scalar_or_none, scalars};
use crate::values::currency::CurrencyCodes;
use entity::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// What happens to undeclared columns of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewColumns {
    /// They go to the table of records.
    Record,
    /// They go to the table of lines.
    #[default]
    Line,
    /// They are not stored.
    Ignore,
}

/// What happens to a value that does not fit its column's type.
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

/// What happens to exact duplicate rows of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateLines {
    /// They are real.
    #[default]
    Keep,
    /// They are faults of the export and count once.
    Drop,
}

/// Which of several rows with one key counts, where records have no lines and the rows differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepeatedKeys {
    /// None of them: the column is not a key, so the file is refused.
    #[default]
    Quarantine,
    /// The first one.
    First,
    /// The last one.
    Last,
}

/// What happens to stored records that the newest full export does not mention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletes {
    /// They stay.
    #[default]
    Keep,
    /// Their `_deleted_at` is set, and they leave marts and enriched views.
    Mark,
    /// They are deleted with all their lines.
    Remove,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text of at most 191 characters, never read as a number.
    Identifier,
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal with 4 places.
    Decimal,
    /// The same: an amount.
    Money,
    /// A binary floating point number, for measures.
    Double,
    /// A moment.
    Timestamp,
    /// A day.
    Date,
    /// Yes or no, stored as 1 or 0.
    Boolean,
}

impl ColumnType {
    /// The word of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Money => "money",
            Self::Double => "double",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Boolean => "boolean",
        }
    }

    /// The kind of the column that holds it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Identifier => Kind::Identifier,
            Self::Text => Kind::Text,
            Self::Integer | Self::Boolean => Kind::Integer,
            Self::Decimal | Self::Money => Kind::Decimal,
            Self::Double => Kind::Double,
            Self::Timestamp => Kind::Time,
            Self::Date => Kind::Day,
        }
    }
}

/// What happens to a row that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnViolation {
    /// It is a reject.
    #[default]
    Reject,
    /// It is stored, and an alarm counts it.
    Warn,
    /// Its file is refused.
    Quarantine,
}

impl OnViolation {
    /// Its word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
        }
    }
}

/// A dataset as the configuration writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSettings {
    /// Patterns of its paths, with the groups `market` and, optionally, `date`.
    pub paths: Vec<String>,
    /// Names that are all in the header of its files. They identify a file that no path matches,
    /// and the header below other rows.
    pub header_has: Vec<String>,
    /// Whether files are whole exports.
    #[serde(deserialize_with = "one_of")]
    pub kind: FeedKind,
    /// Table with a row per record; empty, the dataset's name.
    pub table: String,
    /// Columns that identify a record within a market; none, each distinct row is a record.
    #[serde(deserialize_with = "one_or_several")]
    pub key: Vec<String>,
    /// Table with a row per line, if records have lines.
    pub lines_table: Option<String>,
    /// What becomes of exact duplicate rows.
    #[serde(deserialize_with = "one_of")]
    pub duplicate_lines: DuplicateLines,
    /// Which of several rows with one key counts, where records have no lines.
    #[serde(deserialize_with = "one_of")]
    pub repeated_keys: RepeatedKeys,
    /// Where columns go that nothing declares.
    #[serde(deserialize_with = "one_of")]
    pub new_columns: NewColumns,
    /// What becomes of records that a newer full export does not mention.
    #[serde(deserialize_with = "one_of")]
    pub deletes: Deletes,
    /// Share of a market's records above which their deletion waits for approval; else the
    /// configuration's.
    pub deletes_max_percent: Option<f64>,
    /// Share of rows above which a file is refused for its rejects; else the configuration's.
    pub rejects_max_percent: Option<f64>,
    /// Share of a column's values above which a file is refused for those that do not fit it; else
    /// the configuration's.
    pub rescued_max_percent: Option<f64>,
    /// What happens to values that do not fit their column; if not set, declared columns rescue and
    /// found ones widen.
    #[serde(deserialize_with = "one_of_or_none")]
    pub on_type_change: Option<OnTypeChange>,
    /// From a column to a pattern: rows that match are not data, for example totals.
    pub no_rows: BTreeMap<String, String>,
    /// Columns in which an empty cell means the value of the row above.
    pub fill_down: Vec<String>,
    /// Delimiter of a CSV file; `auto` or nothing: found in each file.
    pub delimiter: String,
    /// Quote of a CSV file; `none`: there is none; `auto` or nothing: found in each file.
    pub quote: String,
    /// Sheet of a workbook; nothing: the first one that has the header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sheet: String,
    /// Encoding, or several that are tried in turn; `auto` or nothing: found in each file.
    #[serde(deserialize_with = "one_or_several")]
    pub encoding: Vec<String>,
    /// What stands before decimals, `.` or `,`; `auto` or nothing: each file proves it.
    pub decimal: String,
    /// How days are written: `iso`, `dmy`, `mdy`, or patterns of strftime, tried in turn.
    #[serde(deserialize_with = "one_or_several")]
    pub dates: Vec<String>,
    /// The zone of moments without one, an IANA name; nothing: UTC.
    pub timezone: String,
    /// What may stand beside amounts, and the ISO codes that it may mean.
    pub currencies: CurrencyCodes,
    /// Cells that mean "no value".
    pub null_tokens: Option<Vec<String>>,
    /// Where a JSON document has its records, and records their lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonSettings>,
    /// Declarations of single columns, by their names in the table.
    pub columns: BTreeMap<String, ColumnSettings>,
}

/// Settings for all datasets, or for those of one market.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultSettings {
    /// As a dataset's.
    #[serde(deserialize_with = "one_or_several")]
    pub encoding: Vec<String>,
    /// As a dataset's.
    pub decimal: String,
    /// As a dataset's.
    #[serde(deserialize_with = "one_or_several")]
    pub dates: Vec<String>,
    /// As a dataset's.
    pub timezone: String,
    /// As a dataset's.
    pub currencies: CurrencyCodes,
    /// As a dataset's.
    pub null_tokens: Option<Vec<String>>,
}

/// What a dataset says of one column.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnSettings {
    /// Its names in files; the first one that a file has counts. Nothing: its own name.
    #[serde(deserialize_with = "one_or_several")]
    pub from: Vec<String>,
    /// Its type; nothing: the table decides, or else the files.
    #[serde(rename = "type", deserialize_with = "one_of_or_none")]
    pub of_type: Option<ColumnType>,
    /// Which table it goes to.
    #[serde(deserialize_with = "one_of_or_none")]
    pub of: Option<Owner>,
    /// Pattern whose first group is the value, where it matches.
    pub take: Option<String>,
    /// From values in files to their meaning.
    #[serde(deserialize_with = "scalars")]
    pub map: BTreeMap<String, String>,
    /// As the dataset's.
    pub decimal: String,
    /// As the dataset's.
    #[serde(deserialize_with = "one_or_several")]
    pub dates: Vec<String>,
    /// As the dataset's.
    pub timezone: String,
    /// More than the dataset's.
    pub currencies: CurrencyCodes,
    /// Instead of the dataset's.
    pub null_tokens: Option<Vec<String>>,
    /// Whether its delimiters may stand unquoted.
    pub swallows: bool,
    /// The pattern of its values, for the repair of shifted rows.
    pub form: Option<String>,
    /// Rule: it has a value.
    pub required: bool,
    /// Rule: its values are among these.
    pub one_of: Vec<String>,
    /// Rule: its values match this pattern.
    pub pattern: Option<String>,
    /// Rule: the least value.
    #[serde(deserialize_with = "scalar_or_none")]
    pub min: Option<String>,
    /// Rule: the greatest value.
    #[serde(deserialize_with = "scalar_or_none")]
    pub max: Option<String>,
    /// Rule: no two records of a market have the same.
    pub unique: bool,
    /// Rule: `table.column` of the same market that has its values.
    pub references: Option<String>,
    /// What happens to a row that breaks one of its rules.
    #[serde(deserialize_with = "one_of")]
    pub on_violation: OnViolation,
}
