//! Dataset: one validated feed. What kind of file it is, how its paths look, which columns it has, and
//! which tables they go to. Made from the profile by `config`, never from anywhere else.

use crate::feed::encoding::{Encoding, encodings, one_or_several};
use crate::feed::json_settings::JsonSettings;
use crate::feed::layout::{column_name, declared_name, shortened};
use crate::feed::number_form::{ColumnSettings, NumberForm, NumberForms, column_currencies, column_decimals, decimal};
use crate::feed::row_format::{delimiter, quote};
use crate::feed::words::{one_of, one_of_or_none};
use crate::values::cell::{NullTokens, hex};
use crate::values::currency::{Currencies, CurrencyCodes};
use crate::values::moment::parse_day;
use crate::values::number::{DecimalSign, Decimals, NumberRules};
use chrono::NaiveDate;
use entity::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind, ROW_HASH};
use regex::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Changes whenever the same bytes under the same profile would give other rows, or a stored position would stand before other
/// records: then files are synced again.
pub const TRANSFORM_VERSION: u32 = 5;

/// The name of a file whose rows tidegate can read: its stem, with or without a date at its end.
const FILE_PATTERN: &str = r"(?i)/(?<whole>(?<stem>[^/]*?)(?:[ _.-]*(?<date>\d{4}-?\d{2}-?\d{2}))?)\.(?:csv|tsv|json|ndjson|jsonl)(?:\.(?:gz|zst))?$";

/// Starts of table names that databases or tidegate keep for themselves.
const RESERVED_STARTS: [&str; 3] = ["sqlite", "pg_", "tidegate"];

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

/// Which of several rows with one key counts, where records have no lines and the rows differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepeatedKeys {
    /// None of them: the key is none, so the file is refused.
    #[default]
    Quarantine,
    /// The first one.
    First,
    /// The last one.
    Last,
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
    #[serde(default)]
    pub paths: Vec<String>,
    /// Names that all stand in the header of its files: they tell such a file where no path does,
    /// and the header from what stands above it.
    #[serde(default)]
    pub header_has: Vec<String>,
    /// Whether files are whole exports.
    #[serde(default, deserialize_with = "one_of")]
    pub kind: FeedKind,
    /// Table with a row per record; empty, the dataset's name.
    #[serde(default)]
    pub table: String,
    /// Column that identifies a record within a market; empty, each distinct row is a record.
    #[serde(default)]
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
    #[serde(default, deserialize_with = "one_of")]
    pub duplicate_lines: DuplicateLines,
    /// Which of several rows with one key counts, where records have no lines.
    #[serde(default, deserialize_with = "one_of")]
    pub repeated_keys: RepeatedKeys,
    /// Where columns go that are in neither list.
    #[serde(default, deserialize_with = "one_of")]
    pub new_columns: Owner,
    /// What becomes of records that a newer full export does not mention.
    #[serde(default, deserialize_with = "one_of")]
    pub deletes: Deletes,
    /// Share of a market's records above which their deletion waits for approval; else the configuration's.
    #[serde(default)]
    pub deletes_max_percent: Option<f64>,
    /// Share of a column's values above which a file is refused for those that do not fit it; else
    /// the configuration's.
    #[serde(default)]
    pub rescued_max_percent: Option<f64>,
    /// What becomes of values that do not fit their column; unset, declared columns rescue and found ones widen.
    #[serde(default, deserialize_with = "one_of_or_none")]
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
    /// How characters are written as bytes, one or several that are tried in turn; `auto` or
    /// nothing: each file says so itself.
    #[serde(default, deserialize_with = "one_or_several")]
    pub encoding: Vec<String>,
    /// What stands between the cells of a CSV file; `auto` or nothing: each file says so itself.
    #[serde(default)]
    pub delimiter: String,
    /// What stands around a cell that holds a delimiter; `auto` or nothing: each file says so itself.
    #[serde(default)]
    pub quote: String,
    /// What stands before decimals, `.` or `,`; `auto` or nothing: each file proves it.
    #[serde(default)]
    pub decimal: String,
    /// What may stand beside amounts, and the ISO codes that it may mean.
    #[serde(default)]
    pub currencies: CurrencyCodes,
    /// Where a JSON document has its records, and they their lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonSettings>,
    /// What is said of single columns.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnSettings>,
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
    /// Column that identifies a record within a market; [`ROW_HASH`] where each distinct row is a record.
    pub key: String,
    /// The table of lines, if records have lines.
    pub lines: Option<Lines>,
    /// What becomes of records that a newer full export does not mention.
    pub deletes: Deletes,
    /// Share of a market's records above which their deletion waits for approval, in percent.
    pub deletes_max_percent: Option<f64>,
    /// Share of a column's values above which a file is refused for those that do not fit it, in
    /// percent.
    pub rescued_max_percent: Option<f64>,
    /// Which of several rows with one key counts, where records have no lines.
    pub repeated_keys: RepeatedKeys,
    /// Where a JSON document has its records, and they their lines.
    pub json: JsonSettings,
    /// Names that all stand in the header of its files.
    pub header_has: Vec<String>,
    /// Cells that mean "no value".
    pub null_tokens: Arc<NullTokens>,
    /// How characters are written as bytes, tried in turn; none when each file says so itself.
    pub encodings: Vec<Encoding>,
    /// What stands between cells; `None` when each file says so itself.
    pub delimiter: Option<u8>,
    /// What stands around cells; `None` when each file says so itself.
    pub quote: Option<u8>,
    /// Fingerprint of everything that decides what rows a file gives.
    pub fingerprint: String,
    paths: Vec<Regex>,
    record_columns: HashSet<String>,
    new_columns: Owner,
    on_type_change: Option<OnTypeChange>,
    swallows: HashSet<String>,
    extracts: BTreeMap<String, Regex>,
    forms: BTreeMap<String, Regex>,
    decimal: Option<DecimalSign>,
    currencies: Arc<Currencies>,
    column_decimals: BTreeMap<String, Option<DecimalSign>>,
    column_currencies: BTreeMap<String, Arc<Currencies>>,
    number_forms: Arc<NumberForms>,
    /// What it is in markets of which something else is said.
    in_markets: BTreeMap<String, Arc<Self>>,
    template: Option<Template>,
    /// Whether it was made for a file; then the file and the ledger decide its key and table.
    pub is_made: bool,
}

/// What files without a dataset become datasets by, each by its own name.
#[derive(Clone, Debug)]
struct Template {
    /// The column that is the key of a file that has it.
    key: String,
    /// Names of the configured datasets and their tables.
    taken: HashSet<String>,
    pattern: Regex,
    /// What holds for all of them.
    settings: DatasetSettings,
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
    /// Name without extensions of the file whose rejects it corrects, if it does.
    pub corrects: Option<String>,
}

impl Dataset {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Says which setting is wrong and why.
    pub fn new(name: &str, settings: &DatasetSettings, null_tokens: &Arc<NullTokens>) -> Result<Self, String> {
        let paths = settings.paths.iter().map(|path| pattern(name, "paths", path)).collect::<Result<Vec<_>, _>>()?;
        let key = match declared_name(&settings.key) {
            key if key.is_empty() => ROW_HASH.to_owned(),
            key => key,
        };
        if key == ROW_HASH && settings.lines_table.is_some() {
            return Err(format!("datasets.{name}.lines_table needs a `key`: lines belong to a record"));
        }
        if key == ROW_HASH && settings.deletes != Deletes::Keep {
            return Err(format!("datasets.{name}.deletes needs a `key`: a row without one cannot be missed"));
        }
        let table = if settings.table.is_empty() { shortened(&column_name(name), "") } else { settings.table.clone() };
        let lines = settings.lines_table.as_ref().map(|table| Lines {
            table: table.clone(),
            duplicates: settings.duplicate_lines,
            columns: declared_names(&settings.line_columns),
        });
        if lines.is_none() && !settings.line_columns.is_empty() {
            return Err(format!("datasets.{name}.line_columns needs lines_table"));
        }
        for (setting, percent) in [
            ("deletes_max_percent", settings.deletes_max_percent),
            ("rescued_max_percent", settings.rescued_max_percent),
        ] {
            if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
                return Err(format!("datasets.{name}.{setting} must be between 0 and 100"));
            }
        }
        let json = settings.json.clone().unwrap_or_default();
        json.check(name, settings.lines_table.as_ref())?;
        let has_rows_of_lines = settings.lines_table.is_some() && json.lines.is_none();
        if settings.repeated_keys != RepeatedKeys::Quarantine && has_rows_of_lines {
            return Err(format!(
                "datasets.{name}.repeated_keys is for records without lines; with `lines_table` rows with one key are lines"
            ));
        }
        let patterns = |key: &str, patterns: &BTreeMap<String, String>| {
            patterns
                .iter()
                .map(|(column, text)| Ok((declared_name(column), pattern(name, key, text)?)))
                .collect::<Result<BTreeMap<_, _>, String>>()
        };
        let (delimiter, quote) = (delimiter(name, &settings.delimiter)?, quote(name, &settings.quote)?);
        if delimiter.is_some() && delimiter == quote {
            return Err(format!("datasets.{name}: `delimiter` and `quote` must differ"));
        }
        Ok(Self {
            encodings: encodings(name, &settings.encoding)?,
            delimiter,
            quote,
            name: name.to_owned(),
            kind: settings.kind,
            table,
            key,
            new_columns: if lines.is_some() { settings.new_columns } else { Owner::Record },
            lines,
            deletes: settings.deletes,
            deletes_max_percent: settings.deletes_max_percent,
            rescued_max_percent: settings.rescued_max_percent,
            repeated_keys: settings.repeated_keys,
            json,
            header_has: settings.header_has.iter().map(|name| declared_name(name)).collect(),
            null_tokens: Arc::clone(null_tokens),
            fingerprint: fingerprint(settings, null_tokens),
            paths,
            record_columns: declared_names(&settings.record_columns),
            on_type_change: settings.on_type_change,
            swallows: declared_names(&settings.swallows),
            extracts: patterns("extracts", &settings.extracts)?,
            forms: patterns("forms", &settings.forms)?,
            decimal: decimal(&format!("datasets.{name}"), &settings.decimal)?,
            currencies: Arc::new(Currencies::new(&settings.currencies)),
            column_decimals: column_decimals(name, settings)?,
            column_currencies: column_currencies(settings),
            number_forms: Arc::default(),
            in_markets: BTreeMap::new(),
            template: None,
            is_made: false,
        })
    }

    /// What becomes a dataset for every file of a known format that no other one matches. `key` is the column
    /// that identifies a record in a file that has it.
    ///
    /// # Errors
    ///
    /// Says which setting is wrong.
    ///
    /// # Panics
    ///
    /// When the pattern below is none.
    pub fn template(
        key: &str,
        others: &[Arc<Self>],
        null_tokens: &Arc<NullTokens>,
        settings: &DatasetSettings,
    ) -> Result<Self, String> {
        let tables = |dataset: &Arc<Self>| {
            let lines = dataset.lines.as_ref().map(|lines| lines.table.clone());
            [Some(dataset.name.clone()), Some(dataset.table.clone()), lines].into_iter().flatten().collect::<Vec<_>>()
        };
        let template = Template {
            key: key.to_owned(),
            taken: others.iter().flat_map(tables).collect(),
            pattern: Regex::new(FILE_PATTERN).expect("the pattern is a constant"),
            settings: settings.clone(),
        };
        Ok(Self { template: Some(template), ..Self::new("", settings, null_tokens)? })
    }

    /// The same, where something else is said of some markets.
    #[must_use]
    pub fn with_markets(self, in_markets: BTreeMap<String, Arc<Self>>) -> Self {
        Self { in_markets, ..self }
    }

    /// The same, with what files have shown of how numbers are written.
    #[must_use]
    pub fn with_number_forms(&self, number_forms: NumberForms) -> Self {
        Self { number_forms: Arc::new(number_forms), ..self.clone() }
    }

    /// What files have shown of all of its columns' numbers.
    pub fn number_forms(&self) -> &NumberForms {
        &self.number_forms
    }

    /// The same, with what one more file has shown.
    #[must_use]
    pub fn with_proofs(&self, proved: &[(String, NumberForm)]) -> Self {
        let mut forms = (*self.number_forms).clone();
        for (column, form) in proved {
            let known = forms.entry(column.clone()).or_default();
            known.decimal = known.decimal.or(form.decimal);
            known.currency = known.currency.take().or_else(|| form.currency.clone());
        }
        self.with_number_forms(forms)
    }

    /// What files have shown of a column's numbers.
    pub fn number_form(&self, column: &str) -> Option<&NumberForm> {
        self.number_forms.get(column)
    }

    /// What is declared to stand before the decimals of a column.
    pub fn declared_decimal(&self, column: &str) -> Option<DecimalSign> {
        self.column_decimals.get(column).copied().unwrap_or(self.decimal)
    }

    /// How the numbers of a column are read, as far as that is known before a file is looked at.
    pub fn number_rules(&self, column: &str) -> NumberRules {
        let proved = || self.number_form(column).and_then(|form| form.decimal);
        NumberRules {
            decimals: self.declared_decimal(column).or_else(proved).map_or(Decimals::Either, Decimals::from),
            currencies: Arc::clone(self.column_currencies.get(column).unwrap_or(&self.currencies)),
            is_declared: false,
        }
    }

    /// Whether it only makes datasets of others.
    pub const fn is_template(&self) -> bool {
        self.template.is_some()
    }

    /// The dataset that a path belongs to, this one or one made of it, and what the path says.
    pub fn for_path(self: &Arc<Self>, path: &str) -> Option<(Arc<Self>, Route)> {
        let Some(template) = &self.template else {
            let route = self.route(path)?;
            return Some((Arc::clone(self.in_markets.get(&route.market).unwrap_or(self)), route));
        };
        let captures = template.pattern.captures(path)?;
        let date = captures.name("date").and_then(|date| parse_day(date.as_str()));
        let stem = captures.name("stem").map_or("", |stem| stem.as_str());
        let stem = if date.is_some() { stem } else { captures.name("whole").map_or(stem, |whole| whole.as_str()) };
        let name = template.name_of(stem);
        let settings = DatasetSettings { table: name.clone(), key: template.key.clone(), ..template.settings.clone() };
        let made = Self { is_made: true, ..Self::new(&name, &settings, &self.null_tokens).ok()? };
        Some((Arc::new(made), Route { market: String::new(), date, corrects: None }))
    }

    /// The same with the table and key that were found for it.
    #[must_use]
    pub fn settled(&self, table: &str, key: &str) -> Self {
        Self { table: table.to_owned(), key: key.to_owned(), ..self.clone() }
    }

    /// What a path says, if it is one of this dataset's. Separators are `/`, with one in front.
    pub fn route(&self, path: &str) -> Option<Route> {
        let captures = self.paths.iter().find_map(|pattern| pattern.captures(path))?;
        let market = captures.name("market").map_or("", |market| market.as_str());
        // A market is part of every key, and no database would take a longer one.
        (market.chars().count() <= IDENTIFIER_CHARS_MAX).then(|| Route {
            market: market.to_owned(),
            date: captures.name("date").and_then(|date| parse_day(date.as_str())),
            corrects: None,
        })
    }

    /// A pattern of its paths that captures no market.
    pub fn path_without_market(&self) -> Option<&str> {
        let lacks_market = |path: &&Regex| !path.capture_names().flatten().any(|group| group == "market");
        self.paths.iter().find(lacks_market).map(Regex::as_str)
    }

    /// Whether the settings name a column: the key, or one of a table's.
    pub fn declares(&self, column: &str) -> bool {
        let is_of_lines = |lines: &Lines| lines.columns.contains(column);
        column == self.key || self.record_columns.contains(column) || self.lines.as_ref().is_some_and(is_of_lines)
    }

    /// Whether anything tells the header from rows above it.
    pub fn knows_header(&self) -> bool {
        !self.is_keyless() || !self.header_has.is_empty()
    }

    /// Whether a row of these names, written as the configuration writes them, is the header.
    pub fn is_header(&self, names: &[String]) -> bool {
        (!self.is_keyless() && names.contains(&self.key)) || self.has_header(names)
    }

    /// Whether all of `header_has` stand among these names.
    pub fn has_header(&self, names: &[String]) -> bool {
        !self.header_has.is_empty() && self.header_has.iter().all(|name| names.contains(name))
    }

    /// Whether each distinct row is a record, for want of a key.
    pub fn is_keyless(&self) -> bool {
        self.key == ROW_HASH
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
        if column.is_empty && !column.is_pinned {
            // Its first values decide what it holds, whatever later ones may do.
            return OnTypeChange::Widen;
        }
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

impl Template {
    /// What a file of that stem is called in the ledger and, unless somebody has the name, in the database.
    fn name_of(&self, stem: &str) -> String {
        let name = match column_name(stem) {
            name if name.is_empty() => "file".to_owned(),
            // What begins otherwise would need quotes in every query, or belongs to a database or to tidegate.
            name if !name.starts_with(char::is_alphabetic)
                || RESERVED_STARTS.iter().any(|start| name.starts_with(start)) =>
            {
                format!("file_{name}")
            }
            name => name,
        };
        let mut free = shortened(&name, "");
        let mut suffix = 2;
        while self.taken.contains(&free) {
            free = shortened(&name, &format!("_{suffix}"));
            suffix += 1;
        }
        free
    }
}

fn declared_names(names: &[String]) -> HashSet<String> {
    names.iter().map(|name| declared_name(name)).collect()
}

fn pattern(dataset: &str, key: &str, text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("datasets.{dataset}.{key}: `{text}` is not a pattern: {error}"))
}

/// The paths are left out: which files belong to a dataset does not change the rows of one. So is what becomes
/// of records that a file does not mention: that takes effect with the next export.
fn fingerprint(settings: &DatasetSettings, null_tokens: &NullTokens) -> String {
    let rules =
        DatasetSettings { paths: Vec::new(), deletes: Deletes::Keep, deletes_max_percent: None, ..settings.clone() };
    let mut tokens: Vec<&String> = null_tokens.iter().collect();
    tokens.sort();
    tokens.dedup();
    let text =
        serde_json::to_string(&(TRANSFORM_VERSION, rules, tokens)).expect("settings are plain strings and lists");
    hex(&Sha256::digest(text.as_bytes()))
}
