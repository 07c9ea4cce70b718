//! `tidegate_number_forms`: how the numbers of a column are written in the files of a dataset and market, and which file
//! proved it.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_number_forms`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_number_forms")]
pub struct Model {
    /// Identity.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The dataset.
    pub dataset: String,
    /// The market.
    pub market: String,
    /// The column; its type is in `tidegate_schema_changes`.
    pub column_name: String,
    /// What stands before decimals, `.` or `,`; NULL while nothing has proved it.
    pub decimal_sign: Option<String>,
    /// What stands beside each amount of a column that was found in files.
    pub currency: Option<String>,
    /// The file that proved it.
    pub file_id: i64,
    /// When.
    pub proved_at: DateTimeUtc,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
