//! Definitions: what a mart's or view's file says takes effect at the next start, or is an error
//! that names the file.

use crate::sandbox::{Report, Sandbox};
use crate::shop::Shop;
use std::fs;

/// A mart of one's own.
fn mart(key: &str, minutes: &str, query: &str) -> String {
    format!(
        "/*\nmart = 'own_metrics'\nkey = {key}\ngroup = 'agent_id'\n[columns]\nmarket = 'identifier'\n\
         agent_id = 'identifier'\ntask_status = 'identifier'\nminutes = '{minutes}'\n[touched_by]\n\
         deliveries = \"SELECT d.agent_id AS group_key FROM deliveries d \
         WHERE {{{{ records('d.market', 'd.task_id') }}}} AND d.agent_id <> ''\"\n*/\n{query}"
    )
}

const BY_AGENT: &str = "SELECT d.market, d.agent_id, MAX(COALESCE(d.task_status, '')) AS task_status, \
     SUM(d.total_time_taken_min) AS minutes FROM deliveries d WHERE {{ touched('d.market', 'd.agent_id') }} \
     AND d.agent_id IS NOT NULL GROUP BY d.market, d.agent_id";

const BY_STATUS: &str = "SELECT d.market, d.agent_id, COALESCE(d.task_status, '') AS task_status, \
     SUM(d.total_time_taken_min) AS minutes FROM deliveries d WHERE {{ touched('d.market', 'd.agent_id') }} \
     AND d.agent_id IS NOT NULL GROUP BY d.market, d.agent_id, COALESCE(d.task_status, '')";

const VIEW: &str =
    "/*\nview = 'own_view'\n*/\nSELECT m.market, m.agent_id, m.minutes FROM own_metrics m";

const AGENT_KEY: &str = "['market', 'agent_id']";
const STATUS_KEY: &str = "['market', 'agent_id', 'task_status']";

fn write(sandbox: &Sandbox, file: &str, text: &str) {
    let directory = sandbox.path("definitions");
    fs::create_dir_all(&directory).expect("the sandbox can be written to");
    fs::write(directory.join(file), text).expect("the sandbox can be written to");
}

fn sync(sandbox: &Sandbox) -> Report {
    let directory = sandbox.path("definitions").to_string_lossy().into_owned();
    sandbox.sync_with(&[("TIDEGATE_MARTS_DIR", &directory)])
}

scenario!(a_changed_type_or_key_of_a_mart_takes_effect_at_the_next_start);
fn a_changed_type_or_key_of_a_mart_takes_effect_at_the_next_start(sandbox: &Sandbox) {
    sandbox.drop_file("Market 1 Deliveries.csv", &Shop::large(50, 200).deliveries_csv());
    write(sandbox, "own_view.sql", VIEW);
    for (key, minutes, query) in [
        (AGENT_KEY, "bigint", BY_AGENT),
        (AGENT_KEY, "total", BY_AGENT),
        (STATUS_KEY, "total", BY_STATUS),
    ] {
        write(sandbox, "own_metrics.sql", &mart(key, minutes, query));
        let report = sync(sandbox);
        assert_eq!(report.exit, 0, "{key}, {minutes}: {}", report.stderr);
        if minutes == "total" {
            let grouping =
                if key == STATUS_KEY { "agent_id, COALESCE(task_status, '')" } else { "agent_id" };
            let wanted = format!(
                "SELECT agent_id, ROUND(CAST(SUM(total_time_taken_min) AS DECIMAL(28, 4)), 4) FROM deliveries WHERE agent_id IS NOT NULL GROUP BY {grouping}"
            );
            assert_eq!(
                sorted(sandbox, "SELECT agent_id, ROUND(minutes, 4) FROM own_metrics"),
                sorted(sandbox, &wanted),
                "{key}"
            );
            assert_eq!(
                sorted(sandbox, "SELECT agent_id, ROUND(minutes, 4) FROM own_view"),
                sorted(sandbox, &wanted),
                "{key}"
            );
        }
    }
    // What is as its file says is left alone.
    sandbox.execute(
        "INSERT INTO own_metrics (market, agent_id, task_status) VALUES ('1', 'nobody', 'x')",
    );
    assert_eq!(sync(sandbox).exit, 0);
    assert_eq!(
        sandbox.rows("SELECT task_status FROM own_metrics WHERE agent_id = 'nobody'"),
        ["x"]
    );
}

fn sorted(sandbox: &Sandbox, sql: &str) -> Vec<String> {
    let mut rows = sandbox.rows(sql);
    rows.sort();
    rows
}

scenario!(an_error_in_a_definition_names_its_file);
/// Whether it is the template or the database that refuses it, and before any file comes. A view
/// that the database refuses is said, and everything else goes on.
fn an_error_in_a_definition_names_its_file(sandbox: &Sandbox) {
    const VIEW_HEADER: &str = "/*\nview = 'own'\nneeds = []\n*/\n";
    for (text, reason, exit) in [
        (
            mart(AGENT_KEY, "total", "SELECT * FROM deliveries d WHERE {{ touched('d.market') }}"),
            "template",
            2,
        ),
        (mart(AGENT_KEY, "total", "SELECT d.market, d.nonsense FROM deliveries d"), "nonsense", 2),
        (mart(AGENT_KEY, "total", "SELECT d.market FROM deliveries d"), "olumn", 2),
        (
            mart(AGENT_KEY, "total", BY_AGENT).replace("d.agent_id <> ''", "d.nonsense <> ''"),
            "nonsense",
            2,
        ),
        (format!("{VIEW_HEADER}SELECT {{{{ no_such_thing() }}}} FROM orders o"), "template", 2),
        (format!("{VIEW_HEADER}SELECT o.nonsense FROM orders o"), "nonsense", 0),
    ] {
        write(sandbox, "wrong.sql", &text);
        let report = sync(sandbox);
        assert_eq!(report.exit, exit, "{text}: {}", report.stderr);
        assert!(
            report.stderr.contains("wrong.sql") && report.stderr.contains(reason),
            "{}",
            report.stderr
        );
    }
}
