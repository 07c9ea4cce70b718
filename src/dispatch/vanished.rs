//! Vanished: which files that somebody should look after are gone from disk. The ledger is told, so that whoever asks it,
//! from wherever, counts only what is there.

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::sink::ledger::files::FileState;
use crate::sink::ledger::now::LookedFor;
use crate::source::find::path_text::path_of;
use crate::sync::session::{Session, blocking};
use std::io::ErrorKind;
use std::path::Path;
use tokio::time::MissedTickBehavior;

/// Looks for such files below the inbox as often as it is scanned.
pub async fn watch_for_vanished(session: Session) {
    let mut interval = tokio::time::interval(session.config.scan_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let inbox = session.config.inbox.clone();
        // A database that is away is noticed, and reported, by those who write rows.
        if let Err(error) = note_vanished(&session, &inbox).await {
            tracing::debug!(reason = %error, "files that are gone were not noted");
        }
    }
}

/// Notes which of these files below a folder are gone, or are there again.
///
/// # Errors
///
/// When the database fails.
pub async fn note_vanished(session: &Session, folder: &Path) -> Result<(), SyncError> {
    let mut after_id = 0;
    loop {
        let page = session.sink.ledger.files_to_look_for(after_id).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after_id = last.id;
        let (config, folder) = (session.config.clone(), folder.to_owned());
        let changed = blocking(move || Ok(changes(page, &folder, &config))).await?;
        session.sink.ledger.set_vanished(&changed.gone, Some(now_ms())).await?;
        session.sink.ledger.set_vanished(&changed.back, None).await?;
    }
}

#[derive(Default)]
struct Changes {
    gone: Vec<i64>,
    back: Vec<i64>,
}

fn changes(files: Vec<LookedFor>, folder: &Path, config: &Config) -> Changes {
    let mut changes = Changes::default();
    // A folder that is away itself, as on a disk that is not mounted, says nothing of its files.
    if !folder.is_dir() {
        return changes;
    }
    for file in files {
        match is_gone(&file, folder, config) {
            Some(true) if !file.is_vanished => changes.gone.push(file.id),
            Some(false) if file.is_vanished => changes.back.push(file.id),
            _ => {}
        }
    }
    changes
}

/// `None` where nobody can tell.
fn is_gone(file: &LookedFor, folder: &Path, config: &Config) -> Option<bool> {
    let path = path_of(&file.path);
    // tidegate itself moved or removed it; its rejects are as open as before.
    let is_put_away = file.state == FileState::Synced && config.after_sync != AfterSync::Keep;
    if is_put_away || !path.starts_with(folder) {
        return None;
    }
    match std::fs::symlink_metadata(&path) {
        Ok(_) => Some(false),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Some(true),
        Err(_) => None,
    }
}
