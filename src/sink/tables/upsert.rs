//! Upsert: writes rows into their table, in the fastest way for each database.

use crate::error::{DatabaseFailure, SyncError, Verdict};
use crate::feed::record_key::KeyColumns;
use crate::process::secret::conceal;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::mysql::Connection;
use crate::sink::db::transaction::{Driver, Transaction, exec_failed};
use crate::sink::tables::Tables;
use crate::sink::tables::bulk::{mysql, postgres, sqlite};
use crate::sink::tables::by_key::is_line_of;
use crate::transform::table_rows::TableRows;
use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, StringArray};
use entity::{ROW_HASH, TableShape};
use sea_orm::sea_query::{Alias, Expr, OnConflict, Query};
use sea_orm::sqlx::{AssertSqlSafe, PgConnection};
use sea_orm::{ConnectionTrait, DbErr, SqlErr, sqlx};
use std::ops::Range;

/// Maximum text of one statement: far below MySQL's default packet limit of 16 MiB.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Lines that one statement removes.
const REMOVALS_PER_STATEMENT: usize = 200;

/// From this number of rows, COPY is faster than a statement, although a merge needs a temporary
/// table.
const COPY_ROWS_MIN: usize = 128;

/// From this number of rows, LOAD DATA is faster than a statement: from about 32 for new rows, and
/// about 100 for merged ones.
const LOAD_ROWS_MIN: usize = 128;

/// Whether the table may have rows with these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// It had none when it was read.
    New,
    /// It has older versions of them.
    Changed,
}

impl Tables {
    /// Writes rows, and replaces existing ones.
    pub(crate) async fn upsert(
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
        // Bulk loads have no time limit of their own.
        let written =
            transaction.keep(self.upsert_unbounded(transaction, shape, rows, are, file_id)).await;
        written.map_err(|error| with_advice(error, &shape.name))
    }

    async fn upsert_unbounded(
        &self,
        transaction: &Transaction,
        shape: &TableShape,
        rows: &TableRows,
        are: Rows,
        file_id: i64,
    ) -> Result<(), SyncError> {
        let names = column_names(rows);
        match &mut *transaction.driver().await {
            Driver::Sqlite(sqlite) => {
                let sql = self.merge_text(
                    shape,
                    &names,
                    &format!("VALUES ({})", vec!["?"; names.len()].join(", ")),
                );
                return sqlite::run_for_rows(sqlite, &sql, rows, file_id).await;
            }
            Driver::Postgres(postgres) => {
                let table = self.db.dialect.quote(&shape.name);
                if rows.hashes.len() >= COPY_ROWS_MIN
                    && postgres::takes_rows(postgres, &table, &names, rows).await?
                {
                    return self.copy(postgres, shape, &names, rows, are, file_id).await;
                }
            }
            Driver::Mysql(mysql) => {
                let is_loaded = rows.hashes.len() >= LOAD_ROWS_MIN
                    && self.load(&mut mysql.connection, shape, &names, rows, are, file_id).await?;
                if is_loaded {
                    return Ok(());
                }
            }
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
            .update_columns(
                columns.iter().filter(|column| !shape.key.contains(column)).map(Alias::new),
            )
            .to_owned();
        let rows_max =
            self.db.dialect.rows_per_statement().min(self.db.dialect.binds_max() / columns.len());
        for batch in statements(&text_bytes(&rows.batch), rows_max) {
            let mut insert = Query::insert();
            insert
                .into_table(Alias::new(&shape.name))
                .columns(columns.iter().map(Alias::new))
                .on_conflict(on_conflict.clone());
            for row in batch {
                let mut values: Vec<Expr> = rows
                    .batch
                    .columns()
                    .iter()
                    .map(|column| Expr::value(self.db.dialect.value(column, row)))
                    .collect();
                values.push(Expr::value(rows.hashes[row].to_vec()));
                values.push(Expr::value(file_id));
                insert.values_panic(values);
            }
            connection.execute(&insert).await?;
        }
        Ok(())
    }

    /// New rows go directly into the table. If another feed of the same table has added one of them
    /// since the read, all of them are merged instead.
    async fn copy(
        &self,
        postgres: &mut PgConnection,
        shape: &TableShape,
        names: &[String],
        rows: &TableRows,
        are: Rows,
        file_id: i64,
    ) -> Result<(), SyncError> {
        let table = self.db.dialect.quote(&shape.name);
        let columns = self.quoted(names);
        if are == Rows::New {
            run(postgres, "SAVEPOINT tidegate_bulk").await?;
            match postgres::copy_rows(postgres, &table, &columns, rows, file_id).await {
                Ok(()) => return Ok(run(postgres, "RELEASE SAVEPOINT tidegate_bulk").await?),
                Err(error)
                    if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
                {
                    run(postgres, "ROLLBACK TO SAVEPOINT tidegate_bulk").await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let create = format!(
            "CREATE TEMPORARY TABLE tidegate_bulk ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"
        );
        run(postgres, &create).await?;
        postgres::copy_rows(postgres, "tidegate_bulk", &columns, rows, file_id).await?;
        let source = format!("SELECT {columns} FROM tidegate_bulk");
        run(postgres, &self.merge_text(shape, names, &source)).await?;
        Ok(run(postgres, "DROP TABLE tidegate_bulk").await?)
    }

    /// Whether MySQL loaded the rows. If not, none of them is in the table, and statements are
    /// used, which work or report the reason: LOAD DATA adjusts bad values silently.
    async fn load(
        &self,
        mysql: &mut Connection,
        shape: &TableShape,
        names: &[String],
        rows: &TableRows,
        are: Rows,
        file_id: i64,
    ) -> Result<bool, SyncError> {
        // A row larger than a statement may exceed the server's packet limit.
        if !mysql.takes_files
            || text_bytes(&rows.batch).into_iter().any(|bytes| bytes > STATEMENT_BYTES_MAX)
        {
            return Ok(false);
        }
        mysql.run("SAVEPOINT tidegate_bulk").await?;
        match self
            .load_or_merge(mysql, shape, names, rows, are, file_id)
            .await
            .map_err(SyncError::from)
        {
            Ok(true) => {
                mysql.run("RELEASE SAVEPOINT tidegate_bulk").await?;
                return Ok(true);
            }
            Ok(false) => {}
            Err(error) if error.verdict() == Verdict::Retry => return Err(error),
            Err(error) => {
                // For example `local_infile=0`, or no right to create temporary tables.
                tracing::info!(error = %conceal(&error.to_string()), "the server takes no rows by LOAD DATA LOCAL; they go by slower statements");
                mysql.takes_files = false;
            }
        }
        mysql.run("ROLLBACK TO SAVEPOINT tidegate_bulk").await?;
        Ok(false)
    }

    /// Like [`Tables::copy`]; returns whether all rows arrived unchanged.
    async fn load_or_merge(
        &self,
        mysql: &mut Connection,
        shape: &TableShape,
        names: &[String],
        rows: &TableRows,
        are: Rows,
        file_id: i64,
    ) -> Result<bool, DbErr> {
        if !mysql::takes_rows(mysql, &shape.name, names).await? {
            return Ok(false);
        }
        let table = self.db.dialect.quote(&shape.name);
        let columns = self.quoted(names);
        if are == Rows::New {
            if mysql::load_rows(mysql, &table, &columns, rows, file_id).await? {
                return Ok(true);
            }
            mysql.run("ROLLBACK TO SAVEPOINT tidegate_bulk").await?;
        }
        // With TEMPORARY, neither statement commits. A rollback does not remove a temporary table.
        mysql.run("DROP TEMPORARY TABLE IF EXISTS tidegate_bulk").await?;
        mysql
            .run(&format!(
                "CREATE TEMPORARY TABLE tidegate_bulk AS SELECT {columns} FROM {table} LIMIT 0"
            ))
            .await?;
        if !mysql::load_rows(mysql, "tidegate_bulk", &columns, rows, file_id).await? {
            return Ok(false);
        }
        mysql
            .run(&self.merge_text(shape, names, &format!("SELECT {columns} FROM tidegate_bulk")))
            .await?;
        mysql.run("DROP TEMPORARY TABLE tidegate_bulk").await?;
        Ok(true)
    }

    /// The statement that inserts rows into a table or replaces existing ones.
    fn merge_text(&self, shape: &TableShape, names: &[String], source: &str) -> String {
        let (on_conflict, new) = match self.db.dialect {
            Dialect::Mysql => ("ON DUPLICATE KEY UPDATE".to_owned(), "tidegate_bulk"),
            _ => (format!("ON CONFLICT ({}) DO UPDATE SET", self.quoted(&shape.key)), "excluded"),
        };
        let replaced = names
            .iter()
            .filter(|name| !shape.key.contains(name))
            .map(|name| self.db.dialect.quote(name));
        let replaced: Vec<String> = replaced.map(|name| format!("{name} = {new}.{name}")).collect();
        format!(
            "INSERT INTO {} ({}) {source} {on_conflict} {}",
            self.db.dialect.quote(&shape.name),
            self.quoted(names),
            replaced.join(", ")
        )
    }

    fn quoted(&self, names: &[String]) -> String {
        names.iter().map(|name| self.db.dialect.quote(name)).collect::<Vec<_>>().join(", ")
    }

    /// Removes lines by record key and line number.
    pub(crate) async fn remove_lines(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
        key: &KeyColumns,
        market: &str,
        removed: &[(String, i64)],
    ) -> Result<(), SyncError> {
        for removed in removed.chunks(REMOVALS_PER_STATEMENT) {
            let delete = Query::delete()
                .from_table(Alias::new(table))
                .cond_where(is_line_of(self.db.dialect, key, market, removed))
                .to_owned();
            connection.execute(&delete).await?;
        }
        Ok(())
    }
}

/// The columns to write: the row's own, the hash and the file id. Says what to do about a row that
/// is larger than the database keeps: 8,126 bytes of InnoDB and 8,160 of PostgreSQL, in which a
/// long text takes 20 and a short one what it is.
fn with_advice(error: SyncError, table: &str) -> SyncError {
    let is_too_wide = error.is_too_wide();
    match error {
        SyncError::Database(failure) if is_too_wide => SyncError::Database(DatabaseFailure {
            message: format!(
                "{}: a row has values in more columns of `{table}` than this database keeps in one row; leave columns out of the \
                 file, or say `new_columns = \"ignore\"` of its dataset and declare those that are wanted",
                failure.message
            ),
            ..failure
        }),
        error => error,
    }
}

fn column_names(rows: &TableRows) -> Vec<String> {
    let schema = rows.batch.schema();
    let own = schema.fields().iter().map(|field| field.name().clone());
    own.chain([ROW_HASH.to_owned(), "_file_id".to_owned()]).collect()
}

async fn run(postgres: &mut PgConnection, sql: &str) -> Result<(), DbErr> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(postgres).await.map_err(exec_failed)?;
    Ok(())
}

/// Splits rows into statements with a power of two of rows each, so that the few different texts
/// stay prepared. `bytes` has the size of each row.
pub(crate) fn statements(bytes: &[usize], rows_max: usize) -> Vec<Range<usize>> {
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
    let texts: Vec<&StringArray> =
        batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>()).collect();
    (0..batch.num_rows())
        .map(|row| texts.iter().map(|text| text.value_length(row) as usize).sum())
        .collect()
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
