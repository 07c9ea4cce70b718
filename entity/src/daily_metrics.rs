//! `daily_metrics`: orders per UTC day and currency.

use sea_orm::entity::prelude::*;

/// A row of `daily_metrics`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "daily_metrics")]
pub struct Model {
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency_symbol: String,
    /// The UTC day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: Date,
    /// `orders_count`, defined in `etc/marts/daily_metrics.sql`.
    pub orders_count: i64,
    /// `cancelled_orders`, defined in `etc/marts/daily_metrics.sql`.
    pub cancelled_orders: i64,
    /// `customers_count`, defined in `etc/marts/daily_metrics.sql`.
    pub customers_count: i64,
    /// `total_amount`, defined in `etc/marts/daily_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub total_amount: Decimal,
    /// `items_quantity`, defined in `etc/marts/daily_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub items_quantity: Decimal,
    /// `average_order_value`, defined in `etc/marts/daily_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_order_value: Option<Decimal>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
