//! The shortest way through everything: drop, sync, look.

use crate::sandbox::{Sandbox, table};

scenario!(an_order_with_two_lines_becomes_one_order_and_two_items);
fn an_order_with_two_lines_becomes_one_order_and_two_items(sandbox: &Sandbox) {
    sandbox.drop_file(
        "Market 1 Orders.csv",
        &table(&[
            "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time",
            "11,COMPLETED,A,1,10.50,30.5,KSh,7,2022-02-15T13:07:09.000Z",
            "11,COMPLETED,B,2,20,30.5,KSh,7,2022-02-15T13:07:09.000Z",
        ]),
    );
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(sandbox.rows("SELECT order_id, line_count, order_total FROM orders"), ["11|2|30.5"]);
    assert_eq!(
        sandbox.rows("SELECT line_no, sku, total_price FROM order_items ORDER BY line_no"),
        ["1|A|10.5", "2|B|20"]
    );
    assert_eq!(sandbox.rows("SELECT customer_id, total_amount FROM customer_metrics"), ["7|30.5"]);
    assert_eq!(sandbox.sync().files[0].outcome, "unchanged");
}
