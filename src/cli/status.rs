//! `tidegate status`: shows the state of the work from the ledger, whether or not the daemon runs.

use crate::cli::alarms::alarm_line;
use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::{counted, grouped, rescued, stale};
use crate::cli::{CommandError, Exit, Shared, runtime, say, say_json, with_whose};
use crate::config::Config;
use crate::dispatch::inbox::Inbox;
use crate::dispatch::retry::look_at_database;
use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::process::terminal::quoted;
use crate::sink::Sink;
use crate::sink::ledger::overview::{LatestFile, LeaseView, MartLag, Overview, Rates};
use crate::source::find::blind_spots::Places;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Entries of a list that are shown, so that all lists fit on a screen; `--json` has more.
const SHOWN_MAX: usize = 5;

/// Characters of a reason that are shown: enough for the three rows that a refusal names.
const REASON_CHARS_MAX: usize = 700;

pub(super) fn execute(shared: &Shared) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    // The ledger has the real path of the inbox, without links.
    let inbox = config.inbox.canonicalize().unwrap_or_else(|_| config.inbox.clone());
    let config = Arc::new(Config { inbox, ..config });
    start_logging(&config, OF_COMMAND)?;
    let (overview, backlog) = runtime(&config)?.block_on(look(&config))?;
    if shared.json {
        say_json(&as_json(&config, &overview, backlog.as_ref()));
    } else {
        print(&config, &overview, backlog.as_ref());
    }
    Ok(Exit::Done)
}

/// Files in the inbox that are new or changed compared with the ledger.
struct Backlog {
    files: usize,
    /// Paths that the user who asks cannot read.
    unread: Places,
}

async fn look(config: &Arc<Config>) -> Result<(Overview, Option<Backlog>), SyncError> {
    let looked = look_at_database(config, async |sink| {
        Ok((
            sink.ledger.overview(&config.datasets, now_ms()).await?,
            backlog(config, Some(sink)).await?,
        ))
    });
    match looked.await? {
        Some(looked) => Ok(looked),
        None => Ok((Overview::default(), backlog(config, None).await?)),
    }
}

/// Compares the inbox with the ledger. `None` if there is no inbox, as on another machine.
async fn backlog(config: &Arc<Config>, sink: Option<&Sink>) -> Result<Option<Backlog>, SyncError> {
    if !config.inbox.is_dir() {
        return Ok(None);
    }
    let mut inbox = Inbox::new(Arc::clone(config));
    let blind_spots = inbox.look_at_everything(sink, None).await?;
    Ok(Some(Backlog { files: inbox.backlog(), unread: blind_spots.unread }))
}

/// The status as JSON, with the names of `/api/status`, as far as the ledger knows it.
fn as_json(config: &Config, overview: &Overview, backlog: Option<&Backlog>) -> Value {
    let mut status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "inbox": config.inbox,
        "database": config.database_url.to_string(),
        "backlog": backlog.map(|backlog| backlog.files),
        "unread": backlog.map(|backlog| &backlog.unread),
    });
    if let (Value::Object(status), Value::Object(overview)) = (&mut status, json!(overview)) {
        status.extend(overview);
    }
    with_whose(config, status)
}

fn print(config: &Config, overview: &Overview, backlog: Option<&Backlog>) {
    let waiting = match backlog.map(|backlog| backlog.files) {
        None => "is not there".to_owned(),
        Some(0) => "nothing waits".to_owned(),
        Some(files) => format!("{} waiting", counted(files as u64, "file")),
    };
    if let Some(service) = &config.service {
        line("service", format_args!("installed: {service}"));
    }
    line("inbox", format_args!("{}: {waiting}", config.inbox.display()));
    for (path, reason) in backlog.iter().flat_map(|backlog| &backlog.unread.reasons).take(SHOWN_MAX)
    {
        line("unread", format_args!("{path}: {reason}"));
    }
    line("database", format_args!("{}: {}", config.database_url, writer(overview.lease.as_ref())));
    if overview.latest.is_empty() {
        line("files", format_args!("nothing synced yet"));
        return;
    }
    let states = overview.files.iter().filter(|(_, files)| **files > 0);
    let states: Vec<String> =
        states.map(|(state, files)| format!("{} {state}", grouped(*files))).collect();
    line("files", format_args!("{}", states.join(", ")));
    let rows = &overview.rows;
    line(
        "rows",
        format_args!(
            "{} read, {} rejected, {} skipped, {} with a rescued value; {} new, {} modified, {} unchanged, {} deleted",
            grouped(rows.read),
            grouped(rows.rejected),
            grouped(rows.skipped),
            grouped(rows.rescued),
            counted(rows.new, "table row"),
            grouped(rows.modified),
            grouped(rows.unchanged),
            grouped(rows.deleted)
        ),
    );
    line("rate", format_args!("{}", rate(&overview.rates)));
    line("marts", format_args!("{}", marts(&overview.lag)));
    print_what_is_to_do(overview);
    section("latest", overview.latest.iter().map(latest));
    let changes = overview.schema_changes.iter().map(|change| {
        let to = change.new.as_deref().unwrap_or("-");
        let change_text = format!("{}.{}", change.table, change.column);
        match &change.old {
            Some(old) => format!("{}  {change_text}: {} {old} → {to}", change.at, change.kind),
            None => format!("{}  {change_text}: {} {to}", change.at, change.kind),
        }
    });
    section("schema", changes);
}

/// Prints what needs an operator.
fn print_what_is_to_do(overview: &Overview) {
    section("alarms", overview.alarms.iter().map(alarm_line));
    let held = overview.held.iter().map(|file| {
        format!(
            "{}: {}; to let it: tidegate approve {}",
            name(&file.path),
            shortened(&file.reason),
            quoted(&file.path)
        )
    });
    section("held", held);
    let refused = overview.refused.iter().map(|file| {
        let at = file.at.as_deref().unwrap_or_default();
        format!("{at}  {}: {}: {}", name(&file.path), file.state, shortened(&file.reason))
    });
    section("refused", refused);
    let rejects = overview.rejects.iter().map(|file| {
        let rows = counted(u64::try_from(file.rows).unwrap_or(0), "row");
        format!("{}: {rows}, the first: {}", name(&file.path), shortened(&file.reason))
    });
    section("rejects", rejects);
    let in_the_way = overview.objects_in_the_way.iter().map(|obstacle| {
        let object = match obstacle.object.as_str() {
            "" => String::new(),
            object => format!("{object} is in the way: "),
        };
        let run = match obstacle.run.as_str() {
            "" => String::new(),
            run => format!("; run: {run}"),
        };
        format!("{}: {object}{}{run}", obstacle.about, obstacle.reason)
    });
    section("blocked", in_the_way);
}

fn line(what: &str, text: std::fmt::Arguments<'_>) {
    say(format_args!("{what:<9} {text}"));
}

/// Prints a list after its name; prints nothing if it is empty.
fn section(what: &str, entries: impl ExactSizeIterator<Item = String>) {
    let rest = entries.len().saturating_sub(SHOWN_MAX);
    let mut what = what;
    for entry in entries.take(SHOWN_MAX) {
        line(what, format_args!("{entry}"));
        what = "";
    }
    if rest > 0 {
        line("", format_args!("and more; --json lists more, and the ledger has all"));
    }
}

fn writer(lease: Option<&LeaseView>) -> String {
    let Some(lease) = lease.filter(|lease| lease.status.is_held) else {
        return "nobody writes to it".to_owned();
    };
    match lease.status.beat_ms.map(|beat_ms| now_ms() - beat_ms) {
        Some(silent_ms) => {
            format!(
                "{} writes to it, last seen {:.1} s ago",
                lease.status.holder,
                silent_ms.max(0) as f64 / 1000.0
            )
        }
        None => format!("{} writes to it", lease.status.holder),
    }
}

fn rate(rates: &Rates) -> String {
    let in_hour = format!("{} in the last hour", counted(rates.files_per_hour, "file"));
    match rates.rows_per_second {
        Some(rows) => {
            format!(
                "{} a second over the last {}, {in_hour}",
                counted(rows as u64, "row"),
                counted(rates.files, "file")
            )
        }
        None => in_hour,
    }
}

fn marts(lag: &[MartLag]) -> String {
    if lag.is_empty() {
        return "exact".to_owned();
    }
    let waiting = lag.iter().map(|lag| match lag.groups {
        Some(groups) => format!(
            "{} of market {} ({})",
            lag.mart,
            lag.market,
            counted(groups.unsigned_abs(), "mark")
        ),
        None => format!("{} of market {} (all)", lag.mart, lag.market),
    });
    format!("waiting for their refresh: {}", waiting.collect::<Vec<_>>().join(", "))
}

fn latest(file: &LatestFile) -> String {
    let counts = &file.counts;
    let took =
        file.elapsed_ms.map_or_else(String::new, |ms| format!("  {:.1} s", ms as f64 / 1000.0));
    format!(
        "{}  {:<11} {:<11} {:<36}  +{} ~{} −{} ={} !{}{took}{}{}",
        file.started_at,
        file.state,
        file.dataset.as_deref().unwrap_or("-"),
        name(&file.path),
        grouped(counts.new),
        grouped(counts.modified),
        grouped(counts.deleted),
        grouped(counts.unchanged),
        grouped(counts.rejected),
        rescued(counts.rescued),
        stale(counts.stale)
    )
}

fn name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}
fn shortened(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    match line.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
