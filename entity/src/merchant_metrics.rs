//! `merchant_metrics`: orders per merchant and currency.

use sea_orm::entity::prelude::*;

/// A row of `merchant_metrics`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "merchant_metrics")]
pub struct Model {
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant_id: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency_symbol: String,
    /// `orders_count`, defined in `etc/marts/merchant_metrics.sql`.
    pub orders_count: i64,
    /// `cancelled_orders`, defined in `etc/marts/merchant_metrics.sql`.
    pub cancelled_orders: i64,
    /// `customers_count`, defined in `etc/marts/merchant_metrics.sql`.
    pub customers_count: i64,
    /// `total_amount`, defined in `etc/marts/merchant_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub total_amount: Decimal,
    /// `average_order_value`, defined in `etc/marts/merchant_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_order_value: Option<Decimal>,
    /// `first_order_at`, defined in `etc/marts/merchant_metrics.sql`.
    pub first_order_at: Option<DateTimeUtc>,
    /// `last_order_at`, defined in `etc/marts/merchant_metrics.sql`.
    pub last_order_at: Option<DateTimeUtc>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
