//! Shapes: the expected shape of every table, from its declaration, the ledger, and the marts that
//! pin its columns.

use crate::error::SyncError;
use crate::feed::layout::Shapes;
use crate::sink::ledger::recorded::{ADD_COLUMN, CREATE_TABLE, WIDEN_COLUMN};
use crate::sink::marts::Marts;
use crate::sink::tables::declared_shapes;
use entity::{ColumnShape, Kind, TableShape, schema_changes};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

impl Marts {
    /// The expected shapes: declared columns, and those that the ledger recorded.
    pub(crate) async fn recorded_shapes(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Shapes, SyncError> {
        let recorded = schema_changes::Entity::find()
            .filter(schema_changes::Column::ChangeKind.is_in([
                CREATE_TABLE,
                ADD_COLUMN,
                WIDEN_COLUMN,
            ]))
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
            let is_empty = change.undecided == Some(1);
            let kind = change.new_type.as_deref().and_then(Kind::from_name).unwrap_or(Kind::Text);
            match shape.columns.iter_mut().find(|column| column.name == change.column_name) {
                Some(column) if change.change_kind == WIDEN_COLUMN => column.widen(kind),
                Some(_) => {}
                None if is_empty => {
                    shape.columns.push(ColumnShape::found_empty(change.column_name));
                }
                None => shape.columns.push(ColumnShape::found(change.column_name, kind)),
            }
        }
        self.definitions.pin(&mut shapes);
        Ok(shapes)
    }

    /// The shapes in the ledger, limited to what the database has.
    pub(crate) async fn existing_shapes(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Shapes, SyncError> {
        let mut shapes = self.recorded_shapes(connection).await?;
        for shape in shapes.values_mut() {
            let existing = self.db.columns_in(connection, &shape.name).await?;
            shape.columns.retain(|column| existing.contains(&column.name));
        }
        shapes.retain(|_, shape| !shape.columns.is_empty());
        Ok(shapes)
    }
}
