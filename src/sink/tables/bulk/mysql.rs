//! Bulk load into MySQL: LOAD DATA LOCAL, with the encoded rows as its file.

use crate::sink::db::dialect::Dialect;
use crate::sink::db::mysql::Connection;
use crate::sink::tables::bulk::tsv;
use crate::transform::table_rows::TableRows;
use sea_orm::{DbErr, Value, Values};

/// Whether the columns store the file's bytes as they are. The check also locks the table's
/// definition until the transaction ends. In a text column that somebody gave another encoding,
/// other characters would arrive, and in a bit column other numbers.
pub(crate) async fn takes_rows(
    connection: &mut Connection,
    table: &str,
    names: &[String],
) -> Result<bool, DbErr> {
    // This waits for a running change of the table, and lets no new one begin.
    let quoted = Dialect::Mysql.quote(table);
    connection.run(&format!("SELECT 1 FROM {quoted} LIMIT 0 FOR UPDATE")).await?;
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? \
         AND (character_set_name IS NULL OR character_set_name IN ('utf8mb4', 'utf8mb3', 'utf8')) \
         AND data_type NOT IN ('bit', 'json') AND column_name IN ({})",
        vec!["?"; names.len()].join(", ")
    );
    let values =
        [table].into_iter().chain(names.iter().map(String::as_str)).map(Value::from).collect();
    let rows = connection.query(&query, Values(values)).await?;
    let fitting: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(usize::try_from(fitting) == Ok(names.len()))
}

/// Loads rows, their hashes and the file id into a table. Returns whether every row arrived
/// unchanged: LOCAL skips rows with existing keys and adjusts values that do not fit, and reports
/// that only by a count.
pub(crate) async fn load_rows(
    connection: &mut Connection,
    table: &str,
    columns: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<bool, DbErr> {
    // Separators are written as hex, because a server may read a backslash literally
    // (NO_BACKSLASH_ESCAPES). The character set is binary, because hashes are not text, and all
    // text is UTF-8 like its columns.
    let sql = format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET binary \
         FIELDS TERMINATED BY X'09' ESCAPED BY X'5C' LINES TERMINATED BY X'0A' ({columns})"
    );
    let sent = rows.hashes.len() as u64;
    let blocks = rows.encoded.clone().unwrap_or_else(|| tsv::blocks(rows, file_id));
    let loaded = connection.load(&sql, blocks).await?;
    Ok(loaded.rows == sent && loaded.warnings == 0)
}
