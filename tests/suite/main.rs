//! The tests from outside: the built program, real files, and all three databases.
//!
//! Each module shows one promise. A scenario is written once and runs on every database
//! ([`sandbox::on_every_database`]).

mod crash;
mod exports;
mod formats;
mod incremental;
mod large;
mod rows;
mod sandbox;
mod servers;
mod smoke;
