//! Logging: where log lines go, their format, and their priority in the journal.

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

/// Default log filter of the daemon.
pub(super) const OF_DAEMON: &str = "warn,tidegate=info";

/// Default log filter of commands, which print their results. They log only errors, and warnings
/// about slow or waiting database statements. Lanes log nothing, because each file gets a printed
/// report.
pub(super) const OF_COMMAND: &str =
    "warn,tidegate=error,tidegate::sink=warn,tidegate::dispatch::lanes=off";

/// Starts logging to standard error; results go to standard output.
pub(super) fn start_logging(config: &Config, default_filter: &str) -> Result<(), CommandError> {
    let filter = match config.log_level.as_str() {
        "" => default_filter.to_owned(),
        filter if filter.contains('=') => filter.to_owned(),
        level => format!("warn,tidegate={level}"),
    };
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        let allowed = "error, warn, info, debug or trace, or a filter such as tidegate=debug";
        CommandError::Usage(format!(
            "log_level: `{}` is not allowed: {error}; write {allowed}",
            config.log_level
        ))
    })?;
    let is_human = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // Traces of SeaORM and the drivers contain the database password, so no filter can enable them.
    let is_safe = |metadata: &Metadata<'_>| {
        *metadata.level() <= Level::WARN || metadata.target().starts_with("tidegate")
    };
    // If standard error is closed, the library would report that to the same stream, and panic when
    // that fails too.
    let builder = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(Log { is_json: !is_human });
    // By default the library writes colours everywhere. On a terminal it respects NO_COLOR.
    let builder = if std::io::stderr().is_terminal() { builder } else { builder.with_ansi(false) };
    if is_human {
        builder
            .with_target(false)
            .fmt_fields(human_fields())
            .finish()
            .with(filter_fn(is_safe))
            .init();
    } else {
        builder.json().flatten_event(true).finish().with(filter_fn(is_safe)).init();
    }
    // A panic may quote anything: the text of a driver or the content of a file.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(reason = %conceal(&panic.to_string()), "internal error in tidegate; please report it");
    }));
    Ok(())
}

/// Prints why a command ends, or what it could not do. If standard error is closed, the exit code
/// stays the same.
pub(super) fn complain(line: std::fmt::Arguments<'_>) {
    let priority = if is_journal() { priority(Level::ERROR) } else { Default::default() };
    let line = conceal(&line.to_string()).into_owned();
    let _ = writeln!(std::io::stderr(), "{priority}tidegate: {}", printable(&line));
}

/// Makes writers to standard error.
struct Log {
    is_json: bool,
}

/// Writes the lines of one event. The journal reads the priority from the prefix of each line
/// (sd-daemon(3)).
struct Lines {
    is_json: bool,
    target: String,
    priority: Option<&'static str>,
}

impl Log {
    fn lines(&self, level: Level, target: &str) -> Lines {
        Lines {
            is_json: self.is_json,
            target: target.to_owned(),
            priority: is_journal().then(|| priority(level)),
        }
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
    /// An event arrives in one piece and is written in one piece, so that lines of other threads
    /// cannot come in between.
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let event = String::from_utf8_lossy(text);
        let event = filtered(&event, &self.target, self.is_json);
        match self.priority {
            None => std::io::stderr().write_all(event.as_bytes())?,
            Some(priority) => {
                let lines: String =
                    event.split_inclusive('\n').map(|line| format!("{priority}{line}")).collect();
                std::io::stderr().write_all(lines.as_bytes())?;
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Priority prefix of a level, with the numbers of syslog(3).
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Whether standard error goes to the journal. systemd gives device and inode of its stream in
/// `$JOURNAL_STREAM` (systemd.exec(5)); they differ if the stream was redirected since.
fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        let stream = rustix::fs::fstat(std::io::stderr()).ok();
        let name = stream.map(|stream| format!("{}:{}", stream.st_dev, stream.st_ino));
        name.is_some() && name == journal_stream()
    })
}
