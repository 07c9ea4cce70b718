//! Before images: versions of stored records that a change is about to end.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::ledger::history::{Change, Next, Version};
use crate::sink::tables::Tables;
use crate::sink::tables::known::KEYS_PER_QUERY;
use crate::sink::tables::stored_records::StoredRecords;
use crate::transform::record_json::write_records;
use std::collections::BTreeMap;

/// Longest text of a record that the history keeps: half of what MariaDB takes in one packet. A
/// record of `record_bytes_max` whose lines repeat long names of columns may be longer.
const RECORD_BYTES_MAX: usize = 8 << 20;

/// A change that ends versions of records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    pub dataset: &'a Dataset,
    pub market: &'a str,
    pub change: Change,
    /// The version behind those that end.
    pub next: Next,
    /// Records whose row is of this file are left out: nothing of them changes.
    pub unless_of_file: Option<i64>,
}

impl Tables {
    /// The stored versions of these records, which the change ends; nothing for keys that are not
    /// stored.
    pub(crate) async fn versions_ended(
        &self,
        ending: Ending<'_>,
        keys: &[String],
    ) -> Result<Vec<Version>, SyncError> {
        let mut versions = Vec::new();
        for keys in keys.chunks(KEYS_PER_QUERY) {
            let stored = self.stored_records(ending.dataset, ending.market, keys).await?;
            versions.extend(self.versions_of(ending, &stored).await?);
        }
        Ok(versions)
    }

    async fn versions_of(
        &self,
        ending: Ending<'_>,
        stored: &StoredRecords,
    ) -> Result<Vec<Version>, SyncError> {
        let Ending { dataset, market, change, next, unless_of_file } = ending;
        let wrote = files_of_records(stored);
        let since = self.ledger.stored_since(&dataset.table, market, &wrote).await?;
        let is_left_out = |row: usize| unless_of_file == Some(stored.records.file_ids[row]);
        let left_out: Vec<&String> = (0..stored.records.keys.len())
            .filter(|&row| is_left_out(row))
            .map(|row| &stored.records.keys[row])
            .collect();
        let version = |(key, record): (String, String)| {
            let since = since.get(&key).copied().unwrap_or_default();
            Version {
                written_by: since.written_by,
                valid_from_ms: since.valid_from_ms,
                change,
                record: Some(record).filter(|record| record.len() <= RECORD_BYTES_MAX),
                next,
                key,
            }
        };
        let mut written = write_records(&stored.records, stored.lines.as_ref());
        left_out.into_iter().for_each(|key| {
            written.remove(key);
        });
        Ok(written.into_iter().map(version).collect())
    }
}

/// For each record the file of its rows, if all have the same.
fn files_of_records(stored: &StoredRecords) -> BTreeMap<String, Option<i64>> {
    let records = stored.records.keys.iter().zip(&stored.records.file_ids);
    let lines = stored.lines.iter().flat_map(|lines| lines.keys.iter().zip(&lines.file_ids));
    let mut files: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for (key, &file_id) in records.chain(lines) {
        match files.get_mut(key) {
            None => {
                files.insert(key.clone(), Some(file_id));
            }
            Some(known) if *known != Some(file_id) => *known = None,
            Some(_) => {}
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::record_json::StoredRows;

    fn rows(rows: &[(&str, i64)]) -> StoredRows {
        StoredRows {
            keys: rows.iter().map(|(key, _)| (*key).to_owned()).collect(),
            file_ids: rows.iter().map(|&(_, file_id)| file_id).collect(),
            columns: Vec::new(),
        }
    }

    #[test]
    fn a_record_is_of_one_file_if_all_of_its_rows_are() {
        let stored = StoredRecords {
            records: rows(&[("a", 1), ("b", 1)]),
            lines: Some(rows(&[("a", 1), ("b", 2), ("b", 1)])),
        };
        let files = files_of_records(&stored);
        assert_eq!(files["a"], Some(1));
        assert_eq!(files["b"], None);
    }
}
