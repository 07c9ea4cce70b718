//! `delivery_items`: one row per row of a delivery task.

use sea_orm::entity::prelude::*;

/// A row of `delivery_items`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_items")]
pub struct Model {
    /// The market, as captured from the path.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// `task_id`, as exported.
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: String,
    /// Position of the line in its record, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line_no: i64,
    /// `task_details_qty`, as exported.
    pub task_details_qty: Option<Decimal>,
    /// `task_details_amount`, as exported.
    pub task_details_amount: Option<Decimal>,
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
