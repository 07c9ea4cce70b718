//! Silence: connections that die without a word, locks that nobody lets go of, and files that stand
//! still are noticed in bounded time, said, and outlived.

use crate::exports::{
    Background, Market, SMALL_CHUNKS, Version, is_as_after_a_clean_run, wait_for_synced,
};
use crate::proxy::Proxy;
use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use std::process::Command;
use std::time::{Duration, Instant};

/// As short as the settings take, so that no test waits for the defaults.
const BOUNDS: [(&str, &str); 4] = [
    ("TIDEGATE_STATEMENT_MAX_MS", "3000"),
    ("TIDEGATE_LOCK_WAIT_MS", "1000"),
    ("TIDEGATE_SETTLE_SCAN_MS", "100"),
    SMALL_CHUNKS,
];

/// When the proxy falls silent.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Nothing is to be done.
    Idle,
    /// A chunk is written and not committed, which a failpoint holds for a while.
    InTransaction,
    /// So many bytes into the rows of a chunk: LOAD DATA LOCAL or COPY.
    AmongRows(i64),
}

scenario!(a_connection_that_dies_silently_between_files_is_outlived: mariadb, postgres);
fn a_connection_that_dies_silently_between_files_is_outlived(sandbox: &Sandbox) {
    a_connection_dies(sandbox, Moment::Idle, "");
}

scenario!(a_connection_that_dies_silently_in_a_transaction_is_outlived: mariadb, postgres);
fn a_connection_that_dies_silently_in_a_transaction_is_outlived(sandbox: &Sandbox) {
    a_connection_dies(sandbox, Moment::InTransaction, "before_commit=1*off->1*sleep(4000)->off");
}

scenario!(a_connection_that_dies_silently_among_rows_is_outlived: mariadb, postgres);
fn a_connection_that_dies_silently_among_rows_is_outlived(sandbox: &Sandbox) {
    a_connection_dies(sandbox, Moment::AmongRows(300_000), "");
}

fn a_connection_dies(sandbox: &Sandbox, moment: Moment, failpoints: &str) {
    let market = Market::new("1");
    let proxy = Proxy::before(&sandbox.url);
    let url = proxy.url(&sandbox.url);
    let environment =
        [&BOUNDS[..], &[("TIDEGATE_DATABASE_URL", url.as_str()), ("FAILPOINTS", failpoints)]]
            .concat();
    let mut daemon = sandbox.start_daemon(&environment);
    daemon.wait_until_ready();
    if let Moment::AmongRows(bytes) = moment {
        proxy.fall_silent_after(bytes);
    }
    market.drop_version(sandbox, Version::First);
    match moment {
        Moment::Idle => {
            wait_for_synced(sandbox, 3);
            proxy.fall_silent();
            market.drop_version(sandbox, Version::Second);
        }
        Moment::InTransaction => {
            crate::exports::wait_for_half_a_file(sandbox);
            wait_for("the lease's row to be locked", || is_locked_for_long(sandbox));
            proxy.fall_silent();
        }
        Moment::AmongRows(_) => wait_for("silence", || proxy.is_silent()),
    }
    wait_for("a daemon that is not ready", || status(&daemon) == Some(503));
    assert_eq!(daemon.get("/healthz").map(|(status, _)| status), Some(200));
    proxy.take_new_connections();
    wait_for_synced(sandbox, if matches!(moment, Moment::Idle) { 6 } else { 3 });
    daemon.wait_until_ready();
    // A sync at work says that it waits. Between two of them a scan may be the first to notice.
    let log = daemon.log();
    let is_of_scan = matches!(moment, Moment::Idle) && log.contains("the ledger did not answer");
    assert!(is_of_scan || log.contains("waiting for the database"), "{log}");
    assert_eq!(daemon.terminate().0, 0);
    let versions: &[Version] = if matches!(moment, Moment::Idle) {
        &[Version::First, Version::Second]
    } else {
        &[Version::First]
    };
    is_as_after_a_clean_run(sandbox, &market, versions);
}

fn status(daemon: &Daemon) -> Option<u16> {
    daemon.get("/readyz").map(|(status, _)| status)
}

/// Whether a transaction keeps the lease's row: a sign of life alone lets go of it at once.
fn is_locked_for_long(sandbox: &Sandbox) -> bool {
    let is_locked = || match sandbox.engine {
        Engine::Sqlite => {
            let connection = rusqlite_lock(&sandbox.path("database.sqlite"));
            !connection
        }
        _ => sandbox.try_rows("SELECT id FROM tidegate_lease FOR UPDATE NOWAIT").is_err(),
    };
    (0..8).all(|_| {
        std::thread::sleep(Duration::from_millis(20));
        is_locked()
    })
}

/// Whether the write lock of a SQLite file is to be had at once.
fn rusqlite_lock(path: &std::path::Path) -> bool {
    let connection = rusqlite::Connection::open(path).expect("it is there");
    connection.busy_timeout(Duration::ZERO).expect("a connection");
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}

scenario!(a_second_writer_gives_up_in_time_although_the_first_is_frozen_in_a_transaction);
fn a_second_writer_gives_up_in_time_although_the_first_is_frozen_in_a_transaction(
    sandbox: &Sandbox,
) {
    const WAIT: Duration = Duration::from_secs(12);
    let wait_ms = WAIT.as_millis().to_string();
    let market = Market::new("1");
    market.drop_version(sandbox, Version::First);
    let hang = ("FAILPOINTS", "before_commit=1*off->sleep(600000)");
    let first = sandbox.start_daemon(&[SMALL_CHUNKS, ("TIDEGATE_SETTLE_SCAN_MS", "100"), hang]);
    wait_for("a transaction that is held", || is_locked_for_long(sandbox));
    signal(first.id(), "-STOP");
    let started = Instant::now();
    let settings = [("TIDEGATE_LEASE_WAIT_MS", wait_ms.as_str()), ("TIDEGATE_LOG_LEVEL", "warn")];
    let mut second = Background::start(sandbox, market.sync_command(sandbox), &settings);
    assert_eq!(second.finish(), 2, "{}", second.log());
    let log = second.log();
    assert!(log.contains("waiting for the lease"), "{log}");
    let holder = format!("tidegate, process {} on ", first.id());
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains(&holder) && last.contains("keeping its locks"), "{log}");
    let took = started.elapsed();
    assert!(took >= WAIT && took < WAIT + Duration::from_secs(10), "{took:?}");
    signal(first.id(), "-CONT");
}

fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the process runs");
}

scenario!(a_file_that_stands_still_makes_the_daemon_not_ready_and_is_named_with_its_step);
fn a_file_that_stands_still_makes_the_daemon_not_ready_and_is_named_with_its_step(
    sandbox: &Sandbox,
) {
    let market = Market::new("1");
    let environment = [
        ("TIDEGATE_STUCK_AFTER_MS", "1000"),
        // Each sleep holds a thread of the runtime, by chance the one that HTTP waits for: so there
        // are several.
        ("FAILPOINTS", "before_commit=4*sleep(3000)->off"),
        ("TIDEGATE_SETTLE_SCAN_MS", "100"),
        SMALL_CHUNKS,
    ];
    let daemon = sandbox.start_daemon(&environment);
    daemon.wait_until_ready();
    market.drop_version(sandbox, Version::First);
    let names_the_file =
        |body: &str| body.contains("/market-1/") && body.contains("at writing its rows");
    wait_for("a daemon that is not ready", || {
        daemon.get("/readyz").is_some_and(|(status, body)| status == 503 && names_the_file(&body))
    });
    wait_for_synced(sandbox, 3);
    daemon.wait_until_ready();
}

scenario!(a_lock_that_nobody_lets_go_of_is_waited_for_aloud: mariadb, postgres);
/// Somebody's forgotten transaction on a server; on SQLite that is `outage`'s.
fn a_lock_that_nobody_lets_go_of_is_waited_for_aloud(sandbox: &Sandbox) {
    let market = Market::new("1");
    market.drop_version(sandbox, Version::First);
    assert_eq!(market.sync(sandbox, "").exit, 0);
    let daemon = sandbox.start_daemon(&BOUNDS);
    daemon.wait_until_ready();
    let lock = sandbox.lock("UPDATE customers SET _file_id = _file_id");
    market.drop_version(sandbox, Version::Second);
    wait_for("a lock that is waited for", || {
        daemon.log().contains("a lock was waited for longer than lock_wait_ms")
    });
    drop(lock);
    wait_for_synced(sandbox, 6);
    is_as_after_a_clean_run(sandbox, &market, &[Version::First, Version::Second]);
}

scenario!(sessions_have_bounds_that_the_server_keeps: mariadb, postgres);
/// A statement that takes too long is cancelled by the server, which says so, and its transaction
/// lets go of what it held.
fn sessions_have_bounds_that_the_server_keeps(sandbox: &Sandbox) {
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n1,A\n");
    let daemon = sandbox.start_daemon(&BOUNDS);
    daemon.wait_until_ready();
    wait_for_synced(sandbox, 1);
    // A view of somebody's that takes long: the program does not read it, a trigger has it read.
    let slow = match sandbox.engine {
        Engine::Postgres => {
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$; \
                 CREATE TRIGGER slow BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION slow()"
        }
        _ => "CREATE TRIGGER slow BEFORE INSERT ON customers FOR EACH ROW SET @slept = SLEEP(600)",
    };
    sandbox.execute(slow);
    sandbox.drop_file("Market 1 Customers.csv", "Customer ID,Language\nk,en\n");
    wait_for("a statement that is cancelled", || {
        daemon.log().contains("took longer than statement_max_ms")
    });
    sandbox.execute(if sandbox.engine == Engine::Postgres {
        "DROP TRIGGER slow ON customers"
    } else {
        "DROP TRIGGER slow"
    });
    wait_for_synced(sandbox, 2);
    assert_eq!(sandbox.rows("SELECT customer_id, language FROM customers"), ["k|en"]);
}
