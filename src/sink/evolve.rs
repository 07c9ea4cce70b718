//! Evolve: tables get the columns that files bring, and columns the kinds that their values need. The ledger says first what a table is to have; the
//! table follows, at once or, after a crash in between, at the next start.

use super::Sink;
use super::deletes::mark_column;
use super::dialect::Dialect;
use crate::dataset::{Dataset, Owner};
use crate::error::{SyncError, Verdict};
use crate::schema::{
    ColumnShape, Kind, Layout, NAME_BYTES_MAX, SchemaChange, Shapes, key_of, lacking_tables, shortened,
};
use entity::{TableShape, schema_changes};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

/// What tidegate's own tables begin with.
const OWN_PREFIX: &str = "tidegate_";

const CREATE_TABLE: &str = "create_table";
const ADD_COLUMN: &str = "add_column";
const WIDEN_COLUMN: &str = "widen_column";
const RENAME_COLUMN: &str = "rename_column";

/// The shapes of the market tables as the entities declare them.
pub fn declared_shapes() -> Shapes {
    entity::market_tables().into_iter().map(|shape| (shape.name.clone(), shape)).collect()
}

impl Sink {
    /// Checks that columns go where they are declared, and that tables have the keys that datasets say. A table
    /// that is not declared is made from the data, unless somebody else's is there.
    pub(super) async fn check_datasets(&self, datasets: &[Arc<Dataset>]) -> Result<(), SyncError> {
        let shapes = self.shapes();
        for dataset in datasets.iter().filter(|dataset| !dataset.is_template()) {
            let wrong = |what: String| SyncError::Configuration(format!("datasets.{}: {what}", dataset.name));
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
                // The marts and views of declared tables tell markets apart.
                let is_declared = shape.columns.iter().any(|column| column.is_declared);
                if let Some(path) = dataset.path_without_market().filter(|_| is_declared) {
                    return Err(wrong(format!("paths: `{path}` has no group (?<market>…)")));
                }
                let is_own = |column: &&ColumnShape| {
                    column.name.starts_with('_') || shape.key.contains(&column.name) || column.name == "line_count"
                };
                let is_astray = |column: &&ColumnShape| dataset.table_of(dataset.owner(&column.name)) != table;
                let declared = shape.columns.iter().filter(|column| column.is_declared && !is_own(column));
                if let Some(column) = declared.clone().find(is_astray) {
                    return Err(wrong(format!(
                        "`{}` is declared in table `{table}`, but record_columns and line_columns send it elsewhere",
                        column.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Table and key that were made for a dataset of that name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn made_table(&self, dataset: &Dataset) -> Result<Option<(String, String)>, SyncError> {
        let made = schema_changes::Entity::find()
            .filter(schema_changes::Column::ChangeKind.eq(CREATE_TABLE))
            .filter(schema_changes::Column::OldType.eq(dataset.name.as_str()))
            .order_by_asc(schema_changes::Column::Id)
            .one(&self.connection)
            .await?;
        Ok(made.map(|made| (made.table_name, made.column_name)))
    }

    /// A name for the table of a dataset that was made for a file: its own, unless somebody else has that.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn free_table(&self, dataset: &Dataset) -> Result<String, SyncError> {
        // Two files may ask at once, and neither table is there yet.
        let _evolving = self.evolving.lock().await;
        let promised = || self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = promised().get(&dataset.name) {
            return Ok(table.clone());
        }
        let mut table = dataset.table.clone();
        let mut suffix = 2;
        loop {
            let is_promised = promised().values().any(|promised| *promised == table);
            if !is_promised && !self.shapes().contains_key(&table) && self.columns_of(&table).await?.is_empty() {
                promised().insert(dataset.name.clone(), table.clone());
                return Ok(table);
            }
            table = shortened(&dataset.table, &format!("_{suffix}"));
            suffix += 1;
        }
    }

    /// Checks that a table may be made under this name.
    async fn check_free_name(&self, table: &str) -> Result<(), SyncError> {
        let is_own = table.starts_with(OWN_PREFIX);
        if table.is_empty() || table.len() > NAME_BYTES_MAX || is_own || !self.columns_of(table).await?.is_empty() {
            return Err(SyncError::Configuration(format!(
                "`{table}` cannot be the name of its table: it is empty, too long, or another table or view has it; set `table`"
            )));
        }
        Ok(())
    }

    /// Gives tables the columns that a file brings, and columns the kinds that its values need, and tells the
    /// ledger. While the returned guard lives, no column takes another kind.
    ///
    /// # Errors
    ///
    /// When the database fails; [`SyncError::Damaged`] when it refuses the changes.
    pub async fn evolve(
        &self,
        layout: &Layout,
        dataset: &Dataset,
        file_id: i64,
        now_ms: i64,
    ) -> Result<OwnedRwLockReadGuard<()>, SyncError> {
        // Two markets often bring the same column at once: the second one compares with what the first one made.
        let mut is_behind = self.evolving.lock().await;
        let kinds = || Arc::clone(&self.kinds);
        let mut alone = None;
        if *is_behind {
            alone = Some(kinds().write_owned().await);
            self.follow_ledger().await?;
            *is_behind = false;
        }
        let lacking = lacking_tables(dataset, &self.shapes());
        for shape in &lacking {
            self.check_free_name(&shape.name).await.map_err(|error| SyncError::damaged(error.to_string()))?;
        }
        let mut changes = layout.reconcile(dataset, &self.shapes());
        changes.extend(mark_column(dataset, &self.shapes()));
        if changes.iter().any(|change| change.widened_from.is_some()) && alone.is_none() {
            // Another file may be half written, with values of the old kind.
            alone = Some(kinds().write_owned().await);
        }
        if !changes.is_empty() || !lacking.is_empty() {
            self.widen_far_enough(&mut changes).await?;
            let last_change = self.last_change().await?;
            *is_behind = true;
            if let Err(error) = self.change_tables(dataset, &lacking, &changes, file_id, now_ms).await {
                if error.verdict() == Verdict::Retry {
                    return Err(error);
                }
                // Too many columns, too wide a row, a name it does not take, a view of somebody's that reads the
                // column: without its columns the file cannot be loaded, but the next one can, and the next start.
                self.withdraw_changes(last_change).await?;
                self.follow_ledger().await?;
                *is_behind = false;
                return Err(SyncError::damaged(format!(
                    "the database refuses to change its tables for it ({error}): leave columns out of the file, or use a database \
                     that takes wider tables"
                )));
            }
            *is_behind = false;
        }
        Ok(match alone {
            Some(alone) => OwnedRwLockWriteGuard::downgrade(alone),
            None => kinds().read_owned().await,
        })
    }

    async fn change_tables(
        &self,
        dataset: &Dataset,
        lacking: &[TableShape],
        changes: &[SchemaChange],
        file_id: i64,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        let write = self.begin().await?;
        for shape in lacking {
            self.record_table(&write.transaction, shape, dataset, file_id, now_ms).await?;
        }
        for change in changes {
            self.record_change(&write.transaction, change, file_id, now_ms).await?;
        }
        if self.dialect.rolls_back_ddl() {
            self.widen_in(&write.transaction, changes).await?;
        }
        write.commit().await?;
        if changes.iter().any(|change| change.widened_from.is_some()) {
            self.forget_statements().await?;
        }
        fail::fail_point!("during_schema_change", |_| std::process::abort());
        self.follow_ledger().await
    }

    async fn last_change(&self) -> Result<i64, SyncError> {
        let last =
            schema_changes::Entity::find().order_by_desc(schema_changes::Column::Id).one(&self.connection).await?;
        Ok(last.map_or(0, |change| change.id))
    }

    async fn withdraw_changes(&self, last_change: i64) -> Result<(), SyncError> {
        let write = self.begin().await?;
        let later = schema_changes::Entity::delete_many().filter(schema_changes::Column::Id.gt(last_change));
        later.exec(&write.transaction).await?;
        write.commit().await
    }

    /// Brings tables and views to what the ledger says they have.
    async fn follow_ledger(&self) -> Result<(), SyncError> {
        self.restore_columns().await?;
        self.define_views().await
    }

    /// Gives every table the columns that the ledger says it has, of the kinds that the ledger says.
    pub(super) async fn restore_columns(&self) -> Result<(), SyncError> {
        let shapes = self.recorded_shapes(&self.connection).await?;
        for shape in shapes.values() {
            self.add_missing(shape).await?;
        }
        self.finish_widening(&shapes).await?;
        *self.shapes.write().expect("no code panics while it holds the shapes") = Arc::new(shapes);
        Ok(())
    }

    /// The shapes that the ledger speaks of, as far as the database has them.
    pub(super) async fn existing_shapes(&self, connection: &impl ConnectionTrait) -> Result<Shapes, SyncError> {
        let mut shapes = self.recorded_shapes(connection).await?;
        for shape in shapes.values_mut() {
            let existing = self.columns_in(connection, &shape.name).await?;
            shape.columns.retain(|column| existing.contains(&column.name));
        }
        shapes.retain(|_, shape| !shape.columns.is_empty());
        Ok(shapes)
    }

    /// What every table is to have: the declared columns, and what the ledger recorded.
    async fn recorded_shapes(&self, connection: &impl ConnectionTrait) -> Result<Shapes, SyncError> {
        let recorded = schema_changes::Entity::find()
            .filter(schema_changes::Column::ChangeKind.is_in([CREATE_TABLE, ADD_COLUMN, WIDEN_COLUMN]))
            .order_by_asc(schema_changes::Column::Id)
            .all(connection)
            .await?;
        let mut shapes = declared_shapes();
        for change in recorded {
            if change.change_kind == CREATE_TABLE {
                let key = change.new_type.unwrap_or_default();
                let key = key.split(", ").map(str::to_owned).collect();
                let shape = TableShape::found(&change.table_name, key);
                shapes.entry(change.table_name).or_insert(shape);
                continue;
            }
            let Some(shape) = shapes.get_mut(&change.table_name) else { continue };
            let kind = change.new_type.as_deref().and_then(Kind::from_name).unwrap_or(Kind::Text);
            match shape.columns.iter_mut().find(|column| column.name == change.column_name) {
                Some(column) if change.change_kind == WIDEN_COLUMN => column.widen(kind),
                Some(_) => {}
                None => shape.columns.push(ColumnShape::found(change.column_name, kind)),
            }
        }
        self.definitions.pin(&mut shapes);
        Ok(shapes)
    }

    /// The columns that a table or view has in the database, in order.
    pub(super) async fn columns_of(&self, table: &str) -> Result<Vec<String>, SyncError> {
        self.columns_in(&self.connection, table).await
    }

    /// As [`Sink::columns_of`], as a transaction sees it.
    pub(super) async fn columns_in(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
    ) -> Result<Vec<String>, SyncError> {
        let query =
            Statement::from_sql_and_values(self.dialect.backend(), self.dialect.columns_query(), [table.into()]);
        let rows = connection.query_all_raw(query).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Makes a table, or the columns that it lacks.
    async fn add_missing(&self, shape: &TableShape) -> Result<(), SyncError> {
        let existing: HashSet<String> = self.columns_of(&shape.name).await?.into_iter().collect();
        let backend = self.dialect.backend();
        if existing.is_empty() {
            let create = migration::ddl::create_table(shape, backend, self.collation.as_deref());
            let _writing = self.writing.lock().await;
            self.connection.execute(&create).await?;
            return Ok(());
        }
        let lacking: Vec<&ColumnShape> =
            shape.columns.iter().filter(|column| !existing.contains(&column.name)).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        // All of them or none: what the database does not take leaves the table as it was.
        let write = self.begin().await?;
        for alter in migration::ddl::add_columns(&lacking, shape, backend) {
            write.transaction.execute(&alter).await?;
        }
        write.commit().await
    }

    /// Notes a table with its key, and the dataset that it is for.
    async fn record_table(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
        dataset: &Dataset,
        file_id: i64,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use schema_changes::Column as C;
        let mut insert = Query::insert();
        insert.into_table(schema_changes::Entity).columns([
            C::TableName,
            C::ColumnName,
            C::ChangeKind,
            C::OldType,
            C::NewType,
            C::FileId,
            C::ChangedAt,
        ]);
        insert.values_panic([
            shape.name.as_str().into(),
            dataset.key.as_str().into(),
            CREATE_TABLE.into(),
            dataset.name.as_str().into(),
            shape.key.join(", ").into(),
            file_id.into(),
            self.dialect.time(Some(now_ms)).into(),
        ]);
        connection.execute(&insert).await?;
        for column in shape.columns.iter().filter(|column| column.name == "line_count") {
            let column = SchemaChange {
                table: shape.name.clone(),
                column: column.clone(),
                widened_from: None,
                renamed_from: None,
            };
            self.record_change(connection, &column, file_id, now_ms).await?;
        }
        Ok(())
    }

    async fn record_change(
        &self,
        connection: &impl ConnectionTrait,
        change: &SchemaChange,
        file_id: i64,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use schema_changes::Column as C;
        let dialect: Dialect = self.dialect;
        let mut insert = Query::insert();
        insert.into_table(schema_changes::Entity).columns([
            C::TableName,
            C::ColumnName,
            C::ChangeKind,
            C::OldType,
            C::NewType,
            C::FileId,
            C::ChangedAt,
        ]);
        let mut push = |kind: &str, old: Option<&str>, new: &str| {
            insert.values_panic([
                change.table.as_str().into(),
                change.column.name.as_str().into(),
                kind.into(),
                old.map(str::to_owned).into(),
                new.into(),
                file_id.into(),
                dialect.time(Some(now_ms)).into(),
            ]);
        };
        match change.widened_from {
            None => push(ADD_COLUMN, None, change.column.kind.name()),
            Some(from) => push(WIDEN_COLUMN, Some(from.name()), change.column.kind.name()),
        }
        if let Some(raw_name) = &change.renamed_from {
            // PostgreSQL stores no NUL in text.
            push(RENAME_COLUMN, Some(&raw_name.replace('\0', "\\x00")), &change.column.name);
        }
        connection.execute(&insert).await?;
        Ok(())
    }
}
