//! The tests from outside: the built program, real files, and all three databases.
//!
//! Each module shows one promise. A scenario is written once, and is a test of its own on each
//! database ([`scenario!`]).

/// Makes a function of a sandbox a test on every database, or on those that are named after it:
/// `it_works` becomes `it_works::sqlite`, `it_works::mariadb` and `it_works::postgres`.
///
/// `tests/run --sqlite` leaves out the others by these names, and needs no server then.
macro_rules! scenario {
    ($name:ident) => {
        scenario!($name: sqlite, mariadb, postgres);
    };
    ($name:ident: $($database:ident),+) => {
        mod $name {
            $(
                #[test]
                fn $database() {
                    super::$name(&$crate::sandbox::Sandbox::$database());
                }
            )+
        }
    };
}

/// As [`scenario!`], on each server; the scenario may stop it and start it again.
macro_rules! server_scenario {
    ($name:ident) => {
        mod $name {
            #[test]
            fn mariadb() {
                $crate::outage::on_mariadb(super::$name);
            }

            #[test]
            fn postgres() {
                $crate::outage::on_postgres(super::$name);
            }
        }
    };
}

mod alarms;
mod blind_spots;
mod bulk;
mod caps;
mod columnar;
mod commands;
mod composite_keys;
mod compression;
mod crash;
mod daemon;
mod damaged_tables;
mod deaths;
mod decimals;
mod declarations;
mod declared;
mod definitions;
mod deletes;
mod deltas;
mod describe;
mod describe_made;
mod dialects;
mod discovered;
mod encodings;
mod escapes;
mod evolution;
mod exactness;
mod exports;
mod extremes;
mod failover;
mod fast_folder;
mod file_sizes;
mod fitting;
mod formats;
mod forms;
mod full;
mod http;
mod http_hosts;
mod http_limits;
mod incremental;
mod installed;
mod journal;
mod json_lines;
mod kills;
mod large;
mod latency;
mod lease;
mod ledger_size;
mod looking;
mod marts;
mod migrations;
mod model;
mod modes;
mod names;
mod now;
mod objects;
mod one_export;
mod other_user;
mod outage;
mod owners;
mod paths;
mod plan;
mod platforms;
mod proxy;
mod record_index;
mod rejects;
mod rejects_back;
mod rescued;
mod rows;
mod rules;
mod runaway;
mod samples;
mod sandbox;
mod secrets;
mod seed;
mod servers;
mod settings;
mod settling;
mod shifted;
mod shop;
mod signals;
mod silence;
mod skipped_lines;
mod smoke;
mod soak;
mod status;
mod terminal;
mod text_and_json;
mod tidy;
mod together;
mod undo;
mod undo_more;
mod unit;
mod unknown_rows;
mod unseen;
mod verify;
mod versions;
mod views;
mod whole_file;
mod widening;
mod widths;
mod workbook_parts;
mod workbooks;
mod written;
mod written_letters;
mod zipped;
