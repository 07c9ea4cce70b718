//! `tidegate_obstacles`: what cannot be changed as files or definitions need it, because something stands in the way.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_obstacles`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_obstacles")]
pub struct Model {
    /// What stays as it is: `table.column`, a view, or a mart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub about: String,
    /// Whose objects stand in the way; empty when only the database's reason is known.
    #[sea_orm(column_type = "Text")]
    pub object: String,
    /// What the database says, and what becomes of the data meanwhile.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// What takes the objects out of the way, as SQL.
    #[sea_orm(column_type = "Text")]
    pub run: String,
    /// Since when.
    pub raised_at: DateTimeUtc,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
