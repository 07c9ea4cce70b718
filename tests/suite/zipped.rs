//! Zipped: members of archives are files of their own, and nothing that an archive holds leads out
//! of it.

use crate::forms::{gzip, zip};
use crate::sandbox::{Report, Sandbox, wait_for};
use std::fs;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const ORDERS: &str = "Order ID,SKU,Description\n11,A,x\n12,B,y\n";

fn outcomes(report: &Report) -> Vec<String> {
    let mut outcomes: Vec<String> =
        report.files.iter().map(|file| format!("{} {}", file.name, file.outcome)).collect();
    outcomes.sort();
    outcomes
}

fn ledger(sandbox: &Sandbox) -> Vec<String> {
    let inbox = sandbox.inbox().canonicalize().expect("it is there").display().to_string();
    let rows =
        sandbox.rows("SELECT path, dataset, market, state FROM tidegate_files ORDER BY path, id");
    rows.iter().map(|row| row.replace(&format!("{inbox}/"), "")).collect()
}

scenario!(members_are_files_of_their_own);
fn members_are_files_of_their_own(sandbox: &Sandbox) {
    let bytes = zip(&[
        ("Market 1 Orders.csv", ORDERS.as_bytes()),
        ("deep/er/market-2-orders.csv.gz", &gzip(ORDERS.as_bytes())),
        ("notes.md", b"# hello"),
        ("__MACOSX/._Market 1 Orders.csv", b"junk"),
        (".hidden/Market 3 Orders.csv", ORDERS.as_bytes()),
        ("Market 4 Orders.csv.part", ORDERS.as_bytes()),
    ]);
    sandbox.drop_file("export.zip", &bytes);
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        ledger(sandbox),
        [
            "export.zip/Market 1 Orders.csv|orders|1|synced",
            "export.zip/deep/er/market-2-orders.csv.gz|orders|2|synced",
            "export.zip/notes.md|-|-|unmatched",
        ]
    );
    assert_eq!(
        sandbox.rows("SELECT market, order_id FROM orders ORDER BY market, order_id"),
        ["1|11", "1|12", "2|11", "2|12"]
    );
    let sizes = "SELECT size_bytes FROM tidegate_files WHERE market = '1'";
    assert_eq!(sandbox.rows(sizes), [ORDERS.len().to_string()]);
    assert_eq!(
        outcomes(&sandbox.sync()),
        ["Market 1 Orders.csv unchanged", "market-2-orders.csv.gz unchanged", "notes.md unmatched"]
    );
    // Another archive with one member changed.
    let changed = ORDERS.replace(",y", ",z");
    sandbox.drop_file(
        "export.zip",
        &zip(&[
            ("Market 1 Orders.csv", changed.as_bytes()),
            ("deep/er/market-2-orders.csv.gz", &gzip(ORDERS.as_bytes())),
        ]),
    );
    let report = sandbox.sync();
    assert_eq!(report.file("Market 1 Orders.csv").changes(), (0, 1, 3, 0), "{report:?}");
    assert_eq!(report.file("market-2-orders.csv.gz").outcome, "unchanged");
    // A member by its path.
    let member = sandbox.inbox().join("export.zip/Market 1 Orders.csv").display().to_string();
    let named = sandbox.command(&["--json", "sync", &member]).output().expect("it starts");
    assert_eq!(outcomes(&Report::of(&named)), ["Market 1 Orders.csv unchanged"]);
}

scenario!(a_members_market_is_the_folder_of_its_archive: sqlite);
fn a_members_market_is_the_folder_of_its_archive(sandbox: &Sandbox) {
    let configuration = sandbox.path("tidegate.toml");
    let text = "[datasets.sales]\nheader_has = [\"Sale\", \"Sum\"]\nkey = \"sale\"\n";
    fs::write(&configuration, text).expect("a writable temporary directory");
    let sales = b"Sale,Sum\ns1,2\n".as_slice();
    sandbox.drop_file("north/Market 7.zip", &zip(&[("inner/whatever.csv", sales)]));
    sandbox.drop_file(
        "market 5/all-2024-03-01.zip",
        &zip(&[("orders.csv", ORDERS.as_bytes()), ("s.csv", sales)]),
    );
    let configuration = configuration.to_string_lossy().into_owned();
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", configuration.as_str())]);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        ledger(sandbox),
        [
            "market 5/all-2024-03-01.zip/orders.csv|orders|5|synced",
            "market 5/all-2024-03-01.zip/s.csv|sales|market 5|synced",
            "north/Market 7.zip/inner/whatever.csv|sales|north|synced",
        ]
    );
}

scenario!(names_that_lead_elsewhere_are_told_and_never_read);
fn names_that_lead_elsewhere_are_told_and_never_read(sandbox: &Sandbox) {
    let bytes = zip(&[
        ("Market 1 Orders.csv", ORDERS.as_bytes()),
        ("../Market 2 Orders.csv", ORDERS.as_bytes()),
        ("/tmp/Market 3 Orders.csv", ORDERS.as_bytes()),
        ("a\\Market 4 Orders.csv", ORDERS.as_bytes()),
        ("a//Market 5 Orders.csv", ORDERS.as_bytes()),
        ("Market 6\nOrders.csv", ORDERS.as_bytes()),
        ("./Market 8 Orders.csv", ORDERS.as_bytes()),
    ]);
    sandbox.drop_file("in/export.zip", &bytes);
    let report = sandbox.sync();
    assert_eq!(
        ledger(sandbox),
        ["in/export.zip|-|-|unmatched", "in/export.zip/Market 1 Orders.csv|orders|1|synced"]
    );
    let error = &report.file("export.zip").error;
    assert!(
        error.contains("6 of its members are not read")
            && error.contains("`../Market 2 Orders.csv`"),
        "{error}"
    );
    assert_eq!(sandbox.rows("SELECT DISTINCT market FROM orders"), ["1"]);
    assert!(!sandbox.inbox().join("Market 2 Orders.csv").exists());
    // Mended, nothing is to be said of it any more.
    sandbox.drop_file("in/export.zip", &zip(&[("Market 1 Orders.csv", ORDERS.as_bytes())]));
    assert_eq!(sandbox.sync().exit, 0);
    let status = sandbox.command(&["--json", "status"]).output().expect("it starts");
    let status = String::from_utf8(status.stdout).expect("it prints text");
    assert!(!status.contains("members are not read"), "{status}");
}

/// An archive in which the first name is written over the second one of the same length.
fn with_one_name_twice() -> Vec<u8> {
    let bytes = zip(&[
        ("Market 1 Orders.csv", ORDERS.as_bytes()),
        ("Market 2 Orders.csv", b"Order ID\n9\n"),
    ]);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(text.matches("Market 2").count(), 2);
    let mut bytes = bytes;
    let name = b"Market 2 Orders.csv";
    while let Some(at) = bytes.windows(name.len()).position(|part| part == name) {
        bytes[at + 7] = b'1';
    }
    bytes
}

scenario!(archives_that_are_hostile_or_damaged_are_refused_as_a_whole);
fn archives_that_are_hostile_or_damaged_are_refused_as_a_whole(sandbox: &Sandbox) {
    let whole = zip(&[("Market 1 Orders.csv", ORDERS.as_bytes())]);
    let zeros = vec![0_u8; 64 << 20];
    let many: Vec<(String, &[u8])> =
        (0..1200).map(|number| (format!("{number}.csv"), b"x".as_slice())).collect();
    let many: Vec<(&str, &[u8])> =
        many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let cases: [(Vec<u8>, &str); 5] = [
        (with_one_name_twice(), "the same name"),
        (whole[..whole.len() - 10].to_vec(), "damaged, truncated, or no .zip archive"),
        (ORDERS.as_bytes().to_vec(), "no .zip archive"),
        (zip(&[("Market 1 Orders.csv", &zeros)]), "zip_ratio_max allows 200"),
        (zip(&many), "zip_members_max allows 1000"),
    ];
    for (number, (bytes, reason)) in cases.iter().enumerate() {
        sandbox.drop_file("export.zip", bytes);
        let report = sandbox.sync();
        let file = report.file("export.zip");
        assert_eq!(
            (report.exit, file.outcome.as_str()),
            (1, "quarantined"),
            "{number}: {report:?}"
        );
        assert!(file.error.contains(reason), "{number}: {}", file.error);
        assert_eq!(report.files.len(), 1, "{number}");
        let again = sandbox.sync();
        assert_eq!(again.file("export.zip").outcome, "quarantined", "{number}");
    }
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
    sandbox.drop_file("export.zip", &whole);
    assert_eq!(outcomes(&sandbox.sync()), ["Market 1 Orders.csv synced"]);
}

scenario!(a_member_that_cannot_be_unpacked_stops_no_other);
fn a_member_that_cannot_be_unpacked_stops_no_other(sandbox: &Sandbox) {
    let inner = zip(&[("Market 9 Orders.csv", ORDERS.as_bytes())]);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [
        ("Market 1 Orders.csv", ORDERS.as_bytes()),
        ("Market 2 Orders.csv", b"Order ID,SKU\n21,damaged\n"),
        ("Market 3 Orders.csv", b"Order ID,SKU\n31,secret\n"),
        ("inner.zip", &inner),
    ] {
        archive.start_file(name, stored).expect("memory takes it");
        archive.write_all(bytes).expect("memory takes it");
    }
    let mut bytes = archive.finish().expect("memory takes it").into_inner();
    let at = bytes.windows(7).position(|part| part == b"damaged").expect("it is stored");
    bytes[at] ^= 1;
    // The flag of encryption in both places of the third member.
    let name = b"Market 3 Orders.csv";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name)).collect();
    bytes[places[0] - 30 + 6] |= 1;
    bytes[places[1] - 46 + 8] |= 1;
    sandbox.drop_file("export.zip", &bytes);
    let report = sandbox.sync();
    assert_eq!(
        outcomes(&report),
        [
            "Market 1 Orders.csv synced",
            "Market 2 Orders.csv quarantined",
            "Market 3 Orders.csv quarantined",
            "inner.zip unmatched",
        ]
    );
    assert!(
        report.file("Market 2 Orders.csv").error.contains("damaged in its archive"),
        "{report:?}"
    );
    assert!(report.file("Market 3 Orders.csv").error.contains("encrypted"), "{report:?}");
    assert!(report.file("inner.zip").error.contains("an archive in an archive"), "{report:?}");
    assert_eq!(sandbox.rows("SELECT DISTINCT market FROM orders"), ["1"]);
}

scenario!(an_archive_is_put_away_when_its_last_member_is_synced);
fn an_archive_is_put_away_when_its_last_member_is_synced(sandbox: &Sandbox) {
    let bad = "Order ID,SKU\n".to_owned() + &"x\0,1\n".repeat(30);
    for after_sync in ["archive", "delete"] {
        let sandbox = sandbox.sibling();
        let environment = [("TIDEGATE_AFTER_SYNC", after_sync)];
        sandbox.drop_file(
            "sub/export.zip",
            &zip(&[
                ("Market 1 Orders.csv", ORDERS.as_bytes()),
                ("Market 2 Orders.csv", bad.as_bytes()),
            ]),
        );
        let report = sandbox.sync_with(&environment);
        assert_eq!(report.file("Market 2 Orders.csv").outcome, "quarantined", "{report:?}");
        let place = sandbox.inbox().join("sub/export.zip");
        assert!(place.exists(), "a member is not synced");
        let whole = zip(&[
            ("Market 1 Orders.csv", ORDERS.as_bytes()),
            ("Market 2 Orders.csv", ORDERS.as_bytes()),
            ("._junk", b"x"),
        ]);
        sandbox.drop_file("sub/export.zip", &whole);
        assert_eq!(sandbox.sync_with(&environment).exit, 0);
        assert!(!place.exists(), "{after_sync}");
        let archived = sandbox.state_dir().join("archive/sub/export.zip");
        assert_eq!(fs::read(archived).ok(), (after_sync == "archive").then_some(whole));
        assert_eq!(sandbox.rows("SELECT DISTINCT market FROM orders ORDER BY 1"), ["1", "2"]);
    }
}

scenario!(the_daemon_takes_the_members_of_an_archive_that_arrives);
fn the_daemon_takes_the_members_of_an_archive_that_arrives(sandbox: &Sandbox) {
    let daemon =
        sandbox.start_daemon(&[("TIDEGATE_SETTLE_MS", "50"), ("TIDEGATE_AFTER_SYNC", "archive")]);
    let orders = |market: u32| format!("Order ID,SKU\n{market}1,A\n");
    wait_for("the ledger", || sandbox.try_rows("SELECT id FROM tidegate_files").is_ok());
    sandbox.drop_file(
        "export.zip",
        &zip(&[
            ("Market 1 Orders.csv", orders(1).as_bytes()),
            ("Market 2 Orders.csv", orders(2).as_bytes()),
        ]),
    );
    let stored = || sandbox.try_rows("SELECT order_id FROM orders ORDER BY 1").unwrap_or_default();
    wait_for("both members", || stored() == ["11", "21"]);
    let place = sandbox.inbox().join("export.zip");
    wait_for("the archive to be put away", || !place.exists());
    drop(daemon);
}

scenario!(a_killed_sync_of_an_archive_goes_on: sqlite);
fn a_killed_sync_of_an_archive_goes_on(sandbox: &Sandbox) {
    let rows: String = (0..3000).map(|row| format!("{row},A,text\n")).collect();
    let orders = format!("Order ID,SKU,Description\n{rows}");
    sandbox.drop_file("export.zip", &zip(&[("Market 1 Orders.csv", orders.as_bytes())]));
    let failpoints = [("FAILPOINTS", "before_finish=return"), ("TIDEGATE_MEMORY_MAX_MB", "64")];
    assert_ne!(sandbox.sync_with(&failpoints).exit, 0);
    assert_eq!(outcomes(&sandbox.sync()), ["Market 1 Orders.csv synced"]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["3000"]);
}

scenario!(rejects_of_a_member_go_out_and_come_back_beside_the_archive: sqlite);
fn rejects_of_a_member_go_out_and_come_back_beside_the_archive(sandbox: &Sandbox) {
    let rows: String = (10..60).map(|row| format!("{row},A\n")).collect();
    let orders = format!("Order ID,SKU\n,B\n{rows}");
    sandbox.drop_file("sub/export.zip", &zip(&[("Market 1 Orders.csv", orders.as_bytes())]));
    assert_eq!(sandbox.sync().file("Market 1 Orders.csv").counts["rejected"], 1);
    let out = sandbox.command(&["rejects", "--export", "out"]).output().expect("it starts");
    assert!(out.status.success(), "{out:?}");
    let copy = fs::read_to_string(sandbox.path("out/sub/Market 1 Orders.rejects.csv"));
    let copy = copy.unwrap_or_else(|error| panic!("{error}: {out:?}"));
    sandbox.drop_file("sub/Market 1 Orders.rejects.csv", &copy.replace("\n,B", "\n9,B"));
    assert_eq!(sandbox.sync().file("Market 1 Orders.rejects.csv").outcome, "synced");
    let open = "SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL";
    assert_eq!(sandbox.rows(open), ["0"]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["51"]);
}
