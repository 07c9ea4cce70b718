//! Rejects: what could not be loaded is listed, goes out for correction, comes back, and is closed;
//! nothing that was not corrected gets in on the way.

use crate::sandbox::{Engine, Report, Sandbox, table};
use serde_json::Value;
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const REJECTS: &str = "Market 1 Orders.rejects.csv";
const CLEAN: &[&str] = &[
    "Order ID,Order Status,Description,SKU,Quantity,Total Price,Order Total,Currency Symbol,Customer ID,Order Time",
    "11,COMPLETED,fine,A,1,10.50,30.5,KSh,7,2022-02-15T13:07:09Z",
    "11,COMPLETED,fine,B,2,20.00,30.5,KSh,7,2022-02-15T13:07:09Z",
    "12,COMPLETED,\"one, two\",C,1,5.00,5,KSh,8,2022-02-15T14:00:00Z",
    "13,COMPLETED,quote,D,1,6.00,6,KSh,8,2022-02-15T15:00:00Z",
    "14,COMPLETED,bytes,E,1,7.00,7,KSh,9,2022-02-15T16:00:00Z",
    "15,COMPLETED,short,F,1,8.00,8,KSh,9,2022-02-15T17:00:00Z",
    "16,COMPLETED,\"6\"\" pipe\",G,1,9.00,9,KSh,9,2022-02-15T18:00:00Z",
];

/// Any share of rejects is taken.
const LENIENT: (&str, &str) = ("TIDEGATE_REJECTS_MAX_PERCENT", "100");

/// The clean export with a fault of every kind, a key that lost its digits, and one row that is
/// right.
fn damaged() -> Vec<u8> {
    let lines: Vec<String> = CLEAN
        .iter()
        .map(|line| {
            line.replace("11,COMPLETED,fine,B", "11,COMPLETED,f\0ine,B")
                .replace("KSh,8,2022-02-15T14", "KSh,8,x,y,2022-02-15T14")
                .replace("quote,D", "\"quote,D")
                .replace("short,F,1,8.00,8,KSh,9,2022-02-15T17:00:00Z", "short,F,x")
        })
        .collect();
    let text = table(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let at = text.find("bytes").expect("it is there");
    let mut bytes = text.into_bytes();
    bytes[at] = 0xE9;
    bytes
}

fn sync(sandbox: &Sandbox) -> Report {
    let report = sandbox.sync_with(&[LENIENT]);
    assert_eq!(report.exit, 0, "{:?} {}", report.files, report.stderr);
    let unaccounted = "SELECT COUNT(*) FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(unaccounted), ["0"]);
    report
}

/// `tidegate rejects ARGUMENTS`: how it ended, and what it printed.
fn rejects(sandbox: &Sandbox, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["rejects"], arguments].concat();
    let output = sandbox.command(&arguments).output().expect("the built program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// Exports into the directory `out`.
fn export(sandbox: &Sandbox) -> String {
    let (exit, said) = rejects(sandbox, &["--export", "out"]);
    assert_eq!(exit, 0, "{said}");
    said
}

fn exported(sandbox: &Sandbox, name: &str) -> String {
    let path = sandbox.path("out").join(name);
    String::from_utf8_lossy(
        &fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .into_owned()
}

fn open(sandbox: &Sandbox) -> Vec<String> {
    sandbox
        .rows(
            "SELECT f.path, r.row_number FROM tidegate_rejects r JOIN tidegate_files f ON f.id = r.file_id \
         WHERE r.closed_at IS NULL ORDER BY f.id, r.row_number",
        )
        .iter()
        .map(|row| row.rsplit_once('/').expect("a path").1.to_owned())
        .collect()
}

/// The exported rows with these numbers, as they should have been.
fn corrected(rows: &[usize]) -> String {
    let mut text = format!("{},_row,_column,_reason\n", CLEAN[0]);
    for &row in rows {
        text.push_str(&format!("{},{row},,\n", CLEAN[row]));
    }
    text
}

scenario!(corrected_rows_make_the_tables_those_of_a_clean_export);
fn corrected_rows_make_the_tables_those_of_a_clean_export(sandbox: &Sandbox) {
    let clean = sandbox.sibling();
    clean.drop_file(ORDERS, &table(CLEAN));
    sync(&clean);
    sandbox.drop_file(ORDERS, &damaged());
    let report = sync(sandbox);
    assert_eq!(report.file(ORDERS).counts["rejected"], 6, "{:?}", open(sandbox));
    export(sandbox);
    let text = exported(sandbox, REJECTS);
    assert!(text.starts_with(&format!("{},_row,_column,_reason\n11,", CLEAN[0])), "{text}");
    for row in 1..=6 {
        assert!(text.contains(&format!(",{row},")), "row {row} is not in {text}");
    }
    // As it is, nothing of it can be loaded.
    let bytes = fs::read(sandbox.path("out").join(REJECTS)).expect("it was exported");
    sandbox.drop_file(REJECTS, &bytes);
    let before = sandbox.dump();
    // The first row of order 11 was only rejected with the other one: both stay together.
    assert_eq!(sync(sandbox).file(REJECTS).counts["rejected"], 6);
    assert_eq!(sandbox.dump(), before);
    assert_eq!(open(sandbox).len(), 6, "moved, not doubled: {:?}", open(sandbox));
    export(sandbox);
    assert_eq!(exported(sandbox, REJECTS).lines().next(), text.lines().next());
    // Some of it is corrected, then the rest.
    sandbox.drop_file(REJECTS, &corrected(&[1, 2, 4]));
    let report = sync(sandbox);
    assert_eq!(report.file(REJECTS).outcome, "synced");
    assert_eq!(open(sandbox).len(), 3, "{:?}", open(sandbox));
    sandbox.drop_file(&format!("elsewhere/{REJECTS}"), &corrected(&[3, 5, 6]));
    sync(sandbox);
    assert_eq!(open(sandbox), [] as [String; 0]);
    assert_eq!(sandbox.dump(), clean.dump());
    let (exit, said) = rejects(sandbox, &[]);
    assert_eq!((exit, said.as_str()), (0, "no open rejects\n"));
    let output = sandbox.command(&["verify"]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // A correction is no export: what comes next is not late, and deletes nothing.
    sandbox.drop_file(ORDERS, &table(&CLEAN[..3]).replace("fine", "newer"));
    assert_eq!(sync(sandbox).file(ORDERS).counts["stale"], 0);
    assert_eq!(sandbox.rows("SELECT description FROM orders WHERE order_id = '11'"), ["newer"]);
}

scenario!(rejects_are_listed_with_what_to_do);
fn rejects_are_listed_with_what_to_do(sandbox: &Sandbox) {
    let (exit, said) = rejects(sandbox, &[]);
    match sandbox.engine {
        Engine::Sqlite => assert!(exit == 3 && said.contains("there is no database at "), "{said}"),
        _ => assert_eq!((exit, said.as_str()), (0, "no open rejects\n")),
    }
    sandbox.drop_file(ORDERS, &damaged());
    sandbox.drop_file("Market 2 Orders.csv", &table(&["Order ID,SKU", "1,A", "-,B"]));
    sync(sandbox);
    sandbox.drop_file("Market 3 Orders.csv", "No,Key\n1,2\n");
    assert_eq!(sandbox.sync_with(&[LENIENT]).exit, 1);
    let (exit, said) = rejects(sandbox, &[]);
    assert_eq!(exit, 0);
    for expected in [
        "/Market 1 Orders.csv: 6 rows",
        "row 2, column description: the value holds a NUL byte",
        "row 1: row 2 of the same record cannot be loaded",
        "/Market 2 Orders.csv: 1 row\n  row 2, column order_id: the row has no key\n    -,B",
        "/Market 3 Orders.csv: quarantined: no column is `order_id`",
        "tidegate rejects --export DIR",
    ] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    let (exit, said) = rejects(sandbox, &["Market 2 Orders.csv", "--json"]);
    let json: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((exit, json["files"][0]["rejects"][0]["raw"].as_str()), (0, Some("-,B")), "{json}");
    let (_, said) = rejects(sandbox, &["Market 3 Orders.csv"]);
    assert!(said.contains("Correct it and drop it again") && !said.contains("Market 2"), "{said}");
    let (exit, said) = rejects(sandbox, &["Market 4 Orders.csv"]);
    assert!(exit == 2 && said.contains("not in the ledger"), "{exit} {said}");
}

scenario!(a_refusal_for_too_many_rejects_names_the_first_rows_wherever_it_is_told);
fn a_refusal_for_too_many_rejects_names_the_first_rows_wherever_it_is_told(sandbox: &Sandbox) {
    let rows = ["Order ID,Quantity,SKU", "1,1,A", "-,1,B", "3.68E+29,1,C", "4,1,D\0", ",1,E"];
    let first = [
        "row 2, order_id: the row has no key",
        "row 3, order_id: ",
        "row 4, sku: the value holds a NUL byte",
    ];
    sandbox.drop_file(ORDERS, &table(&rows));
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    let says = |arguments: &[&str]| {
        let output = sandbox.command(arguments).output().expect("the built program starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let planned = says(&["plan", &inbox]);
    let synced = says(&["sync", &inbox]);
    let ledger = sandbox.rows("SELECT error FROM tidegate_files").join("");
    let told = [
        planned,
        synced,
        ledger,
        says(&["status"]),
        says(&["rejects"]),
        says(&["rejects", ORDERS]),
    ];
    for told in told {
        assert!(told.contains("4 of 5 rows cannot be loaded"), "{told}");
        for row in first {
            assert!(told.contains(row), "{row} is not in {told}");
        }
        assert!(!told.contains("row 5"), "{told}");
    }
}

scenario!(files_of_one_name_and_other_formats_go_out_apart_and_come_back);
fn files_of_one_name_and_other_formats_go_out_apart_and_come_back(sandbox: &Sandbox) {
    for market in ["a", "b"] {
        sandbox.drop_file(
            &format!("market-{market}/orders.tsv"),
            &format!("Order ID\tSKU\t\n1\tA\t\n-\t{market}\t\n"),
        );
    }
    let customers = r#"[{"Customer ID": "-", "Language": "en", "Address": {"City": "Nairobi, West"}}, {"Customer ID": 2}]"#;
    sandbox.drop_file("Market 1 Customers.json", customers);
    sync(sandbox);
    export(sandbox);
    assert_eq!(
        exported(sandbox, "market-b/orders.rejects.csv"),
        "Order ID,SKU,_row,_column,_reason\n'-,b,2,order_id,the row has no key\n"
    );
    for market in ["a", "b"] {
        let text = exported(sandbox, &format!("market-{market}/orders.rejects.csv"));
        sandbox.drop_file(
            &format!("market-{market}/orders.rejects.csv"),
            &text.replace("\n'-", "\n2"),
        );
    }
    let text = exported(sandbox, "Market 1 Customers.rejects.csv");
    assert!(text.starts_with("Customer ID,Language,Address.City,_row,"), "{text}");
    sandbox.drop_file("Market 1 Customers.rejects.csv", &text.replace("\n'-", "\n1"));
    sync(sandbox);
    assert_eq!(open(sandbox), [] as [String; 0]);
    let items =
        sandbox.rows("SELECT market, order_id, sku FROM order_items ORDER BY market, order_id");
    assert_eq!(items, ["a|1|A", "a|2|a", "b|1|A", "b|2|b"]);
    assert_eq!(
        sandbox.rows("SELECT customer_id, address_city FROM customers ORDER BY 1"),
        ["1|Nairobi, West", "2|-"]
    );
    assert!(!sandbox.columns("order_items").contains(&"row".to_owned()));
}

#[test]
fn no_exported_cell_is_a_formula_and_each_comes_back_as_it_was() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let formulas = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+cmd",
        "@SUM(A1)",
        "'=1",
        "''",
        "\t=1",
        "'plain",
        "-5",
        "- ",
    ];
    let header = "Order ID,SKU,Description,=Extra,+More\n";
    let rows = |key: &dyn Fn(usize) -> String| {
        let rows = formulas.iter().enumerate();
        rows.map(|(at, cell)| format!("{},{at},\"{cell}\",{cell},\"{cell}, and more\"\n", key(at)))
            .collect::<String>()
    };
    let clean = sandbox.sibling();
    clean.drop_file(ORDERS, &format!("{header}1,A,a,b,c\n{}", rows(&|at| format!("{}", at + 10))));
    sync(&clean);
    sandbox.drop_file(ORDERS, &format!("{header}1,A,a,b,c\n{}", rows(&|_| "-".to_owned())));
    assert_eq!(sync(&sandbox).file(ORDERS).counts["rejected"], formulas.len() as u64);
    export(&sandbox);
    let text = exported(&sandbox, REJECTS);
    let mut cells = text.split(['\n', ',']).map(|cell| cell.trim_start_matches('"'));
    let bare =
        cells.find(|cell| cell.starts_with(['=', '+', '@', '\t', '\r']) || cell.starts_with("-2"));
    assert_eq!(bare, None, "{text}");
    assert!(
        text.starts_with("Order ID,SKU,Description,'=Extra,'+More,_row,_column,_reason\n")
            && text.contains(",-5,"),
        "{text}"
    );
    // As it is, it is rejected again, and goes out as it went out.
    sandbox.drop_file(REJECTS, &text);
    assert_eq!(sync(&sandbox).file(REJECTS).counts["rejected"], formulas.len() as u64);
    export(&sandbox);
    assert_eq!(exported(&sandbox, REJECTS), text);
    // The keys are typed in, and nothing else.
    let corrected = text.lines().enumerate().map(|(at, line)| match line.strip_prefix("'-,") {
        Some(rest) => format!("{},{rest}\n", at + 9),
        None => format!("{line}\n"),
    });
    sandbox.drop_file(REJECTS, &corrected.collect::<String>());
    sync(&sandbox);
    assert_eq!(open(&sandbox), [] as [String; 0]);
    assert_eq!(sandbox.dump(), clean.dump());
}

scenario!(a_newer_export_closes_the_rejects_of_the_older_ones);
fn a_newer_export_closes_the_rejects_of_the_older_ones(sandbox: &Sandbox) {
    let faulty = |order: &str| table(&["Order ID,SKU", "1,A", &format!("{order},\0")]);
    sandbox.drop_file("market-1-orders-2022-02-16.csv", &faulty("2"));
    sync(sandbox);
    // A late one says nothing about it, and has rejects of its own.
    sandbox.drop_file("market-1-orders-2022-02-15.csv", &faulty("3"));
    sandbox.drop_file("market-2-orders-2022-02-15.csv", &faulty("3"));
    sync(sandbox);
    assert_eq!(open(sandbox).len(), 3);
    sandbox.drop_file("market-1-orders-2022-02-17.csv", &faulty("4"));
    sync(sandbox);
    assert_eq!(
        open(sandbox),
        ["market-2-orders-2022-02-15.csv|2", "market-1-orders-2022-02-17.csv|2"]
    );
    // So does newer content at the path of a late one.
    sandbox.drop_file("market-1-orders-2022-02-15.csv", &faulty("5"));
    sync(sandbox);
    sandbox.drop_file("market-1-orders-2022-02-15.csv", &faulty("6"));
    sync(sandbox);
    assert_eq!(open(sandbox).len(), 3);
}
