//! Crash: killed at any point, a sync is finished by the next one as if nothing had happened.

use crate::exports::{
    Market, SMALL_CHUNKS, Version, assert_same, everything, wait_for_half_a_file,
};
use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

/// A crash in the middle of a file.
const AFTER_SECOND_CHUNK: &str = "after_checkpoint=1*off->return";

scenario!(a_sync_killed_around_a_commit_goes_on_where_it_was);
fn a_sync_killed_around_a_commit_goes_on_where_it_was(sandbox: &Sandbox) {
    killed_at(sandbox, &["before_commit", "after_commit", "before_checkpoint", "after_checkpoint"]);
}

scenario!(a_sync_killed_while_marts_are_refreshed_refreshes_them_again);
fn a_sync_killed_while_marts_are_refreshed_refreshes_them_again(sandbox: &Sandbox) {
    killed_at(sandbox, &["during_parts", "during_refresh", "after_refresh"]);
}

scenario!(a_sync_killed_between_the_ledger_and_the_table_of_a_new_column_adds_it);
/// MySQL commits each change of a table by itself; the ledger knows of the column before.
fn a_sync_killed_between_the_ledger_and_the_table_of_a_new_column_adds_it(sandbox: &Sandbox) {
    killed_at(sandbox, &["during_schema_change"]);
}

/// Both versions of a market are killed at the first, second and third hit of each point; a market
/// for each.
fn killed_at(sandbox: &Sandbox, points: &[&str]) {
    let crashes: Vec<(String, Market)> = points
        .iter()
        .flat_map(|point| (0..3).map(move |hits_before| (point, hits_before)))
        .map(|(point, hits_before)| {
            let name = format!("{}{hits_before}", point.replace('_', ""));
            let brings_columns = *point == "during_schema_change";
            let market =
                if brings_columns { Market::with_own_columns(&name) } else { Market::new(&name) };
            (format!("{point}={hits_before}*off->return"), market)
        })
        .collect();
    let clean = sandbox.sibling();
    for version in [Version::First, Version::Second] {
        for (failpoints, market) in &crashes {
            market.drop_version(sandbox, version);
            market.drop_version(&clean, version);
            crash(market, sandbox, failpoints);
            finish(market, sandbox);
        }
        sync_everything(&clean);
    }
    assert_same(&everything(sandbox), &everything(&clean), &format!("killed at {points:?}"));
}

scenario!(a_file_that_a_crash_interrupted_is_finished_before_the_newer_one_beside_it);
fn a_file_that_a_crash_interrupted_is_finished_before_the_newer_one_beside_it(sandbox: &Sandbox) {
    let (market, clean) = (Market::new("1"), sandbox.sibling());
    for version in [Version::First, Version::Second] {
        market.drop_dated(sandbox, version);
        if version == Version::First {
            crash(&market, sandbox, AFTER_SECOND_CHUNK);
        }
        market.drop_dated(&clean, version);
        sync_everything(&clean);
    }
    sync_everything(sandbox);
    assert_same(&everything(sandbox), &everything(&clean), "a newer file beside");
}

scenario!(newer_content_over_a_file_that_a_crash_interrupted_replaces_it);
fn newer_content_over_a_file_that_a_crash_interrupted_replaces_it(sandbox: &Sandbox) {
    let (market, clean) = (Market::new("1"), sandbox.sibling());
    market.drop_version(sandbox, Version::First);
    crash(&market, sandbox, AFTER_SECOND_CHUNK);
    for (name, text) in market.files(Version::First) {
        let newer = text
            .replace("COMPLETED", "CANCELLED")
            .replace("Completed", "Failed")
            .replace("Points\": ", "Points\": 1");
        sandbox.drop_file(&format!("market-1/{name}"), &newer);
        clean.drop_file(&format!("market-1/{name}"), &newer);
    }
    finish(&market, sandbox);
    finish(&market, &clean);
    assert_same(&sandbox.dump(), &clean.dump(), "newer content");
    let synced = "SELECT dataset, rows_read, rows_accepted, rows_duplicate, rows_rejected FROM tidegate_files WHERE state = 'synced' ORDER BY dataset";
    assert_eq!(sandbox.rows(synced), clean.rows(synced));
    let given_up =
        sandbox.rows("SELECT DISTINCT state, error FROM tidegate_files WHERE state <> 'synced'");
    assert_eq!(given_up, ["failed|newer content came to its path before it was finished"]);
    assert!(checkpoints(sandbox).is_empty());
}

scenario!(a_checkpoint_that_is_lost_damaged_or_ahead_is_not_needed);
fn a_checkpoint_that_is_lost_damaged_or_ahead_is_not_needed(sandbox: &Sandbox) {
    /// A name, and what is done to the file.
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 5] = [
        ("lost", |path| fs::remove_file(path).expect("it is there")),
        ("empty", |path| fs::write(path, "").expect("it can be written")),
        ("garbled", |path| {
            let mut bytes = fs::read(path).expect("it is there");
            bytes.truncate(bytes.len() / 2);
            fs::write(path, bytes).expect("it can be written");
        }),
        ("newer", |path| {
            change(path, |file| *file = serde_json::json!({ "version 99": file["version 6"] }));
        }),
        ("ahead", |path| {
            change(path, |file| {
                let checkpoint = &mut file["version 6"];
                let offset =
                    checkpoint["position"]["offset"].as_u64().expect("a number") + 1_000_000;
                checkpoint["position"]["offset"] = offset.into();
                checkpoint["survey"]["header"] = Value::Array(vec!["Order ID".into()]);
            });
        }),
    ];
    let clean = sandbox.sibling();
    for (damage, apply) in damages {
        let market = Market::new(damage);
        market.drop_version(sandbox, Version::First);
        market.drop_version(&clean, Version::First);
        crash(&market, sandbox, AFTER_SECOND_CHUNK);
        let mut interrupted = checkpoints(sandbox);
        // The kill may have met another lane while it wrote a checkpoint, which then lies there
        // under a temporary name.
        interrupted.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        assert!(!interrupted.is_empty(), "{damage}");
        interrupted.iter().for_each(|path| apply(path));
        finish(&market, sandbox);
    }
    sync_everything(&clean);
    assert_same(&everything(sandbox), &everything(&clean), "checkpoints damaged");
    assert!(checkpoints(sandbox).is_empty());
}

#[test]
fn a_database_restored_from_a_copy_is_brought_up_to_date_whatever_the_checkpoints_say() {
    let (sandbox, market) = (Sandbox::new(Engine::Sqlite), Market::new("1"));
    let clean = sandbox.sibling();
    market.drop_version(&sandbox, Version::First);
    market.drop_version(&clean, Version::First);
    crash(&market, &sandbox, AFTER_SECOND_CHUNK);
    // What SQLite had not yet moved out of the log belongs to the database.
    let files = ["database.sqlite", "database.sqlite-wal"];
    let copies: Vec<_> =
        files.map(|name| (name, fs::read(sandbox.path(name)).expect("it is there"))).into();
    crash(&market, &sandbox, AFTER_SECOND_CHUNK);
    let _ = fs::remove_file(sandbox.path("database.sqlite-shm"));
    for (name, bytes) in copies {
        fs::write(sandbox.path(name), bytes).expect("it can be written");
    }
    finish(&market, &sandbox);
    sync_everything(&clean);
    assert_same(&everything(&sandbox), &everything(&clean), "restored");
}

scenario!(a_daemon_killed_in_the_middle_of_a_file_goes_on_when_it_is_started_again);
fn a_daemon_killed_in_the_middle_of_a_file_goes_on_when_it_is_started_again(sandbox: &Sandbox) {
    let settings = [SMALL_CHUNKS, ("TIDEGATE_SETTLE_SCAN_MS", "100")];
    let (market, clean) = (Market::new("1"), sandbox.sibling());
    market.drop_dated(sandbox, Version::First);
    let hang = ("FAILPOINTS", "after_commit=1*off->sleep(600000)");
    let mut daemon: Daemon = sandbox.start_daemon(&[settings[0], settings[1], hang]);
    wait_for_half_a_file(sandbox);
    daemon.kill();
    // Files come while the daemon is down.
    market.drop_dated(sandbox, Version::Second);
    let _daemon = sandbox.start_daemon(&settings);
    wait_for("six files to be synced", || {
        sandbox.rows("SELECT COUNT(*) FROM tidegate_files WHERE state = 'synced'") == ["6"]
    });
    for version in [Version::First, Version::Second] {
        market.drop_dated(&clean, version);
        sync_everything(&clean);
    }
    assert_same(&everything(sandbox), &everything(&clean), "the daemon was killed");
}

fn crash(market: &Market, sandbox: &Sandbox, failpoints: &str) {
    let killed = market.sync(sandbox, failpoints);
    assert_eq!(killed.exit, KILLED, "{failpoints}: {}", killed.stderr);
}

fn finish(market: &Market, sandbox: &Sandbox) {
    let report = market.sync(sandbox, "");
    assert_eq!(report.exit, 0, "{}", report.stderr);
}

fn sync_everything(sandbox: &Sandbox) {
    let report = sandbox.sync_with(&[SMALL_CHUNKS]);
    assert_eq!(report.exit, 0, "{}", report.stderr);
}

/// The resume files that are there.
fn checkpoints(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(sandbox.state_dir().join("checkpoints")).expect("a run made the directory");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

fn change(checkpoint: &Path, edit: impl Fn(&mut Value)) {
    let bytes = fs::read(checkpoint).expect("it is there");
    let mut json = serde_json::from_slice(&bytes).expect("a checkpoint is JSON");
    edit(&mut json);
    fs::write(checkpoint, json.to_string()).expect("it can be written");
}
