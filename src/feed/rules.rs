//! Rules: what the values of a declared column must be.

use crate::feed::declaration::{ColumnSettings, ColumnType, OnViolation};
use crate::values::dates::MomentRules;
use crate::values::number::{Decimals, NumberRules, parse_decimal};
use regex::Regex;

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
    /// What it is to the column.
    pub value: BoundValue,
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
        moments: Option<&std::sync::Arc<MomentRules>>,
    ) -> Result<Self, String> {
        let pattern = match &column.pattern {
            None => None,
            Some(text) => {
                Some(Regex::new(text).map_err(|error| format!("{place}.pattern: `{text}` is not a pattern: {error}"))?)
            }
        };
        let bound = |key: &str, text: &Option<String>| -> Result<Option<Bound>, String> {
            let Some(text) = text else { return Ok(None) };
            let value = bound_value(text, column.of_type, moments.map(|rules| &**rules)).ok_or_else(|| {
                format!("{place}.{key}: `{text}` is neither a number nor a day such as 2022-02-17 of the column's type")
            })?;
            Ok(Some(Bound { text: text.clone(), value }))
        };
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
            min: bound("min", &column.min)?,
            max: bound("max", &column.max)?,
            unique: column.unique,
            references,
            on_violation: column.on_violation,
        })
    }

    /// Whether there is any rule that a value or its absence can break by itself.
    pub fn any(&self) -> bool {
        self.required || !self.one_of.is_empty() || self.pattern.is_some() || self.min.is_some() || self.max.is_some()
    }
}

fn bound_value(text: &str, of_type: Option<ColumnType>, moments: Option<&MomentRules>) -> Option<BoundValue> {
    let number = || {
        let rules = NumberRules { decimals: Decimals::Point, ..NumberRules::default() };
        parse_decimal(text, &rules).map(BoundValue::Number)
    };
    let moment = || {
        let iso = MomentRules { dates: crate::values::dates::Dates::Iso, ..moments.cloned().unwrap_or_default() };
        iso.moment(text).map(BoundValue::Moment)
    };
    match of_type {
        Some(ColumnType::Timestamp | ColumnType::Date) => moment(),
        Some(ColumnType::Integer | ColumnType::Decimal | ColumnType::Money | ColumnType::Double) => number(),
        _ => number().or_else(moment),
    }
}
