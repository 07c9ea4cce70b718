//! Owners: whose a record is. Keys that repeat in a file, datasets that share a table, and files
//! that their header tells.

use crate::sandbox::{Report, Sandbox};
use std::fs;

fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())])
}

fn stock(settings: &str) -> String {
    format!("[datasets.stock]\npaths = ['/stock[^/]*\\.(?:csv|json)$']\nkey = \"sku\"\n{settings}")
}

const STORED: &str = "SELECT sku, qty FROM stock ORDER BY sku";

scenario!(a_key_that_repeats_with_other_values_is_refused_unless_the_dataset_says_which_counts);
fn a_key_that_repeats_with_other_values_is_refused_unless_the_dataset_says_which_counts(
    sandbox: &Sandbox,
) {
    let far: String = (0..300).map(|number| format!("f{number},0\n")).collect();
    let near = "sku,qty\na,1\na,2\nb,3\n".to_owned();
    let apart = format!("sku,qty\na,1\nb,3\n{far}a,2\n");
    for (content, rows) in [(&near, "rows 1 and 2"), (&apart, "rows 1 and 303")] {
        let sandbox = sandbox.sibling();
        sandbox.drop_file("stock.csv", content);
        let report = sync(&sandbox, &stock(""));
        let error = &report.file("stock.csv").error;
        assert_eq!(report.file("stock.csv").outcome, "quarantined", "{report:?}");
        assert!(
            error.contains("the key `a`")
                && error.contains(rows)
                && error.contains("repeated_keys"),
            "{error}"
        );
        let of_a = "SELECT sku, qty FROM stock WHERE sku = 'a'";
        for (says, kept) in [("last", "a|2"), ("first", "a|1")] {
            let report = sync(&sandbox, &stock(&format!("repeated_keys = \"{says}\"\n")));
            assert_eq!(report.file("stock.csv").outcome, "synced", "{report:?}");
            assert_eq!(report.file("stock.csv").counts["duplicate"], 1);
            assert_eq!(sandbox.rows(of_a), [kept]);
        }
    }
    // Rows that hold the same are duplicates, however they are written.
    sandbox.drop_file("stock.csv", "sku,qty\na,1\nb,\n\"a\",\"1\"\nb,N/A\na,1\n");
    let report = sync(sandbox, &stock(""));
    assert_eq!(report.file("stock.csv").counts["duplicate"], 3, "{report:?}");
    assert_eq!(sandbox.rows(STORED), ["a|1", "b|-"]);
    let json = sandbox.sibling();
    json.drop_file(
        "stock.json",
        r#"[{"sku": "a", "qty": 1}, {"qty": 1, "sku": "a"}, {"sku": "a", "qty": 2}]"#,
    );
    assert!(sync(&json, &stock("")).file("stock.json").error.contains("rows 1 and 3"));
    assert_eq!(sync(sandbox, &stock("repeated_keys = \"newest\"\n")).exit, 2);
}

const SHARED: &str = r#"
deletes_max_percent = 100
[datasets.shop]
paths = ['/(?<market>\w+)/shop[^/]*\.csv$']
key = "order_no"
table = "sales"
deletes = "remove"
[datasets.platform]
paths = ['/(?<market>\w+)/platform[^/]*\.csv$']
key = "order_no"
table = "sales"
deletes = "remove"
"#;

scenario!(datasets_that_share_a_table_see_only_their_own_records);
fn datasets_that_share_a_table_see_only_their_own_records(sandbox: &Sandbox) {
    let sales = "SELECT market, order_no, total FROM sales ORDER BY market, order_no";
    sandbox.drop_file("riga/shop-2024-03-02.csv", "order_no,total\ns1,1\ns2,2\n");
    sandbox.drop_file("riga/platform-2024-03-01.csv", "order_no,total\np1,3\np2,4\n");
    sandbox.drop_file("oslo/platform-2024-03-01.csv", "order_no,total\ns1,5\n");
    let report = sync(sandbox, SHARED);
    assert_eq!(report.exit, 0, "{report:?}");
    let all = ["oslo|s1|5", "riga|p1|3", "riga|p2|4", "riga|s1|1", "riga|s2|2"];
    assert_eq!(sandbox.rows(sales), all);
    // What one does not mention, of the other it deletes nothing.
    sandbox.drop_file("riga/platform-2024-03-02.csv", "order_no,total\np1,3\n");
    let report = sync(sandbox, SHARED);
    assert_eq!(report.file("platform-2024-03-02.csv").changes(), (0, 0, 1, 1), "{report:?}");
    assert_eq!(sandbox.rows(sales), ["oslo|s1|5", "riga|p1|3", "riga|s1|1", "riga|s2|2"]);
    // A key of the other's record: the file changes nothing.
    sandbox.drop_file("riga/platform-2024-03-03.csv", "order_no,total\np1,9\ns2,9\n");
    let report = sync(sandbox, SHARED);
    let file = report.file("platform-2024-03-03.csv");
    assert_eq!(file.outcome, "quarantined", "{report:?}");
    assert!(file.error.contains("`s2`") && file.error.contains("shop"), "{}", file.error);
    assert_eq!(sandbox.rows(sales), ["oslo|s1|5", "riga|p1|3", "riga|s1|1", "riga|s2|2"]);
}

scenario!(a_file_that_no_path_names_is_of_the_dataset_whose_names_its_header_has);
fn a_file_that_no_path_names_is_of_the_dataset_whose_names_its_header_has(sandbox: &Sandbox) {
    let configuration = r#"
[datasets.shop]
header_has = ["Order No", "Grand Total"]
key = "order_no"
[datasets.shop_with_tax]
header_has = ["Order No", "Grand Total", "Tax"]
key = "order_no"
[datasets.one]
header_has = ["left"]
[datasets.other]
header_has = ["right"]
"#;
    sandbox
        .drop_file("berlin/may 2024-05-31.csv", "sep=;\nReport\norder no;GRAND TOTAL;x\n1;5;a\n");
    sandbox
        .drop_file("top.json", r#"[{"Order No": 2, "Grand Total": 6}, {"Tax": 1, "Order No": 3}]"#);
    sandbox.drop_file("both.csv", "left,right\n1,2\n");
    sandbox.drop_file("none.csv", "order no,total\n1,2\n");
    let report = sync(sandbox, configuration);
    assert_eq!(report.file("may 2024-05-31.csv").outcome, "synced", "{report:?}");
    assert_eq!(sandbox.rows("SELECT market, order_no, grand_total FROM shop"), ["berlin|1|5"]);
    assert_eq!(
        sandbox.rows("SELECT market, order_no, tax FROM shop_with_tax ORDER BY 2"),
        ["|2|-", "|3|1"]
    );
    let both = report.file("both.csv");
    assert_eq!(both.outcome, "unmatched", "{report:?}");
    assert!(both.error.contains("one and of other"), "{}", both.error);
    assert_eq!(report.file("none.csv").outcome, "unmatched");
    let version = "SELECT version FROM tidegate_files WHERE path LIKE '%may 2024%'";
    assert!(sandbox.rows(version)[0].starts_with("2024-05-31"), "{:?}", sandbox.rows(version));
    // Taken again, nothing is new.
    let again = sync(sandbox, configuration);
    assert_eq!(again.file("may 2024-05-31.csv").outcome, "unchanged", "{again:?}");
}
