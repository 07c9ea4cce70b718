//! Views: made anew whenever their text changes, which it does when a table gets a column. Columns that come later stand
//! behind those that are there, so that a view can be replaced under what others have built on it.
//!
//! A view is prepared under another name before it replaces the one that is there: what the database cannot compile never
//! takes the place of what it can.

use crate::error::SyncError;
use crate::feed::layout::Shapes;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::keepsakes::Keepsakes;
use crate::sink::ledger::obstacles::Obstacle;
use crate::sink::marts::Marts;
use crate::sink::marts::template::{Scope, render};
use crate::values::cell::hex;
use sea_orm::{ConnectionTrait, Statement};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name that a view is prepared under.
const DRAFT: &str = "tidegate_draft";

/// Name and type of a view's column, as far as the database ties one to it.
type ViewColumn = (String, String);

/// A view that is there, or was until it was dropped for a change of a table.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    columns: Vec<ViewColumn>,
    keepsakes: Keepsakes,
}

/// Views that were dropped so that a table below them can change; they are to be made again.
pub(crate) type Dropped = BTreeMap<String, Standing>;

/// A view that could not be made.
#[derive(Debug)]
pub(crate) struct ViewFailure {
    view: String,
    error: SyncError,
    /// The database cannot compile it as the tables are now; else it cannot take the place of the one that is there.
    is_unusable: bool,
    /// It was dropped before, so that nothing of it is left.
    was_dropped: bool,
}

impl Marts {
    /// Makes the views that are missing, outdated or unusable. What cannot be made is noted, and the rest goes on.
    pub(crate) async fn define_views(&self, dropped: Dropped) -> Result<(), SyncError> {
        let shapes = self.tables.shapes();
        if self.db.dialect.rolls_back_ddl() {
            let write = self.db.begin().await?;
            let failures = self.define_views_in(&write.transaction, &shapes, dropped).await?;
            self.note_failures(&write.transaction, failures).await?;
            return write.commit().await;
        }
        // MySQL commits each step by itself.
        let _writing = self.db.writing.lock().await;
        self.db.lease()?.beat(&self.db.connection).await?;
        let failures = self.define_views_in(&self.db.connection, &shapes, dropped).await?;
        self.note_failures(&self.db.connection, failures).await
    }

    /// As [`Marts::define_views`] for tables of these shapes; says what could not be made.
    pub(crate) async fn define_views_in(
        &self,
        connection: &impl ConnectionTrait,
        shapes: &Arc<Shapes>,
        mut dropped: Dropped,
    ) -> Result<Vec<ViewFailure>, SyncError> {
        let mut failures = Vec::new();
        for view in &self.definitions.views {
            let query = render(&view.file, &view.body, self.db.dialect, shapes, &Scope::View)?.sql;
            // Where the collation is part of how a view is made, it is made anew for it.
            let fingerprint = hex(&Sha256::digest(self.in_binary(&query).as_bytes()));
            let before = dropped.remove(&view.name);
            let was_dropped = before.is_some();
            if !was_dropped
                && self.is_defined_in(connection, &view.name, &fingerprint).await?
                && self.db.attempt(connection, self.try_view(connection, &view.name)).await?.is_ok()
            {
                self.ledger.clear(connection, &view.name).await?;
                continue;
            }
            let prepared = self.db.attempt(connection, self.prepare(connection, &query)).await?;
            let is_unusable = prepared.is_err();
            let made = match prepared {
                Ok(columns) => {
                    self.db.attempt(connection, self.put_view(connection, &view.name, &query, columns, before)).await?
                }
                Err(error) => Err(error),
            };
            match made {
                Ok(()) => {
                    self.define(connection, &view.name, &fingerprint).await?;
                    self.ledger.clear(connection, &view.name).await?;
                }
                Err(error) => {
                    let error = error.in_definition(&view.file);
                    failures.push(ViewFailure { view: view.name.clone(), error, is_unusable, was_dropped });
                }
            }
        }
        Ok(failures)
    }

    /// The first failure that no change of a table may leave behind: a view that was usable before it.
    pub(crate) fn new_failure<'f>(&self, failures: &'f [ViewFailure]) -> Option<&'f ViewFailure> {
        failures
            .iter()
            .find(|failure| failure.was_dropped || failure.is_unusable && !self.ledger.has_obstacle(&failure.view))
    }

    /// Notes what could not be made, for `status` and the log.
    pub(crate) async fn note_failures(
        &self,
        connection: &impl ConnectionTrait,
        failures: Vec<ViewFailure>,
    ) -> Result<(), SyncError> {
        for failure in failures {
            let (objects, consequence) = match failure.is_unusable {
                true => (Vec::new(), "the view cannot be made of its tables as they are now; everything else goes on"),
                false => (
                    self.objects_on(connection, &failure.view, None).await?,
                    "the view stays as it was, without what is new in its tables; everything else goes on",
                ),
            };
            self.ledger.raise(connection, Obstacle::new(failure.view, consequence, &failure.error, &objects)).await?;
        }
        Ok(())
    }

    /// Compiles a query as a view of another name; its columns.
    async fn prepare(&self, connection: &impl ConnectionTrait, query: &str) -> Result<Vec<ViewColumn>, SyncError> {
        let draft = self.db.dialect.quote(DRAFT);
        connection.execute_unprepared(&format!("DROP VIEW IF EXISTS {draft}")).await?;
        connection.execute_unprepared(&self.in_binary(&format!("CREATE VIEW {draft} AS {query}"))).await?;
        let columns = match self.try_view(connection, DRAFT).await {
            Ok(()) => self.view_columns(connection, DRAFT).await,
            Err(error) => Err(error),
        };
        // Where the transaction can, it takes the draft of a failed attempt back by itself.
        if columns.is_ok() || !self.db.dialect.rolls_back_ddl() {
            connection.execute_unprepared(&format!("DROP VIEW {draft}")).await?;
        }
        columns
    }

    /// Whether a view can be read: SQLite and MySQL also keep those that cannot.
    async fn try_view(&self, connection: &impl ConnectionTrait, view: &str) -> Result<(), SyncError> {
        connection.execute_unprepared(&self.db.dialect.compile(view)).await?;
        Ok(())
    }

    /// Puts a prepared view in its place, and gives it what the one before had.
    async fn put_view(
        &self,
        connection: &impl ConnectionTrait,
        view: &str,
        query: &str,
        columns: Vec<ViewColumn>,
        before: Option<Standing>,
    ) -> Result<(), SyncError> {
        let was_dropped = before.is_some();
        let before = match before {
            Some(before) => before,
            None => self.standing(connection, view).await?,
        };
        let query = self.ordered(query, &columns, &before.columns);
        let name = self.db.dialect.quote(view);
        let keeps_columns = before.columns.iter().all(|column| columns.contains(column));
        match self.db.dialect {
            Dialect::Mysql => return self.replace_on_mysql(connection, view, &query).await,
            Dialect::Postgres if keeps_columns && !was_dropped => {
                let options = self.db.options(connection, view).await?;
                connection.execute_unprepared(&format!("CREATE OR REPLACE VIEW {name} AS {query}")).await?;
                // The rights stay; this says nothing of them.
                for option in options.statements() {
                    connection.execute_unprepared(option).await?;
                }
                return Ok(());
            }
            Dialect::Postgres | Dialect::Sqlite => {}
        }
        if !was_dropped {
            connection.execute_unprepared(&format!("DROP VIEW IF EXISTS {name}")).await?;
        }
        connection.execute_unprepared(&format!("CREATE VIEW {name} AS {query}")).await?;
        self.db.give_back(connection, view, &before.keepsakes).await
    }

    /// MySQL keeps rights by name; whose rights a view is read with is said again.
    async fn replace_on_mysql(
        &self,
        connection: &impl ConnectionTrait,
        view: &str,
        query: &str,
    ) -> Result<(), SyncError> {
        let name = self.db.dialect.quote(view);
        let of_view = "SELECT CAST(definer AS CHAR), CAST(security_type AS CHAR) FROM information_schema.views \
                       WHERE table_schema = DATABASE() AND table_name = ?";
        let of_view = Statement::from_sql_and_values(self.db.dialect.backend(), of_view, [view.into()]);
        let (mut definer, mut security) = (String::new(), String::new());
        if let Some(row) = connection.query_one_raw(of_view).await? {
            let (account, rights): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if let Some((user, host)) = account.rsplit_once('@') {
                definer = format!("DEFINER = {}@{}", self.db.dialect.quote(user), self.db.dialect.quote(host));
            }
            security = format!("SQL SECURITY {rights}");
        }
        let create =
            |definer: &str| self.in_binary(&format!("CREATE OR REPLACE {definer} {security} VIEW {name} AS {query}"));
        let kept = connection.execute_unprepared(&create(&definer)).await;
        if kept.is_err() && !definer.is_empty() {
            // Not everybody may name another one; then the view is read with the rights of who makes it.
            connection.execute_unprepared(&create("")).await?;
            tracing::warn!(view, definer, "the view's definer could not be kept");
            return Ok(());
        }
        kept?;
        Ok(())
    }

    /// The query with the columns that are there already before the others, in their order.
    fn ordered(&self, query: &str, columns: &[ViewColumn], before: &[ViewColumn]) -> String {
        let has = |columns: &[ViewColumn], name: &str| columns.iter().any(|(other, _)| other == name);
        let kept = before.iter().filter(|(name, _)| has(columns, name));
        let later = columns.iter().filter(|(name, _)| !has(before, name));
        let names: Vec<&str> = kept.chain(later).map(|(name, _)| name.as_str()).collect();
        if names.iter().copied().eq(columns.iter().map(|(name, _)| name.as_str())) {
            return query.to_owned();
        }
        let list: Vec<String> = names.iter().map(|name| format!("v.{}", self.db.dialect.quote(name))).collect();
        format!("SELECT {} FROM ({query}) v", list.join(", "))
    }

    /// What is there under a view's name. Nothing is known of the columns of one that cannot be read.
    async fn standing(&self, connection: &impl ConnectionTrait, view: &str) -> Result<Standing, SyncError> {
        let columns = self.db.attempt(connection, self.view_columns(connection, view)).await?.unwrap_or_default();
        Ok(Standing { columns, keepsakes: self.db.keepsakes(connection, view).await? })
    }

    async fn view_columns(&self, connection: &impl ConnectionTrait, view: &str) -> Result<Vec<ViewColumn>, SyncError> {
        let query = self.db.dialect.typed_columns_query();
        let query = Statement::from_sql_and_values(self.db.dialect.backend(), query, [view.into()]);
        let mut columns = Vec::new();
        for row in connection.query_all_raw(query).await? {
            columns.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
        }
        Ok(columns)
    }

    /// Drops the views of tidegate's own that stand on a column, or with `None` on a table, the last one first: it may read
    /// the others.
    pub(crate) async fn drop_views_on(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
        column: Option<&str>,
        dropped: &mut Dropped,
    ) -> Result<(), SyncError> {
        let on_column = match self.db.dialect {
            Dialect::Postgres => self.own_views_on(connection, table, column).await?,
            // A column cannot leave a table while any view of the database names it.
            Dialect::Sqlite => self.definitions.views.iter().rev().map(|view| view.name.clone()).collect(),
            Dialect::Mysql => Vec::new(),
        };
        for view in on_column {
            if dropped.contains_key(&view) {
                continue;
            }
            let standing = self.standing(connection, &view).await?;
            let name = self.db.dialect.quote(&view);
            connection.execute_unprepared(&format!("DROP VIEW IF EXISTS {name}")).await?;
            dropped.insert(view, standing);
        }
        Ok(())
    }

    /// A literal of a view, and what is made of it, has the collation of the connection that made the view: on MySQL one that
    /// folds case, unless it is told otherwise. In one text with the view, because each may go to another connection.
    fn in_binary(&self, create: &str) -> String {
        match &self.db.collation {
            None => create.to_owned(),
            Some(collation) => format!(
                "SET @before = @@collation_connection; SET collation_connection = {collation}; {create}; \
                 SET collation_connection = @before"
            ),
        }
    }
}

impl ViewFailure {
    /// Why a change of tables that leads to it is refused.
    pub(crate) fn reason(&self) -> String {
        format!("the view {} could not be made of the changed tables: {}", self.view, self.error)
    }
}
