//! HTTP: health, readiness, metrics, status and the page, all read from the ledger when they are asked for.

mod metrics;
mod page;
mod status;

use crate::config::Config;
use crate::health::Health;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the handlers answer from.
#[derive(Clone, Debug)]
struct Served {
    config: Arc<Config>,
    health: Arc<Health>,
}

/// Answers until the process ends.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    config: Arc<Config>,
    health: Arc<Health>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/status", get(status))
        .with_state(Served { config, health });
    axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
}

async fn healthz(State(served): State<Served>) -> Response {
    answer("ok", &served.health.faults())
}

async fn readyz(State(served): State<Served>) -> Response {
    answer("ready", &served.health.obstacles().await)
}

async fn metrics(State(served): State<Served>) -> Response {
    match metrics::exposition(&served.health).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => answer("", &[error.to_string()]),
    }
}

async fn status(State(served): State<Served>) -> Response {
    match status::status(&served.config, &served.health).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => answer("", &[error.to_string()]),
    }
}

async fn page(State(served): State<Served>) -> Response {
    match page::page(&served.config, &served.health).await {
        Ok(page) => Html(page).into_response(),
        Err(error) => answer("", &[error.to_string()]),
    }
}

fn answer(good: &str, reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return Json(json!({ "status": good })).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "reasons": reasons }))).into_response()
}
