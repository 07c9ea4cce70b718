//! `product_metrics`: what was sold per product and currency.

use sea_orm::entity::prelude::*;

/// A row of `product_metrics`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "product_metrics")]
pub struct Model {
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sku: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency_symbol: String,
    /// `orders_count`, defined in `etc/marts/product_metrics.sql`.
    pub orders_count: i64,
    /// `customers_count`, defined in `etc/marts/product_metrics.sql`.
    pub customers_count: i64,
    /// `units_sold`, defined in `etc/marts/product_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub units_sold: Decimal,
    /// `revenue`, defined in `etc/marts/product_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub revenue: Decimal,
    /// `cost`, defined in `etc/marts/product_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub cost: Decimal,
    /// `gross_margin`, defined in `etc/marts/product_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub gross_margin: Decimal,
    /// `first_sold_at`, defined in `etc/marts/product_metrics.sql`.
    pub first_sold_at: Option<DateTimeUtc>,
    /// `last_sold_at`, defined in `etc/marts/product_metrics.sql`.
    pub last_sold_at: Option<DateTimeUtc>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
