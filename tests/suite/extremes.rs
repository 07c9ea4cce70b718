//! Extremes: what is unusually large, long or odd is stored or refused alike on every database.

use crate::sandbox::{Report, Sandbox, table};

const ORDERS: &str = "Market 1 Orders.csv";
const DELIVERIES: &str = "Market 1 Deliveries.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

fn synced(sandbox: &Sandbox, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> Report {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report
}

scenario!(numbers_that_no_database_holds_are_rescued);
fn numbers_that_no_database_holds_are_rescued(sandbox: &Sandbox) {
    let totals = [
        "999999999999999",
        "1000000000000000",
        "-1000000000000000",
        "1E17",
        "1E40",
        "1E-40",
        "0.00000000000001",
    ];
    let rows: Vec<String> =
        totals.iter().zip(11..).map(|(total, order)| format!("{order},A,c,{total}")).collect();
    synced(sandbox, ORDERS, &format!("Order ID,SKU,Customer ID,Order Total\n{}", rows.join("\n")));
    let stored = sandbox.rows("SELECT order_total, _rescued FROM orders ORDER BY order_id");
    let rescued = |text: &str| format!(r#"-|{{"order_total":"{text}"}}"#);
    // Exponents are what spreadsheets leave of numbers, digits of which are lost.
    let [_, above, below, digits, large, small, _] = totals.map(rescued);
    let whole = "999999999999999|-".to_owned();
    assert_eq!(stored, [whole, above, below, digits, large, small, "0|-".to_owned()]);
    assert_eq!(sandbox.rows("SELECT total_amount FROM customer_metrics"), ["999999999999999"]);
}

scenario!(measures_of_any_size_do_not_break_the_marts);
fn measures_of_any_size_do_not_break_the_marts(sandbox: &Sandbox) {
    let content = table(&[
        "Task_ID,Order_ID,Agent_ID,Task_Status,Total_Time_Taken(min),Distance(m),Rating",
        "1,\"YR-1,0\",7,Completed,3.7E+29,1E40,5",
        "2,\"YR-1,0\",7,Completed,1,-1E40,5",
        "3,\"YR-1,0\",8,Completed,0.1,0.2,5",
    ]);
    synced(sandbox, DELIVERIES, &content);
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "1,A,c"]));
    let agents = "SELECT agent_id, average_minutes, total_distance_m FROM agent_metrics WHERE agent_id = '8'";
    assert_eq!(sandbox.rows(agents), ["8|0.1|0.2"]);
    let tasks = sandbox.rows(
        "SELECT total_time_taken_min, distance_m, _rescued FROM deliveries WHERE task_id = '1'",
    );
    assert_eq!(tasks, [r#"-|-|{"distance_m":"1E40","total_time_taken_min":"3.7E+29"}"#]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_dirty_groups"), ["0"]);
}

scenario!(times_at_the_ends_of_the_calendar_are_stored);
fn times_at_the_ends_of_the_calendar_are_stored(sandbox: &Sandbox) {
    let times = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"];
    let rows: Vec<String> =
        times.iter().zip(11..).map(|(time, order)| format!("{order},A,c,{time}")).collect();
    synced(sandbox, ORDERS, &format!("Order ID,SKU,Customer ID,Order Time\n{}", rows.join("\n")));
    let stored = sandbox.rows("SELECT order_time FROM orders ORDER BY order_id");
    assert_eq!(
        stored,
        ["0001-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"]
    );
    let days = sandbox.rows("SELECT day FROM daily_metrics ORDER BY day");
    assert_eq!(days, ["0001-01-01", "1969-12-31", "9999-12-31"]);
    // The same again, and another value beside them: what was found on the way there is found
    // again.
    let again: Vec<String> = rows.iter().map(|row| row.replace(",c,", ",d,")).collect();
    synced(sandbox, ORDERS, &format!("Order ID,SKU,Customer ID,Order Time\n{}", again.join("\n")));
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM daily_metrics"), ["3"]);
}

scenario!(long_texts_are_kept_whole);
fn long_texts_are_kept_whole(sandbox: &Sandbox) {
    let long = "ä".repeat(200_000);
    let rows = format!("Order ID,SKU,Description,Tip\n11,A,{long},1\n12,B,x,{long}\n");
    let filler: String = (0..30).map(|order| format!("filler{order},A,,\n")).collect();
    synced(sandbox, ORDERS, &format!("{rows}{filler}13,\0{long},y,2\n"));
    let lengths = "SELECT CHAR_LENGTH(description), CHAR_LENGTH(_rescued) FROM orders WHERE order_id IN ('11', '12') ORDER BY order_id";
    let lengths = match sandbox.engine {
        crate::sandbox::Engine::Sqlite => lengths.replace("CHAR_LENGTH", "LENGTH"),
        _ => lengths.to_owned(),
    };
    assert_eq!(sandbox.rows(&lengths), ["200000|-", "1|200010"]);
    let raw = sandbox.rows("SELECT raw FROM tidegate_rejects");
    assert_eq!(raw, [format!("13,\\x00{long},y,2")]);
}

scenario!(a_file_of_many_columns_is_loaded_or_refused_as_a_whole);
fn a_file_of_many_columns_is_loaded_or_refused_as_a_whole(sandbox: &Sandbox) {
    let columns: Vec<String> = (0..120).map(|column| format!("New {column}")).collect();
    let values: Vec<String> = (0..120).map(|value| format!("v{value}")).collect();
    let content = format!("Order ID,SKU,{}\n11,A,{}\n", columns.join(","), values.join(","));
    synced(sandbox, ORDERS, &content);
    assert_eq!(sandbox.rows("SELECT new_0, new_119 FROM order_items"), ["v0|v119"]);
    let columns: Vec<String> = (0..1001).map(|column| format!("c{column}")).collect();
    sandbox.drop_file("Market 2 Orders.csv", &format!("Order ID,{}\n", columns.join(",")));
    let report = sandbox.sync();
    assert_eq!(report.file("Market 2 Orders.csv").outcome, "quarantined");
    assert!(report.file("Market 2 Orders.csv").error.contains("columns_max"), "{report:?}");
}

scenario!(odd_names_of_files_and_columns_harm_nothing);
fn odd_names_of_files_and_columns_harm_nothing(sandbox: &Sandbox) {
    let header = "Order ID,SKU,Market\0,It's \"\"odd\"\",{{ x }}";
    let name = "Market O'Brien; DROP TABLE orders --x Orders.csv";
    synced(sandbox, name, &format!("{header}\n11,A,1,2,3\n"));
    let market = "O'Brien; DROP TABLE orders --x";
    assert_eq!(sandbox.rows("SELECT market, order_id FROM orders"), [format!("{market}|11")]);
    // A name longer than a key may be.
    let long = format!("Market {} Orders.csv", "m".repeat(200));
    sandbox.drop_file(&long, "Order ID,SKU\n11,A\n");
    let report = sandbox.sync();
    assert_eq!(report.file(&long).outcome, "unmatched", "{report:?}");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["1"]);
    assert_eq!(sandbox.sync().file(name).outcome, "unchanged");
}

scenario!(an_object_with_a_key_twice_has_its_last_value);
fn an_object_with_a_key_twice_has_its_last_value(sandbox: &Sandbox) {
    let objects = r#"[{"Customer ID": 1, "Language": "en", "Customer ID": 2, "Language": "fr"},
                          {"Customer ID": 3, "Language": "sw"}]"#;
    synced(sandbox, CUSTOMERS, objects);
    assert_eq!(
        sandbox.rows("SELECT customer_id, language FROM customers ORDER BY 1"),
        ["2|fr", "3|sw"]
    );
}

scenario!(objects_may_spell_one_column_in_two_ways);
fn objects_may_spell_one_column_in_two_ways(sandbox: &Sandbox) {
    let objects = r#"[{"Customer ID": 1, "Number of Employees": 5}, {"Customer ID": 2, "Number of employees": 6},
                          {"customer_id": 3, "number_of_employees": 7}]"#;
    synced(sandbox, CUSTOMERS, objects);
    let customers =
        sandbox.rows("SELECT customer_id, number_of_employees FROM customers ORDER BY 1");
    assert_eq!(customers, ["1|5", "2|6", "3|7"]);
    // In one object they clash.
    let both = r#"[{"Customer ID": 1, "Number of Employees": 5, "number of employees": "x"}, {"Customer ID": 2, "number of employees": "y"}]"#;
    synced(sandbox, CUSTOMERS, both);
    let customers = sandbox.rows(
        "SELECT number_of_employees, number_of_employees_2 FROM customers ORDER BY customer_id",
    );
    assert_eq!(customers, ["5|x", "6|y", "7|-"]);
}
