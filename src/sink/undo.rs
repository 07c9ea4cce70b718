//! Undo: takes back what a file did to the tables, in small transactions that may be repeated.
//!
//! First the versions that the file ended are stored again, newest change first; then the records
//! that it brought are removed; then the ledger forgets what it says. A crash in between loses
//! nothing: a version that is stored again is marked in the same transaction, and a record that is
//! removed is not found again.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Shapes;
use crate::process::clock::now_ms;
use crate::sink::Sink;
use crate::sink::db::transaction::Transaction;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::generations::new_generation;
use crate::sink::ledger::history::{Change, KeptVersion, Next, Version};
use crate::sink::tables::DELETED_AT;
use crate::sink::tables::before_images::Ending;
use crate::sink::tables::stored_records::described_columns;
use crate::sink::tables::upsert::Rows;
use crate::transform::record_json::{NotARecord, RecordMembers, RowsOfFile, table_rows};
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Query};
use std::collections::BTreeMap;

/// Records that one transaction restores or removes.
const RECORDS_PER_COMMIT: usize = 500;

/// Text of the versions that one transaction restores; a single one may be larger.
const VERSION_BYTES_PER_COMMIT: i64 = 4 << 20;

/// From this many changed table rows on, the whole market is marked: to find the groups of every
/// record would cost more than it saves.
const MARKED_ROWS_MAX: u64 = 10_000;

impl Sink {
    /// Stores the next versions again that a file ended, in one transaction. Returns their number;
    /// 0 if all are stored.
    ///
    /// # Errors
    ///
    /// When the database fails, the lease is lost, or the history does not fit the tables; then
    /// nothing is changed.
    pub async fn restore_versions(
        &self,
        file: &FileRecord,
        dataset: &Dataset,
    ) -> Result<usize, SyncError> {
        let kept = self
            .ledger
            .versions_to_restore(file.id, RECORDS_PER_COMMIT as u64, VERSION_BYTES_PER_COMMIT)
            .await?;
        if kept.is_empty() {
            return Ok(0);
        }
        // Several versions of a record come newest first: the last one counts.
        let by_key: BTreeMap<&str, &KeptVersion> =
            kept.iter().map(|version| (version.key.as_str(), version)).collect();
        let keys: Vec<String> = by_key.keys().map(|&key| key.to_owned()).collect();
        let rows = RestoredRows::of(&by_key, dataset, &self.tables.shapes())?;
        let mut ended = self.versions_undone(file, dataset, &keys).await?;
        for version in &mut ended {
            version.next = Next::By(by_key[version.key.as_str()].written_by);
        }
        let ids: Vec<i64> = kept.iter().map(|version| version.id).collect();
        self.replace_records(file, dataset, &keys, Some(&rows), &ended, &ids).await?;
        Ok(kept.len())
    }

    /// Removes the next records, after a key, that a file brought, in one transaction. Call it when
    /// all versions that the file ended are stored again. Returns the last key; `None` if all are
    /// removed.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost; then nothing is changed.
    pub async fn remove_brought(
        &self,
        file: &FileRecord,
        dataset: &Dataset,
        after: &str,
    ) -> Result<Option<String>, SyncError> {
        let market = file.market.as_deref().unwrap_or_default();
        let keys = self
            .tables
            .keys_written_by(dataset, market, file.id, after, RECORDS_PER_COMMIT)
            .await?;
        let Some(last) = keys.last().cloned() else { return Ok(None) };
        let ended = self.versions_undone(file, dataset, &keys).await?;
        self.replace_records(file, dataset, &keys, None, &ended, &[]).await?;
        Ok(Some(last))
    }

    /// Opens the rejects again that a file closed, and closes its own. Returns how many are open
    /// again.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost.
    pub async fn undo_rejects(&self, file: &FileRecord) -> Result<u64, SyncError> {
        let write = self.db.begin().await?;
        let opened = self.ledger.undo_rejects(&write.transaction, file.id, now_ms()).await?;
        write.commit().await?;
        Ok(opened)
    }

    /// Ends the undo of a file whose rows are taken back.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost.
    pub async fn end_undo(&self, file: &FileRecord, dataset: &Dataset) -> Result<(), SyncError> {
        let market = file.market.as_deref().unwrap_or_default();
        let write = self.db.begin().await?;
        // Also if no row changed: the index of its records would be used else.
        self.ledger
            .begin_generation(&write.transaction, &dataset.table, market, &new_generation())
            .await?;
        self.ledger.end_undo(&write.transaction, file.id, now_ms()).await?;
        fail::fail_point!("before_undo_end", |_| std::process::abort());
        write.commit().await?;
        self.ledger.uncount(file.id);
        Ok(())
    }

    /// The stored versions of these records, which the undo of a file ends. All of them must be the
    /// file's own, or an undo would take back what another file did.
    async fn versions_undone(
        &self,
        file: &FileRecord,
        dataset: &Dataset,
        keys: &[String],
    ) -> Result<Vec<Version>, SyncError> {
        let market = file.market.as_deref().unwrap_or_default();
        let ending = Ending {
            dataset,
            market,
            change: Change::Undone,
            next: Next::Gone,
            unless_of_file: None,
        };
        let ended = self.tables.versions_ended(ending, keys).await?;
        let is_of_another =
            |version: &&Version| version.written_by.is_some_and(|writer| writer != file.id);
        match ended.iter().find(is_of_another) {
            None => Ok(ended),
            Some(version) => Err(SyncError::Internal(format!(
                "cannot undo {}: record {} of `{}` was last written by file {}, which was applied later; undo that one first",
                file.path,
                version.key,
                dataset.table,
                version.written_by.unwrap_or_default()
            ))),
        }
    }

    /// Removes records and stores others in their place, in one transaction with the history.
    async fn replace_records(
        &self,
        file: &FileRecord,
        dataset: &Dataset,
        keys: &[String],
        rows: Option<&RestoredRows>,
        ended: &[Version],
        restored_ids: &[i64],
    ) -> Result<(), SyncError> {
        let market = file.market.as_deref().unwrap_or_default();
        let counts = &file.counts;
        let is_whole = counts.new + counts.modified + counts.deleted > MARKED_ROWS_MAX;
        let now_ms = now_ms();
        let write = self.db.begin().await?;
        let transaction = &write.transaction;
        // Before and after: a record may be in other groups then.
        self.marts.mark_groups(transaction, dataset, market, keys, is_whole).await?;
        self.remove_rows(transaction, dataset, market, keys).await?;
        if let Some(rows) = rows {
            self.insert_rows(transaction, dataset, rows).await?;
            self.marts.mark_groups(transaction, dataset, market, keys, is_whole).await?;
        }
        self.ledger.set_undone(transaction, restored_ids, now_ms).await?;
        let place = (&*dataset.table, market);
        self.ledger.write_versions(transaction, place, file.id, ended, now_ms).await?;
        self.ledger
            .begin_generation(transaction, &dataset.table, market, &new_generation())
            .await?;
        fail::fail_point!("before_undo_commit", |_| std::process::abort());
        write.commit().await?;
        fail::fail_point!("after_undo_commit", |_| std::process::abort());
        Ok(())
    }

    async fn remove_rows(
        &self,
        transaction: &Transaction,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<(), SyncError> {
        let lines = dataset.lines.as_ref().map(|lines| &lines.table);
        for table in lines.into_iter().chain([&dataset.table]) {
            let delete = Query::delete()
                .from_table(Alias::new(table))
                .cond_where(self.tables.is_record_of(dataset, market, keys))
                .to_owned();
            transaction.execute(&delete).await?;
        }
        Ok(())
    }

    async fn insert_rows(
        &self,
        transaction: &Transaction,
        dataset: &Dataset,
        rows: &RestoredRows,
    ) -> Result<(), SyncError> {
        let shapes = self.tables.shapes();
        let lines = dataset.lines.as_ref().map(|lines| (&lines.table, &rows.lines));
        for (table, rows) in [(&dataset.table, &rows.records)].into_iter().chain(lines) {
            for RowsOfFile { file_id, rows } in rows {
                self.tables.upsert(transaction, &shapes[table], rows, Rows::New, *file_id).await?;
            }
        }
        Ok(())
    }
}

/// Rows of the history, ready for their tables.
struct RestoredRows {
    records: Vec<RowsOfFile>,
    lines: Vec<RowsOfFile>,
}

impl RestoredRows {
    fn of(
        versions: &BTreeMap<&str, &KeptVersion>,
        dataset: &Dataset,
        shapes: &Shapes,
    ) -> Result<Self, SyncError> {
        let misfit = |key: &str, NotARecord(reason): NotARecord| {
            SyncError::Internal(format!(
                "cannot restore record {key} of `{}`: {reason}",
                dataset.table
            ))
        };
        let members: Vec<(&str, RecordMembers)> = versions
            .values()
            .map(|version| {
                let members = RecordMembers::read(&version.record);
                Ok((&*version.key, members.map_err(|error| misfit(&version.key, error))?))
            })
            .collect::<Result<_, SyncError>>()?;
        let records: Vec<_> = members.iter().map(|(_, members)| &members.record).collect();
        let lines: Vec<_> = members.iter().flat_map(|(_, members)| &members.lines).collect();
        let first = members.first().map_or("", |(key, _)| key);
        let rows = |table: &str, rows: &[_]| {
            table_rows(rows, &described_columns(&shapes[table]), DELETED_AT)
                .map_err(|error| misfit(&format!("{first} or a later one"), error))
        };
        Ok(Self {
            records: rows(&dataset.table, &records)?,
            lines: match &dataset.lines {
                Some(own) => rows(&own.table, &lines)?,
                None => Vec::new(),
            },
        })
    }
}
