//! Lease: one writer per database, and nobody waits long for a dead one.

use crate::exports::{
    Background, Market, SMALL_CHUNKS, Version, assert_same, everything, wait_for_half_a_file,
};
use crate::sandbox::{Engine, Report, Sandbox, free_port, wait_for};
use crate::shop::Shop;
use std::time::{Duration, Instant};

/// After so long without a sign of life a holder elsewhere is dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);

const IMPATIENT: (&str, &str) = ("TIDEGATE_LEASE_WAIT_MS", "500");
const PATIENT: (&str, &str) = ("TIDEGATE_LEASE_WAIT_MS", "40000");

/// Makes the lease one of a process that nobody here can look for.
const MOVE_ELSEWHERE: &str = "UPDATE tidegate_lease SET token = 'another-machine/pid:[1] 1 1', holder = 'tidegate, process 1 on elsewhere'";

scenario!(a_second_writer_gives_up_and_names_the_first_one);
fn a_second_writer_gives_up_and_names_the_first_one(sandbox: &Sandbox) {
    let mut daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let holder = format!("tidegate, process {} on ", daemon.id());
    let sync = sandbox.sync_with(&[IMPATIENT]);
    assert_eq!(sync.exit, 2);
    assert!(sync.stderr.contains(&holder), "{}", sync.stderr);

    let (inbox, address) = (sandbox.inbox(), format!("127.0.0.1:{}", free_port()));
    let mut run = sandbox.command(&["run", &inbox.to_string_lossy(), "--listen", &address]);
    let run = Report::of(&run.envs([IMPATIENT]).output().expect("the built program starts"));
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains(&holder), "{}", run.stderr);
    assert!(daemon.is_running());

    assert_eq!(daemon.terminate().0, 0);
    assert_eq!(
        sandbox.sync_with(&[IMPATIENT]).exit,
        0,
        "a lease that was given up is free at once"
    );
}

scenario!(a_second_writer_waits_for_the_first_one_to_finish);
fn a_second_writer_waits_for_the_first_one_to_finish(sandbox: &Sandbox) {
    let mut daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let mut sync = Background::start(sandbox, sync_command(sandbox), &[PATIENT]);
    let beats = beats(sandbox);
    wait_for("the daemon to show that it lives", || self::beats(sandbox) > beats);
    assert!(sync.is_running());
    assert_eq!(daemon.terminate().0, 0);
    assert_eq!(sync.finish(), 0);
}

scenario!(the_lease_of_a_killed_process_of_this_machine_is_free_at_once);
fn the_lease_of_a_killed_process_of_this_machine_is_free_at_once(sandbox: &Sandbox) {
    let mut daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    daemon.kill();
    let sync = sandbox.sync_with(&[PATIENT]);
    assert_eq!(sync.exit, 0, "{}", sync.stderr);
    assert!(!sync.stderr.contains("waiting for the lease"), "{}", sync.stderr);
}

scenario!(the_lease_of_a_silent_process_elsewhere_is_taken_over);
fn the_lease_of_a_silent_process_elsewhere_is_taken_over(sandbox: &Sandbox) {
    lose_the_lease_to_another_machine(sandbox);
    let started = Instant::now();
    let sync = sandbox.sync_with(&[PATIENT]);
    assert_eq!(sync.exit, 0, "{}", sync.stderr);
    assert!(started.elapsed() >= SILENCE_MAX, "{:?}", started.elapsed());
}

#[test]
fn the_lease_of_a_living_process_elsewhere_is_not_taken_over() {
    let sandbox = &Sandbox::new(Engine::Sqlite);
    lose_the_lease_to_another_machine(sandbox);
    let started = Instant::now();
    let wait = ("TIDEGATE_LEASE_WAIT_MS", "13000");
    let mut sync = Background::start(sandbox, sync_command(sandbox), &[wait]);
    while sync.is_running() {
        sandbox.execute("UPDATE tidegate_lease SET beats = beats + 1");
        let beats = beats(sandbox);
        assert!(beats > 0 && started.elapsed() < 4 * SILENCE_MAX);
    }
    assert_eq!(sync.finish(), 2, "{}", sync.log());
    assert!(started.elapsed() >= SILENCE_MAX, "{:?}", started.elapsed());
}

fn lose_the_lease_to_another_machine(sandbox: &Sandbox) {
    assert_eq!(sandbox.sync().exit, 0);
    sandbox.execute(MOVE_ELSEWHERE);
    let impatient = sandbox.sync_with(&[IMPATIENT]);
    assert_eq!(impatient.exit, 2);
    assert!(impatient.stderr.contains("tidegate, process 1 on elsewhere"), "{}", impatient.stderr);
}

scenario!(a_daemon_that_lost_its_lease_writes_no_more_and_ends);
fn a_daemon_that_lost_its_lease_writes_no_more_and_ends(sandbox: &Sandbox) {
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "100"), SMALL_CHUNKS]);
    daemon.wait_until_ready();
    sandbox.execute(MOVE_ELSEWHERE);
    Market::new("1").drop_version(sandbox, Version::First);
    assert_eq!(daemon.wait_for_end(), 2);
    assert!(
        daemon.log().contains("another tidegate writes to this database now"),
        "{}",
        daemon.log()
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_files"), ["0"]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
    assert_eq!(
        sandbox.rows("SELECT holder FROM tidegate_lease"),
        ["tidegate, process 1 on elsewhere"]
    );
}

scenario!(a_sync_that_lost_its_lease_in_the_middle_of_a_file_commits_no_further_chunk);
fn a_sync_that_lost_its_lease_in_the_middle_of_a_file_commits_no_further_chunk(sandbox: &Sandbox) {
    const COMMITTED: &str =
        "SELECT dataset, rows_read, position FROM tidegate_files ORDER BY dataset";
    let (market, clean) = (Market::new("1"), sandbox.sibling());
    market.drop_version(sandbox, Version::First);
    market.drop_version(&clean, Version::First);
    let slowly = ("FAILPOINTS", "after_commit=sleep(700)");
    let mut sync = Background::start(sandbox, market.sync_command(sandbox), &[slowly]);
    wait_for_half_a_file(sandbox);
    sandbox.execute(MOVE_ELSEWHERE);
    let committed = sandbox.rows(COMMITTED);
    assert_eq!(sync.finish(), 2, "{}", sync.log());
    assert!(sync.log().contains("another tidegate writes to this database now"), "{}", sync.log());
    assert_eq!(sandbox.rows(COMMITTED), committed);

    sandbox.execute("UPDATE tidegate_lease SET token = ''");
    assert_eq!(market.sync(sandbox, "").exit, 0);
    assert_eq!(market.sync(&clean, "").exit, 0);
    assert_same(&everything(sandbox), &everything(&clean), "the lease was lost");
}

scenario!(marts_that_were_computed_while_the_lease_was_lost_are_not_written: mariadb, postgres);
/// Servers compute two marts at a time, and ask for the lease at the end of each.
fn marts_that_were_computed_while_the_lease_was_lost_are_not_written(sandbox: &Sandbox) {
    const MARTS: &str =
        "SELECT COUNT(*) FROM customer_metrics UNION ALL SELECT COUNT(*) FROM product_metrics";
    sandbox.drop_file("Market 1 Orders.csv", &Shop::any(3).orders_csv());
    let slowly = ("FAILPOINTS", "during_refresh=sleep(600)");
    let mut sync = Background::start(sandbox, sync_command(sandbox), &[slowly]);
    let orders = "SELECT order_id FROM orders";
    wait_for("the orders", || sandbox.try_rows(orders).is_ok_and(|orders| !orders.is_empty()));
    sandbox.execute(MOVE_ELSEWHERE);
    assert_eq!(sync.finish(), 2, "{}", sync.log());
    assert!(sync.log().contains("another tidegate writes to this database now"), "{}", sync.log());
    assert_eq!(sandbox.rows(MARTS), ["0", "0"]);

    sandbox.execute("UPDATE tidegate_lease SET token = ''");
    assert_eq!(sandbox.sync().exit, 0);
    assert!(!sandbox.rows(MARTS).contains(&"0".to_owned()), "{:?}", sandbox.rows(MARTS));
}

fn sync_command(sandbox: &Sandbox) -> std::process::Command {
    sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()])
}

fn beats(sandbox: &Sandbox) -> u64 {
    sandbox.rows("SELECT beats FROM tidegate_lease")[0].parse().expect("a number")
}
