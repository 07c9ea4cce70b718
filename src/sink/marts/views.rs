//! Views: recreated whenever their text changes, for example when a table gets a column. New
//! columns are appended, so that a view can be replaced although others have built on it.
//!
//! A view is first created under another name, so that a view that does not compile never replaces
//! a working one.

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

/// The name of a draft view.
const DRAFT: &str = "tidegate_draft";

/// Name of a view's column, and its type on databases where dependents rely on it.
type ViewColumn = (String, String);

/// A view that exists, or was dropped for a change of a table.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    columns: Vec<ViewColumn>,
    keepsakes: Keepsakes,
}

/// Views that were dropped so that a table below them can change; they must be made again.
pub(crate) type Dropped = BTreeMap<String, Standing>;

/// A view that could not be created.
#[derive(Debug)]
pub(crate) struct ViewFailure {
    view: String,
    error: SyncError,
    /// Whether it does not compile with the current tables; otherwise it cannot replace the
    /// existing one.
    is_unusable: bool,
    /// Whether it was dropped before, so that no version of it is left.
    was_dropped: bool,
}

impl Marts {
    /// Creates views that are missing, outdated or unusable. A failure is stored as an obstacle,
    /// and the others continue.
    pub(crate) async fn define_views(&self, dropped: Dropped) -> Result<(), SyncError> {
        let shapes = self.tables.shapes();
        if self.db.dialect.rolls_back_ddl() {
            let write = self.db.begin().await?;
            let failures = self.define_views_in(&write.transaction, &shapes, dropped).await?;
            self.note_failures(&write.transaction, failures).await?;
            return write.commit().await;
        }
        // MySQL commits each step separately.
        let _writing = self.db.writing.lock().await;
        self.db.lease()?.beat(&self.db.connection).await?;
        let failures = self.define_views_in(&self.db.connection, &shapes, dropped).await?;
        self.note_failures(&self.db.connection, failures).await
    }

    /// Like [`Marts::define_views`], for tables of these shapes; returns the views that could not
    /// be created.
    pub(crate) async fn define_views_in(
        &self,
        connection: &impl ConnectionTrait,
        shapes: &Arc<Shapes>,
        mut dropped: Dropped,
    ) -> Result<Vec<ViewFailure>, SyncError> {
        let mut failures = Vec::new();
        for view in &self.definitions.views {
            let query = render(&view.file, &view.body, self.db.dialect, shapes, &Scope::View)?.sql;
            // If the collation is part of the view, a view with another one is recreated.
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
                    self.db
                        .attempt(
                            connection,
                            self.put_view(connection, &view.name, &query, columns, before),
                        )
                        .await?
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
                    failures.push(ViewFailure {
                        view: view.name.clone(),
                        error,
                        is_unusable,
                        was_dropped,
                    });
                }
            }
        }
        Ok(failures)
    }

    /// The first failure that a change of tables must not cause: the view was usable before.
    pub(crate) fn new_failure<'f>(&self, failures: &'f [ViewFailure]) -> Option<&'f ViewFailure> {
        failures.iter().find(|failure| {
            failure.was_dropped || failure.is_unusable && !self.ledger.has_obstacle(&failure.view)
        })
    }

    /// Stores the views that could not be created, for `status` and the log.
    pub(crate) async fn note_failures(
        &self,
        connection: &impl ConnectionTrait,
        failures: Vec<ViewFailure>,
    ) -> Result<(), SyncError> {
        for failure in failures {
            let (objects, consequence) = match failure.is_unusable {
                true => (
                    Vec::new(),
                    "the view cannot be made of its tables as they are now; everything else goes on",
                ),
                false => (
                    self.objects_on(connection, &failure.view, None).await?,
                    "the view stays as it was, without what is new in its tables; everything else goes on",
                ),
            };
            self.ledger
                .raise(
                    connection,
                    Obstacle::new(failure.view, consequence, &failure.error, &objects),
                )
                .await?;
        }
        Ok(())
    }

    /// Creates a query's draft view, and returns its columns.
    async fn prepare(
        &self,
        connection: &impl ConnectionTrait,
        query: &str,
    ) -> Result<Vec<ViewColumn>, SyncError> {
        let draft = self.db.dialect.quote(DRAFT);
        connection.execute_unprepared(&format!("DROP VIEW IF EXISTS {draft}")).await?;
        connection
            .execute_unprepared(&self.in_binary(&format!("CREATE VIEW {draft} AS {query}")))
            .await?;
        let columns = match self.try_view(connection, DRAFT).await {
            Ok(()) => self.view_columns(connection, DRAFT).await,
            Err(error) => Err(error),
        };
        // If the transaction can undo DDL, it also removes the draft of a failed attempt.
        if columns.is_ok() || !self.db.dialect.rolls_back_ddl() {
            connection.execute_unprepared(&format!("DROP VIEW {draft}")).await?;
        }
        columns
    }

    /// Whether a view can be read: SQLite and MySQL also keep broken views.
    async fn try_view(
        &self,
        connection: &impl ConnectionTrait,
        view: &str,
    ) -> Result<(), SyncError> {
        connection.execute_unprepared(&self.db.dialect.compile(view)).await?;
        Ok(())
    }

    /// Replaces a view by its draft, and restores what the old one had.
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
                connection
                    .execute_unprepared(&format!("CREATE OR REPLACE VIEW {name} AS {query}"))
                    .await?;
                // This keeps the grants.
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

    /// MySQL keeps grants by name, but the view's definer must be set again.
    async fn replace_on_mysql(
        &self,
        connection: &impl ConnectionTrait,
        view: &str,
        query: &str,
    ) -> Result<(), SyncError> {
        let name = self.db.dialect.quote(view);
        let of_view = "SELECT CAST(definer AS CHAR), CAST(security_type AS CHAR) FROM information_schema.views \
                       WHERE table_schema = DATABASE() AND table_name = ?";
        let of_view =
            Statement::from_sql_and_values(self.db.dialect.backend(), of_view, [view.into()]);
        let (mut definer, mut security) = (String::new(), String::new());
        if let Some(row) = connection.query_one_raw(of_view).await? {
            let (account, rights): (String, String) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if let Some((user, host)) = account.rsplit_once('@') {
                definer = format!(
                    "DEFINER = {}@{}",
                    self.db.dialect.quote(user),
                    self.db.dialect.quote(host)
                );
            }
            security = format!("SQL SECURITY {rights}");
        }
        let create = |definer: &str| {
            self.in_binary(&format!(
                "CREATE OR REPLACE {definer} {security} VIEW {name} AS {query}"
            ))
        };
        let kept = connection.execute_unprepared(&create(&definer)).await;
        if kept.is_err() && !definer.is_empty() {
            // Not every user may set another definer; then the view runs with the creator's rights.
            connection.execute_unprepared(&create("")).await?;
            tracing::warn!(view, definer, "the view's definer could not be kept");
            return Ok(());
        }
        kept?;
        Ok(())
    }

    /// The query with existing columns first, in their old order, and new ones after them.
    fn ordered(&self, query: &str, columns: &[ViewColumn], before: &[ViewColumn]) -> String {
        let has =
            |columns: &[ViewColumn], name: &str| columns.iter().any(|(other, _)| other == name);
        let kept = before.iter().filter(|(name, _)| has(columns, name));
        let later = columns.iter().filter(|(name, _)| !has(before, name));
        let names: Vec<&str> = kept.chain(later).map(|(name, _)| name.as_str()).collect();
        if names.iter().copied().eq(columns.iter().map(|(name, _)| name.as_str())) {
            return query.to_owned();
        }
        let list: Vec<String> =
            names.iter().map(|name| format!("v.{}", self.db.dialect.quote(name))).collect();
        format!("SELECT {} FROM ({query}) v", list.join(", "))
    }

    /// Reads the existing view of this name. The columns of an unreadable view are unknown.
    async fn standing(
        &self,
        connection: &impl ConnectionTrait,
        view: &str,
    ) -> Result<Standing, SyncError> {
        let columns = self
            .db
            .attempt(connection, self.view_columns(connection, view))
            .await?
            .unwrap_or_default();
        Ok(Standing { columns, keepsakes: self.db.keepsakes(connection, view).await? })
    }

    async fn view_columns(
        &self,
        connection: &impl ConnectionTrait,
        view: &str,
    ) -> Result<Vec<ViewColumn>, SyncError> {
        let query = self.db.dialect.typed_columns_query();
        let query = Statement::from_sql_and_values(self.db.dialect.backend(), query, [view.into()]);
        let mut columns = Vec::new();
        for row in connection.query_all_raw(query).await? {
            columns.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
        }
        Ok(columns)
    }

    /// Drops tidegate's own views that read a column, or with `None` a table; the last one first,
    /// because it may read the others.
    pub(crate) async fn drop_views_on(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
        column: Option<&str>,
        dropped: &mut Dropped,
    ) -> Result<(), SyncError> {
        let on_column = match self.db.dialect {
            Dialect::Postgres => self.own_views_on(connection, table, column).await?,
            // A column cannot be dropped while any view of the database names it.
            Dialect::Sqlite => {
                self.definitions.views.iter().rev().map(|view| view.name.clone()).collect()
            }
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

    /// Literals of a view, and expressions of them, have the collation of the connection that
    /// created the view; MySQL's default ignores case. Both statements are sent as one text,
    /// because each could go to another connection.
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
    /// The reason for refusing a change of tables that would cause this.
    pub(crate) fn reason(&self) -> String {
        format!("the view {} could not be made of the changed tables: {}", self.view, self.error)
    }
}
