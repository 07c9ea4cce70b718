//! Connections: accepts HTTP connections within limits, so that no client, however badly it
//! behaves, slows down the sync.
//!
//! When the limit is reached, the oldest connection without a running request is closed for the new
//! one. So a thousand connections that never send a request cannot block `/healthz`.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections at the same time: enough for a few scrapers, browsers and people with several
/// connections each. With the buffers of [`HEADER_BYTES_MAX`] they take two megabytes.
const CONNECTIONS_MAX: usize = 64;

/// At most one in this many file descriptors of the process is used for connections. The work needs
/// the others for files, the database and the watch.
const DESCRIPTORS_SHARE: usize = 4;

/// Most bytes of a request's line and headers together. Browsers and proxies send one or two
/// thousand.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Most headers of a request. Browsers and proxies send about twenty.
const HEADERS_MAX: usize = 64;

/// How long a client may take to send the headers of a request. It also limits the pause before its
/// next request, because hyper counts from the end of the last one. A scraper with a longer
/// interval connects again each time.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last, whatever it does. This cuts off clients that do not read their
/// answer or send an endless body. A request that is running then still gets
/// [`LAST_ANSWER_TIMEOUT`].
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the last answer of a connection may take. It is longer than the time limit of any
/// answer.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Pause after a connection could not be accepted, for example because the system has no free
/// descriptors. Without it, the next attempts would fail at once in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// The local address that a connection came in on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReachedAt(pub SocketAddr);

/// Accepts connections until the process must stop, then lets running requests end.
pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    descriptors: usize,
    shutdown: CancellationToken,
) {
    let mut open = Open::new(descriptors);
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                is_failing = false;
                open.serve(stream, router.clone(), shutdown.clone()).await;
            }
            Err(error) => {
                if !is_failing && !is_of_the_other_side(&error) {
                    tracing::warn!(reason = %error, "cannot accept connections; health and metrics are unavailable until this works again");
                    is_failing = true;
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    open.end().await;
}

/// Whether the client broke off the connection before it was accepted. Such an error says nothing
/// about this process.
fn is_of_the_other_side(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// The connections that are open.
struct Open {
    connections_max: usize,
    tasks: JoinSet<()>,
    /// The oldest connection first, with whether it is answering a request.
    by_age: VecDeque<(AbortHandle, Arc<AtomicBool>)>,
}

impl Open {
    fn new(descriptors: usize) -> Self {
        let connections_max = CONNECTIONS_MAX.min(descriptors / DESCRIPTORS_SHARE).max(1);
        Self { connections_max, tasks: JoinSet::new(), by_age: VecDeque::new() }
    }

    async fn serve(&mut self, stream: TcpStream, router: Router, shutdown: CancellationToken) {
        if !self.make_room().await {
            // Close it at once: the client sees that, and need not wait for a timeout.
            return;
        }
        let is_answering = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(serve(stream, router, Arc::clone(&is_answering), shutdown));
        self.by_age.push_back((task, is_answering));
    }

    /// Makes room for another connection by closing the oldest one without a running request, if
    /// that is needed. Returns whether there is room.
    async fn make_room(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        self.by_age.retain(|(task, _)| !task.is_finished());
        if self.tasks.len() < self.connections_max {
            return true;
        }
        let waiting =
            self.by_age.iter().position(|(_, is_answering)| !is_answering.load(Ordering::Relaxed));
        let Some((task, _)) = waiting.and_then(|index| self.by_age.remove(index)) else {
            return false;
        };
        task.abort();
        // Its descriptor is free only when the task is gone, which takes the runtime a moment. Wait
        // no longer than that: there are descriptors to spare, and others want to be accepted.
        let _ = timeout(ACCEPT_PAUSE, self.tasks.join_next()).await;
        true
    }

    async fn end(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve(
    stream: TcpStream,
    router: Router,
    is_answering: Arc<AtomicBool>,
    shutdown: CancellationToken,
) {
    let Ok(address) = stream.local_addr() else { return };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ReachedAt(address));
        let (router, is_answering) = (router.clone(), Arc::clone(&is_answering));
        async move {
            is_answering.store(true, Ordering::Relaxed);
            let answer = router.oneshot(request.map(Body::new)).await;
            is_answering.store(false, Ordering::Relaxed);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // How the connection ended does not matter here.
        _ = connection.as_mut() => return,
        () = sleep(CONNECTION_TIMEOUT) => {}
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_ANSWER_TIMEOUT, connection).await;
}
