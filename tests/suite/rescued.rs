//! Rescued: rows with a value that does not fit are counted and told, and a column of which most do
//! not fit is another export.

use crate::sandbox::{Report, Sandbox};
use std::fmt::Write as _;
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";

/// So many orders, of which the first ones have a total that is none.
fn orders(rows: usize, misfits: usize) -> String {
    let mut text = "Order ID,SKU,Order Total,Tip\n".to_owned();
    for row in 0..rows {
        let total = if row < misfits { "about 5" } else { "5" };
        writeln!(text, "{row},A,{total},1").expect("a string takes everything");
    }
    text
}

fn synced(sandbox: &Sandbox, content: &str, settings: &str) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, settings).expect("a writable temporary directory");
    sandbox.drop_file(ORDERS, content);
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())])
}

scenario!(rows_with_a_rescued_value_are_counted_and_told_wherever_a_file_is);
fn rows_with_a_rescued_value_are_counted_and_told_wherever_a_file_is(sandbox: &Sandbox) {
    let content = "Order ID,SKU,Order Total,Tip\n1,A,about 5,some\n2,A,5,1\n3,A,5,none at all\n";
    let report = synced(sandbox, content, "");
    assert_eq!(report.file(ORDERS).counts["rescued"], 2, "{report:?}");
    assert_eq!(sandbox.rows("SELECT rows_rescued, rows_skipped FROM tidegate_files"), ["2|0"]);
    let said = |arguments: &[&str]| {
        let output = sandbox.command(arguments).output().expect("the built program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let status = said(&["status"]);
    assert!(
        status.contains("!0") && status.contains("?2") && status.contains("2 with a rescued value"),
        "{status}"
    );
    sandbox.drop_file("Market 2 Orders.csv", content);
    let inbox = sandbox.inbox();
    let plan = said(&["plan", &inbox.join("Market 2 Orders.csv").to_string_lossy()]);
    assert!(plan.contains("0 skipped; 0 repaired, 2 rescued") && plan.contains("?2"), "{plan}");
    let synced = said(&["sync", &inbox.to_string_lossy()]);
    assert!(synced.contains("  ?2"), "{synced}");
}

scenario!(what_a_record_index_knows_counts_as_it_did);
fn what_a_record_index_knows_counts_as_it_did(sandbox: &Sandbox) {
    let settings = "record_index_bytes_min = 1\n";
    assert_eq!(synced(sandbox, &orders(100, 3), settings).file(ORDERS).counts["rescued"], 3);
    let more = format!("{}100,A,5,1\n", orders(100, 3));
    let report = synced(sandbox, &more, settings);
    assert_eq!(report.file(ORDERS).counts["rescued"], 3, "{report:?}");
    assert_eq!(report.file(ORDERS).changes(), (2, 0, 200, 0));
}

scenario!(a_column_of_which_most_values_do_not_fit_refuses_the_file);
fn a_column_of_which_most_values_do_not_fit_refuses_the_file(sandbox: &Sandbox) {
    let report = synced(sandbox, &orders(60, 31), "");
    let file = report.file(ORDERS);
    assert_eq!(file.outcome, "quarantined", "{report:?}");
    for part in [
        "31 of 60",
        "order_total",
        "51.7 %",
        "rescued_max_percent allows 50",
        "row 1 has `about 5`",
    ] {
        assert!(file.error.contains(part), "{part}: {}", file.error);
    }
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
    // The limit decides, of all or of the dataset.
    assert_eq!(
        synced(sandbox, &orders(60, 31), "rescued_max_percent = 60\n").file(ORDERS).counts["rescued"],
        31
    );
    let of_dataset = "[datasets.orders]\nrescued_max_percent = 40\n";
    assert_eq!(synced(sandbox, &orders(60, 25), of_dataset).file(ORDERS).outcome, "quarantined");
    // Half of them, and fewer than 20, are dirt.
    for (rows, misfits) in [(60, 30), (25, 19)] {
        let fresh = sandbox.sibling();
        assert_eq!(
            synced(&fresh, &orders(rows, misfits), "").file(ORDERS).outcome,
            "synced",
            "{misfits} of {rows}"
        );
    }
    assert_eq!(synced(sandbox, &orders(60, 1), "rescued_max_percent = 101\n").exit, 2);
}

scenario!(lines_that_differ_in_what_is_rescued_of_them_are_two);
fn lines_that_differ_in_what_is_rescued_of_them_are_two(sandbox: &Sandbox) {
    const SALES: &str = "[datasets.sales]\npaths = ['/sales\\.json$']\nkey = \"id\"\n\
        lines_table = \"sale_lines\"\nduplicate_lines = \"drop\"\njson = { lines = \"lines\" }\n\
        columns.rate = { from = \"lines.rate\", type = \"integer\", of = \"record\" }\n";
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, SALES).expect("a writable temporary directory");
    let lines =
        r#"{"sku": "A", "rate": "-"}, {"sku": "A", "rate": "soon"}, {"sku": "A", "rate": "soon"}"#;
    sandbox.drop_file("sales.json", &format!(r#"[{{"id": 1, "lines": [{lines}]}}]"#));
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())]);
    assert_eq!(report.file("sales.json").counts["duplicate"], 1, "{report:?}");
    assert_eq!(sandbox.rows("SELECT line_count, _rescued FROM sales"), ["2|{\"rate\":\"soon\"}"]);
}

scenario!(json_counts_as_csv_does);
/// Values of objects and of their lines, texts and what is no number at all, in columns of one
/// name and in copies; numbers of JSON fit.
fn json_counts_as_csv_does(sandbox: &Sandbox) {
    const NAME: &str = "Market 1 Orders";
    let objects = |misfits: usize, misfit: &str| -> Vec<String> {
        let total = |row: usize| if row < misfits { misfit } else { "5.5" };
        let object = |row: usize| {
            format!(r#"{{"Order ID": "{row}", "SKU": "A", "Order Total": {}}}"#, total(row))
        };
        (0..60).map(object).collect()
    };
    let outcome = |extension: &str, text: &str, settings: &str| {
        let fresh = sandbox.sibling();
        let path = fresh.path("tidegate.toml");
        fs::write(&path, settings).expect("a writable temporary directory");
        let name = format!("{NAME}.{extension}");
        fresh.drop_file(&name, text);
        let report = fresh.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())]);
        let file = report.file(&name).clone();
        let stored = fresh.rows("SELECT COUNT(*) FROM orders");
        assert_eq!(stored, [if file.outcome == "synced" { "60" } else { "0" }], "{text}");
        file
    };
    for misfit in [r#""about 5""#, "true", "[5]"] {
        let array = format!("[{}]", objects(31, misfit).join(", "));
        for (extension, text) in [("json", &array), ("ndjson", &objects(31, misfit).join("\n"))] {
            let file = outcome(extension, text, "");
            assert_eq!(file.outcome, "quarantined", "{extension} {misfit}");
            for part in ["31 of 60", "order_total", "51.7 %", "row 1 has"] {
                assert!(file.error.contains(part), "{part}: {}", file.error);
            }
            let file = outcome(extension, text, "rescued_max_percent = 60\n");
            assert_eq!((file.outcome.as_str(), file.counts["rescued"]), ("synced", 31));
        }
    }
    // Half of them are dirt; a comma before decimals is told by the whole file.
    assert_eq!(outcome("json", &objects(30, r#""about 5""#).join("\n"), "").outcome, "synced");
    let open = "[datasets.orders]\ndecimal = \"auto\"\n";
    let german = objects(60, r#""1.250""#).join("\n").replace("\"59\"", "\"59\", \"Tip\": \"7,5\"");
    assert_eq!(outcome("json", &german, open).outcome, "synced");
    assert_eq!(outcome("json", &objects(60, r#""1.250""#).join("\n"), open).outcome, "quarantined");
}

scenario!(amounts_in_a_wrong_currency_count_as_misfits);
/// Another one than that of their rows, or one of two in a file whose rows say none.
fn amounts_in_a_wrong_currency_count_as_misfits(sandbox: &Sandbox) {
    let csv = |symbol: &str, foreign: usize| {
        let header = "Order ID,SKU,Order Total,Tip,Currency Symbol\n";
        (0..40).fold(header.to_owned(), |text, row| {
            let total = if row < foreign { "₦ 5" } else { "KSh 5" };
            text + &format!("{row},A,{total},1,{symbol}\n")
        })
    };
    let json = |symbol: &str, foreign: usize| {
        let object = |row: usize| {
            let total = if row < foreign { "₦ 5" } else { "KSh 5" };
            let symbol = format!(r#", "Currency Symbol": "{symbol}""#);
            format!(r#"{{"Order ID": "{row}", "SKU": "A", "Order Total": "{total}"{symbol}}}"#)
        };
        format!("[{}]", (0..40).map(object).collect::<Vec<_>>().join(",\n"))
    };
    let without = |text: String| {
        text.replace(",Currency Symbol", "")
            .replace(",1,\n", ",1\n")
            .replace(r#", "Currency Symbol": """#, "")
    };
    let outcome = |extension: &str, text: &str| {
        let fresh = sandbox.sibling();
        let name = format!("Market 1 Orders.{extension}");
        fresh.drop_file(&name, text);
        fresh.sync_with(&[]).file(&name).clone()
    };
    for (extension, all, most, half, two, one) in [
        ("csv", csv("KSh", 40), csv("KSh", 21), csv("KSh", 20), csv("", 39), csv("", 40)),
        ("json", json("KSh", 40), json("KSh", 21), json("KSh", 20), json("", 39), json("", 40)),
    ] {
        for (text, share) in [(all, "40 of 40"), (most, "21 of 40"), (without(two), "40 of 40")] {
            let file = outcome(extension, &text);
            assert_eq!(file.outcome, "quarantined", "{text}");
            for part in [share, "order_total", "rescued_max_percent", "row 1 has `₦ 5`", "currency"]
            {
                assert!(file.error.contains(part), "{part}: {}", file.error);
            }
        }
        let file = outcome(extension, &half);
        assert_eq!((file.outcome.as_str(), file.counts["rescued"]), ("synced", 20), "{half}");
        let file = outcome(extension, &without(one));
        assert_eq!((file.outcome.as_str(), file.counts["rescued"]), ("synced", 0));
    }
}

scenario!(a_number_of_json_that_does_not_fit_is_rescued_as_it_stands_in_the_file);
fn a_number_of_json_that_does_not_fit_is_rescued_as_it_stands_in_the_file(sandbox: &Sandbox) {
    let settings = |more: &str| {
        format!(
            "[datasets.stock]\npaths = ['stock']\nkey = 'sku'\ndecimal = ','\n{more}\
             [datasets.stock.columns]\nsize = {{ type = 'integer' }}\n\
             price = {{ type = 'decimal' }}\nunit = {{ from = 'size', type = 'text' }}\n"
        )
    };
    let sync = |content: &str, more: &str| {
        let path = sandbox.path("tidegate.toml");
        fs::write(&path, settings(more)).expect("a writable temporary directory");
        sandbox.drop_file("stock.json", content);
        let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())]);
        report.file("stock.json").clone()
    };
    let objects = [
        r#"{"sku":"a","size":32079.2,"price":1.250}"#,
        r#"{"sku":"b","size":1.250,"price":1E+30}"#,
        r#"{"sku":"c","size":3.20792E4,"price":12345678901234567.5}"#,
        r#"{"sku":"d","size":12.0,"price":1.5e3}"#,
        r#"{"sku":"e","size":"1,5","price":"1,5"}"#,
    ];
    let file = sync(&format!("[{}]", objects.join(",")), "");
    assert_eq!((file.outcome.as_str(), file.counts["rescued"]), ("synced", 4), "{file:?}");
    let stored = sandbox.rows("SELECT sku, size, price, unit, _rescued FROM stock ORDER BY sku");
    assert_eq!(
        stored,
        [
            r#"a|-|1.25|32079.2|{"size":"32079.2"}"#,
            r#"b|-|-|1.250|{"price":"1E+30","size":"1.250"}"#,
            r#"c|-|-|3.20792E4|{"price":"12345678901234567.5","size":"3.20792E4"}"#,
            "d|12|1500|12.0|-",
            r#"e|-|1.5|1,5|{"size":"1,5"}"#,
        ]
    );
    // A reason says so, too.
    let strict = sync(
        &format!("[{}]", objects[1]),
        "on_type_change = 'reject'\nrejects_max_percent = 100\n",
    );
    assert_eq!(strict.counts["rejected"], 1, "{strict:?}");
    let reason = sandbox.rows("SELECT reason FROM tidegate_rejects");
    assert!(reason.iter().any(|reason| reason.contains("`1.250`")), "{reason:?}");
    let many: Vec<String> =
        (0..40).map(|n| format!(r#"{{"sku":"x{n}","size":{n}.5,"price":1}}"#)).collect();
    let refused = sync(&format!("[{}]", many.join(",")), "");
    assert_eq!(refused.outcome, "quarantined", "{refused:?}");
    assert!(refused.error.contains("0.5") && !refused.error.contains("0,5"), "{refused:?}");
}

scenario!(a_wide_sign_of_a_currency_is_that_currency);
fn a_wide_sign_of_a_currency_is_that_currency(sandbox: &Sandbox) {
    let content = "Order ID,SKU,Order Total,Currency Symbol,Fee\n1,A,￥500,¥,￥1.50\n2,A,¥ 600,￥,¥2.50\n3,A,＄7,¥,¥3.50\n";
    let report = synced(sandbox, content, "");
    assert_eq!(report.file(ORDERS).counts["rescued"], 1, "{report:?}");
    let totals = "SELECT order_id, order_total, _rescued FROM orders ORDER BY order_id";
    assert_eq!(sandbox.rows(totals), ["1|500|-", "2|600|-", r#"3|-|{"order_total":"＄7"}"#]);
    assert_eq!(sandbox.rows("SELECT fee FROM order_items ORDER BY fee"), ["1.5", "2.5", "3.5"]);
}
