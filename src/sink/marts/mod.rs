//! Marts: tables of metrics that are exact whenever a file is `synced`.
//!
//! Each commit marks the groups that its rows touch, in its own transaction, or the parts if the
//! mart has a [`Partial`](crate::sink::marts::partial::Partial). The refresh (`sink::refresh`)
//! recomputes them.

pub(crate) mod ahead;
pub mod definition;
mod inputs;
pub(crate) mod objects;
pub mod partial;
pub mod refresh;
mod shapes;
pub mod summary;
pub mod template;
pub mod views;

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::record_key::{KeyColumns, join};
use crate::sink::db::Db;
use crate::sink::db::dialect::Dialect;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::obstacles::Obstacle;
use crate::sink::marts::definition::{Definitions, Mart};
use crate::sink::marts::template::{Scope, render};
use crate::sink::marts::views::Dropped;
use crate::sink::tables::Tables;
use entity::{TableShape, definitions, dirty_groups};
use sea_orm::sea_query::{Alias, OnConflict, Query, Table, TableDropStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set, Statement};
use std::sync::{Arc, Mutex, PoisonError};

/// Records whose groups one query finds.
const RECORDS_PER_QUERY: usize = 500;

/// Market and table of the files that are being synced, once for each file.
pub(crate) type FilesAtWork = Mutex<Vec<(String, String)>>;

/// A file that is being synced.
#[derive(Debug)]
pub struct FileAtWork<'a> {
    files: &'a FilesAtWork,
    /// Its market and table.
    changes: (String, String),
}

impl FileAtWork<'_> {
    /// Whether it changes a table that the mart reads, in this market.
    pub(crate) fn touches(&self, mart: &Mart, market: &str) -> bool {
        touches(&self.changes, mart, market)
    }
}

fn touches((changed_market, table): &(String, String), mart: &Mart, market: &str) -> bool {
    changed_market == market && mart.touched_by.contains_key(table)
}

impl Drop for FileAtWork<'_> {
    fn drop(&mut self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = files.iter().position(|changes| *changes == self.changes) {
            files.swap_remove(at);
        }
    }
}

/// The marts and views of a database.
#[derive(Debug)]
pub struct Marts {
    pub(crate) db: Arc<Db>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) definitions: Definitions,
    files_at_work: FilesAtWork,
}

impl Marts {
    /// The defined marts and views.
    pub(crate) fn new(tables: &Arc<Tables>, definitions: Definitions) -> Self {
        Self {
            db: Arc::clone(&tables.db),
            ledger: Arc::clone(&tables.ledger),
            tables: Arc::clone(tables),
            definitions,
            files_at_work: FilesAtWork::default(),
        }
    }

    /// Creates the marts' tables, and marks them for recomputation if their definition changed.
    /// Returns the views that were dropped for it. If an object that somebody built prevents this,
    /// the mart stays as it is and is not refreshed.
    pub(crate) async fn define_marts(&self) -> Result<Dropped, SyncError> {
        let mut dropped = Dropped::new();
        for mart in &self.definitions.marts {
            self.define_mart(mart, &mut dropped)
                .await
                .map_err(|error| error.in_definition(&mart.file))?;
        }
        self.forget_marks_of_others().await?;
        Ok(dropped)
    }

    async fn define_mart(&self, mart: &Mart, dropped: &mut Dropped) -> Result<(), SyncError> {
        let mut is_current = true;
        for shape in mart.tables() {
            is_current &= self.is_made(&self.db.connection, shape).await?;
        }
        if is_current && self.is_defined(&mart.shape.name, &mart.fingerprint).await? {
            return Ok(());
        }
        if !is_current && !self.make_tables(mart, dropped).await? {
            return Ok(());
        }
        self.try_queries(mart).await?;
        let write = self.db.begin().await?;
        self.define(&write.transaction, &mart.shape.name, &mart.fingerprint).await?;
        for table in mart.touched_by.keys() {
            self.mark_markets(&write.transaction, mart, table).await?;
        }
        self.ledger.clear(&write.transaction, &mart.shape.name).await?;
        write.commit().await
    }

    /// Compiles each query of a mart in the database, so that an error is reported with its file at
    /// the start, and not when a market's first file comes.
    async fn try_queries(&self, mart: &Mart) -> Result<(), SyncError> {
        let scopes = [
            Scope::Market(String::new()),
            Scope::Keys(String::new(), vec!["1970-01-01".to_owned()]),
        ];
        for scope in &scopes {
            let mut queries = vec![(&mart.shape, self.groups_query(mart, scope)?)];
            if let Some(partial) = &mart.partial {
                queries.push((&partial.parts, self.parts_query(mart, partial, scope)?));
            }
            for (shape, query) in queries {
                let sql = format!("EXPLAIN {} {}", self.insert_into(shape), query.sql);
                self.db.execute_sql(&self.db.connection, sql, query.binds).await?;
            }
        }
        let shapes = self.tables.shapes();
        for (table, query) in &mart.touched_by {
            let key = shapes.get(table).map_or_else(|| KeyColumns::one(""), KeyColumns::of_table);
            let record = join(key.names().iter().map(|_| Ok::<_, SyncError>(String::new())))?;
            let scope = Scope::Records(String::new(), key, vec![record]);
            let touched = render(&mart.file, query, self.db.dialect, &shapes, &scope)?;
            self.db
                .execute_sql(&self.db.connection, format!("EXPLAIN {}", touched.sql), touched.binds)
                .await?;
        }
        Ok(())
    }

    /// Remove marks of marts that are no longer defined.
    async fn forget_marks_of_others(&self) -> Result<(), SyncError> {
        let defined = self.definitions.marts.iter().map(|mart| mart.shape.name.as_str());
        let write = self.db.begin().await?;
        dirty_groups::Entity::delete_many()
            .filter(dirty_groups::Column::Mart.is_not_in(defined))
            .exec(&write.transaction)
            .await?;
        write.commit().await
    }

    /// Recreates the tables of a mart; `false` if there is an obstacle. Only metrics are lost, and
    /// they are recomputed. The stored definition is removed first, so that the next start repeats
    /// the work after a crash.
    async fn make_tables(&self, mart: &Mart, dropped: &mut Dropped) -> Result<bool, SyncError> {
        if !self.db.dialect.rolls_back_ddl() {
            // No transaction, because MySQL's DDL would end it.
            let _writing = self.db.writing.lock().await;
            self.define(&self.db.connection, &mart.shape.name, "").await?;
            self.replace_tables(&self.db.connection, mart, dropped).await?;
            return Ok(true);
        }
        let write = self.db.begin().await?;
        let transaction = &write.transaction;
        self.define(transaction, &mart.shape.name, "").await?;
        let mut also_dropped = dropped.clone();
        let made = self
            .db
            .attempt(transaction, self.replace_tables(transaction, mart, &mut also_dropped))
            .await?;
        let is_made = made.is_ok();
        match made {
            Ok(()) => *dropped = also_dropped,
            Err(error) => {
                let consequence = "the mart stays as it was and is not kept up to date; it is made anew with the next file \
                                   once nothing is in the way";
                let mut objects = Vec::new();
                for shape in mart.tables() {
                    objects.extend(self.objects_on(transaction, &shape.name, None).await?);
                }
                let obstacle =
                    Obstacle::new(mart.shape.name.clone(), consequence, &error, &objects);
                self.ledger.raise(transaction, obstacle).await?;
            }
        }
        write.commit().await?;
        Ok(is_made)
    }

    async fn replace_tables(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        dropped: &mut Dropped,
    ) -> Result<(), SyncError> {
        let (backend, collation) = (self.db.dialect.backend(), self.db.collation.as_deref());
        for shape in mart.tables() {
            if self.db.dialect == Dialect::Postgres {
                self.drop_views_on(connection, &shape.name, None, dropped).await?;
            }
            let keepsakes = self.db.keepsakes(connection, &shape.name).await?;
            connection.execute(&drop_table(&shape.name)).await?;
            let create = match &mart.partial {
                Some(partial) if partial.parts.name == shape.name => {
                    migration::ddl::create_clustered_table
                }
                _ => migration::ddl::create_table,
            };
            connection.execute(&create(shape, backend, collation)).await?;
            self.db.give_back(connection, &shape.name, &keepsakes).await?;
        }
        Ok(())
    }

    /// Whether a table has the expected columns, types and key.
    pub(crate) async fn is_made(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
    ) -> Result<bool, SyncError> {
        let (backend, name) = (self.db.dialect.backend(), shape.name.as_str());
        let catalog =
            Statement::from_sql_and_values(backend, self.db.dialect.catalog_query(), [name.into()]);
        let rows = connection.query_all_raw(catalog).await?;
        let made = rows
            .iter()
            .map(|row| {
                Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?))
            })
            .collect::<Result<Vec<(String, String, i64)>, DbErr>>()?;
        let place = |column: &str| {
            shape.key.iter().position(|key| key == column).map_or(0, |place| place as i64 + 1)
        };
        let wanted = shape.columns.iter();
        let mut wanted = wanted.map(|column| {
            (&column.name, self.db.dialect.catalog_type(column.kind), place(&column.name))
        });
        Ok(made.len() == shape.columns.len()
            && made
                .iter()
                .all(|(name, kind, place)| wanted.next() == Some((name, kind.as_str(), *place))))
    }

    /// Whether a mart or view was created from this text.
    pub(crate) async fn is_defined(
        &self,
        name: &str,
        fingerprint: &str,
    ) -> Result<bool, SyncError> {
        self.is_defined_in(&self.db.connection, name, fingerprint).await
    }

    /// Like [`Marts::is_defined`], as a transaction sees it.
    pub(crate) async fn is_defined_in(
        &self,
        connection: &impl ConnectionTrait,
        name: &str,
        fingerprint: &str,
    ) -> Result<bool, SyncError> {
        let defined = definitions::Entity::find_by_id(name).one(connection).await?;
        Ok(defined.is_some_and(|defined| defined.fingerprint == fingerprint))
    }

    /// Stores which text a mart or view was created from.
    pub(crate) async fn define(
        &self,
        connection: &impl ConnectionTrait,
        name: &str,
        fingerprint: &str,
    ) -> Result<(), SyncError> {
        let row = definitions::ActiveModel {
            name: Set(name.to_owned()),
            fingerprint: Set(fingerprint.to_owned()),
        };
        let update = OnConflict::column(definitions::Column::Name)
            .update_column(definitions::Column::Fingerprint)
            .to_owned();
        definitions::Entity::insert(row)
            .on_conflict(update)
            .exec_without_returning(connection)
            .await?;
        Ok(())
    }

    /// Marks the groups or parts that currently contain these records, or the whole market.
    pub(crate) async fn mark_groups(
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
        let marts = self
            .definitions
            .marts
            .iter()
            .filter_map(|mart| Some((mart, mart.touched_by.get(&dataset.table)?)));
        for (mart, query) in marts {
            // Rows without a key are marked by market, because no query can find their groups.
            if is_whole || dataset.is_keyless() {
                self.mark_market(connection, mart, market).await?;
                continue;
            }
            for keys in keys.chunks(RECORDS_PER_QUERY) {
                let scope = Scope::Records(market.to_owned(), dataset.key.clone(), keys.to_vec());
                let groups =
                    render(&mart.file, query, self.db.dialect, &self.tables.shapes(), &scope)?;
                // Placeholders are numbered in sequence, so these values come after the query's.
                let (mart_at, market_at) = (groups.binds.len() + 1, groups.binds.len() + 2);
                let (sql, binds) = match self.db.dialect {
                    Dialect::Postgres => (
                        format!(
                            "INSERT INTO tidegate_dirty_groups (mart, market, group_key) \
                             SELECT CAST(${mart_at} AS text), CAST(${market_at} AS text), g.group_key FROM ({}) g",
                            groups.sql
                        ),
                        [groups.binds, vec![mart.shape.name.as_str().into(), market.into()]]
                            .concat(),
                    ),
                    _ => (
                        format!(
                            "INSERT INTO tidegate_dirty_groups (mart, market, group_key) SELECT ?, ?, g.group_key FROM ({}) g",
                            groups.sql
                        ),
                        [vec![mart.shape.name.as_str().into(), market.into()], groups.binds]
                            .concat(),
                    ),
                };
                let marked = self.db.execute_sql(connection, sql, binds).await;
                marked.map_err(|error| SyncError::from(error).in_definition(&mart.file))?;
            }
        }
        Ok(())
    }

    /// Registers a file of this table and market while it is synced. Until it ends, files that do
    /// not touch the same marts do not refresh them.
    pub fn start_work(&self, market: &str, table: &str) -> FileAtWork<'_> {
        let (files, changes) = (&self.files_at_work, (market.to_owned(), table.to_owned()));
        files.lock().unwrap_or_else(PoisonError::into_inner).push(changes.clone());
        FileAtWork { files, changes }
    }

    /// Whether a file that is being synced changes a table that the mart reads, in this market.
    pub(crate) fn is_touched(&self, mart: &Mart, market: &str) -> bool {
        let files = self.files_at_work.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().any(|changes| touches(changes, mart, market))
    }

    async fn mark_market(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        market: &str,
    ) -> Result<(), SyncError> {
        let marked = dirty_groups::Entity::find()
            .filter(dirty_groups::Column::Mart.eq(mart.shape.name.as_str()))
            .filter(dirty_groups::Column::Market.eq(market))
            .filter(dirty_groups::Column::GroupKey.is_null())
            .one(connection)
            .await?;
        if marked.is_some() {
            // The mark exists already, from this or an earlier transaction; it stays, because
            // refreshes wait for this commit.
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

    /// Marks every mart for recomputation.
    pub(crate) async fn mark_everything(&self) -> Result<(), SyncError> {
        let write = self.db.begin().await?;
        for mart in &self.definitions.marts {
            for table in mart.touched_by.keys() {
                self.mark_markets(&write.transaction, mart, table).await?;
            }
        }
        write.commit().await
    }

    async fn mark_markets(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        table: &str,
    ) -> Result<(), SyncError> {
        let mut markets = Query::select();
        markets.distinct().column("market").from(Alias::new(table));
        for row in connection.query_all(&markets).await? {
            let market: String = row.try_get_by_index(0)?;
            self.mark_market(connection, mart, &market).await?;
        }
        Ok(())
    }
}

fn drop_table(name: &str) -> TableDropStatement {
    Table::drop().table(Alias::new(name)).if_exists().to_owned()
}
