//! Skips: the runs of a file with only unchanged records, which are in the file as they were in the
//! last export. They count, and are passed by.

use crate::chunk::{Entry, RecordDigest, Skip, SkipCounts};
use crate::feed::dataset::Dataset;
use crate::feed::layout::Shapes;
use crate::feed::row_format::RowFormat;
use crate::source::seen_keys::{Scattered, short_key_hash};
use crate::source::unchanged::record_index::{Lookup, Origin, RecordIndex, RecordIndexes};
use std::collections::HashSet;
use std::ops::Range;

/// Runs of a file; beyond that many the rest of it is read: a file that is changed all over gains
/// nothing by skipping, and this many take a few megabytes.
const SKIPS_MAX: usize = 1 << 16;

/// Entries that are read from the index at once.
const ENTRIES_PER_READ: u32 = 1 << 12;

/// Which index may know a file's records.
#[derive(Clone, Debug)]
pub struct IndexPlace {
    /// Where indexes are.
    pub indexes: RecordIndexes,
    /// The market.
    pub market: String,
    /// Generation of the stored rows; `None` where they have none yet.
    pub generation: Option<String>,
}

impl IndexPlace {
    /// The index that is there for a file with these columns, and what it rests on.
    pub fn load(
        &self,
        dataset: &Dataset,
        shapes: &Shapes,
        header: &[String],
        format: RowFormat,
    ) -> Option<(Origin, RecordIndex)> {
        let origin = origin(dataset, shapes, header, format, self.generation.as_ref()?);
        let index = self.indexes.load(&dataset.table, &self.market, &origin)?;
        (!index.is_empty()).then_some((origin, index))
    }
}

/// Digest of all inputs that decide how a row is stored.
pub fn origin(
    dataset: &Dataset,
    shapes: &Shapes,
    header: &[String],
    format: RowFormat,
    generation: &str,
) -> Origin {
    let lines = dataset.lines.as_ref().and_then(|lines| shapes.get(&lines.table));
    // How the same text is read.
    let forms = dataset.number_forms().iter();
    let forms = forms.map(|(column, form)| (column, form.decimal, form.taken, &form.currency));
    let forms: Vec<_> = forms.collect();
    Origin::new(
        &dataset.fingerprint,
        &(shapes.get(&dataset.table), lines, header, format, forms),
        generation,
    )
}

/// The runs of a file that need not be read.
#[derive(Debug, Default)]
pub struct Skips {
    /// In the order of the file.
    pub runs: Vec<Skip>,
    /// Where their records are, and the inputs of the index.
    pub known: Option<(Origin, RecordIndex)>,
}

/// Records that may be skipped, one after the other in the file as in the index.
#[derive(Clone, Debug)]
struct Found {
    start: u64,
    end: u64,
    entries: Range<u32>,
}

/// Collects what can be skipped while a file is looked at.
#[derive(Debug)]
pub struct Candidates<'a> {
    lookup: Lookup<'a>,
    found: Vec<Found>,
}

impl<'a> Candidates<'a> {
    /// For a file of which an index may know records.
    pub fn new(index: &'a RecordIndex) -> Self {
        Self { lookup: Lookup::new(index), found: Vec::new() }
    }

    /// Notes a record whose rows follow one another, if the index has it.
    pub fn observe(&mut self, start: u64, bytes: u64, digest: &RecordDigest) {
        let Some(number) = self.lookup.find(digest) else { return };
        let is_full = self.found.len() == SKIPS_MAX;
        match self.found.last_mut() {
            Some(last) if (last.end, last.entries.end) == (start, number) => {
                last.end += bytes;
                last.entries.end += 1;
            }
            _ if is_full => {}
            _ => self.found.push(Found { start, end: start + bytes, entries: number..number + 1 }),
        }
    }

    /// The runs of those records none of whose rows stand apart.
    ///
    /// # Errors
    ///
    /// When the index cannot be read; then nothing is skipped.
    pub fn runs(
        self,
        index: &RecordIndex,
        scattered: &Scattered,
    ) -> Result<Vec<Skip>, std::io::Error> {
        let Scattered::Keys(keys) = scattered else { return Ok(Vec::new()) };
        let apart: HashSet<u32> = keys.iter().copied().map(short_key_hash).collect();
        let mut runs: Vec<Skip> = Vec::new();
        let (mut read, mut first) = (Vec::new(), 0);
        for found in self.found {
            let mut next_start = found.start;
            for number in found.entries {
                if number < first || (number - first) as usize >= read.len() {
                    first = number;
                    read = index
                        .read(first..first.saturating_add(ENTRIES_PER_READ).min(index.len()))?;
                }
                let entry: Entry = read[(number - first) as usize];
                let start = next_start;
                next_start += u64::from(entry.bytes);
                if apart.contains(&entry.key_hash) {
                    continue;
                }
                let is_full = runs.len() == SKIPS_MAX;
                match runs.last_mut() {
                    Some(run) if run.start + run.bytes == start && run.entries.end == number => {
                        run.bytes += u64::from(entry.bytes);
                        run.counts += counts_of(&entry);
                        run.entries.end += 1;
                    }
                    _ if is_full => return Ok(runs),
                    _ => runs.push(Skip {
                        start,
                        bytes: entry.bytes.into(),
                        counts: counts_of(&entry),
                        entries: number..number + 1,
                    }),
                }
            }
        }
        Ok(runs)
    }
}

fn counts_of(entry: &Entry) -> SkipCounts {
    SkipCounts {
        rows: entry.rows.into(),
        repaired: entry.repaired.into(),
        rescued: entry.rescued.into(),
        table_rows: entry.table_rows.into(),
        records: 1,
        disagreeing: entry.disagrees.into(),
    }
}
