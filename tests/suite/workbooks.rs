//! Workbooks: what is read of an Excel file, cell by cell.

use crate::forms::zip;
use crate::sandbox::{Report, Sandbox};
use crate::workbook_parts::{Sheet, parts, sheet, workbook};
use std::fs;
use std::process::Output;

const BOOK: &str = "north book.xlsx";

fn write_configuration(sandbox: &Sandbox, dataset: &str) -> String {
    let path = sandbox.path("tidegate.toml");
    let text = format!(
        "[datasets.book]\npaths = ['/(?<market>\\w+) book\\.(?:xlsx|csv|parquet)$']\nkey = \"no\"\n{dataset}"
    );
    fs::write(&path, text).expect("a writable temporary directory");
    path.to_string_lossy().into_owned()
}

fn sync(sandbox: &Sandbox, dataset: &str) -> Report {
    let configuration = write_configuration(sandbox, dataset);
    sandbox.sync_with(&[("TIDEGATE_CONFIG", configuration.as_str())])
}

fn synced(sandbox: &Sandbox, dataset: &str, bytes: &[u8]) -> Report {
    sandbox.drop_file(BOOK, bytes);
    let report = sync(sandbox, dataset);
    assert_eq!(report.file(BOOK).outcome, "synced", "{report:?}");
    report
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut command = sandbox.command(arguments);
    command.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml"));
    command.output().expect("the built program starts")
}

fn book(rows: &[&[&str]]) -> Vec<u8> {
    workbook(&[sheet("Data", rows)], &["shared & text", "07"], false)
}

scenario!(each_kind_of_cell_is_read_as_what_it_is);
fn each_kind_of_cell_is_read_as_what_it_is(sandbox: &Sandbox) {
    let rows: [&[&str]; 4] = [
        &["No", "Text", "Price", "Day", "At", "Paid", "Span", "Sum"],
        &[
            "00123",
            "s:0",
            "n:1250.5",
            "d:44609",
            "m:44609.69197916667",
            "b:1",
            "h:1.25",
            "f:B2*2=7",
        ],
        &["n:12345678", "s:1", "n:0.30000000000000004", "d:44610", "m:44609", "b:0", "", "n:8"],
        &["7a", "  two, \"words\" ", "n:-3", "", "", "", "", ""],
    ];
    let columns =
        "[datasets.book.columns]\npaid = { type = \"boolean\" }\nprice = { type = \"money\" }\n";
    synced(sandbox, columns, &book(&rows));
    assert_eq!(
        sandbox.rows("SELECT no, text, price, day, paid, span, sum FROM book ORDER BY no"),
        [
            "00123|shared & text|1250.5|2022-02-17|1|30:00:00|7",
            "12345678|07|0.3|2022-02-18|0|-|8",
            "7a|  two, \"words\" |-3|-|-|-|-",
        ]
    );
    let moments = "SELECT COUNT(*) FROM book WHERE at IS NOT NULL";
    assert_eq!(sandbox.rows(moments), ["2"]);
    let kinds = "SELECT column_name, new_type FROM tidegate_schema_changes WHERE table_name = 'book' AND column_name IN ('at', 'day', 'sum') ORDER BY 1";
    let kinds = sandbox.rows(kinds);
    assert!(kinds[0].starts_with("at|time") && kinds[1].starts_with("day|da"), "{kinds:?}");
    assert_eq!(sync(sandbox, columns).file(BOOK).outcome, "unchanged");
}

scenario!(days_of_both_systems_are_the_same_days: sqlite);
fn days_of_both_systems_are_the_same_days(sandbox: &Sandbox) {
    let rows = |day: &'static str, moment: &'static str| {
        let rows: [&[&str]; 2] = [&["No", "Day", "At"], &["1", day, moment]];
        sheet("Data", &rows)
    };
    synced(sandbox, "", &workbook(&[rows("d:44609", "m:44609.75")], &[], false));
    let dump = sandbox.rows("SELECT no, day, at FROM book");
    assert_eq!(dump, ["1|2022-02-17|2022-02-17T18:00:00.000Z"]);
    let of_1904 = workbook(&[rows("d:43147", "m:43147.75")], &[], true);
    assert_eq!(synced(sandbox, "", &of_1904).file(BOOK).changes(), (0, 0, 1, 0));
    assert_eq!(sandbox.rows("SELECT no, day, at FROM book"), dump);
}

scenario!(a_day_of_excel_is_clear_whatever_the_dataset_says_of_written_ones);
fn a_day_of_excel_is_clear_whatever_the_dataset_says_of_written_ones(sandbox: &Sandbox) {
    let rows: [&[&str]; 4] = [
        &["No", "Day", "At"],
        &["1", "d:44596", "m:44596.5"],
        &["2", "04/02/2022", "04/02/2022 13:00"],
        &["3", "d:44597", "m:44597"],
    ];
    let columns = "[datasets.book.columns]\nday = { type = \"date\", dates = \"DATES\" }\nat = { type = \"timestamp\", dates = MOMENTS, timezone = \"Africa/Lagos\" }\n";
    for (dates, moments) in [("dmy", "\"dmy\""), ("%d/%m/%Y", "[\"%d/%m/%Y %H:%M\", \"%d/%m/%Y\"]")]
    {
        let fresh = sandbox.sibling();
        let columns = columns.replace("DATES", dates).replace("MOMENTS", moments);
        synced(&fresh, &columns, &book(&rows));
        let hours = match fresh.engine {
            crate::sandbox::Engine::Sqlite => "SUBSTR(at, 12, 2)".to_owned(),
            crate::sandbox::Engine::Mariadb => "HOUR(at)".to_owned(),
            crate::sandbox::Engine::Postgres => {
                "EXTRACT(HOUR FROM at AT TIME ZONE 'UTC')".to_owned()
            }
        };
        let stored = fresh.rows(&format!("SELECT no, day, {hours} FROM book ORDER BY no"));
        // Noon, 13 o'clock and midnight of Lagos, an hour before UTC.
        assert_eq!(stored, ["1|2022-02-04|11", "2|2022-02-04|12", "3|2022-02-05|23"], "{dates}");
        assert_eq!(fresh.rows("SELECT COUNT(*) FROM book WHERE _rescued IS NOT NULL"), ["0"]);
    }
}

scenario!(numbers_of_excel_are_clear_and_texts_are_read_by_the_declared_sign);
fn numbers_of_excel_are_clear_and_texts_are_read_by_the_declared_sign(sandbox: &Sandbox) {
    let rows: [&[&str]; 4] = [
        &["No", "Price", "Found"],
        &["1", "n:1.25", "n:101.102"],
        &["2", "n:1.250", "n:3"],
        &["3", "1.250,5", "n:4.5"],
    ];
    let comma = "decimal = \",\"\n[datasets.book.columns]\nprice = { type = \"money\" }\n";
    synced(sandbox, comma, &book(&rows));
    assert_eq!(
        sandbox.rows("SELECT no, price, found FROM book ORDER BY no"),
        ["1|1.25|101.102", "2|1.25|3", "3|1250.5|4.5"]
    );
}

scenario!(errors_and_formulas_without_a_value_are_rescued_and_no_key);
fn errors_and_formulas_without_a_value_are_rescued_and_no_key(sandbox: &Sandbox) {
    let mut rows: Vec<Vec<String>> = vec![
        ["No", "Text", "Price"].map(str::to_owned).into(),
        ["1", "e:#REF!", "e:#DIV/0!"].map(str::to_owned).into(),
        ["2", "#REF!", "f:A1+1"].map(str::to_owned).into(),
        ["e:#N/A", "x", "n:1"].map(str::to_owned).into(),
    ];
    rows.extend((10..50).map(|number| vec![number.to_string(), "y".to_owned(), "n:1".to_owned()]));
    let rows: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let report = synced(sandbox, "", &book(&rows));
    assert_eq!(
        sandbox
            .rows("SELECT no, text, price FROM book WHERE no < '3' AND LENGTH(no) = 1 ORDER BY no"),
        ["1|-|-", "2|#REF!|-"]
    );
    let rescued = sandbox.rows("SELECT _rescued FROM book WHERE _rescued IS NOT NULL ORDER BY no");
    assert!(rescued[0].contains("#REF!") && rescued[0].contains("#DIV/0!"), "{rescued:?}");
    assert!(rescued[1].contains("#formula without a value"), "{rescued:?}");
    assert_eq!((report.file(BOOK).counts["rejected"], report.file(BOOK).counts["rescued"]), (1, 2));
    let rejects =
        sandbox.rows("SELECT r.row_number, column_name, reason, raw FROM tidegate_rejects r");
    assert_eq!(rejects.len(), 1);
    assert!(rejects[0].starts_with("3|no|the key is the error `#N/A`"), "{rejects:?}");
    assert!(rejects[0].ends_with("|#N/A,\"x\",1"), "{rejects:?}");
}

scenario!(a_column_full_of_errors_is_another_export: sqlite);
fn a_column_full_of_errors_is_another_export(sandbox: &Sandbox) {
    let numbers: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let mut rows: Vec<Vec<&str>> = vec![vec!["No", "Price"]];
    rows.extend(numbers.iter().map(|number| vec![number.as_str(), "e:#REF!"]));
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    sandbox.drop_file(BOOK, &book(&rows));
    let report = sync(sandbox, "[datasets.book.columns]\nprice = { type = \"money\" }\n");
    let file = report.file(BOOK);
    assert_eq!(file.outcome, "quarantined", "{report:?}");
    assert!(file.error.contains("price") && file.error.contains("#REF!"), "{}", file.error);
}

scenario!(an_identifier_of_more_digits_than_excel_keeps_is_a_reject);
fn an_identifier_of_more_digits_than_excel_keeps_is_a_reject(sandbox: &Sandbox) {
    let mut rows: Vec<Vec<String>> = vec![
        ["No", "Customer_ID", "Size"].map(str::to_owned).into(),
        ["n:123456789012345", "n:12.5", "n:1234567890123456"].map(str::to_owned).into(),
        ["n:1234567890123456", "1", "n:1"].map(str::to_owned).into(),
        ["3", "n:1234567890123456", "n:1"].map(str::to_owned).into(),
        ["1234567890123456", "12345678901234567890", "n:2"].map(str::to_owned).into(),
    ];
    rows.extend((10..50).map(|number| vec![number.to_string(), "y".to_owned(), "n:1".to_owned()]));
    let rows: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    synced(sandbox, "", &book(&rows));
    let stored = "SELECT no, customer_id FROM book WHERE LENGTH(no) > 2 ORDER BY no";
    assert_eq!(
        sandbox.rows(stored),
        ["123456789012345|12.5", "1234567890123456|12345678901234567890"]
    );
    let rejects =
        sandbox.rows("SELECT r.row_number, column_name FROM tidegate_rejects r ORDER BY 1");
    assert_eq!(rejects, ["2|no", "3|customer_id"]);
}

scenario!(the_sheet_is_the_named_one_or_the_first_with_the_key: sqlite);
fn the_sheet_is_the_named_one_or_the_first_with_the_key(sandbox: &Sandbox) {
    let rows = |no: &'static str| {
        let rows: [&[&str]; 4] = [&["Report of May"], &[], &["No", "Text"], &[no, "x"]];
        sheet("", &rows)
    };
    let named =
        |name: &'static str, is_hidden: bool, rows: Sheet| Sheet { name, is_hidden, ..rows };
    let sheets = [
        named("Cover", false, sheet("", &[&["Nothing", "here"], &["1", "2"]])),
        named("Old", true, rows("old")),
        named("Now", false, rows("now")),
        named("Next", false, rows("next")),
    ];
    let bytes = workbook(&sheets, &[], false);
    for (setting, expected) in
        [("", "now"), ("sheet = \"Next\"\n", "next"), ("sheet = 'old'\n", "old")]
    {
        let fresh = sandbox.sibling();
        let report = synced(&fresh, setting, &bytes);
        assert_eq!(fresh.rows("SELECT no, text FROM book"), [format!("{expected}|x")]);
        assert_eq!(report.file(BOOK).counts["read"], 1);
    }
    sandbox.drop_file(BOOK, &bytes);
    let error = sync(sandbox, "sheet = \"June\"\n").file(BOOK).error.clone();
    assert!(
        error.contains("no sheet `June`") && error.contains("Cover, Now, Next, Old"),
        "{error}"
    );
    sandbox.drop_file(BOOK, &workbook(&[sheets[0].clone(), sheets[0].clone()], &[], false));
    let error = sync(sandbox, "").file(BOOK).error.clone();
    assert!(error.contains("none of its sheets (Cover, Cover)"), "{error}");
    sandbox.drop_file(BOOK, &workbook(&sheets[..1], &[], false));
    let error = sync(sandbox, "").file(BOOK).error.clone();
    assert!(error.contains("no column is `no`") && error.contains("Nothing, here"), "{error}");
}

scenario!(merged_cells_are_filled_where_the_dataset_says_so_and_hidden_ones_are_read: sqlite);
fn merged_cells_are_filled_where_the_dataset_says_so_and_hidden_ones_are_read(sandbox: &Sandbox) {
    let rows: [&[&str]; 5] = [
        &["No", "Text", "Price"],
        &["1", "n:1.5", "n:10"],
        &["2", "", "n:11"],
        &["3", "two, words", "n:12"],
        &["4", "", ""],
    ];
    let mut data = sheet("Data", &rows);
    data.rows = data.rows.replace("<row r=\"4\"", "<row hidden=\"1\" r=\"4\"");
    synced(sandbox, "fill_down = [\"Text\", \"Price\"]\n", &workbook(&[data], &[], false));
    assert_eq!(
        sandbox.rows("SELECT no, text, price FROM book ORDER BY no"),
        ["1|1.5|10", "2|1.5|11", "3|two, words|12", "4|two, words|12"]
    );
}

scenario!(a_cell_beside_the_table_is_a_reject_and_not_part_of_another: sqlite);
fn a_cell_beside_the_table_is_a_reject_and_not_part_of_another(sandbox: &Sandbox) {
    let numbers: Vec<String> = (10..60).map(|number| number.to_string()).collect();
    let mut rows: Vec<Vec<&str>> =
        vec![vec!["No", "Text"], vec!["1", "a", "", "note"], vec!["2", "b"], vec!["", "", "", "x"]];
    rows.extend(numbers.iter().map(|number| vec![number.as_str(), "c"]));
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    synced(sandbox, "", &book(&rows));
    assert_eq!(sandbox.rows("SELECT no FROM book WHERE LENGTH(no) = 1"), ["2"]);
    let rejects = sandbox.rows("SELECT r.row_number, reason FROM tidegate_rejects r ORDER BY 1");
    assert!(rejects[0].starts_with("1|the row has 4 cells where the header has 2"), "{rejects:?}");
    assert!(rejects[1].starts_with("3|"), "{rejects:?}");
}

scenario!(rejects_of_a_workbook_go_out_and_come_back);
fn rejects_of_a_workbook_go_out_and_come_back(sandbox: &Sandbox) {
    let numbers: Vec<String> = (10..60).map(|number| number.to_string()).collect();
    let mut rows: Vec<Vec<&str>> = vec![
        vec!["No", "Text", "Price", "Day"],
        vec!["", "=1+1", "n:1.250", "d:44609"],
        vec!["2", "b", "n:2", "d:44610"],
    ];
    rows.extend(numbers.iter().map(|number| vec![number.as_str(), "c", "n:3.5", "d:44610"]));
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let comma = "decimal = \",\"\n[datasets.book.columns]\nprice = { type = \"money\" }\nday = { type = \"date\" }\n";
    synced(sandbox, comma, &book(&rows));
    let out = run(sandbox, &["rejects", "--export", "out"]);
    assert!(out.status.success(), "{out:?}");
    let copy = fs::read_to_string(sandbox.path("out/north book.rejects.csv")).expect("it is there");
    assert!(copy.contains("\n,'=1+1,'1.25,2022-02-17,1,no,"), "{copy}");
    sandbox.drop_file("north book.rejects.csv", &copy.replace("\n,'", "\n1,'"));
    let report = sync(sandbox, comma);
    assert_eq!(report.file("north book.rejects.csv").outcome, "synced", "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT no, text, price, day FROM book WHERE no = '1'"),
        ["1|=1+1|1.25|2022-02-17"]
    );
    let open = "SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL";
    assert_eq!(sandbox.rows(open), ["0"]);
}

scenario!(a_workbook_is_planned_and_described_like_other_files: sqlite);
fn a_workbook_is_planned_and_described_like_other_files(sandbox: &Sandbox) {
    let rows: [&[&str]; 4] = [
        &["Kassenbuch"],
        &["Beleg", "Betrag", "Tag"],
        &["B-1", "n:1.5", "d:44609"],
        &["B-2", "n:2.25", "d:44610"],
    ];
    sandbox.drop_file("kasse.xlsx", &book(&rows));
    let path = sandbox.inbox().join("kasse.xlsx").display().to_string();
    let described = sandbox.command(&["describe", &path]).output().expect("it starts");
    let toml = String::from_utf8(described.stdout).expect("it prints text");
    assert!(described.status.success() && toml.contains("Excel workbook"), "{toml}");
    assert!(!toml.contains("delimiter") && toml.contains("header_has"), "{toml}");
    let toml = toml.replace("[datasets.kasse]\n", "[datasets.kasse]\nkey = \"Beleg\"\n");
    let toml = toml.replace("from = \"Beleg\", type = \"text\"", "from = \"Beleg\"");
    let configuration = sandbox.path("tidegate.toml");
    fs::write(&configuration, &toml).expect("a writable temporary directory");
    let configuration = configuration.to_string_lossy().into_owned();
    let mut plan = sandbox.command(&["--json", "plan", &path]);
    let plan = plan.env("TIDEGATE_CONFIG", &configuration).output().expect("it starts");
    let plan = String::from_utf8(plan.stdout).expect("it prints text");
    assert!(plan.contains("\"new\": 2") || plan.contains("\"new\":2"), "{plan}");
    assert!(sandbox.try_rows("SELECT * FROM kasse").is_err(), "a plan writes nothing");
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &configuration)]);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT beleg, betrag, tag FROM kasse ORDER BY beleg"),
        ["B-1|1.5|2022-02-17", "B-2|2.25|2022-02-18"]
    );
}

scenario!(what_is_no_workbook_or_larger_than_memory_is_refused: sqlite);
fn what_is_no_workbook_or_larger_than_memory_is_refused(sandbox: &Sandbox) {
    let rows: [&[&str]; 2] = [&["No", "Text"], &["1", "s:0"]];
    let with = |name: &str, change: &dyn Fn(&str) -> String| {
        let parts = parts(&[sheet("Data", &rows)], &["x"], false);
        let parts: Vec<(String, String)> = parts
            .into_iter()
            .map(|(own, xml)| match own == name {
                true => (own, change(&xml)),
                false => (own, xml),
            })
            .collect();
        let members: Vec<(&str, &[u8])> =
            parts.iter().map(|(name, xml)| (name.as_str(), xml.as_bytes())).collect();
        zip(&members)
    };
    let shared = "xl/sharedStrings.xml";
    let sheet1 = "xl/worksheets/sheet1.xml";
    let long = "y".repeat(2 << 20);
    let many = "<si><t>z</t></si>".repeat(1_000_000);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"No,Text\n1,x\n".to_vec(), "no Excel workbook"),
        (Vec::new(), "no Excel workbook"),
        (zip(&[("a.txt", b"x")]), "no Excel workbook"),
        (
            with(shared, &|xml| xml.replace("uniqueCount=\"1\"", "uniqueCount=\"99999999999\"")),
            "shared texts",
        ),
        (with(shared, &|xml| xml.replace("</sst>", &format!("{many}</sst>"))), "shared texts"),
        (with(sheet1, &|xml| xml.replace("No", &long)), "row_bytes_max"),
        (
            with(sheet1, &|xml| xml.replace("<dimension", &format!("<!--{long}--><dimension"))),
            "row_bytes_max",
        ),
        (with(sheet1, &|xml| format!("<!DOCTYPE x>{xml}")), "document type"),
        (with(sheet1, &|xml| xml.replace("</sheetData></worksheet>", "")), "no Excel workbook"),
        (with(sheet1, &|xml| xml.replace("t=\"s\"><v>0", "t=\"s\"><v>9")), "shared strings table"),
        (with(sheet1, &|xml| xml.replace("r=\"B2\"", "r=\"A2\"")), "not in order"),
        (
            with("xl/workbook.xml", &|xml| {
                xml.replace("<sheets>", &format!("<sheets>{}", " ".repeat(20 << 20)))
            }),
            "bytes",
        ),
    ];
    let limit = ("TIDEGATE_MEMORY_MAX_MB", "128");
    for (number, (bytes, reason)) in cases.iter().enumerate() {
        let configuration = write_configuration(sandbox, "");
        sandbox.drop_file(BOOK, bytes);
        let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", configuration.as_str()), limit]);
        let file = report.file(BOOK);
        assert_eq!(file.outcome, "quarantined", "{number}: {report:?}");
        assert!(file.error.contains(reason), "{number}: {}", file.error);
    }
    assert!(sandbox.try_rows("SELECT * FROM book").is_err());
}
