//! `tidegate run`: the daemon.

use crate::cli::logging::{OF_DAEMON, start_logging};
use crate::cli::signals::{Hangup, cancel_on_signal};
use crate::cli::{CommandError, Exit, Shared, THREADS_GRACE, descriptors, runtime};
use crate::config::{Config, Overrides};
use crate::dispatch::daemon;
use crate::dispatch::health::Health;
use crate::http;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long running HTTP requests may take after the daemon has stopped.
const HTTP_GRACE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(super) struct RunArguments {
    /// The directory to watch
    inbox: Option<PathBuf>,
    /// Address of the HTTP server
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(super) fn execute(shared: &Shared, own: RunArguments) -> Result<Exit, CommandError> {
    let config =
        Config::load(&Overrides { inbox: own.inbox, listen: own.listen, ..shared.overrides() })?;
    // `database_wait` is for commands that end; the daemon waits without a limit.
    let config = Config { database_wait: Duration::MAX, ..config };
    start_logging(&config, OF_DAEMON)?;
    check_reach(&config)?;
    let runtime = runtime(&config)?;
    let result = runtime.block_on(run(config));
    // Do not wait for a thread in the middle of a huge file: the next process reads that part
    // again.
    runtime.shutdown_timeout(THREADS_GRACE);
    result
}

/// Refuses to answer other machines unless somebody meant it: there is no login.
fn check_reach(config: &Config) -> Result<(), CommandError> {
    let address = config.listen;
    if address.ip().is_loopback() {
        return Ok(());
    }
    if !config.open {
        return Err(CommandError::Usage(format!(
            "listen: other machines reach {address}, and there is no login: listen on 127.0.0.1, or set `open = true` if \
             they may read what the page shows"
        )));
    }
    tracing::warn!(%address, "whoever reaches this address may read what the page shows");
    Ok(())
}

async fn run(config: Config) -> Result<Exit, CommandError> {
    // Before anything else: a signal without a listener ends the process at once, without a
    // message.
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown, Hangup::Ignored)?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        CommandError::Usage(format!("listen: cannot listen on {}: {error}", config.listen))
    })?;
    let health = Arc::new(Health::new(config.stuck_after));
    let stop_http = CancellationToken::new();
    let http = http::serve(
        listener,
        Arc::new(config.clone()),
        Arc::clone(&health),
        descriptors::raised_limit(),
        stop_http.clone(),
    );
    let http = tokio::spawn(http);
    // Boxed, because the compiler cannot lay out so many nested futures in one.
    let result = Box::pin(daemon::run(config, health, shutdown)).await;
    stop_http.cancel();
    let _ = tokio::time::timeout(HTTP_GRACE, http).await;
    result?;
    tracing::info!("stopped");
    Ok(Exit::Done)
}
