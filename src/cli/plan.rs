//! `tidegate plan`: shows what a sync of files or directories would do.

use crate::cli::find::find;
use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::{ROW_1_IS, counted, grouped, print_report};
use crate::cli::signals::{Hangup, cancel_on_signal};
use crate::cli::{
    CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json, say_whose, with_whose,
};
use crate::dispatch::once::Found;
use crate::dispatch::plan::{Plan, PlannedColumn, PlannedFile, plan};
use crate::error::SyncError;
use crate::feed::layout::column_name;
use crate::feed::rules::FirstRow;
use crate::sync::report::Outcome;
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct PlanArguments {
    /// Files, or directories with everything below them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn execute(shared: &Shared, own: &PlanArguments) -> Result<Exit, CommandError> {
    let config = shared.look_as_oneself()?;
    start_logging(&config, OF_COMMAND)?;
    let Found { files, unread, .. } = find(&own.paths, &config)?;
    let runtime = runtime(&config)?;
    let planned = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        cancel_on_signal(&shutdown, Hangup::Ends)?;
        let planned = tokio::select! {
            planned = plan(&config, files, &shutdown) => planned,
            // The scratch database is removed, with everything in it.
            () = shutdown.cancelled() => Err(SyncError::Stopped),
        };
        Ok::<_, CommandError>(planned?)
    });
    runtime.shutdown_timeout(THREADS_GRACE);
    let planned = Plan { unread, ..planned? };
    if shared.json {
        let mut json = serde_json::json!(planned);
        json["row_1_is"] = ROW_1_IS.into();
        say_json(&with_whose(&config, json));
    } else {
        say_whose(&config);
        print(&planned);
    }
    let is_good = |file: &PlannedFile| {
        matches!(file.report.outcome, Outcome::Synced | Outcome::Unchanged | Outcome::Unmatched)
    };
    Ok(if planned.unread.count == 0 && planned.files.iter().all(is_good) {
        Exit::Done
    } else {
        Exit::FilesFailed
    })
}

fn print(plan: &Plan) {
    plan.files.iter().for_each(print_file);
    if plan.files.iter().any(|file| !file.rejects.is_empty() || !file.repairs.is_empty()) {
        say(format_args!("\nrow 1 is {ROW_1_IS}"));
    }
    if plan.totals.is_empty() {
        say(format_args!("\nno total of a mart would change"));
        return;
    }
    say(format_args!("\ntotals of the marts"));
    for total in &plan.totals {
        let of = match total.currency_symbol.as_deref() {
            Some("") | None => format!("market {}", total.market),
            Some(currency) => format!("market {}, {currency}", total.market),
        };
        let name = format!("{}.{}", total.mart, total.column);
        say(format_args!(
            "  {name:<40} {of:<18} {} → {}",
            total.before.normalize(),
            total.after.normalize()
        ));
    }
}

fn print_file(file: &PlannedFile) {
    print_report(&file.report);
    let counts = &file.report.counts;
    if counts.read > 0 {
        detail(
            "rows",
            format_args!(
                "{} read: {} accepted, {} duplicate, {} rejected, {} skipped; {} repaired, {} rescued; {} stale",
                grouped(counts.read),
                grouped(counts.accepted),
                grouped(counts.duplicate),
                grouped(counts.rejected),
                grouped(counts.skipped),
                grouped(counts.repaired),
                grouped(counts.rescued),
                counted(counts.stale, "table row")
            ),
        );
    }
    if let Some(format) = &file.format {
        detail("format", format_args!("{format}"));
    }
    if let Some(first) = file.matching.first() {
        let datasets = file.matching.join(", ");
        detail(
            "paths",
            format_args!(
                "of {datasets} match; {first} takes it, as the first by name: give the others narrower `paths`"
            ),
        );
    }
    for (table, columns) in by_table(&file.columns) {
        detail(table, format_args!("{}", columns.join(", ")));
    }
    let sources = file.columns.iter().filter(|column| column_name(&column.name) != column.column);
    for column in sources {
        detail("from", format_args!("{} takes `{}`", column.column, shown(&column.name)));
    }
    if !file.absent.is_empty() {
        detail(
            "not there",
            format_args!(
                "{}: declared, and the file has none of their names",
                file.absent.join(", ")
            ),
        );
    }
    for rule in &file.report.rules {
        let first: Vec<String> = rule.first.iter().map(FirstRow::text).collect();
        let first = if first.is_empty() {
            String::new()
        } else {
            format!(", the first: {}", first.join(", "))
        };
        let (column, does) = (&rule.column, rule.on_violation.name());
        detail(
            "rule",
            format_args!(
                "{column} {} ({does}): {}{first}",
                rule.rule.name(),
                grouped(rule.violations)
            ),
        );
    }
    for change in &file.schema_changes {
        let to = change.new.as_deref().unwrap_or_default();
        let from = change.old.as_deref().map(|old| format!("{old} → ")).unwrap_or_default();
        detail(
            "schema",
            format_args!("{} {}.{} {from}{to}", change.kind, change.table, change.column),
        );
    }
    for example in &file.examples {
        let differences = example.differences.iter();
        let differences: Vec<String> = differences
            .map(|cell| format!("{} {} → {}", cell.column, shown(&cell.before), shown(&cell.after)))
            .collect();
        let text = match differences.is_empty() {
            true => String::new(),
            false => format!(": {}", differences.join("; ")),
        };
        detail(&example.change, format_args!("{} ({}){text}", example.table, example.key));
    }
    for repair in &file.repairs {
        let key = repair.key.as_deref().unwrap_or("?");
        detail("repaired", format_args!("row {} ({key}): {}", repair.row, shown(&repair.raw)));
    }
    for reject in &file.rejects {
        let column =
            reject.column.as_deref().map(|column| format!(", {column}")).unwrap_or_default();
        detail("rejected", format_args!("row {}{column}: {}", reject.row, reject.reason));
    }
}

fn detail(what: &str, text: std::fmt::Arguments<'_>) {
    say(format_args!("  {what:<14} {text}"));
}

fn by_table(columns: &[PlannedColumn]) -> BTreeMap<&str, Vec<String>> {
    let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for column in columns {
        let text = format!("{} {} ({})", column.column, column.kind, column.why);
        tables.entry(&column.table).or_default().push(text);
    }
    tables
}

/// Shortens long text to its beginning.
fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 60;
    match value.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
