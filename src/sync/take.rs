//! Take: whether a file's content is new, and its place in the ledger.

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
use crate::sink::ledger::files::{FileRecord, FileState, NewFile};
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
    /// What an earlier attempt found, when the file is still the one it looked at.
    pub checkpoint: Option<Checkpoint>,
    /// Whether it is worked on beside others.
    pub company: Company,
}

/// What becomes of a file once its content is known.
pub(crate) enum Taken {
    Unchanged(FileRecord),
    Quarantined(FileRecord),
    Held(FileRecord),
    Work(Box<TakenFile>),
}

/// Finds out whether the content is new, and gives it its place in the ledger.
pub(crate) async fn take(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
    dataset: &Dataset,
    route: &Route,
) -> Result<Taken, SyncError> {
    let sink = &session.sink;
    let path = source_file.path_text();
    let newest = sink.ledger.newest_file(&path).await?;
    if let Some(file) = &newest
        && let Some(resumed) = resume(session, source_file, dataset, file).await?
    {
        return Ok(Taken::Work(Box::new(resumed)));
    }
    let (content, sha256) = hash_in_turn(session, turn, source_file).await?;
    let stamp = content.stamp();
    if let Some(file) = newest.as_ref().filter(|file| file.sha256 == sha256 && file.state == FileState::Quarantined) {
        if file.rules_digest == quarantine::rules(&dataset.fingerprint, &session.config) {
            note_stamp(sink, file, stamp).await?;
            return Ok(Taken::Quarantined(file.clone()));
        }
        if let Some(file) = try_again(sink, file, dataset, route, stamp).await? {
            let company = sink.ledger.take_up(&file).await?;
            return Ok(Taken::Work(Box::new(TakenFile { file, content, checkpoint: None, company })));
        }
    }
    let is_same = |file: &&FileRecord| file.sha256 == sha256 && file.rules_digest == dataset.fingerprint;
    if let Some(file) = newest.as_ref().filter(is_same) {
        match file.state {
            FileState::Held => {
                note_stamp(sink, file, stamp).await?;
                return Ok(Taken::Held(file.clone()));
            }
            FileState::Pending | FileState::Syncing | FileState::Failed => {
                sink.ledger.set_state(file.id, FileState::Syncing, &file.rules_digest, None, now_ms()).await?;
                let company = sink.ledger.take_up(file).await?;
                return Ok(Taken::Work(Box::new(TakenFile { file: file.clone(), content, checkpoint: None, company })));
            }
            _ => {}
        }
    }
    let last_taken = sink.ledger.last_taken_file(&path).await?;
    if let Some(file) = last_taken.as_ref().filter(is_same).filter(|file| file.state == FileState::Synced) {
        note_stamp(sink, file, stamp).await?;
        return Ok(Taken::Unchanged(file.clone()));
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
    sink.ledger.set_state(file.id, FileState::Syncing, &dataset.fingerprint, None, now_ms()).await?;
    let rules_digest = dataset.fingerprint.clone();
    Ok(Some(FileRecord { state: FileState::Syncing, rules_digest, error: None, ..file.clone() }))
}

/// A file that a restart interrupted, when its checkpoint still describes it: nothing is read again.
async fn resume(
    session: &Session,
    source_file: &SourceFile,
    dataset: &Dataset,
    file: &FileRecord,
) -> Result<Option<TakenFile>, SyncError> {
    if file.state != FileState::Syncing || file.rules_digest != dataset.fingerprint {
        return Ok(None);
    }
    let Some(checkpoint) = session.checkpoints.load(file.id, file.position.or(Some(Position::default()))) else {
        return Ok(None);
    };
    if checkpoint.stamp != source_file.stamp {
        return Ok(None);
    }
    let (source_file, config) = (source_file.clone(), Arc::clone(&session.config));
    let content = blocking(move || Content::open(&source_file.root, &source_file.path, &config.limits)).await?;
    if content.stamp() != checkpoint.stamp {
        return Ok(None);
    }
    let company = session.sink.ledger.take_up(file).await?;
    Ok(Some(TakenFile { file: file.clone(), content, checkpoint: Some(checkpoint), company }))
}

/// Opens a file and hashes all of it. A large one is hashed beside the files whose turn it is.
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

/// The time of a version: the same content under other rules is as old as it was.
fn version_ms(source_file: &SourceFile, sha256: &str, last_taken: Option<&FileRecord>, now_ms: i64) -> i64 {
    let own = source_file.version(now_ms);
    match last_taken {
        Some(last) if last.sha256 == sha256 => last.version_ms,
        Some(last) => version::after(own.ms, last.version_ms),
        None => own.ms,
    }
}

/// Notes that a path was touched, so that no scan takes it for another version.
pub async fn note_stamp(sink: &Sink, file: &FileRecord, stamp: Stamp) -> Result<(), SyncError> {
    if file.stamp == stamp {
        return Ok(());
    }
    sink.ledger.set_stamp(file.id, stamp).await
}

/// A version of a file as it was read, before anybody knows what it is.
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
