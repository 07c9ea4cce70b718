//! A newer version of a file writes what differs, and nothing else.

use crate::sandbox::{Sandbox, table};
use std::fs::File;
use std::time::SystemTime;

const ORDERS: &str = "Market 1 Orders.csv";
const HEADER: &str = "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Merchant ID,Order Time";

/// Three orders of three customers, the first with two lines.
const FIRST: [&str; 5] = [
    HEADER,
    "11,ORDERED,A,1,10,30,KSh,7,M,2022-02-15T13:00:00Z",
    "11,ORDERED,B,2,20,30,KSh,7,M,2022-02-15T13:00:00Z",
    "12,ORDERED,A,5,50,50,KSh,8,M,2022-02-16T13:00:00Z",
    "13,ORDERED,C,1,5,5,₦,9,N,2022-02-17T13:00:00Z",
];

fn synced(sandbox: &Sandbox, name: &str, lines: &[&str]) -> (u64, u64, u64, u64) {
    sandbox.drop_file(name, &table(lines));
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report.file(name).changes()
}

fn items(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT order_id, line_no, sku, quantity, _file_id FROM order_items ORDER BY order_id, line_no")
}

scenario!(a_second_version_writes_only_what_differs);
fn a_second_version_writes_only_what_differs(sandbox: &Sandbox) {
    assert_eq!(synced(sandbox, ORDERS, &FIRST), (7, 0, 0, 0));
    let mut second = FIRST.map(str::to_owned).to_vec();
    second[3] = second[3].replace("ORDERED,A,5", "COMPLETED,A,6");
    second.push("14,ORDERED,D,1,7,7,₦,9,N,2022-02-18T13:00:00Z".to_owned());
    let second: Vec<&str> = second.iter().map(String::as_str).collect();
    assert_eq!(synced(sandbox, ORDERS, &second), (2, 2, 5, 0));
    let orders =
        sandbox.rows("SELECT order_id, order_status, _file_id FROM orders ORDER BY order_id");
    assert_eq!(orders, ["11|ORDERED|1", "12|COMPLETED|2", "13|ORDERED|1", "14|ORDERED|2"]);
    assert_eq!(
        items(sandbox),
        ["11|1|A|1|1", "11|2|B|2|1", "12|1|A|6|2", "13|1|C|1|1", "14|1|D|1|2"]
    );
}

scenario!(touching_a_file_makes_no_new_version);
fn touching_a_file_makes_no_new_version(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    let file =
        File::options().append(true).open(sandbox.inbox().join(ORDERS)).expect("it was dropped");
    file.set_modified(SystemTime::now()).expect("it is ours");
    let report = sandbox.sync();
    assert_eq!(report.file(ORDERS).outcome, "unchanged");
    assert_eq!(sandbox.rows("SELECT id, state, rows_new FROM tidegate_files"), ["1|synced|7"]);
}

scenario!(content_that_means_the_same_writes_no_row);
fn content_that_means_the_same_writes_no_row(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    sandbox.execute("UPDATE customer_metrics SET total_amount = 999");
    let mut same = FIRST.to_vec();
    same.push("");
    assert_eq!(synced(sandbox, ORDERS, &same), (0, 0, 7, 0));
    assert_eq!(sandbox.rows("SELECT DISTINCT _file_id FROM orders"), ["1"]);
    assert_eq!(sandbox.rows("SELECT DISTINCT _file_id FROM order_items"), ["1"]);
    assert_eq!(
        sandbox.rows("SELECT DISTINCT total_amount FROM customer_metrics"),
        ["999"],
        "a mart was written"
    );
    let ledger =
        sandbox.rows("SELECT id, state, rows_read, rows_unchanged FROM tidegate_files ORDER BY id");
    assert_eq!(ledger, ["1|synced|4|0", "2|synced|4|7"]);
}

scenario!(only_touched_groups_of_a_mart_are_computed_anew);
fn only_touched_groups_of_a_mart_are_computed_anew(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    sandbox.execute("UPDATE customer_metrics SET total_amount = 999");
    sandbox.execute("UPDATE merchant_metrics SET total_amount = 999");
    sandbox.execute("UPDATE daily_metrics SET total_amount = 999");
    sandbox.execute("UPDATE product_metrics SET revenue = 999");
    let mut second = FIRST;
    second[3] = "12,ORDERED,A,5,51,51,KSh,8,M,2022-02-16T13:00:00Z";
    synced(sandbox, ORDERS, &second);
    let rows = |sql: &str| sandbox.rows(sql);
    assert_eq!(
        rows("SELECT customer_id, total_amount FROM customer_metrics ORDER BY customer_id"),
        ["7|999", "8|51", "9|999"]
    );
    assert_eq!(
        rows("SELECT merchant_id, total_amount FROM merchant_metrics ORDER BY merchant_id"),
        ["M|81", "N|999"]
    );
    assert_eq!(rows("SELECT total_amount FROM daily_metrics ORDER BY day"), ["999", "51", "999"]);
    assert_eq!(
        rows("SELECT sku, revenue FROM product_metrics ORDER BY sku"),
        ["A|61", "B|999", "C|999"]
    );
}

scenario!(lines_that_an_order_lost_are_deleted_and_its_header_follows);
fn lines_that_an_order_lost_are_deleted_and_its_header_follows(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    assert_eq!(synced(sandbox, ORDERS, &[HEADER, FIRST[1], FIRST[3], FIRST[4]]), (0, 1, 5, 1));
    assert_eq!(items(sandbox), ["11|1|A|1|1", "12|1|A|5|1", "13|1|C|1|1"]);
    assert_eq!(
        sandbox.rows("SELECT line_count, _file_id FROM orders WHERE order_id = '11'"),
        ["1|2"]
    );
    assert_eq!(sandbox.rows("SELECT sku FROM product_metrics ORDER BY sku"), ["A", "C"]);
}

scenario!(a_line_in_the_middle_moves_the_later_ones);
fn a_line_in_the_middle_moves_the_later_ones(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    let between = "11,ORDERED,X,9,90,30,KSh,7,M,2022-02-15T13:00:00Z";
    let second = [HEADER, FIRST[1], between, FIRST[2], FIRST[3], FIRST[4]];
    assert_eq!(synced(sandbox, ORDERS, &second), (1, 2, 5, 0));
    assert_eq!(items(sandbox)[..3], ["11|1|A|1|1", "11|2|X|9|2", "11|3|B|2|2"]);
}

scenario!(orders_and_customers_that_a_newer_export_does_not_mention_stay);
fn orders_and_customers_that_a_newer_export_does_not_mention_stay(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    assert_eq!(synced(sandbox, ORDERS, &[HEADER, FIRST[3]]), (0, 0, 2, 0));
    assert_eq!(sandbox.rows("SELECT order_id FROM orders ORDER BY order_id"), ["11", "12", "13"]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM order_items"), ["4"]);
}

scenario!(an_order_is_the_same_however_its_rows_are_scattered);
fn an_order_is_the_same_however_its_rows_are_scattered(sandbox: &Sandbox) {
    let [a, b, c] =
        ["A", "B", "C"].map(|sku| format!("11,ORDERED,{sku},1,10,30,KSh,7,M,2022-02-15T13:00:00Z"));
    let [x, y] =
        ["X", "Y"].map(|sku| format!("12,ORDERED,{sku},1,10,20,KSh,8,M,2022-02-15T13:00:00Z"));
    let together = [HEADER, &a, &b, &c, &x, &y];
    let interleaved = [HEADER, &a, &x, &b, &y, &c];
    let apart = [HEADER, &a, &b, &x, &y, &c];
    assert_eq!(synced(sandbox, ORDERS, &together), (7, 0, 0, 0));
    let expected = ["11|1|A|1|1", "11|2|B|1|1", "11|3|C|1|1", "12|1|X|1|1", "12|2|Y|1|1"];
    assert_eq!(items(sandbox), expected);
    for rows in [interleaved, apart] {
        assert_eq!(synced(sandbox, ORDERS, &rows), (0, 0, 7, 0), "{rows:?}");
        assert_eq!(items(sandbox), expected);
        let fresh = sandbox.sibling();
        synced(&fresh, ORDERS, &rows);
        assert_eq!(fresh.dump(), sandbox.dump());
    }
}

scenario!(an_exact_duplicate_row_of_an_order_counts_once);
fn an_exact_duplicate_row_of_an_order_counts_once(sandbox: &Sandbox) {
    // As text they differ; as cleaned values they are equal.
    let same = "11,ORDERED,A,1.0,\"10.00\",KSh 30,KSh, 7 ,M,2022-02-15 13:00:00";
    let rows = [HEADER, FIRST[1], FIRST[1], FIRST[2], FIRST[3], same];
    assert_eq!(synced(sandbox, ORDERS, &rows), (5, 0, 0, 0));
    assert_eq!(items(sandbox), ["11|1|A|1|1", "11|2|B|2|1", "12|1|A|5|1"]);
    assert_eq!(sandbox.rows("SELECT line_count FROM orders ORDER BY order_id"), ["2", "1"]);
    let ledger =
        sandbox.rows("SELECT rows_read, rows_accepted, rows_duplicate FROM tidegate_files");
    assert_eq!(ledger, ["5|3|2"]);
    assert_eq!(sandbox.rows("SELECT units_sold FROM product_metrics WHERE sku = 'A'"), ["6"]);
}

scenario!(equal_rows_of_a_task_are_real);
fn equal_rows_of_a_task_are_real(sandbox: &Sandbox) {
    let name = "Market 1 Deliveries.csv";
    let row = "T,\"YR-11,0\",Completed,5,KSh 10";
    let rows = ["Task_ID,Order_ID,Task_Status,Task_Details_QTY,Task_Details_AMOUNT", row, row, row];
    assert_eq!(synced(sandbox, name, &rows), (4, 0, 0, 0));
    assert_eq!(sandbox.rows("SELECT order_id, line_count FROM deliveries"), ["11|3"]);
    let lines =
        sandbox.rows("SELECT line_no, task_details_qty, task_details_amount FROM delivery_items");
    assert_eq!(lines, ["1|5|10", "2|5|10", "3|5|10"]);
    assert_eq!(synced(sandbox, name, &rows[..3]), (0, 1, 2, 1));
    assert_eq!(sandbox.rows("SELECT rows_duplicate FROM tidegate_files"), ["0", "0"]);
}

scenario!(the_last_of_several_rows_of_a_customer_wins);
fn the_last_of_several_rows_of_a_customer_wins(sandbox: &Sandbox) {
    let name = "Market 1 Customers.csv";
    let rows = ["Customer ID,Language,Loyalty Points", "7,en,1", "7,fr,2", "8,en,5", "7,sw,-"];
    assert_eq!(synced(sandbox, name, &rows), (2, 0, 0, 0));
    let customers =
        sandbox.rows("SELECT customer_id, language, loyalty_points FROM customers ORDER BY 1");
    assert_eq!(customers, ["7|sw|-", "8|en|5"]);
    let ledger =
        sandbox.rows("SELECT rows_read, rows_accepted, rows_duplicate FROM tidegate_files");
    assert_eq!(ledger, ["4|2|2"]);
}

scenario!(what_was_there_before_is_written_again_when_it_comes_back);
fn what_was_there_before_is_written_again_when_it_comes_back(sandbox: &Sandbox) {
    let mut other = FIRST;
    other[3] = "12,CANCELLED,A,5,50,50,KSh,8,M,2022-02-16T13:00:00Z";
    synced(sandbox, ORDERS, &FIRST);
    let before = sandbox.dump();
    assert_eq!(synced(sandbox, ORDERS, &other), (0, 1, 6, 0));
    assert_eq!(synced(sandbox, ORDERS, &FIRST), (0, 1, 6, 0));
    assert_eq!(sandbox.dump(), before);
    assert_eq!(
        sandbox.rows("SELECT COUNT(DISTINCT sha256), COUNT(*), MAX(id) FROM tidegate_files"),
        ["2|3|3"]
    );
    assert_eq!(sandbox.rows("SELECT COUNT(DISTINCT version) FROM tidegate_files"), ["3"]);
}

scenario!(a_refused_version_leaves_the_synced_one_in_place);
fn a_refused_version_leaves_the_synced_one_in_place(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &FIRST);
    let before = sandbox.dump();
    sandbox.drop_file(ORDERS, &table(&["No,Key", "1,2"]));
    let report = sandbox.sync();
    assert_eq!((report.exit, report.file(ORDERS).outcome.as_str()), (1, "quarantined"));
    assert!(report.file(ORDERS).error.contains("order_id"), "{}", report.file(ORDERS).error);
    assert_eq!(sandbox.dump(), before);
    sandbox.drop_file(ORDERS, &table(&FIRST));
    let report = sandbox.sync();
    assert_eq!((report.exit, report.file(ORDERS).outcome.as_str()), (0, "unchanged"));
    let mut next = FIRST.to_vec();
    next.push("14,ORDERED,D,1,7,7,₦,9,N,2022-02-18T13:00:00Z");
    assert_eq!(synced(sandbox, ORDERS, &next), (2, 0, 7, 0));
    let states = sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
    assert_eq!(states, ["synced", "quarantined", "synced"]);
}
