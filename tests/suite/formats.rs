//! Formats: how files may be written, and what of a broken one is lost.

use crate::sandbox::{Report, Sandbox, table};

const ORDERS: &str = "Market 1 Orders.csv";

fn sync(sandbox: &Sandbox, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> Report {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    let astray = "SELECT id FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(astray), Vec::<String>::new());
    report
}

fn synced(sandbox: &Sandbox, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) {
    let report = sync(sandbox, name, content);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
}

/// Rows that a few rejects are no large share of.
fn with_filler(lines: &[&[u8]]) -> Vec<u8> {
    let filler = (0..60).map(|number| format!("filler{number},f,f").into_bytes());
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).chain(filler).collect();
    lines.join(&b'\n')
}

const NOT_FILLER: &str =
    "SELECT order_id, description FROM orders WHERE order_id NOT LIKE 'filler%' ORDER BY order_id";

scenario!(the_mark_by_which_dos_ends_a_text_is_no_row);
fn the_mark_by_which_dos_ends_a_text_is_no_row(sandbox: &Sandbox) {
    let csv = "Order ID,SKU,Description\n11,A,x\n12,B,y";
    let stored = |name: &str, text: &str| {
        let fresh = sandbox.sibling();
        fresh.drop_file(name, text);
        let report = fresh.sync();
        let file = report.file(name);
        assert_eq!((file.outcome.as_str(), file.counts["rejected"]), ("synced", 0), "{text:?}");
        fresh.rows("SELECT order_id, description FROM orders ORDER BY order_id")
    };
    for end in ["\x1a", "\n\x1a", "\r\n\x1a\x1a\x1a"] {
        assert_eq!(
            stored("Market 1 Orders.csv", &format!("{csv}{end}")),
            ["11|x", "12|y"],
            "{end:?}"
        );
    }
    let json = "[{\"Order ID\": \"11\", \"SKU\": \"A\", \"Description\": \"x\"}]\n\x1a";
    assert_eq!(stored("Market 1 Orders.json", json), ["11|x"]);
    // Anywhere else it is a character like others.
    let inside = csv.replace("x\n", "x\x1a\n");
    assert_eq!(stored("Market 1 Orders.csv", &inside), ["11|x\x1a", "12|y"]);
}

scenario!(quoted_cells_may_hold_anything);
fn quoted_cells_may_hold_anything(sandbox: &Sandbox) {
    let content = "Order ID,SKU,Description,Reviews\n\
            11,A,\"two\nlines, a comma and \"\"quotes\"\"\",x\n\
            12,B,6\" pipe,say \"hi\"\n\
            13,C,\"\",\"\"\n";
    synced(sandbox, ORDERS, content);
    let orders =
        sandbox.rows("SELECT order_id, description, reviews FROM orders ORDER BY order_id");
    assert_eq!(
        orders,
        ["11|two\nlines, a comma and \"quotes\"|x", "12|6\" pipe|say \"hi\"", "13|-|-"]
    );
}

scenario!(line_ends_marks_and_padding_do_not_matter);
fn line_ends_marks_and_padding_do_not_matter(sandbox: &Sandbox) {
    let plain = "Order ID,SKU,Description\n11,A,x\n12,B,y\n";
    let others = [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        plain.trim_end().to_owned(),
        format!("\u{feff}{plain}"),
        plain.replace('\n', "\n\n"),
        plain.replace('\n', ",,\n"),
        "\u{feff}\"Order ID\",\"SKU\",\"Description\"\r\n\"11\",\"A\",\"x\",\r\n\"12\",B,y,,,"
            .to_owned(),
    ];
    synced(sandbox, ORDERS, plain);
    let before = sandbox.dump();
    for other in &others {
        let report = sync(sandbox, ORDERS, other);
        assert_eq!(report.file(ORDERS).changes(), (0, 0, 4, 0), "{other:?}");
        assert_eq!(sandbox.dump(), before, "{other:?}");
    }
    synced(sandbox, "Market 1 Orders.tsv", &plain.replace(',', "\t"));
    assert_eq!(sandbox.dump(), before);
}

scenario!(a_file_without_rows_is_synced_and_one_without_a_header_refused);
fn a_file_without_rows_is_synced_and_one_without_a_header_refused(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, "Order ID,SKU\n");
    synced(sandbox, "Market 1 Customers.json", "[]");
    synced(sandbox, "Market 2 Customers.ndjson", "");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
    let report = sync(sandbox, "Market 2 Orders.csv", "");
    assert_eq!(
        (report.exit, report.file("Market 2 Orders.csv").outcome.as_str()),
        (1, "quarantined")
    );
    assert!(report.file("Market 2 Orders.csv").error.contains("header"), "{report:?}");
}

scenario!(a_quote_that_never_closes_costs_only_its_row);
fn a_quote_that_never_closes_costs_only_its_row(sandbox: &Sandbox) {
    let content = with_filler(&[
        b"Order ID,SKU,Description",
        b"11,A,x",
        b"12,B,\"open",
        b"13,C,\"a\" b",
        b"14,D,y",
    ]);
    synced(sandbox, ORDERS, &content);
    assert_eq!(sandbox.rows(NOT_FILLER), ["11|x", "14|y"]);
    let rejects =
        sandbox.rows("SELECT r.row_number, raw FROM tidegate_rejects r ORDER BY r.row_number");
    assert_eq!(rejects, ["2|12,B,\"open", "3|13,C,\"a\" b"]);
}

scenario!(bytes_that_are_no_text_reject_the_whole_record);
fn bytes_that_are_no_text_reject_the_whole_record(sandbox: &Sandbox) {
    let before = with_filler(&[b"Order ID,SKU,Description", b"11,A,x", b"11,B,x", b"12,C,y"]);
    synced(sandbox, ORDERS, &before);
    let lines: [&[u8]; 6] = [
        b"Order ID,SKU,Description",
        b"11,A,new",
        b"11,\xff\xfeB,new",
        b"12,C,z\0",
        b"13,D,w",
        b"\xe9,E,v",
    ];
    synced(sandbox, ORDERS, &with_filler(&lines));
    assert_eq!(sandbox.rows(NOT_FILLER), ["11|x", "12|y", "13|w"]);
    let items = "SELECT order_id, sku FROM order_items WHERE order_id IN ('11', '12') ORDER BY order_id, line_no";
    assert_eq!(sandbox.rows(items), ["11|A", "11|B", "12|C"]);
    let rejects = sandbox.rows(
        "SELECT r.row_number, column_name, raw FROM tidegate_rejects r ORDER BY r.row_number",
    );
    assert_eq!(
        rejects,
        [
            "1|-|11,A,new",
            r"2|sku|11,\xFF\xFEB,new",
            r"3|description|12,C,z\x00",
            r"5|order_id|\xE9,E,v"
        ]
    );
    let reason = sandbox.rows("SELECT reason FROM tidegate_rejects r WHERE r.row_number = 1");
    assert!(reason[0].contains("row 2 of the same record"), "{reason:?}");
}

scenario!(a_bad_row_far_from_its_record_rejects_the_record);
fn a_bad_row_far_from_its_record_rejects_the_record(sandbox: &Sandbox) {
    let mut content = with_filler(&[b"Order ID,SKU,Description", b"11,A,x", b"12,B,y"]);
    content.extend(b"\n11,B,\0\n");
    synced(sandbox, ORDERS, &content);
    assert_eq!(sandbox.rows(NOT_FILLER), ["12|y"]);
    assert_eq!(
        sandbox.rows("SELECT r.row_number FROM tidegate_rejects r ORDER BY r.row_number"),
        ["1", "63"]
    );
}

scenario!(a_file_with_too_many_rejects_changes_no_row);
fn a_file_with_too_many_rejects_changes_no_row(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, "Order ID,SKU,Description\n1,A,x\n");
    let before = sandbox.dump();
    let good: String = (2..11).map(|key| format!("{key},A,new\n")).collect();
    let report =
        sync(sandbox, ORDERS, &format!("Order ID,SKU,Description\n1,A,new\n{good}-,B,x\n-,C,x\n"));
    assert_eq!((report.exit, report.file(ORDERS).outcome.as_str()), (1, "quarantined"));
    assert!(report.file(ORDERS).error.contains("2 of 12"), "{}", report.file(ORDERS).error);
    assert_eq!(sandbox.dump(), before);
    let report =
        sync(sandbox, ORDERS, &format!("Order ID,SKU,Description\n1,A,new\n{good}-,B,x\n"));
    assert_eq!(report.file(ORDERS).outcome, "synced", "one in eleven is within the limit");
}

scenario!(rejects_count_with_the_whole_record_even_when_it_is_scattered);
fn rejects_count_with_the_whole_record_even_when_it_is_scattered(sandbox: &Sandbox) {
    let large: String = (0..20).map(|line| format!("11,L{line},x\n")).collect();
    let small: String = (100..180).map(|key| format!("{key},A,x\n")).collect();
    let report =
        sync(sandbox, ORDERS, &format!("Order ID,SKU,Description\n{large}{small}11,Z,\0\n"));
    assert_eq!(
        report.file(ORDERS).outcome,
        "quarantined",
        "21 of 101 rows are rejected: {report:?}"
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
}

scenario!(a_truncated_array_is_refused_and_the_earlier_version_stays);
fn a_truncated_array_is_refused_and_the_earlier_version_stays(sandbox: &Sandbox) {
    let whole = r#"[{"Customer ID": 1, "Language": "en"}, {"Customer ID": 2, "Language": "fr"}]"#;
    let damaged = [
        &whole[..whole.len() - 1],
        &whole[..whole.len() - 10],
        &whole.replace("}, {", "} {"),
        &whole.replace("}]", "},]"),
        &format!("{whole} []"),
        &whole.replace("en", "xx").replace("\"fr\"", "fr"),
    ];
    let name = "Market 1 Customers.json";
    synced(sandbox, name, whole);
    for content in damaged {
        let report = sync(sandbox, name, content);
        assert_eq!(report.file(name).outcome, "quarantined", "{content}");
        assert_eq!(
            sandbox.rows("SELECT customer_id, language FROM customers ORDER BY 1"),
            ["1|en", "2|fr"]
        );
    }
}

scenario!(customers_are_the_same_in_every_format);
fn customers_are_the_same_in_every_format(sandbox: &Sandbox) {
    let objects = [
        r#"{"Customer ID": 4144840, "Language": "en", "Created At": "2022-02-15T13:07:09.000Z", "Outstanding Amount": 12.5, "Loyalty Points": "1,000", "Number of Employees": null, "Is Blocked": 0}"#,
        r#"{"Customer ID": "0007", "Language": "größer \u00e9 \"q\"", "Created At": "", "Outstanding Amount": "KSh 7", "Loyalty Points": 0, "Number of Employees": 3, "Is Blocked": 1}"#,
    ];
    let csv = table(&[
        "Customer ID,Language,Created At,Outstanding Amount,Loyalty Points,Number of Employees,Is Blocked",
        "4144840,en,2022-02-15T13:07:09.000Z,12.5,\"1,000\",,0",
        "0007,\"größer é \"\"q\"\"\",,KSh 7,0,3,1",
    ]);
    let formats = [
        ("json", format!("\u{feff}[\n {}\n]\n", objects.join(",\n"))),
        ("ndjson", objects.join("\n")),
        ("jsonl", format!("{}\r\n", objects.join("\r\n"))),
        ("csv", csv.clone()),
        ("tsv", csv.replace("\"1,000\"", "1000").replace(',', "\t")),
    ];
    let mut dumps = Vec::new();
    for (extension, content) in &formats {
        let fresh = sandbox.sibling();
        synced(&fresh, &format!("Market 1 Customers.{extension}"), content);
        dumps.push(fresh.dump());
    }
    let customers = &dumps[0]["customers"];
    assert_eq!(customers.len(), 2);
    assert!(customers.iter().any(|row| row.contains("größer é \"q\"")), "{customers:?}");
    for (dump, (extension, _)) in dumps.iter().zip(&formats) {
        assert_eq!(dump, &dumps[0], "{extension}");
    }
}

scenario!(nested_objects_become_columns_and_arrays_text);
fn nested_objects_become_columns_and_arrays_text(sandbox: &Sandbox) {
    let content = r#"[
            {"Customer ID": "1", "Address": {"City": "Nairobi", "Geo": {"Lat": -1.25}}, "Tags": ["a", {"b": 1}]},
            {"Customer ID": "2", "Address": {"City": "Lagos"}, "Tags": []}
        ]"#;
    synced(sandbox, "Market 1 Customers.json", content);
    let customers = sandbox
        .rows("SELECT address_city, address_geo_lat, tags FROM customers ORDER BY customer_id");
    assert_eq!(customers, [r#"Nairobi|-1.25|["a", {"b": 1}]"#, "Lagos|-|[]"]);
}

scenario!(an_empty_json_file_is_no_export_and_an_empty_array_is_one);
fn an_empty_json_file_is_no_export_and_an_empty_array_is_one(sandbox: &Sandbox) {
    for (market, (name, content, outcome)) in [
        ("customers.json", "", "quarantined"),
        ("customers.json", "\u{feff} \n\n", "quarantined"),
        ("customers.json", "[]", "synced"),
        ("customers.ndjson", "", "synced"),
        ("customers.jsonl", "\n", "synced"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("market{market}/{name}");
        sandbox.drop_file(&path, content);
        let path = sandbox.inbox().join(path);
        let output = sandbox
            .command(&["--json", "sync", &path.to_string_lossy()])
            .output()
            .expect("it starts");
        let report = Report::of(&output);
        assert_eq!(report.file(name).outcome, outcome, "{content:?} in {name}: {report:?}");
    }
}
