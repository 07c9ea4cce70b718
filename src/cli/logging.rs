//! Logging: where log lines go, how they are written, and what the journal is told of their weight.

use crate::cli::CommandError;
use crate::cli::log_text::{filtered, human_fields};
use crate::config::{Config, LogFormat, journal_stream};
use crate::process::secret::conceal;
use crate::process::terminal::printable;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What a daemon logs unless the configuration says otherwise.
pub(super) const OF_DAEMON: &str = "warn,tidegate=info";

/// What a command logs that prints what it does: only what it cannot print, and, from the database's side, what takes long or waits. What became of a file stands in its report.
pub(super) const OF_COMMAND: &str = "warn,tidegate=error,tidegate::sink=warn,tidegate::lanes=off";

/// Logs go to the standard error stream; results go to the standard output.
pub(super) fn start_logging(config: &Config, default_filter: &str) -> Result<(), CommandError> {
    let filter = match config.log_level.as_str() {
        "" => default_filter.to_owned(),
        filter if filter.contains('=') => filter.to_owned(),
        level => format!("warn,tidegate={level}"),
    };
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        let allowed = "error, warn, info, debug or trace, or a filter such as tidegate=debug";
        CommandError::Usage(format!("log_level: `{}` is not allowed: {error}; write {allowed}", config.log_level))
    })?;
    let is_human = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // What SeaORM and the drivers trace holds the database's password, so no filter brings that to light.
    let is_safe =
        |metadata: &Metadata<'_>| *metadata.level() <= Level::WARN || metadata.target().starts_with("tidegate");
    // It would report a line that nobody reads to the same stream, and panic when that fails too.
    let builder = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(Log { is_json: !is_human });
    // By itself it has colours everywhere; on a terminal it asks NO_COLOR.
    let builder = if std::io::stderr().is_terminal() { builder } else { builder.with_ansi(false) };
    if is_human {
        builder.with_target(false).fmt_fields(human_fields()).finish().with(filter_fn(is_safe)).init();
    } else {
        builder.json().flatten_event(true).finish().with(filter_fn(is_safe)).init();
    }
    // It may quote anything: what a driver said, and what stands in a file.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(reason = %conceal(&panic.to_string()), "tidegate made a mistake; please report it");
    }));
    Ok(())
}

/// Tells why a command ends, or what it could not do. Nobody reading it any more is no reason for another end.
pub(super) fn complain(line: std::fmt::Arguments<'_>) {
    let priority = if is_journal() { priority(Level::ERROR) } else { Default::default() };
    let line = conceal(&line.to_string()).into_owned();
    let _ = writeln!(std::io::stderr(), "{priority}tidegate: {}", printable(&line));
}

/// The standard error stream.
struct Log {
    is_json: bool,
}

/// Lines of one target and one weight, which the journal reads from a prefix of each (sd-daemon(3)).
struct Lines {
    is_json: bool,
    target: String,
    priority: Option<&'static str>,
}

impl Log {
    fn lines(&self, level: Level, target: &str) -> Lines {
        Lines { is_json: self.is_json, target: target.to_owned(), priority: is_journal().then(|| priority(level)) }
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        self.lines(Level::INFO, "")
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Lines {
        self.lines(*metadata.level(), metadata.target())
    }
}

impl Write for Lines {
    /// An event comes in one piece, and goes on as one: what other threads log does not come between.
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let event = String::from_utf8_lossy(text);
        let event = filtered(&event, &self.target, self.is_json);
        match self.priority {
            None => std::io::stderr().write_all(event.as_bytes())?,
            Some(priority) => {
                let lines: String = event.split_inclusive('\n').map(|line| format!("{priority}{line}")).collect();
                std::io::stderr().write_all(lines.as_bytes())?;
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// By syslog(3).
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Whether the standard error stream is the journal's: systemd names the stream that it made by device and inode, and who
/// sent it elsewhere since has another one (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        let stream = rustix::fs::fstat(std::io::stderr()).ok();
        let name = stream.map(|stream| format!("{}:{}", stream.st_dev, stream.st_ino));
        name.is_some() && name == journal_stream()
    })
}
