//! Full: a disk that is full, and a state directory that is gone, cost time or nothing, and are
//! said.

use crate::exports::{Market, SMALL_CHUNKS, Version, is_as_after_a_clean_run, wait_for_synced};
use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const SETTLED_SOON: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "100");

/// A small file system in memory, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this process may not mount one; the test that asks then says so.
    fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        fs::create_dir(at).expect("a writable temporary directory");
        let size = format!("size={mebibytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    /// Fills it to the last byte.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).expect("an empty file fits");
        for bytes in [1 << 20, 4096, 1] {
            while file.write_all(&vec![b'x'; bytes]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still have a file of it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_under_sqlite_is_waited_for_and_said() {
    let mut sandbox = Sandbox::new(Engine::Sqlite);
    let place = sandbox.path("small");
    let Some(disk) = SmallDisk::mount(&place, 24) else {
        eprintln!("not tested: only root may mount a small file system");
        return;
    };
    sandbox.url = format!("sqlite://{}", place.join("database.sqlite").display());
    let market = Market::new("1");
    let state_dir = place.join("state").display().to_string();
    let mut daemon: Daemon =
        sandbox.start_daemon(&[SMALL_CHUNKS, SETTLED_SOON, ("TIDEGATE_STATE_DIR", &state_dir)]);
    daemon.wait_until_ready();
    let ballast = disk.fill();
    market.drop_version(&sandbox, Version::First);
    wait_for("the daemon to wait", || {
        let log = daemon.log();
        log.contains("waiting for the database") && log.contains("the disk is full")
    });
    assert!(daemon.is_running());
    fs::remove_file(ballast).expect("it is there");
    wait_for_synced(&sandbox, 3);
    daemon.wait_until_ready();
    assert_eq!(daemon.terminate().0, 0);
    is_as_after_a_clean_run(&sandbox, &market, &[Version::First]);
}

#[test]
fn a_full_disk_under_what_is_unpacked_is_waited_for_and_said() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let place = sandbox.path("small");
    let Some(disk) = SmallDisk::mount(&place, 24) else {
        eprintln!("not tested: only root may mount a small file system");
        return;
    };
    let state_dir = place.display().to_string();
    let environment = [SMALL_CHUNKS, SETTLED_SOON, ("TIDEGATE_STATE_DIR", state_dir.as_str())];
    let daemon = sandbox.start_daemon(&environment);
    daemon.wait_until_ready();
    let ballast = disk.fill();
    // More than the eighth of the memory that is kept there.
    let rows: String = (0..9000).map(|number| format!("{number},{}\n", "x".repeat(1000))).collect();
    let packed =
        zstd::encode_all(format!("Order ID,Description\n{rows}").as_bytes(), 1).expect("it packs");
    sandbox.drop_file("Market 1 Orders.csv.zst", &packed);
    wait_for("the daemon to wait", || daemon.log().contains("waiting for room in state_dir"));
    fs::remove_file(ballast).expect("it is there");
    wait_for_synced(&sandbox, 1);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["9000"]);
}

scenario!(a_state_directory_that_is_full_costs_nothing_and_is_said_once);
fn a_state_directory_that_is_full_costs_nothing_and_is_said_once(sandbox: &Sandbox) {
    let place = sandbox.path("small");
    let Some(disk) = SmallDisk::mount(&place, 1) else {
        eprintln!("not tested: only root may mount a small file system");
        return;
    };
    let market = Market::new("1");
    let state_dir = place.join("state").display().to_string();
    let environment = [SMALL_CHUNKS, SETTLED_SOON, ("TIDEGATE_STATE_DIR", state_dir.as_str())];
    let mut daemon = sandbox.start_daemon(&environment);
    daemon.wait_until_ready();
    let ballast = disk.fill();
    market.drop_version(sandbox, Version::First);
    wait_for_synced(sandbox, 3);
    let log = daemon.log();
    assert_eq!(log.matches("going on without checkpoints").count(), 1, "{log}");
    fs::remove_file(ballast).expect("it is there");
    market.drop_version(sandbox, Version::Second);
    wait_for_synced(sandbox, 6);
    assert!(daemon.log().contains("checkpoints are kept again"), "{}", daemon.log());
    assert_eq!(daemon.terminate().0, 0);
    is_as_after_a_clean_run(sandbox, &market, &[Version::First, Version::Second]);
}

scenario!(a_state_directory_that_is_gone_costs_nothing_and_is_said_once);
fn a_state_directory_that_is_gone_costs_nothing_and_is_said_once(sandbox: &Sandbox) {
    let market = Market::new("1");
    let mut daemon = sandbox.start_daemon(&[SMALL_CHUNKS, SETTLED_SOON]);
    daemon.wait_until_ready();
    fs::remove_dir_all(sandbox.state_dir()).expect("the daemon made it");
    fs::write(sandbox.state_dir(), "no directory").expect("a writable temporary directory");
    market.drop_version(sandbox, Version::First);
    wait_for_synced(sandbox, 3);
    market.drop_version(sandbox, Version::Second);
    wait_for_synced(sandbox, 6);
    let log = daemon.log();
    for what in ["checkpoints", "indexes of records"] {
        assert_eq!(log.matches(&format!("going on without {what}")).count(), 1, "{log}");
    }
    fs::remove_file(sandbox.state_dir()).expect("it is there");
    sandbox.drop_file("Market 2 Orders.csv", "Order ID,SKU\n1,A\n");
    wait_for_synced(sandbox, 7);
    assert!(daemon.log().contains("checkpoints are kept again"), "{}", daemon.log());
    sandbox.execute("DELETE FROM tidegate_files WHERE market = '2'");
    assert_eq!(daemon.terminate().0, 0);
    for table in
        ["orders", "order_items", "customer_metrics", "product_metrics", "merchant_metrics"]
    {
        sandbox.execute(&format!("DELETE FROM {table} WHERE market = '2'"));
    }
    let (dump, clean) = (sandbox.dump(), sandbox.sibling());
    for version in [Version::First, Version::Second] {
        market.drop_version(&clean, version);
        assert_eq!(market.sync(&clean, "").exit, 0);
    }
    for table in
        ["customers", "orders", "order_items", "deliveries", "delivery_items", "customer_metrics"]
    {
        assert_eq!(dump[table], clean.dump()[table], "{table}");
    }
}
