//! `tidegate_history`: versions of records that a file, or an undo, ended.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_history`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_history")]
pub struct Model {
    /// Identity; later changes have higher ones.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The table of the record.
    pub table_name: String,
    /// The market.
    pub market: String,
    /// The key as text; several columns as a JSON array.
    #[sea_orm(column_type = "Text")]
    pub record_key: String,
    /// Digest of table, market and key, by which the versions of a record are found.
    pub key_digest: String,
    /// The file that ended this version.
    pub file_id: i64,
    /// The file that wrote it; NULL if unknown.
    pub written_by: Option<i64>,
    /// Since when it was stored; NULL if unknown.
    pub valid_from: Option<DateTimeUtc>,
    /// When it ended.
    pub valid_to: DateTimeUtc,
    /// `modified`, `deleted`, `undone`, or `confirmed`: only `_file_id` moved.
    pub change: String,
    /// The record with its lines as they were: JSON. NULL if it was too large to be kept.
    #[sea_orm(column_type = "Text", nullable)]
    pub record: Option<String>,
    /// The file whose version came next; 0 if unknown, NULL if the record was gone then.
    pub followed_by: Option<i64>,
    /// When an undo took this change back.
    pub undone_at: Option<DateTimeUtc>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
