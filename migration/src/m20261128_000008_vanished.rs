//! When a file was found to be gone from its path, by which numbers that mean "now" leave it out.

use entity::TableShape;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMN: &str = "vanished_at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let shape = TableShape::of::<entity::files::Entity>();
        // The first step makes a new ledger as the entity is today.
        if crate::ddl::has_column(manager.get_connection(), &shape.name, COLUMN).await? {
            return Ok(());
        }
        let column = shape.column(COLUMN).expect("the entity declares it");
        for statement in crate::ddl::add_columns(&[column], &shape, manager.get_database_backend()) {
            manager.alter_table(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::alter().table("tidegate_files").drop_column(COLUMN).to_owned();
        manager.alter_table(table).await
    }
}
