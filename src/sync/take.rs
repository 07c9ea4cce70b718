//! Take: hashes a file, and gives new content a line in the ledger.

use crate::chunk::Position;
use crate::config::Config;
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Route};
use crate::feed::stamp::Stamp;
use crate::feed::version;
use crate::process::clock::now_ms;
use crate::process::turns::Turn;
use crate::sink::Sink;
use crate::sink::ledger::attempts::Company;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::{FileRecord, NewFile};
use crate::sink::ledger::put_aside::PUT_ASIDE;
use crate::source::find::scan::SourceFile;
use crate::source::text::content::Content;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::quarantine;
use crate::sync::session::{Session, blocking};
use std::sync::Arc;

/// A file whose content is to be synced.
pub(crate) struct TakenFile {
    pub file: FileRecord,
    pub content: Content,
    /// The survey of an earlier attempt, if the file has not changed since.
    pub checkpoint: Option<Checkpoint>,
    /// Whether other files may be worked on at the same time.
    pub company: Company,
}

/// What becomes of a file once its content is known.
pub(crate) enum Claim {
    Unchanged(FileRecord),
    Quarantined(FileRecord),
    Held(FileRecord),
    /// An operator undid or dismissed it.
    PutAside(FileRecord),
    ToSync(Box<TakenFile>),
}

/// Finds out whether the content is new, and gives it a line in the ledger.
pub(crate) async fn take(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
    dataset: &Dataset,
    route: &Route,
) -> Result<Claim, SyncError> {
    let sink = &session.sink;
    let path = source_file.path_text();
    let newest = sink.ledger.newest_file(&path).await?;
    if let Some(file) = &newest
        && let Some(resumed) = resume(session, source_file, dataset, file).await?
    {
        return Ok(Claim::ToSync(Box::new(resumed)));
    }
    let (content, sha256) = hash_in_turn(session, turn, source_file).await?;
    let stamp = content.stamp();
    if let Some(file) = newest.as_ref().filter(|file| file.sha256 == sha256 && is_put_aside(file)) {
        note_put_aside(sink, file, &dataset.fingerprint, stamp).await?;
        return Ok(Claim::PutAside(file.clone()));
    }
    if let Some(file) =
        newest.as_ref().filter(|file| file.sha256 == sha256 && file.state == FileState::Quarantined)
    {
        if file.rules_digest == quarantine::rules(&dataset.fingerprint, &session.config) {
            note_stamp(sink, file, stamp).await?;
            return Ok(Claim::Quarantined(file.clone()));
        }
        if let Some(file) = try_again(sink, file, dataset, route, stamp).await? {
            let company = sink.ledger.take_up(&file).await?;
            return Ok(Claim::ToSync(Box::new(TakenFile {
                file,
                content,
                checkpoint: None,
                company,
            })));
        }
    }
    let is_same =
        |file: &&FileRecord| file.sha256 == sha256 && file.rules_digest == dataset.fingerprint;
    if let Some(file) = newest.as_ref().filter(is_same) {
        match file.state {
            FileState::Held => {
                note_stamp(sink, file, stamp).await?;
                return Ok(Claim::Held(file.clone()));
            }
            FileState::Pending | FileState::Syncing | FileState::Failed => {
                sink.ledger
                    .set_state(file.id, FileState::Syncing, &file.rules_digest, None, now_ms())
                    .await?;
                let company = sink.ledger.take_up(file).await?;
                return Ok(Claim::ToSync(Box::new(TakenFile {
                    file: file.clone(),
                    content,
                    checkpoint: None,
                    company,
                })));
            }
            _ => {}
        }
    }
    let last_taken = sink.ledger.last_taken_file(&path).await?;
    if let Some(file) =
        last_taken.as_ref().filter(is_same).filter(|file| file.state == FileState::Synced)
    {
        note_stamp(sink, file, stamp).await?;
        return Ok(Claim::Unchanged(file.clone()));
    }
    let now_ms = now_ms();
    let new_file = NewFile {
        version_ms: version_ms(source_file, &sha256, last_taken.as_ref(), now_ms),
        dataset: Some(dataset.name.clone()),
        market: Some(route.market.clone()),
        state: FileState::Syncing,
        rules_digest: dataset.fingerprint.clone(),
        corrects: route.corrects.clone(),
        ..new_file(path, sha256, stamp)
    };
    let file = sink.ledger.add_file(&new_file, now_ms).await?;
    if let Some(superseded) = newest {
        session.checkpoints.remove(superseded.id);
    }
    let company = sink.ledger.take_up(&file).await?;
    Ok(Claim::ToSync(Box::new(TakenFile { file, content, checkpoint: None, company })))
}

/// Whether an operator undid or dismissed the file, and nobody wants it again.
pub(crate) fn is_put_aside(file: &FileRecord) -> bool {
    PUT_ASIDE.contains(&file.state) && !file.is_approved
}

/// Stores the present stamp and rules of a file that was put aside, so that the next scan does not
/// hash it again.
pub(crate) async fn note_put_aside(
    sink: &Sink,
    file: &FileRecord,
    rules_digest: &str,
    stamp: Stamp,
) -> Result<(), SyncError> {
    if file.rules_digest != rules_digest {
        sink.ledger.set_rules(file.id, rules_digest).await?;
    }
    note_stamp(sink, file, stamp).await
}

/// Retries a quarantined file under its old ledger line, after the rules changed or an operator
/// asked for it. `None` if it needs a new line: its dataset or market changed, or some of its rows
/// were committed.
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
    sink.ledger
        .set_state(file.id, FileState::Syncing, &dataset.fingerprint, None, now_ms())
        .await?;
    let rules_digest = dataset.fingerprint.clone();
    Ok(Some(FileRecord { state: FileState::Syncing, rules_digest, error: None, ..file.clone() }))
}

/// Resumes a file that a restart interrupted, if its checkpoint still describes it. Then nothing is
/// read twice.
async fn resume(
    session: &Session,
    source_file: &SourceFile,
    dataset: &Dataset,
    file: &FileRecord,
) -> Result<Option<TakenFile>, SyncError> {
    if file.state != FileState::Syncing || file.rules_digest != dataset.fingerprint {
        return Ok(None);
    }
    let Some(checkpoint) =
        session.checkpoints.load(file.id, file.position.or(Some(Position::START)))
    else {
        return Ok(None);
    };
    if checkpoint.stamp != source_file.stamp {
        return Ok(None);
    }
    let (source_file, config) = (source_file.clone(), Arc::clone(&session.config));
    let content =
        blocking(move || Content::open(&source_file.root, &source_file.path, &config.limits))
            .await?;
    if content.stamp() != checkpoint.stamp {
        return Ok(None);
    }
    let company = session.sink.ledger.take_up(file).await?;
    Ok(Some(TakenFile { file: file.clone(), content, checkpoint: Some(checkpoint), company }))
}

/// Opens and hashes a file. A large file gives up its turn while it is hashed, because hashing
/// needs no database.
pub async fn hash_in_turn(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
) -> Result<(Content, String), SyncError> {
    let hashing = hash(source_file, &session.config);
    match source_file.stamp.size_bytes > session.config.limits.content_bytes_max {
        true => turn.hash(hashing).await,
        false => hashing.await,
    }
}

/// Opens and hashes a file.
pub async fn hash(
    source_file: &SourceFile,
    config: &Arc<Config>,
) -> Result<(Content, String), SyncError> {
    let (source_file, config) = (source_file.clone(), Arc::clone(config));
    blocking(move || {
        let mut content = Content::open(&source_file.root, &source_file.path, &config.limits)?;
        let sha256 = content.hash()?;
        Ok((content, sha256))
    })
    .await
}

/// The version of the content in milliseconds. Known content under new rules keeps its version.
fn version_ms(
    source_file: &SourceFile,
    sha256: &str,
    last_taken: Option<&FileRecord>,
    now_ms: i64,
) -> i64 {
    let own = source_file.version(now_ms);
    match last_taken {
        Some(last) if last.sha256 == sha256 => last.version_ms,
        Some(last) => version::after(own.ms, last.version_ms),
        None => own.ms,
    }
}

/// Stores a new stamp of unchanged content, so that the next scan does not hash it again.
pub async fn note_stamp(sink: &Sink, file: &FileRecord, stamp: Stamp) -> Result<(), SyncError> {
    if file.stamp == stamp {
        return Ok(());
    }
    sink.ledger.set_stamp(file.id, stamp).await
}

/// A new ledger line for content whose dataset and market are not set yet.
pub fn new_file(path: String, sha256: String, stamp: Stamp) -> NewFile {
    NewFile {
        path,
        dataset: None,
        market: None,
        sha256,
        version_ms: 0,
        state: FileState::Pending,
        stamp,
        rules_digest: String::new(),
        corrects: None,
        error: None,
    }
}
