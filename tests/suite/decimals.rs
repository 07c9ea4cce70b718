//! Decimals: which sign stands before the decimals of a number is declared or proved, never
//! guessed; and a number in another currency than its column's or row's is not believed.

use crate::sandbox::{Report, Sandbox, table};
use std::fs;

const ORDERS: &str = "market-1-orders-2024-03-01.csv";

const PRICES: &str = r#"
unmatched = "create"
unmatched_key = "sku"
"#;

/// Orders whose decimals nobody declares.
const AUTO: &str = "[datasets.orders]\ndecimal = 'auto'\n";

fn sync(sandbox: &Sandbox, configuration: &str) -> Report {
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, configuration).expect("a writable temporary directory");
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &path.to_string_lossy())])
}

fn synced(sandbox: &Sandbox, configuration: &str, name: &str, content: &str) {
    sandbox.drop_file(name, content);
    let report = sync(sandbox, configuration);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
}

fn refused(sandbox: &Sandbox, configuration: &str, name: &str, content: &str) -> String {
    sandbox.drop_file(name, content);
    let report = sync(sandbox, configuration);
    assert_eq!(report.file(name).outcome, "quarantined", "{report:?}");
    report.file(name).error.clone()
}

fn proofs(sandbox: &Sandbox) -> Vec<String> {
    let query = "SELECT dataset, market, column_name, decimal_sign, currency, file_id FROM tidegate_number_forms ORDER BY id";
    sandbox.rows(query)
}

scenario!(a_german_price_list_is_read_by_what_its_values_prove);
fn a_german_price_list_is_read_by_what_its_values_prove(sandbox: &Sandbox) {
    let list = [
        "SKU;Preis;Gewicht;Bestand;Umsatz",
        "A1;1.250;0,350;1.200;2.500.000",
        "A2;2.400;1,250;15.000;900",
    ];
    synced(sandbox, PRICES, "preise.csv", &table(&list));
    let rows = "SELECT sku, preis, gewicht, bestand, umsatz FROM preise ORDER BY sku";
    assert_eq!(sandbox.rows(rows), ["A1|1250|0.35|1200|2500000", "A2|2400|1.25|15000|900"]);
    let known = ["preis|(,)", "gewicht|,", "bestand|(,)", "umsatz|(,)"];
    let known = known.map(|form| format!("preise||{form}|-|1"));
    assert_eq!(proofs(sandbox), known, "one column proves it, and the others take it");
    // The proof holds for a later file, in which nothing proves anything.
    let later = ["SKU;Preis;Gewicht;Bestand;Umsatz", "A3;3.100;1,125;2.150;1.500"];
    synced(sandbox, PRICES, "preise.csv", &table(&[&list[..], &later[1..]].concat()));
    assert_eq!(sandbox.rows(rows)[2..], ["A3|3100|1.125|2150|1500"]);
    assert_eq!(proofs(sandbox).len(), 4);
}

scenario!(what_nothing_proves_stays_as_it_is_written);
fn what_nothing_proves_stays_as_it_is_written(sandbox: &Sandbox) {
    let list = ["sku;preis;teile", "A;1.250;101,102", "B;2.400;103"];
    synced(sandbox, PRICES, "liste.csv", &table(&list));
    let rows = "SELECT sku, preis, teile FROM liste ORDER BY sku";
    assert_eq!(sandbox.rows(rows), ["A|1.250|101,102", "B|2.400|103"]);
    // They are text by now, so they hold what files say whatever later values prove.
    let later = [&list[..], &["C;12,50;7,8", "D;1.300;104,105"]].concat();
    synced(sandbox, PRICES, "liste.csv", &table(&later));
    assert_eq!(
        sandbox.rows(rows),
        ["A|1.250|101,102", "B|2.400|103", "C|12,50|7,8", "D|1.300|104,105"]
    );
    // In a file of commas a list of two is no decimal while other columns prove a point.
    let mixed = ["sku,price,parts,ids", "A,12.50,\"7,8\",\"101,102\"", "B,1.250,\"9,1\",103"];
    synced(sandbox, PRICES, "mixed.csv", &table(&mixed));
    let rows = "SELECT sku, price, parts, ids FROM mixed ORDER BY sku";
    assert_eq!(sandbox.rows(rows), ["A|12.5|7,8|101,102", "B|1.25|9,1|103"]);
    let both = ["sku;price;weight", "A;12.50;0,350", "B;12,50;1.250"];
    synced(sandbox, PRICES, "two_signs.csv", &table(&both));
    assert_eq!(
        sandbox.rows("SELECT sku, price, weight FROM two_signs ORDER BY sku"),
        ["A|12.50|0.35", "B|12,50|1250"]
    );
}

scenario!(declared_columns_rescue_what_nothing_proves);
fn declared_columns_rescue_what_nothing_proves(sandbox: &Sandbox) {
    let header = "Order ID;SKU;Order Total;Sub Total";
    synced(sandbox, AUTO, ORDERS, &table(&[header, "1;A;1.250;1.250", "2;A;20;20"]));
    let rows = "SELECT order_id, order_total, sub_total, _rescued FROM orders ORDER BY order_id";
    assert_eq!(
        sandbox.rows(rows),
        [r#"1|-|-|{"order_total":"1.250","sub_total":"1.250"}"#, "2|20|20|-"]
    );
    // Each column reads by its own proof, and one without by that of the others.
    let proof = [header, "1;A;1.250;1.250", "2;A;20,50;20"];
    synced(sandbox, AUTO, ORDERS, &table(&proof));
    assert_eq!(sandbox.rows(rows), ["1|1250|1250|-", "2|20.5|20|-"]);
    assert_eq!(proofs(sandbox), ["orders|1|order_total|,|-|2", "orders|1|sub_total|(,)|-|2"]);
}

scenario!(a_file_that_proves_the_other_sign_is_refused_and_told_what_to_declare);
fn a_file_that_proves_the_other_sign_is_refused_and_told_what_to_declare(sandbox: &Sandbox) {
    let german = ["Order ID;SKU;Order Total;Sub Total", "1;A;1.255,90;1.250,00", "2;A;24,90;19.50"];
    let error = refused(sandbox, "", "market-de-orders-2024-03-01.csv", &table(&german));
    for said in [
        "`Order Total`: `1.255,90`",
        "[datasets.orders] decimal = \",\"",
        "[markets.de] decimal = \",\"",
    ] {
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
    // What the configuration says of a market wins over what the profile says of its datasets.
    let declared = "[markets.de]\ndecimal = ','\n";
    let report = sync(sandbox, declared);
    assert_eq!(report.file("market-de-orders-2024-03-01.csv").outcome, "synced", "{report:?}");
    let rows = "SELECT order_id, order_total, sub_total, _rescued FROM orders ORDER BY order_id";
    assert_eq!(sandbox.rows(rows), ["1|1255.9|1250|-", r#"2|24.9|-|{"sub_total":"19.50"}"#]);
    // What it says of the dataset itself, over that of the market.
    let configuration = "[markets.de]\ndecimal = ','\n[datasets.orders]\ndecimal = '.'\n";
    let report = sync(sandbox, configuration);
    assert_eq!(report.file("market-de-orders-2024-03-01.csv").outcome, "quarantined", "{report:?}");
}

scenario!(a_proof_holds_until_a_declaration_overrules_it);
fn a_proof_holds_until_a_declaration_overrules_it(sandbox: &Sandbox) {
    let stock = "[datasets.stock]\npaths = ['/stock-(?<market>\\w+)\\.csv$']\nkey = 'sku'\n";
    synced(sandbox, stock, "stock-a.csv", &table(&["sku;price", "A;12,50", "B;1.250"]));
    let rows = "SELECT market, sku, price FROM stock ORDER BY market, sku";
    assert_eq!(sandbox.rows(rows), ["a|A|12.5", "a|B|1250"]);
    let error =
        refused(sandbox, stock, "stock-a.csv", &table(&["sku;price", "A;12.50", "B;1250.25"]));
    assert!(error.contains("as file 1 of the dataset and market proved"), "{error}");
    assert!(error.contains("[datasets.stock] decimal = \".\""), "{error}");
    assert_eq!(sandbox.rows(rows), ["a|A|12.5", "a|B|1250"]);
    let declared = format!("{stock}decimal = '.'\n");
    let report = sync(sandbox, &declared);
    assert_eq!(report.file("stock-a.csv").outcome, "synced", "{report:?}");
    assert_eq!(sandbox.rows(rows), ["a|A|12.5", "a|B|1250.25"]);
    // Of one column something else may be said, and a market without proofs has its own.
    let column = format!("{declared}columns = {{ price = {{ decimal = 'auto' }} }}\n");
    synced(sandbox, &column, "stock-b.csv", &table(&["sku;price", "A;12.50", "B;1.250"]));
    assert_eq!(sandbox.rows(rows)[2..], ["b|A|12.5", "b|B|1.25"]);
}

const X: &str = "[datasets.x]\npaths = ['/x\\.csv$']\nkey = 'id'\n";

scenario!(a_sign_that_a_column_took_from_others_holds_for_later_files);
fn a_sign_that_a_column_took_from_others_holds_for_later_files(sandbox: &Sandbox) {
    synced(sandbox, X, "x.csv", &table(&["id;b;c", "1;12,5;2.500"]));
    let rows = "SELECT id, b, c FROM x ORDER BY id";
    assert_eq!(sandbox.rows(rows), ["1|12.5|2500"]);
    assert_eq!(proofs(sandbox), ["x||b|,|-|1", "x||c|(,)|-|1"]);
    // Without the column that proved it, with it, and where that one changes its mind too.
    for later in [
        &["id;c", "1;2.500", "2;3.5"][..],
        &["id;b;c", "1;12,5;2.500", "2;12.5;3.5"],
        &["id;b;c", "1;12,5;2.500", "2;8,5;3.5"],
    ] {
        let error = refused(sandbox, X, "x.csv", &table(later));
        for said in [
            "`c`: `3.5`",
            "as file 1 of the dataset and market proved",
            r#"[datasets.x.columns] "c" = { decimal = "." }"#,
        ] {
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(sandbox.rows(rows), ["1|12.5|2500"]);
    }
    // What the reason says helps.
    let declared = format!("{X}[datasets.x.columns]\n\"c\" = {{ decimal = '.' }}\n");
    let report = sync(sandbox, &declared);
    assert_eq!(report.file("x.csv").outcome, "synced", "{report:?}");
    assert_eq!(sandbox.rows(rows), ["1|12.5|2.5", "2|8.5|3.5"]);
    // Where nothing contradicts, the column is read so without the one that proved it.
    let fresh = sandbox.sibling();
    synced(&fresh, X, "x.csv", &table(&["id;b;c", "1;12,5;2.500"]));
    synced(&fresh, X, "x.csv", &table(&["id;c", "1;2.500", "2;4.750"]));
    assert_eq!(fresh.rows(rows), ["1|12.5|2500", "2|-|4750"]);
    synced(&fresh, X, "x.csv", &table(&["id;c", "1;2.500", "2;4.750", "3;7,5"]));
    assert_eq!(fresh.rows(rows), ["1|12.5|2500", "2|-|4750", "3|-|7.5"]);
    assert!(proofs(&fresh)[2].starts_with("x||c|,|"), "{:?}", proofs(&fresh));
}

scenario!(columns_that_each_prove_their_own_sign_go_on);
fn columns_that_each_prove_their_own_sign_go_on(sandbox: &Sandbox) {
    let rows = "SELECT id, b, c FROM x ORDER BY id";
    let both = ["id;b;c", "1;12,5;3.5", "2;7,5;4.25", "3;1.250;1,250"];
    synced(sandbox, X, "x.csv", &table(&both[..2]));
    synced(sandbox, X, "x.csv", &table(&both));
    assert_eq!(sandbox.rows(rows), ["1|12.5|3.5", "2|7.5|4.25", "3|1250|1250"]);
    // No number of a text column was read by any sign.
    let texts = sandbox.sibling();
    synced(&texts, X, "x.csv", &table(&["id;c", "1;2.500"]));
    synced(&texts, X, "x.csv", &table(&["id;b;c", "1;12,5;2.500", "2;8,5;3.5"]));
    assert_eq!(texts.rows(rows), ["1|12.5|2.500", "2|8.5|3.5"]);
    // Nor of a column that has only whole numbers so far.
    let whole = sandbox.sibling();
    synced(&whole, X, "x.csv", &table(&["id;b;c", "1;12,5;2"]));
    synced(&whole, X, "x.csv", &table(&["id;b;c", "1;12,5;2", "2;8,5;3.5"]));
    assert_eq!(whole.rows(rows), ["1|12.5|2", "2|8.5|3.5"]);
    // A point of other columns still lets no comma separate groups.
    let points = sandbox.sibling();
    synced(&points, X, "x.csv", &table(&["id;b;c", "1;12.5;2.500"]));
    assert_eq!(points.rows(rows), ["1|12.5|2.5"]);
    assert_eq!(proofs(&points), ["x||b|.|-|1", "x||c|(.)|-|1"]);
    synced(&points, X, "x.csv", &table(&["id;c", "1;2.500", "2;101,102"]));
    assert_eq!(points.rows(rows), ["1|12.5|2.500", "2|-|101,102"]);
}

scenario!(numbers_of_json_are_clear);
fn numbers_of_json_are_clear(sandbox: &Sandbox) {
    let list = r#"[{"sku": "A", "price": 1.250, "weight": "0,350", "stock": "1.200", "tiny": 1.5e-7},
                   {"sku": "B", "price": 2.400, "weight": "1,250", "stock": 7, "tiny": 2}]"#;
    synced(sandbox, PRICES, "list.json", list);
    let rows = "SELECT sku, price, weight, stock FROM list ORDER BY sku";
    assert_eq!(sandbox.rows(rows), ["A|1.25|0.35|1200", "B|2.4|1.25|7"]);
    assert_eq!(sandbox.rows("SELECT tiny * 10000000 FROM list WHERE sku = 'A'"), ["1.5"]);
    let orders =
        r#"[{"Order ID": "1", "SKU": "A", "Order Total": 1.250, "Tip": 1.5e1, "Tax": "1.250"}]"#;
    let comma = "[datasets.orders]\ndecimal = ','\n";
    synced(sandbox, comma, "market-1-orders-2024-03-01.json", orders);
    assert_eq!(
        sandbox.rows("SELECT order_total, tip, tax, _rescued FROM orders"),
        ["1.25|15|1250|-"]
    );
}

scenario!(one_odd_text_among_numbers_of_json_is_rescued_and_not_the_file_refused);
fn one_odd_text_among_numbers_of_json_is_rescued_and_not_the_file_refused(sandbox: &Sandbox) {
    let orders = |tip: &str| {
        format!(
            r#"[{{"Order ID": "1", "SKU": "A", "Order Total": 12.5, "Tip": {tip}}},
                {{"Order ID": "2", "SKU": "A", "Order Total": 7.25, "Tip": "1,2500"}}]"#
        )
    };
    synced(sandbox, "", "market-1-orders-2024-03-01.json", &orders("2.5"));
    let rows = "SELECT order_id, order_total, tip, _rescued FROM orders ORDER BY order_id";
    assert_eq!(sandbox.rows(rows), ["1|12.5|2.5|-", r#"2|7.25|-|{"tip":"1,2500"}"#]);
    // Where texts with a comma outnumber them, it is another export.
    let all_texts = orders("\"2,5\"").replace("12.5", "\"12,5\"").replace("7.25", "7");
    let reason = refused(sandbox, "", "market-1-orders-2024-03-02.json", &all_texts);
    assert!(reason.contains(r#"[datasets.orders] decimal = ",""#), "{reason}");
}

scenario!(amounts_in_another_currency_than_their_row_are_rescued);
fn amounts_in_another_currency_than_their_row_are_rescued(sandbox: &Sandbox) {
    let orders = [
        "Order ID,SKU,Order Total,Tip,Currency Symbol",
        "1,A,KSh 10.50,KES 1,KSh",
        "2,A,-₦ 10.50,1,KSh",
        "3,A,10.50,$ 1,",
        "4,A,1.2M,250 CR,KSh",
    ];
    synced(sandbox, "", ORDERS, &table(&orders));
    let rows = "SELECT order_id, order_total, tip, _rescued FROM orders ORDER BY order_id";
    assert_eq!(
        sandbox.rows(rows),
        [
            "1|10.5|1|-",
            r#"2|-|1|{"order_total":"-₦ 10.50"}"#,
            "3|10.5|1|-",
            r#"4|-|-|{"order_total":"1.2M","tip":"250 CR"}"#,
        ]
    );
}

scenario!(a_column_with_two_currencies_is_not_believed);
fn a_column_with_two_currencies_is_not_believed(sandbox: &Sandbox) {
    // No column says which one a row is in.
    let orders = [
        "Order ID,SKU,Order Total,Tip,Fee",
        "1,A,KSh 10.50,$ 1,KSh 5",
        "2,A,₦ 10.50,US$ 2,₦ 5",
        "3,A,7,3,",
    ];
    synced(sandbox, "", ORDERS, &table(&orders));
    let rows = "SELECT order_id, order_total, tip, _rescued FROM orders ORDER BY order_id";
    assert_eq!(
        sandbox.rows(rows),
        [
            r#"1|-|1|{"order_total":"KSh 10.50"}"#,
            r#"2|-|2|{"order_total":"₦ 10.50"}"#,
            r#"3|-|3|{"order_total":"7"}"#,
        ]
    );
    assert_eq!(
        sandbox.rows("SELECT order_id, fee FROM order_items ORDER BY order_id"),
        ["1|KSh 5", "2|₦ 5", "3|-"]
    );
    // A later file with another currency makes a column text that was found with one.
    synced(sandbox, PRICES, "fees.csv", &table(&["sku,fee", "A,KSh 5.00", "B,KSh 7.50"]));
    assert_eq!(sandbox.rows("SELECT sku, fee FROM fees ORDER BY sku"), ["A|5", "B|7.5"]);
    synced(
        sandbox,
        PRICES,
        "fees.csv",
        &table(&["sku,fee", "A,KSh 5.00", "B,KSh 7.50", "C,₦ 9.00"]),
    );
    assert_eq!(
        sandbox.rows("SELECT sku, fee FROM fees ORDER BY sku"),
        ["A|KSh 5.00", "B|KSh 7.50", "C|₦ 9.00"]
    );
    // Whoever declares that both mean the same has them read.
    let declared = "[datasets.own]\npaths = ['/own\\.csv$']\nkey = 'sku'\n[defaults.currencies]\nDukat = ['XXX']\n";
    synced(sandbox, declared, "own.csv", &table(&["sku,fee", "A,Dukat 5.00", "B,7.50 Dukat"]));
    assert_eq!(sandbox.rows("SELECT sku, fee FROM own ORDER BY sku"), ["A|5", "B|7.5"]);
}

scenario!(a_column_without_values_takes_its_type_from_the_first_ones);
fn a_column_without_values_takes_its_type_from_the_first_ones(sandbox: &Sandbox) {
    let none = ["sku,refunded,cancelled_at,note,never", "1,,,,", "2,-,,,"];
    synced(sandbox, PRICES, "sales.csv", &table(&none));
    let first = [
        "sku,refunded,cancelled_at,note,never",
        "1,20.00,2024-03-02 10:00:00,late,",
        "2,,,,",
        "3,150.00,,,",
    ];
    synced(sandbox, PRICES, "sales.csv", &table(&first));
    assert_eq!(sandbox.rows("SELECT sku FROM sales WHERE refunded > 100"), ["3"]);
    let rows = "SELECT sku, refunded, cancelled_at, note, never FROM sales ORDER BY sku";
    assert_eq!(
        sandbox.rows(rows),
        ["1|20|2024-03-02T10:00:00.000Z|late|-", "2|-|-|-|-", "3|150|-|-|-"]
    );
    // From then on it is a column like others.
    let words = ["sku,refunded,cancelled_at,note,never", "3,all,,5,"];
    synced(sandbox, PRICES, "sales.csv", &table(&[&first[..3], &words[1..]].concat()));
    assert_eq!(
        sandbox.rows(rows),
        ["1|20.00|2024-03-02T10:00:00.000Z|late|-", "2|-|-|-|-", "3|all|-|5|-"]
    );
    let changes = "SELECT column_name, change_kind, old_type, new_type FROM tidegate_schema_changes \
                   WHERE column_name IN ('refunded', 'never') ORDER BY id";
    assert_eq!(
        sandbox.rows(changes),
        [
            "refunded|add_column|-|text",
            "never|add_column|-|text",
            "refunded|widen_column|text|bigint",
            "refunded|widen_column|bigint|text",
        ]
    );
    let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

scenario!(the_plan_says_what_a_refusal_would);
fn the_plan_says_what_a_refusal_would(sandbox: &Sandbox) {
    sandbox.drop_file(
        "market-de-orders-2024-03-01.csv",
        &table(&["Order ID;SKU;Order Total", "1;A;1.255,90"]),
    );
    let inbox = sandbox.inbox().to_string_lossy().into_owned();
    let plan = sandbox.command(&["plan", &inbox]).output().expect("the built program starts");
    let said =
        String::from_utf8_lossy(&plan.stdout).into_owned() + &String::from_utf8_lossy(&plan.stderr);
    assert!(said.contains("[markets.de] decimal"), "{said}");
}
