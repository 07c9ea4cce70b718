//! JSON lines: documents that hold their records somewhere in them, and objects that hold their
//! lines.

use crate::caps::run_measured;
use crate::exports::SMALL_CHUNKS;
use crate::sandbox::{Engine, Report, Sandbox, table};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

const RECORDS: &str = "SELECT id, name, shipping_address_city, line_count FROM sales ORDER BY id";
const LINES: &str =
    "SELECT id, line_no, line_items_sku, line_items_qty FROM sale_lines ORDER BY id, line_no";

/// A dataset whose JSON is declared so.
fn sales(json: &str, more: &str) -> String {
    format!(
        "[datasets.sales]\npaths = ['(?i)/sales[^/]*\\.(?:csv|json|ndjson)(?:\\.gz)?$']\nkey = \"id\"\n\
         lines_table = \"sale_lines\"\njson = {json}\n{more}\n\
         columns = {{ name = {{ of = \"record\" }}, shipping_address_city = {{ of = \"record\" }} }}\n"
    )
}

fn by_root() -> String {
    sales(r#"{ root = "orders", lines = "line_items" }"#, "")
}

fn sync_with(sandbox: &Sandbox, configuration: &str, environment: &[(&str, &str)]) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    sandbox.sync_with(&[&[("TIDEGATE_CONFIG", path.as_str())], environment].concat())
}

fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    sync_with(sandbox, configuration, &[])
}

/// Drops a file and syncs it: what changed.
fn synced(
    sandbox: &Sandbox,
    configuration: &str,
    name: &str,
    content: &str,
) -> (u64, u64, u64, u64) {
    sandbox.drop_file(name, content);
    let report = sync(sandbox, configuration);
    assert_eq!(report.exit, 0, "{} {:?}", report.stderr, report.files);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    assert_counted(sandbox);
    report.file(name).changes()
}

/// Why a file is refused.
fn refusal(sandbox: &Sandbox, configuration: &str, content: &str) -> String {
    sandbox.drop_file("sales.json", content);
    let report = sync(sandbox, configuration);
    assert_eq!(report.file("sales.json").outcome, "quarantined", "{content}: {report:?}");
    report.file("sales.json").error.clone()
}

fn counts(report: &Report, name: &str) -> [u64; 4] {
    ["read", "accepted", "duplicate", "rejected"].map(|count| report.file(name).counts[count])
}

fn assert_counted(sandbox: &Sandbox) {
    let unaccounted = "SELECT COUNT(*) FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(unaccounted), ["0"]);
}

fn assert_verified(sandbox: &Sandbox) {
    let output = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Rows of both tables as they are stored, hashes included.
fn stored(sandbox: &Sandbox) -> Vec<String> {
    let of = |columns: &str, table: &str| {
        sandbox.rows(&format!("SELECT {columns}, _row_hash, _rescued FROM {table} ORDER BY 1, 2"))
    };
    let records = of("id, market, name, shipping_address_city, line_count", "sales");
    [records, of("id, line_no, line_items_sku, line_items_qty", "sale_lines")].concat()
}

const DOCUMENT: &str = r#"{
  "version": 2, "next": null, "warnings": ["a, [b", {"orders": [1, 2]}],
  "orders": [
    {"id": "o1", "name": "Ann", "shipping_address": {"city": "Oslo"},
     "line_items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2.5}]},
    {"id": "o2", "shipping_address": null, "line_items": [{"qty": 3, "sku": "\ud83d\ude00"}], "name": "Bo"},
    {"id": "o3", "name": "Cy", "line_items": []}
  ],
  "page": {"orders": 3, "more": [[], {}]}, "total": 12.5
}"#;

scenario!(records_of_a_document_are_stored_with_their_lines);
fn records_of_a_document_are_stored_with_their_lines(sandbox: &Sandbox) {
    assert_eq!(synced(sandbox, &by_root(), "sales.json", DOCUMENT), (6, 0, 0, 0));
    assert_eq!(sandbox.rows(RECORDS), ["o1|Ann|Oslo|2", "o2|Bo|-|1", "o3|Cy|-|0"]);
    assert_eq!(sandbox.rows(LINES), ["o1|1|A|1", "o1|2|B|2.5", "o2|1|😀|3"]);
    let read = "SELECT rows_read, rows_accepted FROM tidegate_files";
    assert_eq!(sandbox.rows(read), ["4|4"], "an object without lines is a row");
    // Untouched, however it is written.
    let compact = DOCUMENT.replace("\n", "").replace(": ", ":");
    assert_eq!(synced(sandbox, &by_root(), "sales.json", &compact), (0, 0, 6, 0));
    // A line less, a line that changed, lines that are all gone or were none, an object that is
    // gone.
    let next = r#"{"orders": [
        {"id": "o1", "name": "Ann", "shipping_address": {"city": "Oslo"}, "line_items": [{"sku": "B", "qty": 2.5}]},
        {"id": "o2", "name": "Bo", "line_items": null}, {"id": "o3", "name": "Cy", "line_items": [{"sku": "C"}]}]}"#;
    assert_eq!(synced(sandbox, &by_root(), "sales.json", next), (1, 4, 0, 2));
    assert_eq!(sandbox.rows(RECORDS), ["o1|Ann|Oslo|1", "o2|Bo|-|0", "o3|Cy|-|1"]);
    assert_eq!(sandbox.rows(LINES), ["o1|1|B|2.5", "o3|1|C|-"]);
    // What an object lacks is not blanked, its lines neither; those that it has are all there are.
    let of_one = |members: &str| format!(r#"{{"orders": [{{"id": "o1"{members}}}]}}"#);
    assert_eq!(synced(sandbox, &by_root(), "sales.json", &of_one("")), (0, 0, 1, 0));
    let renamed = of_one(r#", "name": "Ann B""#);
    assert_eq!(synced(sandbox, &by_root(), "sales.json", &renamed), (0, 1, 0, 0));
    assert_eq!(sandbox.rows(RECORDS)[0], "o1|Ann B|Oslo|1");
    assert_eq!(sandbox.rows(LINES)[0], "o1|1|B|2.5");
    let emptied = of_one(r#", "line_items": []"#);
    assert_eq!(synced(sandbox, &by_root(), "sales.json", &emptied), (0, 1, 0, 1));
    assert_eq!(sandbox.rows(RECORDS)[0], "o1|Ann B|Oslo|0");
    assert_verified(sandbox);
}

scenario!(json_with_lines_is_stored_as_the_csv_of_it);
fn json_with_lines_is_stored_as_the_csv_of_it(sandbox: &Sandbox) {
    let rows = [
        "id,name,shipping_address_city,line_items_sku,line_items_qty",
        "o1,Ann,Oslo,A,1",
        "o1,Ann,Oslo,B,2.5",
    ];
    let csv = table(&[&rows[..], &["o2,Bo,,😀,3"]].concat());
    let records = [
        r#"{"id": "o1", "name": "Ann", "shipping_address": {"city": "Oslo"}, "line_items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2.5}]}"#,
        r#"{"line_items": [{"qty": 3, "sku": "😀"}], "id": "o2", "name": "Bo"}"#,
    ];
    let array = format!("[{}]", records.join(",\n"));
    let deep = format!(r#"{{"data": {{"count": 2, "orders": {array}}}, "data2": {{}}}}"#);
    let mut packed = flate2::write::GzEncoder::new(b"".to_vec(), flate2::Compression::fast());
    packed.write_all(deep.as_bytes()).expect("memory");
    let packed = packed.finish().expect("memory");
    let (root, no_root) =
        (r#"{ root = "data.orders", lines = "line_items" }"#, r#"{ lines = "line_items" }"#);
    let files: [(&str, &str, &[u8]); 7] = [
        ("sales.csv", root, csv.as_bytes()),
        ("sales.json", root, deep.as_bytes()),
        ("sales.json.gz", root, &packed),
        // An array is that of the records, whatever `root` says.
        ("sales.json", root, array.as_bytes()),
        ("sales.json", no_root, array.as_bytes()),
        ("sales.ndjson", no_root, &records.join("\n").into_bytes()),
        ("sales.json", no_root, &records.concat().into_bytes()),
    ];
    let mut first: Option<Vec<String>> = None;
    for (name, json, content) in files {
        let fresh = sandbox.sibling();
        fresh.drop_file(name, content);
        let report = sync(&fresh, &sales(json, ""));
        assert_eq!(report.file(name).changes(), (5, 0, 0, 0), "{name} {json} {report:?}");
        assert_eq!(counts(&report, name), [3, 3, 0, 0], "{name} {json}");
        let stored = stored(&fresh);
        assert_eq!(first.get_or_insert_with(|| stored.clone()), &stored, "{name} {json}");
    }
}

scenario!(members_go_to_the_table_that_their_place_or_the_dataset_says);
fn members_go_to_the_table_that_their_place_or_the_dataset_says(sandbox: &Sandbox) {
    let of = "columns = { currency = { of = 'line' }, cart_items_gift = { of = 'record' }, name";
    let configuration = sales(r#"{ lines = "cart.items" }"#, "new_columns = \"line\"")
        .replace("columns = { name", of);
    let content = r#"[{"id": 1, "currency": "EUR", "cart": {"items": [{"name": "x", "tax": {"rate": 5}, "tags": ["a"]},
            {"gift": "yes", "name": "y"}], "note": "n"}, "Other": true, "cart_items_name": "clash"}]"#;
    assert_eq!(synced(sandbox, &configuration, "sales.json", content), (3, 0, 0, 0));
    let record =
        "SELECT id, cart_note, other, cart_items_gift, cart_items_name_2, line_count FROM sales";
    assert_eq!(sandbox.rows(record), ["1|n|true|yes|clash|2"]);
    let lines = "SELECT line_no, currency, cart_items_tax_rate, cart_items_tags, cart_items_name FROM sale_lines ORDER BY 1";
    assert_eq!(sandbox.rows(lines), [r#"1|EUR|5|["a"]|x"#, "2|EUR|-|-|y"]);
    assert_verified(sandbox);
}

scenario!(an_object_whose_key_comes_again_follows_repeated_keys);
fn an_object_whose_key_comes_again_follows_repeated_keys(sandbox: &Sandbox) {
    let object = |id: &str, name: &str, skus: &[&str]| {
        let lines: Vec<String> = skus.iter().map(|sku| format!(r#"{{"sku": "{sku}"}}"#)).collect();
        format!(r#"{{"id": "{id}", "name": "{name}", "line_items": [{}]}}"#, lines.join(", "))
    };
    let others: Vec<String> =
        (0..300).map(|number| object(&format!("x{number}"), "x", &["X"])).collect();
    let (first, second) = (object("a", "Ann", &["A", "B"]), object("a", "Eve", &["C", "D", "E"]));
    let near = [first.clone(), second.clone()].to_vec();
    let apart = [&[first.clone()][..], &others, &[second]].concat();
    let of_a = |sandbox: &Sandbox| {
        let lines =
            sandbox.rows("SELECT line_items_sku FROM sale_lines WHERE id = 'a' ORDER BY line_no");
        (sandbox.rows("SELECT name, line_count FROM sales WHERE id = 'a'"), lines)
    };
    for (objects, rows) in [(near, "rows 1 and 3"), (apart, "rows 1 and 303")] {
        let sandbox = sandbox.sibling();
        let json = r#"{ lines = "line_items" }"#;
        let content = format!("[{}]", objects.join(","));
        let error = refusal(&sandbox, &sales(json, ""), &content);
        assert!(
            error.contains("the key `a` stands in two objects") && error.contains(rows),
            "{error}"
        );
        let first: (&str, &str, &[&str], u64) = ("first", "Ann|2", &["A", "B"], 3);
        for (says, record, lines, duplicates) in [("last", "Eve|3", &["C", "D", "E"][..], 2), first]
        {
            let report = sync(&sandbox, &sales(json, &format!("repeated_keys = \"{says}\"")));
            assert_eq!(report.file("sales.json").outcome, "synced", "{report:?}");
            assert_eq!(report.file("sales.json").counts["duplicate"], duplicates, "{says}");
            assert_counted(&sandbox);
            assert_eq!(
                of_a(&sandbox),
                (vec![record.to_owned()], lines.iter().map(|&line| line.to_owned()).collect())
            );
        }
        assert_verified(&sandbox);
    }
    // Equal objects are duplicates, however they are written.
    let again = r#"{"line_items":[{"sku":"A"},{"sku":"B"}],"name":"Ann","id":"a"}"#;
    for objects in [
        vec![first.clone(), again.to_owned()],
        [&[first][..], &others, &[again.to_owned()]].concat(),
    ] {
        let sandbox = sandbox.sibling();
        let content = format!("{{\"orders\": [{}]}}", objects.join(","));
        synced(&sandbox, &by_root(), "sales.json", &content);
        assert_eq!(
            of_a(&sandbox),
            (vec!["Ann|2".to_owned()], vec!["A".to_owned(), "B".to_owned()])
        );
        assert_eq!(sandbox.rows("SELECT rows_duplicate FROM tidegate_files"), ["2"]);
    }
    // Rows of a CSV file of the dataset are lines, as ever.
    let rows = ["id,name,line_items_sku", "a,Ann,A", "b,Bo,X", "a,Eve,C"];
    let last = by_root() + "repeated_keys = \"last\"\n";
    assert_eq!(synced(sandbox, &last, "sales.csv", &table(&rows)), (5, 0, 0, 0));
}

scenario!(equal_lines_of_an_object_count_once_where_the_dataset_says_so: sqlite);
fn equal_lines_of_an_object_count_once_where_the_dataset_says_so(sandbox: &Sandbox) {
    let lines: Vec<String> =
        (0..50).map(|number| format!(r#"{{"sku": "S{}"}}"#, number % 40)).collect();
    let content = format!(
        r#"[{{"id": 1, "name": "Ann", "line_items": [{{"sku": "A"}}, {{"sku": "A"}}, {{"sku": "B"}}]}},
            {{"id": 2, "line_items": [{}]}}, {{"id": 3, "line_items": []}}]"#,
        lines.join(",")
    );
    sandbox.drop_file("sales.json", &content);
    let drop = sales(r#"{ lines = "line_items" }"#, "duplicate_lines = \"drop\"");
    let report = sync(sandbox, &drop);
    assert_eq!(counts(&report, "sales.json"), [54, 43, 11, 0], "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT id, line_count FROM sales ORDER BY id"),
        ["1|2", "2|40", "3|0"]
    );
    assert_verified(sandbox);
}

scenario!(what_is_no_line_rejects_its_record);
fn what_is_no_line_rejects_its_record(sandbox: &Sandbox) {
    let content = r#"{"orders": [
        {"id": "a", "line_items": [{"sku": "A"}, 5, {"sku": "B"}]},
        {"id": "b", "line_items": {"sku": "A"}}, {"id": "c", "line_items": "A"}, "d",
        {"id": "e", "line_items": [], "line_items": []}, {"id": "f", "line_items": [{"sku": "no\u0000thing"}]},
        {"name": "g", "line_items": [{"sku": "G"}, {"sku": "H"}]},
        {"id": "h", "line_items": [{"sku": "A"}]}]}"#;
    sandbox.drop_file("sales.json", content);
    let report = sync_with(sandbox, &by_root(), &[("TIDEGATE_REJECTS_MAX_PERCENT", "100")]);
    assert_eq!(counts(&report, "sales.json"), [11, 1, 0, 10], "{report:?}");
    assert_eq!(sandbox.rows("SELECT id, line_count FROM sales"), ["h|1"]);
    let rejects =
        sandbox.rows("SELECT r.row_number, r.reason FROM tidegate_rejects r ORDER BY r.row_number");
    let reasons = [
        "row 2 of the same record",
        "element 2 of `line_items` is no object",
        "row 2 of the same record",
        "`line_items` is no array of lines",
        "`line_items` is no array of lines",
        "the element is not an object",
        "the object has `line_items` twice",
        "the value holds a NUL character",
        "the object has no key",
        "the object has no key",
    ];
    assert_eq!(rejects.len(), reasons.len(), "{rejects:?}");
    for (row, (reject, reason)) in rejects.iter().zip(reasons).enumerate() {
        assert!(reject.starts_with(&format!("{}|{reason}", row + 1)), "{reject}");
    }
    let raw = sandbox.rows(
        "SELECT r.raw FROM tidegate_rejects r WHERE r.row_number IN (2, 9) ORDER BY r.row_number",
    );
    assert_eq!(
        raw,
        [r#"{"id":"a","line_items":5}"#, r#"{"name": "g", "line_items": {"sku": "G"}}"#]
    );
}

scenario!(rejects_of_objects_go_out_and_come_back_with_their_lines);
fn rejects_of_objects_go_out_and_come_back_with_their_lines(sandbox: &Sandbox) {
    let keyless =
        r#"{"name": "Ann", "Extra": 7, "line_items": [{"sku": "A"}, {"sku": "B", "qty": 2}]}"#;
    let bare = r#"{"id": "-", "name": "Bo", "line_items": []}"#;
    let whole = r#"{"id": "c", "name": "Cy", "line_items": [{"sku": "C"}]}"#;
    let clean = sandbox.sibling();
    let document = |objects: [String; 3]| format!("{{\"orders\": [{}]}}", objects.join(","));
    let right = [
        keyless.replace("{\"name", "{\"id\": \"a\", \"name"),
        bare.replace("\"-\"", "\"b\""),
        whole.to_owned(),
    ];
    synced(&clean, &by_root(), "sales.json", &document(right));
    sandbox.drop_file("sales.json", &document([keyless, bare, whole].map(str::to_owned)));
    let lenient = ("TIDEGATE_REJECTS_MAX_PERCENT", "100");
    let report = sync_with(sandbox, &by_root(), &[lenient]);
    assert_eq!(counts(&report, "sales.json"), [4, 1, 0, 3], "{report:?}");
    let configuration = sandbox.path("tidegate.toml");
    let mut export = sandbox.command(&["rejects", "--export", "out"]);
    let output =
        export.env("TIDEGATE_CONFIG", configuration).output().expect("the built program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text =
        fs::read_to_string(sandbox.path("out").join("sales.rejects.csv")).expect("it was exported");
    assert!(
        text.starts_with("name,Extra,line_items.sku,line_items.qty,id,_row,_column,_reason\n"),
        "{text}"
    );
    let corrected =
        text.replace(",,'-,", ",,b,").replace("A,,,", "A,,a,").replace("B,2,,", "B,2,a,");
    let corrected = corrected.replace(",,-,", ",,b,");
    sandbox.drop_file("sales.rejects.csv", &corrected);
    let report = sync_with(sandbox, &by_root(), &[lenient]);
    assert_eq!(report.file("sales.rejects.csv").outcome, "synced", "{corrected} {report:?}");
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
        ["0"],
        "{corrected}"
    );
    let records = "SELECT id, name, extra, line_count, _row_hash FROM sales ORDER BY id";
    assert_eq!(sandbox.rows(records), clean.rows(records), "{corrected}");
    let lines = "SELECT id, line_no, line_items_sku, line_items_qty, _row_hash FROM sale_lines ORDER BY id, line_no";
    assert_eq!(sandbox.rows(lines), clean.rows(lines), "{corrected}");
    assert_eq!(
        sandbox.rows("SELECT id, extra, line_count FROM sales ORDER BY id"),
        ["a|7|2", "b|-|0", "c|-|1"]
    );
    assert_verified(sandbox);
}

#[test]
fn a_document_that_is_not_what_it_should_be_is_refused() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let many: Vec<String> = (0..30).map(|number| format!("\"m{number}\": {number}")).collect();
    let cases = [
        (
            r#"{"data": [], "Orders": [], "n": {"orders": []}}"#.to_owned(),
            "its members are `data`, `Orders`, `n`",
        ),
        ("{}".to_owned(), "it has no members"),
        (format!("{{{}}}", many.join(",")), "`m19`, and more"),
        (
            r#"{"orders": {"a": []}}"#.to_owned(),
            "`orders` is an object, where the array of records is expected",
        ),
        (r#"{"orders": null}"#.to_owned(), "`orders` is null"),
        (r#"{"orders": [], "orders": []}"#.to_owned(), "the document has `orders` twice"),
        (
            r#"{"orders": []} {"orders": []}"#.to_owned(),
            "something stands after the end of the document",
        ),
        (
            r#"{"orders": [{"id": 1}]} x"#.to_owned(),
            "something stands after the end of the document",
        ),
        (r#"{"orders": [{"id": 1}"#.to_owned(), "the array is not closed"),
        (r#"{"orders": [{"id": 1}]"#.to_owned(), "the document is not closed"),
        (r#"{"orders": [{"id": 1}], "#.to_owned(), "the document is not closed"),
        (r#"{"orders": [{"id": 1}], "page": [1, {"x": "#.to_owned(), "is cut off"),
        (r#"{"orders": [{"id": 1}], "page": 12"#.to_owned(), "truncated"),
        (r#"{"orders": [{"id": 1}], "page": [1,]}"#.to_owned(), "cannot be read as JSON"),
        (r#"{"orders": [{"id": 1}], }"#.to_owned(), "has no name"),
        (r#"{"orders": [{"id": 1}] "page": 1}"#.to_owned(), "a comma is missing"),
        (r#"{"page" 1, "orders": [{"id": 1}]}"#.to_owned(), "a colon is missing"),
        (r#"{"orders": [{"id": 1},]}"#.to_owned(), "a comma stands before the end of the array"),
        ("5".to_owned(), "begins with no object and no array"),
        ("{\"id\": 1}\n{\"id\": 2}".to_owned(), "the document has no `orders`"),
        (format!("{{\"x\": {}, \"orders\": []}}", "[".repeat(100_000)), "is nested deeper than"),
    ];
    for (content, reason) in cases {
        let error = refusal(&sandbox, &by_root(), &content);
        assert!(error.contains(reason), "{content:.80}: {error}");
    }
    let long = format!(r#"{{"orders": [{{"id": 1, "x": "{}"}}]}}"#, "x".repeat(5000));
    sandbox.drop_file("sales.json", &long);
    let report = sync_with(&sandbox, &by_root(), &[("TIDEGATE_RECORD_BYTES_MAX", "4000")]);
    assert!(
        report
            .file("sales.json")
            .error
            .contains("longer than record_bytes_max allows (4000 bytes)"),
        "{report:?}"
    );
    let lines = [r#"{"sku": "A"}"#; 9].join(",");
    sandbox.drop_file(
        "sales.json",
        &format!(r#"{{"orders": [{{"id": 1, "line_items": [{lines}]}}]}}"#),
    );
    let report = sync_with(&sandbox, &by_root(), &[("TIDEGATE_RECORD_ROWS_MAX", "8")]);
    assert!(report.file("sales.json").error.contains("record_rows_max allows (8)"), "{report:?}");
    let wrong = [
        (r#"{ rot = "orders" }"#, "datasets.sales.json.rot"),
        (r#"{ root = "a..b" }"#, "datasets.sales.json.root"),
        (r#"{ lines = "" }"#, "datasets.sales.json.lines"),
    ];
    for (json, named) in wrong {
        let report = sync(&sandbox, &sales(json, ""));
        assert!(report.exit == 2 && report.stderr.contains(named), "{}", report.stderr);
    }
    let no_table = by_root().replace("lines_table = \"sale_lines\"", "");
    assert!(sync(&sandbox, &no_table).stderr.contains("json.lines needs `lines_table`"));
    let rows = sales("{ root = \"orders\" }", "repeated_keys = \"last\"");
    assert!(sync(&sandbox, &rows).stderr.contains("repeated_keys is for records without lines"));
}

#[test]
fn the_root_alone_names_the_rows_of_a_table_without_lines() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let configuration = "[datasets.stock]\npaths = ['/stock\\.json$']\nkey = \"sku\"\njson = { root = \"a.b.rows\" }\n";
    let content = r#"{"a": {"c": 1, "b": {"rows": [{"sku": "x", "at": {"shelf": 7}}, {"sku": "y", "tags": []}], "n": 2}}}"#;
    assert_eq!(synced(&sandbox, configuration, "stock.json", content), (2, 0, 0, 0));
    assert_eq!(
        sandbox.rows("SELECT sku, at_shelf, tags FROM stock ORDER BY sku"),
        ["x|7|-", "y|-|[]"]
    );
}

#[test]
fn header_has_knows_members_below_the_root_and_of_lines() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let configuration = r#"
[datasets.shop]
header_has = ["id", "line_items.sku", "Shipping Address City"]
key = "id"
lines_table = "shop_lines"
json = { root = "orders", lines = "line_items" }
[datasets.plain]
header_has = ["id", "orders"]
key = "id"
"#;
    let document = r#"{"n": 1, "orders": [{"id": 1, "line_items": []}, {"id": 2, "shipping_address": {"city": "x"},
        "line_items": [{"sku": "A"}]}]}"#;
    sandbox.drop_file("berlin/may.json", document);
    sandbox.drop_file("top.ndjson", "{\"id\": 7, \"orders\": 3}\n");
    let report = sync(&sandbox, configuration);
    assert_eq!(report.file("may.json").outcome, "synced", "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT market, id, line_count FROM shop ORDER BY id"),
        ["berlin|1|0", "berlin|2|1"]
    );
    assert_eq!(sandbox.rows("SELECT id, orders FROM plain"), ["7|3"]);
}

#[test]
fn orders_of_shops_come_as_their_platforms_write_them() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let configuration = r#"
[datasets.shopify]
paths = ['/shopify\.json$']
key = "id"
lines_table = "shopify_lines"
json = { root = "orders", lines = "line_items" }
[datasets.woo]
paths = ['/woo\.json$']
key = "id"
lines_table = "woo_lines"
json = { lines = "line_items" }
"#;
    let shopify = r##"{"orders":[{"id":450789469,"admin_graphql_api_id":"gid:\/\/shopify\/Order\/450789469","created_at":"2008-01-10T11:00:00-05:00",
        "currency":"USD","current_total_price_set":{"shop_money":{"amount":"199.65","currency_code":"USD"}},"discount_codes":[{"code":"TENOFF","amount":"10.00"}],
        "name":"#1001","note":null,"total_price":"598.94","customer":{"id":207119551,"email":"bob@example.com","default_address":{"country":"US"}},
        "shipping_address":{"city":"Ottawa","zip":"K2P0V6"},"tax_lines":[],
        "line_items":[{"id":466157049,"sku":"IPOD2008GREEN","quantity":1,"price":"199.00","properties":[{"name":"Custom","value":"x"}],"price_set":{"shop_money":{"amount":"199.00"}}},
          {"id":518995019,"sku":"IPOD2008RED","quantity":1,"price":"199.00","properties":[]}]}]}"##;
    let woo = r#"[{"id":727,"number":"727","status":"processing","date_created":"2017-03-22T16:28:02","total":"29.35","customer_id":0,
        "billing":{"first_name":"John","city":"San Francisco"},"meta_data":[{"id":13106,"key":"_d","value":"yes"}],
        "line_items":[{"id":315,"name":"Woo Single #1","product_id":93,"sku":"","quantity":2,"total":"6.00","taxes":[{"id":75}]},
          {"id":316,"name":"Ship","product_id":22,"sku":"Bar3","quantity":1,"total":"12.00"}],"refunds":[]},
        {"id":728,"number":"728","status":"pending","total":"0.00","billing":{"first_name":"","city":""},"line_items":[]}]"#;
    sandbox.drop_file("shopify.json", shopify);
    sandbox.drop_file("woo.json", woo);
    let report = sync(&sandbox, configuration);
    assert_eq!(report.exit, 0, "{report:?}");
    let order = "SELECT id, name, shipping_address_city, customer_id, discount_codes, current_total_price_set_shop_money_amount, line_count FROM shopify";
    let expected =
        r##"450789469|#1001|Ottawa|207119551|[{"code":"TENOFF","amount":"10.00"}]|199.65|2"##;
    assert_eq!(sandbox.rows(order), [expected]);
    let lines = "SELECT line_no, line_items_sku, line_items_quantity, line_items_price_set_shop_money_amount FROM shopify_lines ORDER BY 1";
    assert_eq!(sandbox.rows(lines), ["1|IPOD2008GREEN|1|199", "2|IPOD2008RED|1|-"]);
    let orders = "SELECT id, status, billing_city, line_count FROM woo ORDER BY id";
    assert_eq!(sandbox.rows(orders), ["727|processing|San Francisco|2", "728|pending|-|0"]);
    let lines = "SELECT id, line_no, line_items_name, line_items_sku, line_items_taxes FROM woo_lines ORDER BY 1, 2";
    assert_eq!(sandbox.rows(lines), [r#"727|1|Woo Single #1|-|[{"id":75}]"#, "727|2|Ship|Bar3|-"]);
    assert_eq!(sync(&sandbox, configuration).file("woo.json").outcome, "unchanged");
    assert_verified(&sandbox);
}

/// A document of so many objects, of which each has some lines and a long text.
fn large_document(objects: usize, chars: usize) -> String {
    let text = "x".repeat(chars);
    let blob = format!("[{}]", vec!["[1, {\"a\": \"]}\"}]"; 100_000].join(","));
    let mut document = format!("{{\"before\": {blob}, \"orders\": [");
    for number in 0..objects {
        let lines: Vec<String> = (0..number % 4)
            .map(|line| format!(r#"{{"sku": "S{line}", "qty": {number}}}"#))
            .collect();
        let comma = if number == 0 { "" } else { ",\n" };
        let lines = lines.join(",");
        write!(document, r#"{comma}{{"id": "o{number}", "text": "{text}", "name": "n", "line_items": [{lines}]}}"#)
            .expect("memory");
    }
    document + "], \"after\": " + &blob + "}"
}

#[test]
fn a_document_of_any_size_takes_no_more_memory_than_it_may() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let document = large_document(15_000, 4000);
    assert!(document.len() > 60 << 20);
    sandbox.drop_file("sales.json", &document);
    fs::write(sandbox.path("tidegate.toml"), by_root()).expect("a writable directory");
    let inbox = sandbox.inbox();
    let mut command = sandbox.command(&["sync", &inbox.to_string_lossy()]);
    command.envs([
        SMALL_CHUNKS,
        ("TIDEGATE_CONFIG", &sandbox.path("tidegate.toml").to_string_lossy()),
    ]);
    let (said, peak_kb) = run_measured(&mut command);
    assert!(peak_kb < 192 << 10, "{peak_kb} KiB: {said}");
    assert_eq!(
        sandbox.rows("SELECT COUNT(*), SUM(line_count) FROM sales"),
        ["15000|22500"],
        "{said}"
    );
}

scenario!(a_document_goes_on_where_a_crash_cut_it_off);
fn a_document_goes_on_where_a_crash_cut_it_off(sandbox: &Sandbox) {
    let mut document = large_document(800, 4000);
    // One object comes again at the end, so that it is gathered when the others are done.
    let again = format!(r#",{{"id":"o3","text":"{}","name":"n","line_items":"#, "x".repeat(4000));
    let lines = r#"[{"sku":"S0","qty":3},{"sku":"S1","qty":3},{"sku":"S2","qty":3}]}"#;
    let end = document.find("], \"after\"").expect("it is there");
    document.insert_str(end, &(again + lines));
    let clean = sandbox.sibling();
    clean.drop_file("sales.json", &document);
    assert_eq!(sync_with(&clean, &by_root(), &[SMALL_CHUNKS]).exit, 0);
    for failpoints in [
        "after_commit=2*off->return",
        "after_checkpoint=1*off->return",
        "before_commit=6*off->return",
    ] {
        let sandbox = sandbox.sibling();
        sandbox.drop_file("sales.json", &document);
        let killed = sync_with(&sandbox, &by_root(), &[SMALL_CHUNKS, ("FAILPOINTS", failpoints)]);
        assert_eq!(killed.exit, KILLED, "{failpoints} {}", killed.stderr);
        let report = sync_with(&sandbox, &by_root(), &[SMALL_CHUNKS]);
        assert_eq!(report.exit, 0, "{failpoints} {report:?}");
        let counts = "SELECT rows_read, rows_accepted, rows_duplicate, rows_rejected, state FROM tidegate_files";
        assert_eq!(sandbox.rows(counts), ["1403|1400|3|0|synced"], "{failpoints}");
        for table in ["sales", "sale_lines"] {
            let rows = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
            assert_eq!(sandbox.rows(&rows), clean.rows(&rows), "{failpoints}");
        }
        assert_verified(&sandbox);
    }
}
