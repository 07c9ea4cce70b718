//! Memory does not grow with the ledger: neither with paths that are gone, nor with rejects, nor
//! with versions.

use crate::sandbox::{Engine, Sandbox, wait_for};
use std::fs;
use std::process::{Child, Command, Stdio};

/// Lines of the ledger, and open rejects: kept in memory, each of them took more than a kilobyte.
const LINES: usize = 100_000;

/// Versions of one path: kept in memory, each of them took more than a kilobyte.
const VERSIONS: usize = 200_000;

/// Much more than what any of it needs, and much less than all of the ledger.
const MEMORY_MAX_KB: u64 = 120_000;

const ORDERS: &str = "Order ID,Order Status\n1,COMPLETED\n";

/// The most memory that a process has had so far.
fn peak_kb(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Exit code and peak of a command that prints nothing to anybody.
fn run(mut command: Command) -> (i32, u64) {
    let mut child: Child = command.stdout(Stdio::null()).spawn().expect("the built program starts");
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return (status.code().unwrap_or(-1), peak);
        }
        peak = peak.max(peak_kb(child.id()).unwrap_or(0));
        std::thread::yield_now();
    }
}

/// A ledger with a file that is there, and a great many that are gone: synced, quarantined, or with
/// a reject.
fn large_ledger() -> Sandbox {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", ORDERS);
    assert_eq!(sandbox.sync().exit, 0);
    let columns = "dataset, market, sha256, size_bytes, version, rows_accepted, rows_duplicate, rows_skipped, rows_repaired, rows_rescued, rows_new, \
         rows_modified, rows_unchanged, rows_stale, rows_deleted, started_at, finished_at, modified_ns, inode, changed_ns, \
         transform";
    let header = r#"{"columns":["Order ID","Order Status"],"delimiter":",","quote":"\""}"#;
    sandbox.execute(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LINES}) \
         INSERT INTO tidegate_files (path, path_key, {columns}, state, error, rows_read, rows_rejected, header) \
         SELECT '/gone/' || hex(randomblob(40)) || i || '.csv', lower(hex(randomblob(32))), {columns}, \
         CASE i % 3 WHEN 0 THEN 'quarantined' ELSE 'synced' END, CASE i % 3 WHEN 0 THEN 'damaged' END, \
         rows_accepted + CASE i % 3 WHEN 1 THEN 1 ELSE 0 END, CASE i % 3 WHEN 1 THEN 1 ELSE 0 END, '{header}' \
         FROM n, (SELECT * FROM tidegate_files WHERE id = 1)"
    ));
    let rejects = "INSERT INTO tidegate_rejects (file_id, row_number, reason, raw)";
    sandbox.execute(&format!(
        "{rejects} SELECT id, 1, 'the row has no key', ',' || hex(randomblob(200)) FROM tidegate_files WHERE rows_rejected = 1"
    ));
    // One of them with a great many rows.
    sandbox.execute(&format!(
        "{rejects} SELECT (SELECT MIN(file_id) FROM tidegate_rejects), id + 1, 'the row has no key', ',' || hex(randomblob(200)) \
         FROM tidegate_files WHERE id > 2"
    ));
    sandbox.execute("UPDATE tidegate_files SET rows_rejected = (SELECT COUNT(*) FROM tidegate_rejects WHERE file_id = tidegate_files.id) WHERE rows_rejected > 0");
    sandbox.execute("UPDATE tidegate_files SET rows_read = rows_accepted + rows_rejected");
    sandbox
}

#[test]
fn commands_and_the_daemon_keep_nothing_of_a_large_ledger() {
    let sandbox = large_ledger();
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    for arguments in [
        &["status"][..],
        &["--json", "status"],
        &["rejects"],
        &["rejects", "--all"],
        &["--json", "rejects", "--all"],
        &["rejects", "Market 1 Orders.csv"],
        &["plan", "inbox"],
        &["verify"],
        &["alarms", "--all"],
    ] {
        let mut command = sandbox.command(arguments);
        command.env("TIDEGATE_INBOX", &inbox);
        let (exit, peak) = run(command);
        eprintln!("{arguments:?}: {peak} kB");
        assert_eq!(exit, 0, "{arguments:?}");
        assert!(peak < MEMORY_MAX_KB, "{arguments:?}: {peak} kB");
    }
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1")]);
    daemon.wait_until_ready();
    sandbox.drop_file("Market 2 Orders.csv", ORDERS);
    wait_for("another file", || {
        sandbox.rows(
            "SELECT COUNT(*) FROM tidegate_files WHERE path LIKE '%Market 2%' AND state = 'synced'",
        ) == ["1"]
    });
    for path in ["/metrics", "/api/status", "/"] {
        assert_eq!(daemon.get(path).map(|(status, _)| status), Some(200), "{path}");
    }
    let peak = peak_kb(daemon.id()).expect("it runs");
    eprintln!("run: {peak} kB");
    assert!(peak < MEMORY_MAX_KB, "{peak} kB");
    assert!(
        !daemon.log().contains("Market 1 Orders"),
        "what the ledger knows is not looked at again: {}",
        daemon.log()
    );
    assert_eq!(daemon.terminate().0, 0);
}

/// A ledger with a great many versions of the one file that is there.
fn ledger_of_versions() -> Sandbox {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", ORDERS);
    assert_eq!(sandbox.sync().exit, 0);
    let columns = "path, path_key, dataset, market, sha256, version, state, rows_read, rows_accepted, rows_duplicate, \
         rows_rejected, rows_skipped, rows_repaired, rows_rescued, rows_new, rows_modified, rows_unchanged, rows_stale, \
         rows_deleted, started_at, finished_at, modified_ns, inode, changed_ns, transform, error";
    let values = columns.replace("error", "'damaged'").replace("state", "'failed'");
    // The version that is there is the newest.
    sandbox.execute(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {VERSIONS}) \
         INSERT INTO tidegate_files (id, {columns}, size_bytes) \
         SELECT -i, {values}, i FROM n, (SELECT * FROM tidegate_files WHERE id = 1)"
    ));
    sandbox
}

#[test]
fn commands_and_the_daemon_keep_nothing_of_the_versions_of_a_path() {
    let sandbox = ledger_of_versions();
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    for arguments in [
        &["status"][..],
        &["--json", "status"],
        &["sync", "inbox"],
        &["plan", "inbox"],
        &["rejects", "Market 1 Orders.csv"],
        &["check"],
    ] {
        let mut command = sandbox.command(arguments);
        command.env("TIDEGATE_INBOX", &inbox);
        let (exit, peak) = run(command);
        eprintln!("{arguments:?}: {peak} kB");
        assert_eq!(exit, 0, "{arguments:?}");
        assert!(peak < MEMORY_MAX_KB, "{arguments:?}: {peak} kB");
    }
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1")]);
    daemon.wait_until_ready();
    sandbox.drop_file("Market 1 Orders.csv", &ORDERS.replace("COMPLETED", "CANCELLED"));
    wait_for("the next version", || {
        sandbox.rows("SELECT order_status FROM orders") == ["CANCELLED"]
    });
    for path in ["/metrics", "/api/status", "/"] {
        assert_eq!(daemon.get(path).map(|(status, _)| status), Some(200), "{path}");
    }
    let peak = peak_kb(daemon.id()).expect("it runs");
    eprintln!("run: {peak} kB");
    assert!(peak < MEMORY_MAX_KB, "{peak} kB");
    assert_eq!(daemon.terminate().0, 0);
}

#[test]
fn a_great_many_rejects_are_exported_a_page_at_a_time() {
    let sandbox = large_ledger();
    sandbox.execute("DELETE FROM tidegate_rejects WHERE file_id > (SELECT MIN(file_id) + 30 FROM tidegate_rejects)");
    let (exit, peak) = run(sandbox.command(&["rejects", "--export", "exported"]));
    eprintln!("{peak} kB");
    assert_eq!(exit, 0);
    assert!(peak < MEMORY_MAX_KB, "{peak} kB");
    let files: Vec<fs::DirEntry> =
        fs::read_dir(sandbox.path("exported")).expect("it is there").flatten().collect();
    assert!(files.len() > 5, "{files:?}");
    let rows: usize = files
        .iter()
        .map(|file| fs::read_to_string(file.path()).expect("readable").lines().count() - 1)
        .sum();
    assert_eq!([rows.to_string()], *sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects"));
}
