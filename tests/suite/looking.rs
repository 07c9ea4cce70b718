//! Looking: the commands that only look make and change no file, whatever there is to be seen.

use crate::installed::tree;
use crate::sandbox::{Engine, Sandbox, table, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const ORDERS: &str = "Market 1 Orders.csv";

fn orders() -> String {
    table(&[
        "Order ID,Order Status,Order Total,Currency Symbol,Customer ID",
        "11,COMPLETED,30.5,KSh,7",
    ])
}

/// Runs each of the looking commands and compares what is there; returns their exit codes.
fn look_around(sandbox: &Sandbox) -> Vec<i32> {
    let before = tree(&sandbox.path(""));
    let commands: [&[&str]; 9] = [
        &["check"],
        &["status"],
        &["verify"],
        &["rejects"],
        &["approve", "nothing.csv"],
        &["plan", "inbox"],
        &["alarms"],
        &["alarms", "--all"],
        &["describe", "inbox/Market 1 Orders.csv"],
    ];
    let look = |arguments: &&[&str]| {
        let output = sandbox.command(arguments).output().expect("the built program starts");
        let after = tree(&sandbox.path(""));
        let names = |tree: &std::collections::BTreeMap<std::path::PathBuf, String>| {
            format!("{:?}", tree.keys())
        };
        assert_eq!(names(&after), names(&before), "{arguments:?} {output:?}");
        assert!(after == before, "{arguments:?} changed a file");
        output.status.code().unwrap_or(-1)
    };
    commands.iter().map(look).collect()
}

#[test]
fn before_the_first_sync_nothing_is_made() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &orders());
    assert_eq!(look_around(&sandbox), [0, 3, 3, 3, 3, 0, 3, 3, 0]);
}

#[test]
fn after_a_sync_nothing_is_changed() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &orders());
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(look_around(&sandbox), [0, 0, 0, 0, 2, 0, 0, 0, 0]);
}

#[test]
fn the_log_that_a_killed_daemon_left_stays_for_the_next_one() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, &orders());
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "1")]);
    wait_for("the file to be synced", || {
        sandbox.try_rows("SELECT state FROM tidegate_files").is_ok_and(|rows| rows == ["synced"])
    });
    daemon.kill();
    // Its checkpoint or a lock may be of the last moment; the log is what counts.
    assert!(fs::metadata(sandbox.path("database.sqlite-wal")).is_ok_and(|log| log.len() > 0));
    assert_eq!(look_around(&sandbox), [0, 0, 0, 0, 2, 0, 0, 0, 0]);
    assert_eq!(sandbox.sync().exit, 0);
}

#[test]
fn check_calls_an_inbox_good_only_if_it_is_there_and_can_be_worked_with() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let check = |environment: &[(&str, &str)]| {
        let mut command = sandbox.command(&["check"]);
        let output =
            command.envs(environment.iter().copied()).output().expect("the built program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (exit, said) = check(&[]);
    assert!(exit == Some(0) && said.contains("ok     inbox"), "{said}");
    let (exit, said) = check(&[("TIDEGATE_INBOX", "elsewhere")]);
    assert!(
        exit == Some(0) && said.contains("note   inbox") && said.contains("`run` makes it"),
        "{said}"
    );
    fs::write(sandbox.path("file"), "").expect("a writable directory");
    let (exit, said) = check(&[("TIDEGATE_INBOX", "file/inbox")]);
    assert!(
        exit == Some(2) && said.contains("fault  inbox") && said.contains("cannot be read"),
        "{said}"
    );
    // Root may write everywhere; who runs the tests as somebody else sees the fault.
    fs::set_permissions(sandbox.inbox(), fs::Permissions::from_mode(0o555))
        .expect("an inbox of our own");
    let (exit, said) = check(&[("TIDEGATE_AFTER_SYNC", "delete")]);
    let is_told = exit == Some(2) && said.contains("as after_sync needs it");
    assert_eq!(is_told, !rustix::process::geteuid().is_root(), "{said}");
    assert_eq!(check(&[]).0, Some(0), "to read it is enough where files stay");
    fs::set_permissions(sandbox.inbox(), fs::Permissions::from_mode(0o755))
        .expect("an inbox of our own");
    let (exit, said) =
        check(&[("TIDEGATE_AFTER_SYNC", "archive"), ("TIDEGATE_ARCHIVE_DIR", "file/archive")]);
    assert!(exit == Some(2) && said.contains("fault  archive_dir"), "{said}");
}
