//! Outage: a database that is away is waited for, and nothing is lost or done twice.

use crate::exports::{
    Background, Market, SMALL_CHUNKS, Version, is_as_after_a_clean_run, wait_for_half_a_file,
    wait_for_synced,
};
use crate::sandbox::{Daemon, Engine, Report, Sandbox, free_port, wait_for};
use crate::servers::{Kind, Server};
use sea_orm::{ConnectionTrait, Database, DatabaseTransaction, DbErr, TransactionTrait};
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const WAITING: &str = "waiting for the database";

/// `sync` tells what it waits for, and of its chunks, only when it is asked to.
const TALKATIVE: (&str, &str) = ("TIDEGATE_LOG_LEVEL", "warn");
const EVEN_CHUNKS: (&str, &str) = ("TIDEGATE_LOG_LEVEL", "debug");
const PATIENT: (&str, &str) = ("TIDEGATE_DATABASE_WAIT_MS", "60000");
const IMPATIENT: (&str, &str) = ("TIDEGATE_DATABASE_WAIT_MS", "1000");
const SETTLED_SOON: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "100");

/// Runs a scenario on a MariaDB that it may stop and start.
pub fn on_mariadb(scenario: impl Fn(&Server, &Sandbox)) {
    static SERVER: Mutex<Option<Server>> = Mutex::new(None);
    on_server_of(&SERVER, Kind::Mariadb, Engine::Mariadb, scenario);
}

/// Runs a scenario on a PostgreSQL that it may stop and start.
pub fn on_postgres(scenario: impl Fn(&Server, &Sandbox)) {
    static SERVER: Mutex<Option<Server>> = Mutex::new(None);
    on_server_of(&SERVER, Kind::Postgres, Engine::Postgres, scenario);
}

/// The scenarios of one kind of server share it, one after the other.
fn on_server_of(
    slot: &Mutex<Option<Server>>,
    kind: Kind,
    engine: Engine,
    scenario: impl Fn(&Server, &Sandbox),
) {
    let mut server = slot.lock().unwrap_or_else(|poisoned| {
        // A test that failed may have left it stopped: take a new one.
        slot.clear_poison();
        let mut server = poisoned.into_inner();
        *server = None;
        server
    });
    let server = server.get_or_insert_with(|| Server::start_private(kind));
    scenario(server, &Sandbox::on(engine, server.fresh_database()));
}

server_scenario!(a_sync_waits_for_a_server_that_is_away_but_not_for_ever);
fn a_sync_waits_for_a_server_that_is_away_but_not_for_ever(server: &Server, sandbox: &Sandbox) {
    let market = Market::new("1");
    market.drop_version(sandbox, Version::First);
    server.stop();
    gives_up(sandbox);
    let mut sync = Background::start(sandbox, market.sync_command(sandbox), &[PATIENT, TALKATIVE]);
    wait_for(WAITING, || sync.log().contains(WAITING));
    server.start_again();
    assert_eq!(sync.finish(), 0, "{}", sync.log());
    is_as_after_a_clean_run(sandbox, &market, &[Version::First]);
}

#[test]
fn a_missing_folder_of_a_sqlite_file_is_waited_for_too() {
    let mut sandbox = Sandbox::new(Engine::Sqlite);
    let folder = sandbox.path("mounted-later");
    sandbox.url = format!("sqlite://{}/database.sqlite", folder.display());
    let market = Market::new("1");
    market.drop_version(&sandbox, Version::First);
    gives_up(&sandbox);
    let mut sync =
        Background::start(&sandbox, market.sync_command(&sandbox), &[PATIENT, TALKATIVE]);
    wait_for(WAITING, || sync.log().contains(WAITING));
    fs::create_dir(folder).expect("a writable temporary directory");
    assert_eq!(sync.finish(), 0, "{}", sync.log());
    is_as_after_a_clean_run(&sandbox, &market, &[Version::First]);
}

fn gives_up(sandbox: &Sandbox) {
    let started = Instant::now();
    let report = sandbox.sync_with(&[IMPATIENT]);
    assert_eq!(report.exit, 3, "{}", report.stderr);
    assert!(report.stderr.contains("database"), "{}", report.stderr);
    assert!(!report.stderr.contains(":pw@"), "{}", report.stderr);
    let waited = started.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(30)).contains(&waited), "{waited:?}");
}

server_scenario!(a_daemon_waits_for_its_server_for_ever_and_says_so);
fn a_daemon_waits_for_its_server_for_ever_and_says_so(server: &Server, sandbox: &Sandbox) {
    let market = Market::new("1");
    server.stop();
    let daemon = start_daemon(sandbox, &[IMPATIENT]);
    wait_for("a healthy daemon that is not ready", || {
        let status = |path| daemon.get(path).map(|(status, _)| status);
        status("/healthz") == Some(200) && status("/readyz") == Some(503)
    });
    market.drop_version(sandbox, Version::First);
    wait_for("a third attempt", || daemon.log().matches(WAITING).count() >= 2);
    assert_eq!(daemon.get("/healthz").map(|(status, _)| status), Some(200));
    server.start_again();
    daemon.wait_until_ready();
    wait_for_synced(sandbox, 3);
    is_as_after_a_clean_run(sandbox, &market, &[Version::First]);
}

server_scenario!(a_server_that_dies_in_the_middle_of_a_sync_costs_nothing_but_time);
fn a_server_that_dies_in_the_middle_of_a_sync_costs_nothing_but_time(
    server: &Server,
    sandbox: &Sandbox,
) {
    let market = Market::new("1");
    for (version, failpoints) in [
        (Version::First, "after_commit=sleep(100)"),
        (Version::Second, "before_commit=2*off->1*sleep(6000)->off"),
    ] {
        market.drop_version(sandbox, version);
        let slowly = ("FAILPOINTS", failpoints);
        let mut sync = Background::start(
            sandbox,
            market.sync_command(sandbox),
            &[PATIENT, EVEN_CHUNKS, slowly],
        );
        match version {
            Version::First => wait_for_half_a_file(sandbox),
            Version::Second => wait_for_a_held_transaction(&sync),
        }
        restart(server);
        assert_eq!(sync.finish(), 0, "{}", sync.log());
        // Between transactions, an outage that is over at the next one goes unnoticed.
        assert!(version == Version::First || sync.log().contains(WAITING), "{}", sync.log());
    }
    is_as_after_a_clean_run(sandbox, &market, &[Version::First, Version::Second]);
}

server_scenario!(a_server_that_dies_again_and_again_is_waited_for_each_time);
fn a_server_that_dies_again_and_again_is_waited_for_each_time(server: &Server, sandbox: &Sandbox) {
    let market = Market::new("1");
    // Each outage alone is shorter than the longest wait, all together are not.
    let patience = ("TIDEGATE_DATABASE_WAIT_MS", "6000");
    let slowly = ("FAILPOINTS", "after_commit=sleep(1500)");
    market.drop_version(sandbox, Version::First);
    let mut sync =
        Background::start(sandbox, market.sync_command(sandbox), &[patience, slowly, TALKATIVE]);
    wait_for_half_a_file(sandbox);
    for outages in 1..=3 {
        restart(server);
        let rows_read = "SELECT COALESCE(SUM(rows_read), 0) FROM tidegate_files";
        let before = sandbox.rows(rows_read);
        wait_for("the next commit", || sandbox.try_rows(rows_read).is_ok_and(|now| now != before));
        assert!(outages == 3 || sync.is_running(), "{}", sync.log());
    }
    assert_eq!(sync.finish(), 0, "{}", sync.log());
    is_as_after_a_clean_run(sandbox, &market, &[Version::First]);
}

server_scenario!(a_daemon_outlives_its_server_between_files_within_them_and_in_a_refresh);
fn a_daemon_outlives_its_server_between_files_within_them_and_in_a_refresh(
    server: &Server,
    sandbox: &Sandbox,
) {
    let market = Market::new("1");
    let failpoints = "before_commit=1*off->1*sleep(2000)->off;during_refresh=sleep(200)";
    let daemon = start_daemon(sandbox, &[("FAILPOINTS", failpoints)]);
    daemon.wait_until_ready();
    market.drop_version(sandbox, Version::First);
    wait_for_half_a_file(sandbox);
    restart(server);
    wait_for_synced(sandbox, 3);
    restart(server);
    market.drop_version(sandbox, Version::Second);
    wait_for_file(sandbox, r#"position LIKE '%"done":true%'"#);
    restart(server);
    wait_for_synced(sandbox, 6);
    daemon.wait_until_ready();
    is_as_after_a_clean_run(sandbox, &market, &[Version::First, Version::Second]);
}

/// A backup, or somebody's forgotten shell.
#[test]
fn a_sqlite_file_that_another_process_locks_for_long_is_waited_for() {
    let (syncing, watching) = (Sandbox::new(Engine::Sqlite), Sandbox::new(Engine::Sqlite));
    let market = Market::new("1");
    for sandbox in [&syncing, &watching] {
        market.drop_version(sandbox, Version::First);
        assert_eq!(market.sync(sandbox, "").exit, 0);
    }
    let daemon = start_daemon(&watching, &[]);
    daemon.wait_until_ready();
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    // A transaction that a failed test drops needs it.
    let _context = runtime.enter();
    let locks = [&syncing, &watching].map(|sandbox| {
        market.drop_version(sandbox, Version::Second);
        runtime.block_on(lock(sandbox)).expect("nobody writes at the moment")
    });
    let mut sync =
        Background::start(&syncing, market.sync_command(&syncing), &[PATIENT, TALKATIVE]);
    wait_for(WAITING, || sync.log().contains(WAITING) && daemon.log().contains(WAITING));
    for lock in locks {
        runtime.block_on(lock.rollback()).expect("it is open");
    }
    assert_eq!(sync.finish(), 0, "{}", sync.log());
    wait_for_synced(&watching, 6);
    for sandbox in [&syncing, &watching] {
        is_as_after_a_clean_run(sandbox, &market, &[Version::First, Version::Second]);
    }
}

async fn lock(sandbox: &Sandbox) -> Result<DatabaseTransaction, DbErr> {
    let transaction = Database::connect(sandbox.url.as_str()).await?.begin().await?;
    transaction.execute_unprepared("UPDATE tidegate_lease SET holder = 'a lock'").await?;
    Ok(transaction)
}

#[test]
fn a_state_directory_that_cannot_be_written_is_an_error_that_says_so() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    fs::write(sandbox.state_dir(), "not a directory").expect("a writable temporary directory");
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    for arguments in [&["sync", &inbox][..], &["run", &inbox, "--listen", "127.0.0.1:0"]] {
        let report =
            Report::of(&sandbox.command(arguments).output().expect("the built program starts"));
        assert_eq!(report.exit, 2, "{}", report.stderr);
        assert!(report.stderr.contains("cannot write"), "{}", report.stderr);
        assert!(report.stderr.contains("state_dir"), "{}", report.stderr);
    }
}

fn start_daemon(sandbox: &Sandbox, environment: &[(&str, &str)]) -> Daemon {
    sandbox.start_daemon(&[&[SMALL_CHUNKS, SETTLED_SOON], environment].concat())
}

fn restart(server: &Server) {
    server.stop();
    server.start_again();
}

/// Waits until the third chunk's transaction is open, which a failpoint holds for seconds.
fn wait_for_a_held_transaction(sync: &Background) {
    wait_for("two chunks", || sync.log().matches("chunk committed").count() >= 2);
    std::thread::sleep(Duration::from_secs(1));
}

/// Waits for an unfinished file of which this is true.
fn wait_for_file(sandbox: &Sandbox, condition: &str) {
    let sql = format!("SELECT id FROM tidegate_files WHERE state = 'syncing' AND {condition}");
    wait_for(condition, || sandbox.try_rows(&sql).is_ok_and(|files| !files.is_empty()));
}

#[test]
fn every_command_that_ends_gives_up_in_time_and_says_why() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n1,A\n");
    let inbox = sandbox.inbox();
    let inbox = inbox.to_string_lossy();
    let commands: [&[&str]; 7] = [
        &["sync", &inbox],
        &["plan", &inbox],
        &["status"],
        &["check"],
        &["verify"],
        &["rejects"],
        &["approve", "Market 1 Orders.csv"],
    ];
    for scheme in ["mysql", "postgres"] {
        let url = format!("{scheme}://user:s3cret@127.0.0.1:{}/nothing", free_port());
        for arguments in commands {
            let mut command = sandbox.command(arguments);
            command.env("TIDEGATE_DATABASE_URL", &url).env("TIDEGATE_DATABASE_WAIT_MS", "700");
            let started = Instant::now();
            let output = command.output().expect("the built program starts");
            let took = started.elapsed();
            let said =
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(3), "{arguments:?} {said}");
            assert!(said.contains("refused") && !said.contains("s3cret"), "{arguments:?} {said}");
            // Far below the ten seconds of two attempts by the pool, on however busy a machine.
            assert!(took < Duration::from_secs(5), "{arguments:?} took {took:?}");
        }
    }
}
