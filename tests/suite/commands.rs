//! The commands as scripts and people use them: exit codes, output, configuration, and what they
//! leave behind.

use crate::sandbox::{Engine, Sandbox, table};
use regex::Regex;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

const ORDERS: &str = "Market 1 Orders.csv";
const HEADER: &str = "Order ID,Order Status,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time";
const ORDER: &str = "11,COMPLETED,A,1,10.50,30.5,KSh,7,2022-02-15T13:07:09.000Z";

fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the built program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The program without anything that a sandbox sets, in an empty directory.
fn bare(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command.env_remove("TIDEGATE_DATABASE_URL").env_remove("TIDEGATE_STATE_DIR");
    let empty = sandbox.path("empty");
    fs::create_dir_all(&empty).expect("a writable temporary directory");
    command.current_dir(empty);
    command
}

#[test]
fn mistakes_of_the_operator_end_with_2_and_say_what_is_wrong() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let wrong_key = sandbox.path("wrong-key.toml");
    fs::write(&wrong_key, "setle_ms = 5\n").expect("a writable directory");
    let no_toml = sandbox.path("no.toml");
    fs::write(&no_toml, "settle_ms = = 5\n").expect("a writable directory");
    let wrong_key = wrong_key.to_string_lossy();
    let no_toml = no_toml.to_string_lossy();
    let profile = sandbox.path("profile.toml");
    fs::write(&profile, "[datasets.orders]\npaths = ['(']\nkey = 'order_id'\n")
        .expect("a writable directory");
    let profile = profile.to_string_lossy();
    let no_pattern = sandbox.path("no-pattern.toml");
    fs::write(&no_pattern, "[datasets.x]\nkey = 'a'\npaths = ['(']\n")
        .expect("a writable directory");
    let no_pattern = no_pattern.to_string_lossy();
    /// Arguments, environment, and what the error says.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        (&[], &[], "Usage: tidegate"),
        (&["snyc"], &[], "unrecognized subcommand 'snyc'"),
        (&["sync"], &[], "<PATHS>"),
        (&["sync", "nowhere"], &[], "cannot read nowhere"),
        (&["check", "--config", "nowhere.toml"], &[], "nowhere.toml"),
        (
            &["check", "--config", &wrong_key],
            &[],
            "unknown key `setle_ms`; did you mean `settle_ms`?",
        ),
        (&["check", "--config", &no_toml], &[], "no.toml"),
        (
            &["check"],
            &[("TIDEGATE_SETLE_MS", "5")],
            "unknown key `setle_ms`; did you mean `settle_ms`?",
        ),
        (&["check"], &[("TIDEGATE_SETTLE_MS", "soon")], "settle_ms"),
        (&["check"], &[("TIDEGATE_AFTER_SYNC", "burn")], "burn"),
        (&["check"], &[("TIDEGATE_REJECTS_MAX_PERCENT", "101")], "between 0 and 100"),
        (&["check"], &[("TIDEGATE_LISTEN", "nowhere")], "127.0.0.1:9464"),
        (&["check"], &[("TIDEGATE_MEMORY_MAX_MB", "1")], "at least 64"),
        (
            &["check"],
            &[("TIDEGATE_DATABASE_URL", "oracle://x")],
            "must start with sqlite://, mysql:// or postgres://",
        ),
        (
            &["check"],
            &[("TIDEGATE_DATABASE_URL", ""), ("TIDEGATE_DATABASE_URL_FILE", "nowhere")],
            "cannot read nowhere",
        ),
        (&["check"], &[("TIDEGATE_PROFILES", "nowhere.toml")], "cannot read `nowhere.toml`"),
        (&["check"], &[("TIDEGATE_PROFILES", &profile)], "profile.toml, line 2)"),
        (&["check", "--config", &no_pattern], &[], "no-pattern.toml, line 3)"),
        (&["run", "--listen", "nowhere"], &[], "127.0.0.1:9464"),
        (&["run", "state"], &[], "must not be the same directory"),
    ];
    for &(arguments, environment, expected) in cases {
        let mut command = sandbox.command(arguments);
        command.envs(environment.iter().copied());
        let (exit, _, stderr) = run(command);
        assert_eq!(exit, 2, "{arguments:?} {environment:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?} {environment:?}: {stderr}");
    }
}

scenario!(a_quarantined_file_ends_with_1_and_the_others_are_synced);
fn a_quarantined_file_ends_with_1_and_the_others_are_synced(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    sandbox
        .drop_file("Market 2 Orders.csv", &table(&[HEADER, "3.68E+29,COMPLETED,A,1,1,1,KSh,7,"]));
    let report = sandbox.sync();
    assert_eq!(report.exit, 1, "{}", report.stderr);
    assert_eq!(report.file(ORDERS).outcome, "synced");
    let refused = report.file("Market 2 Orders.csv");
    assert_eq!(refused.outcome, "quarantined");
    assert!(refused.error.contains("rejects_max_percent"), "{}", refused.error);
    assert_eq!(sandbox.rows("SELECT market FROM orders"), ["1"]);
    assert_eq!(sandbox.sync().exit, 1, "it is still refused");
}

#[test]
fn a_named_file_that_is_never_taken_is_not_passed_over_in_silence() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv.part", &table(&[HEADER, ORDER]));
    let (exit, _, stderr) = run(sandbox.command(&["sync", "inbox/Market 1 Orders.csv.part"]));
    assert_eq!(exit, 2, "{stderr}");
    assert!(stderr.contains("temporary"), "{stderr}");
    let (exit, _, _) = run(sandbox.command(&["sync", "inbox"]));
    assert_eq!(exit, 0, "in a directory it is what a running upload looks like");
}

#[test]
fn a_sync_tells_what_became_of_each_file_and_what_the_markets_sold() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let second = "12,COMPLETED,A,1,10.50,1204.5,KSh,8,2022-02-15T13:07:09.000Z";
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER, second]));
    let (exit, stdout, stderr) = run(sandbox.command(&["sync", "inbox"]));
    assert_eq!((exit, stderr.as_str()), (0, ""));
    let line = Regex::new(r"(?m)^orders +Market 1 Orders\.csv {2,}\+4 ~0 −0 =0 !0 {2}\d+\.\d s$")
        .expect("a valid pattern");
    assert!(line.is_match(&stdout), "{stdout}");
    assert!(stdout.contains("market 1: 1,235.00 KSh from 2 orders; top customers\n"), "{stdout}");
    assert!(
        Regex::new(r"(?m)^ +8 +1,204\.50 KSh +1 order$")
            .expect("a valid pattern")
            .is_match(&stdout),
        "{stdout}"
    );

    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER, &second.replace("1204.5", "1000")]));
    let (_, stdout, _) = run(sandbox.command(&["sync", "inbox"]));
    assert!(stdout.contains("  +0 ~1 −0 =3 !0  "), "{stdout}");
    let (_, stdout, _) = run(sandbox.command(&["sync", "inbox"]));
    assert!(
        Regex::new(r"(?m)^orders +Market 1 Orders\.csv {2,}unchanged$")
            .expect("valid")
            .is_match(&stdout),
        "{stdout}"
    );
    assert!(stdout.contains("market 1: 1,030.50 KSh"), "{stdout}");

    let (exit, stdout, _) = run(sandbox.command(&["--json", "sync", "inbox"]));
    let json: Value = serde_json::from_str(&stdout).expect("one JSON document");
    assert_eq!(exit, 0);
    assert_eq!(json["files"][0]["outcome"], "unchanged");
    assert_eq!(json["markets"][0]["top_customers"][0]["customer_id"], "8");
}

scenario!(check_says_what_is_there_and_what_is_missing);
fn check_says_what_is_there_and_what_is_missing(sandbox: &Sandbox) {
    let (exit, stdout, stderr) = run(sandbox.command(&["check"]));
    assert_eq!(exit, 0, "{stdout}{stderr}");
    for what in ["configuration", "datasets", "state_dir", "inbox", "database"] {
        assert!(
            stdout.lines().any(|line| line.starts_with(&format!("ok     {what} "))),
            "{what}: {stdout}"
        );
    }
    let (exit, stdout, _) = run(sandbox.command(&["check", "--json"]));
    let json: Value = serde_json::from_str(&stdout).expect("one JSON document");
    let findings = json["findings"].as_array().expect("a list");
    assert_eq!(exit, 0);
    assert_eq!(findings.len(), 5);
    assert!(findings.iter().all(|finding| finding.get("fault").is_none()), "{json}");
}

#[test]
fn check_finds_a_state_directory_and_an_inbox_that_are_none() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let file = sandbox.path("file");
    fs::write(&file, "").expect("a writable directory");
    let below = file.join("below");
    let environment = [("TIDEGATE_STATE_DIR", &below), ("TIDEGATE_INBOX", &file)];
    let mut command = sandbox.command(&["check"]);
    command.envs(environment);
    let (exit, stdout, _) = run(command);
    assert_eq!(exit, 2, "{stdout}");
    assert!(
        stdout.contains("fault  state_dir") && stdout.contains("cannot be written"),
        "{stdout}"
    );
    assert!(stdout.contains("fault  inbox") && stdout.contains("cannot be read"), "{stdout}");
    let mut command = sandbox.command(&["check", "--json"]);
    command.envs(environment);
    let (exit, stdout, _) = run(command);
    let json: Value = serde_json::from_str(&stdout).expect("one JSON document");
    assert_eq!(exit, 2);
    let faults = json["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|finding| finding["fault"].is_string());
    assert_eq!(faults.count(), 2, "{json}");
}

#[test]
fn init_writes_a_file_that_changes_nothing_and_never_overwrites_one() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let (exit, stdout, stderr) = run(bare(&sandbox, &["init"]));
    assert_eq!(exit, 0, "{stderr}");
    assert!(stdout.contains("tidegate.toml is written"), "{stdout}");
    let path = sandbox.path("empty").join("tidegate.toml");
    let written = fs::read_to_string(&path).expect("the file is written");
    assert_eq!(written, tidegate::config::DEFAULT_TOML);

    fs::write(&path, "settle_ms = 7\n").expect("a writable directory");
    let (exit, _, stderr) = run(bare(&sandbox, &["init"]));
    assert_eq!(exit, 2);
    assert!(stderr.contains("cannot write tidegate.toml"), "{stderr}");
    assert_eq!(fs::read_to_string(&path).expect("still there"), "settle_ms = 7\n");

    let (exit, _, _) = run(bare(&sandbox, &["init", "other.toml"]));
    assert_eq!(exit, 0);
    let finds = |command| {
        let (exit, stdout, stderr) = run(command);
        assert_eq!(exit, 0, "{stdout}{stderr}");
        stdout.lines().filter(|line| !line.contains("configuration")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        finds(bare(&sandbox, &["check", "--config", "other.toml"])),
        finds(bare(&sandbox, &["check"]))
    );
}

#[test]
fn a_sync_whose_reader_is_gone_ends_its_work() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n1,a\n");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()]);
    let status = command.stdout(writer).status().expect("the built program starts");
    assert_eq!(status.code(), Some(0));
    assert_eq!(sandbox.rows("SELECT state FROM tidegate_files"), ["synced"]);
}

#[test]
fn a_database_that_cannot_be_reached_is_named_with_its_host_and_port() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let port = crate::sandbox::free_port();
    for scheme in ["postgres", "mysql"] {
        let url = format!("{scheme}://u:s3cret@127.0.0.1:{port}/shop");
        let mut command = sandbox.command(&["status"]);
        let (exit, _, stderr) = run({
            command.env("TIDEGATE_DATABASE_URL", url).env("TIDEGATE_DATABASE_WAIT_MS", "1");
            command
        });
        assert_eq!(exit, 3, "{stderr}");
        assert!(
            stderr
                .contains(&format!("cannot reach the database {scheme}://127.0.0.1:{port}/shop: ")),
            "{stderr}"
        );
    }
}

#[test]
fn output_that_cannot_be_written_is_told() {
    let sandbox = Sandbox::sqlite();
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    assert_eq!(sandbox.sync().exit, 0);
    let full = || fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    for arguments in [&["--json", "check"][..], &["status"]] {
        let mut command = sandbox.command(arguments);
        command.stdout(full());
        let (exit, _, stderr) = run(command);
        assert_eq!(exit, 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains("a part of the output is lost: No space left"), "{stderr}");
    }
    // Whoever reads only the beginning misses nothing.
    let mut command = sandbox.command(&["--json", "check"]);
    let (reader, writer) = std::io::pipe().expect("a free descriptor");
    command.stdout(writer);
    drop(reader);
    let (exit, _, stderr) = run(command);
    assert_eq!(exit, 0, "{stderr}");
}

#[test]
fn a_folder_is_no_database_and_no_wait_makes_it_one() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &table(&[HEADER, ORDER]));
    let url = format!("sqlite://{}", sandbox.inbox().display());
    for arguments in [&["sync", "inbox"][..], &["status"], &["plan", "inbox"], &["check"]] {
        let mut command = sandbox.command(arguments);
        command.env("TIDEGATE_DATABASE_URL", &url).env("TIDEGATE_DATABASE_WAIT_MS", "600000");
        let (exit, stdout, stderr) = run(command);
        assert_eq!(exit, 2, "{arguments:?}: {stderr}");
        let said = format!("{stdout}{stderr}");
        assert!(said.contains("is a folder; name a file, such as sqlite://"), "{said}");
    }
    // A mere name is a file of the working directory.
    let mut command = sandbox.command(&["check"]);
    command.env("TIDEGATE_DATABASE_URL", "sqlite://mere.db");
    let (exit, stdout, stderr) = run(command);
    assert_eq!(exit, 0, "{stdout}{stderr}");
    assert!(stdout.contains("mere.db: it is not there yet"), "{stdout}");
}
