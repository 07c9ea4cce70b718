//! Now: which ledger lines currently count. A refused version of a file counts until newer content
//! replaces it at its path, a newer export of its dataset and market is synced, or the file is
//! gone.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, FeedKind};
use crate::sink::ledger::Ledger;
use crate::sink::ledger::file_state::FileState;
use entity::{files, rejects};
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, Query, SelectStatement, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::sync::Arc;

/// Files that are checked at a time, and updated by one statement: within every database's limit of
/// bound values.
const FILES_PER_LOOK: u64 = 500;

/// States that need an operator, as long as the file exists.
const STOPPED: [FileState; 4] =
    [FileState::Quarantined, FileState::Held, FileState::Failed, FileState::Unmatched];

/// A file of the ledger whose existence on disk is checked.
#[derive(Clone, Debug)]
pub struct LookedFor {
    /// Id of its ledger line.
    pub id: i64,
    /// Absolute path.
    pub path: String,
    /// Its state.
    pub state: FileState,
    /// Whether the last check found it gone.
    pub is_vanished: bool,
}

impl Ledger {
    /// Files that count only while they exist (stopped ones, and those with open rejects), after
    /// this ledger line.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn files_to_look_for(&self, after_id: i64) -> Result<Vec<LookedFor>, SyncError> {
        use files::Column as C;
        let is_stopped = Condition::all().add(is_stopped()).add(is_newest());
        let with_rejects = Expr::exists(open_rejects_of_file());
        let wanted: Vec<(i64, String, String, Option<chrono::DateTime<chrono::Utc>>)> =
            files::Entity::find()
                .select_only()
                .columns([C::Id, C::Path, C::State, C::VanishedAt])
                .filter(C::Id.gt(after_id))
                .filter(Condition::any().add(is_stopped).add(with_rejects))
                .order_by_asc(C::Id)
                .limit(FILES_PER_LOOK)
                .into_tuple()
                .all(&self.db.connection)
                .await?;
        let file = |(id, path, state, vanished_at): (i64, String, String, Option<_>)| LookedFor {
            id,
            path,
            state: FileState::of_ledger(&state),
            is_vanished: vanished_at.is_some(),
        };
        Ok(wanted.into_iter().map(file).collect())
    }

    /// Records when these files vanished, or without a time that they exist again; one batch at a
    /// time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_vanished(
        &self,
        ids: &[i64],
        vanished_ms: Option<i64>,
    ) -> Result<(), SyncError> {
        if ids.is_empty() {
            return Ok(());
        }
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::VanishedAt, Expr::value(self.db.dialect.time(vanished_ms)))
            .filter(files::Column::Id.is_in(ids.iter().copied()))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }
}

/// The lines that currently count: stopped files that still exist and that nothing newer replaces,
/// and the newest line of every other path.
pub(crate) fn counts_now(datasets: &[Arc<Dataset>]) -> Condition {
    let matters = Condition::all()
        .add(files::Column::VanishedAt.is_null())
        .add(is_superseded(datasets).not());
    Condition::all().add(is_newest()).add(Condition::any().add(is_stopped().not()).add(matters))
}

/// Open rejects of files that still exist.
pub(crate) fn is_open_now() -> Condition {
    let file = (files::Entity, files::Column::Id);
    let vanished = Query::select()
        .expr(Expr::val(1))
        .from(files::Entity)
        .and_where(Expr::col(file).equals((rejects::Entity, rejects::Column::FileId)))
        .and_where(Expr::col((files::Entity, files::Column::VanishedAt)).is_not_null())
        .to_owned();
    Condition::all().add(rejects::Column::ClosedAt.is_null()).add(Expr::exists(vanished).not())
}

fn is_stopped() -> SimpleExpr {
    files::Column::State.is_in(STOPPED.map(FileState::name))
}

fn open_rejects_of_file() -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(rejects::Entity)
        .and_where(
            Expr::col((rejects::Entity, rejects::Column::FileId))
                .equals((files::Entity, files::Column::Id)),
        )
        .and_where(Expr::col((rejects::Entity, rejects::Column::ClosedAt)).is_null())
        .to_owned()
}

/// Whether no later line has the same path. Checked for each row through an index; grouping would
/// read the whole ledger for every page.
pub(crate) fn is_newest() -> SimpleExpr {
    use files::Column as C;
    let later = Alias::new("later");
    let later = Query::select()
        .expr(Expr::val(1))
        .from_as(files::Entity, later.clone())
        .and_where(Expr::col((later.clone(), C::PathKey)).equals((files::Entity, C::PathKey)))
        .and_where(Expr::col((later, C::Id)).gt(Expr::col((files::Entity, C::Id))))
        .to_owned();
    Expr::exists(later).not()
}

/// Whether a newer full export of the dataset and market reached the tables.
fn is_superseded(datasets: &[Arc<Dataset>]) -> SimpleExpr {
    use files::Column as C;
    let deltas = datasets.iter().filter(|dataset| dataset.kind == FeedKind::Delta);
    let deltas: Vec<String> = deltas.map(|dataset| dataset.name.clone()).collect();
    let newer = Alias::new("newer");
    let of_newer = |column: C| Expr::col((newer.clone(), column));
    let of_file = |column: C| Expr::col((files::Entity, column));
    let same_version = of_newer(C::Version).eq(of_file(C::Version));
    let is_newer = of_newer(C::Version)
        .gt(of_file(C::Version))
        .or(same_version.and(of_newer(C::Path).gt(of_file(C::Path))));
    let mut newer_exports = Query::select();
    newer_exports
        .expr(Expr::val(1))
        .from_as(files::Entity, newer.clone())
        .and_where(of_newer(C::Dataset).eq(of_file(C::Dataset)))
        .and_where(of_newer(C::Market).eq(of_file(C::Market)))
        .and_where(of_newer(C::State).is_in([FileState::Synced.name(), FileState::Held.name()]))
        .and_where(of_newer(C::Corrects).is_null())
        .and_where(is_newer);
    if !deltas.is_empty() {
        newer_exports.and_where(of_newer(C::Dataset).is_not_in(deltas));
    }
    Expr::exists(newer_exports)
}
