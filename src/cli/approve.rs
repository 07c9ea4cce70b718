//! `tidegate approve`: lets a held file delete its records, or has a quarantined, undone or
//! dismissed one taken again.
//!
//! The approval is written to the ledger without the lease. Then the holder of the lease takes the
//! file: a daemon that watches the file's folder, or this process if nobody holds the lease.

use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::counted;
use crate::cli::{
    CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json, say_whose, sync,
};
use crate::config::Config;
use crate::dispatch::retry::{Patience, look_at_database, patiently};
use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::process::terminal::quoted;
use crate::sink::Sink;
use crate::sink::ledger::approvals;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::{FileRecord, UNHASHED};
use crate::sink::ledger::put_aside::PUT_ASIDE;
use crate::source::find::path_text::path_of;
use crate::source::find::scan::SourceFile;
use crate::source::find::zipped::{folder_of, real_path};
use crate::sync::take::hash;
use clap::Args;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Pause between two checks of the file's state. Short, because the operator waits for it.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Args, Debug)]
pub(super) struct ApproveArguments {
    /// Path of the held, quarantined, undone or dismissed file, or its name if no other such file
    /// has it
    file: String,
}

pub(super) fn execute(shared: &Shared, own: &ApproveArguments) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    start_logging(&config, OF_COMMAND)?;
    if !shared.json {
        say_whose(&config);
    }
    let runtime = runtime(&config)?;
    let result = runtime.block_on(approve(config, &own.file, shared.json));
    runtime.shutdown_timeout(THREADS_GRACE);
    result
}

async fn approve(config: Config, wanted: &str, is_json: bool) -> Result<Exit, CommandError> {
    let patience = Patience::Limited(config.database_wait);
    let shutdown = CancellationToken::new();
    let stopped =
        look_at_database(&config, async |sink| sink.ledger.approvable_files().await).await?;
    let file = choose(stopped.unwrap_or_default(), wanted)?;
    let source_file = unchanged(&file, &Arc::new(config.clone())).await?;
    if !patiently(patience, &shutdown, async || approvals::approve(&config, &file, now_ms()).await)
        .await?
    {
        let state = file.state.name();
        return Err(CommandError::Usage(format!(
            "{} is no longer {state}; `tidegate status` shows its state",
            file.path
        )));
    }
    // What was held goes on under its own line of the ledger.
    let is_retried = file.state != FileState::Held && file.position.is_none();
    if is_retried && !is_json {
        say(format_args!("{} was {} and is tried again", file.path, file.state.name()));
    }
    let started = Instant::now();
    let lease_wait = config.lease_wait;
    let config = Config { lease_wait: Duration::ZERO, ..config };
    let found = || sync::Found { files: vec![source_file.clone()], ..Default::default() };
    loop {
        let holder = match Box::pin(sync::sync(config.clone(), found(), is_json)).await {
            Err(CommandError::Sync(SyncError::LeaseHeld { holder })) => holder,
            ended => return ended,
        };
        let newest = async |sink: &Sink| match PUT_ASIDE.contains(&file.state) {
            true => sink.ledger.newest_file(&file.path).await,
            false => sink.ledger.file(file.id).await,
        };
        let now = look_at_database(&config, newest).await?.flatten();
        let is_done = now.as_ref().is_some_and(|now| !waits(now));
        if let Some(now) = now.filter(|_| is_done || started.elapsed() >= lease_wait) {
            return Ok(print(&now, is_retried, &holder, is_json));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether an approved file still waits or is being synced.
fn waits(file: &FileRecord) -> bool {
    matches!(file.state, FileState::Pending | FileState::Syncing)
        || file.is_retry_requested()
        || (file.is_approved && PUT_ASIDE.contains(&file.state))
}

/// Finds the held or quarantined file with that path, or the only one with that name.
fn choose(stopped: Vec<FileRecord>, wanted: &str) -> Result<FileRecord, CommandError> {
    let path =
        real_path(Path::new(wanted)).or_else(|_| std::path::absolute(wanted)).unwrap_or_default();
    if let Some(file) =
        stopped.iter().find(|file| file.path == wanted || path_of(&file.path) == path)
    {
        return Ok(file.clone());
    }
    let list = |files: &[FileRecord]| {
        files.iter().map(|file| quoted(&file.path)).collect::<Vec<_>>().join(", ")
    };
    let (mut named, others): (Vec<FileRecord>, Vec<FileRecord>) = stopped
        .into_iter()
        .partition(|file| path_of(&file.path).file_name() == Some(wanted.as_ref()));
    match named.len() {
        1 => Ok(named.remove(0)),
        0 if others.is_empty() => Err(CommandError::Usage(format!(
            "`{wanted}` is neither held nor quarantined, undone or dismissed; no file is"
        ))),
        0 => {
            let what = "is neither held nor quarantined, undone or dismissed; these files are: ";
            Err(CommandError::Usage(format!("`{wanted}` {what}{}", list(&others))))
        }
        _ => Err(CommandError::Usage(format!(
            "several such files are named `{wanted}`; give a path: {}",
            list(&named)
        ))),
    }
}

/// Returns the file on disk, if its content is still the one that was held or quarantined.
async fn unchanged(file: &FileRecord, config: &Arc<Config>) -> Result<SourceFile, CommandError> {
    let path = path_of(&file.path);
    let gone = || {
        CommandError::Failed(format!(
            "{} is gone, and the approval needs its content; put it back",
            file.path
        ))
    };
    // A file from below the inbox must still be reachable there without following a link.
    let root: Arc<Path> = match path.starts_with(&config.inbox) {
        true => Arc::from(config.inbox.as_path()),
        false => Arc::from(folder_of(&path)),
    };
    let source_file = SourceFile::at(&root, &path, &config.datasets, &config.limits);
    let source_file = source_file.ok_or_else(gone)?;
    if source_file.refusal.is_some() {
        return Ok(source_file);
    }
    let (_, sha256) = hash(&source_file, config).await?;
    // A file that was never hashed, for example because it was too large, may have any content now.
    if file.sha256 != UNHASHED && sha256 != file.sha256 {
        let (path, state) = (&file.path, file.state.name());
        return Err(CommandError::Failed(format!(
            "{path} has another content now than the one that is {state}; sync it, and approve that if it is {state} too"
        )));
    }
    Ok(source_file)
}

fn print(file: &FileRecord, is_retried: bool, holder: &str, is_json: bool) -> Exit {
    let state = file.state.name();
    let by = match is_retried {
        _ if waits(file) => {
            let does = if is_retried { "tries it" } else { "makes the deletion" };
            format!(
                "{holder} {does} if it watches the file's folder; else sync the file when it has ended"
            )
        }
        true => format!("{holder} tried it"),
        false => format!(
            "{holder} made the deletion: {} deleted",
            counted(file.counts.deleted, "table row")
        ),
    };
    if is_json {
        let file = json!({ "path": file.path, "state": state, "deleted": file.counts.deleted, "error": file.error });
        say_json(&json!({ "approved": file, "holder": holder, "said": by }));
    } else {
        say(format_args!(
            "approved    {}  {state}: {}",
            file.path,
            file.error.as_deref().filter(|_| !waits(file)).unwrap_or(&by)
        ));
    }
    if !waits(file)
        && matches!(file.state, FileState::Failed | FileState::Quarantined | FileState::Held)
    {
        return Exit::FilesFailed;
    }
    Exit::Done
}
