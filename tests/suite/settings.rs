//! Where settings come from: which source wins, where secrets are read, and that nothing is written
//! elsewhere.

use crate::sandbox::{Engine, Sandbox, table, wait_for};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const ORDERS: &str = "Market 1 Orders.csv";

fn orders() -> String {
    table(&[
        "Order ID,Order Status,Order Total,Currency Symbol,Customer ID",
        "11,COMPLETED,30.5,KSh,7",
    ])
}

/// The program in an empty directory, without anything that a sandbox sets.
fn bare(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command.env_remove("TIDEGATE_DATABASE_URL").env_remove("TIDEGATE_STATE_DIR");
    let empty = sandbox.path("empty");
    fs::create_dir_all(&empty).expect("a writable temporary directory");
    command.current_dir(empty);
    command
}

/// What `check` says about a subject.
fn subject(mut command: Command, what: &str) -> String {
    let output = command.output().expect("the built program starts");
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = json["findings"].as_array().expect("a list");
    let finding =
        findings.iter().find(|finding| finding["what"] == what).expect("it is among the findings");
    assert!(finding.get("fault").is_none(), "{finding}");
    finding["subject"].as_str().expect("a text").to_owned()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let file = sandbox.path("tidegate.toml");
    let directory = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    fs::write(&file, format!("state_dir = '{}'\n", directory("of-file")))
        .expect("a writable directory");
    let file = file.to_string_lossy();
    let check = ["--json", "check"];
    let by_default = subject(bare(&sandbox, &check), "state_dir");
    assert_eq!(by_default, sandbox.path("empty").join("tidegate-state").to_string_lossy());

    let mut command = bare(&sandbox, &check);
    command.env("TIDEGATE_CONFIG", file.as_ref());
    assert_eq!(subject(command, "state_dir"), directory("of-file"));
    let by_flag = ["--json", "check", "--config", &file];
    assert_eq!(subject(bare(&sandbox, &by_flag), "state_dir"), directory("of-file"));
    assert_eq!(subject(bare(&sandbox, &by_flag), "configuration"), file);

    let mut command = bare(&sandbox, &by_flag);
    command.env("TIDEGATE_STATE_DIR", directory("of-environment"));
    assert_eq!(subject(command, "state_dir"), directory("of-environment"));
    let of_flag = directory("of-flag");
    let mut command =
        bare(&sandbox, &["--json", "check", "--config", &file, "--state-dir", &of_flag]);
    command.env("TIDEGATE_STATE_DIR", directory("of-environment"));
    assert_eq!(subject(command, "state_dir"), of_flag);
}

#[test]
fn systemd_directories_hold_unless_somebody_chose_others() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let directory = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let mut command = bare(&sandbox, &["--json", "check"]);
    command.env("STATE_DIRECTORY", directory("of-systemd"));
    command.env("CONFIGURATION_DIRECTORY", directory("etc"));
    assert_eq!(subject(command, "state_dir"), directory("of-systemd"));
    let mut command = bare(&sandbox, &["--json", "check"]);
    command
        .env("STATE_DIRECTORY", directory("of-systemd"))
        .env("TIDEGATE_STATE_DIR", directory("chosen"));
    assert_eq!(subject(command, "state_dir"), directory("chosen"));

    fs::create_dir(sandbox.path("etc")).expect("a writable directory");
    let text = format!("state_dir = '{}'", directory("of-file"));
    fs::write(sandbox.path("etc").join("tidegate.toml"), text).expect("a writable directory");
    let mut command = bare(&sandbox, &["--json", "check"]);
    command.env("CONFIGURATION_DIRECTORY", directory("etc"));
    assert_eq!(subject(command, "state_dir"), directory("of-file"));
}

#[test]
fn the_database_is_named_by_flag_environment_file_credential_or_default_in_this_order() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let url = |name: &str| format!("sqlite://{}", sandbox.path(name).display());
    let url_file = sandbox.path("url");
    fs::write(&url_file, format!("  {}\n", url("of-file.db"))).expect("a writable directory");
    let credentials = sandbox.path("credentials");
    fs::create_dir(&credentials).expect("a writable directory");
    fs::write(credentials.join("database-url"), format!("{}\n", url("of-credential.db")))
        .expect("writable");
    let by_flag = url("of-flag.db");
    let database = |flags: &[&str], environment: &[(&str, &str)]| {
        let mut command = bare(&sandbox, &[&["--json", "check"], flags].concat());
        command.envs(environment.iter().copied());
        subject(command, "database")
    };
    let of_environment = url("of-environment.db");
    let in_environment = ("TIDEGATE_DATABASE_URL", of_environment.as_str());
    let url_file = url_file.to_string_lossy();
    let in_file = ("TIDEGATE_DATABASE_URL_FILE", url_file.as_ref());
    let credential_dir = credentials.to_string_lossy();
    let as_credential = ("CREDENTIALS_DIRECTORY", credential_dir.as_ref());

    let all = [in_environment, in_file, as_credential];
    assert_eq!(database(&["--database", &by_flag], &all), by_flag);
    assert_eq!(database(&[], &all), of_environment);
    assert_eq!(database(&[], &[in_file, as_credential]), url("of-file.db"));
    assert_eq!(database(&[], &[as_credential]), url("of-credential.db"));
    let default =
        format!("sqlite://{}", sandbox.path("empty").join("tidegate-state/tidegate.db").display());
    assert_eq!(database(&[], &[]), default);
    // The unit file's fallback for a credential that is not there.
    fs::write(credentials.join("database-url"), "\n").expect("writable");
    assert_eq!(database(&[], &[as_credential]), default);
    fs::remove_file(credentials.join("database-url")).expect("removable");
    assert_eq!(database(&[], &[as_credential]), default);
}

#[test]
fn nothing_is_written_outside_of_the_state_directory() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &orders());
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    let state = sandbox.state_dir().to_string_lossy().into_owned();
    for command in [&["sync", &inbox][..], &["check"]] {
        let output = bare(&sandbox, &[command, &["--state-dir", &state]].concat()).output();
        let output = output.expect("the built program starts");
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(names(&sandbox.path("empty")), [""; 0]);
    assert_eq!(names(&sandbox.inbox()), [ORDERS]);
    assert_eq!(names(&sandbox.path("")), ["empty", "inbox", "state"]);
    assert!(names(&sandbox.state_dir()).contains(&"tidegate.db".to_owned()));
}

#[test]
fn a_state_directory_below_what_is_synced_is_not_taken_for_exports() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &orders());
    let state = sandbox.inbox().join("state").to_string_lossy().into_owned();
    for round in 0..2 {
        let mut command = bare(
            &sandbox,
            &["--json", "sync", &sandbox.inbox().to_string_lossy(), "--state-dir", &state],
        );
        let output = command.output().expect("the built program starts");
        let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        assert_eq!(json["files"].as_array().map(Vec::len), Some(1), "round {round}: {json}");
    }
}

#[test]
fn logs_are_json_where_nobody_reads_along() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    sandbox.drop_file(ORDERS, &orders());
    wait_for("the file to be synced", || daemon.log().contains("file synced"));
    daemon.terminate();
    let log = daemon.log();
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let synced =
        entries.iter().find(|entry| entry["message"] == "file synced").expect("waited for");
    assert_eq!(synced["level"], "INFO");
    assert_eq!((&synced["dataset"], &synced["market"]), (&"orders".into(), &"1".into()));
    assert_eq!(synced["new"], 2);
    for message in ["watching", "stopped"] {
        assert!(entries.iter().any(|entry| entry["message"] == message), "{message}: {log}");
    }

    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_LOG_FORMAT", "human")]);
    daemon.wait_until_ready();
    daemon.terminate();
    assert!(
        daemon.log().lines().all(|line| serde_json::from_str::<Value>(line).is_err()),
        "{}",
        daemon.log()
    );
}
