//! `tidegate_definitions`: the definition that each mart or view was built from, to notice a
//! changed one.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_definitions`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_definitions")]
pub struct Model {
    /// Name of the mart or view.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// SHA-256 of the rendered definition, hex.
    pub fingerprint: String,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
