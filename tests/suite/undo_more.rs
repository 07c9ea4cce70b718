//! What an undo means beside the tables: rejects, held files, proofs, files that are put aside; and
//! an undo that dies on its way.

use crate::sandbox::{Engine, Sandbox, table, wait_for};
use crate::undo::{configure, is_as_it_was, json, run, stored, synced, verify};
use std::fs;

const HEADER: &str = "Order ID,Order Status,Order Total,Currency Symbol,SKU,Total Price";

/// A configuration in which orders that a newer export lacks are removed.
const REMOVING: &str = "deletes_max_percent = 100\n[datasets.orders]\ndeletes = 'remove'\n";

fn orders(status: &str, orders: impl Iterator<Item = u32>) -> String {
    let lines: Vec<String> = std::iter::once(HEADER.to_owned())
        .chain(orders.map(|order| format!("{order},{status},{order}.5,$,S{},{order}.5", order % 7)))
        .collect();
    table(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn undo(sandbox: &Sandbox, config: &str, arguments: &[&str]) -> String {
    let (exit, said) = run(sandbox, config, &[&["undo"], arguments].concat());
    assert_eq!(exit, 0, "{said}");
    said
}

scenario!(an_undo_that_is_killed_goes_on_at_the_next_start);
fn an_undo_that_is_killed_goes_on_at_the_next_start(sandbox: &Sandbox) {
    let config = configure(sandbox, REMOVING);
    synced(sandbox, &config);
    let points = ["after_undo_begin", "before_undo_commit", "after_undo_commit", "before_undo_end"];
    let crashes = points.iter().flat_map(|point| (0..4).map(move |hits| (*point, hits)));
    let mut kills = 0;
    for (number, (point, hits)) in crashes.enumerate() {
        let [first, second] =
            ["01", "02"].map(|day| format!("market-{number}-orders-2024-01-{day}.csv"));
        sandbox.drop_file(&first, &orders("A", 1..700));
        synced(sandbox, &config);
        let before = stored(sandbox);
        // 620 changed, 79 removed, 550 new: more than one transaction of each.
        sandbox.drop_file(&second, &orders("B", (1..621).chain(1000..1550)));
        synced(sandbox, &config);
        let mut command = sandbox.command(&["undo", &second]);
        command.env("TIDEGATE_CONFIG", &config);
        command.env("FAILPOINTS", format!("{point}={hits}*off->return"));
        let killed = command.output().expect("the built program starts");
        let what = format!("{point} after {hits}");
        if killed.status.code().is_none() {
            kills += 1;
            let state = "SELECT state, CASE WHEN position IS NULL THEN 'ended' ELSE 'begun' END FROM tidegate_files";
            let begun = sandbox.rows(&format!("{state} ORDER BY id DESC LIMIT 1"));
            assert_eq!(begun, ["undone|begun"], "{what}");
            // Whatever comes next ends it first: a sync, or another undo.
            match hits % 2 {
                0 => drop(synced(sandbox, &config)),
                _ => {
                    let (exit, said) = run(sandbox, &config, &["undo", &second]);
                    assert_eq!(exit, 1, "{said}");
                    assert!(said.contains("is undone already"), "{said}");
                    synced(sandbox, &config);
                }
            }
        }
        is_as_it_was(sandbox, &before, &what);
    }
    assert!(kills >= 10, "{kills}");
    verify(sandbox, "after all kills");
}

scenario!(rejects_that_a_file_closed_are_open_again);
fn rejects_that_a_file_closed_are_open_again(sandbox: &Sandbox) {
    let config = configure(
        sandbox,
        "rejects_max_percent = 100\n[datasets.sales]\npaths = ['/sales[^/]*$']\nkey = 'ref'\nlines_table = 'sale_lines'\n\
         [datasets.sales.columns]\nsize = { type = 'integer', min = 0 }\n",
    );
    sandbox
        .drop_file("sales.csv", &table(&["ref,size,item", "S1,5,a", "S1,-7,b", "S2,8,c", ",9,d"]));
    synced(sandbox, &config);
    let sales =
        || sandbox.rows("SELECT ref, line_no, size, item FROM sale_lines ORDER BY ref, line_no");
    let open = || {
        sandbox.rows("SELECT r.row_number FROM tidegate_rejects r WHERE closed_at IS NULL ORDER BY r.row_number, id")
    };
    let note = || sandbox.rows("SELECT error FROM tidegate_files ORDER BY id LIMIT 1");
    let (at_first, open_at_first, note_at_first) = (sales(), open(), note());
    assert_eq!((at_first.len(), open_at_first.len()), (1, 3));
    assert!(note_at_first[0].contains("not say of which record"), "{note_at_first:?}");
    // The first copy corrects all; the second corrects one of the rows otherwise.
    let (exit, said) = run(sandbox, &config, &["rejects", "--export", "out"]);
    assert_eq!(exit, 0, "{said}");
    let copy = fs::read_to_string(sandbox.path("out/sales.rejects.csv")).expect("it was exported");
    let first = copy.replace("-7", "7").replace("\n,9,d", "\nS3,9,d");
    assert_ne!(first, copy);
    sandbox.drop_file("sales.rejects.csv", &first);
    synced(sandbox, &config);
    let corrected = sales();
    assert_eq!(open(), [] as [String; 0]);
    assert_eq!(note(), ["-"]);
    assert_eq!(corrected, ["S1|1|5|a", "S1|2|7|b", "S2|1|8|c", "S3|1|9|d"]);
    let cells = "SELECT r.row_number, corrected_key, corrected FROM tidegate_rejects r ORDER BY id";
    let cells_of_first = sandbox.rows(cells);
    sandbox.drop_file("sales.rejects.csv", &first.replace(",7,", ",70,"));
    synced(sandbox, &config);
    assert!(sales().contains(&"S1|2|70|b".to_owned()));
    undo(sandbox, &config, &["sales.rejects.csv"]);
    assert_eq!((sales(), open()), (corrected, vec![]), "the first copy counts again");
    assert_eq!(sandbox.rows(cells), cells_of_first);
    undo(sandbox, &config, &["sales.rejects.csv"]);
    assert_eq!((sales(), open()), (at_first.clone(), open_at_first.clone()));
    assert_eq!(note(), note_at_first);
    // A newer export closes them; its undo opens them again, and closes its own.
    fs::remove_file(sandbox.inbox().join("sales.rejects.csv")).expect("it is there");
    sandbox.drop_file("sales-2.csv", &table(&["ref,size,item", "S1,5,a", "S4,-1,x"]));
    synced(sandbox, &config);
    assert_eq!(open(), ["2"]);
    undo(sandbox, &config, &["sales-2.csv"]);
    assert_eq!((sales(), open()), (at_first, open_at_first));
    let by =
        "SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NOT NULL AND closed_by IS NULL";
    assert_eq!(sandbox.rows(by), ["0"]);
    verify(sandbox, "rejects are open again");
}

scenario!(a_held_file_is_held_again_once_its_successor_is_undone);
fn a_held_file_is_held_again_once_its_successor_is_undone(sandbox: &Sandbox) {
    let config =
        configure(sandbox, "deletes_max_percent = 10\n[datasets.orders]\ndeletes = 'remove'\n");
    let days = ["01", "02", "03"].map(|day| format!("market-1-orders-2024-01-{day}.csv"));
    sandbox.drop_file(&days[0], &orders("A", 1..11));
    synced(sandbox, &config);
    sandbox.drop_file(&days[1], &orders("B", 1..3));
    assert_eq!(sandbox.sync_with(&[("TIDEGATE_CONFIG", &config)]).exit, 1);
    let held = sandbox.rows("SELECT state, error FROM tidegate_files WHERE id = 2");
    assert!(held[0].starts_with("held|"), "{held:?}");
    let before = stored(sandbox);
    sandbox.drop_file(&days[2], &orders("C", 1..11));
    synced(sandbox, &config);
    assert_eq!(sandbox.rows("SELECT state FROM tidegate_files WHERE id = 2"), ["synced"]);
    undo(sandbox, &config, &[&days[2]]);
    assert_eq!(sandbox.rows("SELECT state, error FROM tidegate_files WHERE id = 2"), held);
    is_as_it_was(sandbox, &before, "before the third");
    let (exit, said) = run(sandbox, &config, &["approve", &days[1]]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(
        sandbox.rows("SELECT order_id, order_status FROM orders ORDER BY 1"),
        ["1|B", "2|B"]
    );
    // Its rows and its late deletion are undone together.
    undo(sandbox, &config, &[&days[1]]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders WHERE order_status = 'A'"), ["10"]);
    verify(sandbox, "the held one is undone");
}

scenario!(an_undo_is_refused_where_it_would_leave_later_files_or_lacks_history);
fn an_undo_is_refused_where_it_would_leave_later_files_or_lacks_history(sandbox: &Sandbox) {
    let config = configure(sandbox, "");
    let days = ["01", "02", "03"].map(|day| format!("market-1-orders-2024-01-{day}.csv"));
    for (number, day) in days.iter().enumerate() {
        sandbox.drop_file(day, &orders(&format!("V{number}"), 1..4));
        synced(sandbox, &config);
    }
    sandbox.drop_file("market-2-orders-2024-01-09.csv", &orders("A", 1..4));
    synced(sandbox, &config);
    let all = stored(sandbox);
    let (exit, said) = run(sandbox, &config, &["undo", &days[0]]);
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains(&days[1]) && said.contains(&days[2]) && said.contains("--and-later"),
        "{said}"
    );
    assert!(!said.contains("market-2"), "another market's files stay: {said}");
    let planned = json(sandbox, &config, &["undo", "--dry-run", "--and-later", &days[1]]);
    let names: Vec<&str> = planned["undone"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(|file| file["path"].as_str())
        .collect();
    assert!(
        names.len() == 2 && names[0].ends_with(&days[2]) && names[1].ends_with(&days[1]),
        "{planned}"
    );
    assert_eq!(planned["undone"][0]["rows_modified"], 3);
    is_as_it_was(sandbox, &all, "nothing is undone yet");
    // Late exports come after newer ones: what counts is when they were synced.
    sandbox.drop_file("market-1-orders-2023-12-31.csv", &orders("LATE", 3..6));
    synced(sandbox, &config);
    let (exit, said) = run(sandbox, &config, &["undo", &days[2]]);
    assert!(exit == 1 && said.contains("2023-12-31"), "{said}");
    undo(sandbox, &config, &["market-1-orders-2023-12-31.csv"]);
    is_as_it_was(sandbox, &all, "the late one is undone");
    // What the history has lost cannot be undone, nor what came before it.
    let old = match sandbox.engine {
        Engine::Sqlite => "2020-01-01T00:00:00.000Z",
        _ => "2020-01-01 00:00:00",
    };
    sandbox.execute(&format!("UPDATE tidegate_history SET valid_to = '{old}' WHERE file_id = 2"));
    let kept = sandbox.rows("SELECT COUNT(*) FROM tidegate_history WHERE file_id <> 2");
    synced(sandbox, &config);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_history"), kept);
    let (exit, said) = run(sandbox, &config, &["undo", "--and-later", &days[1]]);
    assert!(exit == 1 && said.contains("does not go back") && said.contains(&days[1]), "{said}");
    is_as_it_was(sandbox, &all, "nothing is undone");
    undo(sandbox, &config, &[&days[2]]);
    assert_eq!(sandbox.rows("SELECT DISTINCT order_status FROM orders WHERE market = '1'"), ["V1"]);
    // Without a history nothing is kept, and nothing can be undone.
    let config = configure(sandbox, "history_keep_days = 0\n");
    sandbox.drop_file("market-2-orders-2024-01-10.csv", &orders("B", 1..4));
    synced(sandbox, &config);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_history"), ["0"]);
    let (exit, said) = run(sandbox, &config, &["undo", "market-2-orders-2024-01-10.csv"]);
    assert!(exit == 1 && said.contains("history_keep_days"), "{said}");
    verify(sandbox, "after refusals");
}

scenario!(tables_of_any_key_and_type_are_undone);
fn tables_of_any_key_and_type_are_undone(sandbox: &Sandbox) {
    let config = configure(
        sandbox,
        "[datasets.stock]\npaths = ['/stock[^/]*$']\nkey = ['sku', 'shop']\n\
         [datasets.events]\npaths = ['/events[^/]*$']\nkind = 'delta'\n",
    );
    let stock = || sandbox.rows("SELECT sku, shop, pieces, weight FROM stock ORDER BY sku, shop");
    let events = || sandbox.rows("SELECT kind, size FROM events ORDER BY kind, size");
    sandbox.drop_file(
        "stock-1.csv",
        &table(&["sku,shop,pieces,weight", "A,1,5,0.25", "A,2,7,1.123456", "B,1,-3,"]),
    );
    sandbox.drop_file("events-1.csv", &table(&["kind,size", "a,1", "b,2"]));
    synced(sandbox, &config);
    let before = (stock(), events());
    // The column becomes text, and two rows change; of events, one is known.
    sandbox.drop_file(
        "stock-2.csv",
        &table(&["sku,shop,pieces,weight,note", "A,1,five,0.5,x", "A,2,7,1.123456,", "C,9,1,1,y"]),
    );
    sandbox.drop_file("events-2.csv", &table(&["kind,size", "b,2", "c,3"]));
    synced(sandbox, &config);
    assert_eq!(stock().len(), 4);
    undo(sandbox, &config, &["stock-2.csv", "events-2.csv"]);
    assert_eq!((stock(), events()), before);
    assert_eq!(sandbox.rows("SELECT COUNT(note) FROM stock"), ["0"]);
    verify(sandbox, "composite keys and rows without a key");
    undo(sandbox, &config, &["stock-1.csv", "events-1.csv"]);
    assert_eq!((stock().len(), events().len()), (0, 0));
}

scenario!(a_file_that_was_cut_off_is_undone_with_what_it_had_written);
fn a_file_that_was_cut_off_is_undone_with_what_it_had_written(sandbox: &Sandbox) {
    let config = configure(sandbox, "");
    let days = ["01", "02"].map(|day| format!("market-1-orders-2024-01-{day}.csv"));
    sandbox.drop_file(&days[0], &orders("A", 1..30_000));
    synced(sandbox, &config);
    let before = stored(sandbox);
    sandbox.drop_file(&days[1], &orders("B", 1..30_000));
    let killed = sandbox.sync_with(&[
        ("TIDEGATE_CONFIG", &config),
        ("TIDEGATE_MEMORY_MAX_MB", "64"),
        ("FAILPOINTS", "after_checkpoint=1*off->return"),
    ]);
    assert_eq!(killed.exit, -1);
    assert_eq!(sandbox.rows("SELECT COUNT(DISTINCT order_status) FROM orders"), ["2"]);
    let (exit, said) = run(sandbox, &config, &["undo", &days[0]]);
    assert!(exit == 1 && said.contains(&days[1]), "it has rows in the tables: {said}");
    undo(sandbox, &config, &[&days[1]]);
    is_as_it_was(sandbox, &before, "before the one that was cut off");
    assert!(synced(sandbox, &config).file(&days[1]).outcome == "undone");
    verify(sandbox, "after the one that was cut off");
}

scenario!(files_of_several_feeds_of_a_table_are_undone_in_the_order_of_their_sync);
fn files_of_several_feeds_of_a_table_are_undone_in_the_order_of_their_sync(sandbox: &Sandbox) {
    let feed = |name: &str| {
        format!(
            "[datasets.{name}]\npaths = ['/{name}[^/]*$']\nkind = 'delta'\ntable = 'goods'\nkey = 'sku'\n"
        )
    };
    let config = configure(sandbox, &["shop", "depot"].map(feed).concat());
    let goods = || sandbox.rows("SELECT sku, name, _file_id FROM goods ORDER BY sku");
    let mut before = Vec::new();
    let files = [
        ("shop-1.csv", vec!["sku,name", "A,a", "B,b"]),
        ("depot-1.csv", vec!["sku,name", "C,c", "D,d"]),
        ("shop-2.csv", vec!["sku,name", "A,aa", "B,b"]),
        ("depot-2.csv", vec!["sku,name", "D,dd", "E,e"]),
    ];
    for (name, lines) in &files {
        sandbox.drop_file(name, &table(lines));
        if *name != "shop-1.csv" {
            before.push(goods());
        }
        synced(sandbox, &config);
    }
    let (exit, said) = run(sandbox, &config, &["undo", "shop-2.csv"]);
    assert!(exit == 1 && said.contains("depot-2.csv") && !said.contains("depot-1"), "{said}");
    for (name, _) in files.iter().skip(1).rev() {
        undo(sandbox, &config, &[name]);
        assert_eq!(Some(goods()), before.pop(), "{name}");
    }
    undo(sandbox, &config, &["shop-1.csv"]);
    assert_eq!(goods(), [] as [String; 0]);
}

scenario!(what_an_undone_file_proved_of_numbers_is_forgotten);
fn what_an_undone_file_proved_of_numbers_is_forgotten(sandbox: &Sandbox) {
    let config = configure(sandbox, "[datasets.prices]\npaths = ['/prices[^/]*$']\nkey = 'sku'\n");
    sandbox.drop_file("prices-1.csv", &table(&["sku;price", "A;1.250"]));
    synced(sandbox, &config);
    let proofs = || {
        sandbox.rows(
            "SELECT column_name, decimal_sign, file_id FROM tidegate_number_forms ORDER BY id",
        )
    };
    let before = proofs();
    sandbox.drop_file("prices-2.csv", &table(&["sku;price;cost", "A;12,5;7,25"]));
    synced(sandbox, &config);
    assert_ne!(proofs(), before);
    undo(sandbox, &config, &["prices-2.csv"]);
    assert_eq!(proofs(), before);
    assert_eq!(sandbox.rows("SELECT sku, price FROM prices"), ["A|1.250"]);
}

scenario!(a_dismissed_file_needs_nobody_until_its_content_changes_or_somebody_wants_it);
fn a_dismissed_file_needs_nobody_until_its_content_changes_or_somebody_wants_it(sandbox: &Sandbox) {
    let config = configure(sandbox, "");
    sandbox.drop_file("odd.csv", "a,b\n1,2\n");
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,Order Status\n\0\n\0\n");
    assert_eq!(sandbox.sync_with(&[("TIDEGATE_CONFIG", &config)]).exit, 1);
    let states = || sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
    let mut both = states();
    both.sort();
    assert_eq!(both, ["quarantined", "unmatched"]);
    for name in ["odd.csv", "Market 1 Orders.csv"] {
        let (exit, said) = run(sandbox, &config, &["dismiss", name]);
        assert_eq!(exit, 0, "{said}");
        let (exit, said) = run(sandbox, &config, &["dismiss", name]);
        assert!(exit == 1 && said.contains("needs nobody"), "{said}");
    }
    for _ in 0..2 {
        let report = synced(sandbox, &config);
        assert!(report.files.iter().all(|file| file.outcome == "dismissed"), "{report:?}");
    }
    assert_eq!(states(), ["dismissed", "dismissed"]);
    let (exit, said) = run(sandbox, &config, &["approve", "Market 1 Orders.csv"]);
    assert!(exit == 1 && said.contains("quarantined"), "{said}");
    sandbox.drop_file("odd.csv", "a,b\n1,3\n");
    sandbox.drop_file("Market 1 Orders.csv", &orders("A", 1..3));
    synced(sandbox, &config);
    let mut later = states().split_off(2);
    later.sort();
    assert_eq!(later, ["quarantined", "synced", "unmatched"]);
}

scenario!(a_resync_takes_the_files_again_that_are_there);
fn a_resync_takes_the_files_again_that_are_there(sandbox: &Sandbox) {
    let config = configure(sandbox, "");
    for market in 1..4 {
        sandbox.drop_file(&format!("market-{market}-orders-2024-01-01.csv"), &orders("A", 1..4));
    }
    synced(sandbox, &config);
    let before = sandbox.dump();
    sandbox.execute("DELETE FROM order_items WHERE order_id = '2'");
    sandbox.execute("DELETE FROM orders WHERE order_id = '2'");
    fs::remove_file(sandbox.inbox().join("market-3-orders-2024-01-01.csv")).expect("it is there");
    let report = json(sandbox, &config, &["resync", "orders", "2"]);
    assert_eq!(report["files"].as_array().expect("files").len(), 1);
    assert_eq!(report["files"][0]["new"], 2, "an order and its line");
    let report = json(sandbox, &config, &["resync", "orders"]);
    assert_eq!(report["files"].as_array().expect("files").len(), 2, "one is gone");
    assert_eq!(sandbox.rows("SELECT DISTINCT state FROM tidegate_files"), ["synced"]);
    let lost = sandbox.rows("SELECT market FROM orders GROUP BY market HAVING COUNT(*) < 3");
    assert_eq!(lost, ["3"]);
    for (table, rows) in sandbox.dump() {
        let of_3 = |row: &String| row.split('|').any(|cell| cell == "3");
        let kept =
            |rows: &[String]| rows.iter().filter(|row| !of_3(row)).cloned().collect::<Vec<_>>();
        assert_eq!(kept(&rows), kept(&before[table]), "{table}");
    }
    let (exit, said) = run(sandbox, &config, &["resync", "order"]);
    assert!(exit == 2 && said.contains("orders"), "{said}");
    let (exit, said) = run(sandbox, &config, &["resync", "orders", "9"]);
    assert!(exit == 1 && said.contains("still there"), "{said}");
}

scenario!(a_daemon_takes_undone_and_resynced_files_that_are_wanted_again);
fn a_daemon_takes_undone_and_resynced_files_that_are_wanted_again(sandbox: &Sandbox) {
    let config = configure(sandbox, "settle_ms = 10\nsettle_scan_ms = 10\n");
    sandbox.drop_file("Market 1 Orders.csv", &orders("A", 1..4));
    synced(sandbox, &config);
    undo(sandbox, &config, &["Market 1 Orders.csv"]);
    let _daemon = sandbox.start_daemon(&[("TIDEGATE_CONFIG", &config)]);
    sandbox.drop_file("Market 2 Orders.csv", &orders("A", 1..4));
    let states = || sandbox.rows("SELECT state FROM tidegate_files ORDER BY id");
    wait_for("the other file", || states() == ["undone", "synced"]);
    let (exit, said) = run(sandbox, &config, &["approve", "Market 1 Orders.csv"]);
    assert_eq!(exit, 0, "{said}");
    wait_for("the approved file", || states() == ["undone", "synced", "synced"]);
    let (exit, said) = run(sandbox, &config, &["resync", "orders", "2"]);
    assert_eq!(exit, 0, "{said}");
    wait_for("the file once more", || states() == ["undone", "synced", "synced", "synced"]);
    let (exit, said) = run(sandbox, &config, &["undo", "Market 2 Orders.csv"]);
    assert!(exit == 2 && said.contains("writes to this database"), "{said}");
}

scenario!(a_record_is_explained_version_by_version);
fn a_record_is_explained_version_by_version(sandbox: &Sandbox) {
    let config = configure(sandbox, REMOVING);
    let days = ["01", "02", "03", "04"].map(|day| format!("market-1-orders-2024-01-{day}.csv"));
    let rest = orders("A", 1..30).replace(HEADER, "");
    let with = |row: &str| format!("{HEADER}\n{row}{}", rest.trim_start());
    sandbox.drop_file(&days[0], &with("77,A,1.5,$,S1,1.5\n77,A,1.5,$,S2,2\n"));
    synced(sandbox, &config);
    sandbox.drop_file(&days[1], &with("77,B,about 7,$,S1,1.5\n"));
    synced(sandbox, &config);
    sandbox.drop_file(&days[2], &with(""));
    synced(sandbox, &config);
    sandbox.drop_file(&days[3], &with("77,C,9,$,S1,1.5\n"));
    synced(sandbox, &config);
    undo(sandbox, &config, &[&days[3]]);
    let explained = json(sandbox, &config, &["explain", "orders", "77"]);
    let record = &explained["records"][0];
    assert_eq!((&record["market"], &record["is_stored"]), (&"1".into(), &false.into()));
    let versions = record["versions"].as_array().expect("versions");
    let told: Vec<String> = versions
        .iter()
        .map(|version| {
            format!("{} {} {}", version["file"]["id"], version["ended"], version["ended_by"]["id"])
        })
        .collect();
    assert_eq!(told, ["1 \"modified\" 2", "2 \"deleted\" 3", "4 \"undone\" 4"]);
    let changes: Vec<String> = versions[1]["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|cell| format!("{} {} {}", cell["column"], cell["old"], cell["new"]))
        .collect();
    assert!(changes.contains(&"\"order_status\" \"A\" \"B\"".to_owned()), "{changes:?}");
    assert!(changes.contains(&"\"order_total\" \"1.5\" null".to_owned()), "{changes:?}");
    assert!(changes.contains(&"\"2: sku\" \"S2\" null".to_owned()), "{changes:?}");
    assert_eq!(versions[1]["rescued"][0][1], "about 7");
    assert_eq!(versions[0]["record"]["_lines"][1]["total_price"], "2");
    let (exit, text) = run(sandbox, &config, &["explain", "order_items", "77", "--market", "1"]);
    assert_eq!(exit, 0, "{text}");
    for said in [
        "not stored any more",
        "order_status: A → B",
        "order_total is rescued: about 7",
        &days[2],
        ", undone)",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (exit, text) = run(sandbox, &config, &["explain", "orders", "78"]);
    assert!(exit == 1 && text.contains("nothing is known of 78"), "{text}");
    let (exit, text) = run(sandbox, &config, &["explain", "order", "78"]);
    assert!(exit == 2 && text.contains("orders"), "{text}");
    let stored = json(sandbox, &config, &["explain", "orders", "5"]);
    assert_eq!(stored["records"][0]["versions"].as_array().map(Vec::len), Some(1));
    assert_eq!(stored["records"][0]["mentioned_by"][0]["file"]["id"], 1);
}

scenario!(a_first_load_and_an_unchanged_export_write_no_history);
fn a_first_load_and_an_unchanged_export_write_no_history(sandbox: &Sandbox) {
    let config = configure(sandbox, "[datasets.customers]\nkind = 'delta'\n");
    let kept =
        || sandbox.rows("SELECT change, file_id, written_by FROM tidegate_history ORDER BY id");
    let kept = || match sandbox.engine {
        Engine::Mariadb => {
            sandbox.rows("SELECT `change`, file_id, written_by FROM tidegate_history ORDER BY id")
        }
        _ => kept(),
    };
    sandbox.drop_file("market-1-orders-2024-01-01.csv", &orders("A", 1..40));
    sandbox.drop_file(
        "market-1-customers-2024-01-01.json",
        r#"[{"customer_id":"a"},{"customer_id":"b"}]"#,
    );
    synced(sandbox, &config);
    sandbox.drop_file("market-1-orders-2024-01-02.csv", &orders("A", 1..40));
    synced(sandbox, &config);
    assert_eq!(kept(), [] as [String; 0]);
    // A delta confirms what it mentions.
    sandbox.drop_file(
        "market-1-customers-2024-01-02.json",
        r#"[{"customer_id":"b"},{"customer_id":"c"}]"#,
    );
    synced(sandbox, &config);
    let by = |name: &str| {
        sandbox.rows(&format!("SELECT id FROM tidegate_files WHERE path LIKE '%{name}'"))[0].clone()
    };
    let (first, second) = (by("customers-2024-01-01.json"), by("customers-2024-01-02.json"));
    assert_eq!(kept(), [format!("confirmed|{second}|{first}")]);
    let files = || sandbox.rows("SELECT customer_id, _file_id FROM customers ORDER BY 1");
    assert_eq!(files(), [format!("a|{first}"), format!("b|{second}"), format!("c|{second}")]);
    undo(sandbox, &config, &["market-1-customers-2024-01-02.json"]);
    assert_eq!(files(), [format!("a|{first}"), format!("b|{first}")]);
}
