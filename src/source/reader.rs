//! Reader: a file as bounded chunks of whole records.
//!
//! Records with consecutive rows come in file order; records with scattered rows are gathered
//! afterwards. The sequence of chunks depends on nothing but the content, the survey and the
//! limits, so that a position in it means the same after a restart.

use crate::chunk::{Chunk, JoinedRow, JoinedRows, OriginalRow, Position, Reject, SeenRecord, Skip};
use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::correction::OF_SAME_RECORD;
use crate::feed::dataset::{Dataset, RepeatedKeys};
use crate::feed::encoding::Encoding;
use crate::feed::layout::Layout;
use crate::feed::row_format::{Dialect, RowFormat};
use crate::source::format::Format;
use crate::source::rows::csv::CsvRows;
use crate::source::rows::header::read_header;
use crate::source::rows::json::JsonRows;
use crate::source::rows::{Fault, Form, Part, RowRef, Rows, printable_in};
use crate::source::seen_keys::{Scattered, key_hash, short_key_hash};
use crate::source::survey::Survey;
use crate::source::text::content::{Content, Window};
use crate::source::unchanged::record_index::RecordHasher;
use std::collections::HashMap;
use std::ops::Range;

/// Cells of one chunk: a row of a wide table may have little text and still a thousand of them.
const CELLS_MAX: usize = 1 << 20;

/// What a reject costs beside its text.
const REJECT_BYTES: usize = 200;

/// Reads a surveyed file from a position on.
#[derive(Debug)]
pub struct Reader<'a> {
    content: &'a Content,
    format: Format,
    layout: &'a Layout,
    dataset: &'a Dataset,
    limits: &'a Limits,
    scattered: Scattered,
    gather_passes: u32,
    position: Position,
    rows: Rows<'a>,
    /// Pass 0: the record that is being read.
    run: Option<Record>,
    /// Gathering passes: the records of this pass, once they are gathered.
    gathered: Option<std::vec::IntoIter<Record>>,
    /// Runs of unchanged records that are still ahead.
    skips: std::iter::Peekable<std::slice::Iter<'a, Skip>>,
    /// Whether records get digests for an index.
    digests: bool,
    /// For a corrected copy: the rows that its records have in addition to its own rows.
    joined: Option<&'a JoinedRows>,
}

/// What decides what becomes of a record that was read.
#[derive(Clone, Copy)]
struct Ending<'a> {
    format: Format,
    /// Columns of the file.
    columns: usize,
    joined: Option<&'a JoinedRows>,
    repeated_keys: RepeatedKeys,
    /// Whether a rule may still reject rows that are accepted here.
    keeps_originals: bool,
}

/// The rows of one record.
#[derive(Debug)]
struct Record {
    key: String,
    bytes: Vec<u8>,
    rows: Vec<RecordRow>,
    /// Lines of its objects that are no data.
    rows_skipped: u64,
    hasher: Option<RecordHasher>,
    /// Bytes of its rows with what ends them.
    whole_bytes: u64,
}

#[derive(Debug)]
struct RecordRow {
    number: u64,
    raw: Range<usize>,
    form: Form,
    absent: Vec<usize>,
    part: Part,
}

impl<'a> Reader<'a> {
    /// Starts at a position.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn new(
        content: &'a Content,
        layout: &'a Layout,
        dataset: &'a Dataset,
        limits: &'a Limits,
        survey: &Survey,
        position: Position,
    ) -> Result<Self, SyncError> {
        let format = survey.format;
        let (offset, row) = match position {
            Position::InOrder { offset, row } => (offset, row),
            // A gathering pass reads the file itself.
            Position::Gathering { .. } | Position::Done => (0, 0),
        };
        let gather_passes = match position {
            Position::Gathering { passes, .. } => passes,
            Position::InOrder { .. } | Position::Done => survey.gather_passes,
        };
        let rows = rows_at(content, format.rows, layout, dataset, limits, offset, row)?;
        Ok(Self {
            content,
            format,
            layout,
            dataset,
            limits,
            scattered: survey.scattered(),
            gather_passes,
            position,
            rows,
            run: None,
            gathered: None,
            skips: [].iter().peekable(),
            digests: false,
            joined: None,
        })
    }

    /// Passes by these runs.
    pub fn skipping(mut self, skips: &'a [Skip]) -> Self {
        self.skips = skips.iter().peekable();
        self
    }

    /// Also takes the digest of each record.
    pub const fn digesting(mut self, digests: bool) -> Self {
        self.digests = digests;
        self
    }

    /// Completes records by rows of other files.
    pub const fn joining(mut self, joined: Option<&'a JoinedRows>) -> Self {
        self.joined = joined;
        self
    }

    /// The next chunk; `None` once everything is read. The last one may be empty.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not the surveyed one any more.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, SyncError> {
        let mut chunk = match self.position {
            Position::InOrder { .. } => self.read_in_order()?,
            Position::Gathering { pass, records, .. } => self.gather(pass, records)?,
            Position::Done => return Ok(None),
        };
        // What is in memory, or a text of its own, is one version, whatever becomes of the file
        // meanwhile.
        if !self.content.is_own() {
            self.content.check_unchanged()?;
        }
        let rows_known: u64 = chunk.skips.iter().map(|(_, skip)| skip.counts.rows).sum();
        let own_rows = chunk.rows() - chunk.joined.len();
        chunk.rows_read = (own_rows + chunk.rejects.len()) as u64
            + rows_known
            + chunk.rows_skipped
            + chunk.rows_repeated;
        self.position = chunk.next;
        Ok(Some(chunk))
    }

    fn read_in_order(&mut self) -> Result<Chunk, SyncError> {
        let mut chunk = Chunk::default();
        loop {
            if self.skip(&mut chunk)? {
                if self.is_full(&chunk) {
                    let offset = self.rows.offset().expect("only CSV rows are skipped");
                    chunk.next = Position::InOrder { offset, row: self.rows.number() };
                    return Ok(chunk);
                }
                continue;
            }
            let Some(row) = self.rows.next_row()? else { break };
            let Some(key) = &row.key else {
                let next = Position::InOrder { offset: row.next_offset, row: row.last_number() };
                chunk.rows_skipped += row.rows_skipped();
                let may_end = row.part.ends_object();
                if let Some(reject) = keyless_reject(row, self.format.encoding) {
                    push_reject(&mut chunk, reject);
                }
                if let Some(ended) = self.run.take() {
                    ended.end(&mut chunk, self.ending());
                }
                if may_end && self.is_full(&chunk) {
                    chunk.next = next;
                    return Ok(chunk);
                }
                continue;
            };
            if let Some(run) = self.run.as_mut().filter(|run| run.key == *key) {
                run.push(row);
                continue;
            }
            let next = Position::InOrder { offset: row.offset, row: row.rows_before() };
            let record =
                (!self.scattered.contains(key_hash(key))).then(|| Record::new(row, self.digests));
            if let Some(ended) = std::mem::replace(&mut self.run, record) {
                ended.end(&mut chunk, self.ending());
            }
            if self.is_full(&chunk) {
                chunk.next = next;
                return Ok(chunk);
            }
        }
        if let Some(ended) = self.run.take() {
            ended.end(&mut chunk, self.ending());
        }
        chunk.next = self.start_of_pass(1);
        Ok(chunk)
    }

    /// Passes by a run of unchanged records, if one begins here. It begins with a record, so the
    /// one before it is over.
    fn skip(&mut self, chunk: &mut Chunk) -> Result<bool, SyncError> {
        if self.skips.peek().is_none() {
            return Ok(false);
        }
        let Some(offset) = self.rows.offset() else { return Ok(false) };
        // Blank rows may have hidden the beginning of a run; then its rows were read.
        while self.skips.next_if(|skip| skip.start < offset).is_some() {}
        let Some(skip) = self.skips.next_if(|skip| skip.start == offset) else { return Ok(false) };
        if let Some(ended) = self.run.take() {
            ended.end(chunk, self.ending());
        }
        self.rows.skip(skip.bytes, skip.counts.rows)?;
        chunk.skips.push((chunk.records.len(), skip.clone()));
        Ok(true)
    }

    /// The next records of a gathering pass, of which `done` are committed.
    fn gather(&mut self, pass: u32, mut done: u64) -> Result<Chunk, SyncError> {
        let mut records = match self.gathered.take() {
            Some(records) => records,
            None => {
                let mut records = self.gathered_records(pass)?.into_iter();
                // Records that were committed before a restart.
                records.by_ref().take(usize::try_from(done).unwrap_or(usize::MAX)).for_each(drop);
                records
            }
        };
        let mut chunk = Chunk::default();
        while !self.is_full(&chunk) {
            let Some(record) = records.next() else {
                chunk.next = self.start_of_pass(pass + 1);
                return Ok(chunk);
            };
            done += 1;
            record.end(&mut chunk, self.ending());
        }
        chunk.next = Position::Gathering { pass, passes: self.gather_passes, records: done };
        self.gathered = Some(records);
        Ok(chunk)
    }

    /// The scattered records of one pass, in the order of their first rows.
    fn gathered_records(&self, pass: u32) -> Result<Vec<Record>, SyncError> {
        let mut rows =
            rows_at(self.content, self.format.rows, self.layout, self.dataset, self.limits, 0, 0)?;
        let mut records: Vec<Record> = Vec::new();
        let mut by_key: HashMap<String, usize> = HashMap::new();
        while let Some(row) = rows.next_row()? {
            let Some(key) = &row.key else { continue };
            let hash = key_hash(key);
            if !self.scattered.contains(hash)
                || hash % u64::from(self.gather_passes) != u64::from(pass - 1)
            {
                continue;
            }
            if let Some(&index) = by_key.get(key) {
                records[index].push(row);
                records[index].check(self.limits)?;
            } else {
                by_key.insert(key.clone(), records.len());
                records.push(Record::new(row, self.digests));
            }
        }
        Ok(records)
    }

    /// Whether the chunk has as much as one may have: in text, rejects included, and in cells,
    /// which cost memory even where they are empty.
    fn is_full(&self, chunk: &Chunk) -> bool {
        let text = chunk.bytes.len() + chunk.reject_bytes;
        text >= self.limits.chunk_bytes_max || chunk.rows() * self.layout.columns.len() >= CELLS_MAX
    }

    fn ending(&self) -> Ending<'a> {
        let Self { format, layout, joined, dataset, .. } = self;
        let (columns, repeated_keys) = (layout.columns.len(), dataset.repeated_keys);
        let keeps_originals = dataset.has_refusing_rules();
        Ending { format: *format, columns, joined: *joined, repeated_keys, keeps_originals }
    }

    /// Where a gathering pass begins, or the end after the last one.
    const fn start_of_pass(&self, pass: u32) -> Position {
        match self.gather_passes {
            passes if pass > passes => Position::Done,
            passes => Position::Gathering { pass, passes, records: 0 },
        }
    }
}

pub(crate) fn rows_at<'a>(
    content: &'a Content,
    format: RowFormat,
    layout: &'a Layout,
    dataset: &'a Dataset,
    limits: &Limits,
    offset: u64,
    number: u64,
) -> Result<Rows<'a>, SyncError> {
    Ok(match format {
        RowFormat::Json => Rows::Json(JsonRows::resuming(
            Window::at(content, offset)?,
            dataset,
            layout,
            limits,
            number,
        )),
        RowFormat::Csv(dialect) => {
            // The value of an empty cell is in a row above, at any distance.
            let reads_all = offset > 0 && !dataset.fill_down.is_empty();
            let (start, first) = if reads_all { (0, 0) } else { (offset, number) };
            let mut window = Window::at(content, start)?;
            if start == 0 {
                read_header(&mut window, dialect, dataset)?;
            }
            let mut rows =
                CsvRows::new(window, dialect, layout, dataset, limits.field_bytes_max, first);
            while rows.number() < number && rows.next_row()?.is_some() {}
            Rows::Csv(rows)
        }
    })
}

/// Ends an accepted row, which is the row of this number in the file.
fn end_row(chunk: &mut Chunk, number: u64, keeps_end: bool) {
    chunk.bytes.push(b'\n');
    chunk.numbers.push(number);
    if keeps_end {
        chunk.ends.push(chunk.bytes.len());
    }
}

fn push_reject(chunk: &mut Chunk, reject: Reject) {
    chunk.reject_bytes += reject.raw.len() + REJECT_BYTES;
    chunk.rejects.push(reject);
}

/// A row whose record is unknown stands for itself.
fn keyless_reject(row: RowRef<'_>, encoding: Encoding) -> Option<Reject> {
    let Form::Broken(fault) = row.form else { return None };
    Some(Reject {
        row_number: row.number,
        corrects_row: None,
        // The header belongs to no record, so it is no reason to keep lines of other records.
        record_key: fault.is_header.then(String::new),
        column: fault.column,
        reason: fault.reason,
        raw: printable_in(row.raw, encoding),
    })
}

impl Record {
    fn new(row: RowRef<'_>, digests: bool) -> Self {
        let mut record = Self {
            key: row.key.clone().unwrap_or_default(),
            bytes: Vec::new(),
            rows: Vec::new(),
            rows_skipped: 0,
            hasher: digests.then(RecordHasher::default),
            whole_bytes: 0,
        };
        record.push(row);
        record
    }

    fn push(&mut self, row: RowRef<'_>) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(row.whole);
            self.whole_bytes += row.whole.len() as u64;
        }
        self.rows_skipped += row.rows_skipped();
        let start = self.bytes.len();
        self.bytes.extend(row.raw);
        self.rows.push(RecordRow {
            number: row.number,
            raw: start..self.bytes.len(),
            form: row.form,
            absent: row.absent,
            part: row.part,
        });
    }

    /// The survey has looked at all but the last of very many records.
    fn check(&self, limits: &Limits) -> Result<(), SyncError> {
        let Limits { record_rows_max, record_bytes_max, .. } = limits;
        if self.rows.len() > *record_rows_max || self.bytes.len() as u64 > *record_bytes_max {
            return Err(SyncError::damaged(format!(
                "record `{}` has more rows than record_rows_max allows ({record_rows_max}), or more bytes than \
                 record_bytes_max ({record_bytes_max})",
                self.key
            )));
        }
        Ok(())
    }

    /// Adds the record to the chunk: all of its rows, or, if one cannot be loaded, all as rejects.
    fn end(mut self, chunk: &mut Chunk, ending: Ending<'_>) {
        let Ending { format, .. } = ending;
        chunk.rows_skipped += self.rows_skipped;
        let faulty =
            self.rows.iter().find(|row| matches!(row.form, Form::Broken(_))).map(|row| row.number);
        let whole_fault = faulty.map(|number| format!("row {number} {OF_SAME_RECORD}"));
        match (whole_fault, ending.joined, format.rows) {
            (Some(reason), ..) => self.reject(chunk, &reason, format.encoding),
            (None, Some(joined), RowFormat::Csv(dialect)) => {
                self.accept_joined(chunk, joined, dialect, ending);
            }
            (None, ..) => {
                chunk.rows_repeated += self.keep_one_object(ending.repeated_keys);
                self.accept(chunk, ending.keeps_originals);
            }
        }
    }

    /// Keeps the object that counts, if several objects are this record; returns the number of rows
    /// of the others. If all of them must be equal, the survey has checked that.
    fn keep_one_object(&mut self, repeated_keys: RepeatedKeys) -> u64 {
        let begins = |row: &RecordRow| row.part.begins_object();
        let (first_end, last) =
            (self.rows.iter().skip(1).position(begins), self.rows.iter().rposition(begins));
        let (Some(first_end), Some(last)) = (first_end, last) else { return 0 };
        let rows = self.rows.len();
        match repeated_keys {
            RepeatedKeys::First => self.rows.truncate(first_end + 1),
            RepeatedKeys::Last | RepeatedKeys::Quarantine => drop(self.rows.drain(..last)),
        }
        (rows - self.rows.len()) as u64
    }

    fn accept(self, chunk: &mut Chunk, keeps_originals: bool) {
        let first = chunk.rows();
        let repaired_before = chunk.rows_repaired;
        for (index, row) in (first..).zip(&self.rows) {
            self.push_row(chunk, index, row, keeps_originals);
            end_row(chunk, row.number, keeps_originals);
        }
        chunk.records.push(first..first + self.rows.len());
        if let Some(hasher) = self.hasher {
            let repaired = (chunk.rows_repaired - repaired_before) as u32;
            let key_hash = short_key_hash(key_hash(&self.key));
            chunk.seen.push(SeenRecord {
                digest: hasher.finish(),
                key_hash,
                bytes: self.whole_bytes,
                repaired,
            });
        }
        chunk.keys.push(self.key);
    }

    fn push_row(&self, chunk: &mut Chunk, index: usize, row: &RecordRow, keeps_original: bool) {
        match &row.form {
            Form::Rewritten { bytes, is_repaired } => {
                chunk.bytes.extend(bytes);
                chunk.rows_repaired += u64::from(*is_repaired);
                if keeps_original {
                    let (bytes, is_repaired) = (self.bytes[row.raw.clone()].to_vec(), *is_repaired);
                    chunk.originals.push(OriginalRow { row: index, bytes, is_repaired });
                }
            }
            _ => chunk.bytes.extend(&self.bytes[row.raw.clone()]),
        }
        chunk.absent.extend(row.absent.iter().map(|&column| (index, column)));
        match row.part {
            Part::LaterLine { .. } => chunk.later_lines.push(index),
            Part::NoLine { is_absent } => {
                chunk.without_line.push(index);
                chunk.lines_absent.extend(is_absent.then_some(index));
            }
            Part::Row | Part::FirstLine { .. } => {}
        }
    }

    /// Adds the record with the rows that other files have of it, in the order in which all of them
    /// stand in the file that is corrected.
    fn accept_joined(
        self,
        chunk: &mut Chunk,
        joined: &JoinedRows,
        dialect: Dialect,
        ending: Ending<'_>,
    ) {
        let Ending { columns, keeps_originals, .. } = ending;
        let number_of =
            |row: &RecordRow| dialect.number_in(&self.bytes[row.raw.clone()], joined.number_column);
        let own: Vec<(Option<u64>, &RecordRow)> =
            self.rows.iter().map(|row| (number_of(row), row)).collect();
        let is_own = |number: u64| own.iter().any(|&(own, _)| own == Some(number));
        let others =
            joined.by_key.get(&self.key).into_iter().flatten().filter(|row| !is_own(row.number));
        // A row that nobody numbered stands at the end.
        let mut rows: Vec<(u64, Result<&RecordRow, &JoinedRow>)> = own
            .iter()
            .map(|&(number, row)| (number.unwrap_or(u64::MAX), Ok(row)))
            .chain(others.map(|row| (row.number, Err(row))))
            .collect();
        rows.sort_by_key(|&(number, _)| number);
        let first = chunk.rows();
        for (index, (_, row)) in (first..).zip(&rows) {
            match row {
                Ok(own) => {
                    self.push_row(chunk, index, own, keeps_originals);
                    chunk
                        .bytes
                        .extend(std::iter::repeat_n(dialect.delimiter, joined.columns_added));
                    chunk.absent.extend(
                        (columns..columns + joined.columns_added).map(|column| (index, column)),
                    );
                }
                Err(other) => {
                    chunk.joined.push(index);
                    chunk.bytes.extend(&other.bytes);
                    chunk.absent.extend(other.absent.iter().map(|&column| (index, column)));
                }
            }
            end_row(chunk, row.map_or(0, |own| own.number), keeps_originals);
        }
        chunk.records.push(first..first + rows.len());
        chunk.keys.push(self.key.clone());
    }

    fn reject(self, chunk: &mut Chunk, whole_reason: &str, encoding: Encoding) {
        for row in self.rows {
            let raw = printable_in(&self.bytes[row.raw], encoding);
            let Fault { column, reason, .. } = match row.form {
                Form::Broken(fault) => fault,
                _ => Fault::row(whole_reason),
            };
            let record_key = Some(self.key.clone());
            push_reject(
                chunk,
                Reject {
                    row_number: row.number,
                    corrects_row: None,
                    record_key,
                    column,
                    reason,
                    raw,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests;
