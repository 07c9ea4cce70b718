//! `customer_metrics`: orders and deliveries per customer and currency.

use sea_orm::entity::prelude::*;

/// A row of `customer_metrics`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "customer_metrics")]
pub struct Model {
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency_symbol: String,
    /// `orders_count`, defined in `etc/marts/customer_metrics.sql`.
    pub orders_count: i64,
    /// `completed_orders`, defined in `etc/marts/customer_metrics.sql`.
    pub completed_orders: i64,
    /// `cancelled_orders`, defined in `etc/marts/customer_metrics.sql`.
    pub cancelled_orders: i64,
    /// `total_amount`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub total_amount: Decimal,
    /// `average_order_value`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_order_value: Option<Decimal>,
    /// `items_quantity`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub items_quantity: Decimal,
    /// `distinct_products`, defined in `etc/marts/customer_metrics.sql`.
    pub distinct_products: i64,
    /// `first_order_at`, defined in `etc/marts/customer_metrics.sql`.
    pub first_order_at: Option<DateTimeUtc>,
    /// `last_order_at`, defined in `etc/marts/customer_metrics.sql`.
    pub last_order_at: Option<DateTimeUtc>,
    /// `redeemed_loyalty_points`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub redeemed_loyalty_points: Decimal,
    /// `consumed_loyalty_points`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub consumed_loyalty_points: Decimal,
    /// `deliveries_count`, defined in `etc/marts/customer_metrics.sql`.
    pub deliveries_count: i64,
    /// `completed_deliveries`, defined in `etc/marts/customer_metrics.sql`.
    pub completed_deliveries: i64,
    /// `average_delivery_minutes`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_delivery_minutes: Option<Decimal>,
    /// `average_delivery_distance_m`, defined in `etc/marts/customer_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_delivery_distance_m: Option<Decimal>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
