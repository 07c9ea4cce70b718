//! Bulk rows into PostgreSQL: COPY in text form, straight into the table or into one that lasts as long as
//! the transaction.

use super::transaction::exec_failed;
use super::tsv::{SEND_BYTES, Spelling, push_row};
use crate::project::TableRows;
use sea_orm::DbErr;
use sea_orm::sqlx::PgConnection;

/// Copies rows, their hashes and the file into a table's columns, which come in that order.
pub(super) async fn copy_rows(
    connection: &mut PgConnection,
    table: &str,
    columns: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<(), DbErr> {
    let mut copy =
        connection.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN")).await.map_err(exec_failed)?;
    let mut text = String::with_capacity(SEND_BYTES + (SEND_BYTES >> 2));
    for row in 0..rows.hashes.len() {
        push_row(&mut text, rows, row, file_id, Spelling::Postgres);
        if text.len() >= SEND_BYTES {
            copy.send(text.as_bytes()).await.map_err(exec_failed)?;
            text.clear();
        }
    }
    copy.send(text.as_bytes()).await.map_err(exec_failed)?;
    copy.finish().await.map_err(exec_failed)?;
    Ok(())
}
