//! Rules: what the values of a declared column must be.

use crate::feed::column::DeclaredColumn;
use crate::feed::dataset::Dataset;
use crate::feed::declaration::{ColumnSettings, ColumnType, OnViolation};
use crate::values::dates::MomentRules;
use crate::values::number::{Decimals, NumberRules, parse_decimal};
use regex::Regex;
use serde::Serialize;
use std::sync::Arc;

/// One rule of a column, by its key in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// There is a value.
    Required,
    /// It is one of several.
    OneOf,
    /// It matches a pattern.
    Pattern,
    /// It is at least this.
    Min,
    /// It is at most this.
    Max,
    /// No two records of a market have the same.
    Unique,
    /// Another table has it.
    References,
}

impl Rule {
    /// The rule's key in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::OneOf => "one_of",
            Self::Pattern => "pattern",
            Self::Min => "min",
            Self::Max => "max",
            Self::Unique => "unique",
            Self::References => "references",
        }
    }
}

/// How often a rule is broken, and where first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenRule {
    /// The column.
    pub column: String,
    /// The rule.
    pub rule: Rule,
    /// What becomes of a row that breaks it.
    pub on_violation: OnViolation,
    /// Records, or lines if the column belongs to lines, that break it.
    pub violations: u64,
    /// The first of them.
    pub first: Vec<FirstRow>,
}

/// A value at fault, and its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstRow {
    /// 1 is the first row after the header; `None` for a stored value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The value; `None` if there is none.
    pub value: Option<String>,
}

impl FirstRow {
    /// `` row 3: `x` ``
    pub fn text(&self) -> String {
        let value =
            self.value.as_ref().map_or_else(|| "no value".to_owned(), |value| format!("`{value}`"));
        self.row.map_or_else(|| value.clone(), |row| format!("row {row}: {value}"))
    }
}

/// What the values of a column must be.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// There is one.
    pub required: bool,
    /// It is among these.
    pub one_of: Vec<String>,
    /// It matches.
    pub pattern: Option<Regex>,
    /// It is at least this.
    pub min: Option<Bound>,
    /// It is at most this.
    pub max: Option<Bound>,
    /// No two records of a market have the same.
    pub unique: bool,
    /// Table and column of the same market in which it stands.
    pub references: Option<(String, String)>,
    /// What becomes of a row that breaks one.
    pub on_violation: OnViolation,
}

/// The least or greatest value of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// As the configuration writes it.
    pub text: String,
    /// Its value for the column.
    pub value: BoundValue,
}

impl Bound {
    fn is_above(&self, other: &Self) -> bool {
        match (self.value, other.value) {
            (BoundValue::Number(own), BoundValue::Number(other)) => own > other,
            (BoundValue::Moment(own), BoundValue::Moment(other)) => own > other,
            _ => false,
        }
    }
}

/// What a bound is compared as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoundValue {
    /// A number, in ten-thousandths.
    Number(i128),
    /// A moment, in milliseconds since 1970.
    Moment(i64),
}

impl Rules {
    /// Checks the rules of one column.
    ///
    /// # Errors
    ///
    /// Says which rule is wrong, and why.
    pub fn new(
        place: &str,
        column: &ColumnSettings,
        moments: Option<&Arc<MomentRules>>,
    ) -> Result<Self, String> {
        let pattern =
            match &column.pattern {
                None => None,
                Some(text) => Some(Regex::new(text).map_err(|error| {
                    format!("{place}.pattern: `{text}` is not a pattern: {error}")
                })?),
            };
        let bound = |key: &str, text: &Option<String>| -> Result<Option<Bound>, String> {
            let Some(text) = text else { return Ok(None) };
            let value = bound_value(text, column.of_type, moments.map(|rules| &**rules)).ok_or_else(|| {
                format!("{place}.{key}: `{text}` is neither a number nor a day such as 2022-02-17 of the column's type")
            })?;
            Ok(Some(Bound { text: text.clone(), value }))
        };
        let (min, max) = (bound("min", &column.min)?, bound("max", &column.max)?);
        if let (Some(min), Some(max)) = (&min, &max)
            && min.is_above(max)
        {
            return Err(format!(
                "{place}: no value is at least `min`, {}, and at most `max`, {}",
                min.text, max.text
            ));
        }
        let references = match &column.references {
            None => None,
            Some(text) => Some(
                text.split_once('.')
                    .map(|(table, column)| (table.to_owned(), column.to_owned()))
                    .ok_or_else(|| format!("{place}.references: `{text}` is not `table.column`"))?,
            ),
        };
        Ok(Self {
            required: column.required,
            one_of: column.one_of.clone(),
            pattern,
            min,
            max,
            unique: column.unique,
            references,
            on_violation: column.on_violation,
        })
    }

    /// The rules of the column.
    pub fn declared(&self) -> impl Iterator<Item = Rule> {
        [
            (Rule::Required, self.required),
            (Rule::OneOf, !self.one_of.is_empty()),
            (Rule::Pattern, self.pattern.is_some()),
            (Rule::Min, self.min.is_some()),
            (Rule::Max, self.max.is_some()),
            (Rule::Unique, self.unique),
            (Rule::References, self.references.is_some()),
        ]
        .into_iter()
        .filter_map(|(rule, is_declared)| is_declared.then_some(rule))
    }

    /// What becomes of a row that breaks a rule. What depends on other files only warns.
    pub fn on_violation_of(&self, rule: Rule) -> OnViolation {
        if rule == Rule::References { OnViolation::Warn } else { self.on_violation }
    }

    /// Whether a file's own rows can break a rule that does more than warn.
    pub fn may_refuse(&self) -> bool {
        (self.any() || self.unique) && self.on_violation != OnViolation::Warn
    }

    /// Whether there is any rule that a value or its absence can break by itself.
    pub fn any(&self) -> bool {
        self.required
            || !self.one_of.is_empty()
            || self.pattern.is_some()
            || self.min.is_some()
            || self.max.is_some()
    }
}

impl Dataset {
    /// Declared columns with rules.
    pub fn ruled_columns(&self) -> impl Iterator<Item = &Arc<DeclaredColumn>> {
        self.columns().filter(|column| column.rules.declared().next().is_some())
    }

    /// Whether any column has a rule.
    pub fn has_rules(&self) -> bool {
        self.ruled_columns().next().is_some()
    }

    /// Whether a rule may reject rows of a file, or refuse the file.
    pub fn has_refusing_rules(&self) -> bool {
        self.columns().any(|column| column.rules.may_refuse())
    }

    /// Whether a value that several records of the file have may reject rows, or refuse the file.
    pub fn has_refusing_unique(&self) -> bool {
        self.columns().any(|column| column.rules.unique && column.rules.may_refuse())
    }
}

fn bound_value(
    text: &str,
    of_type: Option<ColumnType>,
    moments: Option<&MomentRules>,
) -> Option<BoundValue> {
    let number = || {
        let rules = NumberRules { decimals: Decimals::Point, ..NumberRules::default() };
        parse_decimal(text, &rules).map(BoundValue::Number)
    };
    let moment = || {
        let iso = MomentRules {
            dates: crate::values::dates::Dates::Iso,
            ..moments.cloned().unwrap_or_default()
        };
        iso.moment(text).map(BoundValue::Moment)
    };
    match of_type {
        Some(ColumnType::Timestamp | ColumnType::Date) => moment(),
        Some(
            ColumnType::Integer | ColumnType::Decimal | ColumnType::Money | ColumnType::Double,
        ) => number(),
        _ => number().or_else(moment),
    }
}
