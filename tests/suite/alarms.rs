//! Alarms: what a person is told wherever it is looked for, until its cause is gone.

use crate::rules::{json_of, run, stock, sync};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::fs;

scenario!(alarms_are_told_wherever_somebody_looks_and_acknowledged);
fn alarms_are_told_wherever_somebody_looks_and_acknowledged(sandbox: &Sandbox) {
    let settings = stock("one_of = [\"a\"], on_violation = \"warn\"");
    sandbox.drop_file("a/stock.csv", "sku,value\n1,<script>x</script>\n");
    let plan = {
        fs::write(sandbox.path("tidegate.toml"), &settings)
            .expect("a writable temporary directory");
        json_of(sandbox, &["plan", &sandbox.inbox().to_string_lossy()])
    };
    let rule = &plan["files"][0]["rules"][0];
    assert_eq!(
        (&rule["column"], &rule["rule"], &rule["on_violation"]),
        (&"value".into(), &"one_of".into(), &"warn".into())
    );
    assert_eq!((&rule["violations"], &rule["first"][0]["row"]), (&1.into(), &1.into()), "{plan}");
    let (_, said) = run(sandbox, &["plan", &sandbox.inbox().to_string_lossy()]);
    assert!(said.contains("value one_of (warn): 1, the first: row 1"), "{said}");
    sync(sandbox, &settings);
    let listed = json_of(sandbox, &["alarms"]);
    assert_eq!(
        (&listed["alarms"][0]["kind"], &listed["alarms"][0]["market"]),
        (&"rule_broken".into(), &"a".into())
    );
    let status = json_of(sandbox, &["status"]);
    assert_eq!(
        (&status["alarms_open"], &status["alarms"][0]["dataset"]),
        (&1.into(), &"stock".into()),
        "{status}"
    );
    let (_, said) = run(sandbox, &["status"]);
    assert!(said.contains("alarms") && said.contains("rule_broken of stock, market a"), "{said}");

    let id = listed["alarms"][0]["id"].to_string();
    let (exit, said) = run(sandbox, &["alarms", "--ack", &id]);
    assert!(exit == 0 && said.contains("known to "), "{said}");
    assert_eq!(run(sandbox, &["alarms", "--ack", "999"]).0, 2);
    let known = "SELECT COUNT(*) FROM tidegate_alarms WHERE acknowledged_at IS NOT NULL AND acknowledged_by <> ''";
    assert_eq!(sandbox.rows(known), ["1"]);

    let configuration = sandbox.path("tidegate.toml").to_string_lossy().into_owned();
    let daemon = sandbox.start_daemon(&[("TIDEGATE_CONFIG", &configuration)]);
    daemon.wait_until_ready();
    let (_, metrics) = daemon.get("/metrics").expect("the daemon listens");
    let sample = "tidegate_alarms_open{kind=\"rule_broken\",dataset=\"stock\",market=\"a\"} 1";
    assert!(metrics.contains(sample), "{metrics}");
    let (_, api) = daemon.get("/api/alarms").expect("the daemon listens");
    assert!(api.contains("\"rule_broken\""), "{api}");
    let (_, page) = daemon.get("/").expect("the daemon listens");
    assert!(
        page.contains("1 alarm") && page.contains("&lt;script&gt;") && !page.contains("<script>x"),
        "{page}"
    );
    drop(daemon);

    sandbox.drop_file("a/stock.csv", "sku,value\n1,a\n");
    sync(sandbox, &settings);
    assert_eq!(json_of(sandbox, &["alarms"])["alarms"], Value::Array(Vec::new()));
    assert_eq!(json_of(sandbox, &["alarms", "--all"])["alarms"][0]["id"].to_string(), id);
}
