//! Sync: what becomes of one file. Read this first.

pub mod archive;
pub mod checkpoint;
pub mod correction;
pub mod delete;
pub mod precedence;
pub mod quarantine;
pub mod touched_keys;
pub mod unmatched;
pub mod write;

use crate::chunk::{Counts, Position};
use crate::config::Config;
use crate::error::SyncError;
use crate::feed::correction::{Header, OpenReject};
use crate::feed::dataset::{Dataset, FeedKind, NumberForm, Route};
use crate::feed::layout::Layout;
use crate::feed::stamp::Stamp;
use crate::feed::stamp::inode;
use crate::process::clock::millis;
use crate::process::clock::now_ms;
use crate::process::progress;
use crate::process::progress::{Board, step};
use crate::process::turns::{Turn, Turns};
use crate::sink::Sink;
use crate::sink::ledger::attempts;
use crate::sink::ledger::attempts::Company;
use crate::sink::ledger::files::{FileRecord, FileState, NewFile};
use crate::sink::ledger::rejects::UnknownRecords;
use crate::source::find::scan::SourceFile;
use crate::source::format::RowFormat;
use crate::source::survey::{Survey, survey_with};
use crate::source::text::content::Content;
use crate::source::text::read_text;
use crate::source::unchanged::record_index::{Origin, RecordIndexWriter, RecordIndexes};
use crate::source::unchanged::skips::{IndexPlace, Skips, origin};
use crate::sync::archive::put_away;
use crate::sync::checkpoint::{Checkpoint, Checkpoints};
use crate::sync::correction::correction;
use crate::sync::delete::delete_unmentioned;
use crate::sync::unmatched::{list_unmatched, settle_dataset};
use crate::sync::write::{Written, write_chunks};
use serde::Serialize;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Rows at fault that the ledger's line of a file names.
const FIRST_ROWS_MAX: u64 = 3;

/// How long indexes and marts wait for a file that is yet to be hashed: a gigabyte takes seconds, and beyond that a file
/// may take hours, or never turn out to be one that is written.
const TAKING_AWAITED_MAX: Duration = Duration::from_secs(5);

/// What a sync works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// What tidegate was told.
    pub config: Arc<Config>,
    /// The database.
    pub sink: Arc<Sink>,
    /// The resume files.
    pub checkpoints: Checkpoints,
    /// What is known of the records of the last exports.
    pub indexes: RecordIndexes,
    /// Whose turn it is.
    pub turns: Turns,
    /// The files at work.
    pub board: Board,
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
    /// Its rows are in the tables and marts; what it would delete waits for approval.
    Held,
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
    /// How much of that went into the marts.
    pub marts_ms: u64,
    /// What an operator should know although nothing failed.
    pub warning: Option<String>,
    /// Why it is not synced, or what of it was left undone.
    pub error: Option<String>,
    /// Whether the same was said of it before.
    #[serde(skip)]
    pub is_old_news: bool,
}

/// Brings the tables to what a file says.
///
/// # Errors
///
/// [`SyncError::verdict`] says what becomes of each.
pub async fn sync_file(context: &Context, turn: &Turn, source_file: &SourceFile) -> Result<FileReport, SyncError> {
    let started = Instant::now();
    let Some((dataset, route)) = &source_file.route else {
        return list_unmatched(context, turn, source_file, started).await;
    };
    let dataset = settle_dataset(context, turn, source_file, dataset).await?;
    let number_forms = context.sink.number_forms(&dataset.name, &route.market).await?;
    let dataset = &Arc::new(dataset.with_number_forms(number_forms));
    // From here on: a smaller file beside this one would else make the indexes just before this one fills the table.
    let mut filling = context.sink.start_filling(dataset, &route.market);
    let mut at_work = context.sink.start_work(&route.market, &dataset.table);
    let mut taking = pin!(take(context, turn, source_file, dataset, route));
    let taken = match timeout(TAKING_AWAITED_MAX, &mut taking).await {
        Ok(taken) => taken?,
        Err(_) => {
            drop((filling, at_work));
            let taken = taking.await?;
            filling = context.sink.start_filling(dataset, &route.market);
            at_work = context.sink.start_work(&route.market, &dataset.table);
            taken
        }
    };
    let taken = match taken {
        Taken::Unchanged(file) => {
            put_away(&context.config, source_file);
            return Ok(report(source_file, &file, Outcome::Unchanged, started));
        }
        Taken::Quarantined(file) => return Ok(report(source_file, &file, Outcome::Quarantined, started)),
        Taken::Held(file) => return Ok(report(source_file, &file, Outcome::Held, started)),
        Taken::Work(taken) => *taken,
    };
    let taken_ms = millis(started.elapsed());
    step("looking at it");
    let (mut surveyed, mut skips, company) = look(context, taken, dataset).await?;
    let looked_ms = millis(started.elapsed()) - taken_ms;
    tracing::debug!(file_id = surveyed.file.id, taken_ms, looked_ms, "file looked at");
    let correction = correction(context, source_file, &mut surveyed, dataset).await?.map(Arc::new);
    step("giving its tables new columns");
    surveyed.record_number_forms(context, dataset).await?;
    let evolved = context.sink.evolve(&surveyed.layout, dataset, surveyed.file.id, now_ms()).await?;
    if evolved.has_widened {
        // What did not fit its column in the last export, because the column could not take another kind then, may fit now.
        skips = Skips::default();
    }
    // Another market may have brought the same column meanwhile, and its values decided what it holds.
    Arc::make_mut(&mut surveyed.layout).adopt_kinds(dataset, &context.sink.shapes());
    if surveyed.survey.rows_rejected > 0 && surveyed.file.header.is_none() {
        context.sink.set_header(surveyed.file.id, &header_of(&surveyed)).await?;
    }
    step("writing its rows");
    let Written { mut file, records_disagreeing, is_newest, index } =
        write_chunks(context, &surveyed, skips, dataset, correction.clone(), company).await?;
    drop(filling);
    let indexes_started = Instant::now();
    step("making indexes");
    context.sink.make_indexes().await?;
    tracing::debug!(file_id = file.id, elapsed_ms = millis(indexes_started.elapsed()), "indexes are there");
    step("deleting what it does not mention");
    // After the file's own rows: a record is only deleted once all that the file mentions are there.
    let held = match is_newest {
        true => delete_unmentioned(context, &surveyed, dataset, &mut file).await?,
        false => None,
    };
    let (state, outcome) = match held {
        Some(_) => (FileState::Held, Outcome::Held),
        None => (FileState::Synced, Outcome::Synced),
    };
    let unknown = note_of_unknown(&context.sink.unknown_records_of(file.id, FIRST_ROWS_MAX).await?);
    let note = correction.and_then(|correction| correction.note.clone());
    let error = [held, unknown, note].into_iter().flatten().collect::<Vec<_>>().join("; ");
    file.error = (!error.is_empty()).then_some(error);
    if let Some(index) = index {
        surveyed.leave_index(context, dataset, index).await?;
    }
    drop(evolved.kinds_stay);
    // Apart from the refresh: the time goes to the file that is waited for.
    context.sink.make_indexes_for_marts(Some(&at_work)).await?;
    let refresh_started = Instant::now();
    step("refreshing the marts");
    context.sink.refresh_marts(Some(&at_work)).await?;
    let marts_ms = millis(refresh_started.elapsed());
    context.sink.finish_file(&file, state, is_newest, now_ms()).await?;
    context.checkpoints.remove(file.id);
    if outcome == Outcome::Synced {
        put_away(&context.config, source_file);
    }
    let warning = warning_of_stale(context, &file).await?;
    Ok(FileReport { records_disagreeing, marts_ms, warning, ..report(source_file, &file, outcome, started) })
}

/// A file that changes nothing because all of it is older looks as if nothing had been wrong with it.
async fn warning_of_stale(context: &Context, file: &FileRecord) -> Result<Option<String>, SyncError> {
    let Counts { new, modified, unchanged, deleted, stale, .. } = file.counts;
    if stale == 0 || new + modified + unchanged + deleted > 0 {
        return Ok(None);
    }
    let newer = context.sink.newest_synced(file).await?;
    let newer = newer.map_or_else(String::new, |(_, path)| format!(": {path} is newer and was synced before"));
    Ok(Some(format!(
        "all of its rows are older than what is stored, so it changed nothing{newer}; if it is the right one, write it again \
         under a path that is known, or with a later time or date in its name"
    )))
}

/// What the ledger says of a file with rows that may belong to any record.
fn note_of_unknown(unknown: &UnknownRecords) -> Option<String> {
    let UnknownRecords { rows, first } = unknown;
    let cannot = match rows {
        0 => return None,
        1 => "1 of its rows cannot be loaded and does".to_owned(),
        rows => format!("{rows} of its rows cannot be loaded and do"),
    };
    let named: Vec<String> = first.iter().map(OpenReject::place_and_reason).collect();
    Some(format!(
        "{cannot} not say of which record ({}): it deletes no line and no record, because any may be there; correct with \
         tidegate rejects --export, or drop a right export",
        named.join("; ")
    ))
}

/// Clears up what a crash left behind: marks of mart groups, and resume files that nobody needs.
///
/// # Errors
///
/// When the database or the state directory fails.
pub async fn clear_up(context: &Context) -> Result<(), SyncError> {
    context.sink.refresh_marts(None).await?;
    let unfinished = context.sink.unfinished_files().await?;
    context.checkpoints.retain(&unfinished);
    context.indexes.clear_up();
    Ok(())
}

/// A file whose content is to be synced.
struct TakenFile {
    file: FileRecord,
    content: Content,
    /// What an earlier attempt found, when the file is still the one it looked at.
    checkpoint: Option<Checkpoint>,
    /// Whether it is worked on beside others.
    company: Company,
}

enum Taken {
    Unchanged(FileRecord),
    Quarantined(FileRecord),
    Held(FileRecord),
    Work(Box<TakenFile>),
}

/// A file that was looked at.
pub(crate) struct Surveyed {
    /// Its line in the ledger.
    pub file: FileRecord,
    /// Its text.
    pub content: Arc<Content>,
    /// What was found.
    pub survey: Survey,
    /// The columns of its rows, and of rows that other files add to its records.
    pub layout: Arc<Layout>,
    /// The columns of its rows.
    pub own_layout: Arc<Layout>,
}

impl Surveyed {
    /// Whether what becomes of the file's records is to be known when the next export comes. Only where one dataset alone
    /// writes to its table: files of another one are not synced in turn with this one's.
    pub fn leaves_index(&self, context: &Context, dataset: &Dataset) -> bool {
        may_have_index(context, &self.file, dataset)
            && matches!(self.survey.format.rows, RowFormat::Csv(_))
            && self.content.size_bytes() >= context.config.limits.record_index_bytes_min
    }

    /// Tells the ledger what the file is the first to prove of how numbers are written. Before its rows: should they be cut
    /// off, they are read again as they were read now.
    async fn record_number_forms(&self, context: &Context, dataset: &Dataset) -> Result<(), SyncError> {
        let market = self.file.market.as_deref().unwrap_or_default();
        let proved = self.survey.numbers.proved.iter();
        let proved: Vec<_> = proved
            .map(|(column, form)| (column.clone(), NumberForm { file_id: self.file.id, ..form.clone() }))
            .collect();
        context.sink.record_number_forms(&dataset.name, market, &proved, now_ms()).await
    }

    /// What the rows of this file become rests on this.
    pub fn origin(&self, context: &Context, dataset: &Dataset, generation: &str) -> Origin {
        origin(dataset, &context.sink.shapes(), &self.survey.header, self.survey.format.rows, generation)
    }

    /// After everything that the file changes: nobody else writes to its table and market meanwhile.
    async fn leave_index(
        &self,
        context: &Context,
        dataset: &Dataset,
        index: RecordIndexWriter,
    ) -> Result<(), SyncError> {
        let market = self.file.market.as_deref().unwrap_or_default();
        let Some(generation) = context.sink.generation(&dataset.table, market).await? else { return Ok(()) };
        let origin = self.origin(context, dataset, &generation);
        blocking(move || {
            index.finish(&origin);
            Ok(())
        })
        .await
    }
}

/// Whether an index may know, or be left by, the records of a file.
fn may_have_index(context: &Context, file: &FileRecord, dataset: &Dataset) -> bool {
    let writes_to_table = |other: &&Arc<Dataset>| other.table == dataset.table && !other.is_template();
    dataset.kind == FeedKind::Full
        && file.corrects.is_none()
        && !dataset.is_keyless()
        && !dataset.is_made
        && context.config.datasets.iter().filter(writes_to_table).count() == 1
}

/// Finds out whether the content is new, and gives it its place in the ledger.
async fn take(
    context: &Context,
    turn: &Turn,
    source_file: &SourceFile,
    dataset: &Dataset,
    route: &Route,
) -> Result<Taken, SyncError> {
    let sink = &context.sink;
    let path = source_file.path_text();
    let newest = sink.newest_file(&path).await?;
    if let Some(file) = &newest
        && let Some(resumed) = resume(context, source_file, dataset, file).await?
    {
        return Ok(Taken::Work(Box::new(resumed)));
    }
    let (content, sha256) = hash_in_turn(context, turn, source_file).await?;
    let stamp = content.stamp();
    if let Some(file) = newest.as_ref().filter(|file| file.sha256 == sha256 && file.state == FileState::Quarantined) {
        if file.transform == quarantine::rules(&dataset.fingerprint, &context.config) {
            note_stamp(sink, file, stamp).await?;
            return Ok(Taken::Quarantined(file.clone()));
        }
        if let Some(file) = try_again(sink, file, dataset, route, stamp).await? {
            let company = sink.take_up(&file).await?;
            return Ok(Taken::Work(Box::new(TakenFile { file, content, checkpoint: None, company })));
        }
    }
    let is_same = |file: &&FileRecord| file.sha256 == sha256 && file.transform == dataset.fingerprint;
    if let Some(file) = newest.as_ref().filter(is_same) {
        match file.state {
            FileState::Held => {
                note_stamp(sink, file, stamp).await?;
                return Ok(Taken::Held(file.clone()));
            }
            FileState::Pending | FileState::Syncing | FileState::Failed => {
                sink.set_state(file.id, FileState::Syncing, &file.transform, None, now_ms()).await?;
                let company = sink.take_up(file).await?;
                return Ok(Taken::Work(Box::new(TakenFile { file: file.clone(), content, checkpoint: None, company })));
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
        corrects: route.corrects.clone(),
        ..new_file(path, sha256, stamp)
    };
    let file = sink.add_file(&new_file, now_ms).await?;
    if let Some(superseded) = newest {
        context.checkpoints.remove(superseded.id);
    }
    let company = sink.take_up(&file).await?;
    Ok(Taken::Work(Box::new(TakenFile { file, content, checkpoint: None, company })))
}

/// Takes up a refused file whose refusal rests on rules that have changed, or that an operator wants tried again.
/// `None` for one that is to get another line in the ledger: what it is changed too, or its rows reached the tables before
/// it was refused.
async fn try_again(
    sink: &Sink,
    file: &FileRecord,
    dataset: &Dataset,
    route: &Route,
    stamp: Stamp,
) -> Result<Option<FileRecord>, SyncError> {
    let is_what_it_was = file.dataset.as_ref() == Some(&dataset.name)
        && file.market.as_ref() == Some(&route.market)
        && file.corrects == route.corrects;
    if !is_what_it_was || file.position.is_some() {
        return Ok(None);
    }
    note_stamp(sink, file, stamp).await?;
    sink.set_state(file.id, FileState::Syncing, &dataset.fingerprint, None, now_ms()).await?;
    let transform = dataset.fingerprint.clone();
    Ok(Some(FileRecord { state: FileState::Syncing, transform, error: None, ..file.clone() }))
}

/// A file that a restart interrupted, when its checkpoint still describes it: nothing is read again.
async fn resume(
    context: &Context,
    source_file: &SourceFile,
    dataset: &Dataset,
    file: &FileRecord,
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
    let (source_file, config) = (source_file.clone(), Arc::clone(&context.config));
    let content = blocking(move || Content::open(&source_file.root, &source_file.path, &config.limits)).await?;
    if content.stamp() != checkpoint.stamp {
        return Ok(None);
    }
    let company = context.sink.take_up(file).await?;
    Ok(Some(TakenFile { file: file.clone(), content, checkpoint: Some(checkpoint), company }))
}

/// Opens a file and hashes all of it. A large one is hashed beside the files whose turn it is.
pub async fn hash_in_turn(
    context: &Context,
    turn: &Turn,
    source_file: &SourceFile,
) -> Result<(Content, String), SyncError> {
    let hashing = hash(source_file, &context.config);
    match source_file.stamp.size_bytes > context.config.limits.content_bytes_max {
        true => turn.hash(hashing).await,
        false => hashing.await,
    }
}

/// Opens a file and hashes all of it.
pub async fn hash(source_file: &SourceFile, config: &Arc<Config>) -> Result<(Content, String), SyncError> {
    let (source_file, config) = (source_file.clone(), Arc::clone(config));
    blocking(move || {
        let mut content = Content::open(&source_file.root, &source_file.path, &config.limits)?;
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

/// Notes that a path was touched, so that no scan takes it for another version.
pub async fn note_stamp(sink: &Sink, file: &FileRecord, stamp: Stamp) -> Result<(), SyncError> {
    let (modified_ns, inode, changed_ns) = (stamp.modified_ns, inode(stamp), stamp.changed_ns);
    if (file.modified_ns, file.inode, file.changed_ns) == (modified_ns, inode, changed_ns) {
        return Ok(());
    }
    sink.set_stamp(file.id, modified_ns, inode, changed_ns).await
}

/// Looks at every row, unless a checkpoint knows what there is to see, and decides whether the file is refused.
async fn look(
    context: &Context,
    taken: TakenFile,
    dataset: &Arc<Dataset>,
) -> Result<(Surveyed, Skips, Company), SyncError> {
    let TakenFile { file, content, checkpoint, company } = taken;
    let market = file.market.clone().unwrap_or_default();
    let place = match may_have_index(context, &file, dataset) && file.position.is_none() {
        true => Some(IndexPlace {
            generation: context.sink.generation(&dataset.table, &market).await?,
            indexes: context.indexes.clone(),
            market,
        }),
        false => None,
    };
    let config = Arc::clone(&context.config);
    let dataset = Arc::clone(dataset);
    let file_market = file.market.clone();
    let shapes = context.sink.shapes();
    let (content, survey, layout, skips) = blocking(move || {
        die_in_survey(file_market.as_deref());
        let encoding = checkpoint.as_ref().map(|checkpoint| checkpoint.survey.format.encoding);
        let mut text = read_text(content, &dataset, encoding, &config.limits, &config.state_dir)?;
        if let Some(Checkpoint { survey, digests, .. }) = checkpoint {
            text.content.expect_digests(digests)?;
            let mut layout = Layout::of_header(&survey.header, &dataset, &shapes);
            survey.numbers.apply(&mut layout);
            // A restored database may lack a column again; what it holds, only the file tells.
            if layout.reconcile(&dataset, &shapes).is_empty() {
                return Ok((text.content, survey, layout, Skips::default()));
            }
        }
        let (survey, layout, skips) = survey_with(&text, &dataset, &shapes, &config.limits, place.as_ref())?;
        // Of rejected rows, not all may be correct yet.
        if !layout.is_correction() {
            quarantine::check_decimals(&survey, &dataset, file_market.as_deref().unwrap_or_default())?;
            quarantine::check_rejects(&survey, config.rejects_max_percent)?;
        }
        Ok((text.content, survey, layout, skips))
    })
    .await?;
    let layout = Arc::new(layout);
    Ok((Surveyed { file, content: Arc::new(content), survey, own_layout: Arc::clone(&layout), layout }, skips, company))
}

/// Where a test may have the process die of a file of one market, as an argument names it.
fn die_in_survey(market: Option<&str>) {
    let is_deadly = |named: Option<String>| named.as_deref() == market;
    if cfg!(feature = "failpoints") && fail::eval("during_survey", is_deadly) == Some(true) {
        // After so much work that it counts.
        std::thread::sleep(3 * attempts::QUICK_MAX);
        std::process::abort();
    }
}

/// A version of a file as it was read, before anybody knows what it is.
pub fn new_file(path: String, sha256: String, stamp: Stamp) -> NewFile {
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
        changed_ns: stamp.changed_ns,
        transform: String::new(),
        corrects: None,
        error: None,
    }
}

/// What was done with a file.
pub fn report(source_file: &SourceFile, file: &FileRecord, outcome: Outcome, started: Instant) -> FileReport {
    FileReport {
        path: file.path.clone(),
        name: source_file.name(),
        dataset: file.dataset.clone(),
        market: file.market.clone(),
        outcome,
        counts: if matches!(outcome, Outcome::Synced | Outcome::Held) { file.counts } else { Counts::default() },
        records_disagreeing: 0,
        elapsed_ms: millis(started.elapsed()),
        marts_ms: 0,
        warning: None,
        error: file.error.clone(),
        is_old_news: false,
    }
}

/// How a file's rows are written.
fn header_of(surveyed: &Surveyed) -> Header {
    let (delimiter, quote) = match surveyed.survey.format.rows {
        RowFormat::Csv(dialect) => (Some(char::from(dialect.delimiter)), char::from(dialect.quote)),
        RowFormat::Json => (None, '"'),
    };
    Header { columns: surveyed.survey.header.clone(), delimiter, quote }
}

/// Work that blocks leaves the async threads here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    let current = progress::current();
    let done = tokio::task::spawn_blocking(move || progress::on_behalf_of(current, work));
    done.await.map_err(|panic| SyncError::Internal(panic.to_string()))?
}
