//! When a file was found to be gone from its path, by which numbers that mean "now" leave it out.

use crate::shapes::{Column, NULL};
use entity::Kind::Time;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [Column; 1] = [("vanished_at", Time, NULL)];

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
