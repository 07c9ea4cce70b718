//! Dialects: what stands between cells and around them is found from the data, or set.

use crate::sandbox::{Engine, FileReport, Report, Sandbox};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const PLAIN: &str =
    "Order ID,SKU,Description,Order Total\n11,A,x,10\n12,B,\"a, b; c | d\te\",20\n13,C,,30\n";

fn sync(sandbox: &Sandbox, name: &str, content: &str) -> FileReport {
    sandbox.drop_file(name, content);
    sandbox.sync().file(name).clone()
}

fn sync_set(sandbox: &Sandbox, settings: &str) -> Report {
    let config = sandbox.path("tidegate.toml");
    fs::write(&config, format!("[datasets.orders]\n{settings}\n")).expect("writable");
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &config.to_string_lossy())])
}

/// The plain file with other signs between and around its cells.
fn written(delimiter: &str, quote: &str) -> String {
    let quoted = "\"a, b; c | d\te\"";
    let text = PLAIN.replace(quoted, "QUOTED").replace(',', delimiter);
    text.replace("QUOTED", &quoted.replace('"', quote))
}

scenario!(delimiters_are_found_from_the_data_whatever_the_name_says);
fn delimiters_are_found_from_the_data_whatever_the_name_says(sandbox: &Sandbox) {
    assert_eq!(sync(sandbox, ORDERS, PLAIN).outcome, "synced");
    for delimiter in [",", ";", "\t", "|"] {
        for name in [ORDERS, "Market 1 Orders.tsv"] {
            let fresh = sandbox.sibling();
            assert_eq!(
                sync(&fresh, name, &written(delimiter, "\"")).outcome,
                "synced",
                "{delimiter:?} {name}"
            );
            assert_eq!(fresh.dump(), sandbox.dump(), "{delimiter:?} in {name}");
        }
    }
}

scenario!(apostrophes_are_quotes_where_the_data_says_so);
fn apostrophes_are_quotes_where_the_data_says_so(sandbox: &Sandbox) {
    assert_eq!(sync(sandbox, ORDERS, PLAIN).outcome, "synced");
    let header = "'Order ID','SKU','Description','Order Total'";
    let quoted_header =
        written(",", "'").replacen("Order ID,SKU,Description,Order Total", header, 1);
    for content in [quoted_header, written(",", "'"), written(";", "'")] {
        let fresh = sandbox.sibling();
        assert_eq!(sync(&fresh, ORDERS, &content).outcome, "synced");
        assert_eq!(fresh.dump(), sandbox.dump(), "{content}");
    }
    // A row that is broken says nothing for another quote.
    let broken = "Order ID,SKU,Order Total\n11,A,\"5\"\n12,\"A\" b,6\n";
    let fresh = sandbox.sibling();
    fresh.drop_file(ORDERS, broken);
    fresh.sync_with(&[("TIDEGATE_REJECTS_MAX_PERCENT", "60")]);
    assert_eq!(fresh.rows("SELECT order_id, order_total FROM orders"), ["11|5"]);
    // A few texts in apostrophes are texts.
    let text = "Order ID,SKU,Description\n11,A,'tis\n12,B,'so'\n13,C,rock 'n' roll\n";
    let fresh = sandbox.sibling();
    assert_eq!(sync(&fresh, ORDERS, text).outcome, "synced");
    let stored = fresh.rows("SELECT description FROM orders ORDER BY order_id");
    assert_eq!(stored, ["'tis", "'so'", "rock 'n' roll"]);
}

scenario!(few_columns_and_few_rows_are_enough);
fn few_columns_and_few_rows_are_enough(sandbox: &Sandbox) {
    let cases = [
        ("Order ID\n11\n12\n", "11|-,12|-"),
        ("Order ID;Order Total\n11;12,50\n12;7.5\n", "11|-,12|7.5"),
        ("Order ID;Order Total", ""),
        ("Order ID|Order Total\n11|5\n", "11|5"),
        ("Order Total\tOrder ID\n5\t11", "11|5"),
        // Only one row, with more of the wrong delimiter in it than of the right one.
        ("Order ID;Description;Order Total\n11;a,b,c,d,e;5\n", "11|5"),
        // Another dialect's signs in the header's own names.
        ("Order ID,\"Price; net | gross\",Order Total\n11,\"1;2|3\",5\n", "11|5"),
        ("\n\n;;\nOrder ID;Order Total\n11;5\n", "11|5"),
    ];
    for (content, expected) in cases {
        let fresh = sandbox.sibling();
        let report = sync(&fresh, ORDERS, content);
        assert_eq!(report.outcome, "synced", "{content:?}: {}", report.error);
        let orders = fresh.rows("SELECT order_id, order_total FROM orders ORDER BY order_id");
        assert_eq!(orders.join(","), expected, "{content:?}");
    }
    // A decimal comma where a point is declared: the text is kept, rather than one of two meanings.
    assert_eq!(sync(sandbox, ORDERS, cases[1].0).outcome, "synced");
    let rescued = sandbox.rows("SELECT _rescued FROM orders WHERE order_id = '11'");
    assert_eq!(rescued, [r#"{"order_total":"12,50"}"#]);
}

#[test]
fn a_dialect_that_is_set_is_not_guessed() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, "Order ID#SKU#Description\n11#A#'x#y'\n");
    assert_eq!(
        sync_set(&sandbox, "delimiter = \"#\"\nquote = \"'\"").file(ORDERS).outcome,
        "synced"
    );
    assert_eq!(sandbox.rows("SELECT order_id, description FROM orders"), ["11|x#y"]);
    sandbox.drop_file(ORDERS, "Order ID\tSKU\tDescription\n11\tA\tz\n");
    assert_eq!(sync_set(&sandbox, "delimiter = \"tab\"").file(ORDERS).outcome, "synced");
    assert_eq!(sandbox.rows("SELECT order_id, description FROM orders"), ["11|z"]);
    let report = sync_set(&sandbox, "delimiter = \",\"");
    assert!(report.file(ORDERS).error.contains("no column is `order_id`"), "{report:?}");
    for (settings, key) in [("delimiter = \"ab\"", "delimiter"), ("quote = \"x\"", "quote")] {
        let report = sync_set(&sandbox, settings);
        assert_eq!(report.exit, 2, "{settings}");
        assert!(report.stderr.contains(&format!("datasets.orders.{key}")), "{}", report.stderr);
    }
}
