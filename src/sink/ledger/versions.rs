//! Versions: what the history tells of one record, for people.

use crate::error::SyncError;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::history::{StoredSince, key_digest};
use entity::{files, history, rejects};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::{BTreeMap, HashMap};

/// Most versions of a record that are told: the newest ones.
pub const VERSIONS_MAX: u64 = 100;

/// Most open rejects of a record that are told.
const REJECTS_MAX: u64 = 20;

/// A version of a record that ended.
#[derive(Clone, Debug)]
pub struct EndedVersion {
    /// The file that wrote it.
    pub written_by: Option<i64>,
    /// Since when it was stored; milliseconds since 1970.
    pub valid_from_ms: Option<i64>,
    /// When it ended; milliseconds since 1970.
    pub valid_to_ms: i64,
    /// What ended it.
    pub change: String,
    /// The file that ended it.
    pub ended_by: i64,
    /// What it was: JSON; `None` if it was too large to be kept.
    pub record: Option<String>,
}

/// A rejected row of a record.
#[derive(Clone, Debug)]
pub struct RejectOfRecord {
    /// The file.
    pub file_id: i64,
    /// 1 is the first row after the header.
    pub row_number: i64,
    /// Why it could not be loaded.
    pub reason: String,
}

impl Ledger {
    /// The newest versions of a record that ended, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn versions_of_record(
        &self,
        table: &str,
        market: &str,
        key: &str,
    ) -> Result<Vec<EndedVersion>, SyncError> {
        let rows = history::Entity::find()
            .filter(history::Column::KeyDigest.eq(key_digest(table, market, key)))
            .order_by_desc(history::Column::Id)
            .limit(VERSIONS_MAX)
            .all(&self.db.connection)
            .await?;
        let version = |row: history::Model| EndedVersion {
            written_by: row.written_by,
            valid_from_ms: row.valid_from.map(|at| at.timestamp_millis()),
            valid_to_ms: row.valid_to.timestamp_millis(),
            change: row.change,
            ended_by: row.file_id,
            record: row.record,
        };
        Ok(rows.into_iter().rev().map(version).collect())
    }

    /// Who wrote the stored version of a record, and since when it is stored. `wrote` is the file
    /// of its rows, if all have the same.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn stored_version_since(
        &self,
        table: &str,
        market: &str,
        key: &str,
        wrote: Option<i64>,
    ) -> Result<(Option<i64>, Option<i64>), SyncError> {
        let wrote = BTreeMap::from([(key.to_owned(), wrote)]);
        let since = self.stored_since(table, market, &wrote).await?;
        let StoredSince { written_by, valid_from_ms } = since.get(key).copied().unwrap_or_default();
        Ok((written_by, valid_from_ms))
    }

    /// These files.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn files_by_id(
        &self,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<HashMap<i64, FileRecord>, SyncError> {
        let found = files::Entity::find().filter(files::Column::Id.is_in(ids));
        let found = found.all(&self.db.connection).await?;
        Ok(found.into_iter().map(|file| (file.id, file.into())).collect())
    }

    /// The first open rejects of a record, of these datasets and its market.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn open_rejects_of_record(
        &self,
        datasets: &[String],
        market: &str,
        key: &str,
    ) -> Result<Vec<RejectOfRecord>, SyncError> {
        use rejects::Column as C;
        let mut of_feed = Query::select();
        of_feed
            .column(files::Column::Id)
            .from(files::Entity)
            .and_where(files::Column::Dataset.is_in(datasets))
            .and_where(files::Column::Market.eq(market))
            .and_where(files::Column::RowsRejected.gt(0));
        let rows: Vec<(i64, i64, String)> = rejects::Entity::find()
            .select_only()
            .columns([C::FileId, C::RowNumber, C::Reason])
            .filter(C::FileId.in_subquery(of_feed))
            .filter(C::RecordKey.eq(key))
            .filter(C::ClosedAt.is_null())
            .order_by_asc(C::Id)
            .limit(REJECTS_MAX)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let reject = |(file_id, row_number, reason)| RejectOfRecord { file_id, row_number, reason };
        Ok(rows.into_iter().map(reject).collect())
    }

    /// The markets of which the ledger has files of these datasets.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn markets_of(&self, datasets: &[String]) -> Result<Vec<String>, SyncError> {
        use files::Column as C;
        let markets: Vec<Option<String>> = files::Entity::find()
            .select_only()
            .column(C::Market)
            .distinct()
            .filter(C::Dataset.is_in(datasets))
            .order_by_asc(C::Market)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        Ok(markets.into_iter().flatten().collect())
    }
}
