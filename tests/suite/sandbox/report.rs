//! A report: what a command printed about each file, and how it ended.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Report {
    /// The exit code; -1 when a signal ended the process.
    pub exit: i32,
    /// A report per file, in no particular order.
    pub files: Vec<FileReport>,
    /// All that was printed as JSON.
    pub json: Value,
    /// Log lines.
    pub stderr: String,
}

/// What was done with a file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Name of the file.
    pub name: String,
    /// `synced`, `unchanged`, `unmatched`, `quarantined` or `failed`.
    pub outcome: String,
    /// Its counts by name: `read`, `accepted`, `duplicate`, `rejected`, `repaired`, `new`,
    /// `modified`, `unchanged`, `stale`, `deleted`.
    pub counts: BTreeMap<String, u64>,
    /// Why it is not synced.
    pub error: String,
}

impl FileReport {
    /// New, modified, unchanged and deleted table rows.
    pub fn changes(&self) -> (u64, u64, u64, u64) {
        let count = |name: &str| self.counts[name];
        (count("new"), count("modified"), count("unchanged"), count("deleted"))
    }
}

impl Report {
    /// The report on the file with that name.
    pub fn file(&self, name: &str) -> &FileReport {
        let found = self.files.iter().find(|file| file.name == name);
        found.unwrap_or_else(|| panic!("no report on {name} in {self:?}"))
    }
}

impl Report {
    /// Reads what a command with `--json` printed.
    pub fn of(output: &Output) -> Self {
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let files = json["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let counts = |file: &Value| {
            let fields = file.as_object().into_iter().flatten();
            fields.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
        };
        let report = |file: &Value| FileReport {
            name: text(&file["name"]),
            outcome: text(&file["outcome"]),
            counts: counts(file),
            error: text(&file["error"]),
        };
        Self {
            exit: output.status.code().unwrap_or(-1),
            files: files.iter().map(report).collect(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            json,
        }
    }
}
