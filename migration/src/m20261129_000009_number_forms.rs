//! What files have proved of how numbers are written, and which columns have had no value yet.

use entity::TableShape;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &shapes(), &[]).await?;
        crate::add_ledger_columns(manager, "tidegate_schema_changes", &["undecided"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &shapes()).await
    }
}

fn shapes() -> [TableShape; 1] {
    [TableShape::of::<entity::number_forms::Entity>()]
}
