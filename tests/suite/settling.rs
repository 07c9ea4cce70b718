//! A file is taken once it is complete, whole, and once; and the daemon ends in seconds whatever it
//! does.

use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::Duration;

const ORDERS: &str = "Market 1 Orders.csv";
const HEADER: &str = "Order ID,Order Status,Order Total,Currency Symbol,Customer ID,Description\n";

/// The least memory: a file of more than 8 MB is read in blocks, and chunks are small.
const LITTLE_MEMORY: (&str, &str) = ("TIDEGATE_MEMORY_MAX_MB", "64");

/// What systemd's TimeoutStopSec leaves ample room for.
const STOP_MAX: Duration = Duration::from_secs(15);

/// Orders whose descriptions make them large, each with the same status.
fn large_orders(count: usize, status: &str) -> String {
    let description = "late ".repeat(200);
    let mut text = HEADER.to_owned();
    for id in 0..count {
        text += &format!("{id},{status},{id}.25,KSh,{},{description}\n", id % 100);
    }
    text
}

fn ledger(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT state, rows_read FROM tidegate_files ORDER BY id")
}

fn start(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Daemon {
    let daemon = sandbox.start_daemon(environment);
    daemon.wait_until_ready();
    daemon
}

#[test]
fn a_file_that_is_written_slowly_is_taken_once_and_whole() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = start(&sandbox, &[]);
    let mut file = fs::File::create(sandbox.inbox().join(ORDERS)).expect("a writable inbox");
    file.write_all(HEADER.as_bytes()).expect("space on the disk");
    // The pauses are the writer's: shorter and longer than settle_ms, which is 200.
    for (id, pause_ms) in [20, 20, 350, 20, 700, 20, 250].into_iter().enumerate() {
        sleep(Duration::from_millis(pause_ms));
        write!(file, "{id},COMPLETED,1,K").expect("space on the disk");
        sleep(Duration::from_millis(pause_ms));
        writeln!(file, "Sh,7,").expect("space on the disk");
    }
    assert_eq!(ledger(&sandbox), [""; 0], "nothing is taken while it is written");
    drop(file);
    wait_for("the file to be synced", || ledger(&sandbox) == ["synced|7"]);
    let lines = || daemon.log().matches("file synced").count();
    wait_for("its line in the log", || lines() > 0);
    assert_eq!(lines(), 1);
}

#[test]
fn a_file_that_is_reopened_after_closing_waits_for_its_next_close() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let _daemon = start(&sandbox, &[]);
    let path = sandbox.inbox().join(ORDERS);
    fs::write(&path, HEADER).expect("a writable inbox");
    let mut file = fs::File::options().append(true).open(&path).expect("it is there");
    writeln!(file, "1,COMPLETED,1,KSh,7,").expect("space on the disk");
    sleep(Duration::from_millis(600));
    assert_eq!(ledger(&sandbox), [""; 0], "it was closed once, but it is being written");
    writeln!(file, "2,COMPLETED,1,KSh,7,").expect("space on the disk");
    drop(file);
    wait_for("the file to be synced", || ledger(&sandbox) == ["synced|2"]);
}

#[test]
fn a_file_whose_times_are_set_after_closing_still_counts_as_closed() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let _daemon = start(&sandbox, &[("TIDEGATE_SETTLE_SCAN_MS", "3600000")]);
    let path = sandbox.inbox().join(ORDERS);
    fs::write(&path, large_orders(1, "COMPLETED")).expect("a writable inbox");
    // As `cp --preserve` and its like do, by path.
    let touched = std::process::Command::new("touch")
        .args(["-c", "-d", "2022-02-17 10:00"])
        .arg(&path)
        .status();
    assert!(touched.is_ok_and(|status| status.success()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("our own file");
    wait_for("the file to be synced", || ledger(&sandbox) == ["synced|1"]);
}

#[test]
fn a_file_that_is_removed_before_it_settles_leaves_no_trace() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = start(&sandbox, &[("TIDEGATE_SETTLE_MS", "1500")]);
    sandbox.drop_file(ORDERS, &large_orders(1, "COMPLETED"));
    fs::remove_file(sandbox.inbox().join(ORDERS)).expect("it is there");
    sandbox.drop_file("Market 2 Orders.csv", &large_orders(2, "COMPLETED"));
    wait_for("the other file to be synced", || ledger(&sandbox) == ["synced|2"]);
    assert!(!daemon.log().contains("Market 1"), "{}", daemon.log());
}

#[test]
fn a_file_that_is_overwritten_again_before_it_settles_is_taken_once_as_it_is_last() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = start(&sandbox, &[("TIDEGATE_SETTLE_MS", "1500")]);
    for count in [3, 2, 5] {
        sandbox.drop_file(ORDERS, &large_orders(count, "COMPLETED"));
    }
    wait_for("the last content to be synced", || ledger(&sandbox) == ["synced|5"]);
    // The line is written after the ledger.
    let lines = || daemon.log().matches("file synced").count();
    wait_for("its line in the log", || lines() > 0);
    assert_eq!(lines(), 1);
}

#[test]
fn a_file_that_is_overwritten_while_it_is_read_is_read_again_and_never_mixed() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let count = 12_000;
    sandbox.drop_file(ORDERS, &large_orders(count, "COMPLETED"));
    // Each chunk takes long enough that the second version comes in the middle of the first.
    let slowly = ("FAILPOINTS", "before_commit=sleep(100)");
    let daemon = start(&sandbox, &[LITTLE_MEMORY, slowly, ("TIDEGATE_SETTLE_SCAN_MS", "300")]);
    wait_for("the first chunks", || {
        sandbox.rows("SELECT CASE WHEN rows_read > 0 THEN 1 ELSE 0 END FROM tidegate_files")
            == ["1"]
    });
    sandbox.drop_file(ORDERS, &large_orders(count, "CANCELLED"));
    wait_for("the second version to be synced", || {
        ledger(&sandbox).last() == Some(&format!("synced|{count}"))
    });
    assert_eq!(
        sandbox.rows("SELECT order_status, COUNT(*) FROM orders GROUP BY 1"),
        [format!("CANCELLED|{count}")]
    );
    let states = sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
    assert_eq!(states, ["failed", "synced"], "the first one was not finished: {}", daemon.log());
    let clean = sandbox.sibling();
    clean.drop_file(ORDERS, &large_orders(count, "CANCELLED"));
    assert_eq!(clean.sync().exit, 0);
    assert_eq!(sandbox.dump(), clean.dump());
}

scenario!(a_long_sync_ends_within_seconds_of_the_signal_and_is_finished_by_the_next_start);
fn a_long_sync_ends_within_seconds_of_the_signal_and_is_finished_by_the_next_start(
    sandbox: &Sandbox,
) {
    let count = 6_000;
    sandbox.drop_file(ORDERS, &large_orders(count, "COMPLETED"));
    let soon = ("TIDEGATE_SETTLE_SCAN_MS", "1");
    let slowly = ("FAILPOINTS", "before_commit=sleep(300)");
    let mut daemon = start(sandbox, &[LITTLE_MEMORY, soon, slowly]);
    wait_for("the first chunks", || {
        sandbox.rows("SELECT CASE WHEN rows_read > 0 THEN 1 ELSE 0 END FROM tidegate_files")
            == ["1"]
    });
    let (exit, took) = daemon.terminate();
    assert_eq!(exit, 0, "{}", daemon.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let ledger_row = ledger(sandbox);
    assert!(ledger_row[0].starts_with("syncing|"), "it was cut short: {ledger_row:?}");

    let _daemon = start(sandbox, &[LITTLE_MEMORY, soon]);
    wait_for("the rest of the file", || ledger(sandbox) == [format!("synced|{count}")]);
    let clean = sandbox.sibling();
    clean.drop_file(ORDERS, &large_orders(count, "COMPLETED"));
    assert_eq!(clean.sync().exit, 0);
    assert_eq!(sandbox.dump(), clean.dump());
}

#[test]
fn a_chunk_that_hangs_does_not_hold_up_the_end() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon = start(&sandbox, &[("FAILPOINTS", "before_commit=sleep(600000)")]);
    sandbox.drop_file(ORDERS, &large_orders(1, "COMPLETED"));
    wait_for("the file to be taken", || ledger(&sandbox) == ["syncing|0"]);
    let (exit, took) = daemon.terminate();
    assert_eq!(exit, 0, "{}", daemon.log());
    assert!(took < STOP_MAX, "{took:?}");
    let _daemon = start(&sandbox, &[("TIDEGATE_SETTLE_SCAN_MS", "1")]);
    wait_for("the file to be synced", || ledger(&sandbox) == ["synced|1"]);
}

#[test]
fn a_sync_that_is_interrupted_says_so_and_can_be_finished() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &large_orders(3_000, "COMPLETED"));
    let mut command = sandbox.command(&["sync", "inbox"]);
    command
        .envs([LITTLE_MEMORY, ("FAILPOINTS", "before_commit=sleep(300)")])
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("the built program starts");
    wait_for("the first chunks", || {
        let read = sandbox
            .try_rows("SELECT CASE WHEN rows_read > 0 THEN 1 ELSE 0 END FROM tidegate_files");
        read.is_ok_and(|read| read == ["1"])
    });
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let output = child.wait_with_output().expect("a child of this process");
    assert_eq!(output.status.code(), Some(1), "not everything is done");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "tidegate: stopped\n");
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(ledger(&sandbox), ["synced|3000"]);
}
