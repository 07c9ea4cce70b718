//! One export: the same rows, whatever format they come in.

use crate::forms::{Table, gzip, zip};
use crate::sandbox::Sandbox;
use std::path::Path;

/// The samples of one day of market 1, as tables.
fn samples() -> [(&'static str, Table); 3] {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
        std::fs::read_to_string(path).expect("a sample of the project")
    };
    [
        ("Customers", Table::of_json(&read("market-1-customers-2024-03-02.json"))),
        ("Orders", Table::of_csv(&read("market-1-orders-2024-03-02.csv"))),
        ("Deliveries", Table::of_csv(&read("market-1-deliveries-2024-03-02.csv"))),
    ]
}

const TABLES: [&str; 5] = ["customers", "orders", "order_items", "deliveries", "delivery_items"];

/// The hashes of all rows.
fn hashes(sandbox: &Sandbox) -> Vec<String> {
    let of_table = |table: &str| {
        let hash = match sandbox.engine {
            crate::sandbox::Engine::Postgres => "encode(_row_hash, 'hex')",
            _ => "HEX(_row_hash)",
        };
        let rows = sandbox.rows(&format!("SELECT LOWER({hash}) FROM {table}"));
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{table} {row}")).collect();
        rows.sort();
        rows
    };
    TABLES.iter().flat_map(|table| of_table(table)).collect()
}

scenario!(one_export_gives_equal_row_hashes_in_every_format);
fn one_export_gives_equal_row_hashes_in_every_format(sandbox: &Sandbox) {
    let samples = samples();
    for (name, table) in &samples {
        assert!(table.rows.len() > 10, "{name}");
        sandbox.drop_file(&format!("Market 1 {name}.csv"), &table.csv(','));
    }
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{report:?}");
    let (expected, dump) = (hashes(sandbox), sandbox.dump());
    assert!(expected.len() > 500, "{}", expected.len());
    type Form = (&'static str, fn(&Table) -> Vec<u8>);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("memory takes it");
    let forms: [Form; 5] = [
        ("tsv", |table| table.csv('\t')),
        ("json", Table::json),
        ("ndjson", Table::ndjson),
        ("xlsx", Table::xlsx),
        ("parquet", Table::parquet),
    ];
    let mut same = Vec::new();
    for (extension, form) in forms {
        let files = samples
            .iter()
            .map(|(name, table)| (format!("Market 1 {name}.{extension}"), form(table)));
        let files: Vec<(String, Vec<u8>)> = files.collect();
        let packed = |end: &str, pack: &dyn Fn(&[u8]) -> Vec<u8>| {
            let packed = files.iter().map(|(name, bytes)| (format!("{name}{end}"), pack(bytes)));
            packed.collect::<Vec<_>>()
        };
        same.push(packed(".gz", &gzip));
        same.push(packed(".zst", &zstd));
        let members: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        same.push(vec![(format!("all of {extension}.zip"), zip(&members))]);
        same.push(files);
    }
    for files in same {
        let fresh = sandbox.sibling();
        let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
        files.iter().for_each(|(name, bytes)| fresh.drop_file(name, bytes));
        let report = fresh.sync();
        assert_eq!(report.exit, 0, "{names:?}: {report:?}");
        assert_eq!(hashes(&fresh), expected, "{names:?}");
        assert_eq!(fresh.dump(), dump, "{names:?}");
    }
}

scenario!(another_format_of_the_same_export_changes_no_row: sqlite);
fn another_format_of_the_same_export_changes_no_row(sandbox: &Sandbox) {
    let [_, (_, orders), _] = samples();
    sandbox.drop_file("Market 1 Orders.csv", &orders.csv(','));
    assert_eq!(sandbox.sync().exit, 0);
    let dump = sandbox.dump();
    let forms = [("xlsx", orders.xlsx()), ("parquet", orders.parquet()), ("json", orders.json())];
    for (extension, bytes) in forms {
        let name = format!("Market 1 Orders.{extension}");
        sandbox.drop_file(&name, &bytes);
        let report = sandbox.sync();
        let (new, modified, _, deleted) = report.file(&name).changes();
        assert_eq!((report.exit, new, modified, deleted), (0, 0, 0, 0), "{name}: {report:?}");
        assert_eq!(sandbox.dump(), dump, "{name}");
    }
}
