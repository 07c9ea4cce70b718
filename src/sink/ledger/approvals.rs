//! Approvals: an operator approves a held deletion, another try of a quarantined file, or that an
//! undone or dismissed file is taken again. This is written without the lease. It changes one row
//! of the ledger: from `held` to `pending`, or it clears the rules digest of the refusal, or it
//! notes the approval. The process that holds the lease then takes the file up.

use crate::config::Config;
use crate::error::SyncError;
use crate::sink::db::connect::connect;
use crate::sink::db::dialect::Dialect;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::put_aside::PUT_ASIDE;
use entity::files;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// Approves what became of a file; `false` if it is no longer in that state.
///
/// # Errors
///
/// When the database fails.
pub async fn approve(config: &Config, file: &FileRecord, now_ms: i64) -> Result<bool, SyncError> {
    use files::Column as C;
    let connection = connect(config).await?;
    let dialect = Dialect::of(connection.get_database_backend());
    let approved_at = Expr::value(dialect.time(Some(now_ms)));
    let update = match file.state {
        // It is taken again under another line of the ledger.
        FileState::Undone => files::Entity::update_many().col_expr(C::ApprovedAt, approved_at),
        FileState::Dismissed if file.position.is_none() => {
            files::Entity::update_many().col_expr(C::ApprovedAt, approved_at)
        }
        FileState::Quarantined => {
            files::Entity::update_many().col_expr(C::Transform, Expr::value(""))
        }
        _ => files::Entity::update_many()
            .col_expr(C::State, Expr::value(FileState::Pending.name()))
            .col_expr(C::ApprovedAt, approved_at),
    };
    let approved = update
        .filter(C::Id.eq(file.id))
        .filter(C::State.eq(file.state.name()))
        .exec(&connection)
        .await;
    connection.close_by_ref().await?;
    Ok(approved?.rows_affected == 1)
}

impl Ledger {
    /// Held files, and quarantined, undone or dismissed files that no newer version of their path
    /// has superseded.
    /// Quarantined files with rows in the tables are left out: they continue under another ledger
    /// line.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn approvable_files(&self) -> Result<Vec<FileRecord>, SyncError> {
        use files::Column as C;
        let mut newest = Query::select();
        newest.expr(Expr::col(C::Id).max()).from(files::Entity).group_by_col(C::PathKey);
        let is_refused = C::State.eq(FileState::Quarantined.name()).and(C::Position.is_null());
        let is_put_aside = C::State.is_in(PUT_ASIDE.map(FileState::name));
        let is_refused = is_refused.or(is_put_aside).and(C::Id.in_subquery(newest));
        let stopped =
            files::Entity::find().filter(C::State.eq(FileState::Held.name()).or(is_refused));
        let stopped = stopped.order_by_asc(C::Path).all(&self.db.connection).await?;
        Ok(stopped.into_iter().map(FileRecord::from).collect())
    }

    /// A file of the ledger.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn file(&self, id: i64) -> Result<Option<FileRecord>, SyncError> {
        Ok(files::Entity::find_by_id(id).one(&self.db.connection).await?.map(FileRecord::from))
    }

    /// Paths of approved files that nobody has taken up yet.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn approved_paths(&self) -> Result<Vec<String>, SyncError> {
        use files::Column as C;
        let is_approved = C::State.eq(FileState::Pending.name()).and(C::ApprovedAt.is_not_null());
        let is_retried = C::State.eq(FileState::Quarantined.name()).and(C::Transform.eq(""));
        let is_taken_again =
            C::State.is_in(PUT_ASIDE.map(FileState::name)).and(C::ApprovedAt.is_not_null());
        let is_resynced = C::State.eq(FileState::Pending.name()).and(C::Transform.eq(""));
        let approved = files::Entity::find()
            .select_only()
            .column(C::Path)
            .filter(is_approved.or(is_retried).or(is_taken_again).or(is_resynced));
        Ok(approved.into_tuple().all(&self.db.connection).await?)
    }
}
