//! `tidegate_dirty_groups`: marks on mart groups whose rows changed since the last refresh.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_dirty_groups`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_dirty_groups")]
pub struct Model {
    /// Id; a refresh clears only the marks that it read.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The mart.
    pub mart: String,
    /// The market.
    pub market: String,
    /// The group; NULL means every group of the market.
    pub group_key: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
