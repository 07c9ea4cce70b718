//! Undone: the ledger's part of taking files back. A file that is `undone` and still has a position
//! has rows in the tables: its undo goes on, also after a crash.

use crate::error::SyncError;
use crate::feed::correction::stem;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::values::moment::format_moment;
use entity::{alarms, files, number_forms};
use sea_orm::sea_query::{Condition, Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

/// A file with rows in the tables, as an undo sees it.
#[derive(Clone, Debug)]
pub struct AppliedFile {
    /// Its line in the ledger.
    pub file: FileRecord,
    /// When it ended; `None` while it is unfinished. Milliseconds since 1970.
    pub finished_ms: Option<i64>,
    /// Whether the history has every version that it ended.
    pub has_history: bool,
}

impl AppliedFile {
    /// The order in which files were applied. Files of a market follow one another; an unfinished
    /// one is the last.
    pub fn order(&self) -> (i64, i64) {
        (self.finished_ms.unwrap_or(i64::MAX), self.file.id)
    }
}

impl From<files::Model> for AppliedFile {
    fn from(file: files::Model) -> Self {
        Self {
            finished_ms: file.finished_at.map(|at| at.timestamp_millis()),
            has_history: file.history == Some(1),
            file: file.into(),
        }
    }
}

impl Ledger {
    /// A line of the ledger as an undo sees it; `None` if its file has no rows in the tables.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn applied_file(&self, id: i64) -> Result<Option<AppliedFile>, SyncError> {
        let applied = files::Entity::find().filter(is_applied()).filter(files::Column::Id.eq(id));
        Ok(applied.one(&self.db.connection).await?.map(AppliedFile::from))
    }

    /// The files of these datasets and a market that were applied after this one, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn applied_after(
        &self,
        applied: &AppliedFile,
        datasets: &[String],
        market: &str,
    ) -> Result<Vec<AppliedFile>, SyncError> {
        use files::Column as C;
        let finished_at = self.db.dialect.time(applied.finished_ms);
        let is_unfinished = C::FinishedAt.is_null();
        let is_later = match applied.finished_ms {
            None => is_unfinished,
            Some(_) => is_unfinished.or(C::FinishedAt.gte(finished_at)),
        };
        let later = files::Entity::find()
            .filter(is_applied())
            .filter(C::Dataset.is_in(datasets))
            .filter(C::Market.eq(market))
            .filter(is_later)
            .all(&self.db.connection)
            .await?;
        let mut later: Vec<AppliedFile> = later.into_iter().map(AppliedFile::from).collect();
        later.retain(|later| later.order() > applied.order());
        later.sort_by_key(|later| std::cmp::Reverse(later.order()));
        Ok(later)
    }

    /// Files whose undo has begun and not ended, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn unfinished_undos(&self) -> Result<Vec<AppliedFile>, SyncError> {
        let unfinished = files::Entity::find()
            .filter(files::Column::State.eq(FileState::Undone.name()))
            .filter(files::Column::Position.is_not_null())
            .all(&self.db.connection)
            .await?;
        let mut unfinished: Vec<AppliedFile> =
            unfinished.into_iter().map(AppliedFile::from).collect();
        unfinished.sort_by_key(|file| std::cmp::Reverse(file.order()));
        Ok(unfinished)
    }

    /// Begins to undo these files, all or none: from then on, every start goes on with it.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost.
    pub async fn begin_undo(&self, ids: &[i64], now_ms: i64) -> Result<(), SyncError> {
        use files::Column as C;
        let note = format!(
            "undone at {}; it is taken again when its content changes, or by `tidegate approve FILE`",
            format_moment(now_ms)
        );
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(C::State, Expr::value(FileState::Undone.name()))
            .col_expr(C::Error, Expr::value(note))
            .col_expr(C::ApprovedAt, Expr::value(self.db.dialect.time(None)))
            .col_expr(C::Attempts, Expr::value(None::<String>))
            .filter(C::Id.is_in(ids.iter().copied()))
            .filter(is_applied())
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }

    /// Takes back what an undone file left in the ledger beside its rejects: what it proved of
    /// numbers, its alarms, and that it superseded held files. Its undo has ended then.
    pub(crate) async fn end_undo(
        &self,
        connection: &impl ConnectionTrait,
        file_id: i64,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        number_forms::Entity::delete_many()
            .filter(number_forms::Column::FileId.eq(file_id))
            .exec(connection)
            .await?;
        alarms::Entity::update_many()
            .col_expr(alarms::Column::ClearedAt, Expr::value(self.db.dialect.time(Some(now_ms))))
            .filter(alarms::Column::FileId.eq(file_id))
            .filter(alarms::Column::ClearedAt.is_null())
            .exec(connection)
            .await?;
        files::Entity::update_many()
            .col_expr(C::State, Expr::value(FileState::Held.name()))
            .col_expr(C::Error, Expr::col(C::HeldError))
            .filter(C::SupersededBy.eq(file_id))
            .filter(C::State.eq(FileState::Synced.name()))
            .exec(connection)
            .await?;
        files::Entity::update_many()
            .col_expr(C::SupersededBy, Expr::value(None::<i64>))
            .filter(C::SupersededBy.eq(file_id))
            .exec(connection)
            .await?;
        files::Entity::update_many()
            .col_expr(C::Position, Expr::value(None::<String>))
            .filter(C::Id.eq(file_id))
            .exec(connection)
            .await?;
        Ok(())
    }

    /// Exports that a corrected copy corrects and that are synced without a note.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn exports_without_note(&self, copy: &FileRecord) -> Result<Vec<i64>, SyncError> {
        use files::Column as C;
        let candidates = files::Entity::find()
            .filter(C::Dataset.eq(copy.dataset.clone()))
            .filter(C::Market.eq(copy.market.clone()))
            .filter(C::RowsRejected.gt(0))
            .filter(C::Corrects.is_null())
            .filter(C::State.eq(FileState::Synced.name()))
            .filter(C::Error.is_null())
            .all(&self.db.connection)
            .await?;
        let is_corrected = |file: &files::Model| Some(stem(&file.path)) == copy.corrects.as_deref();
        Ok(candidates.iter().filter(|file| is_corrected(file)).map(|file| file.id).collect())
    }

    /// Notes something about a file.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost.
    pub async fn set_note(&self, id: i64, note: &str) -> Result<(), SyncError> {
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::Error, Expr::value(note))
            .filter(files::Column::Id.eq(id))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }
}

/// Files with rows in the tables that are not being undone.
fn is_applied() -> Condition {
    use files::Column as C;
    Condition::all()
        .add(C::Position.is_not_null())
        .add(C::Dataset.is_not_null())
        .add(C::State.ne(FileState::Undone.name()))
}
