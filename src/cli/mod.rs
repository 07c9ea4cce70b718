//! Command line: arguments, and one file a command.

mod approve;
mod check;
mod descriptors;
mod find;
mod init;
mod log_text;
mod logging;
mod plan;
mod print;
mod rejects;
pub mod rejects_csv;
mod run;
mod service_user;
mod signals;
mod status;
mod sync;
mod verify;

use crate::cli::logging::complain;
use crate::cli::service_user::become_service_user;
use crate::config::{Config, ConfigurationError, Overrides, is_in_environment};
use crate::error::{SyncError, Verdict};
use crate::process::secret::{Secret, conceal};
use crate::process::terminal::{printable, printable_json};
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

/// How long threads that read files may go on after the work was stopped.
const THREADS_GRACE: Duration = Duration::from_millis(500);

/// Keeps a database exactly at what the exports of e-commerce markets say.
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
    /// Configuration file; without one, the embedded defaults hold
    #[arg(long, global = true, env = "TIDEGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// sqlite://…, mysql://… or postgres://…; better given as TIDEGATE_DATABASE_URL, where others cannot see it
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
    /// Show how the work goes: files, rates, backlog, rejects
    Status,
    /// Compare metrics, row hashes and counts with what the stored rows say
    Verify,
    /// List the rows that could not be loaded, or write them for correction
    Rejects(rejects::RejectsArguments),
    /// Let a held file make its deletion, or have a quarantined one tried again
    Approve(approve::ApproveArguments),
    /// Check configuration, directories, database and permissions
    Check,
    /// Write a commented configuration file
    Init(init::InitArguments),
}

impl Arguments {
    /// Reads the command line, or ends the process and says what is wrong with it. A word that is repeated then may be the name
    /// of a file, which a terminal must not obey, or a URL with a password.
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
    /// The configuration is wrong.
    #[error("configuration: {0}")]
    Configuration(#[from] ConfigurationError),
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// A file is not what it must be for the command.
    #[error("{0}")]
    Failed(String),
    /// The work failed.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// How a command ended; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything is done.
    Done = 0,
    /// Some files failed, were quarantined or held.
    FilesFailed = 1,
    /// Usage, configuration or lease.
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
            // The server answers, and refuses the user or has no such database.
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

/// Runs a command to its end.
pub fn execute(arguments: Arguments) -> Exit {
    let result = match arguments.command {
        Command::Run(own) => run::execute(&arguments.shared, own),
        Command::Sync(own) => sync::execute(&arguments.shared, &own),
        Command::Plan(own) => plan::execute(&arguments.shared, &own),
        Command::Status => status::execute(&arguments.shared),
        Command::Verify => verify::execute(&arguments.shared),
        Command::Rejects(own) => rejects::execute(&arguments.shared, &own),
        Command::Approve(own) => approve::execute(&arguments.shared, &own),
        Command::Check => check::execute(&arguments.shared),
        Command::Init(own) => init::execute(&arguments.shared, &own),
    };
    result.unwrap_or_else(|error| {
        complain(format_args!("{error}"));
        error.exit()
    })
}

impl Shared {
    /// The configuration of a command that looks at what is there, which may be the installed service's; then root becomes
    /// the service's user.
    fn look(&self) -> Result<Config, CommandError> {
        let config = self.look_as_oneself()?;
        become_service_user(&config)?;
        Ok(config)
    }

    /// The same, for a command that also has to do with files of whoever gave it.
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

/// The threads that do the work. Called before there is any.
fn runtime(config: &Config) -> Result<tokio::runtime::Runtime, CommandError> {
    keep_sqlite_in(&config.state_dir);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Usage(format!("cannot start threads: {error}")))
}

/// Has SQLite put what it sorts, and what it computes ahead, into the state directory. It would take `/var/tmp`
/// (sqlite.org/tempfiles.html#temporary_file_storage_locations), which may be small, or another's to read.
#[expect(unsafe_code, reason = "SQLite asks the environment, and has no other way that is safe beside its own threads")]
fn keep_sqlite_in(directory: &Path) {
    if !is_in_environment("SQLITE_TMPDIR") {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("SQLITE_TMPDIR", directory) };
    }
}

/// Says whose database a command shows, when nobody named one.
fn say_whose(config: &Config) {
    if let Some(service) = &config.service {
        say(format_args!("of the installed service: {service}"));
        say(format_args!(""));
    }
}

/// The same in the JSON of a command.
fn with_whose(config: &Config, mut json: Value) -> Value {
    if let Some(service) = whose(config) {
        json["service"] = service;
    }
    json
}

fn whose(config: &Config) -> Option<Value> {
    let service = config.service.as_ref()?;
    Some(serde_json::json!({ "configuration": service.configuration, "state_dir": service.state_dir }))
}

/// Prints a line for people, after as many blank ones as it begins with. Nobody reading it any more, as after `| head`, is no
/// reason to stop the work.
fn say(line: std::fmt::Arguments<'_>) {
    let text = line.to_string();
    let line = text.trim_start_matches('\n');
    let _ = writeln!(std::io::stdout(), "{}{}", &text[..text.len() - line.len()], printable(line));
}

/// Prints a result for programs.
fn say_json(result: &Value) {
    let _ = writeln!(std::io::stdout(), "{}", printable_json(&result.to_string()));
}
