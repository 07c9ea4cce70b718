//! Page: what `/api/status` says, for people.

use crate::config::Config;
use crate::dispatch::health::Health;
use crate::http::status::status;
use crate::process::terminal::printable_value;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde_json::json;

const TEMPLATE: &str = include_str!("page.html");

/// How it looks. Not within the page, which then needs no exception from "no styles of unknown origin".
pub const STYLE: &str = include_str!("page.css");

/// The page as it is now. It answers also when the database does not, and says so.
pub async fn page(config: &Config, health: &Health) -> Result<String, minijinja::Error> {
    let status = status(config, health).await.unwrap_or_else(|error| {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": false,
            "reasons": [error.to_string()],
            "inbox": config.inbox,
            "database": config.database_url.to_string(),
            "backlog": health.backlog(),
        })
    });
    let mut environment = Environment::new();
    // Paths and reasons quote what somebody dropped.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.render_str(TEMPLATE, Serde(printable_value(status)))
}
