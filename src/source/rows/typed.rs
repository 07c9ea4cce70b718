//! Typed: the cells of a typed row (`source::text::typed_rows`) as their columns read them. What
//! stands without quotes is clear; a column that would read such a text in another way gets one
//! that it reads as what it is.

use crate::feed::layout::{Layout, LayoutColumn, Role};
use crate::feed::row_format::Dialect;
use crate::source::rows::Fault;
use crate::source::rows::cells::Cell;
use crate::source::rows::guards::ClearNumber;
use crate::source::rows::json_values::number_text;
use crate::values::cell::unfit;
use crate::values::dates::{Dates, MomentRules};
use crate::values::number::{Decimals, clear_text};
use entity::Kind;

/// Characters of a day.
const DAY_CHARS: usize = 10;

/// What a typed row is to its columns.
#[derive(Debug, Default)]
pub struct TypedRow {
    /// Its numbers with decimals or an exponent.
    pub clear: Vec<ClearNumber>,
    /// The row as its columns read it, if that is another one.
    pub bytes: Option<Vec<u8>>,
    /// The first number in a column of identifiers that has more digits than its file keeps.
    pub fault: Option<Fault>,
}

/// Reads a typed row.
pub fn read_typed(row: &[u8], cells: &[Cell], dialect: Dialect, layout: &Layout) -> TypedRow {
    let mut typed = TypedRow::default();
    let mut changes: Vec<(usize, String)> = Vec::new();
    for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_quoted) {
        let bytes = cell.bytes(row);
        let Some(&first) = bytes.first() else { continue };
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        if first == b'#' {
            changes.push((index, unfit(text)));
        } else if is_day(bytes) {
            changes.extend(moment_for(text, index, layout).map(|text| (index, text)));
        } else if bytes.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
            && clear_text(text, Decimals::Point).is_some()
        {
            let has_exponent = text.contains('E');
            typed.fault = typed.fault.or_else(|| {
                let column = layout.columns.get(index).filter(|_| has_exponent)?;
                is_identifier(column).then(|| long_identifier(text, column))
            });
            changes.extend(number_for(text, index, layout).map(|text| (index, text)));
            typed.clear.push(ClearNumber { cell: index, json: text.to_owned() });
        }
    }
    if !changes.is_empty() {
        typed.bytes = Some(with_changes(row, cells, &changes, dialect));
    }
    typed
}

fn with_changes(
    row: &[u8],
    cells: &[Cell],
    changes: &[(usize, String)],
    dialect: Dialect,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(row.len() + 8 * changes.len());
    let mut copied = 0;
    for (index, text) in changes {
        bytes.extend(&row[copied..cells[*index].start]);
        match text.as_bytes().contains(&dialect.delimiter) {
            true => bytes.extend(dialect.quoted(text).bytes()),
            false => bytes.extend(text.bytes()),
        }
        copied = cells[*index].end;
    }
    bytes.extend(&row[copied..]);
    bytes
}

/// Whether a cell begins with `2022-02`, as no number does.
fn is_day(cell: &[u8]) -> bool {
    matches!(cell, [_, b'0'..=b'9', _, b'0'..=b'9', b'-', _, _, b'-', ..])
}

/// The columns that a cell feeds.
fn fed(cell: usize, layout: &Layout) -> impl Iterator<Item = &LayoutColumn> {
    let copies = layout.copies.iter().filter(move |copy| copy.source == cell);
    layout.columns.get(cell).into_iter().chain(copies.map(|copy| &copy.column))
}

/// A number as the columns of numbers that it feeds read it; `None` if it stands so already.
fn number_for(json: &str, cell: usize, layout: &Layout) -> Option<String> {
    let texts = fed(cell, layout).filter(|column| column.holds_numbers());
    let mut texts: Vec<Option<String>> = texts.map(|column| number_text(json, column)).collect();
    texts.dedup();
    match texts.as_mut_slice() {
        [] => None,
        [text] => text.take(),
        // Two columns that read `.` and `,` in two ways: no text is the number to both, and none
        // may be another number to one of them.
        _ => {
            let text = clear_text(json, Decimals::Point)?;
            let places = text.split_once('.').map_or(0, |(_, places)| places.len());
            Some(if places == 3 { format!("{text}0") } else { text })
        }
    }
}

/// A moment as the column that it feeds reads it; `None` if that reads it as it stands, or has no
/// words for it: then it is rescued.
fn moment_for(iso: &str, cell: usize, layout: &Layout) -> Option<String> {
    let is_spelt = |column: &&LayoutColumn| matches!(column.moments.dates, Dates::Patterns(_));
    let column = fed(cell, layout).find(is_spelt)?;
    let iso_rules = MomentRules { dates: Dates::Iso, zone: column.moments.zone };
    let millis = iso_rules.moment(iso)?;
    let is_day = column.kind == Some(Kind::Day) || iso.len() == DAY_CHARS;
    column.moments.spelt(millis, is_day)
}

fn is_identifier(column: &LayoutColumn) -> bool {
    let name = column.name.as_str();
    matches!(column.role, Role::Key(_))
        || column.kind == Some(Kind::Identifier)
        || name == "id"
        || name == "sku"
        || name.ends_with("_id")
}

fn long_identifier(text: &str, column: &LayoutColumn) -> Fault {
    Fault::cell(
        Some(column.name.clone()),
        &format!(
            "the number {text} has more than 15 digits, and no file of such numbers keeps more: write the column as text"
        ),
    )
}
