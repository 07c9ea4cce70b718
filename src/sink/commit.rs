//! Commit: everything that one chunk changes, in one transaction.
//!
//! Rows, hashes, rejects, dirty groups and the file's position become visible together or not at
//! all. After a crash before the commit, the position is before the chunk; after a crash behind it,
//! the position is after the chunk. Nothing is done twice, and nothing is left out.

use crate::chunk::{Counts, Position, Reject};
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::Sink;
use crate::sink::db::transaction::Transaction;
use crate::sink::db::wal::PageMover;
use crate::sink::db::write::WriteTransaction;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::attempts::Attempts;
use crate::sink::ledger::files::COUNT_COLUMNS;
use crate::sink::ledger::history::{Change, Next, Version};
use crate::sink::ledger::rejects::Corrected;
use crate::sink::tables::before_images::Ending;
use crate::sink::tables::by_key::is_one_of;
use crate::sink::tables::upsert::{Rows, statements};
use crate::sink::tables::{KindsStay, Tables};
use crate::transform::table_rows::TableRows;
use entity::{files, rejects};
use sea_orm::sea_query::{Alias, Expr, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::collections::HashSet;

/// Rejects that one statement inserts.
const REJECTS_PER_STATEMENT: usize = 500;

/// Keys whose `_file_id` one statement updates.
pub(crate) const KEYS_PER_STATEMENT: usize = 500;

/// Everything that one chunk changes.
#[derive(Debug)]
pub struct ChunkWrite<'a> {
    /// The ledger's file.
    pub file_id: i64,
    /// Its dataset.
    pub dataset: &'a Dataset,
    /// Its market.
    pub market: String,
    /// New records.
    pub new_records: TableRows,
    /// Modified records.
    pub modified_records: TableRows,
    /// New lines.
    pub new_lines: Option<TableRows>,
    /// Modified lines.
    pub modified_lines: Option<TableRows>,
    /// Lines that their record no longer has.
    pub removed_lines: Vec<(String, i64)>,
    /// Keys of existing records that change in any way; their marts' groups are marked.
    pub changed_keys: Vec<String>,
    /// Keys of new records.
    pub new_keys: Vec<String>,
    /// Whether to mark the whole market in the marts instead of these records' groups.
    pub marks_market: bool,
    /// Unchanged records of a delta that this file confirms.
    pub confirmed_keys: Vec<String>,
    /// Records marked as deleted that this file mentions; their marks are cleared.
    pub revived_keys: Vec<String>,
    /// Deletion time of the new records, if a newer export does not mention them.
    pub new_deleted_ms: Option<i64>,
    /// Rejected rows.
    pub rejects: Vec<Reject>,
    /// For a corrected copy: the rejects that it closes.
    pub corrected: Option<Corrected>,
    /// Name of the rows' new generation; `None` if no row changes.
    pub generation: Option<String>,
    /// Counts of the file up to and including this chunk.
    pub counts: Counts,
    /// Position to continue reading at.
    pub next: Position,
}

impl ChunkWrite<'_> {
    fn rows(&self) -> u64 {
        let all = [
            Some(&self.new_records),
            Some(&self.modified_records),
            self.new_lines.as_ref(),
            self.modified_lines.as_ref(),
        ];
        all.into_iter().flatten().map(|rows| rows.hashes.len() as u64).sum()
    }
}

/// A written chunk. It rolls back if it is dropped without a commit.
#[must_use]
pub struct WrittenChunk<'a> {
    write: WriteTransaction<'a>,
    page_mover: Option<&'a PageMover>,
    rows: u64,
}

impl WrittenChunk<'_> {
    /// Commits it.
    ///
    /// # Errors
    ///
    /// When the database fails; then nothing of the chunk is written.
    pub async fn commit(self) -> Result<(), SyncError> {
        fail::fail_point!("before_commit", |_| std::process::abort());
        self.write.commit().await?;
        if let Some(page_mover) = self.page_mover {
            page_mover.written(self.rows);
        }
        fail::fail_point!("after_commit", |_| std::process::abort());
        Ok(())
    }
}

/// Failpoint: halts a file after its rows are compared and before they are written, while other
/// files continue.
async fn stop_before_write() {
    #[cfg(feature = "failpoints")]
    // Sleep on a blocking thread: a sleeping runtime thread would hold back the tasks queued behind
    // this one.
    if let Err(panic) = tokio::task::spawn_blocking(|| fail::fail_point!("before_write")).await {
        std::panic::resume_unwind(panic.into_panic());
    }
}

impl Sink {
    /// Writes a chunk, which is invisible until its commit.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost; then nothing of the chunk is written.
    pub async fn write_chunk(
        &self,
        chunk: &ChunkWrite<'_>,
        _while_kinds_stay: &KindsStay,
    ) -> Result<WrittenChunk<'_>, SyncError> {
        stop_before_write().await;
        // Read before the transaction, which other files wait for. Only this file changes these
        // records meanwhile: a record belongs to one dataset, and its files are synced in turn.
        let versions = self.versions_ended_by(chunk).await?;
        let write = self.db.begin().await?;
        let transaction = &write.transaction;
        // Find the groups that rows leave before the rows change, and the groups that they join
        // afterwards.
        self.marts
            .mark_groups(
                transaction,
                chunk.dataset,
                &chunk.market,
                &chunk.changed_keys,
                chunk.marks_market,
            )
            .await?;
        self.tables.write_rows(transaction, chunk).await?;
        self.tables.write_marks(transaction, chunk).await?;
        self.marts
            .mark_groups(
                transaction,
                chunk.dataset,
                &chunk.market,
                &chunk.changed_keys,
                chunk.marks_market,
            )
            .await?;
        self.marts
            .mark_groups(
                transaction,
                chunk.dataset,
                &chunk.market,
                &chunk.new_keys,
                chunk.marks_market,
            )
            .await?;
        if let Some(generation) = &chunk.generation {
            self.ledger
                .begin_generation(transaction, &chunk.dataset.table, &chunk.market, generation)
                .await?;
        }
        self.ledger.write_rejects(transaction, chunk.file_id, &chunk.rejects).await?;
        if let Some(corrected) = &chunk.corrected {
            self.ledger.close_corrected(transaction, corrected, chunk.file_id).await?;
        }
        self.ledger.write_position(transaction, chunk.file_id, chunk.counts, chunk.next).await?;
        let place = (&*chunk.dataset.table, &*chunk.market);
        self.ledger.keep_versions(transaction, place, chunk.file_id, versions).await?;
        Ok(WrittenChunk { write, page_mover: self.db.page_mover.as_ref(), rows: chunk.rows() })
    }
}

impl Sink {
    /// The versions of records that a chunk ends; `None` if the history keeps none.
    async fn versions_ended_by(
        &self,
        chunk: &ChunkWrite<'_>,
    ) -> Result<Option<Vec<Version>>, SyncError> {
        let is_first = chunk.changed_keys.is_empty() && chunk.confirmed_keys.is_empty();
        if is_first || !self.ledger.keeps_history() {
            return Ok(is_first.then(Vec::new));
        }
        let changed: HashSet<&String> = chunk.changed_keys.iter().collect();
        let confirmed: Vec<String> =
            chunk.confirmed_keys.iter().filter(|key| !changed.contains(key)).cloned().collect();
        let ending = |change: Change, unless_of_file: Option<i64>| Ending {
            dataset: chunk.dataset,
            market: &chunk.market,
            change,
            next: Next::By(Some(chunk.file_id)),
            unless_of_file,
        };
        let modified = ending(Change::Modified, None);
        let mut versions = self.tables.versions_ended(modified, &chunk.changed_keys).await?;
        let confirming = ending(Change::Confirmed, Some(chunk.file_id));
        versions.extend(self.tables.versions_ended(confirming, &confirmed).await?);
        Ok(Some(versions))
    }
}

impl Tables {
    async fn write_rows(
        &self,
        connection: &Transaction,
        chunk: &ChunkWrite<'_>,
    ) -> Result<(), SyncError> {
        let shapes = self.shapes();
        let records = &shapes[&chunk.dataset.table];
        self.upsert(connection, records, &chunk.new_records, Rows::New, chunk.file_id).await?;
        self.upsert(connection, records, &chunk.modified_records, Rows::Changed, chunk.file_id)
            .await?;
        if let Some(lines) = &chunk.dataset.lines {
            let shape = &shapes[&lines.table];
            if let Some(new) = &chunk.new_lines {
                self.upsert(connection, shape, new, Rows::New, chunk.file_id).await?;
            }
            if let Some(modified) = &chunk.modified_lines {
                self.upsert(connection, shape, modified, Rows::Changed, chunk.file_id).await?;
            }
            self.remove_lines(
                connection,
                &lines.table,
                &chunk.dataset.key,
                &chunk.market,
                &chunk.removed_lines,
            )
            .await?;
        }
        for keys in chunk.confirmed_keys.chunks(KEYS_PER_STATEMENT) {
            let update = Query::update()
                .table(Alias::new(&chunk.dataset.table))
                .value("_file_id", chunk.file_id)
                .cond_where(is_one_of(self.db.dialect, &chunk.dataset.key, &chunk.market, keys))
                .to_owned();
            connection.execute(&update).await?;
        }
        Ok(())
    }
}

impl Ledger {
    async fn write_rejects(
        &self,
        connection: &impl ConnectionTrait,
        file_id: i64,
        rejected: &[Reject],
    ) -> Result<(), SyncError> {
        use rejects::Column as C;
        let bytes: Vec<usize> = rejected.iter().map(|reject| reject.raw.len()).collect();
        for statement in statements(&bytes, REJECTS_PER_STATEMENT) {
            let mut insert = Query::insert();
            insert.into_table(rejects::Entity).columns([
                C::FileId,
                C::RowNumber,
                C::CorrectsRow,
                C::RecordKey,
                C::ColumnName,
                C::Reason,
                C::Raw,
            ]);
            for reject in &rejected[statement] {
                insert.values_panic([
                    file_id.into(),
                    i64::try_from(reject.row_number).unwrap_or(i64::MAX).into(),
                    reject.corrects_row.and_then(|row| i64::try_from(row).ok()).into(),
                    reject.record_key.clone().into(),
                    reject.column.clone().into(),
                    reject.reason.as_str().into(),
                    reject.raw.as_str().into(),
                ]);
            }
            connection.execute(&insert).await?;
        }
        Ok(())
    }

    pub(crate) async fn write_position(
        &self,
        connection: &impl ConnectionTrait,
        file_id: i64,
        counts: Counts,
        next: Position,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        let position = serde_json::to_string(&next).expect("a position is plain numbers");
        let attempts = (next != Position::Done).then(|| Attempts::MOVED.to_ledger());
        let mut update = files::Entity::update_many()
            .filter(C::Id.eq(file_id))
            .col_expr(C::Position, Expr::value(position))
            .col_expr(C::Attempts, Expr::value(attempts));
        for (column, count) in COUNT_COLUMNS.into_iter().zip(counts.all()) {
            update = update.col_expr(column, Expr::value(i64::try_from(count).unwrap_or(i64::MAX)));
        }
        update.exec(connection).await?;
        Ok(())
    }
}
