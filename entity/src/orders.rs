//! `orders`: one row per order, with the columns that all rows of an order share.

use sea_orm::entity::prelude::*;

/// A row of `orders`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    /// The market, as captured from the path.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// `order_id`, as exported.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: String,
    /// `order_status`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub order_status: Option<String>,
    /// `order_total`, as exported.
    pub order_total: Option<Decimal>,
    /// `sub_total`, as exported.
    pub sub_total: Option<Decimal>,
    /// `tax`, as exported.
    pub tax: Option<Decimal>,
    /// `delivery_charge`, as exported.
    pub delivery_charge: Option<Decimal>,
    /// `tip`, as exported.
    pub tip: Option<Decimal>,
    /// `discount`, as exported.
    pub discount: Option<Decimal>,
    /// `remaining_balance`, as exported.
    pub remaining_balance: Option<Decimal>,
    /// `payment_method`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub payment_method: Option<String>,
    /// `additional_charge`, as exported.
    pub additional_charge: Option<Decimal>,
    /// `taxable_amount`, as exported.
    pub taxable_amount: Option<Decimal>,
    /// `transaction_id`, as exported.
    pub transaction_id: Option<String>,
    /// `currency_symbol`, as exported.
    pub currency_symbol: Option<String>,
    /// `transaction_status`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub transaction_status: Option<String>,
    /// `promo_code`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub promo_code: Option<String>,
    /// `customer_id`, as exported.
    pub customer_id: Option<String>,
    /// `merchant_id`, as exported.
    pub merchant_id: Option<String>,
    /// `description`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    /// `distance_in_km`, as exported.
    pub distance_in_km: Option<f64>,
    /// `order_time`, as exported.
    pub order_time: Option<DateTimeUtc>,
    /// `pickup_time`, as exported.
    pub pickup_time: Option<DateTimeUtc>,
    /// `delivery_time`, as exported.
    pub delivery_time: Option<DateTimeUtc>,
    /// `ratings`, as exported.
    pub ratings: Option<Decimal>,
    /// `reviews`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub reviews: Option<String>,
    /// `merchant_earning`, as exported.
    pub merchant_earning: Option<Decimal>,
    /// `commission_amount`, as exported.
    pub commission_amount: Option<Decimal>,
    /// `commission_payout_status`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub commission_payout_status: Option<String>,
    /// `order_preparation_time`, as exported.
    pub order_preparation_time: Option<Decimal>,
    /// `debt_amount`, as exported.
    pub debt_amount: Option<Decimal>,
    /// `redeemed_loyalty_points`, as exported.
    pub redeemed_loyalty_points: Option<Decimal>,
    /// `consumed_loyalty_points`, as exported.
    pub consumed_loyalty_points: Option<Decimal>,
    /// `cancellation_reason`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub cancellation_reason: Option<String>,
    /// `flat_discount`, as exported.
    pub flat_discount: Option<Decimal>,
    /// `checkout_template_name`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub checkout_template_name: Option<String>,
    /// `checkout_template_value`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub checkout_template_value: Option<String>,
    /// Lines stored for this record.
    pub line_count: i64,
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
