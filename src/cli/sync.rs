//! `tidegate sync`: syncs files or directories once.

use crate::cli::find::find;
use crate::cli::logging::{OF_COMMAND, complain, start_logging};
use crate::cli::print::{print_report, print_summary};
use crate::cli::signals::{Hangup, cancel_on_signal};
use crate::cli::{CommandError, Exit, Shared, THREADS_GRACE, runtime, say_json};
use crate::config::Config;
use crate::dispatch::once::{Once, sync_once};

pub(crate) use crate::dispatch::once::Found;
use crate::source::find::scan::SourceFile;
use crate::sync::report::FileReport;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct SyncArguments {
    /// Files, or directories with everything below them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn execute(shared: &Shared, own: &SyncArguments) -> Result<Exit, CommandError> {
    let config = Config::load(&shared.overrides())?;
    // Results are printed to standard output; the log has only problems.
    start_logging(&config, OF_COMMAND)?;
    let found = find(&own.paths, &config)?;
    let runtime = runtime(&config)?;
    let result = runtime.block_on(sync(config, found, shared.json));
    runtime.shutdown_timeout(THREADS_GRACE);
    result
}

/// Syncs these files and prints the result of each.
pub(super) async fn sync(
    config: Config,
    found: Found,
    is_json: bool,
) -> Result<Exit, CommandError> {
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown, Hangup::Ends)?;
    let mut tell = |file: &SourceFile, report: Option<&FileReport>| match report {
        Some(report) if !is_json => print_report(report),
        Some(_) => {}
        None => complain(format_args!(
            "{} changed while it was read; sync it again",
            file.path.display()
        )),
    };
    let done = sync_once(config, found, shutdown, &mut tell).await?;
    if is_json {
        let Once { reports, left, unread, revenues } = &done;
        say_json(&json!({ "files": reports, "left": left, "markets": revenues, "unread": unread }));
    } else {
        print_summary(&done.revenues);
    }
    Ok(if done.is_whole() { Exit::Done } else { Exit::FilesFailed })
}
