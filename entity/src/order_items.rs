//! `order_items`: one row per distinct line of an order.

use sea_orm::entity::prelude::*;

/// A row of `order_items`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "order_items")]
pub struct Model {
    /// The market, as captured from the path.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// `order_id`, as exported.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: String,
    /// Position of the line in its record, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line_no: i64,
    /// `category_name`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub category_name: Option<String>,
    /// `sku`, as exported.
    pub sku: Option<String>,
    /// `customization_group`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub customization_group: Option<String>,
    /// `customization_option`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub customization_option: Option<String>,
    /// `quantity`, as exported.
    pub quantity: Option<Decimal>,
    /// `unit_price`, as exported.
    pub unit_price: Option<Decimal>,
    /// `cost_price`, as exported.
    pub cost_price: Option<Decimal>,
    /// `total_cost_price`, as exported.
    pub total_cost_price: Option<Decimal>,
    /// `total_price`, as exported.
    pub total_price: Option<Decimal>,
    /// SHA-256 of the stored row (contract of `row_hash`).
    #[sea_orm(column_name = "_row_hash")]
    pub row_hash: Vec<u8>,
    /// The ledger's file that last wrote the row.
    #[sea_orm(column_name = "_file_id")]
    pub file_id: i64,
    /// JSON object, column to raw text, of what did not fit its type.
    #[sea_orm(column_name = "_rescued", column_type = "Text", nullable)]
    pub rescued: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
