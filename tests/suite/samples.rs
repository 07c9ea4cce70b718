//! Real exports: what is known of them by other means comes out on every database.
//!
//! The large ones are not part of the project; where they are missing their test says so and
//! passes.

use crate::sandbox::{Engine, Sandbox};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Rows per table, of market 1 and of market 2.
type Counts = [(&'static str, [u32; 2]); 5];

const AFTER_FIRST: Counts = [
    ("customers", [4051, 1062]),
    ("orders", [3279, 897]),
    ("order_items", [11646, 1329]),
    ("deliveries", [3279, 5380]),
    ("delivery_items", [11646, 7922]),
];

const AFTER_SECOND: Counts = [
    ("customers", [4177, 1095]),
    ("orders", [3451, 944]),
    ("order_items", [12240, 1426]),
    ("deliveries", [3451, 5427]),
    ("delivery_items", [12240, 8019]),
];

/// `TIDEGATE_SAMPLES`, or the folder `shared/samples` beside the project.
fn exports() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let folder = std::env::var_os("TIDEGATE_SAMPLES").map_or(beside, PathBuf::from);
    if folder.join("first").is_dir() && folder.join("second").is_dir() {
        return Some(folder);
    }
    // Not by a macro: libtest would keep what a passing test prints to itself.
    let note = format!(
        "SKIPPED: no exports in {}; TIDEGATE_SAMPLES names their folder\n",
        folder.display()
    );
    std::io::stderr().write_all(note.as_bytes()).expect("the error output is open");
    None
}

fn sync(sandbox: &Sandbox, outcome: &str) {
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert!(report.files.iter().all(|file| file.outcome == outcome), "{report:?}");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects"), ["0"]);
}

fn check(sandbox: &Sandbox, counts: &Counts, total_amounts: [&str; 2]) {
    for (table, [one, two]) in counts {
        let rows = sandbox
            .rows(&format!("SELECT market, COUNT(*) FROM {table} GROUP BY market ORDER BY market"));
        assert_eq!(rows, [format!("1|{one}"), format!("2|{two}")], "{table}");
    }
    let totals =
        "SELECT market, SUM(total_amount) FROM customer_metrics GROUP BY market ORDER BY market";
    let totals = sandbox.rows(totals);
    for (row, (market, expected)) in totals.iter().zip(["1", "2"].iter().zip(total_amounts)) {
        let (of, total) = row.split_once('|').expect("two columns");
        let total: f64 = total.parse().expect("a sum");
        // SQLite adds reals: the sum of a query, unlike the stored metrics, is not rounded.
        assert_eq!((of, format!("{total:.2}")), (*market, expected.to_owned()));
    }
}

scenario!(real_exports_add_up_after_each_drop);
fn real_exports_add_up_after_each_drop(sandbox: &Sandbox) {
    let Some(exports) = exports() else { return };
    sandbox.drop_files_of(&exports.join("first"));
    sync(sandbox, "synced");
    check(sandbox, &AFTER_FIRST, ["29630351.28", "86009621.00"]);

    sandbox.drop_files_of(&exports.join("second"));
    sync(sandbox, "synced");
    check(sandbox, &AFTER_SECOND, ["31539596.44", "90930207.90"]);
    let top = "SELECT customer_id, total_amount FROM customer_metrics WHERE market = '1' ORDER BY total_amount DESC LIMIT 1";
    assert_eq!(sandbox.rows(top), ["5510538|1453981"]);

    let before = sandbox.dump();
    sync(sandbox, "unchanged");
    assert_eq!(sandbox.dump(), before);
    let fresh = sandbox.sibling();
    fresh.drop_files_of(&exports.join("second"));
    sync(&fresh, "synced");
    same(&fresh.dump(), &before);
}

scenario!(shipped_samples_sync_in_order_and_come_out_alike_everywhere);
fn shipped_samples_sync_in_order_and_come_out_alike_everywhere(sandbox: &Sandbox) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    sandbox.drop_files_of(&samples);
    sync(sandbox, "synced");
    let orders =
        sandbox.rows("SELECT market, COUNT(*) FROM orders GROUP BY market ORDER BY market");
    assert!(!orders.is_empty());
    let lanes = sandbox.rows("SELECT dataset, market, version FROM tidegate_files ORDER BY id");
    for lane in lanes.iter().filter_map(|row| row.rsplit_once('|')).map(|(lane, _)| lane) {
        let versions: Vec<&String> =
            lanes.iter().filter(|row| row.starts_with(&format!("{lane}|"))).collect();
        assert!(versions.is_sorted(), "{versions:?}");
    }
    sync(sandbox, "unchanged");
    if sandbox.engine != Engine::Sqlite {
        let sqlite = Sandbox::new(Engine::Sqlite);
        sqlite.drop_files_of(&samples);
        sync(&sqlite, "synced");
        same(&sqlite.dump(), &sandbox.dump());
    }
}

/// Compares table by table, and shows the first difference instead of everything.
fn same(one: &BTreeMap<&'static str, Vec<String>>, other: &BTreeMap<&'static str, Vec<String>>) {
    for (table, rows) in one {
        let others = &other[table];
        assert_eq!(rows.len(), others.len(), "{table}");
        let differing = rows.iter().zip(others).find(|(row, other)| row != other);
        assert_eq!(differing, None, "{table}");
    }
}
