//! tidegate keeps a database exactly at what the exports of e-commerce markets say.
//!
//! A file is noticed by [`inbox`], taken and looked at by [`sync`], read by [`source`] as chunks of whole
//! records, which [`clean`], [`project`] and [`row_hash`] turn into table rows; [`diff`] compares them with
//! what is stored, [`sink`] commits what changed with the file's position, and [`checkpoint`] notes it on
//! disk. `ARCHITECTURE.md` has the same map with reasons.

// The program around it.
pub mod cli;
pub mod config;
pub mod daemon;
pub mod health;
pub mod http;
pub mod inbox;
pub mod installed;
pub mod lanes;
pub mod modes;
pub mod plan;
pub mod progress;
pub mod retry;
pub mod waiting;

// One file's way.
pub mod archive;
pub mod checkpoint;
pub mod correction;
pub mod deletes;
pub mod episode;
pub mod precedence;
pub mod quarantine;
pub mod sink;
pub mod source;
pub mod sync;
pub mod touched_keys;
pub mod turns;
pub mod unmatched;
pub mod vanished;
pub mod writer;

// Plain data and pure functions.
pub mod allowed_host;
pub mod canonical;
pub mod chunk;
pub mod clean;
pub mod database_url;
pub mod dataset;
pub mod diff;
pub mod error;
pub mod inference;
pub mod kept_lines;
pub mod moment;
pub mod number;
pub mod passing;
pub mod project;
pub mod rejects;
pub mod row_hash;
pub mod schema;
pub mod secret;
pub mod spreadsheet;
pub mod terminal;
pub mod words;
