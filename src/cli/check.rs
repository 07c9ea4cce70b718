//! `tidegate check`: whether everything is there that a sync needs.

use super::{CommandError, Exit, Shared, runtime, say, say_json};
use crate::config::{Config, Overrides};
use crate::error::Verdict;
use crate::modes::make_folders;
use crate::retry::wait_for_database;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

pub(super) fn execute(shared: &Shared) -> Result<Exit, CommandError> {
    let config = Config::load(&Overrides { ..shared.overrides() })?;
    let mut findings = vec![
        Finding {
            what: "configuration",
            subject: shared
                .config
                .as_ref()
                .map_or_else(|| "embedded defaults".to_owned(), |path| path.display().to_string()),
            fault: None,
        },
        Finding {
            what: "datasets",
            subject: config.datasets.iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>().join(", "),
            fault: None,
        },
        writable("state_dir", &config.state_dir),
        readable("inbox", &config.inbox),
    ];
    let database = runtime(&config)?.block_on(wait_for_database(&config));
    let is_away = database.as_ref().is_err_and(|error| error.verdict() == Verdict::Retry);
    findings.push(Finding {
        what: "database",
        subject: config.database_url.to_string(),
        fault: database.err().map(|error| error.to_string()),
    });
    print(&findings, shared.json);
    Ok(match findings.iter().any(|finding| finding.fault.is_some()) {
        _ if is_away => Exit::DatabaseAway,
        true => Exit::Usage,
        false => Exit::Done,
    })
}

fn writable(what: &'static str, path: &Path) -> Finding {
    let tried = make_folders(path).and_then(|()| tempfile::NamedTempFile::new_in(path).map(drop));
    Finding {
        what,
        subject: path.display().to_string(),
        fault: tried.err().map(|error| format!("cannot be written: {error}")),
    }
}

/// A missing inbox is no fault: `run` makes it.
fn readable(what: &'static str, path: &Path) -> Finding {
    let fault = match std::fs::read_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Some(format!("cannot be read: {error}")),
        _ => None,
    };
    Finding { what, subject: path.display().to_string(), fault }
}

fn print(findings: &[Finding], is_json: bool) {
    if is_json {
        say_json(&serde_json::json!({ "findings": findings }));
        return;
    }
    for finding in findings {
        match &finding.fault {
            None => say(format_args!("ok     {:<14} {}", finding.what, finding.subject)),
            Some(fault) => say(format_args!("fault  {:<14} {}: {fault}", finding.what, finding.subject)),
        }
    }
}
