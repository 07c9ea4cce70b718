//! Page: the content of `/api/status` for people.

use crate::config::Config;
use crate::dispatch::health::Health;
use crate::http::status::status;
use crate::process::terminal::printable_value;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde_json::json;

const TEMPLATE: &str = include_str!("page.html");

/// The style sheet. It is a file of its own, so that the content security policy needs no exception
/// for inline styles.
pub const STYLE: &str = include_str!("page.css");

/// Renders the present page. If the database does not answer, the page says so.
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
    // Paths and reasons quote names and content of files that anybody may have dropped.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.render_str(TEMPLATE, Serde(printable_value(status)))
}
