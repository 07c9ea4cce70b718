//! Status: what the ledger tells about the work, beside a daemon and without one, and without a
//! trace.

use crate::sandbox::{Engine, Sandbox, table};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const ORDERS: &str = "Market 1 Orders.csv";

const HEADER: &str = "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time";
const ORDER: &str = "11,COMPLETED,A,1,10.50,30.5,KSh,7,2022-02-15T13:07:09.000Z";
const LOST_KEY: &str = "3.68E+29,COMPLETED,A,1,10.50,10.5,KSh,8,2022-02-16T13:07:09.000Z";

/// Output of a command that is to end with 0.
fn output(sandbox: &Sandbox, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = sandbox.command(arguments);
    command.env("TIDEGATE_INBOX", sandbox.inbox()).envs(environment.iter().copied());
    let output = command.output().expect("the built program starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

fn status(sandbox: &Sandbox) -> Value {
    status_with(sandbox, &[])
}

fn status_with(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Value {
    serde_json::from_str(&output(sandbox, &["--json", "status"], environment))
        .expect("one JSON document")
}

/// Every file below a folder with its bytes.
pub fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => drop(
                found.insert(path.display().to_string(), fs::read(&path).expect("a readable file")),
            ),
        }
    }
    found
}

scenario!(before_anything_is_synced_there_is_nothing_to_tell_and_nothing_is_made);
fn before_anything_is_synced_there_is_nothing_to_tell_and_nothing_is_made(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    let before = files_below(&sandbox.path(""));
    if sandbox.engine == Engine::Sqlite {
        let output = sandbox.command(&["status"]).output().expect("the built program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains("there is no database at ") && said.contains("database.sqlite"),
            "{said}"
        );
    } else {
        let text = output(sandbox, &["status"], &[]);
        assert!(text.contains("nothing synced yet") && text.contains("1 file waiting"), "{text}");
        let json = status(sandbox);
        assert_eq!(json["backlog"], 1);
        assert_eq!(json["latest"], serde_json::json!([]));
        assert!(sandbox.try_rows("SELECT * FROM tidegate_lease").is_err());
    }
    assert!(files_below(&sandbox.path("")) == before, "a file was made");
}

scenario!(it_tells_of_files_rates_backlog_rejects_and_refusals);
fn it_tells_of_files_rates_backlog_rejects_and_refusals(sandbox: &Sandbox) {
    let other = ORDER.replace("11,", "12,");
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER, &other, LOST_KEY]));
    sandbox.drop_file("Market 2 Orders.csv", &table(&[HEADER, LOST_KEY]));
    sandbox.drop_file(
        "Market 3 Orders.csv",
        &table(&[&format!("{HEADER},Gift"), &format!("{ORDER},yes")]),
    );
    let limit = [("TIDEGATE_REJECTS_MAX_PERCENT", "50")];
    sandbox.sync_with(&limit);
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    sandbox.execute(
        "INSERT INTO tidegate_dirty_groups (mart, market, group_key) VALUES ('daily_metrics', '1', '2022-02-15')",
    );
    let state = files_below(&sandbox.state_dir());

    let json = status_with(sandbox, &limit);
    assert_eq!(
        (json["files"]["synced"].as_u64(), json["files"]["quarantined"].as_u64()),
        (Some(2), Some(1)),
        "{json}"
    );
    assert_eq!(json["backlog"], 1, "the changed file: {json}");
    assert_eq!(status(sandbox)["backlog"], 2, "under another limit the refused one is tried again");
    assert_eq!(json["rows"]["rejected"], 1);
    assert_eq!(json["rejects_open"], 1);
    assert_eq!(json["rejects"][0]["rows"], 1);
    assert!(
        json["rejects"][0]["path"].as_str().is_some_and(|path| path.ends_with(ORDERS)),
        "{json}"
    );
    assert!(
        json["rejects"][0]["reason"].as_str().is_some_and(|reason| reason.contains("3.68E+29")),
        "{json}"
    );
    assert_eq!(json["refused"][0]["state"], "quarantined");
    assert!(
        json["refused"][0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("rejects_max_percent"))
    );
    assert_eq!(json["held"], serde_json::json!([]));
    assert_eq!(json["schema_changes"][0]["column"], "gift");
    assert_eq!(json["latest"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["rates"]["files_per_hour"], 2);
    assert_eq!(json["dirty_groups"], 1);
    assert_eq!(json["lag"][0]["mart"], "daily_metrics");
    assert_eq!(json["lease"]["is_held"], false);

    let text = output(sandbox, &["status"], &limit);
    assert!(text.contains("1 quarantined, 2 synced") && text.contains("1 file waiting"), "{text}");
    assert!(
        text.contains("nobody writes to it") && text.contains("Market 2 Orders.csv: quarantined: "),
        "{text}"
    );
    assert!(
        text.contains("daily_metrics of market 1 (1 mark)") && text.lines().count() <= 24,
        "{text}"
    );
    assert!(files_below(&sandbox.state_dir()) == state, "a file was made or changed");

    sandbox.drop_file("Market 2 Orders.csv", &table(&[HEADER, ORDER]));
    assert_eq!(sandbox.sync().exit, 0);
    let json = status(sandbox);
    assert_eq!(
        (json["backlog"].as_u64(), &json["refused"]),
        (Some(0), &serde_json::json!([])),
        "{json}"
    );
}

scenario!(a_file_that_waits_for_approval_is_shown_with_the_command_that_gives_it);
fn a_file_that_waits_for_approval_is_shown_with_the_command_that_gives_it(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    assert_eq!(sandbox.sync().exit, 0);
    sandbox.execute("UPDATE tidegate_files SET state = 'held', error = 'it lacks 9 of 10 orders'");
    let path = sandbox.inbox().join(ORDERS).canonicalize().expect("it is there");
    let text = output(sandbox, &["status"], &[]);
    assert!(text.contains("it lacks 9 of 10 orders"), "{text}");
    assert!(text.contains(&format!("tidegate approve '{}'", path.display())), "{text}");
}

scenario!(beside_a_daemon_it_says_the_same_as_the_daemon_and_who_that_is);
fn beside_a_daemon_it_says_the_same_as_the_daemon_and_who_that_is(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    let daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1")]);
    daemon.wait_until_ready();
    crate::sandbox::wait_for("the file to be synced", || status(sandbox)["files"]["synced"] == 1);
    crate::sandbox::wait_for("the daemon to have nothing to do", || {
        status(sandbox)["lag"] == serde_json::json!([])
    });
    let json = status(sandbox);
    assert_eq!(json["lease"]["is_held"], true, "{json}");
    let holder = json["lease"]["holder"].as_str().expect("a name").to_owned();
    assert!(holder.contains(&format!("process {} on", daemon.id())), "{holder}");
    assert!(json["lease"]["beat_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{json}");
    let (code, body) = daemon.get("/api/status").expect("the daemon listens");
    assert_eq!(code, 200, "{body}");
    let api: Value = serde_json::from_str(&body).expect("JSON");
    for (name, value) in json.as_object().expect("an object") {
        if name != "lease" {
            assert_eq!(&api[name], value, "{name}");
        }
    }
    assert!(
        output(sandbox, &["status"], &[]).contains(&format!("{holder} writes to it, last seen "))
    );
}

#[test]
fn a_database_that_is_away_ends_it_with_3() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let nobody = format!("postgres://tidegate@127.0.0.1:{}/x", crate::sandbox::free_port());
    let mut command = sandbox.command(&["status"]);
    let output = command
        .env("TIDEGATE_DATABASE_URL", nobody)
        .env("TIDEGATE_DATABASE_WAIT_MS", "300")
        .output();
    assert_eq!(output.expect("the built program starts").status.code(), Some(3));
}
