//! Unseen: names of the configuration that no file has had, and files that two datasets name.
//! Such names may be spelt otherwise in files.

use crate::config::Config;
use crate::dispatch::retry::look_at_database;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::declared_name;
use crate::sink::Sink;
use crate::source::find::scan::{SourceFile, scan};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Markets that are named beside one that no file has had.
const MARKETS_NAMED_MAX: u64 = 10;

/// Names of the configuration that no file has had, once files were synced.
#[derive(Debug, Default)]
pub struct Unseen {
    /// Of each dataset with rows, its declared columns without any value.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Markets of which the configuration says something.
    pub markets: Vec<String>,
    /// Some of the markets that files have had.
    pub markets_seen: Vec<String>,
    /// Settings `references` whose column no table has: the setting, and what it names.
    pub references: BTreeMap<String, String>,
}

/// Finds the names that no file has had.
///
/// # Errors
///
/// When the database fails.
pub async fn unseen(config: &Config) -> Result<Unseen, SyncError> {
    let unseen = look_at_database(config, async |sink| {
        let mut unseen = Unseen { references: references(config, sink), ..Unseen::default() };
        for dataset in config.datasets.iter().filter(|dataset| !dataset.own_columns.is_empty()) {
            let columns = sink.tables.without_values(dataset, &dataset.own_columns).await?;
            if !columns.is_empty() {
                unseen.columns.insert(dataset.name.clone(), columns);
            }
        }
        unseen.markets_seen = sink.ledger.markets(MARKETS_NAMED_MAX).await?;
        if !unseen.markets_seen.is_empty() {
            let declared = config.datasets.iter().flat_map(|dataset| dataset.markets());
            for market in declared.collect::<BTreeSet<&String>>() {
                if !sink.ledger.has_market(market).await? {
                    unseen.markets.push(market.clone());
                }
            }
        }
        Ok(unseen)
    });
    Ok(unseen.await?.unwrap_or_default())
}

/// References to columns that no table has.
fn references(config: &Config, sink: &Sink) -> BTreeMap<String, String> {
    let shapes = sink.tables.shapes();
    let has = |table: &str, column: &str| {
        shapes.get(table).is_some_and(|shape| shape.column(&declared_name(column)).is_some())
    };
    let mut missing = BTreeMap::new();
    for dataset in &config.datasets {
        for declared in dataset.columns() {
            let Some((table, column)) = &declared.rules.references else { continue };
            if !has(table, column) {
                let setting = format!("datasets.{}.columns.{}", dataset.name, declared.name);
                missing.insert(setting, format!("{table}.{column}"));
            }
        }
    }
    missing
}

/// Files of the inbox that the paths of several datasets match.
#[derive(Debug)]
pub struct Overlap {
    /// Those datasets; the first one takes the files.
    pub datasets: Vec<String>,
    /// How many files.
    pub files: u64,
    /// One of them.
    pub first: String,
}

/// Finds files below a folder that the paths of several datasets match.
pub fn overlaps(config: &Config, folder: &Path) -> Vec<Overlap> {
    let own_dirs = config.own_dirs_below(folder);
    let mut found: BTreeMap<Vec<String>, (u64, String)> = BTreeMap::new();
    let mut take = |file: SourceFile| {
        let path = file.path_text();
        let datasets = matching(&path, &config.datasets);
        if datasets.len() > 1 {
            found.entry(datasets).or_insert_with(|| (0, path)).0 += 1;
        }
        true
    };
    // Without datasets, no file is opened for its header.
    scan(&Arc::from(folder), &[], &config.limits, &own_dirs, None, &mut take);
    let overlap = |(datasets, (files, first))| Overlap { datasets, files, first };
    found.into_iter().map(overlap).collect()
}

/// Names of the datasets whose paths match, in the order in which they are asked.
pub fn matching(path: &str, datasets: &[Arc<Dataset>]) -> Vec<String> {
    let matches = |dataset: &&Arc<Dataset>| !dataset.is_template() && dataset.route(path).is_some();
    datasets.iter().filter(matches).map(|dataset| dataset.name.clone()).collect()
}
