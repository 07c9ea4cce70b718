//! By header: finds the dataset of a file that no path matches. All names of `header_has` stand in
//! its header.

use crate::config::Limits;
use crate::feed::correction::{corrected_paths, stem};
use crate::feed::dataset::{Dataset, Route};
use crate::feed::encoding::Encoding;
use crate::feed::json_settings::JsonSettings;
use crate::feed::layout::declared_name;
use crate::feed::row_format::{CellTypes, Dialect};
use crate::feed::stamp::Stamp;
use crate::source::find::beneath::open_file;
use crate::source::find::members::{Members, members};
use crate::source::find::path_text::{path_of, path_text};
use crate::source::find::zipped;
use crate::source::find::zipped::{member_of, stamp_at};
use crate::source::rows::cells::{Split, split_row};
use crate::source::rows::header::HEADER_ROWS_MAX;
use crate::source::text::compression::Compression;
use crate::source::text::content::Content;
use crate::source::text::encoding::{Guess, Guessed, Transcoder};
use crate::source::text::{cell_types, columnar, unpack, workbook};
use crate::values::moment::last_day;
use entity::IDENTIFIER_CHARS_MAX;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a file that are looked at: more than any header and the rows above it have.
const LOOKED_BYTES: u64 = 64 << 10;

/// The same of a JSON file of whose first object these are only a part, or that they do not tell:
/// an order of some thousand lines, behind which other names stand.
const LOOKED_JSON_BYTES: u64 = 8 << 20;

/// Files of which is remembered what their header said, so that no scan opens them again: an inbox
/// of more is opened anew.
const REMEMBERED_MAX: usize = 10_000;

/// Ends of names of files that are opened for it.
const EXTENSIONS: [&str; 8] = ["csv", "tsv", "txt", "json", "ndjson", "jsonl", "xlsx", "parquet"];

/// What a header says.
#[derive(Clone, Debug)]
pub enum ByHeader {
    /// The header identifies no dataset.
    None,
    /// It is of this one.
    Of(Arc<Dataset>, Route),
    /// It may be of any of several.
    Tie(String),
}

/// What the header of a file says, if any dataset asks for one. A corrected copy is of the dataset
/// of the file that it corrects: it has only the columns of the rows that were rejected.
pub fn by_header(
    root: &Path,
    path: &Path,
    stamp: Stamp,
    datasets: &[Arc<Dataset>],
    limits: &Limits,
) -> ByHeader {
    let Some(corrected) = corrected_paths(&path_text(path)) else {
        return by_own_header(root, path, stamp, datasets, limits);
    };
    let of_corrected = corrected.iter().filter_map(|path| {
        let path = path_of(path);
        let stamp = stamp_at(root, &path, limits).ok()??;
        match by_own_header(root, &path, stamp, datasets, limits) {
            ByHeader::Of(dataset, _) => Some(dataset),
            ByHeader::None | ByHeader::Tie(_) => None,
        }
    });
    let mut of_corrected: Vec<Arc<Dataset>> = of_corrected.collect();
    of_corrected.dedup_by(|one, other| one.name == other.name);
    match of_corrected.as_slice() {
        [dataset] => ByHeader::Of(Arc::clone(dataset), route(root, path)),
        // The file is gone, or there are several of its name.
        _ => by_own_header(root, path, stamp, datasets, limits),
    }
}

fn by_own_header(
    root: &Path,
    path: &Path,
    stamp: Stamp,
    datasets: &[Arc<Dataset>],
    limits: &Limits,
) -> ByHeader {
    let (compression, plain) = Compression::of(path);
    let extension = plain
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let is_asked = datasets.iter().any(|dataset| !dataset.header_has.is_empty());
    if !is_asked || !EXTENSIONS.contains(&extension.as_str()) {
        return ByHeader::None;
    }
    let shapes = if extension.contains("json") { json_shapes(datasets) } else { vec![None] };
    let mut matching = Vec::new();
    let looks = if extension.contains("json") {
        &[LOOKED_BYTES, LOOKED_JSON_BYTES][..]
    } else {
        &[LOOKED_BYTES]
    };
    for &bytes_max in looks {
        let file = Looked { root, path, stamp, compression, limits };
        let Some(headers) = headers(&file, &shapes, bytes_max) else {
            return ByHeader::None;
        };
        let has = |dataset: &&Arc<Dataset>| {
            let of_dataset =
                |header: &&Header| header.json.as_ref().is_none_or(|json| *json == dataset.json);
            headers.names.iter().filter(of_dataset).any(|header| dataset.has_header(&header.names))
        };
        matching = datasets.iter().filter(has).collect::<Vec<&Arc<Dataset>>>();
        // The object is cut off, and another dataset may ask for names after the cut.
        if headers.is_whole || !matching.is_empty() && headers.has_whole_object {
            break;
        }
    }
    let most = matching.iter().map(|dataset| dataset.header_has.len()).max().unwrap_or_default();
    matching.retain(|dataset| dataset.header_has.len() == most);
    match matching.as_slice() {
        [] => ByHeader::None,
        [dataset] => match route(root, path) {
            // A market is part of every key, and no database would take a longer one.
            route if route.market.chars().count() > IDENTIFIER_CHARS_MAX => ByHeader::None,
            route => ByHeader::Of(dataset.of_market(&route.market), route),
        },
        several => {
            let names: Vec<&str> = several.iter().map(|dataset| dataset.name.as_str()).collect();
            ByHeader::Tie(format!(
                "its header has all names that `header_has` of {} asks for; rename it so that the paths of one match it, or give one of \
                 them another name in `header_has`",
                names.join(" and of ")
            ))
        }
    }
}

/// The market is the folder that the file or its archive lies in, and the day is the last one in
/// its name.
fn route(root: &Path, path: &Path) -> Route {
    let archive = member_of(root, path).map(|(archive, _)| archive);
    let lies_at = archive.as_deref().unwrap_or(path);
    let folder = lies_at.parent().filter(|folder| *folder != root).and_then(Path::file_name);
    let text = path_text(path);
    let day = |path: &Path| path.file_name().and_then(|name| last_day(&name.to_string_lossy()));
    let corrects = corrected_paths(&text).map(|_| stem(&text).to_owned());
    Route {
        market: folder.map(|folder| path_text(Path::new(folder))).unwrap_or_default(),
        // A day in the name is that of the export: what an operator corrects afterwards is newer.
        date: day(path).or_else(|| day(archive.as_deref()?)).filter(|_| corrects.is_none()),
        corrects,
    }
}

/// What may be the header of a file, as far as it was looked at.
struct Headers {
    names: Vec<Header>,
    /// How far that is.
    bytes_max: u64,
    /// Whether that is all of it.
    is_whole: bool,
    /// Whether at least one object of a JSON file is complete, if a shape finds any.
    has_whole_object: bool,
}

/// A file that is looked into.
struct Looked<'a> {
    root: &'a Path,
    path: &'a Path,
    stamp: Stamp,
    compression: Compression,
    limits: &'a Limits,
}

impl Looked<'_> {
    /// Its content, unpacked.
    fn unpacked(&self) -> Option<Content> {
        let content = Content::open(self.root, self.path, self.limits).ok()?;
        match self.compression {
            Compression::None => Some(content),
            packed => unpack(content, packed, self.limits, &self.limits.spool_dir).ok(),
        }
    }
}

/// What a file said, and which version of it.
type Remembered = (Stamp, Arc<Headers>);

/// What may be the header of a file.
struct Header {
    /// Of a JSON file, where its records and their lines are taken to be.
    json: Option<JsonSettings>,
    names: Vec<String>,
}

/// Where datasets have their records in JSON files, each once.
fn json_shapes(datasets: &[Arc<Dataset>]) -> Vec<Option<JsonSettings>> {
    let asking = datasets.iter().filter(|dataset| !dataset.header_has.is_empty());
    let mut shapes: Vec<Option<JsonSettings>> = Vec::new();
    for dataset in asking {
        if !shapes.iter().flatten().any(|shape| *shape == dataset.json) {
            shapes.push(Some(dataset.json.clone()));
        }
    }
    shapes
}

/// What may be the header of a file: rows of cells, or the members of objects for each shape of a
/// JSON file.
fn headers(
    file: &Looked<'_>,
    shapes: &[Option<JsonSettings>],
    bytes_max: u64,
) -> Option<Arc<Headers>> {
    let &Looked { path, stamp, .. } = file;
    static REMEMBERED: Mutex<Option<HashMap<PathBuf, Remembered>>> = Mutex::new(None);
    let remembered = || REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    // Datasets may have come since.
    let has_all = |headers: &Headers| {
        shapes
            .iter()
            .flatten()
            .all(|shape| headers.names.iter().any(|header| header.json.as_ref() == Some(shape)))
    };
    if let Some((known, headers)) = remembered().get_or_insert_default().get(path)
        && *known == stamp
        && (headers.is_whole || headers.bytes_max >= bytes_max)
        && has_all(headers)
    {
        return Some(Arc::clone(headers));
    }
    let headers = match cell_types(path) {
        CellTypes::None => headers_of_text(file, shapes, bytes_max)?,
        types => headers_of_table(file, types, bytes_max)?,
    };
    let headers = Arc::new(headers);
    let mut remembered = remembered();
    let files = remembered.get_or_insert_default();
    if files.len() >= REMEMBERED_MAX {
        files.clear();
    }
    files.insert(path.to_owned(), (stamp, Arc::clone(&headers)));
    Some(headers)
}

/// The same of a file that is text.
fn headers_of_text(
    file: &Looked<'_>,
    shapes: &[Option<JsonSettings>],
    bytes_max: u64,
) -> Option<Headers> {
    let path = file.path;
    let bytes = beginning(file, bytes_max).ok()?;
    let text = decoded(&bytes);
    let mut has_whole_object = false;
    let of_shape = |shape: &Option<JsonSettings>| match shape {
        Some(json) => {
            let Members { names, has_whole_object: is_whole } = members(&text, json);
            has_whole_object |= is_whole;
            vec![Header { json: Some(json.clone()), names: names.into_iter().collect() }]
        }
        None => {
            let is_correction = corrected_paths(&path_text(path)).is_some();
            let rows = rows(text.as_bytes(), is_correction);
            rows.into_iter().map(|names| Header { json: None, names }).collect()
        }
    };
    let names = shapes.iter().flat_map(of_shape).collect();
    let is_whole = (bytes.len() as u64) < bytes_max;
    Some(Headers { names, bytes_max, is_whole, has_whole_object })
}

/// The same of a workbook, of the first rows of each sheet, or of a columnar file.
fn headers_of_table(file: &Looked<'_>, types: CellTypes, bytes_max: u64) -> Option<Headers> {
    let rows = match types {
        CellTypes::Columns => vec![columnar::names(&Arc::new(file.unpacked()?)).ok()?],
        _ => workbook::first_rows(&file.unpacked()?, file.limits).ok()?,
    };
    let header = |row: Vec<String>| Header {
        json: None,
        names: row.iter().map(|name| declared_name(name)).collect(),
    };
    let names = rows.into_iter().map(header).collect();
    Some(Headers { names, bytes_max, is_whole: true, has_whole_object: false })
}

fn beginning(file: &Looked<'_>, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let packed: Box<dyn Read> = match member_of(file.root, file.path) {
        None => Box::new(open_file(file.root, file.path)?),
        Some((archive, name)) => {
            Box::new(Cursor::new(zipped::beginning(file.root, &archive, name, bytes_max)?))
        }
    };
    let mut bytes = Vec::new();
    let read = match file.compression {
        Compression::None => packed.take(bytes_max).read_to_end(&mut bytes),
        Compression::Gzip => {
            flate2::read::MultiGzDecoder::new(packed).take(bytes_max).read_to_end(&mut bytes)
        }
        Compression::Zstd => zstd::Decoder::new(packed)?.take(bytes_max).read_to_end(&mut bytes),
    };
    // The readable part of a damaged file may be enough.
    if bytes.is_empty() { read.map(|_| bytes) } else { Ok(bytes) }
}

/// Names are told in any encoding: letters beyond ASCII of others than UTF-8 and UTF-16 match
/// nothing.
fn decoded(bytes: &[u8]) -> String {
    let mut guess = Guess::default();
    guess.observe(bytes);
    let mut text = Vec::new();
    match guess.mark().map_or_else(|| guess.guessed(), Guessed::Is) {
        Guessed::Is(encoding @ (Encoding::Utf16Le | Encoding::Utf16Be)) => {
            Transcoder::new(encoding).transcode(bytes, &mut text);
        }
        _ => text.extend(bytes),
    }
    String::from_utf8_lossy(&text).trim_start_matches('\u{feff}').to_owned()
}

/// The first rows by each delimiter. The columns of a corrected copy may be members of objects or
/// of lines, as `items.price`: then it has `items` too, which the JSON file that it corrects may
/// be known by.
fn rows(text: &[u8], is_correction: bool) -> Vec<Vec<String>> {
    let mut headers = Vec::new();
    for delimiter in [b',', b';', b'\t', b'|'] {
        let dialect = Dialect {
            delimiter,
            quote: b'"',
            row_bytes_max: text.len(),
            padding: 0,
            types: CellTypes::None,
        };
        let (mut rest, mut cells) = (text, Vec::new());
        let mut rows = 0;
        while rows < HEADER_ROWS_MAX {
            let (next, is_row) = match split_row(rest, true, dialect, &mut cells) {
                Split::Row { next: 0, .. } | Split::TooLong | Split::Incomplete => break,
                Split::Row { next, .. } => (next, true),
                Split::Broken { next, .. } => (next, false),
            };
            if is_row && cells.len() > 1 {
                let mut names = Vec::new();
                for cell in &cells {
                    let text = String::from_utf8_lossy(cell.bytes(rest));
                    let text = dialect.unquoted(&text, *cell);
                    let outer = text.match_indices('.').filter(|_| is_correction);
                    names.extend(outer.map(|(dot, _)| declared_name(&text[..dot])));
                    names.push(declared_name(&text));
                }
                headers.push(names);
            }
            rows += u32::from(cells.iter().any(|cell| cell.start < cell.end)) as usize;
            rest = &rest[next..];
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_below_other_rows() {
        let has = |headers: Vec<Vec<String>>, names: &[&str]| {
            headers
                .iter()
                .any(|header| names.iter().all(|name| header.iter().any(|other| other == name)))
        };
        assert!(has(
            rows(b"Orders of May\n\nOrder ID;Total (net)\n1;2\n", false),
            &["order_id", "total_net"]
        ));
        assert!(!has(rows(b"Order ID\nTotal\n", false), &["order_id", "total"]));
        let of_copy = b"id,items.tax.rate\n1,2\n";
        assert!(has(rows(of_copy, true), &["id", "items", "items_tax", "items_tax_rate"]));
        assert!(!has(rows(of_copy, false), &["items"]));
    }
}
