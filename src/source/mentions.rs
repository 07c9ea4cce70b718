//! Mentions: the keys of all records that a file mentions, also of those it could not bring in, as
//! 128-bit hashes in bounded memory.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use crate::source::reader::rows_at;
use crate::source::text::content::Content;
use xxhash_rust::xxh3::xxh3_128;

/// The mentioned keys whose hashes lie in a range. Keys that do not fit in memory are left to
/// another pass over the file.
#[derive(Debug)]
pub struct Mentions {
    /// First hash of the range.
    pub first: u128,
    /// Last hash of the range.
    last: u128,
    hashes: Vec<u128>,
    hashes_max: usize,
    /// Rows that cannot be loaded and do not say to which record they belong.
    pub rows_without_key: u64,
}

impl Mentions {
    /// Reads a file for the keys from a hash on, as many as memory may hold. Keys that an operator
    /// typed into its rejects are mentioned too.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or changed.
    pub fn read(
        content: &Content,
        format: RowFormat,
        layout: &Layout,
        dataset: &Dataset,
        limits: &Limits,
        corrected: &[String],
        first: u128,
    ) -> Result<Self, SyncError> {
        let hashes_max =
            usize::try_from(limits.gather_bytes_max).unwrap_or(usize::MAX) / size_of::<u128>();
        let mut mentions = Self::new(first, hashes_max);
        let mut rows = rows_at(content, format, layout, dataset, limits, 0, 0)?;
        let mut run = String::new();
        while let Some(row) = rows.next_row()? {
            mentions.rows_without_key += u64::from(row.is_of_unknown_record());
            match row.key {
                Some(key) if key != run => {
                    mentions.note(xxh3_128(key.as_bytes()));
                    run = key;
                }
                _ => {}
            }
        }
        corrected.iter().for_each(|key| mentions.note(xxh3_128(key.as_bytes())));
        content.check_unchanged()?;
        mentions.sort();
        Ok(mentions)
    }

    const fn new(first: u128, hashes_max: usize) -> Self {
        Self { first, last: u128::MAX, hashes: Vec::new(), hashes_max, rows_without_key: 0 }
    }

    /// Where the next range starts; `None` after the last one.
    pub const fn next_first(&self) -> Option<u128> {
        self.last.checked_add(1)
    }

    /// Whether the file mentions a record; `None` when its hash is not in the range.
    pub fn contains(&self, key: &str) -> Option<bool> {
        let hash = xxh3_128(key.as_bytes());
        (self.first..=self.last).contains(&hash).then(|| self.hashes.binary_search(&hash).is_ok())
    }

    fn note(&mut self, hash: u128) {
        if !(self.first..=self.last).contains(&hash) {
            return;
        }
        self.hashes.push(hash);
        if self.hashes.len() < self.hashes_max {
            return;
        }
        self.sort();
        // These are many different keys, not few repeated ones: leave the upper half to a later
        // pass.
        let half = self.hashes_max / 2;
        if self.hashes.len() > half && half > 0 {
            self.hashes.truncate(half);
            self.last = self.hashes[half - 1];
        }
    }

    fn sort(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_memory_holds_cover_every_key_once() {
        let keys: Vec<String> = (0..1000).map(|key| (key % 700).to_string()).collect();
        let (mut found, mut passes, mut first) = (0, 0, Some(0));
        while let Some(start) = first {
            let mut mentions = Mentions::new(start, 64);
            keys.iter().for_each(|key| mentions.note(xxh3_128(key.as_bytes())));
            mentions.sort();
            assert!(mentions.hashes.len() <= 64);
            for key in 0..1000 {
                let is_mentioned = mentions.contains(&key.to_string());
                assert!(
                    is_mentioned.is_none_or(|is_mentioned| is_mentioned == (key < 700)),
                    "{key}"
                );
                found += usize::from(is_mentioned.is_some());
            }
            passes += 1;
            first = mentions.next_first();
        }
        assert_eq!(found, 1000);
        assert!((700 / 64..60).contains(&passes), "{passes} passes");
    }
}
