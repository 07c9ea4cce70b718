//! The declared schema: SeaORM entities of the market tables and the ledger, one file for each
//! table. The rest of tidegate reads them as [`TableShape`]s, which are plain data.

pub mod alarms;
pub mod customers;
pub mod definitions;
pub mod deliveries;
pub mod delivery_items;
pub mod dirty_groups;
pub mod files;
pub mod generations;
pub mod history;
pub mod lease;
pub mod number_forms;
pub mod obstacles;
pub mod order_items;
pub mod orders;
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
        TableShape::of::<alarms::Entity>(),
        TableShape::of::<history::Entity>(),
    ]
}
