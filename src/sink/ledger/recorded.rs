//! Recorded: the changes of tables that the ledger lists, and how a new one is added.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::SchemaChange;
use crate::sink::db::dialect::Dialect;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::obstacles::Obstacle;
use entity::{Kind, TableShape, schema_changes};
use sea_orm::sea_query::{Expr, InsertStatement, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::BTreeSet;

pub(crate) const CREATE_TABLE: &str = "create_table";
pub(crate) const ADD_COLUMN: &str = "add_column";
pub(crate) const WIDEN_COLUMN: &str = "widen_column";
const RENAME_COLUMN: &str = "rename_column";

/// A column that keeps its kind: table, name, kind, and the reason.
pub(crate) type Blocked = (String, String, Kind, Obstacle);

/// The tables and columns that a file needs.
pub(crate) struct Evolution<'a> {
    /// The file's dataset.
    pub dataset: &'a Dataset,
    /// Missing tables.
    pub lacking: &'a [TableShape],
    /// Missing columns, and columns to widen.
    pub changes: &'a [SchemaChange],
    /// The file; none for what the configuration declares.
    pub file_id: Option<i64>,
    /// Time of the change.
    pub now_ms: i64,
}

impl Evolution<'_> {
    /// Names of the tables that are created or changed.
    pub(crate) fn tables(&self) -> BTreeSet<&str> {
        let changed = self.changes.iter().map(|change| change.table.as_str());
        self.lacking.iter().map(|shape| shape.name.as_str()).chain(changed).collect()
    }
}

impl Ledger {
    /// Records the old kind again for columns that could not be widened.
    pub(crate) async fn withdraw_widenings(&self, blocked: Vec<Blocked>) -> Result<(), SyncError> {
        use schema_changes::Column as C;
        let write = self.db.begin().await?;
        for (table, column, kind, obstacle) in blocked {
            let of_column = Condition::all()
                .add(C::ChangeKind.eq(WIDEN_COLUMN))
                .add(C::TableName.eq(table))
                .add(C::ColumnName.eq(column))
                .add(C::OldType.eq(kind.name()));
            if kind == Kind::Text {
                // The column has no value yet, and stays text from now on, so that the next file
                // does not try again when it has values.
                let text = schema_changes::Entity::update_many()
                    .col_expr(C::NewType, Expr::value(kind.name()));
                text.filter(of_column).exec(&write.transaction).await?;
            } else {
                schema_changes::Entity::delete_many()
                    .filter(of_column)
                    .exec(&write.transaction)
                    .await?;
            }
            self.raise(&write.transaction, obstacle).await?;
        }
        write.commit().await
    }

    pub(crate) async fn last_change(&self) -> Result<i64, SyncError> {
        let last = schema_changes::Entity::find()
            .order_by_desc(schema_changes::Column::Id)
            .one(&self.db.connection)
            .await?;
        Ok(last.map_or(0, |change| change.id))
    }

    pub(crate) async fn withdraw_changes(&self, last_change: i64) -> Result<(), SyncError> {
        let write = self.db.begin().await?;
        let later = schema_changes::Entity::delete_many()
            .filter(schema_changes::Column::Id.gt(last_change));
        later.exec(&write.transaction).await?;
        write.commit().await
    }

    /// Records a new table with its key and dataset.
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
            // Three of the longest names just fit into an identifier.
            dataset.key.names().join(",").into(),
            CREATE_TABLE.into(),
            dataset.name.as_str().into(),
            shape.key.join(", ").into(),
            file_id.into(),
            self.db.dialect.time(Some(now_ms)).into(),
            None::<i64>.into(),
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
        let dialect: Dialect = self.db.dialect;
        let mut insert = insert_of_changes();
        let mut push = |kind: &str, old: Option<&str>, new: &str| {
            insert.values_panic([
                change.table.as_str().into(),
                change.column.name.as_str().into(),
                kind.into(),
                old.map(str::to_owned).into(),
                new.into(),
                file_id.into(),
                dialect.time(Some(now_ms)).into(),
                change.column.is_empty.then_some(1_i64).into(),
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

fn insert_of_changes() -> InsertStatement {
    use schema_changes::Column as C;
    let columns = [
        C::TableName,
        C::ColumnName,
        C::ChangeKind,
        C::OldType,
        C::NewType,
        C::FileId,
        C::ChangedAt,
        C::Undecided,
    ];
    Query::insert().into_table(schema_changes::Entity).columns(columns).to_owned()
}
