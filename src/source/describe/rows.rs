//! Rows: hands every row of an unknown file to the facts about it.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::describe::facts::{CellFact, ColumnFacts, FileFacts};
use crate::feed::describe::totals::{LAST_ROWS, TotalRow};
use crate::feed::layout::{column_name, spoken_name};
use crate::feed::row_format::Dialect;
use crate::source::rows::cells;
use crate::source::rows::cells::{Split, split_row};
use crate::source::rows::elements::{ElementMax, Elements};
use crate::source::rows::header::read_header;
use crate::source::rows::json_values::{cell_text, flatten_record, is_number};
use crate::source::text::Text;
use crate::source::text::content::Window;
use crate::values::number::{Decimals, NumberRules, clear_text};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// The rules for numbers while nothing is known.
fn open_rules(dataset: &Dataset) -> NumberRules {
    dataset.number_rules("").reading(Decimals::Either)
}

/// The header of a CSV file.
///
/// # Errors
///
/// When the file cannot be read, or has none.
pub fn header(text: &Text, dialect: Dialect, dataset: &Dataset) -> Result<Vec<String>, SyncError> {
    read_header(&mut Window::at(&text.content, 0)?, dialect, dataset)
}

/// Takes the rows of a CSV file into account, and returns those at its end that are totals of the
/// others.
///
/// # Errors
///
/// When the file cannot be read.
pub fn observe_csv(
    text: &Text,
    dialect: Dialect,
    dataset: &Dataset,
    facts: &mut FileFacts,
) -> Result<Vec<TotalRow>, SyncError> {
    let header = header(text, dialect, dataset)?;
    let named = header.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
    let header = &header[..named];
    let mut totals = last_rows(text, dialect, dataset, named)?;
    let first_total = totals.iter().map(|total| total.number).min().unwrap_or(u64::MAX);
    let rules = open_rules(dataset);
    let mut row = 0;
    each_row(text, dialect, dataset, &mut |cells, clear| {
        row += 1;
        if row >= first_total {
            return;
        }
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        for last in &mut totals {
            last.is_said_elsewhere = last.is_said_elsewhere || last.total.matches(&cells);
        }
        observe_cells(&cells, clear, header, dataset, facts, &rules);
    })?;
    let mut found = Vec::new();
    for LastRow { cells, clear, total, is_said_elsewhere, .. } in totals {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        // If a name repeats, only its first column can be used.
        let own_name = facts.columns.get(total.column).map(|column| spoken_name(&column.raw_name));
        let is_named = own_name.is_some_and(|name| facts.index_of(&name) == Some(total.column));
        if is_named && !is_said_elsewhere && is_no_data(&cells, named, facts, dataset) {
            found.push(total);
        } else {
            observe_cells(&cells, &clear, header, dataset, facts, &rules);
        }
    }
    Ok(found)
}

/// A row at the end that may be no data.
struct LastRow {
    /// 1 is the first row below the header.
    number: u64,
    cells: Vec<String>,
    /// Which of them are clear numbers.
    clear: Vec<bool>,
    total: TotalRow,
    /// Whether a row of data says the same.
    is_said_elsewhere: bool,
}

/// The rows at the end that may not be data, the last one first.
fn last_rows(
    text: &Text,
    dialect: Dialect,
    dataset: &Dataset,
    named: usize,
) -> Result<Vec<LastRow>, SyncError> {
    let mut last: VecDeque<(u64, Vec<String>, Vec<bool>)> = VecDeque::new();
    let mut rows = 0;
    each_row(text, dialect, dataset, &mut |cells, clear| {
        rows += 1;
        last.truncate(LAST_ROWS - 1);
        let cells = cells.iter().map(|cell| cell.clone().into_owned()).collect();
        last.push_front((rows, cells, clear.to_vec()));
    })?;
    let may_be_total = |(number, cells, clear): (u64, Vec<String>, Vec<bool>)| {
        let total = TotalRow::of(&cells.iter().map(String::as_str).collect::<Vec<_>>(), named)?;
        Some(LastRow { number, cells, clear, total, is_said_elsewhere: false })
    };
    Ok(last.into_iter().map_while(may_be_total).collect())
}

/// Whether a last row differs from the others: it has another number of cells, hardly any values,
/// or none where all others have one.
fn is_no_data(cells: &[&str], named: usize, facts: &FileFacts, dataset: &Dataset) -> bool {
    let is_empty = |cell: &str| dataset.null_tokens.matches(cell);
    let values = cells.iter().filter(|cell| !is_empty(cell)).count();
    let is_lacking = |(index, column): (usize, &ColumnFacts)| {
        column.values > 0 && column.empty == 0 && cells.get(index).is_none_or(|cell| is_empty(cell))
    };
    cells.len() < named || 2 * values <= named || facts.columns.iter().enumerate().any(is_lacking)
}

/// Takes a row with the right number of cells into account.
fn observe_cells(
    cells: &[&str],
    clear: &[bool],
    header: &[String],
    dataset: &Dataset,
    facts: &mut FileFacts,
    rules: &NumberRules,
) {
    let is_fitting = cells.len() >= header.len()
        && cells[header.len()..].iter().all(|cell| cell.trim().is_empty());
    let is_header =
        cells.iter().zip(header).all(|(cell, name)| column_name(cell) == column_name(name));
    if !is_fitting || is_header {
        return;
    }
    let cells = cells[..header.len()].iter().enumerate();
    let fact = |(column, text)| {
        let is_json_number = clear.get(column).copied().unwrap_or(false);
        CellFact { column, text, is_json_number }
    };
    let cells: Vec<CellFact<'_>> = cells.map(|(column, &text)| fact((column, text))).collect();
    facts.observe_row(&cells, &dataset.null_tokens, rules);
}

/// Takes the cells of a row, and which of them are clear numbers.
type TakeRow<'t> = dyn FnMut(&[Cow<'_, str>], &[bool]) + 't;

/// The rows below the header that can be split and are text, and which of their cells are clear
/// numbers. A cell that has an error instead of a value has none.
fn each_row(
    text: &Text,
    dialect: Dialect,
    dataset: &Dataset,
    take: &mut TakeRow<'_>,
) -> Result<(), SyncError> {
    let mut window = Window::at(&text.content, 0)?;
    read_header(&mut window, dialect, dataset)?;
    let mut cells = Vec::new();
    loop {
        let next = match split_row(window.rest(), window.is_at_end(), dialect, &mut cells) {
            Split::Incomplete => {
                window.fill()?;
                continue;
            }
            // The survey says what is to be done.
            Split::TooLong | Split::Row { next: 0, .. } => return Ok(()),
            Split::Broken { next, .. } => {
                window.advance(next);
                continue;
            }
            Split::Row { next, .. } => next,
        };
        let row = window.rest();
        let is_value = |cell: &cells::Cell| dialect.is_typed() && !cell.is_quoted;
        let texts = cells.iter().map(|cell| {
            let text = std::str::from_utf8(cell.bytes(row)).ok()?;
            let is_error = is_value(cell) && text.starts_with('#');
            Some(if is_error { Cow::Borrowed("") } else { dialect.unquoted(text, *cell) })
        });
        let texts: Option<Vec<Cow<'_, str>>> = texts.collect();
        if let Some(texts) = texts.filter(|texts| texts.iter().any(|text| !text.is_empty())) {
            let is_number = |text: &str| clear_text(text, Decimals::Point).is_some();
            let clear = cells.iter().zip(&texts);
            let clear: Vec<bool> =
                clear.map(|(cell, text)| is_value(cell) && is_number(text)).collect();
            take(&texts, &clear);
        }
        window.advance(next);
    }
}

/// Arrays of objects in the records of a JSON file, by their paths.
///
/// # Errors
///
/// When the file cannot be read, or is not complete JSON.
pub fn arrays_of_objects(
    text: &Text,
    dataset: &Dataset,
    limits: &Limits,
) -> Result<Vec<String>, SyncError> {
    let mut arrays: BTreeMap<String, bool> = BTreeMap::new();
    each_object(text, dataset, limits, &mut |object| {
        for (name, value) in flatten_record(object).unwrap_or_default() {
            if let Some(elements) = array(&value).filter(|elements| !elements.is_empty()) {
                let are_objects = elements.iter().all(|element| element.get().starts_with('{'));
                arrays
                    .entry(name.into_owned())
                    .and_modify(|all| *all &= are_objects)
                    .or_insert(are_objects);
            }
        }
    })?;
    Ok(arrays.into_iter().filter(|(_, are_objects)| *are_objects).map(|(path, _)| path).collect())
}

/// Takes the objects of a JSON file into account, and their lines.
///
/// # Errors
///
/// When the file cannot be read, or is not complete JSON.
pub fn observe_json(
    text: &Text,
    dataset: &Dataset,
    lines: Option<&str>,
    limits: &Limits,
    facts: &mut FileFacts,
) -> Result<(), SyncError> {
    let rules = open_rules(dataset);
    each_object(text, dataset, limits, &mut |object| {
        let members = flatten_record(object).unwrap_or_default();
        let (own_lines, members): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|(name, _)| Some(name.as_ref()) == lines);
        let members: Vec<(String, Cow<'_, RawValue>)> =
            members.into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
        let texts = cells(&members, facts);
        let row: Vec<CellFact<'_>> = texts.iter().map(Cell::fact).collect();
        facts.observe_row(&row, &dataset.null_tokens, &rules);
        for line in own_lines.iter().filter_map(|(_, value)| array(value)).flatten() {
            let path = lines.unwrap_or_default();
            let members = flatten_record(line.get()).unwrap_or_default();
            let members = members
                .into_iter()
                .map(|(name, value)| (format!("{path}.{name}"), value))
                .collect::<Vec<_>>();
            for cell in cells(&members, facts) {
                facts.observe_cell(cell.fact(), &dataset.null_tokens, &rules);
            }
        }
    })
}

/// A member of an object as a cell.
struct Cell<'c> {
    column: usize,
    text: Cow<'c, str>,
    is_json_number: bool,
}

impl Cell<'_> {
    fn fact(&self) -> CellFact<'_> {
        CellFact { column: self.column, text: &self.text, is_json_number: self.is_json_number }
    }
}

fn cells<'m>(members: &'m [(String, Cow<'_, RawValue>)], facts: &mut FileFacts) -> Vec<Cell<'m>> {
    let cell = |(name, value): &'m (String, Cow<'_, RawValue>)| {
        let text = cell_text(value)?;
        Some(Cell { column: facts.column(name), text, is_json_number: is_number(value) })
    };
    members.iter().filter_map(cell).collect()
}

/// The elements of an array that is kept as JSON text.
fn array(value: &RawValue) -> Option<Vec<Box<RawValue>>> {
    let text = cell_text(value).filter(|text| text.starts_with('['))?;
    serde_json::from_str(&text).ok()
}

fn each_object(
    text: &Text,
    dataset: &Dataset,
    limits: &Limits,
    take: &mut dyn FnMut(&str),
) -> Result<(), SyncError> {
    let bytes =
        usize::try_from(limits.record_bytes_max).unwrap_or(usize::MAX).max(limits.row_bytes_max);
    let max = ElementMax { bytes, limit: "record_bytes_max" };
    let mut elements = Elements::new(Window::at(&text.content, 0)?, dataset, max, 0);
    while let Some(length) = elements.next_length()? {
        if let Ok(object) = std::str::from_utf8(elements.last(length)) {
            take(object);
        }
    }
    Ok(())
}
