//! The declared schema: SeaORM entities of the market tables, the marts and the ledger, one file a
//! table, and [`TableShape`], the plain form in which the rest of tidegate reads them.

pub mod agent_metrics;
pub mod customer_metrics;
pub mod customers;
pub mod daily_metrics;
pub mod definitions;
pub mod deliveries;
pub mod delivery_items;
pub mod dirty_groups;
pub mod files;
pub mod generations;
pub mod lease;
pub mod merchant_metrics;
pub mod number_forms;
pub mod obstacles;
pub mod order_items;
pub mod orders;
pub mod product_metrics;
pub mod rejects;
pub mod schema_changes;
pub mod shape;

pub use shape::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind, ROW_HASH, TableShape};

/// The tables that market exports are synced into.
pub fn market_tables() -> Vec<TableShape> {
    vec![
        TableShape::of::<customers::Entity>(),
        TableShape::of::<orders::Entity>(),
        TableShape::of::<order_items::Entity>(),
        TableShape::of::<deliveries::Entity>(),
        TableShape::of::<delivery_items::Entity>(),
    ]
}

/// The tables of metrics that the shipped profile keeps.
pub fn mart_tables() -> Vec<TableShape> {
    vec![
        TableShape::of::<customer_metrics::Entity>(),
        TableShape::of::<product_metrics::Entity>(),
        TableShape::of::<merchant_metrics::Entity>(),
        TableShape::of::<agent_metrics::Entity>(),
        TableShape::of::<daily_metrics::Entity>(),
    ]
}

/// tidegate's own tables.
pub fn ledger_tables() -> Vec<TableShape> {
    vec![
        TableShape::of::<files::Entity>(),
        TableShape::of::<rejects::Entity>(),
        TableShape::of::<schema_changes::Entity>(),
        TableShape::of::<dirty_groups::Entity>(),
        TableShape::of::<lease::Entity>(),
        TableShape::of::<definitions::Entity>(),
        TableShape::of::<generations::Entity>(),
        TableShape::of::<number_forms::Entity>(),
        TableShape::of::<obstacles::Entity>(),
    ]
}
