//! Evolution: files bring new columns, or lack some, and nothing is lost by it.

use crate::sandbox::{Engine, FileReport, Sandbox, table};

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

fn synced(sandbox: &Sandbox, name: &str, content: &str) -> FileReport {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report.file(name).clone()
}

/// The changes of all tables: table, column, kind of change, before, after, file.
fn schema_changes(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows(
        "SELECT table_name, column_name, change_kind, old_type, new_type, file_id FROM tidegate_schema_changes ORDER BY id",
    )
}

scenario!(a_new_column_appears_at_once_in_the_line_table_with_its_type);
fn a_new_column_appears_at_once_in_the_line_table_with_its_type(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Tip", "11,A,1", "11,B,1", "12,C,2"]));
    let report = synced(
        sandbox,
        ORDERS,
        &table(&[
            "Order ID,SKU,Tip,Weight (kg),Pieces,Packed At,Shelf,Voucher ID,Nothing",
            "11,A,1,2.50,3,2022-02-15T13:00:00Z,007,12,",
            "11,B,1,,,,,,",
            "12,C,2,-,-,-,-,-,-",
        ]),
    );
    assert_eq!(report.changes(), (0, 1, 4, 0), "only the row that has a value in them changes");
    let expected = [
        ("weight_kg", "decimal"),
        ("pieces", "bigint"),
        ("packed_at", "timestamp"),
        ("shelf", "text"),
        ("voucher_id", "identifier"),
        ("nothing", "text"),
    ];
    let expected: Vec<String> = expected
        .iter()
        .map(|(name, kind)| format!("order_items|{name}|add_column|-|{kind}|2"))
        .collect();
    assert_eq!(schema_changes(sandbox), expected);
    let items = sandbox.rows(
            "SELECT order_id, sku, weight_kg, pieces, packed_at, shelf, voucher_id, _file_id FROM order_items ORDER BY order_id, line_no",
        );
    assert_eq!(
        items,
        ["11|A|2.5|3|2022-02-15T13:00:00.000Z|007|12|2", "11|B|-|-|-|-|-|1", "12|C|-|-|-|-|-|1"]
    );
}

scenario!(a_later_value_that_does_not_fit_a_found_column_makes_it_text);
fn a_later_value_that_does_not_fit_a_found_column_makes_it_text(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Pieces", "11,A,3"]));
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Pieces", "11,A,three", "12,B,4"]));
    let items = sandbox.rows("SELECT pieces, _rescued FROM order_items ORDER BY order_id");
    assert_eq!(items, ["three|-", "4|-"]);
}

scenario!(a_file_that_lacks_columns_leaves_their_values_alone);
fn a_file_that_lacks_columns_leaves_their_values_alone(sandbox: &Sandbox) {
    let full = [
        "Order ID,Order Status,SKU,Quantity,Order Total,Order Time,Distance (in km),Extra",
        "11,ORDERED,A,1.5,10.25,2022-02-15T13:07:09.123Z,16.85,e1",
        "11,ORDERED,B,2,10.25,2022-02-15T13:07:09.123Z,16.85,e2",
        "12,ORDERED,C,about 3,7,2022-02-16,11997.31,-",
    ];
    synced(sandbox, ORDERS, &table(&full));
    let before = sandbox.dump();
    let narrow = ["Order ID,Order Status,SKU", "11,ORDERED,A", "11,ORDERED,B", "12,ORDERED,C"];
    assert_eq!(synced(sandbox, ORDERS, &table(&narrow)).changes(), (0, 0, 5, 0));
    assert_eq!(sandbox.dump(), before);
    let changed = ["Order ID,Order Status,SKU", "11,COMPLETED,A", "11,COMPLETED,X", "12,ORDERED,C"];
    assert_eq!(synced(sandbox, ORDERS, &table(&changed)).changes(), (0, 2, 3, 0));
    let orders = sandbox
        .rows("SELECT order_id, order_status, order_total, order_time, distance_in_km FROM orders ORDER BY order_id");
    assert_eq!(
        orders,
        [
            "11|COMPLETED|10.25|2022-02-15T13:07:09.123Z|16.85",
            "12|ORDERED|7|2022-02-16T00:00:00.000Z|11997.31"
        ]
    );
    let items =
        sandbox.rows("SELECT order_id, sku, quantity, extra, _rescued FROM order_items ORDER BY order_id, line_no");
    assert_eq!(items, ["11|A|1.5|e1|-", "11|X|2|e2|-", r#"12|C|-|-|{"quantity":"about 3"}"#]);
    // The whole export again: what it says is compared with what is stored now.
    assert_eq!(synced(sandbox, ORDERS, &table(&full)).changes(), (0, 2, 3, 0));
    assert_eq!(sandbox.dump(), before);
}

scenario!(an_object_that_lacks_a_key_does_not_blank_it_and_one_that_has_null_does);
fn an_object_that_lacks_a_key_does_not_blank_it_and_one_that_has_null_does(sandbox: &Sandbox) {
    let full = r#"[{"Customer ID": 1, "Language": "en", "Loyalty Points": 5, "Tier": "gold"},
                       {"Customer ID": 2, "Language": "fr", "Loyalty Points": 6, "Tier": "tin"}]"#;
    synced(sandbox, CUSTOMERS, full);
    let partly = r#"[{"Customer ID": 1, "Language": "en"}, {"Customer ID": 2, "Loyalty Points": null, "Tier": "tin"}]"#;
    assert_eq!(synced(sandbox, CUSTOMERS, partly).changes(), (0, 1, 1, 0));
    let customers = "SELECT customer_id, language, loyalty_points, tier, _file_id FROM customers ORDER BY customer_id";
    assert_eq!(sandbox.rows(customers), ["1|en|5|gold|1", "2|fr|-|tin|2"]);
    let other = r#"[{"Customer ID": 1, "Tier": "", "Language": "sw"}, {"Customer ID": 2}]"#;
    assert_eq!(synced(sandbox, CUSTOMERS, other).changes(), (0, 1, 1, 0));
    assert_eq!(sandbox.rows(customers), ["1|sw|5|-|3", "2|fr|-|tin|2"]);
}

scenario!(names_that_clash_get_a_suffix_and_say_so);
fn names_that_clash_get_a_suffix_and_say_so(sandbox: &Sandbox) {
    let content =
        table(&["Order ID,SKU,sku,Market,Line No,ID,Id,order-id", "11,A,a,Nairobi,L7,x,y,z"]);
    synced(sandbox, ORDERS, &content);
    let items = sandbox.rows(
        "SELECT market, order_id, line_no, sku, sku_2, market_2, line_no_2, id, id_2, order_id_2 FROM order_items",
    );
    assert_eq!(items, ["1|11|1|A|a|Nairobi|L7|x|y|z"]);
    let renamed = sandbox
        .rows("SELECT old_type, new_type FROM tidegate_schema_changes WHERE change_kind = 'rename_column' ORDER BY id");
    assert_eq!(
        renamed,
        ["sku|sku_2", "Market|market_2", "Line No|line_no_2", "Id|id_2", "order-id|order_id_2"]
    );
    assert_eq!(synced(sandbox, ORDERS, &format!("{content}\n")).changes(), (0, 0, 2, 0));
}

scenario!(a_header_is_never_trusted_as_sql);
fn a_header_is_never_trusted_as_sql(sandbox: &Sandbox) {
    let quote = if sandbox.engine == Engine::Mariadb { '`' } else { '"' };
    let hostile = [
        "x\"\"); DROP TABLE orders; --".to_owned(),
        "y'; DELETE FROM orders; --".to_owned(),
        "z`) ; DROP TABLE orders".to_owned(),
        "select".to_owned(),
        "groß {{ 1 }}".to_owned(),
        "_file_id".to_owned(),
        "n".repeat(100),
    ];
    let header: Vec<String> = hostile.iter().map(|name| format!("\"{name}\"")).collect();
    let content = format!("Order ID,SKU,{}\n11,A,1,2,3,4,5,6,7\n", header.join(","));
    synced(sandbox, ORDERS, &content);
    let long = "n".repeat(63);
    let names = [
        "x_drop_table_orders",
        "y_delete_from_orders",
        "z_drop_table_orders",
        "select",
        "groß_1",
        "file_id",
        &long,
    ];
    let list: Vec<String> = names.iter().map(|name| format!("{quote}{name}{quote}")).collect();
    let items = sandbox.rows(&format!("SELECT {}, _file_id FROM order_items", list.join(", ")));
    assert_eq!(items, ["1|2|3|4|5|6|7|1"]);
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), ["11"]);
    // The same names through JSON, into a table that views read.
    let object = format!(
        r#"[{{"Customer ID": 1, "x\"); DROP TABLE orders; --": "a", "select": "b", "_row_hash": "c", "{}": "d"}}]"#,
        "n".repeat(100)
    );
    synced(sandbox, CUSTOMERS, &object);
    let customers = sandbox.rows(&format!(
        "SELECT x_drop_table_orders, {quote}select{quote}, row_hash, {long} FROM customers"
    ));
    assert_eq!(customers, ["a|b|c|d"]);
}

scenario!(the_enriched_views_follow_their_tables);
fn the_enriched_views_follow_their_tables(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1"]));
    synced(sandbox, "Market 1 Deliveries.csv", &table(&["Task_ID,Order_ID", "T,11"]));
    synced(
        sandbox,
        CUSTOMERS,
        r#"[{"Customer ID": 1, "Language": "en", "Tier": "gold", "ID": "clash"}]"#,
    );
    let view = "SELECT order_id, customer_id, customer_language, customer_tier, customer_id_2 FROM";
    assert_eq!(sandbox.rows(&format!("{view} enriched_orders")), ["11|1|en|gold|clash"]);
    assert_eq!(sandbox.rows(&format!("{view} enriched_deliveries")), ["11|1|en|gold|clash"]);
    // A column of a later file, in a table of its own, with the name that the view already gave to
    // another.
    synced(
        sandbox,
        CUSTOMERS,
        r#"[{"Customer ID": 1, "Language": "en", "Tier": "gold", "Since": 2019}]"#,
    );
    assert_eq!(
        sandbox.rows("SELECT customer_tier, customer_since FROM enriched_orders"),
        ["gold|2019"]
    );
    synced(
        sandbox,
        "Market 1 Deliveries.csv",
        &table(&["Task_ID,Order_ID,Task_Details_QTY,Scanned", "T,11,5,yes"]),
    );
    assert_eq!(sandbox.rows("SELECT scanned FROM delivery_items"), ["yes"]);
    assert_eq!(sandbox.rows("SELECT task_id, customer_since FROM enriched_deliveries"), ["T|2019"]);
}

scenario!(two_markets_may_bring_the_same_column_at_once);
fn two_markets_may_bring_the_same_column_at_once(sandbox: &Sandbox) {
    sandbox.drop_file("Market 1 Orders.csv", &table(&["Order ID,SKU,Extra", "11,A,5"]));
    sandbox.drop_file("Market 2 Orders.csv", &table(&["Order ID,SKU,Extra", "11,A,five"]));
    sandbox.drop_file(
        "Market 3 Orders.csv",
        &table(&["Order ID,SKU,Extra", "11,A,2022-02-15T13:00:00Z"]),
    );
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    let added = sandbox
        .rows("SELECT COUNT(*) FROM tidegate_schema_changes WHERE change_kind = 'add_column'");
    assert_eq!(added, ["1"]);
    // Whichever came first gave the column its type; nothing that does not fit it is lost.
    let extras = sandbox.rows("SELECT market, extra, _rescued FROM order_items ORDER BY market");
    for (row, text) in extras.iter().zip(["5", "five", "2022-02-15T13:00:00"]) {
        assert!(row.contains(text), "{extras:?}");
    }
}

scenario!(many_identifiers_fit_and_too_many_columns_change_nothing);
/// MySQL has no room for so many varchar columns; found identifiers take less.
fn many_identifiers_fit_and_too_many_columns_change_nothing(sandbox: &Sandbox) {
    let wide = |columns: usize| {
        let names: Vec<String> = (0..columns).map(|number| format!("Part {number} ID")).collect();
        let values: Vec<String> = (0..columns).map(|number| format!("00{number}")).collect();
        table(&[
            &format!("Order ID,SKU,{}", names.join(",")),
            &format!("11,A,{}", values.join(",")),
        ])
    };
    synced(sandbox, ORDERS, &wide(300));
    assert_eq!(sandbox.rows("SELECT part_0_id, part_299_id FROM order_items"), ["000|00299"]);
    let (columns, changes) = (sandbox.columns("order_items"), schema_changes(sandbox));
    // More than any of the databases takes.
    sandbox.drop_file(ORDERS, &wide(2100));
    let report = sandbox.sync_with(&[("TIDEGATE_COLUMNS_MAX", "5000")]);
    let file = report.file(ORDERS);
    assert_eq!(file.outcome, "quarantined", "{report:?}");
    assert!(file.error.contains("leave columns out"), "{}", file.error);
    assert_eq!(sandbox.columns("order_items"), columns);
    assert_eq!(schema_changes(sandbox), changes);
    assert_eq!(synced(sandbox, ORDERS, &wide(301)).changes(), (0, 1, 1, 0));
}

scenario!(empty_and_repeated_names_of_columns_stay_apart);
fn empty_and_repeated_names_of_columns_stay_apart(sandbox: &Sandbox) {
    let content = table(&["Order ID,SKU,,Note,Note,,NOTE,", "11,A,x,n1,n2,y,n3,"]);
    synced(sandbox, ORDERS, &content);
    let items = sandbox.rows("SELECT column_3, note, note_2, column_6, note_3 FROM order_items");
    assert_eq!(items, ["x|n1|n2|y|n3"]);
    assert_eq!(synced(sandbox, ORDERS, &format!("{content}\n")).changes(), (0, 0, 2, 0));
}

scenario!(columns_that_move_are_spelt_otherwise_vanish_or_come_back_change_no_row);
fn columns_that_move_are_spelt_otherwise_vanish_or_come_back_change_no_row(sandbox: &Sandbox) {
    synced(
        sandbox,
        ORDERS,
        &table(&["Order ID,Order Status,SKU,Extra Info", "11,ORDERED,A,x", "12,ORDERED,B,y"]),
    );
    let before = sandbox.dump();
    let changes = schema_changes(sandbox);
    for content in [
        ["SKU,extra_info,ORDER-STATUS,order id", "A,x,ORDERED,11", "B,y,ORDERED,12"],
        ["Order ID,Order Status,SKU", "11,ORDERED,A", "12,ORDERED,B"],
        ["Order ID,SKU,(Extra) Info", "12,B,y", "11,A,x"],
        ["Order ID,Order Status,SKU,Extra Info", "12,ORDERED,B,y", "11,ORDERED,A,x"],
    ] {
        assert_eq!(
            synced(sandbox, ORDERS, &table(&content)).changes(),
            (0, 0, 4, 0),
            "{content:?}"
        );
        assert_eq!(sandbox.dump(), before, "{content:?}");
    }
    assert_eq!(schema_changes(sandbox), changes);
}
