//! Approvals: an operator lets a held deletion be made. The only thing that is written without the lease: one row of
//! the ledger, from `held` to `pending`, which whoever holds the lease then takes up.

use super::dialect::Dialect;
use super::ledger::{FileRecord, FileState};
use super::{Sink, connect};
use crate::config::Config;
use crate::error::SyncError;
use entity::files;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// Approves a held deletion; `false` when it is not held any more.
///
/// # Errors
///
/// When the database fails.
pub async fn approve(config: &Config, id: i64, now_ms: i64) -> Result<bool, SyncError> {
    use files::Column as C;
    let connection = connect(config).await?;
    let dialect = Dialect::of(connection.get_database_backend());
    let approved = files::Entity::update_many()
        .col_expr(C::State, Expr::value(FileState::Pending.name()))
        .col_expr(C::ApprovedAt, Expr::value(dialect.time(Some(now_ms))))
        .filter(C::Id.eq(id))
        .filter(C::State.eq(FileState::Held.name()))
        .exec(&connection)
        .await?;
    Ok(approved.rows_affected == 1)
}

impl Sink {
    /// The files whose deletion is held back.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn held_files(&self) -> Result<Vec<FileRecord>, SyncError> {
        let held = files::Entity::find().filter(files::Column::State.eq(FileState::Held.name()));
        let held = held.order_by_asc(files::Column::Path).all(&self.connection).await?;
        Ok(held.into_iter().map(FileRecord::from).collect())
    }

    /// A file of the ledger.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn file(&self, id: i64) -> Result<Option<FileRecord>, SyncError> {
        Ok(files::Entity::find_by_id(id).one(&self.connection).await?.map(FileRecord::from))
    }

    /// Paths of files that an operator approved and nobody took up yet.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn approved_paths(&self) -> Result<Vec<String>, SyncError> {
        let approved = files::Entity::find()
            .select_only()
            .column(files::Column::Path)
            .filter(files::Column::State.eq(FileState::Pending.name()))
            .filter(files::Column::ApprovedAt.is_not_null());
        Ok(approved.into_tuple().all(&self.connection).await?)
    }
}
