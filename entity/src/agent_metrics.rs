//! `agent_metrics`: tasks per delivery agent.

use sea_orm::entity::prelude::*;

/// A row of `agent_metrics`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_metrics")]
pub struct Model {
    /// The market.
    #[sea_orm(primary_key, auto_increment = false)]
    pub market: String,
    /// Key of the group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub agent_id: String,
    /// `tasks_count`, defined in `etc/marts/agent_metrics.sql`.
    pub tasks_count: i64,
    /// `completed_tasks`, defined in `etc/marts/agent_metrics.sql`.
    pub completed_tasks: i64,
    /// `failed_tasks`, defined in `etc/marts/agent_metrics.sql`.
    pub failed_tasks: i64,
    /// `average_minutes`, defined in `etc/marts/agent_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_minutes: Option<Decimal>,
    /// `total_distance_m`, defined in `etc/marts/agent_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))")]
    pub total_distance_m: Decimal,
    /// `average_rating`, defined in `etc/marts/agent_metrics.sql`.
    #[sea_orm(column_type = "Decimal(Some((28, 4)))", nullable)]
    pub average_rating: Option<Decimal>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
