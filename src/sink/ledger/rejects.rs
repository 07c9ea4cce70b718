//! Rejects: which rejects are open, and how a corrected copy or a newer export closes them.

use crate::chunk::CorrectedRow;
use crate::error::SyncError;
use crate::feed::correction::{Header, OpenReject, stem};
use crate::sink::ledger::Ledger;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use entity::{files, rejects};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};

/// Rows that one statement closes: within every database's limit of bound values.
const ROWS_PER_STATEMENT: usize = 500;

/// The files whose rejects a corrected copy may close.
#[derive(Clone, Debug, Default)]
pub struct CorrectedFiles {
    /// Exports.
    originals: Vec<i64>,
    /// Earlier corrected copies.
    pub corrections: Vec<i64>,
    /// The newest export; the copy's row numbers refer to it.
    pub newest: Option<FileRecord>,
}

/// A reject that a corrected copy may correct.
#[derive(Debug)]
pub struct RejectedRow {
    /// Its row number in the export; `None` if an earlier corrected copy has it without a number.
    pub number: Option<u64>,
    /// Key of its record; empty if it belongs to none, `None` if the key cannot be read.
    pub key: Option<String>,
    /// Whether it is still open.
    pub is_open: bool,
    /// Whether it comes from the export itself, not from an earlier corrected copy.
    pub is_of_export: bool,
}

/// A reject that an earlier corrected copy has loaded.
#[derive(Debug)]
pub struct EarlierCorrection {
    /// Its row number in the export.
    pub number: u64,
    /// Key of the record that it went to.
    pub key: String,
    /// Its cells: JSON, from column to text.
    pub cells: String,
}

/// Open rejects of a file whose record is unknown.
#[derive(Debug, Default)]
pub struct UnknownRecords {
    /// Their number.
    pub rows: u64,
    /// The first ones, as examples.
    pub first: Vec<OpenReject>,
}

/// Rejects that a chunk of a corrected copy closes.
#[derive(Debug)]
pub struct Corrected {
    /// Files whose rejects are closed.
    pub files: CorrectedFiles,
    /// Loaded rows.
    pub loaded: Vec<CorrectedRow>,
    /// Rows that were rejected again, by row number in the export.
    pub again: Vec<u64>,
    /// Time of closing, in milliseconds since 1970.
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
    /// Counts open rejects of a file whose record is unknown, and returns the first ones.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn unknown_records_of(
        &self,
        file_id: i64,
        first_max: u64,
    ) -> Result<UnknownRecords, SyncError> {
        use rejects::Column as C;
        let open = || {
            rejects::Entity::find()
                .filter(C::FileId.eq(file_id))
                .filter(C::ClosedAt.is_null())
                .filter(C::RecordKey.is_null())
        };
        let rows = open().count(&self.db.connection).await?;
        let first =
            open().order_by_asc(C::RowNumber).limit(first_max).all(&self.db.connection).await?;
        Ok(UnknownRecords { rows, first: first.into_iter().map(OpenReject::from).collect() })
    }

    /// The rejects that a corrected copy may correct: those of the export, and of earlier copies.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn rejected_rows(
        &self,
        corrected: &CorrectedFiles,
    ) -> Result<Vec<RejectedRow>, SyncError> {
        use rejects::Column as C;
        let Some(export) = corrected.newest.as_ref().map(|file| file.id) else {
            return Ok(Vec::new());
        };
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

    /// Rows that earlier corrected copies put into these records.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn earlier_corrections(
        &self,
        export: i64,
        keys: &[String],
    ) -> Result<Vec<EarlierCorrection>, SyncError> {
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
                Some(EarlierCorrection {
                    number: u64::try_from(number).ok()?,
                    key: key?,
                    cells: cells?,
                })
            }));
        }
        Ok(earlier)
    }

    /// Records that got rows of a file by corrected copies; the file counts as mentioning them.
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

    /// Stores the columns and delimiter of a file with rejects, for their export.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_header(&self, file_id: i64, header: &Header) -> Result<(), SyncError> {
        // PostgreSQL stores no NUL in text, and JSON writes NUL as an escape.
        let header = serde_json::to_string(header).expect("names and a character are JSON");
        let write = self.db.begin().await?;
        files::Entity::update_many()
            .col_expr(files::Column::Header, Expr::value(header))
            .filter(files::Column::Id.eq(file_id))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }

    /// The files that a corrected copy corrects: those of its dataset and market with its name.
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
            .filter(C::State.ne(FileState::Undone.name()))
            .filter(C::Id.ne(file.id))
            .order_by_asc(C::Id)
            .all(&self.db.connection)
            .await?;
        let mut corrected = CorrectedFiles::default();
        for candidate in candidates
            .into_iter()
            .filter(|other| Some(stem(&other.path)) == file.corrects.as_deref())
        {
            if candidate.corrects.is_some() {
                corrected.corrections.push(candidate.id);
            } else {
                corrected.originals.push(candidate.id);
                corrected.newest = Some(candidate.into());
            }
        }
        Ok(corrected)
    }

    /// Closes the rejects of rows that a corrected copy loaded or rejected again.
    pub(crate) async fn close_corrected(
        &self,
        connection: &impl ConnectionTrait,
        corrected: &Corrected,
        file_id: i64,
    ) -> Result<(), SyncError> {
        use rejects::Column as C;
        let CorrectedFiles { originals, corrections, .. } = &corrected.files;
        let loaded = corrected.loaded.iter().map(|row| &row.number);
        let rows: Vec<i64> =
            loaded.chain(&corrected.again).filter_map(|&row| i64::try_from(row).ok()).collect();
        for rows in rows.chunks(ROWS_PER_STATEMENT) {
            for (file_ids, column) in [(originals, C::RowNumber), (corrections, C::CorrectsRow)] {
                if !file_ids.is_empty() {
                    let of_rows = Condition::all()
                        .add(C::FileId.is_in(file_ids.iter().copied()))
                        .add(column.is_in(rows.iter().copied()));
                    self.close(connection, of_rows, file_id, corrected.now_ms).await?;
                }
            }
        }
        self.note_corrected(connection, corrected, file_id).await
    }

    /// Keeps the corrected rows, because another copy may later bring rows of the same record, and
    /// what earlier copies made of them, because this one may be undone.
    async fn note_corrected(
        &self,
        connection: &impl ConnectionTrait,
        corrected: &Corrected,
        file_id: i64,
    ) -> Result<(), SyncError> {
        use rejects::Column as C;
        let Some(export) = &corrected.files.newest else { return Ok(()) };
        for row in &corrected.loaded {
            let is_row = C::RowNumber.eq(i64::try_from(row.number).unwrap_or(i64::MAX));
            let is_row = Condition::all().add(C::FileId.eq(export.id)).add(is_row);
            let rejects: Vec<rejects::Model> =
                rejects::Entity::find().filter(is_row).all(connection).await?;
            for reject in rejects {
                rejects::Entity::update_many()
                    .col_expr(C::CorrectedBefore, Expr::value(corrected_before(&reject, file_id)))
                    .col_expr(C::CorrectedBy, Expr::value(file_id))
                    .col_expr(C::CorrectedKey, Expr::value(row.key.as_str()))
                    .col_expr(C::Corrected, Expr::value(row.cells.as_str()))
                    .filter(C::Id.eq(reject.id))
                    .exec(connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// Clears the file's note about rows of unknown records, once a corrected copy has loaded the
    /// last of them.
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

    /// Closes rejects that a newer file supersedes. The newest full export closes those of all
    /// other files of its dataset and market; any other file closes those of earlier content at its
    /// path.
    pub(crate) async fn close_replaced_rejects(
        &self,
        connection: &impl ConnectionTrait,
        file: &FileRecord,
        is_newest: bool,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use files::Column as C;
        let mut replaced = Query::select();
        replaced
            .column(C::Id)
            .from(files::Entity)
            .and_where(C::Id.ne(file.id))
            .and_where(C::RowsRejected.gt(0));
        if is_newest {
            replaced
                .and_where(C::Dataset.eq(file.dataset.clone()))
                .and_where(C::Market.eq(file.market.clone()));
        } else {
            replaced.cond_where(crate::sink::ledger::files::is_at(&file.path));
        }
        let mut of_them = Condition::all().add(rejects::Column::FileId.in_subquery(replaced));
        if file.corrects.is_some() {
            // A corrected copy closes row by row: rows that an operator leaves out of a second copy
            // stay open.
            of_them = of_them.add(rejects::Column::CorrectsRow.is_null());
        }
        self.close(connection, of_them, file.id, now_ms).await
    }

    /// Takes back what a file did to rejects: those that it closed are open again, those that it
    /// corrected are what they were before, and its own are closed. Returns how many are open
    /// again.
    pub(crate) async fn undo_rejects(
        &self,
        connection: &impl ConnectionTrait,
        file_id: i64,
        now_ms: i64,
    ) -> Result<u64, SyncError> {
        use rejects::Column as C;
        let noted: Vec<rejects::Model> =
            rejects::Entity::find().filter(C::CorrectedBy.eq(file_id)).all(connection).await?;
        for reject in noted {
            let mut before = cells_before(&reject);
            let last = before.pop();
            let (by, key, cells) =
                last.map_or_else(Default::default, |last| (last.by, last.key, last.cells));
            let before = (!before.is_empty())
                .then(|| serde_json::to_string(&before).expect("texts and numbers are JSON"));
            rejects::Entity::update_many()
                .col_expr(C::CorrectedBefore, Expr::value(before))
                .col_expr(C::CorrectedBy, Expr::value(by))
                .col_expr(C::CorrectedKey, Expr::value(key))
                .col_expr(C::Corrected, Expr::value(cells))
                .filter(C::Id.eq(reject.id))
                .exec(connection)
                .await?;
        }
        let opened = rejects::Entity::update_many()
            .col_expr(C::ClosedAt, Expr::value(self.db.dialect.time(None)))
            .col_expr(C::ClosedBy, Expr::value(None::<i64>))
            .filter(C::ClosedBy.eq(file_id))
            .filter(C::FileId.ne(file_id))
            .exec(connection)
            .await?;
        self.close(connection, Condition::all().add(C::FileId.eq(file_id)), file_id, now_ms)
            .await?;
        Ok(opened.rows_affected)
    }

    async fn close(
        &self,
        connection: &impl ConnectionTrait,
        which: Condition,
        closed_by: i64,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        rejects::Entity::update_many()
            .col_expr(rejects::Column::ClosedBy, Expr::value(closed_by))
            .col_expr(rejects::Column::ClosedAt, Expr::value(self.db.dialect.time(Some(now_ms))))
            .filter(rejects::Column::ClosedAt.is_null())
            .filter(which)
            .exec(connection)
            .await?;
        Ok(())
    }
}

/// What a corrected copy made of a reject, kept while a later one counts.
#[derive(Debug, Deserialize, Serialize)]
struct EarlierCells {
    by: Option<i64>,
    key: Option<String>,
    cells: Option<String>,
}

/// What copies made of a reject before this one: JSON, oldest first; `None` if there was none.
fn corrected_before(reject: &rejects::Model, file_id: i64) -> Option<String> {
    if reject.corrected.is_none() || reject.corrected_by == Some(file_id) {
        return reject.corrected_before.clone();
    }
    let mut before = cells_before(reject);
    before.push(EarlierCells {
        by: reject.corrected_by,
        key: reject.corrected_key.clone(),
        cells: reject.corrected.clone(),
    });
    Some(serde_json::to_string(&before).expect("texts and numbers are JSON"))
}

fn cells_before(reject: &rejects::Model) -> Vec<EarlierCells> {
    let before = reject.corrected_before.as_deref();
    before.and_then(|before| serde_json::from_str(before).ok()).unwrap_or_default()
}
