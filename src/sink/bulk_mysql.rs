//! Bulk rows into MySQL: LOAD DATA LOCAL, whose file is the rows as they are encoded.

use super::mysql::Connection;
use super::tsv::{SEND_BYTES, Spelling, push_row};
use crate::project::TableRows;
use sea_orm::DbErr;

/// Loads rows, their hashes and the file into a table. Whether each of them is there now, as it was sent: LOCAL
/// leaves out rows whose key is there and fits values that do not fit, and says so only by a count.
pub(super) async fn load_rows(
    connection: &mut Connection,
    table: &str,
    own_columns: &str,
    rows: &TableRows,
    file_id: i64,
) -> Result<bool, DbErr> {
    // Signs by their numbers: a server may take a backslash in a text for itself (NO_BACKSLASH_ESCAPES).
    let sql = format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET utf8mb4 \
         FIELDS TERMINATED BY X'09' ESCAPED BY X'5C' LINES TERMINATED BY X'0A' \
         ({own_columns}, @row_hash, _file_id) SET _row_hash = UNHEX(@row_hash)"
    );
    let sent = rows.hashes.len() as u64;
    let loaded = connection.load(&sql, Blocks { rows: rows.clone(), next: 0, file_id }).await?;
    Ok(loaded.rows == sent && loaded.warnings == 0)
}

/// The rows' text, encoded as it is asked for, so that the server reads one block while the next one is made.
struct Blocks {
    rows: TableRows,
    next: usize,
    file_id: i64,
}

impl Iterator for Blocks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = String::with_capacity(SEND_BYTES + (SEND_BYTES >> 2));
        while self.next < self.rows.hashes.len() && text.len() < SEND_BYTES {
            push_row(&mut text, &self.rows, self.next, self.file_id, Spelling::Mysql);
            self.next += 1;
        }
        (!text.is_empty()).then(|| text.into_bytes())
    }
}
