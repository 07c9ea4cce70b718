//! Views: enriched rows lose nothing to their joins, and what is said of customers follows from
//! their orders.

use crate::sandbox::{Sandbox, table};
use crate::shop::{Item, Order, Shop};

fn sync(sandbox: &Sandbox, name: &str, content: &str) {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
}

scenario!(a_customer_or_an_order_that_comes_later_shows_up_by_itself);
fn a_customer_or_an_order_that_comes_later_shows_up_by_itself(sandbox: &Sandbox) {
    let deliveries = "SELECT task_id, order_id, customer_id, order_status, order_time, customer_language, customer_last_used_platform FROM enriched_deliveries ORDER BY task_id";
    let orders = "SELECT order_id, customer_id, customer_language, customer_loyalty_points FROM enriched_orders ORDER BY order_id";
    sync(
        sandbox,
        "Market 1 Deliveries.csv",
        &table(&["Task_ID,Order_ID", "t1,11", "t2,12", "t3,99", "t4,-"]),
    );
    assert_eq!(
        sandbox.rows(deliveries),
        ["t1|11|-|-|-|-|-", "t2|12|-|-|-|-|-", "t3|99|-|-|-|-|-", "t4|-|-|-|-|-|-"]
    );
    let content = table(&[
        "Order ID,Order Status,Customer ID,Order Time",
        "11,ORDERED,1,2022-02-15",
        "12,ORDERED,2,-",
        "13,-,-,-",
    ]);
    sync(sandbox, "Market 1 Orders.csv", &content);
    assert_eq!(sandbox.rows(orders), ["11|1|-|-", "12|2|-|-", "13|-|-|-"]);
    // A customer of the same number in another market is another customer.
    sync(sandbox, "Market 2 Customers.csv", &table(&["Customer ID,Language", "1,xx", "2,xx"]));
    let customers =
        table(&["Customer ID,Language,Last Used Platform,Loyalty Points", "1,en,iOS,5"]);
    sync(sandbox, "Market 1 Customers.csv", &customers);
    assert_eq!(sandbox.rows(orders), ["11|1|en|5", "12|2|-|-", "13|-|-|-"]);
    assert_eq!(
        sandbox.rows(deliveries),
        [
            "t1|11|1|ORDERED|2022-02-15T00:00:00.000Z|en|iOS",
            "t2|12|2|ORDERED|-|-|-",
            "t3|99|-|-|-|-|-",
            "t4|-|-|-|-|-|-"
        ]
    );
}

scenario!(enriched_views_have_every_column_of_their_tables);
fn enriched_views_have_every_column_of_their_tables(sandbox: &Sandbox) {
    sync(sandbox, "Market 1 Customers.csv", &table(&["Customer ID,New", "1,x"]));
    let customers: Vec<String> = sandbox.columns("customers");
    let others =
        customers.iter().filter(|column| !["market", "customer_id"].contains(&column.as_str()));
    let prefixed: Vec<String> = others.map(|column| format!("customer_{column}")).collect();
    for (view, table) in [("enriched_orders", "orders"), ("enriched_deliveries", "deliveries")] {
        let columns = sandbox.columns(view);
        for expected in sandbox.columns(table).iter().chain(&prefixed) {
            assert!(columns.contains(expected), "{view} lacks {expected}: {columns:?}");
        }
    }
}

/// Ten customers, each with one order more, a dearer one, and a later one than the customer before.
fn growing_shop() -> Shop {
    let order = |customer: i64, number: i64| Order {
        id: format!("{customer}-{number}"),
        status: "COMPLETED",
        currency: "KSh",
        customer: format!("c{customer}"),
        time: format!("2022-{:02}-{:02}T12:00:00.000Z", 1 + number, 10 + customer),
        total: 1000 * customer,
        items: vec![Item::default()],
        ..Order::default()
    };
    let orders =
        (0..10).flat_map(|customer| (0..=customer).map(move |number| order(customer, number)));
    Shop { orders: orders.collect(), tasks: Vec::new() }
}

scenario!(segments_are_quintiles_of_recency_frequency_and_amount);
fn segments_are_quintiles_of_recency_frequency_and_amount(sandbox: &Sandbox) {
    sync(sandbox, "Market 1 Orders.csv", &growing_shop().orders_csv());
    let segments = sandbox.rows(
            "SELECT customer_id, recency_score, frequency_score, amount_score, frequency, amount, recency_days, segment FROM customer_segments ORDER BY customer_id",
        );
    assert_eq!(segments.len(), 10);
    for (row, customer) in segments.iter().zip(0_i64..) {
        let score = 1 + customer / 2;
        let scores = format!(
            "c{customer}|{score}|{score}|{score}|{}|{}|",
            customer + 1,
            10 * customer * (customer + 1)
        );
        assert!(row.starts_with(&scores), "{row} is not {scores}");
        let expected = match score {
            4 | 5 => "champions",
            3 => "loyal",
            _ => "lost",
        };
        assert!(row.ends_with(expected), "{row} is not {expected}");
    }
    assert!(segments[9].contains("|0|champions"), "the latest order is its own: {}", segments[9]);
    // From 2022-01-10 to 2022-10-19.
    assert!(segments[0].contains("|282|lost"), "{}", segments[0]);
}

scenario!(a_cohort_is_a_month_of_first_orders);
fn a_cohort_is_a_month_of_first_orders(sandbox: &Sandbox) {
    sync(sandbox, "Market 1 Orders.csv", &growing_shop().orders_csv());
    let cohorts = sandbox.rows(
            "SELECT currency_symbol, cohort_month, months_since, customers, cohort_size, retention FROM cohort_retention ORDER BY months_since",
        );
    let expected: Vec<String> = (0..10)
        .map(|months| {
            let customers = 10 - months;
            let retention = if customers == 10 { "1".to_owned() } else { format!("0.{customers}") };
            format!("KSh|2022-01|{months}|{customers}|10|{retention}")
        })
        .collect();
    assert_eq!(cohorts, expected);
}

scenario!(no_text_of_a_table_or_view_folds_case: mariadb);
/// The other two databases compare all text byte by byte: PostgreSQL by the columns' own collation,
/// SQLite by default. The table of migrations is the migration library's own.
fn no_text_of_a_table_or_view_folds_case(sandbox: &Sandbox) {
    let header = "Order ID,Order Status,Customer ID,Order Time,Note";
    sync(sandbox, "Market 1 Orders.csv", &table(&[header, "11,COMPLETED,7,2022-02-15,x"]));
    let careless = "SELECT CAST(CONCAT(table_name, '.', column_name, ' ', collation_name) AS CHAR) \
                    FROM information_schema.columns WHERE table_schema = DATABASE() AND collation_name IS NOT NULL \
                    AND collation_name NOT IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin') \
                    AND table_name <> 'tidegate_migrations' ORDER BY 1";
    assert_eq!(sandbox.rows(careless), Vec::<String>::new());
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM cohort_retention WHERE cohort_month = '2022-02'"),
        ["1"]
    );
    // A view that an older release made is made again.
    sandbox.execute("CREATE OR REPLACE VIEW customer_segments AS SELECT 'x' AS segment");
    sandbox.execute(
        "UPDATE tidegate_definitions SET fingerprint = 'older' WHERE name = 'customer_segments'",
    );
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(sandbox.rows(careless), Vec::<String>::new());
}
