//! Command line: the arguments, and one file for each command.

mod alarms;
mod approve;
mod check;
mod choose;
mod describe;
mod descriptors;
mod dismiss;
mod explain;
mod find;
mod init;
mod log_text;
mod logging;
mod output;
mod plan;
mod print;
mod rejects;
pub mod rejects_csv;
mod resync;
mod run;
mod service_user;
mod signals;
mod status;
mod sync;
mod undo;
mod verify;

use crate::cli::logging::complain;
use crate::cli::service_user::become_service_user;
use crate::config::{Config, ConfigurationError, Overrides, is_in_environment};
use crate::error::{SyncError, Verdict};
use crate::process::secret::{Secret, conceal};
use crate::process::terminal::{printable, printable_json};
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

/// How long threads that read files may continue after the work was stopped. Short, because nothing
/// uses what they read.
const THREADS_GRACE: Duration = Duration::from_millis(500);

/// Keeps a database exactly in step with the exports of e-commerce markets.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone, Debug)]
struct Shared {
    /// Configuration file; without one, the embedded defaults apply
    #[arg(long, global = true, env = "TIDEGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// sqlite://…, mysql://… or postgres://…; better set TIDEGATE_DATABASE_URL, which other users
    /// cannot see
    #[arg(long, global = true, value_name = "URL")]
    database: Option<Secret>,
    /// Where checkpoints and other local files are kept
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a directory and sync what arrives there
    Run(run::RunArguments),
    /// Sync files or directories once
    Sync(sync::SyncArguments),
    /// Show what a sync of files or directories would do, and write nothing
    Plan(plan::PlanArguments),
    /// Print the declaration of a file of which nothing is known, ready for the configuration
    Describe(describe::DescribeArguments),
    /// Show the state of the work: files, rates, backlog, rejects
    Status,
    /// Compare metrics, row hashes and counts with the stored rows
    Verify,
    /// List the rows that could not be loaded, or write them for correction
    Rejects(rejects::RejectsArguments),
    /// Let a held file delete its records, or take a quarantined, undone or dismissed one again
    Approve(approve::ApproveArguments),
    /// Take a refused, held or unmatched file off the list of what needs somebody
    Dismiss(dismiss::DismissArguments),
    /// Have the synced files of a dataset that are still there taken again
    Resync(resync::ResyncArguments),
    /// Show where a record comes from: its versions, with the files that wrote them
    Explain(explain::ExplainArguments),
    /// Take synced files back, with everything that they changed
    Undo(undo::UndoArguments),
    /// List the alarms that are open, or say that one is known
    Alarms(alarms::AlarmsArguments),
    /// Check configuration, directories, database and permissions
    Check,
    /// Write a commented configuration file
    Init(init::InitArguments),
}

impl Arguments {
    /// Parses the command line. If it is wrong, prints why and ends the process. The message is
    /// filtered: it may quote a file name with control characters, or a URL with a password.
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let words = std::env::args_os();
            let words = words.map(|word| printable(&conceal(&word.to_string_lossy())).into_owned());
            Self::try_parse_from(words).err().unwrap_or(error).exit()
        })
    }
}

/// Why a command ended without doing its work.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The configuration cannot be read or is not valid.
    #[error("configuration: {0}")]
    Configuration(#[from] ConfigurationError),
    /// The arguments are wrong, or something that the command needs is missing.
    #[error("{0}")]
    Usage(String),
    /// A file is not in the state that the command needs.
    #[error("{0}")]
    Failed(String),
    /// The sync or a query failed.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// How a command ended; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Some files failed, were quarantined or are held; or the output could not be written.
    FilesFailed = 1,
    /// Wrong usage or configuration, or another process holds the lease.
    Usage = 2,
    /// The database cannot be reached.
    DatabaseAway = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Sync(error) if error.verdict() == Verdict::Retry => Exit::DatabaseAway,
            Self::Sync(SyncError::NoDatabase { .. }) => Exit::DatabaseAway,
            // The server answers, but refuses the user or has no such database.
            Self::Sync(error) if error.is_refusal() => Exit::DatabaseAway,
            Self::Sync(
                SyncError::Database(_)
                | SyncError::Internal(_)
                | SyncError::Read { .. }
                | SyncError::Damaged { .. }
                | SyncError::Stopped,
            ) => Exit::FilesFailed,
            Self::Failed(_) => Exit::FilesFailed,
            Self::Configuration(_) | Self::Usage(_) | Self::Sync(_) => Exit::Usage,
        }
    }
}

/// Runs a command, and returns its exit code.
pub fn execute(arguments: Arguments) -> Exit {
    let result = match arguments.command {
        Command::Run(own) => run::execute(&arguments.shared, own),
        Command::Sync(own) => sync::execute(&arguments.shared, &own),
        Command::Plan(own) => plan::execute(&arguments.shared, &own),
        Command::Describe(own) => describe::execute(&arguments.shared, &own),
        Command::Status => status::execute(&arguments.shared),
        Command::Verify => verify::execute(&arguments.shared),
        Command::Rejects(own) => rejects::execute(&arguments.shared, &own),
        Command::Approve(own) => approve::execute(&arguments.shared, &own),
        Command::Dismiss(own) => dismiss::execute(&arguments.shared, &own),
        Command::Resync(own) => resync::execute(&arguments.shared, &own),
        Command::Explain(own) => explain::execute(&arguments.shared, &own),
        Command::Undo(own) => undo::execute(&arguments.shared, &own),
        Command::Alarms(own) => alarms::execute(&arguments.shared, &own),
        Command::Check => check::execute(&arguments.shared),
        Command::Init(own) => init::execute(&arguments.shared, &own),
    };
    let exit = result.unwrap_or_else(|error| {
        complain(format_args!("{error}"));
        error.exit()
    });
    let Some(reason) = output::lost() else { return exit };
    complain(format_args!("a part of the output is lost: {reason}"));
    if exit == Exit::Done { Exit::FilesFailed } else { exit }
}

impl Shared {
    /// Loads the configuration of a read-only command. It may be that of the installed service;
    /// then root becomes the service's user.
    fn look(&self) -> Result<Config, CommandError> {
        let config = self.look_as_oneself()?;
        become_service_user(&config)?;
        Ok(config)
    }

    /// The same without changing the user, for a command that also reads or writes files of the
    /// user who runs it.
    fn look_as_oneself(&self) -> Result<Config, CommandError> {
        Ok(Config::load(&Overrides { finds_service: true, ..self.overrides() })?)
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            database_url: self.database.clone(),
            state_dir: self.state_dir.clone(),
            ..Overrides::default()
        }
    }
}

/// Starts the threads that do the work. Called before any other thread runs.
fn runtime(config: &Config) -> Result<tokio::runtime::Runtime, CommandError> {
    keep_sqlite_in(&config.state_dir);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Usage(format!("cannot start threads: {error}")))
}

/// Makes SQLite put its temporary files into the state directory. By default they go to `/var/tmp`
/// (sqlite.org/tempfiles.html#temporary_file_storage_locations), which may be small, or readable
/// for others.
#[expect(
    unsafe_code,
    reason = "SQLite asks the environment, and has no other way that is safe beside its own threads"
)]
fn keep_sqlite_in(directory: &Path) {
    if !is_in_environment("SQLITE_TMPDIR") {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("SQLITE_TMPDIR", directory) };
    }
}

/// Prints that a command shows the installed service, if its configuration was not named.
fn say_whose(config: &Config) {
    if let Some(service) = &config.service {
        say(format_args!("of the installed service: {service}"));
        say(format_args!(""));
    }
}

/// Adds the same to the JSON of a command.
fn with_whose(config: &Config, mut json: Value) -> Value {
    if let Some(service) = whose(config) {
        json["service"] = service;
    }
    json
}

fn whose(config: &Config) -> Option<Value> {
    let service = config.service.as_ref()?;
    Some(
        serde_json::json!({ "configuration": service.configuration, "state_dir": service.state_dir }),
    )
}

/// Prints a line for people. Line ends at its beginning become blank lines.
fn say(line: std::fmt::Arguments<'_>) {
    let text = line.to_string();
    let line = text.trim_start_matches('\n');
    output::print(&format!("{}{}\n", &text[..text.len() - line.len()], printable(line)));
}

/// Prints a result for programs.
fn say_json(result: &Value) {
    output::print(&format!("{}\n", printable_json(&result.to_string())));
}
