//! `deliveries`: one row per delivery task.

use sea_orm::entity::prelude::*;

/// A row of `deliveries`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    /// The market, as captured from the path.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// `task_id`, as exported.
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: String,
    /// `order_id`, as exported.
    pub order_id: Option<String>,
    /// `relationship`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub relationship: Option<String>,
    /// `team_name`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub team_name: Option<String>,
    /// `task_type`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub task_type: Option<String>,
    /// `notes`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub notes: Option<String>,
    /// `agent_id`, as exported.
    pub agent_id: Option<String>,
    /// `agent_name`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub agent_name: Option<String>,
    /// `distance_m`, as exported.
    pub distance_m: Option<f64>,
    /// `total_time_taken_min`, as exported.
    pub total_time_taken_min: Option<f64>,
    /// `task_status`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub task_status: Option<String>,
    /// `ref_images`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub ref_images: Option<String>,
    /// `rating`, as exported.
    pub rating: Option<Decimal>,
    /// `review`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub review: Option<String>,
    /// `latitude`, as exported.
    pub latitude: Option<f64>,
    /// `longitude`, as exported.
    pub longitude: Option<f64>,
    /// `tags`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub tags: Option<String>,
    /// `promo_applied`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub promo_applied: Option<String>,
    /// `custom_template_id`, as exported.
    pub custom_template_id: Option<String>,
    /// `special_instructions`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub special_instructions: Option<String>,
    /// `tip`, as exported.
    pub tip: Option<Decimal>,
    /// `delivery_charges`, as exported.
    pub delivery_charges: Option<Decimal>,
    /// `discount`, as exported.
    pub discount: Option<Decimal>,
    /// `subtotal`, as exported.
    pub subtotal: Option<Decimal>,
    /// `payment_type`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub payment_type: Option<String>,
    /// `task_category`, as exported.
    #[sea_orm(column_type = "Text", nullable)]
    pub task_category: Option<String>,
    /// `earning`, as exported.
    pub earning: Option<Decimal>,
    /// `pricing`, as exported.
    pub pricing: Option<Decimal>,
    /// Lines stored for this record.
    pub line_count: i64,
    /// SHA-256 of the stored row (contract of `row_hash`).
    #[sea_orm(column_name = "_row_hash")]
    pub row_hash: Vec<u8>,
    /// The ledger's file that last wrote the row.
    #[sea_orm(column_name = "_file_id")]
    pub file_id: i64,
    /// JSON object, column to raw text, of what did not fit its type.
    #[sea_orm(column_name = "_rescued", column_type = "Text", nullable)]
    pub rescued: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
