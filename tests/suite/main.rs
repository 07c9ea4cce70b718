//! The tests from outside: the built program, real files, and all three databases.
//!
//! Each module shows one promise. A scenario is written once and runs on every database
//! ([`sandbox::on_every_database`]).

mod commands;
mod crash;
mod daemon;
mod deletes;
mod deltas;
mod discovered;
mod evolution;
mod exports;
mod extremes;
mod formats;
mod http;
mod incremental;
mod kills;
mod large;
mod latency;
mod lease;
mod marts;
mod model;
mod model_feed;
mod model_file;
mod model_script;
mod model_state;
mod outage;
mod plan;
mod rejects;
mod rows;
mod samples;
mod sandbox;
mod servers;
mod settings;
mod settling;
mod shifted;
mod shop;
mod smoke;
mod status;
mod tidy;
mod unit;
mod verify;
mod versions;
mod views;
mod widening;
