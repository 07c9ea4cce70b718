//! Touched keys: the records that a chunk changes, so that their mart groups can be marked.

use crate::feed::dataset::{Dataset, FeedKind};
use crate::transform::diff::Diff;
use crate::transform::project::Projected;
use crate::transform::table_rows::TableRows;
use std::collections::{BTreeSet, HashSet};

/// Keys of the records that a chunk touches.
#[derive(Debug)]
pub struct TouchedKeys {
    /// Keys of records that existed before.
    pub changed: Vec<String>,
    /// Keys of new records.
    pub new: Vec<String>,
    /// In a delta: unchanged records that this file confirms.
    pub confirmed: Vec<String>,
}

impl TouchedKeys {
    /// Collects the keys of a chunk from its modified records, its written lines, and the marked
    /// records that it restores.
    pub fn of(
        projected: &Projected,
        diff: &Diff,
        modified: &[u32],
        new_lines: Option<&TableRows>,
        modified_lines: Option<&TableRows>,
        revived: &[String],
        dataset: &Dataset,
    ) -> Self {
        let keys = &projected.keys;
        let mut is_new = vec![false; keys.len()];
        diff.records.new.iter().for_each(|&record| is_new[record] = true);
        let mut new: Vec<String> =
            diff.records.new.iter().map(|&record| keys[record].clone()).collect();
        new.sort_unstable();
        let of_lines = new_lines.into_iter().chain(modified_lines).flat_map(|lines| &lines.record);
        let records = modified.iter().chain(of_lines).map(|&record| record as usize);
        // A record that was restored or lost lines existed before.
        let mut changed: BTreeSet<&String> =
            records.filter(|&record| !is_new[record]).map(|record| &keys[record]).collect();
        changed.extend(revived.iter().chain(diff.removed_lines.iter().map(|(key, _)| key)));
        let written: HashSet<usize> = diff
            .records
            .new
            .iter()
            .copied()
            .chain(modified.iter().map(|&record| record as usize))
            .collect();
        let confirmed = match dataset.kind {
            FeedKind::Full => Vec::new(),
            // A row that is its own key needs no confirmation: no older version can differ from it.
            FeedKind::Delta if dataset.is_keyless() => Vec::new(),
            FeedKind::Delta => diff
                .winners
                .iter()
                .filter(|record| !written.contains(record))
                .map(|&record| keys[record].clone())
                .collect(),
        };
        Self { changed: changed.into_iter().cloned().collect(), new, confirmed }
    }
}
