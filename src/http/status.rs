//! Status: what the daemon does, as JSON.

use super::metrics::rows_by_kind;
use crate::config::Config;
use crate::error::SyncError;
use crate::health::Health;
use crate::moment::format_moment;
use serde_json::{Map, Value, json};

/// Everything that `/api/status` says.
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
    });
    let Some(sink) = health.sink().filter(|_| obstacles.is_empty()) else { return Ok(status) };
    let totals = sink.totals().await?;
    let rows: Map<String, Value> =
        rows_by_kind(&totals.counts).map(|(kind, number)| (kind.to_owned(), number.into())).into_iter().collect();
    status["files"] = json!(totals.files);
    status["rows"] = rows.into();
    status["rejects_open"] = totals.rejects_open.into();
    status["dirty_groups"] = totals.dirty_groups.into();
    status["last_synced_at"] = totals.last_synced_ms.map(format_moment).into();
    Ok(status)
}
