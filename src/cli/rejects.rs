//! `tidegate rejects`: the rows that could not be loaded and are not corrected yet, listed, or written as CSV files for
//! correction.

use super::sync::grouped;
use super::{CommandError, Exit, Shared, runtime, say, say_json, start_logging};
use crate::config::Config;
use crate::error::SyncError;
use crate::rejects::{OpenReject, REJECTS_END, rejects_csv, stem};
use crate::retry::look_at_database;
use crate::sink::Sink;
use crate::sink::ledger::{FileRecord, FileState};
use crate::sink::rejects::RejectedFile;
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Rows of a file that are listed without `--all`: a screen's worth.
const LISTED_MAX: u64 = 20;

/// Characters of a row that are listed.
const RAW_CHARS_MAX: usize = 100;

#[derive(Args, Debug)]
pub(super) struct RejectsArguments {
    /// Path or name of a file; all files without one
    file: Option<String>,
    /// List every row, rather than the first ones of each file
    #[arg(long)]
    all: bool,
    /// Write NAME.rejects.csv for each file into this directory
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

/// A file with the rejects that are shown of it.
struct Listed {
    rejected: RejectedFile,
    rows: Vec<OpenReject>,
}

pub(super) fn execute(shared: &Shared, own: &RejectsArguments) -> Result<Exit, CommandError> {
    let config = Config::load(&shared.overrides())?;
    start_logging(&config, "error")?;
    let rows_max = if own.all || own.export.is_some() { u64::from(u32::MAX) } else { LISTED_MAX };
    let found = runtime(&config)?.block_on(look_at_database(&config, async |sink| find(sink, own, rows_max).await))?;
    let (listed, quarantined, is_known) = found.unwrap_or_default();
    if let (Some(file), false) = (&own.file, is_known) {
        return Err(CommandError::Usage(format!("`{file}` is not in the ledger; `tidegate status` shows what is")));
    }
    let exported = match &own.export {
        Some(directory) => export(&listed, directory, &config.inbox)?,
        None => Vec::new(),
    };
    if shared.json {
        say_json(&as_json(&listed, &quarantined, &exported));
    } else if own.export.is_some() {
        print_exported(&exported);
    } else {
        print(&listed, &quarantined);
    }
    Ok(Exit::Done)
}

type Found = (Vec<Listed>, Vec<FileRecord>, bool);

async fn find(sink: &Sink, own: &RejectsArguments, rows_max: u64) -> Result<Found, SyncError> {
    let is_wanted = |file: &FileRecord| own.file.as_ref().is_none_or(|wanted| is_named(file, wanted));
    let mut listed = Vec::new();
    for rejected in sink.rejected_files().await? {
        if is_wanted(&rejected.file) {
            let rows = sink.open_rejects_of(rejected.file.id, rows_max).await?;
            listed.push(Listed { rejected, rows });
        }
    }
    let mut newest: Vec<FileRecord> = sink.newest_files().await?.into_values().filter(is_wanted).collect();
    let is_known = !newest.is_empty();
    newest.retain(|file| file.state == FileState::Quarantined);
    newest.sort_by_key(|file| file.id);
    Ok((listed, newest, is_known))
}

fn is_named(file: &FileRecord, wanted: &str) -> bool {
    let path = Path::new(&file.path);
    path.file_name() == Some(wanted.as_ref())
        || Path::new(wanted).canonicalize().or_else(|_| std::path::absolute(wanted)).is_ok_and(|wanted| wanted == path)
}

/// Writes a file per rejected file, and returns the paths with their numbers of rows.
fn export(listed: &[Listed], directory: &Path, inbox: &Path) -> Result<Vec<(PathBuf, u64)>, CommandError> {
    let inbox = inbox.canonicalize().unwrap_or_else(|_| inbox.to_owned());
    let mut taken = HashSet::new();
    let mut exported = Vec::new();
    for Listed { rejected: RejectedFile { file, open }, rows } in listed {
        let Some(header) = &file.header else { continue };
        let path = Path::new(&file.path);
        // Below the inbox a file may be told from others of its name, or be given its market, by its folder alone.
        let folder = path.strip_prefix(&inbox).ok().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
        let name = format!("{}{REJECTS_END}", stem(&file.path));
        let mut target = directory.join(folder).join(&name);
        if !taken.insert(target.clone()) {
            target = directory.join(folder).join(format!("file-{}", file.id)).join(&name);
            taken.insert(target.clone());
        }
        write(&target, &rejects_csv(header, rows))
            .map_err(|error| CommandError::Usage(format!("cannot write {}: {error}", target.display())))?;
        exported.push((target, *open));
    }
    Ok(exported)
}

/// In one step: the directory may be a watched one.
fn write(target: &Path, csv: &[u8]) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    // As any program would make it: whoever corrects it, and the daemon, may be others.
    let mode = Permissions::from_mode(0o666);
    let mut file =
        tempfile::Builder::new().prefix(".tidegate-").suffix(".tmp").permissions(mode).tempfile_in(folder)?;
    file.write_all(csv)?;
    file.persist(target).map(drop).map_err(|error| error.error)
}

fn print_exported(exported: &[(PathBuf, u64)]) {
    if exported.is_empty() {
        say(format_args!("no open rejects"));
        return;
    }
    for (path, rows) in exported {
        say(format_args!("{:>7} rows  {}", grouped(*rows), path.display()));
    }
    say(format_args!(
        "\nCorrect the rows, empty the cells behind _reason, leave _row as it is, and drop the file into the inbox: what can \
         be loaded then is closed here."
    ));
}

fn print(listed: &[Listed], quarantined: &[FileRecord]) {
    for Listed { rejected: RejectedFile { file, open }, rows } in listed {
        say(format_args!("{}: {} rows", file.path, grouped(*open)));
        for row in rows {
            let column = row.column.as_deref().map(|column| format!(", column {column}")).unwrap_or_default();
            say(format_args!("  row {}{column}: {}", row.row_number, row.reason));
            say(format_args!("    {}", beginning(&row.raw)));
        }
        if *open > rows.len() as u64 {
            say(format_args!("  and {} more; --all lists them", grouped(*open - rows.len() as u64)));
        }
        say(format_args!(""));
    }
    for file in quarantined {
        say(format_args!("{}: quarantined: {}", file.path, file.error.as_deref().unwrap_or("no reason is known")));
        say(format_args!(
            "  None of its rows is in the tables; the ones of its earlier version stay. Correct it and drop it again."
        ));
        say(format_args!(""));
    }
    if listed.is_empty() {
        say(format_args!("no open rejects"));
    } else {
        say(format_args!(
            "Write them with `tidegate rejects --export DIR`, correct them, and drop the files into the inbox; or drop a right \
             export of the same dataset and market."
        ));
    }
}

/// One line of a row.
fn beginning(raw: &str) -> String {
    let mut line: String = raw.chars().take(RAW_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if raw.chars().count() > RAW_CHARS_MAX {
        line.push('…');
    }
    line
}

fn as_json(listed: &[Listed], quarantined: &[FileRecord], exported: &[(PathBuf, u64)]) -> Value {
    let row =
        |row: &OpenReject| json!({ "row": row.row_number, "column": row.column, "reason": row.reason, "raw": row.raw });
    let files = listed.iter().map(|listed| {
        let file = &listed.rejected.file;
        let rejects: Vec<Value> = listed.rows.iter().map(row).collect();
        json!({
            "path": file.path, "dataset": file.dataset, "market": file.market, "open": listed.rejected.open, "rejects": rejects,
        })
    });
    let quarantined = quarantined.iter().map(|file| json!({ "path": file.path, "error": file.error }));
    json!({
        "files": files.collect::<Vec<_>>(),
        "quarantined": quarantined.collect::<Vec<_>>(),
        "exported": exported.iter().map(|(path, rows)| json!({ "path": path, "rows": rows })).collect::<Vec<_>>(),
    })
}
