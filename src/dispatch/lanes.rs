//! Lanes: files of one dataset and market are synced one after the other, in the order of their
//! versions. Different lanes run in parallel.

use crate::dispatch::retry::{Patience, Tried, last_taken_patiently, sync_patiently};
use crate::error::SyncError;
use crate::feed::version;
use crate::feed::version::Version;
use crate::process::clock::now_ms;
use crate::process::waiting::aloud;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::source::find::scan::{Lane, SourceFile};
use crate::sync::report::{FileReport, Outcome};
use crate::sync::session::Session;
use crate::sync::unmatched::list_new_unmatched;
use std::collections::{BTreeMap, HashMap};

/// The results of the files of a lane.
#[derive(Debug)]
pub struct LaneEnd {
    /// The lane that is free again.
    pub lane: Lane,
    /// The files that were tried; `None` for a file that must be looked at again.
    pub files: Vec<(SourceFile, Option<FileReport>)>,
    /// Why the process cannot continue, if it cannot.
    pub fatal: Option<SyncError>,
}

/// Sorts files into lanes, and each lane by version; files of the same version are sorted by path.
pub fn lanes_of(files: Vec<SourceFile>) -> BTreeMap<Lane, Vec<SourceFile>> {
    let now_ms = now_ms();
    let mut lanes: BTreeMap<Lane, Vec<SourceFile>> = BTreeMap::new();
    for file in files {
        lanes.entry(file.lane()).or_default().push(file);
    }
    for files in lanes.values_mut() {
        files.sort_by_cached_key(|file| file.version(now_ms));
    }
    lanes
}

/// Sorts the files of a lane by the versions that the ledger will give them. New content at a known
/// path counts as newer than the old content, whatever its date, so it may have to wait for other
/// files.
pub(crate) async fn in_order_of_versions(
    session: &Session,
    patience: Patience,
    mut files: Vec<SourceFile>,
) -> Result<Vec<SourceFile>, SyncError> {
    if files.len() > 1 {
        let paths: Vec<String> = files.iter().map(SourceFile::path_text).collect();
        let taken = last_taken_patiently(session, &paths, patience).await?;
        let now_ms = now_ms();
        files.sort_by_cached_key(|file| {
            let own = file.version(now_ms);
            let last_taken = taken.get(&own.path);
            expected_version(own, last_taken)
        });
    }
    Ok(files)
}

/// The version that the ledger will give a file, if `last_taken` is the last file at its path.
fn expected_version(own: Version, last_taken: Option<&FileRecord>) -> Version {
    let ms = match last_taken {
        // Most likely it is the same file, whose sync was interrupted.
        Some(last) if matches!(last.state, FileState::Pending | FileState::Syncing) => {
            last.version_ms
        }
        Some(last) => version::after(own.ms, last.version_ms),
        None => own.ms,
    };
    Version { ms, ..own }
}

/// Syncs the files of a lane.
pub async fn sync_lane(
    session: Session,
    lane: Lane,
    files: Vec<SourceFile>,
    patience: Patience,
) -> LaneEnd {
    let turn = session.turns.turn();
    aloud("other feeds' files", turn.begin()).await;
    let mut listed = match &lane {
        Some(_) => HashMap::new(),
        // If this fails, the files are tried one by one below, with the full patience.
        None => list_new_unmatched(&session, &turn, &files).await.unwrap_or_default(),
    };
    let mut end = LaneEnd { lane, files: Vec::with_capacity(files.len()), fatal: None };
    let files = match &end.lane {
        None => files,
        Some(_) => match in_order_of_versions(&session, patience, files).await {
            Ok(files) => files,
            Err(error) => return LaneEnd { fatal: Some(error), ..end },
        },
    };
    for file in files {
        if let Some(report) = listed.remove(&file.path) {
            log(&report);
            end.files.push((file, Some(report)));
            continue;
        }
        if session.shutdown.is_cancelled() {
            end.fatal = Some(SyncError::Stopped);
            break;
        }
        match sync_patiently(&session, &turn, &file, patience).await {
            Ok(Tried::Ended(report)) => {
                log(&report);
                end.files.push((file, Some(*report)));
            }
            Ok(Tried::Later) => end.files.push((file, None)),
            Err(error) => {
                end.fatal = Some(error);
                break;
            }
        }
    }
    end
}

/// Logs the result of a file: one line, and one more for a warning.
fn log(report: &FileReport) {
    let counts = &report.counts;
    if let Some(warning) = &report.warning {
        match counts.stale {
            0 => tracing::warn!(path = report.path, reason = warning, "file corrects nothing"),
            stale => tracing::warn!(path = report.path, stale, reason = warning, "file is stale"),
        }
    }
    match report.outcome {
        Outcome::Synced => tracing::info!(
            path = report.path,
            dataset = report.dataset,
            market = report.market,
            new = counts.new,
            modified = counts.modified,
            deleted = counts.deleted,
            unchanged = counts.unchanged,
            stale = counts.stale,
            rejected = counts.rejected,
            skipped = counts.skipped,
            rescued = counts.rescued,
            repaired = counts.repaired,
            disagreeing = report.records_disagreeing,
            elapsed_ms = report.elapsed_ms,
            marts_ms = report.marts_ms,
            "file synced"
        ),
        Outcome::Unchanged => tracing::info!(path = report.path, "file unchanged"),
        Outcome::Undone => tracing::info!(path = report.path, "file stays undone"),
        Outcome::Dismissed => tracing::info!(path = report.path, "file stays dismissed"),
        Outcome::Unmatched => {
            tracing::warn!(path = report.path, reason = report.error, "file unmatched");
        }
        Outcome::Quarantined => {
            tracing::error!(path = report.path, reason = report.error, "file quarantined");
        }
        Outcome::Held => tracing::error!(path = report.path, reason = report.error, "file held"),
        Outcome::Failed if report.is_old_news => {
            tracing::debug!(path = report.path, "file failed again");
        }
        Outcome::Failed => {
            tracing::error!(path = report.path, reason = report.error, "file failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    #[test]
    fn each_feed_of_a_market_is_a_lane_in_the_order_of_versions() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = Config::load(&Overrides::default()).expect("the shipped configuration");
        let root: Arc<Path> = Arc::from(directory.path());
        let newest = SystemTime::now() - Duration::from_secs(3600);
        let files = [
            ("Market 1 Orders.csv", 0),
            ("market-1/orders.csv", 50),
            ("market-1/orders-2020-01-02.csv", 0),
            ("market-2/orders.csv", 0),
            ("market-1/customers.csv", 0),
        ]
        .map(|(name, seconds_older)| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("it is below")).expect("it can be made");
            fs::write(&path, "Order ID\n").expect("it can be written");
            let modified = newest - Duration::from_secs(seconds_older);
            let file = File::options().append(true).open(&path).expect("it is there");
            file.set_modified(modified).expect("it is ours");
            SourceFile::at(&root, &path, &config.datasets, &config.limits).expect("it may be taken")
        });
        let lanes = lanes_of(files.into());
        let lanes: Vec<(String, Vec<String>)> = lanes
            .into_iter()
            .map(|(lane, files)| {
                let (table, market) = lane.expect("a dataset matches");
                let names = files.iter().flat_map(|file| file.path.strip_prefix(&root));
                let names = names.map(|name| name.to_string_lossy().into_owned()).collect();
                (format!("{table} of {market}"), names)
            })
            .collect();
        let expected: [(&str, &[&str]); 3] = [
            ("customers of 1", &["market-1/customers.csv"]),
            (
                "orders of 1",
                &["market-1/orders-2020-01-02.csv", "market-1/orders.csv", "Market 1 Orders.csv"],
            ),
            ("orders of 2", &["market-2/orders.csv"]),
        ];
        let expected = expected.map(|(lane, names)| {
            (lane.to_owned(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        });
        assert_eq!(lanes, expected);
    }
}
