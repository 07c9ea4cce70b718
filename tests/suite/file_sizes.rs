//! A file that is too large, or large and long in hand, holds up nobody else, and work on one that
//! is gone ends.

use crate::sandbox::{Engine, Sandbox, wait_for};
use std::fs;
use std::time::{Duration, Instant};

const ORDERS: &str = "Order ID,Order Status\n1,COMPLETED\n";
const SOON: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "50");

/// A file of that size without a byte on the disk.
fn drop_sparse(sandbox: &Sandbox, name: &str, bytes: u64) {
    let file = fs::File::create(sandbox.inbox().join(name)).expect("a writable inbox");
    file.set_len(bytes).expect("a file system with sparse files");
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    let inbox = format!("{}/", sandbox.inbox().display());
    let rows = sandbox.rows("SELECT path, state FROM tidegate_files ORDER BY path");
    rows.into_iter().map(|row| row.replace(&inbox, "")).collect()
}

scenario!(a_file_that_is_too_large_is_refused_before_it_is_read_and_tried_again_when_it_fits);
fn a_file_that_is_too_large_is_refused_before_it_is_read_and_tried_again_when_it_fits(
    sandbox: &Sandbox,
) {
    drop_sparse(sandbox, "Market 1 Orders.csv", 2 << 40);
    drop_sparse(sandbox, "unmatched.bin", 2 << 40);
    sandbox.drop_file("Market 2 Orders.csv", ORDERS);
    let started = Instant::now();
    for _ in 0..2 {
        let report = sandbox.sync();
        assert_eq!(report.exit, 1, "{}", report.stderr);
        for name in ["Market 1 Orders.csv", "unmatched.bin"] {
            assert_eq!(report.file(name).outcome, "quarantined", "{report:?}");
            let error = &report.file(name).error;
            assert!(error.contains("file_bytes_max") && error.contains("2199023255552"), "{error}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60), "terabytes take hours");
    let refused = [
        "Market 1 Orders.csv|quarantined",
        "Market 2 Orders.csv|synced",
        "unmatched.bin|quarantined",
    ]
    .map(str::to_owned);
    assert_eq!(states(sandbox), refused, "one line each");
    fs::remove_file(sandbox.inbox().join("unmatched.bin")).expect("it is there");
    sandbox.drop_file("Market 1 Orders.csv", ORDERS);
    let small = ("TIDEGATE_FILE_BYTES_MAX", "10");
    assert_eq!(sandbox.sync_with(&[small]).file("Market 1 Orders.csv").outcome, "quarantined");
    assert_eq!(sandbox.sync().file("Market 1 Orders.csv").outcome, "synced", "under another limit");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["2"]);
}

#[test]
fn a_daemon_looks_at_a_file_that_is_too_large_once() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    drop_sparse(&sandbox, "Market 1 Orders.csv", 2 << 40);
    let daemon = sandbox.start_daemon(&[SOON, ("TIDEGATE_SCAN_INTERVAL_MS", "50")]);
    daemon.wait_until_ready();
    for market in 2..5 {
        let name = format!("Market {market} Orders.csv");
        sandbox.drop_file(&name, ORDERS);
        wait_for(&name, || states(&sandbox).contains(&format!("{name}|synced")));
    }
    assert_eq!(states(&sandbox)[0], "Market 1 Orders.csv|quarantined");
    assert_eq!(daemon.log().matches("file quarantined").count(), 1, "{}", daemon.log());
}

#[test]
fn files_that_take_long_to_hash_hold_up_no_other_market_and_end_when_they_are_gone() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let large = ["Market 1 Orders.csv", "Market 2 Orders.csv", "Market 3 Orders.csv"];
    for name in large {
        drop_sparse(&sandbox, name, 2 << 40);
    }
    // Hours of hashing.
    let limit = ("TIDEGATE_FILE_BYTES_MAX", "9000000000000");
    let mut daemon = sandbox.start_daemon(&[limit, SOON]);
    daemon.wait_until_ready();
    for market in 4..8 {
        let name = format!("Market {market} Orders.csv");
        sandbox.drop_file(&name, ORDERS);
        wait_for(&name, || states(&sandbox).contains(&format!("{name}|synced")));
    }
    for name in large {
        fs::remove_file(sandbox.inbox().join(name)).expect("it is there");
    }
    wait_for("an end of the work on files that are gone", || {
        daemon.log().matches("file left for later").count() == 3
    });
    // Their lanes are free again.
    sandbox.drop_file(large[0], ORDERS);
    wait_for(large[0], || states(&sandbox).contains(&format!("{}|synced", large[0])));
    assert_eq!(daemon.terminate().0, 0);
}

#[test]
fn a_file_that_is_appended_to_for_ever_holds_back_no_newer_export_and_is_told() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let (restless, newer) = ("market-1-orders-2024-01-01.csv", "market-1-orders-2024-01-02.csv");
    let daemon = sandbox
        .start_daemon(&[("TIDEGATE_SETTLE_MAX_MS", "1500"), ("TIDEGATE_SETTLE_SCAN_MS", "60000")]);
    daemon.wait_until_ready();
    let path = sandbox.inbox().join(restless);
    let append = |text: &str| {
        use std::io::Write;
        let file = fs::File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a writable inbox");
    };
    append("Order ID,Order Status\n");
    sandbox.drop_file(newer, ORDERS);
    wait_for("the newer export", || {
        append("9,COMPLETED\n");
        states(&sandbox).contains(&format!("{newer}|synced"))
    });
    wait_for("the ledger to tell", || {
        append("9,COMPLETED\n");
        states(&sandbox).contains(&format!("{restless}|failed"))
    });
    let error = sandbox.rows("SELECT error FROM tidegate_files WHERE state = 'failed'");
    assert!(error[0].contains("settle_max_ms"), "{error:?}");
    let status = sandbox.command(&["status"]).output().expect("the built program starts");
    // Needing nobody, since the newer export has what it says; but told.
    let is_told = |line: &str| line.contains("failed") && line.contains(restless);
    assert!(String::from_utf8_lossy(&status.stdout).lines().any(is_told), "{status:?}");
    assert_eq!(daemon.log().matches("file passed by").count(), 1, "{}", daemon.log());
    // It is taken all the same when it settles.
    wait_for("the file itself", || states(&sandbox).contains(&format!("{restless}|synced")));
}
