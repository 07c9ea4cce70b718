//! Facts: what the cells of a file's columns have in common, as far as a declaration may say it.

use crate::feed::describe::dates::DateFacts;
use crate::feed::describe::key::KeyFacts;
use crate::feed::layout::spoken_name;
use crate::values::cell::NullTokens;
use crate::values::identifier::{is_spreadsheet_notation, visible, without_excel};
use crate::values::number::{Decimals, NumberRules, Spelling, parse_decimal};
use entity::IDENTIFIER_CHARS_MAX;
use std::collections::HashMap;

/// Examples of each column: two show whether values differ.
const EXAMPLES_MAX: usize = 2;

/// Longest value that is kept as an example; the rest of a longer one is cut off.
const EXAMPLE_CHARS_MAX: usize = 40;

/// Words that mean yes or no and nothing else. `1` and `0` may be numbers.
const TRUTHS: [&str; 4] = ["true", "false", "yes", "no"];

/// One cell of a row.
#[derive(Clone, Copy, Debug)]
pub struct CellFact<'c> {
    /// Its column, one of [`FileFacts::columns`].
    pub column: usize,
    /// Its text.
    pub text: &'c str,
    /// Whether it is a number of JSON, which is clear.
    pub is_json_number: bool,
}

/// What the rows of a file, or of several that are alike, show.
#[derive(Debug)]
pub struct FileFacts {
    /// Its columns, in the file's order.
    pub columns: Vec<ColumnFacts>,
    /// Rows that were taken into account.
    pub rows: u64,
    /// What may identify a record.
    pub key: KeyFacts,
    by_name: HashMap<String, usize>,
}

/// What the cells of one column show.
#[derive(Debug)]
pub struct ColumnFacts {
    /// Name in the file; of members of JSON objects their path.
    pub raw_name: String,
    /// Cells that mean "no value".
    pub empty: u64,
    /// Cells with a value.
    pub values: u64,
    /// The first values that differ.
    pub examples: Vec<String>,
    /// The longest of them, in characters.
    pub chars_max: usize,
    /// What days and moments they may be.
    pub dates: DateFacts,
    /// The first number that `,` or `.` make two of.
    pub open_number: Option<OpenNumber>,
    /// Whether a number is written with decimals, be they zeros.
    pub has_decimals: bool,
    /// Whether all are numbers, one way or the other.
    is_numeric: bool,
    /// Whether all are words for yes or no.
    is_truth: bool,
    /// Whether all are digits, with a plus or a zero before some.
    is_code: bool,
    has_code: bool,
    /// Whether an identifier's column takes all of them.
    fits_identifier: bool,
    /// Whether it takes all of them as they are.
    keeps_identifier: bool,
}

/// A number that may be two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenNumber {
    /// As it is written.
    pub text: String,
    /// What it is with a point before decimals, and with a comma.
    pub readings: [String; 2],
}

impl FileFacts {
    /// Of a file with these columns; more may come.
    pub fn new(raw_names: &[String]) -> Self {
        let mut facts = Self {
            columns: Vec::new(),
            rows: 0,
            key: KeyFacts::default(),
            by_name: HashMap::new(),
        };
        for raw_name in raw_names {
            facts.push(raw_name);
        }
        facts
    }

    /// The column of that name, which is a new one where no row before had it.
    pub fn column(&mut self, raw_name: &str) -> usize {
        self.by_name.get(raw_name).copied().unwrap_or_else(|| self.push(raw_name))
    }

    fn push(&mut self, raw_name: &str) -> usize {
        let index = self.columns.len();
        self.columns.push(ColumnFacts::new(raw_name));
        self.by_name.entry(raw_name.to_owned()).or_insert(index);
        self.key.add_column(index, raw_name);
        index
    }

    /// Takes a row into account that is a record, or a line of one.
    pub fn observe_row(
        &mut self,
        cells: &[CellFact<'_>],
        null_tokens: &NullTokens,
        rules: &NumberRules,
    ) {
        self.rows += 1;
        let mut row: Vec<Option<&str>> = vec![None; self.columns.len()];
        for cell in cells {
            self.observe_cell(*cell, null_tokens, rules);
            row[cell.column] = (!null_tokens.matches(cell.text)).then_some(cell.text);
        }
        self.key.observe_row(&row);
    }

    /// Takes a cell into account that is of no row that may have a key.
    pub fn observe_cell(
        &mut self,
        cell: CellFact<'_>,
        null_tokens: &NullTokens,
        rules: &NumberRules,
    ) {
        let column = &mut self.columns[cell.column];
        match null_tokens.matches(cell.text) {
            true => column.empty += 1,
            false => column.observe(cell.text, cell.is_json_number, rules),
        }
    }

    /// Another file begins, whose records are others.
    pub fn begin_file(&mut self) {
        self.key.begin_file();
    }

    /// The first column that is called so.
    pub fn index_of(&self, own_name: &str) -> Option<usize> {
        self.columns.iter().position(|column| spoken_name(&column.raw_name) == own_name)
    }
}

impl ColumnFacts {
    fn new(raw_name: &str) -> Self {
        Self {
            raw_name: raw_name.to_owned(),
            empty: 0,
            values: 0,
            examples: Vec::new(),
            chars_max: 0,
            dates: DateFacts::default(),
            open_number: None,
            has_decimals: false,
            is_numeric: true,
            is_truth: true,
            is_code: true,
            has_code: false,
            fits_identifier: true,
            keeps_identifier: true,
        }
    }

    fn observe(&mut self, text: &str, is_json_number: bool, rules: &NumberRules) {
        let text = text.trim();
        self.values += 1;
        self.keep_example(text);
        self.dates.observe(text);
        self.is_truth = self.is_truth && TRUTHS.iter().any(|word| word.eq_ignore_ascii_case(text));
        self.observe_identifier(text);
        if is_json_number {
            self.has_decimals |= text.contains(['.', 'e', 'E']);
        } else if self.is_numeric {
            self.observe_number(text, rules);
        }
    }

    fn keep_example(&mut self, text: &str) {
        let beginning = || text.chars().take(EXAMPLE_CHARS_MAX).collect::<String>();
        if self.chars_max < text.len() {
            self.chars_max = self.chars_max.max(text.chars().count());
        }
        if self.examples.len() >= EXAMPLES_MAX {
            return;
        }
        let mut example = beginning();
        if example.len() < text.len() {
            example.push('…');
        }
        if !self.examples.contains(&example) {
            self.examples.push(example);
        }
    }

    fn observe_identifier(&mut self, text: &str) {
        if !self.fits_identifier && !self.is_code {
            return;
        }
        let identifier = without_excel(visible(text));
        self.fits_identifier = self.fits_identifier
            && identifier.chars().count() <= IDENTIFIER_CHARS_MAX
            && !is_spreadsheet_notation(identifier)
            && !identifier.is_empty();
        self.keeps_identifier = self.keeps_identifier && identifier.len() == text.len();
        let digits = identifier.strip_prefix('+').unwrap_or(identifier);
        self.is_code =
            self.is_code && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        self.has_code |=
            digits.len() < identifier.len() || (digits.len() > 1 && digits.starts_with('0'));
    }

    fn observe_number(&mut self, text: &str, rules: &NumberRules) {
        let spelling = Spelling::of(text, rules)
            .filter(|spelling| spelling.is_number_of_either() && !spelling.is_code());
        let Some(spelling) = spelling else {
            self.is_numeric = false;
            self.open_number = None;
            return;
        };
        self.has_decimals |= spelling.proof().is_some();
        if self.open_number.is_none() && text.contains(['.', ',']) && spelling.proof().is_none() {
            let reading = |decimals| parse_decimal(text, &rules.reading(decimals)).map(plain);
            if let (Some(point), Some(comma)) = (reading(Decimals::Point), reading(Decimals::Comma))
            {
                self.open_number =
                    Some(OpenNumber { text: text.to_owned(), readings: [point, comma] });
            }
        }
    }

    /// Whether there are values, and all are numbers one way or the other.
    pub const fn is_numeric(&self) -> bool {
        self.values > 0 && self.is_numeric
    }

    /// Whether there are values, and all are words for yes or no.
    pub const fn is_truth(&self) -> bool {
        self.values > 0 && self.is_truth
    }

    /// Whether all are digits of which a number would lose a zero or a plus.
    pub const fn is_code(&self) -> bool {
        self.values > 0 && self.is_code && self.has_code
    }

    /// Whether an identifier's column takes all of them as they are.
    pub const fn keeps_identifier(&self) -> bool {
        self.fits_identifier && self.keeps_identifier
    }

    /// Whether an identifier's column takes all of them.
    pub const fn fits_identifier(&self) -> bool {
        self.fits_identifier
    }
}

/// Ten-thousandths as a number.
fn plain(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    let text = format!("{sign}{}.{:04}", units / 10_000, units % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[&str]) -> ColumnFacts {
        let mut facts = FileFacts::new(&["x".to_owned()]);
        let tokens = NullTokens::new(["".to_owned(), "-".to_owned()]);
        for text in values {
            let cell = CellFact { column: 0, text, is_json_number: false };
            facts.observe_row(
                &[cell],
                &tokens,
                &NumberRules { decimals: Decimals::Either, ..NumberRules::default() },
            );
        }
        facts.columns.remove(0)
    }

    #[test]
    fn a_number_that_may_be_two_is_kept_with_both() {
        let open = column(&["7", "1.250", "-"]).open_number.expect("it is open");
        assert_eq!(
            (open.text.as_str(), open.readings),
            ("1.250", ["1.25".to_owned(), "1250".to_owned()])
        );
        assert_eq!(
            column(&["12.5", "1.250"]).open_number.map(|open| open.text),
            Some("1.250".to_owned())
        );
        assert_eq!(column(&["1.250", "soon"]).open_number, None);
        assert_eq!(column(&["12.5", "0.350"]).open_number, None);
    }

    #[test]
    fn codes_and_truths_are_told_from_numbers() {
        assert!(column(&["0712", "+254"]).is_code() && !column(&["712", "0"]).is_code());
        assert!(
            column(&["yes", "No", ""]).is_truth()
                && !column(&["1", "yes"]).is_truth()
                && !column(&[""]).is_truth()
        );
        assert!(!column(&["3.68E+29"]).fits_identifier());
        let facts = column(&["", "a", "a", "b", "c"]);
        assert_eq!(
            (facts.empty, facts.values, facts.examples),
            (1, 4, vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
