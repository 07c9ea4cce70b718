//! What files have proved of how numbers are written, and which columns have had no value yet.

use crate::shapes::{Column, NOT_NULL, NULL, Table};
use entity::Kind::{Identifier, Integer, Time};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UNDECIDED: [Column; 1] = [("undecided", Integer, NULL)];

const TABLES: [Table; 1] = [Table {
    name: "tidegate_number_forms",
    key: &["id"],
    is_numbered: true,
    columns: &[
        ("id", Integer, NOT_NULL),
        ("dataset", Identifier, NOT_NULL),
        ("market", Identifier, NOT_NULL),
        ("column_name", Identifier, NOT_NULL),
        ("decimal_sign", Identifier, NULL),
        ("currency", Identifier, NULL),
        ("file_id", Integer, NOT_NULL),
        ("proved_at", Time, NOT_NULL),
    ],
}];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &TABLES, &[]).await?;
        crate::add_columns(manager, "tidegate_schema_changes", &UNDECIDED).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
