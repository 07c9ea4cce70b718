//! StoredRecords: whole records as the tables hold them, with their lines.
//!
//! Everything that needs rows as they were before a change reads them here.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::record_key::join;
use crate::sink::tables::Tables;
use crate::sink::tables::by_key::{go_on_after, is_one_of};
use crate::sink::tables::known::{KEYS_PER_QUERY, stored_values, unhex};
use crate::transform::record_json::StoredRows;
use crate::values::cell::hex;
use entity::{ColumnShape, ROW_HASH, TableShape};
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// Records with their lines.
#[derive(Debug, Default)]
pub struct StoredRecords {
    /// The records' own rows.
    pub records: StoredRows,
    /// Their lines in the order of their numbers; `None` where the dataset has none.
    pub lines: Option<StoredRows>,
}

/// The columns of a table that describe its rows: all but the hash and the file.
pub(crate) fn described_columns(shape: &TableShape) -> Vec<ColumnShape> {
    let is_described = |column: &&ColumnShape| column.name != ROW_HASH && column.name != "_file_id";
    shape.columns.iter().filter(is_described).cloned().collect()
}

impl Tables {
    /// Reads the stored records with these keys: at most `KEYS_PER_QUERY` at a time, so that
    /// their memory stays bounded.
    ///
    /// # Errors
    ///
    /// When the database fails, or has a value that is not of its column's type.
    pub async fn stored_records(
        &self,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<StoredRecords, SyncError> {
        debug_assert!(keys.len() <= KEYS_PER_QUERY, "the caller pages");
        let shapes = self.shapes();
        let records = self.rows_of(&shapes[&dataset.table], dataset, market, keys).await?;
        let lines = match &dataset.lines {
            None => None,
            Some(lines) => Some(self.rows_of(&shapes[&lines.table], dataset, market, keys).await?),
        };
        Ok(StoredRecords { records, lines })
    }

    async fn rows_of(
        &self,
        shape: &TableShape,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<StoredRows, SyncError> {
        let mut query = self.rows_with(dataset, market, keys);
        query.from(Alias::new(&shape.name));
        query.columns(shape.columns.iter().map(|column| Alias::new(&column.name)));
        if shape.column("line_no").is_some() {
            query.order_by(Alias::new("line_no"), Order::Asc);
        }
        let rows = self.db.connection.query_all(&query).await?;
        let some: Vec<Option<&QueryResult>> = rows.iter().map(Some).collect();
        let mut stored = StoredRows::default();
        for row in &rows {
            stored.keys.push(key_of(row, dataset)?);
            stored.file_ids.push(row.try_get("", "_file_id")?);
        }
        for column in described_columns(shape) {
            let values = stored_values(&some, &column.name, column.kind, self.db.dialect)?;
            stored.columns.push((column.name, values));
        }
        Ok(stored)
    }

    /// A query for the rows of these records, without its columns and table.
    fn rows_with(&self, dataset: &Dataset, market: &str, keys: &[String]) -> SelectStatement {
        let mut query = Query::select();
        query.cond_where(self.is_record_of(dataset, market, keys));
        query
    }

    /// The condition for the rows of some records, also of those whose key is their hash.
    pub(crate) fn is_record_of(
        &self,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Condition {
        if !dataset.is_keyless() {
            return is_one_of(self.db.dialect, &dataset.key, market, keys);
        }
        let hashes = keys.iter().map(|key| unhex(key).to_vec());
        Condition::all().add(Expr::col("market").eq(market)).add(Expr::col(ROW_HASH).is_in(hashes))
    }

    /// The next keys, in order and after one, of the records that a file wrote last.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn keys_written_by(
        &self,
        dataset: &Dataset,
        market: &str,
        file_id: i64,
        after: &str,
        keys_max: usize,
    ) -> Result<Vec<String>, SyncError> {
        let mut query = Query::select();
        query
            .from(Alias::new(&dataset.table))
            .columns(dataset.key.names().iter().map(Alias::new))
            .and_where(Expr::col("market").eq(market))
            .and_where(Expr::col("_file_id").eq(file_id))
            .limit(keys_max as u64);
        match dataset.is_keyless() {
            true => {
                query.order_by(Alias::new(ROW_HASH), Order::Asc);
                if !after.is_empty() {
                    query.and_where(Expr::col(ROW_HASH).gt(unhex(after).to_vec()));
                }
            }
            false => go_on_after(&mut query, &dataset.key, after),
        }
        let rows = self.db.connection.query_all(&query).await?;
        Ok(rows.iter().map(|row| key_of(row, dataset)).collect::<Result<_, _>>()?)
    }
}

/// The key of a row that has its columns by name.
fn key_of(row: &QueryResult, dataset: &Dataset) -> Result<String, DbErr> {
    if dataset.is_keyless() {
        return Ok(hex(&row.try_get::<Vec<u8>>("", ROW_HASH)?));
    }
    let parts = dataset.key.names().iter().map(|name| row.try_get::<String>("", name));
    join(parts)
}
