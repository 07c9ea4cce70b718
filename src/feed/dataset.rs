//! Dataset: one validated feed. What kind of file it is, how its paths look, which columns it has,
//! and which tables they go to. Made from the profile by `config`, never from anywhere else.

use crate::feed::column::{DeclaredColumn, moment_rules};
use crate::feed::encoding::{Encoding, encodings};
use crate::feed::json_settings::JsonSettings;
use crate::feed::layout::{column_name, declared_name, shortened, spoken_name};
use crate::feed::number_form::{NumberForm, NumberForms, decimal};
use crate::feed::record_key::KeyColumns;
use crate::feed::row_format::{delimiter, quote};
use crate::feed::shipped::shipped_columns;
use crate::feed::table_names;
use crate::values::cell::{NullTokens, hex};
use crate::values::currency::Currencies;
use crate::values::dates::MomentRules;
use crate::values::moment::{last_day, parse_day};
use crate::values::number::{DecimalSign, Decimals, NumberRules};

pub use crate::feed::declaration::{
    ColumnSettings, DatasetSettings, Deletes, DuplicateLines, FeedKind, NewColumns, OnTypeChange,
    Owner, RepeatedKeys,
};
use chrono::NaiveDate;
use entity::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind};
use regex::Regex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Changes whenever the same bytes under the same profile would give other rows, or a stored
/// position would stand before other records: then files are synced again.
pub const TRANSFORM_VERSION: u32 = 7;

/// The name of a file whose rows tidegate can read: its stem, with or without a date at its end.
const FILE_PATTERN: &str = r"(?i)/(?<whole>(?<stem>[^/]*?)(?:[ _.-]*(?<date>\d{4}-?\d{2}-?\d{2}))?)\.(?:csv|tsv|json|ndjson|jsonl|xlsx|parquet)(?:\.(?:gz|zst))?$";

/// One validated feed.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name in the profile and in the ledger.
    pub name: String,
    /// Whether files are whole exports.
    pub kind: FeedKind,
    /// Table with a row per record.
    pub table: String,
    /// Columns that identify a record within a market.
    pub key: KeyColumns,
    /// The table of lines, if records have lines.
    pub lines: Option<Lines>,
    /// What happens to records that a newer full export does not mention.
    pub deletes: Deletes,
    /// Share of a market's records above which their deletion waits for approval, in percent.
    pub deletes_max_percent: Option<f64>,
    /// Share of rows above which a file is refused for its rejects, in percent.
    pub rejects_max_percent: Option<f64>,
    /// Share of a column's values above which a file is refused for those that do not fit it, in
    /// percent.
    pub rescued_max_percent: Option<f64>,
    /// Columns, as they would be called, and the patterns of what stands in them where a row is no
    /// data.
    pub no_rows: Vec<(String, Regex)>,
    /// Columns, as they would be called, in which an empty cell means what the row above has.
    pub fill_down: Vec<String>,
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
    /// Name of the sheet of its workbooks; `None` for the first one that has the header.
    pub sheet: Option<String>,
    /// Fingerprint of everything that decides what rows a file gives.
    pub fingerprint: String,
    paths: Vec<Regex>,
    columns: BTreeMap<String, Arc<DeclaredColumn>>,
    /// Tables that tidegate itself declares say of their columns which of them they belong to.
    shipped: BTreeMap<String, Owner>,
    new_columns: NewColumns,
    on_type_change: Option<OnTypeChange>,
    decimal: Option<DecimalSign>,
    currencies: Arc<Currencies>,
    moments: Arc<MomentRules>,
    number_forms: Arc<NumberForms>,
    /// The dataset in markets with settings of their own.
    in_markets: BTreeMap<String, Arc<Self>>,
    template: Option<Template>,
    /// Columns that the configuration itself names, not only a shipped profile.
    pub own_columns: BTreeSet<String>,
    /// Whether it was made for a file; then the file and the ledger decide its key and table.
    pub is_made: bool,
}

/// The template of datasets for files without one. Each gets the name of its file.
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
    /// What happens to exact duplicate rows.
    pub duplicates: DuplicateLines,
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
    pub fn new(
        name: &str,
        settings: &DatasetSettings,
        null_tokens: &Arc<NullTokens>,
    ) -> Result<Self, String> {
        let paths = settings
            .paths
            .iter()
            .map(|path| pattern(name, "paths", path))
            .collect::<Result<Vec<_>, _>>()?;
        let columns = DeclaredColumn::all(name, settings)?;
        let key: Vec<String> =
            settings.key.iter().map(|named| column_meant(&columns, named)).collect();
        let key = KeyColumns::declared(name, &key)?;
        if key.is_row_hash() && settings.lines_table.is_some() {
            return Err(format!(
                "datasets.{name}.lines_table needs a `key`: lines belong to a record"
            ));
        }
        if key.is_row_hash() && settings.deletes != Deletes::Keep {
            return Err(format!(
                "datasets.{name}.deletes needs a `key`: a row without one cannot be missed"
            ));
        }
        let table = if settings.table.is_empty() {
            shortened(&column_name(name), "")
        } else {
            settings.table.clone()
        };
        let lines = settings
            .lines_table
            .as_ref()
            .map(|table| Lines { table: table.clone(), duplicates: settings.duplicate_lines });
        table_names::check(name, &table, settings.lines_table.as_deref())?;
        let is_of_key = |column: &&Arc<DeclaredColumn>| key.contains(&column.name);
        let is_identifier = |column: &&Arc<DeclaredColumn>| {
            column.kind().is_none_or(|kind| kind == Kind::Identifier)
        };
        if let Some(column) =
            columns.values().filter(is_of_key).find(|column| !is_identifier(column))
        {
            return Err(format!(
                "datasets.{name}.columns.{}.type: a column of the key is an identifier; leave `type` out",
                column.name
            ));
        }
        if let (None, Some(column)) =
            (&lines, columns.values().find(|column| column.owner == Some(Owner::Line)))
        {
            return Err(format!(
                "datasets.{name}.columns.{}: `of = \"line\"` needs `lines_table`",
                column.name
            ));
        }
        for (setting, percent) in [
            ("deletes_max_percent", settings.deletes_max_percent),
            ("rejects_max_percent", settings.rejects_max_percent),
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
        let no_rows = settings.no_rows.iter();
        let no_rows = no_rows
            .map(|(column, text)| Ok((spoken_name(column), pattern(name, "no_rows", text)?)));
        let (delimiter, quote) =
            (delimiter(name, &settings.delimiter)?, quote(name, &settings.quote)?);
        if delimiter.is_some() && delimiter == quote {
            return Err(format!("datasets.{name}: `delimiter` and `quote` must differ"));
        }
        Ok(Self {
            encodings: encodings(name, &settings.encoding)?,
            delimiter,
            quote,
            sheet: Some(settings.sheet.clone()).filter(|sheet| !sheet.is_empty()),
            name: name.to_owned(),
            kind: settings.kind,
            key,
            new_columns: settings.new_columns,
            deletes: settings.deletes,
            deletes_max_percent: settings.deletes_max_percent,
            rejects_max_percent: settings.rejects_max_percent,
            rescued_max_percent: settings.rescued_max_percent,
            no_rows: no_rows.collect::<Result<_, String>>()?,
            fill_down: settings.fill_down.iter().map(|column| spoken_name(column)).collect(),
            repeated_keys: settings.repeated_keys,
            json,
            header_has: settings.header_has.iter().map(|name| declared_name(name)).collect(),
            null_tokens: match &settings.null_tokens {
                Some(tokens) => Arc::new(NullTokens::new(tokens.iter().cloned())),
                None => Arc::clone(null_tokens),
            },
            fingerprint: fingerprint(settings, null_tokens),
            paths,
            shipped: shipped_columns(name, &table, lines.as_ref(), &columns)?,
            columns,
            on_type_change: settings.on_type_change,
            decimal: decimal(&format!("datasets.{name}"), &settings.decimal)?,
            currencies: Arc::new(Currencies::new(&settings.currencies)),
            moments: Arc::new(moment_rules(
                &format!("datasets.{name}"),
                &settings.dates,
                &settings.timezone,
            )?),
            table,
            lines,
            number_forms: Arc::default(),
            in_markets: BTreeMap::new(),
            own_columns: BTreeSet::new(),
            template: None,
            is_made: false,
        })
    }

    /// The template of a dataset for every file of a known format that no other dataset matches.
    /// `key` is the column that identifies a record in a file that has it.
    ///
    /// # Errors
    ///
    /// Says which setting is wrong.
    ///
    /// # Panics
    ///
    /// When the pattern below is not valid.
    pub fn template(
        key: &str,
        others: &[Arc<Self>],
        null_tokens: &Arc<NullTokens>,
        settings: &DatasetSettings,
    ) -> Result<Self, String> {
        let tables = |dataset: &Arc<Self>| {
            let lines = dataset.lines.as_ref().map(|lines| lines.table.clone());
            [Some(dataset.name.clone()), Some(dataset.table.clone()), lines]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
        };
        let template = Template {
            key: key.to_owned(),
            taken: others.iter().flat_map(tables).collect(),
            pattern: Regex::new(FILE_PATTERN).expect("the pattern is a constant"),
            settings: settings.clone(),
        };
        Ok(Self { template: Some(template), ..Self::new("", settings, null_tokens)? })
    }

    /// The same, with settings of single markets.
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
            known.taken = known.taken.or(form.taken);
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
        self.column(column).and_then(|column| column.decimal).unwrap_or(self.decimal)
    }

    /// How the numbers of a column are read, as far as that is known before a file is looked at.
    pub fn number_rules(&self, column: &str) -> NumberRules {
        let proved = || self.number_form(column).and_then(|form| form.decimal);
        NumberRules {
            decimals: self
                .declared_decimal(column)
                .or_else(proved)
                .map_or(Decimals::Either, Decimals::from),
            currencies: Arc::clone(
                self.column(column)
                    .and_then(|column| column.currencies.as_ref())
                    .unwrap_or(&self.currencies),
            ),
            is_declared: false,
        }
    }

    /// The table's column that a name of the configuration means, which may be one of its names in
    /// files.
    pub fn column_meant(&self, name: &str) -> String {
        column_meant(&self.columns, name)
    }

    /// How the days and moments of a column are written.
    pub fn moment_rules(&self, column: &str) -> Arc<MomentRules> {
        Arc::clone(
            self.column(column).and_then(|column| column.moments.as_ref()).unwrap_or(&self.moments),
        )
    }

    /// Which cells of a column mean "no value".
    pub fn null_tokens_of(&self, column: &str) -> Arc<NullTokens> {
        Arc::clone(
            self.column(column)
                .and_then(|column| column.null_tokens.as_ref())
                .unwrap_or(&self.null_tokens),
        )
    }

    /// What is declared of a column.
    pub fn column(&self, column: &str) -> Option<&Arc<DeclaredColumn>> {
        self.columns.get(column)
    }

    /// All that is declared of columns.
    pub fn columns(&self) -> impl Iterator<Item = &Arc<DeclaredColumn>> {
        self.columns.values()
    }

    /// Whether it only makes datasets of others.
    pub const fn is_template(&self) -> bool {
        self.template.is_some()
    }

    /// The dataset that a path belongs to, this one or one made of it, and what the path says.
    pub fn for_path(self: &Arc<Self>, path: &str) -> Option<(Arc<Self>, Route)> {
        let Some(template) = &self.template else {
            let route = self.route(path)?;
            return Some((self.of_market(&route.market), route));
        };
        let captures = template.pattern.captures(path)?;
        let date = captures.name("date").and_then(|date| parse_day(date.as_str()));
        let stem = captures.name("stem").map_or("", |stem| stem.as_str());
        let stem = if date.is_some() {
            stem
        } else {
            captures.name("whole").map_or(stem, |whole| whole.as_str())
        };
        let name = template.name_of(stem);
        let settings = DatasetSettings {
            table: name.clone(),
            key: vec![template.key.clone()],
            ..template.settings.clone()
        };
        let made = Self { is_made: true, ..Self::new(&name, &settings, &self.null_tokens).ok()? };
        Some((Arc::new(made), Route { market: String::new(), date, corrects: None }))
    }

    /// What it is in a market.
    pub fn of_market(self: &Arc<Self>, market: &str) -> Arc<Self> {
        Arc::clone(self.in_markets.get(market).unwrap_or(self))
    }

    /// Markets of which something else is said.
    pub fn markets(&self) -> impl Iterator<Item = &String> {
        self.in_markets.keys()
    }

    /// The same with the table and key that were found for it.
    #[must_use]
    pub fn settled(&self, table: &str, key: &KeyColumns) -> Self {
        Self { table: table.to_owned(), key: key.clone(), ..self.clone() }
    }

    /// What a path says, if it is one of this dataset's. Separators are `/`, with one in front.
    pub fn route(&self, path: &str) -> Option<Route> {
        let captures = self.paths.iter().find_map(|pattern| pattern.captures(path))?;
        let market = captures.name("market").map_or("", |market| market.as_str());
        // A market is part of every key, and no database would take a longer one.
        (market.chars().count() <= IDENTIFIER_CHARS_MAX).then(|| Route {
            market: market.to_owned(),
            date: match captures.name("date") {
                Some(date) => parse_day(date.as_str()),
                None => last_day(path.rsplit('/').next().unwrap_or_default()),
            },
            corrects: None,
        })
    }

    /// A pattern of its paths that captures no market.
    pub fn path_without_market(&self) -> Option<&str> {
        let lacks_market =
            |path: &&Regex| !path.capture_names().flatten().any(|group| group == "market");
        self.paths.iter().find(lacks_market).map(Regex::as_str)
    }

    /// Whether the settings say which table a column goes to: it is the key, or they name it.
    pub fn declares(&self, column: &str) -> bool {
        let has_owner = || self.column(column).is_some_and(|column| column.owner.is_some());
        self.key.contains(column) || self.shipped.contains_key(column) || has_owner()
    }

    /// Whether anything tells the header from rows above it.
    pub fn knows_header(&self) -> bool {
        !self.is_keyless() || !self.header_has.is_empty()
    }

    /// Whether a row of these names, written as the configuration writes them, is the header.
    pub fn is_header(&self, names: &[String]) -> bool {
        self.has_key(names) || self.has_header(names)
    }

    /// Whether every column of the key stands among these names, under any of its own.
    pub fn has_key(&self, names: &[String]) -> bool {
        let stands = |name: &String| names.contains(name) || names.contains(&declared_name(name));
        let is_there = |column: &String| match self.column(column) {
            Some(declared) => declared.from.iter().chain(&declared.written_as).any(stands),
            None => stands(column),
        };
        !self.is_keyless() && self.key.names().iter().all(is_there)
    }

    /// Whether all of `header_has` stand among these names.
    pub fn has_header(&self, names: &[String]) -> bool {
        !self.header_has.is_empty() && self.header_has.iter().all(|name| names.contains(name))
    }

    /// Whether a name of a file is that of a column of the key.
    pub fn is_key_name(&self, raw_name: &str) -> bool {
        let own_name = spoken_name(raw_name);
        let names = |column: &String| match self.column(column) {
            Some(declared) => {
                declared.from.contains(&own_name)
                    || declared.written_as.as_deref() == Some(raw_name.trim())
            }
            None => *column == declared_name(raw_name),
        };
        self.key.names().iter().any(names)
    }

    /// Whether there is no key, so that each distinct row is a record.
    pub fn is_keyless(&self) -> bool {
        self.key.is_row_hash()
    }

    /// Which table a column goes to; `None` for one that is not stored.
    pub fn stored_in(&self, column: &str) -> Option<Owner> {
        let declared = self.column(column);
        match declared.and_then(|column| column.owner).or_else(|| self.shipped.get(column).copied())
        {
            None if declared.is_none() && self.new_columns == NewColumns::Ignore => None,
            _ if self.lines.is_none() => Some(Owner::Record),
            Some(owner) => Some(owner),
            None if self.new_columns == NewColumns::Record => Some(Owner::Record),
            None => Some(Owner::Line),
        }
    }

    /// Which table a column would go to.
    pub fn owner(&self, column: &str) -> Owner {
        self.stored_in(column).unwrap_or_default()
    }

    /// Name of the table a column of this owner goes to.
    pub fn table_of(&self, owner: Owner) -> &str {
        match (owner, &self.lines) {
            (Owner::Line, Some(lines)) => &lines.table,
            _ => &self.table,
        }
    }

    /// What happens to a value that does not fit the declared type of a column.
    pub fn on_misfit(&self) -> OnTypeChange {
        match self.on_type_change {
            Some(OnTypeChange::Reject) => OnTypeChange::Reject,
            _ => OnTypeChange::Rescue,
        }
    }

    /// What becomes of a value that does not fit a column. What cannot be widened is rescued
    /// instead.
    pub fn on_type_change(&self, column: &ColumnShape) -> OnTypeChange {
        let default = if column.is_declared { OnTypeChange::Rescue } else { OnTypeChange::Widen };
        if column.is_empty && !column.is_pinned {
            // The first values decide the kind, whatever later values are.
            return OnTypeChange::Widen;
        }
        match self.on_type_change.unwrap_or(default) {
            OnTypeChange::Widen if column.is_pinned || !Kind::WIDENABLE.contains(&column.kind) => {
                OnTypeChange::Rescue
            }
            wanted => wanted,
        }
    }
}

impl Template {
    /// What a file of that stem is called in the ledger and, unless somebody has the name, in the
    /// database.
    fn name_of(&self, stem: &str) -> String {
        let name = table_names::of_file(stem);
        let mut free = shortened(&name, "");
        let mut suffix = 2;
        while self.taken.contains(&free) {
            free = shortened(&name, &format!("_{suffix}"));
            suffix += 1;
        }
        free
    }
}

fn column_meant(columns: &BTreeMap<String, Arc<DeclaredColumn>>, name: &str) -> String {
    let (own, in_files) = (declared_name(name), spoken_name(name));
    let is_fed = |column: &&Arc<DeclaredColumn>| column.from.contains(&in_files);
    match columns.values().find(is_fed).filter(|_| !columns.contains_key(&own)) {
        Some(column) => column.name.clone(),
        None => own,
    }
}

fn pattern(dataset: &str, key: &str, text: &str) -> Result<Regex, String> {
    Regex::new(text)
        .map_err(|error| format!("datasets.{dataset}.{key}: `{text}` is not a pattern: {error}"))
}

/// The paths are left out: which files belong to a dataset does not change the rows of one. So is
/// what becomes of records that a file does not mention: that takes effect with the next export.
fn fingerprint(settings: &DatasetSettings, null_tokens: &NullTokens) -> String {
    let rules = DatasetSettings {
        paths: Vec::new(),
        deletes: Deletes::Keep,
        deletes_max_percent: None,
        ..settings.clone()
    };
    let mut tokens: Vec<&String> = null_tokens.iter().collect();
    tokens.sort();
    tokens.dedup();
    let text = serde_json::to_string(&(TRANSFORM_VERSION, rules, tokens))
        .expect("settings are plain strings and lists");
    hex(&Sha256::digest(text.as_bytes()))
}
