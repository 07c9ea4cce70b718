//! `tidegate explain`: where a record comes from, version by version.

use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::counted;
use crate::cli::{
    CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json, say_whose, with_whose,
};
use crate::config::Config;
use crate::dispatch::retry::look_at_database;
use crate::feed::dataset::Dataset;
use crate::feed::record_key::join;
use crate::sync::explain::{Explained, ExplainedVersion, FileOfVersion, explain};
use clap::Args;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;

#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// The table of the record, or of its lines
    table: String,
    /// The record's key; several columns in the order of the table
    #[arg(required = true)]
    key: Vec<String>,
    /// The market; without it, every market that has the key
    #[arg(long)]
    market: Option<String>,
}

pub(super) fn execute(shared: &Shared, own: &ExplainArguments) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    start_logging(&config, OF_COMMAND)?;
    let dataset = dataset_of(&config, own)?;
    let runtime = runtime(&config)?;
    let explained = runtime.block_on(explain_all(&config, own, &dataset));
    runtime.shutdown_timeout(THREADS_GRACE);
    let explained = explained?;
    if explained.is_empty() {
        let market =
            own.market.as_ref().map(|name| format!(" in market {name}")).unwrap_or_default();
        return Err(CommandError::Failed(format!(
            "nothing is known of {} of `{}`{market}: neither a row, nor a version in tidegate_history, nor a reject",
            own.key.join(", "),
            dataset.table
        )));
    }
    if shared.json {
        say_json(&with_whose(&config, json!({ "records": explained })));
    } else {
        say_whose(&config);
        explained.iter().for_each(print);
    }
    Ok(Exit::Done)
}

/// The dataset that writes the table, if the key has as many columns.
fn dataset_of(config: &Config, own: &ExplainArguments) -> Result<Arc<Dataset>, CommandError> {
    let is_of = |dataset: &&Arc<Dataset>| {
        dataset.table == own.table
            || dataset.lines.as_ref().is_some_and(|lines| lines.table == own.table)
    };
    let dataset = config.datasets.iter().find(is_of).ok_or_else(|| {
        let mut tables: Vec<&str> =
            config.datasets.iter().map(|dataset| dataset.table.as_str()).collect();
        tables.sort_unstable();
        tables.dedup();
        CommandError::Usage(format!(
            "no dataset writes a table `{}`; the tables of records are: {}",
            own.table,
            tables.join(", ")
        ))
    })?;
    let columns = dataset.key.names().len();
    if columns != own.key.len() {
        return Err(CommandError::Usage(format!(
            "the key of `{}` has {}: {}; give {columns}",
            dataset.table,
            counted(columns as u64, "column"),
            dataset.key
        )));
    }
    let is_digest = |key: &String| {
        key.len() == 64 && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if dataset.is_keyless() && !is_digest(&own.key[0]) {
        return Err(CommandError::Usage(format!(
            "records of `{}` have no key but their _row_hash: give its 64 hexadecimal digits",
            dataset.table
        )));
    }
    Ok(Arc::clone(dataset))
}

async fn explain_all(
    config: &Config,
    own: &ExplainArguments,
    dataset: &Dataset,
) -> Result<Vec<Explained>, CommandError> {
    let Ok(key) = join::<Infallible>(own.key.iter().cloned().map(Ok));
    let of_table = config.datasets.iter().filter(|other| other.table == dataset.table);
    let feeds: Vec<String> = of_table.map(|dataset| dataset.name.clone()).collect();
    let explained = look_at_database(config, async |sink| {
        let markets = match &own.market {
            Some(market) => vec![market.clone()],
            None => sink.ledger.markets_of(&feeds).await?,
        };
        let mut explained = Vec::new();
        for market in markets {
            explained.extend(explain(sink, dataset, &feeds, &market, &key).await?);
        }
        Ok(explained)
    });
    Ok(explained.await?.unwrap_or_default())
}

fn print(explained: &Explained) {
    let Explained { table, market, key, is_stored, versions, mentioned_by } = explained;
    let gone = if *is_stored { "" } else { "  (not stored any more)" };
    say(format_args!("{table}  market {market}  {key}{gone}"));
    versions.iter().for_each(print_version);
    for mention in mentioned_by {
        say(format_args!("  mentioned by {}: {}", named(&mention.file), mention.how));
    }
}

fn print_version(version: &ExplainedVersion) {
    let from = version.valid_from.as_deref().unwrap_or("unknown");
    let to = version.valid_to.as_deref().unwrap_or("now");
    let by = version.file.as_ref().map_or_else(|| "an unknown file".to_owned(), named);
    let repaired = version.file.as_ref().map_or(0, |file| file.rows_repaired);
    let repaired = match repaired {
        0 => String::new(),
        rows => format!(" (of which {} repaired)", counted(rows, "row")),
    };
    say(format_args!("\n  {from} to {to}  by {by}{repaired}"));
    for cell in &version.changes {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
        say(format_args!("    {}: {} → {}", cell.column, value(&cell.old), value(&cell.new)));
    }
    for (column, text) in &version.rescued {
        say(format_args!("    {column} is rescued: {text}"));
    }
    if version.record.is_none() {
        say(format_args!("    it was too large to be kept"));
    }
    if let (Some(ended), Some(file)) = (&version.ended, &version.ended_by) {
        say(format_args!("    {ended}: {}", named(file)));
    }
}

fn named(file: &FileOfVersion) -> String {
    let path = file.path.as_deref().unwrap_or("a file that the ledger has no more");
    let state = match file.state {
        Some("undone") => ", undone",
        _ => "",
    };
    format!("{path} (file {}{state})", file.id)
}
