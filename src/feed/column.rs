//! Declared column: the checked declaration of one column of a dataset.

use crate::feed::declaration::{ColumnSettings, ColumnType, DatasetSettings, OnViolation, Owner};
use crate::feed::layout::{column_name, declared_name, spoken_name};
use crate::feed::number_form::decimal;
use crate::feed::rules::Rules;
use crate::values::cell::NullTokens;
use crate::values::currency::Currencies;
use crate::values::dates::{Dates, MomentRules};
use crate::values::number::DecimalSign;
use chrono_tz::Tz;
use entity::Kind;
use regex::Regex;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What a dataset says of one column.
#[derive(Clone, Debug)]
pub struct DeclaredColumn {
    /// Its name in the table.
    pub name: String,
    /// Its names in files, in the form of column names; the first one that a file has counts.
    pub from: Vec<String>,
    /// Its own name, letter by letter: a file's column of this name feeds it if the file has none
    /// of `from`. `None` if another column takes its values from there.
    pub written_as: Option<String>,
    /// Its type; `None`: the table decides, or else the files.
    pub column_type: Option<ColumnType>,
    /// Which table it goes to; `None`: where undeclared columns go.
    pub owner: Option<Owner>,
    /// Pattern; where it matches, its first group is the value.
    pub take: Option<Regex>,
    /// From values in files to their meaning.
    pub map: BTreeMap<String, String>,
    /// What stands before its decimals; `None`: as the dataset says. The inner `None`: as files
    /// prove.
    pub decimal: Option<Option<DecimalSign>>,
    /// Its currencies, if it declares more than the dataset.
    pub currencies: Option<Arc<Currencies>>,
    /// How its days and moments are written, if it differs from the dataset.
    pub moments: Option<Arc<MomentRules>>,
    /// Its cells that mean "no value", if they differ from the dataset's.
    pub null_tokens: Option<Arc<NullTokens>>,
    /// Whether its delimiters may stand unquoted.
    pub swallows: bool,
    /// Pattern of its values, for the repair of shifted rows.
    pub form: Option<Regex>,
    /// What its values must be.
    pub rules: Rules,
}

impl DeclaredColumn {
    /// Checks the declarations of a dataset's columns.
    ///
    /// # Errors
    ///
    /// Says which key is wrong, and why.
    pub fn all(
        dataset: &str,
        settings: &DatasetSettings,
    ) -> Result<BTreeMap<String, Arc<Self>>, String> {
        let mut columns: BTreeMap<String, Self> = BTreeMap::new();
        for (name, column) in &settings.columns {
            let declared = Self::new(dataset, name, column, settings)?;
            if let Some(other) = columns.insert(declared.name.clone(), declared) {
                return Err(format!(
                    "datasets.{dataset}.columns.{name}: `{}` is declared twice",
                    other.name
                ));
            }
        }
        let from: HashSet<String> =
            columns.values().flat_map(|column| &column.from).cloned().collect();
        for column in columns.values_mut().filter(|column| !from.contains(&column.name)) {
            column.written_as = Some(column.name.clone());
        }
        Ok(columns.into_iter().map(|(name, column)| (name, Arc::new(column))).collect())
    }

    fn new(
        dataset: &str,
        name: &str,
        column: &ColumnSettings,
        settings: &DatasetSettings,
    ) -> Result<Self, String> {
        let place = format!("datasets.{dataset}.columns.{name}");
        let own_name = declared_name(name);
        if column_name(name).is_empty() {
            return Err(format!("{place}: `{name}` has neither a letter nor a digit"));
        }
        if column.from.iter().any(|name| name.trim().is_empty()) {
            return Err(format!("{place}.from: a name is empty"));
        }
        let pattern = |key: &str, text: &Option<String>| -> Result<Option<Regex>, String> {
            let Some(text) = text else { return Ok(None) };
            Regex::new(text)
                .map(Some)
                .map_err(|error| format!("{place}.{key}: `{text}` is not a pattern: {error}"))
        };
        let take = pattern("take", &column.take)?;
        if take.as_ref().is_some_and(|take| take.captures_len() < 2) {
            return Err(format!(
                "{place}.take: the pattern has no group; put what counts in `(` and `)`"
            ));
        }
        let says_moments = !column.dates.is_empty() || !column.timezone.is_empty();
        let moments = says_moments.then(|| {
            let dates = if column.dates.is_empty() { &settings.dates } else { &column.dates };
            let timezone =
                if column.timezone.is_empty() { &settings.timezone } else { &column.timezone };
            moment_rules(&place, dates, timezone).map(Arc::new)
        });
        let currencies = (!column.currencies.is_empty()).then(|| {
            let mut codes = settings.currencies.clone();
            codes.extend(column.currencies.clone());
            Arc::new(Currencies::new(&codes))
        });
        let from: Vec<String> = match column.from.is_empty() {
            true => vec![spoken_name(name), own_name.clone()],
            false => column.from.iter().map(|name| spoken_name(name)).collect(),
        };
        let decimal_sign = decimal(&place, &column.decimal)?;
        Ok(Self {
            rules: Rules::new(
                &place,
                column,
                moments.as_ref().and_then(|rules| rules.as_ref().ok()),
            )?,
            name: own_name,
            from,
            written_as: None,
            column_type: column.of_type,
            owner: column.of,
            take,
            map: column.map.clone(),
            decimal: (!column.decimal.is_empty()).then_some(decimal_sign),
            currencies,
            moments: moments.transpose()?,
            null_tokens: column.null_tokens.clone().map(|tokens| Arc::new(NullTokens::new(tokens))),
            swallows: column.swallows,
            form: pattern("form", &column.form)?,
        })
    }

    /// Whether a file's column of this name feeds it, if the file has these names (in the form of
    /// column names).
    pub fn takes_from(&self, raw_name: &str, own_name: &str, has: impl Fn(&str) -> bool) -> bool {
        match self.from.iter().find(|from| *from == own_name || has(from)) {
            Some(from) => from == own_name,
            // A file that was written after the table has the table's names.
            None => self.written_as.as_deref() == Some(raw_name.trim()),
        }
    }

    /// The kind of the table's column, if it is declared.
    pub fn kind(&self) -> Option<Kind> {
        self.column_type.map(ColumnType::kind)
    }

    /// Whether a broken rule only warns.
    pub fn only_warns(&self) -> bool {
        self.rules.on_violation == OnViolation::Warn
    }

    /// Whether the meaning of a value may differ from its text.
    pub fn rewrites(&self) -> bool {
        self.take.is_some() || !self.map.is_empty()
    }

    /// The meaning of a value: the part that is taken, after `map`.
    pub fn meaning<'c>(&'c self, value: &'c str) -> &'c str {
        let taken = self.take.as_ref().and_then(|take| take.captures(value)?.get(1));
        let value = taken.map_or(value, |group| group.as_str());
        self.map.get(value.trim()).map_or(value, String::as_str)
    }
}

/// How days and moments are written, by the words of the configuration.
///
/// # Errors
///
/// Says which of them is wrong, and what is allowed.
pub fn moment_rules(place: &str, dates: &[String], timezone: &str) -> Result<MomentRules, String> {
    let dates = Dates::of(dates)
        .map_err(|reason| format!("{place}.dates: {reason}"))?
        .unwrap_or(Dates::Iso);
    let zone = match timezone {
        "" => Tz::UTC,
        name => name.parse().map_err(|_| {
            let all: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
            let nearest = crate::feed::words::nearest(name, &all);
            let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
            format!("{place}.timezone: `{name}` is not a zone of the IANA database, such as `Africa/Lagos`{hint}")
        })?,
    };
    Ok(MomentRules { dates, zone })
}
