//! Undo: whatever the last files did, tables and marts are afterwards what they were before them,
//! and the next file finds what it would have found.

use crate::sandbox::{Report, Sandbox, table};
use std::collections::BTreeMap;
use std::fs;

/// Files of a series.
const FILES: usize = 7;

/// Orders that a series knows.
const ORDERS: u32 = 60;

/// The tables and marts that an undo must restore.
const TABLES: [&str; 7] = [
    "customers",
    "orders",
    "order_items",
    "customer_metrics",
    "product_metrics",
    "merchant_metrics",
    "daily_metrics",
];

/// What a market's tables hold: each table's columns, and its rows in these columns.
pub(super) type Stored = BTreeMap<&'static str, (Vec<String>, Vec<String>)>;

/// Everything that is stored, with files, hashes and marks.
pub(super) fn stored(sandbox: &Sandbox) -> Stored {
    let columns = |table: &&'static str| (*table, sandbox.columns(table));
    stored_in(sandbox, &TABLES.iter().map(columns).collect())
}

/// The same in some columns only.
fn stored_in(sandbox: &Sandbox, columns: &BTreeMap<&'static str, Vec<String>>) -> Stored {
    let quote = if sandbox.engine == crate::sandbox::Engine::Mariadb { "`" } else { "\"" };
    let of_table = |(&table, columns): (&&'static str, &Vec<String>)| {
        let list: Vec<String> =
            columns.iter().map(|column| format!("{quote}{column}{quote}")).collect();
        let mut rows = sandbox.rows(&format!("SELECT {} FROM {table}", list.join(", ")));
        rows.sort();
        (table, (columns.clone(), rows))
    };
    columns.iter().map(of_table).collect()
}

/// Panics unless the tables are as they were, and columns that came since are empty.
pub(super) fn is_as_it_was(sandbox: &Sandbox, before: &Stored, what: &str) {
    let columns = before.iter().map(|(table, (columns, _))| (*table, columns.clone())).collect();
    let now = stored_in(sandbox, &columns);
    for (table, (columns, rows)) in before {
        let found = &now[table].1;
        if found != rows {
            let without = |some: &[String], others: &[String]| -> Vec<String> {
                some.iter().filter(|row| !others.contains(row)).take(3).cloned().collect()
            };
            let (lost, more) = (without(rows, found), without(found, rows));
            panic!("{what}: {table} {columns:?}: lost {lost:?}, more {more:?}");
        }
        for column in sandbox.columns(table).iter().filter(|column| !columns.contains(column)) {
            let filled = sandbox.rows(&format!("SELECT COUNT({column}) FROM {table}"));
            assert_eq!(filled, ["0"], "{what}: {table}.{column}");
        }
    }
}

/// Marts, hashes and the ledger agree with the tables.
pub(super) fn verify(sandbox: &Sandbox, what: &str) {
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_dirty_groups"), ["0"], "{what}");
}

/// A command with a configuration; how it ended, and what it printed.
pub(super) fn run(sandbox: &Sandbox, config: &str, arguments: &[&str]) -> (i32, String) {
    let output = sandbox.command(arguments).env("TIDEGATE_CONFIG", config).output();
    let output = output.expect("the built program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// What a command prints with `--json`.
pub(super) fn json(sandbox: &Sandbox, config: &str, arguments: &[&str]) -> serde_json::Value {
    let arguments = [&["--json"], arguments].concat();
    let output = sandbox.command(&arguments).env("TIDEGATE_CONFIG", config).output();
    let output = output.expect("the built program starts");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}, {output:?}"))
}

/// `tidegate undo` of these files.
fn undo(sandbox: &Sandbox, config: &str, files: &[&str]) {
    let (exit, said) = run(sandbox, config, &[&["undo"], files].concat());
    assert_eq!(exit, 0, "{said}");
}

pub(super) fn synced(sandbox: &Sandbox, config: &str) -> Report {
    let report =
        sandbox.sync_with(&[("TIDEGATE_CONFIG", config), ("TIDEGATE_MEMORY_MAX_MB", "64")]);
    assert_eq!(report.exit, 0, "{:?} {}", report.files, report.stderr);
    report
}

/// A configuration file.
pub(super) fn configure(sandbox: &Sandbox, text: &str) -> String {
    let config = sandbox.path("tidegate.toml");
    fs::write(&config, text).expect("a writable temporary directory");
    config.to_string_lossy().into_owned()
}

/// A feed whose files are undone.
#[derive(Clone, Copy, Debug)]
struct Feed {
    kind: &'static str,
    deletes: &'static str,
}

impl Feed {
    fn configure(self, sandbox: &Sandbox) -> String {
        let Self { kind, deletes } = self;
        let of =
            |dataset| format!("[datasets.{dataset}]\nkind = '{kind}'\ndeletes = '{deletes}'\n");
        let text = ["customers", "orders"].map(of).concat();
        configure(sandbox, &format!("deletes_max_percent = 100\n{text}"))
    }
}

/// A series of exports of one market, each a day newer than the one before. Some are of customers.
/// From the third on, orders have a column more.
fn series(kind: &str, rng: &mut fastrand::Rng) -> Vec<(String, String)> {
    let mut orders: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut files = Vec::new();
    for number in 0..FILES {
        if number % 4 == 3 {
            let name = format!("market-1-customers-2024-03-{:02}.json", number + 1);
            files.push((name, customers(rng)));
            continue;
        }
        let mut touched = Vec::new();
        for order in 1..=ORDERS {
            match rng.u32(0..10) {
                0 => drop(orders.remove(&order)),
                1 | 2 => {
                    orders.insert(order, order_rows(order, rng));
                    touched.push(order);
                }
                // A delta mentions some that did not change.
                3 => touched.push(order),
                _ => {}
            }
        }
        let mut lines = vec![header(number)];
        for (order, rows) in
            orders.iter().filter(|(order, _)| kind == "full" || touched.contains(order))
        {
            let note = if number >= 2 { format!(",note {order}") } else { String::new() };
            lines.extend(rows.iter().map(|row| format!("{row}{note}")));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        files.push((format!("market-1-orders-2024-03-{:02}.csv", number + 1), table(&lines)));
    }
    files
}

fn header(number: usize) -> String {
    let header = "Order ID,Order Status,Order Total,Currency Symbol,Customer ID,Merchant ID,Order Time,SKU,Quantity,Total Price";
    if number >= 2 { format!("{header},Remark") } else { header.to_owned() }
}

/// The rows of an order: amounts of four places, texts in number columns, times to the millisecond.
fn order_rows(order: u32, rng: &mut fastrand::Rng) -> Vec<String> {
    let status = ["COMPLETED", "CANCELLED", "\"odd, \"\"é\"\"\""][rng.usize(0..3)];
    let total = match rng.u32(0..8) {
        0 => "about 7".to_owned(),
        1 => String::new(),
        _ => format!("{}.{:04}", rng.u32(0..99_999), rng.u32(0..10_000)),
    };
    let (customer, merchant) = (rng.u32(1..6), rng.u32(1..4));
    let (day, ms) = (rng.u32(1..28), rng.u32(0..1000));
    (0..rng.u32(1..5))
        .map(|line| {
            let price = f64::from(rng.u32(0..100_000)) / 100.0;
            format!(
                "{order},{status},{total},$,c{customer},m{merchant},2024-02-{day:02}T00:00:00.{ms:03}Z,S{},{},{price:.2}",
                rng.u32(1..9) + line,
                rng.u32(1..4)
            )
        })
        .collect()
}

fn customers(rng: &mut fastrand::Rng) -> String {
    let one = |customer: u32, points: u32| {
        format!(r#"{{"customer_id":"c{customer}","loyalty_points":{points}.5,"is_blocked":0}}"#)
    };
    let mut all = Vec::new();
    for customer in 1..6 {
        if rng.u32(0..4) > 0 {
            all.push(one(customer, rng.u32(0..50)));
        }
    }
    format!("[{}]", all.join(","))
}

/// Drops and syncs the files of a series one by one; what was stored before each, and its counts.
fn sync_series(
    sandbox: &Sandbox,
    config: &str,
    files: &[(String, String)],
) -> (Vec<Stored>, Vec<BTreeMap<String, u64>>) {
    let mut before = Vec::new();
    let mut counts = Vec::new();
    // The tables are there from the first start on.
    synced(sandbox, config);
    for (name, content) in files {
        before.push(stored(sandbox));
        sandbox.drop_file(name, content);
        counts.push(own_counts(&synced(sandbox, config), name));
    }
    (before, counts)
}

fn own_counts(report: &Report, name: &str) -> BTreeMap<String, u64> {
    let mut counts = report.file(name).counts.clone();
    counts.retain(|count, _| !count.ends_with("_ms"));
    counts
}

scenario!(the_last_files_are_undone_as_if_they_had_never_come);
fn the_last_files_are_undone_as_if_they_had_never_come(sandbox: &Sandbox) {
    let feeds = [
        Feed { kind: "full", deletes: "keep" },
        Feed { kind: "full", deletes: "mark" },
        Feed { kind: "full", deletes: "remove" },
        Feed { kind: "delta", deletes: "keep" },
    ];
    for feed in feeds {
        let sandbox = &sandbox.sibling();
        let config = feed.configure(sandbox);
        let seed = crate::seed::of("UNDO_SEED");
        let mut rng = fastrand::Rng::with_seed(seed);
        let files = series(feed.kind, &mut rng);
        let (before, counts) = sync_series(sandbox, &config, &files);
        let all = stored(sandbox);
        // One by one to the first, and each time the tables are as before it.
        for (index, (name, _)) in files.iter().enumerate().rev() {
            undo(sandbox, &config, &[name]);
            is_as_it_was(sandbox, &before[index], &format!("{feed:?}, before {name}, seed {seed}"));
        }
        verify(sandbox, "all are undone");
        let states = "SELECT DISTINCT state FROM tidegate_files";
        assert_eq!(sandbox.rows(states), ["undone"]);
        // A file that is undone stays undone, and an approval brings it back; it finds what it
        // found.
        assert!(synced(sandbox, &config).files.iter().all(|file| file.outcome == "undone"));
        is_as_it_was(sandbox, &before[0], "nothing is taken again");
        for ((name, _), counts) in files.iter().zip(&counts) {
            let again = &json(sandbox, &config, &["approve", name])["files"][0];
            for (count, rows) in counts {
                assert_eq!(again[count].as_u64(), Some(*rows), "{feed:?}: {count} of {name}");
            }
        }
        verify(sandbox, "all are back");
        assert_eq!(all["orders"].1.len(), stored(sandbox)["orders"].1.len());
        // Several at once, with all later ones.
        let (name, _) = &files[1];
        undo(sandbox, &config, &["--and-later", name]);
        verify(sandbox, "several at once");
        let columns = before[1].iter().map(|(table, (columns, _))| {
            let own = columns.iter().filter(|column| *column != "_file_id").cloned().collect();
            (*table, own)
        });
        let columns: BTreeMap<&'static str, Vec<String>> = columns.collect();
        let found = stored_in(sandbox, &columns);
        let clean = &sandbox.sibling();
        clean.drop_file(&files[0].0, &files[0].1);
        synced(clean, &feed.configure(clean));
        assert_eq!(found["orders"].1.len(), stored(clean)["orders"].1.len());
        assert_eq!(found["daily_metrics"], stored_in(clean, &columns)["daily_metrics"]);
    }
}

scenario!(history_as_of_each_file_is_what_was_stored_after_it);
fn history_as_of_each_file_is_what_was_stored_after_it(sandbox: &Sandbox) {
    for (kind, deletes) in [("full", "mark"), ("full", "remove"), ("delta", "keep")] {
        let sandbox = &sandbox.sibling();
        let config = Feed { kind, deletes }.configure(sandbox);
        let mut rng = fastrand::Rng::with_seed(crate::seed::of("UNDO_SEED"));
        let mut after = Vec::new();
        for (name, content) in series(kind, &mut rng) {
            sandbox.drop_file(&name, &content);
            synced(sandbox, &config);
            after.push(as_stored(sandbox, deletes));
        }
        let at = sandbox.rows("SELECT finished_at FROM tidegate_files ORDER BY id");
        let versions = versions(sandbox, deletes);
        for (at, after) in at.iter().zip(&after) {
            let mut then = BTreeMap::new();
            for (key, versions) in &versions {
                let mut valid = versions.iter().filter(|version| {
                    version.from <= *at && version.to.as_ref().is_none_or(|to| to > at)
                });
                if let Some(version) = valid.next() {
                    then.insert(key.clone(), version.text.clone());
                }
                assert!(valid.next().is_none(), "two versions of {key} at {at}");
            }
            assert_eq!(&then, after, "{kind} {deletes} as of {at}");
        }
    }
}

/// A version of an order: since when, until when (`None`: it is stored), and what it says.
#[derive(Debug)]
struct Version {
    from: String,
    to: Option<String>,
    text: String,
}

/// Every version of every order.
fn versions(sandbox: &Sandbox, deletes: &str) -> BTreeMap<String, Vec<Version>> {
    let sql = "SELECT record_key, valid_from, valid_to, followed_by, file_id, record FROM tidegate_history \
               WHERE table_name = 'orders' ORDER BY id";
    let mut versions: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    let mut followed: BTreeMap<String, Option<String>> = BTreeMap::new();
    for row in sandbox.rows(sql) {
        let cells: Vec<&str> = row.splitn(6, '|').collect();
        let [key, from, to, followed_by, _, record] = cells[..] else { panic!("{row}") };
        let record: serde_json::Value = serde_json::from_str(record).expect("a record");
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "-".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let lines = record["_lines"].as_array().expect("its lines").iter();
        let lines: Vec<String> = lines.map(|line| text(&line["sku"])).collect();
        let (status, total) = (text(&record["order_status"]), text(&record["order_total"]));
        let is_marked = deletes == "mark" && record["_deleted_at"].is_string();
        let earlier = versions.entry(key.to_owned()).or_default();
        if let Some(Version { to: Some(before), .. }) = earlier.last() {
            assert!(before.as_str() <= from, "versions of {key} overlap: {row}");
        }
        assert!(from <= to, "{row}");
        earlier.push(Version {
            from: from.to_owned(),
            to: Some(to.to_owned()),
            text: format!("{status} {total} {} {is_marked}", lines.join(",")),
        });
        let follows = (followed_by != "-").then(|| to.to_owned());
        followed.insert(key.to_owned(), follows);
    }
    let since =
        "SELECT o.order_id, f.started_at FROM orders o JOIN tidegate_files f ON f.id = o._file_id";
    let started: BTreeMap<String, String> = sandbox
        .rows(since)
        .iter()
        .map(|row| row.split_once('|').expect("two cells"))
        .map(|(key, at)| (key.to_owned(), at.to_owned()))
        .collect();
    for (key, text) in as_stored(sandbox, deletes) {
        let from = match followed.get(&key) {
            Some(Some(follows)) => follows.clone(),
            _ => started[&key].clone(),
        };
        versions.entry(key).or_default().push(Version { from, to: None, text });
    }
    versions
}

/// What is stored of each order.
fn as_stored(sandbox: &Sandbox, deletes: &str) -> BTreeMap<String, String> {
    let marked = match deletes {
        "mark" => "CASE WHEN _deleted_at IS NULL THEN 'false' ELSE 'true' END",
        _ => "'false'",
    };
    let has_marks = sandbox.columns("orders").contains(&"_deleted_at".to_owned());
    let marked = if has_marks { marked } else { "'false'" };
    let sql = format!("SELECT order_id, order_status, order_total, {marked} FROM orders");
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in sandbox.rows("SELECT order_id, sku FROM order_items ORDER BY order_id, line_no") {
        let (order, sku) = row.split_once('|').expect("two cells");
        lines.entry(order.to_owned()).or_default().push(sku.to_owned());
    }
    let text = |row: &String| {
        let cells: Vec<&str> = row.split('|').collect();
        let [order, status, total, marked] = cells[..] else { panic!("{row}") };
        let lines = lines[order].join(",");
        (order.to_owned(), format!("{status} {total} {lines} {marked}"))
    };
    sandbox.rows(&sql).iter().map(text).collect()
}
