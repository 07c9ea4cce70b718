//! Rejects back: a corrected copy means what the rejected rows of its file meant, whatever the
//! declaration of the dataset and the format of the file.

use crate::rules::{run, sync};
use crate::sandbox::{Report, Sandbox, table};
use std::fs;

const LENIENT: &str = "rejects_max_percent = 100\n";

/// Exports all rejects, and returns the text of one file of them.
fn exported(sandbox: &Sandbox, name: &str) -> String {
    let (exit, said) = run(sandbox, &["rejects", "--export", "out"]);
    assert_eq!(exit, 0, "{said}");
    let path = sandbox.path("out").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rejects that are not closed.
fn open(sandbox: &Sandbox) -> Vec<String> {
    let open = "SELECT r.row_number, reason FROM tidegate_rejects r WHERE closed_at IS NULL";
    sandbox.rows(&format!("{open} ORDER BY id"))
}

/// What an operator is warned of.
fn warnings(report: &Report) -> Vec<String> {
    let files = report.json["files"].as_array().expect("files");
    files.iter().filter_map(|file| Some(file["warning"].as_str()?.to_owned())).collect()
}

scenario!(a_corrected_row_says_itself_what_the_rows_above_it_said);
fn a_corrected_row_says_itself_what_the_rows_above_it_said(sandbox: &Sandbox) {
    let feed = format!(
        "{LENIENT}[datasets.sales]\npaths = ['/sales[^/]*$']\nkey = 'ref'\nlines_table = 'sale_lines'\n\
         fill_down = ['ref', 'customer']\n[datasets.sales.columns]\n\
         customer = {{ of = 'record', required = true }}\n\
         size = {{ type = 'integer', min = 0 }}\n"
    );
    let rows = ["ref,customer,size,item", "S1,c,5,a", ",,6,b", ",,-7,c", "S2,d,8,e", ",,9,f"];
    sandbox.drop_file("sales.csv", &table(&rows));
    sync(sandbox, &feed);
    assert_eq!(sandbox.rows("SELECT ref, line_count FROM sales"), ["S2|2"]);
    let text = exported(sandbox, "sales.rejects.csv");
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert!(rows[1].starts_with("S1,c,6,b,2,"), "{text}");
    assert!(rows[2].starts_with("S1,c,-7,c,3,size,"), "{text}");
    sandbox.drop_file("sales.rejects.csv", &text.replace(",-7,", ",7,"));
    let report = sync(sandbox, &feed);
    assert_eq!(report.file("sales.rejects.csv").counts["rejected"], 0, "{report:?}");
    assert_eq!(open(sandbox), [] as [String; 0]);
    assert_eq!(
        sandbox.rows("SELECT ref, customer, line_count FROM sales ORDER BY ref"),
        ["S1|c|3", "S2|d|2"]
    );
    let lines = "SELECT ref, line_no, size, item FROM sale_lines ORDER BY ref, line_no";
    assert_eq!(sandbox.rows(lines), ["S1|1|5|a", "S1|2|6|b", "S1|3|7|c", "S2|1|8|e", "S2|2|9|f"]);
}

scenario!(a_row_of_foreign_bytes_belongs_to_the_record_above_it);
fn a_row_of_foreign_bytes_belongs_to_the_record_above_it(sandbox: &Sandbox) {
    let feed = format!(
        "{LENIENT}[datasets.sales]\npaths = ['/sales[^/]*$']\nkey = 'ref'\nlines_table = 'sale_lines'\n\
         fill_down = ['ref']\nencoding = 'utf-8'\n"
    );
    let mut bytes = table(&["ref,item", "S1,a", ",b?", "S2,c", ",d"]).into_bytes();
    let odd = bytes.iter().position(|&byte| byte == b'?').expect("it is there");
    bytes[odd] = 0xE9;
    sandbox.drop_file("sales.csv", &bytes);
    sync(sandbox, &feed);
    assert_eq!(sandbox.rows("SELECT ref, line_count FROM sales"), ["S2|2"]);
    run(sandbox, &["rejects", "--export", "out"]);
    let text = fs::read(sandbox.path("out/sales.rejects.csv")).expect("it was exported");
    let text = String::from_utf8_lossy(&text).replace('\u{fffd}', "é");
    assert!(text.contains("\nS1,bé,2,"), "{text}");
    let lines: Vec<String> =
        text.lines().map(|line| line.trim_end_matches(",S1,bé").to_owned()).collect();
    sandbox.drop_file(
        "sales.rejects.csv",
        &table(&lines.iter().map(String::as_str).collect::<Vec<_>>()),
    );
    sync(sandbox, &feed);
    assert_eq!(open(sandbox), [] as [String; 0]);
    let lines = "SELECT ref, line_no, item FROM sale_lines ORDER BY ref, line_no";
    assert_eq!(sandbox.rows(lines), ["S1|1|a", "S1|2|bé", "S2|1|c", "S2|2|d"]);
}

/// One order of a shop, as WooCommerce's API has it.
fn shop_order(id: u32, total: &str, lines: &str) -> String {
    format!(
        r#"{{"id":{id},"number":"{id}","order_key":"k{id}","status":"processing","currency":"EUR",
        "currency_symbol":"€","date_created_gmt":"2024-03-31T01:30:00","total":"{total}",
        "total_tax":"0.35","customer_id":5,"line_items":[{lines}]}}"#
    )
}

scenario!(a_corrected_copy_is_of_the_dataset_of_the_json_file_that_it_corrects);
fn a_corrected_copy_is_of_the_dataset_of_the_json_file_that_it_corrects(sandbox: &Sandbox) {
    let feed =
        format!("{LENIENT}[datasets.woocommerce_orders.columns]\norder_total = {{ max = 100 }}\n");
    let line = r#"{"id":31,"name":"Tee","quantity":2,"total":"6.00","sku":"a","price":3.125}"#;
    let lines = format!("{line},{}", line.replace("31", "32"));
    let orders =
        [shop_order(1, "20.00", line), shop_order(2, "2900", &lines), shop_order(3, "3100", "")];
    for file in ["kept/a.json", "gone/b.json", "bare/c.json"] {
        let of_file = if file.starts_with("bare") { &orders[2..] } else { &orders[..2] };
        sandbox.drop_file(file, &format!("[{}]", of_file.join(",")));
    }
    sync(sandbox, &feed);
    assert_eq!(open(sandbox).len(), 5, "{:?}", open(sandbox));
    exported(sandbox, "kept/a.rejects.csv");
    fs::remove_file(sandbox.inbox().join("gone/b.json")).expect("it is there");
    for copy in ["kept/a.rejects.csv", "gone/b.rejects.csv", "bare/c.rejects.csv"] {
        let text = exported(sandbox, copy).replace(",2900,", ",29,").replace(",3100,", ",31,");
        sandbox.drop_file(copy, &text);
        let report = sync(sandbox, &feed);
        let name = copy.rsplit_once('/').expect("a folder").1;
        assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    }
    assert_eq!(open(sandbox), [] as [String; 0]);
    let orders = "SELECT market, order_id, order_total, line_count FROM orders ORDER BY 1, 2";
    assert_eq!(
        sandbox.rows(orders),
        ["bare|3|31|0", "gone|1|20|1", "gone|2|29|2", "kept|1|20|1", "kept|2|29|2"]
    );
}

scenario!(copies_go_out_in_the_folders_below_what_was_given_to_sync);
fn copies_go_out_in_the_folders_below_what_was_given_to_sync(sandbox: &Sandbox) {
    let feed = format!(
        "{LENIENT}[datasets.stock]\nheader_has = ['Part No', 'Amount']\nkey = 'Part No'\n\
         [datasets.stock.columns]\namount = {{ type = 'integer', max = 9 }}\n"
    );
    for (market, amount) in [("east", 10), ("west", 11)] {
        let rows = ["Part No,Amount", &format!("1,{amount}"), "2,2"];
        sandbox.drop_file(&format!("{market}/report.csv"), &table(&rows));
    }
    sync(sandbox, &feed);
    let east = exported(sandbox, "east/report.rejects.csv").replace("1,10,", "1,5,");
    let west = exported(sandbox, "west/report.rejects.csv").replace("1,11,", "1,6,");
    sandbox.drop_file("east/report.rejects.csv", &east);
    // A copy of no market corrects nothing, and says so.
    sandbox.drop_file("report.rejects.csv", &west);
    let report = sync(sandbox, &feed);
    let [said] = warnings(&report).try_into().expect("one warning");
    assert!(said.contains("closes no reject") && said.contains("`report` of stock"), "{said}");
    assert_eq!(open(sandbox).len(), 1, "{:?}", open(sandbox));
    fs::remove_file(sandbox.inbox().join("report.rejects.csv")).expect("it is there");
    sandbox.drop_file("west/report.rejects.csv", &west);
    sync(sandbox, &feed);
    assert_eq!(open(sandbox), [] as [String; 0]);
    let stored = "SELECT market, part_no, amount FROM stock WHERE market <> '' ORDER BY 1, 2";
    assert_eq!(sandbox.rows(stored), ["east|1|5", "east|2|2", "west|1|6", "west|2|2"]);
    // Once corrected, there is nothing left to close.
    sandbox.drop_file("west/report.rejects.csv", &west.replace("1,6,", "1,7,"));
    let report = sync(sandbox, &feed);
    let [said] = warnings(&report).try_into().expect("one warning");
    assert!(said.contains("closes no reject") && said.contains("west/report.csv"), "{said}");
}

scenario!(numbers_of_json_come_back_as_the_numbers_that_they_were);
fn numbers_of_json_come_back_as_the_numbers_that_they_were(sandbox: &Sandbox) {
    let feed = format!(
        "{LENIENT}[datasets.parts]\npaths = ['/(?<market>\\w+)/parts[^/]*$']\nkey = 'id'\n\
         [datasets.parts.columns]\nfee = {{ type = 'money' }}\ntext = {{ type = 'text' }}\n\
         euro = {{ type = 'money', decimal = ',' }}\nsize = {{ type = 'integer', max = 5 }}\n"
    );
    let part = |id: u32, number: &str, size: u32| {
        format!(
            r#"{{"id":"{id}","fee":{number},"found":{number},"euro":{number},"text":{number},"size":{size}}}"#
        )
    };
    // The second object's fee is a text, which may be a thousand.
    let doubtful = part(5, "\"1.250\"", 9).replacen(
        "\"1.250\",\"found\":\"1.250\"",
        "\"1.250\",\"found\":3.5",
        1,
    );
    let parts = |size: u32| {
        [
            part(1, "1.250", size),
            part(2, "12.5e1", size),
            part(3, "-0.125", size),
            part(4, "7", size),
            doubtful.replace(":9}", &format!(":{size}}}")),
        ]
    };
    sandbox.drop_file("clean/parts.json", &format!("[{}]", parts(4).join(",")));
    let others = format!("[{},{}]", part(9, "2.5", 1), parts(9).join(","));
    sandbox.drop_file("faulty/parts.json", &others);
    sync(sandbox, &feed);
    assert_eq!(open(sandbox).len(), 5, "{:?}", open(sandbox));
    let text = exported(sandbox, "faulty/parts.rejects.csv");
    assert!(text.contains("\n1,'1.250,'1.250,'1.250,'1.250,9,"), "{text}");
    assert!(text.contains("\n5,1.250,'3.5,1.250,1.250,9,"), "{text}");
    // As it is, it comes back as it went out.
    sandbox.drop_file("faulty/parts.rejects.csv", &text);
    sync(sandbox, &feed);
    assert_eq!(exported(sandbox, "faulty/parts.rejects.csv"), text);
    let corrected: String = text
        .lines()
        .map(|line| match line.split_once(",9,") {
            Some((cells, notes)) => {
                format!("{cells},4,{},,\n", notes.split(',').next().unwrap_or(""))
            }
            None => format!("{line}\n"),
        })
        .collect();
    sandbox.drop_file("faulty/parts.rejects.csv", &corrected);
    sync(sandbox, &feed);
    assert_eq!(open(sandbox), [] as [String; 0]);
    let of_market = |market: &str| {
        let columns = "id, fee, found, euro, text, size, _rescued";
        let stored = format!("SELECT {columns} FROM parts WHERE market = '{market}' AND id <> '9'");
        sandbox.rows(&format!("{stored} ORDER BY id"))
    };
    assert_eq!(of_market("faulty"), of_market("clean"));
    let widened = "SELECT COUNT(*) FROM tidegate_schema_changes WHERE change_kind = 'widen_column'";
    assert_eq!(sandbox.rows(widened), ["0"]);
}
