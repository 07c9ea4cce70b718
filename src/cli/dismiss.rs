//! `tidegate dismiss`: takes a refused, held or unmatched file off the list of what needs somebody.

use crate::cli::choose::{ledger_path, newest_of_one_path};
use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::{
    CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json, say_whose, with_whose,
};
use crate::config::Config;
use crate::dispatch::retry::{Patience, look_at_database, patiently};
use crate::process::clock::now_ms;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::put_aside::{DISMISSIBLE, dismiss};
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct DismissArguments {
    /// Path of the file, or its name if no other file has it
    file: String,
}

pub(super) fn execute(shared: &Shared, own: &DismissArguments) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    start_logging(&config, OF_COMMAND)?;
    let runtime = runtime(&config)?;
    let dismissed = runtime.block_on(dismiss_named(&config, &own.file));
    runtime.shutdown_timeout(THREADS_GRACE);
    let file = dismissed?;
    if shared.json {
        let dismissed = json!({ "path": file.path, "was": file.state.name() });
        say_json(&with_whose(&config, json!({ "dismissed": dismissed })));
    } else {
        say_whose(&config);
        say(format_args!("dismissed   {}  was {}", file.path, file.state.name()));
    }
    Ok(Exit::Done)
}

async fn dismiss_named(config: &Config, wanted: &str) -> Result<FileRecord, CommandError> {
    let path = ledger_path(wanted);
    let lines =
        look_at_database(config, async |sink| sink.ledger.files_named(&path, wanted).await).await?;
    let file = newest_of_one_path(lines.unwrap_or_default(), wanted, "file of the ledger")?;
    if !DISMISSIBLE.contains(&file.state) {
        return Err(CommandError::Failed(format!(
            "{} is {}, which needs nobody; only a quarantined, held, failed or unmatched file is dismissed",
            file.path,
            file.state.name()
        )));
    }
    let patience = Patience::Limited(config.database_wait);
    let shutdown = CancellationToken::new();
    let dismissed =
        patiently(patience, &shutdown, async || dismiss(config, &file, now_ms()).await).await?;
    match dismissed {
        true => Ok(file),
        false => Err(CommandError::Failed(format!(
            "{} is no longer {}; `tidegate status` shows its state",
            file.path,
            file.state.name()
        ))),
    }
}
