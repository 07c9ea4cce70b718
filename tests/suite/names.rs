//! Names: whatever files call their columns, tables get the same names on every database.

use crate::sandbox::{Engine, Report, Sandbox, table};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())])
}

fn synced(sandbox: &Sandbox, name: &str, content: &str) {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    assert_eq!((report.exit, report.file(name).outcome.as_str()), (0, "synced"), "{report:?}");
}

/// Columns that files brought to a table, as they were added, and the names they were given instead
/// of their own.
fn found(sandbox: &Sandbox, table: &str) -> (Vec<String>, Vec<String>) {
    let changes = |what: &str, kind: &str| {
        sandbox.rows(&format!(
            "SELECT {what} FROM tidegate_schema_changes WHERE table_name = '{table}' AND change_kind = '{kind}' ORDER BY id"
        ))
    };
    (changes("column_name", "add_column"), changes("old_type, new_type", "rename_column"))
}

scenario!(names_that_a_database_keeps_for_itself_get_a_suffix_on_all_of_them);
fn names_that_a_database_keeps_for_itself_get_a_suffix_on_all_of_them(sandbox: &Sandbox) {
    let kept = [
        "xmin",
        "XMAX",
        "cmin",
        "cmax",
        "ctid",
        "TableOID",
        "rowid",
        "_rowid_",
        "DB_ROW_ID",
        "FTS_DOC_ID",
    ];
    let free =
        ["oid", "select", "order", "rank", "system", "user", "row_number", "2022", "true", "null_"];
    let header = format!("Order ID,SKU,{},{}", kept.join(","), free.join(","));
    let values: Vec<String> =
        (0..kept.len() + free.len()).map(|number| format!("v{number}")).collect();
    synced(sandbox, ORDERS, &table(&[&header, &format!("11,A,{}", values.join(","))]));
    let names = [
        "xmin_2",
        "xmax_2",
        "cmin_2",
        "cmax_2",
        "ctid_2",
        "tableoid_2",
        "rowid_2",
        "rowid_3",
        "db_row_id_2",
        "fts_doc_id_2",
        "oid",
        "select",
        "order",
        "rank",
        "system",
        "user",
        "row_number",
        "2022",
        "true",
        "null",
    ];
    let (added, renamed) = found(sandbox, "order_items");
    assert_eq!(added, names);
    assert_eq!(renamed.first().map(String::as_str), Some("xmin|xmin_2"));
    assert_eq!(renamed.len(), kept.len());
    let quote = if sandbox.engine == Engine::Mariadb { '`' } else { '"' };
    let list: Vec<String> = names.iter().map(|name| format!("{quote}{name}{quote}")).collect();
    assert_eq!(
        sandbox.rows(&format!("SELECT {} FROM order_items", list.join(", "))),
        [values.join("|")]
    );
    // Again, and by JSON in several spellings: the same columns.
    let object = r#"[{"Order ID": "12", "SKU": "B", "XMIN": "a"}, {"Order ID": "13", "SKU": "B", "xmin": "b", "Market": "x"},
            {"Order ID": "14", "SKU": "B", "Xmin": "c", "MARKET": "y"}]"#;
    synced(sandbox, "market-1-orders-2099-01-01.json", object);
    let items = "SELECT order_id, xmin_2, market_2 FROM order_items WHERE order_id > '11' ORDER BY order_id";
    assert_eq!(sandbox.rows(items), ["12|a|-", "13|b|x", "14|c|y"]);
    // In a table that views read, and through a plan.
    synced(
        sandbox,
        CUSTOMERS,
        r#"[{"Customer ID": 1, "ctid": "t", "rowid": "r", "__proto__": "p", "constructor": "c"}]"#,
    );
    assert_eq!(
        sandbox.rows("SELECT ctid_2, rowid_2, proto, constructor FROM customers"),
        ["t|r|p|c"]
    );
    sandbox.drop_file(CUSTOMERS, r#"[{"Customer ID": 1, "ctid": "u", "rowid": "s"}]"#);
    let plan = sandbox
        .command(&["plan", &sandbox.inbox().to_string_lossy()])
        .output()
        .expect("the built program starts");
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("ctid_2") && plan.contains("'u'"), "{plan}");
}

scenario!(letters_that_not_every_database_has_in_names_are_none);
fn letters_that_not_every_database_has_in_names_are_none(sandbox: &Sandbox) {
    let header = "Order ID,SKU,𠮷野家,𠮷,😀 mood,🅰,Pre\u{301}nom,Größe,नाम,名前,!!!,???";
    synced(sandbox, ORDERS, &table(&[header, "11,A,a,b,c,d,e,f,g,h,i,j"]));
    let (added, _) = found(sandbox, "order_items");
    assert_eq!(
        added,
        [
            "野家",
            "column_4",
            "mood",
            "column_6",
            "prénom",
            "größe",
            "नाम",
            "名前",
            "column_11",
            "column_12"
        ]
    );
    let quote = if sandbox.engine == Engine::Mariadb { '`' } else { '"' };
    let row = format!(
        "SELECT {quote}野家{quote}, {quote}prénom{quote}, {quote}größe{quote}, column_6 FROM order_items"
    );
    assert_eq!(sandbox.rows(&row), ["a|e|f|d"]);
    let object = r#"[{"Customer ID": 1, "\ud842\udfb7野": "x", "\ud83d\ude00": "y", "": "z"}]"#;
    synced(sandbox, CUSTOMERS, object);
    assert_eq!(found(sandbox, "customers").0, ["野", "column_3", "column_4"]);
}

scenario!(names_that_differ_by_accents_alone_stay_apart_on_all_of_them);
/// MariaDB takes them for one name.
fn names_that_differ_by_accents_alone_stay_apart_on_all_of_them(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Café,Cafe,CAFÈ", "11,A,x,y,z"]));
    let (added, renamed) = found(sandbox, "order_items");
    assert_eq!(added, ["café", "cafe_2", "cafè_3"]);
    assert_eq!(renamed, ["Cafe|cafe_2", "CAFÈ|cafè_3"]);
    // A later file says only one of them, or another one.
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Cafe", "11,A,why"]));
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Cafê", "11,A,w"]));
    assert_eq!(found(sandbox, "order_items").0, ["café", "cafe_2", "cafè_3", "cafê_4"]);
    let quote = if sandbox.engine == Engine::Mariadb { '`' } else { '"' };
    let items = format!("SELECT {quote}café{quote}, cafe_2, {quote}cafê_4{quote} FROM order_items");
    assert_eq!(sandbox.rows(&items), ["x|why|w"]);
    // 63 bytes are kept of a name, whatever its letters.
    let long = "é".repeat(40);
    synced(sandbox, ORDERS, &table(&[&format!("Order ID,SKU,{long}a,{long}b"), "11,A,1,2"]));
    let names = &found(sandbox, "order_items").0[4..];
    assert_eq!(names, ["é".repeat(31), format!("{}_2", "é".repeat(30))]);
}

scenario!(keys_and_tables_have_such_names_too);
fn keys_and_tables_have_such_names_too(sandbox: &Sandbox) {
    const FEEDS: &str = "
unmatched = 'create'
unmatched_key = 'xmin'
[datasets.moves]
paths = ['(?i)/moves\\.csv$']
key = 'CTID'
lines_table = 'move_lines'
[datasets.moves.columns]
Market = { of = 'record' }
rowid = { of = 'record' }
xmax = { of = 'line' }
";
    sandbox
        .drop_file("moves.csv", &table(&["ctid,rowid,xmax,Market", "1,a,5,north", "1,a,6,north"]));
    sandbox.drop_file("𠮷 stock.csv", &table(&["XMin,n", "1,2"]));
    sandbox.drop_file("select.csv", &table(&["xmin,n", "1,2"]));
    sandbox.drop_file("!!!.csv", &table(&["xmin,n", "1,2"]));
    // The names of an index, or of a type, that the database made itself.
    sandbox.drop_file("orders_pkey.csv", &table(&["xmin,n", "1,2"]));
    sandbox.drop_file("orders by customer id.csv", &table(&["xmin,n", "1,2"]));
    let report = sync(sandbox, FEEDS);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT ctid_2, rowid_2, market_2, line_count FROM moves"),
        ["1|a|north|2"]
    );
    assert_eq!(
        sandbox.rows("SELECT ctid_2, line_no, xmax_2 FROM move_lines ORDER BY line_no"),
        ["1|1|5", "1|2|6"]
    );
    let made = sandbox.rows(
            "SELECT DISTINCT table_name, new_type FROM tidegate_schema_changes WHERE change_kind = 'create_table' ORDER BY table_name",
        );
    let names: Vec<&str> = made.iter().filter_map(|row| row.split('|').next()).collect();
    assert_eq!(names.len(), 7, "{made:?}");
    assert!(
        ["stock_d6e2e350", "select", "file_e84c538e", "moves", "move_lines"]
            .iter()
            .all(|name| names.contains(name)),
        "{made:?}"
    );
    assert_eq!(sandbox.rows("SELECT market, xmin_2, n FROM stock_d6e2e350"), ["|1|2"]);
}

scenario!(a_name_of_signs_alone_can_be_declared);
fn a_name_of_signs_alone_can_be_declared(sandbox: &Sandbox) {
    let configuration = r##"
[datasets.receipts]
paths = ['/receipts\.[a-z]+$']
key = "№"
no_rows = { "№" = '^Итого' }
[datasets.receipts.columns]
receipt = { from = "№" }
number_of = { from = "#", type = "integer" }
[datasets.ours]
header_has = ["№", "$"]
key = "id"
columns = { id = { from = "№" } }
"##;
    sandbox.drop_file("receipts.csv", "№;Имя;#;%\n1;Аня;5;a\n2;Боря;6;b\nИтого;;11;\n");
    sandbox.drop_file("receipts.json", r##"[{"№":"3","Имя":"Вера","#":7,"%":"c"}]"##);
    sandbox.drop_file("anything.csv", "№,$\nA1,x\n");
    let report = sync(sandbox, configuration);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT receipt, имя, number_of, column_4 FROM receipts ORDER BY receipt"),
        ["1|Аня|5|a", "2|Боря|6|b", "3|Вера|7|c"]
    );
    assert_eq!(sandbox.rows("SELECT id, column_2 FROM ours"), ["A1|x"]);
}

#[test]
fn a_name_of_signs_alone_is_described_as_it_can_be_declared() {
    let sandbox = Sandbox::sqlite();
    sandbox.drop_file("sales.csv", "№;Имя;#\nA1;Аня;5,5\nA2;Боря;6,25\nA3;Вера;7,5\n");
    let file = sandbox.inbox().join("sales.csv").to_string_lossy().into_owned();
    let described = sandbox.command(&["describe", &file]).output().expect("the program starts");
    let declaration = String::from_utf8(described.stdout).expect("it is text");
    assert!(
        declaration.contains("column_3 = { from = \"#\", type = \"decimal\" }"),
        "{declaration}"
    );
    // Called otherwise, the columns are found by their names in the file.
    let declaration = declaration.replace("column_3", "amount").replace("column_1", "receipt");
    let report = sync(&sandbox, &declaration);
    assert_eq!(
        (report.exit, report.file("sales.csv").outcome.as_str()),
        (0, "synced"),
        "{report:?}"
    );
    assert_eq!(
        sandbox.rows("SELECT receipt, имя, amount FROM sales ORDER BY receipt"),
        ["A1|Аня|5.5", "A2|Боря|6.25", "A3|Вера|7.5"]
    );
}

#[test]
fn two_members_of_one_path_are_a_reject() {
    let sandbox = Sandbox::sqlite();
    let objects =
        [r#"{"id":"1","a":{"b":1}}"#, r#"{"id":"2","a.b":2}"#, r#"{"id":"3","a.b":3,"a":{"b":4}}"#];
    sandbox.drop_file("things.jsonl", &table(&objects));
    let feed = "rejects_max_percent = 100\n[datasets.things]\npaths = ['/things']\nkey = 'id'\n";
    let report = sync(&sandbox, feed);
    assert_eq!(report.file("things.jsonl").counts["rejected"], 1, "{report:?}");
    assert_eq!(sandbox.rows("SELECT id, a_b FROM things ORDER BY id"), ["1|1", "2|2"]);
    let reasons = sandbox.rows("SELECT reason FROM tidegate_rejects");
    assert!(reasons[0].contains("two members are `a.b`"), "{reasons:?}");
}

scenario!(names_of_tables_that_not_every_database_takes_are_refused_with_the_reason);
fn names_of_tables_that_not_every_database_takes_are_refused_with_the_reason(sandbox: &Sandbox) {
    for (name, why) in [
        ("𠮷", "not every database takes all of its characters"),
        ("stock ", "not every database takes all of its characters"),
        ("tidegate_stock", "names that begin with `tidegate_` are tidegate's own"),
        (&"n".repeat(64), "it is longer than 63 bytes"),
        ("enriched_orders", "already"),
    ] {
        let feed =
            format!("[datasets.stock]\npaths = ['/stock\\.csv$']\nkey = 'sku'\ntable = '{name}'\n");
        let refused = sync(sandbox, &feed);
        assert_eq!(refused.exit, 2, "{name}: {refused:?}");
        assert!(refused.stderr.contains(why), "{name}: {}", refused.stderr);
    }
}
