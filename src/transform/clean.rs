//! Clean: makes typed columns of text, by one set of rules for every format: null tokens, money,
//! times, identifiers. A value that does not fit its type becomes NULL, and its text is rescued.

use crate::feed::inference::is_kept_by;
use crate::feed::layout::{Layout, LayoutColumn, Role};
use crate::values::cell::{trimmed, unfit_text};
use crate::values::currency::may_have_currency;
use crate::values::identifier::{is_spreadsheet_notation, visible, without_excel};
use crate::values::number::{
    DECIMAL_SCALE, NumberRules, Spelling, parse_decimal, parse_double, parse_integer,
};
use arrow_array::builder::{PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StringArray, UInt32Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use arrow_select::take::take;
use entity::{IDENTIFIER_CHARS_MAX, Kind};
use rayon::prelude::*;
use std::sync::Arc;

/// Digits that a stored decimal may have, before and after the point together.
const DECIMAL_PRECISION: u8 = 19;

/// Text that did not fit the type of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// Row of the batch.
    pub row: usize,
    /// Index of a column of the layout, including copies.
    pub column: usize,
    /// The text as it was.
    pub raw: String,
}

/// A batch's columns, typed.
#[derive(Debug)]
pub struct Cleaned {
    /// One for each column of the layout, including copies. `None` for the key, which the chunk
    /// has, and for columns that are not stored.
    pub columns: Vec<Option<ArrayRef>>,
    /// What did not fit, in the order of rows, then columns.
    pub rescued: Vec<Rescued>,
}

impl Cleaned {
    /// Keeps only these rows, given in ascending order.
    pub fn keep(&mut self, rows: &[usize]) {
        let indices: UInt32Array = rows
            .iter()
            .map(|&row| u32::try_from(row).expect("a chunk has fewer than 2^32 rows"))
            .collect();
        for values in self.columns.iter_mut().flatten() {
            *values = take(values, &indices, None).expect("indices come from the same chunk");
        }
        self.rescued
            .retain_mut(|cell| rows.binary_search(&cell.row).map(|row| cell.row = row).is_ok());
    }
}

/// Cleans every column of a batch that holds a text column per column of the layout, copies
/// included.
pub fn clean(batch: &RecordBatch, layout: &Layout) -> Cleaned {
    let symbols = layout.currency_symbol().and_then(|column| batch.columns().get(column));
    let symbols = symbols.map(AsArray::as_string::<i32>);
    let columns: Vec<(usize, &LayoutColumn)> = layout.all().enumerate().collect();
    let cleaned: Vec<(Option<ArrayRef>, Vec<Rescued>)> = columns
        .into_par_iter()
        .map(|(index, column)| (index, column, batch.column(index)))
        .map(|(index, column, values)| match column.role {
            Role::Column(_) => {
                // Values that would widen the column exist here only if it could not be widened.
                // They are rescued whole.
                let exact = column.kind.filter(|_| column.is_widened());
                // A column found in files has one currency, or is text.
                let symbols = symbols.filter(|_| column.rules.is_declared);
                let mut cleaner =
                    ColumnCleaner { index, column, exact, symbols, rescued: Vec::new() };
                let values = cleaner.clean(values.as_string::<i32>());
                (Some(values), cleaner.rescued)
            }
            Role::Key(_) | Role::Padding | Role::Note | Role::Ignored => (None, Vec::new()),
        })
        .collect();
    let (columns, rescued): (Vec<_>, Vec<_>) = cleaned.into_iter().unzip();
    let mut rescued = rescued.concat();
    rescued.sort_by_key(|cell| (cell.row, cell.column));
    Cleaned { columns, rescued }
}

/// The key of a record, or why it cannot be one.
///
/// `None` when the cell means "no value".
pub fn clean_key<'a>(cell: &'a str, column: &'a LayoutColumn) -> Option<Result<&'a str, String>> {
    if let Some(error) = unfit_text(cell) {
        return Some(Err(format!("the key is the error `{error}`: correct the cell")));
    }
    let key = identifier(column.meaning(cell)?);
    if key.is_empty() || column.null_tokens.matches(key) {
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

/// Whether a cell becomes a value of its column, or NULL, and is not rescued for what it says. Its
/// row may still say that it is in another currency.
pub fn becomes_value(cell: &str, column: &LayoutColumn) -> bool {
    let Some(meaning) = column.meaning(cell) else { return true };
    let is_kept = || match column.kind.filter(|_| column.is_widened()) {
        Some(kind) => is_kept_by(kind, meaning, column),
        None => true,
    };
    !column.has_two_currencies && fits_kind(meaning, column) && is_kept()
}

/// Why a cell cannot be loaded into a column whose values must fit; `None` when it can. `written`
/// is the cell as it stands in the file.
pub fn misfit(cell: &str, written: &str, column: &LayoutColumn) -> Option<String> {
    if !column.is_strict() || fits_kind(column.meaning(cell)?, column) {
        return None;
    }
    let (kind, shown) = (column.kind.map_or("", Kind::name), excerpt(written));
    Some(format!(
        "`{shown}` does not fit the column's type, {kind}, and on_type_change is \"reject\": correct the value"
    ))
}

/// The beginning of a cell, as a reason shows it.
fn excerpt(cell: &str) -> String {
    const CHARS_MAX: usize = 100;
    let cell = unfit_text(cell).unwrap_or(cell);
    let mut shown: String = cell.chars().take(CHARS_MAX).collect();
    if shown.len() < cell.len() {
        shown.push('…');
    }
    shown
}

/// Whether the meaning of a cell fits the column's kind.
pub fn fits_kind(meaning: &str, column: &LayoutColumn) -> bool {
    match column.kind {
        _ if unfit_text(meaning).is_some() => false,
        _ if column.is_boolean() => parse_boolean(meaning).is_some(),
        Some(Kind::Integer) => parse_integer(meaning, &column.rules).is_some(),
        Some(Kind::Decimal) => parse_decimal(meaning, &column.rules).is_some(),
        Some(Kind::Double) => parse_double(meaning, &column.rules).is_some(),
        Some(Kind::Time) => column.moments.moment(meaning).is_some(),
        Some(Kind::Day) => column.moments.day(meaning).is_some(),
        Some(Kind::Identifier) => is_whole_identifier(identifier(meaning)),
        _ => true,
    }
}

/// Whether an amount is in another currency than its row says, in a declared column. Columns found
/// in files have one currency, or are text.
pub fn is_of_other_currency(cell: &str, symbol: &str, column: &LayoutColumn) -> bool {
    column.rules.is_declared
        && column.holds_numbers()
        && may_have_currency(cell)
        && contradicts(cell, symbol, &column.rules)
}

/// 1 for yes and 0 for no, in any of the words that files use.
fn parse_boolean(text: &str) -> Option<i64> {
    const YES: [&str; 6] = ["1", "true", "yes", "y", "t", "on"];
    const NO: [&str; 6] = ["0", "false", "no", "n", "f", "off"];
    let text = trimmed(text);
    let is_one_of = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match () {
        () if is_one_of(YES) => Some(1),
        () if is_one_of(NO) => Some(0),
        () => None,
    }
}

/// Whether an identifier has lost no digits, and is short enough for a column.
fn is_whole_identifier(identifier: &str) -> bool {
    has_identifier_length(identifier) && !is_spreadsheet_notation(identifier)
}

/// The identifier in a cell: without the white space and the invisible characters around it, and
/// without Excel's marks for text.
fn identifier(text: &str) -> &str {
    without_excel(visible(text))
}

/// A character has at least one byte, so almost no identifier has to be counted by characters.
fn has_identifier_length(identifier: &str) -> bool {
    identifier.len() <= IDENTIFIER_CHARS_MAX || identifier.chars().count() <= IDENTIFIER_CHARS_MAX
}

struct ColumnCleaner<'a> {
    index: usize,
    column: &'a LayoutColumn,
    /// The kind that must hold a number or moment without loss, except for its spelling.
    exact: Option<Kind>,
    /// The currency of each row, if the file has it.
    symbols: Option<&'a StringArray>,
    rescued: Vec<Rescued>,
}

impl ColumnCleaner<'_> {
    fn clean(&mut self, cells: &StringArray) -> ArrayRef {
        let column = self.column;
        match column.kind.unwrap_or(Kind::Text) {
            Kind::Text => self.texts(cells, |meaning| Cell::Value(meaning)),
            Kind::Identifier => self.texts(cells, |meaning| {
                let value = identifier(meaning);
                match is_whole_identifier(value) {
                    true if column.null_tokens.matches(value) => Cell::Null,
                    true => Cell::Value(value),
                    false => Cell::Misfit,
                }
            }),
            _ if column.is_boolean() => Arc::new(self.numbers::<Int64Type>(cells, parse_boolean)),
            Kind::Integer => Arc::new(self.amounts::<Int64Type>(cells, parse_integer)),
            Kind::Double => Arc::new(self.amounts::<Float64Type>(cells, parse_double)),
            Kind::Time => {
                let moment = |cell: &str| column.moments.moment(cell);
                Arc::new(self.numbers::<TimestampMillisecondType>(cells, moment))
            }
            Kind::Day => {
                let day = |cell: &str| column.moments.day(cell).map(Date32Type::from_naive_date);
                Arc::new(self.numbers::<Date32Type>(cells, day))
            }
            Kind::Decimal => {
                let amounts = self.amounts::<Decimal128Type>(cells, parse_decimal);
                Arc::new(amounts.with_data_type(arrow_type(Kind::Decimal)))
            }
            Kind::Total | Kind::Hash => unreachable!("no column of a file holds a total or a hash"),
        }
    }

    /// If every value equals its cell, the bytes of the cells are kept, and only the NULLs change.
    fn texts(
        &mut self,
        cells: &StringArray,
        read: impl for<'c> Fn(&'c str) -> Cell<&'c str>,
    ) -> ArrayRef {
        let column = self.column;
        let mut values: Vec<Cell<&str>> = Vec::with_capacity(cells.len());
        for cell in cells {
            let meaning = cell.and_then(|cell| column.meaning(cell));
            values.push(match meaning {
                Some(meaning) if unfit_text(meaning).is_some() => Cell::Misfit,
                meaning => meaning.map_or(Cell::Null, &read),
            });
        }
        let is_as_it_stands = |(cell, value): (Option<&str>, &Cell<&str>)| match value {
            Cell::Null => true,
            Cell::Value(text) => cell.is_some_and(|cell| std::ptr::eq(cell, *text)),
            Cell::Misfit => false,
        };
        if cells.iter().zip(&values).all(is_as_it_stands) {
            let valid =
                NullBuffer::from_iter(values.iter().map(|value| !matches!(value, Cell::Null)));
            return Arc::new(StringArray::new(
                cells.offsets().clone(),
                cells.values().clone(),
                Some(valid),
            ));
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

    /// Numbers. A number is rescued if its currency is not the declared one.
    fn amounts<T: ArrowPrimitiveType>(
        &mut self,
        cells: &StringArray,
        parse: impl Fn(&str, &NumberRules) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        let rules = &self.column.rules;
        if self.column.has_two_currencies {
            return self.numbers::<T>(cells, |_| None);
        }
        let numbers = self.numbers::<T>(cells, |cell| parse(cell, rules));
        let Some(symbols) = self.symbols.filter(|_| cells.iter().flatten().any(may_have_currency))
        else {
            return numbers;
        };
        let mut amounts = PrimitiveBuilder::<T>::with_capacity(cells.len());
        // Here too, most cells and symbols repeat the ones above.
        let (mut above, mut contradicts_above) = ((None, ""), false);
        for (row, (cell, number)) in cells.iter().zip(&numbers).enumerate() {
            let symbol = if symbols.is_valid(row) { symbols.value(row) } else { "" };
            if (cell, symbol) != above {
                let contradicts =
                    |cell: &str| may_have_currency(cell) && contradicts(cell, symbol, rules);
                (above, contradicts_above) = ((cell, symbol), cell.is_some_and(contradicts));
            }
            let is_believed = number.is_none() || !contradicts_above;
            if !is_believed {
                self.rescue(row, cell);
            }
            amounts.append_option(number.filter(|_| is_believed));
        }
        amounts.finish()
    }

    /// Cells often repeat the cell above, for example the order's own columns on each of its lines.
    /// The meaning is then known already.
    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        cells: &StringArray,
        read: impl Fn(&str) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        let (exact, column) = (self.exact, self.column);
        let read = |cell: &str| {
            let Some(meaning) = column.meaning(cell) else { return Cell::Null };
            let value = read(meaning)
                .filter(|_| exact.is_none_or(|kind| is_kept_by(kind, meaning, column)));
            value.map_or(Cell::Misfit, Cell::Value)
        };
        let mut above = (None, Cell::Null);
        let mut numbers = PrimitiveBuilder::<T>::with_capacity(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            if cell != above.0 {
                above = (cell, cell.map_or(Cell::Null, read));
            }
            if matches!(above.1, Cell::Misfit) {
                self.rescue(row, cell);
            }
            numbers.append_option(above.1.known());
        }
        numbers.finish()
    }

    fn rescue(&mut self, row: usize, cell: Option<&str>) {
        let cell = cell.unwrap_or_default();
        let raw = unfit_text(cell).unwrap_or(cell).to_owned();
        self.rescued.push(Rescued { row, column: self.index, raw });
    }
}

/// Whether an amount is in another currency than its row.
fn contradicts(cell: &str, symbol: &str, rules: &NumberRules) -> bool {
    let symbol = trimmed(symbol);
    let own = Spelling::of(cell, rules).and_then(|spelling| spelling.currency);
    own.is_some_and(|own| {
        rules.currencies.is_currency(symbol) && rules.currencies.contradict(own, symbol)
    })
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
