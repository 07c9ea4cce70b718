//! A path of a file is one path in the ledger and no other, whatever bytes are in it; and it never
//! leads out of the inbox.

use crate::exports::Background;
use crate::sandbox::{Engine, Sandbox, wait_for};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

const HEADER: &str = "Order ID,Order Status\n";

fn orders(id: &str) -> String {
    format!("{HEADER}{id},COMPLETED\n")
}

scenario!(two_names_are_two_paths_of_the_ledger_and_stay_the_same_two);
fn two_names_are_two_paths_of_the_ledger_and_stay_the_same_two(sandbox: &Sandbox) {
    // Bytes that are no text, and text that looks like them; case, ends and ways to write a letter
    // that some databases take for the same; letters of four bytes; line ends.
    let folders: [&[u8]; 16] = [
        b"\xFF",
        b"\\xFF",
        b"\\x5CxFF",
        b"\\xff",
        b"\xFE",
        b"a\nb",
        b"a b",
        "\u{e9}".as_bytes(),
        "e\u{301}".as_bytes(),
        "𠮷".as_bytes(),
        "😀".as_bytes(),
        b"x",
        b"X",
        b"x ",
        b"\\",
        b"x\\",
    ];
    for (number, folder) in folders.iter().enumerate() {
        let folder = sandbox.inbox().join(OsStr::from_bytes(folder));
        fs::create_dir(&folder).expect("a file system that takes any name");
        fs::write(folder.join("market-1-orders.csv"), orders(&number.to_string()))
            .expect("a writable inbox");
    }
    let first = sandbox.sync();
    assert_eq!(first.exit, 0, "{}", first.stderr);
    for _ in 0..2 {
        let again = sandbox.sync();
        assert!(again.files.iter().all(|file| file.outcome == "unchanged"), "{again:?}");
        assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_files"), ["16"]);
    }
    let paths: HashSet<String> =
        sandbox.rows("SELECT path FROM tidegate_files").into_iter().collect();
    assert_eq!(paths.len(), folders.len());
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["16"]);
    let daemon = sandbox
        .start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1"), ("TIDEGATE_SCAN_INTERVAL_MS", "50")]);
    daemon.wait_until_ready();
    sandbox.drop_file("market-2-orders.csv", &orders("1"));
    let count = "SELECT COUNT(*) FROM tidegate_files";
    wait_for("the file that came last", || sandbox.rows(count) == ["17"]);
    assert_eq!(
        daemon.log().matches("file unchanged").count(),
        0,
        "all are known: {}",
        daemon.log()
    );
}

scenario!(markets_whose_names_are_no_text_are_not_mixed);
fn markets_whose_names_are_no_text_are_not_mixed(sandbox: &Sandbox) {
    for name in [b"market-\xFF-orders.csv", b"market-\xFE-orders.csv"] {
        fs::write(sandbox.inbox().join(OsStr::from_bytes(name)), orders("1")).expect("any name");
    }
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(sandbox.rows("SELECT market FROM orders ORDER BY market"), ["\\xFE", "\\xFF"]);
}

scenario!(a_market_that_no_column_holds_is_listed_and_stops_nobody);
fn a_market_that_no_column_holds_is_listed_and_stops_nobody(sandbox: &Sandbox) {
    let name = format!("market-{}-orders.csv", "m".repeat(192));
    sandbox.drop_file(&name, &orders("1"));
    sandbox.drop_file("market-1-orders.csv", &orders("1"));
    let report = sandbox.sync();
    assert_eq!(report.file("market-1-orders.csv").outcome, "synced", "{report:?}");
    assert_eq!(report.file(&name).outcome, "unmatched", "{report:?}");
}

/// Two exports of one market, of which the second lies in a folder. While the first one is written,
/// the folder is swapped for a link to one outside of the inbox.
fn swap_while_the_first_is_written(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Background {
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).expect("a writable directory");
    fs::write(outside.join("market-1-orders-2024-01-02.csv"), orders("secret"))
        .expect("a writable directory");
    sandbox.drop_file("market-1-orders-2024-01-01.csv", &orders("1"));
    sandbox.drop_file("folder/market-1-orders-2024-01-02.csv", &orders("2"));
    let slowly = ("FAILPOINTS", "before_commit=1*sleep(3000)->off");
    let sync = Background::start(
        sandbox,
        sandbox.command(&["sync", "inbox"]),
        &[&[slowly], environment].concat(),
    );
    wait_for("the first file to be written", || {
        sandbox
            .try_rows("SELECT state FROM tidegate_files")
            .is_ok_and(|states| states == ["syncing"])
    });
    fs::rename(sandbox.inbox().join("folder"), sandbox.path("away")).expect("the same file system");
    symlink(&outside, sandbox.inbox().join("folder")).expect("a writable inbox");
    sync
}

#[test]
fn a_folder_that_is_swapped_for_a_link_after_it_was_found_leads_nowhere() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut sync = swap_while_the_first_is_written(&sandbox, &[]);
    assert_eq!(sync.finish(), 1, "{}", sync.log());
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), ["1"], "{}", sync.log());
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_files"), ["1"]);
}

#[test]
fn neither_archiving_nor_removing_follows_a_link() {
    for after_sync in ["archive", "delete"] {
        let sandbox = Sandbox::new(Engine::Sqlite);
        sandbox.drop_file("folder/market-1-orders.csv", &orders("1"));
        let outside = sandbox.path("outside");
        fs::create_dir(&outside).expect("a writable directory");
        // Held before the file is put away, and swapped for a link to a folder with the very same
        // file.
        let slowly = ("FAILPOINTS", "before_put_away=sleep(3000)");
        let mut sync = Background::start(
            &sandbox,
            sandbox.command(&["sync", "inbox"]),
            &[slowly, ("TIDEGATE_AFTER_SYNC", after_sync)],
        );
        wait_for("the file to be synced", || {
            sandbox
                .try_rows("SELECT state FROM tidegate_files")
                .is_ok_and(|states| states == ["synced"])
        });
        let file = "market-1-orders.csv";
        fs::rename(sandbox.inbox().join("folder").join(file), outside.join(file))
            .expect("the same file system");
        fs::remove_dir(sandbox.inbox().join("folder")).expect("it is empty");
        symlink(&outside, sandbox.inbox().join("folder")).expect("a writable inbox");
        assert_eq!(sync.finish(), 0, "{}", sync.log());
        assert!(outside.join(file).exists(), "{after_sync} reached out of the inbox");
    }
}

#[test]
fn a_link_in_the_archive_leads_nowhere() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let (archive, outside) = (sandbox.path("archive"), sandbox.path("outside"));
    fs::create_dir(&archive).expect("a writable directory");
    fs::create_dir(&outside).expect("a writable directory");
    symlink(&outside, archive.join("folder")).expect("a writable directory");
    sandbox.drop_file("folder/market-1-orders.csv", &orders("1"));
    let archive = archive.to_string_lossy();
    let settings = [("TIDEGATE_AFTER_SYNC", "archive"), ("TIDEGATE_ARCHIVE_DIR", archive.as_ref())];
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    let report = sandbox.sync_with(&[&settings[..], &[("TIDEGATE_INBOX", &inbox)]].concat());
    assert_eq!(report.exit, 0, "its rows are in the tables: {}", report.stderr);
    assert!(report.stderr.contains("stays in the inbox"), "{}", report.stderr);
    assert_eq!(fs::read_dir(outside).expect("it is there").count(), 0);
    assert!(sandbox.inbox().join("folder/market-1-orders.csv").exists());
}

#[test]
fn exported_rejects_are_not_written_through_a_link_below_the_directory() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox
        .drop_file("folder/market-1-orders.csv", "Order ID,Order Status\n1,A\n2,A\n3.68E+29,A\n");
    let percent = ("TIDEGATE_REJECTS_MAX_PERCENT", "90");
    assert_eq!(sandbox.sync_with(&[percent]).exit, 0);
    let (exported, outside) = (sandbox.path("exported"), sandbox.path("outside"));
    fs::create_dir(&exported).expect("a writable directory");
    fs::create_dir(&outside).expect("a writable directory");
    symlink(&outside, exported.join("folder")).expect("a writable directory");
    let export = || {
        let mut command = sandbox.command(&["rejects", "--export", "exported"]);
        command.env("TIDEGATE_INBOX", sandbox.inbox()).output().expect("the built program starts")
    };
    let output = export();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write"), "{output:?}");
    assert_eq!(fs::read_dir(&outside).expect("it is there").count(), 0);
    fs::remove_file(exported.join("folder")).expect("a link");
    assert_eq!(export().status.code(), Some(0));
    assert!(exported.join("folder/market-1-orders.rejects.csv").exists());
}
