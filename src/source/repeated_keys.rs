//! Repeated keys: where each record is one row, rows with one key must hold the same, unless the
//! dataset says which counts.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, RepeatedKeys};
use crate::feed::layout::{Layout, Role};
use crate::feed::row_format::RowFormat;
use crate::source::rows::cells::split_row;
use crate::source::rows::{Form, Part, RowRef, Rows};
use crate::source::seen_keys::{SeenKeys, key_hash};
use crate::values::cell::trimmed;
use entity::Kind;
use std::collections::HashMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Refuses a file in which rows with the same key differ, although a key must identify one record.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the first such key, and when the file cannot be read.
pub fn check_repeated(
    rows: &mut Rows<'_>,
    seen: &SeenKeys,
    format: RowFormat,
    dataset: &Dataset,
    layout: &Layout,
) -> Result<(), SyncError> {
    let has_objects = format == RowFormat::Json && dataset.json.lines.is_some();
    let is_asked = (dataset.lines.is_none() || has_objects)
        && !dataset.is_keyless()
        && dataset.repeated_keys == RepeatedKeys::Quarantine
        && !layout.is_correction();
    if !is_asked {
        return Ok(());
    }
    let mut first = Firsts { seen, apart: HashMap::new(), above: None, dataset };
    let mut held: Option<Held> = None;
    while let Some(row) = rows.next_row()? {
        let is_broken = matches!(row.form, Form::Broken(_));
        let is_later_line = matches!(row.part, Part::LaterLine { .. });
        let content = if is_broken { 0 } else { content_hash(&row, format, layout) };
        match (&mut held, row.key) {
            (Some(held), _) if is_later_line => {
                held.is_broken |= is_broken;
                held.content =
                    xxh3_64(&[held.content.to_le_bytes(), content.to_le_bytes()].concat());
            }
            (_, key) => {
                held.take().map_or(Ok(()), |held| first.compare(&held))?;
                held = key.map(|key| Held { key, number: row.number, content, is_broken });
            }
        }
    }
    held.map_or(Ok(()), |held| first.compare(&held))
}

/// A row, or an object with all of its lines.
struct Held {
    key: String,
    number: u64,
    content: u64,
    is_broken: bool,
}

/// The first row of each record, and its digest.
struct Firsts<'a> {
    seen: &'a SeenKeys,
    /// Of each record whose rows stand apart.
    apart: HashMap<u64, (u64, u64)>,
    /// Of the record above.
    above: Option<(u64, (u64, u64))>,
    dataset: &'a Dataset,
}

impl Firsts<'_> {
    fn compare(&mut self, held: &Held) -> Result<(), SyncError> {
        if held.is_broken {
            return Ok(());
        }
        let hash = key_hash(&held.key);
        let own = (held.number, held.content);
        let first = match self.above {
            Some((above_hash, first)) if above_hash == hash => first,
            _ if self.seen.is_scattered(hash) => *self.apart.entry(hash).or_insert(own),
            _ => own,
        };
        self.above = Some((hash, first));
        match first.1 == own.1 {
            true => Ok(()),
            false => Err(self.differs(&held.key, first.0, own.0)),
        }
    }

    fn differs(&self, key: &str, first: u64, second: u64) -> SyncError {
        let name = &self.dataset.name;
        let what = match self.dataset.json.lines {
            Some(_) => format!("stands in two objects, at rows {first} and {second}, which differ"),
            None => format!("stands in rows {first} and {second}, which differ"),
        };
        let lines = match self.dataset.json.lines {
            Some(_) => "",
            None => "; if rows are lines of a record, set `lines_table`",
        };
        SyncError::damaged(format!(
            "the key `{key}` {what}: if the last or the first one counts, set `repeated_keys = \"last\"` or `\"first\"` \
             of dataset {name}{lines}"
        ))
    }
}

/// Digest of what a row's cells hold, however they are quoted and whatever stands for no value in
/// them.
fn content_hash(row: &RowRef<'_>, format: RowFormat, layout: &Layout) -> u64 {
    let bytes = match &row.form {
        Form::Rewritten { bytes, .. } => bytes,
        _ => row.raw,
    };
    let RowFormat::Csv(dialect) = format else {
        // Parsed, so that white space between members does not count.
        let object: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
        return object
            .map_or_else(|| xxh3_64(bytes), |object| xxh3_64(object.to_string().as_bytes()));
    };
    let (mut cells, mut hasher) = (Vec::new(), Xxh3::new());
    split_row(bytes, true, dialect, &mut cells);
    for (index, column) in layout.all().enumerate() {
        let Some(&cell) = cells.get(layout.source(index)) else { continue };
        let text = String::from_utf8_lossy(cell.bytes(bytes));
        let text = dialect.unquoted(&text, cell);
        let is_stored = !matches!(column.role, Role::Padding | Role::Note | Role::Ignored);
        let meaning = column.meaning(&text).filter(|_| is_stored).unwrap_or_default();
        // Text is stored with the white space around it, and so may be what has no kind yet.
        let is_text = matches!(column.role, Role::Column(_))
            && matches!(column.kind, None | Some(Kind::Text));
        let text = if is_text { meaning } else { trimmed(meaning) };
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.digest()
}
