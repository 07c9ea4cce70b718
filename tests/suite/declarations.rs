//! Declarations: what a dataset says of its columns and rows decides what is stored of a file,
//! whatever the file calls them.

use crate::sandbox::{Report, Sandbox, table};
use std::fs;

fn sync_with(sandbox: &Sandbox, configuration: &str, environment: &[(&str, &str)]) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    sandbox.sync_with(&[&[("TIDEGATE_CONFIG", path.as_str())], environment].concat())
}

fn synced(sandbox: &Sandbox, configuration: &str, name: &str, content: &str) -> Report {
    sandbox.drop_file(name, content);
    let report = sync_with(sandbox, configuration, &[]);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report
}

/// What `tidegate check` says of a configuration that it does not take.
fn mistake(sandbox: &Sandbox, configuration: &str) -> String {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    let mut command = sandbox.command(&["check"]);
    let output = command.env("TIDEGATE_CONFIG", &path).output().expect("the built program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{configuration}: {said}");
    said
}

const SALES: &str = r#"
[datasets.sales]
paths = ['(?i)/(?<market>\w+) sales\.csv$']
key = "order_id"
lines_table = "sale_lines"
duplicate_lines = "keep"
decimal = ","
dates = "dmy"
timezone = "Europe/Berlin"
no_rows = { order_id = '^(Summe|Total)\b' }
fill_down = ["Belegnummer", "Kunde"]

[datasets.sales.columns]
order_id = { from = ["Order No", "Belegnummer"], take = '^#?(.+)$' }
customer = { from = "Kunde", of = "record" }
total = { from = "Gesamt", type = "money", of = "record" }
status = { from = "Status", of = "record", map = { bezahlt = "COMPLETED", storniert = "CANCELLED" } }
status_text = { from = "Status", of = "record" }
sold_on = { from = "Datum", type = "date", of = "record" }
sold_at = { from = "Datum", type = "timestamp", of = "record" }
lagos_at = { from = "Datum", type = "timestamp", timezone = "Africa/Lagos", of = "record" }
paid = { from = "Paid?", type = "boolean", of = "record", null_tokens = ["", "?"] }
item = { from = "Artikel", type = "identifier" }
quantity = { from = "Menge", type = "integer" }
"#;

scenario!(a_files_own_names_words_and_dates_become_what_they_mean);
fn a_files_own_names_words_and_dates_become_what_they_mean(sandbox: &Sandbox) {
    let rows = [
        "Belegnummer;Kunde;Gesamt;Status;Datum;Paid?;Artikel;Menge;Bemerkung",
        "#A1;Ärzte GmbH;1.250;bezahlt;03.04.2022;ja;007;2;x",
        ";;;;;yes;8;1.000;y",
        "#A2;;12,50;offen;31.12.68;N;9;1;",
        "Summe;;1.262,50;;;;;3;",
        "#A3;Otto;-;storniert;3/4/2022;?;10;?;z",
    ];
    let report = synced(sandbox, SALES, "berlin sales.csv", &table(&rows));
    let counts = &report.file("berlin sales.csv").counts;
    assert_eq!(
        [counts["read"], counts["skipped"], counts["accepted"], counts["rescued"]],
        [5, 1, 4, 2],
        "{report:?}"
    );
    let orders = "SELECT market, order_id, customer, total, status, status_text, sold_on, sold_at, lagos_at, paid, \
                  line_count, _rescued FROM sales ORDER BY order_id";
    assert_eq!(
        sandbox.rows(orders),
        [
            "berlin|A1|Ärzte GmbH|1250|COMPLETED|bezahlt|2022-04-03|2022-04-02T22:00:00.000Z|2022-04-02T23:00:00.000Z|1|2|\
             {\"paid\":\"ja\"}",
            "berlin|A2|Ärzte GmbH|12.5|offen|offen|2068-12-31|2068-12-30T23:00:00.000Z|2068-12-30T23:00:00.000Z|0|1|-",
            "berlin|A3|Otto|-|CANCELLED|storniert|2022-04-03|2022-04-02T22:00:00.000Z|2022-04-02T23:00:00.000Z|-|1|-",
        ]
    );
    let lines = "SELECT order_id, line_no, item, quantity, bemerkung, _rescued FROM sale_lines ORDER BY order_id, line_no";
    assert_eq!(
        sandbox.rows(lines),
        ["A1|1|007|2|x|-", "A1|2|8|1000|y|-", "A2|1|9|1|-|-", "A3|1|10|-|z|{\"quantity\":\"?\"}"]
    );
    // The first of the names that a file has, and the table's own names, mean the same.
    let renamed = ["Order No;Belegnummer;Kunde;Gesamt;Artikel", "A4;ignored;Ute;1,5;1"];
    synced(sandbox, SALES, "berlin sales.csv", &table(&renamed));
    assert_eq!(
        sandbox.rows("SELECT customer, total FROM sales WHERE order_id = 'A4'"),
        ["Ute|1.5"]
    );
    assert_eq!(
        sandbox.rows("SELECT belegnummer FROM sale_lines WHERE order_id = 'A4'"),
        ["ignored"]
    );
    synced(sandbox, SALES, "hamburg sales.csv", &table(&["order_id;total;sold_on", "A1;7;1.2.22"]));
    assert_eq!(
        sandbox.rows("SELECT total, sold_on FROM sales WHERE market = 'hamburg'"),
        ["7|2022-02-01"]
    );
}

const PEOPLE: &str = r#"
[datasets.people]
paths = ['(?i)/people\d*\.(?:csv|json)$']
key = "id"
no_rows = { customer_id = '^\s*$' }

[datasets.people.columns]
customer_id = { from = ["Email", "E-Mail"], type = "identifier" }
sign = { from = "currency", type = "text" }
currency = { from = "code", type = "text" }
"#;

scenario!(a_columns_own_name_is_another_only_where_a_file_writes_it_so);
fn a_columns_own_name_is_another_only_where_a_file_writes_it_so(sandbox: &Sandbox) {
    let people = "SELECT id, customer_id, customer_id_2, sign, currency FROM people ORDER BY id";
    // What is called alike in a file is something else, while the file has one of the names, and
    // also while it has none.
    let rows = ["Id,Customer ID,Email,Currency,Code", "1,77,ann@example.com,€,EUR", "2,78,,€,EUR"];
    let report = synced(sandbox, PEOPLE, "people.csv", &table(&rows));
    assert_eq!(report.file("people.csv").counts["skipped"], 1, "{report:?}");
    assert_eq!(sandbox.rows(people), ["1|ann@example.com|77|€|EUR"]);
    synced(
        sandbox,
        PEOPLE,
        "people2.json",
        r#"[{"id": 3, "customer": {"id": 79}, "currency": "$"}]"#,
    );
    assert_eq!(sandbox.rows(people)[1], "3|-|79|$|-");
    // A file that was written after the table.
    synced(
        sandbox,
        PEOPLE,
        "people3.json",
        r#"[{"id": 4, "customer_id": "bo", "sign": "$", "code": "USD"}]"#,
    );
    assert_eq!(sandbox.rows(people)[2], "4|bo|-|$|USD");
    synced(sandbox, PEOPLE, "people4.csv", &table(&["id,customer_id", "5,cy"]));
    assert_eq!(sandbox.rows(people)[3], "5|cy|-|-|-");
}

scenario!(a_member_before_that_of_the_key_is_not_taken_for_it: sqlite);
fn a_member_before_that_of_the_key_is_not_taken_for_it(sandbox: &Sandbox) {
    let feed = PEOPLE.replace("key = \"id\"", "key = \"customer_id\"");
    let objects = r#"[{"customer_id": "x", "Email": "ann"}, {"customer_id": "x", "Email": "bo"}]"#;
    synced(sandbox, &feed, "people.json", objects);
    let people = "SELECT customer_id, customer_id_2 FROM people ORDER BY 1";
    assert_eq!(sandbox.rows(people), ["ann|x", "bo|x"]);
}

scenario!(what_a_row_above_would_say_is_not_guessed);
fn what_a_row_above_would_say_is_not_guessed(sandbox: &Sandbox) {
    let rows = [
        "Belegnummer;Kunde;Artikel;Menge",
        "A1;Ute;1;1",
        "A2;Otto;\"2\"x;1",
        ";;3;1",
        "A3;;4;1",
        "A4;Eva;5;1",
    ];
    sandbox.drop_file("berlin sales.csv", &table(&rows));
    let report = sync_with(sandbox, SALES, &[("TIDEGATE_REJECTS_MAX_PERCENT", "100")]);
    assert_eq!(report.file("berlin sales.csv").counts["rejected"], 3, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT order_id, customer FROM sales ORDER BY order_id"),
        ["A1|Ute", "A4|Eva"]
    );
    let rejects = sandbox
        .rows("SELECT r.row_number, r.column_name FROM tidegate_rejects r ORDER BY r.row_number");
    assert_eq!(rejects, ["2|-", "3|order_id", "4|customer"]);
}

scenario!(a_file_is_filled_down_the_same_after_a_crash);
fn a_file_is_filled_down_the_same_after_a_crash(sandbox: &Sandbox) {
    let mut rows = vec!["Belegnummer;Kunde;Artikel;Menge".to_owned()];
    for order in 0..4_000 {
        let customer = if order % 500 == 0 { format!("customer {order}") } else { String::new() };
        rows.push(format!("#{order:05};{customer};{order};1"));
        rows.push(format!(";;{order}b;2"));
    }
    let content = rows.join("\n");
    let small = ("TIDEGATE_MEMORY_MAX_MB", "64");
    let fresh = sandbox.sibling();
    synced(&fresh, SALES, "berlin sales.csv", &content);
    sandbox.drop_file("berlin sales.csv", &content);
    let report = sync_with(sandbox, SALES, &[small, ("FAILPOINTS", "after_commit=1*off->return")]);
    assert_ne!(report.exit, 0, "{report:?}");
    let report = sync_with(sandbox, SALES, &[small]);
    assert_eq!(report.file("berlin sales.csv").outcome, "synced", "{report:?}");
    let customers = "SELECT customer, COUNT(*), MIN(order_id), MAX(order_id), SUM(line_count) FROM sales GROUP BY customer";
    let [mut own, mut expected] = [sandbox, &fresh].map(|sandbox| sandbox.rows(customers));
    own.sort();
    expected.sort();
    assert_eq!(own, expected);
    assert_eq!(own.len(), 8);
}

scenario!(cells_with_nothing_around_them_are_filled_down);
fn cells_with_nothing_around_them_are_filled_down(sandbox: &Sandbox) {
    let rows = ["Belegnummer;Kunde;Artikel;Menge", "A1;6\" pipe;1;1", ";;2;2"];
    let configuration = SALES.replace("decimal = \",\"", "decimal = \",\"\nquote = \"none\"");
    let report = synced(sandbox, &configuration, "berlin sales.csv", &table(&rows));
    assert_eq!(report.file("berlin sales.csv").counts["rejected"], 0, "{report:?}");
    assert_eq!(sandbox.rows("SELECT order_id, customer FROM sales"), ["A1|6\" pipe"]);
    assert_eq!(
        sandbox.rows("SELECT order_id, item, quantity FROM sale_lines ORDER BY line_no"),
        ["A1|1|1", "A1|2|2"]
    );
}

scenario!(a_number_of_json_is_clear_to_every_column_that_takes_it);
fn a_number_of_json_is_clear_to_every_column_that_takes_it(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.prices]
paths = ['/prices\.json$']
key = "id"
decimal = ","
[datasets.prices.columns]
as_text = { from = "price", type = "text" }
by_comma = { from = "price", type = "money" }
by_point = { from = "price", type = "money", decimal = "." }
found = { from = "price" }
"#;
    let objects = r#"[{"id": "a", "price": 1.250}, {"id": "b", "price": "1.250"}, {"id": "c", "price": 15e-1}]"#;
    synced(sandbox, FEED, "prices.json", objects);
    assert_eq!(
        sandbox.rows("SELECT as_text, by_comma, by_point, found FROM prices ORDER BY id"),
        ["1.250|1.25|1.25|1.25", "1.250|1250|1.25|1250", "15e-1|1.5|1.5|1.5"]
    );
}

scenario!(null_of_json_is_no_value_whatever_the_words_for_none_are);
fn null_of_json_is_no_value_whatever_the_words_for_none_are(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.prices]
paths = ['/prices\.json$']
key = "id"
null_tokens = ["n.a."]
on_type_change = "reject"
[datasets.prices.columns]
price = { type = "money" }
"#;
    let objects = r#"[{"id": 1, "price": null, "found": null}, {"id": 2, "price": 5, "found": 7}]"#;
    let report = synced(sandbox, FEED, "prices.json", objects);
    assert_eq!(report.file("prices.json").counts["rejected"], 0, "{report:?}");
    assert_eq!(sandbox.rows("SELECT price, found FROM prices ORDER BY id"), ["-|-", "5|7"]);
    let changes = "SELECT new_type FROM tidegate_schema_changes WHERE column_name = 'found'";
    assert_eq!(sandbox.rows(changes), ["bigint"]);
}

scenario!(columns_of_a_file_may_be_left_out);
fn columns_of_a_file_may_be_left_out(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.stock]
paths = ['(?i)/stock\.(?:csv|json)$']
key = "sku"
new_columns = "ignore"
[datasets.stock.columns]
amount = { from = ["level", "Count"], type = "integer" }
place = { from = "bin" }
"#;
    synced(sandbox, FEED, "stock.csv", &table(&["SKU,Count,bin,secret", "A,1,x,s"]));
    // In JSON names come as they come: the first of them that the file has counts for all of it.
    let objects = r#"[{"sku": "B", "Count": 5, "bin": "y", "secret": 1}, {"sku": "C", "level": 7, "Count": 8}]"#;
    synced(sandbox, FEED, "stock.json", objects);
    assert_eq!(
        sandbox.rows("SELECT sku, amount, place FROM stock ORDER BY sku"),
        ["A|1|x", "B|-|y", "C|7|-"]
    );
    let dump = format!("{:?}", sandbox.dump());
    assert!(!dump.contains("secret"), "{dump}");
}

scenario!(a_market_may_write_otherwise);
fn a_market_may_write_otherwise(sandbox: &Sandbox) {
    const FEEDS: &str = r#"
[defaults]
dates = "mdy"
null_tokens = ["", "n.a."]
[markets.berlin]
decimal = ","
dates = "dmy"
timezone = "Europe/Berlin"
encoding = "windows-1252"
null_tokens = ["", "entf."]
[datasets.prices]
paths = ['(?i)/(?<market>\w+)/prices\.csv$']
key = "sku"
[datasets.prices.columns]
price = { type = "money" }
since = { type = "timestamp" }
name = { type = "text" }
"#;
    let rows = |name: &str, token: &str| {
        table(&[
            "sku;price;since;name",
            &format!("A;1.250;03/04/2022 10:00;{name}"),
            &format!("B;{token};;{token}"),
        ])
    };
    let berlin: Vec<u8> = rows("Müller", "entf.").chars().map(|c| c as u8).collect();
    sandbox.drop_file("berlin/prices.csv", &berlin);
    sandbox.drop_file("boston/prices.csv", &rows("Miller", "n.a.").replace("1.250", "1250.5"));
    let report = sync_with(sandbox, FEEDS, &[]);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT market, sku, price, since, name FROM prices ORDER BY market, sku"),
        [
            "berlin|A|1250|2022-04-03T08:00:00.000Z|Müller",
            "berlin|B|-|-|-",
            "boston|A|1250.5|2022-03-04T10:00:00.000Z|Miller",
            "boston|B|-|-|-",
        ]
    );
}

scenario!(a_declared_table_is_there_before_its_first_file);
fn a_declared_table_is_there_before_its_first_file(sandbox: &Sandbox) {
    const FEED: &str = r#"
marts_dir = "marts"
[datasets.stock]
paths = ['(?i)/stock\.csv$']
key = ["warehouse", "sku"]
[datasets.stock.columns]
amount = { from = "Menge", type = "integer" }
place = { type = "text" }
note = {}
[datasets.stock.no_rows]
skuu = "^Total"
"#;
    const VIEW: &str =
        "/*\nview = \"stock_places\"\n*/\nSELECT s.warehouse, s.place, s.amount FROM stock s\n";
    fs::create_dir_all(sandbox.path("marts")).expect("a writable temporary directory");
    fs::write(sandbox.path("marts/stock_places.sql"), VIEW)
        .expect("a writable temporary directory");
    let feed = FEED.replace(
        "marts_dir = \"marts\"",
        &format!("marts_dir = \"{}\"", sandbox.path("marts").display()),
    );
    let feed = feed.as_str();
    sandbox.drop_file("Market 1 Orders.csv", &table(&["Order ID,SKU", "1,A"]));
    let report = sync_with(sandbox, feed, &[]);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT warehouse, amount, place FROM stock_places"),
        [] as [String; 0]
    );
    let changes = "SELECT column_name, change_kind, file_id FROM tidegate_schema_changes WHERE table_name = 'stock' ORDER BY id";
    assert_eq!(
        sandbox.rows(changes),
        ["warehouse,sku|create_table|-", "amount|add_column|-", "place|add_column|-"],
    );
    sandbox.drop_file("stock.csv", &table(&["Warehouse,SKU,Menge,Note", "N,A,5,x", "N,B,oh,y"]));
    let mut plan = sandbox.command(&["plan", &sandbox.inbox().to_string_lossy()]);
    let planned =
        plan.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml")).output().expect("it starts");
    let said = String::from_utf8_lossy(&planned.stdout).into_owned();
    for expected in [
        "amount bigint (declared)",
        "amount takes `Menge`",
        "not there      place, skuu: declared",
        "note text (its values)",
    ] {
        assert!(
            said.contains(expected),
            "{expected} is not in {said}{}",
            String::from_utf8_lossy(&planned.stderr)
        );
    }
    let report = sync_with(sandbox, feed, &[]);
    assert_eq!(report.exit, 0, "{report:?}");
    let rows = "SELECT warehouse, sku, amount, note, _rescued FROM stock ORDER BY sku";
    assert_eq!(sandbox.rows(rows), ["N|A|5|x|-", "N|B|-|y|{\"amount\":\"oh\"}"]);
    let mut check = sandbox.command(&["check"]);
    let checked =
        check.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml")).output().expect("it starts");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        said.contains("datasets.stock: no file has brought a value for place, skuu:"),
        "{said}"
    );
    // What files have brought is not made something else of.
    let retyped = feed.replace("note = {}", "note = { type = \"integer\" }");
    let report = sync_with(sandbox, &retyped, &[]);
    assert_eq!(report.exit, 2, "{report:?}");
    assert!(
        report.stderr.contains("holds text that files brought before it was declared as bigint"),
        "{}",
        report.stderr
    );
}

scenario!(a_changed_declaration_has_files_read_again_and_writes_what_differs);
fn a_changed_declaration_has_files_read_again_and_writes_what_differs(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.stock]
paths = ['(?i)/stock\.csv$']
key = "sku"
[datasets.stock.columns]
state = { map = { a = "ACTIVE" } }
"#;
    synced(sandbox, FEED, "stock.csv", &table(&["sku,state", "A,a", "B,b", "C,c"]));
    let changed = FEED.replace(r#"a = "ACTIVE""#, r#"a = "ACTIVE", b = "BLOCKED""#);
    let report = sync_with(sandbox, &changed, &[]);
    let counts = &report.file("stock.csv").counts;
    assert_eq!([counts["modified"], counts["unchanged"]], [1, 2], "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT sku, state FROM stock ORDER BY sku"),
        ["A|ACTIVE", "B|BLOCKED", "C|c"]
    );
    let report = sync_with(sandbox, &changed, &[]);
    assert_eq!(report.file("stock.csv").outcome, "unchanged", "{report:?}");
}

scenario!(a_column_of_its_own_decides_what_is_no_value_and_what_is_equal);
fn a_column_of_its_own_decides_what_is_no_value_and_what_is_equal(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.stock]
paths = ['(?i)/stock\.csv$']
key = "sku"
[datasets.stock.columns]
state = { null_tokens = [""] }
size = { type = "integer" }
"#;
    sandbox.drop_file("stock.csv", &table(&["sku,state", "A,NULL", "A,"]));
    let report = sync_with(sandbox, FEED, &[]);
    assert_eq!(
        report.file("stock.csv").outcome,
        "quarantined",
        "`NULL` is a value of this column: {report:?}"
    );
    // White space around a text is stored with it, and around a number it is not.
    sandbox.drop_file("stock.csv", &table(&["sku,state,size", "A, x,5", "A,x ,5"]));
    assert_eq!(sync_with(sandbox, FEED, &[]).file("stock.csv").outcome, "quarantined");
    synced(sandbox, FEED, "stock.csv", &table(&["sku,state,size", "A, x ,5", "A, x , 5"]));
    assert_eq!(sandbox.rows("SELECT sku, state, size FROM stock"), ["A| x |5"]);
}

scenario!(rows_that_differ_only_in_what_one_of_two_columns_makes_of_a_cell_are_two);
fn rows_that_differ_only_in_what_one_of_two_columns_makes_of_a_cell_are_two(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.sales]
paths = ['(?i)/sales\.csv$']
key = "id"
[datasets.sales.columns]
status = { from = "FS", map = { paid = "DONE", part = "DONE" } }
written = { from = "FS" }
"#;
    sandbox.drop_file("sales.csv", &table(&["id,FS", "1,paid", "1,part"]));
    let report = sync_with(sandbox, FEED, &[]);
    assert_eq!(report.file("sales.csv").outcome, "quarantined", "{report:?}");
    synced(sandbox, FEED, "sales.csv", &table(&["id,FS", "1,paid", "1,paid", "2,part"]));
    let rows = "SELECT id, status, written FROM sales ORDER BY id";
    assert_eq!(sandbox.rows(rows), ["1|DONE|paid", "2|DONE|part"]);
}

scenario!(a_row_with_fewer_cells_or_empty_ones_beyond_is_filled_down_too);
fn a_row_with_fewer_cells_or_empty_ones_beyond_is_filled_down_too(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.sales]
paths = ['(?i)/sales\.csv$']
key = "ref"
lines_table = "sale_lines"
fill_down = ["ref", "p"]
columns = { customer = { of = "record" } }
"#;
    synced(
        sandbox,
        FEED,
        "sales.csv",
        &table(&["ref,customer,item,p", "S1,c,a,1", ",,b", ",,c,2,,", "S2,d"]),
    );
    assert_eq!(
        sandbox.rows("SELECT ref, customer, line_count FROM sales ORDER BY ref"),
        ["S1|c|3", "S2|d|1"]
    );
    let lines = "SELECT ref, line_no, item, p FROM sale_lines ORDER BY ref, line_no";
    assert_eq!(sandbox.rows(lines), ["S1|1|a|1", "S1|2|b|1", "S1|3|c|2", "S2|1|-|2"]);
}

scenario!(a_quote_sign_may_be_declared_to_be_text);
fn a_quote_sign_may_be_declared_to_be_text(sandbox: &Sandbox) {
    const FEED: &str = r#"
[datasets.stock]
paths = ['(?i)/stock\.tsv$']
key = "sku"
quote = "none"
"#;
    let rows = ["sku\tname\tsize", "A\t\"open\t1", "B\t6\" pipe\t2", "C\t\"both\"\t3"];
    synced(sandbox, FEED, "stock.tsv", &table(&rows));
    let stored = sandbox.rows("SELECT sku, name, size FROM stock ORDER BY sku");
    assert_eq!(stored, ["A|\"open|1", "B|6\" pipe|2", "C|\"both\"|3"]);
}

scenario!(a_key_may_be_named_as_files_spell_it);
fn a_key_may_be_named_as_files_spell_it(sandbox: &Sandbox) {
    const FEED: &str = "[datasets.stock]\npaths = ['/stock']\nkey = 'Artikel-Nr.'\n\
        columns.sku = { from = 'Artikel-Nr.' }\n";
    synced(sandbox, FEED, "stock.csv", &table(&["Artikel-Nr.,name", "A,old"]));
    synced(sandbox, FEED, "stock.csv", &table(&["Artikel-Nr.,name", "A,new"]));
    assert_eq!(sandbox.rows("SELECT sku, name FROM stock"), ["A|new"]);
}

scenario!(a_day_in_a_name_counts_whatever_the_pattern_captures);
fn a_day_in_a_name_counts_whatever_the_pattern_captures(sandbox: &Sandbox) {
    const FEED: &str = "[datasets.stock]\npaths = ['/stock_']\nkey = 'sku'\n";
    synced(sandbox, FEED, "stock_20240102.csv", &table(&["sku,name", "A,new"]));
    let report = synced(sandbox, FEED, "stock_20240101.csv", &table(&["sku,name", "A,old"]));
    assert_eq!(report.file("stock_20240101.csv").counts["stale"], 1, "{report:?}");
    assert_eq!(sandbox.rows("SELECT name FROM stock"), ["new"]);
}

scenario!(an_odd_byte_does_not_make_another_encoding_of_a_text);
fn an_odd_byte_does_not_make_another_encoding_of_a_text(sandbox: &Sandbox) {
    const FEED: &str = r#"
rejects_max_percent = 100
[datasets.stock]
paths = ['(?i)/stock\.csv$']
key = "sku"
encoding = ["utf-8", "windows-1252"]
"#;
    let mut bytes = table(&["sku,name", "A,Müller", "B,Ääääääääääää", "C,x?y"]).into_bytes();
    let odd = bytes.iter().position(|&byte| byte == b'?').expect("it is there");
    bytes[odd] = 0xE9;
    sandbox.drop_file("stock.csv", &bytes);
    let report = sync_with(sandbox, FEED, &[]);
    assert_eq!(report.file("stock.csv").counts["rejected"], 1, "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT sku, name FROM stock ORDER BY sku"),
        ["A|Müller", "B|Ääääääääääää"]
    );
    let latin: Vec<u8> = table(&["sku,name", "A,Müller"]).chars().map(|c| c as u8).collect();
    sandbox.drop_file("stock.csv", &latin);
    sync_with(sandbox, FEED, &[]);
    assert_eq!(sandbox.rows("SELECT name FROM stock WHERE sku = 'A'"), ["Müller"]);
}

#[test]
fn a_document_around_its_records_is_not_taken_for_one_row() {
    let sandbox = Sandbox::new(crate::sandbox::Engine::Sqlite);
    const CREATE: &str = "unmatched = 'create'\nunmatched_key = 'id'\n";
    sandbox.drop_file("shop.json", r#"{"page": 1, "orders": [{"id": 1}, {"id": 2}]}"#);
    sandbox.drop_file("one.json", r#"{"id": 1, "tags": ["a", "b"]}"#);
    let report = sync_with(&sandbox, CREATE, &[]);
    assert_eq!(report.file("shop.json").outcome, "quarantined", "{report:?}");
    assert!(
        report.file("shop.json").error.contains(r#"`json = { root = "orders" }`"#),
        "{report:?}"
    );
    assert_eq!(sandbox.rows("SELECT id, tags FROM one"), [r#"1|["a", "b"]"#]);
}

#[test]
fn a_declaration_that_cannot_be_meant_is_told_at_the_start() {
    let sandbox = Sandbox::new(crate::sandbox::Engine::Sqlite);
    let of_column = |text: &str| format!("[datasets.orders.columns.tip]\n{text}\n");
    for (configuration, expected) in [
        (
            "[datasets.orders.columns.order_id]\ntype = 'money'\n".to_owned(),
            "a column of the key is an identifier",
        ),
        (of_column("take = 'x'"), "datasets.orders.columns.tip.take: the pattern has no group"),
        (of_column("take = '('"), "datasets.orders.columns.tip.take: `(` is not a pattern"),
        (
            of_column("type = 'number'"),
            "`number` is not allowed; write one of `identifier`, `text`, `integer`",
        ),
        (of_column("type = 'text'"), "the column of table orders holds decimal, not text"),
        (of_column("tpye = 'text'"), "did you mean `datasets.orders.columns.tip.type`?"),
        (
            of_column("dates = '%Q'"),
            "datasets.orders.columns.tip.dates: `%Q` is neither `iso`, `dmy`, `mdy` nor a pattern",
        ),
        (of_column("timezone = 'Europe/Berlim'"), "did you mean `Europe/Berlin`?"),
        (of_column("min = 'low'"), "datasets.orders.columns.tip.min: `low` is neither a number"),
        (
            "[markets.berlin]\ntimezone = 'Mars'\n".to_owned(),
            "markets.berlin.timezone: `Mars` is not a zone",
        ),
        ("[defaults]\ndates = 'ymd'\n".to_owned(), "defaults.dates: `ymd` is neither"),
        (
            "[datasets.orders]\nno_rows = { sku = '(' }\n".to_owned(),
            "datasets.orders.no_rows: `(` is not a pattern",
        ),
        ("profiles = ['markt']\n".to_owned(), "write names of shipped ones (`market`"),
    ] {
        let said = mistake(&sandbox, &configuration);
        assert!(said.contains(expected), "{configuration}: {said}");
    }
}
