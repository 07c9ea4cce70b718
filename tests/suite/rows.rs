//! Rows: what a cell means, and what becomes of a row that cannot be loaded.

use crate::sandbox::{Report, Sandbox, table};

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.csv";

/// Drops one file, syncs, and checks that its rows are all accounted for.
fn sync(sandbox: &Sandbox, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> Report {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    let astray = "SELECT id FROM tidegate_files WHERE rows_read <> rows_accepted + rows_duplicate + rows_rejected + rows_skipped";
    assert_eq!(sandbox.rows(astray), Vec::<String>::new());
    report
}

/// Syncs a file that is to be taken as a whole.
fn synced(sandbox: &Sandbox, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) {
    let report = sync(sandbox, name, content);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
}

/// A file of orders with a value in one column.
fn orders_with(column: &str, values: &[&str]) -> String {
    let rows =
        values.iter().enumerate().map(|(index, value)| format!("{},\"{value}\"\n", 10 + index));
    format!("Order ID,{column}\n{}", rows.collect::<String>())
}

fn column(sandbox: &Sandbox, column: &str) -> Vec<String> {
    sandbox.rows(&format!("SELECT {column}, _rescued FROM orders ORDER BY order_id"))
}

scenario!(money_is_read_in_every_form_that_exports_write);
fn money_is_read_in_every_form_that_exports_write(sandbox: &Sandbox) {
    let forms = [
        ("104250", "104250|-"),
        ("KES 104250.00", "104250|-"),
        ("(5.25)", "-5.25|-"),
        ("5.25- KSh", "-5.25|-"),
        ("KSh 1,250.50", "1250.5|-"),
        ("1 250.50 KSh", "1250.5|-"),
        ("-5.25", "-5.25|-"),
        ("KSh -5.25", "-5.25|-"),
        ("0.00005", "0.0001|-"),
        ("-0.00005", "-0.0001|-"),
        ("0.00004999", "0|-"),
        ("KSh 0.0023773377665555553", "0.0024|-"),
        ("1'250.50", "1250.5|-"),
        ("99999999999.9999", "99999999999.9999|-"),
        ("999999999999.9999", r#"-|{"order_total":"999999999999.9999"}"#),
        ("1,2500", r#"-|{"order_total":"1,2500"}"#),
        ("inf", r#"-|{"order_total":"inf"}"#),
        ("about 5", r#"-|{"order_total":"about 5"}"#),
        ("N/A", "-|-"),
    ];
    synced(sandbox, ORDERS, &orders_with("Order Total", &forms.map(|(text, _)| text)));
    assert_eq!(column(sandbox, "order_total"), forms.map(|(_, stored)| stored));
}

scenario!(times_are_utc_to_the_millisecond);
fn times_are_utc_to_the_millisecond(sandbox: &Sandbox) {
    let forms = [
        ("2022-02-17T16:36:27.000Z", "2022-02-17T16:36:27.000Z|-"),
        ("2022-02-17 16:36:27", "2022-02-17T16:36:27.000Z|-"),
        ("2022-02-17T16:36:27.123999Z", "2022-02-17T16:36:27.123Z|-"),
        ("2022-02-17T16:36:27+03:00", "2022-02-17T13:36:27.000Z|-"),
        ("2022-02-17T23:30:00-0130", "2022-02-18T01:00:00.000Z|-"),
        ("2022-02-17", "2022-02-17T00:00:00.000Z|-"),
        ("2022-02-30T00:00:00Z", r#"-|{"order_time":"2022-02-30T00:00:00Z"}"#),
        ("17/02/2022", r#"-|{"order_time":"17/02/2022"}"#),
        ("-", "-|-"),
    ];
    synced(sandbox, ORDERS, &orders_with("Order Time", &forms.map(|(text, _)| text)));
    assert_eq!(column(sandbox, "order_time"), forms.map(|(_, stored)| stored));
}

scenario!(null_tokens_mean_no_value_and_other_text_stays_as_it_is);
fn null_tokens_mean_no_value_and_other_text_stays_as_it_is(sandbox: &Sandbox) {
    let tokens = ["", "-", "null", "NULL", "N/A", "n/a", "NaN", "None", "  - "];
    let texts = ["none", "--", " two  words ", "0", "nan"];
    synced(sandbox, ORDERS, &orders_with("Description", &[tokens.as_slice(), &texts].concat()));
    let mut expected = vec!["-|-".to_owned(); tokens.len()];
    expected.extend(texts.map(|text| format!("{text}|-")));
    assert_eq!(column(sandbox, "description"), expected);
}

scenario!(identifiers_stay_the_text_they_are);
fn identifiers_stay_the_text_they_are(sandbox: &Sandbox) {
    let long = "9".repeat(191);
    let too_long = "9".repeat(192);
    let values = [
        "007",
        "12345678901234567890",
        " 42 ",
        "Ab c",
        "12e45678",
        "\u{feff}43\u{200b}",
        "=\"\"00123\"\"",
        "'00124",
        "'s-Gravenhage",
        "\u{ad}-",
        "3.68E+29",
        "4,01235E+12",
        "1.23e12",
        "1E-5",
        &long,
        &too_long,
    ];
    synced(sandbox, ORDERS, &orders_with("Customer ID", &values));
    let expected = [
        "007|-".to_owned(),
        "12345678901234567890|-".to_owned(),
        "42|-".to_owned(),
        "Ab c|-".to_owned(),
        "12e45678|-".to_owned(),
        "43|-".to_owned(),
        "00123|-".to_owned(),
        "00124|-".to_owned(),
        "'s-Gravenhage|-".to_owned(),
        "-|-".to_owned(),
        r#"-|{"customer_id":"3.68E+29"}"#.to_owned(),
        r#"-|{"customer_id":"4,01235E+12"}"#.to_owned(),
        r#"-|{"customer_id":"1.23e12"}"#.to_owned(),
        r#"-|{"customer_id":"1E-5"}"#.to_owned(),
        format!("{long}|-"),
        format!("-|{{\"customer_id\":\"{too_long}\"}}"),
    ];
    assert_eq!(column(sandbox, "customer_id"), expected);
}

scenario!(a_key_that_is_none_is_a_reject);
fn a_key_that_is_none_is_a_reject(sandbox: &Sandbox) {
    let long = "k".repeat(191);
    let too_long = "k".repeat(192);
    let own = [
        " 0011 ",
        &long,
        &too_long,
        "3.68E+29",
        "-",
        "12345678901234567890",
        "=\"0012\"",
        "\u{feff}0013\u{200b}",
    ];
    let more = ["'0014", "12e45678", "1.23e12", "\u{200b}", "=\"\"", "2E+5"];
    let lines: Vec<String> = own.iter().chain(&more).map(|key| format!("{key},en")).collect();
    let filler: Vec<String> = (0..80).map(|number| format!("filler{number},en")).collect();
    let rows = [vec!["Customer ID,Language".to_owned()], lines, filler].concat();
    synced(sandbox, CUSTOMERS, &rows.join("\n"));
    let keys = sandbox
        .rows("SELECT customer_id FROM customers WHERE customer_id NOT LIKE 'filler%' ORDER BY 1");
    assert_eq!(keys, ["0011", "0012", "0013", "0014", "12345678901234567890", "12e45678", &long]);
    let rejects = sandbox.rows(
        "SELECT r.row_number, column_name, raw FROM tidegate_rejects r ORDER BY r.row_number",
    );
    assert_eq!(
        rejects,
        [
            format!("3|customer_id|{too_long},en"),
            "4|customer_id|3.68E+29,en".to_owned(),
            "5|customer_id|-,en".to_owned(),
            "11|customer_id|1.23e12,en".to_owned(),
            "12|customer_id|\u{200b},en".to_owned(),
            "13|customer_id|=\"\",en".to_owned(),
            "14|customer_id|2E+5,en".to_owned()
        ]
    );
    let reason = sandbox.rows("SELECT reason FROM tidegate_rejects r WHERE r.row_number = 4");
    assert!(reason[0].contains("spreadsheet notation"), "{reason:?}");
}

scenario!(keys_that_look_alike_stay_apart);
fn keys_that_look_alike_stay_apart(sandbox: &Sandbox) {
    // Case, accents, composed or not, width, white space and what has no width inside, ligatures,
    // emoji.
    let keys = [
        "ab",
        "AB",
        "áb",
        "a\u{301}b",
        "ａｂ",
        "a b",
        "a  b",
        "a\u{a0}b",
        "straße",
        "strasse",
        "😀",
        "😁",
        "a\u{200b}b",
    ];
    let rows: Vec<String> = keys.iter().map(|key| format!("{key},lang-{key}")).collect();
    synced(sandbox, CUSTOMERS, &format!("Customer ID,Language\n{}\n", rows.join("\n")));
    let mut stored = sandbox.rows("SELECT customer_id, language FROM customers");
    stored.sort();
    let mut expected: Vec<String> = keys.iter().map(|key| format!("{key}|lang-{key}")).collect();
    expected.sort();
    assert_eq!(stored, expected);
    let orders: Vec<String> =
        keys.iter().zip(1..).map(|(key, total)| format!("{key},{key},{total}")).collect();
    synced(sandbox, ORDERS, &format!("Order ID,Customer ID,Order Total\n{}\n", orders.join("\n")));
    let alone =
        sandbox.rows("SELECT COUNT(*), MAX(orders_count), SUM(total_amount) FROM customer_metrics");
    let count = keys.len();
    assert_eq!(alone, [format!("{count}|1|{}", count * (count + 1) / 2)]);
    let joined = sandbox.rows("SELECT COUNT(*), COUNT(customer_language) FROM enriched_orders");
    assert_eq!(joined, [format!("{count}|{count}")]);
}

scenario!(the_task_of_a_delivery_knows_its_order);
fn the_task_of_a_delivery_knows_its_order(sandbox: &Sandbox) {
    let content = table(&[
        "Task_ID,Order_ID",
        "1,\"YR-11262518,0\"",
        "2,\" YR-0007,0 \"",
        "3,YR-11262518",
        "4,11262518",
        "5,\"YR-1,1\"",
    ]);
    synced(sandbox, "Market 1 Deliveries.csv", &content);
    let orders = sandbox.rows("SELECT task_id, order_id FROM deliveries ORDER BY task_id");
    assert_eq!(orders, ["1|11262518", "2|0007", "3|YR-11262518", "4|11262518", "5|YR-1,1"]);
}

scenario!(what_belongs_to_an_order_is_its_last_value_that_is_not_null);
fn what_belongs_to_an_order_is_its_last_value_that_is_not_null(sandbox: &Sandbox) {
    let content = table(&[
        "Order ID,SKU,Order Status,Order Total,Tip",
        "11,A,ORDERED,10,1",
        "11,B,COMPLETED,-,-",
        "11,C,-,oops,-",
    ]);
    sandbox.drop_file(ORDERS, &content);
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    let orders =
        sandbox.rows("SELECT order_status, order_total, tip, line_count, _rescued FROM orders");
    assert_eq!(orders, [r#"COMPLETED|10|1|3|{"order_total":"oops"}"#]);
    assert_eq!(report.json["files"][0]["records_disagreeing"], 1);
}

scenario!(values_that_do_not_fit_are_rescued_in_the_table_they_belong_to);
fn values_that_do_not_fit_are_rescued_in_the_table_they_belong_to(sandbox: &Sandbox) {
    let content =
        table(&["Order ID,SKU,Quantity,Unit Price,Tip", "11,A,many,\"a \"\"lot\"\"\",1 apple"]);
    synced(sandbox, ORDERS, &content);
    assert_eq!(sandbox.rows("SELECT tip, _rescued FROM orders"), [r#"-|{"tip":"1 apple"}"#]);
    assert_eq!(
        sandbox.rows("SELECT quantity, unit_price, _rescued FROM order_items"),
        [r#"-|-|{"quantity":"many","unit_price":"a \"lot\""}"#]
    );
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Quantity,Unit Price,Tip", "11,A,2,3,1"]));
    assert_eq!(sandbox.rows("SELECT tip, _rescued FROM orders"), ["1|-"]);
    assert_eq!(sandbox.rows("SELECT quantity, unit_price, _rescued FROM order_items"), ["2|3|-"]);
}

scenario!(the_point_of_an_abbreviation_before_digits_is_rescued);
fn the_point_of_an_abbreviation_before_digits_is_rescued(sandbox: &Sandbox) {
    let rows = "Order ID,Order Total,Tip,Tax\n1,Rs.500,,\n2,Rs. 500,,\n3,,TSh.5,\n4,,,₦.5\n";
    sandbox.drop_file("Market 1 Orders.csv", rows);
    assert_eq!(sandbox.sync().exit, 0);
    let stored =
        sandbox.rows("SELECT order_id, order_total, tax, _rescued FROM orders ORDER BY order_id");
    let expected =
        [r#"1|-|-|{"order_total":"Rs.500"}"#, "2|500|-|-", r#"3|-|-|{"tip":"TSh.5"}"#, "4|-|0.5|-"];
    assert_eq!(
        stored.iter().map(|row| row.replace("\": \"", "\":\"")).collect::<Vec<_>>(),
        expected
    );
}
