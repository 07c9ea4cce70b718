//! Discovered: datasets that declare no columns, and files of no dataset at all, get tables made of
//! their data.

use crate::sandbox::{Engine, Report, Sandbox, table};
use std::fs;

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

const STOCK: &str = r#"
[datasets.stock]
paths = ['(?i)/stock[ _-]*(?<date>\d{4}-\d{2}-\d{2})?\.(?:csv|json)$']
key = "Item Code"
"#;

const READINGS: &str = r#"
[datasets.readings]
paths = ['(?i)/market (?<market>\d+) readings\.(?:csv|json)$']
table = "sensor_readings"
"#;

const SHIPMENTS: &str = r#"
[datasets.shipments]
paths = ['(?i)/shipments\.csv$']
key = "shipment_id"
lines_table = "shipment_lines"

[datasets.shipments.columns]
carrier = { of = "record" }
box = { of = "line" }
"#;

/// `tidegate sync` of the inbox under a configuration.
fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    sync_with(sandbox, configuration, &[])
}

fn sync_with(sandbox: &Sandbox, configuration: &str, environment: &[(&str, &str)]) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    sandbox.sync_with(&[&[("TIDEGATE_CONFIG", path.as_str())], environment].concat())
}

fn synced(sandbox: &Sandbox, configuration: &str, name: &str) -> (u64, u64, u64, u64) {
    let report = sync(sandbox, configuration);
    assert_eq!(report.exit, 0, "{} {:?}", report.stderr, report.files);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report.file(name).changes()
}

fn assert_verified(sandbox: &Sandbox) {
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

scenario!(a_dataset_without_columns_gets_its_table_from_the_data);
fn a_dataset_without_columns_gets_its_table_from_the_data(sandbox: &Sandbox) {
    let first = [
        "Item Code,Name,On Hand,Price,Counted",
        "007,Bolt,5,KSh 2.50,2024-03-01",
        "8,Nut,-,KSh 1.00,-",
    ];
    sandbox.drop_file("Stock 2024-03-01.csv", &table(&first));
    assert_eq!(synced(sandbox, STOCK, "Stock 2024-03-01.csv"), (2, 0, 0, 0));
    let stock = "SELECT market, item_code, name, on_hand, price, counted, _file_id FROM stock ORDER BY item_code";
    assert_eq!(sandbox.rows(stock), ["|007|Bolt|5|2.5|2024-03-01|1", "|8|Nut|-|1|-|1"]);
    let changes = "SELECT table_name, column_name, change_kind, old_type, new_type, file_id FROM tidegate_schema_changes ORDER BY id";
    assert_eq!(
        sandbox.rows(changes),
        [
            "stock|item_code|create_table|stock|market, item_code|1",
            "stock|name|add_column|-|text|1",
            "stock|on_hand|add_column|-|bigint|1",
            "stock|price|add_column|-|decimal|1",
            "stock|counted|add_column|-|date|1",
        ]
    );
    // A new column, one that widens, a changed row, a new one; the other stays.
    let second = r#"[{"Item Code": "007", "On Hand": 5}, {"Item Code": "8", "On Hand": "some", "Shelf": "L7"},
            {"Item Code": "9", "Name": "Nail"}]"#;
    sandbox.drop_file("stock_2024-03-02.json", second);
    assert_eq!(synced(sandbox, STOCK, "stock_2024-03-02.json"), (1, 1, 1, 0));
    let stock = "SELECT item_code, name, on_hand, price, counted, shelf, _file_id FROM stock ORDER BY item_code";
    assert_eq!(
        sandbox.rows(stock),
        ["007|Bolt|5|2.5|2024-03-01|-|1", "8|Nut|some|1|-|L7|2", "9|Nail|-|-|-|-|2"]
    );
    // A late export adds only what is unknown, as in every other dataset.
    sandbox.drop_file(
        "stock 2024-02-01.csv",
        &table(&["Item Code,Name", "8,Old nut", "10,Old screw"]),
    );
    assert_eq!(synced(sandbox, STOCK, "stock 2024-02-01.csv"), (1, 0, 0, 0));
    sandbox.drop_file("stock.csv", &table(&["Name", "Bolt"]));
    let refused = sync(sandbox, STOCK);
    assert_eq!(refused.file("stock.csv").outcome, "quarantined");
    assert!(refused.file("stock.csv").error.contains("no column is `item_code`"), "{refused:?}");
    assert_verified(sandbox);
}

scenario!(without_a_key_each_distinct_row_is_a_record);
fn without_a_key_each_distinct_row_is_a_record(sandbox: &Sandbox) {
    let first = ["Sensor,Value", "a,1.50", "b,2", "a,1.50", "\"a\",1.5", "c,-", "b,2"];
    sandbox.drop_file("Market 1 Readings.csv", &table(&first));
    let report = sync(sandbox, READINGS);
    let file = report.file("Market 1 Readings.csv");
    let counts = ["read", "accepted", "duplicate", "rejected", "new"].map(|name| file.counts[name]);
    // The row that only cleaning makes equal to another one is counted, and stored once.
    assert_eq!(counts, [6, 4, 2, 0, 3], "{report:?}");
    let readings = "SELECT market, sensor, value, _file_id FROM sensor_readings ORDER BY market, sensor, value";
    assert_eq!(sandbox.rows(readings), ["1|a|1.5|1", "1|b|2|1", "1|c|-|1"]);
    // A new row, a repeated header, and a row of another market with the same text.
    sandbox.drop_file(
        "Market 1 Readings.csv",
        &table(&[&first[..], &["Sensor,Value", "d,4"]].concat()),
    );
    let report = sync_with(sandbox, READINGS, &[("TIDEGATE_REJECTS_MAX_PERCENT", "50")]);
    assert_eq!(report.file("Market 1 Readings.csv").changes(), (1, 0, 4, 0), "{report:?}");
    assert_eq!(report.file("Market 1 Readings.csv").counts["skipped"], 1);
    // By itself: of two markets at once, either may be the first in the ledger.
    let other = r#"[{"Sensor": "a", "Value": 1.5}, {"Sensor": "a", "Value": "1.50"}]"#;
    sandbox.drop_file("Market 2 Readings.json", other);
    let report = sync(sandbox, READINGS);
    assert_eq!(report.file("Market 2 Readings.json").changes(), (1, 0, 0, 0));
    assert_eq!(sandbox.rows(readings), ["1|a|1.5|1", "1|b|2|1", "1|c|-|1", "1|d|4|2", "2|a|1.5|3"]);
    // A new column changes no row that has no value in it. A column that becomes text holds what
    // the file says, and without a key another text is another row.
    let third = ["Sensor,Value,Unit", "a,1.50,", "b,2,", "e,much,m"];
    sandbox.drop_file("Market 1 Readings.csv", &table(&third));
    assert_eq!(synced(sandbox, READINGS, "Market 1 Readings.csv"), (2, 0, 1, 0));
    assert_verified(sandbox);
}

scenario!(rows_without_a_key_may_repeat_anywhere_in_a_large_file);
/// Rows that only cleaning makes equal stand in different chunks.
fn rows_without_a_key_may_repeat_anywhere_in_a_large_file(sandbox: &Sandbox) {
    let row = |number: usize| format!("sensor {number},{}.50,{}", number % 7, "x".repeat(100));
    let mut rows: Vec<String> = (0..6000).map(row).collect();
    rows.extend((0..6000).map(row));
    rows.extend((0..6000).map(|number| row(number).replace(".50,", ".5,")));
    let content = format!("Sensor,Value,Note\n{}\n", rows.join("\n"));
    sandbox.drop_file("Market 1 Readings.csv", &content);
    let environment = [("TIDEGATE_MEMORY_MAX_MB", "64")];
    let report = sync_with(sandbox, READINGS, &environment);
    let file = report.file("Market 1 Readings.csv");
    assert_eq!((file.outcome.as_str(), file.counts["new"]), ("synced", 6000), "{report:?}");
    assert_eq!(
        file.counts["read"],
        file.counts["accepted"] + file.counts["duplicate"] + file.counts["rejected"]
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM sensor_readings"), ["6000"]);
    sandbox.drop_file("Market 1 Readings.csv", &format!("{content}\n"));
    assert_eq!(
        sync_with(sandbox, READINGS, &environment).file("Market 1 Readings.csv").counts["new"],
        0
    );
    assert_verified(sandbox);
}

scenario!(records_with_lines_need_no_declared_columns_either);
fn records_with_lines_need_no_declared_columns_either(sandbox: &Sandbox) {
    let rows = ["Shipment ID,Carrier,Box,Weight", "1,Swift,A,5", "1,Swift,B,6", "2,Slow,A,7"];
    sandbox.drop_file("shipments.csv", &table(&rows));
    assert_eq!(synced(sandbox, SHIPMENTS, "shipments.csv"), (5, 0, 0, 0));
    let shipments = "SELECT shipment_id, carrier, line_count FROM shipments ORDER BY shipment_id";
    let lines = "SELECT shipment_id, line_no, box, weight FROM shipment_lines ORDER BY shipment_id, line_no";
    assert_eq!(sandbox.rows(shipments), ["1|Swift|2", "2|Slow|1"]);
    assert_eq!(sandbox.rows(lines), ["1|1|A|5", "1|2|B|6", "2|1|A|7"]);
    sandbox
        .drop_file("shipments.csv", &table(&["Shipment ID,Carrier,Box,Weight", "1,Swift,A,light"]));
    assert_eq!(synced(sandbox, SHIPMENTS, "shipments.csv"), (0, 2, 0, 1));
    assert_eq!(sandbox.rows(lines), ["1|1|A|light", "2|1|A|7"]);
    assert_verified(sandbox);
}

scenario!(a_crash_while_a_table_is_made_is_made_good);
fn a_crash_while_a_table_is_made_is_made_good(sandbox: &Sandbox) {
    sandbox.drop_file("stock.csv", &table(&["Item Code,Name", "1,Bolt"]));
    let crashed = sync_with(sandbox, STOCK, &[("FAILPOINTS", "during_schema_change=return")]);
    assert_eq!(crashed.exit, KILLED, "{}", crashed.stderr);
    assert_eq!(synced(sandbox, STOCK, "stock.csv"), (1, 0, 0, 0));
    assert_eq!(sandbox.rows("SELECT item_code, name FROM stock"), ["1|Bolt"]);
    let made = "SELECT COUNT(*) FROM tidegate_schema_changes WHERE change_kind = 'create_table'";
    assert_eq!(sandbox.rows(made), ["1"]);
}

scenario!(somebody_elses_table_is_left_alone);
fn somebody_elses_table_is_left_alone(sandbox: &Sandbox) {
    sync(sandbox, "");
    sandbox.execute("CREATE TABLE stock (note varchar(20))");
    sandbox.execute("INSERT INTO stock (note) VALUES ('mine')");
    sandbox.drop_file("stock.csv", &table(&["Item Code,Name", "1,Bolt"]));
    let refused = sync(sandbox, STOCK);
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(refused.stderr.contains("set `table`"), "{}", refused.stderr);
    assert_eq!(sandbox.columns("stock"), ["note"]);
    // A file without a dataset takes another name.
    assert_eq!(synced(sandbox, "unmatched = \"create\"\n", "stock.csv"), (1, 0, 0, 0));
    assert_eq!(sandbox.rows("SELECT item_code, name FROM stock_2"), ["1|Bolt"]);
    assert_eq!(sandbox.rows("SELECT note FROM stock"), ["mine"]);
}

scenario!(a_dataset_whose_key_is_not_its_tables_key_is_refused);
fn a_dataset_whose_key_is_not_its_tables_key_is_refused(sandbox: &Sandbox) {
    sandbox.drop_file("stock.csv", &table(&["Item Code,Name", "1,Bolt"]));
    synced(sandbox, STOCK, "stock.csv");
    let refused = sync(sandbox, &STOCK.replace("Item Code", "name"));
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("table `stock` has the key market, item_code"),
        "{}",
        refused.stderr
    );
}

scenario!(files_of_no_dataset_get_tables_of_their_own_when_told_to);
fn files_of_no_dataset_get_tables_of_their_own_when_told_to(sandbox: &Sandbox) {
    const CREATE: &str = "unmatched = \"create\"\nunmatched_key = \"Code\"\n";
    let long = format!("{}.csv", "long name ".repeat(9));
    let files = [
        ("Stock Levels-2024-03-01.csv", "stock_levels"),
        ("select.csv", "select"),
        ("orders.csv", "orders_2"),
        ("Customer Metrics.json", "customer_metrics_2"),
        ("enriched orders.csv", "enriched_orders_2"),
        ("tidegate_files.csv", "file_tidegate_files"),
        ("sqlite_master.csv", "file_sqlite_master"),
        ("2024-03-01.csv", "file"),
        ("x\"); DROP TABLE orders; --.csv", "x_drop_table_orders"),
        (long.as_str(), "long_name_long_name_long_name_long_name_long_name_long_4128787c"),
    ];
    for (name, _) in files {
        let content =
            if name.ends_with(".json") { r#"{"Code": "7", "N": 5}"# } else { "Code,N\n7,5\n" };
        sandbox.drop_file(name, content);
    }
    sandbox.drop_file("notes.txt", "Code,N\n7,5\n");
    sandbox.drop_file("a/parts.csv", "N,M\n5,6\n");
    sandbox.drop_file("b/Parts.csv", "N,M\n5,6\n7,8\n");
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n11,A\n");
    let report = sync(sandbox, CREATE);
    assert_eq!(report.exit, 0, "{} {:?}", report.stderr, report.files);
    assert_eq!(report.file("notes.txt").outcome, "unmatched");
    let quote = if sandbox.engine == Engine::Mariadb { '`' } else { '"' };
    for (name, made) in files {
        assert_eq!(report.file(name).outcome, "synced", "{report:?}");
        let query = format!("SELECT market, code, n FROM {quote}{made}{quote}");
        assert_eq!(sandbox.rows(&query), ["|7|5"], "{made}");
    }
    assert_eq!(sandbox.rows("SELECT n, m FROM parts ORDER BY n"), ["5|6", "7|8"]);
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), ["11"]);
    // The next start knows every table again, and a newer file of the same name goes there.
    let again = sync(sandbox, CREATE);
    assert!(
        again.files.iter().all(|file| ["unchanged", "unmatched"].contains(&file.outcome.as_str())),
        "{again:?}"
    );
    sandbox.drop_file("orders.csv", "Code,N\n7,6\n8,many\n");
    sandbox.drop_file("stock_levels 2024-03-02.csv", "Code,N,At\n7,5,2024-03-02\n9,6,2024-03-02\n");
    let newer = sync(sandbox, CREATE);
    assert_eq!(newer.file("orders.csv").changes(), (1, 1, 0, 0), "{newer:?}");
    assert_eq!(newer.file("stock_levels 2024-03-02.csv").changes(), (1, 1, 0, 0), "{newer:?}");
    assert_eq!(sandbox.rows("SELECT code, n FROM orders_2 ORDER BY code"), ["7|6", "8|many"]);
    assert_eq!(
        sandbox.rows("SELECT code, at FROM stock_levels ORDER BY code"),
        ["7|2024-03-02", "9|2024-03-02"]
    );
    let made = sandbox
        .rows("SELECT COUNT(*) FROM tidegate_schema_changes WHERE change_kind = 'create_table'");
    assert_eq!(made, ["11"]);
    assert_verified(sandbox);
}

scenario!(files_whose_names_say_other_things_get_tables_of_their_own);
fn files_whose_names_say_other_things_get_tables_of_their_own(sandbox: &Sandbox) {
    let long = "n".repeat(70);
    let names =
        ["😀", "🅰", "sales 😀", "sales", "…", &format!("{long} one"), &format!("{long} two")];
    for (number, name) in names.iter().enumerate() {
        sandbox.drop_file(&format!("{name}.csv"), &table(&["id,v", &format!("{number},x")]));
    }
    let report = sync(sandbox, "unmatched = 'create'\nunmatched_key = 'id'\n");
    assert_eq!(report.exit, 0, "{} {:?}", report.stderr, report.files);
    let tables = "SELECT DISTINCT table_name FROM tidegate_schema_changes WHERE change_kind = 'create_table'";
    let tables = sandbox.rows(tables);
    assert_eq!(tables.len(), names.len(), "{tables:?}");
    for table in &tables {
        let rows = sandbox.rows(&format!("SELECT COUNT(*) FROM {table}"));
        assert_eq!(rows, ["1"], "{table}");
    }
    assert_eq!(sandbox.rows("SELECT id FROM sales"), ["3"]);
    assert_verified(sandbox);
}

scenario!(the_key_of_a_created_table_may_be_missing_in_the_first_object);
fn the_key_of_a_created_table_may_be_missing_in_the_first_object(sandbox: &Sandbox) {
    let objects = r#"[{"qty":1},{"id":"a","qty":2},{"id":"b","qty":3}]"#;
    sandbox.drop_file("stock.json", objects);
    let create = "unmatched = 'create'\nunmatched_key = 'id'\nrejects_max_percent = 100\n";
    let report = sync(sandbox, create);
    assert_eq!(report.file("stock.json").counts["rejected"], 1, "{report:?}");
    sandbox.drop_file("stock.json", &objects.replace(r#"{"qty":1},"#, "").replace('3', "4"));
    assert_eq!(synced(sandbox, create, "stock.json"), (0, 1, 1, 0));
    assert_eq!(sandbox.rows("SELECT id, qty FROM stock ORDER BY id"), ["a|2", "b|4"]);
}
