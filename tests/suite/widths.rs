//! Widths: how many columns a table may get, and that no file makes a database unusable by them.

use crate::sandbox::{Engine, Report, Sandbox, table};

const CUSTOMERS: &str = "Market 1 Customers.csv";
const ORDERS: &str = "Market 1 Orders.csv";

/// A file of customers that brings so many columns of a name.
fn wide(name: &str, columns: usize) -> String {
    let names: Vec<String> = (0..columns).map(|number| format!("{name} {number}")).collect();
    let values: Vec<String> = (0..columns).map(|number| number.to_string()).collect();
    table(&[&format!("Customer ID,{}", names.join(",")), &format!("1,{}", values.join(","))])
}

fn sync(sandbox: &Sandbox, name: &str, content: &str, environment: &[(&str, &str)]) -> Report {
    sandbox.drop_file(name, content);
    sandbox.sync_with(environment)
}

fn assert_synced(report: &Report, name: &str) {
    assert_eq!((report.exit, report.file(name).outcome.as_str()), (0, "synced"), "{report:?}");
}

scenario!(a_table_gets_no_more_columns_than_it_may_have);
fn a_table_gets_no_more_columns_than_it_may_have(sandbox: &Sandbox) {
    assert_synced(
        &sync(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1"]), &[]),
        ORDERS,
    );
    assert_synced(&sync(sandbox, CUSTOMERS, &wide("First", 600), &[]), CUSTOMERS);
    let (columns, changes) =
        (sandbox.columns("customers"), "SELECT COUNT(*) FROM tidegate_schema_changes");
    let before = sandbox.rows(changes);
    for content in [wide("Second", 990), wide("Third", 150)] {
        let refused = sync(sandbox, CUSTOMERS, &content, &[]);
        let file = refused.file(CUSTOMERS);
        assert_eq!((refused.exit, file.outcome.as_str()), (1, "quarantined"), "{refused:?}");
        assert!(
            file.error.contains("table_columns_max") && file.error.contains("`customers`"),
            "{}",
            file.error
        );
        assert_eq!(
            (sandbox.columns("customers"), sandbox.rows(changes)),
            (columns.clone(), before.clone())
        );
    }
    // There is room for later columns, and the views have them all.
    assert_synced(&sync(sandbox, CUSTOMERS, &wide("Fourth", 100), &[]), CUSTOMERS);
    assert_eq!(
        sandbox.rows("SELECT customer_first_599, customer_fourth_99 FROM enriched_orders"),
        ["599|99"]
    );
    assert_synced(
        &sync(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID,New", "11,A,1,x"]), &[]),
        ORDERS,
    );
    // A wider table is tried when the setting says so, and what the database then refuses changes
    // nothing either.
    let columns = sandbox.columns("customers");
    let refused =
        sync(sandbox, CUSTOMERS, &wide("Fifth", 900), &[("TIDEGATE_TABLE_COLUMNS_MAX", "5000")]);
    if sandbox.engine != Engine::Sqlite {
        assert_eq!(refused.file(CUSTOMERS).outcome, "quarantined", "{refused:?}");
        assert_eq!(sandbox.columns("customers"), columns);
    }
    let report = sync(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID,New", "11,A,1,y"]), &[]);
    assert_eq!(report.file(ORDERS).outcome, "synced", "{report:?}");
}

scenario!(a_row_of_more_text_than_the_database_keeps_says_what_to_do);
/// InnoDB and PostgreSQL keep some 8,000 bytes of a row in one place, and of a longer text 20 bytes
/// of it.
fn a_row_of_more_text_than_the_database_keeps_says_what_to_do(sandbox: &Sandbox) {
    let customers = |columns: usize, value: &str| {
        let names: Vec<String> = (0..columns).map(|number| format!("Text {number}")).collect();
        let values = vec![value; columns];
        table(&[
            &format!("Customer ID,{}", names.join(",")),
            &format!("{columns},{}", values.join(",")),
        ])
    };
    assert_synced(&sync(sandbox, CUSTOMERS, &customers(180, &"x".repeat(40)), &[]), CUSTOMERS);
    assert_synced(&sync(sandbox, CUSTOMERS, &customers(600, "a dozen char"), &[]), CUSTOMERS);
    let wide = customers(600, &"x".repeat(100));
    let report = sync(sandbox, CUSTOMERS, &wide, &[]);
    if sandbox.engine == Engine::Sqlite {
        return assert_synced(&report, CUSTOMERS);
    }
    let file = report.file(CUSTOMERS);
    assert_eq!((report.exit, file.outcome.as_str()), (1, "failed"), "{report:?}");
    assert!(
        file.error.contains("new_columns = \"ignore\"") && file.error.contains("`customers`"),
        "{}",
        file.error
    );
    assert_synced(
        &sync(
            sandbox,
            CUSTOMERS,
            &wide,
            &[("TIDEGATE_DATASETS__CUSTOMERS__NEW_COLUMNS", "ignore")],
        ),
        CUSTOMERS,
    );
}

/// SQLite makes a view of more columns than it can read.
#[test]
fn a_view_is_compiled_before_a_change_commits() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let environment = [("TIDEGATE_TABLE_COLUMNS_MAX", "5000"), ("TIDEGATE_COLUMNS_MAX", "5000")];
    assert_synced(&sync(&sandbox, CUSTOMERS, &wide("First", 990), &environment), CUSTOMERS);
    let columns = sandbox.columns("customers");
    let refused = sync(&sandbox, CUSTOMERS, &wide("Second", 980), &environment);
    let file = refused.file(CUSTOMERS);
    assert_eq!(file.outcome, "quarantined", "{refused:?}");
    assert!(
        file.error.contains("the view enriched_") && file.error.contains("too many columns"),
        "{}",
        file.error
    );
    assert_eq!(sandbox.columns("customers"), columns);
    assert_synced(&sync(&sandbox, CUSTOMERS, &wide("Third", 5), &environment), CUSTOMERS);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM enriched_orders"), ["0"]);
}

/// As an older release left it: the tables are wider than their views can be.
#[test]
fn a_database_whose_views_cannot_be_read_opens_and_the_rest_goes_on() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    assert_synced(
        &sync(&sandbox, CUSTOMERS, &table(&["Customer ID,Language", "1,en"]), &[]),
        CUSTOMERS,
    );
    sandbox.execute(
        "INSERT INTO tidegate_schema_changes (table_name, column_name, change_kind, new_type, file_id, changed_at) \
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1984) \
         SELECT 'customers', 'c' || i, 'add_column', 'bigint', 1, '2024-01-01T00:00:00.000Z' FROM n",
    );
    assert_eq!(sandbox.sync().exit, 0);
    sandbox.execute("DROP VIEW enriched_orders");
    sandbox.execute("CREATE VIEW enriched_orders AS SELECT o.*, c.* FROM orders o LEFT JOIN customers c USING (market, customer_id)");
    let report =
        sync(&sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID,Extra", "11,A,1,x"]), &[]);
    assert_synced(&report, ORDERS);
    assert_eq!(sandbox.rows("SELECT order_id, extra FROM order_items"), ["11|x"]);
    let status = sandbox.command(&["status"]).output().expect("the built program starts");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("enriched_orders: the view cannot be made"), "{status}");
    assert_synced(
        &sync(&sandbox, CUSTOMERS, &table(&["Customer ID,Language", "1,sw"]), &[]),
        CUSTOMERS,
    );
    let refused =
        sync(&sandbox, CUSTOMERS, &table(&["Customer ID,Language,Tier", "1,sw,gold"]), &[]);
    assert!(refused.file(CUSTOMERS).error.contains("table_columns_max"), "{refused:?}");
    let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
