//! Format: how a file is written. Its name says whether rows are cells or objects; its first rows
//! say what stands between cells and around them, unless the dataset says so.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::correction::corrected_paths;
use crate::feed::dataset::Dataset;
use crate::feed::encoding::Encoding;
use crate::feed::layout::declared_name;
use crate::feed::row_format::{CellTypes, Dialect, RowFormat};
use crate::source::rows::cells::{Cell, Split, is_blank, split_row};
use crate::source::rows::header::{HEADER_ROWS_MAX, MARK, hint};
use crate::source::text::cell_types;
use crate::source::text::compression::Compression;
use crate::source::text::content::{BLOCK_BYTES, Content, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What may stand between cells, the usual one first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What may stand around cells, the usual one first.
const QUOTES: [u8; 2] = [b'"', b'\''];

/// Rows after the header that are asked for the dialect: enough to tell, few enough to cost
/// nothing.
const SAMPLE_ROWS: usize = 100;

/// Share of the first rows that must fit only with an unusual quote before it is taken for one.
const UNUSUAL_SHARE_MIN: f64 = 0.2;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// How its bytes are packed.
    pub compression: Compression,
    /// How its characters are written as bytes.
    pub encoding: Encoding,
    /// How its rows are written as characters.
    pub rows: RowFormat,
}

impl std::fmt::Display for Format {
    /// `CSV with ; and ", windows-1252, gzip`
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rows {
            RowFormat::Json => formatter.write_str("JSON")?,
            RowFormat::Csv(Dialect { types: CellTypes::Sheet, .. }) => {
                return self.packed("Excel workbook", formatter);
            }
            RowFormat::Csv(Dialect { types: CellTypes::Columns, .. }) => {
                return self.packed("Parquet", formatter);
            }
            RowFormat::Csv(Dialect { delimiter: b'\t', quote, .. }) => {
                write!(formatter, "CSV with tab and {}", char::from(quote))?;
            }
            RowFormat::Csv(Dialect { delimiter, quote, .. }) => {
                write!(formatter, "CSV with {} and {}", char::from(delimiter), char::from(quote))?;
            }
        }
        write!(formatter, ", {}", self.encoding.name())?;
        match self.compression {
            Compression::None => Ok(()),
            compression => write!(formatter, ", {compression}"),
        }
    }
}

impl Format {
    fn packed(&self, name: &str, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(name)?;
        match self.compression {
            Compression::None => Ok(()),
            compression => write!(formatter, ", {compression}"),
        }
    }
}

/// How the rows of a text are written.
///
/// # Errors
///
/// When the file cannot be read.
pub fn find_row_format(
    content: &Content,
    dataset: &Dataset,
    limits: &Limits,
) -> Result<RowFormat, SyncError> {
    let (_, plain) = Compression::of(content.path());
    let types = cell_types(content.path());
    if !types.is_none() {
        return Ok(RowFormat::Csv(Dialect::typed(types, limits.row_bytes_max)));
    }
    match extension(plain).as_str() {
        "json" | "ndjson" | "jsonl" => Ok(RowFormat::Json),
        extension => {
            let usual = if extension == "tsv" { b'\t' } else { b',' };
            let mut window = Window::at(content, 0)?;
            // Only a second look shows that a small file ends with its first block.
            if window.rest().len() < BLOCK_BYTES {
                window.fill()?;
            }
            let is_correction = corrected_paths(&content.path().to_string_lossy()).is_some();
            Ok(RowFormat::Csv(find_dialect(&window, usual, dataset, is_correction, limits)))
        }
    }
}

/// Whether a file is one JSON text, which cannot be empty, rather than one a line.
pub fn is_document(path: &Path) -> bool {
    extension(Compression::of(path).1) == "json"
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The dialect under which most of the first rows make sense; the usual one if the rows show
/// nothing.
///
/// Rejects go out with commas, whatever the dataset says, and may come back from another program.
/// Apostrophes are not quotes there: they guard cells that a spreadsheet would take for formulas.
fn find_dialect(
    window: &Window<'_>,
    usual: u8,
    dataset: &Dataset,
    is_correction: bool,
    limits: &Limits,
) -> Dialect {
    let (set_delimiter, set_quote) = match is_correction {
        true => (None, Some(QUOTES[0])),
        false => (dataset.delimiter, dataset.quote),
    };
    let text = window.rest();
    // What the file itself says wins, like a byte order mark.
    let delimiters = match hint(text).map(|(delimiter, _)| delimiter).or(set_delimiter) {
        Some(delimiter) => vec![delimiter],
        None => {
            let mut delimiters = DELIMITERS.to_vec();
            delimiters.sort_by_key(|&delimiter| delimiter != usual);
            delimiters
        }
    };
    let quotes = set_quote.map_or(QUOTES.to_vec(), |quote| vec![quote]);
    let mut found: Option<(Evidence, Dialect)> = None;
    for &quote in &quotes {
        for &delimiter in delimiters.iter().filter(|&&delimiter| delimiter != quote) {
            let dialect = Dialect {
                delimiter,
                quote,
                row_bytes_max: limits.row_bytes_max,
                padding: 0,
                types: CellTypes::None,
            };
            let (mut evidence, padding) = Evidence::of(text, window.is_at_end(), dialect, dataset);
            // A few texts in apostrophes are no dialect, nor are rows that are broken under the
            // usual quote.
            if quote != quotes[0] && evidence.quoted_names == 0 {
                if evidence.quoting < UNUSUAL_SHARE_MIN {
                    continue;
                }
                evidence.fitting -= UNUSUAL_SHARE_MIN;
            }
            if found.as_ref().is_none_or(|(most, _)| evidence > *most) {
                found = Some((evidence, Dialect { padding, ..dialect }));
            }
        }
    }
    let usual = Dialect {
        delimiter: usual,
        quote: QUOTES[0],
        row_bytes_max: limits.row_bytes_max,
        padding: 0,
        types: CellTypes::None,
    };
    found.map_or(usual, |(_, dialect)| dialect)
}

/// What speaks for a dialect, the strongest first.
#[derive(Debug, PartialEq, PartialOrd)]
struct Evidence {
    /// The header has the key.
    has_key: bool,
    /// Columns of the header that the dataset names.
    declared: usize,
    /// The header's own cells stand in quotes.
    quoted_names: usize,
    /// Share of the first rows that have as many cells as the header, where that is more than one.
    fitting: f64,
    /// Columns of the header, where rows follow that fit them.
    columns: usize,
    /// Share of the first rows that fit and hold a delimiter in quotes.
    quoting: f64,
}

impl Evidence {
    /// What the first rows say, and the padding that most of them have beyond the header.
    fn of(text: &[u8], is_whole: bool, dialect: Dialect, dataset: &Dataset) -> (Self, usize) {
        let Some(Header { names, cells: header, quoted_names, sample }) =
            Header::find(text, is_whole, dialect, dataset)
        else {
            return (Self::none(), 0);
        };
        let named = names.len();
        let (mut rows, mut fitting, mut quoting) = (0_u32, 0_u32, 0_u32);
        let mut paddings: BTreeMap<usize, u32> = BTreeMap::new();
        let (mut sample, mut cells) = (sample, Vec::new());
        while rows < SAMPLE_ROWS as u32
            && let Some(row) = sample.next_row(&mut cells)
        {
            rows += 1;
            let is_padded =
                cells.len() > header && cells[named..].iter().all(|cell| cell.start == cell.end);
            let is_fitting =
                !row.is_broken && (is_padded || (named..=header).contains(&cells.len()));
            if is_padded && !row.is_broken {
                *paddings.entry(cells.len() - header).or_default() += 1;
            }
            let needs_quotes =
                |cell: &Cell| cell.is_quoted && cell.bytes(row.bytes).contains(&dialect.delimiter);
            fitting += u32::from(is_fitting);
            quoting += u32::from(is_fitting && cells.iter().any(needs_quotes));
        }
        let is_table = named > 1 && (rows == 0 || fitting > 0);
        let evidence = Self {
            has_key: dataset.has_key(&names),
            declared: names.iter().filter(|name| dataset.declares(name)).count(),
            quoted_names,
            fitting: if is_table { f64::from(fitting) / f64::from(rows.max(1)) } else { 0.0 },
            columns: if is_table { named } else { 0 },
            quoting: f64::from(quoting) / f64::from(rows.max(1)),
        };
        let padding = paddings
            .into_iter()
            .find(|&(_, padded)| 2 * padded > rows)
            .map_or(0, |(padding, _)| padding);
        (evidence, padding)
    }

    const fn none() -> Self {
        Self {
            has_key: false,
            declared: 0,
            quoted_names: 0,
            fitting: 0.0,
            columns: 0,
            quoting: 0.0,
        }
    }
}

/// The header of a text in one dialect.
struct Header<'a> {
    /// Its names, as the configuration writes them.
    names: Vec<String>,
    /// Its cells, unnamed ones at its end included.
    cells: usize,
    /// Those of them that stand in quotes.
    quoted_names: usize,
    /// The rows after it.
    sample: Sample<'a>,
}

impl<'a> Header<'a> {
    /// The row that the dataset recognises as the header, or the first one.
    fn find(text: &'a [u8], is_whole: bool, dialect: Dialect, dataset: &Dataset) -> Option<Self> {
        let text = text.strip_prefix(MARK).unwrap_or(text);
        let text = hint(text).map_or(text, |(_, hint_bytes)| &text[hint_bytes..]);
        let mut first = None;
        let mut sample = Sample { text, is_whole, dialect };
        for number in 0..HEADER_ROWS_MAX {
            let mut cells = Vec::new();
            let Some(row) = sample.next_row(&mut cells) else { break };
            if row.is_broken {
                // The reader takes no later row for the header where nothing tells which it is.
                if number == 0 && !dataset.knows_header() {
                    return None;
                }
                continue;
            }
            let is_named = |cell: &&Cell| !cell.bytes(row.bytes).trim_ascii().is_empty();
            let named = cells.iter().rposition(|cell| is_named(&cell)).map_or(0, |last| last + 1);
            let names = cells[..named].iter().map(|cell| {
                let text = String::from_utf8_lossy(cell.bytes(row.bytes)).into_owned();
                declared_name(&dialect.unquoted(&text, *cell))
            });
            let names: Vec<String> = names.collect();
            let is_found = !dataset.knows_header() || dataset.is_header(&names);
            let quoted_names = cells.iter().filter(|cell| cell.is_quoted).count();
            let header = Self { names, cells: cells.len(), quoted_names, sample };
            if is_found {
                return Some(header);
            }
            first.get_or_insert(header);
        }
        first
    }
}

/// The first rows of a text in one dialect.
#[derive(Clone, Copy)]
struct Sample<'a> {
    text: &'a [u8],
    is_whole: bool,
    dialect: Dialect,
}

struct Row<'a> {
    bytes: &'a [u8],
    is_broken: bool,
}

impl<'a> Sample<'a> {
    /// The next row that is not blank.
    fn next_row(&mut self, cells: &mut Vec<Cell>) -> Option<Row<'a>> {
        loop {
            let (end, next, is_broken) =
                match split_row(self.text, self.is_whole, self.dialect, cells) {
                    Split::Row { next: 0, .. } | Split::TooLong | Split::Incomplete => return None,
                    Split::Row { end, next, .. } => (end, next, false),
                    Split::Broken { end, next, .. } => (end, next, true),
                };
            let (row, rest) = self.text.split_at(next);
            self.text = rest;
            if is_broken || !is_blank(row, cells) {
                return Some(Row { bytes: &row[..end], is_broken });
            }
        }
    }
}
