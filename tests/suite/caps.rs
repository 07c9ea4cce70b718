//! Caps: what is too long or too much is a reject or refused, by a limit that has a name; and JSON in every arrangement.

use crate::sandbox::{Report, Sandbox, on_every_database, wait_for};

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

/// A file that a limit refused, the limit, and what it must be for the file to fit.
const REFUSED: [(&str, &str, &str, &str); 3] = [
    (ORDERS, "Order ID,SKU\n1,A\n1,B\n1,C\n", "TIDEGATE_RECORD_ROWS_MAX", "2"),
    (ORDERS, "Order ID,SKU,One,Two\n1,A,x,y\n", "TIDEGATE_COLUMNS_MAX", "3"),
    (ORDERS, "Order ID,SKU\n1,A\n3E+29,B\n", "TIDEGATE_REJECTS_MAX_PERCENT", "10"),
];

#[test]
fn a_file_that_a_limit_refused_is_tried_again_under_another_limit() {
    on_every_database(|sandbox| {
        for (name, content, limit, value) in REFUSED {
            let sandbox = &sandbox.sibling();
            let states = || sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
            for _ in 0..2 {
                let report = sync(sandbox, name, content, &[(limit, value)]);
                assert_eq!((report.exit, report.file(name).outcome.as_str()), (1, "quarantined"), "{limit} {report:?}");
            }
            assert_eq!(states(), ["quarantined"], "{limit}");
            let report = sandbox.sync_with(&[(limit, "90")]);
            assert_eq!((report.exit, report.file(name).outcome.as_str()), (0, "synced"), "{limit} {report:?}");
            assert_eq!(states(), ["synced"], "one path, one content, one line: {limit}");
            assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["1"], "{limit}");
            // What is synced already is not touched by a limit.
            assert_eq!(sandbox.sync_with(&[(limit, value)]).file(name).outcome, "unchanged", "{limit}");
        }
    });
}

#[test]
fn a_daemon_tries_a_refused_file_again_when_it_starts_under_another_limit() {
    on_every_database(|sandbox| {
        let (name, content, limit, value) = REFUSED[0];
        assert_eq!(sync(sandbox, name, content, &[(limit, value)]).exit, 1);
        let fast = ("TIDEGATE_SETTLE_SCAN_MS", "50");
        let mut daemon = sandbox.start_daemon(&[(limit, value), fast]);
        daemon.wait_until_ready();
        sandbox.drop_file("Market 2 Orders.csv", "Order ID,SKU\n1,A\n");
        let states = || sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
        wait_for("the other file", || states() == ["quarantined", "synced"]);
        assert_eq!(daemon.terminate().0, 0);
        let mut daemon = sandbox.start_daemon(&[fast]);
        wait_for("the refused file", || states() == ["synced", "synced"]);
        assert_eq!(daemon.terminate().0, 0);
    });
}

#[test]
fn an_operator_has_a_refused_file_tried_again() {
    on_every_database(|sandbox| {
        let (name, content, limit, value) = REFUSED[0];
        let approve = |environment: &[(&str, &str)]| {
            let mut command = sandbox.command(&["approve", name]);
            let output = command.envs(environment.iter().copied()).output().expect("the built program starts");
            let text = [output.stdout, output.stderr].concat();
            (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
        };
        let finished = || sandbox.rows("SELECT state, finished_at FROM tidegate_files");
        assert_eq!(sync(sandbox, name, content, &[(limit, value)]).exit, 1);
        let before = finished();
        let (exit, said) = approve(&[(limit, value)]);
        assert!(exit == 1 && said.contains("is tried again") && said.contains("record_rows_max"), "{exit} {said}");
        assert_ne!(finished(), before, "it was looked at");
        assert_eq!(sandbox.sync_with(&[(limit, value)]).file(name).outcome, "quarantined");
        // A daemon does it when it has the lease.
        let mut daemon = sandbox.start_daemon(&[(limit, value), ("TIDEGATE_SETTLE_SCAN_MS", "50")]);
        daemon.wait_until_ready();
        let before = finished();
        let (exit, said) = approve(&[(limit, value)]);
        assert!(exit == 1 && said.contains("record_rows_max"), "{exit} {said}");
        assert_ne!(finished(), before, "it was looked at");
        assert_eq!(daemon.terminate().0, 0);
        let (exit, said) = approve(&[]);
        assert!(exit == 0 && said.contains("+4 "), "{exit} {said}");
    });
}
