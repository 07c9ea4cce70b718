//! Widening: a column whose values outgrow its type takes a wider one. No stored row changes by it,
//! and once it is text it holds what files say.

use crate::sandbox::{FileReport, Report, Sandbox, table};

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

/// The items' columns that the files of these tests bring.
const ITEMS: &str = "SELECT order_id, pieces, weight, latitude, packed_on, packed_at, _file_id FROM order_items ORDER BY order_id";

const HEADER: &str = "Order ID,SKU,Pieces,Weight,Latitude,Packed On,Packed At";
const NARROW: [&str; 3] = [
    HEADER,
    "11,A,3,2.50,-1.2611134,2022-02-17,2022-02-17T13:00:00Z",
    "12,A,4,\"1,250\",0.00000015,2022-02-18,2022-02-18",
];
const WIDER: &str = "13,A,2.5,heavy,unknown,2022-02-19 08:00,later";
const WIDEST: &str = "14,A,many,2,36,soon,2022-02-17 13:00:00";

fn synced(sandbox: &Sandbox, name: &str, content: &str) -> FileReport {
    synced_with(sandbox, name, content, &[])
}

fn synced_with(
    sandbox: &Sandbox,
    name: &str,
    content: &str,
    settings: &[(&str, &str)],
) -> FileReport {
    sandbox.drop_file(name, content);
    let report = sandbox.sync_with(settings);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report.file(name).clone()
}

/// The widenings: table, column, before, after, file.
fn widenings(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows(
        "SELECT table_name, column_name, old_type, new_type, file_id FROM tidegate_schema_changes WHERE change_kind = 'widen_column' ORDER BY id",
    )
}

fn policy(policy: &str) -> [(&str, &str); 1] {
    [("TIDEGATE_DATASETS__ORDERS__ON_TYPE_CHANGE", policy)]
}

scenario!(a_column_that_its_values_outgrow_takes_a_wider_type_and_as_text_holds_what_files_say);
fn a_column_that_its_values_outgrow_takes_a_wider_type_and_as_text_holds_what_files_say(
    sandbox: &Sandbox,
) {
    synced(sandbox, ORDERS, &table(&NARROW));
    let wider = synced(sandbox, ORDERS, &table(&[&NARROW[..], &[WIDER]].concat()));
    assert_eq!(
        wider.changes(),
        (2, 2, 2, 0),
        "the file spells two rows otherwise than their values were"
    );
    assert_eq!(
        widenings(sandbox),
        [
            "order_items|pieces|bigint|decimal|2",
            "order_items|weight|decimal|text|2",
            "order_items|latitude|double|text|2",
            "order_items|packed_on|date|timestamp|2",
            "order_items|packed_at|timestamp|text|2",
        ]
    );
    assert_eq!(
        sandbox.rows(ITEMS),
        [
            "11|3|2.50|-1.2611134|2022-02-17T00:00:00.000Z|2022-02-17T13:00:00Z|2",
            "12|4|1,250|0.00000015|2022-02-18T00:00:00.000Z|2022-02-18|2",
            "13|2.5|heavy|unknown|2022-02-19T08:00:00.000Z|later|2",
        ]
    );
    let widest = synced(sandbox, ORDERS, &table(&[&NARROW[..], &[WIDER, WIDEST]].concat()));
    assert_eq!(widest.changes(), (2, 1, 5, 0), "the file spells one moment otherwise");
    assert_eq!(
        sandbox.rows(ITEMS),
        [
            "11|3|2.50|-1.2611134|2022-02-17|2022-02-17T13:00:00Z|2",
            "12|4|1,250|0.00000015|2022-02-18|2022-02-18|2",
            "13|2.5|heavy|unknown|2022-02-19 08:00|later|3",
            "14|many|2|36|soon|2022-02-17 13:00:00|3",
        ]
    );
    assert_eq!(
        widenings(sandbox)[5..],
        ["order_items|pieces|decimal|text|3", "order_items|packed_on|timestamp|text|3"]
    );
    // A file without the columns, and the whole once more: nothing to write.
    let without = ["Order ID,SKU", "11,A", "12,A", "13,A", "14,A"];
    assert_eq!(synced(sandbox, ORDERS, &table(&without)).changes(), (0, 0, 8, 0));
    let again = table(&[&NARROW[..], &[WIDER, WIDEST, ""]].concat());
    assert_eq!(synced(sandbox, ORDERS, &again).changes(), (0, 0, 8, 0));
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM order_items WHERE _rescued IS NOT NULL"), ["0"]);
    let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

scenario!(a_widened_row_is_the_row_that_a_wide_column_would_have_held);
/// The hash says what is stored, not how: columns that were text from the start give the same rows.
fn a_widened_row_is_the_row_that_a_wide_column_would_have_held(sandbox: &Sandbox) {
    let rows = ["Order ID,SKU,Pieces,At,On", "11,A,3,2022-02-17T13:00:00.000Z,2022-02-17"];
    let words = "12,A,three,noon,Friday";
    synced(sandbox, ORDERS, &table(&rows));
    synced(sandbox, ORDERS, &table(&[&rows[..], &[words]].concat()));
    let wide = sandbox.sibling();
    synced(&wide, ORDERS, &table(&[&rows[..], &[words]].concat()));
    assert_eq!(widenings(sandbox).len(), 3);
    assert_eq!(widenings(&wide).len(), 0);
    assert_eq!(sandbox.dump(), wide.dump());
}

scenario!(whole_numbers_too_long_for_a_decimal_become_text);
fn whole_numbers_too_long_for_a_decimal_become_text(sandbox: &Sandbox) {
    synced(
        sandbox,
        ORDERS,
        &table(&["Order ID,SKU,Serial,Meter", "11,A,1234567890123456,5", "12,A,-7,6"]),
    );
    synced(
        sandbox,
        ORDERS,
        &table(&["Order ID,SKU,Serial,Meter", "13,A,2.5,12345678901234567890"]),
    );
    let items = sandbox.rows("SELECT serial, meter FROM order_items ORDER BY order_id");
    assert_eq!(items, ["1234567890123456|5", "-7|6", "2.5|12345678901234567890"]);
    assert_eq!(
        widenings(sandbox),
        ["order_items|serial|bigint|text|2", "order_items|meter|bigint|text|2"]
    );
}

scenario!(json_widens_as_csv_does_and_the_views_follow);
fn json_widens_as_csv_does_and_the_views_follow(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "21,A,1"]));
    synced(
        sandbox,
        CUSTOMERS,
        r#"[{"Customer ID": 1, "Level": 3}, {"Customer ID": 2, "Level": 4}]"#,
    );
    let report = synced(
        sandbox,
        CUSTOMERS,
        r#"[{"Customer ID": 1, "Level": 3}, {"Customer ID": 2, "Level": "gold"}, {"Customer ID": 3}]"#,
    );
    assert_eq!(report.changes(), (1, 1, 1, 0));
    assert_eq!(
        sandbox.rows("SELECT level FROM customers ORDER BY customer_id"),
        ["3", "gold", "-"]
    );
    assert_eq!(sandbox.rows("SELECT order_id, customer_level FROM enriched_orders"), ["21|3"]);
}

scenario!(a_dataset_may_rescue_instead);
fn a_dataset_may_rescue_instead(sandbox: &Sandbox) {
    let few = ["Order ID,SKU,Pieces,Quantity", "11,A,3,1", "12,A,4,1"];
    let odd = ["Order ID,SKU,Pieces,Quantity", "11,A,three,1", "11,B,5,1", "12,A,5,1"];
    synced(sandbox, ORDERS, &table(&few));
    synced_with(sandbox, ORDERS, &table(&odd), &policy("rescue"));
    let items = "SELECT order_id, sku, pieces, _rescued FROM order_items ORDER BY order_id, sku";
    assert_eq!(sandbox.rows(items), [r#"11|A|-|{"pieces":"three"}"#, "11|B|5|-", "12|A|5|-"]);
    assert_eq!(widenings(sandbox), Vec::<String>::new());
}

scenario!(a_dataset_may_reject_instead);
fn a_dataset_may_reject_instead(sandbox: &Sandbox) {
    let many: Vec<String> = (100..140).map(|order| format!("{order},A,3,1")).collect();
    let few = format!("Order ID,SKU,Pieces,Quantity\n{}\n", many.join("\n"));
    synced(sandbox, ORDERS, &few);
    // A found column and a declared one; each takes its whole record with it.
    let odd = few
        .replace("101,A,3,1", "101,A,three,1\n101,B,9,1")
        .replace("102,A,3,1", "102,A,9,about 1");
    let report = synced_with(sandbox, ORDERS, &odd, &policy("reject"));
    assert_eq!((report.counts["read"], report.counts["rejected"]), (41, 3));
    assert_eq!(report.changes(), (0, 0, 76, 0));
    let rejects =
        sandbox.rows("SELECT r.row_number, r.column_name, r.reason FROM tidegate_rejects r ORDER BY r.row_number");
    assert_eq!(
        rejects,
        [
            "2|pieces|`three` does not fit the column's type, bigint, and on_type_change is \"reject\": correct the value",
            "3|-|row 2 of the same record cannot be loaded, and records are loaded whole",
            "4|quantity|`about 1` does not fit the column's type, decimal, and on_type_change is \"reject\": correct the value",
        ]
    );
    let object = r#"[{"Order ID": "200", "SKU": "A", "Pieces": 4}, {"Order ID": "201", "SKU": "A", "Pieces": true}]"#;
    sandbox.drop_file("market-1-orders-2099-01-01.json", object);
    let percent = ("TIDEGATE_REJECTS_MAX_PERCENT", "50");
    let report = sandbox.sync_with(&[policy("reject")[0], percent]);
    assert_eq!(report.file("market-1-orders-2099-01-01.json").counts["rejected"], 1, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT order_id, pieces FROM order_items WHERE order_id >= '200'"),
        ["200|4"]
    );
}

scenario!(declared_columns_widen_only_when_told_to_and_never_under_a_mart);
/// What marts and views count on keeps its type; other declared columns widen when they are told
/// to.
fn declared_columns_widen_only_when_told_to_and_never_under_a_mart(sandbox: &Sandbox) {
    let rows = ["Order ID,SKU,Tip,Quantity", "11,A,1.50,2"];
    let odd = ["Order ID,SKU,Tip,Quantity", "11,A,1.50,2", "12,A,generous,a few"];
    synced(sandbox, ORDERS, &table(&rows));
    synced(sandbox, ORDERS, &table(&odd));
    let orders = "SELECT order_id, tip, _rescued FROM orders ORDER BY order_id";
    let items = "SELECT order_id, quantity, _rescued FROM order_items ORDER BY order_id";
    assert_eq!(sandbox.rows(orders), ["11|1.5|-", r#"12|-|{"tip":"generous"}"#]);
    let widened = synced_with(sandbox, ORDERS, &table(&odd), &policy("widen"));
    assert_eq!(widened.changes(), (0, 2, 2, 0));
    assert_eq!(sandbox.rows(orders), ["11|1.50|-", "12|generous|-"]);
    assert_eq!(sandbox.rows(items), ["11|2|-", r#"12|-|{"quantity":"a few"}"#]);
    assert_eq!(widenings(sandbox), ["orders|tip|decimal|text|3"]);
    assert_eq!(
        sandbox.rows("SELECT order_id, tip FROM enriched_orders ORDER BY order_id"),
        ["11|1.50", "12|generous"]
    );
    // And it stays what it is now, whatever the next start is told.
    assert_eq!(
        synced(sandbox, ORDERS, &table(&[&odd[..], &[""]].concat())).changes(),
        (0, 0, 4, 0)
    );
}

scenario!(a_crash_while_a_column_is_widened_is_made_good);
fn a_crash_while_a_column_is_widened_is_made_good(sandbox: &Sandbox) {
    for point in ["during_schema_change", "during_widening", "before_commit"] {
        let sandbox = &sandbox.sibling();
        synced(sandbox, ORDERS, &table(&NARROW));
        sandbox.drop_file(ORDERS, &table(&[&NARROW[..], &[WIDER]].concat()));
        let crashed: Report = sandbox.sync_with(&[("FAILPOINTS", &format!("{point}=return"))]);
        assert_eq!(crashed.exit, KILLED, "{point}: {}", crashed.stderr);
        let report = sandbox.sync();
        assert_eq!(report.file(ORDERS).outcome, "synced", "{report:?}");
        let clean = sandbox.sibling();
        synced(&clean, ORDERS, &table(&NARROW));
        synced(&clean, ORDERS, &table(&[&NARROW[..], &[WIDER]].concat()));
        assert_eq!(sandbox.dump(), clean.dump(), "{point}");
        assert_eq!(widenings(sandbox), widenings(&clean), "{point}");
        assert!(!sandbox.columns("order_items").contains(&"_widened".to_owned()));
    }
}

scenario!(a_column_is_not_widened_under_a_file_that_is_being_written);
/// A file that is being written has values of the old kind: the other one waits for it.
fn a_column_is_not_widened_under_a_file_that_is_being_written(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Pieces,Weight", "11,A,3,5"]));
    let many: Vec<String> = (0..5000).map(|order| format!("{order},A,{order},7")).collect();
    let numbers = format!("Order ID,SKU,Pieces,Weight\n{}\n", many.join("\n"));
    for market in 2..6 {
        let words = numbers.replace("4999,A,4999,7", "4999,A,many,7.5");
        let content = if market % 2 == 0 { &numbers } else { &words };
        sandbox.drop_file(&format!("Market {market} Orders.csv"), content);
    }
    let report = sandbox.sync_with(&[("TIDEGATE_MEMORY_MAX_MB", "64")]);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    let found = sandbox.rows(
            "SELECT market, COUNT(pieces), MAX(weight), COUNT(_rescued) FROM order_items WHERE order_id = '4999' GROUP BY market ORDER BY market",
        );
    assert_eq!(found, ["2|1|7|0", "3|1|7.5|0", "4|1|7|0", "5|1|7.5|0"]);
    let pieces = sandbox
        .rows("SELECT DISTINCT pieces FROM order_items WHERE order_id = '4999' ORDER BY pieces");
    assert_eq!(pieces, ["4999", "many"]);
    assert_eq!(widenings(sandbox).len(), 2);
}
