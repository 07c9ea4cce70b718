//! The daemon takes what arrives, however it arrives, and leaves alone what is none of its
//! business.

use crate::sandbox::{Daemon, Engine, Sandbox, table, wait_for};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

const ORDERS: &str = "Market 1 Orders.csv";

/// Files that no event tells of settle soon, so that no test waits the default ten seconds.
const SOON: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "300");

/// An export of orders with these ids.
fn orders(ids: &[u32]) -> String {
    let mut text = table(&["Order ID,Order Status,Order Total,Currency Symbol,Customer ID"]);
    for id in ids {
        text += &format!("{id},COMPLETED,30.5,KSh,7\n");
    }
    text
}

/// Which files the ledger knows and in which state, oldest first.
fn ledger(sandbox: &Sandbox) -> Vec<String> {
    let inbox = format!("{}/", sandbox.inbox().display());
    let rows = sandbox.rows("SELECT path, state FROM tidegate_files ORDER BY id");
    rows.into_iter().map(|row| row.replace(&inbox, "")).collect()
}

fn wait_for_state(sandbox: &Sandbox, name: &str, state: &str) {
    let entry = format!("{name}|{state}");
    wait_for(&entry, || ledger(sandbox).contains(&entry));
}

fn start(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Daemon {
    let daemon = sandbox.start_daemon(&[&[SOON], environment].concat());
    daemon.wait_until_ready();
    daemon
}

scenario!(files_are_taken_when_copied_in_renamed_in_or_overwritten);
fn files_are_taken_when_copied_in_renamed_in_or_overwritten(sandbox: &Sandbox) {
    let _daemon = start(sandbox, &[]);
    sandbox.drop_file(ORDERS, &orders(&[1]));
    wait_for_state(sandbox, ORDERS, "synced");
    let outside = sandbox.path("export.csv");
    fs::write(&outside, orders(&[2])).expect("a writable directory");
    fs::rename(&outside, sandbox.inbox().join("Market 2 Orders.csv"))
        .expect("the same file system");
    wait_for_state(sandbox, "Market 2 Orders.csv", "synced");

    sandbox.drop_file(ORDERS, &orders(&[1, 3]));
    wait_for("the second version", || {
        ledger(sandbox).len() == 3 && ledger(sandbox)[2].ends_with("|synced")
    });
    fs::write(&outside, orders(&[2, 4])).expect("a writable directory");
    fs::rename(&outside, sandbox.inbox().join("Market 2 Orders.csv"))
        .expect("the same file system");
    wait_for("a version renamed over", || {
        ledger(sandbox).len() == 4 && ledger(sandbox)[3].ends_with("|synced")
    });
    let orders = sandbox.rows("SELECT market, order_id FROM orders ORDER BY market, order_id");
    assert_eq!(orders, ["1|1", "1|3", "2|2", "2|4"]);
}

#[test]
fn files_in_new_folders_are_taken() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let _daemon = start(&sandbox, &[]);
    sandbox.drop_file("market1/orders.csv", &orders(&[1]));
    sandbox.drop_file("deep/down/below/market3/orders.csv", &orders(&[3]));
    let outside = sandbox.path("market2");
    fs::create_dir(&outside).expect("a writable directory");
    fs::write(outside.join("orders.csv"), orders(&[2])).expect("a writable directory");
    fs::rename(&outside, sandbox.inbox().join("market2")).expect("the same file system");
    for name in ["market1/orders.csv", "market2/orders.csv", "deep/down/below/market3/orders.csv"] {
        wait_for_state(&sandbox, name, "synced");
    }
    // The new folders are watched from now on.
    sandbox.drop_file("market2/customers.json", r#"[{"customer_id": "7"}]"#);
    wait_for_state(&sandbox, "market2/customers.json", "synced");
}

#[test]
fn hidden_and_temporary_names_are_left_alone_until_they_are_renamed() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(".hidden/Market 5 Orders.csv", &orders(&[5]));
    let _daemon = start(&sandbox, &[("TIDEGATE_SCAN_INTERVAL_MS", "50")]);
    let names = [
        ".Market 1 Orders.csv",
        "Market 1 Orders.csv.part",
        "Market 1 Orders.csv.tmp",
        "Market 1 Orders.csv.crdownload",
        "Market 1 Orders.csv~",
        ".hidden/Market 4 Orders.csv",
    ];
    for name in names {
        sandbox.drop_file(name, &orders(&[1]));
    }
    sandbox.drop_file("Market 2 Orders.csv", &orders(&[2]));
    wait_for_state(&sandbox, "Market 2 Orders.csv", "synced");
    assert_eq!(ledger(&sandbox), ["Market 2 Orders.csv|synced"]);
    let inbox = sandbox.inbox();
    fs::rename(inbox.join("Market 1 Orders.csv.part"), inbox.join(ORDERS))
        .expect("the same directory");
    wait_for_state(&sandbox, ORDERS, "synced");
}

#[test]
fn links_are_not_followed() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let outside = sandbox.path("market4");
    fs::create_dir(&outside).expect("a writable directory");
    fs::write(outside.join("orders.csv"), orders(&[4])).expect("a writable directory");
    symlink(&outside, sandbox.inbox().join("market5")).expect("a writable inbox");
    let _daemon = start(&sandbox, &[("TIDEGATE_SCAN_INTERVAL_MS", "50")]);
    symlink(outside.join("orders.csv"), sandbox.inbox().join(ORDERS)).expect("a writable inbox");
    symlink(&outside, sandbox.inbox().join("market4")).expect("a writable inbox");
    fs::write(outside.join("orders.csv"), orders(&[4, 5])).expect("a writable directory");
    sandbox.drop_file("Market 2 Orders.csv", &orders(&[2]));
    wait_for_state(&sandbox, "Market 2 Orders.csv", "synced");
    assert_eq!(ledger(&sandbox), ["Market 2 Orders.csv|synced"]);
}

#[test]
fn an_inbox_may_be_named_by_a_link() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let link = sandbox.path("link");
    symlink(sandbox.inbox(), &link).expect("a writable directory");
    sandbox.drop_file(ORDERS, &orders(&[1]));
    let mut command = sandbox.command(&["--json", "sync", &link.to_string_lossy()]);
    assert!(command.output().expect("the built program starts").status.success());
    let _daemon = start(&sandbox, &[("TIDEGATE_INBOX", &link.to_string_lossy())]);
    sandbox.drop_file("Market 2 Orders.csv", &orders(&[2]));
    wait_for_state(&sandbox, "Market 2 Orders.csv", "synced");
    assert_eq!(
        ledger(&sandbox),
        [format!("{ORDERS}|synced"), "Market 2 Orders.csv|synced".to_owned()]
    );
}

#[test]
fn a_file_that_arrived_while_the_daemon_was_down_is_found() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon = start(&sandbox, &[]);
    sandbox.drop_file(ORDERS, &orders(&[1]));
    wait_for_state(&sandbox, ORDERS, "synced");
    assert_eq!(daemon.terminate().0, 0);
    sandbox.drop_file(ORDERS, &orders(&[1, 3]));
    sandbox.drop_file("market2/orders.csv", &orders(&[2]));
    let _daemon = start(&sandbox, &[]);
    wait_for_state(&sandbox, "market2/orders.csv", "synced");
    wait_for("three orders", || {
        sandbox.rows("SELECT order_id FROM orders ORDER BY 1") == ["1", "2", "3"]
    });
}

#[test]
fn an_inbox_that_is_removed_and_made_anew_is_watched_again() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = start(&sandbox, &[]);
    for (round, waits) in [(1, true), (2, false), (3, true)] {
        fs::remove_dir_all(sandbox.inbox()).expect("an inbox of our own");
        if waits {
            wait_for("the loss to be noticed", || {
                daemon.get("/readyz").is_some_and(|(status, _)| status == 503)
            });
        }
        fs::create_dir(sandbox.inbox()).expect("a writable directory");
        if waits {
            daemon.wait_until_ready();
        }
        let name = format!("Market {round} Orders.csv");
        sandbox.drop_file(&name, &orders(&[round]));
        wait_for_state(&sandbox, &name, "synced");
    }
}

#[test]
fn touching_a_file_makes_no_new_version() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon = start(&sandbox, &[]);
    sandbox.drop_file(ORDERS, &orders(&[1]));
    wait_for_state(&sandbox, ORDERS, "synced");
    let stamp = || sandbox.rows("SELECT modified_ns FROM tidegate_files");
    let version = sandbox.rows("SELECT version FROM tidegate_files");
    for hours in [1, 2] {
        let before = stamp();
        let file = fs::File::options()
            .append(true)
            .open(sandbox.inbox().join(ORDERS))
            .expect("it is there");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours))
            .expect("our own file");
        drop(file);
        wait_for("the new time to be noted", || stamp() != before);
    }
    sandbox.drop_file(ORDERS, &orders(&[1]));
    let before = stamp();
    wait_for("the same content again to be noted", || {
        stamp() != before || daemon.log().matches("unchanged\"").count() >= 3
    });
    assert_eq!(ledger(&sandbox), [format!("{ORDERS}|synced")]);
    assert_eq!(sandbox.rows("SELECT version FROM tidegate_files"), version);
    daemon.terminate();
}

#[test]
fn a_file_is_archived_after_the_commit_and_not_before() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let archive = ("TIDEGATE_AFTER_SYNC", "archive");
    let mut daemon = start(&sandbox, &[archive, ("FAILPOINTS", "before_commit=return")]);
    sandbox.drop_file("market1/orders.csv", &orders(&[1]));
    wait_for("the crash before the commit", || daemon.get("/healthz").is_none());
    daemon.kill();
    let archived = sandbox.state_dir().join("archive/market1/orders.csv");
    assert!(sandbox.inbox().join("market1/orders.csv").exists() && !archived.exists());
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), [""; 0]);

    let _daemon = start(&sandbox, &[archive]);
    wait_for("the file to be archived", || archived.exists());
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), ["1"]);
    assert!(!sandbox.inbox().join("market1/orders.csv").exists());
    assert_eq!(ledger(&sandbox), ["market1/orders.csv|synced"]);
    // A second version of the same name finds its own place, and a refused file stays.
    sandbox.drop_file("market1/orders.csv", &orders(&[1, 2]));
    wait_for("the second version to be archived", || archived.with_extension("csv.1").exists());
    sandbox.drop_file("market2/orders.csv", "Order ID,Order Total\n3.68E+29,1\n");
    wait_for_state(&sandbox, "market2/orders.csv", "quarantined");
    assert!(sandbox.inbox().join("market2/orders.csv").exists());
}

#[test]
fn a_refused_file_is_tried_again_only_with_other_content() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = start(&sandbox, &[("TIDEGATE_SCAN_INTERVAL_MS", "50")]);
    sandbox.drop_file(ORDERS, "Order ID,Order Total\n3.68E+29,1\n");
    wait_for_state(&sandbox, ORDERS, "quarantined");
    // A scan every 50 ms, and long enough that one would have taken it again.
    for market in 2..5 {
        let name = format!("Market {market} Orders.csv");
        sandbox.drop_file(&name, &orders(&[market]));
        wait_for_state(&sandbox, &name, "synced");
    }
    assert_eq!(daemon.log().matches("file quarantined").count(), 1, "{}", daemon.log());
    let refused = ledger(&sandbox).into_iter().filter(|entry| entry.starts_with(ORDERS)).count();
    assert_eq!(refused, 1);
    sandbox.drop_file(ORDERS, &orders(&[1]));
    wait_for_state(&sandbox, ORDERS, "synced");
    assert_eq!(sandbox.rows("SELECT order_id FROM orders WHERE market = '1'"), ["1"]);
}
