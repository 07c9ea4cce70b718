//! When a file was found to be gone from its path, by which numbers that mean "now" leave it out.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::add_ledger_columns(manager, "tidegate_files", &["vanished_at"]).await
    }

    /// A column that a step before this one makes today is left.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
