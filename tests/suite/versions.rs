//! Versions: which of several files is the newest, and what an older one may still do.

use crate::sandbox::{Report, Sandbox, table, wait_for};
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

const HEADER: &str = "Order ID,Order Status,SKU,Quantity,Order Total,Customer ID,Order Time";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An export of these orders, all with that status, and a line for each SKU.
fn export(status: &str, orders: &[(&str, &[&str])]) -> String {
    let lines = orders.iter().flat_map(|(order, skus)| {
        skus.iter()
            .map(move |sku| format!("{order},{status},{sku},1,10,c{order},2022-02-15T13:00:00Z"))
    });
    let lines: Vec<String> = std::iter::once(HEADER.to_owned()).chain(lines).collect();
    table(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn sync(sandbox: &Sandbox) -> Report {
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    report
}

fn set_age(sandbox: &Sandbox, name: &str, modified: SystemTime) {
    let file =
        File::options().append(true).open(sandbox.inbox().join(name)).expect("it was dropped");
    file.set_modified(modified).expect("it is ours");
}

fn statuses(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT order_id, order_status FROM orders ORDER BY order_id")
}

fn items(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT order_id, line_no, sku FROM order_items ORDER BY order_id, line_no")
}

scenario!(paths_say_dataset_and_market);
fn paths_say_dataset_and_market(sandbox: &Sandbox) {
    let expected = [
        ("Market 1 Orders.csv", "orders|1"),
        ("market-1-orders-2022-02-17.csv", "orders|1"),
        ("market1/orders.csv", "orders|1"),
        ("deep/MARKET_2_CUSTOMERS.JSON", "customers|2"),
        ("2022-02-17 Market Nairobi West Deliveries.tsv", "deliveries|Nairobi West"),
        ("market-ke/customers-20220217.ndjson", "customers|ke"),
        ("Market 3 Customers.jsonl", "customers|3"),
        ("Orders.csv", "-|-"),
        ("Market 1 Orders.csv.bak", "-|-"),
    ];
    for (name, _) in expected {
        let content = match name.to_lowercase() {
            name if name.contains("json") => "[]",
            name if name.contains("deliveries") => "Task_ID\tNotes\n",
            _ => "Order ID,SKU\n",
        };
        sandbox.drop_file(name, content);
    }
    sync(sandbox);
    for (name, route) in expected {
        let path = sandbox.inbox().join(name);
        let rows = sandbox.rows(&format!(
            "SELECT dataset, market FROM tidegate_files WHERE path = '{}'",
            path.display()
        ));
        assert_eq!(rows, [route], "{name}");
    }
}

scenario!(files_of_one_scan_are_synced_in_the_order_of_their_dates);
fn files_of_one_scan_are_synced_in_the_order_of_their_dates(sandbox: &Sandbox) {
    sandbox.drop_file(
        "2022-02-16 Market 1 Orders.csv",
        &export("SECOND", &[("1", &["A"]), ("2", &["A", "B"])]),
    );
    sandbox.drop_file("market-1-orders-20220215.csv", &export("FIRST", &[("1", &["A", "X"])]));
    sandbox.drop_file("a/market_1/orders_2022-02-17.csv", &export("THIRD", &[("2", &["B"])]));
    let report = sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|SECOND", "2|THIRD"]);
    assert_eq!(items(sandbox), ["1|1|A", "2|1|B"]);
    assert_eq!(report.file("2022-02-16 Market 1 Orders.csv").changes(), (3, 1, 1, 1));
    // Written later, they are of the end of their days.
    let versions = sandbox.rows("SELECT version FROM tidegate_files ORDER BY id");
    assert_eq!(
        versions,
        ["2022-02-15T23:59:59.999Z", "2022-02-16T23:59:59.999Z", "2022-02-17T23:59:59.999Z"]
    );
}

scenario!(files_without_a_date_go_by_their_age_and_then_by_their_path);
fn files_without_a_date_go_by_their_age_and_then_by_their_path(sandbox: &Sandbox) {
    let then = SystemTime::now() - DAY;
    let statuses_in_order =
        [("b/Market 1 Orders.csv", "OLD", then - DAY), ("a/Market 1 Orders.csv", "A", then)];
    for (name, status, modified) in
        statuses_in_order.into_iter().chain([("c/Market 1 Orders.csv", "C", then)])
    {
        sandbox.drop_file(name, &export(status, &[("1", &["A"])]));
        set_age(sandbox, name, modified);
    }
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|C"]);
}

scenario!(a_late_full_export_only_adds_what_is_unknown);
fn a_late_full_export_only_adds_what_is_unknown(sandbox: &Sandbox) {
    let newer = "market-1-orders-2022-02-17.csv";
    let older = "market-1-orders-2022-02-15.csv";
    sandbox.drop_file(newer, &export("NEW", &[("1", &["A"]), ("2", &["B"])]));
    sync(sandbox);
    sandbox.drop_file(older, &export("OLD", &[("1", &["A", "X"]), ("3", &["C", "D"])]));
    let report = sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|NEW", "2|NEW", "3|OLD"]);
    assert_eq!(items(sandbox), ["1|1|A", "2|1|B", "3|1|C", "3|2|D"]);
    assert_eq!(
        (report.file(older).changes(), report.file(older).counts["stale"]),
        ((3, 0, 0, 0), 3)
    );
    // New content at the older path is newer than what was there, and still older than the other.
    sandbox.drop_file(older, &export("OLD", &[("1", &["Y"]), ("3", &["E"]), ("4", &["F"])]));
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|NEW", "2|NEW", "3|OLD", "4|OLD"]);
    assert_eq!(items(sandbox)[2..], ["3|1|C", "3|2|D", "4|1|F"]);
    // What is newest rules over all of them.
    sandbox.drop_file("market-1-orders-2022-02-18.csv", &export("LAST", &[("3", &["G"])]));
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|NEW", "2|NEW", "3|LAST", "4|OLD"]);
}

scenario!(what_an_operator_puts_back_is_what_counts);
fn what_an_operator_puts_back_is_what_counts(sandbox: &Sandbox) {
    let name = "Market 1 Orders.csv";
    sandbox.drop_file(name, &export("WRONG", &[("1", &["A", "B"])]));
    sync(sandbox);
    sandbox.drop_file(name, &export("RESTORED", &[("1", &["A"])]));
    set_age(sandbox, name, SystemTime::now() - 100 * DAY);
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|RESTORED"]);
    assert_eq!(items(sandbox), ["1|1|A"]);
}

scenario!(what_an_operator_puts_back_comes_after_the_dates_beside_it);
fn what_an_operator_puts_back_comes_after_the_dates_beside_it(sandbox: &Sandbox) {
    let (known, dated) = ("a/Market 1 Orders.csv", "market-1-orders-2022-02-15.csv");
    let midnight = SystemTime::UNIX_EPOCH + 19_038 * DAY;
    sandbox.drop_file(known, &export("FIRST", &[("1", &["A"])]));
    set_age(sandbox, known, midnight);
    sync(sandbox);
    // By its time, which is older still, the new content would come first, and the other one too
    // late.
    sandbox.drop_file(known, &export("RESTORED", &[("2", &["A"])]));
    set_age(sandbox, known, midnight - DAY);
    sandbox.drop_file(dated, &export("DATED", &[("1", &["A"]), ("2", &["B"])]));
    set_age(sandbox, dated, midnight);
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|DATED", "2|RESTORED"]);
}

scenario!(equal_versions_go_by_the_text_of_their_paths);
fn equal_versions_go_by_the_text_of_their_paths(sandbox: &Sandbox) {
    // Folder by folder, `market-1` would come first.
    for (name, status) in
        [("market-1/orders-2022-02-15.csv", "LAST"), ("market-1 orders-2022-02-15.csv", "FIRST")]
    {
        sandbox.drop_file(name, &export(status, &[("1", &["A"])]));
    }
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|LAST"]);
}

scenario!(a_date_in_the_name_gives_the_day_and_the_time_of_writing_the_moment_in_it);
fn a_date_in_the_name_gives_the_day_and_the_time_of_writing_the_moment_in_it(sandbox: &Sandbox) {
    let today = chrono::Utc::now().format("%Y-%m-%d");
    let (plain, dated) = ("Market 1 Orders.csv", format!("market-1-orders-{today}.csv"));
    sandbox.drop_file(plain, &export("FIRST", &[("1", &["A"])]));
    set_age(sandbox, plain, SystemTime::now() - Duration::from_secs(2));
    sync(sandbox);
    // The same day, and written later.
    sandbox.drop_file(&dated, &export("SECOND", &[("1", &["A"])]));
    assert_eq!(sync(sandbox).file(&dated).changes().1, 1);
    assert_eq!(statuses(sandbox), ["1|SECOND"]);
    let midnight = SystemTime::UNIX_EPOCH + 19_038 * DAY;
    let noon = midnight + DAY / 2;
    for (folder, modified) in [("before", midnight - DAY), ("within", noon), ("after", noon + DAY)]
    {
        let name = format!("{folder}/market-2-orders-2022-02-15.csv");
        sandbox.drop_file(&name, &export(folder, &[("1", &["A"])]));
        set_age(sandbox, &name, modified);
    }
    sync(sandbox);
    let versions = "SELECT version FROM tidegate_files WHERE market = '2' ORDER BY version";
    assert_eq!(
        sandbox.rows(versions),
        ["2022-02-15T00:00:00.000Z", "2022-02-15T12:00:00.000Z", "2022-02-15T23:59:59.999Z"]
    );
    assert_eq!(sandbox.rows("SELECT order_status FROM orders WHERE market = '2'"), ["after"]);
}

scenario!(stale_rows_are_said_and_a_file_of_nothing_else_is_a_warning);
fn stale_rows_are_said_and_a_file_of_nothing_else_is_a_warning(sandbox: &Sandbox) {
    let says = |sandbox: &Sandbox, arguments: &[&str]| {
        let output = sandbox.command(arguments).output().expect("the built program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    sandbox.drop_file(
        "market-1-orders-2022-02-17.csv",
        &export("NEW", &[("1", &["A"]), ("2", &["B"])]),
    );
    sync(sandbox);
    sandbox.drop_file(
        "market-1-orders-2022-02-16.csv",
        &export("OLD", &[("1", &["A", "X"]), ("3", &["C"])]),
    );
    let said = says(sandbox, &["sync", &inbox]);
    assert!(said.contains("+2 ~0 −0 =0 !0") && said.contains(" s  <3\n"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    sandbox.drop_file(
        "market-1-orders-2022-02-15.csv",
        &export("OLDER", &[("1", &["A"]), ("2", &["B", "C"])]),
    );
    let planned = says(sandbox, &["plan", &inbox]);
    let said = says(sandbox, &["sync", &inbox]);
    for said in [&planned, &said] {
        let line =
            said.lines().find(|line| line.contains("2022-02-15.csv  ")).expect("it is there");
        assert!(
            line.contains("+0 ~0 −0 =0 !0")
                && line.contains("  <5  warning: all of its rows are older"),
            "{said}"
        );
        assert!(line.contains("market-1-orders-2022-02-17.csv is newer"), "{said}");
    }
    let status = says(sandbox, &["status"]);
    assert!(status.contains("  <5\n"), "{status}");
    // The daemon's log has it too.
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_SETTLE_SCAN_MS", "50")]);
    daemon.wait_until_ready();
    sandbox.drop_file("market-1-orders-2022-02-14.csv", &export("OLDEST", &[("1", &["A"])]));
    wait_for("the warning", || daemon.log().contains("file is stale"));
    assert_eq!(daemon.terminate().0, 0);
}

scenario!(no_version_is_later_than_now);
fn no_version_is_later_than_now(sandbox: &Sandbox) {
    sandbox.drop_file("Market 1 Orders.csv", &export("CLOCK WRONG", &[("1", &["A"])]));
    set_age(sandbox, "Market 1 Orders.csv", SystemTime::now() + 1000 * DAY);
    sandbox.drop_file("market-1-orders-2099-01-01.csv", &export("NAME WRONG", &[("1", &["A"])]));
    sync(sandbox);
    sandbox.drop_file("new/Market 1 Orders.csv", &export("NOW", &[("1", &["A"])]));
    sync(sandbox);
    assert_eq!(statuses(sandbox), ["1|NOW"]);
}

scenario!(markets_and_datasets_do_not_outdate_one_another);
fn markets_and_datasets_do_not_outdate_one_another(sandbox: &Sandbox) {
    sandbox.drop_file("market-2-orders-2022-02-17.csv", &export("TWO", &[("1", &["A"])]));
    sandbox
        .drop_file("market-1-customers-2022-02-17.csv", &table(&["Customer ID,Language", "c1,en"]));
    sync(sandbox);
    sandbox.drop_file("market-1-orders-2022-02-10.csv", &export("ONE", &[("1", &["A"])]));
    sync(sandbox);
    sandbox.drop_file("market-1-orders-2022-02-11.csv", &export("ONE LATER", &[("1", &["A"])]));
    sync(sandbox);
    let orders = sandbox.rows("SELECT market, order_id, order_status FROM orders ORDER BY market");
    assert_eq!(orders, ["1|1|ONE LATER", "2|1|TWO"]);
}

scenario!(a_synced_file_is_archived_or_deleted_if_so_configured);
fn a_synced_file_is_archived_or_deleted_if_so_configured(sandbox: &Sandbox) {
    let name = "Market 1 Orders.csv";
    let archived = sandbox.state_dir().join("archive/sub");
    let first = export("FIRST", &[("1", &["A"])]);
    for (content, archive_name) in
        [(&first, name), (&export("X", &[("1", &["A"])]), "Market 1 Orders.csv.1")]
    {
        sandbox.drop_file(&format!("sub/{name}"), content);
        let report = sandbox.sync_with(&[("TIDEGATE_AFTER_SYNC", "archive")]);
        assert_eq!(report.exit, 0, "{}", report.stderr);
        assert!(!sandbox.inbox().join("sub").join(name).exists());
        assert_eq!(fs::read_to_string(archived.join(archive_name)).ok().as_ref(), Some(content));
    }
    sandbox.drop_file(name, &first);
    sandbox.drop_file("Market 2 Orders.csv", "No,Key\n1,2\n");
    sandbox.drop_file("notes.txt", "keep me");
    assert_eq!(sandbox.sync_with(&[("TIDEGATE_AFTER_SYNC", "delete")]).exit, 1);
    assert!(!sandbox.inbox().join(name).exists(), "it was synced");
    assert!(sandbox.inbox().join("Market 2 Orders.csv").exists(), "it was refused");
    assert!(sandbox.inbox().join("notes.txt").exists(), "it is nobody's");
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM orders"),
        ["1"],
        "a file that vanishes deletes nothing"
    );
}

scenario!(a_file_that_no_dataset_matches_is_listed_once);
fn a_file_that_no_dataset_matches_is_listed_once(sandbox: &Sandbox) {
    sandbox.drop_file("notes.txt", "hello");
    let report = sync(sandbox);
    assert_eq!(report.file("notes.txt").outcome, "unmatched");
    sync(sandbox);
    let ledger = sandbox.rows("SELECT state, dataset, market, size_bytes FROM tidegate_files");
    assert_eq!(ledger, ["unmatched|-|-|5"]);
}
