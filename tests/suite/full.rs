//! Full: a disk that is full, and a state directory that is gone, cost time or nothing, and are
//! said.

use crate::exports::{
    Market, SMALL_CHUNKS, Version, assert_same, is_as_after_a_clean_run, wait_for_synced,
};
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
    fn mount(at: &Path, kibibytes: u32) -> Option<Self> {
        fs::create_dir(at).expect("a writable temporary directory");
        let size = format!("size={kibibytes}k");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    /// Makes room for everything.
    fn grow(&self) {
        let remount = ["-o", "remount,size=256m"];
        let grown = Command::new("mount").args(remount).arg(&self.0).status();
        assert!(grown.is_ok_and(|status| status.success()), "who mounted it can mount it again");
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
    let Some(disk) = SmallDisk::mount(&place, 24 << 10) else {
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

/// Sizes of a disk that a database of [`orders`] outgrows: early in the first chunk, later in it,
/// and afterwards.
const OUTGROWN_KIB: [u32; 3] = [1_200, 5_500, 9_000];

const ROWS: usize = 20_000;

/// The table of a file is made as the file has it.
const MAKE_TABLES: [(&str, &str); 2] =
    [("TIDEGATE_UNMATCHED", "create"), ("TIDEGATE_UNMATCHED_KEY", "id")];

/// An export with marts.
fn orders() -> String {
    let rows = (0..ROWS).map(|number| {
        let (customer, merchant, day) = (number % 3_000, number % 40, number % 28 + 1);
        format!(
            "{number},COMPLETED,S{merchant},1,5,5,5,KSh,{customer},2022-02-{day:02}T16:36:27.000Z,1\n"
        )
    });
    "Order ID,Order Status,SKU,Quantity,Unit Price,Total Price,Order Total,Currency Symbol,Customer ID,Order Time,Distance (in km)\n"
        .to_owned()
        + &rows.collect::<String>()
}

/// An export that nothing is declared about; it is taken with [`MAKE_TABLES`].
fn stock() -> String {
    let rows = (0..ROWS).map(|number| format!("k{number},{}{number}\n", "x".repeat(60)));
    "id,v\n".to_owned() + &rows.collect::<String>()
}

/// A sandbox whose database alone is on a disk of this size.
fn on_a_small_disk(kibibytes: u32) -> Option<(SmallDisk, Sandbox)> {
    let mut sandbox = Sandbox::new(Engine::Sqlite);
    let place = sandbox.path("small");
    let disk = SmallDisk::mount(&place, kibibytes)?;
    sandbox.url = format!("sqlite://{}", place.join("database.sqlite").display());
    Some((disk, sandbox))
}

/// Panics if a transaction was left open on its connection.
fn nothing_stayed_open(log: &str, story: &str) {
    for word in ["is locked", "within a transaction", "no transaction is active"] {
        assert!(!log.contains(word), "{story}: {word}: {log}");
    }
}

#[test]
fn a_disk_that_fills_up_in_a_larger_file_is_waited_for_and_the_work_goes_on_by_itself() {
    let clean = Sandbox::new(Engine::Sqlite);
    clean.drop_file("Market 1 Orders.csv", &orders());
    assert_eq!(clean.sync().exit, 0);
    let clean = clean.dump();
    for kibibytes in OUTGROWN_KIB {
        let story = format!("a disk of {kibibytes} KiB");
        let Some((disk, sandbox)) = on_a_small_disk(kibibytes) else {
            eprintln!("not tested: only root may mount a small file system");
            return;
        };
        let mut daemon = sandbox.start_daemon(&[SETTLED_SOON]);
        daemon.wait_until_ready();
        sandbox.drop_file("Market 1 Orders.csv", &orders());
        wait_for(&format!("the daemon to wait on {story}"), || {
            daemon.log().matches("the disk is full").count() >= 4
        });
        wait_for(&format!("the daemon not to be ready on {story}"), || {
            daemon
                .get("/readyz")
                .is_some_and(|(status, body)| status == 503 && body.contains("disk is full"))
        });
        nothing_stayed_open(&daemon.log(), &story);
        disk.grow();
        wait_for_synced(&sandbox, 1);
        daemon.wait_until_ready();
        nothing_stayed_open(&daemon.log(), &story);
        assert_eq!(daemon.terminate().0, 0, "{story}");
        assert_same(&sandbox.dump(), &clean, &story);
        let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
        assert!(verified.status.success(), "{story}: {verified:?}");
    }
}

#[test]
fn a_sync_that_a_full_disk_ends_says_so_and_the_next_one_ends_right() {
    for kibibytes in [1_200, 1_500] {
        let story = format!("a disk of {kibibytes} KiB");
        let Some((disk, sandbox)) = on_a_small_disk(kibibytes) else {
            eprintln!("not tested: only root may mount a small file system");
            return;
        };
        sandbox.drop_file("stock.csv", &stock());
        let short = [MAKE_TABLES[0], MAKE_TABLES[1], ("TIDEGATE_DATABASE_WAIT_MS", "5000")];
        let report = sandbox.sync_with(&short);
        assert_eq!(report.exit, 3, "{story}: {}", report.stderr);
        let last_word = report.stderr.lines().last().unwrap_or_default();
        assert!(last_word.contains("disk is full"), "{story}: {}", report.stderr);
        nothing_stayed_open(&report.stderr, &story);
        disk.grow();
        let report = sandbox.sync_with(&MAKE_TABLES);
        assert_eq!(report.exit, 0, "{story}: {}", report.stderr);
        let rows = sandbox.rows("SELECT COUNT(*), COUNT(DISTINCT id), MIN(LENGTH(v)) FROM stock");
        assert_eq!(rows, [format!("{ROWS}|{ROWS}|61")], "{story}");
        assert_eq!(sandbox.rows("PRAGMA integrity_check"), ["ok"], "{story}");
    }
}

#[test]
fn a_full_disk_under_what_is_unpacked_is_waited_for_and_said() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let place = sandbox.path("small");
    let Some(disk) = SmallDisk::mount(&place, 24 << 10) else {
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
    let Some(disk) = SmallDisk::mount(&place, 1 << 10) else {
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

scenario!(without_a_descriptor_for_its_checkpoint_a_file_goes_on_and_it_is_said);
fn without_a_descriptor_for_its_checkpoint_a_file_goes_on_and_it_is_said(sandbox: &Sandbox) {
    let market = Market::new("1");
    // While it sleeps, the first chunk is committed and has no checkpoint.
    let sleeps = ("FAILPOINTS", "before_checkpoint=1*sleep(4000)");
    let mut daemon = sandbox.start_daemon(&[SMALL_CHUNKS, SETTLED_SOON, sleeps]);
    daemon.wait_until_ready();
    let (_, orders) = market.files(Version::First).into_iter().find(is_orders).expect("orders");
    sandbox.drop_file("market-1/orders.csv", &orders);
    wait_for("the first chunk", || sandbox.rows("SELECT COUNT(*) FROM orders") != ["0"]);
    let allowed = set_descriptors_max(daemon.id(), 0);
    wait_for("the daemon to go on without", || {
        let log = daemon.log();
        log.contains("going on without checkpoints") && log.contains("Too many open files")
    });
    set_descriptors_max(daemon.id(), allowed);
    wait_for_synced(sandbox, 1);
    daemon.wait_until_ready();
    assert_eq!(daemon.terminate().0, 0);
    let clean = sandbox.sibling();
    clean.drop_file("market-1/orders.csv", &orders);
    assert_eq!(clean.sync_with(&[SMALL_CHUNKS]).exit, 0);
    assert_same(&sandbox.dump(), &clean.dump(), "without a descriptor");
}

fn is_orders((name, _): &(&'static str, String)) -> bool {
    name.contains("rders")
}

/// Sets how many files and connections a process may have open from now on, and returns how many it
/// was allowed before. Those that it has stay open.
fn set_descriptors_max(id: u32, most: u64) -> u64 {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).expect("it runs");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let allowed: Vec<u64> =
        line.into_iter().flat_map(str::split_whitespace).flat_map(str::parse).collect();
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: Some(most), maximum: allowed.get(1).copied() };
    prlimit(pid, Resource::Nofile, limit).expect("a process of this user");
    allowed[0]
}
