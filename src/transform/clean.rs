//! From text to typed columns, by one set of rules for every format: null tokens, money, times,
//! identifiers. What does not fit its type becomes NULL and is rescued as the text it was.

use crate::feed::dataset::{Dataset, OnTypeChange};
use crate::feed::inference::{is_held_by, is_kept_by};
use crate::feed::layout::{Layout, LayoutColumn, Role};
use crate::values::canonical;
use crate::values::cell::NullTokens;
use crate::values::identifier::{is_spreadsheet_notation, visible, without_excel};
use crate::values::moment::{parse_day, parse_moment};
use crate::values::number::{DECIMAL_SCALE, parse_decimal, parse_double, parse_integer};
use arrow_array::builder::{PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use entity::{IDENTIFIER_CHARS_MAX, Kind};
use rayon::prelude::*;
use regex::Regex;
use std::borrow::Cow;
use std::sync::Arc;

/// Digits that a stored decimal may have, before and after the point together.
const DECIMAL_PRECISION: u8 = 19;

/// Text that did not fit the type of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// Row of the batch.
    pub row: usize,
    /// Column of the layout.
    pub column: usize,
    /// The text as it was.
    pub raw: String,
}

/// A batch's columns, typed.
#[derive(Debug)]
pub struct Cleaned {
    /// One per column of the layout; `None` for the key, which the chunk has, and for padding.
    pub columns: Vec<Option<ArrayRef>>,
    /// What did not fit, in the order of rows, then columns.
    pub rescued: Vec<Rescued>,
}

/// Cleans every column of a batch that holds a text column per column of the layout.
pub fn clean(batch: &RecordBatch, layout: &Layout, dataset: &Dataset) -> Cleaned {
    let cleaned: Vec<(Option<ArrayRef>, Vec<Rescued>)> = layout
        .columns
        .par_iter()
        .zip(batch.columns())
        .enumerate()
        .map(|(index, (column, values))| match column.role {
            Role::Column(_) => {
                // Values that would widen the column are there only if it could not be widened: then it loses nothing of them.
                let is_open = column.on_type_change == Some(OnTypeChange::Widen);
                let exact = column.kind.filter(|_| is_open);
                let mut cleaner =
                    ColumnCleaner { index, null_tokens: &dataset.null_tokens, exact, rescued: Vec::new() };
                let values = cleaner.clean(column, values.as_string::<i32>());
                (Some(values), cleaner.rescued)
            }
            Role::Key | Role::Padding | Role::Note => (None, Vec::new()),
        })
        .collect();
    let (columns, rescued): (Vec<_>, Vec<_>) = cleaned.into_iter().unzip();
    let mut rescued = rescued.concat();
    rescued.sort_by_key(|cell| (cell.row, cell.column));
    Cleaned { columns, rescued }
}

/// The key of a record, or why it cannot be one.
///
/// `None` when the cell is a null token.
pub fn clean_key<'a>(
    cell: &'a str,
    column: &LayoutColumn,
    null_tokens: &NullTokens,
) -> Option<Result<&'a str, String>> {
    if null_tokens.matches(cell) {
        return None;
    }
    let key = identifier(cell, column.extract.as_ref());
    if null_tokens.matches(key) {
        return None;
    }
    if is_spreadsheet_notation(key) {
        return Some(Err(format!(
            "`{key}` is a number in spreadsheet notation, so digits of the key are lost: export it as text"
        )));
    }
    if !has_identifier_length(key) {
        return Some(Err(format!("the key is longer than {IDENTIFIER_CHARS_MAX} characters")));
    }
    Some(Ok(key))
}

/// Whether a cell could stand in this column: it means "no value", or fits the column's type and form.
pub fn conforms(cell: &str, column: &LayoutColumn, null_tokens: &NullTokens) -> bool {
    if null_tokens.matches(cell) {
        return true;
    }
    // A column that widens may bring values of any type; what it holds so far still tells cells apart.
    fits_kind(cell, column) && column.form.as_ref().is_none_or(|form| form.is_match(cell.trim()))
}

/// Why a cell cannot be loaded into a column whose values must fit; `None` when it can.
pub fn misfit(cell: &str, column: &LayoutColumn, null_tokens: &NullTokens) -> Option<String> {
    if !column.is_strict() || null_tokens.matches(cell) {
        return None;
    }
    if fits_kind(cell, column) {
        return None;
    }
    let (kind, shown) = (column.kind.map_or("", Kind::name), excerpt(cell));
    Some(format!(
        "`{shown}` does not fit the column's type, {kind}, and on_type_change is \"reject\": correct the value"
    ))
}

/// As much of a cell as a reason shows.
fn excerpt(cell: &str) -> String {
    const CHARS_MAX: usize = 100;
    let mut shown: String = cell.chars().take(CHARS_MAX).collect();
    if shown.len() < cell.len() {
        shown.push('…');
    }
    shown
}

/// Whether a cell's value fits the column's kind.
pub fn fits_kind(cell: &str, column: &LayoutColumn) -> bool {
    match column.kind {
        Some(Kind::Integer) => parse_integer(cell).is_some(),
        Some(Kind::Decimal) => parse_decimal(cell).is_some(),
        Some(Kind::Double) => parse_double(cell).is_some(),
        Some(Kind::Time) => parse_moment(cell).is_some(),
        Some(Kind::Day) => parse_day(cell.trim()).is_some(),
        Some(Kind::Identifier) => is_whole_identifier(identifier(cell, column.extract.as_ref())),
        _ => true,
    }
}

/// Whether an identifier has all of its digits, and no more characters than a column takes.
fn is_whole_identifier(identifier: &str) -> bool {
    has_identifier_length(identifier) && !is_spreadsheet_notation(identifier)
}

/// A value of a text column that held another kind before: what that kind held keeps the text it has there, so
/// that `2.50`, stored as 2.5 until the column was widened, is not taken for a change.
fn respelt(cell: &str, was: Kind) -> Cow<'_, str> {
    if !is_held_by(was, cell) {
        return Cow::Borrowed(cell);
    }
    let mut text = Vec::new();
    let parsed = match was {
        Kind::Integer => parse_integer(cell).map(|value| canonical::push_integer(&mut text, value)),
        Kind::Decimal => parse_decimal(cell).map(|value| canonical::push_decimal(&mut text, value)),
        Kind::Double => parse_double(cell).map(|value| canonical::push_double(&mut text, value)),
        Kind::Time => parse_moment(cell).map(|value| canonical::push_moment(&mut text, value)),
        _ => None,
    };
    match String::from_utf8(text) {
        Ok(text) if parsed.is_some() => Cow::Owned(text),
        _ => Cow::Borrowed(cell),
    }
}

/// What an identifier's cell says: without the white space and the invisible characters around it, without what Excel
/// writes to keep it text, and of `YR-11262518,0` only what the profile extracts.
fn identifier<'a>(cell: &'a str, extract: Option<&Regex>) -> &'a str {
    let text = without_excel(visible(cell));
    let extracted = extract.and_then(|extract| extract.captures(text)).and_then(|captures| captures.get(1));
    extracted.map_or(text, |group| visible(group.as_str()))
}

/// A character has at least a byte, so nearly no identifier's need to be counted.
fn has_identifier_length(identifier: &str) -> bool {
    identifier.len() <= IDENTIFIER_CHARS_MAX || identifier.chars().count() <= IDENTIFIER_CHARS_MAX
}

struct ColumnCleaner<'a> {
    index: usize,
    null_tokens: &'a NullTokens,
    /// The kind that must hold all of a number's or moment's text but its spelling.
    exact: Option<Kind>,
    rescued: Vec<Rescued>,
}

impl ColumnCleaner<'_> {
    fn clean(&mut self, column: &LayoutColumn, cells: &StringArray) -> ArrayRef {
        let null_tokens = self.null_tokens;
        match column.kind.unwrap_or(Kind::Text) {
            Kind::Text => match column.was {
                None => self.texts(cells, |cell| Cell::Value(Cow::Borrowed(cell))),
                Some(was) => self.texts(cells, |cell| Cell::Value(respelt(cell, was))),
            },
            Kind::Identifier => self.texts(cells, |cell| {
                let value = identifier(cell, column.extract.as_ref());
                match is_whole_identifier(value) {
                    true if null_tokens.matches(value) => Cell::Null,
                    true => Cell::Value(Cow::Borrowed(value)),
                    false => Cell::Misfit,
                }
            }),
            Kind::Integer => Arc::new(self.numbers::<Int64Type>(cells, parse_integer)),
            Kind::Double => Arc::new(self.numbers::<Float64Type>(cells, parse_double)),
            Kind::Time => Arc::new(self.numbers::<TimestampMillisecondType>(cells, parse_moment)),
            Kind::Day => Arc::new(
                self.numbers::<Date32Type>(cells, |cell| parse_day(cell.trim()).map(Date32Type::from_naive_date)),
            ),
            Kind::Decimal => {
                Arc::new(self.numbers::<Decimal128Type>(cells, parse_decimal).with_data_type(arrow_type(Kind::Decimal)))
            }
            Kind::Total | Kind::Hash => unreachable!("no column of a file holds a total or a hash"),
        }
    }

    /// Where every value stands in its cell as it is, the cells' own bytes are kept, and only what is NULL changes.
    fn texts(&mut self, cells: &StringArray, read: impl for<'c> Fn(&'c str) -> Cell<Cow<'c, str>>) -> ArrayRef {
        let values: Vec<Cell<Cow<'_, str>>> = cells.iter().map(|cell| self.read(cell, &read)).collect();
        let is_as_it_stands = |(cell, value): (Option<&str>, &Cell<Cow<'_, str>>)| match value {
            Cell::Null => true,
            Cell::Value(Cow::Borrowed(text)) => cell.is_some_and(|cell| cell.len() == text.len()),
            Cell::Value(Cow::Owned(_)) | Cell::Misfit => false,
        };
        if cells.iter().zip(&values).all(is_as_it_stands) {
            let valid = NullBuffer::from_iter(values.iter().map(|value| !matches!(value, Cell::Null)));
            return Arc::new(StringArray::new(cells.offsets().clone(), cells.values().clone(), Some(valid)));
        }
        let mut texts = StringBuilder::with_capacity(cells.len(), cells.value_data().len());
        for (row, (cell, value)) in cells.iter().zip(values).enumerate() {
            if matches!(value, Cell::Misfit) {
                self.rescue(row, cell);
            }
            texts.append_option(value.known());
        }
        Arc::new(texts.finish())
    }

    /// Cells often repeat the one above them, as what belongs to an order does on each of its lines: then what it
    /// meant is known.
    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        cells: &StringArray,
        read: impl Fn(&str) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        let exact = self.exact;
        let read = |cell: &str| {
            let value = read(cell).filter(|_| exact.is_none_or(|kind| is_kept_by(kind, cell)));
            value.map_or(Cell::Misfit, Cell::Value)
        };
        let mut above = (None, Cell::Null);
        let mut numbers = PrimitiveBuilder::<T>::with_capacity(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            if cell != above.0 {
                above = (cell, self.read(cell, read));
            }
            if matches!(above.1, Cell::Misfit) {
                self.rescue(row, cell);
            }
            numbers.append_option(above.1.known());
        }
        numbers.finish()
    }

    fn read<'c, V>(&self, cell: Option<&'c str>, read: impl Fn(&'c str) -> Cell<V>) -> Cell<V> {
        match cell.filter(|cell| !self.null_tokens.matches(cell)) {
            None => Cell::Null,
            Some(cell) => read(cell),
        }
    }

    fn rescue(&mut self, row: usize, cell: Option<&str>) {
        let raw = cell.unwrap_or_default().to_owned();
        self.rescued.push(Rescued { row, column: self.index, raw });
    }
}

/// What a cell means to its column.
#[derive(Clone, Copy)]
enum Cell<V> {
    /// There is no value.
    Null,
    /// There is this one.
    Value(V),
    /// There is one that does not fit.
    Misfit,
}

impl<V> Cell<V> {
    fn known(self) -> Option<V> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

/// The arrow type that holds a kind.
pub fn arrow_type(kind: Kind) -> DataType {
    match kind {
        Kind::Identifier | Kind::Text => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Decimal | Kind::Total => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE as i8),
        Kind::Double => DataType::Float64,
        Kind::Time => DataType::Timestamp(TimeUnit::Millisecond, None),
        Kind::Day => DataType::Date32,
        Kind::Hash => DataType::FixedSizeBinary(32),
    }
}
