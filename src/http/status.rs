//! Status: the state of the daemon as JSON.

use crate::config::Config;
use crate::dispatch::health::Health;
use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::sink::ledger::alarms::LISTED_MAX;
use serde_json::{Value, json};

/// Builds the answer of `/api/status`.
pub async fn status(config: &Config, health: &Health) -> Result<Value, SyncError> {
    let obstacles = health.obstacles().await;
    let mut status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": health.started.elapsed().as_secs(),
        "ready": obstacles.is_empty(),
        "reasons": obstacles,
        "inbox": config.inbox,
        "database": config.database_url.to_string(),
        "backlog": health.backlog(),
        "unread": health.blind_spots().unread,
        "unwatched": health.blind_spots().unwatched,
    });
    let Some(sink) = health.sink().filter(|_| obstacles.is_empty()) else { return Ok(status) };
    let overview = json!(sink.ledger.overview(&config.datasets, now_ms()).await?);
    if let (Value::Object(status), Value::Object(overview)) = (&mut status, overview) {
        status.extend(overview);
    }
    Ok(status)
}

/// Builds the answer of `/api/alarms`; `None` while the database does not answer.
pub async fn alarms(health: &Health) -> Result<Option<Value>, SyncError> {
    let is_ready = health.obstacles().await.is_empty();
    let Some(sink) = health.sink().filter(|_| is_ready) else { return Ok(None) };
    Ok(Some(json!({ "alarms": sink.ledger.alarms(true, LISTED_MAX).await? })))
}
