//! Caps: what is too long or too much is a reject or refused, by a limit that has a name; and JSON
//! in every arrangement.

use crate::sandbox::{DEADLINE, Engine, Report, Sandbox, wait_for};
use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

fn sync(sandbox: &Sandbox, name: &str, content: &str, environment: &[(&str, &str)]) -> Report {
    sandbox.drop_file(name, content);
    let report = sandbox.sync_with(environment);
    let astray = "SELECT id FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(astray), Vec::<String>::new());
    report
}

scenario!(rows_and_values_that_are_too_long_are_rejects);
fn rows_and_values_that_are_too_long_are_rejects(sandbox: &Sandbox) {
    let filler: String = (0..60).map(|number| format!("filler{number},f\n")).collect();
    let long = "x".repeat(200);
    let many = vec!["y".repeat(90); 6].join(",");
    let rows = format!(
        "Order ID,Description\n11,{long}\n12,\"{}\"\n13,x,{many}\n14,z\n{filler}",
        "x".repeat(98)
    );
    let objects: Vec<String> =
        (0..60).map(|number| format!(r#"{{"Customer ID": "filler{number}"}}"#)).collect();
    let json = format!(
        r#"[{{"Customer ID": "1", "Language": "{long}"}}, {{"Customer ID": "2", "Language": "en"}}, {}]"#,
        objects.join(",")
    );
    let limits = [("TIDEGATE_FIELD_BYTES_MAX", "100"), ("TIDEGATE_ROW_BYTES_MAX", "400")];
    let report = sync(sandbox, ORDERS, &rows, &limits);
    assert_eq!((report.exit, report.file(ORDERS).counts["rejected"]), (0, 2), "{report:?}");
    let stored = "SELECT order_id FROM orders WHERE order_id NOT LIKE 'filler%' ORDER BY order_id";
    assert_eq!(sandbox.rows(stored), ["12", "14"]);
    let rejects =
        sandbox.rows("SELECT r.row_number, column_name, reason FROM tidegate_rejects r ORDER BY 1");
    assert!(
        rejects[0].starts_with("1|description|") && rejects[0].contains("field_bytes_max"),
        "{rejects:?}"
    );
    assert!(rejects[1].starts_with("3|-|") && rejects[1].contains("row_bytes_max"), "{rejects:?}");
    let report = sync(sandbox, CUSTOMERS, &json, &limits);
    assert_eq!((report.exit, report.file(CUSTOMERS).counts["rejected"]), (0, 1), "{report:?}");
    assert_eq!(sandbox.rows("SELECT customer_id FROM customers WHERE customer_id < '9'"), ["2"]);
}

scenario!(a_record_of_too_many_rows_is_refused);
fn a_record_of_too_many_rows_is_refused(sandbox: &Sandbox) {
    let rows: String = (0..11).map(|row| format!("1,S{row}\n")).collect();
    let report = sync(
        sandbox,
        ORDERS,
        &format!("Order ID,SKU\n{rows}"),
        &[("TIDEGATE_RECORD_ROWS_MAX", "10")],
    );
    assert_eq!(report.file(ORDERS).outcome, "quarantined");
    assert!(report.file(ORDERS).error.contains("record_rows_max"), "{report:?}");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
}

scenario!(a_record_of_too_many_bytes_is_refused_wherever_its_rows_stand);
fn a_record_of_too_many_bytes_is_refused_wherever_its_rows_stand(sandbox: &Sandbox) {
    let text = "x".repeat(300);
    let row = |order: &str, number: usize| format!("{order},S{number},{text}\n");
    let near: String = (0..12).map(|number| row("1", number)).collect();
    // Two runs, each of which is short enough.
    let apart = [0..7, 7..12].map(|run| run.map(|number| row("1", number)).collect::<String>());
    let apart = apart.join(&row("2", 0));
    // Rows of all orders one after the other.
    let mixed: String =
        (0..12).map(|number| row("1", number) + &row("2", number) + &row("3", 0)).collect();
    let objects: Vec<String> = (0..12)
        .map(|row| format!(r#"{{"Order ID": 1, "SKU": "S{row}", "Description": "{text}"}}"#))
        .collect();
    let one_row = row("1", 0);
    let limit = ("TIDEGATE_RECORD_BYTES_MAX", "3000");
    let csv = |rows: &str| format!("Order ID,SKU,Description\n{rows}");
    let files = [
        (ORDERS, csv(&near)),
        (ORDERS, csv(&apart)),
        (ORDERS, csv(&mixed)),
        ("Market 1 Orders.ndjson", objects.join("\n")),
    ];
    for (name, content) in &files {
        let sandbox = &sandbox.sibling();
        let report = sync(sandbox, name, content, &[limit]);
        assert_eq!(report.file(name).outcome, "quarantined", "{report:?}");
        let error = &report.file(name).error;
        assert!(
            error.contains("record `1` has more bytes than record_bytes_max allows (3000) at row "),
            "{error}"
        );
        assert_eq!(
            sandbox.rows("SELECT COUNT(*) FROM orders"),
            ["0"],
            "it is refused before it changes a row"
        );
        let report = sync(sandbox, name, content, &[("TIDEGATE_RECORD_BYTES_MAX", "9000")]);
        assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    }
    assert_eq!(
        sync(sandbox, ORDERS, &csv(&one_row), &[("TIDEGATE_RECORD_BYTES_MAX", "100")]).exit,
        1
    );
}

#[test]
fn a_huge_record_takes_no_more_memory_than_it_may() {
    // A hundred megabytes, which a gzip file has room for in a few hundred kilobytes.
    let row = format!("1,S,{}\n", "x".repeat(5000));
    let mut packed = flate2::write::GzEncoder::new(b"".to_vec(), flate2::Compression::fast());
    packed.write_all(b"Order ID,SKU,Description\n").expect("memory");
    (0..20_000).for_each(|_| packed.write_all(row.as_bytes()).expect("memory"));
    let packed = packed.finish().expect("memory");
    let sandbox = Sandbox::new(Engine::Sqlite);
    let name = "Market 1 Orders.csv.gz";
    sandbox.drop_file(name, &packed);
    let (said, peak_kb) = run_measured(
        sandbox
            .command(&["sync", &sandbox.inbox().to_string_lossy()])
            .env("TIDEGATE_MEMORY_MAX_MB", "64"),
    );
    assert!(said.contains("record_bytes_max"), "{said}");
    assert!(peak_kb < 192 << 10, "{peak_kb} KiB");
}

/// Runs a command to its end: what it printed, and the most memory that it was seen to take.
pub fn run_measured(command: &mut Command) -> (String, u64) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built program starts");
    let (peak, is_over) = (Cell::new(0), RefCell::new(&mut child));
    wait_for("the end of the command", || {
        let status = fs::read_to_string(format!("/proc/{}/status", is_over.borrow().id()))
            .unwrap_or_default();
        let now = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak.set(peak.get().max(now.unwrap_or(0)));
        is_over.borrow_mut().try_wait().expect("it is ours").is_some()
    });
    let output = child.wait_with_output().expect("it is over");
    (String::from_utf8_lossy(&output.stdout).into_owned(), peak.get())
}

#[test]
fn objects_and_headers_of_very_many_columns_are_refused_at_once() {
    let members = |from: usize, to: usize| {
        (from..to).map(|number| format!("\"c{number}\":1")).collect::<Vec<_>>().join(",")
    };
    // All of them mean one column.
    let spelling = |number: usize| format!("a{number:016b}").replace('0', "-").replace('1', "_");
    let respelt: Vec<String> =
        (0..60_000).map(|number| format!("\"{}\":1", spelling(number))).collect();
    let one = format!("[{{\"Customer ID\":\"1\",{}}}]", members(0, 200_000));
    let each: String = (0..300)
        .map(|number| {
            format!("{{\"Customer ID\":{number},{}}}\n", members(number * 10, number * 10 + 10))
        })
        .collect();
    let header: Vec<String> = (0..200_000).map(|number| format!("c{number}")).collect();
    let deep = format!(
        "[{{\"Customer ID\":\"0\"}},{{\"Customer ID\":\"1\",\"x\":{}1{}}}]",
        "{\"a\":".repeat(400),
        "}".repeat(400)
    );
    let cases = [
        (CUSTOMERS, one, "columns_max allows (1000)"),
        (
            CUSTOMERS,
            format!("[{{\"Customer ID\":\"1\",{}}}]", respelt.join(",")),
            "columns_max allows (1000)",
        ),
        ("Market 1 Customers.ndjson", each, "columns_max allows (1000)"),
        (ORDERS, format!("Order ID,{}\n1\n", header.join(",")), "columns_max allows 1000"),
        (CUSTOMERS, deep, "nested deeper than 16"),
        (CUSTOMERS, format!("[{}]", vec!["{}"; 1_000_000].join(",")), "no column is `customer_id`"),
    ];
    let sandbox = Sandbox::new(Engine::Sqlite);
    for (name, content, reason) in cases {
        let started = Instant::now();
        let report = sync(&sandbox, name, &content, &[("TIDEGATE_ROW_BYTES_MAX", "10000000")]);
        let file = report.file(name);
        assert!(
            file.outcome == "quarantined" && file.error.contains(reason),
            "{reason}: {}",
            file.error
        );
        // What grows with the square of it took minutes.
        assert!(started.elapsed() < DEADLINE / 2, "{reason}: {:?}", started.elapsed());
    }
}

scenario!(objects_may_follow_one_another_in_any_way);
fn objects_may_follow_one_another_in_any_way(sandbox: &Sandbox) {
    let objects: Vec<String> =
        (10..40).map(|number| format!(r#"{{"Customer ID": "{number}"}}"#)).collect();
    let arrangements = [
        objects.concat(),
        objects.join(" "),
        format!("\n\n{}\n\r\n\n", objects.join("\n\n  \r\n")),
        format!("\u{feff}{}", objects.join("\n")),
        format!(" [ {} ] \n", objects.join(" ,\n")),
        // What is no object, or has no key, is a row all the same.
        format!("[{}, 5, {{\"Language\": \"en\"}}]", objects.join(",")),
    ];
    for (index, content) in arrangements.iter().enumerate() {
        let name = format!("Market {index} Customers.json");
        let report = sync(sandbox, &name, content, &[]);
        let rejected = if index == 5 { 2 } else { 0 };
        assert_eq!(
            (report.exit, report.file(&name).counts["rejected"]),
            (0, rejected),
            "{content}: {report:?}"
        );
    }
    let counts =
        sandbox.rows("SELECT market, COUNT(*) FROM customers GROUP BY market ORDER BY market");
    assert_eq!(counts, ["0|30", "1|30", "2|30", "3|30", "4|30", "5|30"]);
}

/// A file that a limit refused, the limit, and what it must be for the file to fit.
const REFUSED: [(&str, &str, &str, &str); 3] = [
    (ORDERS, "Order ID,SKU\n1,A\n1,B\n1,C\n", "TIDEGATE_RECORD_ROWS_MAX", "2"),
    (ORDERS, "Order ID,SKU,One,Two\n1,A,x,y\n", "TIDEGATE_COLUMNS_MAX", "3"),
    (ORDERS, "Order ID,SKU\n1,A\n3E+29,B\n", "TIDEGATE_REJECTS_MAX_PERCENT", "10"),
];

scenario!(a_file_that_a_limit_refused_is_tried_again_under_another_limit);
fn a_file_that_a_limit_refused_is_tried_again_under_another_limit(sandbox: &Sandbox) {
    for (name, content, limit, value) in REFUSED {
        let sandbox = &sandbox.sibling();
        let states = || sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
        for _ in 0..2 {
            let report = sync(sandbox, name, content, &[(limit, value)]);
            assert_eq!(
                (report.exit, report.file(name).outcome.as_str()),
                (1, "quarantined"),
                "{limit} {report:?}"
            );
        }
        assert_eq!(states(), ["quarantined"], "{limit}");
        let report = sandbox.sync_with(&[(limit, "90")]);
        assert_eq!(
            (report.exit, report.file(name).outcome.as_str()),
            (0, "synced"),
            "{limit} {report:?}"
        );
        assert_eq!(states(), ["synced"], "one path, one content, one line: {limit}");
        assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["1"], "{limit}");
        // What is synced already is not touched by a limit.
        assert_eq!(sandbox.sync_with(&[(limit, value)]).file(name).outcome, "unchanged", "{limit}");
    }
}

scenario!(a_daemon_tries_a_refused_file_again_when_it_starts_under_another_limit);
fn a_daemon_tries_a_refused_file_again_when_it_starts_under_another_limit(sandbox: &Sandbox) {
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
}

scenario!(an_operator_has_a_refused_file_tried_again);
fn an_operator_has_a_refused_file_tried_again(sandbox: &Sandbox) {
    let (name, content, limit, value) = REFUSED[0];
    let approve = |environment: &[(&str, &str)]| {
        let mut command = sandbox.command(&["approve", name]);
        let output =
            command.envs(environment.iter().copied()).output().expect("the built program starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    };
    let finished = || sandbox.rows("SELECT state, finished_at FROM tidegate_files");
    assert_eq!(sync(sandbox, name, content, &[(limit, value)]).exit, 1);
    let before = finished();
    let (exit, said) = approve(&[(limit, value)]);
    assert!(
        exit == 1 && said.contains("is tried again") && said.contains("record_rows_max"),
        "{exit} {said}"
    );
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
}
