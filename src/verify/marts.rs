//! Checks marts against their own queries. Stored and computed rows of a market come as one stream,
//! sorted by key in the database, so that each row meets its counterpart and neither side is held
//! in memory.

use crate::error::SyncError;
use crate::feed::layout::Shapes;
use crate::sink::Sink;
use crate::sink::db::dialect::Dialect;
use crate::sink::marts::definition::Mart;
use crate::sink::marts::partial::Partial;
use crate::sink::marts::template::{Rendered, Scope, render, render_over};
use crate::values::moment::format_moment;
use crate::verify::{Check, Difference};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{Kind, TableShape, definitions, dirty_groups};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sea_orm::sea_query::{Alias, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryResult, Statement, StreamTrait,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// SQLite has no decimals: sums of reals, rounded to 4 places, agree to 15 digits in any order of
/// addition.
const REAL_TOLERANCE: f64 = 1e-14;

/// Marked parts whose groups one query finds.
const PARTS_PER_QUERY: usize = 500;

/// Marked groups or parts of a market; `None` if all are marked.
type Pending = Option<HashSet<String>>;

/// A table that is compared with its query: a mart, or its tables of parts and totals.
struct Subject<'a> {
    shape: &'a TableShape,
    /// The key column whose values select what is recomputed.
    group: &'a str,
    query: String,
    /// The query that replaces the stored totals, because those may be wrong.
    totals: Option<String>,
}

impl<'a> Subject<'a> {
    fn mart(mart: &'a Mart, dialect: Dialect) -> Self {
        let totals =
            mart.partial.as_ref().map(|partial| format!("({})", totals_query(partial, dialect)));
        Self { shape: &mart.shape, group: &mart.group, query: mart.body.clone(), totals }
    }

    fn parts(partial: &'a Partial) -> Self {
        Self {
            shape: &partial.parts,
            group: &partial.by,
            query: partial.body.clone(),
            totals: None,
        }
    }

    fn totals(mart: &'a Mart, partial: &'a Partial, dialect: Dialect) -> Self {
        Self {
            shape: &partial.totals,
            group: &mart.group,
            query: totals_query(partial, dialect),
            totals: None,
        }
    }
}

/// The totals computed from the tables, without the stored parts.
fn totals_query(partial: &Partial, dialect: Dialect) -> String {
    partial.totals_of(dialect, &format!("({})", partial.body), "1 = 1")
}

/// A row of a table, stored or computed.
struct MartRow {
    cells: Vec<Option<String>>,
}

impl Sink {
    pub(crate) async fn verify_mart(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
        shapes: &Arc<Shapes>,
    ) -> Result<Vec<Check>, SyncError> {
        let mut groups = Check::of(&mart.shape.name, "metrics");
        let partial = mart.partial.as_ref();
        let mut parts = partial.map(|partial| Check::of(&partial.parts.name, "parts of metrics"));
        let mut totals = partial.map(|partial| Check::of(&partial.totals.name, "totals of parts"));
        if !self.is_current(snapshot, mart).await? {
            for check in [&mut groups].into_iter().chain(&mut parts).chain(&mut totals) {
                check.skipped = Some(
                    "its definition is new; the next `tidegate sync` or `tidegate run` computes it anew",
                );
            }
            return Ok([groups].into_iter().chain(parts).chain(totals).collect());
        }
        let pending = pending_marks(snapshot, mart).await?;
        for market in self.markets_of(snapshot, mart, shapes).await? {
            let Some(marked) =
                pending.get(&market).cloned().unwrap_or_else(|| Some(HashSet::new()))
            else {
                for check in [&mut groups].into_iter().chain(&mut parts).chain(&mut totals) {
                    check.pending += 1;
                }
                continue;
            };
            let mut pending_groups = marked.clone();
            if let (Some(partial), Some(parts), Some(totals)) = (partial, &mut parts, &mut totals) {
                pending_groups = self
                    .groups_of_marked(snapshot, mart, partial, shapes, &market, &marked)
                    .await?;
                parts.pending += marked.len() as u64;
                self.compare(snapshot, &Subject::parts(partial), shapes, &market, &marked, parts)
                    .await?;
                let subject = Subject::totals(mart, partial, self.db.dialect);
                totals.pending += pending_groups.len() as u64;
                self.compare(snapshot, &subject, shapes, &market, &pending_groups, totals).await?;
            }
            let subject = Subject::mart(mart, self.db.dialect);
            groups.pending += pending_groups.len() as u64;
            self.compare(snapshot, &subject, shapes, &market, &pending_groups, &mut groups).await?;
        }
        Ok([groups].into_iter().chain(parts).chain(totals).collect())
    }

    async fn is_current(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
    ) -> Result<bool, SyncError> {
        let defined =
            definitions::Entity::find_by_id(mart.shape.name.as_str()).one(snapshot).await?;
        let mut is_current = defined.is_some_and(|defined| defined.fingerprint == mart.fingerprint);
        for shape in mart.tables() {
            is_current &= self.marts.is_made(snapshot, shape).await?;
        }
        Ok(is_current)
    }

    /// The groups of marked parts, both as stored and as they would be recomputed.
    async fn groups_of_marked(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
        partial: &Partial,
        shapes: &Arc<Shapes>,
        market: &str,
        marked: &HashSet<String>,
    ) -> Result<HashSet<String>, SyncError> {
        let mut groups = HashSet::new();
        let marked: Vec<String> = marked.iter().cloned().collect();
        for parts in marked.chunks(PARTS_PER_QUERY) {
            groups
                .extend(self.marts.groups_of_parts(snapshot, mart, partial, market, parts).await?);
            let scope = Scope::Keys(market.to_owned(), parts.to_vec());
            let computed =
                render(&partial.parts.name, &partial.body, self.db.dialect, shapes, &scope)?;
            let sql = format!(
                "SELECT DISTINCT c.{} FROM ({}) c",
                self.db.dialect.quote(&mart.group),
                computed.sql
            );
            let statement =
                Statement::from_sql_and_values(self.db.dialect.backend(), sql, computed.binds);
            for row in snapshot.query_all_raw(statement).await? {
                groups.insert(row.try_get_by_index(0)?);
            }
        }
        Ok(groups)
    }

    /// Every market in the mart or in a table that it reads.
    async fn markets_of(
        &self,
        snapshot: &DatabaseTransaction,
        mart: &Mart,
        shapes: &Shapes,
    ) -> Result<BTreeSet<String>, SyncError> {
        let tables = mart.touched_by.keys().filter(|table| shapes.contains_key(*table));
        let mut markets = BTreeSet::new();
        for table in tables.chain([&mart.shape.name]) {
            let query =
                Query::select().distinct().column("market").from(Alias::new(table)).to_owned();
            for row in snapshot.query_all(&query).await? {
                markets.insert(row.try_get_by_index(0)?);
            }
        }
        Ok(markets)
    }

    async fn compare(
        &self,
        snapshot: &DatabaseTransaction,
        subject: &Subject<'_>,
        shapes: &Arc<Shapes>,
        market: &str,
        pending: &HashSet<String>,
        check: &mut Check,
    ) -> Result<(), SyncError> {
        let query = self.both_sides(subject, shapes, market)?;
        let statement =
            Statement::from_sql_and_values(self.db.dialect.backend(), query.sql, query.binds);
        let group = subject.shape.columns.iter().position(|column| column.name == subject.group);
        let mut rows = snapshot.stream_raw(statement).await?;
        // A stored row that waits for its computed counterpart.
        let mut stored: Option<MartRow> = None;
        while let Some(row) = rows.try_next().await? {
            let is_computed = row.try_get_by_index::<i64>(0)? == 1;
            let row = MartRow::of(&row, subject.shape, self.db.dialect);
            if group.is_some_and(|group| {
                row.cells[group].as_ref().is_some_and(|group| pending.contains(group))
            }) {
                continue;
            }
            if !is_computed {
                if let Some(superfluous) = stored.replace(row) {
                    check.differ(superfluous.alone("superfluous row", subject.shape));
                }
                continue;
            }
            check.checked += 1;
            match stored.take() {
                Some(stored) if stored.has_key_of(&row, subject.shape) => {
                    stored.compare(&row, subject.shape, self.db.dialect, check);
                }
                other => {
                    if let Some(superfluous) = other {
                        check.differ(superfluous.alone("superfluous row", subject.shape));
                    }
                    check.differ(row.alone("missing row", subject.shape));
                }
            }
        }
        if let Some(superfluous) = stored {
            check.differ(superfluous.alone("superfluous row", subject.shape));
        }
        Ok(())
    }

    /// Stored and computed rows of a market, sorted by key; the stored row of a key comes first.
    fn both_sides(
        &self,
        subject: &Subject<'_>,
        shapes: &Arc<Shapes>,
        market: &str,
    ) -> Result<Rendered, SyncError> {
        let Subject { shape, query, totals, .. } = subject;
        let scope = Scope::Market(market.to_owned());
        let computed =
            render_over(&shape.name, query, totals.clone(), self.db.dialect, shapes, &scope)?;
        let quote = |name: &str| self.db.dialect.quote(name);
        let columns = &shape.columns;
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        let as_stored = columns.iter().zip(&names).map(|(column, name)| {
            format!("{} AS {name}", self.db.dialect.as_stored(&format!("c.{name}"), column.kind))
        });
        let mut binds = computed.binds;
        binds.push(market.into());
        let sql = format!(
            "SELECT {integer_1} AS side, {computed_columns} FROM ({body}) c \
             UNION ALL SELECT {integer_0}, {stored_columns} FROM {table} WHERE market = {market} \
             ORDER BY {key}, side",
            integer_1 = self.db.dialect.as_stored("1", Kind::Integer),
            integer_0 = self.db.dialect.as_stored("0", Kind::Integer),
            computed_columns = as_stored.collect::<Vec<_>>().join(", "),
            body = computed.sql,
            stored_columns = names.join(", "),
            table = quote(&shape.name),
            market = self.db.dialect.placeholder(binds.len()),
            key = shape.key.iter().map(|key| quote(key)).collect::<Vec<_>>().join(", "),
        );
        Ok(Rendered { sql, binds })
    }
}

async fn pending_marks(
    snapshot: &DatabaseTransaction,
    mart: &Mart,
) -> Result<BTreeMap<String, Pending>, SyncError> {
    let of_mart = dirty_groups::Entity::find()
        .filter(dirty_groups::Column::Mart.eq(mart.shape.name.as_str()));
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
    fn of(row: &QueryResult, shape: &TableShape, dialect: Dialect) -> Self {
        let cells = shape.columns.iter().enumerate().map(|(index, column)| {
            // The first column is the side. An unreadable cell differs from every computed one.
            cell(row, index + 1, column.kind, dialect)
                .unwrap_or_else(|error| Some(format!("unreadable ({error})")))
        });
        Self { cells: cells.collect() }
    }

    fn key<'a>(&'a self, shape: &'a TableShape) -> impl Iterator<Item = &'a Option<String>> {
        let columns = shape.columns.iter().zip(&self.cells);
        columns.filter(|(column, _)| shape.key.contains(&column.name)).map(|(_, cell)| cell)
    }

    fn has_key_of(&self, other: &Self, shape: &TableShape) -> bool {
        self.key(shape).eq(other.key(shape))
    }

    fn key_text(&self, shape: &TableShape) -> String {
        self.key(shape).map(|cell| cell.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(", ")
    }

    fn alone(&self, kind: &'static str, shape: &TableShape) -> Difference {
        Difference { kind, key: self.key_text(shape), column: None, stored: None, expected: None }
    }

    fn compare(&self, computed: &Self, shape: &TableShape, dialect: Dialect, check: &mut Check) {
        for ((column, stored), expected) in
            shape.columns.iter().zip(&self.cells).zip(&computed.cells)
        {
            let is_real = dialect == Dialect::Sqlite
                && matches!(column.kind, Kind::Decimal | Kind::Total | Kind::Double);
            if stored != expected && !(is_real && is_close(stored.as_deref(), expected.as_deref()))
            {
                check.differ(Difference {
                    kind: "metric",
                    key: self.key_text(shape),
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

/// A cell as text: equal values give equal text, whatever their source.
fn cell(
    row: &QueryResult,
    index: usize,
    kind: Kind,
    dialect: Dialect,
) -> Result<Option<String>, DbErr> {
    fn text<T: ToString>(value: Option<T>) -> Option<String> {
        value.map(|value| value.to_string())
    }
    Ok(match kind {
        Kind::Integer => text(row.try_get_by_index::<Option<i64>>(index)?),
        Kind::Double => text(row.try_get_by_index::<Option<f64>>(index)?),
        Kind::Decimal | Kind::Total if dialect == Dialect::Sqlite => {
            text(row.try_get_by_index::<Option<f64>>(index)?)
        }
        Kind::Decimal | Kind::Total => {
            text(row.try_get_by_index::<Option<Decimal>>(index)?.map(|decimal| decimal.normalize()))
        }
        Kind::Time => row
            .try_get_by_index::<Option<DateTime<Utc>>>(index)?
            .map(|moment| format_moment(moment.timestamp_millis())),
        Kind::Day => text(row.try_get_by_index::<Option<NaiveDate>>(index)?),
        Kind::Identifier | Kind::Text | Kind::Hash => row.try_get_by_index(index)?,
    })
}
