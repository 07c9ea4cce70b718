//! Write: compares each chunk with the tables and commits it, while the next chunks are read and
//! transformed.

use crate::chunk::{Counts, Entry, Position, Skip, SkipCounts};
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Owner};
use crate::process::clock::{millis, now_ms};
use crate::process::progress::moved;
use crate::sink::commit::ChunkWrite;
use crate::sink::ledger::attempts::Company;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::generations::new_generation;
use crate::sink::ledger::rejects::Corrected;
use crate::sink::tables::KindsStay;
use crate::source::unchanged::record_index::RecordIndexWriter;
use crate::source::unchanged::skips::Skips;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::correction::Correction;
use crate::sync::look::Surveyed;
use crate::sync::pipeline::{PendingChunk, Reading, start_reading};
use crate::sync::precedence::{Precedence, Unknown};
use crate::sync::session::{Session, blocking};
use crate::sync::touched_keys::TouchedKeys;
use crate::transform::diff::{Diff, Known, diff};
use crate::transform::faults::Faults;
use crate::transform::kept_lines::{differing, keep};
use crate::transform::project::Projected;
use crate::transform::table_rows::take_rows;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Up to this many changed records, mart groups are marked one by one without counting the stored
/// records first.
const MARKED_RECORDS_UNCOUNTED_MAX: u64 = 1000;

/// If a file changes more than one in this many stored records, the whole market is marked: finding
/// the groups would cost more than it saves.
const MARKED_RECORDS_SHARE: u64 = 10;

/// A file whose rows are all in the tables.
pub(crate) struct Written {
    /// Its line in the ledger.
    pub file: FileRecord,
    /// Records whose rows disagree on what belongs to the record.
    pub records_disagreeing: u64,
    /// Whether it is a full export, and no newer one of its dataset and market reached the tables.
    pub is_newest: bool,
    /// The record index that it leaves, if it does.
    pub index: Option<RecordIndexWriter>,
    /// Values that break a rule or do not fit their column, of the chunks that were written here.
    pub faults: Faults,
}

/// Writes the rest of a file, from its position on.
pub(crate) async fn write_chunks(
    session: &Session,
    surveyed: &Surveyed,
    skips: Skips,
    dataset: &Arc<Dataset>,
    correction: Option<Arc<Correction>>,
    company: Company,
    kinds_stay: &KindsStay,
) -> Result<Written, SyncError> {
    let mut writer =
        Writer::new(session, surveyed, skips, dataset, correction, company, kinds_stay).await?;
    let reading = Reading {
        skips: Arc::clone(&writer.skips),
        digests: writer.index.is_some(),
        correction: writer.correction.clone(),
        // If rows may be stored already, only changed ones are written, so encoding all would be
        // wasted.
        encoder: (!writer.may_be_known).then(|| session.sink.tables.encoder(surveyed.file.id)),
    };
    let mut chunks = start_reading(&session.config, surveyed, dataset, reading);
    let written = writer.write_all(&mut chunks).await;
    // Also after a failure: no checkpoint may be written once the file is given up.
    let noted = writer.wait_for_checkpoint().await;
    written.and(noted)?;
    let is_newest = matches!(writer.precedence, Precedence::Newest);
    let Writer { file, records_disagreeing, index, faults, .. } = writer;
    Ok(Written { file, records_disagreeing, is_newest, index, faults })
}

/// Writes the chunks of one file.
struct Writer<'a> {
    session: &'a Session,
    dataset: &'a Dataset,
    file: FileRecord,
    checkpoint: Checkpoint,
    precedence: Precedence,
    /// What a corrected copy is to the file that it corrects.
    correction: Option<Arc<Correction>>,
    /// Whether a reject of the file may belong to any record. Then stored lines that the file lacks
    /// stay.
    keeps_lines: bool,
    /// Whether the tables may hold any of the file's records.
    may_be_known: bool,
    records_disagreeing: u64,
    faults: Faults,
    /// Records changed so far.
    records_touched: u64,
    /// From this many changed records on, the whole market is marked. `None` until it is needed.
    records_marked_max: Option<u64>,
    /// Runs of records that are not read.
    skips: Arc<Skips>,
    /// The record index for the next export.
    index: Option<RecordIndexWriter>,
    /// Generation of the stored rows, if known.
    generation: Option<String>,
    /// The checkpoint that is being written, of the last committed chunk.
    checkpointing: Option<JoinHandle<()>>,
    /// Held alone until the first commit if a process may have died of this file.
    company: Option<Company>,
    /// Columns keep their kinds until the last chunk is written.
    kinds_stay: &'a KindsStay,
}

impl<'a> Writer<'a> {
    async fn new(
        session: &'a Session,
        surveyed: &Surveyed,
        skips: Skips,
        dataset: &'a Dataset,
        correction: Option<Arc<Correction>>,
        company: Company,
        kinds_stay: &'a KindsStay,
    ) -> Result<Self, SyncError> {
        let file = surveyed.file.clone();
        let position = file.position.unwrap_or(Position::START);
        let precedence = match &correction {
            None => Precedence::of(session, &file, dataset).await?,
            Some(correction) => Precedence::Correction(Box::new(match &correction.files.newest {
                Some(export) => Precedence::of(session, export, dataset).await?,
                None => Precedence::Newest,
            })),
        };
        let keeps_lines = match &correction {
            None => surveyed.survey.rows_of_unknown_records > 0,
            Some(correction) => correction.is_in_part,
        };
        // Without a key, a row may equal a stored row of an earlier file.
        let may_be_known = dataset.is_keyless()
            || position != Position::START
            || session
                .sink
                .tables
                .has_rows(&dataset.table, file.market.as_deref().unwrap_or_default())
                .await?;
        let market = file.market.clone().unwrap_or_default();
        let generation = session.sink.ledger.generation(&dataset.table, &market).await?;
        // The index describes all records, so only the newest export, read from its start, may use
        // or leave one.
        let is_whole = matches!(precedence, Precedence::Newest) && position == Position::START;
        let is_believed = is_whole
            && skips.known.as_ref().is_some_and(|(known, _)| {
                generation.as_ref().is_some_and(|generation| {
                    *known == surveyed.origin(session, dataset, generation)
                })
            });
        // If stored lines stay that the file lacks, its records differ from what is stored.
        let index = match is_whole && !keeps_lines && surveyed.leaves_index(session) {
            true => session.indexes.begin(&dataset.table, &market),
            false => None,
        };
        let skips = Arc::new(if is_believed { skips } else { Skips::default() });
        let content = &surveyed.content;
        let checkpoint = Checkpoint::new(
            file.id,
            content.stamp(),
            content.digests().to_vec(),
            surveyed.survey.clone(),
            position,
        );
        let writer = Self {
            session,
            dataset,
            file,
            checkpoint,
            precedence,
            correction,
            keeps_lines,
            may_be_known,
            records_disagreeing: 0,
            faults: Faults::default(),
            records_touched: 0,
            records_marked_max: None,
            skips,
            index,
            generation,
            checkpointing: None,
            company: Some(company),
            kinds_stay,
        };
        let (checkpoints, checkpoint) = (session.checkpoints.clone(), writer.checkpoint.clone());
        blocking(move || {
            checkpoints.advance(&checkpoint);
            Ok(())
        })
        .await?;
        Ok(writer)
    }

    fn market(&self) -> &str {
        self.file.market.as_deref().unwrap_or_default()
    }

    fn is_done(&self) -> bool {
        self.file.position == Some(Position::Done)
    }

    async fn write_all(
        &mut self,
        chunks: &mut mpsc::Receiver<PendingChunk>,
    ) -> Result<(), SyncError> {
        while let Some(projected) = chunks.recv().await {
            if self.session.shutdown.is_cancelled() {
                return Err(SyncError::Stopped);
            }
            let projected = projected
                .await
                .map_err(|_| SyncError::Internal("the worker of a chunk is gone".to_owned()))??;
            self.write(projected).await?;
        }
        match self.is_done() {
            true => Ok(()),
            false => Err(SyncError::Internal("the file was not read to its end".to_owned())),
        }
    }

    /// Compares and commits a chunk, then starts writing its checkpoint.
    async fn write(&mut self, mut projected: Projected) -> Result<(), SyncError> {
        let started = Instant::now();
        let known = match self.may_be_known {
            true => {
                self.session.sink.tables.known(self.dataset, self.market(), &projected.keys).await?
            }
            false => Known::nothing(projected.keys.len()),
        };
        self.meet_files(&known).await?;
        self.keep_lines(&mut projected, &known).await?;
        let keys = &projected.keys;
        let diff = diff(
            &projected,
            &known,
            |record| self.adds_unknown(&keys[record]),
            |record, file_id| self.wins(&keys[record], file_id),
            |record| {
                self.keeps(&keys[record]) || projected.lines_absent.binary_search(&record).is_ok()
            },
        );
        let skipped = skipped(&projected);
        self.records_disagreeing += projected.records_disagreeing + skipped.disagreeing;
        self.faults += std::mem::take(&mut projected.faults);
        let (entries, skips) = (projected.entries.clone(), projected.skips.clone());
        let chunk = self.chunk_write(projected, diff, &known, skipped).await?;
        let compared = started.elapsed();
        let written = self.session.sink.write_chunk(&chunk, self.kinds_stay).await?;
        // The checkpoint may lag by one chunk at most.
        self.wait_for_checkpoint().await?;
        written.commit().await?;
        let committed = started.elapsed() - compared;
        fail::fail_point!("before_checkpoint", |_| std::process::abort());
        let (counts, next, generation) = (chunk.counts, chunk.next, chunk.generation);
        self.start_checkpoint(next);
        let (compare_ms, commit_ms) = (millis(compared), millis(committed));
        tracing::debug!(
            file_id = self.file.id,
            rows = counts.read,
            compare_ms,
            commit_ms,
            "chunk committed"
        );
        self.company = self.company.take().map(Company::moved);
        moved();
        self.file.counts = counts;
        self.file.position = Some(next);
        self.generation = generation.or_else(|| self.generation.take());
        if let Some(mut index) = self.index.take() {
            let noted = self.note_entries(&mut index, &entries, &skips);
            self.index = index.unless_failed(noted);
        }
        Ok(())
    }

    /// Adds the chunk's records to the index, in the order of the file.
    fn note_entries(
        &self,
        index: &mut RecordIndexWriter,
        entries: &[Entry],
        skips: &[(usize, Skip)],
    ) -> Result<(), SyncError> {
        let mut noted = 0;
        for (records_before, skip) in skips {
            let before = (*records_before).min(entries.len());
            entries[noted..before].iter().try_for_each(|&entry| index.push(entry))?;
            noted = before;
            let (_, known) =
                self.skips.known.as_ref().expect("nothing is skipped that no index knows");
            index.copy(known, skip.entries.clone())?;
        }
        entries[noted..].iter().try_for_each(|&entry| index.push(entry))
    }

    /// Keeps stored lines of records that may lack rows in this file.
    async fn keep_lines(&self, projected: &mut Projected, known: &Known) -> Result<(), SyncError> {
        let Some(lines) = &self.dataset.lines else { return Ok(()) };
        let kept: Vec<usize> =
            known.stored().filter(|&record| self.keeps(&projected.keys[record])).collect();
        if kept.is_empty() || matches!(self.precedence, Precedence::OnlyUnknown(_)) {
            return Ok(());
        }
        let differing = differing(projected, known, &kept);
        let sink = &self.session.sink;
        let stored =
            sink.tables.stored_lines(self.dataset, self.market(), projected, &differing).await?;
        keep(projected, &kept, &stored, &sink.tables.shapes()[&lines.table]);
        Ok(())
    }

    /// Whether a record may lack rows in this file.
    fn keeps(&self, key: &str) -> bool {
        self.keeps_lines
            || self.correction.as_ref().is_some_and(|correction| correction.in_part.contains(key))
    }

    /// Loads the versions of the files that wrote the stored records, which a delta compares with
    /// its own.
    async fn meet_files(&mut self, known: &Known) -> Result<(), SyncError> {
        let Some(others) = self.precedence.others() else { return Ok(()) };
        let mut unmet: Vec<i64> = known.file_ids().filter(|id| !others.contains_key(id)).collect();
        unmet.sort_unstable();
        unmet.dedup();
        if !unmet.is_empty() {
            others.extend(self.session.sink.ledger.versions_of(unmet).await?);
        }
        Ok(())
    }

    /// The precedence of a record.
    fn precedence_of(&self, key: &str) -> &Precedence {
        let is_joined =
            || self.correction.as_ref().is_some_and(|correction| correction.joined.contains(key));
        match &self.precedence {
            Precedence::Correction(of_export) if is_joined() => of_export,
            precedence => precedence,
        }
    }

    /// Whether a record that is not stored is added.
    fn adds_unknown(&self, key: &str) -> bool {
        self.precedence_of(key).adds_unknown(self.correction.is_some())
    }

    /// Whether a record replaces the stored one, which the given file wrote.
    fn wins(&self, key: &str, file_id: i64) -> bool {
        let precedence = self.precedence_of(key);
        let is_own = match precedence {
            Precedence::Delta { .. } => self.is_own(file_id),
            _ => file_id == self.file.id,
        };
        is_own || precedence.wins_over(file_id)
    }

    /// Whether a stored record was last written by this file, or by an earlier copy of the same
    /// rejects.
    fn is_own(&self, file_id: i64) -> bool {
        let is_earlier =
            |correction: &Arc<Correction>| correction.files.corrections.contains(&file_id);
        file_id == self.file.id || self.correction.as_ref().is_some_and(is_earlier)
    }

    /// The rejects that this chunk closes: those of rows that it brings in, and of rows that are
    /// its own rejects now.
    fn corrected(&self, projected: &Projected) -> Option<Corrected> {
        let correction = self.correction.as_ref()?;
        let again = projected.rejects.iter().filter_map(|reject| reject.corrects_row);
        Some(Corrected {
            files: correction.files.clone(),
            loaded: projected.corrected_rows.clone(),
            again: again.collect(),
            now_ms: now_ms(),
        })
    }

    /// Records marked as deleted that this file brings back, in order.
    async fn revived(
        &self,
        projected: &Projected,
        diff: &Diff,
        known: &Known,
    ) -> Result<Vec<String>, SyncError> {
        if matches!(self.precedence, Precedence::OnlyUnknown(_)) {
            return Ok(Vec::new());
        }
        let winners = diff.winners.iter().filter(|&&record| known.record(record).is_some());
        let mut stored: Vec<String> =
            winners.map(|&record| projected.keys[record].clone()).collect();
        stored.sort_unstable();
        let marked =
            self.session.sink.tables.marked_keys(self.dataset, self.market(), &stored).await?;
        stored.retain(|key| marked.contains(key));
        Ok(stored)
    }

    /// Whether the whole market is to be marked rather than the groups of so many more records.
    async fn marks_market(&mut self, records: usize) -> Result<bool, SyncError> {
        self.records_touched += records as u64;
        if !self.may_be_known || self.records_touched <= MARKED_RECORDS_UNCOUNTED_MAX {
            return Ok(!self.may_be_known);
        }
        let max = match self.records_marked_max {
            Some(max) => max,
            None => {
                self.session.sink.tables.count_rows(&self.dataset.table, self.market()).await?
                    / MARKED_RECORDS_SHARE
            }
        };
        self.records_marked_max = Some(max);
        Ok(self.records_touched > max)
    }

    async fn chunk_write(
        &mut self,
        projected: Projected,
        diff: Diff,
        known: &Known,
        skipped: SkipCounts,
    ) -> Result<ChunkWrite<'a>, SyncError> {
        let sink = &self.session.sink;
        let modified_records = sink
            .tables
            .fill_absent(
                &projected.records,
                &diff.records.changed,
                known,
                self.dataset,
                Owner::Record,
            )
            .await?;
        let (new_lines, modified_lines) = match &projected.lines {
            None => (None, None),
            Some(lines) => {
                let modified = sink
                    .tables
                    .fill_absent(lines, &diff.lines.changed, known, self.dataset, Owner::Line)
                    .await?;
                (Some(take_rows(lines, &diff.lines.new)), Some(modified))
            }
        };
        let revived_keys = self.revived(&projected, &diff, known).await?;
        let written: HashSet<&String> = modified_records
            .record
            .iter()
            .map(|&record| &projected.keys[record as usize])
            .collect();
        let only_revived = revived_keys.iter().filter(|key| !written.contains(key)).count() as u64;
        let new_records = take_rows(&projected.records, &diff.records.new);
        let lines_new = diff.lines.new.len() as u64;
        let lines_modified =
            modified_lines.as_ref().map_or(0, |lines| lines.batch.num_rows() as u64);
        let records_modified = modified_records.batch.num_rows() as u64;
        let lines_skipped = skipped.table_rows - skipped.records;
        let rows_kept = if self.dataset.lines.is_some() { lines_skipped } else { skipped.records };
        let rows_duplicate = projected.rows_duplicate + (skipped.rows - rows_kept);
        let mut counts = self.file.counts;
        counts += Counts {
            read: projected.rows_read,
            accepted: projected.rows_read
                - projected.rejects.len() as u64
                - projected.rows_skipped
                - rows_duplicate,
            duplicate: rows_duplicate,
            rejected: projected.rejects.len() as u64,
            skipped: projected.rows_skipped,
            repaired: projected.rows_repaired + skipped.repaired,
            rescued: projected.rows_rescued + skipped.rescued,
            new: diff.records.new.len() as u64 + lines_new,
            modified: records_modified + only_revived + lines_modified,
            unchanged: skipped.table_rows
                + diff.records.unchanged
                + diff.lines.unchanged
                + diff.records.changed.len() as u64
                - records_modified
                - only_revived
                + diff.lines.changed.len() as u64
                - lines_modified,
            stale: diff.stale,
            deleted: diff.removed_lines.len() as u64,
        };
        let touched = TouchedKeys::of(
            &projected,
            &diff,
            &modified_records.record,
            new_lines.as_ref(),
            modified_lines.as_ref(),
            &revived_keys,
            self.dataset,
        );
        let is_writing = !touched.new.is_empty()
            || !touched.changed.is_empty()
            || !touched.confirmed.is_empty()
            || !diff.removed_lines.is_empty();
        let marks_market = self.marks_market(touched.new.len() + touched.changed.len()).await?;
        // Rows of an older release have no generation yet; the index needs one.
        let begins_generation = is_writing || (self.index.is_some() && self.generation.is_none());
        Ok(ChunkWrite {
            generation: begins_generation.then(new_generation),
            file_id: self.file.id,
            dataset: self.dataset,
            market: self.file.market.clone().unwrap_or_default(),
            new_records,
            modified_records,
            new_lines,
            modified_lines,
            removed_lines: diff.removed_lines,
            marks_market,
            changed_keys: touched.changed,
            new_keys: touched.new,
            confirmed_keys: touched.confirmed,
            revived_keys,
            new_deleted_ms: matches!(self.precedence, Precedence::OnlyUnknown(Unknown::Marked))
                .then(now_ms),
            corrected: self.corrected(&projected),
            rejects: projected.rejects,
            counts,
            next: projected.next,
        })
    }

    /// Starts writing the checkpoint. Disks are slow, and the next chunk can be written in
    /// parallel.
    fn start_checkpoint(&mut self, position: Position) {
        let checkpoints = self.session.checkpoints.clone();
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.position = position;
        self.checkpointing = Some(tokio::task::spawn_blocking(move || {
            checkpoints.advance(&checkpoint);
            fail::fail_point!("after_checkpoint", |_| std::process::abort());
        }));
    }

    /// Waits for the checkpoint to be written.
    async fn wait_for_checkpoint(&mut self) -> Result<(), SyncError> {
        match self.checkpointing.take() {
            Some(checkpointing) => {
                checkpointing.await.map_err(|panic| SyncError::Internal(panic.to_string()))
            }
            None => Ok(()),
        }
    }
}

/// Counts of the records that a chunk skipped.
fn skipped(projected: &Projected) -> SkipCounts {
    let mut skipped = SkipCounts::default();
    projected.skips.iter().for_each(|(_, skip)| skipped += skip.counts);
    skipped
}
