//! WooCommerce: the orders of its REST API, and the exports of two plugins.

use super::sales::{
    Line, Sale, State, Windows, amount, assert_rows, check, csv, stored_amount, stored_text,
};
use super::{synced, synced_with};
use crate::sandbox::Sandbox;
use crate::shop::Order;
use chrono::{DateTime, Utc};
use chrono_tz::Europe::Berlin;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The clock of the shop, which the exports of plugins have without a zone.
const IN_BERLIN: &str = "[markets.berlin]\ntimezone = \"Europe/Berlin\"\n";

const LINES_HEADER: &str = "order_id order_number date status shipping_total shipping_tax_total fee_total fee_tax_total tax_total \
    discount_total order_total refunded_total order_currency payment_method shipping_method customer_id billing_first_name \
    billing_last_name billing_company billing_email billing_phone billing_address_1 billing_address_2 billing_postcode \
    billing_city billing_state billing_country shipping_first_name shipping_last_name shipping_address_1 shipping_address_2 \
    shipping_postcode shipping_city shipping_state shipping_country shipping_company customer_note item_id item_product_id \
    item_name item_sku item_price item_quantity item_subtotal item_subtotal_tax item_total item_total_tax item_refunded \
    item_refunded_qty item_meta shipping_items fee_items tax_items coupon_items order_notes download_permissions_granted";

const ADVANCED_HEADER: &str = "Order Number,Order Status,Order Date,Customer Note,First Name (Billing),Last Name (Billing),\
    Company (Billing),Address 1&2 (Billing),City (Billing),State Code (Billing),Postcode (Billing),Country Code (Billing),\
    Email (Billing),Phone (Billing),First Name (Shipping),Last Name (Shipping),Address 1&2 (Shipping),City (Shipping),\
    State Code (Shipping),Postcode (Shipping),Country Code (Shipping),Payment Method Title,Cart Discount Amount,\
    Order Subtotal Amount,Shipping Method Title,Order Shipping Amount,Order Refund Amount,Order Total Amount,\
    Order Total Tax Amount,SKU,Item #,Item Name,Quantity (- Refund),Item Cost,Coupon Code,Discount Amount,Discount Amount Tax,\
    Currency,Customer User ID,Order Line (w/o tax)";

fn status(state: State) -> &'static str {
    match state {
        State::Open => "on-hold",
        State::Paid | State::PartlyRefunded => "completed",
        State::Refunded => "refunded",
        State::Cancelled => "cancelled",
    }
}

/// The number of the account; guests have 0.
fn account(sale: &Sale) -> usize {
    sale.buyer.map_or(0, |buyer| buyer + 1)
}

fn orders(sales: &[Sale], open: &'static str) -> Vec<Order> {
    let order = |sale: &Sale| {
        let status = match sale.state {
            State::Open => open,
            State::Paid | State::PartlyRefunded => "COMPLETED",
            State::Refunded | State::Cancelled => "CANCELLED",
        };
        let customer = sale.buyer.map(|_| account(sale).to_string()).unwrap_or_default();
        sale.order(status, customer, sale.total(), Line::total)
    };
    sales.iter().map(order).collect()
}

/// A page of the REST API, with a cart that is no order yet.
pub fn orders_json(sales: &[Sale]) -> String {
    let mut orders: Vec<Value> = sales.iter().map(api_order).collect();
    let mut cart = orders[0].clone();
    (cart["id"], cart["status"]) = (json!(9999), json!("checkout-draft"));
    orders.insert(1, cart);
    serde_json::to_string(&orders).expect("JSON")
}

fn api_order(sale: &Sale) -> Value {
    let gmt = |moment: DateTime<Utc>| moment.format("%Y-%m-%dT%H:%M:%S").to_string();
    let local = |moment: DateTime<Utc>| {
        moment.with_timezone(&Berlin).format("%Y-%m-%dT%H:%M:%S").to_string()
    };
    let line = |(index, line): (usize, &Line)| {
        json!({
            "id": u64::from(sale.number) * 100 + index as u64, "name": line.name, "product_id": 93, "variation_id": 0,
            "quantity": line.quantity, "tax_class": "", "subtotal": amount(line.total()), "subtotal_tax": "0.00",
            "total": amount(line.total()), "total_tax": "0.00", "taxes": [{ "id": 75 }], "meta_data": [], "sku": line.sku,
            "price": line.price as f64 / 100.0, "image": { "id": "1", "src": "https://shop.example/1.png" }, "parent_name": null,
        })
    };
    let address = json!({
        "first_name": "Jo", "last_name": "Lee", "company": "", "address_1": "9", "address_2": "", "city": sale.city, "state": "CA",
        "postcode": "04103", "country": "US", "email": "jo@example.com", "phone": "(555) 555",
    });
    let coupon = sale.coupon.map(|code| json!({ "id": 1, "code": code, "discount": "0" }));
    let mut order = json!({
        "id": sale.number, "parent_id": 0, "status": status(sale.state), "currency": sale.currency, "version": "7.0.0",
        "prices_include_tax": false, "date_created": local(sale.placed), "date_modified": local(sale.placed),
        "discount_total": "0.00", "discount_tax": "0.00", "shipping_total": amount(sale.shipping), "shipping_tax": "0.00",
        "cart_tax": "0.00", "total": amount(sale.total()), "total_tax": "0.00", "customer_id": account(sale),
        "order_key": "wc_order_58d2d042d1d", "billing": address, "shipping": address, "payment_method": "bacs",
        "payment_method_title": "Direct", "transaction_id": "", "customer_ip_address": "", "customer_user_agent": "",
        "created_via": "rest-api", "customer_note": sale.note, "date_completed": null, "date_paid": sale.paid().map(local),
        "cart_hash": "", "number": sale.number.to_string(), "meta_data": [],
    });
    let rest = json!({
        "line_items": sale.lines.iter().enumerate().map(line).collect::<Vec<_>>(), "tax_lines": [], "shipping_lines": [],
        "fee_lines": [], "coupon_lines": coupon.into_iter().collect::<Vec<_>>(), "refunds": [], "payment_url": "https://shop.example",
        "is_editable": true, "needs_payment": false, "needs_processing": true, "date_created_gmt": gmt(sale.placed),
        "date_modified_gmt": gmt(sale.placed), "date_completed_gmt": null, "date_paid_gmt": sale.paid().map(gmt),
        "currency_symbol": "$", "_links": { "self": [{ "href": "https://shop.example" }], "collection": [] },
    });
    order.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
    order
}

/// The export with a row per line, each with all of the order's columns.
pub fn lines_csv(sales: &[Sale]) -> String {
    let row = |sale: &Sale, index: usize, line: &Line| {
        BTreeMap::from([
            ("order_id", sale.number.to_string()),
            ("order_number", format!("W-{}", sale.number)),
            ("date", sale.placed.with_timezone(&Berlin).format("%Y-%m-%d %H:%M:%S").to_string()),
            ("status", status(sale.state).to_owned()),
            ("shipping_total", amount(sale.shipping)),
            ("order_total", amount(sale.total())),
            ("refunded_total", amount(sale.refunded)),
            ("order_currency", sale.currency.to_owned()),
            ("customer_id", account(sale).to_string()),
            ("billing_city", sale.city.to_owned()),
            ("billing_postcode", "04103".to_owned()),
            ("customer_note", sale.note.to_owned()),
            ("item_id", (sale.number as usize * 100 + index).to_string()),
            ("item_name", line.name.to_owned()),
            ("item_sku", line.sku.to_owned()),
            ("item_price", amount(line.price)),
            ("item_quantity", line.quantity.to_string()),
            ("item_total", amount(line.total())),
            (
                "coupon_items",
                sale.coupon.map(|code| format!("id:7|code:{code}|amount:0.00")).unwrap_or_default(),
            ),
            ("download_permissions_granted", "1".to_owned()),
        ])
    };
    let header: Vec<&str> = LINES_HEADER.split_whitespace().collect();
    let rows = sales.iter().flat_map(|sale| {
        sale.lines.iter().enumerate().map(move |(index, line)| row(sale, index, line))
    });
    csv(&header, &rows.collect::<Vec<_>>(), ',')
}

/// The export of which only the first row of an order has the order's columns.
pub fn advanced_csv(sales: &[Sale], delimiter: char) -> String {
    let header: Vec<&str> = ADVANCED_HEADER.split(',').collect();
    csv(&header, &sales.iter().flat_map(advanced_rows).collect::<Vec<_>>(), delimiter)
}

fn advanced_rows(sale: &Sale) -> Vec<BTreeMap<&'static str, String>> {
    let row = |(index, line): (usize, &Line)| {
        BTreeMap::from([
            ("SKU", line.sku.to_owned()),
            ("Item #", (index + 1).to_string()),
            ("Item Name", line.name.to_owned()),
            ("Quantity (- Refund)", line.quantity.to_string()),
            ("Item Cost", amount(line.price)),
            ("Order Line (w/o tax)", amount(line.total())),
        ])
    };
    let status = match sale.state {
        State::Open => "On hold",
        State::Paid | State::PartlyRefunded => "Completed",
        State::Refunded => "Refunded",
        State::Cancelled => "Cancelled",
    };
    let mut rows: Vec<_> = sale.lines.iter().enumerate().map(row).collect();
    rows[0].extend([
        ("Order Number", sale.number.to_string()),
        ("Order Status", status.to_owned()),
        ("Order Date", sale.placed.with_timezone(&Berlin).format("%Y-%m-%d %H:%M").to_string()),
        ("Customer Note", sale.note.to_owned()),
        ("City (Billing)", sale.city.to_owned()),
        ("Postcode (Billing)", "04103".to_owned()),
        ("Order Shipping Amount", amount(sale.shipping)),
        ("Order Total Amount", amount(sale.total())),
        ("Coupon Code", sale.coupon.unwrap_or_default().to_owned()),
        ("Currency", sale.currency.to_owned()),
        ("Customer User ID", account(sale).to_string()),
    ]);
    rows
}

scenario!(pages_of_the_api_are_stored_as_the_shop_has_them);
fn pages_of_the_api_are_stored_as_the_shop_has_them(sandbox: &Sandbox) {
    let windows = Windows::new(21);
    let first = synced(sandbox, "berlin/orders-page-1.json", &orders_json(&windows.first));
    assert_eq!(first.counts["skipped"], 2, "the lines of a cart are none of an order");
    check(sandbox, "berlin", orders(&windows.first, "on-hold"), "after the first page");
    synced(sandbox, "berlin/orders-page-2.json", &orders_json(&windows.second));
    check(sandbox, "berlin", orders(&windows.both(), "on-hold"), "after the second page");
    let row = |sale: &Sale| {
        let texts = [status(sale.state), sale.city, sale.note, sale.coupon.unwrap_or_default()]
            .map(stored_text)
            .join("|");
        let paid = sale
            .paid()
            .map_or("-".to_owned(), |paid| paid.format("%Y-%m-%dT%H:%M:%S.000Z").to_string());
        let local = sale.placed.with_timezone(&Berlin).format("%Y-%m-%dT%H:%M:%S");
        let [total, shipping] = [sale.total(), sale.shipping].map(stored_amount);
        format!("{0}|{0}|{total}|{shipping}|{texts}|{paid}|{local}|04103|$", sale.number)
    };
    let columns = "order_id, order_number, order_total, delivery_charge, status, billing_city, customer_note, promo_code, paid_at, \
                   date_created, billing_postcode, currency_sign";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM orders"),
        windows.both().iter().map(row).collect(),
        "orders",
    );
    let sales = windows.both();
    let line = |sale: &Sale, line: &Line| {
        let [price, total] = [line.price, line.total()].map(stored_amount);
        format!("{}|{}|{price}|{total}|0|93", sale.number, line.name)
    };
    let lines = sales.iter().flat_map(|sale| sale.lines.iter().map(move |one| line(sale, one)));
    let columns = "order_id, product_name, unit_price, total_price, line_items_total_tax, line_items_product_id";
    assert_rows(sandbox, &format!("SELECT {columns} FROM order_items"), lines.collect(), "lines");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders WHERE _rescued IS NOT NULL"), ["0"]);
}

scenario!(an_export_with_a_row_per_item_is_stored_as_the_shop_has_it);
fn an_export_with_a_row_per_item_is_stored_as_the_shop_has_it(sandbox: &Sandbox) {
    let windows = Windows::new(22);
    synced_with(
        sandbox,
        IN_BERLIN,
        "berlin/orders-2022-04-02-10-15-00.csv",
        &lines_csv(&windows.first),
    );
    check(sandbox, "berlin", orders(&windows.first, "on-hold"), "after the first export");
    synced_with(
        sandbox,
        IN_BERLIN,
        "berlin/orders-2022-04-03-10-15-00.csv",
        &lines_csv(&windows.second),
    );
    check(sandbox, "berlin", orders(&windows.both(), "on-hold"), "after the second export");
    let row = |sale: &Sale| {
        let texts = [status(sale.state), sale.city, sale.note, sale.coupon.unwrap_or_default()]
            .map(stored_text)
            .join("|");
        let [total, refunded] = [sale.total(), sale.refunded].map(stored_amount);
        format!("{0}|W-{0}|{total}|{refunded}|{texts}|04103|1", sale.number)
    };
    let columns = "order_id, order_number, order_total, refunded_amount, status, billing_city, customer_note, promo_code, \
                   billing_postcode, download_permissions_granted";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM orders"),
        windows.both().iter().map(row).collect(),
        "orders",
    );
}

scenario!(an_export_with_orders_in_first_rows_is_stored_as_the_shop_has_it);
fn an_export_with_orders_in_first_rows_is_stored_as_the_shop_has_it(sandbox: &Sandbox) {
    let windows = Windows::new(23);
    let expected = |sales: &[Sale]| {
        let mut orders = orders(sales, "On hold");
        // The export's times end with the minute.
        orders.iter_mut().for_each(|order| order.time.replace_range(17.., "00.000Z"));
        orders
    };
    synced_with(sandbox, IN_BERLIN, "berlin/orders.csv", &advanced_csv(&windows.first, ','));
    check(sandbox, "berlin", expected(&windows.first), "after the first export");
    synced_with(sandbox, IN_BERLIN, "berlin/orders.tsv", &advanced_csv(&windows.second, '\t'));
    check(sandbox, "berlin", expected(&windows.both()), "after the second export");
    let row = |sale: &Sale| {
        let texts =
            [sale.city, sale.note, sale.coupon.unwrap_or_default()].map(stored_text).join("|");
        format!("{0}|{0}|{1}|{texts}|04103", sale.number, stored_amount(sale.total()))
    };
    let columns = "order_id, order_number, order_total, billing_city, customer_note, promo_code, billing_postcode";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM orders"),
        windows.both().iter().map(row).collect(),
        "orders",
    );
}

scenario!(exports_that_come_in_the_wrong_order_mean_the_same);
fn exports_that_come_in_the_wrong_order_mean_the_same(sandbox: &Sandbox) {
    let windows = Windows::new(24);
    synced_with(
        sandbox,
        IN_BERLIN,
        "berlin/orders-2022-04-03-10-15-00.csv",
        &lines_csv(&windows.second),
    );
    let late = synced_with(
        sandbox,
        IN_BERLIN,
        "berlin/orders-2022-04-02-10-15-00.csv",
        &lines_csv(&windows.first),
    );
    assert!(late.counts["stale"] > 0, "{late:?}");
    check(sandbox, "berlin", orders(&windows.both(), "on-hold"), "after the late export");
}

scenario!(what_the_page_says_to_write_for_another_site_is_right);
/// Names of statuses in the language of the site, and its decimal sign.
fn what_the_page_says_to_write_for_another_site_is_right(sandbox: &Sandbox) {
    let windows = Windows::new(25);
    let page = include_str!("../../../docs/platforms/woocommerce.md");
    let said = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect::<String>();
    let configuration = said.replace("[markets.berlin]", "[markets.berlin]\ndecimal = \",\"");
    let german = |sales: &[Sale]| {
        let amounts = regex::Regex::new(r";(\d+)\.(\d\d)\b").expect("a valid pattern");
        let export = advanced_csv(sales, ';');
        let export = amounts.replace_all(&export, ";$1,$2");
        let export = export.replace("Completed", "Abgeschlossen").replace("Cancelled", "Storniert");
        export.replace("Refunded", "Rückerstattet").replace("On hold", "In Wartestellung")
    };
    synced_with(sandbox, &configuration, "berlin/orders-1.csv", &german(&windows.first));
    synced_with(sandbox, &configuration, "berlin/orders-2.csv", &german(&windows.second));
    let mut expected = orders(&windows.both(), "In Wartestellung");
    expected.iter_mut().for_each(|order| order.time.replace_range(17.., "00.000Z"));
    check(sandbox, "berlin", expected, "in German");
}
