//! Upsert: table rows into their table, values taken from arrow columns into statements of many rows.

use super::Sink;
use crate::error::SyncError;
use crate::project::TableRows;
use crate::schema::TableShape;
use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, StringArray};
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Cond, Expr, ExprTrait, OnConflict, Query};
use std::ops::Range;

/// Text of one statement: far below the 16 MiB that a MySQL server takes at once by default.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

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
        let rows_max = self.dialect.rows_per_statement().min(self.dialect.binds_max() / columns.len());
        for batch in statements(&text_bytes(&rows.batch), rows_max) {
            let mut insert = Query::insert();
            insert.into_table(Alias::new(&shape.name)).columns(identifiers()).on_conflict(on_conflict.clone());
            for row in batch {
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
                // Said twice, because SQLite looks no alternative up by the key, but a list it does.
                .and_where(Expr::col(Alias::new(key)).is_in(removed.iter().map(|(record, _)| record.as_str())))
                .cond_where(any)
                .to_owned();
            connection.execute(&delete).await?;
        }
        Ok(())
    }
}

/// Cuts rows into statements whose numbers of rows are powers of two, so that the few texts they make stay
/// prepared. `bytes` has the size of each row.
pub(super) fn statements(bytes: &[usize], rows_max: usize) -> Vec<Range<usize>> {
    let mut statements = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let rows = (bytes.len() - start).min(rows_max.max(1));
        let mut size = 1 << rows.ilog2();
        while size > 1 && bytes[start..start + size].iter().sum::<usize>() > STATEMENT_BYTES_MAX {
            size /= 2;
        }
        statements.push(start..start + size);
        start += size;
    }
    statements
}

/// Bytes of text in each row.
fn text_bytes(batch: &RecordBatch) -> Vec<usize> {
    let texts: Vec<&StringArray> = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>()).collect();
    (0..batch.num_rows()).map(|row| texts.iter().map(|text| text.value_length(row) as usize).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_have_few_sizes_and_bounded_texts() {
        assert_eq!(statements(&[1; 11], 4), [0..4, 4..8, 8..10, 10..11]);
        let large = STATEMENT_BYTES_MAX / 2;
        assert_eq!(statements(&[large, large, large + 1, large, 1], 8), [0..2, 2..3, 3..5]);
        assert!(statements(&[], 8).is_empty());
    }
}
