//! The ledger: files, rejects, schema changes, marks, lease and definitions.

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

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &entity::ledger_tables(), INDEXES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &entity::ledger_tables()).await
    }
}
