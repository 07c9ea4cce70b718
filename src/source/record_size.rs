//! RecordSize: how much a file has of a record, and how much of one may be in memory.

use crate::config::Limits;
use crate::error::SyncError;
use crate::source::rows::Rows;
use crate::source::seen_keys::key_hash;
use std::collections::{HashMap, HashSet};

/// How much there is of a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordSize {
    /// Rows.
    pub rows: u64,
    /// Bytes of its rows, with what ends them.
    pub bytes: u64,
}

impl RecordSize {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }

    /// Whether memory may hold that much.
    pub const fn is_within(self, limits: &Limits) -> bool {
        self.rows <= limits.record_rows_max as u64 && self.bytes <= limits.record_bytes_max
    }
}

/// A record is in memory as a whole, and takes many times its text there.
///
/// # Errors
///
/// [`SyncError::Damaged`] when it has more than it may.
pub fn check_record(
    key: &str,
    size: RecordSize,
    row_number: u64,
    limits: &Limits,
) -> Result<(), SyncError> {
    let Limits { record_rows_max, record_bytes_max, .. } = limits;
    if size.rows > *record_rows_max as u64 {
        return Err(SyncError::damaged(format!(
            "record `{key}` has more rows than record_rows_max allows ({record_rows_max}) at row {row_number}"
        )));
    }
    if size.bytes > *record_bytes_max {
        return Err(SyncError::damaged(format!(
            "record `{key}` has more bytes than record_bytes_max allows ({record_bytes_max}) at row {row_number}"
        )));
    }
    Ok(())
}

/// Adds up the rows of some records, anywhere in the file.
///
/// # Errors
///
/// As [`check_record`], and when the file cannot be read.
pub fn check_scattered(
    rows: &mut Rows<'_>,
    suspects: &HashSet<u64>,
    limits: &Limits,
) -> Result<(), SyncError> {
    let mut sizes: HashMap<u64, RecordSize> = HashMap::new();
    while let Some(row) = rows.next_row()? {
        let Some(key) = row.key.as_ref().filter(|key| suspects.contains(&key_hash(key))) else {
            continue;
        };
        let size = sizes.entry(key_hash(key)).or_default();
        *size = size.plus(RecordSize { rows: 1, bytes: row.whole.len() as u64 });
        check_record(key, *size, row.number, limits)?;
    }
    Ok(())
}
