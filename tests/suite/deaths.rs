//! Deaths: a file in whose hands the process dies again and again at the same place is quarantined,
//! and no other one is.

use crate::exports::{Market, SMALL_CHUNKS, Version, assert_same, everything};
use crate::sandbox::{Engine, Sandbox, wait_for};

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

const QUARANTINED: &str = "SELECT market, dataset FROM tidegate_files WHERE state = 'quarantined'";

fn sync(sandbox: &Sandbox, failpoints: &str) -> crate::sandbox::Report {
    sandbox.sync_with(&[SMALL_CHUNKS, ("FAILPOINTS", failpoints)])
}

scenario!(a_file_in_whose_hands_the_process_died_three_times_is_quarantined_and_no_other);
fn a_file_in_whose_hands_the_process_died_three_times_is_quarantined_and_no_other(
    sandbox: &Sandbox,
) {
    // Two feeds at work when the process dies: both are suspects.
    sandbox.drop_file("Market deadly Orders.csv", "Order ID,SKU\n1,A\n");
    let (innocent, clean) = (Market::new("1"), sandbox.sibling());
    innocent.drop_version(sandbox, Version::First);
    innocent.drop_version(&clean, Version::First);
    let deadly = "during_survey=return(deadly)";
    for death in 1..=3 {
        let report = sync(sandbox, deadly);
        assert_eq!(report.exit, KILLED, "death {death}: {}", report.stderr);
        assert_eq!(sandbox.rows(QUARANTINED), Vec::<String>::new(), "death {death}");
    }
    let report = sync(sandbox, deadly);
    assert_eq!(report.exit, 1, "{}", report.stderr);
    assert_eq!(sandbox.rows(QUARANTINED), ["deadly|orders"]);
    let file = report.file("Market deadly Orders.csv");
    assert!(file.error.contains("3 processes in a row ended without a word"), "{}", file.error);
    assert!(file.error.contains("tidegate approve '/"), "{}", file.error);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_files WHERE state = 'synced'"), ["3"]);
    // It is not tried again by itself.
    assert_eq!(sync(sandbox, deadly).exit, 1);

    let path = sandbox.inbox().join("Market deadly Orders.csv").display().to_string();
    let approved = sandbox.command(&["approve", &path]).output().expect("the built program starts");
    assert_eq!(approved.status.code(), Some(0), "{approved:?}");
    assert_eq!(sandbox.rows("SELECT order_id FROM orders WHERE market = 'deadly'"), ["1"]);
    sandbox.execute("DELETE FROM orders WHERE market = 'deadly'");
    sandbox.execute("DELETE FROM order_items WHERE market = 'deadly'");
    let (dump, clean) = (sandbox.dump(), {
        assert_eq!(innocent.sync(&clean, "").exit, 0);
        clean.dump()
    });
    for table in ["customers", "orders", "order_items", "deliveries", "delivery_items"] {
        assert_eq!(dump[table], clean[table], "{table}");
    }
}

scenario!(a_file_of_which_processes_die_at_once_is_quarantined_after_ten);
/// Soon after a file was taken up a kill may be chance, so it takes more of them; but it ends.
fn a_file_of_which_processes_die_at_once_is_quarantined_after_ten(sandbox: &Sandbox) {
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n1,A\n");
    // On a machine that is busy one or the other may take longer than a quick death.
    let deaths =
        (0..20).take_while(|_| sync(sandbox, "before_commit=return").exit == KILLED).count();
    assert!((3..=10).contains(&deaths), "{deaths}");
    assert_eq!(sandbox.rows(QUARANTINED), ["1|orders"]);
}

scenario!(a_process_that_dies_often_and_gets_further_each_time_comes_to_the_end);
fn a_process_that_dies_often_and_gets_further_each_time_comes_to_the_end(sandbox: &Sandbox) {
    let (market, clean) = (Market::new("1"), sandbox.sibling());
    market.drop_version(sandbox, Version::First);
    market.drop_version(&clean, Version::First);
    let deaths =
        (0..40).take_while(|_| market.sync(sandbox, "after_commit=return").exit == KILLED).count();
    assert!(deaths > 3, "{deaths}");
    assert_eq!(market.sync(sandbox, "").exit, 0);
    assert_eq!(market.sync(&clean, "").exit, 0);
    assert_same(&everything(sandbox), &everything(&clean), "many deaths");
}

#[test]
fn an_end_in_order_is_no_death() {
    let sandbox = &Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n1,A\n");
    for _ in 0..4 {
        let environment =
            [("FAILPOINTS", "before_write=sleep(60000)"), ("TIDEGATE_SETTLE_SCAN_MS", "100")];
        let mut daemon = sandbox.start_daemon(&environment);
        let at_work =
            "SELECT id FROM tidegate_files WHERE state = 'syncing' AND attempts IS NOT NULL";
        wait_for("the file to be taken up", || {
            sandbox.try_rows(at_work).is_ok_and(|files| !files.is_empty())
        });
        // Before its chunk is done it is cut off.
        let (exit, _) = daemon.terminate();
        assert_eq!(exit, 0, "{}", daemon.log());
        assert_eq!(sandbox.rows("SELECT attempts FROM tidegate_files"), ["-"]);
    }
    assert_eq!(sandbox.sync().exit, 0);
    assert_eq!(sandbox.rows("SELECT state FROM tidegate_files"), ["synced"]);
}
