//! Verify: checks that the database is consistent with its own rows. It reads one snapshot, so it
//! can run in parallel with a writer, and it writes nothing.
//!
//! It recomputes marts from the tables, row hashes from the stored values, and counts from the
//! stored rows. Rows are streamed, so memory does not grow with the tables.

pub(crate) mod ledger;
pub(crate) mod lines;
pub(crate) mod marts;
pub(crate) mod rows;
pub(crate) mod writers;

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::Sink;
use entity::ROW_HASH;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// Differences of each kind that are listed: enough to see what they have in common.
const EXAMPLES_MAX: usize = 5;

/// The checks and their differences.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    /// One entry for each check of each table.
    pub checks: Vec<Check>,
}

/// One check of one table.
#[derive(Debug, Serialize)]
pub struct Check {
    /// The table.
    pub table: String,
    /// What was compared.
    pub what: &'static str,
    /// Number of rows, records or files compared.
    pub checked: u64,
    /// Groups and markets that were skipped because they wait for a refresh.
    pub pending: u64,
    /// Why the check could not run, if it did not.
    pub skipped: Option<&'static str>,
    /// Number of differences.
    pub differences: u64,
    /// The first differences of each kind.
    pub examples: Vec<Difference>,
    /// Duration of the check.
    pub elapsed_ms: u64,
}

/// A difference between stored and expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What is wrong.
    pub kind: &'static str,
    /// The key values of the row.
    pub key: String,
    /// The column, if the difference is in one.
    pub column: Option<String>,
    /// The stored value; `None` for NULL or if nothing is stored.
    pub stored: Option<String>,
    /// The expected value.
    pub expected: Option<String>,
}

impl Verification {
    /// Number of differences over all checks.
    pub fn differences(&self) -> u64 {
        self.checks.iter().map(|check| check.differences).sum()
    }
}

impl Check {
    fn of(table: &str, what: &'static str) -> Self {
        Self {
            table: table.to_owned(),
            what,
            checked: 0,
            pending: 0,
            skipped: None,
            differences: 0,
            examples: Vec::new(),
            elapsed_ms: 0,
        }
    }

    fn differ(&mut self, difference: Difference) {
        self.differences += 1;
        let told = self.examples.iter().filter(|example| example.kind == difference.kind).count();
        if told < EXAMPLES_MAX {
            self.examples.push(difference);
        }
    }

    fn since(mut self, started: Instant) -> Self {
        self.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self
    }
}

impl Sink {
    /// Compares all that can be recomputed with what is stored.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn verify(&self, datasets: &[Arc<Dataset>]) -> Result<Verification, SyncError> {
        let snapshot = self.db.snapshot().await?;
        // Read the shapes from the snapshot, because a daemon may be adding columns.
        let shapes = Arc::new(self.marts.existing_shapes(&snapshot).await?);
        let mut checks = Vec::new();
        for mart in &self.marts.definitions.marts {
            let started = Instant::now();
            // The mart's duration covers both.
            let mut of_mart = self.verify_mart(&snapshot, mart, &shapes).await?.into_iter();
            checks.extend(of_mart.next().map(|check| check.since(started)));
            checks.extend(of_mart);
        }
        for shape in shapes.values().filter(|shape| shape.column(ROW_HASH).is_some()) {
            let started = Instant::now();
            let hashes = self.verify_rows(&snapshot, shape).await?.since(started);
            let started = Instant::now();
            let writers = self
                .verify_writers(&snapshot, shape, datasets, hashes.checked)
                .await?
                .since(started);
            checks.extend([hashes, writers]);
        }
        // Several datasets may write to the same tables.
        let mut tables = HashSet::new();
        let own_tables = |dataset: &&Arc<Dataset>| {
            dataset
                .lines
                .as_ref()
                .is_some_and(|lines| tables.insert((dataset.table.clone(), lines.table.clone())))
        };
        for dataset in datasets.iter().filter(own_tables) {
            let started = Instant::now();
            checks.extend(
                self.verify_lines(&snapshot, dataset, &shapes)
                    .await?
                    .map(|check| check.since(started)),
            );
        }
        let started = Instant::now();
        checks.push(self.verify_ledger(&snapshot).await?.since(started));
        snapshot.rollback().await?;
        Ok(Verification { checks })
    }
}
