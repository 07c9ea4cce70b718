//! Upsert: table rows into their table, values taken from arrow columns into statements of many rows.

use super::Sink;
use crate::error::SyncError;
use crate::project::TableRows;
use crate::schema::TableShape;
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Cond, Expr, ExprTrait, OnConflict, Query};

/// Rows of one statement: beyond this, longer statements gain nothing.
const ROWS_PER_STATEMENT: usize = 500;

/// Removed lines of one statement.
const REMOVALS_PER_STATEMENT: usize = 200;

impl Sink {
    /// Writes rows, replacing those that are there.
    pub(super) async fn upsert(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
        rows: &TableRows,
        file_id: i64,
    ) -> Result<(), SyncError> {
        let schema = rows.batch.schema();
        let mut columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        columns.extend(["_row_hash".to_owned(), "_file_id".to_owned()]);
        let identifiers = || columns.iter().map(Alias::new);
        let on_conflict = OnConflict::columns(shape.key.iter().map(Alias::new))
            .update_columns(columns.iter().filter(|column| !shape.key.contains(column)).map(Alias::new))
            .to_owned();
        let rows_max = ROWS_PER_STATEMENT.min(self.dialect.binds_max() / columns.len()).max(1);
        let all: Vec<usize> = (0..rows.batch.num_rows()).collect();
        for batch in all.chunks(rows_max) {
            let mut insert = Query::insert();
            insert.into_table(Alias::new(&shape.name)).columns(identifiers()).on_conflict(on_conflict.clone());
            for &row in batch {
                let mut values: Vec<Expr> =
                    rows.batch.columns().iter().map(|column| Expr::value(self.dialect.value(column, row))).collect();
                values.push(Expr::value(rows.hashes[row].to_vec()));
                values.push(Expr::value(file_id));
                insert.values_panic(values);
            }
            connection.execute(&insert).await?;
        }
        Ok(())
    }

    /// Removes lines by their record's key and their number.
    pub(super) async fn remove_lines(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
        key: &str,
        market: &str,
        removed: &[(String, i64)],
    ) -> Result<(), SyncError> {
        for removed in removed.chunks(REMOVALS_PER_STATEMENT) {
            let mut any = Cond::any();
            for (record, line_no) in removed {
                any = any.add(Expr::col(Alias::new(key)).eq(record.as_str()).and(Expr::col("line_no").eq(*line_no)));
            }
            let delete = Query::delete()
                .from_table(Alias::new(table))
                .and_where(Expr::col("market").eq(market))
                .cond_where(any)
                .to_owned();
            connection.execute(&delete).await?;
        }
        Ok(())
    }
}
