//! Together: files of all platforms and of a market in one inbox, with no configuration at all; and
//! what is peculiar to a file rather than to a platform.

use super::sales::{Line, check, sales};
use super::{amazon, file, shopify, sync, synced, woocommerce};
use crate::sandbox::Sandbox;
use crate::shop::Shop;
use std::fs;
use std::io::Write as _;

scenario!(with_no_configuration_each_file_goes_to_its_dataset);
fn with_no_configuration_each_file_goes_to_its_dataset(sandbox: &Sandbox) {
    let (sold, market) = (sales(41, 1001..1021), Shop::any(42));
    let files = [
        ("tea-shop/orders_export_1.csv", "shopify_orders", shopify::orders_csv(&sold)),
        ("tea-shop/customers_export.csv", "shopify_customers", shopify::customers_csv(0..20, 100)),
        ("pot-shop/page-1.json", "shopify_api_orders", shopify::orders_json(&sold)),
        ("berlin/orders-page-1.json", "woocommerce_orders", woocommerce::orders_json(&sold)),
        (
            "vienna/orders-2022-04-01-10-15-00.csv",
            "woocommerce_order_lines",
            woocommerce::lines_csv(&sold),
        ),
        ("graz/orders.tsv", "woocommerce_advanced_export", woocommerce::advanced_csv(&sold, '\t')),
        ("amazon-de/50186018684.txt", "amazon_orders", amazon::report(&sold)),
        ("Market 1 Orders.csv", "orders", market.orders_csv()),
        ("market-1-deliveries-2022-04-01.csv", "deliveries", market.deliveries_csv()),
        (
            "market1/customers.json",
            "customers",
            r#"[{"Customer ID": "c1", "Language": "en"}]"#.to_owned(),
        ),
    ];
    for (path, _, content) in &files {
        sandbox.drop_file(path, content);
    }
    let plan = sandbox
        .command(&["plan", &sandbox.inbox().to_string_lossy()])
        .output()
        .expect("the built program starts");
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{} {:?}", report.stderr, report.files);
    let known = sandbox.rows("SELECT dataset, market, state FROM tidegate_files");
    assert_eq!(known.len(), files.len());
    for (path, dataset, _) in &files {
        let name = path.rsplit('/').next().expect("a split has a last part");
        let folder = path.split_once('/').map_or("1", |(folder, _)| folder);
        let market = if folder == "market1" || path.starts_with("market-1") { "1" } else { folder };
        assert!(known.contains(&format!("{dataset}|{market}|synced")), "{dataset} in {known:?}");
        assert!(
            plan.lines().any(|line| line.contains(name) && line.contains(dataset)),
            "{name}, {dataset}: {plan}"
        );
    }
    // The same numbers everywhere, and nothing of one shop in another.
    check(sandbox, "tea-shop", shopify::orders(&sold), "beside all others");
    check(sandbox, "pot-shop", shopify::orders(&sold), "beside all others");
    check(sandbox, "amazon-de", amazon::orders(&sold), "beside all others");
    crate::marts::check(sandbox, "1", &market, "beside all others");
    let counts =
        "SELECT market, COUNT(*) FROM orders WHERE market <> '1' GROUP BY market ORDER BY market";
    assert_eq!(
        sandbox.rows(counts),
        ["amazon-de|20", "berlin|20", "graz|20", "pot-shop|20", "tea-shop|20", "vienna|20"]
    );
    let again = sandbox.sync();
    assert!(again.files.iter().all(|file| file.outcome == "unchanged"), "{again:?}");
    let status = sandbox.command(&["status"]).output().expect("the built program starts");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(files.iter().any(|(_, dataset, _)| status.contains(dataset)), "{status}");
    // All of them together leave half of a table's columns to others.
    println!(
        "orders has {} columns, order_items {}",
        sandbox.columns("orders").len(),
        sandbox.columns("order_items").len()
    );
    assert!(sandbox.columns("orders").len() < 375, "{}", sandbox.columns("orders").len());
}

scenario!(columns_that_are_more_fewer_or_called_otherwise_are_no_problem);
fn columns_that_are_more_fewer_or_called_otherwise_are_no_problem(sandbox: &Sandbox) {
    let sold = sales(43, 1001..1011);
    let export = shopify::orders_csv(&sold);
    // An extra column goes to the lines, where nothing of it is lost.
    let rows: Vec<&str> = export.lines().collect();
    assert!(rows.len() > 10);
    let header = shopify::ORDERS_HEADER;
    let wider =
        export.replace(header, &format!("Gift Message,{header}")).replace("\n#", "\nfor you,#");
    synced(sandbox, "tea-shop/orders_export_1.csv", &wider);
    check(sandbox, "tea-shop", shopify::orders(&sold), "with one more");
    assert_eq!(sandbox.rows("SELECT DISTINCT gift_message FROM order_items"), ["for you"]);
    assert!(!sandbox.columns("orders").contains(&"gift_message".to_owned()));
    // What a later export lacks stays, and another spelling is the same column.
    let last = ",Phone,Receipt Number,Duties,Billing Province Name,Shipping Province Name,Payment ID,Payment Terms Name,\
                Next Payment Due At,Payment References";
    assert!(header.ends_with(last));
    let narrower = export
        .replace(last, "")
        .replace(",,,,,,,,,\n", "\n")
        .replace("Financial Status", "financial status");
    assert_ne!(narrower, export);
    let (_, modified, _, deleted) =
        synced(sandbox, "tea-shop/orders_export_2.csv", &narrower).changes();
    assert_eq!((modified, deleted), (0, 0));
    check(sandbox, "tea-shop", shopify::orders(&sold), "with fewer");
    assert_eq!(sandbox.rows("SELECT DISTINCT gift_message FROM order_items"), ["for you"]);
}

scenario!(an_order_of_many_lines_is_told_by_what_stands_behind_them: sqlite, mariadb);
fn an_order_of_many_lines_is_told_by_what_stands_behind_them(sandbox: &Sandbox) {
    let mut sold = sales(44, 1001..1003);
    let many = Line { sku: "M-1", name: "one of many", quantity: 1, price: 100 };
    sold[0].lines = vec![many; 2000];
    synced(sandbox, "pot-shop/page-1.json", &shopify::orders_json(&sold));
    check(sandbox, "pot-shop", shopify::orders(&sold), "the API's");
    synced(sandbox, "berlin/orders-page-1.json", &woocommerce::orders_json(&sold));
    assert_eq!(
        sandbox.rows("SELECT line_count FROM orders WHERE market = 'berlin' AND order_id = '1001'"),
        ["2000"]
    );
}

#[test]
fn packed_exports_are_told_too_and_empty_pages_are_of_no_dataset() {
    let sandbox = Sandbox::sqlite();
    let sold = sales(46, 1001..1006);
    for (path, content) in [
        ("tea-shop/orders_export_1.csv.gz", shopify::orders_csv(&sold)),
        ("pot-shop/page-1.json.gz", shopify::orders_json(&sold)),
        ("amazon-de/50186018684.txt.gz", amazon::report(&sold)),
    ] {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content.as_bytes()).expect("memory");
        synced(&sandbox, path, &packed.finish().expect("memory"));
    }
    check(&sandbox, "tea-shop", shopify::orders(&sold), "unpacked");
    check(&sandbox, "pot-shop", shopify::orders(&sold), "unpacked");
    check(&sandbox, "amazon-de", amazon::orders(&sold), "unpacked");
    for (path, content) in
        [("pot-shop/page-2.json", r#"{"orders": []}"#), ("berlin/orders-page-2.json", "[]")]
    {
        let report = sync(&sandbox, "", path, content);
        assert_eq!(file(&report, path).outcome, "unmatched", "{report:?}");
    }
    check(&sandbox, "pot-shop", shopify::orders(&sold), "with an empty page");
}

scenario!(what_was_rejected_of_a_report_comes_back_corrected: sqlite);
fn what_was_rejected_of_a_report_comes_back_corrected(sandbox: &Sandbox) {
    let sold = sales(45, 1001..1020);
    let whole = amazon::report(&sold);
    let (rows, last) =
        whole.split_at(whole.rfind("302-0001019-0000001").expect("the last order's last row"));
    let broken = rows.to_owned() + &last.replace("302-0001019-0000001", "3.68E+29");
    let report = sync(sandbox, "", "amazon-de/50186018684.txt", &broken);
    assert_eq!(file(&report, "50186018684.txt").counts["rejected"], 1, "{report:?}");
    let out = sandbox.path("out").to_string_lossy().into_owned();
    let exported =
        sandbox.command(&["rejects", "--export", &out]).output().expect("the built program starts");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let path = sandbox.path("out/amazon-de/50186018684.rejects.csv");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let corrected = text.replace("3.68E+29", "302-0001019-0000001");
    assert_ne!(corrected, text);
    synced(sandbox, "amazon-de/50186018684.rejects.csv", &corrected);
    check(sandbox, "amazon-de", amazon::orders(&sold), "corrected");
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
        ["0"]
    );
}

/// The profiles' own table of statuses, and the one of the page.
#[test]
fn the_pages_say_what_statuses_mean_as_the_profiles_do() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for platform in ["shopify", "woocommerce", "amazon"] {
        let page =
            fs::read_to_string(root.join(format!("docs/platforms/{platform}.md"))).expect("a page");
        let profile = fs::read_to_string(root.join(format!("etc/profiles/{platform}.toml")))
            .expect("a profile");
        let (_, section) = page.split_once("\n## Statuses\n").expect("a section on statuses");
        let section = section.split("\n## ").next().expect("a split has a first part");
        let mut told = std::collections::BTreeMap::new();
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            for status in cells[1].split('`').skip(1).step_by(2) {
                told.insert(status.to_owned(), cells[2].trim_matches('`').to_owned());
            }
        }
        let profile: toml::Table = profile.parse().expect("a profile is TOML");
        for (dataset, settings) in profile["datasets"].as_table().expect("a table of datasets") {
            let Some(map) =
                settings["columns"].get("order_status").and_then(|column| column.get("map"))
            else {
                continue;
            };
            for (status, meaning) in map.as_table().expect("a map") {
                let said = told
                    .get(status)
                    .or_else(|| told.get(&status.to_lowercase()))
                    .map(String::as_str);
                let is_variant = status == "Canceled"
                    && told.get("Cancelled").or(told.get("cancelled")).is_some();
                assert!(
                    is_variant || said == meaning.as_str(),
                    "{platform}, {dataset}: {status} is {meaning:?}, not {said:?}"
                );
            }
            for (status, meaning) in
                told.iter().filter(|(_, meaning)| meaning.chars().all(|c| c.is_ascii_uppercase()))
            {
                let is_mapped = map.as_table().expect("a map").iter().any(|(own, to)| {
                    own.eq_ignore_ascii_case(status) && to.as_str() == Some(meaning)
                });
                // The trash of WooCommerce has no name in English that an export would write.
                assert!(
                    is_mapped || status == "trash",
                    "{platform}, {dataset}: {status} is no {meaning}"
                );
            }
        }
    }
}
