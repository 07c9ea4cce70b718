//! Marts against their own queries: both sides of a market come as one stream in the order of the key,
//! sorted by the database, so that a row meets its counterpart without either side being kept.

use super::{Check, Difference};
use crate::error::SyncError;
use crate::moment::format_moment;
use crate::schema::{Kind, Shapes};
use crate::sink::Sink;
use crate::sink::definition::Mart;
use crate::sink::dialect::Dialect;
use crate::sink::template::{Rendered, Scope, render};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{definitions, dirty_groups};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sea_orm::sea_query::{Alias, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryResult, Statement,
    StreamTrait,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// SQLite has no decimals: sums of reals, rounded to 4 places, agree to their 15 digits however they were added up.
const REAL_TOLERANCE: f64 = 1e-14;

/// Groups of a market that wait for their refresh; `None` when all do.
type Pending = Option<HashSet<String>>;

/// A row of a mart, stored or computed.
struct MartRow {
    cells: Vec<Option<String>>,
}

impl Sink {
    pub(super) async fn verify_mart(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
        shapes: &Arc<Shapes>,
    ) -> Result<Check, SyncError> {
        let mut check = Check::of(&mart.shape.name, "metrics");
        let defined = definitions::Entity::find_by_id(mart.shape.name.as_str()).one(snapshot).await?;
        let columns = self.columns_in(snapshot, &mart.shape.name).await?;
        let is_current = columns.iter().eq(mart.shape.columns.iter().map(|column| &column.name));
        if !is_current || defined.is_none_or(|defined| defined.fingerprint != mart.fingerprint) {
            check.skipped = Some("its definition is new; the next `tidegate sync` or `tidegate run` computes it anew");
            return Ok(check);
        }
        let pending = pending_groups(snapshot, mart).await?;
        for market in self.markets_of(snapshot, mart, shapes).await? {
            match pending.get(&market) {
                Some(None) => check.pending += 1,
                Some(Some(groups)) => {
                    check.pending += groups.len() as u64;
                    self.compare(snapshot, mart, shapes, &market, groups, &mut check).await?;
                }
                None => self.compare(snapshot, mart, shapes, &market, &HashSet::new(), &mut check).await?,
            }
        }
        Ok(check)
    }

    /// Every market that the mart or a table that it reads speaks of.
    async fn markets_of(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
        shapes: &Shapes,
    ) -> Result<BTreeSet<String>, SyncError> {
        let tables = mart.touched_by.keys().filter(|table| shapes.contains_key(*table));
        let mut markets = BTreeSet::new();
        for table in tables.chain([&mart.shape.name]) {
            let query = Query::select().distinct().column("market").from(Alias::new(table)).to_owned();
            for row in snapshot.query_all(&query).await? {
                markets.insert(row.try_get_by_index(0)?);
            }
        }
        Ok(markets)
    }

    async fn compare(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
        shapes: &Arc<Shapes>,
        market: &str,
        pending: &HashSet<String>,
        check: &mut Check,
    ) -> Result<(), SyncError> {
        let query = self.both_sides(mart, shapes, market)?;
        let statement = Statement::from_sql_and_values(self.dialect.backend(), query.sql, query.binds);
        let group = mart.shape.columns.iter().position(|column| column.name == mart.group);
        let mut rows = snapshot.stream_raw(statement).await?;
        // A stored row, until its computed counterpart comes.
        let mut stored: Option<MartRow> = None;
        while let Some(row) = rows.try_next().await? {
            let is_computed = row.try_get_by_index::<i64>(0)? == 1;
            let row = MartRow::of(&row, mart, self.dialect);
            if group.is_some_and(|group| row.cells[group].as_ref().is_some_and(|group| pending.contains(group))) {
                continue;
            }
            if !is_computed {
                if let Some(superfluous) = stored.replace(row) {
                    check.differ(superfluous.alone("superfluous row", mart));
                }
                continue;
            }
            check.checked += 1;
            match stored.take() {
                Some(stored) if stored.has_key_of(&row, mart) => stored.compare(&row, mart, self.dialect, check),
                other => {
                    if let Some(superfluous) = other {
                        check.differ(superfluous.alone("superfluous row", mart));
                    }
                    check.differ(row.alone("missing row", mart));
                }
            }
        }
        if let Some(superfluous) = stored {
            check.differ(superfluous.alone("superfluous row", mart));
        }
        Ok(())
    }

    /// Stored and computed rows of a market, those with the same key next to one another, the stored one first.
    fn both_sides(&self, mart: &Mart, shapes: &Arc<Shapes>, market: &str) -> Result<Rendered, SyncError> {
        let computed = render(&mart.shape.name, &mart.body, self.dialect, shapes, &Scope::Market(market.to_owned()))?;
        let quote = |name: &str| self.dialect.quote(name);
        let columns = &mart.shape.columns;
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        let as_stored = columns
            .iter()
            .zip(&names)
            .map(|(column, name)| format!("{} AS {name}", self.dialect.as_stored(&format!("c.{name}"), column.kind)));
        let mut binds = computed.binds;
        binds.push(market.into());
        let sql = format!(
            "SELECT {integer_1} AS side, {computed_columns} FROM ({body}) c \
             UNION ALL SELECT {integer_0}, {stored_columns} FROM {mart} WHERE market = {market} \
             ORDER BY {key}, side",
            integer_1 = self.dialect.as_stored("1", Kind::Integer),
            integer_0 = self.dialect.as_stored("0", Kind::Integer),
            computed_columns = as_stored.collect::<Vec<_>>().join(", "),
            body = computed.sql,
            stored_columns = names.join(", "),
            mart = quote(&mart.shape.name),
            market = self.dialect.placeholder(binds.len()),
            key = mart.shape.key.iter().map(|key| quote(key)).collect::<Vec<_>>().join(", "),
        );
        Ok(Rendered { sql, binds })
    }
}

async fn pending_groups(snapshot: &DatabaseTransaction, mart: &Mart) -> Result<BTreeMap<String, Pending>, SyncError> {
    let of_mart = dirty_groups::Entity::find().filter(dirty_groups::Column::Mart.eq(mart.shape.name.as_str()));
    let mut pending: BTreeMap<String, Pending> = BTreeMap::new();
    for mark in of_mart.all(snapshot).await? {
        let groups = pending.entry(mark.market).or_insert_with(|| Some(HashSet::new()));
        match (groups.as_mut(), mark.group_key) {
            (Some(groups), Some(group)) => drop(groups.insert(group)),
            (_, None) => *groups = None,
            (None, Some(_)) => {}
        }
    }
    Ok(pending)
}

impl MartRow {
    fn of(row: &QueryResult, mart: &Mart, dialect: Dialect) -> Self {
        let cells = mart.shape.columns.iter().enumerate().map(|(index, column)| {
            // The side comes first. What cannot even be read differs from all that can be computed.
            cell(row, index + 1, column.kind, dialect).unwrap_or_else(|error| Some(format!("unreadable ({error})")))
        });
        Self { cells: cells.collect() }
    }

    fn key<'a>(&'a self, mart: &'a Mart) -> impl Iterator<Item = &'a Option<String>> {
        let columns = mart.shape.columns.iter().zip(&self.cells);
        columns.filter(|(column, _)| mart.shape.key.contains(&column.name)).map(|(_, cell)| cell)
    }

    fn has_key_of(&self, other: &Self, mart: &Mart) -> bool {
        self.key(mart).eq(other.key(mart))
    }

    fn key_text(&self, mart: &Mart) -> String {
        self.key(mart).map(|cell| cell.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(", ")
    }

    fn alone(&self, kind: &'static str, mart: &Mart) -> Difference {
        Difference { kind, key: self.key_text(mart), column: None, stored: None, expected: None }
    }

    fn compare(&self, computed: &Self, mart: &Mart, dialect: Dialect, check: &mut Check) {
        for ((column, stored), expected) in mart.shape.columns.iter().zip(&self.cells).zip(&computed.cells) {
            let is_real =
                dialect == Dialect::Sqlite && matches!(column.kind, Kind::Decimal | Kind::Total | Kind::Double);
            if stored != expected && !(is_real && is_close(stored.as_deref(), expected.as_deref())) {
                check.differ(Difference {
                    kind: "metric",
                    key: self.key_text(mart),
                    column: Some(column.name.clone()),
                    stored: stored.clone(),
                    expected: expected.clone(),
                });
            }
        }
    }
}

fn is_close(one: Option<&str>, other: Option<&str>) -> bool {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    let (Some(one), Some(other)) = (number(one), number(other)) else { return false };
    (one - other).abs() <= one.abs().max(other.abs()) * REAL_TOLERANCE
}

/// A cell as text, the same for the same value wherever it comes from.
fn cell(row: &QueryResult, index: usize, kind: Kind, dialect: Dialect) -> Result<Option<String>, DbErr> {
    fn text<T: ToString>(value: Option<T>) -> Option<String> {
        value.map(|value| value.to_string())
    }
    Ok(match kind {
        Kind::Integer => text(row.try_get_by_index::<Option<i64>>(index)?),
        Kind::Double => text(row.try_get_by_index::<Option<f64>>(index)?),
        Kind::Decimal | Kind::Total if dialect == Dialect::Sqlite => text(row.try_get_by_index::<Option<f64>>(index)?),
        Kind::Decimal | Kind::Total => {
            text(row.try_get_by_index::<Option<Decimal>>(index)?.map(|decimal| decimal.normalize()))
        }
        Kind::Time => {
            row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.map(|moment| format_moment(moment.timestamp_millis()))
        }
        Kind::Day => text(row.try_get_by_index::<Option<NaiveDate>>(index)?),
        Kind::Identifier | Kind::Text | Kind::Hash => row.try_get_by_index(index)?,
    })
}
