//! Files count the rows that were skipped, and those with a rescued value.

use crate::ddl;
use entity::Kind;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["rows_skipped", "rows_rescued"] {
            if ddl::has_column(manager.get_connection(), "tidegate_files", name).await? {
                continue;
            }
            // Files of an older ledger count none.
            let kind = ddl::sql_type(Kind::Integer, manager.get_database_backend());
            let mut column = ColumnDef::new(name);
            column.custom(kind).not_null().default(0);
            manager.alter_table(Table::alter().table("tidegate_files").add_column(&mut column).to_owned()).await?;
        }
        Ok(())
    }

    /// A column that a step before this one makes today is left.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
