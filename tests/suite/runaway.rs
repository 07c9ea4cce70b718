//! Runaway quotes: a quote that never closes, or only in a later row, costs its own row and no
//! other.

use crate::sandbox::{FileReport, Sandbox};

const ORDERS: &str = "Market 1 Orders.csv";

fn sync(sandbox: &Sandbox, rows: &str) -> FileReport {
    let filler: String = (900..960).map(|number| format!("{number},f,f,1\n")).collect();
    sandbox.drop_file(ORDERS, &format!("Order ID,SKU,Description,Order Total\n{rows}{filler}"));
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(ORDERS).outcome, "synced", "{rows}: {report:?}");
    let astray = "SELECT id FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(astray), Vec::<String>::new());
    report.file(ORDERS).clone()
}

const LOADED: &str =
    "SELECT order_id, description FROM orders WHERE order_id < '2' ORDER BY order_id";
const REJECTS: &str = "SELECT r.row_number, raw FROM tidegate_rejects r ORDER BY r.row_number";

scenario!(a_quote_that_a_later_row_closes_costs_one_row);
fn a_quote_that_a_later_row_closes_costs_one_row(sandbox: &Sandbox) {
    let cases = [
        // Never closed.
        ("11,A,x,1\n12,B,\"open,1\n13,C,y,1\n", "11|x,13|y", "2|12,B,\"open,1"),
        // Closed by an inch sign at the end of a cell: the row of three lines fits no way.
        ("12,B,\"open,1\n13,C,y,1\n14,D,6\",1\n", "13|y,14|6\"", "1|12,B,\"open,1"),
        // The same, and the row that comes out of it has as many cells as the header.
        ("12,\"B,x,1\n13,C,y,1\n14,D\",z,1\n", "13|y", "1|12,\"B,x,1"),
        // A lone quote far below.
        (
            "12,B,\"open,1\n13,C,y,1\n14,D,z,1\n15,E,\",1\n16,F,w,1\n",
            "13|y,14|z,16|w",
            "1|12,B,\"open,1",
        ),
        // Carriage returns.
        ("12,B,\"open,1\r\n13,C,y,1\r\n14,D,6\",1\r\n", "13|y,14|6\"", "1|12,B,\"open,1"),
        // The key itself.
        ("\"12,B,x,1\n13,C,y,1\n14,D,6\",1\n", "13|y,14|6\"", "1|\"12,B,x,1"),
    ];
    for (rows, loaded, rejected) in cases {
        let fresh = sandbox.sibling();
        sync(&fresh, rows);
        assert!(
            fresh.rows(REJECTS).contains(&rejected.to_owned()),
            "{rows}: {:?}",
            fresh.rows(REJECTS)
        );
        let stored = fresh.rows(LOADED);
        for order in loaded.split(',') {
            assert!(stored.contains(&order.to_owned()), "{rows}: {order} is not among {stored:?}");
        }
    }
}

scenario!(text_of_several_lines_is_left_alone);
fn text_of_several_lines_is_left_alone(sandbox: &Sandbox) {
    let texts = [
        "two\nlines",
        "a list:\n- one, two\n- three, four\n",
        "line, with, as, many\ncells, as, a, row\nand, so, on, here",
        "a\n\n\nb",
        "a number\n13\nalone",
    ];
    let rows: String =
        texts.iter().zip(11..).map(|(text, order)| format!("{order},A,\"{text}\",1\n")).collect();
    assert_eq!(sync(sandbox, &rows).counts["rejected"], 0);
    let stored =
        sandbox.rows("SELECT description FROM orders WHERE order_id < '2' ORDER BY order_id");
    assert_eq!(stored, texts);
    // With the padding, what follows the text's first line has as many cells as the header.
    let padded = sandbox.sibling();
    padded.drop_file(
        "Market 1 Customers.csv",
        "Customer ID,Language,Created At,\nk,\"line\nbreak\",2024-03-03T09:33:46Z,\n",
    );
    assert_eq!(padded.sync().exit, 0);
    assert_eq!(padded.rows("SELECT customer_id, language FROM customers"), ["k|line\nbreak"]);
}

scenario!(quoted_text_whose_lines_look_like_rows_is_text_where_its_last_line_does_not);
fn quoted_text_whose_lines_look_like_rows_is_text_where_its_last_line_does_not(sandbox: &Sandbox) {
    let text = "Order ID,Description,SKU\n1,\"multi\n2,fake,6\n3,fake,7\n\",A\n4,plain,B\n";
    sandbox.drop_file(ORDERS, text);
    let report = sandbox.sync();
    assert_eq!(report.file(ORDERS).counts["rejected"], 0, "{report:?}");
    let orders = sandbox.rows("SELECT order_id, description FROM orders ORDER BY order_id");
    assert_eq!(orders, ["1|multi\n2,fake,6\n3,fake,7\n", "4|plain"]);
}

scenario!(blank_and_repeated_lines_are_no_rows);
fn blank_and_repeated_lines_are_no_rows(sandbox: &Sandbox) {
    let report = sync(
        sandbox,
        "  \t\n11,A,x,1\n\n,,,\n\r\n  \n , ,,\nOrder ID,SKU,Description,Order Total\n,,,,,\n12,B,y,1\n",
    );
    assert_eq!(
        (report.counts["read"], report.counts["rejected"], report.counts["skipped"]),
        (63, 0, 1)
    );
    assert_eq!(sandbox.rows(LOADED), ["11|x", "12|y"]);
}

scenario!(a_file_of_nothing_but_a_mark_or_blank_lines_is_refused);
fn a_file_of_nothing_but_a_mark_or_blank_lines_is_refused(sandbox: &Sandbox) {
    for content in ["", "\u{feff}", "\n\n", "\u{feff}\r\n", ",,,\n", "   \n"] {
        sandbox.drop_file(ORDERS, content);
        let report = sandbox.sync();
        assert_eq!(report.file(ORDERS).outcome, "quarantined", "{content:?}");
        assert!(report.file(ORDERS).error.contains("no header"), "{}", report.file(ORDERS).error);
    }
    sandbox.drop_file(ORDERS, "\u{feff}\n  \n,,\nOrder ID,SKU\n11,A\n");
    assert_eq!(sandbox.sync().file(ORDERS).outcome, "synced");
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), ["11"]);
}
