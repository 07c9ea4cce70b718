//! Files count the rows that were skipped, and those with a rescued value.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::add_ledger_columns(manager, "tidegate_files", &["rows_skipped", "rows_rescued"]).await
    }

    /// A column that a step before this one makes today is left.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
