//! Checks stored rows against their hashes, in one pass over a table: rows are streamed in batches,
//! which rayon decodes and hashes.

use crate::error::SyncError;
use crate::sink::Sink;
use crate::sink::db::dialect::Dialect;
use crate::sink::tables::known::{BOOKKEEPING, stored_values};
use crate::transform::row_hash::hash_rows;
use crate::values::cell::hex;
use crate::verify::{Check, Difference};
use arrow_array::RecordBatch;
use entity::{ColumnShape, ROW_HASH, TableShape};
use futures_util::TryStreamExt;
use sea_orm::sea_query::{Alias, Query};
use sea_orm::{DatabaseTransaction, DbErr, QueryResult, StreamTrait};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Rows in a batch: a few hundred MB with rows of the largest size, and with ordinary rows enough
/// that passing them to another thread costs nothing noticeable.
const ROWS_PER_BATCH: usize = 256;

/// Batches that are hashed while more rows are read: enough for a few cores.
const BATCHES_IN_FLIGHT: usize = 4;

/// Result of one batch.
#[derive(Default)]
struct Findings {
    rows: u64,
    differences: Vec<Difference>,
}

/// All that a thread needs to check rows.
struct RowCheck {
    data: Vec<ColumnShape>,
    key: Vec<ColumnShape>,
    dialect: Dialect,
}

impl Sink {
    pub(crate) async fn verify_rows(
        &self,
        snapshot: &DatabaseTransaction,
        shape: &TableShape,
    ) -> Result<Check, SyncError> {
        let mut hashes = Check::of(&shape.name, "row hashes");
        let mut take = |findings: Findings| {
            hashes.checked += findings.rows;
            findings.differences.into_iter().for_each(|difference| hashes.differ(difference));
        };
        let row_check = Arc::new(RowCheck::of(shape, self.db.dialect));
        let mut query = Query::select();
        query
            .columns(shape.columns.iter().map(|column| Alias::new(&column.name)))
            .from(Alias::new(&shape.name));
        let mut stream = snapshot.stream(&query).await?;
        let mut in_flight = VecDeque::with_capacity(BATCHES_IN_FLIGHT);
        loop {
            let mut rows = Vec::with_capacity(ROWS_PER_BATCH);
            while rows.len() < ROWS_PER_BATCH
                && let Some(row) = stream.try_next().await?
            {
                rows.push(row);
            }
            let is_last = rows.len() < ROWS_PER_BATCH;
            in_flight.push_back(row_check.spawn(rows));
            while in_flight.len() >= BATCHES_IN_FLIGHT || (is_last && !in_flight.is_empty()) {
                let findings = in_flight.pop_front().expect("one is in flight").await;
                take(findings.map_err(|_| {
                    SyncError::Internal("the worker of a batch is gone".to_owned())
                })?);
            }
            if is_last {
                break;
            }
        }
        Ok(hashes)
    }
}

impl RowCheck {
    fn of(shape: &TableShape, dialect: Dialect) -> Self {
        let is_data = |column: &&ColumnShape| !BOOKKEEPING.contains(&column.name.as_str());
        let key = shape.key.iter().filter_map(|name| shape.column(name));
        Self {
            data: shape.columns.iter().filter(is_data).cloned().collect(),
            key: key.cloned().collect(),
            dialect,
        }
    }

    fn spawn(self: &Arc<Self>, rows: Vec<QueryResult>) -> oneshot::Receiver<Findings> {
        let (done, findings) = oneshot::channel();
        let this = Arc::clone(self);
        rayon::spawn(move || drop(done.send(this.check(&rows))));
        findings
    }

    fn check(&self, rows: &[QueryResult]) -> Findings {
        let mut findings = Findings { rows: rows.len() as u64, ..Findings::default() };
        let all: Vec<&QueryResult> = rows.iter().collect();
        if self.check_hashes(&all, &mut findings).is_err() {
            // An unreadable row must not hide the others.
            findings.differences.clear();
            for row in &all {
                if let Err(error) = self.check_hashes(std::slice::from_ref(row), &mut findings) {
                    let stored = Some(error.to_string());
                    let (key, kind) = (self.key_text(row), "unreadable row");
                    findings.differences.push(Difference {
                        kind,
                        key,
                        column: None,
                        stored,
                        expected: None,
                    });
                }
            }
        }
        findings
    }

    fn check_hashes(&self, rows: &[&QueryResult], findings: &mut Findings) -> Result<(), DbErr> {
        if rows.is_empty() {
            return Ok(());
        }
        let some: Vec<Option<&QueryResult>> = rows.iter().copied().map(Some).collect();
        let columns = self
            .data
            .iter()
            .map(|column| {
                Ok((
                    column.name.clone(),
                    stored_values(&some, &column.name, column.kind, self.dialect)?,
                    true,
                ))
            })
            .collect::<Result<Vec<_>, DbErr>>()?;
        let batch = RecordBatch::try_from_iter_with_nullable(columns)
            .expect("every column has a value for each row");
        for (row, hash) in rows.iter().zip(hash_rows(&batch)) {
            let stored: Option<Vec<u8>> = row.try_get("", ROW_HASH)?;
            if stored.as_deref() != Some(hash.as_slice()) {
                findings.differences.push(Difference {
                    kind: "row hash",
                    key: self.key_text(row),
                    column: Some(ROW_HASH.to_owned()),
                    stored: stored.map(|stored| hex(&stored)),
                    expected: Some(hex(&hash)),
                });
            }
        }
        Ok(())
    }

    fn key_text(&self, row: &QueryResult) -> String {
        let part = |column: &ColumnShape| -> String {
            let number = || row.try_get::<i64>("", &column.name).map(|number| number.to_string());
            row.try_get::<String>("", &column.name)
                .or_else(|_| number())
                .unwrap_or_else(|_| "?".to_owned())
        };
        self.key.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}
