//! Sync: what becomes of one file. Read this first.

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::chunk::{Chunk, Counts, Position};
use crate::clean::clean;
use crate::config::Config;
use crate::dataset::{Dataset, FeedKind, Owner, Route};
use crate::diff::{Diff, Known, diff};
use crate::error::SyncError;
use crate::project::{Projected, project};
use crate::quarantine;
use crate::schema::Layout;
use crate::sink::Sink;
use crate::sink::commit::ChunkWrite;
use crate::sink::known::take_rows;
use crate::sink::ledger::{FileRecord, FileState, NewFile};
use crate::source::content::{Content, Stamp};
use crate::source::reader::{Reader, decode};
use crate::source::scan::SourceFile;
use crate::source::survey::{Format, Survey, format_of, survey};
use serde::Serialize;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Chunks that are being cleaned or wait to be written while one is written: enough to keep two cores
/// busy behind a slow database, few enough for the memory limit.
const CHUNKS_IN_FLIGHT: usize = 2;

/// What a sync works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// What tidegate was told.
    pub config: Arc<Config>,
    /// The database.
    pub sink: Arc<Sink>,
    /// The resume files.
    pub checkpoints: Checkpoints,
    /// Set when the process is to end.
    pub shutdown: CancellationToken,
}

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Its rows are in the tables and marts.
    Synced,
    /// Its content was synced before.
    Unchanged,
    /// No dataset matches its path.
    Unmatched,
    /// Refused as a whole.
    Quarantined,
    /// Given up.
    Failed,
}

/// What was done with a file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Absolute path.
    pub path: String,
    /// Name, for people.
    pub name: String,
    /// The feed.
    pub dataset: Option<String>,
    /// The market.
    pub market: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Its rows, and the table rows they became.
    #[serde(flatten)]
    pub counts: Counts,
    /// Records whose rows disagree on what belongs to the record.
    pub records_disagreeing: u64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Why it is not synced.
    pub error: Option<String>,
}

/// Brings the tables to what a file says.
///
/// # Errors
///
/// [`SyncError::verdict`] says what becomes of each.
pub async fn sync_file(context: &Context, source_file: &SourceFile) -> Result<FileReport, SyncError> {
    let started = Instant::now();
    let Some((dataset, route)) = &source_file.route else {
        return list_unmatched(context, source_file, started).await;
    };
    let taken = match take(context, source_file, dataset, route).await? {
        Taken::Unchanged(file) => {
            put_away(context, source_file)?;
            return Ok(report(source_file, &file, Outcome::Unchanged, started));
        }
        Taken::Quarantined(file) => return Ok(report(source_file, &file, Outcome::Quarantined, started)),
        Taken::Work(taken) => *taken,
    };
    let surveyed = look(context, taken, dataset).await?;
    let changes = surveyed.layout.reconcile(dataset, &context.sink.shapes());
    context.sink.evolve(&changes, surveyed.file.id, now_ms()).await?;
    let (file, records_disagreeing) = write_chunks(context, surveyed, dataset).await?;
    context.sink.refresh_marts().await?;
    context.sink.set_state(file.id, FileState::Synced, None, now_ms()).await?;
    context.checkpoints.remove(file.id)?;
    put_away(context, source_file)?;
    Ok(FileReport { records_disagreeing, ..report(source_file, &file, Outcome::Synced, started) })
}

/// A file whose content is to be synced.
struct TakenFile {
    file: FileRecord,
    content: Content,
    format: Format,
    /// What an earlier attempt found, when the file is still the one it looked at.
    survey: Option<Survey>,
}

enum Taken {
    Unchanged(FileRecord),
    Quarantined(FileRecord),
    Work(Box<TakenFile>),
}

/// A file that was looked at.
struct Surveyed {
    file: FileRecord,
    content: Arc<Content>,
    format: Format,
    survey: Survey,
    layout: Arc<Layout>,
}

/// Finds out whether the content is new, and gives it its place in the ledger.
async fn take(
    context: &Context,
    source_file: &SourceFile,
    dataset: &Dataset,
    route: &Route,
) -> Result<Taken, SyncError> {
    let sink = &context.sink;
    let path = source_file.path_text();
    let newest = sink.newest_file(&path).await?;
    let format = format_of(&source_file.path, &context.config.limits);
    if let Some(file) = &newest
        && let Some(resumed) = resume(context, source_file, dataset, file, format).await?
    {
        return Ok(Taken::Work(Box::new(resumed)));
    }
    let (content, sha256) = open(&source_file.path, context.config.limits.content_bytes_max).await?;
    let stamp = content.stamp();
    let is_same = |file: &&FileRecord| file.sha256 == sha256 && file.transform == dataset.fingerprint;
    if let Some(file) = newest.as_ref().filter(is_same) {
        match file.state {
            FileState::Quarantined => {
                note_stamp(sink, file, stamp).await?;
                return Ok(Taken::Quarantined(file.clone()));
            }
            FileState::Pending | FileState::Syncing | FileState::Failed => {
                sink.set_state(file.id, FileState::Syncing, None, now_ms()).await?;
                return Ok(Taken::Work(Box::new(TakenFile { file: file.clone(), content, format, survey: None })));
            }
            _ => {}
        }
    }
    let last_taken = sink.last_taken_file(&path).await?;
    if let Some(file) = last_taken.as_ref().filter(is_same).filter(|file| file.state == FileState::Synced) {
        note_stamp(sink, file, stamp).await?;
        return Ok(Taken::Unchanged(file.clone()));
    }
    let now_ms = now_ms();
    let new_file = NewFile {
        version_ms: version(source_file, &sha256, last_taken.as_ref(), now_ms),
        dataset: Some(dataset.name.clone()),
        market: Some(route.market.clone()),
        state: FileState::Syncing,
        transform: dataset.fingerprint.clone(),
        ..new_file(path, sha256, stamp)
    };
    let file = sink.add_file(&new_file, now_ms).await?;
    Ok(Taken::Work(Box::new(TakenFile { file, content, format, survey: None })))
}

/// A file that a restart interrupted, when its checkpoint still describes it: nothing is read again.
async fn resume(
    context: &Context,
    source_file: &SourceFile,
    dataset: &Dataset,
    file: &FileRecord,
    format: Format,
) -> Result<Option<TakenFile>, SyncError> {
    if file.state != FileState::Syncing || file.transform != dataset.fingerprint {
        return Ok(None);
    }
    let Some(checkpoint) = context.checkpoints.load(file.id, file.position.or(Some(Position::default()))) else {
        return Ok(None);
    };
    if checkpoint.stamp != source_file.stamp {
        return Ok(None);
    }
    let path = source_file.path.clone();
    let memory_bytes_max = context.config.limits.content_bytes_max;
    let mut content = blocking(move || Content::open(&path, memory_bytes_max)).await?;
    if content.stamp() != checkpoint.stamp {
        return Ok(None);
    }
    content.expect_digests(checkpoint.digests);
    Ok(Some(TakenFile { file: file.clone(), content, format, survey: Some(checkpoint.survey) }))
}

async fn open(path: &Path, memory_bytes_max: u64) -> Result<(Content, String), SyncError> {
    let path = path.to_owned();
    blocking(move || {
        let mut content = Content::open(&path, memory_bytes_max)?;
        let sha256 = content.hash()?;
        Ok((content, sha256))
    })
    .await
}

/// New content at a known path is newer than what was there; the same content under other rules is as old as it was.
fn version(source_file: &SourceFile, sha256: &str, last_taken: Option<&FileRecord>, now_ms: i64) -> i64 {
    let own = source_file.version_ms(now_ms);
    match last_taken {
        Some(last) if last.sha256 == sha256 => last.version_ms,
        Some(last) => own.max(last.version_ms + 1),
        None => own,
    }
}

async fn note_stamp(sink: &Sink, file: &FileRecord, stamp: Stamp) -> Result<(), SyncError> {
    let (modified_ns, inode) = (stamp.modified_ns, inode(stamp));
    if (file.modified_ns, file.inode) == (modified_ns, inode) {
        return Ok(());
    }
    sink.set_stamp(file.id, modified_ns, inode).await
}

/// Looks at every row, unless a checkpoint knows what there is to see, and decides whether the file is refused.
async fn look(context: &Context, taken: TakenFile, dataset: &Arc<Dataset>) -> Result<Surveyed, SyncError> {
    let TakenFile { file, content, format, survey: known } = taken;
    let config = Arc::clone(&context.config);
    let dataset = Arc::clone(dataset);
    let shapes = context.sink.shapes();
    let (content, survey, layout) = blocking(move || {
        if let Some(survey) = known {
            let layout = Layout::of_header(&survey.header, &dataset, &shapes);
            return Ok((content, survey, layout));
        }
        let (survey, layout) = survey(&content, format, &dataset, &shapes, &config.limits)?;
        quarantine::check_rejects(&survey, config.rejects_max_percent)?;
        Ok((content, survey, layout))
    })
    .await?;
    Ok(Surveyed { file, content: Arc::new(content), format, survey, layout: Arc::new(layout) })
}

/// Writes what is left of the file, chunk by chunk, while the next ones are read and cleaned.
async fn write_chunks(
    context: &Context,
    surveyed: Surveyed,
    dataset: &Arc<Dataset>,
) -> Result<(FileRecord, u64), SyncError> {
    let mut writer = Writer::new(context, &surveyed, dataset).await?;
    let mut chunks = start_reading(context, &surveyed, dataset, writer.market());
    while let Some(projected) = chunks.recv().await {
        if context.shutdown.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        let projected =
            projected.await.map_err(|_| SyncError::Internal("the worker of a chunk is gone".to_owned()))??;
        writer.write(projected).await?;
    }
    if !writer.is_done() {
        return Err(SyncError::Internal("the file was not read to its end".to_owned()));
    }
    Ok((writer.file, writer.records_disagreeing))
}

type PendingChunk = oneshot::Receiver<Result<Projected, SyncError>>;

/// Reads on one thread and hands each chunk to rayon; the chunks come out in the order of the file.
fn start_reading(
    context: &Context,
    surveyed: &Surveyed,
    dataset: &Arc<Dataset>,
    market: &str,
) -> mpsc::Receiver<PendingChunk> {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let (content, layout, survey) =
        (Arc::clone(&surveyed.content), Arc::clone(&surveyed.layout), surveyed.survey.clone());
    let (format, position) = (surveyed.format, surveyed.file.position.unwrap_or_default());
    let (config, dataset, market) = (Arc::clone(&context.config), Arc::clone(dataset), market.to_owned());
    tokio::task::spawn_blocking(move || {
        let pass_on = |chunk: Result<Chunk, SyncError>| {
            let (done, pending) = oneshot::channel();
            match chunk {
                // Nobody waits for a chunk once the file is given up.
                Err(error) => drop(done.send(Err(error))),
                Ok(chunk) => {
                    let (layout, dataset, market) = (Arc::clone(&layout), Arc::clone(&dataset), market.clone());
                    rayon::spawn(move || drop(done.send(transform(chunk, format, &layout, &dataset, &market))));
                }
            }
            sender.blocking_send(pending).is_ok()
        };
        let mut reader = match Reader::new(&content, format, &layout, &dataset, &config.limits, &survey, position) {
            Ok(reader) => reader,
            Err(error) => {
                pass_on(Err(error));
                return;
            }
        };
        while let Some(chunk) = reader.next_chunk().transpose() {
            let is_broken = chunk.is_err();
            if !pass_on(chunk) || is_broken {
                return;
            }
        }
    });
    receiver
}

/// What turns a chunk of text into table rows. A panic in it costs the file, not the process.
fn transform(
    chunk: Chunk,
    format: Format,
    layout: &Layout,
    dataset: &Dataset,
    market: &str,
) -> Result<Projected, SyncError> {
    catch_unwind(AssertUnwindSafe(|| {
        let batch = decode(&chunk, format, layout);
        let cleaned = clean(&batch, layout, dataset);
        project(chunk, &cleaned, layout, dataset, market)
    }))
    .map_err(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        SyncError::Internal(what.unwrap_or_else(|| "a panic without a message".to_owned()))
    })
}

/// Writes the chunks of one file.
struct Writer<'a> {
    context: &'a Context,
    dataset: &'a Dataset,
    file: FileRecord,
    checkpoint: Checkpoint,
    precedence: Precedence,
    /// Whether the tables may hold any of the file's records.
    may_be_known: bool,
    records_disagreeing: u64,
}

/// Which stored records this file's ones replace.
enum Precedence {
    /// All of them.
    Newest,
    /// A late full export adds what is unknown.
    OnlyUnknown,
    /// Those that older files wrote: version and path of this file, and of the files met so far.
    Delta { own: (i64, String), others: HashMap<i64, (i64, String)> },
}

impl<'a> Writer<'a> {
    async fn new(context: &'a Context, surveyed: &Surveyed, dataset: &'a Dataset) -> Result<Self, SyncError> {
        let file = surveyed.file.clone();
        let position = file.position.unwrap_or_default();
        let own = (file.version_ms, file.path.clone());
        let precedence = match dataset.kind {
            FeedKind::Delta => Precedence::Delta { own, others: HashMap::new() },
            FeedKind::Full => match context.sink.newest_synced(&file).await? {
                Some(newest) if newest > own => Precedence::OnlyUnknown,
                _ => Precedence::Newest,
            },
        };
        let may_be_known = position != Position::default()
            || context.sink.has_rows(&dataset.table, file.market.as_deref().unwrap_or_default()).await?;
        let content = &surveyed.content;
        let checkpoint =
            Checkpoint::new(file.id, content.stamp(), content.digests().to_vec(), surveyed.survey.clone(), position);
        let writer = Self { context, dataset, file, checkpoint, precedence, may_be_known, records_disagreeing: 0 };
        writer.advance_checkpoint(position).await?;
        Ok(writer)
    }

    fn market(&self) -> &str {
        self.file.market.as_deref().unwrap_or_default()
    }

    fn is_done(&self) -> bool {
        self.file.position.is_some_and(|position| position.done)
    }

    /// Compares, commits, and then notes on disk that it did.
    async fn write(&mut self, projected: Projected) -> Result<(), SyncError> {
        let known = match self.may_be_known {
            true => self.context.sink.known(self.dataset, self.market(), &projected.keys).await?,
            false => Known::default(),
        };
        self.meet_files(&known).await?;
        let diff = diff(&projected, &known, |file_id| self.wins(file_id));
        self.records_disagreeing += projected.records_disagreeing;
        let chunk = self.chunk_write(projected, diff, &known).await?;
        self.context.sink.commit_chunk(&chunk).await?;
        fail::fail_point!("before_checkpoint", |_| std::process::abort());
        let (counts, next) = (chunk.counts, chunk.next);
        self.advance_checkpoint(next).await?;
        fail::fail_point!("after_checkpoint", |_| std::process::abort());
        tracing::debug!(file_id = self.file.id, rows = counts.read, "chunk committed");
        self.file.counts = counts;
        self.file.position = Some(next);
        Ok(())
    }

    /// A delta compares versions: learns those of the files that wrote the known records.
    async fn meet_files(&mut self, known: &Known) -> Result<(), SyncError> {
        let Precedence::Delta { others, .. } = &mut self.precedence else { return Ok(()) };
        let mut unmet: Vec<i64> =
            known.records.values().map(|&(_, file_id)| file_id).filter(|id| !others.contains_key(id)).collect();
        unmet.sort_unstable();
        unmet.dedup();
        if !unmet.is_empty() {
            others.extend(self.context.sink.versions_of(unmet).await?);
        }
        Ok(())
    }

    /// Whether this file's record replaces one that the given file wrote.
    fn wins(&self, file_id: i64) -> bool {
        match &self.precedence {
            _ if file_id == self.file.id => true,
            Precedence::Newest => true,
            Precedence::OnlyUnknown => false,
            Precedence::Delta { own, others } => others.get(&file_id).is_none_or(|other| own >= other),
        }
    }

    async fn chunk_write(&self, projected: Projected, diff: Diff, known: &Known) -> Result<ChunkWrite<'_>, SyncError> {
        let sink = &self.context.sink;
        let modified_records =
            sink.fill_absent(&projected.records, &diff.records.changed, known, self.dataset, Owner::Record).await?;
        let (new_lines, modified_lines) = match &projected.lines {
            None => (None, None),
            Some(lines) => {
                let modified = sink.fill_absent(lines, &diff.lines.changed, known, self.dataset, Owner::Line).await?;
                (Some(take_rows(lines, &diff.lines.new)), Some(modified))
            }
        };
        let new_records = take_rows(&projected.records, &diff.records.new);
        let lines_new = diff.lines.new.len() as u64;
        let lines_modified = modified_lines.as_ref().map_or(0, |lines| lines.batch.num_rows() as u64);
        let records_modified = modified_records.batch.num_rows() as u64;
        let mut counts = self.file.counts;
        counts += Counts {
            read: projected.rows_read,
            accepted: projected.rows_read - projected.rejects.len() as u64 - projected.rows_duplicate,
            duplicate: projected.rows_duplicate,
            rejected: projected.rejects.len() as u64,
            repaired: projected.rows_repaired,
            new: diff.records.new.len() as u64 + lines_new,
            modified: records_modified + lines_modified,
            unchanged: diff.records.unchanged + diff.lines.unchanged + diff.records.changed.len() as u64
                - records_modified
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
            self.dataset,
        );
        Ok(ChunkWrite {
            file_id: self.file.id,
            dataset: self.dataset,
            market: self.market(),
            new_records,
            modified_records,
            new_lines,
            modified_lines,
            removed_lines: diff.removed_lines,
            changed_keys: touched.changed,
            new_keys: touched.new,
            confirmed_keys: touched.confirmed,
            rejects: projected.rejects,
            counts,
            next: projected.next,
        })
    }

    async fn advance_checkpoint(&self, position: Position) -> Result<(), SyncError> {
        let checkpoints = self.context.checkpoints.clone();
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.position = position;
        blocking(move || checkpoints.advance(&checkpoint)).await
    }
}

/// Keys of the records that a chunk touches.
struct TouchedKeys {
    changed: Vec<String>,
    new: Vec<String>,
    /// Of a delta: as they are stored, and now vouched for by this file.
    confirmed: Vec<String>,
}

impl TouchedKeys {
    fn of(
        projected: &Projected,
        diff: &Diff,
        modified: &[u32],
        new_lines: Option<&crate::project::TableRows>,
        modified_lines: Option<&crate::project::TableRows>,
        dataset: &Dataset,
    ) -> Self {
        let keys = &projected.keys;
        let key = |record: &u32| keys[*record as usize].clone();
        let new: std::collections::BTreeSet<String> =
            diff.records.new.iter().map(|&record| keys[record].clone()).collect();
        let of_lines = new_lines.into_iter().chain(modified_lines).flat_map(|lines| &lines.record);
        let mut changed: std::collections::BTreeSet<String> = modified.iter().chain(of_lines).map(key).collect();
        changed.extend(diff.removed_lines.iter().map(|(key, _)| key.clone()));
        changed.retain(|key| !new.contains(key));
        let written: std::collections::HashSet<usize> =
            diff.records.new.iter().copied().chain(modified.iter().map(|&record| record as usize)).collect();
        let confirmed = match dataset.kind {
            FeedKind::Full => Vec::new(),
            FeedKind::Delta => diff
                .winners
                .iter()
                .filter(|record| !written.contains(record))
                .map(|&record| keys[record].clone())
                .collect(),
        };
        Self { changed: changed.into_iter().collect(), new: new.into_iter().collect(), confirmed }
    }
}

/// A file that no dataset matches has its line in the ledger all the same.
async fn list_unmatched(
    context: &Context,
    source_file: &SourceFile,
    started: Instant,
) -> Result<FileReport, SyncError> {
    let path = source_file.path_text();
    let newest = context.sink.newest_file(&path).await?;
    let (content, sha256) = open(&source_file.path, context.config.limits.content_bytes_max).await?;
    let file = match newest.filter(|file| file.sha256 == sha256 && file.state == FileState::Unmatched) {
        Some(file) => {
            note_stamp(&context.sink, &file, content.stamp()).await?;
            file
        }
        None => {
            let now_ms = now_ms();
            let new_file = NewFile {
                version_ms: source_file.version_ms(now_ms),
                state: FileState::Unmatched,
                error: Some("no dataset's paths match it; rename it, or add a pattern to the profile".to_owned()),
                ..new_file(path, sha256, content.stamp())
            };
            context.sink.add_file(&new_file, now_ms).await?
        }
    };
    Ok(report(source_file, &file, Outcome::Unmatched, started))
}

fn new_file(path: String, sha256: String, stamp: Stamp) -> NewFile {
    NewFile {
        path,
        dataset: None,
        market: None,
        sha256,
        size_bytes: i64::try_from(stamp.size_bytes).unwrap_or(i64::MAX),
        version_ms: 0,
        state: FileState::Pending,
        modified_ns: stamp.modified_ns,
        inode: inode(stamp),
        transform: String::new(),
        error: None,
    }
}

/// Inodes are unsigned, and databases have no such integers: the bits are kept.
pub const fn inode(stamp: Stamp) -> i64 {
    stamp.inode.cast_signed()
}

/// After the commit, and only then, a file may go where the operator wants it.
fn put_away(context: &Context, source_file: &SourceFile) -> Result<(), SyncError> {
    crate::archive::put_away(&context.config, source_file)
}

/// What was done with a file.
pub fn report(source_file: &SourceFile, file: &FileRecord, outcome: Outcome, started: Instant) -> FileReport {
    FileReport {
        path: file.path.clone(),
        name: source_file.name(),
        dataset: file.dataset.clone(),
        market: file.market.clone(),
        outcome,
        counts: if outcome == Outcome::Synced { file.counts } else { Counts::default() },
        records_disagreeing: 0,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: file.error.clone(),
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Work that blocks leaves the async threads here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| SyncError::Internal(panic.to_string()))?
}
