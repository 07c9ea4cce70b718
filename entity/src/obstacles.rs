//! `tidegate_obstacles`: changes that files or definitions need and that something prevents.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_obstacles`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_obstacles")]
pub struct Model {
    /// The subject that cannot change: `table.column`, a view, or a mart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub about: String,
    /// The objects that prevent the change; empty if only the database's reason is known.
    #[sea_orm(column_type = "Text")]
    pub object: String,
    /// The database's reason, and what happens to the data until then.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// SQL that removes the objects.
    #[sea_orm(column_type = "Text")]
    pub run: String,
    /// When it was first met.
    pub raised_at: DateTimeUtc,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
