//! Ahead: computes marts ahead on SQLite. While its one writer computes and writes a mart, another
//! connection reads for the next ones. The results wait in temporary tables of that connection, on
//! disk if they are large.

use crate::error::SyncError;
use crate::sink::db::sqlite_handle::with_handles;
use crate::sink::db::transaction::{Driver, Transaction, exec_failed, not_acquired};
use crate::sink::marts::template::Rendered;
use entity::TableShape;
use rusqlite::Connection;
use rusqlite::types::ToSqlOutput;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{AssertSqlSafe, Sqlite};
use sea_orm::{DatabaseConnection, DbErr, Values, sqlx};
use sea_query_sqlx::SqlxValues;

/// A connection that reads.
pub(crate) struct Reader {
    connection: PoolConnection<Sqlite>,
    computed: usize,
}

/// Result rows of a query, in a temporary table of the reader.
pub(crate) struct Ahead {
    table: String,
    columns: usize,
}

impl Reader {
    /// Takes a connection from the pool.
    pub async fn open(connection: &DatabaseConnection) -> Result<Self, DbErr> {
        let connection =
            connection.get_sqlite_connection_pool().acquire().await.map_err(not_acquired)?;
        Ok(Self { connection, computed: 0 })
    }

    /// Computes rows of a table.
    pub async fn compute(&mut self, shape: &TableShape, query: Rendered) -> Result<Ahead, DbErr> {
        // A failed refresh may have left a table with this name.
        let table = format!("temp.tidegate_ahead_{}", self.computed);
        self.computed += 1;
        // Columns have no types, so that values are not converted.
        let columns: Vec<String> =
            (0..shape.columns.len()).map(|column| format!("c{column}")).collect();
        self.run(format!(
            "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({})",
            columns.join(", ")
        ))
        .await?;
        let insert = AssertSqlSafe(format!("INSERT INTO {table} {}", query.sql));
        let insert = sqlx::query_with(insert, SqlxValues(Values(query.binds))).persistent(false);
        insert.execute(&mut *self.connection).await.map_err(exec_failed)?;
        Ok(Ahead { table, columns: columns.len() })
    }

    /// Moves the rows to a table; `insert` is the statement without its values.
    pub async fn move_into(
        &mut self,
        transaction: &Transaction,
        insert: &str,
        ahead: Ahead,
    ) -> Result<(), SyncError> {
        let insert = format!("{insert} VALUES ({})", vec!["?"; ahead.columns].join(", "));
        let select = format!("SELECT * FROM {}", ahead.table);
        let copy = |reader: &Connection, writer: &Connection| {
            let (mut select, mut insert) = (reader.prepare(&select)?, writer.prepare(&insert)?);
            let mut rows = select.raw_query();
            while let Some(row) = rows.next()? {
                for column in 0..ahead.columns {
                    insert.raw_bind_parameter(
                        column + 1,
                        ToSqlOutput::Borrowed(row.get_ref(column)?),
                    )?;
                }
                insert.raw_execute()?;
            }
            Ok(())
        };
        let Driver::Sqlite(writer) = &mut *transaction.driver().await else {
            return Err(SyncError::Internal("only SQLite's marts are computed ahead".to_owned()));
        };
        with_handles(&mut self.connection, writer, copy).await?;
        Ok(self.run(format!("DROP TABLE {}", ahead.table)).await?)
    }

    async fn run(&mut self, sql: String) -> Result<(), DbErr> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *self.connection)
            .await
            .map_err(exec_failed)?;
        Ok(())
    }
}
