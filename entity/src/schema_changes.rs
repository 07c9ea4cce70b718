//! `tidegate_schema_changes`: every change of a table, with the file that caused it.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_schema_changes`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_schema_changes")]
pub struct Model {
    /// Identity.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The table.
    pub table_name: String,
    /// The column; of a new table the one that identifies a record.
    pub column_name: String,
    /// `create_table`, `add_column`, `widen_column` or `rename_column`.
    pub change_kind: String,
    /// Type or name before; of a new table the dataset that it is for.
    #[sea_orm(column_type = "Text", nullable)]
    pub old_type: Option<String>,
    /// Type or name after; of a new table its key.
    #[sea_orm(column_type = "Text", nullable)]
    pub new_type: Option<String>,
    /// The file that caused it.
    pub file_id: Option<i64>,
    /// When.
    pub changed_at: DateTimeUtc,
    /// 1 of a column that came without any value: it is text until its first values decide what it holds. NULL else.
    pub undecided: Option<i64>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
