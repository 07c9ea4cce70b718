//! JsonSettings: where a JSON document of a dataset has its records, and each record its lines.

use crate::feed::dataset::{Dataset, Owner};
use serde::{Deserialize, Serialize};

/// What a dataset says of its JSON documents. Paths go from member to member, with `.` between
/// their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonSettings {
    /// Path in the document of the array of records; none, the document is that array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Path in each record of the array of its lines; none, each object is a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<String>,
}

impl JsonSettings {
    /// Checks the paths.
    ///
    /// # Errors
    ///
    /// Says which one is wrong and why.
    pub fn check(&self, dataset: &str, lines_table: Option<&String>) -> Result<(), String> {
        for (key, path) in [("root", &self.root), ("lines", &self.lines)] {
            if path.as_ref().is_some_and(|path| path.split('.').any(str::is_empty)) {
                return Err(format!(
                    "datasets.{dataset}.json.{key} must be the name of a member, or several with `.` between them, such as `data.orders`"
                ));
            }
        }
        if self.lines.is_some() && lines_table.is_none() {
            return Err(format!(
                "datasets.{dataset}.json.lines needs `lines_table`, where the lines of a record go"
            ));
        }
        Ok(())
    }

    /// Whether a member, by its path in the record, is the array of its lines.
    pub fn is_lines(&self, path: &str) -> bool {
        self.lines.as_deref() == Some(path)
    }

    /// Whether a member, by its path in the record, is one of its lines'.
    pub fn is_of_lines(&self, path: &str) -> bool {
        let below = self.lines.as_ref().and_then(|lines| path.strip_prefix(lines.as_str()));
        below.is_some_and(|below| below.starts_with('.'))
    }
}

impl Dataset {
    /// Which table a member of a JSON object goes to, by its path in the object and the column it
    /// becomes.
    pub fn member_owner(&self, path: &str, column: &str) -> Owner {
        if self.json.lines.is_none() || self.declares(column) {
            return self.owner(column);
        }
        if self.json.is_of_lines(path) { Owner::Line } else { Owner::Record }
    }
}
