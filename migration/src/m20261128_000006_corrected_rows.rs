//! Rejects know the record that they are of, and what an operator made of them.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::add_ledger_columns(manager, "tidegate_rejects", &["record_key", "corrected_key", "corrected"]).await
    }

    /// A column that a step before this one makes today is left.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
