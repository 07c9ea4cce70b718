//! Rejects know the record that they are of, and what an operator made of them.

use entity::{ColumnShape, TableShape};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [&str; 3] = ["record_key", "corrected_key", "corrected"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let shape = TableShape::of::<entity::rejects::Entity>();
        for name in COLUMNS {
            // A new database has the columns from its first step on.
            if !crate::ddl::has_column(manager.get_connection(), &shape.name, name).await? {
                let column: Vec<&ColumnShape> = shape.column(name).into_iter().collect();
                for alter in crate::ddl::add_columns(&column, &shape, manager.get_database_backend()) {
                    manager.alter_table(alter).await?;
                }
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = TableShape::of::<entity::rejects::Entity>().name;
        for name in COLUMNS {
            manager.alter_table(Table::alter().table(table.clone()).drop_column(name).to_owned()).await?;
        }
        Ok(())
    }
}
