//! Rejects know the record that they are of, and what an operator made of them.

use crate::shapes::{Column, NULL};
use entity::Kind::Text;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [Column; 3] =
    [("record_key", Text, NULL), ("corrected_key", Text, NULL), ("corrected", Text, NULL)];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::add_columns(manager, "tidegate_rejects", &COLUMNS).await
    }

    /// A column that nothing reads may stay.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
