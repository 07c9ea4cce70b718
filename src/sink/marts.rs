//! Marts: tables of metrics that are exact whenever a file is `synced`.
//!
//! A commit marks the groups that its rows touch, in its own transaction. The refresh recomputes marked
//! groups from the tables and clears the marks it has read, in one transaction: a crash before the
//! commit leaves the marks, and a mark set meanwhile has a higher id and stays.
//!
//! A mart with a [`Partial`] is marked by parts instead: the refresh recomputes the marked parts from the tables, changes
//! the totals by the difference, and computes the groups that these parts were or are in from the totals.

use super::Sink;
use super::definition::Mart;
use super::dialect::Dialect;
use super::partial::{Change, Partial};
use super::template::{Rendered, Scope, render, render_over};
use crate::dataset::Dataset;
use crate::error::SyncError;
use crate::moment::parse_day;
use crate::schema::{Kind, TableShape};
use crate::sync::millis;
use entity::{definitions, dirty_groups};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Query, Table, TableDropStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, Value};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::debug;

/// Marked groups or parts up to which nobody counts how many there are.
const GROUPS_UNCOUNTED_MAX: usize = 500;

/// A market is recomputed as a whole once more than one of so many of its groups or parts are marked: reckoned from 300 of
/// 34,000 customers and from all of them, of whom some 10,000 would cost by themselves what all cost at once.
const GROUPS_SHARE: u64 = 4;

/// Groups that one transaction recomputes.
const GROUPS_PER_REFRESH: usize = 200;

/// Parts that one transaction recomputes, and groups that one statement names: most parts touch the same groups.
const PARTS_PER_REFRESH: usize = 2000;

/// Records that one query finds the groups of.
const RECORDS_PER_QUERY: usize = 500;

/// Marks of one mart and market: of its parts where it has some, else of its groups.
struct Marks {
    mart: String,
    market: String,
    /// The last mark that there was.
    last_id: i64,
    /// Whether one of them is of the whole market.
    is_whole: bool,
}

/// Markets of which files are being synced, each as often as there are such files.
pub(super) type MarketsAtWork = Mutex<Vec<String>>;

/// A file of a market that is being synced.
#[derive(Debug)]
pub struct MarketAtWork<'a> {
    markets: &'a MarketsAtWork,
    market: String,
}

impl Drop for MarketAtWork<'_> {
    fn drop(&mut self) {
        let mut markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = markets.iter().position(|market| *market == self.market) {
            markets.swap_remove(at);
        }
    }
}

impl Sink {
    /// Makes the marts' tables, and has them recomputed where their definition changed.
    pub(super) async fn define_marts(&self) -> Result<(), SyncError> {
        for mart in &self.definitions.marts {
            let mut is_current = true;
            for shape in mart.tables() {
                is_current &= self.has_columns(shape).await?;
            }
            let is_defined = self.is_defined(&mart.shape.name, &mart.fingerprint).await?;
            if is_current && is_defined {
                continue;
            }
            // Parts may be keyed otherwise although their columns are the same.
            if !is_current || mart.partial.is_some() {
                self.make_tables(mart).await?;
            }
            let write = self.begin().await?;
            self.define(&write.transaction, &mart.shape.name, &mart.fingerprint).await?;
            for table in mart.touched_by.keys() {
                self.mark_markets(&write.transaction, mart, table).await?;
            }
            write.commit().await?;
        }
        Ok(())
    }

    /// Makes the tables of a mart anew. Only metrics are lost, and they are computed anew: the definition is
    /// forgotten first, so that a crash in between has it made again. Outside of a transaction, because MySQL's DDL
    /// would end it.
    async fn make_tables(&self, mart: &Mart) -> Result<(), SyncError> {
        let (backend, collation) = (self.dialect.backend(), self.collation.as_deref());
        let _writing = self.writing.lock().await;
        self.define(&self.connection, &mart.shape.name, "").await?;
        for shape in mart.tables() {
            self.connection.execute(&drop_table(&shape.name)).await?;
            let create = match &mart.partial {
                Some(partial) if partial.parts.name == shape.name => migration::ddl::create_clustered_table,
                _ => migration::ddl::create_table,
            };
            self.connection.execute(&create(shape, backend, collation)).await?;
        }
        Ok(())
    }

    async fn has_columns(&self, shape: &TableShape) -> Result<bool, SyncError> {
        let existing = self.columns_of(&shape.name).await?;
        Ok(existing.iter().eq(shape.columns.iter().map(|column| &column.name)))
    }

    /// Whether a mart or view was made from this text.
    pub(super) async fn is_defined(&self, name: &str, fingerprint: &str) -> Result<bool, SyncError> {
        let defined = definitions::Entity::find_by_id(name).one(&self.connection).await?;
        Ok(defined.is_some_and(|defined| defined.fingerprint == fingerprint))
    }

    /// Notes which text a mart or view was made from.
    pub(super) async fn define(
        &self,
        connection: &impl ConnectionTrait,
        name: &str,
        fingerprint: &str,
    ) -> Result<(), SyncError> {
        let row = definitions::ActiveModel { name: Set(name.to_owned()), fingerprint: Set(fingerprint.to_owned()) };
        let update =
            OnConflict::column(definitions::Column::Name).update_column(definitions::Column::Fingerprint).to_owned();
        definitions::Entity::insert(row).on_conflict(update).exec_without_returning(connection).await?;
        Ok(())
    }

    /// Marks the groups or parts that these records are in now, or the whole market.
    pub(super) async fn mark_groups(
        &self,
        connection: &impl ConnectionTrait,
        dataset: &Dataset,
        market: &str,
        keys: &[String],
        is_whole: bool,
    ) -> Result<(), SyncError> {
        if keys.is_empty() {
            return Ok(());
        }
        let marts = self.definitions.marts.iter().filter_map(|mart| Some((mart, mart.touched_by.get(&dataset.table)?)));
        for (mart, query) in marts {
            // No query finds the groups of rows that have no key.
            if is_whole || dataset.is_keyless() {
                self.mark_market(connection, mart, market).await?;
                continue;
            }
            for keys in keys.chunks(RECORDS_PER_QUERY) {
                let scope = Scope::Keys(market.to_owned(), keys.to_vec());
                let groups = render(&mart.shape.name, query, self.dialect, &self.shapes(), &scope)?;
                // Placeholders are numbered through, so the values of this line come after the query's.
                let (mart_at, market_at) = (groups.binds.len() + 1, groups.binds.len() + 2);
                let (sql, binds) = match self.dialect {
                    Dialect::Postgres => (
                        format!(
                            "INSERT INTO tidegate_dirty_groups (mart, market, group_key) \
                             SELECT CAST(${mart_at} AS text), CAST(${market_at} AS text), g.group_key FROM ({}) g",
                            groups.sql
                        ),
                        [groups.binds, vec![mart.shape.name.as_str().into(), market.into()]].concat(),
                    ),
                    _ => (
                        format!(
                            "INSERT INTO tidegate_dirty_groups (mart, market, group_key) SELECT ?, ?, g.group_key FROM ({}) g",
                            groups.sql
                        ),
                        [vec![mart.shape.name.as_str().into(), market.into()], groups.binds].concat(),
                    ),
                };
                self.execute_sql(connection, sql, binds).await?;
            }
        }
        Ok(())
    }

    /// Says that a file of this market is being synced: until that ends, files of other markets leave its marts alone.
    pub fn start_market(&self, market: &str) -> MarketAtWork<'_> {
        let markets = &self.markets_at_work;
        markets.lock().unwrap_or_else(PoisonError::into_inner).push(market.to_owned());
        MarketAtWork { markets, market: market.to_owned() }
    }

    /// Recomputes the marked groups of a market, and those of markets of which no file is being synced, which a file that
    /// failed may have left. Without a market, every marked group.
    ///
    /// # Errors
    ///
    /// When the database fails; the marks that are left are taken up by the next refresh.
    pub async fn refresh_marts(&self, market: Option<&str>) -> Result<(), SyncError> {
        let mut all_marks = self.marks().await?;
        if let Some(market) = market {
            let at_work = self.markets_at_work.lock().unwrap_or_else(PoisonError::into_inner);
            all_marks.retain(|marks| marks.market == market || !at_work.contains(&marks.market));
        }
        if all_marks.iter().any(|marks| marks.is_whole) {
            self.gather_statistics().await?;
        }
        for marks in all_marks {
            let Some(mart) = self.definitions.marts.iter().find(|mart| mart.shape.name == marks.mart) else {
                self.forget_marks(&marks).await?;
                continue;
            };
            // Of one mart at a time: after many small changes of a large market they are many.
            let groups = if marks.is_whole { Vec::new() } else { self.marked_groups(&marks).await? };
            if marks.is_whole || self.is_large_share(mart, &marks.market, groups.len()).await? {
                self.refresh(mart, &marks, None).await?;
                continue;
            }
            let at_once = if mart.partial.is_some() { PARTS_PER_REFRESH } else { GROUPS_PER_REFRESH };
            for groups in groups.chunks(at_once) {
                self.refresh(mart, &marks, Some(groups)).await?;
            }
        }
        Ok(())
    }

    /// Whether so many marked groups or parts cost more than all of the market's at once.
    async fn is_large_share(&self, mart: &Mart, market: &str, marked: usize) -> Result<bool, SyncError> {
        if marked <= GROUPS_UNCOUNTED_MAX {
            return Ok(false);
        }
        let (table, column) = match &mart.partial {
            Some(partial) => (&partial.parts.name, &partial.by),
            None => (&mart.shape.name, &mart.group),
        };
        let count = Expr::col(Alias::new(column)).count_distinct();
        let query =
            Query::select().expr(count).from(Alias::new(table)).and_where(Expr::col("market").eq(market)).to_owned();
        let row = self.connection.query_one(&query).await?;
        let groups: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(marked as u64 * GROUPS_SHARE > groups.unsigned_abs())
    }

    /// Large changes leave the planner with a wrong picture of the tables.
    async fn gather_statistics(&self) -> Result<(), SyncError> {
        let shapes = self.shapes();
        let tables: Vec<&String> = shapes.keys().collect();
        if let Some(statement) = self.dialect.gather_statistics(&tables) {
            let _writing = self.writing.lock().await;
            self.connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    /// Recomputes what is marked, or the whole market. Parts, groups and marks change in one transaction: a crash
    /// leaves all three as they were.
    async fn refresh(&self, mart: &Mart, marks: &Marks, marked: Option<&[String]>) -> Result<(), SyncError> {
        let market = marks.market.as_str();
        let started = Instant::now();
        let write = self.begin().await?;
        let mut clear = marks_up_to(marks);
        if let Some(marked) = marked {
            clear = clear.filter(dirty_groups::Column::GroupKey.is_in(marked));
        }
        if clear.exec(&write.transaction).await?.rows_affected == 0 {
            // Another file's refresh has seen to them meanwhile.
            return Ok(());
        }
        match (&mart.partial, marked) {
            (None, groups) => self.compute_groups(&write.transaction, mart, market, groups).await?,
            (Some(partial), None) => {
                self.compute_parts(&write.transaction, partial, market, None).await?;
                self.compute_totals(&write.transaction, mart, partial, market, None).await?;
                self.compute_groups(&write.transaction, mart, market, None).await?;
            }
            (Some(partial), Some(parts)) => {
                let groups = self.replace_parts(&write.transaction, mart, partial, market, parts).await?;
                let groups = (groups.len() <= PARTS_PER_REFRESH).then_some(groups.as_slice());
                self.compute_groups(&write.transaction, mart, market, groups).await?;
            }
        }
        write.commit().await?;
        let (marked, elapsed_ms) = (marked.map(<[_]>::len), millis(started.elapsed()));
        debug!(mart = marks.mart, market, marked, elapsed_ms, "mart refreshed");
        fail::fail_point!("after_refresh", |_| std::process::abort());
        Ok(())
    }

    /// Recomputes parts and has the totals follow; gives the groups that these parts were in, and are in now.
    async fn replace_parts(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        partial: &Partial,
        market: &str,
        parts: &[String],
    ) -> Result<Vec<String>, SyncError> {
        let mut groups = self.groups_of_parts(connection, mart, partial, market, parts).await?;
        self.change_totals(connection, partial, market, parts, Change::Take).await?;
        self.compute_parts(connection, partial, market, Some(parts)).await?;
        self.change_totals(connection, partial, market, parts, Change::Add).await?;
        groups.extend(self.groups_of_parts(connection, mart, partial, market, parts).await?);
        let lost = self.groups_of_lost(connection, mart, partial, market).await?;
        for lost in lost.chunks(PARTS_PER_REFRESH) {
            self.compute_totals(connection, mart, partial, market, Some(lost)).await?;
        }
        Ok(groups.into_iter().collect())
    }

    async fn compute_groups(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        market: &str,
        groups: Option<&[String]>,
    ) -> Result<(), SyncError> {
        if groups.is_some_and(<[_]>::is_empty) {
            return Ok(());
        }
        let totals = mart.partial.as_ref().map(|partial| self.dialect.quote(&partial.totals.name));
        let scope = scope_of(market, groups);
        let query = render_over(&mart.shape.name, &mart.body, totals, self.dialect, &self.shapes(), &scope)?;
        let groups = groups.map(|groups| groups.iter().map(|group| self.group_value(mart, group)).collect());
        self.delete_keys(connection, &mart.shape, market, &mart.group, groups).await?;
        fail::fail_point!("during_refresh", |_| std::process::abort());
        self.insert_computed(connection, &mart.shape, query).await
    }

    async fn compute_parts(
        &self,
        connection: &impl ConnectionTrait,
        partial: &Partial,
        market: &str,
        parts: Option<&[String]>,
    ) -> Result<(), SyncError> {
        let scope = scope_of(market, parts);
        let query = render(&partial.parts.name, &partial.body, self.dialect, &self.shapes(), &scope)?;
        let parts = parts.map(|parts| parts.iter().map(|part| part.as_str().into()).collect());
        self.delete_keys(connection, &partial.parts, market, &partial.by, parts).await?;
        fail::fail_point!("during_parts", |_| std::process::abort());
        self.insert_computed(connection, &partial.parts, query).await
    }

    pub(super) async fn delete_keys(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
        market: &str,
        column: &str,
        values: Option<Vec<Value>>,
    ) -> Result<(), SyncError> {
        let mut delete = Query::delete();
        delete.from_table(Alias::new(&shape.name)).and_where(Expr::col("market").eq(market));
        if let Some(values) = values {
            delete.and_where(Expr::col(Alias::new(column)).is_in(values));
        }
        connection.execute(&delete).await?;
        Ok(())
    }

    async fn insert_computed(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
        query: Rendered,
    ) -> Result<(), SyncError> {
        let columns: Vec<String> = shape.columns.iter().map(|column| self.dialect.quote(&column.name)).collect();
        let insert = format!("INSERT INTO {} ({}) {}", self.dialect.quote(&shape.name), columns.join(", "), query.sql);
        self.execute_sql(connection, insert, query.binds).await?;
        Ok(())
    }

    async fn marks(&self) -> Result<Vec<Marks>, SyncError> {
        use dirty_groups::Column as C;
        let rows: Vec<(String, String, i64, i64, i64)> = dirty_groups::Entity::find()
            .select_only()
            .columns([C::Mart, C::Market])
            .column_as(C::Id.max(), "last_id")
            .column_as(C::Id.count(), "marks")
            .column_as(C::GroupKey.count(), "marked_groups")
            .group_by(C::Mart)
            .group_by(C::Market)
            .order_by_asc(C::Mart)
            .order_by_asc(C::Market)
            .into_tuple()
            .all(&self.connection)
            .await?;
        let marks = |(mart, market, last_id, marks, groups): (String, String, i64, i64, i64)| Marks {
            mart,
            market,
            last_id,
            is_whole: groups < marks,
        };
        Ok(rows.into_iter().map(marks).collect())
    }

    /// The groups or parts that are marked, each once.
    async fn marked_groups(&self, marks: &Marks) -> Result<Vec<String>, SyncError> {
        use dirty_groups::Column as C;
        let groups = dirty_groups::Entity::find()
            .select_only()
            .distinct()
            .column(C::GroupKey)
            .filter(C::Mart.eq(marks.mart.as_str()))
            .filter(C::Market.eq(marks.market.as_str()))
            .filter(C::Id.lte(marks.last_id))
            .filter(C::GroupKey.is_not_null())
            .order_by_asc(C::GroupKey);
        Ok(groups.into_tuple().all(&self.connection).await?)
    }

    /// Marks of a mart that is not defined any more.
    async fn forget_marks(&self, marks: &Marks) -> Result<(), SyncError> {
        let write = self.begin().await?;
        marks_up_to(marks).exec(&write.transaction).await?;
        Ok(write.commit().await?)
    }

    async fn mark_market(&self, connection: &impl ConnectionTrait, mart: &Mart, market: &str) -> Result<(), SyncError> {
        let marked = dirty_groups::Entity::find()
            .filter(dirty_groups::Column::Mart.eq(mart.shape.name.as_str()))
            .filter(dirty_groups::Column::Market.eq(market))
            .filter(dirty_groups::Column::GroupKey.is_null())
            .one(connection)
            .await?;
        if marked.is_some() {
            // Set in this transaction, or before it and not yet refreshed: refreshes wait for this one's commit.
            return Ok(());
        }
        let mark = dirty_groups::ActiveModel {
            mart: Set(mart.shape.name.clone()),
            market: Set(market.to_owned()),
            group_key: Set(None),
            ..Default::default()
        };
        dirty_groups::Entity::insert(mark).exec_without_returning(connection).await?;
        Ok(())
    }

    /// Has every mart computed anew.
    pub(super) async fn mark_everything(&self) -> Result<(), SyncError> {
        let write = self.begin().await?;
        for mart in &self.definitions.marts {
            for table in mart.touched_by.keys() {
                self.mark_markets(&write.transaction, mart, table).await?;
            }
        }
        Ok(write.commit().await?)
    }

    async fn mark_markets(&self, connection: &impl ConnectionTrait, mart: &Mart, table: &str) -> Result<(), SyncError> {
        let mut markets = Query::select();
        markets.distinct().column("market").from(Alias::new(table));
        for row in connection.query_all(&markets).await? {
            let market: String = row.try_get_by_index(0)?;
            self.mark_market(connection, mart, &market).await?;
        }
        Ok(())
    }

    fn group_value(&self, mart: &Mart, group: &str) -> Value {
        match (mart.group_kind(), self.dialect) {
            (Kind::Day, Dialect::Mysql | Dialect::Postgres) => Value::ChronoDate(parse_day(group)),
            _ => group.into(),
        }
    }
}

fn drop_table(name: &str) -> TableDropStatement {
    Table::drop().table(Alias::new(name)).if_exists().to_owned()
}

fn scope_of(market: &str, keys: Option<&[String]>) -> Scope {
    keys.map_or_else(|| Scope::Market(market.to_owned()), |keys| Scope::Keys(market.to_owned(), keys.to_vec()))
}

fn marks_up_to(marks: &Marks) -> sea_orm::DeleteMany<dirty_groups::Entity> {
    dirty_groups::Entity::delete_many()
        .filter(dirty_groups::Column::Mart.eq(marks.mart.as_str()))
        .filter(dirty_groups::Column::Market.eq(marks.market.as_str()))
        .filter(dirty_groups::Column::Id.lte(marks.last_id))
}
