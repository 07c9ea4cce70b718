//! Refresh: recomputes what is marked in the marts.
//!
//! One transaction recomputes marked groups from the tables and clears the marks that it read. A
//! crash before the commit leaves the marks; a mark that was set in between has a higher id and
//! stays. In a mart with a [`Partial`], the marked parts are recomputed, the totals change by the
//! difference, and all groups of these parts, old and new, are computed from the totals.
//!
//! Large refreshes compute two marts at a time. Servers use two transactions. SQLite has one
//! writer, so it reads ahead for one mart (`sink::ahead`) while it computes and writes the other.

use crate::error::SyncError;
use crate::process::clock::millis;
use crate::process::progress::moved;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::long_step::DbSession;
use crate::sink::db::transaction::Transaction;
use crate::sink::db::write::WriteTransaction;
use crate::sink::ledger::marks::Marks;
use crate::sink::marts::ahead::{Ahead, Reader};
use crate::sink::marts::definition::Mart;
use crate::sink::marts::partial::{Change, Partial};
use crate::sink::marts::template::{Rendered, Scope, render, render_over};
use crate::sink::marts::{FileAtWork, Marts};
use crate::values::moment::parse_day;
use entity::dirty_groups::Column as Mark;
use entity::{Kind, TableShape, dirty_groups};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::MutexGuard;
use tracing::debug;

/// Up to this number of marks, their distinct groups or parts are not counted.
const GROUPS_UNCOUNTED_MAX: u64 = 500;

/// Recompute a whole market once more than one in this many of its groups or parts are marked.
/// Extrapolated from measurements of 300 and of all 34,000 customers: about 10,000 single ones cost
/// as much as all at once.
const GROUPS_SHARE: u64 = 4;

/// Groups that one transaction recomputes.
const GROUPS_PER_REFRESH: usize = 200;

/// Parts that one transaction recomputes, and groups that one statement names; most parts touch the
/// same groups.
const PARTS_PER_REFRESH: usize = 2000;

/// The marks of one mart and market: on parts if the mart has them, otherwise on groups.
struct Due<'a> {
    mart: &'a Mart,
    market: String,
    /// The last mark that was read.
    last_id: i64,
    /// Number of marks; several may be for the same group.
    marks: u64,
    /// Whether the market is recomputed as a whole.
    is_whole: bool,
}

/// Marts to refresh, taken from both ends of the queue.
struct Queue<'a>(Mutex<VecDeque<Due<'a>>>);

/// Who controls the turn to write.
#[derive(Clone, Copy)]
enum Turn {
    /// Each transaction waits for its own turn.
    EachItsOwn,
    /// The caller holds `writing` for all of them.
    Callers,
}

/// Source of a mart's rows.
enum Rows<'a> {
    Query(Rendered),
    Ahead(&'a mut Reader, Ahead),
}

impl<'a> Queue<'a> {
    fn take<T>(&self, take: impl FnOnce(&mut VecDeque<Due<'a>>) -> T) -> T {
        take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Marts {
    /// Recomputes what is marked in the marts that a file touches, and in those that no file at
    /// work touches, which a failed file may have left. Without a file, recomputes everything that
    /// is marked.
    ///
    /// # Errors
    ///
    /// When the database fails, or the process stops; the next refresh takes the remaining marks.
    pub async fn refresh_marts(&self, file: Option<&FileAtWork<'_>>) -> Result<(), SyncError> {
        // Wait before the statistics, so that they include what another file has written.
        self.make_indexes_for_marts(file).await?;
        let due = self.due(file).await?;
        if due.iter().all(|due| !due.is_whole && due.marks <= GROUPS_UNCOUNTED_MAX) {
            for due in &due {
                self.refresh(due, Turn::EachItsOwn).await?;
            }
            return Ok(());
        }
        let is_any_whole = due.iter().any(|due| due.is_whole);
        let markets: BTreeSet<&String> = due.iter().map(|due| &due.market).collect();
        if is_any_whole {
            self.gather_statistics().await?;
        }
        for market in markets {
            self.refresh_market(market, file).await?;
        }
        Ok(())
    }

    /// Creates the indexes for the marts that a file refreshes, once no file fills their tables.
    /// Also waits for files that would cause a whole market to be computed again.
    ///
    /// # Errors
    ///
    /// When the database fails, or the process stops.
    pub async fn make_indexes_for_marts(
        &self,
        file: Option<&FileAtWork<'_>>,
    ) -> Result<(), SyncError> {
        let due = self.due(file).await?;
        let whole: Vec<(&Mart, &str)> = due
            .iter()
            .filter(|due| due.is_whole)
            .map(|due| (due.mart, due.market.as_str()))
            .collect();
        self.wait_for_others(&whole).await?;
        let marts: Vec<&Mart> = due.iter().map(|due| due.mart).collect();
        self.tables.make_indexes_in_time(&self.unindexed(marts).await?).await
    }

    async fn refresh_market(
        &self,
        market: &str,
        file: Option<&FileAtWork<'_>>,
    ) -> Result<(), SyncError> {
        loop {
            // No chunk may be committed now: it would not add a mark to a market that is marked as
            // a whole, and the rows read ahead would lack its changes. Other writers get their turn
            // between two markets.
            let writing = self.db.writing.lock().await;
            // Another file's refresh may have been faster.
            let mut due = self.due(file).await?;
            due.retain(|due| due.market == *market);
            let unindexed = self.unindexed(due.iter().map(|due| due.mart)).await?;
            if unindexed.is_empty() {
                return self.refresh_two_at_a_time(due).await;
            }
            drop(writing);
            self.tables.make_indexes_in_time(&unindexed).await?;
        }
    }

    /// The right to write while marts are computed.
    async fn turn_for(&self, mart: &Mart) -> Result<MutexGuard<'_, ()>, SyncError> {
        loop {
            let writing = self.db.writing.lock().await;
            let unindexed = self.unindexed([mart]).await?;
            if unindexed.is_empty() {
                return Ok(writing);
            }
            drop(writing);
            self.tables.make_indexes_in_time(&unindexed).await?;
        }
    }

    /// Refreshes the due marts of a market.
    async fn refresh_two_at_a_time(&self, mut due: Vec<Due<'_>>) -> Result<(), SyncError> {
        // Marts with parts write the most rows: SQLite's writer takes them first, and its reader
        // takes the others.
        due.sort_by_key(|due| due.mart.partial.is_some());
        let queue = Queue(Mutex::new(due.into()));
        let all_from_back = self.refresh_all(&queue, VecDeque::pop_back);
        if self.db.dialect != Dialect::Sqlite {
            tokio::try_join!(all_from_back, self.refresh_all(&queue, VecDeque::pop_front))?;
            return Ok(());
        }
        // The writer comes first: a single due mart needs no reading ahead.
        let ((), (mut reader, all_ahead)) =
            tokio::try_join!(all_from_back, self.compute_ahead(&queue))?;
        for (due, ahead) in all_ahead {
            let rows = reader.as_mut().map(|reader| Rows::Ahead(reader, ahead));
            self.refresh_step(&due, None, Turn::Callers, rows).await?;
        }
        Ok(())
    }

    async fn refresh_all<'a>(
        &self,
        queue: &Queue<'a>,
        next: fn(&mut VecDeque<Due<'a>>) -> Option<Due<'a>>,
    ) -> Result<(), SyncError> {
        while let Some(due) = queue.take(next) {
            self.refresh(&due, Turn::Callers).await?;
        }
        Ok(())
    }

    /// Computes whole markets from the queue until it is empty; also returns the reader that holds
    /// the rows.
    async fn compute_ahead<'a>(
        &self,
        queue: &Queue<'a>,
    ) -> Result<(Option<Reader>, Vec<(Due<'a>, Ahead)>), SyncError> {
        let take = |due: &mut VecDeque<Due<'a>>| {
            let at = due.iter().position(|due| due.is_whole)?;
            due.remove(at)
        };
        let (mut reader, mut all) = (None, Vec::new());
        while let Some(due) = queue.take(take) {
            let started = Instant::now();
            let reader = match &mut reader {
                Some(reader) => reader,
                none => none.insert(Reader::open(&self.db.connection).await?),
            };
            let (shape, query) = match &due.mart.partial {
                Some(partial) => (
                    &partial.parts,
                    self.parts_query(due.mart, partial, &scope_of(&due.market, None))?,
                ),
                None => {
                    (&due.mart.shape, self.groups_query(due.mart, &scope_of(&due.market, None))?)
                }
            };
            let step = format!("computing {} of market {}", due.mart.shape.name, due.market);
            let ahead =
                self.db.long_step(&step, DbSession::Sqlite, reader.compute(shape, query)).await;
            let ahead = ahead.map_err(|error| error.in_definition(&due.mart.file))?;
            let elapsed_ms = millis(started.elapsed());
            debug!(
                mart = due.mart.shape.name,
                market = due.market,
                elapsed_ms,
                "mart computed ahead"
            );
            all.push((due, ahead));
        }
        Ok((reader, all))
    }

    /// After large changes the planner's statistics are wrong.
    async fn gather_statistics(&self) -> Result<(), SyncError> {
        let shapes = self.tables.shapes();
        let tables: Vec<&String> = shapes.keys().collect();
        if let Some(statement) = self.db.dialect.gather_statistics(&tables) {
            let _writing = self.db.writing.lock().await;
            let write = self.db.begin_beside_others().await?;
            let gather = write.transaction.execute_unprepared(&statement);
            self.db
                .long_step("counting rows for the planner", write.transaction.session, gather)
                .await?;
            write.commit().await?;
        }
        Ok(())
    }

    async fn refresh(&self, due: &Due<'_>, turn: Turn) -> Result<(), SyncError> {
        if due.is_whole {
            return self.refresh_step(due, None, turn, None).await;
        }
        // Read one mart at a time: after many small changes of a large market there are many
        // groups.
        let marked = self.marked(due).await?;
        let at_once =
            if due.mart.partial.is_some() { PARTS_PER_REFRESH } else { GROUPS_PER_REFRESH };
        for marked in marked.chunks(at_once) {
            self.refresh_step(due, Some(marked), turn, None).await?;
        }
        Ok(())
    }

    /// Recomputes these groups or parts, or the whole market. Parts, groups and marks change in one
    /// transaction, so a crash leaves all three unchanged.
    async fn refresh_step(
        &self,
        due: &Due<'_>,
        marked: Option<&[String]>,
        turn: Turn,
        ahead: Option<Rows<'_>>,
    ) -> Result<(), SyncError> {
        let (mart, market) = (due.mart, due.market.as_str());
        let started = Instant::now();
        let write = self.begin_in(turn, mart).await?;
        if !due.is_marked(&write.transaction, marked).await? {
            // Another file's refresh has already done this.
            return Ok(());
        }
        let step = format!("computing {} of market {market}", mart.shape.name);
        let compute = self.compute(&write.transaction, due, marked, ahead);
        let computed = self.db.long_step(&step, write.transaction.session, compute).await;
        computed.map_err(|error| error.in_definition(&mart.file))?;
        write.commit().await?;
        moved();
        let (marked, elapsed_ms) = (marked.map(<[_]>::len), millis(started.elapsed()));
        debug!(mart = mart.shape.name, market, marked, elapsed_ms, "mart refreshed");
        fail::fail_point!("after_refresh", |_| std::process::abort());
        Ok(())
    }

    async fn compute(
        &self,
        transaction: &Transaction,
        due: &Due<'_>,
        marked: Option<&[String]>,
        ahead: Option<Rows<'_>>,
    ) -> Result<(), SyncError> {
        let (mart, market) = (due.mart, due.market.as_str());
        match (&mart.partial, marked) {
            (None, groups) => self.compute_groups(transaction, mart, market, groups, ahead).await?,
            (Some(partial), None) => {
                self.compute_parts(transaction, mart, partial, market, None, ahead).await?;
                self.compute_totals(transaction, mart, partial, market, None).await?;
                self.compute_groups(transaction, mart, market, None, None).await?;
            }
            (Some(partial), Some(parts)) => {
                let groups = self.replace_parts(transaction, mart, partial, market, parts).await?;
                let groups = (groups.len() <= PARTS_PER_REFRESH).then_some(groups.as_slice());
                self.compute_groups(transaction, mart, market, groups, None).await?;
            }
        }
        // Clear the marks last: on MySQL another transaction that reads its own marks would
        // otherwise wait for this one.
        due.clear(transaction, marked).await
    }

    async fn begin_in(&self, turn: Turn, mart: &Mart) -> Result<WriteTransaction<'_>, SyncError> {
        match turn {
            Turn::EachItsOwn => self.db.begin_holding(self.turn_for(mart).await?).await,
            Turn::Callers => self.db.begin_beside_others().await,
        }
    }

    /// Recomputes parts and updates the totals; returns the old and new groups of these parts.
    async fn replace_parts(
        &self,
        transaction: &Transaction,
        mart: &Mart,
        partial: &Partial,
        market: &str,
        parts: &[String],
    ) -> Result<Vec<String>, SyncError> {
        let mut groups = self.groups_of_parts(transaction, mart, partial, market, parts).await?;
        self.change_totals(transaction, partial, market, parts, Change::Take).await?;
        self.compute_parts(transaction, mart, partial, market, Some(parts), None).await?;
        self.change_totals(transaction, partial, market, parts, Change::Add).await?;
        groups.extend(self.groups_of_parts(transaction, mart, partial, market, parts).await?);
        let lost = self.groups_of_lost(transaction, mart, partial, market).await?;
        for lost in lost.chunks(PARTS_PER_REFRESH) {
            self.compute_totals(transaction, mart, partial, market, Some(lost)).await?;
        }
        Ok(groups.into_iter().collect())
    }

    async fn compute_groups(
        &self,
        transaction: &Transaction,
        mart: &Mart,
        market: &str,
        groups: Option<&[String]>,
        ahead: Option<Rows<'_>>,
    ) -> Result<(), SyncError> {
        if groups.is_some_and(<[_]>::is_empty) {
            return Ok(());
        }
        let query = || self.groups_query(mart, &scope_of(market, groups)).map(Rows::Query);
        let rows = ahead.map_or_else(query, Ok)?;
        let groups =
            groups.map(|groups| groups.iter().map(|group| self.group_value(mart, group)).collect());
        self.delete_keys(transaction, &mart.shape, market, &mart.group, groups).await?;
        fail::fail_point!("during_refresh", |_| std::process::abort());
        self.insert_computed(transaction, &mart.shape, rows).await
    }

    async fn compute_parts(
        &self,
        transaction: &Transaction,
        mart: &Mart,
        partial: &Partial,
        market: &str,
        parts: Option<&[String]>,
        ahead: Option<Rows<'_>>,
    ) -> Result<(), SyncError> {
        let query = || self.parts_query(mart, partial, &scope_of(market, parts)).map(Rows::Query);
        let rows = ahead.map_or_else(query, Ok)?;
        let parts = parts.map(|parts| parts.iter().map(|part| part.as_str().into()).collect());
        self.delete_keys(transaction, &partial.parts, market, &partial.by, parts).await?;
        fail::fail_point!("during_parts", |_| std::process::abort());
        self.insert_computed(transaction, &partial.parts, rows).await
    }

    pub(crate) fn groups_query(&self, mart: &Mart, scope: &Scope) -> Result<Rendered, SyncError> {
        let totals =
            mart.partial.as_ref().map(|partial| self.db.dialect.quote(&partial.totals.name));
        render_over(&mart.file, &mart.body, totals, self.db.dialect, &self.tables.shapes(), scope)
    }

    pub(crate) fn parts_query(
        &self,
        mart: &Mart,
        partial: &Partial,
        scope: &Scope,
    ) -> Result<Rendered, SyncError> {
        render(&mart.file, &partial.body, self.db.dialect, &self.tables.shapes(), scope)
    }

    pub(crate) async fn delete_keys(
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

    /// The beginning of the statement that inserts a query's rows.
    pub(crate) fn insert_into(&self, shape: &TableShape) -> String {
        let columns: Vec<String> =
            shape.columns.iter().map(|column| self.db.dialect.quote(&column.name)).collect();
        format!("INSERT INTO {} ({})", self.db.dialect.quote(&shape.name), columns.join(", "))
    }

    async fn insert_computed(
        &self,
        transaction: &Transaction,
        shape: &TableShape,
        rows: Rows<'_>,
    ) -> Result<(), SyncError> {
        let insert = self.insert_into(shape);
        match rows {
            Rows::Query(query) => {
                self.db
                    .execute_sql(transaction, format!("{insert} {}", query.sql), query.binds)
                    .await?;
            }
            Rows::Ahead(reader, ahead) => reader.move_into(transaction, &insert, ahead).await?,
        }
        Ok(())
    }

    /// The due marts that a file touches or that no file at work touches, sorted by name.
    async fn due(&self, file: Option<&FileAtWork<'_>>) -> Result<Vec<Due<'_>>, SyncError> {
        let mut all = Vec::new();
        for marks in self.ledger.marks().await? {
            let is_others = |mart: &Mart| {
                file.is_some_and(|file| {
                    !file.touches(mart, &marks.market) && self.is_touched(mart, &marks.market)
                })
            };
            let mart = self.definitions.marts.iter().find(|mart| mart.shape.name == marks.mart);
            let is_left_alone =
                |mart: &Mart| is_others(mart) || self.ledger.has_obstacle(&marks.mart);
            let Some(mart) = mart.filter(|mart| !is_left_alone(mart)) else { continue };
            let is_whole = marks.groups().is_none();
            let Marks { market, last_id, marks, .. } = marks;
            let mut due = Due { mart, market, last_id, marks: marks.unsigned_abs(), is_whole };
            due.is_whole = due.is_whole || self.is_large_share(&due).await?;
            all.push(due);
        }
        Ok(all)
    }

    /// Whether the marked groups or parts cost more than the whole market at once.
    async fn is_large_share(&self, due: &Due<'_>) -> Result<bool, SyncError> {
        if due.marks <= GROUPS_UNCOUNTED_MAX {
            return Ok(false);
        }
        let (table, column) = match &due.mart.partial {
            Some(partial) => (&partial.parts.name, &partial.by),
            None => (&due.mart.shape.name, &due.mart.group),
        };
        let count = |table: &str, column: &str| {
            let count = Expr::col(Alias::new(column)).count_distinct();
            let market = Expr::col("market").eq(due.market.as_str());
            Query::select().expr(count).from(Alias::new(table)).and_where(market).to_owned()
        };
        let mut marked = count("tidegate_dirty_groups", "group_key");
        marked.and_where(Expr::col("mart").eq(due.mart.shape.name.as_str()));
        let mut counts = [0, 0];
        for (query, count) in [marked, count(table, column)].iter().zip(&mut counts) {
            let row = self.db.connection.query_one(query).await?;
            *count = row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?.unsigned_abs();
        }
        let [marked, groups] = counts;
        Ok(marked * GROUPS_SHARE > groups)
    }

    /// The distinct marked groups or parts.
    async fn marked(&self, due: &Due<'_>) -> Result<Vec<String>, SyncError> {
        let groups = dirty_groups::Entity::find()
            .select_only()
            .distinct()
            .column(Mark::GroupKey)
            .filter(due.condition(None))
            .filter(Mark::GroupKey.is_not_null())
            .order_by_asc(Mark::GroupKey);
        Ok(groups.into_tuple().all(&self.db.connection).await?)
    }

    fn group_value(&self, mart: &Mart, group: &str) -> Value {
        match (mart.group_kind(), self.db.dialect) {
            (Kind::Day, Dialect::Mysql | Dialect::Postgres) => Value::ChronoDate(parse_day(group)),
            _ => group.into(),
        }
    }
}

impl Due<'_> {
    /// The condition for the marks: all up to the last one, or those of some groups or parts.
    fn condition(&self, marked: Option<&[String]>) -> sea_orm::Condition {
        sea_orm::Condition::all()
            .add(Mark::Mart.eq(self.mart.shape.name.as_str()))
            .add(Mark::Market.eq(self.market.as_str()))
            .add(Mark::Id.lte(self.last_id))
            .add_option(marked.map(|marked| Mark::GroupKey.is_in(marked)))
    }

    async fn is_marked(
        &self,
        transaction: &Transaction,
        marked: Option<&[String]>,
    ) -> Result<bool, SyncError> {
        let mark = dirty_groups::Entity::find()
            .select_only()
            .column(Mark::Id)
            .filter(self.condition(marked));
        let id: Option<i64> = mark.into_tuple().one(transaction).await?;
        Ok(id.is_some())
    }

    async fn clear(
        &self,
        transaction: &Transaction,
        marked: Option<&[String]>,
    ) -> Result<(), SyncError> {
        dirty_groups::Entity::delete_many()
            .filter(self.condition(marked))
            .exec(transaction)
            .await?;
        Ok(())
    }
}

fn scope_of(market: &str, keys: Option<&[String]>) -> Scope {
    keys.map_or_else(
        || Scope::Market(market.to_owned()),
        |keys| Scope::Keys(market.to_owned(), keys.to_vec()),
    )
}
