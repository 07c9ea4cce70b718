//! `tidegate_number_forms`: how the numbers of a column are written in the files of a dataset and
//! market, and the file that proved it.

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
    /// The decimal separator, `.` or `,`; in brackets if the column took it from what other columns
    /// of the file proved; NULL until a file proves it.
    pub decimal_sign: Option<String>,
    /// The currency mark next to each amount, for a column that was found in files.
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
