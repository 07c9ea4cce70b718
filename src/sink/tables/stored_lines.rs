//! StoredLines: whole stored lines of some records, for lines that are identified by content rather
//! than by number.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::tables::Tables;
use crate::sink::tables::by_key::key_at;
use crate::sink::tables::known::{KEYS_PER_QUERY, stored_values};
use crate::transform::kept_lines::StoredLines;
use crate::transform::project::Projected;
use entity::Kind;
use sea_orm::{ConnectionTrait, QueryResult};
use std::collections::HashMap;

impl Tables {
    /// Reads the stored lines of these records of a chunk, in the columns of the chunk's lines.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn stored_lines(
        &self,
        dataset: &Dataset,
        market: &str,
        projected: &Projected,
        records: &[usize],
    ) -> Result<StoredLines, SyncError> {
        let mut stored =
            StoredLines { record: Vec::new(), line_no: Vec::new(), columns: Vec::new() };
        let (Some(lines), Some(rows)) = (&dataset.lines, &projected.lines) else {
            return Ok(stored);
        };
        let schema = rows.batch.schema();
        let columns: Vec<&str> =
            schema.fields().iter().map(|field| field.name().as_str()).collect();
        let selected: Vec<&str> = ["line_no"].into_iter().chain(columns.iter().copied()).collect();
        let by_key: HashMap<&str, usize> =
            records.iter().map(|&record| (projected.keys[record].as_str(), record)).collect();
        let mut found: Vec<(usize, i64, QueryResult)> = Vec::new();
        for records in records.chunks(KEYS_PER_QUERY) {
            let keys: Vec<String> =
                records.iter().map(|&record| projected.keys[record].clone()).collect();
            for row in self
                .db
                .connection
                .query_all(&self.select(&lines.table, &dataset.key, market, &keys, &selected))
                .await?
            {
                let key = key_at(&row, 0, &dataset.key)?;
                let Some(&record) = by_key.get(key.as_str()) else { continue };
                found.push((record, row.try_get_by_index(dataset.key.names().len())?, row));
            }
        }
        found.sort_by_key(|&(record, line_no, _)| (record, line_no));
        let shapes = self.shapes();
        let shape = &shapes[&lines.table];
        let found_rows: Vec<Option<&QueryResult>> =
            found.iter().map(|(_, _, row)| Some(row)).collect();
        for column in columns {
            let kind = shape.column(column).map_or(Kind::Text, |column| column.kind);
            stored.columns.push(stored_values(&found_rows, column, kind, self.db.dialect)?);
        }
        stored.record = found.iter().map(|&(record, ..)| record).collect();
        stored.line_no = found.iter().map(|&(_, line_no, _)| line_no).collect();
        Ok(stored)
    }
}
