//! Scratch: a temporary SQLite database with a copy of some markets, to try a sync on. Triggers
//! record the first rows that a file adds, changes or removes.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Shapes;
use crate::process::clock::now_ms;
use crate::sink::Sink;
use crate::sink::db::dialect::Dialect;
use crate::sink::declared_tables::NamesAre;
use crate::sink::marts::views::Dropped;
use crate::sink::tables::DELETED_AT;
use crate::sink::tables::upsert::statements;
use chrono::{DateTime, NaiveDate, Utc};
use entity::{Kind, ROW_HASH, TableShape, rejects, schema_changes};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, Statement, StreamTrait, Value,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Examples of each kind for each table: enough to see what a file does.
pub const EXAMPLES_MAX: u64 = 3;

/// Rows that one statement copies; they are held in memory for it.
const ROWS_PER_COPY: usize = 512;

/// Ledger tables about the process, the stored marts and earlier versions, which are not copied.
const OWN_TABLES: [&str; 5] = [
    "tidegate_lease",
    "tidegate_definitions",
    "tidegate_dirty_groups",
    "tidegate_obstacles",
    "tidegate_history",
];

/// Columns that every change touches; they are not reported.
const BOOKKEEPING: [&str; 2] = [ROW_HASH, "_file_id"];

const EXAMPLES: &str = "tidegate_examples";

/// Separator between a row's values, which are quoted as in SQLite.
const SEPARATOR: char = '\u{1e}';

/// A change of a row by the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// `new`, `modified` or `deleted`.
    pub change: String,
    /// The table.
    pub table: String,
    /// Its key values.
    pub key: String,
    /// The changed cells of a modified row.
    pub differences: Vec<CellChange>,
}

/// A cell before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellChange {
    /// The column.
    pub column: String,
    /// The value before, as SQLite quotes it: text in quotes, or `NULL`.
    pub before: String,
    /// The value after, written in the same way.
    pub after: String,
}

/// A row that cannot be loaded.
#[derive(Clone, Debug, Serialize)]
pub struct RejectExample {
    /// 1 is the first row after the header.
    pub row: i64,
    /// The column with the fault, if there is one.
    pub column: Option<String>,
    /// Why.
    pub reason: String,
}

/// A change of a table's columns.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedChange {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What happens to it.
    pub kind: String,
    /// Type or name before.
    pub old: Option<String>,
    /// Type or name after.
    pub new: Option<String>,
}

/// A sum over the groups of a mart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotalKey {
    /// The mart.
    pub mart: String,
    /// The market.
    pub market: String,
    /// The currency, where the mart has one.
    pub currency: Option<String>,
    /// The column.
    pub column: String,
}

/// Columns: table and name.
pub type Columns = BTreeSet<(String, String)>;

/// The last ids of the ledger, to find what a sync added.
#[derive(Clone, Copy, Debug)]
pub struct LedgerEnd {
    change: i64,
    reject: i64,
}

impl Sink {
    /// Copies the ledger and the rows of these markets from `source` into an empty scratch
    /// database.
    ///
    /// # Errors
    ///
    /// When one of the two databases fails.
    pub async fn copy_markets(
        &self,
        source: &Self,
        markets: &[String],
        datasets: &[Arc<Dataset>],
    ) -> Result<(), SyncError> {
        let snapshot = source.db.snapshot().await?;
        // What it listed of declared tables at its start.
        schema_changes::Entity::delete_many().exec(&*self.db.connection).await?;
        for shape in entity::ledger_tables()
            .iter()
            .filter(|shape| !OWN_TABLES.contains(&shape.name.as_str()))
        {
            self.copy_table(source, &snapshot, shape, None).await?;
        }
        // Add the columns that the ledger lists.
        self.restore_columns().await?;
        self.record_declared_tables(datasets, now_ms(), NamesAre::Made).await?;
        self.restore_columns().await?;
        self.marts.define_views(Dropped::new()).await?;
        for shape in self.tables.shapes().values() {
            self.copy_table(source, &snapshot, shape, Some(markets)).await?;
        }
        snapshot.rollback().await?;
        self.marts.mark_everything().await?;
        self.marts.refresh_marts(None).await
    }

    async fn copy_table(
        &self,
        source: &Self,
        snapshot: &DatabaseTransaction,
        shape: &TableShape,
        markets: Option<&[String]>,
    ) -> Result<(), SyncError> {
        let existing = source.db.columns_in(snapshot, &shape.name).await?;
        let columns: Vec<(&String, Kind)> = shape
            .columns
            .iter()
            .filter(|column| existing.contains(&column.name))
            .map(|column| (&column.name, column.kind))
            .collect();
        if columns.is_empty() {
            return Ok(());
        }
        let mut query = Query::select();
        query
            .columns(columns.iter().map(|(name, _)| Alias::new(*name)))
            .from(Alias::new(&shape.name));
        if let Some(markets) = markets {
            query.and_where(Expr::col("market").is_in(markets));
        }
        let mut rows = snapshot.stream(&query).await?;
        let write = self.db.begin().await?;
        let rows_max =
            self.db.dialect.rows_per_statement().min(self.db.dialect.binds_max() / columns.len());
        loop {
            let mut batch: Vec<Vec<Value>> = Vec::with_capacity(ROWS_PER_COPY);
            while batch.len() < ROWS_PER_COPY
                && let Some(row) = rows.try_next().await?
            {
                let cells = columns.iter().enumerate();
                let cell = |(index, (_, kind)): (usize, &(&String, Kind))| {
                    copied(&row, index, *kind, source.db.dialect)
                };
                batch.push(cells.map(cell).collect::<Result<_, _>>()?);
            }
            let is_last = batch.len() < ROWS_PER_COPY;
            let mut batch = batch.into_iter();
            for statement in statements(&vec![0; batch.len()], rows_max) {
                let mut insert = Query::insert();
                insert
                    .into_table(Alias::new(&shape.name))
                    .columns(columns.iter().map(|(name, _)| Alias::new(*name)));
                for row in batch.by_ref().take(statement.len()) {
                    insert.values_panic(row.into_iter().map(Expr::value));
                }
                write.transaction.execute(&insert).await?;
            }
            if is_last {
                break;
            }
        }
        write.commit().await
    }

    /// Begins to record changes of rows, and returns the last ids of the ledger. Columns that will
    /// be widened, by table, are left out: SQLite creates such a column again, and no trigger may
    /// depend on it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn note_examples(&self, widened: &Columns) -> Result<LedgerEnd, SyncError> {
        // Use one connection: another one may not have seen the new triggers yet.
        let write = self.db.begin().await?;
        let connection = &write.transaction;
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {EXAMPLES} \
             (id INTEGER PRIMARY KEY, change TEXT, table_name TEXT, row INTEGER, row_key TEXT, old TEXT)"
        );
        connection.execute_unprepared(&create).await?;
        connection.execute_unprepared(&format!("DELETE FROM {EXAMPLES}")).await?;
        for shape in self.tables.shapes().values() {
            let cells = self.quoted_cells(&data_columns(shape, widened), "OLD");
            for (change, event, alias, old) in [
                ("new", "INSERT", "NEW", "NULL"),
                ("modified", "UPDATE", "NEW", cells.as_str()),
                ("deleted", "DELETE", "OLD", "NULL"),
            ] {
                let quote = |name: &str| self.db.dialect.quote(name);
                let name = quote(&format!("{EXAMPLES}_{change}_{}", shape.name));
                let table = quote(&shape.name);
                let key: Vec<String> =
                    shape.key.iter().map(|column| format!("{alias}.{}", quote(column))).collect();
                let text = shape.name.replace('\'', "''");
                // A record that only confirms the stored one, as in a delta, is no change.
                let is_change = match (change, shape.column(DELETED_AT)) {
                    ("modified", None) => "OLD._row_hash <> NEW._row_hash AND ",
                    ("modified", Some(_)) => {
                        "(OLD._row_hash <> NEW._row_hash OR OLD._deleted_at IS NOT NEW._deleted_at) AND "
                    }
                    _ => "",
                };
                connection.execute_unprepared(&format!("DROP TRIGGER IF EXISTS {name}")).await?;
                let trigger = format!(
                    "CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {is_change}(SELECT COUNT(*) FROM {EXAMPLES} \
                     WHERE table_name = '{text}' AND change = '{change}') < {EXAMPLES_MAX} BEGIN \
                     INSERT INTO {EXAMPLES} (change, table_name, row, row_key, old) \
                     VALUES ('{change}', '{text}', {alias}.rowid, {}, {old}); END",
                    key.join(" || ', ' || ")
                );
                connection.execute_unprepared(&trigger).await?;
            }
        }
        let last_change = schema_changes::Entity::find()
            .order_by_desc(schema_changes::Column::Id)
            .one(connection);
        let last_reject =
            rejects::Entity::find().order_by_desc(rejects::Column::Id).one(connection);
        let end = LedgerEnd {
            change: last_change.await?.map_or(0, |change| change.id),
            reject: last_reject.await?.map_or(0, |reject| reject.id),
        };
        write.commit().await?;
        Ok(end)
    }

    /// The first rows that changed since [`Sink::note_examples`], which got the same columns;
    /// `before` are the shapes at that time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn examples(
        &self,
        before: &Shapes,
        widened: &Columns,
    ) -> Result<Vec<Example>, SyncError> {
        let noted =
            format!("SELECT change, table_name, row, row_key, old FROM {EXAMPLES} ORDER BY id");
        let noted = self
            .db
            .connection
            .query_all_raw(Statement::from_string(self.db.dialect.backend(), noted))
            .await?;
        let mut examples = Vec::with_capacity(noted.len());
        for row in noted {
            let (change, table): (String, String) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let (row_id, key): (i64, String) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let old: Option<String> = row.try_get_by_index(4)?;
            let differences = match (old, before.get(&table)) {
                (Some(old), Some(before)) => {
                    self.differences(row_id, &old, before, widened).await?
                }
                _ => Vec::new(),
            };
            examples.push(Example { change, table, key, differences });
        }
        Ok(examples)
    }

    /// Differences between the old and the new row, including columns that were added since.
    async fn differences(
        &self,
        row_id: i64,
        old: &str,
        before: &TableShape,
        widened: &Columns,
    ) -> Result<Vec<CellChange>, SyncError> {
        let shapes = self.tables.shapes();
        let Some(shape) = shapes.get(&before.name) else { return Ok(Vec::new()) };
        let columns = data_columns(shape, widened);
        let select = format!(
            "SELECT {} FROM {} t WHERE t.rowid = {row_id}",
            self.quoted_cells(&columns, "t"),
            self.db.dialect.quote(&shape.name)
        );
        let row = self
            .db
            .connection
            .query_one_raw(Statement::from_string(self.db.dialect.backend(), select))
            .await?;
        // The row may have been removed since.
        let Some(row) = row else { return Ok(Vec::new()) };
        let after: String = row.try_get_by_index(0)?;
        let old: BTreeMap<&str, &str> =
            data_columns(before, widened).into_iter().zip(old.split(SEPARATOR)).collect();
        let cells = columns.into_iter().zip(after.split(SEPARATOR));
        let changes = cells.filter_map(|(column, after)| {
            let before = old.get(column).copied().unwrap_or("NULL");
            (before != after).then(|| CellChange {
                column: column.to_owned(),
                before: before.to_owned(),
                after: after.to_owned(),
            })
        });
        Ok(changes.collect())
    }

    fn quoted_cells(&self, columns: &[&str], alias: &str) -> String {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| format!("quote({alias}.{})", self.db.dialect.quote(column)))
            .collect();
        cells.join(&format!(" || char({}) || ", u32::from(SEPARATOR)))
    }

    /// The first rejects that were added after these ids of the ledger.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn rejects_after(&self, end: LedgerEnd) -> Result<Vec<RejectExample>, SyncError> {
        let added = rejects::Entity::find()
            .filter(rejects::Column::Id.gt(end.reject))
            .order_by_asc(rejects::Column::RowNumber)
            .limit(EXAMPLES_MAX)
            .all(&self.db.connection)
            .await?;
        let example = |reject: rejects::Model| RejectExample {
            row: reject.row_number,
            column: reject.column_name,
            reason: reject.reason,
        };
        Ok(added.into_iter().map(example).collect())
    }

    /// Changes of tables' columns after these ids of the ledger.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn changes_after(&self, end: LedgerEnd) -> Result<Vec<PlannedChange>, SyncError> {
        let added = schema_changes::Entity::find()
            .filter(schema_changes::Column::Id.gt(end.change))
            .order_by_asc(schema_changes::Column::Id)
            .all(&self.db.connection)
            .await?;
        let change = |change: schema_changes::Model| PlannedChange {
            table: change.table_name,
            column: change.column_name,
            kind: change.change_kind,
            old: change.old_type,
            new: change.new_type,
        };
        Ok(added.into_iter().map(change).collect())
    }

    /// Sums of the marts' additive columns, per market and currency.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn totals_of_marts(&self) -> Result<BTreeMap<TotalKey, Decimal>, SyncError> {
        const CURRENCY: &str = "currency_symbol";
        let mut totals = BTreeMap::new();
        for mart in self.marts.definitions.marts.iter().filter(|mart| !mart.additive.is_empty()) {
            let has_currency = mart.shape.column(CURRENCY).is_some();
            let mut query = Query::select();
            query.column("market").from(Alias::new(&mart.shape.name));
            if has_currency {
                query.column(CURRENCY);
            }
            query.columns(mart.additive.iter().map(Alias::new));
            let mut rows = self.db.connection.stream(&query).await?;
            while let Some(row) = rows.try_next().await? {
                let market: String = row.try_get_by_index(0)?;
                let currency: Option<String> =
                    if has_currency { Some(row.try_get_by_index(1)?) } else { None };
                for (index, column) in mart.additive.iter().enumerate() {
                    let value = number(&row, index + 1 + usize::from(has_currency))?;
                    let key = TotalKey {
                        mart: mart.shape.name.clone(),
                        market: market.clone(),
                        currency: currency.clone(),
                        column: column.clone(),
                    };
                    *totals.entry(key).or_insert(Decimal::ZERO) += value;
                }
            }
        }
        Ok(totals)
    }
}

/// A row's data, without tidegate's own columns and without some others.
fn data_columns<'a>(shape: &'a TableShape, without: &Columns) -> Vec<&'a str> {
    let is_left_out =
        |name: &&str| without.iter().any(|(table, column)| *table == shape.name && column == name);
    let names = shape.columns.iter().map(|column| column.name.as_str());
    names.filter(|name| !BOOKKEEPING.contains(name) && !is_left_out(name)).collect()
}

/// The shortest text of a real is the decimal that was stored.
fn number(row: &QueryResult, index: usize) -> Result<Decimal, DbErr> {
    if let Ok(integer) = row.try_get_by_index::<i64>(index) {
        return Ok(integer.into());
    }
    let real: Option<f64> = row.try_get_by_index(index)?;
    Ok(real.and_then(|real| real.to_string().parse().ok()).unwrap_or_default())
}

/// Converts a cell of any of the three databases for SQLite.
fn copied(row: &QueryResult, index: usize, kind: Kind, dialect: Dialect) -> Result<Value, DbErr> {
    Ok(match kind {
        Kind::Identifier | Kind::Text => row.try_get_by_index::<Option<String>>(index)?.into(),
        Kind::Integer => row.try_get_by_index::<Option<i64>>(index)?.into(),
        Kind::Double => row.try_get_by_index::<Option<f64>>(index)?.into(),
        Kind::Decimal | Kind::Total if dialect == Dialect::Sqlite => {
            row.try_get_by_index::<Option<f64>>(index)?.into()
        }
        Kind::Decimal | Kind::Total => {
            let decimal: Option<Decimal> = row.try_get_by_index(index)?;
            decimal.and_then(|decimal| decimal.to_string().parse::<f64>().ok()).into()
        }
        Kind::Time => {
            let moment: Option<DateTime<Utc>> = row.try_get_by_index(index)?;
            Dialect::Sqlite.time(moment.map(|moment| moment.timestamp_millis()))
        }
        Kind::Day => {
            row.try_get_by_index::<Option<NaiveDate>>(index)?.map(|day| day.to_string()).into()
        }
        Kind::Hash => row.try_get_by_index::<Option<Vec<u8>>>(index)?.into(),
    })
}
