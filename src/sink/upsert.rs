//! Upsert: table rows into their table, by the way that is fastest on each database.

use super::transaction::{Driver, Transaction, exec_failed};
use super::{Sink, bulk_postgres, bulk_sqlite};
use crate::error::SyncError;
use crate::project::TableRows;
use crate::schema::TableShape;
use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, StringArray};
use sea_orm::sea_query::{Alias, Cond, Expr, ExprTrait, OnConflict, Query};
use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection};
use sea_orm::{ConnectionTrait, DbErr, SqlErr};
use std::ops::Range;

/// Text of one statement: far below the 16 MiB that a MySQL server takes at once by default.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Removed lines of one statement.
const REMOVALS_PER_STATEMENT: usize = 200;

/// Rows from which on COPY is faster than a statement, although a merge needs a table of its own.
const COPY_ROWS_MIN: usize = 128;

/// Whether the table may hold rows of these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// It held none when it was asked.
    New,
    /// It holds older versions of them.
    Changed,
}

impl Sink {
    /// Writes rows, replacing those that are there.
    pub(super) async fn upsert(
        &self,
        transaction: &Transaction,
        shape: &TableShape,
        rows: &TableRows,
        are: Rows,
        file_id: i64,
    ) -> Result<(), SyncError> {
        if rows.hashes.is_empty() {
            return Ok(());
        }
        let names = column_names(rows);
        match &mut *transaction.driver().await {
            Driver::Sqlite(sqlite) => {
                let sql = self.merge_text(shape, &names, &format!("VALUES ({})", vec!["?"; names.len()].join(", ")));
                return bulk_sqlite::run_for_rows(sqlite, &sql, rows, file_id).await;
            }
            Driver::Postgres(postgres) if rows.hashes.len() >= COPY_ROWS_MIN => {
                return self.copy(postgres, shape, &names, rows, are, file_id).await;
            }
            _ => {}
        }
        self.upsert_by_statements(transaction, shape, &names, rows, file_id).await
    }

    async fn upsert_by_statements(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
        columns: &[String],
        rows: &TableRows,
        file_id: i64,
    ) -> Result<(), SyncError> {
        let on_conflict = OnConflict::columns(shape.key.iter().map(Alias::new))
            .update_columns(columns.iter().filter(|column| !shape.key.contains(column)).map(Alias::new))
            .to_owned();
        let rows_max = self.dialect.rows_per_statement().min(self.dialect.binds_max() / columns.len());
        for batch in statements(&text_bytes(&rows.batch), rows_max) {
            let mut insert = Query::insert();
            insert
                .into_table(Alias::new(&shape.name))
                .columns(columns.iter().map(Alias::new))
                .on_conflict(on_conflict.clone());
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

    /// New rows go straight into the table. Another feed of the same table may have brought one of them since
    /// it was asked; then all of them are merged.
    async fn copy(
        &self,
        postgres: &mut PgConnection,
        shape: &TableShape,
        names: &[String],
        rows: &TableRows,
        are: Rows,
        file_id: i64,
    ) -> Result<(), SyncError> {
        let table = self.dialect.quote(&shape.name);
        let columns = self.quoted(names);
        if are == Rows::New {
            run(postgres, "SAVEPOINT tidegate_bulk").await?;
            match bulk_postgres::copy_rows(postgres, &table, &columns, rows, file_id).await {
                Ok(()) => return Ok(run(postgres, "RELEASE SAVEPOINT tidegate_bulk").await?),
                Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                    run(postgres, "ROLLBACK TO SAVEPOINT tidegate_bulk").await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let create = format!(
            "CREATE TEMPORARY TABLE tidegate_bulk ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"
        );
        run(postgres, &create).await?;
        bulk_postgres::copy_rows(postgres, "tidegate_bulk", &columns, rows, file_id).await?;
        let source = format!("SELECT {columns} FROM tidegate_bulk");
        run(postgres, &self.merge_text(shape, names, &source)).await?;
        Ok(run(postgres, "DROP TABLE tidegate_bulk").await?)
    }

    /// The statement that puts rows into a table, in place of those that are there.
    fn merge_text(&self, shape: &TableShape, names: &[String], source: &str) -> String {
        let replaced = names.iter().filter(|name| !shape.key.contains(name)).map(|name| self.dialect.quote(name));
        let replaced: Vec<String> = replaced.map(|name| format!("{name} = excluded.{name}")).collect();
        format!(
            "INSERT INTO {} ({}) {source} ON CONFLICT ({}) DO UPDATE SET {}",
            self.dialect.quote(&shape.name),
            self.quoted(names),
            self.quoted(&shape.key),
            replaced.join(", ")
        )
    }

    fn quoted(&self, names: &[String]) -> String {
        names.iter().map(|name| self.dialect.quote(name)).collect::<Vec<_>>().join(", ")
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

/// The columns that rows are written to: their own, the hash and the file.
fn column_names(rows: &TableRows) -> Vec<String> {
    let schema = rows.batch.schema();
    let own = schema.fields().iter().map(|field| field.name().clone());
    own.chain(["_row_hash".to_owned(), "_file_id".to_owned()]).collect()
}

async fn run(postgres: &mut PgConnection, sql: &str) -> Result<(), DbErr> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(postgres).await.map_err(exec_failed)?;
    Ok(())
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
