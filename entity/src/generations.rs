//! `tidegate_generations`: which commit last changed the rows of a table and market.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_generations`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_generations")]
pub struct Model {
    /// The table of records; its lines change with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub table_name: String,
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Names the commit; no other one has or had this name.
    pub generation: String,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
