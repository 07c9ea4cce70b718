//! Caps: what is too long or too much is a reject or refused, by a limit that has a name; and JSON in every arrangement.

use crate::sandbox::{Report, Sandbox, on_every_database};

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

fn sync(sandbox: &Sandbox, name: &str, content: &str, environment: &[(&str, &str)]) -> Report {
    sandbox.drop_file(name, content);
    let report = sandbox.sync_with(environment);
    let astray = "SELECT id FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected";
    assert_eq!(sandbox.rows(astray), Vec::<String>::new());
    report
}

#[test]
fn rows_and_values_that_are_too_long_are_rejects() {
    let filler: String = (0..60).map(|number| format!("filler{number},f\n")).collect();
    let long = "x".repeat(200);
    let many = vec!["y".repeat(90); 6].join(",");
    let rows = format!("Order ID,Description\n11,{long}\n12,\"{}\"\n13,x,{many}\n14,z\n{filler}", "x".repeat(98));
    let objects: Vec<String> = (0..60).map(|number| format!(r#"{{"Customer ID": "filler{number}"}}"#)).collect();
    let json = format!(
        r#"[{{"Customer ID": "1", "Language": "{long}"}}, {{"Customer ID": "2", "Language": "en"}}, {}]"#,
        objects.join(",")
    );
    let limits = [("TIDEGATE_FIELD_BYTES_MAX", "100"), ("TIDEGATE_ROW_BYTES_MAX", "400")];
    on_every_database(|sandbox| {
        let report = sync(sandbox, ORDERS, &rows, &limits);
        assert_eq!((report.exit, report.file(ORDERS).counts["rejected"]), (0, 2), "{report:?}");
        let stored = "SELECT order_id FROM orders WHERE order_id NOT LIKE 'filler%' ORDER BY order_id";
        assert_eq!(sandbox.rows(stored), ["12", "14"]);
        let rejects = sandbox.rows("SELECT r.row_number, column_name, reason FROM tidegate_rejects r ORDER BY 1");
        assert!(rejects[0].starts_with("1|description|") && rejects[0].contains("field_bytes_max"), "{rejects:?}");
        assert!(rejects[1].starts_with("3|-|") && rejects[1].contains("row_bytes_max"), "{rejects:?}");
        let report = sync(sandbox, CUSTOMERS, &json, &limits);
        assert_eq!((report.exit, report.file(CUSTOMERS).counts["rejected"]), (0, 1), "{report:?}");
        assert_eq!(sandbox.rows("SELECT customer_id FROM customers WHERE customer_id < '9'"), ["2"]);
    });
}

#[test]
fn a_record_of_too_many_rows_is_refused() {
    on_every_database(|sandbox| {
        let rows: String = (0..11).map(|row| format!("1,S{row}\n")).collect();
        let report = sync(sandbox, ORDERS, &format!("Order ID,SKU\n{rows}"), &[("TIDEGATE_RECORD_ROWS_MAX", "10")]);
        assert_eq!(report.file(ORDERS).outcome, "quarantined");
        assert!(report.file(ORDERS).error.contains("record_rows_max"), "{report:?}");
        assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
    });
}

#[test]
fn objects_may_follow_one_another_in_any_way() {
    let objects: Vec<String> = (10..40).map(|number| format!(r#"{{"Customer ID": "{number}"}}"#)).collect();
    let arrangements = [
        objects.concat(),
        objects.join(" "),
        format!("\n\n{}\n\r\n\n", objects.join("\n\n  \r\n")),
        format!("\u{feff}{}", objects.join("\n")),
        format!(" [ {} ] \n", objects.join(" ,\n")),
        // What is no object, or has no key, is a row all the same.
        format!("[{}, 5, {{\"Language\": \"en\"}}]", objects.join(",")),
    ];
    on_every_database(|sandbox| {
        for (index, content) in arrangements.iter().enumerate() {
            let name = format!("Market {index} Customers.json");
            let report = sync(sandbox, &name, content, &[]);
            let rejected = if index == 5 { 2 } else { 0 };
            assert_eq!((report.exit, report.file(&name).counts["rejected"]), (0, rejected), "{content}: {report:?}");
        }
        let counts = sandbox.rows("SELECT market, COUNT(*) FROM customers GROUP BY market ORDER BY market");
        assert_eq!(counts, ["0|30", "1|30", "2|30", "3|30", "4|30", "5|30"]);
    });
}
