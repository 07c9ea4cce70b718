//! Bulk: the fast path of each database, one file each.

pub(crate) mod copy;
pub mod encoder;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod tsv;
