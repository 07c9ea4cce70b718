//! Composite keys: records that only several columns together tell apart are new, changed, gone,
//! rejected and corrected as those of one column are, on every database and in every format.

use crate::exports::SMALL_CHUNKS;
use crate::sandbox::{Engine, Report, Sandbox};
use serde_json::{Value, json};
use std::fs;

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

/// Rows that every database's own loader takes, in more than one page and statement of keys.
const MANY: usize = 6000;

/// Keys that would be one if their parts were only put behind one another, and others that mean
/// something on the way.
const KEYS: [[&str; 2]; 9] = [
    ["a,b", "c"],
    ["a", "b,c"],
    ["a\",\"b", "c"],
    ["a", "b\",\"c"],
    ["[\"a\"", "\"c\"]"],
    ["é 𠮷", "漢|字"],
    ["e\u{301} 𠮷", "漢|字"],
    ["007", "A'; --"],
    ["007", "a'; --"],
];

fn stock(settings: &str) -> String {
    format!(
        "deletes_max_percent = 100\nrejects_max_percent = 100\n[datasets.stock]\n\
         paths = ['/(?<market>\\w+)/stock[^/]*\\.(?:csv|json)$']\nkey = [\"Warehouse\", \"Bin\"]\n{settings}\n"
    )
}

fn orders(settings: &str) -> String {
    format!(
        "deletes_max_percent = 100\nrejects_max_percent = 100\n[datasets.sales]\n\
         paths = ['/(?<market>\\w+)/sales[^/]*\\.(?:csv|json)$']\nkey = [\"Order No\", \"Part\"]\n\
         lines_table = \"sale_lines\"\n{settings}\n\
         columns.status.of = \"record\"\n"
    )
}

fn sync_with(sandbox: &Sandbox, configuration: &str, environment: &[(&str, &str)]) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    sandbox.sync_with(&[&[("TIDEGATE_CONFIG", path.as_str())], environment].concat())
}

/// Syncs, and compares what is stored with all that can be computed.
fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    let report = sync_with(sandbox, configuration, &[]);
    assert_eq!(report.exit, 0, "{report:?}");
    verify(sandbox);
    report
}

fn verify(sandbox: &Sandbox) {
    let configuration = sandbox.path("tidegate.toml");
    let mut command = sandbox.command(&["verify"]);
    let output =
        command.env("TIDEGATE_CONFIG", configuration).output().expect("the built program starts");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

fn csv(rows: &[Vec<String>]) -> String {
    let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
    rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

fn json_of(rows: &[Vec<String>]) -> String {
    let objects = rows[1..].iter().map(|row| {
        Value::Object(rows[0].iter().cloned().zip(row.iter().map(|cell| json!(cell))).collect())
    });
    Value::Array(objects.collect()).to_string()
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// An export of the awkward keys with a quantity each.
fn awkward(quantity: impl Fn(usize) -> usize, keys: &[usize]) -> Vec<Vec<String>> {
    let rows =
        keys.iter().map(|&key| row(&[KEYS[key][0], KEYS[key][1], &quantity(key).to_string()]));
    [row(&["Warehouse", "Bin", "Qty"])].into_iter().chain(rows).collect()
}

/// What is stored of a market, in the order of the awkward keys.
fn stored(sandbox: &Sandbox, market: &str) -> Vec<String> {
    let rows =
        sandbox.rows(&format!("SELECT warehouse, bin, qty FROM stock WHERE market = '{market}'"));
    let place = |row: &String| {
        KEYS.iter().position(|[one, other]| row.starts_with(&format!("{one}|{other}|")))
    };
    let mut rows: Vec<(Option<usize>, String)> =
        rows.into_iter().map(|row| (place(&row), row)).collect();
    rows.sort();
    rows.into_iter().map(|(_, row)| row).collect()
}

fn expected(quantity: impl Fn(usize) -> usize, keys: &[usize]) -> Vec<String> {
    keys.iter().map(|&key| format!("{}|{}|{}", KEYS[key][0], KEYS[key][1], quantity(key))).collect()
}

const ALL: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

scenario!(keys_of_two_columns_are_never_taken_for_one_another);
fn keys_of_two_columns_are_never_taken_for_one_another(sandbox: &Sandbox) {
    let configuration = stock("deletes = \"remove\"");
    sandbox.drop_file("riga/stock.csv", &csv(&awkward(|key| key, &ALL)));
    sandbox.drop_file("oslo/stock.json", &json_of(&awkward(|key| 10 + key, &ALL)));
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("stock.csv").changes(), (9, 0, 0, 0), "{report:?}");
    assert_eq!(report.file("stock.json").changes(), (9, 0, 0, 0), "{report:?}");
    assert_eq!(stored(sandbox, "riga"), expected(|key| key, &ALL));
    assert_eq!(stored(sandbox, "oslo"), expected(|key| 10 + key, &ALL));
    let key = "SELECT column_name, new_type FROM tidegate_schema_changes WHERE change_kind = 'create_table'";
    assert_eq!(sandbox.rows(key), ["warehouse,bin|market, warehouse, bin"]);
    // One more, one changed, one gone, in each format and market, and in another order.
    let fewer = [8, 6, 5, 4, 3, 2, 1, 0];
    let quantity = |key: usize| if key == 3 { 99 } else { key };
    sandbox.drop_file("riga/stock.csv", &csv(&awkward(quantity, &fewer)));
    sandbox.drop_file("oslo/stock.json", &json_of(&awkward(quantity, &[0, 1, 2])));
    let inbox = sandbox.inbox();
    let mut plan = sandbox.command(&["plan", &inbox.to_string_lossy()]);
    plan.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml"));
    let planned = plan.output().expect("the built program starts");
    let planned = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(
        planned.contains("stock (riga, a, b\",\"c)")
            && planned.contains("stock (riga, 007, A'; --)"),
        "{planned}"
    );
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("stock.csv").changes(), (0, 1, 7, 1), "{report:?}");
    assert_eq!(report.file("stock.json").changes(), (0, 3, 0, 6), "{report:?}");
    assert_eq!(stored(sandbox, "riga"), expected(quantity, &[0, 1, 2, 3, 4, 5, 6, 8]));
    assert_eq!(stored(sandbox, "oslo"), expected(quantity, &[0, 1, 2]));
    // A format that lacks a column blanks nothing, and what is gone comes back.
    let without: Vec<Vec<String>> =
        awkward(quantity, &ALL).into_iter().map(|row| row[..2].to_vec()).collect();
    fs::remove_file(sandbox.inbox().join("riga/stock.csv")).expect("it is there");
    sandbox.drop_file("riga/stock 2.json", &json_of(&without));
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("stock 2.json").changes(), (1, 0, 8, 0), "{report:?}");
    let again = sync(sandbox, &configuration);
    assert!(again.files.iter().all(|file| file.outcome == "unchanged"), "{again:?}");
}

scenario!(records_that_are_gone_are_marked_and_come_back);
fn records_that_are_gone_are_marked_and_come_back(sandbox: &Sandbox) {
    let configuration = stock("deletes = \"mark\"");
    let live = "SELECT COUNT(*) FROM stock WHERE _deleted_at IS NULL";
    for (keys, changes) in [
        (&ALL[..], (9, 0, 0, 0)),
        (&[0, 2, 4][..], (0, 0, 3, 6)),
        (&[4, 2, 0][..], (0, 0, 3, 0)),
        (&[1, 2][..], (0, 1, 1, 2)),
        (&[8, 7, 6, 5, 4, 3, 2, 1, 0][..], (0, 7, 2, 0)),
    ] {
        sandbox.drop_file("riga/stock.csv", &csv(&awkward(|key| key, keys)));
        let report = sync(sandbox, &configuration);
        assert_eq!(report.file("stock.csv").changes(), changes, "{keys:?}: {report:?}");
        if changes.0 == 0 {
            assert_eq!(sandbox.rows(live), [keys.len().to_string()], "{keys:?}");
        }
    }
    assert_eq!(stored(sandbox, "riga"), expected(|key| key, &ALL));
}

/// An export of lines: order, part, status, item and quantity of each.
fn sales(rows: &[[&str; 5]]) -> Vec<Vec<String>> {
    let header = row(&["Order No", "Part", "Status", "Item", "Qty"]);
    [header].into_iter().chain(rows.iter().map(|cells| row(cells))).collect()
}

fn lines(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows(
        "SELECT market, order_no, part, line_no, item, qty FROM sale_lines ORDER BY market, order_no, part, line_no",
    )
}

fn headers(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT market, order_no, part, status, line_count FROM sales ORDER BY market, order_no, part")
}

scenario!(lines_belong_to_the_record_of_both_columns);
fn lines_belong_to_the_record_of_both_columns(sandbox: &Sandbox) {
    let configuration = orders("deletes = \"remove\"");
    let first = sales(&[
        ["1", "A", "new", "x", "1"],
        ["1", "B", "new", "x", "2"],
        ["2", "A", "new", "x", "3"],
        ["1", "A", "new", "y", "4"],
        ["1", "B", "new", "z", "5"],
    ]);
    sandbox.drop_file("riga/sales.csv", &csv(&first));
    sandbox.drop_file("oslo/sales.csv", &csv(&first[..3]));
    sync(sandbox, &configuration);
    assert_eq!(
        headers(sandbox),
        ["oslo|1|A|new|1", "oslo|1|B|new|1", "riga|1|A|new|2", "riga|1|B|new|2", "riga|2|A|new|1"]
    );
    // A line goes, one changes, a record changes, one goes, and one comes.
    let second = sales(&[
        ["1", "A", "new", "y", "4"],
        ["1", "B", "paid", "x", "2"],
        ["1", "B", "paid", "z", "6"],
        ["2", "B", "new", "x", "3"],
    ]);
    sandbox.drop_file("riga/sales.csv", &csv(&second));
    let report = sync(sandbox, &configuration);
    assert_eq!(
        headers(sandbox)[2..],
        ["riga|1|A|new|1", "riga|1|B|paid|2", "riga|2|B|new|1"],
        "{report:?}"
    );
    assert_eq!(
        lines(sandbox),
        [
            "oslo|1|A|1|x|1",
            "oslo|1|B|1|x|2",
            "riga|1|A|1|y|4",
            "riga|1|B|1|x|2",
            "riga|1|B|2|z|6",
            "riga|2|B|1|x|3"
        ]
    );
    // A file that lacks a column of lines keeps what is stored in it.
    let third: Vec<Vec<String>> = second
        .iter()
        .map(|row| row.iter().take(4).cloned().chain(["n".to_owned()]).collect())
        .collect();
    let third: Vec<Vec<String>> = third
        .into_iter()
        .enumerate()
        .map(|(at, row)| if at == 0 { [&row[..4], &["Note".to_owned()]].concat() } else { row })
        .collect();
    sandbox.drop_file("riga/sales.csv", &csv(&third));
    sync(sandbox, &configuration);
    let notes = "SELECT item, qty, note FROM sale_lines WHERE market = 'riga' AND part = 'B' ORDER BY order_no, line_no";
    assert_eq!(sandbox.rows(notes), ["x|2|n", "z|6|n", "x|3|n"]);
}

scenario!(a_row_without_a_part_of_its_key_is_rejected_corrected_and_joins_its_record);
fn a_row_without_a_part_of_its_key_is_rejected_corrected_and_joins_its_record(sandbox: &Sandbox) {
    let configuration = orders("deletes = \"remove\"");
    let rows = [
        ["1", "a,\"b\"", "new", "x", "1"],
        ["1", "a,\"b\"", "new", "y", "2"],
        ["1", "a,\"b\"", "new", "z", "3"],
        ["2", "A", "new", "x", "4"],
        ["2", "3.68E+29", "new", "x", "5"],
    ];
    sandbox.drop_file("riga/sales.csv", &csv(&sales(&rows[..4])));
    sync(sandbox, &configuration);
    let before = lines(sandbox);
    let mut damaged = rows;
    damaged[1][1] = "N/A";
    sandbox.drop_file("riga/sales.csv", &csv(&sales(&damaged)));
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("sales.csv").counts["rejected"], 2, "{report:?}");
    assert_eq!(lines(sandbox), before, "no line is deleted for it");
    let rejects = "SELECT r.row_number, r.column_name, r.reason FROM tidegate_rejects r WHERE r.closed_at IS NULL ORDER BY r.row_number";
    let said = sandbox.rows(rejects);
    assert_eq!(said[0], "2|part|the row has no key");
    assert!(
        said[1].starts_with("5|part|`3.68E+29` is a number in spreadsheet notation"),
        "{said:?}"
    );
    // What goes out comes back with its keys.
    let mut command = sandbox.command(&["rejects", "--export", "out"]);
    command.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml"));
    assert!(command.output().expect("the built program starts").status.success());
    let text =
        fs::read_to_string(sandbox.path("out/riga/sales.rejects.csv")).expect("it was exported");
    assert!(text.contains("N/A") && text.contains("3.68E+29"), "{text}");
    let corrected = text
        .replace("\"N/A\"", "\"a,\"\"b\"\"\"")
        .replace("N/A,", "\"a,\"\"b\"\"\",")
        .replace("3.68E+29", "E");
    sandbox.drop_file("riga/sales.rejects.csv", &corrected);
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("sales.rejects.csv").counts["accepted"], 2, "{report:?} {corrected}");
    let clean = sandbox.sibling();
    let mut right = rows;
    right[4][1] = "E";
    clean.drop_file("riga/sales.csv", &csv(&sales(&right)));
    sync(&clean, &configuration);
    assert_eq!(lines(sandbox), lines(&clean));
    assert_eq!(headers(sandbox), headers(&clean));
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
        ["0"]
    );
}

scenario!(an_object_without_a_part_of_its_key_is_rejected_and_named);
fn an_object_without_a_part_of_its_key_is_rejected_and_named(sandbox: &Sandbox) {
    let content = r#"[{"qty": 1, "bin": "B", "Warehouse": "w"}, {"warehouse": "w", "qty": 2}, {"warehouse": "w", "bin": null},
        {"bin": "B", "Warehouse": "v", "qty": 3}, {"bin": "B"}]"#;
    sandbox.drop_file("riga/stock.json", content);
    let report = sync(sandbox, &stock(""));
    assert_eq!(report.file("stock.json").counts["rejected"], 3, "{report:?}");
    assert_eq!(stored(sandbox, "riga"), ["v|B|3", "w|B|1"]);
    let rejects = "SELECT r.row_number, r.column_name, r.reason FROM tidegate_rejects r ORDER BY r.row_number";
    let said =
        ["2|bin", "3|bin", "5|warehouse"].map(|place| format!("{place}|the object has no key"));
    assert_eq!(sandbox.rows(rejects), said);
}

scenario!(a_file_is_refused_that_repeats_a_key_or_lacks_a_column_of_it);
fn a_file_is_refused_that_repeats_a_key_or_lacks_a_column_of_it(sandbox: &Sandbox) {
    let repeated = csv(&[
        row(&["Warehouse", "Bin", "Qty"]),
        row(&["w", "é\"", "1"]),
        row(&["w", "B", "2"]),
        row(&["w", "é\"", "3"]),
    ]);
    sandbox.drop_file("riga/stock.csv", &repeated);
    sandbox.drop_file("oslo/stock.csv", "Bin,Qty\nB,1\n");
    sandbox.drop_file("oslo/stock.json", r#"[{"warehouse": "w", "qty": 1}]"#);
    let report = sync_with(sandbox, &stock(""), &[]);
    assert_eq!(report.exit, 1, "{report:?}");
    let mut errors: Vec<&str> = report.files.iter().map(|file| file.error.as_str()).collect();
    errors.sort_unstable();
    assert!(
        errors[0].starts_with("no column is `bin`, part of the key of stock; the columns are"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with(
            "no column is `warehouse`, part of the key of stock; the columns are Bin, Qty"
        ),
        "{errors:?}"
    );
    assert!(errors[2].starts_with(r#"the key `["w","é\""]` stands in rows 1 and 3"#), "{errors:?}");
    // With a rule for it, the last one counts.
    let report = sync_with(sandbox, &stock("repeated_keys = \"last\""), &[]);
    let file =
        report.files.iter().find(|file| file.outcome == "synced").expect("one can be synced");
    assert_eq!(file.counts["duplicate"], 1, "{report:?}");
    assert_eq!(stored(sandbox, "riga"), ["w|B|2", "w|é\"|3"]);
}

const SHARED: &str = r#"
deletes_max_percent = 100
[datasets.shop]
paths = ['/(?<market>\w+)/shop[^/]*\.csv$']
key = ["order_no", "part"]
table = "sales"
deletes = "remove"
[datasets.platform]
paths = ['/(?<market>\w+)/platform[^/]*\.csv$']
key = ["order_no", "part"]
table = "sales"
deletes = "remove"
"#;

scenario!(datasets_that_share_a_table_see_only_their_own_records);
fn datasets_that_share_a_table_see_only_their_own_records(sandbox: &Sandbox) {
    let all = "SELECT order_no, part, total FROM sales ORDER BY order_no, part";
    sandbox.drop_file("riga/shop-2024-03-02.csv", "order_no,part,total\n1,a,1\n1,b,2\n");
    sandbox.drop_file("riga/platform-2024-03-01.csv", "part,order_no,total\nc,1,3\na,2,4\n");
    sync(sandbox, SHARED);
    sandbox.drop_file("riga/platform-2024-03-02.csv", "part,order_no,total\nc,1,3\n");
    let report = sync(sandbox, SHARED);
    assert_eq!(report.file("platform-2024-03-02.csv").changes(), (0, 0, 1, 1), "{report:?}");
    assert_eq!(sandbox.rows(all), ["1|a|1", "1|b|2", "1|c|3"]);
    sandbox.drop_file("riga/platform-2024-03-03.csv", "part,order_no,total\nc,1,3\nb,1,9\n");
    let report = sync_with(sandbox, SHARED, &[]);
    let file = report.file("platform-2024-03-03.csv");
    assert_eq!(file.outcome, "quarantined", "{report:?}");
    assert!(file.error.contains(r#"the key `["1","b"]`"#), "{}", file.error);
    assert_eq!(sandbox.rows(all), ["1|a|1", "1|b|2", "1|c|3"]);
    // The order of the columns is that of the table.
    let turned = SHARED.replacen("[\"order_no\", \"part\"]", "[\"part\", \"order_no\"]", 1);
    let report = sync_with(sandbox, &turned, &[]);
    assert_eq!(report.exit, 2, "{report:?}");
    assert!(
        report.stderr.contains("market, order_no, part, not market, part, order_no"),
        "{}",
        report.stderr
    );
}

/// An export of many records with few values in the first column of their key: every so many of
/// them changed or gone, and every fifth with so many more lines.
fn many(changed: usize, gone: usize, more_lines: usize) -> String {
    let is = |row: usize, every: usize| every > 0 && row.is_multiple_of(every);
    let rows = (0..MANY).filter(|&row| !is(row, gone)).flat_map(|row| {
        let note = if is(row, changed) { "other" } else { "note" }.repeat(200);
        let more_lines = if is(row, 5) { more_lines } else { 0 };
        (0..=more_lines).map(move |line| format!("{},bin '{row},{line} {note}\n", row % 3))
    });
    format!("Warehouse,Bin,Note\n{}", rows.collect::<String>())
}

scenario!(a_sync_killed_anywhere_ends_as_if_nothing_had_happened);
fn a_sync_killed_anywhere_ends_as_if_nothing_had_happened(sandbox: &Sandbox) {
    let contents = [many(0, 0, 0), many(7, 0, 0), many(11, 2, 0), many(0, 3, 0)];
    let stored =
        "SELECT market, warehouse, bin, note, _row_hash FROM stock ORDER BY market, warehouse, bin";
    killed(sandbox, &stock("deletes = \"remove\""), &contents, &[stored]);
}

scenario!(a_sync_of_lines_killed_anywhere_ends_as_if_nothing_had_happened);
fn a_sync_of_lines_killed_anywhere_ends_as_if_nothing_had_happened(sandbox: &Sandbox) {
    let contents = [many(0, 0, 2), many(7, 2, 1)];
    let records = "SELECT warehouse, bin, line_count, _row_hash FROM stock ORDER BY warehouse, bin";
    let lines = "SELECT warehouse, bin, line_no, _row_hash FROM stock_lines ORDER BY warehouse, bin, line_no";
    let configuration = stock("deletes = \"remove\"\nlines_table = \"stock_lines\"");
    killed(sandbox, &configuration, &contents, &[records, lines]);
}

/// Kills a sync of each content at several points, and compares with one that nothing happened to.
fn killed(sandbox: &Sandbox, configuration: &str, contents: &[String], stored: &[&str]) {
    let clean = sandbox.sibling();
    for (number, content) in contents.iter().enumerate() {
        sandbox.drop_file("riga/stock.csv", content);
        let while_deleting =
            (number > 0 && number + 1 == contents.len()).then_some("during_deletes=return");
        for failpoints in ["after_commit=1*off->return"].into_iter().chain(while_deleting) {
            let killed =
                sync_with(sandbox, configuration, &[SMALL_CHUNKS, ("FAILPOINTS", failpoints)]);
            assert_eq!(killed.exit, KILLED, "{failpoints}: {killed:?}");
        }
        let report = sync_with(sandbox, configuration, &[SMALL_CHUNKS]);
        assert_eq!(report.exit, 0, "{report:?}");
        clean.drop_file("riga/stock.csv", content);
        sync(&clean, configuration);
        for query in stored {
            assert_eq!(sandbox.rows(query), clean.rows(query), "content {number}");
        }
    }
    verify(sandbox);
}

scenario!(a_delta_confirms_what_it_repeats_and_a_late_one_changes_nothing);
fn a_delta_confirms_what_it_repeats_and_a_late_one_changes_nothing(sandbox: &Sandbox) {
    let configuration =
        stock("kind = \"delta\"").replace("stock[^/]*\\.", "stock-(?<date>[-0-9]+)\\.");
    sandbox.drop_file("riga/stock-2024-03-01.csv", &csv(&awkward(|key| key, &ALL)));
    sync(sandbox, &configuration);
    sandbox.drop_file(
        "riga/stock-2024-03-03.csv",
        &csv(&awkward(|key| if key == 1 { 50 } else { key }, &[0, 1])),
    );
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("stock-2024-03-03.csv").changes(), (0, 1, 1, 0), "{report:?}");
    let newest = "SELECT warehouse, bin FROM stock WHERE _file_id = (SELECT MAX(_file_id) FROM stock) ORDER BY bin DESC";
    assert_eq!(sandbox.rows(newest), ["a,b|c", "a|b,c"]);
    sandbox.drop_file("riga/stock-2024-03-02.csv", &csv(&awkward(|_| 7, &[0, 1, 2])));
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("stock-2024-03-02.csv").counts["stale"], 2, "{report:?}");
    let quantity = |key: usize| [0, 50, 7].get(key).copied().unwrap_or(key);
    assert_eq!(stored(sandbox, "riga"), expected(quantity, &ALL));
}

scenario!(the_longest_keys_fit_and_longer_ones_are_rejected);
fn the_longest_keys_fit_and_longer_ones_are_rejected(sandbox: &Sandbox) {
    let configuration =
        stock("lines_table = \"stock_lines\"").replace("\"Bin\"]", "\"Bin\", \"Lot\"]");
    let long = |sign: &str| sign.repeat(191);
    let market = long("m");
    let content = csv(&[
        row(&["Lot", "Bin", "Warehouse", "Qty"]),
        row(&[&long("a"), &long("ß"), &long("漢"), "1"]),
        row(&[&long("a"), &long("ß"), &long("字"), "2"]),
        row(&[&long("𠮷"), &long("𠮷"), &long("𠮷"), "3"]),
        row(&["a", "b", "c", "4"]),
    ]);
    sandbox.drop_file(&format!("{market}/stock.csv"), &content);
    let report = sync(sandbox, &configuration);
    assert_eq!(report.file("stock.csv").changes().0, 6, "{report:?}");
    assert_eq!(sandbox.rows("SELECT qty FROM stock_lines ORDER BY qty"), ["1", "2", "4"]);
    let reason = sandbox.rows("SELECT reason FROM tidegate_rejects");
    assert_eq!(reason, ["the columns of the key are together longer than 1800 bytes"]);
}

const MART: &str = "/*\nmart = 'warehouse_metrics'\nkey = ['market', 'warehouse']\ngroup = 'warehouse'\n[columns]\n\
     market = 'identifier'\nwarehouse = 'identifier'\nbins = 'bigint'\n[touched_by]\n\
     stock = \"SELECT s.warehouse AS group_key FROM stock s WHERE {{ records('s.market', 's.warehouse', 's.bin') }}\"\n*/\n\
     SELECT s.market, s.warehouse, COUNT(*) AS bins FROM stock s \
     WHERE {{ touched('s.market', 's.warehouse') }} GROUP BY s.market, s.warehouse";

scenario!(a_mart_over_such_a_table_follows_its_rows);
fn a_mart_over_such_a_table_follows_its_rows(sandbox: &Sandbox) {
    let directory = sandbox.path("definitions");
    let configuration = stock("deletes = \"remove\"").replacen(
        "deletes_max",
        &format!("marts_dir = '{}'\ndeletes_max", directory.display()),
        1,
    );
    sandbox.drop_file("riga/stock.csv", &csv(&awkward(|key| key, &ALL)));
    sync(sandbox, &stock("deletes = \"remove\""));
    fs::create_dir_all(&directory).expect("a writable temporary directory");
    let write = |text: &str| {
        fs::write(directory.join("own.sql"), text).expect("a writable temporary directory");
    };
    write(&MART.replace(", 's.bin'", ""));
    let report = sync_with(sandbox, &configuration, &[]);
    assert_eq!(report.exit, 2, "{report:?}");
    assert!(
        report.stderr.contains("own.sql") && report.stderr.contains("2 columns (warehouse, bin)"),
        "{}",
        report.stderr
    );
    write(MART);
    let bins = "SELECT bins FROM warehouse_metrics WHERE warehouse IN ('a', '007') ORDER BY bins";
    sync(sandbox, &configuration);
    assert_eq!(sandbox.rows(bins), ["2", "2"]);
    sandbox.drop_file("riga/stock.csv", &csv(&awkward(|key| key, &[0, 1, 2, 4, 7, 8])));
    sync(sandbox, &configuration);
    assert_eq!(sandbox.rows(bins), ["1", "2"]);
}

#[test]
fn a_key_that_no_table_can_have_is_an_error_at_the_start() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    for (key, said) in [
        (
            r#"["a", "b", "c", "d"]"#,
            "datasets.stock.key names 4 columns, and at most 3 are possible",
        ),
        (r#"["Bin", "bin"]"#, "datasets.stock.key names the column `bin` twice"),
        (r#"["Bin", ""]"#, "datasets.stock.key: `` is no name of a column"),
    ] {
        let report = sync_with(&sandbox, &stock("").replace(r#"["Warehouse", "Bin"]"#, key), &[]);
        assert_eq!(report.exit, 2, "{report:?}");
        assert!(report.stderr.contains(said), "{}", report.stderr);
    }
    // One name in a list is a key like one without.
    sandbox.drop_file("riga/stock.csv", "Bin,Qty\n1,2\n");
    sync(&sandbox, &stock("").replace(r#"["Warehouse", "Bin"]"#, r#"["Bin"]"#));
    assert_eq!(
        sync(&sandbox, &stock("").replace(r#"["Warehouse", "Bin"]"#, r#""bin""#))
            .file("stock.csv")
            .changes(),
        (0, 0, 1, 0)
    );
}

scenario!(one_column_of_a_file_may_feed_several_parts_of_the_key);
fn one_column_of_a_file_may_feed_several_parts_of_the_key(sandbox: &Sandbox) {
    let feed = "rejects_max_percent = 100\n[datasets.sales]\npaths = ['/sales[^/]*$']\n\
         key = ['shop', 'no']\n[datasets.sales.columns]\n\
         shop = { from = 'Ref', take = '^(\\w+)-' }\nno = { from = 'Ref', take = '-(\\d+)$' }\n\
         ref = { from = 'Ref' }\nqty = { from = 'Qty', type = 'integer', max = 99 }\n";
    let stored = "SELECT shop, no, ref, qty FROM sales ORDER BY shop, no";
    sandbox.drop_file("sales.csv", "Qty,Ref,x\n5,A-1,\n6,A-2,\n7,B-1,\n800,B-2,\n9,,\n");
    let report = sync(sandbox, feed);
    assert_eq!(report.file("sales.csv").counts["rejected"], 2, "{report:?}");
    assert_eq!(sandbox.rows(stored), ["A|1|A-1|5", "A|2|A-2|6", "B|1|B-1|7"]);
    let keys =
        sandbox.rows("SELECT record_key, column_name FROM tidegate_rejects ORDER BY column_name");
    assert_eq!(keys, [r#"["B","2"]|qty"#, "-|shop"]);
    // In JSON the member may come late, behind others that fit.
    let objects = [
        r#"{"Qty":5,"Ref":"A-1"}"#,
        r#"{"Qty":66,"Ref":"A-2"}"#,
        r#"{"Ref":"B-1","Qty":7}"#,
        r#"{"Qty":8,"Ref":"B-2"}"#,
    ];
    sandbox.drop_file("sales-2.json", &format!("[{}]", objects.join(",")));
    let report = sync(sandbox, feed);
    assert_eq!(report.file("sales-2.json").changes(), (1, 1, 2, 0));
    assert_eq!(sandbox.rows(stored), ["A|1|A-1|5", "A|2|A-2|66", "B|1|B-1|7", "B|2|B-2|8"]);
    // A text without its parts is the value of each.
    sandbox.drop_file("sales-3.csv", "Ref,Qty\nalone,1\nB-1,70\nB-1,70\n");
    let report = sync(sandbox, feed);
    assert_eq!(report.file("sales-3.csv").counts["duplicate"], 1, "{report:?}");
    assert_eq!(sandbox.rows(stored)[2..], ["B|1|B-1|70", "B|2|B-2|8", "alone|alone|alone|1"]);
}
