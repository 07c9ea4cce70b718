//! tidegate keeps a database exactly at what the exports of e-commerce markets say.
//!
//! A file is noticed by [`inbox`], taken and looked at by [`sync`], read by [`source`] as chunks of whole
//! records, which [`clean`], [`project`] and [`row_hash`] turn into table rows; [`diff`] compares them with
//! what is stored, [`sink`] commits what changed with the file's position, and [`checkpoint`] notes it on
//! disk. `ARCHITECTURE.md` has the same map with reasons.

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
