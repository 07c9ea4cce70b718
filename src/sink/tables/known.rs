//! Known: reads what the tables hold of a chunk's records: hashes to compare with, and the stored
//! values of columns that the file lacks.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Owner};
use crate::feed::record_key::{KeyColumns, join};
use crate::sink::db::dialect::Dialect;
use crate::sink::db::transaction::not_acquired;
use crate::sink::tables::bulk::sqlite::HashQueries;
use crate::sink::tables::by_key::{is_one_of, key_at};
use crate::sink::tables::{DELETED_AT, Tables};
use crate::transform::clean::arrow_type;
use crate::transform::diff::Known;
use crate::transform::row_hash::{RowHash, hash_rows};
use crate::transform::table_rows::{TableRows, take_rows};
use crate::values::number::DECIMAL_SCALE;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type};
use arrow_array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMillisecondArray,
};
use arrow_select::interleave::interleave;
use chrono::{DateTime, NaiveDate, Utc};
use entity::{Kind, ROW_HASH, TableShape};
use rust_decimal::Decimal;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

/// Keys in one query: enough that round trips do not matter, and few enough for every planner.
pub(crate) const KEYS_PER_QUERY: usize = 500;

/// Columns of a row that are not data; they are never hashed and never absent.
pub(crate) const BOOKKEEPING: [&str; 3] = [ROW_HASH, "_file_id", DELETED_AT];

/// Key of a record or line: record key, and line number if there is one.
type RowKey = (String, Option<i64>);

impl Tables {
    /// Whether a table has rows of a market; the first file of a market has nothing to compare
    /// with.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn has_rows(&self, table: &str, market: &str) -> Result<bool, SyncError> {
        let mut query = Query::select();
        query
            .expr(Expr::value(1))
            .from(Alias::new(table))
            .and_where(Expr::col("market").eq(market))
            .limit(1);
        Ok(self.db.connection.query_one(&query).await?.is_some())
    }

    /// Those of some columns of a dataset that no row has a value in, or that no table has; none
    /// where there are no rows.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn without_values(
        &self,
        dataset: &Dataset,
        columns: &BTreeSet<String>,
    ) -> Result<Vec<String>, SyncError> {
        let shapes = self.shapes();
        let mut without = Vec::new();
        for owner in [Owner::Record, Owner::Line] {
            let table = dataset.table_of(owner);
            let own: Vec<&String> =
                columns.iter().filter(|column| dataset.owner(column) == owner).collect();
            let Some(shape) = shapes.get(table).filter(|_| !own.is_empty()) else { continue };
            let mut query = Query::select();
            query.expr(Expr::cust("COUNT(*)")).from(Alias::new(table));
            let (there, lacking): (Vec<&String>, Vec<&String>) =
                own.iter().partition(|column| shape.column(column).is_some());
            for column in &there {
                query.expr(Expr::col(Alias::new(column.as_str())).count());
            }
            let Some(row) = self.db.connection.query_one(&query).await? else { continue };
            let count = |index: usize| row.try_get_by_index::<i64>(index);
            if count(0)? == 0 {
                continue;
            }
            for (index, column) in there.into_iter().enumerate() {
                if count(index + 1)? == 0 {
                    without.push(column.clone());
                }
            }
            without.extend(lacking.into_iter().cloned());
        }
        Ok(without)
    }

    /// Number of this market's rows in the table.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn count_rows(&self, table: &str, market: &str) -> Result<u64, SyncError> {
        let mut query = Query::select();
        query
            .expr(Expr::cust("COUNT(*)"))
            .from(Alias::new(table))
            .and_where(Expr::col("market").eq(market));
        let row = self.db.connection.query_one(&query).await?;
        let rows: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(rows.unsigned_abs())
    }

    /// Hashes of the records with these keys, and of their lines.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn known(
        &self,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<Known, SyncError> {
        if dataset.is_keyless() {
            return self.known_rows(dataset, market, keys).await;
        }
        if self.db.dialect == Dialect::Sqlite {
            let queries = self.hash_queries(dataset);
            let mut connection = self
                .db
                .connection
                .get_sqlite_connection_pool()
                .acquire()
                .await
                .map_err(not_acquired)?;
            return crate::sink::tables::bulk::sqlite::stored_hashes(
                &mut connection,
                &queries,
                market,
                keys,
            )
            .await;
        }
        let records: HashMap<&str, usize> = keys.iter().map(String::as_str).zip(0..).collect();
        let parts = dataset.key.names().len();
        let mut known = Known::nothing(keys.len());
        for keys in keys.chunks(KEYS_PER_QUERY) {
            let query =
                self.select(&dataset.table, &dataset.key, market, keys, &[ROW_HASH, "_file_id"]);
            for row in self.db.connection.query_all(&query).await? {
                let key = key_at(&row, 0, &dataset.key)?;
                let Some(&record) = records.get(key.as_str()) else { continue };
                known.add_record(record, hash_at(&row, parts)?, row.try_get_by_index(parts + 1)?);
            }
        }
        let Some(lines) = &dataset.lines else { return Ok(known) };
        // Records are committed whole, so a missing record has no lines.
        let stored: Vec<usize> = known.stored().collect();
        for stored in stored.chunks(KEYS_PER_QUERY) {
            let keys: Vec<String> = stored.iter().map(|&record| keys[record].clone()).collect();
            let query =
                self.select(&lines.table, &dataset.key, market, &keys, &["line_no", ROW_HASH]);
            let mut of_records: HashMap<usize, Vec<(i64, RowHash)>> = HashMap::new();
            for row in self.db.connection.query_all(&query).await? {
                let key = key_at(&row, 0, &dataset.key)?;
                let Some(&record) = records.get(key.as_str()) else { continue };
                let line = (row.try_get_by_index(parts)?, hash_at(&row, parts + 1)?);
                of_records.entry(record).or_default().push(line);
            }
            of_records.into_iter().for_each(|(record, lines)| known.add_lines(record, lines));
        }
        Ok(known)
    }

    /// Hashes of rows whose hash is their key.
    async fn known_rows(
        &self,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
    ) -> Result<Known, SyncError> {
        let mut known = Known::nothing(keys.len());
        let hashes: Vec<RowHash> = keys.iter().map(|key| unhex(key)).collect();
        let records: HashMap<RowHash, usize> = hashes.iter().copied().zip(0..).collect();
        for hashes in hashes.chunks(KEYS_PER_QUERY) {
            let mut query = Query::select();
            query.from(Alias::new(&dataset.table)).columns([ROW_HASH, "_file_id"]);
            query.and_where(Expr::col("market").eq(market));
            query.and_where(Expr::col(ROW_HASH).is_in(hashes.iter().map(|hash| hash.to_vec())));
            for row in self.db.connection.query_all(&query).await? {
                let hash = hash_at(&row, 0)?;
                let Some(&record) = records.get(&hash) else { continue };
                known.add_record(record, hash, row.try_get_by_index(1)?);
            }
        }
        Ok(known)
    }

    fn hash_queries(&self, dataset: &Dataset) -> HashQueries {
        let quote = |name: &str| self.db.dialect.quote(name);
        let is_record: String = dataset
            .key
            .names()
            .iter()
            .map(|column| format!(" AND {} = ?", quote(column)))
            .collect();
        let query = |columns: &str, table: &str| {
            format!("SELECT {columns} FROM {} WHERE market = ?{is_record}", quote(table))
        };
        HashQueries {
            key: dataset.key.clone(),
            records: query("_row_hash, _file_id", &dataset.table),
            lines: dataset
                .lines
                .as_ref()
                .map(|lines| query(&format!("line_no, {ROW_HASH}"), &lines.table)),
        }
    }

    /// The rows of some records of a market: their keys' columns, and these ones behind them.
    pub(crate) fn select(
        &self,
        table: &str,
        key: &KeyColumns,
        market: &str,
        keys: &[String],
        columns: &[&str],
    ) -> SelectStatement {
        let mut query = Query::select();
        query.from(Alias::new(table)).cond_where(is_one_of(self.db.dialect, key, market, keys));
        query.columns(
            key.names().iter().map(String::as_str).chain(columns.iter().copied()).map(Alias::new),
        );
        query
    }

    /// Fills in stored values for columns that the file lacks, in rows whose hash differs. Rows
    /// that then equal the stored ones are unchanged and left out.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn fill_absent(
        &self,
        rows: &TableRows,
        changed: &[usize],
        known: &Known,
        dataset: &Dataset,
        owner: Owner,
    ) -> Result<TableRows, SyncError> {
        let shapes = self.shapes();
        let shape = &shapes[dataset.table_of(owner)];
        let taken = take_rows(rows, changed);
        let mut absent = AbsentCells::of(&taken, shape);
        if absent.by_column.is_empty() || changed.is_empty() {
            return Ok(taken);
        }
        absent.add_rescued(&taken);
        let row_key = |row: usize| row_key(&taken.batch, row, dataset.key.names().len());
        let keys: Vec<RowKey> = (0..taken.batch.num_rows()).map(row_key).collect();
        let stored = self.stored_rows(&taken.batch, &keys, &absent, dataset, shape).await?;
        let batch = absent.fill(&taken.batch, &keys, &stored, shape, self.db.dialect)?;
        let hashes = hash_rows(&batch);
        let stored_hash = |row: usize| {
            let record = taken.record[row] as usize;
            match keys[row].1 {
                None => known.record(record).map(|known| known.hash),
                Some(line_no) => known.line(record, line_no).copied(),
            }
        };
        let is_changed = |&row: &usize| Some(hashes[row]) != stored_hash(row);
        let still_changed: Vec<usize> = (0..batch.num_rows()).filter(is_changed).collect();
        Ok(take_rows(
            &TableRows {
                batch,
                hashes: hashes.clone(),
                record: taken.record,
                absent: Vec::new(),
                encoded: None,
            },
            &still_changed,
        ))
    }

    async fn stored_rows(
        &self,
        batch: &RecordBatch,
        keys: &[RowKey],
        absent: &AbsentCells,
        dataset: &Dataset,
        shape: &TableShape,
    ) -> Result<HashMap<RowKey, QueryResult>, SyncError> {
        let market = batch.column(0).as_string::<i32>().value(0).to_owned();
        let has_lines = shape.column("line_no").is_some();
        let line_no = has_lines.then_some("line_no");
        let columns: Vec<&str> =
            line_no.into_iter().chain(absent.by_column.keys().map(String::as_str)).collect();
        let records: Vec<String> =
            keys.iter().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        let mut stored = HashMap::new();
        for records in records.chunks(KEYS_PER_QUERY) {
            let query = self.select(&shape.name, &dataset.key, &market, records, &columns);
            for row in self.db.connection.query_all(&query).await? {
                let line_no = if has_lines {
                    Some(row.try_get_by_index(dataset.key.names().len())?)
                } else {
                    None
                };
                stored.insert((key_at(&row, 0, &dataset.key)?, line_no), row);
            }
        }
        Ok(stored)
    }
}

/// The hash that a key from `project` contains.
pub(crate) fn unhex(key: &str) -> RowHash {
    let mut hash = RowHash::default();
    for (byte, digits) in hash.iter_mut().zip(key.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte =
            u8::from_str_radix(digits, 16).expect("keys of keyless rows are hashes in hexadecimal");
    }
    hash
}

fn hash_at(row: &QueryResult, index: usize) -> Result<RowHash, DbErr> {
    let bytes: Vec<u8> = row.try_get_by_index(index)?;
    // An invalid hash equals no other, so the row is written again.
    Ok(RowHash::try_from(bytes).unwrap_or_default())
}

/// Behind the market stand so many columns of the record's key.
fn row_key(batch: &RecordBatch, row: usize, parts: usize) -> RowKey {
    let line_no = batch
        .column_by_name("line_no")
        .map(|numbers| numbers.as_primitive::<arrow_array::types::Int64Type>().value(row));
    let part = |column: usize| Ok(batch.column(column).as_string::<i32>().value(row).to_owned());
    let Ok(key) = join::<Infallible>((1..=parts).map(part));
    (key, line_no)
}

/// The rows that lack a column, by column.
struct AbsentCells {
    by_column: BTreeMap<String, BTreeSet<usize>>,
}

impl AbsentCells {
    fn of(rows: &TableRows, shape: &TableShape) -> Self {
        let mut by_column: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let schema = rows.batch.schema();
        for &(row, column) in &rows.absent {
            by_column.entry(schema.field(column).name().clone()).or_default().insert(row);
        }
        for column in &shape.columns {
            let is_data = !BOOKKEEPING.contains(&column.name.as_str());
            if is_data && schema.column_with_name(&column.name).is_none() {
                by_column.insert(column.name.clone(), (0..rows.batch.num_rows()).collect());
            }
        }
        Self { by_column }
    }

    /// Rescued values of an absent column stay rescued.
    fn add_rescued(&mut self, rows: &TableRows) {
        self.by_column.insert("_rescued".to_owned(), (0..rows.batch.num_rows()).collect());
    }

    fn fill(
        &self,
        batch: &RecordBatch,
        keys: &[RowKey],
        stored: &HashMap<RowKey, QueryResult>,
        shape: &TableShape,
        dialect: Dialect,
    ) -> Result<RecordBatch, SyncError> {
        let rows: Vec<Option<&QueryResult>> = keys.iter().map(|key| stored.get(key)).collect();
        let schema = batch.schema();
        let mut columns: Vec<(String, ArrayRef)> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, values)| (field.name().clone(), Arc::clone(values)))
            .collect();
        for (name, absent) in &self.by_column {
            let kind = shape.column(name).map_or(Kind::Text, |column| column.kind);
            let values = stored_values(&rows, name, kind, dialect)?;
            match columns.iter_mut().find(|(column, _)| column == name) {
                Some((_, given)) if name == "_rescued" => {
                    *given = self.merge_rescued(given, &values);
                }
                Some((_, given)) => *given = choose(given, &values, absent),
                None => columns.push((name.clone(), values)),
            }
        }
        let nullable = columns.into_iter().map(|(name, values)| (name, values, true));
        Ok(RecordBatch::try_from_iter_with_nullable(nullable)
            .expect("every column has a value for each row"))
    }

    fn merge_rescued(&self, given: &ArrayRef, stored: &ArrayRef) -> ArrayRef {
        let (given, stored) = (given.as_string::<i32>(), stored.as_string::<i32>());
        let texts = |json: Option<&str>| -> BTreeMap<String, String> {
            json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
        };
        let merged = (0..given.len()).map(|row| {
            let mut merged = texts(stored.is_valid(row).then(|| stored.value(row)));
            merged.retain(|column, _| {
                self.by_column.get(column).is_some_and(|rows| rows.contains(&row))
            });
            merged.extend(texts(given.is_valid(row).then(|| given.value(row))));
            (!merged.is_empty())
                .then(|| serde_json::to_string(&merged).expect("a map of texts is JSON"))
        });
        Arc::new(StringArray::from_iter(merged))
    }
}

/// The stored value for rows that lack the column, the given one for others.
fn choose(given: &ArrayRef, stored: &ArrayRef, absent: &BTreeSet<usize>) -> ArrayRef {
    let sources: Vec<(usize, usize)> =
        (0..given.len()).map(|row| (usize::from(absent.contains(&row)), row)).collect();
    interleave(&[given, stored], &sources).expect("both columns have the type of their kind")
}

/// Stored values of a column, as the arrow type that cleaning uses for its kind.
pub(crate) fn stored_values(
    rows: &[Option<&QueryResult>],
    name: &str,
    kind: Kind,
    dialect: Dialect,
) -> Result<ArrayRef, DbErr> {
    fn cells<T: sea_orm::TryGetable>(
        rows: &[Option<&QueryResult>],
        name: &str,
    ) -> Result<Vec<Option<T>>, DbErr> {
        rows.iter().map(|row| row.map_or(Ok(None), |row| row.try_get("", name))).collect()
    }
    Ok(match kind {
        Kind::Identifier | Kind::Text | Kind::Hash => {
            Arc::new(StringArray::from(cells::<String>(rows, name)?))
        }
        Kind::Integer => Arc::new(Int64Array::from(cells::<i64>(rows, name)?)),
        Kind::Double => Arc::new(Float64Array::from(cells::<f64>(rows, name)?)),
        Kind::Decimal | Kind::Total => {
            let decimals: Vec<Option<Decimal>> = match dialect {
                Dialect::Sqlite => cells::<f64>(rows, name)?
                    .into_iter()
                    .map(|real| real.and_then(|real| real.to_string().parse().ok()))
                    .collect(),
                _ => cells(rows, name)?,
            };
            let units = decimals.into_iter().map(|decimal| decimal.map(ten_thousandths));
            Arc::new(units.collect::<Decimal128Array>().with_data_type(arrow_type(Kind::Decimal)))
        }
        Kind::Time => {
            let moments = cells::<DateTime<Utc>>(rows, name)?
                .into_iter()
                .map(|moment| moment.map(|moment| moment.timestamp_millis()));
            Arc::new(moments.collect::<TimestampMillisecondArray>())
        }
        Kind::Day => {
            let days = cells::<NaiveDate>(rows, name)?
                .into_iter()
                .map(|day| day.map(Date32Type::from_naive_date));
            Arc::new(days.collect::<Date32Array>())
        }
    })
}

fn ten_thousandths(
    mut decimal: Decimal,
) -> <Decimal128Type as arrow_array::ArrowPrimitiveType>::Native {
    decimal.rescale(DECIMAL_SCALE);
    decimal.mantissa()
}
