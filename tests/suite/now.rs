//! Now: numbers that call somebody go back when there is nothing to look after any more.

use crate::sandbox::{Engine, Sandbox, table, wait_for};
use serde_json::{Value, json};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const HEADER: &str = "Order ID,Order Status,Order Total,Currency Symbol,Customer ID";
const GOOD: &str = "11,COMPLETED,30.5,KSh,7";
const LOST_KEY: &str = "3.68E+29,COMPLETED,30.5,KSh,7";

fn status(sandbox: &Sandbox) -> Value {
    let output = sandbox.command(&["--json", "status"]).output().expect("the built program starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Files in a state, as status counts them.
fn count(sandbox: &Sandbox, state: &str) -> u64 {
    status(sandbox)["files"][state].as_u64().expect("every state is counted")
}

fn remove(sandbox: &Sandbox, name: &str) {
    fs::remove_file(sandbox.inbox().join(name)).expect("it is there");
}

scenario!(a_refused_file_counts_until_it_is_removed_or_corrected);
fn a_refused_file_counts_until_it_is_removed_or_corrected(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &table(&[HEADER, LOST_KEY]));
    sandbox.drop_file("notes.txt", "remember the milk");
    assert_eq!(sandbox.sync().exit, 1);
    assert_eq!((count(sandbox, "quarantined"), count(sandbox, "unmatched")), (1, 1));
    remove(sandbox, ORDERS);
    remove(sandbox, "notes.txt");
    assert_eq!(sandbox.sync().exit, 0);
    let after = status(sandbox);
    assert_eq!(
        (&after["files"]["quarantined"], &after["files"]["unmatched"]),
        (&json!(0), &json!(0)),
        "{after}"
    );
    assert_eq!(after["refused"], json!([]));

    sandbox.drop_file(ORDERS, &table(&[HEADER, LOST_KEY]));
    assert_eq!(sandbox.sync().exit, 1);
    assert_eq!(count(sandbox, "quarantined"), 1, "it is there again");
    sandbox.drop_file(ORDERS, &table(&[HEADER, GOOD]));
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!((count(sandbox, "quarantined"), count(sandbox, "synced")), (0, 1));
    sandbox.drop_file(ORDERS, &table(&[HEADER, &GOOD.replace("30.5", "31.5")]));
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(count(sandbox, "synced"), 1, "two versions of one file");
}

scenario!(a_newer_full_export_takes_the_place_of_a_refused_one_and_a_delta_does_not);
fn a_newer_full_export_takes_the_place_of_a_refused_one_and_a_delta_does_not(sandbox: &Sandbox) {
    let delta = [("TIDEGATE_CONFIG", sandbox.path("delta.toml").to_string_lossy().into_owned())];
    fs::write(sandbox.path("delta.toml"), "[datasets.orders]\nkind = \"delta\"\n")
        .expect("a writable directory");
    let delta: Vec<(&str, &str)> =
        delta.iter().map(|(name, value)| (*name, value.as_str())).collect();
    sandbox.drop_file("market-1-orders-2024-03-01.csv", &table(&[HEADER, LOST_KEY]));
    assert_eq!(sandbox.sync_with(&delta).exit, 1);
    sandbox.drop_file("market-1-orders-2024-03-02.csv", &table(&[HEADER, GOOD]));
    assert_eq!(sandbox.sync_with(&delta).exit, 1, "it is still refused");
    let output = sandbox
        .command(&["--json", "status"])
        .envs(delta)
        .output()
        .expect("the built program starts");
    let of_deltas: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(of_deltas["files"]["quarantined"], 1, "what it says is missing: {of_deltas}");
    sandbox.sync();
    assert_eq!(count(sandbox, "quarantined"), 0, "the newest full export says everything");
    sandbox.drop_file("market-2-orders-2024-03-03.csv", &table(&[HEADER, LOST_KEY]));
    sandbox.sync();
    assert_eq!(count(sandbox, "quarantined"), 1, "another market's");
}

scenario!(open_rejects_count_while_their_file_is_there_or_was_archived);
fn open_rejects_count_while_their_file_is_there_or_was_archived(sandbox: &Sandbox) {
    let half = ("TIDEGATE_REJECTS_MAX_PERCENT", "50");
    let rejects = || status(sandbox)["rejects_open"].as_u64().expect("a number");
    sandbox.drop_file(ORDERS, &table(&[HEADER, GOOD, LOST_KEY]));
    assert_eq!(sandbox.sync_with(&[half]).exit, 0);
    assert_eq!(rejects(), 1);
    remove(sandbox, ORDERS);
    assert_eq!(sandbox.sync_with(&[half]).exit, 0);
    assert_eq!((rejects(), &status(sandbox)["rejects"]), (0, &json!([])));

    let archive = [half, ("TIDEGATE_AFTER_SYNC", "archive")];
    sandbox.drop_file("Market 2 Orders.csv", &table(&[HEADER, GOOD, LOST_KEY]));
    assert_eq!(sandbox.sync_with(&archive).exit, 0);
    assert_eq!(sandbox.sync_with(&archive).exit, 0);
    assert_eq!(rejects(), 1, "tidegate itself put the file away");
}

#[test]
fn monitoring_sees_the_end_of_a_refused_file_that_is_removed_beside_the_daemon() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &table(&[HEADER, LOST_KEY]));
    let daemon = sandbox
        .start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1"), ("TIDEGATE_SCAN_INTERVAL_MS", "100")]);
    daemon.wait_until_ready();
    let says = |number: u64| {
        let sample = format!("tidegate_files{{state=\"quarantined\"}} {number}\n");
        daemon.get("/metrics").is_some_and(|(_, body)| body.contains(&sample))
    };
    wait_for("the file to be refused", || says(1));
    remove(&sandbox, ORDERS);
    wait_for("the number to go back", || says(0));
}
