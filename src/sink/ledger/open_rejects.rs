//! Open rejects, for listing and export: read in pages, because the ledger may hold millions.

use crate::error::SyncError;
use crate::feed::correction::OpenReject;
use crate::feed::dataset::Dataset;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::{Ledger, now};
use entity::{files, rejects};
use sea_orm::sea_query::{ExprTrait, LikeExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;
use std::sync::Arc;

/// Files of a page.
const FILES_PER_PAGE: u64 = 100;

/// Rows of a page: few at first, then more if they are small. A row may be as long as
/// `row_bytes_max`.
const ROWS_PER_PAGE_MIN: u64 = 16;
const ROWS_PER_PAGE_MAX: u64 = 4096;

/// Text size above which a page counts as large.
const PAGE_BYTES: usize = 1 << 20;

/// A file with open rejects.
#[derive(Debug)]
pub struct RejectedFile {
    /// The file.
    pub file: FileRecord,
    /// How many of its rejects are open.
    pub open: u64,
}

impl Ledger {
    /// Files with open rejects after this id, oldest first; empty at the end.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn rejected_files_after(&self, id: i64) -> Result<Vec<RejectedFile>, SyncError> {
        use rejects::Column as C;
        let open: Vec<(i64, i64)> = rejects::Entity::find()
            .select_only()
            .column(C::FileId)
            .column_as(C::Id.count(), "open")
            .filter(C::ClosedAt.is_null())
            .filter(C::FileId.gt(id))
            .group_by(C::FileId)
            .order_by_asc(C::FileId)
            .limit(FILES_PER_PAGE)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let ids = open.iter().map(|&(file_id, _)| file_id);
        let files = files::Entity::find()
            .filter(files::Column::Id.is_in(ids))
            .all(&self.db.connection)
            .await?;
        let mut files: HashMap<i64, files::Model> =
            files.into_iter().map(|file| (file.id, file)).collect();
        let rejected = open.into_iter().filter_map(|(file_id, open)| {
            Some(RejectedFile {
                file: files.remove(&file_id)?.into(),
                open: u64::try_from(open).unwrap_or(0),
            })
        });
        Ok(rejected.collect())
    }

    /// Passes on a file's open rejects in row order, up to a maximum number.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn each_open_reject(
        &self,
        file_id: i64,
        rows_max: u64,
        mut take: impl FnMut(OpenReject),
    ) -> Result<(), SyncError> {
        use rejects::Column as C;
        let (mut last, mut left, mut rows) = ((i64::MIN, i64::MIN), rows_max, ROWS_PER_PAGE_MIN);
        while left > 0 {
            let (row_number, id) = last;
            let is_after =
                C::RowNumber.gt(row_number).or(C::RowNumber.eq(row_number).and(C::Id.gt(id)));
            let asked = std::cmp::min(rows, left);
            let page = rejects::Entity::find()
                .filter(C::FileId.eq(file_id))
                .filter(C::ClosedAt.is_null())
                .filter(is_after)
                .order_by_asc(C::RowNumber)
                .order_by_asc(C::Id)
                .limit(asked)
                .all(&self.db.connection)
                .await?;
            let Some(end) = page.last() else { break };
            last = (end.row_number, end.id);
            let (found, bytes) =
                (page.len() as u64, page.iter().map(|reject| reject.raw.len()).sum::<usize>());
            left -= found;
            page.into_iter().for_each(|reject| take(OpenReject::from(reject)));
            if found < asked {
                break;
            }
            rows = if bytes < PAGE_BYTES { rows * 2 } else { rows / 2 }
                .clamp(ROWS_PER_PAGE_MIN, ROWS_PER_PAGE_MAX);
        }
        Ok(())
    }

    /// Quarantined files after this id that exist and that nothing newer replaces, oldest first;
    /// empty at the end.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn quarantined_files_after(
        &self,
        id: i64,
        datasets: &[Arc<Dataset>],
    ) -> Result<Vec<FileRecord>, SyncError> {
        use files::Column as C;
        let quarantined = files::Entity::find()
            .filter(C::State.eq(FileState::Quarantined.name()))
            .filter(C::Id.gt(id))
            .filter(now::counts_now(datasets))
            .order_by_asc(C::Id)
            .limit(FILES_PER_PAGE)
            .all(&self.db.connection)
            .await?;
        Ok(quarantined.into_iter().map(FileRecord::from).collect())
    }

    /// Some paths of the ledger with this ending, ignoring case.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn paths_like(&self, end: &str) -> Result<Vec<String>, SyncError> {
        let escaped: String = end
            .chars()
            .flat_map(|c| {
                ["|"].into_iter().filter(move |_| "%_|".contains(c)).flat_map(str::chars).chain([c])
            })
            .collect();
        let like = LikeExpr::new(format!("%{escaped}")).escape('|');
        let paths = files::Entity::find()
            .select_only()
            .column(files::Column::Path)
            .filter(files::Column::Path.like(like));
        Ok(paths.limit(FILES_PER_PAGE).into_tuple().all(&self.db.connection).await?)
    }
}
