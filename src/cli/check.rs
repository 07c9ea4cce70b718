//! `tidegate check`: checks everything that a sync needs, and creates or changes nothing.

use crate::cli::print::counted;
use crate::cli::service_user::{is_service_user, user_name};
use crate::cli::{CommandError, Exit, Shared, runtime, say, say_json, with_whose};
use crate::config::{AfterSync, Config};
use crate::dispatch::retry::wait_for_database;
use crate::dispatch::unseen::{Overlap, overlaps, unseen};
use crate::error::{SyncError, Verdict};
use crate::sink::db::sqlite_file::sqlite_file;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde_json::{Value, json};
use std::io::{Error, ErrorKind};
use std::path::Path;

#[derive(Debug)]
struct Finding {
    what: &'static str,
    subject: String,
    is: Is,
}

/// The result of one check.
#[derive(Debug)]
enum Is {
    /// The subject can be used.
    Good,
    /// Something to know that is not a fault, for example that a folder does not exist yet.
    Note(String),
    /// The subject cannot be used.
    Fault(String),
}

pub(super) fn execute(shared: &Shared) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    let database = runtime(&config)?.block_on(wait_for_database(&config));
    let is_away = database.as_ref().is_err_and(|error| error.verdict() == Verdict::Retry);
    let mut findings = vec![configuration(shared, &config)];
    findings.extend(service(&config));
    findings.push(Finding {
        what: "datasets",
        subject: config
            .datasets
            .iter()
            .map(|dataset| dataset.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        is: Is::Good,
    });
    findings.push(state_dir(&config));
    findings.push(inbox(&config));
    findings.extend(archive_dir(&config));
    findings.extend(shared_paths(&config));
    let is_there = database.is_ok();
    findings.push(database_of(&config, database));
    if is_there {
        findings.extend(unseen_names(&config)?);
    }
    print(&config, &findings, shared.json);
    Ok(match findings.iter().any(|finding| matches!(finding.is, Is::Fault(_))) {
        _ if is_away => Exit::DatabaseAway,
        true => Exit::Usage,
        false => Exit::Done,
    })
}

/// Names of the configuration that no file has had, although files were synced.
fn unseen_names(config: &Config) -> Result<Vec<Finding>, CommandError> {
    let unseen = runtime(config)?.block_on(unseen(config))?;
    let note = |what, subject, note| Finding { what, subject, is: Is::Note(note) };
    let columns = unseen.columns.into_iter().map(|(dataset, columns)| {
        let columns = columns.join(", ");
        let text = format!(
            "no file has brought a value for {columns}: are their names in files others? See `from`"
        );
        note("columns", format!("datasets.{dataset}"), text)
    });
    let seen = unseen.markets_seen.iter().map(|market| format!("`{market}`"));
    let seen = seen.collect::<Vec<_>>().join(", ");
    let markets = unseen.markets.into_iter().map(|market| {
        let text = format!("no file has had this market; those of files are {seen}");
        note("markets", format!("markets.{market}"), text)
    });
    let references = unseen.references.into_iter().map(|(column, named)| {
        let text = format!("`references` names {named}, and no table has that column");
        note("references", column, text)
    });
    Ok(columns.chain(markets).chain(references).collect())
}

/// Files of the inbox that several datasets could take.
fn shared_paths(config: &Config) -> Vec<Finding> {
    let finding = |Overlap { datasets, files, first }: Overlap| Finding {
        what: "paths",
        subject: datasets.join(", "),
        is: Is::Note(format!(
            "the `paths` of each of these datasets match {}, such as {first}; {} takes them, as the first by name: give \
             the others narrower `paths`",
            counted(files, "file"),
            datasets[0]
        )),
    };
    overlaps(config, &config.inbox).into_iter().map(finding).collect()
}

fn configuration(shared: &Shared, config: &Config) -> Finding {
    let path = config
        .service
        .as_ref()
        .map_or(shared.config.as_ref(), |service| service.configuration.as_ref());
    let subject =
        path.map_or_else(|| "embedded defaults".to_owned(), |path| path.display().to_string());
    Finding { what: "configuration", subject, is: Is::Good }
}

/// Says as which user the checks run, if they are about the installed service.
fn service(config: &Config) -> Option<Finding> {
    let service = config.service.as_ref()?;
    let is = match is_service_user(config) {
        true => Is::Note(format!("the checks below show what its user {} can do", user_name())),
        false => Is::Note(format!(
            "the checks below show what {} can do; as root, they show what the service's user can do",
            user_name()
        )),
    };
    Some(Finding { what: "service", subject: format!("installed: {service}"), is })
}

fn state_dir(config: &Config) -> Finding {
    let path = &config.state_dir;
    let is = match writable_folder(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => if_it_can_be_made(
            path,
            "cannot be written",
            "it is not there yet; the first `run` or `sync` makes it",
        ),
        Err(error) => Is::Fault(format!("cannot be written: {error}")),
        Ok(()) => Is::Good,
    };
    Finding { what: "state_dir", subject: path.display().to_string(), is }
}

fn inbox(config: &Config) -> Finding {
    let path = &config.inbox;
    let is = match std::fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if_it_can_be_made(path, "cannot be read", "it is not there yet; `run` makes it")
        }
        Err(error) => Is::Fault(format!("cannot be read: {error}")),
        Ok(_) if config.after_sync == AfterSync::Keep => Is::Good,
        Ok(_) => match writable_folder(path) {
            Ok(()) => Is::Good,
            Err(error) => Is::Fault(format!("cannot be written, as after_sync needs it: {error}")),
        },
    };
    Finding { what: "inbox", subject: path.display().to_string(), is }
}

/// Checks the directory that `after_sync = "archive"` moves files to.
fn archive_dir(config: &Config) -> Option<Finding> {
    let path = &config.archive_dir;
    let is = match writable_folder(path) {
        _ if config.after_sync != AfterSync::Archive => return None,
        Err(error) if error.kind() == ErrorKind::NotFound => if_it_can_be_made(
            path,
            "cannot be written",
            "it is not there yet; the first archived file makes it",
        ),
        Err(error) => Is::Fault(format!("cannot be written: {error}")),
        Ok(()) => Is::Good,
    };
    Some(Finding { what: "archive_dir", subject: path.display().to_string(), is })
}

fn database_of(config: &Config, asked: Result<(), SyncError>) -> Finding {
    let file = sqlite_file(config.database_url.reveal());
    let is = match (asked, &file) {
        (Err(SyncError::NoDatabase { source, .. }), Some(path))
            if source.kind() == ErrorKind::NotFound =>
        {
            let folder = folder_of(path);
            // tidegate creates its state directory, but no other folder for a database.
            let is_made = folder == config.state_dir && !folder.exists();
            let writable =
                if is_made { writable_ancestor(folder) } else { writable_folder(folder) };
            match writable {
                Ok(()) => {
                    Is::Note("it is not there yet; the first `run` or `sync` makes it".to_owned())
                }
                Err(error) => Is::Fault(format!(
                    "it is not there and cannot be made: {}: {error}",
                    folder.display()
                )),
            }
        }
        (Err(error), _) => Is::Fault(error.to_string()),
        // SQLite writes its log next to the database file.
        (Ok(()), Some(path)) => {
            match writable(path).and_then(|()| writable_folder(folder_of(path))) {
                Ok(()) => Is::Good,
                Err(error) => Is::Fault(format!("cannot be written: {error}")),
            }
        }
        (Ok(()), None) => Is::Good,
    };
    Finding { what: "database", subject: config.database_url.to_string(), is }
}

/// The folder that a file is in; that of a mere name is the working directory.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

/// Whether this process may write to a file or folder. Asks the kernel, and writes nothing.
fn writable(path: &Path) -> std::io::Result<()> {
    Ok(accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS)?)
}

fn writable_folder(path: &Path) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        return Err(Error::from(ErrorKind::NotADirectory));
    }
    Ok(accessat(CWD, path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

fn if_it_can_be_made(path: &Path, fault: &str, note: &str) -> Is {
    match writable_ancestor(path) {
        Ok(()) => Is::Note(note.to_owned()),
        Err(error) => Is::Fault(format!("{fault}: it is not there, and cannot be made: {error}")),
    }
}

/// Whether the nearest existing parent of a missing folder can be written to.
fn writable_ancestor(path: &Path) -> std::io::Result<()> {
    for ancestor in path.ancestors().skip(1) {
        match std::fs::metadata(ancestor) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return writable_folder(ancestor),
        }
    }
    Err(Error::from(ErrorKind::NotFound))
}

fn print(config: &Config, findings: &[Finding], is_json: bool) {
    if is_json {
        let findings: Vec<Value> = findings.iter().map(as_json).collect();
        say_json(&with_whose(config, json!({ "findings": findings })));
        return;
    }
    for Finding { what, subject, is } in findings {
        let word = word(what, is);
        match is {
            Is::Good => say(format_args!("{word:<6} {what:<14} {subject}")),
            Is::Note(text) | Is::Fault(text) => {
                say(format_args!("{word:<6} {what:<14} {subject}: {text}"));
            }
        }
    }
}

/// The result of a check in a word. A missing inbox or archive is not called `ok`; tidegate's own
/// state directory and database are.
fn word(what: &str, is: &Is) -> &'static str {
    match is {
        Is::Note(_) if !matches!(what, "service" | "state_dir" | "database") => "note",
        Is::Good | Is::Note(_) => "ok",
        Is::Fault(_) => "fault",
    }
}

fn as_json(Finding { what, subject, is }: &Finding) -> Value {
    let mut json = json!({ "is": word(what, is), "what": what, "subject": subject });
    match is {
        Is::Good => {}
        Is::Note(note) => json["note"] = note.as_str().into(),
        Is::Fault(fault) => json["fault"] = fault.as_str().into(),
    }
    json
}
