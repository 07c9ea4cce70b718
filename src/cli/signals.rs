//! Signals: which ones end the work, and which ones are only logged.

use crate::cli::CommandError;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the end of a terminal session (SIGHUP) does to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangup {
    /// Nothing: the daemon belongs to no terminal. Programs that rotate logs or reload settings
    /// send this signal by convention.
    Ignored,
    /// A command that was started in the terminal ends after the current chunk, as with Ctrl-C.
    Ends,
}

/// Ends the work after the current chunk on SIGTERM, SIGINT and SIGQUIT. SIGQUIT is handled because
/// it would otherwise write a core file, with the database password in it. SIGUSR1 and SIGUSR2 are
/// logged and ignored; by default they would end the process. SIGPIPE, for a pipe without a reader,
/// becomes an error of the write, which Rust arranges; SIGXFSZ, for a file that may not grow,
/// becomes one too.
pub(super) fn cancel_on_signal(
    shutdown: &CancellationToken,
    hangup: Hangup,
) -> Result<(), CommandError> {
    listen(SignalKind::terminate(), "SIGTERM", Some(shutdown))?;
    let from_terminal = match hangup {
        Hangup::Ignored => None,
        Hangup::Ends => Some(shutdown),
    };
    let of_terminal = [
        (SignalKind::interrupt(), "SIGINT", Some(shutdown)),
        (SignalKind::quit(), "SIGQUIT", Some(shutdown)),
        (SignalKind::hangup(), "SIGHUP", from_terminal),
    ];
    for (kind, name, ends) in of_terminal {
        // `nohup`, and shells that start a command in the background, make it ignore such signals;
        // keep that.
        if !is_ignored_from_the_start(kind.as_raw_value()) {
            listen(kind, name, ends)?;
        }
    }
    listen(SignalKind::user_defined1(), "SIGUSR1", None)?;
    listen(SignalKind::user_defined2(), "SIGUSR2", None)?;
    listen(SignalKind::from_raw(libc::SIGXFSZ), "SIGXFSZ", None)
}

fn listen(
    kind: SignalKind,
    name: &'static str,
    ends: Option<&CancellationToken>,
) -> Result<(), CommandError> {
    let mut signals = signal(kind)
        .map_err(|error| CommandError::Usage(format!("cannot listen for {name}: {error}")))?;
    let ends = ends.cloned();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            match &ends {
                Some(shutdown) => {
                    tracing::info!(signal = name, "stopping after the chunk in hand");
                    shutdown.cancel();
                }
                None => tracing::warn!(
                    signal = name,
                    "the signal means nothing to tidegate and is ignored"
                ),
            }
        }
    });
    Ok(())
}

/// Whether the parent process made this one ignore a signal. Must be asked before a listener is
/// set.
fn is_ignored_from_the_start(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A hexadecimal mask, whose lowest bit is signal 1 (proc_pid_status(5)).
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
