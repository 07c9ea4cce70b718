//! tidegate: incremental sync of e-commerce market exports into a database that stays right.
pub mod chunk;
pub mod clean;
pub mod config;
pub mod dataset;
pub mod error;
pub mod moment;
pub mod number;
pub mod project;
pub mod row_hash;
pub mod schema;
pub mod source;
