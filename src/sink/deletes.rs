//! Deletes: marks or removes stored records that the newest full export does not mention, in
//! bounded transactions. Also ends a file whose deletion was made, held, or superseded.

use crate::chunk::{Counts, Position};
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Deletes};
use crate::feed::layout::{SchemaChange, Shapes};
use crate::feed::version::Version;
use crate::sink::Sink;
use crate::sink::commit::{ChunkWrite, KEYS_PER_STATEMENT};
use crate::sink::ledger::alarms::{AlarmChecks, AlarmEvent};
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::generations::new_generation;
use crate::sink::ledger::history::{Change, Next};
use crate::sink::tables::before_images::Ending;
use crate::sink::tables::by_key::{go_on_after, is_one_of, keys_in};
use crate::sink::tables::{DELETED_AT, Tables};
use entity::{ColumnShape, Kind, files};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement, UpdateStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::HashSet;

/// Keys in a page of stored records: a page of long keys takes a megabyte.
pub const KEYS_PER_PAGE: usize = 5000;

/// The column for deletion marks, if the dataset marks records and the table lacks it.
pub(crate) fn mark_column(dataset: &Dataset, shapes: &Shapes) -> Option<SchemaChange> {
    let is_lacking =
        shapes.get(&dataset.table).is_some_and(|shape| shape.column(DELETED_AT).is_none());
    (dataset.deletes == Deletes::Mark && is_lacking).then(|| SchemaChange {
        table: dataset.table.clone(),
        column: ColumnShape::found(DELETED_AT.to_owned(), Kind::Time),
        widened_from: None,
        renamed_from: None,
    })
}

impl Tables {
    /// The next keys of a market's records after a key, in order, without those of the other
    /// datasets that write to the table, and without marked ones where records are marked.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn stored_keys(
        &self,
        dataset: &Dataset,
        others: &[String],
        market: &str,
        after: &str,
    ) -> Result<Vec<String>, SyncError> {
        let mut query = keys_of(dataset, market);
        if !others.is_empty() {
            query.and_where(Expr::col("_file_id").not_in_subquery(files_of(others, market)));
        }
        go_on_after(&mut query, &dataset.key, after);
        query.limit(KEYS_PER_PAGE as u64);
        if dataset.deletes == Deletes::Mark && self.has_marks(dataset) {
            query.and_where(Expr::col(DELETED_AT).is_null());
        }
        Ok(keys_in(&self.db.connection, &query, &dataset.key).await?)
    }

    /// The next keys, after a key and in order, of a market's records that other datasets wrote
    /// last.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn keys_of_others(
        &self,
        dataset: &Dataset,
        others: &[String],
        market: &str,
        after: &str,
    ) -> Result<Vec<String>, SyncError> {
        let mut query = keys_of(dataset, market);
        query
            .and_where(Expr::col("_file_id").in_subquery(files_of(others, market)))
            .limit(KEYS_PER_PAGE as u64);
        go_on_after(&mut query, &dataset.key, after);
        Ok(keys_in(&self.db.connection, &query, &dataset.key).await?)
    }

    /// Which of these records are marked as deleted.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn marked_keys(
        &self,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<HashSet<String>, SyncError> {
        let mut marked = HashSet::new();
        if !self.has_marks(dataset) {
            return Ok(marked);
        }
        for keys in keys.chunks(KEYS_PER_STATEMENT) {
            let mut query = self.select(&dataset.table, &dataset.key, market, keys, &[]);
            query.and_where(Expr::col(DELETED_AT).is_not_null());
            marked.extend(keys_in(&self.db.connection, &query, &dataset.key).await?);
        }
        Ok(marked)
    }

    fn has_marks(&self, dataset: &Dataset) -> bool {
        self.shapes().get(&dataset.table).is_some_and(|shape| shape.column(DELETED_AT).is_some())
    }

    async fn remove_records(
        &self,
        connection: &impl ConnectionTrait,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<u64, SyncError> {
        let mut removed = 0;
        let lines = dataset.lines.as_ref().map(|lines| &lines.table);
        for table in lines.into_iter().chain([&dataset.table]) {
            let delete = Query::delete()
                .from_table(Alias::new(table))
                .cond_where(is_one_of(self.db.dialect, &dataset.key, market, keys))
                .to_owned();
            removed += connection.execute(&delete).await?.rows_affected();
        }
        Ok(removed)
    }

    /// The deletion marks that a chunk sets or clears.
    pub(crate) async fn write_marks(
        &self,
        connection: &impl ConnectionTrait,
        chunk: &ChunkWrite<'_>,
    ) -> Result<(), SyncError> {
        for keys in chunk.revived_keys.chunks(KEYS_PER_STATEMENT) {
            let mut update = self.marking(chunk.dataset, &chunk.market, keys, None);
            // Clearing a mark writes the row, even if nothing else changes.
            update.value("_file_id", chunk.file_id);
            connection.execute(&update).await?;
        }
        if let Some(deleted_ms) = chunk.new_deleted_ms {
            for keys in chunk.new_keys.chunks(KEYS_PER_STATEMENT) {
                let update = self.marking(chunk.dataset, &chunk.market, keys, Some(deleted_ms));
                connection.execute(&update).await?;
            }
        }
        Ok(())
    }

    fn marking(
        &self,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
        deleted_ms: Option<i64>,
    ) -> UpdateStatement {
        Query::update()
            .table(Alias::new(&dataset.table))
            .value(DELETED_AT, Expr::value(self.db.dialect.time(deleted_ms)))
            .cond_where(is_one_of(self.db.dialect, &dataset.key, market, keys))
            .to_owned()
    }

    /// Whether a newer full export of the file's dataset and market has been written completely.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn is_followed_by_whole(&self, file: &FileRecord) -> Result<bool, SyncError> {
        use files::Column as C;
        let whole = [FileState::Synced, FileState::Held, FileState::Pending, FileState::Dismissed]
            .map(FileState::name);
        let others: Vec<(chrono::DateTime<chrono::Utc>, String)> = files::Entity::find()
            .select_only()
            .columns([C::Version, C::Path])
            .filter(C::Dataset.eq(file.dataset.clone()))
            .filter(C::Market.eq(file.market.clone()))
            .filter(C::Position.is_not_null())
            .filter(C::State.is_in(whole))
            .filter(C::Corrects.is_null())
            .filter(C::Version.gte(self.db.dialect.time(Some(file.version_ms))))
            .filter(C::Id.ne(file.id))
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let version = |(time, path): (chrono::DateTime<chrono::Utc>, String)| Version {
            ms: time.timestamp_millis(),
            path,
        };
        Ok(others.into_iter().map(version).any(|other| other > file.version()))
    }
}

impl Sink {
    /// Marks or removes records, as their dataset says, and adds them to the file's counts in the
    /// ledger, in one transaction. Returns the new counts.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost; then nothing is deleted.
    pub async fn delete_records(
        &self,
        file: &FileRecord,
        dataset: &Dataset,
        keys: &[String],
        now_ms: i64,
    ) -> Result<Counts, SyncError> {
        let market = file.market.as_deref().unwrap_or_default();
        let next = match dataset.deletes {
            Deletes::Remove => Next::Gone,
            Deletes::Mark | Deletes::Keep => Next::By(Some(file.id)),
        };
        let ending =
            Ending { dataset, market, change: Change::Deleted, next, unless_of_file: None };
        let versions = match self.ledger.keeps_history() {
            true => Some(self.tables.versions_ended(ending, keys).await?),
            false => None,
        };
        let write = self.db.begin().await?;
        let transaction = &write.transaction;
        // Mark before the rows are removed, because their groups cannot be found afterwards.
        // Removed rows join no groups.
        self.marts.mark_groups(transaction, dataset, market, keys, false).await?;
        let mut deleted = 0;
        for keys in keys.chunks(KEYS_PER_STATEMENT) {
            deleted += match dataset.deletes {
                Deletes::Keep => 0,
                Deletes::Mark => {
                    let mut update = self.tables.marking(dataset, market, keys, Some(now_ms));
                    update.and_where(Expr::col(DELETED_AT).is_null());
                    transaction.execute(&update).await?.rows_affected()
                }
                Deletes::Remove => {
                    self.tables.remove_records(transaction, dataset, market, keys).await?
                }
            };
        }
        self.ledger
            .begin_generation(transaction, &dataset.table, market, &new_generation())
            .await?;
        let mut counts = file.counts;
        counts.deleted += deleted;
        self.ledger
            .write_position(transaction, file.id, counts, file.position.unwrap_or(Position::START))
            .await?;
        let place = (&*dataset.table, market);
        self.ledger.keep_versions(transaction, place, file.id, versions).await?;
        fail::fail_point!("before_delete", |_| std::process::abort());
        write.commit().await?;
        fail::fail_point!("during_deletes", |_| std::process::abort());
        Ok(counts)
    }

    /// Sets a file to `synced` or `held`, with its note. The newest export of a dataset and market
    /// supersedes its held files.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn finish_file(
        &self,
        file: &FileRecord,
        state: FileState,
        is_newest: bool,
        alarms: &AlarmChecks,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        let write = self.db.begin().await?;
        if is_newest {
            let note = format!(
                "superseded by {} before it was approved: its deletion was never made",
                file.path
            );
            files::Entity::update_many()
                // In this order: MySQL reads columns as they are by then.
                .col_expr(C::HeldError, Expr::col(C::Error))
                .col_expr(C::SupersededBy, Expr::value(file.id))
                .col_expr(C::State, Expr::value(FileState::Synced.name()))
                .col_expr(C::Error, Expr::value(note))
                .filter(C::State.eq(FileState::Held.name()))
                .filter(C::Dataset.eq(file.dataset.clone()))
                .filter(C::Market.eq(file.market.clone()))
                .filter(C::Id.ne(file.id))
                .exec(&write.transaction)
                .await?;
        }
        self.ledger.close_replaced_rejects(&write.transaction, file, is_newest, now_ms).await?;
        if file.corrects.is_some() {
            self.ledger.clear_notes_of_corrected(&write.transaction, file).await?;
        }
        files::Entity::update_many()
            .col_expr(C::State, Expr::value(state.name()))
            .col_expr(C::Error, Expr::value(file.error.clone()))
            .col_expr(C::FinishedAt, Expr::value(self.db.dialect.time(Some(now_ms))))
            .filter(C::Id.eq(file.id))
            .exec(&write.transaction)
            .await?;
        let events = self.ledger.write_alarms(&write.transaction, file.id, alarms, now_ms).await?;
        write.commit().await?;
        events.iter().for_each(AlarmEvent::log);
        self.ledger.uncount(file.id);
        Ok(())
    }
}

fn keys_of(dataset: &Dataset, market: &str) -> SelectStatement {
    let mut query = Query::select();
    query.columns(dataset.key.names().iter().map(Alias::new));
    query.from(Alias::new(&dataset.table)).and_where(Expr::col("market").eq(market));
    query
}

/// The files that the ledger has of some datasets.
fn files_of(datasets: &[String], market: &str) -> SelectStatement {
    use files::Column as C;
    let mut query = Query::select();
    query
        .column(C::Id)
        .from(files::Entity)
        .and_where(Expr::col(C::Dataset).is_in(datasets))
        .and_where(Expr::col(C::Market).eq(market));
    query
}
