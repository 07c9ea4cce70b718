//! One folder or file that cannot be read, watched or taken stops nobody: it is passed by, and
//! said.

use crate::other_user::OtherUser;
use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

const ORDERS: &str = "Order ID,Order Status\n1,COMPLETED\n";
const SOON: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "100");

fn close(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o000)).expect("our own file");
}

fn open(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("our own file");
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    let inbox = format!("{}/", sandbox.inbox().display());
    let rows =
        sandbox.try_rows("SELECT path, state FROM tidegate_files ORDER BY id").unwrap_or_default();
    rows.into_iter().map(|row| row.replace(&inbox, "")).collect()
}

fn metric(daemon: &Daemon, name: &str) -> Option<String> {
    let (_, text) = daemon.get("/metrics")?;
    let line = text.lines().find(|line| line.starts_with(&format!("tidegate_{name} ")))?;
    line.rsplit(' ').next().map(str::to_owned)
}

fn api_status(daemon: &Daemon) -> Value {
    daemon
        .get("/api/status")
        .and_then(|(_, text)| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

#[test]
fn a_folder_that_cannot_be_read_stops_nothing_and_is_told_until_it_can() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("lost+found/Market 2 Orders.csv", ORDERS);
    let closed = sandbox.inbox().join("lost+found");
    let user = OtherUser::of(&sandbox);
    close(&closed);
    let daemon = user.start_daemon(&[SOON, ("TIDEGATE_SCAN_INTERVAL_MS", "100")]);
    daemon.wait_until_ready();
    user.drop_file("below/Market 1 Orders.csv", ORDERS);
    wait_for("the other file", || states(&sandbox) == ["below/Market 1 Orders.csv|synced"]);
    assert_eq!(metric(&daemon, "unread_folders").as_deref(), Some("1"));
    let path = closed.to_string_lossy().into_owned();
    let reason =
        |status: &Value| status["unread"]["reasons"][&path].as_str().unwrap_or_default().to_owned();
    assert!(reason(&api_status(&daemon)).contains("ermission"), "{}", api_status(&daemon));
    let status = user.output(&["--json", "status"]);
    assert!(
        reason(&serde_json::from_str(&status).expect("JSON")).contains("ermission"),
        "{status}"
    );
    assert!(
        user.output(&["status"]).contains("lost+found: Permission denied"),
        "it is in the text too"
    );
    // Scans follow one another, and only the first one of them says so.
    wait_for("more scans", || metric(&daemon, "unread_folders").as_deref() == Some("1"));
    assert_eq!(daemon.log().matches("cannot be read").count(), 1, "{}", daemon.log());
    open(&closed);
    wait_for("the file in it", || {
        states(&sandbox).contains(&"lost+found/Market 2 Orders.csv|synced".to_owned())
    });
    wait_for("nothing unread", || metric(&daemon, "unread_folders").as_deref() == Some("0"));
    assert_eq!(daemon.log().matches("passed by no longer").count(), 1, "{}", daemon.log());
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_and_taken_when_it_can() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", ORDERS);
    let closed = sandbox.inbox().join("Market 1 Orders.csv");
    let user = OtherUser::of(&sandbox);
    close(&closed);
    let daemon = user.start_daemon(&[SOON, ("TIDEGATE_SCAN_INTERVAL_MS", "1000")]);
    wait_for("its line in the ledger", || states(&sandbox) == ["Market 1 Orders.csv|failed"]);
    let error = sandbox.rows("SELECT error FROM tidegate_files");
    assert!(
        error[0].contains("cannot read") && error[0].contains("Market 1 Orders.csv"),
        "{error:?}"
    );
    assert!(user.output(&["status"]).contains("cannot read"), "status tells");
    let finished = || sandbox.rows("SELECT finished_at FROM tidegate_files");
    user.drop_file("Market 2 Orders.csv", ORDERS);
    wait_for("the other file", || {
        states(&sandbox).contains(&"Market 2 Orders.csv|synced".to_owned())
    });
    // It is tried again with each scan after a while; the ledger and the log say it once.
    let before = finished();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(finished(), before);
    assert_eq!(daemon.log().matches("file failed").count(), 1, "{}", daemon.log());
    open(&closed);
    wait_for("the file itself", || {
        states(&sandbox).contains(&"Market 1 Orders.csv|synced".to_owned())
    });
}

#[test]
fn sync_and_plan_pass_by_what_cannot_be_read_and_end_with_1() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", ORDERS);
    sandbox.drop_file("closed/Market 2 Orders.csv", ORDERS);
    let closed = sandbox.inbox().join("closed");
    let user = OtherUser::of(&sandbox);
    close(&closed);
    for command in ["plan", "sync"] {
        let output =
            user.command(&["--json", command, "inbox"]).output().expect("the built program starts");
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(output.status.code(), Some(1), "{json}");
        assert_eq!(json["files"][0]["outcome"], "synced", "{json}");
        assert_eq!(json["unread"]["count"], 1, "{json}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("passed by") && said.contains("closed"), "{said}");
    }
    assert_eq!(states(&sandbox), ["Market 1 Orders.csv|synced"]);
    open(&closed);
}

#[test]
fn folders_that_vanish_during_the_start_stop_nothing() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for number in 0..200 {
                    fs::create_dir_all(sandbox.inbox().join(format!("gone-{number}/below")))
                        .expect("a writable inbox");
                }
                for number in 0..200 {
                    fs::remove_dir_all(sandbox.inbox().join(format!("gone-{number}")))
                        .expect("a writable inbox");
                }
            }
        });
        for _ in 0..5 {
            let mut daemon = sandbox.start_daemon(&[SOON]);
            wait_for("an answer, or an end", || {
                daemon.get("/readyz").is_some_and(|(status, _)| status == 200)
            });
            assert!(daemon.is_running(), "{}", daemon.log());
            daemon.terminate();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Folders that the kernel lets the daemon of the test watch.
const WATCHES: usize = 4;

#[test]
fn folders_beyond_the_limit_of_watches_are_scanned() {
    // A limit of its own: that of the machine is everybody's.
    let limited = |sandbox: &Sandbox, command: Command| {
        let mut limited = Command::new("unshare");
        let set = format!("echo {WATCHES} > /proc/sys/user/max_inotify_watches && exec \"$@\"");
        limited
            .args(["--user", "--map-root-user", "sh", "-c", &set, "sh"])
            .arg(command.get_program());
        limited.args(command.get_args()).current_dir(sandbox.path(""));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited
    };
    let sandbox = Sandbox::new(Engine::Sqlite);
    let probe = limited(&sandbox, Command::new("true")).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("not shown here: this machine allows no user namespaces");
        return;
    }
    for folder in 0..2 * WATCHES {
        fs::create_dir(sandbox.inbox().join(format!("folder-{folder}"))).expect("a writable inbox");
    }
    let address = format!("127.0.0.1:{}", crate::sandbox::free_port());
    let run = sandbox.command(&["run", "inbox", "--listen", &address]);
    let daemon = sandbox.start(
        limited(&sandbox, run),
        &address,
        &[SOON, ("TIDEGATE_SCAN_INTERVAL_MS", "200")],
    );
    daemon.wait_until_ready();
    for folder in 0..2 * WATCHES {
        sandbox.drop_file(&format!("folder-{folder}/Market {folder} Orders.csv"), ORDERS);
    }
    wait_for("every file", || {
        states(&sandbox).iter().filter(|file| file.ends_with("|synced")).count() == 2 * WATCHES
    });
    let unwatched = (2 * WATCHES - (WATCHES - 1)).to_string();
    wait_for("the number of them", || {
        metric(&daemon, "unwatched_folders").as_ref() == Some(&unwatched)
    });
    assert_eq!(daemon.log().matches("max_user_watches").count(), 1, "{}", daemon.log());
    assert!(api_status(&daemon)["unwatched"]["reasons"].to_string().contains("max_user_watches"));
}

#[test]
fn what_is_no_ordinary_file_is_left_alone_and_waited_for_by_nobody() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let inbox = sandbox.inbox();
    let made = Command::new("mkfifo").arg(inbox.join("Market 1 Orders.csv")).status();
    assert!(made.is_ok_and(|status| status.success()));
    let _socket =
        UnixListener::bind(inbox.join("Market 2 Orders.csv")).expect("a short enough path");
    fs::create_dir(inbox.join("Market 3 Orders.csv")).expect("a writable inbox");
    sandbox.drop_file("Market 4 Orders.csv", ORDERS);
    fs::hard_link(inbox.join("Market 4 Orders.csv"), inbox.join("Market 5 Orders.csv"))
        .expect("the same file system");
    for outcome in ["synced", "unchanged"] {
        let report = sandbox.sync();
        assert_eq!(report.exit, 0, "{}", report.stderr);
        let outcomes: Vec<&str> = report.files.iter().map(|file| file.outcome.as_str()).collect();
        assert_eq!(outcomes, [outcome, outcome], "the two names of one file");
    }
    for name in ["Market 1 Orders.csv", "Market 2 Orders.csv"] {
        let output = sandbox
            .command(&["sync", &inbox.join(name).to_string_lossy()])
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("no ordinary file"), "{output:?}");
    }
    let daemon = sandbox.start_daemon(&[SOON]);
    daemon.wait_until_ready();
    sandbox.drop_file("Market 6 Orders.csv", ORDERS);
    wait_for("the file beside them", || {
        states(&sandbox).contains(&"Market 6 Orders.csv|synced".to_owned())
    });
}

#[test]
fn a_folder_that_is_mounted_below_itself_is_looked_at_once() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("a/Market 1 Orders.csv", ORDERS);
    fs::create_dir(sandbox.inbox().join("a/loop")).expect("a writable inbox");
    let mounted = |script: &str| {
        let sync = sandbox.command(&["--json", "sync", "inbox"]);
        let mut command = Command::new("unshare");
        let script = format!("mount --bind inbox inbox/a/loop && {script}");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(sync.get_program());
        command.args(sync.get_args()).current_dir(sandbox.path(""));
        command.envs(sync.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().expect("util-linux is there")
    };
    if !mounted("true").status.success() {
        eprintln!("not shown here: this machine allows no mounts in user namespaces");
        return;
    }
    let output = mounted("exec \"$@\"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a/loop") && said.contains("mounted below itself"), "{said}");
    assert_eq!(states(&sandbox), ["a/Market 1 Orders.csv|synced"]);
}

#[test]
fn folders_deeper_than_is_looked_are_told() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let deep = vec!["d"; 33].join("/");
    sandbox.drop_file(&format!("{deep}/Market 1 Orders.csv"), ORDERS);
    sandbox.drop_file("Market 2 Orders.csv", ORDERS);
    let report = sandbox.sync();
    assert_eq!(report.exit, 1);
    assert!(report.stderr.contains("folders deep"), "{}", report.stderr);
    assert_eq!(states(&sandbox), ["Market 2 Orders.csv|synced"]);
}
