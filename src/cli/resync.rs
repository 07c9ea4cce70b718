//! `tidegate resync`: has the synced files of a dataset that are still there taken again.
//!
//! The wish is written to the ledger without the lease. Then the holder of the lease takes the
//! files: a daemon that watches their folder, or this process if nobody holds the lease.

use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::counted;
use crate::cli::{CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json, sync};
use crate::config::Config;
use crate::dispatch::retry::{Patience, look_at_database, patiently};
use crate::error::SyncError;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::put_aside::want_again;
use crate::source::find::path_text::path_of;
use crate::source::find::scan::SourceFile;
use crate::source::find::zipped::folder_of;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct ResyncArguments {
    /// The dataset
    dataset: String,
    /// The market; without it, all markets
    market: Option<String>,
}

pub(super) fn execute(shared: &Shared, own: &ResyncArguments) -> Result<Exit, CommandError> {
    let config = Config::load(&shared.overrides())?;
    start_logging(&config, OF_COMMAND)?;
    let runtime = runtime(&config)?;
    let result = runtime.block_on(resync(config, own, shared.json));
    runtime.shutdown_timeout(THREADS_GRACE);
    result
}

async fn resync(
    config: Config,
    own: &ResyncArguments,
    is_json: bool,
) -> Result<Exit, CommandError> {
    let ResyncArguments { dataset, market } = own;
    let Some(configured) = config.datasets.iter().find(|known| known.name == *dataset) else {
        let names: Vec<&str> =
            config.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        return Err(CommandError::Usage(format!(
            "there is no dataset `{dataset}`; there are: {}",
            names.join(", ")
        )));
    };
    let synced = look_at_database(&config, async |sink| {
        sink.ledger.newest_synced_files(dataset, market.as_deref()).await
    })
    .await?
    .unwrap_or_default();
    let there: Vec<(FileRecord, SourceFile)> = synced
        .into_iter()
        .filter_map(|file| Some((file.clone(), found(&file, &config)?)))
        .collect();
    if there.is_empty() {
        let of_market =
            market.as_ref().map(|name| format!(" and market {name}")).unwrap_or_default();
        return Err(CommandError::Failed(format!(
            "no synced file of dataset {dataset}{of_market} is still there"
        )));
    }
    let (files, source_files): (Vec<FileRecord>, Vec<SourceFile>) = there.into_iter().unzip();
    let markets: BTreeSet<&str> =
        files.iter().map(|file| file.market.as_deref().unwrap_or_default()).collect();
    let tables: Vec<(String, String)> =
        markets.into_iter().map(|market| (configured.table.clone(), market.to_owned())).collect();
    let patience = Patience::Limited(config.database_wait);
    let shutdown = CancellationToken::new();
    let wanted =
        patiently(patience, &shutdown, async || want_again(&config, &files, &tables).await).await?;
    if !is_json {
        say(format_args!("{} of {dataset} to be taken again", counted(wanted, "file")));
    }
    let config = Config { lease_wait: Duration::ZERO, ..config };
    let found = sync::Found { files: source_files, ..Default::default() };
    match Box::pin(sync::sync(config, found, is_json)).await {
        Err(CommandError::Sync(SyncError::LeaseHeld { holder })) => {
            let does = format!(
                "{holder} takes those in the folder that it watches; sync the others when it has ended"
            );
            match is_json {
                true => say_json(&json!({ "wanted": wanted, "holder": holder, "said": does })),
                false => say(format_args!("{does}")),
            }
            Ok(Exit::Done)
        }
        ended => ended,
    }
}

/// The file on disk, if it is still there.
fn found(file: &FileRecord, config: &Config) -> Option<SourceFile> {
    let path = path_of(&file.path);
    // A file from below the inbox must still be reachable there without following a link.
    let root = match path.starts_with(&config.inbox) {
        true => config.inbox.clone(),
        false => folder_of(&path),
    };
    SourceFile::at(&Arc::from(root.as_path()), &path, &config.datasets, &config.limits)
}
