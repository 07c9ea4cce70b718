//! Rules: what a dataset says of its columns decides what is stored, what is a reject, which file
//! is refused, and which alarm a person sees until its cause is gone.

use crate::exports::SMALL_CHUNKS;
use crate::sandbox::{Report, Sandbox, table};
use serde_json::Value;
use std::fs;

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

/// A cell that makes so long rows that 300 of them are several chunks.
fn padding() -> String {
    "x".repeat(2000)
}

const LENIENT: &str = "rejects_max_percent = 100\n";

/// A configuration with one dataset, whose column `value` has these rules.
pub fn stock(rules: &str) -> String {
    format!(
        "{LENIENT}[datasets.stock]\npaths = ['/(?<market>\\w+)/stock[^/]*\\.(?:csv|json)$']\nkey = \"sku\"\n\
         [datasets.stock.columns]\nvalue = {{ {rules} }}\n"
    )
}

/// The same for records with lines; the rules are of a column of records, and of one of lines.
fn sales(record: &str, line: &str) -> String {
    format!(
        "{LENIENT}[datasets.sales]\npaths = ['/(?<market>\\w+)/sales[^/]*\\.(?:csv|json)$']\nkey = \"no\"\n\
         lines_table = \"sale_lines\"\njson = {{ lines = \"items\" }}\n[datasets.sales.columns]\n\
         total = {{ of = \"record\", {record} }}\nsize = {{ of = \"line\", {line} }}\n"
    )
}

fn sync_with(sandbox: &Sandbox, configuration: &str, environment: &[(&str, &str)]) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    sandbox.sync_with(&[&[("TIDEGATE_CONFIG", path.as_str()), SMALL_CHUNKS], environment].concat())
}

/// Syncs, checks that every row is accounted for, and that what is stored agrees with itself.
pub fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    let report = sync_with(sandbox, configuration, &[]);
    let unaccounted = "SELECT COUNT(*) FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + \
                       rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(unaccounted), ["0"], "{report:?}");
    let (exit, said) = run(sandbox, &["verify"]);
    assert_eq!(exit, 0, "{said}");
    report
}

/// A command under the configuration of the last sync.
pub fn run(sandbox: &Sandbox, arguments: &[&str]) -> (i32, String) {
    let mut command = sandbox.command(arguments);
    let output =
        command.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml")).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

pub fn json_of(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let (_, said) = run(sandbox, &[&["--json"], arguments].concat());
    serde_json::from_str(said.lines().next().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Open alarms: kind, dataset, market and message.
fn alarms(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT kind, dataset, market, message FROM tidegate_alarms WHERE cleared_at IS NULL ORDER BY id")
}

fn rejects(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT r.row_number, column_name, reason FROM tidegate_rejects r WHERE closed_at IS NULL ORDER BY id")
}

fn stored(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT sku, value FROM stock ORDER BY market, sku")
}

/// Rules, a value that keeps each, one that breaks it, and what the reason says.
const RULES: [(&str, &str, &str, &str); 7] = [
    ("type = \"money\", required = true", "5", "", "no value in `value`, which is required"),
    (
        "type = \"money\", required = true",
        "5",
        "far",
        "`far` does not fit `value`, which is required",
    ),
    ("one_of = [\"a\", \"b\"], map = { x = \"a\" }", "x", "c", "`c` is not one_of `a`, `b`"),
    ("pattern = '^[A-Z]+$'", "AB", "ab", "`ab` does not match the pattern `^[A-Z]+$`"),
    ("type = \"money\", min = 0.5", "0.50", "0.4999", "`0.4999` is less than min = 0.5"),
    ("type = \"integer\", max = 10", "10", "11", "`11` is greater than max = 10"),
    (
        "type = \"timestamp\", min = \"2024-01-01\"",
        "2024-01-01",
        "2023-12-31T23:59:59Z",
        "is less than min = 2024-01-01",
    ),
];

scenario!(a_row_that_breaks_a_rule_is_a_reject_that_says_which_rule_and_value);
fn a_row_that_breaks_a_rule_is_a_reject_that_says_which_rule_and_value(sandbox: &Sandbox) {
    for (rules, good, bad, says) in RULES {
        let sandbox = sandbox.sibling();
        sandbox.drop_file(
            "a/stock.csv",
            &table(&["sku,value", &format!("1,{good}"), &format!("2,{bad}"), &format!("3,{good}")]),
        );
        let report = sync(&sandbox, &stock(rules));
        let file = report.file("stock.csv");
        assert_eq!(
            (file.counts["accepted"], file.counts["rejected"]),
            (2, 1),
            "{rules}: {report:?}"
        );
        let keys = sandbox.rows("SELECT sku FROM stock ORDER BY sku");
        assert_eq!(keys, ["1", "3"], "{rules}");
        let rejects = rejects(&sandbox);
        assert!(
            rejects[0].starts_with("2|value|") && rejects[0].contains(says),
            "{rules}: {rejects:?}"
        );
        assert_eq!(sandbox.rows("SELECT raw FROM tidegate_rejects"), [format!("2,{bad}")]);
        assert_eq!(alarms(&sandbox), Vec::<String>::new(), "{rules}");
    }
}

scenario!(a_rule_that_warns_stores_the_row_and_one_alarm_counts_until_a_file_is_free_of_it);
fn a_rule_that_warns_stores_the_row_and_one_alarm_counts_until_a_file_is_free_of_it(
    sandbox: &Sandbox,
) {
    for (rules, good, bad, _) in RULES {
        let sandbox = sandbox.sibling();
        let warns = stock(&format!("{rules}, on_violation = \"warn\""));
        let content = |bad: &[&str]| {
            let rows: Vec<String> =
                bad.iter().zip(2..).map(|(bad, sku)| format!("{sku},{bad}\n")).collect();
            format!("sku,value\n1,{good}\n{}", rows.concat())
        };
        sandbox.drop_file("a/stock.csv", &content(&[bad]));
        assert_eq!(sync(&sandbox, &warns).file("stock.csv").counts["rejected"], 0, "{rules}");
        assert_eq!(sandbox.rows("SELECT sku FROM stock ORDER BY sku"), ["1", "2"], "{rules}");
        let of_rules = |sandbox: &Sandbox| -> Vec<String> {
            alarms(sandbox).into_iter().filter(|alarm| alarm.starts_with("rule_broken")).collect()
        };
        let raised = of_rules(&sandbox);
        assert!(
            raised.len() == 1
                && raised[0].contains("stock|a|value breaks")
                && raised[0].contains("1 times"),
            "{raised:?}"
        );
        // Another file brings it up to date, and raises no second one.
        sandbox.drop_file("a/stock.csv", &content(&[bad, bad]));
        sync(&sandbox, &warns);
        let raised = of_rules(&sandbox);
        assert!(
            raised.len() == 1 && raised[0].contains("2 times, the first in row 2"),
            "{rules}: {raised:?}"
        );
        sandbox.drop_file("a/stock.csv", &content(&[]));
        sync(&sandbox, &warns);
        assert_eq!(alarms(&sandbox), Vec::<String>::new(), "{rules}");
        let cleared = "SELECT COUNT(*) FROM tidegate_alarms WHERE kind = 'rule_broken' AND cleared_at IS NOT NULL";
        assert_eq!(sandbox.rows(cleared), ["1"], "{rules}");
    }
}

scenario!(a_rule_that_quarantines_refuses_the_file_before_anything_is_written);
fn a_rule_that_quarantines_refuses_the_file_before_anything_is_written(sandbox: &Sandbox) {
    for (rules, good, bad, _) in RULES {
        let sandbox = sandbox.sibling();
        let refuses = stock(&format!("{rules}, on_violation = \"quarantine\""));
        // The fault is in the last of several chunks.
        let rows: String = (100..400).map(|sku| format!("{sku},{good},{}\n", padding())).collect();
        sandbox.drop_file("a/stock.csv", &format!("sku,value,note\n{rows}1,{bad},\n"));
        let report = sync(&sandbox, &refuses);
        let file = report.file("stock.csv");
        assert_eq!(file.outcome, "quarantined", "{rules}: {report:?}");
        assert!(
            file.error.contains("value, ") && file.error.contains("row 301: "),
            "{}",
            file.error
        );
        // A table whose columns have types is made at the start.
        let stored = sandbox.try_rows("SELECT sku FROM stock").unwrap_or_default();
        assert_eq!(stored, [] as [String; 0], "{rules}: it changed a table");
        let plan = json_of(&sandbox, &["plan", &sandbox.inbox().to_string_lossy()]);
        assert_eq!(plan["files"][0]["rules"][0]["violations"], 1, "{plan}");
        sandbox.drop_file("a/stock.csv", &format!("sku,value,note\n{rows}"));
        assert_eq!(sync(&sandbox, &refuses).file("stock.csv").outcome, "synced", "{rules}");
    }
}

scenario!(rules_count_towards_the_share_of_rejects_that_a_dataset_allows);
fn rules_count_towards_the_share_of_rejects_that_a_dataset_allows(sandbox: &Sandbox) {
    let settings =
        stock("type = \"money\", min = 0").replace("key =", "rejects_max_percent = 20\nkey =");
    sandbox.drop_file("a/stock.csv", &table(&["sku,value", "1,5", "2,-5", "3,5", "4,-4"]));
    let report = sync(sandbox, &settings);
    let file = report.file("stock.csv");
    assert_eq!(file.outcome, "quarantined", "{report:?}");
    for part in ["2 of 4 rows", "50.0 %", "allows 20", "value, min", "row 2: `-5`"] {
        assert!(file.error.contains(part), "{part}: {}", file.error);
    }
    let report = sync(sandbox, &settings.replace("percent = 20", "percent = 60"));
    assert_eq!(report.file("stock.csv").counts["rejected"], 2, "{report:?}");
}

scenario!(a_records_rule_is_asked_of_the_merged_record_and_a_lines_rule_of_each_line);
fn a_records_rule_is_asked_of_the_merged_record_and_a_lines_rule_of_each_line(sandbox: &Sandbox) {
    let settings = sales("type = \"money\", required = true, min = 0", "one_of = [\"S\", \"M\"]");
    let rows = [
        "no,total,size",
        // The value is in the last row only.
        "1,,S",
        "1,,M",
        "1,5,S",
        // No row has one.
        "2,,S",
        "2,,M",
        // The last one counts.
        "3,5,S",
        "3,-5,M",
        "3,,M",
        // A line.
        "4,5,S",
        "4,5,XL",
        "5,5,",
    ];
    sandbox.drop_file("a/sales.csv", &table(&rows));
    let report = sync(sandbox, &settings);
    let counts = &report.file("sales.csv").counts;
    assert_eq!((counts["accepted"], counts["rejected"]), (4, 7), "{report:?}");
    assert_eq!(sandbox.rows("SELECT no, total FROM sales ORDER BY no"), ["1|5", "5|5"]);
    let rejects = rejects(sandbox);
    let at_fault: Vec<&String> =
        rejects.iter().filter(|reject| !reject.contains("of the same record")).collect();
    assert_eq!(at_fault.len(), 3, "{rejects:?}");
    assert!(at_fault[0].starts_with("4|total|there is no value"), "{rejects:?}");
    assert!(at_fault[1].starts_with("7|total|`-5` is less than min = 0"), "{rejects:?}");
    assert!(at_fault[2].starts_with("10|size|`XL` is not one_of `S`, `M`"), "{rejects:?}");
    assert!(
        rejects.iter().any(|reject| reject.starts_with("9|-|row 10 of the same record")),
        "{rejects:?}"
    );

    // The same as objects with lines; one has none.
    let again = sandbox.sibling();
    let objects = r#"[{"no": 1, "total": 5, "items": [{"size": "S"}, {"size": "M"}]},
        {"no": 2, "items": [{"size": "S"}]}, {"no": 3, "total": -5, "items": []},
        {"no": 4, "total": 5, "items": [{"size": "S"}, {"size": "XL"}]}, {"no": 5, "total": 5, "items": []}]"#;
    again.drop_file("a/sales.json", objects);
    let json_settings = settings.replace("size = {", "size = { from = \"items.size\",");
    let report = sync(&again, &json_settings);
    let counts = &report.file("sales.json").counts;
    assert_eq!((counts["accepted"], counts["rejected"]), (3, 4), "{report:?}");
    assert_eq!(
        again.rows("SELECT no, total, line_count FROM sales ORDER BY no"),
        ["1|5|2", "5|5|0"]
    );
}

scenario!(rejects_of_rules_go_out_and_come_back_corrected);
fn rejects_of_rules_go_out_and_come_back_corrected(sandbox: &Sandbox) {
    let settings = sales("type = \"money\", min = 0", "one_of = [\"S\", \"M\"]");
    sandbox.drop_file(
        "a/sales.csv",
        &table(&["no,total,size", "1,5,S", "2,-5,S", "2,-5,M", "3,5,XL"]),
    );
    assert_eq!(sync(sandbox, &settings).file("sales.csv").counts["rejected"], 3);
    let (exit, said) = run(sandbox, &["rejects", "--export", "out"]);
    assert_eq!(exit, 0, "{said}");
    let exported = fs::read_to_string(sandbox.path("out").join("a/sales.rejects.csv"))
        .expect("it is exported");
    assert_eq!(exported.lines().count(), 4, "{exported}");
    // Corrected in part: what breaks the rule again is a reject again.
    sandbox.drop_file("a/sales.rejects.csv", &exported.replace("-5", "7"));
    let report = sync(sandbox, &settings);
    let counts = &report.file("sales.rejects.csv").counts;
    assert_eq!((counts["accepted"], counts["rejected"]), (2, 1), "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT no, total, line_count FROM sales ORDER BY no"),
        ["1|5|1", "2|7|2"]
    );
    let open = rejects(sandbox);
    assert!(open.len() == 1 && open[0].contains("`XL` is not one_of"), "{open:?}");
    sandbox.drop_file("a/sales.rejects.csv", &exported.replace("-5", "7").replace("XL", "M"));
    assert_eq!(sync(sandbox, &settings).exit, 0);
    assert_eq!(rejects(sandbox), Vec::<String>::new());
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM sale_lines"), ["4"]);
}

scenario!(a_short_row_does_not_fit_if_a_required_cell_is_missing);
fn a_short_row_does_not_fit_if_a_required_cell_is_missing(sandbox: &Sandbox) {
    let settings = stock("required = true").replace("value = {", "note = { }\nvalue = {");
    sandbox.drop_file("a/stock.csv", &table(&["sku,value,note", "1,5,x", "2,5", "3"]));
    let report = sync(sandbox, &settings);
    assert_eq!(report.file("stock.csv").counts["rejected"], 1, "{report:?}");
    assert_eq!(stored(sandbox), ["1|5", "2|5"]);
    assert!(
        rejects(sandbox)[0].contains("the row has 1 cells where the header has 3"),
        "{:?}",
        rejects(sandbox)
    );
}

scenario!(what_a_delta_does_not_mention_is_not_missing_and_what_an_export_lacks_is);
fn what_a_delta_does_not_mention_is_not_missing_and_what_an_export_lacks_is(sandbox: &Sandbox) {
    let full = stock("type = \"money\", required = true");
    let delta = full.replace("key =", "kind = \"delta\"\nkey =");
    sandbox.drop_file("a/stock.csv", &table(&["sku,value", "1,5"]));
    sync(sandbox, &delta);
    sandbox.drop_file("a/stock 2.json", r#"[{"sku": 1, "note": "x"}, {"sku": 2, "value": null}]"#);
    let report = sync(sandbox, &delta);
    assert_eq!(report.file("stock 2.json").counts["rejected"], 1, "{report:?}");
    assert_eq!(sandbox.rows("SELECT sku, value, note FROM stock ORDER BY sku"), ["1|5|x"]);

    let again = sandbox.sibling();
    again.drop_file("a/stock.csv", &table(&["sku,note", "1,x"]));
    again.drop_file("b/stock.json", r#"[{"sku": 1, "note": "x"}, {"sku": 2, "value": 5}]"#);
    sync(&again, &full);
    assert_eq!(stored(&again), ["2|5"]);
    let rejects = rejects(&again);
    assert!(
        rejects.iter().any(|reject| reject.contains("the file has no column `value`")),
        "{rejects:?}"
    );
    assert_eq!(rejects.len(), 2);
}

scenario!(a_unique_value_is_the_first_records_within_a_file_and_only_an_alarm_against_stored_ones);
fn a_unique_value_is_the_first_records_within_a_file_and_only_an_alarm_against_stored_ones(
    sandbox: &Sandbox,
) {
    let settings = stock("type = \"text\", unique = true");
    // Far apart, so in other chunks.
    let many = |first: usize| -> String {
        (first..first + 300).map(|sku| format!("{sku},v{sku},{}\n", padding())).collect()
    };
    sandbox.drop_file(
        "a/stock.csv",
        &format!("sku,value,note\n1,same,\n2,,\n3,,\n{}4,same,\n", many(1000)),
    );
    // Another market has its own values.
    sandbox.drop_file("b/stock.csv", "sku,value\n9,same\n");
    let report = sync(sandbox, &settings);
    assert_eq!(
        report.files.iter().map(|file| file.counts["rejected"]).sum::<u64>(),
        1,
        "{report:?}"
    );
    let rejected = rejects(sandbox);
    assert!(
        rejected[0].starts_with("304|value|`same` stands in record `1`, row 1, already"),
        "{rejected:?}"
    );
    assert_eq!(alarms(sandbox), Vec::<String>::new());
    // The same again is the same.
    sandbox.drop_file(
        "a/stock.csv",
        &format!("sku,value,note\n1,same,\n2,,\n3,,\n{}4,same,\n5,other,\n", many(1000)),
    );
    assert_eq!(
        sync(sandbox, &settings).files.iter().map(|file| file.counts["rejected"]).sum::<u64>(),
        1
    );
    // A later file's record is stored, and the alarm says so until it is gone.
    sandbox.drop_file("a/stock later.csv", "sku,value\n6,other\n");
    sync(sandbox, &settings);
    let raised = alarms(sandbox);
    assert!(
        raised.len() == 1
            && raised[0].contains("1 stored values of value stand in several records"),
        "{raised:?}"
    );
    assert!(raised[0].contains("`other`"), "{raised:?}");
    sandbox.drop_file("a/stock later.csv", "sku,value\n6,another\n");
    sync(sandbox, &settings);
    assert_eq!(alarms(sandbox), Vec::<String>::new());

    for (on_violation, outcome) in [("quarantine", "quarantined"), ("warn", "synced")] {
        let again = sandbox.sibling();
        again
            .drop_file("a/stock.csv", &format!("sku,value,note\n1,same,\n{}4,same,\n", many(1000)));
        let report =
            sync(&again, &stock(&format!("unique = true, on_violation = \"{on_violation}\"")));
        let file = report.file("stock.csv");
        assert_eq!((file.outcome.as_str(), file.counts["rejected"]), (outcome, 0), "{report:?}");
        match outcome {
            "quarantined" => {
                assert!(
                    file.error.contains("value, unique: 1 times, the first in row 302"),
                    "{}",
                    file.error
                );
            }
            _ => assert!(
                alarms(&again)[0].contains("1 stored values of value stand"),
                "{:?}",
                alarms(&again)
            ),
        }
    }
}

scenario!(references_are_counted_until_what_they_name_has_come);
fn references_are_counted_until_what_they_name_has_come(sandbox: &Sandbox) {
    let settings =
        "[datasets.orders.columns]\ncustomer_id = { references = \"customers.customer_id\" }\n";
    let orders = "Order ID,SKU,Customer ID\n11,A,7\n12,A,8\n13,A,8\n14,A,\n";
    sandbox.drop_file("Market 1 Orders.csv", orders);
    sandbox.drop_file("Market 2 Orders.csv", "Order ID,SKU,Customer ID\n11,A,7\n");
    assert_eq!(sync(sandbox, settings).exit, 0);
    let mut raised = alarms(sandbox);
    raised.sort();
    assert!(
        raised[0]
            .contains("rule_broken|orders|1|3 stored values of customer_id are not in customers"),
        "{raised:?}"
    );
    assert!(
        raised[0].contains("the first `7`, `8`") && raised[1].contains("|orders|2|1 stored"),
        "{raised:?}"
    );
    assert_eq!(raised.len(), 2);
    // Some customers of one market come, then the others.
    sandbox.drop_file("Market 1 Customers.csv", "Customer ID,Language\n8,en\n");
    sync(sandbox, settings);
    let raised = alarms(sandbox);
    assert!(raised.iter().any(|alarm| alarm.contains("|orders|1|1 stored values")), "{raised:?}");
    sandbox.drop_file("Market 1 Customers.csv", "Customer ID,Language\n8,en\n7,en\n");
    sync(sandbox, settings);
    let raised = alarms(sandbox);
    assert!(raised.len() == 1 && raised[0].contains("|orders|2|"), "{raised:?}");
    sandbox.drop_file("Market 2 Customers.csv", "Customer ID,Language\n7,en\n");
    sync(sandbox, settings);
    assert_eq!(alarms(sandbox), Vec::<String>::new());
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_alarms"), ["2"], "each was raised once");
    // An object's members belong to its record, wherever undeclared columns of rows go.
    sandbox.drop_file("Market 3 Orders.json", r#"[{"order_id": 1, "customer_id": "7"}]"#);
    sync(sandbox, settings);
    assert!(
        alarms(sandbox).len() == 1 && alarms(sandbox)[0].contains("|orders|3|1 stored"),
        "{:?}",
        alarms(sandbox)
    );
    sandbox.drop_file("Market 3 Customers.csv", "Customer ID,Language\n7,en\n");
    sync(sandbox, settings);
    // A rule that nobody declares any more has no alarm.
    sandbox.drop_file("Market 1 Orders.csv", &format!("{orders}15,A,9\n"));
    sync(sandbox, settings);
    assert_eq!(alarms(sandbox).len(), 1);
    sync(sandbox, "");
    assert_eq!(alarms(sandbox), Vec::<String>::new());
}

scenario!(references_between_tables_of_other_types_and_without_an_index_are_found);
fn references_between_tables_of_other_types_and_without_an_index_are_found(sandbox: &Sandbox) {
    let settings = format!(
        "{}rack = {{ references = \"racks.number\" }}\n[datasets.racks]\npaths = ['/(?<market>\\w+)/racks\\.csv$']\nkey = \"id\"\n",
        stock("")
    );
    sandbox.drop_file("a/stock.csv", "sku,value,rack\n1,5,10\n2,5,20\n3,5,x\n");
    sync(sandbox, &settings);
    assert!(
        alarms(sandbox)[0].contains("3 stored values of rack are not in racks.number"),
        "{:?}",
        alarms(sandbox)
    );
    sandbox.drop_file("a/racks.csv", "id,number\nr1,10\nr2,20\nr3,20\n");
    sync(sandbox, &settings);
    assert!(
        alarms(sandbox)[0]
            .contains("1 stored values of rack are not in racks.number, the first `x`")
    );
}

scenario!(rescued_values_raise_an_alarm_that_the_next_clean_file_clears);
fn rescued_values_raise_an_alarm_that_the_next_clean_file_clears(sandbox: &Sandbox) {
    let settings = stock("type = \"money\"");
    sandbox.drop_file("a/stock.csv", "sku,value\n1,5\n2,far\n3,near\n");
    sync(sandbox, &settings);
    let raised = alarms(sandbox);
    assert!(
        raised[0].starts_with("values_rescued|stock|a|2 rows have a value that does not fit"),
        "{raised:?}"
    );
    assert!(raised[0].contains("value 2, the first in row 2: `far`, row 3: `near`"), "{raised:?}");
    let evidence = sandbox.rows("SELECT evidence FROM tidegate_alarms");
    let evidence: Value = serde_json::from_str(&evidence[0]).expect("it is JSON");
    assert_eq!(evidence["columns"]["value"]["values"], 2);
    assert_eq!(evidence["columns"]["value"]["first"][0]["row"], 2);
    // Another market's file says nothing of it.
    sandbox.drop_file("b/stock.csv", "sku,value\n1,5\n");
    sync(sandbox, &settings);
    assert_eq!(alarms(sandbox).len(), 1);
    sandbox.drop_file("a/stock.csv", "sku,value\n1,5\n2,6\n3,7\n");
    sync(sandbox, &settings);
    assert_eq!(alarms(sandbox), Vec::<String>::new());
}

scenario!(a_file_that_a_crash_cut_off_raises_the_same_alarms);
fn a_file_that_a_crash_cut_off_raises_the_same_alarms(sandbox: &Sandbox) {
    let settings = stock("type = \"money\", min = 0, on_violation = \"warn\"");
    let rows: String = (100..400)
        .map(|sku| format!("{sku},{},{}\n", if sku < 105 { "-1" } else { "5" }, padding()))
        .collect();
    let content = format!("sku,value,note\n{rows}1,far,\n2,-2,\n");
    let clean = sandbox.sibling();
    clean.drop_file("a/stock.csv", &content);
    sync(&clean, &settings);
    let expected = alarms(&clean);
    assert!(
        expected.len() == 2 && expected[0].contains("value breaks min 6 times"),
        "{expected:?}"
    );
    for failpoints in
        ["before_finish=return", "after_checkpoint=1*off->return", "after_commit=2*off->return"]
    {
        let sandbox = sandbox.sibling();
        sandbox.drop_file("a/stock.csv", &content);
        let killed = sync_with(&sandbox, &settings, &[("FAILPOINTS", failpoints)]);
        assert_eq!(killed.exit, KILLED, "{failpoints}: {}", killed.stderr);
        assert_eq!(alarms(&sandbox), Vec::<String>::new(), "{failpoints}");
        sync(&sandbox, &settings);
        assert_eq!(alarms(&sandbox), expected, "{failpoints}");
    }
}

scenario!(what_an_index_knows_breaks_no_rule_and_what_breaks_one_is_counted_again);
fn what_an_index_knows_breaks_no_rule_and_what_breaks_one_is_counted_again(sandbox: &Sandbox) {
    let settings = stock("type = \"money\", min = 0, on_violation = \"warn\"");
    let rows: String = (100..300)
        .map(|sku| format!("{sku},{}\n", if sku % 50 == 0 { "-1" } else { "5" }))
        .collect();
    for (more, times) in [("", "4 times"), ("1,5\n", "4 times"), ("1,5\n2,-1\n", "5 times")] {
        sandbox.drop_file("a/stock.csv", &format!("sku,value\n{rows}{more}"));
        sync(sandbox, &settings);
        let raised = alarms(sandbox);
        assert!(raised.len() == 1 && raised[0].contains(times), "{more}: {raised:?}");
    }
}

scenario!(an_object_without_lines_lacks_nothing_of_them);
fn an_object_without_lines_lacks_nothing_of_them(sandbox: &Sandbox) {
    let settings = "[datasets.sales]\npaths = ['/sales\\.json$']\nkey = \"id\"\n\
        lines_table = \"sale_lines\"\njson = { lines = \"lines\" }\n\
        columns.item = { from = \"lines.sku\", required = true }\n\
        columns.buyer = { from = \"name\", required = true }\n";
    sandbox.drop_file(
        "sales.json",
        r#"[{"id": 1, "lines": [], "name": "Ann"}, {"id": 2, "name": "-"}]"#,
    );
    let lenient = format!("rejects_max_percent = 100\n{settings}");
    let report = sync_with(sandbox, &lenient, &[]);
    assert_eq!(report.file("sales.json").counts["rejected"], 1, "{report:?}");
    assert_eq!(sandbox.rows("SELECT id, line_count FROM sales"), ["1|0"]);
}
