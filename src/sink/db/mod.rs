//! Db: connections, dialects, transactions and the lease.

pub(crate) mod bounds;
pub(crate) mod connection;
pub mod dialect;
pub(crate) mod failure;
pub(crate) mod keepsakes;
pub mod lease;
pub(crate) mod long_step;
pub(crate) mod lost;
pub(crate) mod mysql;
pub(crate) mod mysql_values;
pub mod passing;
pub(crate) mod reach;
pub(crate) mod sockets;
pub(crate) mod sqlite_handle;
pub(crate) mod transaction;
pub(crate) mod wal;
