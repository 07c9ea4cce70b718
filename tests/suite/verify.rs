//! Verify: everything that can be computed is compared with what is stored, and whatever somebody
//! changed by hand is found.

use crate::exports::{Market, Version};
use crate::sandbox::{Engine, Sandbox, table};
use crate::status::files_below;
use serde_json::{Value, json};

const ORDERS: &str = "Market 1 Orders.csv";

/// What `tidegate verify --json` says, and its exit code.
fn verify(sandbox: &Sandbox) -> (i32, Value) {
    let output = sandbox.command(&["verify", "--json"]).output().expect("the built program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text);
    let json = json.unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().unwrap_or(-1), json)
}

/// The examples of all checks: table, kind, key, column, stored and expected value.
fn differences(json: &Value) -> Vec<[String; 6]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let checks = json["checks"].as_array().expect("a list of checks").iter();
    let of_check = |check: &Value| {
        let examples = check["examples"].as_array().expect("a list of examples").iter();
        let columns = ["kind", "key", "column", "stored", "expected"];
        let of_example = |example: &Value| {
            let mut cells = vec![text(&check["table"])];
            cells.extend(columns.iter().map(|name| text(&example[*name])));
            cells.try_into().expect("six cells")
        };
        examples.map(of_example).collect::<Vec<_>>()
    };
    checks.flat_map(of_check).collect()
}

/// Changes something by hand, and expects that and nothing else to be found: table, kind and start
/// of the key.
fn finds(sandbox: &Sandbox, damage: &str, repair: &str, expected: &[(&str, &str, &str)]) {
    sandbox.execute(damage);
    let (exit, json) = verify(sandbox);
    let found = differences(&json);
    assert_eq!(exit, 1, "{damage}: {json}");
    assert_eq!(found.len(), expected.len(), "{damage}: {found:#?}");
    for ((table, kind, key), found) in expected.iter().zip(&found) {
        assert_eq!((found[0].as_str(), found[1].as_str()), (*table, *kind), "{damage}: {found:?}");
        assert!(found[2].starts_with(key), "{damage}: {found:?}");
    }
    assert_eq!(json["differences"], expected.len(), "{damage}");
    sandbox.execute(repair);
    assert_eq!(verify(sandbox).0, 0, "after {repair}");
}

fn synced(sandbox: &Sandbox) {
    sandbox.drop_file(
        ORDERS,
        &table(&[
            "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time",
            "11,COMPLETED,A,1,10.50,30.5,KSh,7,2022-02-15T13:07:09.000Z",
            "11,COMPLETED,B,2,20,30.5,KSh,7,2022-02-15T13:07:09.000Z",
            "12,COMPLETED,A,1,10.50,10.5,KSh,8,2022-02-16T13:07:09.000Z",
            "3.68E+29,COMPLETED,A,1,10.50,10.5,KSh,8,2022-02-16T13:07:09.000Z",
        ]),
    );
    sandbox.drop_file("Market 2 Orders.csv", &table(&["Order ID,SKU,Quantity", "11,A,1"]));
    let report = sandbox.sync_with(&[("TIDEGATE_REJECTS_MAX_PERCENT", "50")]);
    assert_eq!(report.exit, 0, "{}", report.stderr);
}

scenario!(an_empty_or_missing_database_has_nothing_to_verify_and_is_not_made);
fn an_empty_or_missing_database_has_nothing_to_verify_and_is_not_made(sandbox: &Sandbox) {
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(files_below(&sandbox.path("")).is_empty(), "a file was made");
    if sandbox.engine == Engine::Sqlite {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(3) && said.contains("there is no database at "),
            "{said}"
        );
        return;
    }
    assert_eq!(verify(sandbox), (0, json!({ "differences": 0, "checks": [] })));
    assert!(String::from_utf8_lossy(&output.stdout).contains("nothing to verify"));
}

scenario!(what_syncs_made_agrees_through_two_versions_of_every_feed);
fn what_syncs_made_agrees_through_two_versions_of_every_feed(sandbox: &Sandbox) {
    for version in [Version::First, Version::Second] {
        for market in [Market::new("1"), Market::with_own_columns("2")] {
            market.drop_version(sandbox, version);
            assert_eq!(market.sync(sandbox, "").exit, 0);
        }
        let (exit, json) = verify(sandbox);
        assert_eq!((exit, json["differences"].as_u64()), (0, Some(0)), "{:#?}", differences(&json));
        for check in json["checks"].as_array().expect("a list") {
            assert!(check["checked"].as_u64() > Some(0), "{check}");
            assert!(check["skipped"].is_null() && check["pending"] == 0, "{check}");
        }
    }
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("everything agrees"), "{text}");
}

scenario!(a_metric_that_somebody_changed_is_found_with_what_it_should_be);
fn a_metric_that_somebody_changed_is_found_with_what_it_should_be(sandbox: &Sandbox) {
    synced(sandbox);
    sandbox.execute(
        "UPDATE customer_metrics SET total_amount = total_amount + 0.01 WHERE customer_id = '7'",
    );
    let (exit, json) = verify(sandbox);
    let expected = ["customer_metrics", "metric", "1, 7, KSh", "total_amount", "30.51", "30.5"];
    assert_eq!((exit, differences(&json)), (1, vec![expected.map(str::to_owned)]));
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("metric (1, 7, KSh) total_amount: stored 30.51, expected 30.5"),
        "{text}"
    );
    assert!(text.contains("\n1 difference\n"), "{text}");
    sandbox.execute("UPDATE customer_metrics SET total_amount = 30.5 WHERE customer_id = '7'");

    finds(
        sandbox,
        "UPDATE daily_metrics SET orders_count = 9 WHERE customers_count = 1 AND total_amount = 10.5",
        "UPDATE daily_metrics SET orders_count = 1 WHERE customers_count = 1 AND total_amount = 10.5",
        &[("daily_metrics", "metric", "1, KSh, 2022-02-16")],
    );
    finds(
        sandbox,
        "UPDATE customer_metrics SET last_order_at = NULL WHERE customer_id = '8'",
        "UPDATE customer_metrics SET last_order_at = first_order_at WHERE customer_id = '8'",
        &[("customer_metrics", "metric", "1, 8, KSh")],
    );
    // Two rows without a counterpart: the one that is there, and the one that should be.
    finds(
        sandbox,
        "UPDATE product_metrics SET sku = 'a' WHERE sku = 'A' AND market = '1'",
        "UPDATE product_metrics SET sku = 'A' WHERE sku = 'a'",
        &[
            ("product_metrics", "missing row", "1, A, KSh"),
            ("product_metrics", "superfluous row", "1, a, KSh"),
        ],
    );
    sandbox.execute("DELETE FROM customer_metrics");
    let (exit, json) = verify(sandbox);
    assert_eq!((exit, differences(&json).len()), (1, 2), "{json}");
}

scenario!(groups_that_wait_for_their_refresh_are_not_called_wrong);
fn groups_that_wait_for_their_refresh_are_not_called_wrong(sandbox: &Sandbox) {
    synced(sandbox);
    sandbox.execute("UPDATE customer_metrics SET orders_count = 5 WHERE customer_id = '7'");
    sandbox.execute("UPDATE daily_metrics SET orders_count = 5");
    sandbox.execute(
        "INSERT INTO tidegate_dirty_groups (mart, market, group_key) VALUES \
             ('customer_metrics', '1', '7'), ('daily_metrics', '1', '2022-02-15'), ('daily_metrics', '1', NULL)",
    );
    let (exit, json) = verify(sandbox);
    assert_eq!(exit, 0, "{:#?}", differences(&json));
    let pending = |table: &str| {
        let checks = json["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["table"] == table).map(|check| check["pending"].clone())
    };
    assert_eq!(pending("customer_metrics"), Some(json!(1)));
    assert_eq!(pending("daily_metrics"), Some(json!(1)));
    assert_eq!(pending("product_metrics"), Some(json!(0)));
    sandbox.execute("UPDATE customer_metrics SET orders_count = 5 WHERE customer_id = '8'");
    assert_eq!(differences(&verify(sandbox).1).len(), 1, "the other group is compared");
}

scenario!(a_stored_value_that_its_hash_does_not_cover_is_found);
fn a_stored_value_that_its_hash_does_not_cover_is_found(sandbox: &Sandbox) {
    synced(sandbox);
    // No mart reads these columns.
    finds(
        sandbox,
        "UPDATE order_items SET category_name = 'x' WHERE order_id = '11' AND line_no = 2",
        "UPDATE order_items SET category_name = NULL",
        &[("order_items", "row hash", "1, 11, 2")],
    );
    finds(
        sandbox,
        "UPDATE orders SET _rescued = '{\"order_total\":\"many\"}' WHERE order_id = '12'",
        "UPDATE orders SET _rescued = NULL",
        &[("orders", "row hash", "1, 12")],
    );
    sandbox.execute("CREATE TABLE kept AS SELECT market, order_id, _row_hash FROM orders");
    finds(
        sandbox,
        "UPDATE orders SET _row_hash = (SELECT kept._row_hash FROM kept WHERE kept.order_id = '12') WHERE order_id = '11' AND market = '1'",
        "UPDATE orders SET _row_hash = (SELECT kept._row_hash FROM kept WHERE kept.market = orders.market AND kept.order_id = orders.order_id)",
        &[("orders", "row hash", "1, 11")],
    );
    if sandbox.engine == Engine::Sqlite {
        // Only SQLite stores what its column is not for; what hides behind one such row is found
        // too.
        sandbox.execute("UPDATE orders SET redeemed_loyalty_points = 'many' WHERE order_id = '12'");
        sandbox.execute("UPDATE orders SET _rescued = '{}' WHERE order_id = '11' AND market = '1'");
        let found = differences(&verify(sandbox).1);
        let in_rows: Vec<_> =
            found.iter().filter(|found| found[0] == "orders").map(|found| &found[1]).collect();
        assert_eq!(in_rows, ["row hash", "unreadable row"], "{found:#?}");
    }
}

scenario!(lines_that_do_not_fit_their_record_are_found);
fn lines_that_do_not_fit_their_record_are_found(sandbox: &Sandbox) {
    synced(sandbox);
    sandbox.execute(
        "CREATE TABLE kept AS SELECT * FROM order_items WHERE order_id = '11' AND market = '1'",
    );
    // Everything that such a line makes wrong: its record's count, and what the marts added up.
    sandbox
        .execute("DELETE FROM order_items WHERE order_id = '11' AND market = '1' AND line_no = 1");
    let found = differences(&verify(sandbox).1);
    let kinds: Vec<&str> = found
        .iter()
        .filter(|found| found[0] == "order_items")
        .map(|found| found[1].as_str())
        .collect();
    assert_eq!(kinds, ["line count", "line numbers"], "{found:#?}");
    let count = found.iter().find(|found| found[1] == "line count").expect("just seen");
    assert_eq!(count[2..], ["1, 11", "line_count", "2", "1"].map(str::to_owned));
    sandbox.execute("INSERT INTO order_items SELECT * FROM kept WHERE line_no = 1");
    assert_eq!(verify(sandbox).0, 0);

    sandbox.execute("DELETE FROM orders WHERE order_id = '11' AND market = '2'");
    let found = differences(&verify(sandbox).1);
    assert!(
        found.iter().any(|found| found[..3]
            == ["order_items", "lines without a record", "2, 11"].map(str::to_owned)),
        "{found:#?}"
    );
}

scenario!(counts_and_rejects_of_a_file_that_do_not_add_up_are_found);
fn counts_and_rejects_of_a_file_that_do_not_add_up_are_found(sandbox: &Sandbox) {
    synced(sandbox);
    let id = &sandbox.rows("SELECT id FROM tidegate_files WHERE market = '1'")[0];
    let set = |column: &str, change: &str| {
        format!("UPDATE tidegate_files SET {column} = {column} {change} WHERE id = {id}")
    };
    finds(
        sandbox,
        &set("rows_accepted", "+ 1"),
        &set("rows_accepted", "- 1"),
        &[("tidegate_files", "rows of a file", &format!("{id}, "))],
    );
    finds(
        sandbox,
        "UPDATE tidegate_rejects SET file_id = 999999",
        &format!("UPDATE tidegate_rejects SET file_id = {id}"),
        &[
            ("tidegate_files", "rejects of a file", &format!("{id}, ")),
            ("tidegate_files", "rejects without a file", "999999"),
        ],
    );
}

scenario!(rows_of_no_file_or_of_another_markets_file_are_found);
fn rows_of_no_file_or_of_another_markets_file_are_found(sandbox: &Sandbox) {
    synced(sandbox);
    let [one, two] = ["1", "2"].map(|market| {
        sandbox.rows(&format!("SELECT id FROM tidegate_files WHERE market = '{market}'")).remove(0)
    });
    for wrong in ["999999", two.as_str()] {
        finds(
            sandbox,
            &format!("UPDATE orders SET _file_id = {wrong} WHERE order_id = '12'"),
            &format!("UPDATE orders SET _file_id = {one} WHERE order_id = '12'"),
            &[("orders", "file", "1, 12")],
        );
    }
    finds(
        sandbox,
        &format!("UPDATE tidegate_files SET dataset = 'customers' WHERE id = {two}"),
        &format!("UPDATE tidegate_files SET dataset = 'orders' WHERE id = {two}"),
        &[("order_items", "file", "2, 11, 1"), ("orders", "file", "2, 11")],
    );
}

scenario!(it_runs_beside_a_daemon_and_leaves_no_trace);
fn it_runs_beside_a_daemon_and_leaves_no_trace(sandbox: &Sandbox) {
    synced(sandbox);
    let mut daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    assert_eq!(verify(sandbox).0, 0);
    assert_eq!(daemon.terminate().0, 0);
    let (dump, files) = (sandbox.dump(), files_below(&sandbox.path("")));
    assert_eq!(verify(sandbox).0, 0);
    assert!(files_below(&sandbox.path("")) == files, "a file was made or changed");
    assert!(sandbox.dump() == dump, "a row was changed");
}
