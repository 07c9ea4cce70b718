//! `tidegate_rejects`: rejected rows, kept as they were in the file.

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
    /// `_row` in a corrected copy: the row number in the file that the copy corrects.
    pub corrects_row: Option<i64>,
    /// Key of its record; empty if it belongs to none, NULL if the key cannot be read.
    #[sea_orm(column_type = "Text", nullable)]
    pub record_key: Option<String>,
    /// Key of the record that a corrected copy put it in.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrected_key: Option<String>,
    /// The row in the corrected copy: JSON, from column to text.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrected: Option<String>,
    /// The column with the fault, if there is one.
    pub column_name: Option<String>,
    /// Why it cannot be loaded, and what to do.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// The original row; bytes that are not text are written as `\xNN`.
    #[sea_orm(column_type = "Text")]
    pub raw: String,
    /// When a corrected row was loaded.
    pub closed_at: Option<DateTimeUtc>,
    /// The file that closed it.
    pub closed_by: Option<i64>,
    /// The corrected copy of which `corrected` is.
    pub corrected_by: Option<i64>,
    /// What earlier copies made of it, oldest first, for an undo of later ones: JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrected_before: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
