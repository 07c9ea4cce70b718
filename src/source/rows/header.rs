//! Header: the row of names of a CSV file, and what may stand above it.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::declared_name;
use crate::feed::row_format::Dialect;
use crate::source::rows::cells::{Cell, Split, is_blank, split_row};
use crate::source::text::content::Window;
use memchr::memchr2;

/// A byte order mark in UTF-8.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// Rows among which the header is looked for, where the dataset says how to tell it: what stands
/// above one, such as a title and the time of the export, is a few lines.
pub const HEADER_ROWS_MAX: usize = 50;

/// The delimiter that Excel's `sep=;` in the first line names, and the bytes up to the end of that
/// line.
pub fn hint(text: &[u8]) -> Option<(u8, usize)> {
    let marked = if text.starts_with(MARK) { MARK.len() } else { 0 };
    let blank = text[marked..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let start = marked + blank;
    let end = start + memchr2(b'\n', b'\r', &text[start..]).unwrap_or(text.len() - start);
    let line = &text[start..end];
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let [s, e, p, b'=', delimiter] = line else { return None };
    [*s, *e, *p].eq_ignore_ascii_case(b"sep").then_some((*delimiter, end))
}

/// Reads the header, and whatever stands above it: the first row that is not blank, or, where the
/// dataset says how to tell it from others, the first of the first rows that is one.
///
/// # Errors
///
/// When there is none, or it is not text.
pub fn read_header(
    window: &mut Window<'_>,
    dialect: Dialect,
    dataset: &Dataset,
) -> Result<Vec<String>, SyncError> {
    if dialect.is_typed() {
        // A text in it is never a hint.
    } else if let Some((_, hint_bytes)) = hint(window.rest()) {
        window.advance(hint_bytes);
    } else if window.rest().starts_with(MARK) {
        window.advance(MARK.len());
    }
    let mut cells = Vec::new();
    // What the first row is taken for, if no row is known for the header: its names, and where the
    // next row begins.
    let mut first: Option<Result<(Vec<String>, usize), SyncError>> = None;
    let (mut ahead, mut rows) = (0, 0);
    while rows < HEADER_ROWS_MAX {
        let rest = &window.rest()[ahead..];
        let header = match split_row(rest, window.is_at_end(), dialect, &mut cells) {
            Split::Incomplete => {
                window.fill()?;
                continue;
            }
            Split::TooLong => {
                first.get_or_insert_with(|| {
                    Err(SyncError::damaged("the header is longer than row_bytes_max"))
                });
                break;
            }
            Split::Row { next: 0, .. } => break,
            Split::Broken { next, reason, .. } => {
                ahead += next;
                Err(SyncError::damaged(format!("the header cannot be read: {reason}")))
            }
            Split::Row { next, .. } => {
                ahead += next;
                // Blank lines may stand in front of it.
                if is_blank(rest, &cells) {
                    continue;
                }
                names(rest, &cells, dialect).map(|names| (names, ahead))
            }
        };
        rows += 1;
        let is_header = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| declared_name(name)).collect();
            dataset.is_header(&names)
        };
        if let Ok((names, ahead)) = &header
            && dataset.knows_header()
            && is_header(names)
        {
            let names = names.clone();
            window.advance(*ahead);
            return Ok(names);
        }
        first.get_or_insert(header);
        if !dataset.knows_header() {
            break;
        }
    }
    let (names, ahead) =
        first.unwrap_or_else(|| Err(SyncError::damaged("the file has no header")))?;
    window.advance(ahead);
    Ok(names)
}

fn names(row: &[u8], cells: &[Cell], dialect: Dialect) -> Result<Vec<String>, SyncError> {
    let text = |cell: &Cell| {
        let text = std::str::from_utf8(cell.bytes(row));
        text.map(|text| dialect.unquoted(text, *cell).into_owned())
    };
    let names: Result<Vec<String>, _> = cells.iter().map(text).collect();
    names.map_err(|_| SyncError::damaged("the header is not UTF-8 text"))
}
