//! Deltas: files that hold only what changed.

use crate::sandbox::{Report, Sandbox, table};
use std::fs;

const FILES: [(&str, &[&str]); 3] = [
    ("market-1-orders-2022-02-15.csv", &["1,FIRST,A", "1,FIRST,B", "2,FIRST,A", "4,FIRST,A"]),
    (
        "market-1-orders-2022-02-16.csv",
        &["1,SECOND,C", "2,SECOND,A", "2,SECOND,B", "3,SECOND,A", "4,FIRST,A"],
    ),
    ("market-1-orders-2022-02-17.csv", &["2,THIRD,Z", "3,THIRD,A", "3,THIRD,B"]),
];

fn drop_delta(sandbox: &Sandbox, (name, rows): (&str, &[&str])) {
    let lines = [&["Order ID,Order Status,SKU"], rows].concat();
    sandbox.drop_file(name, &table(&lines));
}

/// Syncs with orders as deltas.
fn sync(sandbox: &Sandbox) -> Report {
    let config = sandbox.path("tidegate.toml");
    fs::write(&config, "[datasets.orders]\nkind = \"delta\"\n")
        .expect("a writable temporary directory");
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &config.to_string_lossy())]);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    report
}

scenario!(the_order_of_arrival_does_not_matter);
fn the_order_of_arrival_does_not_matter(sandbox: &Sandbox) {
    for file in FILES {
        drop_delta(sandbox, file);
    }
    sync(sandbox);
    let orders = sandbox.rows("SELECT order_id, order_status FROM orders ORDER BY order_id");
    assert_eq!(orders, ["1|SECOND", "2|THIRD", "3|THIRD", "4|FIRST"]);
    for order in [[2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1]] {
        let late = sandbox.sibling();
        for index in order {
            drop_delta(&late, FILES[index]);
            sync(&late);
        }
        assert_eq!(late.dump(), sandbox.dump(), "{order:?}");
    }
}

scenario!(an_unchanged_record_is_vouched_for_by_the_newest_file);
fn an_unchanged_record_is_vouched_for_by_the_newest_file(sandbox: &Sandbox) {
    drop_delta(sandbox, FILES[0]);
    sync(sandbox);
    drop_delta(sandbox, ("market-1-orders-2022-02-18.csv", FILES[0].1));
    let report = sync(sandbox);
    assert_eq!(report.files.iter().map(|file| file.counts["unchanged"]).sum::<u64>(), 7);
    assert_eq!(sandbox.rows("SELECT DISTINCT _file_id FROM orders"), ["2"]);
    // So what came in between is late for these records.
    drop_delta(sandbox, ("market-1-orders-2022-02-16.csv", &["1,LATE,X", "9,LATE,X"]));
    let report = sync(sandbox);
    let late = report.file("market-1-orders-2022-02-16.csv");
    assert_eq!((late.changes(), late.counts["stale"]), ((2, 0, 0, 0), 2));
    let orders = sandbox.rows("SELECT order_id, order_status FROM orders ORDER BY order_id");
    assert_eq!(orders, ["1|FIRST", "2|FIRST", "4|FIRST", "9|LATE"]);
}

scenario!(a_full_export_vouches_only_for_what_it_wrote);
fn a_full_export_vouches_only_for_what_it_wrote(sandbox: &Sandbox) {
    drop_delta(sandbox, FILES[0]);
    assert_eq!(sandbox.sync().exit, 0);
    drop_delta(sandbox, ("market-1-orders-2022-02-18.csv", FILES[0].1));
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(sandbox.rows("SELECT DISTINCT _file_id FROM orders"), ["1"]);
}
