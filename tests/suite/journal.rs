//! Journal: lines that go to systemd's journal say how much they weigh, and nothing is said twice.

use crate::sandbox::{Engine, Sandbox, table, wait_for};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

const REFUSED: &str = "3.68E+29,COMPLETED,30.5,KSh,7";

fn orders(row: &str) -> String {
    table(&["Order ID,Order Status,Order Total,Currency Symbol,Customer ID", row])
}

/// A file that stands for the journal, and how systemd names it.
fn journal(sandbox: &Sandbox, name: &str) -> (File, String) {
    let file = File::create(sandbox.path(name)).expect("a writable directory");
    let metadata = file.metadata().expect("a file of our own");
    (file, format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[test]
fn lines_have_the_priority_of_their_level_in_front_of_the_json() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    // The daemon's log is this file: to make it anew leaves it the same.
    let (_, stream) = journal(&sandbox, "daemon.log");
    sandbox.drop_file("Market 1 Orders.csv", &orders("11,COMPLETED,30.5,KSh,7"));
    sandbox.drop_file("Market 2 Orders.csv", &orders(REFUSED));
    let mut daemon =
        sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1"), ("JOURNAL_STREAM", &stream)]);
    wait_for("both files to be logged", || {
        daemon.log().contains("file synced") && daemon.log().contains("file quarantined")
    });
    daemon.terminate();
    for line in daemon.log().lines() {
        let (priority, text) = line.split_at(3);
        let json: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {line}"));
        let expected = match json["level"].as_str() {
            Some("ERROR") => "<3>",
            Some("WARN") => "<4>",
            _ => "<6>",
        };
        assert_eq!(priority, expected, "{line}");
    }
    assert!(
        daemon
            .log()
            .lines()
            .any(|line| line.starts_with("<3>") && line.contains("file quarantined"))
    );
}

#[test]
fn why_a_command_ends_is_an_error_of_the_journal_and_elsewhere_is_no_number_in_front() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    for (is_journal, said) in
        [(true, "<3>tidegate: cannot read nowhere"), (false, "tidegate: cannot read nowhere")]
    {
        let (file, stream) = journal(&sandbox, "log");
        let stream = if is_journal { stream } else { "1:1".to_owned() };
        let mut command = sandbox.command(&["sync", "nowhere"]);
        let status = command
            .env("JOURNAL_STREAM", stream)
            .stderr(file)
            .status()
            .expect("the built program starts");
        assert_eq!(status.code(), Some(2));
        let log = fs::read_to_string(sandbox.path("log")).expect("it was written");
        assert!(log.starts_with(said), "{log}");
    }
}

#[test]
fn a_sync_says_once_what_became_of_a_file() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 2 Orders.csv", &orders(REFUSED));
    for arguments in [&["sync", "inbox"][..], &["--json", "sync", "inbox"]] {
        let output = sandbox.command(arguments).output().expect("the built program starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(said.matches("rejects_max_percent").count(), 1, "{said}");
    }
}
