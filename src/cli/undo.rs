//! `tidegate undo`: takes synced files back, with everything that they changed.

use crate::cli::choose::{ledger_path, newest_of_one_path};
use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::counted;
use crate::cli::signals::{Hangup, cancel_on_signal};
use crate::cli::{CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json};
use crate::config::Config;
use crate::dispatch::once::{Undo, undo_once};
use crate::dispatch::retry::look_at_database;
use crate::error::SyncError;
use crate::process::terminal::quoted;
use crate::sink::Sink;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::undone::AppliedFile;
use crate::sync::undo::{Refusal, UndoneFile, files_to_undo};
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct UndoArguments {
    /// Paths of the files, or their names if no other file has them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Also undo every later file of the same tables and market
    #[arg(long)]
    and_later: bool,
    /// Only say what would be undone
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn execute(shared: &Shared, own: &UndoArguments) -> Result<Exit, CommandError> {
    let config = Config::load(&shared.overrides())?;
    start_logging(&config, OF_COMMAND)?;
    let runtime = runtime(&config)?;
    let result = runtime.block_on(undo(config, own));
    runtime.shutdown_timeout(THREADS_GRACE);
    let files = result?;
    if shared.json {
        say_json(&json!({ "undone": files, "dry_run": own.dry_run }));
    } else {
        let verb = if own.dry_run { "would undo" } else { "undone" };
        files.iter().for_each(|file| print(verb, file));
    }
    Ok(Exit::Done)
}

async fn undo(config: Config, own: &UndoArguments) -> Result<Vec<UndoneFile>, CommandError> {
    // First without the lease: what cannot be done is said at once, also while a daemon runs.
    let look = async |sink: &Sink| Ok(choose_in(sink, &config, own).await);
    let looked = look_at_database(&config, look).await?;
    let nothing = || CommandError::Usage("nothing was synced yet".to_owned());
    let chosen = looked.ok_or_else(nothing)??;
    if own.dry_run {
        return Ok(chosen.iter().map(UndoneFile::from).collect());
    }
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown, Hangup::Ends)?;
    let ids: Vec<i64> = chosen.iter().map(|applied| applied.file.id).collect();
    match undo_once(config, &ids, own.and_later, shutdown).await? {
        Undo::Done(files) => Ok(files),
        Undo::Refused(refusal) => Err(refused(&refusal)),
    }
}

/// The files to undo, newest first.
async fn choose_in(
    sink: &Sink,
    config: &Config,
    own: &UndoArguments,
) -> Result<Vec<AppliedFile>, CommandError> {
    let mut chosen: Vec<AppliedFile> = Vec::new();
    for wanted in &own.files {
        let applied = applied_file(sink, wanted).await?;
        if !chosen.iter().any(|other| other.file.id == applied.file.id) {
            chosen.push(applied);
        }
    }
    match files_to_undo(sink, &config.datasets, &chosen, own.and_later).await? {
        Ok(files) => Ok(files),
        Err(refusal) => Err(refused(&refusal)),
    }
}

/// The newest version of a file whose rows are in the tables.
async fn applied_file(sink: &Sink, wanted: &str) -> Result<AppliedFile, CommandError> {
    let lines = sink.ledger.files_named(&ledger_path(wanted), wanted).await?;
    let newest_undone = lines.iter().find(|line| line.state == FileState::Undone).cloned();
    let is_applied = |line: &FileRecord| line.position.is_some() && line.state != FileState::Undone;
    let applied: Vec<FileRecord> = lines.into_iter().filter(is_applied).collect();
    if let Some(undone) = newest_undone.filter(|_| applied.is_empty()) {
        return Err(CommandError::Failed(format!("{} is undone already", undone.path)));
    }
    let file = newest_of_one_path(applied, wanted, "file with rows in the tables")?;
    let gone = || SyncError::Internal(format!("{} left the ledger meanwhile", file.path));
    Ok(sink.ledger.applied_file(file.id).await?.ok_or_else(gone)?)
}

fn refused(refusal: &Refusal) -> CommandError {
    let list = |paths: &[String]| {
        paths.iter().map(|path| quoted(path).to_string()).collect::<Vec<_>>().join(", ")
    };
    CommandError::Failed(match refusal {
        Refusal::Later(paths) => format!(
            "nothing was undone: later files of the same tables and market must be undone as well; name them, or say \
             --and-later: {}",
            list(paths)
        ),
        Refusal::NoHistory(paths) => format!(
            "nothing was undone: tidegate_history does not go back to these files (history_keep_days): {}; drop right \
             exports instead",
            list(paths)
        ),
    })
}

fn print(verb: &str, file: &UndoneFile) {
    say(format_args!(
        "{verb}  {}  {}  {}: {} removed, {} and {} as before",
        file.dataset,
        file.market,
        file.path,
        counted(file.rows_new, "new table row"),
        counted(file.rows_modified, "changed one"),
        counted(file.rows_deleted, "deleted one"),
    ));
}
