//! What files are called and what stands in them is shown on a terminal, and not obeyed by it.

use crate::sandbox::{Engine, Sandbox, table};
use serde_json::Value;
use std::process::Command;

/// It would clear the screen, set a colour by one sign, write a line of its own, and turn what
/// follows around.
const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{7f}\nforged\r\u{202e}b";

const ORDERS: &str = "Market 1 Orders.csv";

fn printed(mut command: Command) -> String {
    let output = command.output().expect("the built program starts");
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn assert_harmless(what: &str, said: &str) {
    let is_obeyed =
        |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!said.contains(is_obeyed), "{what}: {said:?}");
    assert!(
        !said.lines().any(|line| line.trim_start().starts_with("forged")),
        "a line of a file's own by {what}: {said}"
    );
}

fn orders(description: &str) -> String {
    let row = format!("11,COMPLETED,\"{description}\",A");
    table(&[
        "Order ID,Order Status,Description,SKU",
        &row,
        "12,COMPLETED,plain,B",
        &format!("-,,\"{description}\",C"),
    ])
}

/// A folder and a file with such names, and such text in cells, in a reject, and in a header that
/// is refused.
fn hostile() -> Sandbox {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &orders("before"));
    sandbox.drop_file(&format!("{HOSTILE}/Market 2 Orders.csv"), &orders("before"));
    sandbox.drop_file(
        &format!("{HOSTILE}/Market 3 Orders.csv"),
        &format!("\"No {HOSTILE}\",B\n1,2\n"),
    );
    sandbox.drop_file(&format!("{HOSTILE}.txt"), "remember the milk");
    sandbox
}

#[test]
fn no_command_has_a_terminal_obey_a_file() {
    let sandbox = hostile();
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("TIDEGATE_REJECTS_MAX_PERCENT", "100").env("TIDEGATE_LOG_LEVEL", "debug");
        printed({
            command.env("TIDEGATE_LOG_FORMAT", "human").env("NO_COLOR", "1");
            command
        })
    };
    let said = run(&["sync", "inbox"]);
    assert!(said.contains(r"a\u{1b}[2J\u{9b}31m\u{7f}\nforged\r\u{202e}b.txt"), "{said}");
    assert_harmless("sync", &said);
    sandbox.drop_file(ORDERS, &orders(HOSTILE));
    for arguments in [
        &["plan", "inbox"][..],
        &["status"],
        &["rejects"],
        &["rejects", "--all"],
        &["rejects", "--export", "out"],
        &["approve", HOSTILE],
        &["approve", "Market 9"],
        &["rejects", HOSTILE],
        &["sync", HOSTILE],
        &["check", "--config", HOSTILE],
        &["check", HOSTILE],
        &[HOSTILE],
        &["check", &format!("--{HOSTILE}")],
        &["sync", "inbox"],
        &["alarms"],
        &["alarms", "--all"],
        &["alarms", "--ack", HOSTILE],
        &["describe", "inbox"],
        &["describe", HOSTILE],
    ] {
        assert_harmless(&format!("{arguments:?}"), &run(arguments));
    }
    sandbox.execute("UPDATE orders SET description = description || 'x' WHERE order_id = '11'");
    let said = run(&["verify"]);
    assert!(said.contains("differs"), "{said}");
    assert_harmless("verify", &said);
}

#[test]
fn json_is_harmless_too_and_says_the_same() {
    let sandbox = hostile();
    let output =
        sandbox.command(&["--json", "sync", "inbox"]).output().expect("the built program starts");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_harmless("--json", &said);
    let json: Value = serde_json::from_str(&said).expect("JSON");
    let names = json["files"].as_array().expect("a list").iter().map(|file| file["name"].clone());
    assert!(names.collect::<Vec<_>>().contains(&Value::from(format!("{HOSTILE}.txt"))), "{json}");
    // The log of a daemon, one line an event.
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1")]);
    daemon.wait_until_ready();
    sandbox.drop_file(&format!("{HOSTILE}/other.txt"), "more milk");
    crate::sandbox::wait_for("the file", || daemon.log().contains("other.txt"));
    daemon.terminate();
    assert_harmless("the log", &daemon.log());
    let lines: Vec<Value> = daemon
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();
    let is_told = |line: &Value| {
        line["path"].as_str().is_some_and(|path| path.ends_with(&format!("{HOSTILE}/other.txt")))
    };
    assert!(lines.iter().any(is_told), "{lines:?}");
}

#[test]
fn the_page_shows_what_a_browser_would_obey() {
    let sandbox = hostile();
    sandbox.command(&["sync", "inbox"]).output().expect("the built program starts");
    let daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let (_, page) = daemon.get("/").expect("the daemon listens");
    assert!(page.contains(r"forged\r\u{202e}b") && !page.contains('\u{202e}'), "{page}");
    let (_, api) = daemon.get("/api/status").expect("the daemon listens");
    assert!(
        serde_json::from_str::<Value>(&api).expect("JSON").to_string().contains('\u{202e}'),
        "exact for programs"
    );
}
