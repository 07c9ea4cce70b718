//! Explain: where a record comes from. Each version with its file, what it changed, what of it was
//! rescued or repaired, and which files mention the record now.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::Sink;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::versions::EndedVersion;
use crate::transform::record_json::{FILE_ID, LINES, RecordMembers, write_records};
use crate::values::moment::format_moment;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Members that say nothing of the data.
const OF_BOOKKEEPING: [&str; 2] = [FILE_ID, "_rescued"];

/// A record of one market, and how it became what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The table.
    pub table: String,
    /// The market.
    pub market: String,
    /// The key; several columns as a JSON array.
    pub key: String,
    /// Whether the record is stored, and not only in the history.
    pub is_stored: bool,
    /// Its versions, oldest first; the stored one is the last.
    pub versions: Vec<ExplainedVersion>,
    /// Files that mention it now, as far as is known: those that its rows are of, and those with
    /// open rejects of it.
    pub mentioned_by: Vec<Mention>,
}

/// One version of a record.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedVersion {
    /// The file that wrote it; `None` if unknown.
    pub file: Option<FileOfVersion>,
    /// Since when it was stored; `None` if unknown.
    pub valid_from: Option<String>,
    /// When it ended; `None` while it is stored.
    pub valid_to: Option<String>,
    /// What ended it: `modified`, `deleted`, `undone` or `confirmed`.
    pub ended: Option<String>,
    /// The file that ended it, or that was undone.
    pub ended_by: Option<FileOfVersion>,
    /// What is other than in the version before.
    pub changes: Vec<CellDifference>,
    /// Values that did not fit their columns: place and text.
    pub rescued: Vec<(String, String)>,
    /// What it was; `None` if it was too large to be kept.
    pub record: Option<Value>,
}

/// A file that wrote or ended a version.
#[derive(Clone, Debug, Serialize)]
pub struct FileOfVersion {
    /// Its id in the ledger.
    pub id: i64,
    /// Its path; `None` if the ledger has it no more.
    pub path: Option<String>,
    /// Its state.
    pub state: Option<&'static str>,
    /// How many of its rows were repaired; which these are is not kept.
    pub rows_repaired: u64,
}

/// A cell that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellDifference {
    /// The column; one of a line with its number in front, as `3: sku`.
    pub column: String,
    /// Before; `None` for NULL, or if there was no such line.
    pub old: Option<String>,
    /// After.
    pub new: Option<String>,
}

/// A file that mentions a record.
#[derive(Clone, Debug, Serialize)]
pub struct Mention {
    /// The file.
    pub file: FileOfVersion,
    /// How: rows of the record are its, or why its row was rejected.
    pub how: String,
}

/// Explains a record of one market; `None` if nothing is known of it.
///
/// # Errors
///
/// When the database fails.
pub async fn explain(
    sink: &Sink,
    dataset: &Dataset,
    feeds: &[String],
    market: &str,
    key: &str,
) -> Result<Option<Explained>, SyncError> {
    let keys = [key.to_owned()];
    let stored = sink.tables.stored_records(dataset, market, &keys).await?;
    let text = write_records(&stored.records, stored.lines.as_ref()).remove(key);
    let lines = stored.lines.iter().flat_map(|lines| &lines.file_ids);
    let of_rows: BTreeSet<i64> = stored.records.file_ids.iter().chain(lines).copied().collect();
    let ended = sink.ledger.versions_of_record(&dataset.table, market, key).await?;
    let rejects = sink.ledger.open_rejects_of_record(feeds, market, key).await?;
    if text.is_none() && ended.is_empty() && rejects.is_empty() {
        return Ok(None);
    }
    let wrote = of_rows.first().filter(|_| of_rows.len() == 1).copied();
    let since = sink.ledger.stored_version_since(&dataset.table, market, key, wrote).await?;
    let writers = ended.iter().filter_map(|version| version.written_by).chain(since.0);
    let enders = ended.iter().map(|version| version.ended_by);
    let ids: BTreeSet<i64> = writers
        .chain(enders)
        .chain(of_rows.iter().copied())
        .chain(rejects.iter().map(|reject| reject.file_id))
        .collect();
    let files = Files(sink.ledger.files_by_id(ids).await?);
    let is_stored = text.is_some();
    let mut versions = Vec::new();
    let mut before: Option<RecordMembers> = None;
    for version in &ended {
        let members = members_of(version.record.as_deref())?;
        versions.push(files.ended(version, before.as_ref(), members.as_ref()));
        // A deleted record that comes again has nothing before it that it changes.
        before = members;
    }
    if let Some(text) = &text {
        let members = members_of(Some(text))?;
        versions.push(ExplainedVersion {
            file: since.0.map(|id| files.of_version(id)),
            valid_from: since.1.map(format_moment),
            valid_to: None,
            ended: None,
            ended_by: None,
            changes: differences(before.as_ref(), members.as_ref()),
            rescued: members.as_ref().map(rescued).unwrap_or_default(),
            record: members.map(|members| whole(&members)),
        });
    }
    let rows = of_rows.iter().map(|&id| Mention {
        file: files.of_version(id),
        how: "rows of the record are as it wrote them".to_owned(),
    });
    let rejected = rejects.iter().map(|reject| Mention {
        file: files.of_version(reject.file_id),
        how: format!("row {} is an open reject: {}", reject.row_number, reject.reason),
    });
    Ok(Some(Explained {
        table: dataset.table.clone(),
        market: market.to_owned(),
        key: key.to_owned(),
        is_stored,
        versions,
        mentioned_by: rows.chain(rejected).collect(),
    }))
}

fn members_of(record: Option<&str>) -> Result<Option<RecordMembers>, SyncError> {
    let read = |record: &str| {
        RecordMembers::read(record)
            .map_err(|error| SyncError::Internal(format!("tidegate_history: {}", error.0)))
    };
    record.map(read).transpose()
}

/// The files that versions name.
struct Files(HashMap<i64, FileRecord>);

impl Files {
    fn of_version(&self, id: i64) -> FileOfVersion {
        let file = self.0.get(&id);
        FileOfVersion {
            id,
            path: file.map(|file| file.path.clone()),
            state: file.map(|file| file.state.name()),
            rows_repaired: file.map_or(0, |file| file.counts.repaired),
        }
    }

    fn ended(
        &self,
        version: &EndedVersion,
        before: Option<&RecordMembers>,
        members: Option<&RecordMembers>,
    ) -> ExplainedVersion {
        ExplainedVersion {
            file: version.written_by.map(|id| self.of_version(id)),
            valid_from: version.valid_from_ms.map(format_moment),
            valid_to: Some(format_moment(version.valid_to_ms)),
            ended: Some(version.change.clone()),
            ended_by: Some(self.of_version(version.ended_by)),
            changes: differences(before, members),
            rescued: members.map(rescued).unwrap_or_default(),
            record: members.map(whole),
        }
    }
}

/// The cells that differ between two versions; none if one of them is not known.
fn differences(
    before: Option<&RecordMembers>,
    after: Option<&RecordMembers>,
) -> Vec<CellDifference> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let (old, new) = (cells(before), cells(after));
    let columns: BTreeSet<&(u64, String)> = old.keys().chain(new.keys()).collect();
    let difference = |place: &(u64, String)| {
        let (old, new) = (old.get(place), new.get(place));
        (old != new).then(|| CellDifference {
            column: match place {
                (0, column) => column.clone(),
                (line, column) => format!("{line}: {column}"),
            },
            old: old.cloned(),
            new: new.cloned(),
        })
    };
    columns.into_iter().filter_map(difference).collect()
}

/// Cells by line and column; those of the record itself are of line 0.
fn cells(members: &RecordMembers) -> BTreeMap<(u64, String), String> {
    let own = [(0, &members.record)];
    let lines = members.lines.iter().map(|line| (number(line), line));
    let mut cells = BTreeMap::new();
    for (line, members) in own.into_iter().chain(lines) {
        let data = members.iter().filter(|(name, _)| !OF_BOOKKEEPING.contains(&name.as_str()));
        cells.extend(data.map(|(name, value)| ((line, name.clone()), text(value))));
    }
    cells
}

fn number(line: &Map<String, Value>) -> u64 {
    line.get("line_no").and_then(Value::as_u64).unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Values that did not fit their columns.
fn rescued(members: &RecordMembers) -> Vec<(String, String)> {
    let own = [(0, &members.record)];
    let lines = members.lines.iter().map(|line| (number(line), line));
    let mut rescued = Vec::new();
    for (line, members) in own.into_iter().chain(lines) {
        let texts = members.get("_rescued").and_then(Value::as_str);
        let texts: BTreeMap<String, String> =
            texts.and_then(|texts| serde_json::from_str(texts).ok()).unwrap_or_default();
        rescued.extend(texts.into_iter().map(|(column, text)| match line {
            0 => (column, text),
            line => (format!("{line}: {column}"), text),
        }));
    }
    rescued
}

fn whole(members: &RecordMembers) -> Value {
    let mut record = members.record.clone();
    let lines = members.lines.iter().cloned().map(Value::Object).collect();
    record.insert(LINES.to_owned(), Value::Array(lines));
    Value::Object(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> RecordMembers {
        RecordMembers::read(json).expect("a record")
    }

    #[test]
    fn what_changed_is_told_by_line_and_column() {
        let before = read(
            r#"{"id":"7","total":"12.5","gone":"x","_file_id":1,"_lines":[{"line_no":1,"sku":"a","_file_id":1}]}"#,
        );
        let after = read(
            r#"{"id":"7","total":"12","_file_id":2,"_rescued":"{\"total\":\"?\"}",
                "_lines":[{"line_no":1,"sku":"a","_file_id":1},{"line_no":2,"_file_id":2}]}"#,
        );
        let told: Vec<String> = differences(Some(&before), Some(&after))
            .into_iter()
            .map(|cell| format!("{} {:?} {:?}", cell.column, cell.old, cell.new))
            .collect();
        assert_eq!(
            told,
            [
                r#"gone Some("x") None"#,
                r#"total Some("12.5") Some("12")"#,
                r#"2: line_no None Some("2")"#
            ]
        );
        assert_eq!(rescued(&after), [("total".to_owned(), "?".to_owned())]);
        assert_eq!(differences(None, Some(&after)), []);
    }
}
