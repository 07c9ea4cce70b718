//! `tidegate_lease`: the holder of the right to write to this database. One row.

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
    /// Heartbeat counter; it grows while the holder lives.
    pub beats: i64,
    /// Time of the last heartbeat by the holder's clock; only for people, it is never compared.
    pub beat_at: Option<DateTimeUtc>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
