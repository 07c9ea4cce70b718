//! The obstacles that status tells: what cannot be changed because something stands in the way.

use crate::shapes::{NOT_NULL, Table};
use entity::Kind::{Identifier, Text, Time};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLES: [Table; 1] = [Table {
    name: "tidegate_obstacles",
    key: &["about"],
    is_numbered: false,
    columns: &[
        ("about", Identifier, NOT_NULL),
        ("object", Text, NOT_NULL),
        ("reason", Text, NOT_NULL),
        ("run", Text, NOT_NULL),
        ("raised_at", Time, NOT_NULL),
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
