//! The ledger against itself: every row of a file is accounted for, and its rejects are there.

use super::{Check, Difference};
use crate::chunk::Counts;
use crate::error::SyncError;
use crate::sink::Sink;
use entity::{files, rejects};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryOrder, QuerySelect};
use std::collections::BTreeMap;

/// What has to agree with the rows of the tables.
#[derive(Debug)]
pub(super) struct LedgerFile {
    pub path: String,
    pub dataset: Option<String>,
    pub market: Option<String>,
    pub counts: Counts,
}

impl Sink {
    pub(super) async fn ledger_files(
        &self,
        snapshot: &DatabaseTransaction,
    ) -> Result<BTreeMap<i64, LedgerFile>, SyncError> {
        use files::Column as C;
        type Row = (i64, String, Option<String>, Option<String>, i64, i64, i64, i64);
        let rows: Vec<Row> = files::Entity::find()
            .select_only()
            .columns([C::Id, C::Path, C::Dataset, C::Market])
            .columns([C::RowsRead, C::RowsAccepted, C::RowsDuplicate, C::RowsRejected])
            .order_by_asc(C::Id)
            .into_tuple()
            .all(snapshot)
            .await?;
        // A negative number is as wrong as a large one, and looks it.
        let file = |(id, path, dataset, market, read, accepted, duplicate, rejected): Row| {
            let counts = Counts {
                read: read.cast_unsigned(),
                accepted: accepted.cast_unsigned(),
                duplicate: duplicate.cast_unsigned(),
                rejected: rejected.cast_unsigned(),
                ..Counts::default()
            };
            (id, LedgerFile { path, dataset, market, counts })
        };
        Ok(rows.into_iter().map(file).collect())
    }

    pub(super) async fn verify_ledger(
        &self,
        snapshot: &DatabaseTransaction,
        files: &BTreeMap<i64, LedgerFile>,
    ) -> Result<Check, SyncError> {
        let mut check = Check::of("tidegate_files", "counts of files");
        let rejected: Vec<(i64, i64)> = rejects::Entity::find()
            .select_only()
            .column(rejects::Column::FileId)
            .column_as(rejects::Column::Id.count(), "rows")
            .group_by(rejects::Column::FileId)
            .into_tuple()
            .all(snapshot)
            .await?;
        let mut rejected: BTreeMap<i64, i64> = rejected.into_iter().collect();
        for (id, file) in files {
            check.checked += 1;
            let counts = file.counts;
            let sum = counts.accepted.wrapping_add(counts.duplicate).wrapping_add(counts.rejected);
            let differs = |kind, column: &str, stored: u64, expected: u64| Difference {
                kind,
                key: format!("{id}, {}", file.path),
                column: Some(column.to_owned()),
                stored: Some(stored.cast_signed().to_string()),
                expected: Some(expected.cast_signed().to_string()),
            };
            if counts.read != sum {
                check.differ(differs("rows of a file", "rows_read", counts.read, sum));
            }
            let kept = rejected.remove(id).unwrap_or(0).cast_unsigned();
            if counts.rejected != kept {
                check.differ(differs("rejects of a file", "rows_rejected", counts.rejected, kept));
            }
        }
        for (file_id, rows) in rejected {
            check.differ(Difference {
                kind: "rejects without a file",
                key: file_id.to_string(),
                column: Some("file_id".to_owned()),
                stored: Some(format!("{rows} rejects")),
                expected: Some("a file of the ledger".to_owned()),
            });
        }
        Ok(check)
    }
}
