//! Skipped lines: what `no_rows` says of objects and of their lines, as CSV of the same data has
//! it.

use crate::exports::SMALL_CHUNKS;
use crate::sandbox::{Report, Sandbox, table};
use std::fmt::Write as _;
use std::fs;

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

/// Postage and vouchers are no goods; a draft is no order. A word that `map` makes is no pattern's.
const ORDERS: &str = r#"
[datasets.orders_fed]
paths = ['/fed[^/]*$']
key = "id"
table = "fed"
lines_table = "fed_lines"
no_rows = { sku = '^POSTAGE$', state = '(?i)^draft', "items.kind" = '^voucher$' }
json = { lines = "items" }
rejects_max_percent = 100
[datasets.orders_fed.columns]
sku = { from = "items.sku", type = "text", map = { B = "POSTAGE", POSTAGE = "A" } }
state = { of = "record" }
total = { of = "record" }
"#;

fn configured(sandbox: &Sandbox) -> String {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, ORDERS).expect("a writable temporary directory");
    path.to_string_lossy().into_owned()
}

fn sync(sandbox: &Sandbox) -> Report {
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &configured(sandbox))])
}

const COUNTS: [&str; 5] = ["read", "accepted", "duplicate", "rejected", "skipped"];

/// Drops a file and syncs it, as a plan says that it will be: its rows, and what changed.
fn synced(sandbox: &Sandbox, name: &str, content: &str) -> ([u64; 5], (u64, u64, u64, u64)) {
    sandbox.drop_file(name, content);
    let inbox = sandbox.inbox();
    let mut plan = sandbox.command(&["--json", "plan", &inbox.to_string_lossy()]);
    plan.env("TIDEGATE_CONFIG", configured(sandbox));
    let planned = Report::of(&plan.output().expect("the built program starts"));
    let report = sync(sandbox);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    let counts_of = |report: &Report| COUNTS.map(|count| report.file(name).counts[count]);
    let counts = counts_of(&report);
    assert_eq!(counts_of(&planned), counts, "{content}");
    assert_eq!(planned.file(name).changes(), report.file(name).changes(), "{content}");
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{counts:?}");
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (counts, report.file(name).changes())
}

/// Records and lines, as they are stored.
fn stored(sandbox: &Sandbox) -> [Vec<String>; 2] {
    [
        sandbox.rows("SELECT id, state, total, line_count FROM fed ORDER BY id"),
        sandbox.rows("SELECT id, line_no, sku, items_qty FROM fed_lines ORDER BY id, line_no"),
    ]
}

fn hashes(sandbox: &Sandbox) -> [Vec<String>; 2] {
    [
        sandbox.rows("SELECT id, _row_hash FROM fed ORDER BY id"),
        sandbox.rows("SELECT id, line_no, _row_hash FROM fed_lines ORDER BY id, line_no"),
    ]
}

/// Lines in front of real ones, behind them, and among them; and a record that is no data.
const OBJECTS: [&str; 4] = [
    r#"{"id": "o1", "state": "paid", "total": 9, "items": [{"sku": "A", "qty": 2, "kind": "good"}, {"sku": "POSTAGE", "qty": 1}]}"#,
    r#"{"items": [{"sku": "POSTAGE", "qty": 1}, {"sku": "V", "qty": 5, "kind": "voucher"}, {"qty": 4, "sku": "B"}], "id": "o2", "total": 7, "state": "paid"}"#,
    r#"{"id": "o3", "state": "Draft of May", "total": 1, "items": [{"sku": "A", "qty": 1}, {"sku": "POSTAGE", "qty": 2}, {"sku": "C", "qty": 3}]}"#,
    r#"{"id": "o4", "state": "paid", "total": 8, "items": [{"sku": "C", "qty": 1}, {"sku": " POSTAGE ", "qty": 1}, {"sku": "D", "qty": 3}]}"#,
];

scenario!(each_line_that_is_no_data_is_skipped_by_itself_as_in_csv);
fn each_line_that_is_no_data_is_skipped_by_itself_as_in_csv(sandbox: &Sandbox) {
    let csv = table(&[
        "id,state,total,items.sku,items.qty,items.kind",
        "o1,paid,9,A,2,good",
        "o1,paid,9,POSTAGE,1,",
        "o2,paid,7,POSTAGE,1,",
        "o2,paid,7,V,5,voucher",
        "o2,paid,7,B,4,",
        "o3,Draft of May,1,A,1,",
        "o3,Draft of May,1,POSTAGE,2,",
        "o3,Draft of May,1,C,3,",
        "o4,paid,8,C,1,",
        "o4,paid,8, POSTAGE ,1,",
        "o4,paid,8,D,3,",
    ]);
    let document = format!("[{}]", OBJECTS.join(",\n"));
    let mut first: Option<[Vec<String>; 2]> = None;
    for (name, content) in
        [("fed.csv", csv.as_str()), ("fed.json", &document), ("fed.ndjson", &OBJECTS.join("\n"))]
    {
        let sandbox = sandbox.sibling();
        let rows = [11, 4, 0, 0, 7];
        assert_eq!(synced(&sandbox, name, content), (rows, (7, 0, 0, 0)), "{name}");
        let expected = [
            &["o1|paid|9|1", "o2|paid|7|1", "o4|paid|8|2"][..],
            &["o1|1|A|2", "o2|1|POSTAGE|4", "o4|1|C|1", "o4|2|D|3"],
        ];
        assert_eq!(stored(&sandbox), expected, "{name}");
        let hashes = hashes(&sandbox);
        assert_eq!(first.get_or_insert_with(|| hashes.clone()), &hashes, "{name}");
        // Written otherwise, and as it was.
        let again = match name {
            "fed.csv" => content.replace("o1,paid", "\"o1\",paid"),
            _ => content.replace("\": ", "\":"),
        };
        assert_eq!(synced(&sandbox, name, &again), (rows, (0, 0, 7, 0)), "{name}");
        // A line that was skipped is real, and one that was real is skipped.
        let next = content
            .replacen("POSTAGE", "E", 1)
            .replace("\"C\", \"qty\": 1", "\"POSTAGE\", \"qty\": 1")
            .replace("8,C,1", "8,POSTAGE,1");
        let (counts, (new, modified, unchanged, deleted)) = synced(&sandbox, name, &next);
        assert_eq!(counts, rows, "{name}");
        assert_eq!((new, modified, unchanged, deleted), (1, 3, 3, 1), "{name}");
        let expected = [
            &["o1|paid|9|2", "o2|paid|7|1", "o4|paid|8|1"][..],
            &["o1|1|A|2", "o1|2|E|1", "o2|1|POSTAGE|4", "o4|1|D|3"],
        ];
        assert_eq!(stored(&sandbox), expected, "{name}");
    }
}

scenario!(an_object_whose_lines_are_all_skipped_is_a_record_without_lines);
fn an_object_whose_lines_are_all_skipped_is_a_record_without_lines(sandbox: &Sandbox) {
    let with = |skus: [&str; 2]| {
        let [one, two] = skus;
        format!(
            r#"[{{"id": "a", "total": 9, "items": [{{"sku": "{one}", "qty": 1}}, {{"sku": "{two}", "qty": 2}}], "state": "paid"}},
                {{"id": "b", "total": 3, "items": [{{"sku": "B2", "qty": 1}}]}}, {{"id": "c", "total": 4, "items": []}}]"#
        )
    };
    // Its own row counts beside its lines, as that of an object without lines does.
    let (counts, changes) = synced(sandbox, "fed.json", &with(["POSTAGE", "POSTAGE"]));
    assert_eq!((counts, changes), ([5, 3, 0, 0, 2], (4, 0, 0, 0)));
    let none = ["a|paid|9|0", "b|-|3|1", "c|-|4|0"];
    assert_eq!(stored(sandbox), [&none[..], &["b|1|B2|1"]]);
    let (counts, changes) = synced(sandbox, "fed.json", &with(["POSTAGE", "A"]));
    assert_eq!((counts, changes), ([4, 3, 0, 0, 1], (1, 1, 3, 0)));
    assert_eq!(stored(sandbox)[1], ["a|1|A|2", "b|1|B2|1"]);
    let (counts, changes) = synced(sandbox, "fed.json", &with(["POSTAGE", "POSTAGE"]));
    assert_eq!((counts, changes), ([5, 3, 0, 0, 2], (0, 1, 3, 1)));
    assert_eq!(stored(sandbox), [&none[..], &["b|1|B2|1"]]);
}

scenario!(rejects_have_the_numbers_of_their_lines_below_skipped_ones);
fn rejects_have_the_numbers_of_their_lines_below_skipped_ones(sandbox: &Sandbox) {
    let content = r#"[
        {"id": "a", "state": "draft", "items": [{"sku": "A"}, {"sku": "B"}, {"sku": "C"}]},
        {"id": "b", "items": [{"sku": "POSTAGE"}, {"sku": "A"}, {"sku": "POSTAGE"}, 5, {"sku": "POSTAGE"}]},
        {"state": "draft"},
        {"items": [{"sku": "POSTAGE"}, {"sku": "A"}, {"sku": "B"}]},
        {"id": "d", "items": [{"sku": "POSTAGE"}, {"sku": "D\u0000"}]},
        {"items": [{"sku": "POSTAGE"}], "total": 1},
        {"id": "e", "items": [{"sku": "E"}, {"sku": "POSTAGE"}]}]"#;
    let (counts, _) = synced(sandbox, "fed.json", content);
    assert_eq!(counts, [18, 1, 0, 6, 11]);
    let rejects =
        sandbox.rows("SELECT r.row_number, raw FROM tidegate_rejects r ORDER BY r.row_number");
    let expected = [
        r#"5|{"id": "b", "items": {"sku": "A"}}"#,
        r#"7|{"id":"b","items":5}"#,
        r#"11|{"items": {"sku": "A"}}"#,
        r#"12|{"items":{"sku": "B"}}"#,
        r#"14|{"id": "d", "items": {"sku": "D\u0000"}}"#,
        r#"16|{"items": null, "total": 1}"#,
    ];
    assert_eq!(rejects, expected);
    let reason = "SELECT reason FROM tidegate_rejects r WHERE r.row_number IN (5, 7) ORDER BY 1";
    let reasons = sandbox.rows(reason);
    assert!(reasons[0].starts_with("element 4 of `items` is no object"), "{reasons:?}");
    assert!(reasons[1].starts_with("row 7 of the same record"), "{reasons:?}");
    assert_eq!(sandbox.rows("SELECT id, line_no, sku FROM fed_lines"), ["e|1|E"]);
}

scenario!(an_object_that_comes_again_counts_its_skipped_lines_once: sqlite);
fn an_object_that_comes_again_counts_its_skipped_lines_once(sandbox: &Sandbox) {
    let object = |id: &str| {
        format!(
            r#"{{"id": "{id}", "items": [{{"sku": "POSTAGE"}}, {{"sku": "A"}}, {{"sku": "POSTAGE"}}, {{"sku": "B"}}]}}"#
        )
    };
    let near = format!("[{}, {}, {}]", object("a"), object("a"), object("b"));
    let apart = format!("[{}, {}, {}]", object("a"), object("b"), object("a"));
    for content in [near, apart] {
        let sandbox = sandbox.sibling();
        let (counts, _) = synced(&sandbox, "fed.json", &content);
        assert_eq!(counts, [12, 4, 2, 0, 6], "{content}");
        let lines = sandbox.rows("SELECT id, line_no, sku FROM fed_lines ORDER BY id, line_no");
        assert_eq!(lines, ["a|1|A", "a|2|POSTAGE", "b|1|A", "b|2|POSTAGE"]);
    }
}

scenario!(skipped_lines_are_counted_once_where_a_crash_cut_a_file_off);
fn skipped_lines_are_counted_once_where_a_crash_cut_a_file_off(sandbox: &Sandbox) {
    let mut document = String::from("[");
    let text = "x".repeat(4000);
    for number in 0..800 {
        let comma = if number == 0 { "" } else { ",\n" };
        let (postage, good) = (r#"{"sku": "POSTAGE"}"#, r#"{"sku": "A"}"#);
        let lines = match number % 4 {
            0 => [postage, postage, good, postage, good, postage].join(","),
            1 => [postage, postage].join(","),
            2 => [good, postage].join(","),
            _ => postage.to_owned(),
        };
        let state = if number % 4 == 3 { "draft" } else { "paid" };
        write!(document, r#"{comma}{{"id": "o{number}", "text": "{text}", "state": "{state}", "items": [{lines}]}}"#)
            .expect("memory");
    }
    // It is gathered when the others are done.
    write!(document, r#",{{"id":"o2","text":"{text}","state":"paid","items":[{{"sku":"A"}}]}}"#)
        .expect("memory");
    // The last row is a reject: its number is that of all rows.
    document.push_str(",{\"items\": [{\"sku\": \"POSTAGE\"}, {\"sku\": \"A\"}]}]");
    for failpoints in [
        "after_commit=2*off->return",
        "after_checkpoint=1*off->return",
        "before_commit=6*off->return",
    ] {
        let sandbox = sandbox.sibling();
        let configuration = configured(&sandbox);
        let environment = [SMALL_CHUNKS, ("TIDEGATE_CONFIG", configuration.as_str())];
        sandbox.drop_file("fed.json", &document);
        let killed = sandbox.sync_with(&[&environment[..], &[("FAILPOINTS", failpoints)]].concat());
        assert_eq!(killed.exit, KILLED, "{failpoints} {}", killed.stderr);
        let report = sandbox.sync_with(&environment);
        assert_eq!(report.file("fed.json").outcome, "synced", "{failpoints} {report:?}");
        // Of four objects six lines, two and the object, two, and one.
        let counts = "SELECT rows_read, rows_accepted, rows_duplicate, rows_rejected, rows_skipped FROM tidegate_files";
        assert_eq!(sandbox.rows(counts), ["2403|800|1|1|1601"], "{failpoints}");
        assert_eq!(sandbox.rows("SELECT r.row_number FROM tidegate_rejects r"), ["2403"]);
        assert_eq!(
            sandbox.rows("SELECT COUNT(*), SUM(line_count) FROM fed"),
            ["600|600"],
            "{failpoints}"
        );
    }
}
