//! Recorded: what the ledger says tables have, change by change, and how it is told another one.

use crate::error::SyncError;
use crate::feed::layout::{ColumnShape, Kind, SchemaChange, Shapes};
use crate::sink::Sink;
use crate::sink::db::dialect::Dialect;
use crate::sink::tables::evolve::{Evolution, declared_shapes};
use crate::sink::tables::widen::Blocked;
use entity::{TableShape, schema_changes};
use sea_orm::sea_query::{Expr, InsertStatement, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

pub(crate) const CREATE_TABLE: &str = "create_table";
const ADD_COLUMN: &str = "add_column";
const WIDEN_COLUMN: &str = "widen_column";
const RENAME_COLUMN: &str = "rename_column";

impl Sink {
    pub(crate) async fn last_change(&self) -> Result<i64, SyncError> {
        let last =
            schema_changes::Entity::find().order_by_desc(schema_changes::Column::Id).one(&self.connection).await?;
        Ok(last.map_or(0, |change| change.id))
    }

    pub(crate) async fn withdraw_changes(&self, last_change: i64) -> Result<(), SyncError> {
        let write = self.begin().await?;
        let later = schema_changes::Entity::delete_many().filter(schema_changes::Column::Id.gt(last_change));
        later.exec(&write.transaction).await?;
        write.commit().await
    }

    /// Has the ledger say again what columns are that could not take another kind.
    pub(crate) async fn withdraw_widenings(&self, blocked: Vec<Blocked>) -> Result<(), SyncError> {
        use schema_changes::Column as C;
        let write = self.begin().await?;
        for (table, column, kind, obstacle) in blocked {
            let of_column = Condition::all()
                .add(C::ChangeKind.eq(WIDEN_COLUMN))
                .add(C::TableName.eq(table))
                .add(C::ColumnName.eq(column))
                .add(C::OldType.eq(kind.name()));
            if kind == Kind::Text {
                // It has no value yet, and is text from now on: the next file is not to try again with values in it.
                let text = schema_changes::Entity::update_many().col_expr(C::NewType, Expr::value(kind.name()));
                text.filter(of_column).exec(&write.transaction).await?;
            } else {
                schema_changes::Entity::delete_many().filter(of_column).exec(&write.transaction).await?;
            }
            self.raise(&write.transaction, obstacle).await?;
        }
        write.commit().await
    }

    /// The shapes that the ledger speaks of, as far as the database has them.
    pub(crate) async fn existing_shapes(&self, connection: &impl ConnectionTrait) -> Result<Shapes, SyncError> {
        let mut shapes = self.recorded_shapes(connection).await?;
        for shape in shapes.values_mut() {
            let existing = self.columns_in(connection, &shape.name).await?;
            shape.columns.retain(|column| existing.contains(&column.name));
        }
        shapes.retain(|_, shape| !shape.columns.is_empty());
        Ok(shapes)
    }

    /// What every table is to have: the declared columns, and what the ledger recorded.
    pub(crate) async fn recorded_shapes(&self, connection: &impl ConnectionTrait) -> Result<Shapes, SyncError> {
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
            let is_empty = change.new_type.is_none();
            let kind = change.new_type.as_deref().and_then(Kind::from_name).unwrap_or(Kind::Text);
            match shape.columns.iter_mut().find(|column| column.name == change.column_name) {
                Some(column) if change.change_kind == WIDEN_COLUMN => column.widen(kind),
                Some(_) => {}
                None if is_empty => shape.columns.push(ColumnShape::found_empty(change.column_name)),
                None => shape.columns.push(ColumnShape::found(change.column_name, kind)),
            }
        }
        self.definitions.pin(&mut shapes);
        Ok(shapes)
    }

    /// Notes a table with its key, and the dataset that it is for.
    pub(crate) async fn record_table(
        &self,
        connection: &impl ConnectionTrait,
        shape: &TableShape,
        evolution: &Evolution<'_>,
    ) -> Result<(), SyncError> {
        let &Evolution { dataset, file_id, now_ms, .. } = evolution;
        let mut insert = insert_of_changes();
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
            self.record_change(connection, &column, evolution).await?;
        }
        Ok(())
    }

    pub(crate) async fn record_change(
        &self,
        connection: &impl ConnectionTrait,
        change: &SchemaChange,
        evolution: &Evolution<'_>,
    ) -> Result<(), SyncError> {
        let &Evolution { file_id, now_ms, .. } = evolution;
        let dialect: Dialect = self.dialect;
        let mut insert = insert_of_changes();
        let mut push = |kind: &str, old: Option<&str>, new: Option<&str>| {
            insert.values_panic([
                change.table.as_str().into(),
                change.column.name.as_str().into(),
                kind.into(),
                old.map(str::to_owned).into(),
                new.map(str::to_owned).into(),
                file_id.into(),
                dialect.time(Some(now_ms)).into(),
            ]);
        };
        match change.widened_from {
            // Of a column without a value nobody knows what it is to hold.
            None => push(ADD_COLUMN, None, (!change.column.is_empty).then(|| change.column.kind.name())),
            Some(from) => push(WIDEN_COLUMN, Some(from.name()), Some(change.column.kind.name())),
        }
        if let Some(raw_name) = &change.renamed_from {
            // PostgreSQL stores no NUL in text.
            push(RENAME_COLUMN, Some(&raw_name.replace('\0', "\\x00")), Some(&change.column.name));
        }
        connection.execute(&insert).await?;
        Ok(())
    }
}

fn insert_of_changes() -> InsertStatement {
    use schema_changes::Column as C;
    let columns = [C::TableName, C::ColumnName, C::ChangeKind, C::OldType, C::NewType, C::FileId, C::ChangedAt];
    Query::insert().into_table(schema_changes::Entity).columns(columns).to_owned()
}
