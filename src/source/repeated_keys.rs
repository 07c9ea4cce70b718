//! Repeated keys: where each record is one row, rows with one key must hold the same, unless the dataset says which counts.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, RepeatedKeys};
use crate::feed::layout::{Layout, Role};
use crate::feed::row_format::RowFormat;
use crate::source::rows::cells::split_row;
use crate::source::rows::{Form, RowRef, Rows};
use crate::source::seen_keys::{SeenKeys, key_hash};
use std::collections::HashMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Refuses a file in which a key that is to be one stands in rows that differ.
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
    let is_asked = dataset.lines.is_none()
        && !dataset.is_keyless()
        && dataset.repeated_keys == RepeatedKeys::Quarantine
        && !layout.is_correction();
    if !is_asked {
        return Ok(());
    }
    // The first row of each record whose rows stand apart, and of the record above: its number,
    // and what it holds.
    let mut apart: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut above: Option<(u64, (u64, u64))> = None;
    while let Some(row) = rows.next_row()? {
        let Some(key) = row.key.as_ref().filter(|_| !matches!(row.form, Form::Broken(_))) else { continue };
        let hash = key_hash(key);
        let own = (row.number, content_hash(&row, format, dataset, layout));
        let first = match above {
            Some((above_hash, first)) if above_hash == hash => first,
            _ if seen.is_scattered(hash) => *apart.entry(hash).or_insert(own),
            _ => own,
        };
        if first.1 != own.1 {
            return Err(SyncError::damaged(format!(
                "the key `{key}` stands in rows {} and {}, which differ: if the last or the first one counts, set \
                 `repeated_keys = \"last\"` or `\"first\"` of dataset {}; if rows are lines of a record, set `lines_table`",
                first.0, own.0, dataset.name
            )));
        }
        above = Some((hash, first));
    }
    Ok(())
}

/// Digest of what a row's cells hold, however they are quoted and whatever stands for no value in
/// them.
fn content_hash(row: &RowRef<'_>, format: RowFormat, dataset: &Dataset, layout: &Layout) -> u64 {
    let bytes = match &row.form {
        Form::Rewritten { bytes, .. } => bytes,
        _ => row.raw,
    };
    let RowFormat::Csv(dialect) = format else {
        // Without the white space between members.
        let object: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
        return object.map_or_else(|| xxh3_64(bytes), |object| xxh3_64(object.to_string().as_bytes()));
    };
    let (mut cells, mut hasher) = (Vec::new(), Xxh3::new());
    split_row(bytes, true, dialect, &mut cells);
    for (&cell, column) in cells.iter().zip(&layout.columns) {
        let text = String::from_utf8_lossy(cell.bytes(bytes));
        let text = dialect.unquoted(&text, cell);
        let text = if dataset.null_tokens.matches(&text) || column.role == Role::Padding { "" } else { &*text };
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.digest()
}
