//! Faults: counts values of accepted rows that break a rule or do not fit their column, and keeps
//! the first ones.

use crate::chunk::Chunk;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::rules::{BrokenRule, FirstRow, Rule};
use crate::transform::clean::Cleaned;
use std::collections::BTreeMap;

/// Number of rows that are kept of each fault: enough to see whether all look alike.
pub const FIRST_ROWS_MAX: usize = 3;

/// Characters of a value that a reason, an alarm or a plan shows.
const VALUE_CHARS_MAX: usize = 100;

/// Faults of a chunk, or of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Broken rules, by column and rule.
    pub rules: BTreeMap<(String, Rule), Counted>,
    /// Values that do not fit their column, by column.
    pub rescued: BTreeMap<String, Counted>,
    /// Rows that rules reject, with the other rows of their records.
    pub rows_rejected: u64,
}

/// How often there is a fault, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often.
    pub number: u64,
    /// The first ones.
    pub first: Vec<FirstRow>,
}

impl Counted {
    /// Counts one more.
    pub fn add(&mut self, row: u64, value: Option<&str>) {
        self.number += 1;
        if self.first.len() < FIRST_ROWS_MAX {
            self.first.push(FirstRow { row: Some(row), value: value.map(excerpt) });
        }
    }

    fn extend(&mut self, other: Self) {
        self.number += other.number;
        let free = FIRST_ROWS_MAX - self.first.len();
        self.first.extend(other.first.into_iter().take(free));
    }
}

impl std::ops::AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        other
            .rules
            .into_iter()
            .for_each(|(rule, counted)| self.rules.entry(rule).or_default().extend(counted));
        other
            .rescued
            .into_iter()
            .for_each(|(column, counted)| self.rescued.entry(column).or_default().extend(counted));
        self.rows_rejected += other.rows_rejected;
    }
}

impl Faults {
    /// Counts the values of the file's rows that do not fit their column, where the row is stored.
    pub fn count_rescued(
        &mut self,
        chunk: &Chunk,
        cleaned: &Cleaned,
        layout: &Layout,
        is_stored: impl Fn(usize) -> bool,
    ) {
        let counts = |row: usize| !chunk.is_joined(row) && is_stored(row);
        for cell in cleaned.rescued.iter().filter(|cell| counts(cell.row)) {
            let name = &layout.at(cell.column).name;
            if !self.rescued.contains_key(name) {
                self.rescued.insert(name.clone(), Counted::default());
            }
            if let Some(counted) = self.rescued.get_mut(name) {
                counted.add(chunk.numbers[cell.row], Some(&cell.raw));
            }
        }
    }

    /// Every rule that rows can break by themselves, with how often it is broken.
    pub fn by_rule(&self, dataset: &Dataset) -> Vec<BrokenRule> {
        let of_column = dataset.ruled_columns().flat_map(|column| {
            let rules = column.rules.declared().filter(|rule| *rule != Rule::References);
            rules.map(move |rule| {
                let counted =
                    self.rules.get(&(column.name.clone(), rule)).cloned().unwrap_or_default();
                BrokenRule {
                    column: column.name.clone(),
                    rule,
                    on_violation: column.rules.on_violation_of(rule),
                    violations: counted.number,
                    first: counted.first,
                }
            })
        });
        of_column.collect()
    }
}

/// The beginning of a value, as it is shown.
pub fn excerpt(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
