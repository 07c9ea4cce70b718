//! `tidegate rejects`: lists the rows that could not be loaded and are not corrected yet, or writes
//! them to CSV files for correction.

use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::{ROW_1_IS, counted, grouped, plural};
use crate::cli::rejects_csv::{ColumnsInUse, RejectsCsv};
use crate::cli::{CommandError, Exit, Shared, output, runtime, say, say_whose, whose};
use crate::config::Config;
use crate::dispatch::retry::open_to_look;
use crate::error::SyncError;
use crate::feed::correction::{Header, OpenReject, REJECTS_END, stem};
use crate::process::modes::{give_to_person, make_persons_folders, persons_folder_mode};
use crate::process::terminal::printable_json;
use crate::sink::Sink;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::known_files::PathKey;
use crate::sink::ledger::open_rejects::RejectedFile;
use crate::source::find::beneath;
use crate::source::find::path_text::{path_of, path_text};
use crate::source::find::zipped::unpacked_path;
use clap::Args;
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Rows of a file that are listed without `--all`: enough to fill a screen.
const LISTED_MAX: u64 = 20;

/// Characters of a row that are listed, so that it fits on a line.
const RAW_CHARS_MAX: usize = 100;

#[derive(Args, Debug)]
pub(super) struct RejectsArguments {
    /// Path or name of a file; all files without one
    file: Option<String>,
    /// List every row, and not only the first ones of each file
    #[arg(long)]
    all: bool,
    /// Write NAME.rejects.csv for each file into this directory
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

pub(super) fn execute(shared: &Shared, own: &RejectsArguments) -> Result<Exit, CommandError> {
    // An export is written as the user who asks for it, to a directory of theirs.
    let config = if own.export.is_some() { shared.look_as_oneself()? } else { shared.look()? };
    start_logging(&config, OF_COMMAND)?;
    runtime(&config)?.block_on(tell(&config, own, shared.json))?;
    Ok(Exit::Done)
}

/// Prints or writes rejects while it reads them, because the ledger may hold millions.
async fn tell(config: &Config, own: &RejectsArguments, is_json: bool) -> Result<(), CommandError> {
    let looked = open_to_look(config).await?;
    if !is_json {
        say_whose(config);
    }
    let Some(sink) = looked else {
        if let Some(file) = &own.file {
            return Err(unknown(file));
        }
        Teller::new(is_json, own.export.is_some()).end(whose(config));
        return Ok(());
    };
    if let Some(file) = &own.file
        && !is_known(&sink, file).await?
    {
        return Err(unknown(file));
    }
    let told = tell_all(&sink, config, own, is_json).await;
    sink.db.end_connections().await?;
    told
}

async fn tell_all(
    sink: &Sink,
    config: &Config,
    own: &RejectsArguments,
    is_json: bool,
) -> Result<(), CommandError> {
    let is_wanted =
        |file: &FileRecord| own.file.as_ref().is_none_or(|wanted| is_named(&file.path, wanted));
    let rows_max = if own.all || own.export.is_some() { u64::MAX } else { LISTED_MAX };
    let mut export = own.export.as_deref().map(|directory| Export::into(directory, &config.inbox));
    let mut teller = Teller::new(is_json, export.is_some());
    let mut last = i64::MIN;
    loop {
        let page = sink.ledger.rejected_files_after(last).await?;
        let Some(end) = page.last() else { break };
        last = end.file.id;
        for rejected in page.iter().filter(|rejected| is_wanted(&rejected.file)) {
            if let Some(export) = &mut export
                && let Some(target) = export.write(sink, &rejected.file).await?
            {
                teller.exported(&target, rejected.open);
            }
            teller.begin_file(rejected);
            if teller.lists_rows() {
                sink.ledger
                    .each_open_reject(rejected.file.id, rows_max, |row| teller.row(&row))
                    .await?;
            }
            teller.end_file(rejected.open);
        }
    }
    teller.begin_quarantined();
    let mut last = i64::MIN;
    loop {
        let page = sink.ledger.quarantined_files_after(last, &config.datasets).await?;
        let Some(end) = page.last() else { break };
        last = end.id;
        page.iter().filter(|file| is_wanted(file)).for_each(|file| teller.quarantined(file));
    }
    teller.end(whose(config));
    Ok(())
}

fn unknown(file: &str) -> CommandError {
    CommandError::Usage(format!("`{file}` is not in the ledger; `tidegate status` shows what is"))
}

async fn is_known(sink: &Sink, wanted: &str) -> Result<bool, SyncError> {
    let path = path_text(&absolute(wanted));
    if sink.ledger.newest_file(&path).await?.is_some() {
        return Ok(true);
    }
    let name =
        Path::new(wanted).file_name().map(|name| path_text(Path::new(name))).unwrap_or_default();
    Ok(sink.ledger.paths_like(&format!("/{name}")).await?.iter().any(|path| is_named(path, wanted)))
}

fn is_named(path: &str, wanted: &str) -> bool {
    let path = path_of(path);
    path.file_name() == Some(wanted.as_ref()) || path == absolute(wanted)
}

fn absolute(wanted: &str) -> PathBuf {
    Path::new(wanted).canonicalize().or_else(|_| std::path::absolute(wanted)).unwrap_or_default()
}

/// Writes files of rejects below a directory.
struct Export<'a> {
    directory: &'a Path,
    inbox: PathBuf,
    /// Paths that were written, to find duplicates. Digests, so that millions of paths need little
    /// memory.
    taken: HashSet<PathKey>,
}

impl<'a> Export<'a> {
    fn into(directory: &'a Path, inbox: &Path) -> Self {
        let inbox = inbox.canonicalize().unwrap_or_else(|_| inbox.to_owned());
        Self { directory, inbox, taken: HashSet::new() }
    }

    /// Writes the open rejects of a file, and returns the path; `None` if the format of the file is
    /// unknown.
    async fn write(
        &mut self,
        sink: &Sink,
        file: &FileRecord,
    ) -> Result<Option<PathBuf>, CommandError> {
        let Some(header) = &file.header else { return Ok(None) };
        let below = self.place_of(file, header);
        let target = self.directory.join(&below);
        let failed =
            |error| CommandError::Usage(format!("cannot write {}: {error}", target.display()));
        let mut in_use = ColumnsInUse::default();
        if header.delimiter.is_none() {
            sink.ledger
                .each_open_reject(file.id, u64::MAX, |row| in_use.observe(&row, header))
                .await?;
        }
        let csv = RejectsCsv::new(header, &in_use);
        let mut part = Part::begin(self.directory, &below).map_err(failed)?;
        let mut written = part.file.write_all(&csv.head());
        let written_rows = &mut written;
        sink.ledger
            .each_open_reject(file.id, u64::MAX, |row| {
                if written_rows.is_ok() {
                    *written_rows = part.file.write_all(&csv.row(&row));
                }
            })
            .await?;
        written.and_then(|()| part.finish(&below)).map_err(failed)?;
        Ok(Some(target))
    }

    fn place_of(&mut self, file: &FileRecord, header: &Header) -> PathBuf {
        let path = path_of(&file.path);
        // Keep the folder below the inbox, or below what was given to sync: it may be all that
        // distinguishes files of the same name, or names their market.
        let lies_at = unpacked_path(&self.inbox, &path);
        let below_inbox = lies_at.strip_prefix(&self.inbox).ok().and_then(Path::parent);
        let folder = match (below_inbox, &header.folder) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(folder)) => path_of(folder),
            (None, None) => PathBuf::new(),
        };
        let name = path_of(&format!("{}{REJECTS_END}", stem(&file.path)));
        let mut below = folder.join(&name);
        if !self.taken.insert(PathKey::of(&path_text(&below))) {
            below = folder.join(format!("file-{}", file.id)).join(&name);
        }
        below
    }
}

/// A file that is being written. It is renamed when it is complete, because the directory may be
/// watched. No links below the directory are followed, because other users may be able to change
/// its folders. Dropping an unfinished file removes it.
struct Part {
    file: BufWriter<File>,
    folder: OwnedFd,
    name: String,
    is_finished: bool,
}

impl Part {
    fn begin(directory: &Path, below: &Path) -> std::io::Result<Self> {
        make_persons_folders(directory)?;
        let folder = beneath::open_folder(directory, directory)?;
        let folder =
            beneath::make_folders(folder, below.parent().unwrap_or(below), persons_folder_mode())?;
        let name = format!(".tidegate-{}.tmp", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR)?);
        // Other users may correct the file, and the daemon must read it.
        give_to_person(&file, true)?;
        Ok(Self { file: BufWriter::new(file), folder, name, is_finished: false })
    }

    fn finish(mut self, below: &Path) -> std::io::Result<()> {
        self.file.flush()?;
        renameat(&self.folder, &self.name, &self.folder, below.file_name().unwrap_or_default())?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Prints results while they are found, as text or JSON.
struct Teller {
    is_json: bool,
    is_export: bool,
    files: u64,
    rows: u64,
    quarantined: u64,
    /// Exported files, which the JSON lists at its end.
    exported: Vec<Value>,
    exported_files: u64,
}

impl Teller {
    fn new(is_json: bool, is_export: bool) -> Self {
        if is_json {
            print_part(&format!("{{\"row_1_is\":\"{ROW_1_IS}\",\"files\":["));
        }
        Self {
            is_json,
            is_export,
            files: 0,
            rows: 0,
            quarantined: 0,
            exported: Vec::new(),
            exported_files: 0,
        }
    }

    /// Rows are not listed after an export, because they are in the files.
    const fn lists_rows(&self) -> bool {
        self.is_json || !self.is_export
    }

    fn exported(&mut self, target: &Path, rows: u64) {
        self.exported_files += 1;
        if self.is_json {
            self.exported.push(json!({ "path": target, "rows": rows }));
        } else {
            say(format_args!(
                "{:>7} {:<4}  {}",
                grouped(rows),
                plural(rows, "row"),
                target.display()
            ));
        }
    }

    fn begin_file(&mut self, rejected: &RejectedFile) {
        let file = &rejected.file;
        if self.is_json {
            let head = json!({ "path": file.path, "dataset": file.dataset, "market": file.market, "open": rejected.open });
            let head = head.to_string();
            let head = head.strip_suffix('}').unwrap_or(&head);
            print_part(&format!("{}{head},\"rejects\":[", if self.files > 0 { "," } else { "" }));
        } else if !self.is_export {
            say(format_args!("{}: {}", file.path, counted(rejected.open, "row")));
        }
        self.files += 1;
        self.rows = 0;
    }

    fn row(&mut self, row: &OpenReject) {
        if self.is_json {
            let json = json!({ "row": row.row_number, "column": row.column, "reason": row.reason, "raw": row.raw });
            print_part(&format!("{}{json}", if self.rows > 0 { "," } else { "" }));
        } else {
            let column = row
                .column
                .as_deref()
                .map(|column| format!(", column {column}"))
                .unwrap_or_default();
            say(format_args!("  row {}{column}: {}", row.row_number, row.reason));
            say(format_args!("    {}", beginning(&row.raw)));
        }
        self.rows += 1;
    }

    fn end_file(&self, open: u64) {
        if self.is_json {
            print_part("]}");
        } else if !self.is_export {
            if open > self.rows {
                say(format_args!("  and {} more; --all lists them", grouped(open - self.rows)));
            }
            say(format_args!(""));
        }
    }

    fn begin_quarantined(&self) {
        if self.is_json {
            print_part("],\"quarantined\":[");
        }
    }

    fn quarantined(&mut self, file: &FileRecord) {
        if self.is_json {
            let json = json!({ "path": file.path, "error": file.error });
            print_part(&format!("{}{json}", if self.quarantined > 0 { "," } else { "" }));
        } else if !self.is_export {
            say(format_args!(
                "{}: quarantined: {}",
                file.path,
                file.error.as_deref().unwrap_or("no reason is known")
            ));
            say(format_args!(
                "  None of its rows are in the tables; the rows of its earlier version stay. Correct it and drop it again."
            ));
            say(format_args!(""));
        }
        self.quarantined += 1;
    }

    fn end(self, service: Option<Value>) {
        match (self.is_json, self.is_export) {
            (true, _) => {
                let service =
                    service.map(|service| format!(",\"service\":{service}")).unwrap_or_default();
                print_part(&format!("],\"exported\":{}{service}}}", Value::from(self.exported)));
                say(format_args!(""));
            }
            (false, true) if self.exported_files > 0 => say(format_args!(
                "\nCorrect the rows, empty the cells after _reason, leave _row as it is, and drop the file into the inbox. Rows \
                 that can be loaded then are no longer listed here."
            )),
            (false, false) if self.files > 0 => say(format_args!(
                "Row 1 is {ROW_1_IS}. Write them with `tidegate rejects --export DIR`, correct them, and drop the \
                 files into the inbox; or drop a correct export of the same dataset and market."
            )),
            (false, _) => say(format_args!("no open rejects")),
        }
    }
}

/// Prints without a line end.
fn print_part(text: &str) {
    output::print(&printable_json(text));
}

/// The beginning of a row, on one line.
fn beginning(raw: &str) -> String {
    let mut line: String =
        raw.chars().take(RAW_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if raw.chars().count() > RAW_CHARS_MAX {
        line.push('…');
    }
    line
}
