//! Rejects in the ledger: which are open, and what closes them: a corrected copy, or a newer export.

use super::Sink;
use super::ledger::FileRecord;
use crate::error::SyncError;
use crate::rejects::{Header, OpenReject, stem};
use entity::{files, rejects};
use sea_orm::sea_query::{Condition, Expr, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

/// Rows that one statement closes.
const ROWS_PER_STATEMENT: usize = 500;

/// The files whose rejects a corrected copy may close.
#[derive(Clone, Debug, Default)]
pub struct CorrectedFiles {
    /// Exports.
    originals: Vec<i64>,
    /// Earlier corrected copies.
    corrections: Vec<i64>,
}

/// Rejects that a chunk of a corrected copy closes.
#[derive(Debug)]
pub struct Corrected {
    /// Whose.
    pub files: CorrectedFiles,
    /// Which rows, by their numbers in the export.
    pub rows: Vec<u64>,
    /// When; milliseconds since 1970.
    pub now_ms: i64,
}

impl From<rejects::Model> for OpenReject {
    fn from(reject: rejects::Model) -> Self {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        Self {
            row_number: number(reject.row_number),
            corrects_row: reject.corrects_row.map(number),
            column: reject.column_name,
            reason: reject.reason,
            raw: reject.raw,
        }
    }
}

impl Sink {
    /// Notes how a file with rejects is written, so that they can be exported.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_header(&self, file_id: i64, header: &Header) -> Result<(), SyncError> {
        // PostgreSQL stores no NUL in text, and JSON writes one as an escape.
        let header = serde_json::to_string(header).expect("names and a character are JSON");
        let write = self.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::Header, Expr::value(header))
            .filter(files::Column::Id.eq(file_id))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }

    /// The files that a corrected copy is of: those of its dataset and market that are named like it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn corrected_files(&self, file: &FileRecord) -> Result<CorrectedFiles, SyncError> {
        use files::Column as C;
        let candidates: Vec<(i64, String, Option<String>)> = files::Entity::find()
            .select_only()
            .columns([C::Id, C::Path, C::Corrects])
            .filter(C::Dataset.eq(file.dataset.clone()))
            .filter(C::Market.eq(file.market.clone()))
            .filter(C::RowsRejected.gt(0))
            .filter(C::Id.ne(file.id))
            .into_tuple()
            .all(&self.connection)
            .await?;
        let mut corrected = CorrectedFiles::default();
        for (id, path, corrects) in candidates {
            if Some(stem(&path)) == file.corrects.as_deref() {
                let ids = if corrects.is_some() { &mut corrected.corrections } else { &mut corrected.originals };
                ids.push(id);
            }
        }
        Ok(corrected)
    }

    /// Closes the rejects of rows that a corrected copy brought in, or has among its own rejects now.
    pub(super) async fn close_corrected(
        &self,
        connection: &impl ConnectionTrait,
        corrected: &Corrected,
    ) -> Result<(), SyncError> {
        use rejects::Column as C;
        let CorrectedFiles { originals, corrections } = &corrected.files;
        let rows: Vec<i64> = corrected.rows.iter().filter_map(|&row| i64::try_from(row).ok()).collect();
        for rows in rows.chunks(ROWS_PER_STATEMENT) {
            for (file_ids, column) in [(originals, C::RowNumber), (corrections, C::CorrectsRow)] {
                if !file_ids.is_empty() {
                    let of_rows = Condition::all()
                        .add(C::FileId.is_in(file_ids.iter().copied()))
                        .add(column.is_in(rows.iter().copied()));
                    self.close(connection, of_rows, corrected.now_ms).await?;
                }
            }
        }
        Ok(())
    }

    /// Closes what a file says anew: the newest full export of a dataset and market the rejects of all others of them,
    /// any other file those of earlier content at its path.
    pub(super) async fn close_replaced_rejects(
        &self,
        connection: &impl ConnectionTrait,
        file: &FileRecord,
        is_newest: bool,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        let mut replaced = Query::select();
        replaced.column(C::Id).from(files::Entity).and_where(C::Id.ne(file.id)).and_where(C::RowsRejected.gt(0));
        if is_newest {
            replaced.and_where(C::Dataset.eq(file.dataset.clone())).and_where(C::Market.eq(file.market.clone()));
        } else {
            replaced.cond_where(super::ledger::is_at(&file.path));
        }
        let mut of_them = Condition::all().add(rejects::Column::FileId.in_subquery(replaced));
        if file.corrects.is_some() {
            // The others are closed row by row: what an operator leaves out of his second copy stays open.
            of_them = of_them.add(rejects::Column::CorrectsRow.is_null());
        }
        self.close(connection, of_them, now_ms).await
    }

    async fn close(&self, connection: &impl ConnectionTrait, which: Condition, now_ms: i64) -> Result<(), SyncError> {
        rejects::Entity::update_many()
            .col_expr(rejects::Column::ClosedAt, Expr::value(self.dialect.time(Some(now_ms))))
            .filter(rejects::Column::ClosedAt.is_null())
            .filter(which)
            .exec(connection)
            .await?;
        Ok(())
    }
}
