//! Now: which lines of the ledger count at the moment. A version of a file that was refused matters until its cause is gone:
//! newer content at its path, a newer export of its dataset and market, or the file's own end.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, FeedKind};
use crate::sink::ledger::Ledger;
use crate::sink::ledger::files::FileState;
use entity::{files, rejects};
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, Query, SelectStatement, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::sync::Arc;

/// Files that are looked for at a time, and that one statement marks: few enough for every database's bound values.
const FILES_PER_LOOK: u64 = 500;

/// States that somebody has to look after, as long as the file is there.
const STOPPED: [FileState; 4] = [FileState::Quarantined, FileState::Held, FileState::Failed, FileState::Unmatched];

/// A file of the ledger that is to be looked for on disk.
#[derive(Clone, Debug)]
pub struct LookedFor {
    /// Its line.
    pub id: i64,
    /// Absolute path.
    pub path: String,
    /// Where it stands.
    pub state: FileState,
    /// Whether it was gone when it was looked for last.
    pub is_vanished: bool,
}

impl Ledger {
    /// Files that count only while they are there, after that line of the ledger: stopped ones, and those with open rejects.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn files_to_look_for(&self, after_id: i64) -> Result<Vec<LookedFor>, SyncError> {
        use files::Column as C;
        let is_stopped = Condition::all().add(is_stopped()).add(is_newest());
        let with_rejects = Expr::exists(open_rejects_of_file());
        let wanted: Vec<(i64, String, String, Option<chrono::DateTime<chrono::Utc>>)> = files::Entity::find()
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

    /// Notes that these files vanished, or are there again where there is no time; as many as are looked for at a time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_vanished(&self, ids: &[i64], vanished_ms: Option<i64>) -> Result<(), SyncError> {
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

/// The lines that count now: of stopped files those that are still there and that nothing has replaced, of others the
/// newest of each path.
pub(crate) fn counts_now(datasets: &[Arc<Dataset>]) -> Condition {
    let matters = Condition::all().add(files::Column::VanishedAt.is_null()).add(is_superseded(datasets).not());
    Condition::all().add(is_newest()).add(Condition::any().add(is_stopped().not()).add(matters))
}

/// Open rejects of files that are still there.
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
        .and_where(Expr::col((rejects::Entity, rejects::Column::FileId)).equals((files::Entity, files::Column::Id)))
        .and_where(Expr::col((rejects::Entity, rejects::Column::ClosedAt)).is_null())
        .to_owned()
}

/// Whether no later line has the same path. Asked row by row, by an index: to group the whole ledger for each page would
/// read all of it.
fn is_newest() -> SimpleExpr {
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
    let is_newer =
        of_newer(C::Version).gt(of_file(C::Version)).or(same_version.and(of_newer(C::Path).gt(of_file(C::Path))));
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
