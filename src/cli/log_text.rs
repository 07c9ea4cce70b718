//! Log text: makes log lines safe. Secrets are removed from lines of drivers, and control
//! characters are escaped in all lines.

use crate::process::secret::conceal;
use crate::process::terminal::{printable, printable_json};
use serde_json::Value;
use std::borrow::Cow;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Replaces a driver's line that cannot be parsed, because it cannot be filtered then.
const UNREADABLE: &str = "a driver logged something that is not shown";

/// Writes the fields of an event for people. Line ends in values are escaped, so that a value
/// cannot forge a log line.
pub(super) fn human_fields() -> impl for<'w> FormatFields<'w> {
    debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug| {
        let value = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", printable(&value)),
            name => write!(writer, "{name}={}", printable(&value)),
        }
    })
    .delimited(" ")
}

/// Makes a line safe to write. `target` is the module that logged it.
pub(super) fn filtered<'t>(line: &'t str, target: &str, is_json: bool) -> Cow<'t, str> {
    // tidegate's own lines hold no secrets: its errors are filtered when they are created.
    let is_ours = target.starts_with("tidegate");
    match (is_json, is_ours) {
        (false, true) => Cow::Borrowed(line),
        (false, false) => conceal(line),
        (true, true) => printable_line(line),
        (true, false) => {
            let value = serde_json::from_str(line).map_or_else(|_| UNREADABLE.into(), concealed);
            Cow::Owned(format!("{}\n", printable_json(&value.to_string())))
        }
    }
}

fn printable_line(line: &str) -> Cow<'_, str> {
    match printable_json(line.trim_end_matches('\n')) {
        Cow::Borrowed(_) => Cow::Borrowed(line),
        Cow::Owned(printable) => Cow::Owned(printable + "\n"),
    }
}

/// Conceals secrets in each text of a JSON value, so that the line stays JSON whatever the secret
/// looks like.
fn concealed(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(conceal(&text).into_owned()),
        Value::Array(values) => Value::Array(values.into_iter().map(concealed).collect()),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, concealed(value))).collect()
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::secret::make_known;

    #[test]
    fn what_drivers_log_is_without_secrets_and_stays_json() {
        make_known("\",\"l0g\":\"");
        let line = serde_json::json!({ "message": "ignoring", "value": "\",\"l0g\":\"", "url": "mysql://u:pw@h/x" });
        let said =
            filtered(&format!("{line}\n"), "sqlx_postgres::options::parse", true).into_owned();
        let value: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({ "message": "ignoring", "value": "***", "url": "mysql://***@h/x" })
        );
        let line = "WARN ignoring key=\"sslpassword\" value=\",\"l0g\":\" mysql://u:pw@h/x\n";
        let said = filtered(line, "sqlx", false);
        assert_eq!(said, "WARN ignoring key=\"sslpassword\" value=*** mysql://***@h/x\n");
        assert_eq!(filtered("no JSON of pw\n", "rustls", true), format!("\"{UNREADABLE}\"\n"));
    }

    #[test]
    fn our_own_lines_stay_what_they_say() {
        let line = "{\"path\":\"a\u{9b}\u{202e}b\"}\n";
        let said = filtered(line, "tidegate::dispatch::lanes", true);
        assert_eq!(said, "{\"path\":\"a\\u009b\\u202eb\"}\n");
    }
}
