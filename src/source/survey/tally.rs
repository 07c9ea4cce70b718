//! Tally: counts over every row of a file, record by record.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::decimals::NumberReadings;
use crate::feed::layout::Layout;
use crate::source::format::Format;
use crate::source::record_size::{RecordSize, check_record, check_scattered};
use crate::source::rows::fits::Fits;
use crate::source::rows::{Form, RowRef, Rows};
use crate::source::seen_keys::{Scattered, SeenKeys, key_hash};
use crate::source::survey::{FIRST_FAULTS_MAX, FaultyRow, Survey};
use crate::source::text::content::Content;
use crate::source::unchanged::record_index::RecordHasher;
use crate::source::unchanged::skips::Candidates;
use std::collections::{HashMap, HashSet};

/// Records whose rows stand apart of which the size is known; those beyond are watched when they
/// are gathered.
const LATER_RUNS_MAX: usize = 1 << 18;

/// Counts over all rows.
pub(super) struct Tally {
    pub(super) rows_read: u64,
    rows_rejected: u64,
    rows_of_unknown_records: u64,
    pub(super) seen: SeenKeys,
    faulty_keys: HashSet<u64>,
    first_faults: Vec<FaultyRow>,
    pub(super) has_odd_rows: bool,
    pub(super) numbers: NumberReadings,
    /// For records with scattered rows, what came after their first run.
    later_runs: HashMap<u64, RecordSize>,
    /// The largest run there was.
    largest_run: RecordSize,
    /// Whether any run has several rows.
    has_repeated_runs: bool,
}

/// A run of rows with the same key.
struct Run {
    key: String,
    /// Objects that are whole records.
    objects: u64,
    rows: u64,
    faults: u64,
    /// Its place and the digest of its bytes, if an index may know it.
    start: u64,
    end: u64,
    bytes: u64,
    hasher: Option<RecordHasher>,
}

impl Run {
    fn of(key: String, row: &RowExtent<'_>, hasher: Option<RecordHasher>) -> Self {
        let mut run = Self {
            key,
            objects: 0,
            rows: 0,
            faults: 0,
            start: row.start,
            end: row.start,
            bytes: 0,
            hasher,
        };
        run.push(row);
        run
    }

    fn push(&mut self, row: &RowExtent<'_>) {
        self.rows += 1;
        self.objects += u64::from(row.begins_object);
        self.faults += u64::from(row.is_faulty);
        self.end = row.end;
        self.bytes += row.whole.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(row.whole);
        }
    }

    const fn size(&self) -> RecordSize {
        RecordSize { rows: self.rows, bytes: self.bytes }
    }
}

/// What a run keeps of a row.
struct RowExtent<'a> {
    start: u64,
    end: u64,
    whole: &'a [u8],
    is_faulty: bool,
    begins_object: bool,
}

impl Tally {
    pub(super) fn of(
        rows: &mut Rows<'_>,
        content: &Content,
        limits: &Limits,
        mut candidates: Option<&mut Candidates<'_>>,
    ) -> Result<Self, SyncError> {
        let mut tally = Self {
            rows_read: 0,
            rows_rejected: 0,
            rows_of_unknown_records: 0,
            first_faults: Vec::new(),
            has_odd_rows: false,
            numbers: NumberReadings::default(),
            later_runs: HashMap::new(),
            largest_run: RecordSize::default(),
            has_repeated_runs: false,
            seen: SeenKeys::new(content.size_bytes()),
            faulty_keys: HashSet::new(),
        };
        let mut run: Option<Run> = None;
        while let Some(row) = rows.next_row()? {
            tally.rows_read += row.rows();
            tally.has_odd_rows |= !matches!(row.form, Form::Fits);
            tally.note_fault(&row);
            let is_faulty = matches!(row.form, Form::Broken(_));
            let (start, end, begins_object) =
                (row.offset, row.next_offset, row.part.begins_object());
            let extent = RowExtent { start, end, whole: row.whole, is_faulty, begins_object };
            let Some(key) = row.key else {
                tally.rows_rejected += u64::from(is_faulty);
                // The reader may end a chunk here, so what comes after it is another run.
                if let Some(ended) = run.take() {
                    tally.end_run(ended, &mut candidates);
                }
                continue;
            };
            match &mut run {
                Some(run) if run.key == key => {
                    run.push(&extent);
                    check_record(&run.key, run.size(), row.number, limits)?;
                }
                _ => {
                    tally.seen.observe_run(key_hash(&key));
                    let hasher = candidates.is_some().then(RecordHasher::default);
                    let begun = Run::of(key, &extent, hasher);
                    check_record(&begun.key, begun.size(), row.number, limits)?;
                    if let Some(ended) = run.replace(begun) {
                        tally.end_run(ended, &mut candidates);
                    }
                }
            }
        }
        if let Some(ended) = run {
            tally.end_run(ended, &mut candidates);
        }
        Ok(tally)
    }

    fn note_fault(&mut self, row: &RowRef<'_>) {
        let Form::Broken(fault) = &row.form else { return };
        self.rows_of_unknown_records += u64::from(row.is_of_unknown_record());
        if self.first_faults.len() < FIRST_FAULTS_MAX {
            self.first_faults.push(FaultyRow { number: row.number, fault: fault.clone() });
        }
    }

    /// The records that may be too large although none of their runs is.
    fn suspects(&self, limits: &Limits) -> HashSet<u64> {
        let is_suspect = |later: &RecordSize| !later.plus(self.largest_run).is_within(limits);
        self.later_runs
            .iter()
            .filter(|(_, later)| is_suspect(later))
            .map(|(&hash, _)| hash)
            .collect()
    }

    /// One row that cannot be loaded takes its whole record with it.
    fn end_run(&mut self, run: Run, candidates: &mut Option<&mut Candidates<'_>>) {
        let hash = key_hash(&run.key);
        let RecordSize { rows, bytes } = run.size();
        self.has_repeated_runs |= if run.objects > 0 { run.objects > 1 } else { rows > 1 };
        self.largest_run.rows = self.largest_run.rows.max(rows);
        self.largest_run.bytes = self.largest_run.bytes.max(bytes);
        if self.seen.is_scattered(hash)
            && (self.later_runs.len() < LATER_RUNS_MAX || self.later_runs.contains_key(&hash))
        {
            let later = self.later_runs.entry(hash).or_default();
            *later = later.plus(run.size());
        }
        if run.faults > 0 {
            self.faulty_keys.insert(hash);
        } else if let (Some(candidates), Some(hasher)) = (candidates, run.hasher)
            // Blank rows among its own are none of its bytes.
            && run.bytes == run.end - run.start
        {
            candidates.observe(run.start, run.bytes, &hasher.finish());
        }
        if self.faulty_keys.contains(&hash) {
            self.rows_rejected += run.rows;
        }
    }

    /// Whether rows of a record were passed before its fault was met.
    fn has_scattered_faults(&self) -> bool {
        self.faulty_keys.iter().any(|&hash| self.seen.is_scattered(hash))
    }

    /// Looks again at what the first look could not decide yet.
    pub(super) fn look_again<'a>(
        &mut self,
        rows: impl Fn() -> Result<Rows<'a>, SyncError>,
        limits: &Limits,
    ) -> Result<(), SyncError> {
        let suspects = self.suspects(limits);
        if !suspects.is_empty() {
            check_scattered(&mut rows()?, &suspects, limits)?;
        }
        if self.has_scattered_faults() {
            self.count_rejected_again(&mut rows()?)?;
        }
        Ok(())
    }

    /// Whether any key stands in several rows.
    pub(super) fn may_have_repeated_keys(&self) -> bool {
        self.has_repeated_runs || self.seen.has_scattered()
    }

    /// Counts all rows of faulty records, anywhere in the file, once every fault is known.
    fn count_rejected_again(&mut self, rows: &mut Rows<'_>) -> Result<(), SyncError> {
        self.rows_rejected = 0;
        while let Some(row) = rows.next_row()? {
            let is_rejected = match &row.key {
                Some(key) => self.faulty_keys.contains(&key_hash(key)),
                None => matches!(row.form, Form::Broken(_)),
            };
            self.rows_rejected += u64::from(is_rejected);
        }
        Ok(())
    }

    pub(super) fn finish(
        self,
        format: Format,
        layout: &Layout,
        content: &Content,
        limits: &Limits,
    ) -> Survey {
        let (scattered, gather_passes) =
            self.seen.finish(content.size_bytes(), limits.gather_bytes_max);
        Survey {
            format,
            header: layout.columns.iter().map(|column| column.raw_name.clone()).collect(),
            rows_read: self.rows_read,
            rows_rejected: self.rows_rejected,
            rows_of_unknown_records: self.rows_of_unknown_records,
            first_faults: self.first_faults,
            has_odd_rows: self.has_odd_rows,
            are_odd_rows_open: true,
            numbers: self.numbers,
            scattered: match scattered {
                Scattered::Keys(hashes) => Some(hashes.into_iter().collect()),
                Scattered::All => None,
            },
            gather_passes,
            fits: Fits::default(),
        }
    }
}
