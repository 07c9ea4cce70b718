//! Rejects in the ledger: which are open, and what closes them: a corrected copy, or a newer export.

use crate::chunk::CorrectedRow;
use crate::error::SyncError;
use crate::feed::correction::{Header, OpenReject, stem};
use crate::sink::ledger::Ledger;
use crate::sink::ledger::files::{FileRecord, FileState};
use entity::{files, rejects};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

/// Rows that one statement closes.
const ROWS_PER_STATEMENT: usize = 500;

/// The files whose rejects a corrected copy may close.
#[derive(Clone, Debug, Default)]
pub struct CorrectedFiles {
    /// Exports.
    originals: Vec<i64>,
    /// Earlier corrected copies.
    pub corrections: Vec<i64>,
    /// The newest of the exports: the one whose rows the copy means.
    pub newest: Option<FileRecord>,
}

/// A reject, as a corrected copy sees it.
#[derive(Debug)]
pub struct RejectedRow {
    /// Its number in the export; `None` where a corrected copy has it and does not say.
    pub number: Option<u64>,
    /// The record that it belongs to; empty when it is of none, `None` when that cannot be read.
    pub key: Option<String>,
    /// Whether nothing has closed it.
    pub is_open: bool,
    /// Whether it is the export's own, rather than one of an earlier corrected copy.
    pub is_of_export: bool,
}

/// What an earlier corrected copy made of a reject.
#[derive(Debug)]
pub struct EarlierCorrection {
    /// Its number in the export.
    pub number: u64,
    /// The record that it was put in.
    pub key: String,
    /// Its cells: JSON, column to text.
    pub cells: String,
}

/// Open rejects of a file that may belong to any record.
#[derive(Debug, Default)]
pub struct UnknownRecords {
    /// How many.
    pub rows: u64,
    /// The first of them.
    pub first: Vec<OpenReject>,
}

/// Rejects that a chunk of a corrected copy closes.
#[derive(Debug)]
pub struct Corrected {
    /// Whose.
    pub files: CorrectedFiles,
    /// Rows that were loaded.
    pub loaded: Vec<CorrectedRow>,
    /// Rows that are rejects again, by their numbers in the export.
    pub again: Vec<u64>,
    /// When; milliseconds since 1970.
    pub now_ms: i64,
}

/// File, row, row in the corrected file, record, and when it was closed.
type RejectColumns = (i64, i64, Option<i64>, Option<String>, Option<chrono::DateTime<chrono::Utc>>);

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

impl Ledger {
    /// Open rejects of a file that may belong to any record, with the first of them, at most so many.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn unknown_records_of(&self, file_id: i64, first_max: u64) -> Result<UnknownRecords, SyncError> {
        use rejects::Column as C;
        let open = || {
            rejects::Entity::find()
                .filter(C::FileId.eq(file_id))
                .filter(C::ClosedAt.is_null())
                .filter(C::RecordKey.is_null())
        };
        let rows = open().count(&self.db.connection).await?;
        let first = open().order_by_asc(C::RowNumber).limit(first_max).all(&self.db.connection).await?;
        Ok(UnknownRecords { rows, first: first.into_iter().map(OpenReject::from).collect() })
    }

    /// The rejects that a corrected copy may be about: those of the export, and those of earlier copies.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn rejected_rows(&self, corrected: &CorrectedFiles) -> Result<Vec<RejectedRow>, SyncError> {
        use rejects::Column as C;
        let Some(export) = corrected.newest.as_ref().map(|file| file.id) else { return Ok(Vec::new()) };
        let files = corrected.corrections.iter().copied().chain([export]);
        let rows: Vec<RejectColumns> = rejects::Entity::find()
            .select_only()
            .columns([C::FileId, C::RowNumber, C::CorrectsRow, C::RecordKey, C::ClosedAt])
            .filter(C::FileId.is_in(files))
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let row = |(file_id, row_number, corrects_row, key, closed_at): RejectColumns| {
            let is_of_export = file_id == export;
            let number = if is_of_export { Some(row_number) } else { corrects_row };
            let number = number.and_then(|number| u64::try_from(number).ok());
            RejectedRow { number, key, is_open: closed_at.is_none(), is_of_export }
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// What earlier corrected copies put into these records.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn earlier_corrections(&self, export: i64, keys: &[String]) -> Result<Vec<EarlierCorrection>, SyncError> {
        use rejects::Column as C;
        let mut earlier = Vec::new();
        for keys in keys.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<(i64, Option<String>, Option<String>)> = rejects::Entity::find()
                .select_only()
                .columns([C::RowNumber, C::CorrectedKey, C::Corrected])
                .filter(C::FileId.eq(export))
                .filter(C::CorrectedKey.is_in(keys))
                .into_tuple()
                .all(&self.db.connection)
                .await?;
            earlier.extend(rows.into_iter().filter_map(|(number, key, cells)| {
                Some(EarlierCorrection { number: u64::try_from(number).ok()?, key: key?, cells: cells? })
            }));
        }
        Ok(earlier)
    }

    /// The records that corrected copies put rows of a file in: the file mentions them.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn corrected_keys(&self, file_id: i64) -> Result<Vec<String>, SyncError> {
        use rejects::Column as C;
        let keys: Vec<Option<String>> = rejects::Entity::find()
            .select_only()
            .column(C::CorrectedKey)
            .filter(C::FileId.eq(file_id))
            .filter(C::CorrectedKey.is_not_null())
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        Ok(keys.into_iter().flatten().collect())
    }

    /// Notes how a file with rejects is written, so that they can be exported.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_header(&self, file_id: i64, header: &Header) -> Result<(), SyncError> {
        // PostgreSQL stores no NUL in text, and JSON writes one as an escape.
        let header = serde_json::to_string(header).expect("names and a character are JSON");
        let write = self.db.begin().await?;
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
        let candidates = files::Entity::find()
            .filter(C::Dataset.eq(file.dataset.clone()))
            .filter(C::Market.eq(file.market.clone()))
            .filter(C::RowsRejected.gt(0).or(C::Corrects.is_not_null()))
            .filter(C::Id.ne(file.id))
            .order_by_asc(C::Id)
            .all(&self.db.connection)
            .await?;
        let mut corrected = CorrectedFiles::default();
        for candidate in candidates.into_iter().filter(|other| Some(stem(&other.path)) == file.corrects.as_deref()) {
            if candidate.corrects.is_some() {
                corrected.corrections.push(candidate.id);
            } else {
                corrected.originals.push(candidate.id);
                corrected.newest = Some(candidate.into());
            }
        }
        Ok(corrected)
    }

    /// Closes the rejects of rows that a corrected copy brought in, or has among its own rejects now.
    pub(crate) async fn close_corrected(
        &self,
        connection: &impl ConnectionTrait,
        corrected: &Corrected,
    ) -> Result<(), SyncError> {
        use rejects::Column as C;
        let CorrectedFiles { originals, corrections, .. } = &corrected.files;
        let loaded = corrected.loaded.iter().map(|row| &row.number);
        let rows: Vec<i64> = loaded.chain(&corrected.again).filter_map(|&row| i64::try_from(row).ok()).collect();
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
        self.note_corrected(connection, corrected).await
    }

    /// Keeps what became of rejects: rows of the same record may come back later, in another copy.
    async fn note_corrected(&self, connection: &impl ConnectionTrait, corrected: &Corrected) -> Result<(), SyncError> {
        use rejects::Column as C;
        let Some(export) = &corrected.files.newest else { return Ok(()) };
        for row in &corrected.loaded {
            rejects::Entity::update_many()
                .col_expr(C::CorrectedKey, Expr::value(row.key.as_str()))
                .col_expr(C::Corrected, Expr::value(row.cells.as_str()))
                .filter(C::FileId.eq(export.id))
                .filter(C::RowNumber.eq(i64::try_from(row.number).unwrap_or(i64::MAX)))
                .exec(connection)
                .await?;
        }
        Ok(())
    }

    /// Ends what the ledger says about rows of unknown records, once a corrected copy has brought in the last of them.
    pub(crate) async fn clear_notes_of_corrected(
        &self,
        connection: &impl ConnectionTrait,
        file: &FileRecord,
    ) -> Result<(), SyncError> {
        let corrected = self.corrected_files(file).await?;
        for file_id in corrected.originals {
            if self.unknown_records_of(file_id, 0).await?.rows == 0 {
                files::Entity::update_many()
                    .col_expr(files::Column::Error, Expr::value(None::<String>))
                    .filter(files::Column::Id.eq(file_id))
                    .filter(files::Column::State.eq(FileState::Synced.name()))
                    .exec(connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// Closes what a file says anew: the newest full export of a dataset and market the rejects of all others of them,
    /// any other file those of earlier content at its path.
    pub(crate) async fn close_replaced_rejects(
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
            replaced.cond_where(crate::sink::ledger::files::is_at(&file.path));
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
            .col_expr(rejects::Column::ClosedAt, Expr::value(self.db.dialect.time(Some(now_ms))))
            .filter(rejects::Column::ClosedAt.is_null())
            .filter(which)
            .exec(connection)
            .await?;
        Ok(())
    }
}
