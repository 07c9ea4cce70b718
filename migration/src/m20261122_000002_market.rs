//! The market tables, with the indexes that marts and views read them by.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEXES: crate::Indexes<'_> = &[
    ("orders", &["market", "customer_id"]),
    ("orders", &["market", "merchant_id"]),
    ("orders", &["market", "order_time"]),
    ("order_items", &["market", "sku"]),
    ("deliveries", &["market", "order_id"]),
    ("deliveries", &["market", "agent_id"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &entity::market_tables(), INDEXES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &entity::market_tables()).await
    }
}
