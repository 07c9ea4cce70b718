//! Evolve: adds the columns that files bring to tables, and widens columns to the kinds that their
//! values need. The ledger is changed first, and the table follows: at once, or at the next start
//! after a crash in between.

use crate::error::{SyncError, Verdict};
use crate::feed::dataset::{Dataset, Owner};
use crate::feed::layout::{Layout, SchemaChange, key_of, lacking_tables, shortened};
use crate::process::waiting::aloud;
use crate::sink::Sink;
use crate::sink::deletes::mark_column;
use crate::sink::ledger::attempts::Company;
use crate::sink::ledger::recorded::{CREATE_TABLE, Evolution};
use crate::sink::marts::views::Dropped;
use crate::sink::tables::{KindsStay, Tables};
use entity::{ColumnShape, Kind, TableShape, schema_changes};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, PoisonError};
use tokio::sync::OwnedRwLockWriteGuard;

/// The tables are ready for a file, except for changes with an obstacle.
#[derive(Debug)]
pub struct Evolved {
    /// While this guard lives, no column changes its kind.
    pub kinds_stay: KindsStay,
    /// Whether a column changed its kind, so that unchanged records may now be stored differently.
    pub has_widened: bool,
}

/// The subject of an obstacle of this column.
pub(crate) fn about(table: &str, column: &str) -> String {
    format!("{table}.{column}")
}

/// What happens to a column without values that cannot change to the kind of its first values: it
/// stays text.
fn as_text(change: &SchemaChange) -> Option<SchemaChange> {
    let mut text = change.clone();
    text.column.widen(Kind::Text);
    (change.widened_from == Some(Kind::Text)).then_some(text)
}

/// The error for a file whose columns the database refuses. A table that is too wide is permanent;
/// any other reason may be gone at the next try.
fn as_refusal(error: SyncError) -> SyncError {
    let reason = match &error {
        SyncError::Database(_) if error.is_too_wide() => {
            return SyncError::damaged(format!(
                "the database takes no table as wide as it needs ({error}): leave columns out of the file, or use a database \
                 that takes wider tables"
            ));
        }
        SyncError::Database(_) => {
            format!("the database refuses to change its tables for it: {error}")
        }
        SyncError::Configuration(reason) | SyncError::Refused { reason } => reason.clone(),
        _ => return error,
    };
    SyncError::Refused { reason }
}

/// A column of a table that holds values which its declared type might not hold.
fn retyped<'s>(dataset: &Dataset, shape: &'s TableShape) -> Option<(&'s ColumnShape, Kind)> {
    let declared = dataset
        .columns()
        .filter(|declared| dataset.table_of(dataset.owner(&declared.name)) == shape.name);
    declared.filter_map(|declared| Some((shape.column(&declared.name)?, declared.kind()?))).find(
        |(stored, kind)| {
            !stored.is_empty
                && stored.kind.joined(*kind) != *kind
                && !shape.key.contains(&stored.name)
        },
    )
}

impl Sink {
    /// Checks that columns go to tables that declare them, and that tables have the keys of their
    /// datasets. An undeclared table is created from the data, unless a foreign table has its name.
    pub(crate) async fn check_datasets(&self, datasets: &[Arc<Dataset>]) -> Result<(), SyncError> {
        let shapes = self.tables.shapes();
        for dataset in datasets.iter().filter(|dataset| !dataset.is_template()) {
            let wrong = |what: String| {
                SyncError::Configuration(format!("datasets.{}: {what}", dataset.name))
            };
            for owner in [Owner::Record, Owner::Line] {
                let table = dataset.table_of(owner);
                let Some(shape) = shapes.get(table) else {
                    self.check_free_name(table).await.map_err(|error| wrong(error.to_string()))?;
                    continue;
                };
                let key = key_of(dataset, owner);
                if shape.key != key {
                    let (is, wanted) = (shape.key.join(", "), key.join(", "));
                    return Err(wrong(format!(
                        "table `{table}` has the key {is}, not {wanted}; name another table, or drop it with its lines in tidegate_schema_changes"
                    )));
                }
                // Marts and views of declared tables distinguish markets.
                let is_declared = shape.columns.iter().any(|column| column.is_declared);
                if let Some(path) = dataset.path_without_market().filter(|_| is_declared) {
                    return Err(wrong(format!("paths: `{path}` has no group (?<market>…)")));
                }
                let is_own = |column: &&ColumnShape| {
                    column.name.starts_with('_')
                        || shape.key.contains(&column.name)
                        || column.name == "line_count"
                };
                let is_astray =
                    |column: &&ColumnShape| dataset.table_of(dataset.owner(&column.name)) != table;
                let declared =
                    shape.columns.iter().filter(|column| column.is_declared && !is_own(column));
                if let Some(column) = declared.clone().find(is_astray) {
                    return Err(wrong(format!(
                        "`{}` is declared in table `{table}`, but `of` of the dataset's column sends it elsewhere",
                        column.name
                    )));
                }
                if let Some((column, kind)) = retyped(dataset, shape) {
                    let (name, is, wanted) = (&column.name, column.kind.name(), kind.name());
                    return Err(wrong(format!(
                        "columns.{name}.type: column `{name}` of table `{table}` holds {is} that files brought before it was \
                         declared as {wanted}; give the column another name with `from`, or drop it (ALTER TABLE {table} DROP \
                         COLUMN {name}; DELETE FROM tidegate_schema_changes WHERE table_name = '{table}' AND column_name = \
                         '{name}'): the files that are still there fill it again"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Table name for a dataset that was made for a file: the dataset's name, unless it is taken.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn free_table(&self, dataset: &Dataset) -> Result<String, SyncError> {
        // Reserve the name: two files may ask at once, before either table exists.
        let _evolving = self.tables.evolving.lock().await;
        let promised = || self.tables.promised.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = promised().get(&dataset.name) {
            return Ok(table.clone());
        }
        let mut table = dataset.table.clone();
        let mut suffix = 2;
        loop {
            let is_promised = promised().values().any(|promised| *promised == table);
            if !is_promised
                && !self.tables.shapes().contains_key(&table)
                && self.tables.taken_by(&table).await?.is_none()
            {
                promised().insert(dataset.name.clone(), table.clone());
                return Ok(table);
            }
            table = shortened(&dataset.table, &format!("_{suffix}"));
            suffix += 1;
        }
    }

    /// Checks that a table may be created with this name.
    pub(crate) async fn check_free_name(&self, table: &str) -> Result<(), SyncError> {
        let Some(other) = self.tables.taken_by(table).await? else { return Ok(()) };
        Err(SyncError::Configuration(format!(
            "`{table}` cannot be the name of its table: the database has {other} already; set `table`"
        )))
    }

    /// Checks the maximum number of columns, before anything changes.
    fn check_room(
        &self,
        lacking: &[TableShape],
        changes: &[SchemaChange],
    ) -> Result<(), SyncError> {
        let shapes = self.tables.shapes();
        let allowed = self.tables.table_columns_max;
        for table in changes.iter().map(|change| &change.table).collect::<BTreeSet<_>>() {
            let added = changes
                .iter()
                .filter(|change| change.table == *table && change.widened_from.is_none())
                .count();
            let shape =
                shapes.get(table).or_else(|| lacking.iter().find(|shape| shape.name == *table));
            let before = shape.map_or(0, |shape| shape.columns.len());
            if added > 0 && before + added > allowed {
                return Err(SyncError::damaged(format!(
                    "it brings {added} new columns for the table `{table}`, which has {before}, and table_columns_max allows \
                     {allowed}: leave columns out of the file, or raise table_columns_max if the database takes more"
                )));
            }
        }
        Ok(())
    }

    /// Adds a file's columns to tables, changes column kinds for its values, and records this in
    /// the ledger. While the returned guard lives, no column changes its kind. A column with an
    /// obstacle keeps its kind, and values that do not fit are rescued.
    ///
    /// # Errors
    ///
    /// When the database fails; [`SyncError::Damaged`] when the file has more columns than its
    /// tables allow, [`SyncError::Refused`] when the database refuses the changes for another
    /// reason.
    pub async fn evolve(
        &self,
        layout: &Layout,
        dataset: &Dataset,
        file_id: i64,
        now_ms: i64,
        _in_company: &Company,
    ) -> Result<Evolved, SyncError> {
        // Two markets often bring the same column at once; the second one must see what the first
        // one created.
        let mut is_behind =
            aloud("another file's change of tables", self.tables.evolving.lock()).await;
        let kinds = || Arc::clone(&self.tables.kinds);
        let mut alone = None;
        if *is_behind {
            alone =
                Some(aloud("the files at work, to widen a column", kinds().write_owned()).await);
            self.follow_ledger().await?;
            *is_behind = false;
        }
        self.look_at_obstacles().await?;
        let lacking = lacking_tables(dataset, &self.tables.shapes());
        for shape in &lacking {
            self.check_free_name(&shape.name).await.map_err(as_refusal)?;
        }
        let mut changes = layout.reconcile(dataset, &self.tables.shapes());
        changes.extend(mark_column(dataset, &self.tables.shapes()));
        self.check_room(&lacking, &changes)?;
        if changes.iter().any(|change| change.widened_from.is_some()) && alone.is_none() {
            // Wait for other files: one may be half written, with values of the old kind.
            alone =
                Some(aloud("the files at work, to widen a column", kinds().write_owned()).await);
        }
        let mut has_widened = false;
        if !changes.is_empty() || !lacking.is_empty() {
            self.tables.widen_far_enough(&mut changes).await?;
            let evolution = Evolution {
                dataset,
                lacking: &lacking,
                changes: &changes,
                file_id: Some(file_id),
                now_ms,
            };
            *is_behind = true;
            has_widened = match self.change_tables(&evolution).await {
                Err(error) if matches!(error.verdict(), Verdict::Retry | Verdict::Fatal) => {
                    return Err(error);
                }
                // This file cannot be loaded without its columns. Bring the tables to what the
                // ledger lists, so that the next file and the next start work.
                Err(error) => {
                    self.follow_ledger().await?;
                    *is_behind = false;
                    return Err(as_refusal(error));
                }
                Ok(has_widened) => has_widened,
            };
            *is_behind = false;
        }
        let kinds_stay = match alone {
            Some(alone) => OwnedRwLockWriteGuard::downgrade(alone),
            None => aloud("a file that widens a column", kinds().read_owned()).await,
        };
        Ok(Evolved { kinds_stay: KindsStay(kinds_stay), has_widened })
    }

    /// Changes tables and views, all or none; returns whether columns changed their kinds.
    async fn change_tables(&self, evolution: &Evolution<'_>) -> Result<bool, SyncError> {
        if !self.db.dialect.rolls_back_ddl() {
            return self.change_step_by_step(evolution).await;
        }
        let changed = self.change_at_once(evolution, None).await;
        let widens = evolution.changes.iter().any(|change| change.widened_from.is_some());
        match changed {
            Err(error)
                if widens && matches!(error.verdict(), Verdict::Fail | Verdict::Quarantine) =>
            {
                // The cause may be only a view that could not be made again; then the columns keep
                // their kinds.
                self.ledger.load_obstacles().await?;
                self.change_at_once(evolution, Some(&error)).await
            }
            changed => changed,
        }
    }

    /// Does this in one transaction. `refused` is the reason why no column may change its kind.
    async fn change_at_once(
        &self,
        evolution: &Evolution<'_>,
        refused: Option<&SyncError>,
    ) -> Result<bool, SyncError> {
        let write = self.db.begin().await?;
        let transaction = &write.transaction;
        for shape in evolution.lacking {
            self.ledger.record_table(transaction, shape, evolution).await?;
        }
        let (mut dropped, mut has_widened) = (Dropped::new(), false);
        for change in evolution.changes {
            if let Some(from) = change.widened_from {
                let obstacle = match refused {
                    Some(error) => Some(self.obstacle_of(transaction, change, from, error).await?),
                    None => self.widen_in(transaction, change, from, &mut dropped).await?,
                };
                if let Some(obstacle) = obstacle {
                    self.ledger.raise(transaction, obstacle).await?;
                    if let Some(text) = as_text(change) {
                        self.ledger.record_change(transaction, &text, evolution).await?;
                    }
                    continue;
                }
                has_widened = true;
                self.ledger.clear(transaction, &about(&change.table, &change.column.name)).await?;
            }
            self.ledger.record_change(transaction, change, evolution).await?;
        }
        let shapes = Arc::new(self.marts.recorded_shapes(transaction).await?);
        for shape in shapes.values() {
            self.tables.add_missing(transaction, shape).await?;
        }
        let failures = self.marts.define_views_in(transaction, &shapes, dropped).await?;
        if let Some(failure) = self.marts.new_failure(&failures) {
            return Err(SyncError::Refused { reason: failure.reason() });
        }
        self.marts.note_failures(transaction, failures).await?;
        fail::fail_point!("during_schema_change", |_| std::process::abort());
        write.commit().await?;
        if has_widened {
            self.tables.forget_statements().await?;
        }
        *self.tables.shapes.write().expect("no code panics while it holds the shapes") = shapes;
        Ok(has_widened)
    }

    /// Does this on MySQL, which commits each change of a table separately: the ledger is changed
    /// first, and what the database refuses is undone there.
    async fn change_step_by_step(&self, evolution: &Evolution<'_>) -> Result<bool, SyncError> {
        let last_change = self.ledger.last_change().await?;
        let mut before = BTreeMap::new();
        for table in evolution.tables() {
            before.insert(table, self.db.columns_of(table).await?);
        }
        let (mut changes, mut obstacles) = (Vec::new(), Vec::new());
        for change in evolution.changes {
            match change.widened_from {
                Some(from) => match self.obstacle_on_mysql(change, from).await? {
                    Some(obstacle) => {
                        obstacles.push(obstacle);
                        changes.extend(as_text(change).map(Cow::Owned));
                    }
                    None => changes.push(Cow::Borrowed(change)),
                },
                None => changes.push(Cow::Borrowed(change)),
            }
        }
        let write = self.db.begin().await?;
        for shape in evolution.lacking {
            self.ledger.record_table(&write.transaction, shape, evolution).await?;
        }
        for change in &changes {
            self.ledger.record_change(&write.transaction, change, evolution).await?;
        }
        for obstacle in obstacles {
            self.ledger.raise(&write.transaction, obstacle).await?;
        }
        write.commit().await?;
        fail::fail_point!("during_schema_change", |_| std::process::abort());
        let done = self.follow_changes().await;
        if let Err(error) = &done
            && matches!(error.verdict(), Verdict::Fail | Verdict::Quarantine)
        {
            self.take_back(&before, last_change).await?;
        }
        done?;
        let shapes = self.tables.shapes();
        let mut has_widened = false;
        for change in changes.iter().filter(|change| change.widened_from.is_some()) {
            let stored =
                shapes.get(&change.table).and_then(|shape| shape.column(&change.column.name));
            if stored.is_some_and(|stored| stored.kind == change.column.kind) {
                has_widened = true;
                self.ledger
                    .clear(&self.db.connection, &about(&change.table, &change.column.name))
                    .await?;
            }
        }
        Ok(has_widened)
    }

    /// Changes tables and views to match the ledger; an error if a view would be lost.
    async fn follow_changes(&self) -> Result<(), SyncError> {
        self.restore_columns().await?;
        let _writing = self.db.writing.lock().await;
        self.db.lease()?.beat(&self.db.connection).await?;
        let failures = self
            .marts
            .define_views_in(&self.db.connection, &self.tables.shapes(), Dropped::new())
            .await?;
        if let Some(failure) = self.marts.new_failure(&failures) {
            return Err(SyncError::Refused { reason: failure.reason() });
        }
        self.marts.note_failures(&self.db.connection, failures).await
    }

    /// Removes ledger entries after the given one, with the columns and tables that were made for
    /// them.
    async fn take_back(
        &self,
        before: &BTreeMap<&str, Vec<String>>,
        last_change: i64,
    ) -> Result<(), SyncError> {
        self.ledger.withdraw_changes(last_change).await?;
        for (table, columns) in before {
            let name = self.db.dialect.quote(table);
            if columns.is_empty() {
                self.db
                    .connection
                    .execute_unprepared(&format!("DROP TABLE IF EXISTS {name}"))
                    .await?;
                continue;
            }
            let mut added = self.db.columns_of(table).await?;
            added.retain(|column| !columns.contains(column));
            if !added.is_empty() {
                let drops: Vec<String> = added
                    .iter()
                    .map(|column| format!("DROP COLUMN {}", self.db.dialect.quote(column)))
                    .collect();
                self.db
                    .connection
                    .execute_unprepared(&format!("ALTER TABLE {name} {}", drops.join(", ")))
                    .await?;
            }
        }
        Ok(())
    }

    /// Retries changes with an obstacle, if there are any.
    async fn look_at_obstacles(&self) -> Result<(), SyncError> {
        let abouts = self.ledger.obstacles_about();
        for (table, column) in abouts.iter().filter_map(|about| about.rsplit_once('.')) {
            let has_known_objects = self
                .ledger
                .obstacle(&about(table, column))
                .is_some_and(|known| !known.object.is_empty());
            if has_known_objects
                && self.marts.objects_on(&self.db.connection, table, Some(column)).await?.is_empty()
            {
                self.ledger.clear(&self.db.connection, &about(table, column)).await?;
            }
        }
        if abouts.iter().any(|about| !about.contains('.')) {
            let dropped = self.marts.define_marts().await?;
            self.marts.define_views(dropped).await?;
        }
        Ok(())
    }

    /// Changes tables and views to match the ledger.
    async fn follow_ledger(&self) -> Result<(), SyncError> {
        self.ledger.load_obstacles().await?;
        self.restore_columns().await?;
        self.marts.define_views(Dropped::new()).await
    }

    /// Gives every table the columns and kinds that the ledger lists.
    pub(crate) async fn restore_columns(&self) -> Result<(), SyncError> {
        let mut shapes = self.marts.recorded_shapes(&self.db.connection).await?;
        for shape in shapes.values() {
            if self.tables.lacks_columns(shape).await? {
                // All or none: if the database refuses, the table stays as it was.
                let write = self.db.begin().await?;
                self.tables.add_missing(&write.transaction, shape).await?;
                write.commit().await?;
            }
        }
        let blocked = self.finish_widening(&shapes).await?;
        if !blocked.is_empty() {
            self.ledger.withdraw_widenings(blocked).await?;
            shapes = self.marts.recorded_shapes(&self.db.connection).await?;
        }
        *self.tables.shapes.write().expect("no code panics while it holds the shapes") =
            Arc::new(shapes);
        Ok(())
    }
}

impl Tables {
    /// Table and key that were created for the dataset of this name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn made_table(
        &self,
        dataset: &Dataset,
    ) -> Result<Option<(String, String)>, SyncError> {
        let made = schema_changes::Entity::find()
            .filter(schema_changes::Column::ChangeKind.eq(CREATE_TABLE))
            .filter(schema_changes::Column::OldType.eq(dataset.name.as_str()))
            .order_by_asc(schema_changes::Column::Id)
            .one(&self.db.connection)
            .await?;
        Ok(made.map(|made| (made.table_name, made.column_name)))
    }

    /// All names in use in the database.
    async fn taken_by(&self, name: &str) -> Result<Option<String>, SyncError> {
        let backend = self.db.dialect.backend();
        let query =
            Statement::from_sql_and_values(backend, self.db.dialect.taken_query(), [name.into()]);
        let row = self.db.connection.query_one_raw(query).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    async fn lacks_columns(&self, shape: &TableShape) -> Result<bool, SyncError> {
        let existing: HashSet<String> =
            self.db.columns_of(&shape.name).await?.into_iter().collect();
        Ok(shape.columns.iter().any(|column| !existing.contains(&column.name)))
    }

    /// Creates a table, or its missing columns.
    async fn add_missing(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
    ) -> Result<(), SyncError> {
        let existing: HashSet<String> =
            self.db.columns_in(connection, &shape.name).await?.into_iter().collect();
        let backend = self.db.dialect.backend();
        if existing.is_empty() {
            let create = migration::ddl::create_table(shape, backend, self.db.collation.as_deref());
            connection.execute(&create).await?;
            return Ok(());
        }
        let lacking: Vec<&ColumnShape> =
            shape.columns.iter().filter(|column| !existing.contains(&column.name)).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        for alter in migration::ddl::add_columns(&lacking, shape, backend) {
            connection.execute(&alter).await?;
        }
        Ok(())
    }
}
