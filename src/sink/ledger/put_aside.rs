//! Put aside: files that an operator dismissed or undid, and files that are wanted once more.
//!
//! These are single changes of the ledger, which need no lease, like approvals. A file that was
//! dismissed or undone is not taken again, until an approval says so. A synced file that is wanted
//! once more becomes `pending`, without the digest of its rules; taken, it gets a line of its own,
//! and the old line is `synced` again.

use crate::config::Config;
use crate::error::SyncError;
use crate::sink::db::connect::connect;
use crate::sink::db::dialect::Dialect;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::{FileRecord, is_at};
use crate::sink::ledger::generations::{generation_row, new_generation, renaming};
use crate::sink::ledger::now::is_newest;
use entity::{alarms, files, generations};
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    TransactionTrait,
};

/// States that need somebody, which a dismissal ends.
pub const DISMISSIBLE: [FileState; 4] =
    [FileState::Quarantined, FileState::Held, FileState::Unmatched, FileState::Failed];

/// States in which a file is left alone until an approval.
pub const PUT_ASIDE: [FileState; 2] = [FileState::Undone, FileState::Dismissed];

/// Files that one statement changes: within every database's limit of bound values.
const FILES_PER_STATEMENT: usize = 500;

/// Most lines of the ledger that are looked at for a name.
const NAMED_MAX: u64 = 1000;

/// Takes a file off the list of what needs somebody; `false` if its state is another one by now.
///
/// # Errors
///
/// When the database fails.
pub async fn dismiss(config: &Config, file: &FileRecord, now_ms: i64) -> Result<bool, SyncError> {
    use files::Column as C;
    let connection = connect(config).await?;
    let dialect = Dialect::of(connection.get_database_backend());
    let work = async {
        let transaction = connection.begin().await?;
        let dismissed = files::Entity::update_many()
            .col_expr(C::State, Expr::value(FileState::Dismissed.name()))
            .col_expr(C::ApprovedAt, Expr::value(dialect.time(None)))
            .filter(C::Id.eq(file.id))
            .filter(C::State.eq(file.state.name()))
            .exec(&transaction)
            .await?;
        if dismissed.rows_affected == 1 {
            alarms::Entity::update_many()
                .col_expr(alarms::Column::ClearedAt, Expr::value(dialect.time(Some(now_ms))))
                .filter(alarms::Column::FileId.eq(file.id))
                .filter(alarms::Column::ClearedAt.is_null())
                .exec(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(dismissed.rows_affected == 1)
    };
    let done: Result<bool, SyncError> = work.await;
    connection.close_by_ref().await?;
    done
}

/// Has synced files taken again, and has the index of their tables' records forgotten. Returns how
/// many are still as they were.
///
/// # Errors
///
/// When the database fails.
pub async fn want_again(
    config: &Config,
    files: &[FileRecord],
    tables: &[(String, String)],
) -> Result<u64, SyncError> {
    use files::Column as C;
    let connection = connect(config).await?;
    let ids: Vec<i64> = files.iter().map(|file| file.id).collect();
    let work = async {
        let mut wanted = 0;
        for (table, market) in tables {
            let row = generation_row(table, market, &new_generation());
            generations::Entity::insert(row)
                .on_conflict(renaming())
                .exec_without_returning(&connection)
                .await?;
        }
        for ids in ids.chunks(FILES_PER_STATEMENT) {
            let update = files::Entity::update_many()
                .col_expr(C::State, Expr::value(FileState::Pending.name()))
                .col_expr(C::Transform, Expr::value(""))
                .filter(C::Id.is_in(ids.iter().copied()))
                .filter(C::State.eq(FileState::Synced.name()));
            wanted += update.exec(&connection).await?.rows_affected;
        }
        Ok(wanted)
    };
    let done: Result<u64, SyncError> = work.await;
    connection.close_by_ref().await?;
    done
}

impl Ledger {
    /// The lines of a path, or, where there are none, of all paths with this name, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn files_named(&self, path: &str, name: &str) -> Result<Vec<FileRecord>, SyncError> {
        let lines = |which: Condition| {
            files::Entity::find()
                .filter(which)
                .order_by_desc(files::Column::Id)
                .limit(NAMED_MAX)
                .all(&self.db.connection)
        };
        let at_path = lines(is_at(path)).await?;
        if !at_path.is_empty() || name.is_empty() {
            return Ok(at_path.into_iter().map(FileRecord::from).collect());
        }
        let ending = format!("/{name}");
        let named = lines(Condition::all().add(files::Column::Path.ends_with(&ending))).await?;
        let named = named.into_iter().filter(|file| file.path.ends_with(&ending));
        Ok(named.map(FileRecord::from).collect())
    }

    /// The newest synced line of each path of a dataset, in one market or all.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn newest_synced_files(
        &self,
        dataset: &str,
        market: Option<&str>,
    ) -> Result<Vec<FileRecord>, SyncError> {
        use files::Column as C;
        let mut synced = files::Entity::find()
            .filter(C::Dataset.eq(dataset))
            .filter(C::State.eq(FileState::Synced.name()))
            .filter(is_newest())
            .order_by_asc(C::Id);
        if let Some(market) = market {
            synced = synced.filter(C::Market.eq(market));
        }
        Ok(synced.all(&self.db.connection).await?.into_iter().map(FileRecord::from).collect())
    }

    /// An undone or dismissed file at a path is taken again: its approval is used up.
    pub(crate) async fn note_taken_again(
        &self,
        connection: &impl ConnectionTrait,
        path: &str,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        files::Entity::update_many()
            .col_expr(C::ApprovedAt, Expr::value(self.db.dialect.time(None)))
            .filter(is_at(path))
            .filter(C::State.is_in(PUT_ASIDE.map(FileState::name)))
            .exec(connection)
            .await?;
        Ok(())
    }

    /// Stores under which rules a file was put aside, by which the next scan knows it.
    ///
    /// # Errors
    ///
    /// When the database fails or the lease is lost.
    pub async fn set_rules(&self, id: i64, rules_digest: &str) -> Result<(), SyncError> {
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::Transform, Expr::value(rules_digest))
            .filter(files::Column::Id.eq(id))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }

    /// A synced file that was wanted once more gets a new line: the old one is `synced` again.
    pub(crate) async fn end_resync(
        &self,
        connection: &impl ConnectionTrait,
        path: &str,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        files::Entity::update_many()
            .col_expr(C::State, Expr::value(FileState::Synced.name()))
            .filter(is_at(path))
            .filter(C::State.eq(FileState::Pending.name()))
            .filter(C::Transform.eq(""))
            .exec(connection)
            .await?;
        Ok(())
    }
}
