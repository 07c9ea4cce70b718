//! Signals: what ends the daemon or a command, what does not, and that a log that nobody reads is
//! no reason to stop.

use crate::sandbox::{Daemon, Engine, Sandbox, table, wait_for};
use std::process::{Command, Stdio};

const ORDERS: &str = "Market 1 Orders.csv";

fn orders() -> String {
    table(&[
        "Order ID,Order Status,Order Total,Currency Symbol,Customer ID",
        "11,COMPLETED,30.5,KSh,7",
    ])
}

fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "process {process} runs");
}

fn is_synced(sandbox: &Sandbox) -> bool {
    sandbox.try_rows("SELECT state FROM tidegate_files").is_ok_and(|rows| rows == ["synced"])
}

#[test]
fn the_daemon_outlives_signals_that_are_not_meant_to_end_it_and_says_so() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    for signal in ["HUP", "USR1", "USR2", "PIPE", "XFSZ"] {
        send(signal, daemon.id());
    }
    for signal in ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXFSZ"] {
        wait_for("the signal to be logged", || {
            daemon.log().contains(&format!("\"signal\":\"{signal}\""))
        });
    }
    sandbox.drop_file(ORDERS, &orders());
    wait_for("the file to be synced", || is_synced(&sandbox));
    assert_eq!(daemon.terminate().0, 0);
}

#[test]
fn a_quit_ends_the_daemon_as_a_termination_does() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon: Daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    send("QUIT", daemon.id());
    assert_eq!(daemon.wait_for_end(), 0);
    assert!(daemon.log().contains("stopping after the chunk in hand"), "{}", daemon.log());
}

#[test]
fn a_daemon_whose_log_nobody_reads_goes_on() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let address = format!("127.0.0.1:{}", crate::sandbox::free_port());
    let mut command =
        sandbox.command(&["run", &sandbox.inbox().to_string_lossy(), "--listen", &address]);
    let mut daemon =
        command.stderr(writer).stdout(Stdio::null()).spawn().expect("the built program starts");
    drop(command);
    drop(reader);
    sandbox.drop_file(ORDERS, &orders());
    wait_for("the file to be synced", || is_synced(&sandbox));
    send("TERM", daemon.id());
    assert_eq!(daemon.wait().expect("a child of this process").code(), Some(0));
}

#[test]
fn a_mistake_that_nobody_hears_of_still_ends_with_2() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = sandbox.command(&["sync", "nowhere"]).stderr(writer).status();
    assert_eq!(status.expect("the built program starts").code(), Some(2));
}

/// A sync that waits for a database that is away, until a signal ends it or its patience does.
fn waiting_sync(sandbox: &Sandbox, program: &[&str]) -> std::process::Child {
    let away = format!("postgres://nobody@127.0.0.1:{}/x", crate::sandbox::free_port());
    let tidegate = sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()]);
    let mut command = match program {
        [] => tidegate,
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command
                .args(rest)
                .arg(tidegate.get_program())
                .args(tidegate.get_args())
                .current_dir(sandbox.path(""));
            command.envs(tidegate.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command
        }
    };
    let log = std::fs::File::create(sandbox.path("sync.log")).expect("a writable directory");
    command.env("TIDEGATE_DATABASE_URL", away).env("TIDEGATE_LOG_LEVEL", "info");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the built program starts")
}

fn log_of_sync(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("sync.log")).unwrap_or_default()
}

#[test]
fn a_sync_ends_with_its_terminal_unless_it_was_started_to_outlive_it() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut sync = waiting_sync(&sandbox, &[]);
    wait_for("the sync to wait", || log_of_sync(&sandbox).contains("waiting for the database"));
    send("HUP", sync.id());
    assert_eq!(
        sync.wait().expect("a child of this process").code(),
        Some(1),
        "{}",
        log_of_sync(&sandbox)
    );
    assert!(log_of_sync(&sandbox).contains("tidegate: stopped"), "{}", log_of_sync(&sandbox));

    let mut sync = waiting_sync(&sandbox, &["nohup"]);
    wait_for("the sync to wait", || log_of_sync(&sandbox).contains("waiting for the database"));
    send("HUP", sync.id());
    send("USR1", sync.id());
    wait_for("the later signal to be heard", || log_of_sync(&sandbox).contains("SIGUSR1"));
    assert!(!log_of_sync(&sandbox).contains("SIGHUP"), "{}", log_of_sync(&sandbox));
    send("TERM", sync.id());
    assert_eq!(sync.wait().expect("a child of this process").code(), Some(1));
}
