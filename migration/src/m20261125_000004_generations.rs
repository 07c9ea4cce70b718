//! The generations of the market tables, by which an index of records on disk is believed or not.

use crate::shapes::{NOT_NULL, Table};
use entity::Kind::Identifier;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLES: [Table; 1] = [Table {
    name: "tidegate_generations",
    key: &["table_name", "market"],
    is_numbered: false,
    columns: &[
        ("table_name", Identifier, NOT_NULL),
        ("market", Identifier, NOT_NULL),
        ("generation", Identifier, NOT_NULL),
    ],
}];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &TABLES, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
