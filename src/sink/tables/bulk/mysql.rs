//! Bulk rows into MySQL: LOAD DATA LOCAL, whose file is the rows as they are encoded.

use crate::sink::db::dialect::Dialect;
use crate::sink::db::mysql::Connection;
use crate::sink::tables::bulk::tsv;
use crate::transform::table_rows::TableRows;
use sea_orm::{DbErr, Value, Values};

/// Whether the columns take the file's bytes for what they are, and stay so until the transaction ends. In a text column of
/// another encoding, which somebody gave it, other signs would arrive, and in one of bits other numbers.
pub(crate) async fn takes_rows(connection: &mut Connection, table: &str, names: &[String]) -> Result<bool, DbErr> {
    // It waits for a change of the table that is under way, and lets none begin.
    let quoted = Dialect::Mysql.quote(table);
    connection.run(&format!("SELECT 1 FROM {quoted} LIMIT 0 FOR UPDATE")).await?;
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? \
         AND (character_set_name IS NULL OR character_set_name IN ('utf8mb4', 'utf8mb3', 'utf8')) \
         AND data_type NOT IN ('bit', 'json') AND column_name IN ({})",
        vec!["?"; names.len()].join(", ")
    );
    let values = [table].into_iter().chain(names.iter().map(String::as_str)).map(Value::from).collect();
    let rows = connection.query(&query, Values(values)).await?;
    let fitting: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(usize::try_from(fitting) == Ok(names.len()))
}

/// Loads rows, their hashes and the file into a table. Whether each of them is there now, as it was sent: LOCAL
/// leaves out rows whose key is there and fits values that do not fit, and says so only by a count.
pub(crate) async fn load_rows(
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
