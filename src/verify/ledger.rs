//! Checks the ledger itself: the counts of a file add up to its rows, and its rejects are there.

use crate::error::SyncError;
use crate::sink::Sink;
use crate::verify::{Check, Difference};
use entity::{files, rejects};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::BTreeMap;

/// Files that one query compares: the ledger may hold millions.
const FILES_PER_PAGE: u64 = 1000;

/// Id, path, and the rows of a file: read, accepted, duplicate, rejected, skipped.
type CountedFile = (i64, String, i64, i64, i64, i64, i64);

impl Sink {
    pub(crate) async fn verify_ledger(
        &self,
        snapshot: &DatabaseTransaction,
    ) -> Result<Check, SyncError> {
        let mut check = Check::of("tidegate_files", "counts of files");
        let mut last = i64::MIN;
        loop {
            let files = counted_files_after(snapshot, last).await?;
            let end =
                files.last().map(|file| file.0).filter(|_| files.len() as u64 == FILES_PER_PAGE);
            let mut kept = kept_rejects(snapshot, last, end).await?;
            for file in &files {
                check.checked += 1;
                check_file(&mut check, file, kept.remove(&file.0).unwrap_or(0));
            }
            for (file_id, rows) in kept {
                check.differ(Difference {
                    kind: "rejects without a file",
                    key: file_id.to_string(),
                    column: Some("file_id".to_owned()),
                    stored: Some(format!("{rows} rejects")),
                    expected: Some("a file of the ledger".to_owned()),
                });
            }
            let Some(end) = end else { return Ok(check) };
            last = end;
        }
    }
}

async fn counted_files_after(
    snapshot: &DatabaseTransaction,
    id: i64,
) -> Result<Vec<CountedFile>, SyncError> {
    use files::Column as C;
    let files = files::Entity::find()
        .select_only()
        .columns([
            C::Id,
            C::Path,
            C::RowsRead,
            C::RowsAccepted,
            C::RowsDuplicate,
            C::RowsRejected,
            C::RowsSkipped,
        ])
        .filter(C::Id.gt(id))
        .order_by_asc(C::Id)
        .limit(FILES_PER_PAGE);
    Ok(files.into_tuple().all(snapshot).await?)
}

/// Numbers of rejects by file, for ids after the first bound up to the second.
async fn kept_rejects(
    snapshot: &DatabaseTransaction,
    after: i64,
    end: Option<i64>,
) -> Result<BTreeMap<i64, i64>, SyncError> {
    use rejects::Column as C;
    let kept: Vec<(i64, i64)> = rejects::Entity::find()
        .select_only()
        .column(C::FileId)
        .column_as(C::Id.count(), "rows")
        .filter(C::FileId.gt(after))
        .filter(C::FileId.lte(end.unwrap_or(i64::MAX)))
        .group_by(C::FileId)
        .into_tuple()
        .all(snapshot)
        .await?;
    Ok(kept.into_iter().collect())
}

fn check_file(
    check: &mut Check,
    (id, path, read, accepted, duplicate, rejected, skipped): &CountedFile,
    kept: i64,
) {
    let differs = |kind, column: &str, stored: i64, expected: i64| Difference {
        kind,
        key: format!("{id}, {path}"),
        column: Some(column.to_owned()),
        stored: Some(stored.to_string()),
        expected: Some(expected.to_string()),
    };
    let sum = accepted.wrapping_add(*duplicate).wrapping_add(*rejected).wrapping_add(*skipped);
    if *read != sum {
        check.differ(differs("rows of a file", "rows_read", *read, sum));
    }
    if *rejected != kept {
        check.differ(differs("rejects of a file", "rows_rejected", *rejected, kept));
    }
}
