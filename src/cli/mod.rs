//! Command line: arguments, and one file a command.

mod approve;
mod check;
mod descriptors;
mod init;
mod log_text;
mod plan;
mod rejects;
mod run;
mod status;
mod sync;
mod verify;

use crate::config::{Config, ConfigurationError, LogFormat, Overrides, is_in_environment};
use crate::error::{SyncError, Verdict};
use crate::secret::{Secret, conceal};
use crate::terminal::{printable, printable_json};
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What commands log that end: what is wrong, and, from the database's side, what takes long or waits.
const QUIET: &str = "warn,tidegate=error,tidegate::sink=warn";

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
    fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            database_url: self.database.clone(),
            state_dir: self.state_dir.clone(),
            ..Overrides::default()
        }
    }
}

/// Logs go to the standard error stream; results go to the standard output.
fn start_logging(config: &Config, default_level: &str) -> Result<(), CommandError> {
    let level = if config.log_level.is_empty() { default_level } else { &config.log_level };
    let filter = if level.contains('=') { level.to_owned() } else { format!("warn,tidegate={level}") };
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        CommandError::Usage(format!("log_level: `{}` is not a level or filter: {error}", config.log_level))
    })?;
    let is_human = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // What SeaORM and the drivers trace holds the database's password, so no filter brings that to light.
    let is_safe =
        |metadata: &Metadata<'_>| *metadata.level() <= Level::WARN || metadata.target().starts_with("tidegate");
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Log { is_json: !is_human });
    if is_human {
        builder.with_target(false).fmt_fields(log_text::human_fields()).finish().with(filter_fn(is_safe)).init();
    } else {
        builder.json().flatten_event(true).finish().with(filter_fn(is_safe)).init();
    }
    // It may quote anything: what a driver said, and what stands in a file.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(reason = %conceal(&panic.to_string()), "tidegate made a mistake; please report it");
    }));
    Ok(())
}

/// The standard error stream.
struct Log {
    is_json: bool,
}

/// The lines of one target.
struct Lines {
    is_json: bool,
    target: String,
}

impl MakeWriter<'_> for Log {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines { is_json: self.is_json, target: String::new() }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Lines {
        Lines { is_json: self.is_json, target: metadata.target().to_owned() }
    }
}

impl Write for Lines {
    /// An event comes in one piece.
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let line = String::from_utf8_lossy(text);
        std::io::stderr().write_all(log_text::filtered(&line, &self.target, self.is_json).as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
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

/// SIGTERM and SIGINT end the work after the chunk in hand.
fn cancel_on_signal(shutdown: &CancellationToken) -> Result<(), CommandError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals =
            signal(kind).map_err(|error| CommandError::Usage(format!("cannot listen for signals: {error}")))?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signals.recv().await;
            tracing::info!("stopping after the chunk in hand");
            shutdown.cancel();
        });
    }
    Ok(())
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

/// Tells why a command ends, or what it could not do.
fn complain(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "tidegate: {}", printable(&conceal(&line.to_string())));
}
