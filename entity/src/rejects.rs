//! `tidegate_rejects`: rows that could not be loaded, kept as they were.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_rejects`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_rejects")]
pub struct Model {
    /// Identity.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The ledger's file.
    pub file_id: i64,
    /// 1 is the first row after the header.
    pub row_number: i64,
    /// The `_row` of a corrected copy's row: its number in the file that it corrects.
    pub corrects_row: Option<i64>,
    /// The record that it belongs to; empty when it is of none, NULL when that cannot be read.
    #[sea_orm(column_type = "Text", nullable)]
    pub record_key: Option<String>,
    /// The record that a corrected copy put it in.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrected_key: Option<String>,
    /// The row as a corrected copy has it: JSON, column to text.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrected: Option<String>,
    /// The column at fault, if one is.
    pub column_name: Option<String>,
    /// Why, and what to do.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// The row as it was; bytes that are not text as `\xNN`.
    #[sea_orm(column_type = "Text")]
    pub raw: String,
    /// When a corrected row was loaded.
    pub closed_at: Option<DateTimeUtc>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
