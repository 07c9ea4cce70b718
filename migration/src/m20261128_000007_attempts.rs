//! What processes left of files that they worked on.

use crate::shapes::{Column, NULL};
use entity::Kind::Text;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [Column; 1] = [("attempts", Text, NULL)];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::add_columns(manager, "tidegate_files", &COLUMNS).await
    }

    /// A column that nothing reads may stay.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
