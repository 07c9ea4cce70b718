//! Bulk: enough rows for each database's own loader arrive as few do, whatever they hold and
//! whatever it refuses.

use crate::exports::{assert_same, everything};
use crate::sandbox::{Engine, Report, Sandbox};
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

scenario!(every_sign_arrives_as_it_was_sent);
fn every_sign_arrives_as_it_was_sent(sandbox: &Sandbox) {
    for version in ["", "\t2"] {
        sandbox.drop_file(ORDERS, &orders(version));
        synced(&sandbox.sync(), ORDERS);
        let mut stored = sandbox.rows("SELECT description FROM orders");
        let mut sent: Vec<String> =
            (0..ROWS).map(|row| format!("{}{version}", TEXTS[row % TEXTS.len()])).collect();
        stored.sort();
        sent.sort();
        assert_eq!(stored, sent);
        assert_eq!(sandbox.sync().file(ORDERS).outcome, "unchanged");
    }
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

scenario!(a_server_that_forbids_local_files_gets_the_same_rows: mariadb);
fn a_server_that_forbids_local_files_gets_the_same_rows(loading: &Sandbox) {
    // One of its own: the setting is the whole server's.
    let server = Server::start_private(Kind::Mariadb);
    let forbidden = Sandbox::on(Engine::Mariadb, server.fresh_database());
    for (sandbox, local_infile) in [(loading, 1), (&forbidden, 0)] {
        if local_infile == 0 {
            server.administer("SET GLOBAL local_infile = 0");
        }
        for version in ["", " 2"] {
            sandbox.drop_file(ORDERS, &orders(version));
            let report = sandbox.sync_with(&[("TIDEGATE_LOG_LEVEL", "info")]);
            synced(&report, ORDERS);
            let says_so = report.stderr.contains("takes no rows by LOAD DATA LOCAL");
            assert_eq!(says_so, local_infile == 0, "{}", report.stderr);
        }
    }
    assert_same(&everything(&forbidden), &everything(loading), "without LOAD DATA LOCAL");
}

/// Values of every kind, the largest and smallest among them, and none.
fn measured(rows: std::ops::Range<usize>) -> String {
    let rows = rows.map(|row| {
        let sign = if row % 2 == 0 { "" } else { "-" };
        match row % 5 {
            4 => format!("{row},A,,,,,,\n"),
            3 => format!("{row},A,{sign}99999999999.9999,0,1900-01-01 00:00:00,9999-12-31,{sign}1e-9,-1\n"),
            2 => format!(
                "{row},A,{sign}0.0001,{sign}0.5,1999-12-31 23:59:59.999,2000-01-01,{sign}1e15,9007199254740993\n"
            ),
            _ => format!(
                "{row},A,{sign}{}.{:02},{row},2022-02-{:02} 16:36:27,1970-01-{:02},{sign}{}.25,{row}\n",
                row * 10_007,
                row % 100,
                1 + row % 28,
                1 + row % 28,
                row * 3
            ),
        }
    });
    format!(
        "Order ID,SKU,Order Total,Tax,Order Time,Visited On,Length,Steps\n{}",
        rows.collect::<String>()
    )
}

scenario!(every_kind_of_value_arrives_as_by_few_rows);
fn every_kind_of_value_arrives_as_by_few_rows(sandbox: &Sandbox) {
    let few = sandbox.sibling();
    sandbox.drop_file(ORDERS, &measured(0..ROWS));
    synced(&sandbox.sync(), ORDERS);
    for start in (0..ROWS).step_by(100) {
        few.drop_file(ORDERS, &measured(start..start + 100));
        synced(&few.sync(), ORDERS);
    }
    assert_eq!(sandbox.dump()["orders"].len(), ROWS);
    assert_same(&sandbox.dump(), &few.dump(), "by hundreds");
}

scenario!(columns_that_somebody_gave_another_type_get_their_values_all_the_same: postgres);
/// COPY's binary form of a bigint read as a double would be a number, and a wrong one.
fn columns_that_somebody_gave_another_type_get_their_values_all_the_same(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &measured(0..10));
    synced(&sandbox.sync(), ORDERS);
    sandbox.execute(
        "DROP VIEW cohort_retention, customer_segments, enriched_deliveries, enriched_orders",
    );
    sandbox.execute("ALTER TABLE orders ALTER COLUMN line_count TYPE double precision");
    sandbox.drop_file(ORDERS, &measured(0..ROWS));
    synced(&sandbox.sync(), ORDERS);
    assert_eq!(sandbox.rows("SELECT SUM(line_count) FROM orders"), [ROWS.to_string()]);
}

scenario!(columns_that_somebody_gave_another_encoding_get_their_signs_all_the_same: mariadb);
/// Bytes of UTF-8 are signs of Latin-1 too, and others.
fn columns_that_somebody_gave_another_encoding_get_their_signs_all_the_same(sandbox: &Sandbox) {
    let described = |rows: std::ops::Range<usize>| {
        let rows: String = rows.map(|row| format!("{row},A,café,1\n")).collect();
        format!("Order ID,SKU,Description,Order Total\n{rows}")
    };
    sandbox.drop_file(ORDERS, &described(0..10));
    synced(&sandbox.sync(), ORDERS);
    sandbox.execute("ALTER TABLE orders MODIFY description longtext CHARACTER SET latin1");
    sandbox.drop_file(ORDERS, &described(0..ROWS));
    synced(&sandbox.sync(), ORDERS);
    assert_eq!(
        sandbox.rows("SELECT DISTINCT CONVERT(description USING utf8mb4) FROM orders"),
        ["café"]
    );
}

scenario!(of_two_feeds_with_one_table_and_the_same_keys_one_is_refused);
/// They are dropped together, and the rows of either would be those of the other for ever.
fn of_two_feeds_with_one_table_and_the_same_keys_one_is_refused(sandbox: &Sandbox) {
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
    let config = sandbox.path("tidegate.toml");
    fs::write(&config, FEEDS).expect("a writable temporary directory");
    let config = config.to_string_lossy().into_owned();
    let feed = |feed: &str, rows: std::ops::Range<usize>| {
        let rows: String = rows.map(|row| format!("{row},{feed}\n")).collect();
        sandbox.drop_file(&format!("Market 1 {feed}.csv"), &format!("Item,Origin\n{rows}"));
    };
    feed("north", 0..ROWS);
    feed("south", 0..ROWS);
    let report = sandbox.sync_with(&[
        ("TIDEGATE_CONFIG", &config),
        ("FAILPOINTS", "before_commit=1*sleep(1000)->off"),
    ]);
    assert_eq!(report.exit, 1, "{} {:?}", report.stderr, report.files);
    let mut outcomes =
        ["Market 1 north.csv", "Market 1 south.csv"].map(|name| report.file(name).outcome.clone());
    outcomes.sort();
    assert_eq!(outcomes, ["quarantined", "synced"], "{report:?}");
    let origins = sandbox
        .rows("SELECT origin, COUNT(*), COUNT(DISTINCT _row_hash) FROM stock GROUP BY origin");
    let whole = ["north", "south"].map(|feed| vec![format!("{feed}|{ROWS}|{ROWS}")]);
    assert!(whole.contains(&origins), "{origins:?}");
}
