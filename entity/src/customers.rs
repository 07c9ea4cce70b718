//! `customers`: one row per customer of a market.

use sea_orm::entity::prelude::*;

/// A row of `customers`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "customers")]
pub struct Model {
    /// The market, as captured from the path.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// `customer_id`, as exported.
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: String,
    /// `last_used_platform`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_used_platform: Option<String>,
    /// `is_blocked`, as exported.
    pub is_blocked: Option<i64>,
    /// `created_at`, as exported.
    pub created_at: Option<DateTimeUtc>,
    /// `language`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub language: Option<String>,
    /// `outstanding_amount`, as exported.
    pub outstanding_amount: Option<Decimal>,
    /// `loyalty_points`, as exported.
    pub loyalty_points: Option<Decimal>,
    /// `number_of_employees`, as exported.
    pub number_of_employees: Option<i64>,
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
