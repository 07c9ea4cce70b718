//! Rules: checks the cleaned values of a chunk against the rules of the dataset's columns.
//!
//! A rule of a record's column applies to the merged record, a rule of a line's column to each
//! line. If a record breaks a rule that does more than warn, all of its rows become rejects.

use crate::chunk::{Chunk, Reject};
use crate::feed::column::DeclaredColumn;
use crate::feed::correction::OF_SAME_RECORD;
use crate::feed::dataset::{Dataset, FeedKind, Owner, RepeatedKeys};
use crate::feed::declaration::OnViolation;
use crate::feed::layout::{Layout, LayoutColumn, Role, column_name};
use crate::feed::record_key::split;
use crate::feed::rules::{Bound, BoundValue, Rule};
use crate::transform::clean::Cleaned;
use crate::transform::faults::{Faults, excerpt};
use crate::values::canonical::Values;
use crate::values::dates::{Dates, MomentRules};
use crate::values::moment::DAY_MS;
use crate::values::number::{DECIMAL_SCALE, Decimals, NumberRules, parse_decimal};
use arrow_array::{Array, ArrayRef, StringArray};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Maximum number of the values of `one_of` that a reason lists.
const ALLOWED_SHOWN_MAX: usize = 8;

/// Values of unique columns that several records of a file have, each with the first record that
/// has it.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    /// By column.
    pub by_column: BTreeMap<String, HashMap<String, FirstRecord>>,
}

/// The first record with a value.
#[derive(Clone, Debug)]
pub struct FirstRecord {
    /// Its key.
    pub key: String,
    /// The row that has the value.
    pub row: u64,
}

/// What the rules say of a chunk.
#[derive(Debug, Default)]
pub struct Asked {
    /// What is broken.
    pub faults: Faults,
    /// The verdict on each record.
    pub verdicts: Vec<Verdict>,
}

/// The verdict on a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It breaks no rule.
    #[default]
    Accepted,
    /// It breaks rules that only warn.
    Warned,
    /// It breaks a rule that does more than warn, in this row.
    Rejected {
        /// Row of the chunk.
        row: usize,
        /// The column with the value.
        column: String,
        /// Which rule and value.
        reason: String,
    },
}

/// A chunk with its values.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The chunk.
    pub chunk: &'a Chunk,
    /// Its values.
    pub cleaned: &'a Cleaned,
    /// Its columns.
    pub layout: &'a Layout,
    /// The declarations of its columns.
    pub dataset: &'a Dataset,
}

/// Checks every rule that a file can break by its own rows.
pub fn ask(source: Source<'_>, repeats: &Repeats) -> Asked {
    let records = source.chunk.records.len();
    let mut asked = Asked { verdicts: vec![Verdict::Accepted; records], ..Asked::default() };
    if !source.dataset.has_rules() {
        return asked;
    }
    // Rules that only warn count stored rows, so the rejected rows must be known first.
    for only_warns in [false, true] {
        for (index, column) in source.layout.all().enumerate() {
            let is_asked = |column: &&Arc<DeclaredColumn>| {
                (column.rules.any() || column.rules.unique) && column.only_warns() == only_warns
            };
            let Some(declared) = column.declared.as_ref().filter(is_asked) else { continue };
            let Some(values) = source.values(index, column) else { continue };
            let asking =
                Asking { source, column, index, declared, values: Values::of(&values), repeats };
            asking.ask_all(&mut asked);
        }
        source.ask_lacking(&mut asked, only_warns);
    }
    let own_rows = |rows: &Range<usize>| {
        rows.clone().filter(|&row| !source.chunk.is_joined(row)).count() as u64
    };
    let rejected = asked.verdicts.iter().zip(&source.chunk.records);
    let rejected = rejected.filter(|(verdict, _)| matches!(verdict, Verdict::Rejected { .. }));
    asked.faults.rows_rejected = rejected.map(|(_, rows)| own_rows(rows)).sum();
    asked
}

/// Calls `found` with the values of each unique column: column, record, row of the chunk and value.
pub fn unique_values(source: Source<'_>, mut found: impl FnMut(&str, usize, usize, &str)) {
    for (index, column) in source.layout.all().enumerate() {
        if !column
            .declared
            .as_ref()
            .is_some_and(|declared| declared.rules.unique && declared.rules.may_refuse())
        {
            continue;
        }
        let Some(values) = source.values(index, column) else { continue };
        let values = Values::of(&values);
        for (record, row) in source.places(column, values).filter(|&(_, row)| !values.is_null(row))
        {
            found(&column.name, record, row, &text_of(values, row));
        }
    }
}

/// The rejects of all rejected records, and for each record whether it is one of these.
pub fn rejects(chunk: &Chunk, verdicts: &[Verdict]) -> (Vec<Reject>, Vec<bool>) {
    let mut rejects = Vec::new();
    for ((verdict, rows), key) in verdicts.iter().zip(&chunk.records).zip(&chunk.keys) {
        let Verdict::Rejected { row: at_fault, column, reason } = verdict else { continue };
        for row in rows.clone().filter(|&row| !chunk.is_joined(row)) {
            let is_at_fault = row == *at_fault;
            let whole = || format!("row {} {OF_SAME_RECORD}", chunk.numbers[*at_fault]);
            rejects.push(Reject {
                row_number: chunk.numbers[row],
                corrects_row: None,
                record_key: Some(key.clone()),
                column: is_at_fault.then(|| column.clone()),
                reason: if is_at_fault { reason.clone() } else { whole() },
                raw: chunk.raw(row),
            });
        }
    }
    let is_rejected =
        verdicts.iter().map(|verdict| matches!(verdict, Verdict::Rejected { .. })).collect();
    (rejects, is_rejected)
}

impl Source<'_> {
    /// The values of a column of a table: its cells, or its part of the keys.
    fn values(&self, index: usize, column: &LayoutColumn) -> Option<ArrayRef> {
        match column.role {
            Role::Column(_) => self.cleaned.columns[index].clone(),
            Role::Key(part) => {
                let parts = self.dataset.key.names().len();
                let of_record = |key: &String| {
                    split(key, parts).into_iter().nth(part).map(std::borrow::Cow::into_owned)
                };
                let with_rows = self.chunk.keys.iter().zip(&self.chunk.records);
                let keys = with_rows
                    .flat_map(|(key, rows)| std::iter::repeat_n(of_record(key), rows.len()));
                Some(Arc::new(keys.collect::<StringArray>()))
            }
            Role::Padding | Role::Note | Role::Ignored => None,
        }
    }

    /// Where a column's rules are checked: once for each record, in the row that has its value, or
    /// for each line.
    fn places<'s>(
        &'s self,
        column: &'s LayoutColumn,
        values: Values<'s>,
    ) -> impl Iterator<Item = (usize, usize)> + 's {
        let is_of_lines = self.dataset.lines.is_some() && column.role == Role::Column(Owner::Line);
        self.chunk.records.iter().enumerate().flat_map(move |(record, rows)| {
            let rows = match is_of_lines {
                true if self.has_no_line(rows) => 0..0,
                true => rows.clone(),
                false => {
                    let row = self.row_of_record(rows, values);
                    row..row + 1
                }
            };
            rows.map(move |row| (record, row))
        })
    }

    /// The row that decides a record's value in a column: the last one with a value, else the first
    /// one.
    fn row_of_record(&self, rows: &Range<usize>, values: Values<'_>) -> usize {
        if self.dataset.lines.is_some() {
            return rows.clone().rev().find(|&row| !values.is_null(row)).unwrap_or(rows.start);
        }
        match self.dataset.repeated_keys {
            RepeatedKeys::First => rows.start,
            RepeatedKeys::Last | RepeatedKeys::Quarantine => rows.end - 1,
        }
    }

    /// Whether a record has no lines.
    fn has_no_line(&self, rows: &Range<usize>) -> bool {
        if rows.len() > 1 {
            return false;
        }
        if self.dataset.json.lines.is_some() && self.layout.is_correction() {
            let of_lines = self.layout.all().zip(&self.cleaned.columns);
            let mut of_lines =
                of_lines.filter(|(column, _)| column.role == Role::Column(Owner::Line));
            return of_lines.all(|(_, values)| {
                values.as_ref().is_none_or(|values| values.is_null(rows.start))
            });
        }
        self.chunk.without_line.binary_search(&rows.start).is_ok()
    }

    /// Whether an absent column means that there is no value. In a delta or a corrected copy it
    /// does not: stored values stay.
    fn absent_is_none(&self) -> bool {
        self.dataset.kind == FeedKind::Full && !self.layout.is_correction()
    }

    /// Counts required columns that the file does not have at all.
    fn ask_lacking(&self, asked: &mut Asked, only_warns: bool) {
        if !self.absent_is_none() {
            return;
        }
        let is_lacking = |declared: &&Arc<DeclaredColumn>| {
            declared.rules.required
                && declared.only_warns() == only_warns
                && !self.layout.all().any(|column| column.name == declared.name)
        };
        for declared in self.dataset.columns().filter(is_lacking) {
            let reason = || {
                format!(
                    "the file has no column `{}`, which is required{}",
                    declared.name,
                    self.what_to_do(&declared.name)
                )
            };
            let is_of_lines = self.would_be_of_lines(declared);
            for (record, rows) in self.chunk.records.iter().enumerate() {
                // Where no object has a line, none has a member of one.
                if is_of_lines && self.has_no_line(rows) {
                    continue;
                }
                asked.break_rule(
                    self.chunk,
                    declared,
                    Rule::Required,
                    (record, rows.start),
                    None,
                    reason,
                );
            }
        }
    }

    /// Whether a column that the file lacks would go to the lines.
    fn would_be_of_lines(&self, declared: &DeclaredColumn) -> bool {
        match (&self.dataset.json.lines, declared.owner) {
            (None, _) | (_, Some(_)) => self.dataset.owner(&declared.name) == Owner::Line,
            (Some(lines), None) => {
                let above = format!("{}_", column_name(lines));
                declared.from.iter().any(|from| from.starts_with(&above))
            }
        }
    }

    fn what_to_do(&self, column: &str) -> String {
        format!(": correct it, or the rules of [datasets.{}.columns] {column}", self.dataset.name)
    }
}

impl Asked {
    /// Counts a broken rule, and rejects its record unless that only warns.
    fn break_rule(
        &mut self,
        chunk: &Chunk,
        declared: &DeclaredColumn,
        rule: Rule,
        (record, row): (usize, usize),
        value: Option<&str>,
        reason: impl FnOnce() -> String,
    ) {
        let warns = declared.rules.on_violation_of(rule) == OnViolation::Warn;
        if warns && matches!(self.verdicts[record], Verdict::Rejected { .. }) {
            return;
        }
        // Rows of another file do not count here.
        let row = match chunk.is_joined(row) {
            true => chunk.records[record].clone().find(|&row| !chunk.is_joined(row)).unwrap_or(row),
            false => row,
        };
        self.faults
            .rules
            .entry((declared.name.clone(), rule))
            .or_default()
            .add(chunk.numbers[row], value);
        let verdict = &mut self.verdicts[record];
        match verdict {
            Verdict::Rejected { .. } => {}
            // A file that a rule refuses is not written. In a corrected copy, such a row is a
            // reject.
            _ if !warns => {
                *verdict =
                    Verdict::Rejected { row, column: declared.name.clone(), reason: reason() };
            }
            _ => *verdict = Verdict::Warned,
        }
    }
}

/// The rules of one column.
struct Asking<'a> {
    source: Source<'a>,
    column: &'a LayoutColumn,
    index: usize,
    declared: &'a DeclaredColumn,
    values: Values<'a>,
    repeats: &'a Repeats,
}

impl Asking<'_> {
    fn ask_all(&self, asked: &mut Asked) {
        for place in self.source.places(self.column, self.values) {
            match self.values.is_null(place.1) {
                true => self.ask_required(asked, place),
                false => self.ask_value(asked, place),
            }
        }
    }

    fn ask_required(&self, asked: &mut Asked, (record, row): (usize, usize)) {
        let rows = &self.source.chunk.records[record];
        if !self.declared.rules.required || self.is_unsaid(rows, row) {
            return;
        }
        let raw = self.rescued(rows, row);
        let reason = || {
            let name = &self.declared.name;
            let what_to_do = self.source.what_to_do(name);
            match raw {
                Some(raw) => format!(
                    "`{}` does not fit `{name}`, which is required{what_to_do}",
                    excerpt(raw)
                ),
                None => format!("there is no value in `{name}`, which is required{what_to_do}"),
            }
        };
        asked.break_rule(
            self.source.chunk,
            self.declared,
            Rule::Required,
            (record, row),
            raw,
            reason,
        );
    }

    /// Whether the file does not mention the column here, so that the stored value stays.
    fn is_unsaid(&self, rows: &Range<usize>, row: usize) -> bool {
        let Source { chunk, layout, dataset, .. } = self.source;
        let is_absent = |row: usize| layout.is_absent(chunk, row, self.index, &dataset.json);
        let rows = match self.column.role == Role::Column(Owner::Line) || dataset.lines.is_none() {
            true => row..row + 1,
            false => rows.clone(),
        };
        !self.source.absent_is_none() && rows.into_iter().all(is_absent)
    }

    /// The text of a record, or of a line, that does not fit the column.
    fn rescued(&self, rows: &Range<usize>, row: usize) -> Option<&str> {
        let rows =
            if self.column.role == Role::Column(Owner::Line) { row..row + 1 } else { rows.clone() };
        let rescued = &self.source.cleaned.rescued;
        let start = rescued.partition_point(|cell| cell.row < rows.start);
        let of_rows = rescued[start..].iter().take_while(|cell| cell.row < rows.end);
        of_rows.filter(|cell| cell.column == self.index).last().map(|cell| cell.raw.as_str())
    }

    fn ask_value(&self, asked: &mut Asked, (record, row): (usize, usize)) {
        let rules = &self.declared.rules;
        let text = text_of(self.values, row);
        let mut broken: Vec<(Rule, String)> = Vec::new();
        if !rules.one_of.is_empty()
            && !rules.one_of.iter().any(|allowed| self.is_same(allowed, &text, row))
        {
            broken.push((Rule::OneOf, format!("is not one_of {}", allowed(&rules.one_of))));
        }
        if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(&text)) {
            broken.push((Rule::Pattern, format!("does not match the pattern `{pattern}`")));
        }
        for (rule, bound, beyond) in
            [(Rule::Min, &rules.min, Ordering::Less), (Rule::Max, &rules.max, Ordering::Greater)]
        {
            let Some(bound) = bound else { continue };
            match self.compared(bound, row) {
                Some(order) if order == beyond => {
                    broken.push((
                        rule,
                        format!("is {} than {} = {}", than(beyond), rule.name(), bound.text),
                    ));
                }
                None => broken.push((
                    rule,
                    format!("cannot be compared with {} = {}", rule.name(), bound.text),
                )),
                Some(_) => {}
            }
        }
        if let Some(first) = self.first_with(&text, record) {
            let place = format!(
                "stands in record `{}`, row {}, already, and is to be unique",
                first.key, first.row
            );
            broken.push((Rule::Unique, place));
        }
        for (rule, what) in broken {
            let what_to_do = self.source.what_to_do(&self.declared.name);
            let reason = || format!("`{}` {what}{what_to_do}", excerpt(&text));
            asked.break_rule(
                self.source.chunk,
                self.declared,
                rule,
                (record, row),
                Some(&text),
                reason,
            );
        }
    }

    /// The earlier record of the file that has the same value.
    fn first_with(&self, text: &str, record: usize) -> Option<&FirstRecord> {
        let first = self.repeats.by_column.get(&self.declared.name)?.get(text)?;
        (first.key != self.source.chunk.keys[record]).then_some(first)
    }

    /// Whether a value is this one, however a number is spelled.
    fn is_same(&self, allowed: &str, text: &str, row: usize) -> bool {
        let is_number =
            matches!(self.values, Values::Integer(_) | Values::Decimal(_) | Values::Double(_));
        let units = || parse_decimal(allowed, &plain_numbers());
        allowed == text
            || (is_number && units().is_some_and(|units| self.number(row) == Some(units)))
    }

    /// Compares a value with a bound; `None` if it is of another kind.
    fn compared(&self, bound: &Bound, row: usize) -> Option<Ordering> {
        match (bound.value, self.values) {
            (BoundValue::Number(bound), Values::Double(values)) => {
                (values.value(row) * units_of_one()).partial_cmp(&(bound as f64))
            }
            (BoundValue::Number(bound), _) => Some(self.number(row)?.cmp(&bound)),
            (BoundValue::Moment(bound), Values::Moment(values)) => {
                Some(values.value(row).cmp(&bound))
            }
            (BoundValue::Moment(bound), Values::Day(values)) => {
                Some((i64::from(values.value(row)) * DAY_MS).cmp(&bound))
            }
            (BoundValue::Moment(bound), Values::Text(values)) => {
                let iso = MomentRules { dates: Dates::Iso, ..(*self.column.moments).clone() };
                Some(iso.moment(values.value(row))?.cmp(&bound))
            }
            (BoundValue::Moment(_), _) => None,
        }
    }

    /// A value in ten-thousandths.
    fn number(&self, row: usize) -> Option<i128> {
        match self.values {
            Values::Integer(values) => {
                Some(i128::from(values.value(row)) * 10_i128.pow(DECIMAL_SCALE))
            }
            Values::Decimal(values) => Some(values.value(row)),
            Values::Double(values) => Some((values.value(row) * units_of_one()).round() as i128),
            Values::Text(values) => parse_decimal(values.value(row), &plain_numbers()),
            Values::Moment(_) | Values::Day(_) => None,
        }
    }
}

fn units_of_one() -> f64 {
    10_f64.powi(DECIMAL_SCALE as i32)
}

/// How numbers are written in the configuration.
fn plain_numbers() -> NumberRules {
    NumberRules { decimals: Decimals::Point, ..NumberRules::default() }
}

fn text_of(values: Values<'_>, row: usize) -> String {
    let mut text = Vec::new();
    values.push(&mut text, row);
    String::from_utf8(text).expect("values are written as text")
}

const fn than(order: Ordering) -> &'static str {
    match order {
        Ordering::Less => "less",
        _ => "greater",
    }
}

fn allowed(values: &[String]) -> String {
    let shown = values.iter().take(ALLOWED_SHOWN_MAX).map(|value| format!("`{value}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    if values.len() > ALLOWED_SHOWN_MAX { format!("{shown}, …") } else { shown }
}
