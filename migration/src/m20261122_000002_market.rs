//! The market tables. The indexes that marts and views read them by come with them only where they
//! cannot come later: a table is filled faster without them.

use crate::shapes::{NOT_NULL, NULL, Table};
use entity::Kind::{Decimal, Double, Hash, Identifier, Integer, Text, Time};
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

const TABLES: [Table; 5] = [
    Table {
        name: "customers",
        key: &["market", "customer_id"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("customer_id", Identifier, NOT_NULL),
            ("last_used_platform", Text, NULL),
            ("is_blocked", Integer, NULL),
            ("created_at", Time, NULL),
            ("language", Text, NULL),
            ("outstanding_amount", Decimal, NULL),
            ("loyalty_points", Decimal, NULL),
            ("number_of_employees", Integer, NULL),
            ("_row_hash", Hash, NOT_NULL),
            ("_file_id", Integer, NOT_NULL),
            ("_rescued", Text, NULL),
        ],
    },
    Table {
        name: "orders",
        key: &["market", "order_id"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("order_id", Identifier, NOT_NULL),
            ("order_status", Text, NULL),
            ("order_total", Decimal, NULL),
            ("sub_total", Decimal, NULL),
            ("tax", Decimal, NULL),
            ("delivery_charge", Decimal, NULL),
            ("tip", Decimal, NULL),
            ("discount", Decimal, NULL),
            ("remaining_balance", Decimal, NULL),
            ("payment_method", Text, NULL),
            ("additional_charge", Decimal, NULL),
            ("taxable_amount", Decimal, NULL),
            ("transaction_id", Identifier, NULL),
            ("currency_symbol", Identifier, NULL),
            ("transaction_status", Text, NULL),
            ("promo_code", Text, NULL),
            ("customer_id", Identifier, NULL),
            ("merchant_id", Identifier, NULL),
            ("description", Text, NULL),
            ("distance_in_km", Double, NULL),
            ("order_time", Time, NULL),
            ("pickup_time", Time, NULL),
            ("delivery_time", Time, NULL),
            ("ratings", Decimal, NULL),
            ("reviews", Text, NULL),
            ("merchant_earning", Decimal, NULL),
            ("commission_amount", Decimal, NULL),
            ("commission_payout_status", Text, NULL),
            ("order_preparation_time", Decimal, NULL),
            ("debt_amount", Decimal, NULL),
            ("redeemed_loyalty_points", Decimal, NULL),
            ("consumed_loyalty_points", Decimal, NULL),
            ("cancellation_reason", Text, NULL),
            ("flat_discount", Decimal, NULL),
            ("checkout_template_name", Text, NULL),
            ("checkout_template_value", Text, NULL),
            ("line_count", Integer, NOT_NULL),
            ("_row_hash", Hash, NOT_NULL),
            ("_file_id", Integer, NOT_NULL),
            ("_rescued", Text, NULL),
        ],
    },
    Table {
        name: "order_items",
        key: &["market", "order_id", "line_no"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("order_id", Identifier, NOT_NULL),
            ("line_no", Integer, NOT_NULL),
            ("category_name", Text, NULL),
            ("sku", Identifier, NULL),
            ("customization_group", Text, NULL),
            ("customization_option", Text, NULL),
            ("quantity", Decimal, NULL),
            ("unit_price", Decimal, NULL),
            ("cost_price", Decimal, NULL),
            ("total_cost_price", Decimal, NULL),
            ("total_price", Decimal, NULL),
            ("_row_hash", Hash, NOT_NULL),
            ("_file_id", Integer, NOT_NULL),
            ("_rescued", Text, NULL),
        ],
    },
    Table {
        name: "deliveries",
        key: &["market", "task_id"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("task_id", Identifier, NOT_NULL),
            ("order_id", Identifier, NULL),
            ("relationship", Text, NULL),
            ("team_name", Text, NULL),
            ("task_type", Text, NULL),
            ("notes", Text, NULL),
            ("agent_id", Identifier, NULL),
            ("agent_name", Text, NULL),
            ("distance_m", Double, NULL),
            ("total_time_taken_min", Double, NULL),
            ("task_status", Text, NULL),
            ("ref_images", Text, NULL),
            ("rating", Decimal, NULL),
            ("review", Text, NULL),
            ("latitude", Double, NULL),
            ("longitude", Double, NULL),
            ("tags", Text, NULL),
            ("promo_applied", Text, NULL),
            ("custom_template_id", Identifier, NULL),
            ("special_instructions", Text, NULL),
            ("tip", Decimal, NULL),
            ("delivery_charges", Decimal, NULL),
            ("discount", Decimal, NULL),
            ("subtotal", Decimal, NULL),
            ("payment_type", Text, NULL),
            ("task_category", Text, NULL),
            ("earning", Decimal, NULL),
            ("pricing", Decimal, NULL),
            ("line_count", Integer, NOT_NULL),
            ("_row_hash", Hash, NOT_NULL),
            ("_file_id", Integer, NOT_NULL),
            ("_rescued", Text, NULL),
        ],
    },
    Table {
        name: "delivery_items",
        key: &["market", "task_id", "line_no"],
        is_numbered: false,
        columns: &[
            ("market", Identifier, NOT_NULL),
            ("task_id", Identifier, NOT_NULL),
            ("line_no", Integer, NOT_NULL),
            ("task_details_qty", Decimal, NULL),
            ("task_details_amount", Decimal, NULL),
            ("_row_hash", Hash, NOT_NULL),
            ("_file_id", Integer, NOT_NULL),
            ("_rescued", Text, NULL),
        ],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let indexes = if crate::ddl::takes_indexes_with_the_table(backend) { INDEXES } else { &[] };
        crate::create_tables(manager, &TABLES, indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &TABLES).await
    }
}
