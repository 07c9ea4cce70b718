//! Alarms: what a person should know of the files, raised once and cleared.

use crate::shapes::{NOT_NULL, NULL, Table};
use entity::Kind::{Identifier, Integer, Text, Time};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEXES: crate::Indexes<'_> = &[("tidegate_alarms", &["kind", "dataset", "market"])];

const TABLES: [Table; 1] = [Table {
    name: "tidegate_alarms",
    key: &["id"],
    is_numbered: true,
    columns: &[
        ("id", Integer, NOT_NULL),
        ("kind", Identifier, NOT_NULL),
        ("dataset", Identifier, NULL),
        ("market", Identifier, NULL),
        ("file_id", Integer, NULL),
        ("message", Text, NOT_NULL),
        ("evidence", Text, NOT_NULL),
        ("raised_at", Time, NOT_NULL),
        ("cleared_at", Time, NULL),
        ("acknowledged_at", Time, NULL),
        ("acknowledged_by", Text, NULL),
    ],
}];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &TABLES, INDEXES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
