//! `tidegate_lease`: who writes to this database. One row.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_lease`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_lease")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Host, process and command, for people.
    #[sea_orm(column_type = "Text")]
    pub holder: String,
    /// Identity of the holder; every commit checks it.
    pub token: String,
    /// Grows while the holder lives.
    pub beats: i64,
    /// When it last did, by the holder's clock: for people, nobody compares it.
    pub beat_at: Option<DateTimeUtc>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
