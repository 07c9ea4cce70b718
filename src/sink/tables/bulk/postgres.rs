//! Bulk load into PostgreSQL: binary COPY, directly into the table or into a temporary one of the
//! transaction.

use crate::sink::db::transaction::{exec_failed, query_failed};
use crate::sink::tables::bulk::copy;
use crate::transform::table_rows::TableRows;
use sea_orm::sqlx::{AssertSqlSafe, PgConnection};
use sea_orm::{DbErr, sqlx};
use std::collections::HashMap;

/// Copies rows, their hashes and the file id into a table's columns, in this order.
pub(crate) async fn copy_rows(
    connection: &mut PgConnection,
    table: &str,
    columns: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<(), DbErr> {
    let sql = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
    let mut copy = connection.copy_in_raw(&sql).await.map_err(exec_failed)?;
    let blocks = rows.encoded.clone().unwrap_or_else(|| copy::blocks(rows, file_id));
    for block in blocks.iter() {
        copy.send(&block[..]).await.map_err(exec_failed)?;
    }
    copy.finish().await.map_err(exec_failed)?;
    Ok(())
}

/// Whether the columns have the types of the binary format. The check also locks the types until
/// the transaction ends. If somebody changed a type, the bytes could be read as other values.
pub(crate) async fn takes_rows(
    connection: &mut PgConnection,
    table: &str,
    names: &[String],
    rows: &TableRows,
) -> Result<bool, DbErr> {
    let lock = format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await.map_err(exec_failed)?;
    let query = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
                 WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped";
    let found: Vec<(String, String)> =
        sqlx::query_as(query).bind(table).fetch_all(connection).await.map_err(query_failed)?;
    let found: HashMap<String, String> = found.into_iter().collect();
    let has_type = |(name, types): (&String, &[&str])| {
        found.get(name).is_some_and(|found| types.contains(&found.as_str()))
    };
    Ok(names.iter().zip(copy::types(rows)).all(has_type))
}
