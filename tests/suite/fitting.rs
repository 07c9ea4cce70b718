//! Fitting: which rows stand as they are, which are put back, and which are none: by their count of
//! cells, their columns' types, and amounts that a delimiter cut.

use crate::sandbox::{Report, Sandbox, table};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";

const STOCK: &str = "[datasets.stock]\npaths = ['/stock[^/]*\\.csv$']\nkey = \"sku\"\n";

/// `tidegate sync` of the inbox under a configuration.
fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())])
}

fn rejects(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT r.row_number, reason FROM tidegate_rejects r ORDER BY r.row_number")
}

/// Rows that a few rejects are no large share of.
fn filler(row: &str) -> Vec<String> {
    (0..60).map(|number| row.replace('#', &format!("f{number}"))).collect()
}

fn content(header: &str, rows: &[&str], filler_row: &str) -> String {
    let filler = filler(filler_row);
    let lines: Vec<&str> = [header]
        .into_iter()
        .chain(rows.iter().copied())
        .chain(filler.iter().map(String::as_str))
        .collect();
    table(&lines)
}

scenario!(a_row_with_fewer_cells_fits_if_what_it_has_fits_and_its_key_is_there);
fn a_row_with_fewer_cells_fits_if_what_it_has_fits_and_its_key_is_there(sandbox: &Sandbox) {
    let header = "Language,Customer ID,Loyalty Points,Created At";
    let rows = ["en,1,5", "en,2", "en,3,many", "en"];
    sandbox.drop_file("Market 1 Customers.csv", &content(header, &rows, "en,#,1,2024-03-01"));
    let report = sandbox.sync();
    let counts = &report.file("Market 1 Customers.csv").counts;
    assert_eq!((counts["read"], counts["rejected"], counts["repaired"]), (64, 2, 0), "{report:?}");
    let stored = "SELECT customer_id, language, loyalty_points, created_at FROM customers WHERE customer_id < 'f' ORDER BY 1";
    assert_eq!(sandbox.rows(stored), ["1|en|5|-", "2|en|-|-"]);
    let rejects = rejects(sandbox);
    assert!(rejects[0].starts_with("3|") && rejects[0].contains("loyalty_points"), "{rejects:?}");
    assert!(rejects[1].starts_with("4|") && rejects[1].contains("the key"), "{rejects:?}");
}

scenario!(the_padding_that_most_rows_have_is_that_of_the_file);
fn the_padding_that_most_rows_have_is_that_of_the_file(sandbox: &Sandbox) {
    // Two more cells than the header in all rows but three.
    let header = "Order ID,Order Total,Sub Total,Description";
    let rows = [
        "11,far,5,x,,",
        "12,6,6,x",
        "13,7,7,x,",
        "14,far,7,x,",
        "15,1,100.00,5,x,",
        "16,1,5,by 12,30pm,",
    ];
    sandbox.drop_file(ORDERS, &content(header, &rows, "#,1,1,x,,"));
    let report = sandbox.sync();
    let counts = &report.file(ORDERS).counts;
    assert_eq!(
        (counts["rejected"], counts["repaired"], counts["rescued"]),
        (2, 1, 1),
        "{report:?}"
    );
    let stored = "SELECT order_id, order_total, sub_total, _rescued FROM orders WHERE order_id < 'f' ORDER BY 1";
    let expected = [r#"11|-|5|{"order_total":"far"}"#, "12|6|6|-", "13|7|7|-", "16|1|5|-"];
    assert_eq!(sandbox.rows(stored), expected);
    let numbers: Vec<String> =
        rejects(sandbox).iter().map(|reject| reject[..1].to_owned()).collect();
    assert_eq!(numbers, ["4", "5"]);
}

scenario!(an_amount_that_was_cut_is_put_back_or_refused_and_never_a_neighbours_value);
fn an_amount_that_was_cut_is_put_back_or_refused_and_never_a_neighbours_value(sandbox: &Sandbox) {
    let header = "Order ID,Order Status,Order Total,Merchant ID,Currency Symbol,Description";
    let rows = [
        // One way: the amount.
        "11,COMPLETED,1,100.00,700,KSh,x",
        // One way: the text.
        "12,COMPLETED,5,700,KSh,by 12,30pm",
        // Neither.
        "13,COMPLETED,5,seven,700,KSh,x",
        // With padding it would fit as it stands, with 250 for a merchant.
        "14,COMPLETED,1,250,700,KSh,",
    ];
    sandbox.drop_file(ORDERS, &content(header, &rows, "#,COMPLETED,1,700,KSh,x"));
    let report = sandbox.sync();
    let counts = &report.file(ORDERS).counts;
    assert_eq!(
        (counts["repaired"], counts["rejected"]),
        (2, 2),
        "{report:?} {:?}",
        rejects(sandbox)
    );
    let stored = "SELECT order_id, order_total, merchant_id, description FROM orders WHERE order_id < 'f' ORDER BY order_id";
    assert_eq!(sandbox.rows(stored), ["11|1100|700|x", "12|5|700|by 12,30pm"]);
}

scenario!(rows_of_a_new_feed_are_judged_by_the_types_that_its_other_rows_show);
fn rows_of_a_new_feed_are_judged_by_the_types_that_its_other_rows_show(sandbox: &Sandbox) {
    let header = "sku,city,total,payment,status,note";
    // One cell more than the header, and one that is empty at the end: as it stands, 50 is a
    // payment.
    let rows =
        ["a,Riga,12,50,Card,Paid,", "b,Nice, France,33.00,Card,Paid,", "c,Oslo,7.00,Card,Paid"];
    sandbox.drop_file("stock.csv", &content(header, &rows, "#,Riga,1.50,Card,Paid,"));
    let report = sync(sandbox, STOCK);
    assert_eq!(report.file("stock.csv").counts["rejected"], 2, "{report:?}");
    let stored = sandbox.rows("SELECT sku, total, payment FROM stock WHERE sku < 'f' ORDER BY sku");
    assert_eq!(stored, ["c|7|Card"]);
    let rejects = rejects(sandbox);
    assert!(
        rejects[0].contains("more than one way") && rejects[0].contains("total = `12,50`"),
        "{rejects:?}"
    );
    // What only such rows have still gets a type.
    let again = sandbox.sibling();
    again.drop_file("stock.csv", "sku,total,note,late\na,1,x,5,\nb,2\nc,3\nd,4\n");
    assert_eq!(sync(&again, STOCK).exit, 0);
    assert_eq!(
        again.rows("SELECT sku, total, late FROM stock ORDER BY sku"),
        ["a|1|5", "b|2|-", "c|3|-", "d|4|-"]
    );
    assert_eq!(again.rows("SELECT COUNT(*) FROM stock WHERE late + 1 = 6"), ["1"]);
}

scenario!(half_an_amount_may_be_a_number_beside_a_text);
fn half_an_amount_may_be_a_number_beside_a_text(sandbox: &Sandbox) {
    let header = "sku,place,total,note";
    let rows = [
        // `shelf 7, 8` and 3, or `shelf 7` and 8,3.
        "a,shelf 7, 8,3,x",
        // An amount with a currency, groups and decimals can only be one.
        "b,shelf 7,₦ 1,250.50,x",
        // The note is empty, or 60 with padding behind it.
        "c,shelf,1 250,60,",
        "d,7,25,,",
    ];
    sandbox.drop_file("stock.csv", &content(header, &rows, "#,shelf,\"₦ 1,100.50\",x"));
    let report = sync(sandbox, STOCK);
    let counts = &report.file("stock.csv").counts;
    assert_eq!((counts["rejected"], counts["repaired"]), (3, 1), "{report:?}");
    let stored = sandbox.rows("SELECT sku, place, total FROM stock WHERE sku < 'f' ORDER BY sku");
    assert_eq!(stored, ["b|shelf 7|1250.5"]);
    for (reject, number) in rejects(sandbox).iter().zip([1, 3, 4]) {
        let told = reject.starts_with(&format!("{number}|"));
        assert!(told && reject.contains("more than one way"), "{reject}");
    }
}

scenario!(a_quote_may_stand_behind_spaces);
fn a_quote_may_stand_behind_spaces(sandbox: &Sandbox) {
    let header = "\"Order ID\", \"SKU\", \"Description\", \"Order Total\"";
    let rows = [
        "\"11\", \"A\",   \"tea, green\", \"5\"",
        "12,B,6\" pipe, 7",
        "\"13\", \"C\", \"say \"\"hi\"\"\", \"\"",
    ];
    sandbox.drop_file(ORDERS, &content(header, &rows, "\"#\", \"A\", \"x\", \"1\""));
    let report = sandbox.sync();
    assert_eq!(report.file(ORDERS).counts["rejected"], 0, "{report:?}");
    let stored = "SELECT order_id, description, order_total FROM orders WHERE order_id < 'f' ORDER BY order_id";
    assert_eq!(sandbox.rows(stored), ["11|tea, green|5", "12|6\" pipe|7", "13|say \"hi\"|-"]);
    // However it is written, it is the same row.
    sandbox.drop_file(
        ORDERS,
        &content("Order ID,SKU,Description,Order Total", &["11,A,\"tea, green\",5"], "#,A,x,1"),
    );
    assert_eq!(sandbox.sync().file(ORDERS).changes(), (0, 0, 122, 0));
}

scenario!(rows_above_the_header_are_none_where_the_key_tells_it);
fn rows_above_the_header_are_none_where_the_key_tells_it(sandbox: &Sandbox) {
    let rows = "Order ID;SKU;Order Total\n11;A;5\n12;B;6\n";
    for above in [
        "sep=;\r\n",
        "\u{feff}\"sep=;\"\n",
        "Orders of May\n\nexported, by \"hand\", 2024-03-01\n",
        "a \"broken\n\"title\" x\n",
        "\n\n;;\n",
    ] {
        let sandbox = sandbox.sibling();
        sandbox.drop_file(ORDERS, &format!("{above}{rows}"));
        let report = sandbox.sync();
        assert_eq!(report.file(ORDERS).outcome, "synced", "{above:?} {report:?}");
        assert_eq!(
            (report.file(ORDERS).counts["read"], report.file(ORDERS).counts["skipped"]),
            (2, 0),
            "{above:?}"
        );
        assert_eq!(
            sandbox.rows("SELECT order_id, order_total FROM orders ORDER BY 1"),
            ["11|5", "12|6"]
        );
    }
    // Beyond 50 rows nobody looks, and the reason names what stands first.
    let sandbox = sandbox.sibling();
    sandbox.drop_file(ORDERS, &format!("{}{rows}", "a;b;c\n".repeat(50)));
    let report = sandbox.sync();
    assert_eq!(report.file(ORDERS).outcome, "quarantined");
    assert!(
        report.file(ORDERS).error.contains("no column is `order_id`"),
        "{}",
        report.file(ORDERS).error
    );
}

scenario!(the_header_again_is_skipped_and_counted);
fn the_header_again_is_skipped_and_counted(sandbox: &Sandbox) {
    let rows = [
        "11,A,5",
        "Order ID,SKU,Order Total",
        "order id, sku ,ORDER TOTAL",
        "\u{feff}\"Order ID\",SKU,Order Total",
        "12,B,6",
        // Its key cell alone makes no header: what that is, a person has to say.
        "Order ID,X,7",
    ];
    sandbox.drop_file(ORDERS, &content("Order ID,SKU,Order Total", &rows, "#,A,1"));
    let report = sandbox.sync();
    let counts = &report.file(ORDERS).counts;
    assert_eq!((counts["read"], counts["skipped"], counts["rejected"]), (66, 3, 1), "{report:?}");
    assert_eq!(
        sandbox.rows(
            "SELECT rows_read - rows_accepted - rows_duplicate - rows_rejected, rows_skipped FROM tidegate_files"
        ),
        ["3|3"]
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["62"]);
    let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
