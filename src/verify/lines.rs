//! Checks lines against their records: every line has a record, `line_count` is their number, and
//! they are numbered from 1.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Shapes;
use crate::sink::Sink;
use crate::verify::{Check, Difference};
use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Statement, StreamTrait};

impl Sink {
    /// `None` if the tables do not exist yet.
    pub(crate) async fn verify_lines(
        &self,
        snapshot: &DatabaseTransaction,
        dataset: &Dataset,
        shapes: &Shapes,
    ) -> Result<Option<Check>, SyncError> {
        let Some(lines) = &dataset.lines else { return Ok(None) };
        if !shapes.contains_key(&lines.table) || !shapes.contains_key(&dataset.table) {
            return Ok(None);
        }
        let mut check = Check::of(&lines.table, "lines of records");
        let quote = |name: &str| self.db.dialect.quote(name);
        let (records, lines) = (quote(&dataset.table), quote(&lines.table));
        let key = || {
            ["market"].into_iter().chain(dataset.key.names().iter().map(String::as_str)).map(quote)
        };
        let key_of = |alias: &str| {
            key().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ")
        };
        let is_same = key()
            .map(|column| format!("l.{column} = r.{column}"))
            .collect::<Vec<_>>()
            .join(" AND ");
        let (record_key, line_key, parts) = (key_of("r"), key_of("l"), key().count());
        let key_text = |row: &QueryResult| -> Result<String, DbErr> {
            let texts: Vec<String> =
                (0..parts).map(|part| row.try_get_by_index(part)).collect::<Result<_, _>>()?;
            Ok(texts.join(", "))
        };
        let statement = |sql: String| Statement::from_string(self.db.dialect.backend(), sql);
        let count =
            snapshot.query_one_raw(statement(format!("SELECT COUNT(*) FROM {records}"))).await?;
        check.checked = count.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?.unsigned_abs();

        let counted = format!(
            "SELECT {record_key}, MAX(r.line_count), COUNT(l.line_no), MIN(l.line_no), MAX(l.line_no) \
             FROM {records} r LEFT JOIN {lines} l ON {is_same} \
             GROUP BY {record_key} \
             HAVING MAX(r.line_count) IS NULL OR MAX(r.line_count) <> COUNT(l.line_no) \
             OR MIN(l.line_no) <> 1 OR MAX(l.line_no) <> COUNT(l.line_no)"
        );
        let mut rows = snapshot.stream_raw(statement(counted)).await?;
        while let Some(row) = rows.try_next().await? {
            let key = key_text(&row)?;
            let (stored, lines): (Option<i64>, i64) =
                (row.try_get_by_index(parts)?, row.try_get_by_index(parts + 1)?);
            if stored != Some(lines) {
                check.differ(Difference {
                    kind: "line count",
                    key: key.clone(),
                    column: Some("line_count".to_owned()),
                    stored: stored.map(|stored| stored.to_string()),
                    expected: Some(lines.to_string()),
                });
            }
            let ends: (Option<i64>, Option<i64>) =
                (row.try_get_by_index(parts + 2)?, row.try_get_by_index(parts + 3)?);
            if let (Some(first), Some(last)) = ends
                && (first, last) != (1, lines)
            {
                check.differ(Difference {
                    kind: "line numbers",
                    key,
                    column: Some("line_no".to_owned()),
                    stored: Some(format!("{lines} lines from {first} to {last}")),
                    expected: Some(format!("1 to {lines}")),
                });
            }
        }
        drop(rows);

        let astray = format!(
            "SELECT {line_key}, COUNT(*) FROM {lines} l \
             WHERE NOT EXISTS (SELECT 1 FROM {records} r WHERE {is_same}) GROUP BY {line_key}"
        );
        let mut rows = snapshot.stream_raw(statement(astray)).await?;
        while let Some(row) = rows.try_next().await? {
            check.differ(Difference {
                kind: "lines without a record",
                key: key_text(&row)?,
                column: None,
                stored: Some(format!("{} lines", row.try_get_by_index::<i64>(parts)?)),
                expected: Some(format!("a row of {}", dataset.table)),
            });
        }
        Ok(Some(check))
    }
}
