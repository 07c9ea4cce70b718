//! `tidegate_alarms`: what a person should know, raised once and cleared when its cause is gone.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_alarms`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_alarms")]
pub struct Model {
    /// Identity.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// What kind of alarm it is.
    pub kind: String,
    /// The dataset; NULL if it is of none.
    pub dataset: Option<String>,
    /// The market; NULL if it is of none.
    pub market: Option<String>,
    /// The last file that showed it.
    pub file_id: Option<i64>,
    /// What it is, for people.
    #[sea_orm(column_type = "Text")]
    pub message: String,
    /// The same for programs, with counts and examples: JSON.
    #[sea_orm(column_type = "Text")]
    pub evidence: String,
    /// When it was raised.
    pub raised_at: DateTimeUtc,
    /// When its cause was gone; NULL while it is open.
    pub cleared_at: Option<DateTimeUtc>,
    /// When somebody said that they know.
    pub acknowledged_at: Option<DateTimeUtc>,
    /// Who.
    #[sea_orm(column_type = "Text", nullable)]
    pub acknowledged_by: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
