//! The main file: after a clean end it is the whole SQLite database, and a copy of it alone holds
//! everything.

use crate::exports::{Background, SMALL_CHUNKS, wait_for_half_a_file};
use crate::sandbox::{DEADLINE, Engine, Sandbox, wait_for};
use crate::shop::Shop;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// What `cp` of the database's main file copies, in a sandbox of its own.
fn copied(sandbox: &Sandbox) -> Sandbox {
    let copy = sandbox.sibling();
    fs::copy(sandbox.path("database.sqlite"), copy.path("database.sqlite"))
        .expect("the database is there");
    copy
}

fn assert_whole(sandbox: &Sandbox, when: &str) {
    let log = sandbox.path("database.sqlite-wal");
    assert!(
        log.metadata().map_or(0, |log| log.len()) == 0,
        "{when}: rows are left in {}",
        log.display()
    );
    assert_eq!(copied(sandbox).dump(), sandbox.dump(), "{when}");
}

fn stop(signal: &str, id: u32) {
    let stopped = Command::new("kill").args([signal, &id.to_string()]).status();
    assert!(stopped.is_ok_and(|status| status.success()), "the process runs");
}

#[test]
fn a_copy_of_the_main_file_after_a_clean_end_holds_everything() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", &Shop::large(500, 0).orders_csv());
    assert_eq!(sandbox.sync().exit, 0);
    assert_whole(&sandbox, "after a sync");

    for signal in ["-INT", "-TERM"] {
        sandbox.drop_file(
            &format!("Market {signal} Orders.csv"),
            &Shop::large(12_000, 0).orders_csv(),
        );
        let command = sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()]);
        let mut sync = Background::start(
            &sandbox,
            command,
            &[SMALL_CHUNKS, ("FAILPOINTS", "before_write=sleep(100)")],
        );
        wait_for_half_a_file(&sandbox);
        stop(signal, sync.id());
        sync.finish();
        assert_whole(&sandbox, signal);
        assert_eq!(sandbox.sync().exit, 0);
    }
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "10")]);
    sandbox.drop_file("Market 2 Orders.csv", &Shop::large(500, 0).orders_csv());
    let synced = "SELECT id FROM tidegate_files WHERE market = '2' AND state = 'synced'";
    wait_for("the file to be synced", || sandbox.rows(synced).len() == 1);
    assert_eq!(daemon.terminate().0, 0);
    assert_whole(&sandbox, "after the daemon");
}

#[test]
fn what_an_approval_writes_is_in_the_main_file() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let deletes =
        [("TIDEGATE_CONFIG", sandbox.path("tidegate.toml").to_string_lossy().into_owned())];
    fs::write(sandbox.path("tidegate.toml"), "[datasets.orders]\ndeletes = \"remove\"\n")
        .expect("a writable directory");
    let environment = deletes.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut shop = Shop::large(500, 0);
    for exit in [0, 1] {
        sandbox.drop_file("Market 1 Orders.csv", &shop.orders_csv());
        assert_eq!(sandbox.sync_with(&environment).exit, exit);
        shop.orders.truncate(10);
    }
    let mut approve = sandbox.command(&["approve", "Market 1 Orders.csv"]);
    assert!(approve.envs(environment).status().is_ok_and(|status| status.success()));
    assert_whole(&sandbox, "after an approval");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["10"]);
}

/// A reader that is in the middle of something needs the log as it is.
#[test]
fn a_reader_that_holds_the_log_is_told_and_not_waited_for() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", &Shop::large(500, 0).orders_csv());
    assert_eq!(sandbox.sync().exit, 0);
    let reading = sandbox.hold_a_snapshot();
    sandbox.drop_file("Market 2 Orders.csv", &Shop::large(500, 0).orders_csv());
    let started = Instant::now();
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
    assert!(report.stderr.contains("-wal file"), "{}", report.stderr);
    sandbox.release(reading);
    assert_eq!(sandbox.sync().exit, 0);
    assert_whole(&sandbox, "when nobody reads any more");
}
