//! Bulk: enough rows for each database's own loader arrive as few do, whatever they hold and whatever it refuses.

use crate::exports::{assert_same, everything};
use crate::sandbox::{Engine, Report, Sandbox, on_every_database};
use crate::servers::{Kind, Server};
use std::fs;

/// More than any database takes by statements.
const ROWS: usize = 300;

const ORDERS: &str = "Market 1 Orders.csv";

/// Texts with a sign in them that means something on the way, or whose absence does.
const TEXTS: [&str; 14] = [
    "a\tb",
    "two\nlines",
    "two\r\nlines",
    "\\",
    "\\N",
    "\\\\N\\t\\0",
    "ends in \\",
    "it's \"quoted\"",
    "'; DROP TABLE orders; --",
    "\u{1F69A}\u{1F4E6} delivered",
    "e\u{301} and é, ß, 漢字",
    "\u{1}\u{1a}\u{7f}",
    "%s ? :name $1 @row_hash",
    "x",
];

fn orders(version: &str) -> String {
    let rows = (0..ROWS).map(|row| {
        let text = TEXTS[row % TEXTS.len()].replace('"', "\"\"");
        format!("{row},A,\"{text}{version}\",{}.{:02}\n", row * 7, row % 100)
    });
    format!("Order ID,SKU,Description,Order Total\n{}", rows.collect::<String>())
}

fn synced(report: &Report, name: &str) {
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
}

#[test]
fn every_sign_arrives_as_it_was_sent() {
    on_every_database(|sandbox| {
        for version in ["", "\t2"] {
            sandbox.drop_file(ORDERS, &orders(version));
            synced(&sandbox.sync(), ORDERS);
            let mut stored = sandbox.rows("SELECT description FROM orders");
            let mut sent: Vec<String> = (0..ROWS).map(|row| format!("{}{version}", TEXTS[row % TEXTS.len()])).collect();
            stored.sort();
            sent.sort();
            assert_eq!(stored, sent);
            assert_eq!(sandbox.sync().file(ORDERS).outcome, "unchanged");
        }
        let output = sandbox.command(&["verify"]).output().expect("the built program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    });
}

#[test]
fn a_server_that_forbids_local_files_gets_the_same_rows() {
    let server = Server::start_private(Kind::Mariadb);
    let loading = Sandbox::on(Engine::Mariadb, server.fresh_database());
    let forbidden = Sandbox::on(Engine::Mariadb, server.fresh_database());
    for (sandbox, local_infile) in [(&loading, 1), (&forbidden, 0)] {
        server.administer(&format!("SET GLOBAL local_infile = {local_infile}"));
        for version in ["", " 2"] {
            sandbox.drop_file(ORDERS, &orders(version));
            let report = sandbox.sync_with(&[("TIDEGATE_LOG_LEVEL", "info")]);
            synced(&report, ORDERS);
            let says_so = report.stderr.contains("takes no rows by LOAD DATA LOCAL");
            assert_eq!(says_so, local_infile == 0, "{}", report.stderr);
        }
    }
    assert_same(&everything(&forbidden), &everything(&loading), "without LOAD DATA LOCAL");
}

/// The second of two feeds asks what is stored while the first has not yet committed.
#[test]
fn rows_that_another_feed_brought_meanwhile_are_merged() {
    const FEEDS: &str = r#"
[datasets.north]
paths = ['(?i)/market (?<market>\d+) north\.csv$']
key = "item"
table = "stock"

[datasets.south]
paths = ['(?i)/market (?<market>\d+) south\.csv$']
key = "item"
table = "stock"
"#;
    on_every_database(|sandbox| {
        let config = sandbox.path("tidegate.toml");
        fs::write(&config, FEEDS).expect("a writable temporary directory");
        let config = config.to_string_lossy().into_owned();
        let feed = |feed: &str, rows: std::ops::Range<usize>| {
            let rows: String = rows.map(|row| format!("{row},{feed}\n")).collect();
            sandbox.drop_file(&format!("Market 1 {feed}.csv"), &format!("Item,Origin\n{rows}"));
        };
        let sync = |failpoints: &str| {
            let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &config), ("FAILPOINTS", failpoints)]);
            assert_eq!(report.exit, 0, "{} {:?}", report.stderr, report.files);
            report
        };
        feed("north", ROWS..ROWS + 1);
        sync("");
        feed("north", 0..ROWS);
        feed("south", 0..ROWS);
        let report = sync("before_commit=1*sleep(2000)->off");
        for name in ["Market 1 north.csv", "Market 1 south.csv"] {
            assert_eq!(report.file(name).counts["new"], ROWS as u64, "they were not read side by side: {report:?}");
        }
        let origins = sandbox.rows(&format!(
            "SELECT origin, COUNT(*), COUNT(DISTINCT _row_hash) FROM stock WHERE item <> '{ROWS}' GROUP BY origin"
        ));
        let whole = ["north", "south"].map(|feed| vec![format!("{feed}|{ROWS}|{ROWS}")]);
        assert!(whole.contains(&origins), "{origins:?}");
    });
}
