//! SeenKeys: which records' rows stand apart in a file, in bounded memory.
//!
//! A Bloom filter of the keys seen so far. It may take a new key for a seen one. That record is
//! then gathered like one with scattered rows, which costs a little time and changes nothing else.

use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// Filter bits per byte of the file: a record is rarely under 64 bytes, so a key has some 16 bits.
const FILE_BYTES_PER_FILTER_BYTE: u64 = 32;
const FILTER_BYTES_MIN: u64 = 1 << 12;
const FILTER_BYTES_MAX: u64 = 1 << 24;
/// Probes for each key. Orders of several lines leave some 40 bits for a key; then a large file
/// usually has no false alarm, of which a single one costs another pass over the file. A stored
/// position depends on which records are scattered, so a change needs a new
/// `dataset::TRANSFORM_VERSION`.
const PROBES: u32 = 8;

/// With more scattered records than this, every record of the file is gathered, because a larger
/// set would need too much memory.
const SCATTERED_MAX: usize = 1 << 20;

/// Stable 64-bit hash of a record's key.
pub fn key_hash(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

/// The part of such a hash that an index of records keeps.
pub const fn short_key_hash(hash: u64) -> u32 {
    hash as u32
}

/// Collects the keys of runs of rows, and finds those that come again.
#[derive(Debug)]
pub struct SeenKeys {
    filter: Vec<u64>,
    scattered: Scattered,
    records: u64,
}

/// Hashes of the keys whose rows stand apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scattered {
    /// These ones.
    Keys(HashSet<u64>),
    /// Too many to list: treat all of them so.
    All,
}

impl Scattered {
    /// Whether the record's rows are gathered before they are projected.
    pub fn contains(&self, hash: u64) -> bool {
        match self {
            Self::Keys(keys) => keys.contains(&hash),
            Self::All => true,
        }
    }
}

impl SeenKeys {
    /// For a file of that size.
    pub fn new(file_bytes: u64) -> Self {
        let bytes = (file_bytes / FILE_BYTES_PER_FILTER_BYTE)
            .clamp(FILTER_BYTES_MIN, FILTER_BYTES_MAX)
            .next_power_of_two();
        Self {
            filter: vec![0; usize::try_from(bytes / 8).expect("at most 16 MiB")],
            scattered: Scattered::Keys(HashSet::new()),
            records: 0,
        }
    }

    /// Notes the start of a run of rows with the same key.
    pub fn observe_run(&mut self, hash: u64) {
        self.records += 1;
        if !self.insert(hash)
            && let Scattered::Keys(keys) = &mut self.scattered
        {
            keys.insert(hash);
            if keys.len() > SCATTERED_MAX {
                self.scattered = Scattered::All;
            }
        }
    }

    /// Whether the rows of the record that were met so far stand apart.
    pub fn is_scattered(&self, hash: u64) -> bool {
        self.scattered.contains(hash)
    }

    /// Whether the rows of any record stand apart.
    pub fn has_scattered(&self) -> bool {
        !matches!(&self.scattered, Scattered::Keys(keys) if keys.is_empty())
    }

    /// The keys whose rows stand apart, and the number of passes that gather them in memory pieces
    /// of `gather_bytes_max` out of a file of `file_bytes`.
    pub fn finish(self, file_bytes: u64, gather_bytes_max: u64) -> (Scattered, u32) {
        let share = match &self.scattered {
            Scattered::All => 1.0,
            // A record that came in several runs is larger than most: count it four times.
            Scattered::Keys(keys) => {
                (4.0 * keys.len() as f64 / self.records.max(1) as f64).min(1.0)
            }
        };
        let passes = match &self.scattered {
            Scattered::Keys(keys) if keys.is_empty() => 0,
            _ => (file_bytes as f64 * share / gather_bytes_max as f64).ceil().clamp(1.0, 65536.0)
                as u32,
        };
        (self.scattered, passes)
    }

    /// Whether the hash was new.
    fn insert(&mut self, hash: u64) -> bool {
        let bits = self.filter.len() as u64 * 64;
        let step = hash.rotate_left(32) | 1;
        let mut is_new = false;
        for probe in 0..u64::from(PROBES) {
            let bit = hash.wrapping_add(probe.wrapping_mul(step)) % bits;
            let word =
                &mut self.filter[usize::try_from(bit / 64).expect("below the filter's length")];
            is_new |= *word & (1 << (bit % 64)) == 0;
            *word |= 1 << (bit % 64);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_again_are_found_and_few_others() {
        let mut seen = SeenKeys::new(64 * 10_000);
        for key in 0..10_000 {
            seen.observe_run(key_hash(&key.to_string()));
        }
        seen.observe_run(key_hash("17"));
        let (scattered, passes) = seen.finish(64 * 10_000, 1 << 26);
        let Scattered::Keys(keys) = scattered else { panic!("few keys are scattered") };
        assert!(keys.contains(&key_hash("17")));
        assert!(keys.len() < 200, "{} false alarms", keys.len());
        assert_eq!(passes, 1);
    }
}
