//! Deletes: records that the newest full export does not mention stay, are marked, or go; and
//! nothing goes that a damaged export only seems to have lost.

use crate::exports::{SMALL_CHUNKS, assert_same, everything};
use crate::marts::check;
use crate::sandbox::{Report, Sandbox, table, wait_for};
use crate::shop::Shop;
use std::fs;
use std::process::{Command, Output};

const ORDERS: &str = "Market 1 Orders.csv";
const HEADER: &str = "Order ID,Order Status,SKU,Total Price";

/// A configuration in which every dataset deletes in that way.
fn configure(sandbox: &Sandbox, deletes: &str, percent: u8) -> String {
    let config = sandbox.path("tidegate.toml");
    let datasets = ["customers", "orders", "deliveries"]
        .map(|name| format!("[datasets.{name}]\ndeletes = '{deletes}'\n"));
    let text = format!("deletes_max_percent = {percent}\n{}", datasets.concat());
    fs::write(&config, text).expect("a writable temporary directory");
    config.to_string_lossy().into_owned()
}

fn sync(sandbox: &Sandbox, config: &str) -> Report {
    sandbox.sync_with(&[("TIDEGATE_CONFIG", config), SMALL_CHUNKS])
}

fn synced(sandbox: &Sandbox, config: &str) -> Report {
    let report = sync(sandbox, config);
    assert_eq!(report.exit, 0, "{:?} {}", report.files, report.stderr);
    report
}

/// Tables, hashes, marts and counts agree.
fn verify(sandbox: &Sandbox) {
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// `tidegate approve FILE`: how it ended, and what it printed.
fn approve(sandbox: &Sandbox, config: &str, file: &str) -> (i32, String) {
    let mut command: Command = sandbox.command(&["approve", file]);
    let Output { status, stdout, stderr } =
        command.env("TIDEGATE_CONFIG", config).output().expect("the built program starts");
    let text = [stdout, stderr].concat();
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// An export of orders: number, status, and number of lines.
fn orders(orders: &[(u32, &str, u32)]) -> String {
    let lines = orders.iter().flat_map(|&(order, status, lines)| {
        (1..=lines).map(move |line| format!("{order},{status},S{line},{line}.50"))
    });
    let lines: Vec<String> = std::iter::once(HEADER.to_owned()).chain(lines).collect();
    table(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn ten_orders(status: &str) -> Vec<(u32, &str, u32)> {
    (1..=10).map(|order| (order, status, 2)).collect()
}

fn stored(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT order_id FROM orders ORDER BY length(order_id), order_id")
}

fn live(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows(
        "SELECT order_id FROM orders WHERE _deleted_at IS NULL ORDER BY length(order_id), order_id",
    )
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT state FROM tidegate_files ORDER BY id")
}

/// A shop without every third order and every fourth task.
fn smaller(shop: &Shop) -> Shop {
    fn without<T: Clone>(all: &[T], every: usize) -> Vec<T> {
        all.iter()
            .enumerate()
            .filter(|(index, _)| index % every != 1)
            .map(|(_, one)| one.clone())
            .collect()
    }
    Shop { orders: without(&shop.orders, 3), tasks: without(&shop.tasks, 4) }
}

fn drop_shop(sandbox: &Sandbox, shop: &Shop) {
    sandbox.drop_file(ORDERS, &shop.orders_csv());
    sandbox.drop_file("Market 1 Deliveries.csv", &shop.deliveries_csv());
}

scenario!(records_that_a_newer_export_does_not_mention_stay_unless_the_dataset_says_otherwise);
fn records_that_a_newer_export_does_not_mention_stay_unless_the_dataset_says_otherwise(
    sandbox: &Sandbox,
) {
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    synced(sandbox, &configure(sandbox, "keep", 0));
    sandbox.drop_file(ORDERS, &orders(&[(1, "B", 1)]));
    let report = synced(sandbox, &configure(sandbox, "keep", 0));
    assert_eq!(stored(sandbox).len(), 10);
    assert_eq!(report.file(ORDERS).changes(), (0, 1, 1, 1));
    assert!(!sandbox.columns("orders").contains(&"_deleted_at".to_owned()));
    // The setting takes effect with the next export, and is no reason to sync one again.
    let report = synced(sandbox, &configure(sandbox, "remove", 100));
    assert_eq!(report.file(ORDERS).outcome, "unchanged");
    assert_eq!(stored(sandbox).len(), 10);
}

scenario!(removed_records_go_with_all_their_lines_and_leave_every_mart);
fn removed_records_go_with_all_their_lines_and_leave_every_mart(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 50);
    let shop = Shop::any(7);
    drop_shop(sandbox, &shop);
    synced(sandbox, &config);
    check(sandbox, "1", &shop, "before");
    let smaller = smaller(&shop);
    drop_shop(sandbox, &smaller);
    let report = synced(sandbox, &config);
    let lost: usize = shop.orders.iter().map(|order| 1 + order.items.len()).sum::<usize>()
        - smaller.orders.iter().map(|order| 1 + order.items.len()).sum::<usize>();
    assert_eq!(report.file(ORDERS).counts["deleted"], lost as u64);
    check(sandbox, "1", &smaller, "after");
    verify(sandbox);
    let clean = sandbox.sibling();
    drop_shop(&clean, &smaller);
    synced(&clean, &config);
    assert_same(&sandbox.dump(), &clean.dump(), "removed");
    // They come back as new ones.
    drop_shop(sandbox, &shop);
    synced(sandbox, &config);
    check(sandbox, "1", &shop, "after they came back");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_dirty_groups"), ["0"]);
}

scenario!(marked_records_leave_marts_and_views_until_they_reappear);
fn marked_records_leave_marts_and_views_until_they_reappear(sandbox: &Sandbox) {
    let config = configure(sandbox, "mark", 50);
    let shop = Shop::any(11);
    drop_shop(sandbox, &shop);
    let customers = table(&["Customer ID,Language", "c1,en", "c2,en", "c3,en"]);
    sandbox.drop_file("Market 1 Customers.csv", &customers);
    synced(sandbox, &config);
    let before = sandbox.dump();
    let smaller = smaller(&shop);
    drop_shop(sandbox, &smaller);
    sandbox
        .drop_file("Market 1 Customers.csv", &table(&["Customer ID,Language", "c1,en", "c3,en"]));
    let report = synced(sandbox, &config);
    let lost = (shop.orders.len() - smaller.orders.len()) as u64;
    assert_eq!(report.file(ORDERS).changes().3, lost, "a marked record is one row");
    check(sandbox, "1", &smaller, "after records were marked");
    verify(sandbox);
    assert_eq!(live(sandbox).len(), smaller.orders.len());
    assert_eq!(stored(sandbox).len(), shop.orders.len());
    let count = |view: &str| sandbox.rows(&format!("SELECT COUNT(*) FROM {view}"));
    assert_eq!(count("enriched_orders"), [smaller.orders.len().to_string()]);
    assert_eq!(count("enriched_deliveries"), [smaller.tasks.len().to_string()]);
    let of_marked = "SELECT COUNT(customer_language) FROM enriched_orders WHERE customer_id = 'c2'";
    assert_eq!(sandbox.rows(of_marked), ["0"], "a marked customer is none");
    let live_c1 =
        "SELECT COUNT(*) - COUNT(customer_language) FROM enriched_orders WHERE customer_id = 'c1'";
    assert_eq!(sandbox.rows(live_c1), ["0"]);
    let orphans = "SELECT COUNT(*) FROM enriched_deliveries d WHERE d.order_status IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM orders o WHERE o.order_id = d.order_id AND o._deleted_at IS NULL)";
    assert_eq!(sandbox.rows(orphans), ["0"], "a task shows nothing of a marked order");
    let changes = "SELECT table_name, column_name, change_kind, new_type FROM tidegate_schema_changes ORDER BY table_name";
    let added = |table: &str| format!("{table}|_deleted_at|add_column|timestamp");
    assert_eq!(sandbox.rows(changes), ["customers", "deliveries", "orders"].map(added));
    // The same again changes nothing, and marks nothing anew.
    let marks = sandbox.rows("SELECT order_id, _deleted_at FROM orders ORDER BY order_id");
    drop_shop(
        sandbox,
        &Shop { orders: smaller.orders.iter().rev().cloned().collect(), tasks: smaller.tasks },
    );
    assert_eq!(synced(sandbox, &config).file(ORDERS).changes().3, 0);
    assert_eq!(sandbox.rows("SELECT order_id, _deleted_at FROM orders ORDER BY order_id"), marks);
    // As they were: what was only marked counts as modified.
    drop_shop(sandbox, &shop);
    sandbox.drop_file("Market 1 Customers.csv", &customers);
    let report = synced(sandbox, &config);
    assert_eq!((report.file(ORDERS).changes().0, report.file(ORDERS).changes().1), (0, lost));
    let of_file = "SELECT COUNT(*) FROM orders WHERE _file_id = (SELECT MAX(id) FROM tidegate_files WHERE dataset = 'orders')";
    assert_eq!(sandbox.rows(of_file), [lost.to_string()]);
    check(sandbox, "1", &shop, "after they reappeared");
    assert_same(&sandbox.dump(), &before, "reappeared");
}

scenario!(too_large_a_deletion_is_held_until_it_is_approved);
fn too_large_a_deletion_is_held_until_it_is_approved(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 10);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    sandbox.drop_file("Market 2 Orders.csv", &orders(&ten_orders("A")));
    synced(sandbox, &config);
    // One of ten is 10 %, which is allowed.
    sandbox.drop_file("Market 2 Orders.csv", &orders(&ten_orders("A")[1..]));
    synced(sandbox, &config);
    sandbox.drop_file(ORDERS, &orders(&[(1, "B", 2), (2, "A", 2), (11, "A", 1)]));
    let report = sync(sandbox, &config);
    assert_eq!(report.exit, 1, "{}", report.stderr);
    let held = report.file(ORDERS);
    assert_eq!(held.outcome, "held");
    assert_eq!(held.changes(), (2, 1, 5, 0), "its rows are written");
    let path = sandbox.inbox().canonicalize().expect("it is there").join(ORDERS);
    let said = format!(
        "it does not mention 8 of the 11 stored orders of market 1, which is 72.7 % where deletes_max_percent allows 10; \
             nothing was deleted. If the export is right, run: tidegate approve '{}'; else drop a right one",
        path.display()
    );
    assert_eq!(held.error, said);
    let ledger = "SELECT state, rows_deleted, error FROM tidegate_files ORDER BY id DESC LIMIT 1";
    assert_eq!(sandbox.rows(ledger), [format!("held|0|{said}")]);
    let of_market = "SELECT COUNT(*) FROM orders WHERE market = '1'";
    assert_eq!(sandbox.rows(of_market), ["11"]);
    verify(sandbox);
    // It is held as long as nobody approves it.
    let report = sync(sandbox, &config);
    assert_eq!((report.exit, report.file(ORDERS).outcome.as_str()), (1, "held"));
    let (exit, said) = approve(sandbox, &config, ORDERS);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("−24"), "{said}");
    assert_eq!(sandbox.rows(ledger), ["synced|24|-"]);
    assert_eq!(
        sandbox.rows("SELECT order_id FROM orders WHERE market = '1' ORDER BY 1"),
        ["1", "11", "2"]
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders WHERE market = '2'"), ["9"]);
    assert_eq!(synced(sandbox, &config).file(ORDERS).outcome, "unchanged");
    let (exit, said) = approve(sandbox, &config, ORDERS);
    assert_eq!(exit, 2, "{said}");
    assert!(
        said.contains("is neither held nor quarantined, undone or dismissed; no file is"),
        "{said}"
    );
}

scenario!(a_newer_export_supersedes_a_held_one);
fn a_newer_export_supersedes_a_held_one(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 10);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    synced(sandbox, &config);
    sandbox.drop_file(ORDERS, &table(&[HEADER]));
    assert_eq!(sync(sandbox, &config).file(ORDERS).outcome, "held", "an empty export");
    // A late one does not.
    sandbox.drop_file("market-1-orders-2020-01-01.csv", &orders(&[(1, "LATE", 1)]));
    assert_eq!(sync(sandbox, &config).exit, 1);
    assert_eq!(states(sandbox), ["synced", "held", "synced"]);
    let full = orders(&ten_orders("A")[..9]);
    sandbox.drop_file("new/Market 1 Orders.csv", &full);
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &config)]);
    assert_eq!(report.exit, 0, "the old one was met first, held, and is held no more: {report:?}");
    assert!(report.files.iter().all(|file| file.outcome != "held"), "{report:?}");
    assert_eq!(states(sandbox), ["synced", "synced", "synced", "synced"]);
    let note = sandbox.rows("SELECT error FROM tidegate_files WHERE id = 2");
    assert!(
        note[0].starts_with("superseded by ") && note[0].ends_with("its deletion was never made"),
        "{note:?}"
    );
    assert_eq!(stored(sandbox).len(), 9);
    assert_eq!(synced(sandbox, &config).file("Market 1 Orders.csv").outcome, "unchanged");
}

scenario!(what_a_file_mentions_is_never_deleted_whatever_state_it_is_in);
fn what_a_file_mentions_is_never_deleted_whatever_state_it_is_in(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 50);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    synced(sandbox, &config);
    // Order 1 cannot be loaded, order 2 has a faulty row, and orders 3 and 4 are gone.
    let rest = orders(&ten_orders("B")[4..]).replace(HEADER, "");
    let damaged = format!("{HEADER}\n1,B,\0,1\n2,B,S1,1\n2,B,\0,2\n{}", rest.trim_start());
    let environment =
        [("TIDEGATE_CONFIG", config.as_str()), ("TIDEGATE_REJECTS_MAX_PERCENT", "50")];
    sandbox.drop_file(ORDERS, &damaged);
    let report = sandbox.sync_with(&environment);
    assert_eq!(report.exit, 0, "{:?}", report.files);
    let statuses = sandbox
        .rows("SELECT order_id, order_status FROM orders ORDER BY length(order_id), order_id");
    assert_eq!(statuses, ["1|A", "2|A", "5|B", "6|B", "7|B", "8|B", "9|B", "10|B"]);
    // A row that does not say of which order it is may be of any.
    sandbox.drop_file(ORDERS, &format!("{damaged}3.68E+29,B,S,1\n").replace("\n10,", "\n11,"));
    let report = sandbox.sync_with(&environment);
    assert_eq!(
        (report.exit, report.file(ORDERS).outcome.as_str()),
        (1, "held"),
        "{}",
        report.stderr
    );
    let error = &report.file(ORDERS).error;
    assert!(
        error.contains("does not mention 1 of the 9 stored orders of market 1, but 1 of its rows"),
        "{error}"
    );
    assert_eq!(stored(sandbox).len(), 9);
    let (exit, said) = approve(sandbox, &config, ORDERS);
    // The limit on rejects is part of the configuration.
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("rejects_max_percent"), "{said}");
}

scenario!(what_a_newer_export_does_not_mention_a_late_one_does_not_bring_back);
fn what_a_newer_export_does_not_mention_a_late_one_does_not_bring_back(sandbox: &Sandbox) {
    let late = "market-1-orders-2022-02-15.csv";
    for deletes in ["remove", "mark"] {
        let sandbox = &sandbox.sibling();
        let config = configure(sandbox, deletes, 50);
        sandbox.drop_file("market-1-orders-2022-02-16.csv", &orders(&ten_orders("A")));
        synced(sandbox, &config);
        sandbox.drop_file("market-1-orders-2022-02-17.csv", &orders(&ten_orders("A")[2..]));
        synced(sandbox, &config);
        sandbox.drop_file(late, &orders(&[(1, "LATE", 1), (3, "LATE", 1), (12, "LATE", 2)]));
        let report = synced(sandbox, &config);
        let counts = &report.file(late).counts;
        if deletes == "remove" {
            assert_eq!((report.file(late).changes(), counts["stale"]), ((0, 0, 0, 0), 7));
            assert_eq!(stored(sandbox).len(), 8);
        } else {
            assert_eq!((report.file(late).changes(), counts["stale"]), ((3, 0, 0, 0), 4));
            assert_eq!(stored(sandbox).len(), 11);
            assert_eq!(live(sandbox).len(), 8);
        }
        assert_eq!(sandbox.rows("SELECT COUNT(*) FROM enriched_orders"), ["8"]);
        assert_eq!(
            sandbox
                .rows("SELECT COUNT(*) FROM order_items WHERE sku = 'S1' AND order_id = '12'")
                .len(),
            1
        );
        assert_eq!(
            sandbox.rows("SELECT orders_count FROM product_metrics WHERE sku = 'S1'"),
            ["8"]
        );
    }
}

scenario!(a_delta_deletes_nothing_and_brings_marked_records_back);
fn a_delta_deletes_nothing_and_brings_marked_records_back(sandbox: &Sandbox) {
    let config = configure(sandbox, "mark", 50);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    synced(sandbox, &config);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")[3..]));
    synced(sandbox, &config);
    assert_eq!(live(sandbox).len(), 7);
    let text = fs::read_to_string(&config).expect("it was written");
    fs::write(&config, text.replace("[datasets.orders]", "[datasets.orders]\nkind = 'delta'"))
        .expect("writable");
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")[..1]));
    assert_eq!(synced(sandbox, &config).file(ORDERS).changes(), (0, 1, 2, 0));
    assert_eq!(live(sandbox).len(), 8);
}

scenario!(a_deletion_that_a_kill_interrupted_is_finished);
fn a_deletion_that_a_kill_interrupted_is_finished(sandbox: &Sandbox) {
    for (point, deletes) in [("before_delete", "remove"), ("during_deletes", "mark")] {
        for hits_before in 0..3 {
            let (killed, clean) = (sandbox.sibling(), sandbox.sibling());
            let many: Vec<(u32, &str, u32)> = (1..=6500).map(|order| (order, "A", 1)).collect();
            let config = configure(&killed, deletes, 80);
            for (content, is_killed) in [(orders(&many), false), (orders(&many[..1500]), true)] {
                killed.drop_file(ORDERS, &content);
                clean.drop_file(ORDERS, &content);
                synced(&clean, &config);
                let failpoints = format!("{point}={hits_before}*off->return");
                if is_killed {
                    let report = killed
                        .sync_with(&[("TIDEGATE_CONFIG", &config), ("FAILPOINTS", &failpoints)]);
                    assert_eq!(report.exit, -1, "{point}: {}", report.stderr);
                    assert_eq!(
                        killed.rows("SELECT COUNT(*) FROM tidegate_files WHERE state = 'syncing'"),
                        ["1"]
                    );
                }
                synced(&killed, &config);
            }
            assert_same(
                &everything(&killed),
                &everything(&clean),
                &format!("{point} after {hits_before}, {deletes}"),
            );
        }
    }
}

scenario!(newer_content_over_a_file_killed_in_its_deletion_has_the_last_word);
fn newer_content_over_a_file_killed_in_its_deletion_has_the_last_word(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 70);
    let many: Vec<(u32, &str, u32)> = (1..=5000).map(|order| (order, "A", 1)).collect();
    sandbox.drop_file(ORDERS, &orders(&many));
    synced(sandbox, &config);
    sandbox.drop_file(ORDERS, &orders(&many[..2000]));
    let report =
        sandbox.sync_with(&[("TIDEGATE_CONFIG", &config), ("FAILPOINTS", "during_deletes=return")]);
    assert_eq!(report.exit, -1);
    sandbox.drop_file(ORDERS, &orders(&many[1500..]));
    synced(sandbox, &config);
    let clean = sandbox.sibling();
    clean.drop_file(ORDERS, &orders(&many[1500..]));
    synced(&clean, &config);
    assert_same(&sandbox.dump(), &clean.dump(), "newer content");
}

scenario!(a_kill_after_the_approval_does_not_ask_again);
fn a_kill_after_the_approval_does_not_ask_again(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 10);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    synced(sandbox, &config);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")[8..]));
    assert_eq!(sync(sandbox, &config).exit, 1);
    let mut command = sandbox.command(&["approve", ORDERS]);
    command.env("TIDEGATE_CONFIG", &config).env("FAILPOINTS", "before_delete=return");
    assert_eq!(command.output().expect("it starts").status.code(), None, "it was killed");
    assert_eq!(stored(sandbox).len(), 10);
    synced(sandbox, &config);
    assert_eq!(stored(sandbox), ["9", "10"]);
}

scenario!(an_approval_says_what_is_wrong_with_it);
fn an_approval_says_what_is_wrong_with_it(sandbox: &Sandbox) {
    let config = configure(sandbox, "remove", 10);
    for market in ["a", "b"] {
        sandbox.drop_file(&format!("market-{market}/orders.csv"), &orders(&ten_orders("A")));
    }
    synced(sandbox, &config);
    for market in ["a", "b"] {
        sandbox.drop_file(&format!("market-{market}/orders.csv"), &orders(&ten_orders("A")[5..]));
    }
    assert_eq!(sync(sandbox, &config).exit, 1);
    let (exit, said) = approve(sandbox, &config, "orders.csv");
    assert_eq!(exit, 2);
    assert!(said.contains("give a path:") && said.contains("market-a/orders.csv"), "{said}");
    let (exit, said) = approve(sandbox, &config, "customers.csv");
    assert_eq!(exit, 2);
    assert!(
        said.contains("is neither held nor quarantined, undone or dismissed; these files are:")
            && said.contains("market-b/orders.csv"),
        "{said}"
    );
    let path = sandbox.inbox().join("market-a/orders.csv");
    let content = fs::read(&path).expect("it is there");
    fs::remove_file(&path).expect("it is there");
    let (exit, said) = approve(sandbox, &config, &path.to_string_lossy());
    assert!(exit == 1 && said.contains("is gone"), "{exit} {said}");
    fs::write(&path, [&content[..], b"20,A,S1,1\n"].concat()).expect("writable");
    let (exit, said) = approve(sandbox, &config, &path.to_string_lossy());
    assert!(exit == 1 && said.contains("has another content now"), "{exit} {said}");
    fs::write(&path, content).expect("writable");
    let (exit, said) = approve(sandbox, &config, "inbox/market-a/orders.csv");
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = approve(sandbox, &config, "orders.csv");
    assert_eq!(exit, 0, "it is the only one left: {said}");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["10"]);
}

scenario!(a_running_daemon_takes_an_approval_up);
fn a_running_daemon_takes_an_approval_up(sandbox: &Sandbox) {
    let config = configure(sandbox, "mark", 10);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")));
    synced(sandbox, &config);
    sandbox.drop_file(ORDERS, &orders(&ten_orders("A")[3..]));
    let fast = ("TIDEGATE_SETTLE_SCAN_MS", "50");
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_CONFIG", &config), fast]);
    wait_for("the file to be held", || states(sandbox).contains(&"held".to_owned()));
    let (exit, said) = approve(sandbox, &config, ORDERS);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("made the deletion: 3 table rows deleted"), "{said}");
    assert_eq!(states(sandbox), ["synced", "synced"]);
    assert_eq!(live(sandbox).len(), 7);
    assert_eq!(daemon.terminate().0, 0);
}
