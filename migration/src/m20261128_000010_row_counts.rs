//! Files count the rows that were skipped, and those with a rescued value.

use crate::ddl;
use entity::Kind;
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [&str; 2] = ["rows_skipped", "rows_rescued"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in COLUMNS {
            // Files that the ledger knows already count none. MySQL commits each column by itself:
            // a crash in between leaves the first one.
            if ddl::has_column(manager.get_connection(), "tidegate_files", name).await? {
                continue;
            }
            let mut column = ColumnDef::new(name);
            column.custom(ddl::sql_type(Kind::Integer, manager.get_database_backend()));
            column.not_null().default(0);
            manager
                .alter_table(
                    Table::alter().table("tidegate_files").add_column(&mut column).to_owned(),
                )
                .await?;
        }
        Ok(())
    }

    /// A column that nothing reads may stay.
    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
