//! Vanished: finds files that need an operator but are gone from disk, and marks them in the
//! ledger. So `status`, metrics and other readers of the ledger count only files that exist, on
//! whatever machine they run.

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::now::LookedFor;
use crate::source::find::path_text::path_of;
use crate::source::find::zipped::{is_zip, list, stamp_at};
use crate::sync::session::{Session, blocking};
use std::io::ErrorKind;
use std::path::Path;
use tokio::time::MissedTickBehavior;

/// Checks the files that need an operator, below the inbox, once every `scan_interval`.
pub async fn watch_for_vanished(session: Session) {
    let mut interval = tokio::time::interval(session.config.scan_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let inbox = session.config.inbox.clone();
        // Logged at debug level only: the lanes notice and report a database that is away.
        if let Err(error) = note_vanished(&session, &inbox).await {
            tracing::debug!(reason = %error, "files that are gone were not noted");
        }
    }
}

/// Marks in the ledger which of the files that need an operator are gone from a folder, and which
/// are back.
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
    // If the folder itself is missing, for example on a disk that is not mounted, nothing is known
    // about its files.
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

/// Whether a file is gone; `None` if that cannot be known.
fn is_gone(file: &LookedFor, folder: &Path, config: &Config) -> Option<bool> {
    let path = path_of(&file.path);
    // tidegate itself archived or deleted the file; its rejects are still open.
    let is_put_away = file.state == FileState::Synced && config.after_sync != AfterSync::Keep;
    if is_put_away || !path.starts_with(folder) {
        return None;
    }
    if is_zip(&path) && file.state != FileState::Synced {
        return is_well_again(&path, folder, config);
    }
    match stamp_at(folder, &path, &config.limits) {
        Ok(_) => Some(false),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Some(true)
        }
        Err(_) => None,
    }
}

/// Whether nothing is to be said of an archive any more, because it is gone or another one lies
/// there.
fn is_well_again(path: &Path, folder: &Path, config: &Config) -> Option<bool> {
    match stamp_at(folder, path, &config.limits) {
        Ok(Some(stamp)) => {
            let listing = list(folder, path, stamp, &config.limits).ok()?;
            Some(listing.refusal.is_none() && listing.unread.is_none())
        }
        Ok(None) => Some(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Some(true)
        }
        Err(_) => None,
    }
}
