//! The ledger: files, rejects, schema changes, marks, lease and definitions.

use crate::shapes::{NOT_NULL, NULL, Table};
use entity::Kind::{Identifier, Integer, Text, Time};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEXES: crate::Indexes<'_> = &[
    ("tidegate_files", &["state"]),
    ("tidegate_files", &["path_key"]),
    ("tidegate_files", &["dataset", "market", "version"]),
    ("tidegate_rejects", &["file_id"]),
    ("tidegate_dirty_groups", &["mart", "market"]),
];

const TABLES: [Table; 6] = [
    Table {
        name: "tidegate_files",
        key: &["id"],
        is_numbered: true,
        columns: &[
            ("id", Integer, NOT_NULL),
            ("path", Text, NOT_NULL),
            ("path_key", Identifier, NOT_NULL),
            ("dataset", Identifier, NULL),
            ("market", Identifier, NULL),
            ("sha256", Identifier, NOT_NULL),
            ("size_bytes", Integer, NOT_NULL),
            ("version", Time, NOT_NULL),
            ("state", Identifier, NOT_NULL),
            ("rows_read", Integer, NOT_NULL),
            ("rows_accepted", Integer, NOT_NULL),
            ("rows_duplicate", Integer, NOT_NULL),
            ("rows_rejected", Integer, NOT_NULL),
            ("rows_repaired", Integer, NOT_NULL),
            ("rows_new", Integer, NOT_NULL),
            ("rows_modified", Integer, NOT_NULL),
            ("rows_unchanged", Integer, NOT_NULL),
            ("rows_stale", Integer, NOT_NULL),
            ("rows_deleted", Integer, NOT_NULL),
            ("started_at", Time, NOT_NULL),
            ("finished_at", Time, NULL),
            ("error", Text, NULL),
            ("modified_ns", Integer, NOT_NULL),
            ("inode", Integer, NOT_NULL),
            ("changed_ns", Integer, NOT_NULL),
            ("transform", Identifier, NOT_NULL),
            ("header", Text, NULL),
            ("corrects", Text, NULL),
            ("approved_at", Time, NULL),
            ("position", Text, NULL),
        ],
    },
    Table {
        name: "tidegate_rejects",
        key: &["id"],
        is_numbered: true,
        columns: &[
            ("id", Integer, NOT_NULL),
            ("file_id", Integer, NOT_NULL),
            ("row_number", Integer, NOT_NULL),
            ("corrects_row", Integer, NULL),
            ("column_name", Identifier, NULL),
            ("reason", Text, NOT_NULL),
            ("raw", Text, NOT_NULL),
            ("closed_at", Time, NULL),
        ],
    },
    Table {
        name: "tidegate_schema_changes",
        key: &["id"],
        is_numbered: true,
        columns: &[
            ("id", Integer, NOT_NULL),
            ("table_name", Identifier, NOT_NULL),
            ("column_name", Identifier, NOT_NULL),
            ("change_kind", Identifier, NOT_NULL),
            ("old_type", Text, NULL),
            ("new_type", Text, NULL),
            ("file_id", Integer, NULL),
            ("changed_at", Time, NOT_NULL),
        ],
    },
    Table {
        name: "tidegate_dirty_groups",
        key: &["id"],
        is_numbered: true,
        columns: &[
            ("id", Integer, NOT_NULL),
            ("mart", Identifier, NOT_NULL),
            ("market", Identifier, NOT_NULL),
            ("group_key", Identifier, NULL),
        ],
    },
    Table {
        name: "tidegate_lease",
        key: &["id"],
        is_numbered: false,
        columns: &[
            ("id", Integer, NOT_NULL),
            ("holder", Text, NOT_NULL),
            ("token", Identifier, NOT_NULL),
            ("beats", Integer, NOT_NULL),
            ("beat_at", Time, NULL),
        ],
    },
    Table {
        name: "tidegate_definitions",
        key: &["name"],
        is_numbered: false,
        columns: &[("name", Identifier, NOT_NULL), ("fingerprint", Identifier, NOT_NULL)],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &TABLES, INDEXES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
