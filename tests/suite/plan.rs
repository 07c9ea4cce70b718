//! Plan: it says what a sync then does, to the row and to the cent, and leaves no trace.

use crate::exports::{Market, SMALL_CHUNKS, Version, assert_same, everything};
use crate::sandbox::{Engine, Report, Sandbox, table};
use crate::status::files_below;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const HEADER: &str = "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time";

fn order(id: &str, customer: &str, total: &str) -> String {
    format!("{id},COMPLETED,A,1,{total},{total},KSh,{customer},2022-02-15T13:07:09.000Z")
}

/// `tidegate plan` on the inbox, which is to change nothing at all.
fn plan(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Report {
    let is_synced =
        sandbox.try_rows("SELECT id FROM tidegate_files").is_ok_and(|files| !files.is_empty());
    let before = is_synced.then(|| everything(sandbox));
    let files = files_below(&sandbox.path(""));
    let inbox = sandbox.inbox();
    let mut command = sandbox.command(&["--json", "plan", &inbox.to_string_lossy()]);
    let report = Report::of(
        &command.envs(environment.iter().copied()).output().expect("the built program starts"),
    );
    assert!(files_below(&sandbox.path("")) == files, "a file was made or changed");
    if let Some(before) = before {
        assert_same(&everything(sandbox), &before, "a plan writes nothing");
    } else if sandbox.engine != Engine::Sqlite {
        assert!(sandbox.try_rows("SELECT id FROM tidegate_files").is_err(), "the plan made tables");
    }
    report
}

/// What the marts add up to, by mart, market, currency and column.
fn totals(sandbox: &Sandbox) -> BTreeMap<[String; 4], f64> {
    let mut totals = BTreeMap::new();
    for (mart, currency, columns) in [
        (
            "customer_metrics",
            "currency_symbol",
            ["orders_count", "total_amount", "deliveries_count"],
        ),
        ("product_metrics", "currency_symbol", ["units_sold", "revenue", "gross_margin"]),
        ("agent_metrics", "''", ["tasks_count", "failed_tasks", "total_distance_m"]),
        ("daily_metrics", "currency_symbol", ["orders_count", "total_amount", "items_quantity"]),
    ] {
        for row in
            sandbox.rows(&format!("SELECT market, {currency}, {} FROM {mart}", columns.join(", ")))
        {
            let cells: Vec<&str> = row.split('|').collect();
            for (column, value) in columns.iter().zip(&cells[2..]) {
                let key = [mart, cells[0], cells[1], column].map(str::to_owned);
                *totals.entry(key).or_insert(0.0) += value.parse::<f64>().expect("a number");
            }
        }
    }
    totals
}

/// The totals that a plan says would change, after them.
fn planned_totals(plan: &Report) -> BTreeMap<[String; 4], (f64, f64)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| text(value).parse::<f64>().expect("a decimal");
    let totals = plan.json["totals"].as_array().expect("a list of totals").iter();
    totals
        .map(|total| {
            let key =
                ["mart", "market", "currency_symbol", "column"].map(|name| text(&total[name]));
            (key, (number(&total["before"]), number(&total["after"])))
        })
        .collect()
}

/// Plans, syncs, and compares the two, file by file and total by total.
fn plans_what_sync_does(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Report {
    let is_synced =
        sandbox.try_rows("SELECT id FROM tidegate_files").is_ok_and(|files| !files.is_empty());
    let before = if is_synced { totals(sandbox) } else { BTreeMap::new() };
    let planned = plan(sandbox, environment);
    let synced = sandbox.sync_with(environment);
    assert_eq!(planned.exit, synced.exit, "{}{}", planned.stderr, synced.stderr);
    // The plan tells more of a file, and its time is another one.
    let told = |report: &Report| -> BTreeMap<String, Vec<Value>> {
        let names = [
            "outcome",
            "error",
            "read",
            "accepted",
            "duplicate",
            "rejected",
            "repaired",
            "new",
            "modified",
        ];
        let names =
            names.into_iter().chain(["unchanged", "stale", "deleted", "records_disagreeing"]);
        let files = report.json["files"].as_array().expect("a list of files").iter();
        files
            .map(|file| {
                (file["path"].to_string(), names.clone().map(|name| file[name].clone()).collect())
            })
            .collect()
    };
    assert_eq!(told(&planned), told(&synced));
    let (changes, after) = (planned_totals(&planned), totals(sandbox));
    let is_same = |one: f64, other: f64| (one - other).abs() < 1e-3;
    for key in before.keys().chain(after.keys()) {
        let (old, new) =
            (before.get(key).copied().unwrap_or(0.0), after.get(key).copied().unwrap_or(0.0));
        match changes.get(key) {
            Some(&(from, to)) => {
                assert!(
                    is_same(from, old) && is_same(to, new),
                    "{key:?}: {from} → {to}, not {old} → {new}"
                );
            }
            None => assert!(is_same(old, new), "{key:?} is not planned: {old} → {new}"),
        }
    }
    planned
}

scenario!(a_plan_says_what_a_sync_then_does_through_two_versions_of_every_feed);
fn a_plan_says_what_a_sync_then_does_through_two_versions_of_every_feed(sandbox: &Sandbox) {
    for version in [Version::First, Version::Second] {
        for market in [Market::new("1"), Market::with_own_columns("2")] {
            // One feed of two markets is new where the other one is known.
            market.drop_version(sandbox, version);
            let planned = plans_what_sync_does(sandbox, &[SMALL_CHUNKS]);
            assert_eq!(planned.exit, 0, "{}", planned.stderr);
        }
    }
    let again = plans_what_sync_does(sandbox, &[SMALL_CHUNKS]);
    assert!(again.files.iter().all(|file| file.outcome == "unchanged"));
    assert_eq!(again.json["totals"], json!([]));
}

scenario!(files_of_one_feed_are_planned_one_after_the_other);
fn files_of_one_feed_are_planned_one_after_the_other(sandbox: &Sandbox) {
    for version in [Version::First, Version::Second] {
        Market::new("1").drop_dated(sandbox, version);
    }
    let planned = plans_what_sync_does(sandbox, &[SMALL_CHUNKS]);
    let second = planned.file("market-1-orders-2024-03-02.csv");
    assert!(second.counts["modified"] > 0 && second.counts["unchanged"] > 0, "{second:?}");
}

scenario!(late_damaged_and_foreign_files_are_planned_as_what_they_are);
fn late_damaged_and_foreign_files_are_planned_as_what_they_are(sandbox: &Sandbox) {
    let rows = |orders: &[String]| {
        table(
            &[&[HEADER.to_owned()], orders].concat().iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let file = |name: &str| format!("market-1-orders-{name}.csv");
    sandbox
        .drop_file(&file("2024-03-02"), &rows(&[order("11", "7", "30.5"), order("12", "7", "10")]));
    plans_what_sync_does(sandbox, &[]);
    sandbox.drop_file(&file("2024-03-01"), &rows(&[order("11", "7", "1"), order("10", "8", "5")]));
    sandbox.drop_file("Market 2 Orders.csv", "Order ID\n3.68E+29\n");
    sandbox.drop_file("Market 3 customers.json", "[{\"Customer ID\": 1}");
    sandbox.drop_file("notes.txt", "remember the milk");
    let planned = plans_what_sync_does(sandbox, &[]);
    assert_eq!(planned.exit, 1);
    let late = planned.file(&file("2024-03-01"));
    assert_eq!((late.counts["stale"], late.counts["new"]), (2, 2), "{late:?}");
    assert_eq!(planned.file("Market 2 Orders.csv").outcome, "quarantined");
    assert_eq!(planned.file("Market 3 customers.json").outcome, "quarantined");
    assert_eq!(planned.file("notes.txt").outcome, "unmatched");
    // What was refused is refused again, and an earlier content that comes back is new content.
    sandbox.drop_file(&file("2024-03-02"), &rows(&[order("11", "7", "30.5")]));
    plans_what_sync_does(sandbox, &[]);
    sandbox
        .drop_file(&file("2024-03-02"), &rows(&[order("11", "7", "30.5"), order("12", "7", "10")]));
    plans_what_sync_does(sandbox, &[("TIDEGATE_DATASETS__ORDERS__KIND", "delta")]);
}

scenario!(a_plan_shows_columns_schema_changes_and_the_first_rows_of_each_kind);
fn a_plan_shows_columns_schema_changes_and_the_first_rows_of_each_kind(sandbox: &Sandbox) {
    sandbox
        .drop_file(ORDERS, &table(&[HEADER, &order("11", "7", "30.5"), &order("12", "7", "10")]));
    assert_eq!(sandbox.sync().exit, 0);
    let gift = |row: String, gift: &str| format!("{row},{gift}");
    sandbox.drop_file(
        ORDERS,
        &table(&[
            &format!("{HEADER},Gift"),
            &gift(order("11", "7", "31.5"), "5"),
            &gift(order("12", "7", "10"), ""),
            &gift(order("13", "9", "4"), ""),
            &gift(order("3.68E+29", "7", "10"), ""),
        ]),
    );
    let environment = [("TIDEGATE_REJECTS_MAX_PERCENT", "50")];
    let planned = plan(sandbox, &environment);
    assert_eq!(planned.exit, 0, "{}", planned.stderr);
    let file = &planned.json["files"][0];
    assert_eq!((&file["dataset"], &file["market"]), (&json!("orders"), &json!("1")));
    assert!(file["format"].as_str().is_some_and(|format| format.contains("CSV")), "{file}");
    let columns = file["columns"].as_array().expect("a list");
    assert!(columns.contains(
        &json!({"name": "Order ID", "column": "order_id", "table": "orders", "kind": "identifier",
                "why": "the key"})
    ));
    assert!(columns.contains(
        &json!({"name": "Gift", "column": "gift", "table": "order_items", "kind": "bigint",
                "why": "its values"})
    ));
    assert_eq!(
        file["schema_changes"],
        json!([{"table": "order_items", "column": "gift", "kind": "add_column", "old": null, "new": "bigint"}])
    );
    let examples = file["examples"].as_array().expect("a list");
    let keys = |change: &str, table: &str| -> Vec<&Value> {
        let of_kind = examples
            .iter()
            .filter(|example| example["change"] == change && example["table"] == table);
        of_kind.map(|example| &example["key"]).collect()
    };
    assert_eq!(keys("new", "orders"), [&json!("1, 13")], "{file}");
    assert_eq!(keys("modified", "orders"), [&json!("1, 11")], "{file}");
    let line =
        examples.iter().find(|example| example["key"] == "1, 11, 1").expect("the line changes");
    assert_eq!(
        line["differences"],
        json!([
            {"column": "total_price", "before": "30.5", "after": "31.5"},
            {"column": "gift", "before": "NULL", "after": "5"}
        ])
    );
    assert_eq!(
        (&file["rejects"][0]["row"], &file["rejects"][0]["column"]),
        (&json!(4), &json!("order_id"))
    );

    let inbox = sandbox.inbox();
    let mut command = sandbox.command(&["plan", &inbox.to_string_lossy()]);
    let output = command.envs(environment).output().expect("the built program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "add_column order_items.gift bigint",
        "orders (1, 11): order_total 30.5 → 31.5",
        "customer_metrics.total_amount",
        "market 1, KSh",
        "40.5 → 45.5",
        "row 4, order_id: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

scenario!(it_plans_beside_a_daemon_without_waiting_for_it);
fn it_plans_beside_a_daemon_without_waiting_for_it(sandbox: &Sandbox) {
    let daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let other = sandbox.path("other");
    fs::create_dir(&other).expect("a writable directory");
    fs::write(other.join(ORDERS), table(&[HEADER, &order("11", "7", "30.5")]))
        .expect("a writable directory");
    let mut command = sandbox.command(&["--json", "plan", &other.to_string_lossy()]);
    let report = Report::of(&command.output().expect("the built program starts"));
    assert_eq!(
        (report.exit, report.file(ORDERS).changes()),
        (0, (2, 0, 0, 0)),
        "{}",
        report.stderr
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_files"), ["0"]);
}

#[test]
fn it_plans_before_there_is_a_database() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &table(&[HEADER, &order("11", "7", "30.5")]));
    let planned = plan(&sandbox, &[("TIDEGATE_AFTER_SYNC", "delete")]);
    assert_eq!(
        (planned.exit, planned.file(ORDERS).changes()),
        (0, (2, 0, 0, 0)),
        "{}",
        planned.stderr
    );
    assert!(!sandbox.state_dir().exists() && sandbox.inbox().join(ORDERS).exists());
}

scenario!(a_plan_shows_which_shifted_rows_would_be_put_back);
fn a_plan_shows_which_shifted_rows_would_be_put_back(sandbox: &Sandbox) {
    let header = "Task_ID,Order_ID,Agent_ID,Notes,Task_Status,Task_Details_QTY";
    let rows = ["1,11,5,call first,Completed,1", "2,12,5,left, then right,Completed,1"];
    sandbox.drop_file("Market 1 deliveries.csv", &table(&[header, rows[0], rows[1]]));
    let planned = plan(sandbox, &[]);
    let repairs = &planned.json["files"][0]["repairs"];
    assert_eq!(*repairs, json!([{"row": 2, "key": "2", "raw": rows[1]}]), "{}", planned.json);
}

scenario!(a_plan_tells_what_would_be_deleted_and_what_would_be_held);
fn a_plan_tells_what_would_be_deleted_and_what_would_be_held(sandbox: &Sandbox) {
    let orders: Vec<String> = (10..30).map(|id| order(&id.to_string(), "7", "10")).collect();
    let export = |orders: &[String]| {
        let lines: Vec<&str> =
            std::iter::once(HEADER).chain(orders.iter().map(String::as_str)).collect();
        table(&lines)
    };
    for deletes in ["remove", "mark"] {
        let environment = [("TIDEGATE_DATASETS__ORDERS__DELETES", deletes)];
        let name = format!("Market {} Orders.csv", deletes.len());
        sandbox.drop_file(&name, &export(&orders));
        plans_what_sync_does(sandbox, &environment);
        sandbox.drop_file(&name, &export(&orders[1..]));
        let planned = plans_what_sync_does(sandbox, &environment);
        assert!(planned.file(&name).counts["deleted"] > 0, "{planned:?}");
        sandbox.drop_file(&name, &export(&orders[15..]));
        let planned = plans_what_sync_does(sandbox, &environment);
        assert_eq!(
            (planned.exit, planned.file(&name).outcome.as_str()),
            (1, "held"),
            "{planned:?}"
        );
        assert!(!planned.file(&name).error.is_empty());
        // So that the next round finds nothing that is not its own.
        fs::remove_file(sandbox.inbox().join(&name)).expect("it is there");
    }
}

scenario!(a_plan_makes_the_table_of_a_file_that_no_dataset_takes_and_widens_its_columns);
fn a_plan_makes_the_table_of_a_file_that_no_dataset_takes_and_widens_its_columns(
    sandbox: &Sandbox,
) {
    let environment = [("TIDEGATE_UNMATCHED", "create"), ("TIDEGATE_UNMATCHED_KEY", "sku")];
    sandbox.drop_file("stock.csv", "SKU,Pieces\na,1\nb,2\n");
    let planned = plans_what_sync_does(sandbox, &environment);
    assert_eq!(
        (planned.exit, planned.file("stock.csv").changes()),
        (0, (2, 0, 0, 0)),
        "{planned:?}"
    );
    sandbox.drop_file("stock.csv", "SKU,Pieces\na,1\nb,2.5\nc,3\n");
    let planned = plans_what_sync_does(sandbox, &environment);
    assert_eq!(planned.file("stock.csv").changes(), (1, 1, 1, 0), "{planned:?}");
    let change = &planned.json["files"][0]["schema_changes"][0];
    assert_eq!(
        (&change["old"], &change["new"]),
        (&json!("bigint"), &json!("decimal")),
        "{}",
        planned.json
    );
}
