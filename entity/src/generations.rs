//! `tidegate_generations`: which commit last changed the rows of a table and market.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_generations`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_generations")]
pub struct Model {
    /// The table of records; changes of its lines count too.
    #[sea_orm(primary_key, auto_increment = false)]
    pub table_name: String,
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Unique name of the commit; it is never used again.
    pub generation: String,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
