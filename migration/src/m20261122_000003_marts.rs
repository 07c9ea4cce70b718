//! The marts that came with the first version; a start adapts them to the definitions that it is
//! given. Their keys are their only index: they are small and read whole.

use crate::shapes::{NOT_NULL, NULL, Table};
use entity::Kind::{Day, Identifier, Integer, Time, Total};
use sea_orm_migration::prelude::*;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLES: [Table; 5] = [
    Table {
        name: "customer_metrics",
        key: &["market", "customer_id", "currency_symbol"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("customer_id", Identifier, NOT_NULL),
            ("currency_symbol", Identifier, NOT_NULL),
            ("orders_count", Integer, NOT_NULL),
            ("completed_orders", Integer, NOT_NULL),
            ("cancelled_orders", Integer, NOT_NULL),
            ("total_amount", Total, NOT_NULL),
            ("average_order_value", Total, NULL),
            ("items_quantity", Total, NOT_NULL),
            ("distinct_products", Integer, NOT_NULL),
            ("first_order_at", Time, NULL),
            ("last_order_at", Time, NULL),
            ("redeemed_loyalty_points", Total, NOT_NULL),
            ("consumed_loyalty_points", Total, NOT_NULL),
            ("deliveries_count", Integer, NOT_NULL),
            ("completed_deliveries", Integer, NOT_NULL),
            ("average_delivery_minutes", Total, NULL),
            ("average_delivery_distance_m", Total, NULL),
        ],
    },
    Table {
        name: "product_metrics",
        key: &["market", "sku", "currency_symbol"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("sku", Identifier, NOT_NULL),
            ("currency_symbol", Identifier, NOT_NULL),
            ("orders_count", Integer, NOT_NULL),
            ("customers_count", Integer, NOT_NULL),
            ("units_sold", Total, NOT_NULL),
            ("revenue", Total, NOT_NULL),
            ("cost", Total, NOT_NULL),
            ("gross_margin", Total, NOT_NULL),
            ("first_sold_at", Time, NULL),
            ("last_sold_at", Time, NULL),
        ],
    },
    Table {
        name: "merchant_metrics",
        key: &["market", "merchant_id", "currency_symbol"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("merchant_id", Identifier, NOT_NULL),
            ("currency_symbol", Identifier, NOT_NULL),
            ("orders_count", Integer, NOT_NULL),
            ("cancelled_orders", Integer, NOT_NULL),
            ("customers_count", Integer, NOT_NULL),
            ("total_amount", Total, NOT_NULL),
            ("average_order_value", Total, NULL),
            ("first_order_at", Time, NULL),
            ("last_order_at", Time, NULL),
        ],
    },
    Table {
        name: "agent_metrics",
        key: &["market", "agent_id"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("agent_id", Identifier, NOT_NULL),
            ("tasks_count", Integer, NOT_NULL),
            ("completed_tasks", Integer, NOT_NULL),
            ("failed_tasks", Integer, NOT_NULL),
            ("average_minutes", Total, NULL),
            ("total_distance_m", Total, NOT_NULL),
            ("average_rating", Total, NULL),
        ],
    },
    Table {
        name: "daily_metrics",
        key: &["market", "currency_symbol", "day"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("currency_symbol", Identifier, NOT_NULL),
            ("day", Day, NOT_NULL),
            ("orders_count", Integer, NOT_NULL),
            ("cancelled_orders", Integer, NOT_NULL),
            ("customers_count", Integer, NOT_NULL),
            ("total_amount", Total, NOT_NULL),
            ("items_quantity", Total, NOT_NULL),
            ("average_order_value", Total, NULL),
        ],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::create_tables(manager, &TABLES, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
