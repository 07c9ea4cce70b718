//! tidegate keeps a database exactly at what the exports of e-commerce markets say.
//!
//! The modules are the stages of a file's way, from the top floor down:
//!
//! - [`cli`] and [`http`]: what people and monitoring ask for.
//! - [`dispatch`]: who starts a sync and when.
//! - [`sync`]: one file's way, read first; [`verify`] computes again and compares.
//! - [`source`]: finds files and reads them as chunks of whole records.
//! - [`sink`]: the database: ledger, tables, marts.
//! - [`transform`]: pure functions from a chunk to table rows and their hashes.
//! - [`config`], [`feed`], [`values`]: what is declared, what a file is, what a cell means.
//!
//! `ARCHITECTURE.md` has the same map with reasons.

pub mod chunk;
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod error;
pub mod feed;
pub mod http;

pub mod process;
pub mod sink;
pub mod source;
pub mod sync;
pub mod transform;
pub mod values;
pub mod verify;
