//! Rows of unknown records: a row whose key cannot be read may belong to any record, so nothing is
//! deleted for it, and once its key is known it stands among the other rows of its record.

use crate::sandbox::{Report, Sandbox, table};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const REJECTS: &str = "Market 1 Orders.rejects.csv";
const HEADER: &str = "Order ID,Order Status,SKU,Quantity,Total Price,Order Total";

const LENIENT: (&str, &str) = ("TIDEGATE_REJECTS_MAX_PERCENT", "100");

fn export(rows: &[&str]) -> String {
    table(&[&[HEADER], rows].concat())
}

fn sync(sandbox: &Sandbox) -> Report {
    let report = sandbox.sync_with(&[LENIENT]);
    assert_eq!(report.exit, 0, "{:?} {}", report.files, report.stderr);
    check(sandbox);
    report
}

/// What always holds.
fn check(sandbox: &Sandbox) {
    let astray = "SELECT id FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(astray), Vec::<String>::new());
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn lines(sandbox: &Sandbox) -> Vec<String> {
    sandbox
        .rows("SELECT order_id, line_no, sku, quantity FROM order_items ORDER BY order_id, line_no")
}

fn error(sandbox: &Sandbox, name: &str) -> String {
    sandbox.rows(&format!(
        "SELECT error FROM tidegate_files WHERE path LIKE '%/{name}' ORDER BY id DESC"
    ))[0]
        .clone()
}

/// Exports the rejects, and gives the text of one file back with `from` replaced.
fn corrected(sandbox: &Sandbox, name: &str, from: &str, to: &str) -> String {
    let output = sandbox
        .command(&["rejects", "--export", "out"])
        .output()
        .expect("the built program starts");
    assert!(output.status.success());
    let text = fs::read_to_string(sandbox.path("out").join(name)).expect("it was exported");
    // What stands before a key that a spreadsheet would take for a formula goes with the key.
    let text = text.replace("'-,", "-,");
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

/// The tables of a sandbox that only ever saw these files, in this order.
fn clean(sandbox: &Sandbox, files: &[(&str, String)]) -> Sandbox {
    let clean = sandbox.sibling();
    for (name, content) in files {
        clean.drop_file(name, content);
        sync(&clean);
    }
    clean
}

const FIRST: [&str; 4] = ["1,NEW,A,1,10,60", "1,NEW,B,2,20,60", "1,NEW,C,3,30,60", "2,NEW,X,1,5,5"];

scenario!(a_row_without_a_key_deletes_no_line_and_its_correction_restores_the_record);
fn a_row_without_a_key_deletes_no_line_and_its_correction_restores_the_record(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &export(&FIRST));
    sync(sandbox);
    // The second line of order 1 has lost its key; the rest of the export is newer, and order 2 has
    // another line.
    let newer = [
        "1,PAID,A,1,10,60",
        ",PAID,B,2,20,60",
        "1,PAID,C,4,40,60",
        "2,NEW,X,1,5,5",
        "2,NEW,Y,1,5,5",
    ];
    sandbox.drop_file(ORDERS, &export(&newer));
    let report = sync(sandbox);
    assert_eq!(report.file(ORDERS).counts["deleted"], 0);
    let expected = ["1|1|A|1", "1|2|B|2", "1|3|C|4", "2|1|X|1", "2|2|Y|1"];
    assert_eq!(lines(sandbox), expected, "it adds and changes");
    assert_eq!(
        sandbox.rows("SELECT order_status, line_count FROM orders ORDER BY order_id"),
        ["PAID|3", "NEW|2"]
    );
    let said = error(sandbox, ORDERS);
    assert!(
        said.contains("row 2, order_id: the row has no key") && said.contains("deletes no line"),
        "{said}"
    );
    sandbox.drop_file(REJECTS, &corrected(sandbox, REJECTS, "\n,PAID,B", "\n1,PAID,B"));
    let report = sync(sandbox);
    assert_eq!(report.file(REJECTS).counts["read"], 1, "{report:?}");
    assert_eq!(report.file(REJECTS).counts["accepted"], 1, "{report:?}");
    assert_eq!(lines(sandbox), expected);
    assert_eq!(error(sandbox, ORDERS), "-", "nothing is open any more");
    let right =
        newer.map(|row| if row.starts_with(',') { format!("1{row}") } else { row.to_owned() });
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let clean = clean(sandbox, &[(ORDERS, export(&FIRST)), (ORDERS, export(&right))]);
    assert_eq!(sandbox.dump(), clean.dump());
    // What is really gone goes with the next export that is whole.
    sandbox.drop_file(ORDERS, &export(&["1,PAID,A,1,10,10", "2,NEW,X,1,5,5"]));
    sync(sandbox);
    assert_eq!(lines(sandbox), ["1|1|A|1", "2|1|X|1"]);
}

scenario!(lines_are_told_by_what_they_hold_while_one_may_be_missing);
fn lines_are_told_by_what_they_hold_while_one_may_be_missing(sandbox: &Sandbox) {
    let stored = ["1,NEW,A,1,10,0", "1,NEW,B,2,20,0", "1,NEW,C,3,30,0"];
    // The rows of the order in an export that also has one without a key, and what must be stored
    // after it.
    let cases: [(&[&str], &[&str]); 6] = [
        (&["1,NEW,C,3,30,0", "1,NEW,A,1,10,0"], &["A|1", "B|2", "C|3"]),
        (&["1,NEW,B,9,90,0"], &["A|1", "B|9", "C|3"]),
        (&["1,NEW,A,5,50,0", "1,NEW,D,1,10,0", "1,NEW,C,3,30,0"], &["A|5", "B|2", "C|3", "D|1"]),
        (&["1,NEW,A,1,10,0", "1,NEW,A,7,70,0"], &["A|1", "B|2", "C|3", "A|7"]),
        (
            &["1,NEW,D,1,1,0", "1,NEW,E,1,1,0", "1,NEW,F,1,1,0"],
            &["A|1", "B|2", "C|3", "D|1", "E|1", "F|1"],
        ),
        (&[], &["A|1", "B|2", "C|3"]),
    ];
    for (rows, expected) in cases {
        let sandbox = &sandbox.sibling();
        sandbox.drop_file(ORDERS, &export(&stored));
        sync(sandbox);
        sandbox.drop_file(ORDERS, &export(&[rows, &["-,NEW,?,1,1,0"]].concat()));
        sync(sandbox);
        let stored = sandbox.rows("SELECT sku, quantity FROM order_items ORDER BY line_no");
        assert_eq!(stored, expected, "{rows:?}");
    }
}

scenario!(a_value_that_only_the_missing_row_has_stays);
fn a_value_that_only_the_missing_row_has_stays(sandbox: &Sandbox) {
    const DELIVERIES: &str = "Market 1 Deliveries.csv";
    let header = "Task_ID,Agent_ID,Task_Details_QTY,Task_Details_AMOUNT,Tip";
    sandbox.drop_file(DELIVERIES, &table(&[header, "7,1,1,10,", "7,1,1,10,", "7,1,2,30,KSh 5"]));
    sync(sandbox);
    sandbox.drop_file(DELIVERIES, &table(&[header, "7,2,1,10,", "7,2,1,10,", "N/A,2,2,30,KSh 5"]));
    sync(sandbox);
    let items = "SELECT line_no, task_details_qty FROM delivery_items ORDER BY line_no";
    assert_eq!(sandbox.rows("SELECT agent_id, tip, line_count FROM deliveries"), ["2|5|3"]);
    assert_eq!(sandbox.rows(items), ["1|1", "2|1", "3|2"]);
}

scenario!(corrected_rows_stand_where_they_stood_in_a_first_load);
fn corrected_rows_stand_where_they_stood_in_a_first_load(sandbox: &Sandbox) {
    let rows =
        ["1,NEW,A,1,10,0", "1,NEW,B,2,20,0", "2,NEW,X,1,5,0", "1,NEW,C,3,30,0", "1,NEW,D,4,40,0"];
    let wrong =
        ["1,NEW,A,1,10,0", "-,NEW,B,2,20,0", "2,NEW,X,1,5,0", "1,NEW,C,3,30,0", "-,NEW,D,4,40,0"];
    let clean = clean(sandbox, &[(ORDERS, export(&rows))]);
    sandbox.drop_file(ORDERS, &export(&wrong));
    sync(sandbox);
    assert_eq!(lines(sandbox), ["1|1|A|1", "1|2|C|3", "2|1|X|1"]);
    // One of the rows, then the other: in a copy of the same name, from which the first one is
    // gone.
    let both = corrected(sandbox, REJECTS, "-,NEW,B", "1,NEW,B");
    let first: Vec<&str> = both.lines().take(2).collect();
    sandbox.drop_file(REJECTS, &table(&first));
    sync(sandbox);
    assert_eq!(lines(sandbox)[..3], ["1|1|A|1", "1|2|B|2", "1|3|C|3"]);
    assert!(
        error(sandbox, ORDERS).contains("row 5"),
        "one is still open: {}",
        error(sandbox, ORDERS)
    );
    sandbox.drop_file(REJECTS, &corrected(sandbox, REJECTS, "-,NEW,D", "1,NEW,D"));
    sync(sandbox);
    assert_eq!(sandbox.dump(), clean.dump());
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
        ["0"]
    );
}

scenario!(a_correction_that_repeats_a_line_is_a_duplicate_of_it);
fn a_correction_that_repeats_a_line_is_a_duplicate_of_it(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &export(&["1,NEW,A,1,10,0", "-,NEW,A,1,10,0", "1,NEW,B,1,10,0"]));
    sync(sandbox);
    sandbox.drop_file(REJECTS, &corrected(sandbox, REJECTS, "-,NEW", "1,NEW"));
    let report = sync(sandbox);
    assert_eq!(report.file(REJECTS).counts["duplicate"], 1, "{report:?}");
    assert_eq!(lines(sandbox), ["1|1|A|1", "1|2|B|1"]);
}

scenario!(a_correction_of_json_rows_and_of_fewer_columns_joins_all_of_the_record);
fn a_correction_of_json_rows_and_of_fewer_columns_joins_all_of_the_record(sandbox: &Sandbox) {
    let object = |key: &str, sku: &str, more: &str| {
        format!("{{\"Order ID\": \"{key}\", \"SKU\": \"{sku}\"{more}}}")
    };
    let rows = [
        object("1", "A", ", \"O Note\": \"a, b\""),
        object("1", "B", ""),
        object("1", "C", ", \"Tip\": 5"),
    ];
    let clean = clean(sandbox, &[("Market 1 Orders.json", format!("[{}]", rows.join(",")))]);
    let wrong = [rows[0].clone(), object("-", "B", ""), rows[2].clone()];
    sandbox.drop_file("Market 1 Orders.json", &format!("[{}]", wrong.join(",")));
    sync(sandbox);
    let text = corrected(sandbox, REJECTS, "-,B", "1,B");
    assert!(!text.contains("O Note"), "{text}");
    sandbox.drop_file(REJECTS, &text);
    sync(sandbox);
    assert_eq!(sandbox.dump(), clean.dump());
}

scenario!(a_correction_that_comes_after_a_newer_export_changes_nothing_that_it_says);
fn a_correction_that_comes_after_a_newer_export_changes_nothing_that_it_says(sandbox: &Sandbox) {
    let (first, second) = ("market-1-orders-2022-02-15.csv", "market-1-orders-2022-02-16.csv");
    let rejects = "market-1-orders-2022-02-15.rejects.csv";
    sandbox.drop_file(first, &export(&["1,OLD,A,1,10,0", "-,OLD,B,1,10,0", "-,OLD,Z,1,10,0"]));
    sync(sandbox);
    let text = corrected(sandbox, rejects, "-,OLD,B", "1,OLD,B").replace("-,OLD,Z", "3,OLD,Z");
    sandbox.drop_file(second, &export(&["1,NEW,A,1,10,0", "1,NEW,C,1,10,0"]));
    sync(sandbox);
    sandbox.drop_file(rejects, &text);
    let report = sync(sandbox);
    assert_eq!(
        lines(sandbox),
        ["1|1|A|1", "1|2|C|1", "3|1|Z|1"],
        "what nobody else knows is added"
    );
    assert!(report.file(rejects).counts["stale"] > 0, "{report:?}");
    assert_eq!(sandbox.rows("SELECT order_status FROM orders WHERE order_id = '1'"), ["NEW"]);
}

scenario!(a_correction_of_a_delta_joins_the_rows_of_the_delta);
fn a_correction_of_a_delta_joins_the_rows_of_the_delta(sandbox: &Sandbox) {
    fs::write(sandbox.path("tidegate.toml"), "[datasets.orders]\nkind = \"delta\"\n")
        .expect("it can be written");
    let config = sandbox.path("tidegate.toml").to_string_lossy().into_owned();
    let settings = [LENIENT, ("TIDEGATE_CONFIG", config.as_str())];
    sandbox.drop_file("market-1-orders-2022-02-15.csv", &export(&FIRST));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    let delta = "market-1-orders-2022-02-16.csv";
    sandbox.drop_file(delta, &export(&["1,PAID,A,1,10,0", "-,PAID,B,2,20,0", "1,PAID,D,3,30,0"]));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    assert_eq!(lines(sandbox)[..4], ["1|1|A|1", "1|2|B|2", "1|3|C|3", "1|4|D|3"]);
    let rejects = "market-1-orders-2022-02-16.rejects.csv";
    sandbox.drop_file(rejects, &corrected(sandbox, rejects, "-,PAID", "1,PAID"));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    assert_eq!(
        lines(sandbox),
        ["1|1|A|1", "1|2|B|2", "1|3|D|3", "2|1|X|1"],
        "as the delta has it, once it is whole"
    );
    check(sandbox);
}

scenario!(a_correction_of_a_file_that_is_gone_adds_and_says_so);
fn a_correction_of_a_file_that_is_gone_adds_and_says_so(sandbox: &Sandbox) {
    for after_sync in ["archive", "delete"] {
        let settings = [LENIENT, ("TIDEGATE_AFTER_SYNC", after_sync)];
        let sandbox = &sandbox.sibling();
        sandbox.drop_file(ORDERS, &export(&["1,NEW,A,1,10,0", "-,NEW,B,2,20,0", "1,NEW,C,3,30,0"]));
        assert_eq!(sandbox.sync_with(&settings).exit, 0);
        assert!(!sandbox.inbox().join(ORDERS).exists());
        sandbox.drop_file(REJECTS, &corrected(sandbox, REJECTS, "-,NEW", "1,NEW"));
        let report = sandbox.sync_with(&settings);
        assert_eq!(report.exit, 0, "{report:?}");
        check(sandbox);
        let (lines, said) = (lines(sandbox), error(sandbox, REJECTS));
        match after_sync {
            "archive" => assert_eq!(
                (lines.as_slice(), said.as_str()),
                (&["1|1|A|1", "1|2|B|2", "1|3|C|3"].map(str::to_owned)[..], "-")
            ),
            _ => {
                assert_eq!(lines, ["1|1|A|1", "1|2|C|3", "1|3|B|2"]);
                assert!(said.contains("is gone or has changed"), "{said}");
            }
        }
    }
}

scenario!(rows_of_a_rejected_record_that_a_copy_leaves_out_delete_nothing);
fn rows_of_a_rejected_record_that_a_copy_leaves_out_delete_nothing(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &export(&FIRST));
    sync(sandbox);
    sandbox.drop_file(
        ORDERS,
        &export(&["1,PAID,A,1,10,0", "1,PAID,B\0,2,20,0", "1,PAID,C,3,30,0", "2,NEW,X,1,5,5"]),
    );
    sync(sandbox);
    let text = corrected(sandbox, REJECTS, "\0", "");
    let some: Vec<&str> = text.lines().filter(|line| !line.contains(",A,")).collect();
    sandbox.drop_file(REJECTS, &table(&some));
    sync(sandbox);
    assert_eq!(lines(sandbox)[..3], ["1|1|A|1", "1|2|B|2", "1|3|C|3"]);
    sandbox.drop_file(REJECTS, &text);
    sync(sandbox);
    assert_eq!(lines(sandbox)[..3], ["1|1|A|1", "1|2|B|2", "1|3|C|3"]);
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
        ["0"]
    );
}

scenario!(an_export_with_such_rows_leaves_no_index_that_the_next_one_is_passed_by_with);
fn an_export_with_such_rows_leaves_no_index_that_the_next_one_is_passed_by_with(sandbox: &Sandbox) {
    let settings = [LENIENT, ("TIDEGATE_RECORD_INDEX_BYTES_MIN", "1")];
    let first = "market-1-orders-2022-02-15.csv";
    sandbox.drop_file(first, &export(&FIRST));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    let rows = ["1,NEW,A,1,10,60", "1,NEW,C,3,30,60", "2,NEW,X,1,5,5"];
    let with_unknown = [&rows[..], &["-,NEW,B,2,20,60"]].concat();
    sandbox.drop_file("market-1-orders-2022-02-16.csv", &export(&with_unknown));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    assert_eq!(lines(sandbox).len(), 4);
    sandbox.drop_file("market-1-orders-2022-02-17.csv", &export(&rows));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    assert_eq!(lines(sandbox), ["1|1|A|1", "1|2|C|3", "2|1|X|1"]);
    check(sandbox);
}

scenario!(a_crash_in_the_middle_of_such_a_file_or_its_correction_changes_nothing_of_what_comes_out);
fn a_crash_in_the_middle_of_such_a_file_or_its_correction_changes_nothing_of_what_comes_out(
    sandbox: &Sandbox,
) {
    for failpoint in ["before_commit", "after_commit"] {
        let sandbox = &sandbox.sibling();
        let crash = |name: &str| {
            let failpoints = format!("{failpoint}=return");
            assert_eq!(
                sandbox.sync_with(&[LENIENT, ("FAILPOINTS", &failpoints)]).exit,
                -1,
                "{name}"
            );
        };
        sandbox.drop_file(ORDERS, &export(&FIRST));
        sync(sandbox);
        sandbox.drop_file(
            ORDERS,
            &export(&["1,PAID,A,1,10,0", "-,PAID,B,2,20,0", "1,PAID,C,3,30,0", "2,NEW,X,1,5,5"]),
        );
        crash("the export");
        sync(sandbox);
        assert_eq!(lines(sandbox), ["1|1|A|1", "1|2|B|2", "1|3|C|3", "2|1|X|1"]);
        sandbox.drop_file(REJECTS, &corrected(sandbox, REJECTS, "-,PAID,B,2", "1,PAID,B,5"));
        crash("the correction");
        sync(sandbox);
        assert_eq!(lines(sandbox), ["1|1|A|1", "1|2|B|5", "1|3|C|3", "2|1|X|1"]);
        assert_eq!(
            sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
            ["0"]
        );
    }
}

scenario!(an_approved_deletion_spares_what_a_correction_brought_in);
fn an_approved_deletion_spares_what_a_correction_brought_in(sandbox: &Sandbox) {
    let toml = "deletes_max_percent = 100\n[datasets.orders]\ndeletes = \"remove\"\n";
    fs::write(sandbox.path("tidegate.toml"), toml).expect("it can be written");
    let config = sandbox.path("tidegate.toml").to_string_lossy().into_owned();
    let settings = [LENIENT, ("TIDEGATE_CONFIG", config.as_str())];
    sandbox.drop_file(ORDERS, &export(&["1,NEW,A,1,10,0", "2,NEW,B,1,10,0", "3,NEW,C,1,10,0"]));
    assert_eq!(sandbox.sync_with(&settings).exit, 0);
    sandbox.drop_file(ORDERS, &export(&["1,NEW,A,1,10,0", "-,NEW,B,1,10,0"]));
    let report = sandbox.sync_with(&settings);
    assert_eq!((report.exit, report.file(ORDERS).outcome.as_str()), (1, "held"), "{report:?}");
    assert_eq!(lines(sandbox).len(), 3, "it deletes no record");
    sandbox.drop_file(REJECTS, &corrected(sandbox, REJECTS, "-,NEW", "2,NEW"));
    assert_eq!(sandbox.sync_with(&settings).file(REJECTS).outcome, "synced");
    let mut approve = sandbox.command(&["approve", ORDERS]);
    let output = approve.envs(settings).output().expect("the built program starts");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(lines(sandbox), ["1|1|A|1", "2|1|B|1"]);
    check(sandbox);
}

scenario!(the_header_inside_of_a_file_is_of_no_record);
fn the_header_inside_of_a_file_is_of_no_record(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &export(&FIRST));
    sync(sandbox);
    sandbox.drop_file(ORDERS, &export(&["1,NEW,A,1,10,60", HEADER, "2,NEW,X,1,5,5"]));
    sync(sandbox);
    assert_eq!(
        (lines(sandbox), error(sandbox, ORDERS)),
        (vec!["1|1|A|1".to_owned(), "2|1|X|1".to_owned()], "-".to_owned())
    );
}
