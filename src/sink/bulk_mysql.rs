//! Bulk rows into MySQL: LOAD DATA LOCAL, whose file is the rows as they are encoded.

use super::mysql::Connection;
use super::tsv;
use crate::project::TableRows;
use sea_orm::{DbErr, Values};

/// Whether texts are UTF-8 in all columns, as those of the file are: in other ones, which somebody gave them, other signs would
/// arrive.
pub(super) async fn takes_rows(connection: &mut Connection, table: &str) -> Result<bool, DbErr> {
    let query = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? \
                 AND (character_set_name NOT IN ('utf8mb4', 'utf8mb3', 'utf8') OR data_type = 'json')";
    let rows = connection.query(query, Values(vec![table.into()])).await?;
    let others: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(others == 0)
}

/// Loads rows, their hashes and the file into a table. Whether each of them is there now, as it was sent: LOCAL
/// leaves out rows whose key is there and fits values that do not fit, and says so only by a count.
pub(super) async fn load_rows(
    connection: &mut Connection,
    table: &str,
    columns: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<bool, DbErr> {
    // Signs by their numbers: a server may take a backslash in a text for itself (NO_BACKSLASH_ESCAPES). Binary, because
    // hashes are no text, and what is text is UTF-8 as its columns are.
    let sql = format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET binary \
         FIELDS TERMINATED BY X'09' ESCAPED BY X'5C' LINES TERMINATED BY X'0A' ({columns})"
    );
    let sent = rows.hashes.len() as u64;
    let blocks = rows.encoded.clone().unwrap_or_else(|| tsv::blocks(rows, file_id));
    let loaded = connection.load(&sql, blocks).await?;
    Ok(loaded.rows == sent && loaded.warnings == 0)
}
