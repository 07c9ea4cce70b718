//! Verify: whether the database is what its own rows say. Everything is read from one snapshot, so it
//! may run beside a writer, and nothing is written.
//!
//! Marts are recomputed from the tables, row hashes from the stored values, counts from what is there.
//! Rows are streamed: memory does not grow with the tables.

pub(crate) mod ledger;
pub(crate) mod lines;
pub(crate) mod marts;
pub(crate) mod rows;
pub(crate) mod writers;

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::Sink;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Differences of each kind that are told in full: enough to see what they have in common.
const EXAMPLES_MAX: usize = 5;

/// What was checked, and what differs.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    /// Each check with its findings.
    pub checks: Vec<Check>,
}

/// One check of one table.
#[derive(Debug, Serialize)]
pub struct Check {
    /// The table.
    pub table: String,
    /// What was compared.
    pub what: &'static str,
    /// How many rows, records or files were.
    pub checked: u64,
    /// Groups and markets that wait for their refresh and were left out.
    pub pending: u64,
    /// Why it could not be checked.
    pub skipped: Option<&'static str>,
    /// How many differences there are.
    pub differences: u64,
    /// The first ones of each kind.
    pub examples: Vec<Difference>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What is wrong.
    pub kind: &'static str,
    /// The row: the values of its key.
    pub key: String,
    /// The column, where it is one.
    pub column: Option<String>,
    /// What is there; `None` for NULL, or when nothing is.
    pub stored: Option<String>,
    /// What should be.
    pub expected: Option<String>,
}

impl Verification {
    /// Differences over all checks.
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
    /// Compares everything that can be computed with what is stored.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn verify(&self, datasets: &[Arc<Dataset>]) -> Result<Verification, SyncError> {
        let snapshot = self.db.snapshot().await?;
        // A daemon may be adding columns: the shapes are those of the snapshot.
        let shapes = Arc::new(self.marts.existing_shapes(&snapshot).await?);
        let mut checks = Vec::new();
        for mart in &self.marts.definitions.marts {
            let started = Instant::now();
            // The time of both is told with the mart.
            let mut of_mart = self.verify_mart(&snapshot, mart, &shapes).await?.into_iter();
            checks.extend(of_mart.next().map(|check| check.since(started)));
            checks.extend(of_mart);
        }
        for shape in shapes.values().filter(|shape| shape.column("_row_hash").is_some()) {
            let started = Instant::now();
            let hashes = self.verify_rows(&snapshot, shape).await?.since(started);
            let started = Instant::now();
            let writers = self.verify_writers(&snapshot, shape, datasets, hashes.checked).await?.since(started);
            checks.extend([hashes, writers]);
        }
        for dataset in datasets.iter().filter(|dataset| dataset.lines.is_some()) {
            let started = Instant::now();
            checks.extend(self.verify_lines(&snapshot, dataset, &shapes).await?.map(|check| check.since(started)));
        }
        let started = Instant::now();
        checks.push(self.verify_ledger(&snapshot).await?.since(started));
        snapshot.rollback().await?;
        Ok(Verification { checks })
    }
}
