//! History: earlier versions of records, and what the ledger must know to take a file back.

use crate::shapes::{Column, NOT_NULL, NULL, Table};
use entity::Kind::{Identifier, Integer, Text, Time};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEXES: crate::Indexes<'_> =
    &[("tidegate_history", &["key_digest"]), ("tidegate_history", &["file_id"])];

const TABLES: [Table; 1] = [Table {
    name: "tidegate_history",
    key: &["id"],
    is_numbered: true,
    columns: &[
        ("id", Integer, NOT_NULL),
        ("table_name", Identifier, NOT_NULL),
        ("market", Identifier, NOT_NULL),
        ("record_key", Text, NOT_NULL),
        ("key_digest", Identifier, NOT_NULL),
        ("file_id", Integer, NOT_NULL),
        ("written_by", Integer, NULL),
        ("valid_from", Time, NULL),
        ("valid_to", Time, NOT_NULL),
        ("change", Identifier, NOT_NULL),
        ("record", Text, NULL),
        ("followed_by", Integer, NULL),
        ("undone_at", Time, NULL),
    ],
}];

const OF_FILES: [Column; 3] =
    [("history", Integer, NULL), ("superseded_by", Integer, NULL), ("held_error", Text, NULL)];

const OF_REJECTS: [Column; 3] = [
    ("closed_by", Integer, NULL),
    ("corrected_by", Integer, NULL),
    ("corrected_before", Text, NULL),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &TABLES, INDEXES).await?;
        crate::add_columns(manager, "tidegate_files", &OF_FILES).await?;
        crate::add_columns(manager, "tidegate_rejects", &OF_REJECTS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
