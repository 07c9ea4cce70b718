//! Marts: after every change they equal what a computation from the orders and tasks alone says.

use crate::exports::{Background, SMALL_CHUNKS};
use crate::sandbox::{Engine, Report, Sandbox, wait_for};
use crate::shop::{Item, Marts, Order, Shop};
use std::fs;

/// Each mart, and its columns in the order of [`Shop::marts`].
pub const COLUMNS: [(&str, &str); 5] = [
    (
        "customer_metrics",
        "customer_id, currency_symbol, orders_count, completed_orders, cancelled_orders, total_amount, \
         average_order_value, items_quantity, distinct_products, first_order_at, last_order_at, \
         redeemed_loyalty_points, consumed_loyalty_points, deliveries_count, completed_deliveries, \
         average_delivery_minutes, average_delivery_distance_m",
    ),
    (
        "product_metrics",
        "sku, currency_symbol, orders_count, customers_count, units_sold, revenue, cost, gross_margin, \
         first_sold_at, last_sold_at",
    ),
    (
        "merchant_metrics",
        "merchant_id, currency_symbol, orders_count, cancelled_orders, customers_count, total_amount, \
         average_order_value, first_order_at, last_order_at",
    ),
    (
        "agent_metrics",
        "agent_id, tasks_count, completed_tasks, failed_tasks, average_minutes, total_distance_m, average_rating",
    ),
    (
        "daily_metrics",
        "currency_symbol, day, orders_count, cancelled_orders, customers_count, total_amount, items_quantity, \
         average_order_value",
    ),
];

/// What the database holds for a market.
fn stored(sandbox: &Sandbox, market: &str) -> Marts {
    let of_mart = |(mart, columns): (&'static str, &str)| {
        let rows = sandbox.rows(&format!("SELECT {columns} FROM {mart} WHERE market = '{market}'"));
        let mut rows: Vec<String> = rows.iter().map(|row| in_four_places(row)).collect();
        rows.sort();
        (mart, rows)
    };
    COLUMNS.into_iter().map(of_mart).collect()
}

/// What SQLite rounds to four places may be the real beside the nearest one, which has more of
/// them.
fn in_four_places(row: &str) -> String {
    let cell = |cell: &str| match (cell.parse::<f64>(), cell.split_once('.')) {
        (Ok(real), Some((_, places))) if places.len() > 4 => {
            format!("{real:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => cell.to_owned(),
    };
    row.split('|').map(cell).collect::<Vec<_>>().join("|")
}

fn sync(sandbox: &Sandbox, market: &str, shop: &Shop) {
    sandbox.drop_file(&format!("Market {market} Orders.csv"), &shop.orders_csv());
    sandbox.drop_file(&format!("Market {market} Deliveries.csv"), &shop.deliveries_csv());
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
}

/// Compares a market's marts with what a shop means.
pub fn check(sandbox: &Sandbox, market: &str, shop: &Shop, when: &str) {
    let stored = stored(sandbox, market);
    for (mart, expected) in shop.marts() {
        assert_eq!(stored[mart], expected, "{mart} of market {market} {when}");
    }
}

/// Has tidegate compare what it stores with what its queries say, parts and totals included.
fn verify(sandbox: &Sandbox, when: &str) {
    let report = Report::of(&sandbox.command(&["verify"]).output().expect("tidegate runs"));
    assert_eq!(report.exit, 0, "{when}: {}", report.stderr);
}

/// Changes of every kind that moves rows between groups, or a group's figures.
/// A name, and what happens in the shop.
type Change = (&'static str, fn(&mut Shop));

const CHANGES: [Change; 17] = [
    ("after an order moved to another customer", |shop| {
        shop.order("7").customer = "new".to_owned();
    }),
    ("after an order lost its customer", |shop| shop.order("8").customer.clear()),
    ("after an order moved to another currency", |shop| shop.order("9").currency = "$"),
    ("after an order lost its currency", |shop| shop.order("10").currency = ""),
    ("after an order moved to another day", |shop| {
        shop.order("11").time = "2022-04-01T00:00:00.000Z".to_owned();
    }),
    ("after an order lost its time", |shop| shop.order("12").time.clear()),
    ("after an order moved to another merchant", |shop| {
        shop.order("13").merchant = "m9".to_owned();
    }),
    ("after orders were cancelled", |shop| {
        shop.orders.iter_mut().take(20).for_each(|order| order.status = "CANCELLED");
    }),
    ("after orders were taken back", |shop| {
        shop.orders.iter_mut().take(20).for_each(|order| order.status = "COMPLETED");
    }),
    ("after an item became another product", |shop| shop.order("14").items[0].sku = "Z".to_owned()),
    ("after an item came and others went", |shop| {
        shop.order("15").items.push(Item {
            sku: "Y".to_owned(),
            quantity: Some(250),
            price: 1,
            cost: 3,
        });
        shop.orders.iter_mut().skip(30).for_each(|order| order.items.truncate(1));
    }),
    ("after a delivery moved to another order", |shop| shop.tasks[3].order = "20".to_owned()),
    ("after a delivery moved to an unknown order", |shop| {
        shop.tasks[4].order = "nobody's".to_owned();
    }),
    ("after tasks changed hands and were completed", |shop| {
        shop.tasks[5].agent = "9".to_owned();
        shop.tasks[6].agent.clear();
        shop.tasks.iter_mut().skip(10).take(10).for_each(|task| task.status = "Completed");
    }),
    ("after an order came later than its delivery", |shop| {
        let items = vec![Item { sku: "A".to_owned(), quantity: None, price: 9, cost: 0 }];
        let id = "nobody's".to_owned();
        shop.orders.push(Order {
            id,
            customer: "late".to_owned(),
            currency: "KSh",
            total: 5,
            items,
            ..Order::default()
        });
    }),
    ("after the only order of a group moved away", |shop| {
        shop.order("nobody's").customer = "c1".to_owned();
    }),
    ("after everything changed", |shop| {
        shop.orders.iter_mut().for_each(|order| order.total += 1);
        shop.tasks
            .iter_mut()
            .for_each(|task| task.minutes = task.minutes.map(|minutes| minutes + 1));
    }),
];

scenario!(marts_equal_what_the_tables_say_after_every_change);
fn marts_equal_what_the_tables_say_after_every_change(sandbox: &Sandbox) {
    let mut shop = Shop::any(1);
    let other = Shop::any(2);
    sync(sandbox, "1", &shop);
    sync(sandbox, "2", &other);
    check(sandbox, "1", &shop, "after the first load");
    for (when, change) in CHANGES {
        change(&mut shop);
        sync(sandbox, "1", &shop);
        check(sandbox, "1", &shop, when);
        verify(sandbox, when);
    }
    check(sandbox, "2", &other, "that nobody changed");
    let fresh = sandbox.sibling();
    sync(&fresh, "1", &shop);
    check(&fresh, "1", &shop, "in one clean run");
}

scenario!(deliveries_may_come_before_their_orders);
fn deliveries_may_come_before_their_orders(sandbox: &Sandbox) {
    let shop = Shop::any(3);
    let tasks = Shop { orders: Vec::new(), tasks: shop.tasks.clone() };
    sync(sandbox, "1", &tasks);
    check(sandbox, "1", &tasks, "before the orders");
    sync(sandbox, "1", &shop);
    check(sandbox, "1", &shop, "after the orders");
}

scenario!(sums_neither_drift_nor_overflow);
fn sums_neither_drift_nor_overflow(sandbox: &Sandbox) {
    let item =
        |price| vec![Item { sku: "A".to_owned(), quantity: Some(10), price, cost: price - 1 }];
    let order = |id: i64| {
        let (customer, merchant) = ("c".to_owned(), "m".to_owned());
        let items = item(10_000_000_000 + id);
        Order {
            id: id.to_string(),
            customer,
            merchant,
            total: 10 + id % 3,
            items,
            ..Order::default()
        }
    };
    let mut shop = Shop { orders: (0..1001).map(order).collect(), tasks: Vec::new() };
    sync(sandbox, "1", &shop);
    check(sandbox, "1", &shop, "after a thousand orders");
    shop.orders.iter_mut().step_by(7).for_each(|order| order.total += 10);
    sync(sandbox, "1", &shop);
    check(sandbox, "1", &shop, "after some of them changed");
}

scenario!(marks_that_are_set_during_a_refresh_are_not_lost);
/// Orders and deliveries are lanes of their own, and both mark groups of customers: while one lane
/// refreshes them slowly, the other one goes on committing.
fn marks_that_are_set_during_a_refresh_are_not_lost(sandbox: &Sandbox) {
    let slowly = ("FAILPOINTS", "during_refresh=sleep(40);before_commit=sleep(10)");
    let mut shop = Shop::any(4);
    for when in
        ["after the first load", "after everything changed", "after everything changed again"]
    {
        sandbox.drop_file("Market 1 Orders.csv", &shop.orders_csv());
        sandbox.drop_file("Market 1 Deliveries.csv", &shop.deliveries_csv());
        let report = sandbox.sync_with(&[SMALL_CHUNKS, slowly]);
        assert_eq!(report.exit, 0, "{}", report.stderr);
        check(sandbox, "1", &shop, when);
        assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_dirty_groups"), ["0"], "{when}");
        shop.orders.iter_mut().for_each(|order| order.total += 1);
        shop.tasks
            .iter_mut()
            .for_each(|task| task.minutes = task.minutes.map(|minutes| minutes + 1));
    }
}

scenario!(a_market_that_is_half_written_is_left_to_its_own_file);
/// A file's refresh would else compute what another market's file is about to change, and that one
/// computes it again.
fn a_market_that_is_half_written_is_left_to_its_own_file(sandbox: &Sandbox) {
    let environment = [
        SMALL_CHUNKS,
        ("FAILPOINTS", "before_commit=sleep(30)"),
        ("TIDEGATE_LOG_LEVEL", "debug"),
        ("TIDEGATE_LOG_FORMAT", "json"),
    ];
    let mut small = Shop::any(6);
    small.orders.truncate(1);
    let order = |id: i64| Order {
        id: id.to_string(),
        customer: (id % 10).to_string(),
        ..small.orders[0].clone()
    };
    let large = Shop { orders: (0..12_000).map(order).collect(), tasks: Vec::new() };
    sandbox.drop_file("Market 1 Orders.csv", &large.orders_csv());
    sandbox.drop_file("Market 2 Orders.csv", &small.orders_csv());
    let report = sandbox.sync_with(&environment);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    let lines_of = |words: &[&str]| {
        report.stderr.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    assert!(lines_of(&["chunk committed"]) > 3, "{}", report.stderr);
    for market in ["\"market\":\"1\"", "\"market\":\"2\""] {
        let refreshes = lines_of(&["mart refreshed", "customer_metrics", market]);
        assert_eq!(refreshes, 1, "{market}: {}", report.stderr);
    }
}

scenario!(marts_of_several_markets_are_computed_anew_together);
/// What many markets have due is computed by two lanes, some of it ahead.
fn marts_of_several_markets_are_computed_anew_together(sandbox: &Sandbox) {
    let shops =
        ["1", "2", "3"].map(|market| (market, Shop::any(market.parse().expect("a number"))));
    for (market, shop) in &shops {
        sync(sandbox, market, shop);
    }
    for (mart, _) in COLUMNS {
        sandbox.execute(&format!("DELETE FROM {mart}"));
    }
    sandbox.execute(
        "UPDATE tidegate_definitions SET fingerprint = 'older' WHERE name LIKE '%metrics'",
    );
    sandbox.execute("INSERT INTO tidegate_dirty_groups (mart, market, group_key) VALUES ('metrics_of_old', '1', 'a')");
    assert_eq!(sandbox.sync().exit, 0);
    for (market, shop) in &shops {
        check(sandbox, market, shop, "computed anew");
    }
    assert_eq!(sandbox.rows("SELECT mart FROM tidegate_dirty_groups"), Vec::<String>::new());
}

/// By itself SQLite would take a directory of the system.
#[test]
fn what_sqlite_computes_ahead_lies_in_the_state_directory() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let any = Shop::any(6).orders.remove(0);
    let order =
        |id: i64| Order { id: id.to_string(), customer: format!("customer {id}"), ..any.clone() };
    let shop = Shop { orders: (0..30_000).map(order).collect(), tasks: Vec::new() };
    sandbox.drop_file("Market 1 Orders.csv", &shop.orders_csv());
    let command = sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()]);
    let mut sync =
        Background::start(&sandbox, command, &[("FAILPOINTS", "during_refresh=sleep(1500)")]);
    let open_files = format!("/proc/{}/fd", sync.id());
    let temporary = || {
        let files = fs::read_dir(&open_files).into_iter().flatten().flatten();
        let files = files.filter_map(|file| fs::read_link(file.path()).ok());
        // SQLite removes their names as soon as they are open.
        files.filter(|file| file.to_string_lossy().contains("/etilqs_")).collect::<Vec<_>>()
    };
    wait_for("a temporary file", || !temporary().is_empty());
    assert!(
        temporary().iter().all(|file| file.starts_with(sandbox.state_dir())),
        "{:?}",
        temporary()
    );
    assert_eq!(sync.finish(), 0);
}

scenario!(metrics_follow_extremes_that_go_and_sums_that_no_real_holds);
/// A product is in orders all over the market; its metrics are changed by what its customers' parts
/// were and are.
fn metrics_follow_extremes_that_go_and_sums_that_no_real_holds(sandbox: &Sandbox) {
    let order = |day: i64| Order {
        id: day.to_string(),
        status: "COMPLETED",
        currency: "KSh",
        customer: format!("c{day}"),
        merchant: "m".to_owned(),
        time: format!("2022-03-{day:02}T10:00:00.000Z"),
        total: day,
        items: vec![Item { sku: "A".to_owned(), quantity: Some(100), price: day, cost: 1 }],
        ..Order::default()
    };
    let changes: [Change; 6] = [
        ("after the first order moved on", |shop| {
            shop.order("1").time = "2022-03-15T00:00:00.000Z".to_owned();
        }),
        ("after the last order was cancelled", |shop| shop.order("28").status = "CANCELLED"),
        ("after it was taken back", |shop| shop.order("28").status = "COMPLETED"),
        ("after the last order became another product", |shop| {
            shop.order("28").items[0].sku = "B".to_owned();
        }),
        ("after that product's only order was another again", |shop| {
            shop.order("28").items[0].sku = "A".to_owned();
        }),
        ("after an order lost its customer", |shop| shop.order("2").customer.clear()),
    ];
    let mut shop = Shop { orders: (1..=28).map(order).collect(), tasks: Vec::new() };
    sync(sandbox, "1", &shop);
    for (when, change) in changes {
        change(&mut shop);
        sync(sandbox, "1", &shop);
        check(sandbox, "1", &shop, when);
        verify(sandbox, when);
    }
    // Beside such a price a real holds no hundredths. Once it is gone, they must be there again.
    let price = std::mem::replace(&mut shop.order("3").items[0].price, 90_000_000_000_000_000);
    sync(sandbox, "1", &shop);
    verify(sandbox, "with an absurd price");
    shop.order("3").items[0].price = price;
    sync(sandbox, "1", &shop);
    check(sandbox, "1", &shop, "after an absurd price was put right");
    verify(sandbox, "after an absurd price was put right");
}

scenario!(a_mart_of_ones_own_may_have_a_partial);
fn a_mart_of_ones_own_may_have_a_partial(sandbox: &Sandbox) {
    let directory = sandbox.path("marts");
    fs::create_dir_all(&directory).expect("the sandbox can be written to");
    fs::write(directory.join("status_metrics.sql"), STATUS_METRICS)
        .expect("the sandbox can be written to");
    let directory = directory.to_str().expect("a path is text");
    let metrics = "SELECT order_status, orders_count, largest_total FROM status_metrics";
    let expected =
        "SELECT COALESCE(order_status, ''), COUNT(*), MAX(order_total) FROM orders GROUP BY 1";
    let rows = |sql: &str| {
        let mut rows = sandbox.rows(sql);
        rows.sort();
        rows
    };
    let mut shop = Shop::any(5);
    for when in ["after the first load", "after most of them are completed", "after all are"] {
        sandbox.drop_file("Market 1 Orders.csv", &shop.orders_csv());
        let report = sandbox.sync_with(&[("TIDEGATE_MARTS_DIR", directory)]);
        assert_eq!(report.exit, 0, "{}", report.stderr);
        assert_eq!(rows(metrics), rows(expected), "{when}");
        let skipped = if when == "after the first load" { 7 } else { 0 };
        shop.orders.iter_mut().skip(skipped).for_each(|order| order.status = "COMPLETED");
    }
}

const STATUS_METRICS: &str = "/*
mart  = \"status_metrics\"
key   = [\"market\", \"order_status\"]
group = \"order_status\"
[columns]
market        = \"identifier\"
order_status  = \"identifier\"
orders_count  = \"bigint\"
largest_total = \"total\"
[partial]
by = \"customer_id\"
[partial.sums]
orders_count = \"bigint\"
[partial.highest]
largest_total = \"total\"
[touched_by]
orders = \"SELECT COALESCE(o.customer_id, '') AS group_key FROM orders o WHERE {{ records('o.market', 'o.order_id') }}\"
*/
SELECT o.market, COALESCE(o.customer_id, '') AS customer_id, COALESCE(o.order_status, '') AS order_status,
       COUNT(*) AS orders_count, MAX(o.order_total) AS largest_total
FROM   orders o
WHERE  {{ touched_or_null('o.market', 'o.customer_id') }}
GROUP  BY o.market, COALESCE(o.customer_id, ''), COALESCE(o.order_status, '')
;
SELECT market, order_status, orders_count, largest_total
FROM   {{ totals() }} t
WHERE  {{ touched('t.market', 't.order_status') }}
";
