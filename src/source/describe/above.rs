//! Above: finds the header of a CSV file below a title and other rows that stand above it.

use crate::error::SyncError;
use crate::feed::layout::{column_name, declared_name};
use crate::feed::row_format::{CellTypes, Dialect};
use crate::source::rows::cells::{Split, split_row};
use crate::source::rows::header::{HEADER_ROWS_MAX, MARK, hint};
use crate::source::text::Text;
use crate::source::text::content::Window;
use std::collections::{BTreeMap, HashSet};

/// What may stand between cells.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Number of rows that show the usual count of cells.
const SAMPLE_ROWS: usize = 200;

/// Of 100 of them, those that must have it.
const USUAL_PERCENT_MIN: usize = 60;

/// Names that tell the header from other rows.
const NAMES_MAX: usize = 3;

/// Names of the header, where it is not the first row; none where it is, or where nothing tells
/// which row it is.
///
/// # Errors
///
/// When the file cannot be read.
pub fn names_of_lower_header(text: &Text, row_bytes_max: usize) -> Result<Vec<String>, SyncError> {
    let mut window = Window::at(&text.content, 0)?;
    // Only a second look shows that a small file ends with its first block.
    window.fill()?;
    let bytes = window.rest();
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let (delimiters, bytes) = match hint(bytes) {
        Some((delimiter, hint_bytes)) => (vec![delimiter], &bytes[hint_bytes..]),
        None => (DELIMITERS.to_vec(), bytes),
    };
    let samples = delimiters.into_iter().filter_map(|delimiter| {
        let dialect =
            Dialect { delimiter, quote: b'"', row_bytes_max, padding: 0, types: CellTypes::None };
        Sample::of(bytes, window.is_at_end(), dialect)
    });
    let best = samples.max_by_key(|sample| (sample.usual_percent / 20, sample.usual_cells));
    Ok(best.and_then(|sample| sample.lower_header()).unwrap_or_default())
}

/// The first rows of a text by one delimiter.
struct Sample {
    rows: Vec<Vec<String>>,
    /// Whether a row without any text stands above each of them.
    is_after_blank: Vec<bool>,
    /// The most usual count of cells.
    usual_cells: usize,
    usual_percent: usize,
}

impl Sample {
    fn of(bytes: &[u8], is_whole: bool, dialect: Dialect) -> Option<Self> {
        let (mut rest, mut cells, mut rows) = (bytes, Vec::new(), Vec::new());
        let (mut is_after_blank, mut was_blank) = (Vec::new(), false);
        while rows.len() < SAMPLE_ROWS {
            let next = match split_row(rest, is_whole, dialect, &mut cells) {
                Split::Row { next: 0, .. } | Split::TooLong | Split::Incomplete => break,
                Split::Row { next, .. } => next,
                Split::Broken { next, .. } => {
                    rest = &rest[next..];
                    continue;
                }
            };
            let row = cells.iter().map(|cell| {
                let text = String::from_utf8_lossy(cell.bytes(rest)).into_owned();
                dialect.unquoted(&text, *cell).trim().to_owned()
            });
            let row: Vec<String> = row.collect();
            let is_blank = row.iter().all(String::is_empty);
            if !is_blank {
                rows.push(row);
                is_after_blank.push(was_blank);
            }
            was_blank = is_blank;
            rest = &rest[next..];
        }
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *counts.entry(row.len()).or_default() += 1);
        let (usual_cells, count) =
            counts.into_iter().max_by_key(|&(cells, count)| (count, cells))?;
        let usual_percent = 100 * count / rows.len().max(1);
        Some(Self { rows, is_after_blank, usual_cells, usual_percent })
            .filter(|sample| sample.usual_cells > 1)
    }

    /// The names of the first row that may be the header, if the very first one is not.
    fn lower_header(&self) -> Option<Vec<String>> {
        let first = self.rows.first()?;
        let named = |row: &[String]| row.iter().filter(|cell| !cell.is_empty()).count();
        let is_title = 2 * named(first) <= self.usual_cells || self.is_padded_title();
        // A short file may have nearly as many rows above its header as below it.
        if !is_title
            || (self.usual_percent < USUAL_PERCENT_MIN && self.rows.len() > HEADER_ROWS_MAX)
        {
            return None;
        }
        let mut below = self.rows.iter().take(HEADER_ROWS_MAX).skip(1);
        let header = below.find(|row| self.may_be_header(row))?;
        let names: Vec<String> =
            header.iter().filter(|name| !column_name(name).is_empty()).cloned().collect();
        let mut seen = HashSet::new();
        let names = names.into_iter().filter(|name| seen.insert(declared_name(name)));
        Some(names.take(NAMES_MAX).collect())
    }

    /// Whether the first rows have as many cells as the others, but not as many names, and a blank
    /// row below them.
    fn is_padded_title(&self) -> bool {
        let named = |row: &Vec<String>| row.iter().filter(|cell| !cell.is_empty()).count();
        let below = self
            .is_after_blank
            .iter()
            .take(HEADER_ROWS_MAX)
            .skip(1)
            .position(|is_after_blank| *is_after_blank);
        let Some(header) = below.map(|below| below + 1) else { return false };
        let is_lacking = |row: &Vec<String>| named(row) < self.usual_cells;
        self.rows[..header].iter().all(is_lacking) && named(&self.rows[header]) == self.usual_cells
    }

    fn may_be_header(&self, row: &[String]) -> bool {
        let named = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let names: HashSet<&String> = row[..named].iter().collect();
        let is_name = |cell: &String| cell.contains(char::is_alphabetic);
        row.len() == self.usual_cells
            && 2 * named > self.usual_cells
            && names.len() == named
            && row[..named].iter().all(is_name)
    }
}
