//! What monitoring sees: health, readiness, metrics and status say what the ledger says, and no
//! secret.

use crate::sandbox::{Daemon, Engine, Sandbox, free_port, table, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";

/// Two orders, one with a row that is there twice and one row whose key cannot be.
fn orders() -> String {
    table(&[
        "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time",
        "11,COMPLETED,A,1,10.50,30.5,KSh,7,2022-02-15T13:07:09.000Z",
        "11,COMPLETED,B,2,20,30.5,KSh,7,2022-02-15T13:07:09.000Z",
        "11,COMPLETED,B,2,20,30.5,KSh,7,2022-02-15T13:07:09.000Z",
        "12,COMPLETED,A,1,10.50,10.5,KSh,8,2022-02-16T13:07:09.000Z",
        "3.68E+29,COMPLETED,A,1,10.50,10.5,KSh,8,2022-02-16T13:07:09.000Z",
    ])
}

fn json(daemon: &Daemon, path: &str) -> (u16, Value) {
    let (status, body) = daemon.get(path).expect("the daemon listens");
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

/// The samples of an exposition by name and labels, after checking its form.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    assert!(text.ends_with("# EOF\n"), "an OpenMetrics text ends so: {text}");
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type has a name");
            assert!(types.insert(name, kind).is_none(), "{name} is declared twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(
                rest.split_once(' ').is_some_and(|(_, help)| help.len() > 10),
                "no help: {line}"
            );
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let family = name.split('{').next().expect("a split has a first part");
        let family =
            family.strip_suffix("_total").filter(|family| types.get(family) == Some(&"counter"));
        let family =
            family.unwrap_or_else(|| name.split('{').next().expect("a split has a first part"));
        assert!(types.contains_key(family), "{name} has no type");
        assert!(name.starts_with("tidegate_"), "{name} lacks the prefix");
        let is_new = samples
            .insert(name.to_owned(), value.parse().expect("a sample has a number"))
            .is_none();
        assert!(is_new, "{name} is there twice");
    }
    samples
}

scenario!(metrics_and_status_say_what_the_ledger_says);
fn metrics_and_status_say_what_the_ledger_says(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &orders());
    sandbox.drop_file("notes.txt", "remember the milk");
    let daemon = sandbox
        .start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1"), ("TIDEGATE_REJECTS_MAX_PERCENT", "50")]);
    daemon.wait_until_ready();
    wait_for("both files to be done with", || {
        let api = json(&daemon, "/api/status").1;
        api["files"]["synced"] == 1 && api["files"]["unmatched"] == 1 && api["backlog"] == 0
    });

    let (status, body) = daemon.get("/metrics").expect("the daemon listens");
    assert_eq!(status, 200, "{body}");
    let metrics = samples(&body);
    let (status, api) = json(&daemon, "/api/status");
    assert_eq!((status, &api["ready"]), (200, &Value::Bool(true)), "{api}");
    for kind in [
        "read",
        "accepted",
        "duplicate",
        "rejected",
        "repaired",
        "new",
        "modified",
        "unchanged",
        "stale",
        "deleted",
    ] {
        let ledger = sandbox.rows(&format!(
            "SELECT CAST(SUM(rows_{kind}) AS {}) FROM tidegate_files",
            integer(sandbox)
        ));
        let sample = metrics[&format!("tidegate_rows_total{{kind=\"{kind}\"}}")];
        assert_eq!(sample.to_string(), ledger[0], "{kind} in /metrics");
        assert_eq!(api["rows"][kind].to_string(), ledger[0], "{kind} in /api/status");
    }
    for state in ["synced", "unmatched", "quarantined", "failed"] {
        let ledger =
            sandbox.rows(&format!("SELECT COUNT(*) FROM tidegate_files WHERE state = '{state}'"));
        assert_eq!(
            metrics[&format!("tidegate_files{{state=\"{state}\"}}")].to_string(),
            ledger[0],
            "{state}"
        );
        assert_eq!(api["files"][state].to_string(), ledger[0], "{state}");
    }
    assert_eq!(api["files"]["synced"], 1);
    assert_eq!(api["files"]["unmatched"], 1);
    assert_eq!(api["rows"]["read"], 5);
    assert_eq!(api["rows"]["duplicate"], 1);
    assert_eq!(metrics["tidegate_rejects_open"], 1.0);
    assert_eq!(metrics["tidegate_ready"], 1.0);
    assert_eq!(metrics["tidegate_backlog_files"], 0.0);
    assert_eq!(metrics["tidegate_dirty_groups"], 0.0);
    assert!(metrics["tidegate_last_synced_timestamp_seconds"] > 1.6e9);
    assert_eq!(api["inbox"], sandbox.inbox().to_string_lossy().as_ref());
    assert!(api["last_synced_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{api}");
}

/// What sums of integers are cast to, so that the driver reads them alike.
fn integer(sandbox: &Sandbox) -> &'static str {
    if sandbox.engine == Engine::Mariadb { "SIGNED" } else { "BIGINT" }
}

#[test]
fn readiness_fails_with_the_reason_while_the_inbox_is_gone() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    assert_eq!(json(&daemon, "/healthz"), (200, serde_json::json!({ "status": "ok" })));
    fs::remove_dir_all(sandbox.inbox()).expect("an inbox of our own");

    wait_for("readiness to fail", || json(&daemon, "/readyz").0 == 503);
    let (_, readiness) = json(&daemon, "/readyz");
    let reasons = readiness["reasons"].as_array().expect("a list of reasons").clone();
    assert!(
        reasons.iter().any(|reason| reason.as_str().is_some_and(|text| text.contains("is gone"))),
        "{reasons:?}"
    );
    let (status, api) = json(&daemon, "/api/status");
    assert_eq!((status, &api["ready"]), (200, &Value::Bool(false)));
    assert_eq!(api["reasons"], readiness["reasons"]);
    let (status, body) = daemon.get("/metrics").expect("the daemon listens");
    assert_eq!(status, 200);
    assert_eq!(samples(&body)["tidegate_ready"], 0.0);
    assert_eq!(json(&daemon, "/healthz").0, 200, "the process can work; the directory is missing");

    fs::create_dir(sandbox.inbox()).expect("a writable directory");
    daemon.wait_until_ready();
}

#[test]
fn the_daemon_answers_before_the_database_does() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let nobody = format!("postgres://tidegate:{SECRET}@127.0.0.1:{}/x", free_port());
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_DATABASE_URL", &nobody)]);
    wait_for("the health check to answer", || daemon.get("/healthz").is_some());
    assert_eq!(json(&daemon, "/healthz").0, 200);
    wait_for("the database to be all that is missing", || {
        let (status, readiness) = json(&daemon, "/readyz");
        status == 503
            && readiness["reasons"] == serde_json::json!(["the database was not reached yet"])
    });
    let (status, body) = daemon.get("/metrics").expect("the daemon listens");
    assert_eq!((status, samples(&body)["tidegate_ready"]), (200, 0.0));
    let (exit, took) = daemon.terminate();
    assert_eq!(exit, 0);
    assert!(took.as_secs() < 8, "{took:?}");
    assert!(!daemon.log().contains(SECRET), "{}", daemon.log());
}

const SECRET: &str = "s3cret-Pa55word";

scenario!(passwords_appear_nowhere: mariadb, postgres);
fn passwords_appear_nowhere(sandbox: &Sandbox) {
    let user = secret_user(sandbox);
    let url = sandbox.url.replace("tidegate:pw@", &format!("{user}:{SECRET}@"));
    assert_ne!(url, sandbox.url);
    let environment = [
        ("TIDEGATE_DATABASE_URL", url.as_str()),
        ("TIDEGATE_LOG_LEVEL", "trace,sqlx=trace"),
        ("TIDEGATE_SETTLE_SCAN_MS", "1"),
        ("TIDEGATE_REJECTS_MAX_PERCENT", "50"),
    ];
    let mut seen = String::new();
    for arguments in
        [&["check"][..], &["--json", "check"], &["sync", "inbox"], &["--json", "sync", "inbox"]]
    {
        sandbox.drop_file(ORDERS, &orders());
        let output = sandbox
            .command(arguments)
            .envs(environment)
            .output()
            .expect("the built program starts");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        seen += &format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut daemon = sandbox.start_daemon(&environment);
    daemon.wait_until_ready();
    for path in ["/healthz", "/readyz", "/metrics", "/api/status", "/"] {
        seen += &daemon.get(path).expect("the daemon listens").1;
    }
    daemon.terminate();
    seen += &daemon.log();
    for table in ["files", "rejects", "lease", "schema_changes", "definitions"] {
        seen += &sandbox.rows(&format!("SELECT * FROM tidegate_{table}")).join("\n");
    }
    // A wrong password, a wrong scheme, and no address at all.
    for wrong in [
        url.replace(SECRET, "wr0ng-one"),
        format!("ftp://u:{SECRET}@x/y"),
        format!("mysql://u:{SECRET}@[x/y"),
    ] {
        let mut command = sandbox.command(&["check"]);
        command.env("TIDEGATE_DATABASE_URL", wrong).env("TIDEGATE_DATABASE_WAIT_MS", "1");
        let output = command.output().expect("the built program starts");
        assert!(!output.status.success());
        seen += &format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(seen.contains("/api/") || seen.contains("tidegate_"), "something was seen: {seen}");
    let leak = seen.lines().find(|line| line.contains(SECRET) || line.contains("wr0ng-one"));
    assert_eq!(leak, None);
}

/// A user with a password that cannot be in an output by chance.
fn secret_user(sandbox: &Sandbox) -> &'static str {
    match sandbox.engine {
        Engine::Mariadb => {
            crate::servers::mariadb().administer(&format!(
                "CREATE OR REPLACE USER secretive IDENTIFIED BY '{SECRET}'; GRANT ALL ON *.* TO secretive"
            ));
        }
        _ => {
            crate::servers::postgres().administer(&format!(
                "DROP ROLE IF EXISTS secretive; CREATE ROLE secretive LOGIN PASSWORD '{SECRET}' IN ROLE tidegate; \
                 ALTER ROLE secretive SET role = tidegate"
            ));
        }
    }
    "secretive"
}

scenario!(the_page_tells_people_what_the_ledger_says_and_runs_nothing_that_files_say);
fn the_page_tells_people_what_the_ledger_says_and_runs_nothing_that_files_say(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &orders());
    sandbox.drop_file("<script>/Market 2 Orders.csv", "SKU\nA\n");
    let daemon = sandbox
        .start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1"), ("TIDEGATE_REJECTS_MAX_PERCENT", "50")]);
    daemon.wait_until_ready();
    let done = "SELECT COUNT(*) FROM tidegate_files WHERE state IN ('synced', 'quarantined')";
    wait_for("both files", || sandbox.try_rows(done).is_ok_and(|rows| rows == ["2"]));
    let (status, page) = daemon.get("/").expect("the daemon listens");
    assert_eq!(status, 200, "{page}");
    for said in [
        ">ready<",
        "1 quarantined, 1 synced",
        ORDERS,
        "tidegate approve",
        "1 row could not be loaded",
    ] {
        assert!(page.contains(said), "{said} is not in {page}");
    }
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(
        !page.contains("src=") && !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
}

#[test]
fn the_page_answers_when_the_database_does_not() {
    let sandbox =
        Sandbox::on(Engine::Postgres, format!("postgres://u:s3cret@127.0.0.1:{}/x", free_port()));
    let daemon = sandbox.start_daemon(&[]);
    wait_for("the page", || daemon.get("/").is_some());
    let (status, page) = daemon.get("/").expect("the daemon listens");
    assert_eq!(status, 200);
    assert!(
        page.contains(">not ready<") && page.contains("the database was not reached yet"),
        "{page}"
    );
    assert!(!page.contains("s3cret"), "{page}");
}
