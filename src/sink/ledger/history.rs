//! History: versions of records that a change ended, as `tidegate_history` keeps them.
//!
//! The versions of a record follow one another: what ended one says which file wrote the next. The
//! version behind the last of them is the stored record itself.

use crate::error::SyncError;
use crate::process::clock::now_ms;
use crate::sink::ledger::Ledger;
use crate::values::cell::hex;
use chrono::{DateTime, Utc};
use entity::{Kind, files, history};
use sea_orm::sea_query::{Expr, Func, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Keys in one query, and files: within every database's limit of bound values.
const PER_QUERY: usize = 500;

/// Most text of one statement: far below every server's limit, beside one record that is larger.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Versions that one transaction removes, so that other writers get their turn.
const VERSIONS_PER_REMOVAL: u64 = 1000;

/// Stands for a file that is not known as the one that wrote the version behind.
const UNKNOWN_WRITER: i64 = 0;

/// What ended a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file changed the record or its lines.
    Modified,
    /// A full export did not mention the record.
    Deleted,
    /// The file that wrote the version was undone.
    Undone,
    /// A delta mentioned the record as it was.
    Confirmed,
}

impl Change {
    /// Its name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Undone => "undone",
            Self::Confirmed => "confirmed",
        }
    }
}

/// The version behind one that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// None: the record is gone.
    Gone,
    /// One that this file wrote, if it is known.
    By(Option<i64>),
}

/// A version that a change ends.
#[derive(Debug)]
pub(crate) struct Version {
    pub key: String,
    pub written_by: Option<i64>,
    pub valid_from_ms: Option<i64>,
    pub change: Change,
    /// `None` if it is too large to be kept.
    pub record: Option<String>,
    pub next: Next,
}

/// Who wrote a stored record, and since when it is stored, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredSince {
    pub written_by: Option<i64>,
    pub valid_from_ms: Option<i64>,
}

/// A kept version that a file ended, to restore it.
#[derive(Debug)]
pub(crate) struct KeptVersion {
    pub id: i64,
    pub key: String,
    pub written_by: Option<i64>,
    pub record: String,
}

/// The digest by which the versions of a record are found: a key may be longer than an index takes.
pub(crate) fn key_digest(table: &str, market: &str, key: &str) -> String {
    let text = serde_json::to_string(&[table, market, key]).expect("texts are JSON");
    hex(&Sha256::digest(text)[..16])
}

impl Ledger {
    /// Whether earlier versions of records are kept.
    pub(crate) fn keeps_history(&self) -> bool {
        self.db.history_keep_days > 0
    }

    /// Who wrote some stored records. `wrote` has for each key the file of its rows, if all have
    /// the same.
    pub(crate) async fn stored_since(
        &self,
        table: &str,
        market: &str,
        wrote: &BTreeMap<String, Option<i64>>,
    ) -> Result<HashMap<String, StoredSince>, SyncError> {
        let keys: Vec<&String> = wrote.keys().collect();
        let mut last: HashMap<String, history::Model> = HashMap::new();
        for keys in keys.chunks(PER_QUERY) {
            last.extend(self.last_versions(table, market, keys).await?);
        }
        let mut started_ms = HashMap::new();
        let files: Vec<i64> =
            wrote.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        for files in files.chunks(PER_QUERY) {
            let rows: Vec<(i64, DateTime<Utc>)> = files::Entity::find()
                .select_only()
                .columns([files::Column::Id, files::Column::StartedAt])
                .filter(files::Column::Id.is_in(files.iter().copied()))
                .into_tuple()
                .all(&self.db.connection)
                .await?;
            started_ms.extend(rows.into_iter().map(|(id, at)| (id, at.timestamp_millis())));
        }
        let since = |(key, &wrote): (&String, &Option<i64>)| {
            let started_ms = wrote.and_then(|file_id| started_ms.get(&file_id)).copied();
            (key.clone(), since(last.get(key), wrote, started_ms))
        };
        Ok(wrote.iter().map(since).collect())
    }

    /// The last version of each of these records that ended.
    async fn last_versions(
        &self,
        table: &str,
        market: &str,
        keys: &[&String],
    ) -> Result<HashMap<String, history::Model>, SyncError> {
        use history::Column as C;
        let digests = keys.iter().map(|key| key_digest(table, market, key));
        let mut last = Query::select();
        last.expr(Func::max(Expr::col(C::Id)))
            .from(history::Entity)
            .and_where(C::KeyDigest.is_in(digests))
            .group_by_col(C::KeyDigest);
        // Without the record, which may be large.
        let rows = history::Entity::find()
            .select_only()
            .columns([
                C::Id,
                C::TableName,
                C::Market,
                C::RecordKey,
                C::KeyDigest,
                C::FileId,
                C::WrittenBy,
                C::ValidFrom,
                C::ValidTo,
                C::Change,
                C::FollowedBy,
                C::UndoneAt,
            ])
            .expr_as(Expr::value(None::<String>), C::Record)
            .filter(C::Id.in_subquery(last))
            .into_model::<history::Model>()
            .all(&self.db.connection)
            .await?;
        Ok(rows.into_iter().map(|row| (row.record_key.clone(), row)).collect())
    }

    /// Keeps the versions that a file ended; `None` if they are not known. The file cannot be
    /// undone if one of them is not kept.
    pub(crate) async fn keep_versions(
        &self,
        connection: &impl ConnectionTrait,
        place: (&str, &str),
        file_id: i64,
        versions: Option<Vec<Version>>,
    ) -> Result<(), SyncError> {
        let versions_known = versions.as_deref().unwrap_or_default();
        self.write_versions(connection, place, file_id, versions_known, now_ms()).await?;
        let is_lost = versions.is_none_or(|known| known.iter().any(|one| one.record.is_none()));
        match is_lost {
            true => self.lose_history(connection, [file_id]).await,
            false => Ok(()),
        }
    }

    /// Writes versions that a file, or its undo, ended now.
    pub(crate) async fn write_versions(
        &self,
        connection: &impl ConnectionTrait,
        (table, market): (&str, &str),
        file_id: i64,
        versions: &[Version],
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use history::Column as C;
        let rows_max = self.db.dialect.rows_per_statement();
        for statement in statements(versions, rows_max) {
            let mut insert = Query::insert();
            insert.into_table(history::Entity).columns([
                C::TableName,
                C::Market,
                C::RecordKey,
                C::KeyDigest,
                C::FileId,
                C::WrittenBy,
                C::ValidFrom,
                C::ValidTo,
                C::Change,
                C::Record,
                C::FollowedBy,
            ]);
            for version in &versions[statement] {
                // A clock that was set back must not make a version end before it begins.
                let to_ms = version.valid_from_ms.map_or(now_ms, |from_ms| from_ms.max(now_ms));
                let followed_by = match version.next {
                    Next::Gone => None,
                    Next::By(file_id) => Some(file_id.unwrap_or(UNKNOWN_WRITER)),
                };
                let values: [Value; 11] = [
                    table.into(),
                    market.into(),
                    version.key.as_str().into(),
                    key_digest(table, market, &version.key).into(),
                    file_id.into(),
                    version.written_by.into(),
                    self.db.dialect.time(version.valid_from_ms),
                    self.db.dialect.time(Some(to_ms)),
                    version.change.name().into(),
                    version.record.clone().into(),
                    followed_by.into(),
                ];
                insert.values_panic(values.map(Expr::value));
            }
            connection.execute(&insert).await?;
        }
        Ok(())
    }

    /// Notes that the history lacks a version that this file ended, so that it cannot be undone.
    pub(crate) async fn lose_history(
        &self,
        connection: &impl ConnectionTrait,
        file_ids: impl IntoIterator<Item = i64>,
    ) -> Result<(), SyncError> {
        files::Entity::update_many()
            .col_expr(files::Column::History, Expr::value(0_i64))
            .filter(files::Column::Id.is_in(file_ids))
            .filter(files::Column::History.eq(1))
            .exec(connection)
            .await?;
        Ok(())
    }

    /// The next versions that a file ended and no undo has restored, newest first: as many as have
    /// at most this many bytes, but at least one.
    pub(crate) async fn versions_to_restore(
        &self,
        file_id: i64,
        versions_max: u64,
        bytes_max: i64,
    ) -> Result<Vec<KeptVersion>, SyncError> {
        use history::Column as C;
        let to_restore = || {
            history::Entity::find()
                .filter(C::FileId.eq(file_id))
                .filter(C::UndoneAt.is_null())
                .filter(C::Change.ne(Change::Undone.name()))
                .order_by_desc(C::Id)
        };
        let sizes: Vec<(i64, Option<i64>)> = to_restore()
            .select_only()
            .column(C::Id)
            .expr_as(
                Expr::cust(self.db.dialect.as_stored("LENGTH(record)", Kind::Integer)),
                "bytes",
            )
            .limit(versions_max)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let mut total = 0;
        let fitting = sizes.iter().take_while(|(_, bytes)| {
            let is_first = total == 0;
            total += bytes.unwrap_or(0).max(1);
            is_first || total <= bytes_max
        });
        let Some(&(first, _)) = fitting.last() else { return Ok(Vec::new()) };
        let rows = to_restore().filter(C::Id.gte(first)).all(&self.db.connection).await?;
        let kept = |row: history::Model| {
            let too_large = || {
                SyncError::Internal(format!("the history lacks a version of {}", row.record_key))
            };
            Ok(KeptVersion {
                id: row.id,
                written_by: row.written_by,
                record: row.record.clone().ok_or_else(too_large)?,
                key: row.record_key,
            })
        };
        rows.into_iter().map(kept).collect()
    }

    /// Notes that an undo took the changes back that ended these versions.
    pub(crate) async fn set_undone(
        &self,
        connection: &impl ConnectionTrait,
        ids: &[i64],
        now_ms: i64,
    ) -> Result<(), SyncError> {
        for ids in ids.chunks(PER_QUERY) {
            history::Entity::update_many()
                .col_expr(
                    history::Column::UndoneAt,
                    Expr::value(self.db.dialect.time(Some(now_ms))),
                )
                .filter(history::Column::Id.is_in(ids.iter().copied()))
                .exec(connection)
                .await?;
        }
        Ok(())
    }

    /// Removes the next versions that ended before this time, in one transaction. Returns whether
    /// there may be more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_old_versions(&self, before_ms: i64) -> Result<bool, SyncError> {
        use history::Column as C;
        let oldest: Vec<(i64, i64, DateTime<Utc>)> = history::Entity::find()
            .select_only()
            .columns([C::Id, C::FileId, C::ValidTo])
            .order_by_asc(C::Id)
            .limit(VERSIONS_PER_REMOVAL)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let old: Vec<&(i64, i64, DateTime<Utc>)> = oldest
            .iter()
            .take_while(|(_, _, valid_to)| valid_to.timestamp_millis() < before_ms)
            .collect();
        let Some(&&(last, ..)) = old.last() else { return Ok(false) };
        let write = self.db.begin().await?;
        let files: BTreeSet<i64> = old.iter().map(|(_, file_id, _)| *file_id).collect();
        self.lose_history(&write.transaction, files).await?;
        history::Entity::delete_many().filter(C::Id.lte(last)).exec(&write.transaction).await?;
        write.commit().await?;
        Ok(old.len() as u64 == VERSIONS_PER_REMOVAL)
    }
}

/// Who wrote a stored record: what ended its last version says so. Without one, the file of its
/// rows has written it, which began at the given time.
fn since(
    last: Option<&history::Model>,
    wrote: Option<i64>,
    started_ms: Option<i64>,
) -> StoredSince {
    let Some(last) = last else {
        return StoredSince { written_by: wrote, valid_from_ms: started_ms };
    };
    let ended_ms = last.valid_to.timestamp_millis();
    if let Some(undone_at) = last.undone_at {
        // A deletion that was taken back: the version is stored again.
        let valid_from_ms = Some(undone_at.timestamp_millis().max(ended_ms));
        return StoredSince { written_by: last.written_by, valid_from_ms };
    }
    match last.followed_by {
        Some(file_id) => StoredSince {
            written_by: Some(file_id).filter(|&file_id| file_id != UNKNOWN_WRITER),
            valid_from_ms: Some(ended_ms),
        },
        // The record was gone, and came again.
        None => StoredSince {
            written_by: wrote,
            valid_from_ms: Some(started_ms.map_or(ended_ms, |started_ms| started_ms.max(ended_ms))),
        },
    }
}

/// Splits versions into statements of bounded text.
fn statements(versions: &[Version], rows_max: usize) -> Vec<Range<usize>> {
    let bytes = |version: &Version| version.record.as_ref().map_or(0, String::len);
    let mut statements = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, version) in versions.iter().enumerate() {
        let is_full = index - start >= rows_max || size + bytes(version) > STATEMENT_BYTES_MAX;
        if index > start && is_full {
            statements.push(start..index);
            (start, size) = (index, 0);
        }
        size += bytes(version);
    }
    if start < versions.len() {
        statements.push(start..versions.len());
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).expect("a moment")
    }

    fn ended(followed_by: Option<i64>, undone_ms: Option<i64>) -> history::Model {
        history::Model {
            id: 1,
            table_name: "orders".to_owned(),
            market: "1".to_owned(),
            record_key: "7".to_owned(),
            key_digest: key_digest("orders", "1", "7"),
            file_id: 2,
            written_by: Some(1),
            valid_from: Some(at(100)),
            valid_to: at(200),
            change: Change::Modified.name().to_owned(),
            record: None,
            followed_by,
            undone_at: undone_ms.map(at),
        }
    }

    #[test]
    fn a_stored_version_begins_where_the_one_before_it_ended() {
        let told = |last: Option<&history::Model>| {
            let stored = since(last, Some(9), Some(150));
            (stored.written_by, stored.valid_from_ms)
        };
        assert_eq!(told(None), (Some(9), Some(150)));
        assert_eq!(told(Some(&ended(Some(2), None))), (Some(2), Some(200)));
        assert_eq!(told(Some(&ended(Some(UNKNOWN_WRITER), None))), (None, Some(200)));
        assert_eq!(told(Some(&ended(None, None))), (Some(9), Some(200)), "came again");
        assert_eq!(told(Some(&ended(None, Some(300)))), (Some(1), Some(300)), "deletion undone");
        assert_eq!(since(None, None, None), StoredSince::default());
    }

    #[test]
    fn statements_are_bounded_and_leave_no_version_out() {
        let version = |bytes: usize| Version {
            key: String::new(),
            written_by: None,
            valid_from_ms: None,
            change: Change::Modified,
            record: Some("x".repeat(bytes)),
            next: Next::Gone,
        };
        let half = STATEMENT_BYTES_MAX / 2;
        let versions: Vec<Version> =
            [1, 1, 1, half, half, 2 * half + 1, 1].map(version).into_iter().collect();
        assert_eq!(statements(&versions, 2), [0..2, 2..4, 4..5, 5..6, 6..7]);
        assert!(statements(&[], 2).is_empty());
    }

    #[test]
    fn no_two_records_share_a_digest() {
        let digests: BTreeSet<String> = [("a", "b", "c"), ("a", "", "bc"), ("ab", "", "c")]
            .map(|(table, market, key)| key_digest(table, market, key))
            .into();
        assert_eq!(digests.len(), 3);
    }
}
