//! Bulk: the fastest way to write many rows, one file for each database.

pub(crate) mod copy;
pub mod encoder;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod tsv;
