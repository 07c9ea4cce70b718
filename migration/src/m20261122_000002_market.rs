//! The market tables. The indexes that marts and views read them by come with them only where they cannot come
//! later: a table is filled faster without them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// The indexes that are made once a table has been filled, with their tables.
pub fn indexes(backend: DbBackend) -> Vec<(&'static str, IndexCreateStatement)> {
    if crate::ddl::takes_indexes_with_the_table(backend) {
        return Vec::new();
    }
    INDEXES.iter().map(|(table, columns)| (*table, crate::index(table, columns))).collect()
}

const INDEXES: crate::Indexes<'_> = &[
    ("orders", &["market", "customer_id"]),
    ("orders", &["market", "order_time"]),
    ("deliveries", &["market", "order_id"]),
    ("deliveries", &["market", "agent_id"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let indexes = if crate::ddl::takes_indexes_with_the_table(backend) { INDEXES } else { &[] };
        crate::create_tables(manager, &entity::market_tables(), indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &entity::market_tables()).await
    }
}
