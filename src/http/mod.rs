//! HTTP: health, readiness, metrics, status and the page. What they say of files is read from the
//! ledger at each request.

mod connections;
mod host;
mod metrics;
mod page;
mod status;

use crate::config::Config;
use crate::config::allowed_host::AllowedHost;
use crate::dispatch::health::Health;
use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{BoxError, Json, Router};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;

/// How long an answer from the ledger may take. A client would not wait longer: Prometheus gives up
/// after 10 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Most requests that may wait for the ledger, and as many for readiness; further ones are refused
/// at once. Each is a quarter of the connections, so that there is always room for `/healthz`.
const REQUESTS_MAX: usize = 16;

/// Headers of every answer, including errors. They forbid content from other sites, scripts, frames
/// around the page, guessed content types, caches, and referrers to other sites.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The state that the handlers share.
#[derive(Clone, Debug)]
struct Served {
    config: Arc<Config>,
    health: Arc<Health>,
    /// Held during a query of the ledger: only one at a time, because it takes one of the few
    /// database connections that the sync needs.
    asking: Arc<Mutex<()>>,
    /// The same for readiness, which must not wait behind a long answer from the ledger.
    pinging: Arc<Mutex<()>>,
}

/// Answers requests until the process ends. `descriptors` is the number of files and connections
/// that the process may have open.
pub async fn serve(
    listener: TcpListener,
    config: Arc<Config>,
    health: Arc<Health>,
    descriptors: usize,
    shutdown: CancellationToken,
) {
    let allowed: Arc<[AllowedHost]> = config.allowed_hosts.clone().into();
    let ledger = Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/api/status", get(status))
        .route("/api/alarms", get(alarms));
    let readiness = Router::new().route("/readyz", get(readyz));
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/page.css", get(style))
        .merge(bounded(ledger))
        .merge(bounded(readiness))
        .layer(from_fn_with_state(allowed, host::check))
        .layer(map_response(with_headers))
        .with_state(Served { config, health, asking: Arc::default(), pinging: Arc::default() });
    connections::accept(listener, router, descriptors, shutdown).await;
}

/// Limits the time and the number of requests of a router; beyond that, it answers with an error.
fn bounded(router: Router<Served>) -> Router<Served> {
    let late = |error: BoxError| async move {
        let is_late = error.is::<tower::timeout::error::Elapsed>();
        let reason = if is_late {
            "there was no answer in time"
        } else {
            "too many requests wait for an answer"
        };
        answer("", &[reason.to_owned()])
    };
    router.layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(late))
            .timeout(ANSWER_TIMEOUT)
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX)),
    )
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn healthz(State(served): State<Served>) -> Response {
    answer("ok", &served.health.faults())
}

async fn readyz(State(served): State<Served>) -> Response {
    let _turn = served.pinging.lock().await;
    answer("ready", &served.health.obstacles().await)
}

async fn metrics(State(served): State<Served>) -> Response {
    let _turn = served.asking.lock().await;
    match metrics::exposition(&served.config, &served.health).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => answer("", &[error.to_string()]),
    }
}

async fn status(State(served): State<Served>) -> Response {
    let _turn = served.asking.lock().await;
    match status::status(&served.config, &served.health).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => answer("", &[error.to_string()]),
    }
}

async fn alarms(State(served): State<Served>) -> Response {
    let _turn = served.asking.lock().await;
    match status::alarms(&served.health).await {
        Ok(Some(alarms)) => Json(alarms).into_response(),
        Ok(None) => answer("", &served.health.obstacles().await),
        Err(error) => answer("", &[error.to_string()]),
    }
}

async fn page(State(served): State<Served>) -> Response {
    let _turn = served.asking.lock().await;
    match page::page(&served.config, &served.health).await {
        Ok(page) => Html(page).into_response(),
        Err(error) => answer("", &[error.to_string()]),
    }
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE).into_response()
}

fn answer(good: &str, reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return Json(json!({ "status": good })).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "reasons": reasons })))
        .into_response()
}
