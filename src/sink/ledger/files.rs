//! Files: the ledger's lines, one for each version of a file. Every question about files is
//! answered here.

use crate::chunk::{Counts, Position};
use crate::error::SyncError;
use crate::feed::correction::Header;
use crate::feed::dataset::Dataset;
use crate::feed::stamp::Stamp;
use crate::feed::version::Version;
use crate::sink::ledger::attempts::Attempts;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::{Ledger, now};
use crate::values::cell::hex;
use entity::files;
use sea_orm::sea_query::{Condition, Expr, ExprTrait, InsertStatement, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter, QueryOrder, QuerySelect,
    Value,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Paths in one query: far below every database's limit of bound values.
pub(crate) const PATHS_PER_QUERY: usize = 500;

/// Stored instead of a content digest if the content was not read: the file is unreadable, too
/// large, or keeps changing.
pub const UNHASHED: &str = "";

/// The ledger line of one version of a file.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// Id of the ledger line.
    pub id: i64,
    /// Absolute path.
    pub path: String,
    /// The feed; `None` when unmatched.
    pub dataset: Option<String>,
    /// The market; `None` when unmatched.
    pub market: Option<String>,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Version, which orders the files of a dataset and market; milliseconds since 1970.
    pub version_ms: i64,
    /// Its state.
    pub state: FileState,
    /// Counts so far.
    pub counts: Counts,
    /// Its stamp when it was read, to recognise an unchanged file without hashing it.
    pub stamp: Stamp,
    /// Digest of the rules that it was read with; for a quarantined file, of what the refusal
    /// depends on.
    pub rules_digest: String,
    /// Position to resume at.
    pub position: Option<Position>,
    /// Processes that took it up since its last commit.
    pub attempts: Attempts,
    /// Whether an operator approved its deletion.
    pub is_approved: bool,
    /// Its columns and delimiter, kept for the export of its rejects.
    pub header: Option<Header>,
    /// For a corrected copy: name without extensions of the file that it corrects.
    pub corrects: Option<String>,
    /// Why it is not synced.
    pub error: Option<String>,
}

/// A version of a file that is not in the ledger yet.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Absolute path.
    pub path: String,
    /// The feed; `None` when unmatched.
    pub dataset: Option<String>,
    /// The market; `None` when unmatched.
    pub market: Option<String>,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Version, which orders the files of a dataset and market; milliseconds since 1970.
    pub version_ms: i64,
    /// Its state.
    pub state: FileState,
    /// Its stamp when it was read, to recognise an unchanged file without hashing it.
    pub stamp: Stamp,
    /// Digest of the rules that it was read with.
    pub rules_digest: String,
    /// For a corrected copy: name without extensions of the file that it corrects.
    pub corrects: Option<String>,
    /// Why it is not synced.
    pub error: Option<String>,
}

impl FileRecord {
    /// Whether an operator asked for another try of a quarantined file: its rules digest is then
    /// empty, so that it matches no rules.
    pub fn is_retry_requested(&self) -> bool {
        self.state == FileState::Quarantined && self.rules_digest.is_empty()
    }

    /// Version and path, by which files are ordered.
    pub fn version(&self) -> Version {
        Version { ms: self.version_ms, path: self.path.clone() }
    }
}

impl From<files::Model> for FileRecord {
    fn from(file: files::Model) -> Self {
        Self {
            counts: counts_of(&file),
            id: file.id,
            path: file.path,
            dataset: file.dataset,
            market: file.market,
            sha256: file.sha256,
            version_ms: file.version.timestamp_millis(),
            state: FileState::of_ledger(&file.state),
            stamp: Stamp::of_ledger(file.size_bytes, file.modified_ns, file.inode, file.changed_ns),
            rules_digest: file.transform,
            position: file.position.and_then(|position| serde_json::from_str(&position).ok()),
            attempts: Attempts::of_ledger(file.attempts.as_deref()),
            header: file.header.and_then(|header| serde_json::from_str(&header).ok()),
            corrects: file.corrects,
            is_approved: file.approved_at.is_some(),
            error: file.error,
        }
    }
}

/// Where the ledger keeps each count, in the order of [`Counts::NAMES`].
pub(crate) const COUNT_COLUMNS: [files::Column; 12] = [
    files::Column::RowsRead,
    files::Column::RowsAccepted,
    files::Column::RowsDuplicate,
    files::Column::RowsRejected,
    files::Column::RowsSkipped,
    files::Column::RowsRepaired,
    files::Column::RowsRescued,
    files::Column::RowsNew,
    files::Column::RowsModified,
    files::Column::RowsUnchanged,
    files::Column::RowsStale,
    files::Column::RowsDeleted,
];

/// The counts of one version of a file.
pub(crate) fn counts_of(file: &files::Model) -> Counts {
    Counts::of(COUNT_COLUMNS.map(|column| match file.get(column) {
        Value::BigInt(number) => count(number),
        other => unreachable!("a count is an integer, not {other:?}"),
    }))
}

/// Totals for metrics and status.
#[derive(Clone, Debug, Default)]
pub struct LedgerTotals {
    /// Files by state: the newest version of each path. Stopped files count only while they exist
    /// and nothing newer replaces them.
    pub files: BTreeMap<&'static str, u64>,
    /// Counts over all files.
    pub counts: Counts,
    /// Rejected rows that nothing has closed yet.
    pub rejects_open: u64,
    /// Mart groups waiting for their refresh.
    pub dirty_groups: u64,
    /// When the last file was synced; milliseconds since 1970.
    pub last_synced_ms: Option<i64>,
}

impl Ledger {
    /// Ids of unfinished files.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn unfinished_files(&self) -> Result<HashSet<i64>, SyncError> {
        let open = [FileState::Pending, FileState::Syncing].map(FileState::name);
        let ids = files::Entity::find()
            .select_only()
            .column(files::Column::Id)
            .filter(files::Column::State.is_in(open));
        Ok(ids.into_tuple::<i64>().all(&self.db.connection).await?.into_iter().collect())
    }

    /// The newest record of each of these paths.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn newest_files_at(
        &self,
        paths: Vec<String>,
    ) -> Result<HashMap<String, FileRecord>, SyncError> {
        use files::Column as C;
        let mut newest = HashMap::new();
        for paths in paths.chunks(PATHS_PER_QUERY) {
            let files = files::Entity::find()
                .filter(C::Id.is_in(self.newest_ids_at(paths, Condition::all()).await?))
                .all(&self.db.connection)
                .await?;
            newest
                .extend(files.into_iter().map(|file| (file.path.clone(), FileRecord::from(file))));
        }
        Ok(newest)
    }

    /// The newest record of one path.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn newest_file(&self, path: &str) -> Result<Option<FileRecord>, SyncError> {
        let newest = files::Entity::find()
            .filter(is_at(path))
            .order_by_desc(files::Column::Id)
            .one(&self.db.connection)
            .await?;
        Ok(newest.map(FileRecord::from))
    }

    /// The last version of the path with rows in the tables, even if only some.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn last_taken_file(&self, path: &str) -> Result<Option<FileRecord>, SyncError> {
        let taken = files::Entity::find()
            .filter(is_at(path))
            .filter(was_taken())
            .order_by_desc(files::Column::Id)
            .one(&self.db.connection)
            .await?;
        Ok(taken.map(FileRecord::from))
    }

    /// The same for each of these paths.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn last_taken_files_at(
        &self,
        paths: &[String],
    ) -> Result<HashMap<String, FileRecord>, SyncError> {
        let mut taken = HashMap::new();
        for paths in paths.chunks(PATHS_PER_QUERY) {
            let files = files::Entity::find()
                .filter(files::Column::Id.is_in(self.newest_ids_at(paths, was_taken()).await?))
                .all(&self.db.connection)
                .await?;
            taken.extend(files.into_iter().map(|file| (file.path.clone(), FileRecord::from(file))));
        }
        Ok(taken)
    }

    /// Ids of the newest of these lines at each of these paths, at most [`PATHS_PER_QUERY`]. Only
    /// the ids are asked of the database, because a path may have millions of versions.
    pub(crate) async fn newest_ids_at(
        &self,
        paths: &[String],
        of: Condition,
    ) -> Result<Vec<i64>, SyncError> {
        let newest = files::Entity::find()
            .select_only()
            .column_as(files::Column::Id.max(), "newest")
            .filter(files::Column::PathKey.is_in(paths.iter().map(|path| path_key(path))))
            .filter(of)
            .group_by(files::Column::PathKey);
        Ok(newest.into_tuple().all(&self.db.connection).await?)
    }

    /// Whether files of other datasets have rows of a market in the tables.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn has_files_of(&self, datasets: &[String], market: &str) -> Result<bool, SyncError> {
        let mut query = Query::select();
        query
            .expr(Expr::value(1))
            .from(files::Entity)
            .and_where(files::Column::Dataset.is_in(datasets))
            .and_where(files::Column::Market.eq(market))
            .and_where(files::Column::Position.is_not_null())
            .limit(1);
        Ok(self.db.connection.query_one(&query).await?.is_some())
    }

    /// Version and path of the newest other file of a dataset and market with rows in the tables.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn newest_synced(&self, file: &FileRecord) -> Result<Option<Version>, SyncError> {
        let newest = files::Entity::find()
            .filter(files::Column::Dataset.eq(file.dataset.clone()))
            .filter(files::Column::Market.eq(file.market.clone()))
            // A corrected copy does not count, because it has only single rows of an export.
            .filter(files::Column::Corrects.is_null())
            // A file that was given up half-way also has rows in the tables.
            .filter(files::Column::Position.is_not_null())
            .filter(files::Column::Id.ne(file.id))
            .order_by_desc(files::Column::Version)
            .order_by_desc(files::Column::Path)
            .one(&self.db.connection)
            .await?;
        Ok(newest
            .map(|newest| Version { ms: newest.version.timestamp_millis(), path: newest.path }))
    }

    /// Version and path of these files.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn versions_of(&self, ids: Vec<i64>) -> Result<HashMap<i64, Version>, SyncError> {
        let files = files::Entity::find()
            .filter(files::Column::Id.is_in(ids))
            .all(&self.db.connection)
            .await?;
        let version =
            |file: files::Model| Version { ms: file.version.timestamp_millis(), path: file.path };
        Ok(files.into_iter().map(|file| (file.id, version(file))).collect())
    }

    /// Adds a version of a file, and gives up an unfinished predecessor at the same path.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_file(&self, file: &NewFile, now_ms: i64) -> Result<FileRecord, SyncError> {
        use files::Column as C;
        let write = self.db.begin().await?;
        self.end_resync(&write.transaction, &file.path).await?;
        files::Entity::update_many()
            .col_expr(C::State, Expr::value(FileState::Failed.name()))
            .col_expr(
                C::Error,
                Expr::value("newer content came to its path before it was finished"),
            )
            .col_expr(C::FinishedAt, Expr::value(self.db.dialect.time(Some(now_ms))))
            .filter(is_at(&file.path))
            .filter(C::State.is_in([FileState::Pending.name(), FileState::Syncing.name()]))
            .exec(&write.transaction)
            .await?;
        self.note_taken_again(&write.transaction, &file.path).await?;
        write.transaction.execute(&self.insert_files(std::slice::from_ref(file), now_ms)).await?;
        let added = files::Entity::find()
            .filter(is_at(&file.path))
            .order_by_desc(C::Id)
            .one(&write.transaction)
            .await?;
        write.commit().await?;
        let added = added.expect("the row was inserted in the same transaction");
        self.count(added.id);
        Ok(added.into())
    }

    /// Adds files at paths that are new to the ledger, all or none, and returns their lines by
    /// path.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_files(
        &self,
        files: &[NewFile],
        now_ms: i64,
    ) -> Result<HashMap<String, FileRecord>, SyncError> {
        if files.is_empty() {
            return Ok(HashMap::new());
        }
        let write = self.db.begin().await?;
        for files in files.chunks(PATHS_PER_QUERY) {
            write.transaction.execute(&self.insert_files(files, now_ms)).await?;
        }
        write.commit().await?;
        self.newest_files_at(files.iter().map(|file| file.path.clone()).collect()).await
    }

    fn insert_files(&self, files: &[NewFile], now_ms: i64) -> InsertStatement {
        let mut insert = Query::insert();
        insert.into_table(files::Entity);
        for file in files {
            let (columns, values): (Vec<files::Column>, Vec<Value>) =
                self.values_of(file, now_ms).into_iter().unzip();
            insert.columns(columns).values_panic(values.into_iter().map(Expr::value));
        }
        insert
    }

    fn values_of(&self, file: &NewFile, now_ms: i64) -> Vec<(files::Column, Value)> {
        use files::Column as C;
        let is_final = !matches!(file.state, FileState::Pending | FileState::Syncing);
        let mut values = vec![
            (C::Path, file.path.as_str().into()),
            (C::PathKey, path_key(&file.path).into()),
            (C::Dataset, file.dataset.clone().into()),
            (C::Market, file.market.clone().into()),
            (C::Sha256, file.sha256.as_str().into()),
            (C::SizeBytes, file.stamp.ledger_size().into()),
            (C::Version, self.db.dialect.time(Some(file.version_ms))),
            (C::State, file.state.name().into()),
            (C::StartedAt, self.db.dialect.time(Some(now_ms))),
            (C::FinishedAt, self.db.dialect.time(is_final.then_some(now_ms))),
            (C::Error, file.error.clone().into()),
            (C::ModifiedNs, file.stamp.modified_ns.into()),
            (C::Inode, file.stamp.ledger_inode().into()),
            (C::ChangedNs, file.stamp.changed_ns.into()),
            (C::Transform, file.rules_digest.as_str().into()),
            (C::Corrects, file.corrects.clone().into()),
            (C::History, i64::from(self.keeps_history()).into()),
            (
                C::Attempts,
                (file.state == FileState::Syncing).then(|| Attempts::FIRST.to_ledger()).into(),
            ),
        ];
        values.extend(COUNT_COLUMNS.map(|column| (column, Value::BigInt(Some(0)))));
        values
    }

    /// Sets the state and rules digest of a file.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_state(
        &self,
        id: i64,
        state: FileState,
        rules_digest: &str,
        error: Option<&str>,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        let is_final = !matches!(state, FileState::Pending | FileState::Syncing);
        let write = self.db.begin().await?;
        let mut update = files::Entity::update_many()
            .col_expr(C::State, Expr::value(state.name()))
            .col_expr(C::Transform, Expr::value(rules_digest))
            .col_expr(C::Error, Expr::value(error.map(str::to_owned)))
            .col_expr(C::FinishedAt, Expr::value(self.db.dialect.time(is_final.then_some(now_ms))))
            .filter(C::Id.eq(id));
        if is_final {
            update = update.col_expr(C::Attempts, Expr::value(None::<String>));
        }
        update.exec(&write.transaction).await?;
        if !is_final {
            return write.commit_without_progress().await;
        }
        write.commit().await?;
        self.uncount(id);
        Ok(())
    }

    /// Stores a new stamp for unchanged content.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_stamp(&self, id: i64, stamp: Stamp) -> Result<(), SyncError> {
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::ModifiedNs, Expr::value(stamp.modified_ns))
            .col_expr(files::Column::Inode, Expr::value(stamp.ledger_inode()))
            .col_expr(files::Column::ChangedNs, Expr::value(stamp.changed_ns))
            .filter(files::Column::Id.eq(id))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }

    /// Totals over the whole ledger.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn totals(&self, datasets: &[Arc<Dataset>]) -> Result<LedgerTotals, SyncError> {
        use files::Column as C;
        // PostgreSQL and MySQL sum integers into a wider type. The driver can read this type on all
        // three databases.
        let integer = if self.db.dialect == crate::sink::db::dialect::Dialect::Mysql {
            "SIGNED"
        } else {
            "BIGINT"
        };
        let sum = |column: C| Expr::expr(Expr::col(column).sum()).cast_as(integer);
        let mut sums = Query::select();
        sums.from(files::Entity).exprs(COUNT_COLUMNS.map(sum));
        let sums = self.db.connection.query_one(&sums).await?;
        let mut all = [0; Counts::NAMES.len()];
        for (index, total) in all.iter_mut().enumerate() {
            let sum = sums.as_ref().map(|sums| sums.try_get_by_index(index)).transpose()?;
            *total = count(sum.flatten());
        }
        let mut totals = LedgerTotals {
            files: FileState::ALL.map(|state| (state.name(), 0)).into(),
            counts: Counts::of(all),
            ..LedgerTotals::default()
        };
        self.add_files_by_state(&mut totals, datasets).await?;
        self.add_open_totals(&mut totals).await?;
        Ok(totals)
    }

    async fn add_files_by_state(
        &self,
        totals: &mut LedgerTotals,
        datasets: &[Arc<Dataset>],
    ) -> Result<(), SyncError> {
        use files::Column as C;
        let states: Vec<(String, i64)> = files::Entity::find()
            .select_only()
            .column(C::State)
            .column_as(C::Id.count(), "files")
            .filter(now::counts_now(datasets))
            .group_by(C::State)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        for (state, files) in states {
            if let Some(state) = FileState::from_name(&state) {
                totals.files.insert(state.name(), count(Some(files)));
            }
        }
        Ok(())
    }

    async fn add_open_totals(&self, totals: &mut LedgerTotals) -> Result<(), SyncError> {
        use sea_orm::PaginatorTrait;
        let open = entity::rejects::Entity::find().filter(now::is_open_now());
        totals.rejects_open = open.count(&self.db.connection).await?;
        totals.dirty_groups =
            entity::dirty_groups::Entity::find().count(&self.db.connection).await?;
        let last = files::Entity::find()
            .filter(files::Column::State.eq(FileState::Synced.name()))
            .order_by_desc(files::Column::FinishedAt)
            .one(&self.db.connection)
            .await?;
        totals.last_synced_ms =
            last.and_then(|file| file.finished_at).map(|at| at.timestamp_millis());
        Ok(())
    }
}

fn count(value: Option<i64>) -> u64 {
    u64::try_from(value.unwrap_or(0)).unwrap_or(0)
}

/// The lines of content that counts: not refused, not undone, and read.
fn was_taken() -> Condition {
    use files::Column as C;
    let never = [FileState::Quarantined, FileState::Undone].map(FileState::name);
    let is_dismissed = C::State.eq(FileState::Dismissed.name());
    Condition::all()
        .add(C::Dataset.is_not_null())
        .add(C::State.is_not_in(never))
        .add(is_dismissed.and(C::Position.is_null()).not())
        .add(C::Sha256.ne(UNHASHED))
}

pub(crate) fn is_at(path: &str) -> Condition {
    Condition::all()
        .add(files::Column::PathKey.eq(path_key(path)))
        .add(files::Column::Path.eq(path))
}

pub(crate) fn path_key(path: &str) -> String {
    hex(&Sha256::digest(path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::Iden;

    #[test]
    fn every_count_has_its_column() {
        for (column, name) in COUNT_COLUMNS.iter().zip(Counts::NAMES) {
            assert_eq!(column.to_string(), format!("rows_{name}"));
        }
    }
}
