//! What tidegate makes for itself is closed to others, whatever the umask; what it makes for a
//! person is theirs.

use crate::exports::{Background, wait_for_half_a_file};
use crate::sandbox::{Engine, Sandbox};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const ORDERS: &str = "market-1-orders.csv";

/// The same command under the umask that lets everybody do everything.
fn open_to_all(command: &Command, directory: &Path) -> Command {
    let mut open = Command::new("sh");
    open.args(["-c", "umask 000 && exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    open.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(directory);
    open
}

/// Everything below a directory that others than its owner may do something with.
fn open_below(directory: &Path) -> Vec<PathBuf> {
    let mut open = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("a readable directory").path();
        // A file that is gone meanwhile was closed.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.permissions().mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        if metadata.is_dir() {
            open.extend(open_below(&path));
        }
    }
    open
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn database_checkpoints_plans_and_archive_are_closed_to_others() {
    let mut sandbox = Sandbox::new(Engine::Sqlite);
    // Where it is by default.
    sandbox.url = format!("sqlite://{}", sandbox.state_dir().join("tidegate.db").display());
    let rows: String =
        (0..20_000).map(|id| format!("{id},COMPLETED,{}\n", "x".repeat(500))).collect();
    sandbox.drop_file(ORDERS, &format!("Order ID,Order Status,Description\n{rows}"));
    fs::set_permissions(sandbox.inbox().join(ORDERS), Permissions::from_mode(0o666))
        .expect("our own file");
    let little = ("TIDEGATE_MEMORY_MAX_MB", "64");
    for command in ["plan", "sync"] {
        let base = sandbox.command(&[command, "inbox"]);
        let inbox = sandbox.inbox().to_string_lossy().into_owned();
        let settings = [
            little,
            ("TIDEGATE_AFTER_SYNC", "archive"),
            ("TIDEGATE_INBOX", &inbox),
            ("FAILPOINTS", "after_commit=sleep(50)"),
        ];
        let mut running =
            Background::start(&sandbox, open_to_all(&base, &sandbox.path("")), &settings);
        if command == "sync" {
            wait_for_half_a_file(&sandbox);
        }
        while running.is_running() {
            assert_eq!(
                open_below(&sandbox.state_dir()),
                [""; 0].map(PathBuf::from),
                "{command}: while it works"
            );
        }
        assert_eq!(running.finish(), 0, "{}", running.log());
        assert_eq!(
            open_below(&sandbox.state_dir()),
            [""; 0].map(PathBuf::from),
            "{command}: afterwards"
        );
    }
    assert_eq!(mode(&sandbox.state_dir()), 0o700);
    assert!(sandbox.state_dir().join("archive").join(ORDERS).exists());
    assert!(sandbox.state_dir().join("tidegate.db").exists());
}

#[test]
fn what_a_command_writes_for_a_person_is_theirs() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, "Order ID,Order Status\n1,A\n2,A\n3.68E+29,A\n");
    assert_eq!(sandbox.sync_with(&[("TIDEGATE_REJECTS_MAX_PERCENT", "90")]).exit, 0);
    for arguments in [&["rejects", "--export", "exported/deep"][..], &["init", "own.toml"]] {
        let mut command = open_to_all(&sandbox.command(arguments), &sandbox.path(""));
        let output = command.output().expect("sh is there");
        assert!(output.status.success(), "{output:?}");
    }
    // Customers' rows are nobody else's, and their group may correct them.
    assert_eq!(mode(&sandbox.path("exported/deep/market-1-orders.rejects.csv")), 0o660);
    assert_eq!(mode(&sandbox.path("exported/deep")), 0o770);
    // The service's user reads what root writes.
    assert_eq!(mode(&sandbox.path("own.toml")), 0o666);
}

#[test]
fn a_database_that_everybody_may_read_stays_so_and_is_told() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file(ORDERS, "Order ID,Order Status\n1,A\n");
    let file = sandbox.path("database.sqlite");
    assert!(!sandbox.sync_with(&[("TIDEGATE_LOG_LEVEL", "warn")]).stderr.contains("everybody"));
    assert_eq!(mode(&file), 0o600);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("our own file");
    let report = sandbox.sync_with(&[("TIDEGATE_LOG_LEVEL", "warn")]);
    assert!(report.stderr.contains("everybody may read the database"), "{}", report.stderr);
    assert_eq!(mode(&file), 0o644, "whoever opened it may have meant it");
}
