//! Shopify: its two exports and the orders of its API, of one shop or of several.

use super::sales::{
    Line, Sale, State, Windows, amount, assert_rows, check, csv, stored_amount, stored_text,
};
use super::{quarantined, synced, synced_with};
use crate::sandbox::Sandbox;
use crate::shop::Order;
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

pub const ORDERS_HEADER: &str = "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,\
    Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,\
    Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,\
    Lineitem fulfillment status,Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,Billing City,\
    Billing Zip,Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,Shipping Address1,\
    Shipping Address2,Shipping Company,Shipping City,Shipping Zip,Shipping Province,Shipping Country,Shipping Phone,Notes,\
    Note Attributes,Cancelled at,Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Employee,\
    Location,Device ID,Id,Tags,Risk Level,Source,Lineitem discount,Tax 1 Name,Tax 1 Value,Tax 2 Name,Tax 2 Value,\
    Tax 3 Name,Tax 3 Value,Tax 4 Name,Tax 4 Value,Tax 5 Name,Tax 5 Value,Phone,Receipt Number,Duties,\
    Billing Province Name,Shipping Province Name,Payment ID,Payment Terms Name,Next Payment Due At,Payment References";

const CUSTOMERS_HEADER: &str = "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,\
    Default Address Address1,Default Address Address2,Default Address City,Default Address Province Code,\
    Default Address Country Code,Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,\
    Total Orders,Note,Tax Exempt,Tags";

pub fn email(buyer: usize) -> String {
    format!("buyer{buyer}@example.com")
}

fn financial_status(state: State) -> &'static str {
    match state {
        State::Open => "pending",
        State::Paid => "paid",
        State::PartlyRefunded => "partially_refunded",
        State::Refunded => "refunded",
        State::Cancelled => "voided",
    }
}

/// A moment in the zone of the shop, which is another one in summer.
fn local(moment: DateTime<Utc>, number: u32, pattern: &str) -> String {
    let offset = if number.is_multiple_of(2) { -4 * 3600 } else { 19_800 };
    moment
        .with_timezone(&FixedOffset::east_opt(offset).expect("within a day"))
        .format(pattern)
        .to_string()
}

/// The orders export: what belongs to the order stands in its first row.
pub fn orders_csv(sales: &[Sale]) -> String {
    let header: Vec<&str> = ORDERS_HEADER.split(',').collect();
    csv(&header, &sales.iter().flat_map(rows_of).collect::<Vec<_>>(), ',')
}

fn rows_of(sale: &Sale) -> Vec<BTreeMap<&'static str, String>> {
    let at = |moment| local(moment, sale.number, "%Y-%m-%d %H:%M:%S %z");
    let line = |line: &Line| {
        BTreeMap::from([
            ("Name", format!("#{}", sale.number)),
            ("Email", sale.buyer.map(email).unwrap_or_default()),
            ("Lineitem quantity", line.quantity.to_string()),
            ("Lineitem name", line.name.to_owned()),
            ("Lineitem price", amount(line.price)),
            ("Lineitem sku", line.sku.to_owned()),
            ("Lineitem requires shipping", "true".to_owned()),
            ("Lineitem taxable", "false".to_owned()),
            ("Lineitem fulfillment status", "pending".to_owned()),
            ("Lineitem discount", "0.00".to_owned()),
            ("Vendor", "Tea & Pots".to_owned()),
        ])
    };
    let mut rows: Vec<_> = sale.lines.iter().map(line).collect();
    rows[0].extend([
        ("Financial Status", financial_status(sale.state).to_owned()),
        ("Paid at", sale.paid().map(at).unwrap_or_default()),
        ("Accepts Marketing", "no".to_owned()),
        ("Currency", sale.currency.to_owned()),
        ("Subtotal", amount(sale.sub_total())),
        ("Shipping", amount(sale.shipping)),
        ("Taxes", "0.00".to_owned()),
        ("Total", amount(sale.total())),
        ("Discount Code", sale.coupon.unwrap_or_default().to_owned()),
        ("Discount Amount", "0.00".to_owned()),
        ("Created at", at(sale.placed)),
        ("Billing City", sale.city.to_owned()),
        ("Billing Zip", "'01234".to_owned()),
        ("Billing Phone", "'+49 221 1".to_owned()),
        ("Notes", sale.note.to_owned()),
        (
            "Cancelled at",
            if sale.state == State::Cancelled { at(sale.placed) } else { String::new() },
        ),
        ("Refunded Amount", amount(sale.refunded)),
        ("Id", format!("45000000000{}", sale.number)),
        ("Risk Level", "Low".to_owned()),
        ("Source", "web".to_owned()),
    ]);
    rows
}

/// A page of the API's orders.
pub fn orders_json(sales: &[Sale]) -> String {
    serde_json::to_string_pretty(
        &json!({ "orders": sales.iter().map(api_order).collect::<Vec<_>>() }),
    )
    .expect("JSON")
}

fn api_order(sale: &Sale) -> Value {
    let money = |hundredths: i64| {
        let amount = json!({ "amount": amount(hundredths), "currency_code": sale.currency });
        json!({ "shop_money": amount, "presentment_money": amount })
    };
    let at = |moment: DateTime<Utc>| local(moment, sale.number, "%Y-%m-%dT%H:%M:%S%:z");
    let line = |(index, line): (usize, &Line)| {
        json!({
            "id": u64::from(sale.number) * 100 + index as u64, "admin_graphql_api_id": "gid://shopify/LineItem/1",
            "current_quantity": line.quantity, "fulfillable_quantity": 0, "fulfillment_service": "manual",
            "fulfillment_status": null, "gift_card": false, "grams": 8400, "name": line.name, "price": amount(line.price),
            "price_set": money(line.price), "product_exists": true, "product_id": 1_481_481_481_481_u64, "properties": [],
            "quantity": line.quantity, "requires_shipping": true, "sku": line.sku, "taxable": true, "title": line.name,
            "total_discount": "0.00", "total_discount_set": money(0), "variant_id": 53, "variant_title": null,
            "vendor": "Tea & Pots", "tax_lines": [], "duties": [], "discount_allocations": [],
        })
    };
    let lines: Vec<Value> = sale.lines.iter().enumerate().map(line).collect();
    let address = json!({
        "first_name": "Jo", "address1": "Hof 3", "phone": "07504", "city": sale.city, "zip": "01234", "province": "Ontario",
        "country": "Canada", "last_name": "Lee", "address2": null, "company": null, "latitude": 52.5, "longitude": 1.1,
        "name": "Jo Lee", "country_code": "CA", "province_code": "ON",
    });
    let customer = sale.buyer.map(|buyer| {
        json!({
            "id": 10_592_223_560_011_u64 + buyer as u64, "created_at": at(sale.placed), "updated_at": at(sale.placed),
            "first_name": "Jo", "last_name": "Lee", "state": "enabled", "note": "", "verified_email": true,
            "multipass_identifier": null, "tax_exempt": false, "email": email(buyer), "phone": "+44", "currency": "GBP",
            "tax_exemptions": [], "admin_graphql_api_id": "gid://shopify/Customer/1", "default_address": address,
        })
    });
    let coupon =
        sale.coupon.map(|code| json!({ "code": code, "amount": "0.00", "type": "percentage" }));
    let mut order = json!({
        "id": 4_500_000_000_000_u64 + u64::from(sale.number), "admin_graphql_api_id": "gid://shopify/Order/1", "app_id": 1,
        "browser_ip": "::1", "buyer_accepts_marketing": false, "cancel_reason": null,
        "cancelled_at": if sale.state == State::Cancelled { json!(at(sale.placed)) } else { Value::Null },
        "cart_token": "c", "checkout_id": 5, "client_details": { "accept_language": "en", "browser_height": null,
        "browser_ip": "::1", "user_agent": "Mozilla/5.0" }, "closed_at": null, "company": null, "confirmed": true,
        "contact_email": null, "created_at": at(sale.placed), "currency": sale.currency, "customer_locale": "en",
        "discount_codes": coupon.into_iter().collect::<Vec<_>>(), "duties_included": false,
        "email": sale.buyer.map(email).unwrap_or_default(), "financial_status": financial_status(sale.state),
        "fulfillment_status": null, "landing_site": "/", "name": format!("#{}", sale.number), "note": sale.note,
        "note_attributes": [], "number": sale.number, "order_number": sale.number, "order_status_url": "https://shop.example/1",
        "payment_gateway_names": ["gift_card", "paypal"], "phone": null, "presentment_currency": "GBP",
        "processed_at": at(sale.placed), "source_name": "web", "subtotal_price": amount(sale.sub_total()),
        "tags": "", "tax_exempt": false, "tax_lines": [], "taxes_included": true, "test": false, "token": "d",
    });
    let rest = json!({
        "total_discounts": "0.00", "total_line_items_price": amount(sale.sub_total()), "total_outstanding": "0.00",
        "total_price": amount(sale.total()), "total_shipping_price_set": money(sale.shipping), "total_tax": "0.00",
        "total_tip_received": "0.00", "total_weight": 8400, "updated_at": at(sale.placed), "user_id": null,
        "billing_address": address, "customer": customer, "discount_applications": [], "fulfillments": [], "line_items": lines,
        "payment_terms": null, "refunds": [], "shipping_address": address, "shipping_lines": [],
    });
    for name in [
        "current_shipping_price",
        "current_subtotal_price",
        "current_total_discounts",
        "current_total_price",
        "current_total_tax",
        "subtotal_price",
        "total_cash_rounding_payment_adjustment",
        "total_discounts",
        "total_line_items_price",
        "total_price",
        "total_tax",
    ] {
        order[format!("{name}_set")] = money(sale.total());
    }
    let members = order.as_object_mut().expect("an object");
    members.extend(rest.as_object().expect("an object").clone());
    order
}

/// The customers export of so many customers; the last one has no address.
pub fn customers_csv(buyers: std::ops::Range<usize>, spent: i64) -> String {
    let row = |buyer: usize| {
        BTreeMap::from([
            ("Customer ID", format!("'10592223560{buyer:03}")),
            ("First Name", "Zoë, \"Z\"".to_owned()),
            ("Last Name", format!("Ø{buyer}")),
            ("Email", email(buyer)),
            ("Accepts Email Marketing", "yes".to_owned()),
            ("Default Address City", "Łódź".to_owned()),
            ("Default Address Zip", "'01234".to_owned()),
            ("Total Spent", amount(spent)),
            ("Total Orders", "3".to_owned()),
            ("Tax Exempt", "no".to_owned()),
        ])
    };
    let header: Vec<&str> = CUSTOMERS_HEADER.split(',').collect();
    let nobody =
        BTreeMap::from([("Customer ID", "'1".to_owned()), ("Phone", "'+15550".to_owned())]);
    csv(&header, &buyers.map(row).chain([nobody]).collect::<Vec<_>>(), ',')
}

pub fn orders(sales: &[Sale]) -> Vec<Order> {
    let order = |sale: &Sale| {
        let status = match sale.state {
            State::Open => "pending",
            State::Paid | State::PartlyRefunded => "COMPLETED",
            State::Refunded | State::Cancelled => "CANCELLED",
        };
        sale.order(status, sale.buyer.map(email).unwrap_or_default(), sale.total(), |_| 0)
    };
    sales.iter().map(order).collect()
}

scenario!(two_exports_of_orders_are_stored_as_the_shop_has_them);
fn two_exports_of_orders_are_stored_as_the_shop_has_them(sandbox: &Sandbox) {
    let windows = Windows::new(11);
    synced(sandbox, "tea-shop/orders_export_1.csv", &orders_csv(&windows.first));
    check(sandbox, "tea-shop", orders(&windows.first), "after the first export");
    synced(sandbox, "tea-shop/orders_export_2.csv", &orders_csv(&windows.second));
    check(sandbox, "tea-shop", orders(&windows.both()), "after the second export");
    let row = |sale: &Sale| {
        let amounts = [sale.total(), sale.sub_total(), sale.shipping, sale.refunded]
            .map(stored_amount)
            .join("|");
        let texts =
            [financial_status(sale.state), sale.city, sale.note, sale.coupon.unwrap_or_default()]
                .map(stored_text);
        let paid = sale
            .paid()
            .map_or("-".to_owned(), |paid| paid.format("%Y-%m-%dT%H:%M:%S.000Z").to_string());
        format!(
            "{}|{amounts}|{}|{paid}|01234|+49 221 1|45000000000{}|0",
            sale.number,
            texts.join("|"),
            sale.number
        )
    };
    let columns = "order_id, order_total, sub_total, delivery_charge, refunded_amount, financial_status, billing_city, notes, \
                   promo_code, paid_at, billing_zip, billing_phone, id, accepts_marketing";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM orders"),
        windows.both().iter().map(row).collect(),
        "orders",
    );
    let lines = windows.both();
    let lines = lines.iter().flat_map(|sale| {
        let line = |line: &Line| {
            format!("{}|{}|{}|1|0|-", sale.number, line.name, stored_amount(line.price))
        };
        sale.lines.iter().map(line).collect::<Vec<_>>()
    });
    let columns = "order_id, product_name, unit_price, lineitem_requires_shipping, lineitem_taxable, total_price";
    assert_rows(sandbox, &format!("SELECT {columns} FROM order_items"), lines.collect(), "lines");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders WHERE _rescued IS NOT NULL"), ["0"]);
}

scenario!(pages_of_the_api_are_stored_as_the_export_is);
fn pages_of_the_api_are_stored_as_the_export_is(sandbox: &Sandbox) {
    let windows = Windows::new(12);
    synced(sandbox, "pot-shop/page.json", &orders_json(&windows.first));
    check(sandbox, "pot-shop", orders(&windows.first), "after the first page");
    synced(sandbox, "pot-shop/page.json", &orders_json(&windows.second));
    check(sandbox, "pot-shop", orders(&windows.both()), "after the second page");
    synced(sandbox, "tea-shop/orders_export_1.csv", &orders_csv(&windows.both()));
    let columns = "order_id, order_status, financial_status, customer_id, email, currency_symbol, order_total, sub_total, tax, \
                   delivery_charge, discount, promo_code, order_time, cancelled_at, billing_city, billing_zip, notes, source";
    let of = |market: &str| {
        sandbox.rows(&format!("SELECT {columns} FROM orders WHERE market = '{market}' ORDER BY 1"))
    };
    assert_eq!(of("pot-shop"), of("tea-shop"));
    let columns =
        "order_id, line_no, sku, product_name, quantity, unit_price, lineitem_discount, vendor";
    let of = |market: &str| {
        sandbox.rows(&format!(
            "SELECT {columns} FROM order_items WHERE market = '{market}' ORDER BY 1, 2"
        ))
    };
    assert_eq!(of("pot-shop"), of("tea-shop"));
    // The API alone has the customer's number.
    let numbers =
        "SELECT COUNT(*) FROM orders WHERE (shopify_customer_id IS NULL) <> (customer_id IS NULL)";
    assert_eq!(sandbox.rows(&format!("{numbers} AND market = 'pot-shop'")), ["0"]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders WHERE _rescued IS NOT NULL"), ["0"]);
    let undeclared = "SELECT client_details_user_agent, total_weight, customer_locale FROM orders WHERE order_id = '1001' AND market = 'pot-shop'";
    assert_eq!(sandbox.rows(undeclared), ["Mozilla/5.0|8400|en"]);
    assert_eq!(
        sandbox.rows("SELECT DISTINCT line_items_grams FROM order_items WHERE market = 'pot-shop'"),
        ["8400"]
    );
}

scenario!(customers_are_those_of_the_orders);
fn customers_are_those_of_the_orders(sandbox: &Sandbox) {
    let windows = Windows::new(13);
    synced(sandbox, "tea-shop/orders_export_1.csv", &orders_csv(&windows.first));
    let skipped = synced(sandbox, "tea-shop/customers_export.csv", &customers_csv(0..4, 1000))
        .counts["skipped"];
    assert_eq!(skipped, 1);
    synced(sandbox, "tea-shop/customers_export.csv", &customers_csv(2..6, 2550));
    let row = |buyer: usize| {
        let spent = if buyer < 2 { 1000 } else { 2550 };
        let spent = stored_amount(spent);
        format!(
            "{}|{}|Zoë, \"Z\"|Ø{buyer}|10592223560{buyer:03}|Łódź|01234|{spent}|3|0|1",
            email(buyer),
            email(buyer)
        )
    };
    let columns = "customer_id, email, first_name, last_name, shopify_customer_id, city, zip, total_spent, total_orders, \
                   tax_exempt, accepts_email_marketing";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM customers"),
        (0..6).map(row).collect(),
        "customers",
    );
    let names = "SELECT COUNT(*) FROM enriched_orders WHERE customer_id IS NOT NULL AND customer_first_name IS NULL";
    assert_eq!(sandbox.rows(names), ["0"]);
    check(sandbox, "tea-shop", orders(&windows.first), "with customers");
}

scenario!(an_export_is_refused_by_a_shop_that_is_fed_by_the_api);
fn an_export_is_refused_by_a_shop_that_is_fed_by_the_api(sandbox: &Sandbox) {
    let windows = Windows::new(14);
    synced(sandbox, "tea-shop/page-1.json", &orders_json(&windows.first));
    let reason = quarantined(sandbox, "tea-shop/orders_export_1.csv", &orders_csv(&windows.second));
    assert!(reason.contains("1026") && reason.contains("shopify_api_orders"), "{reason}");
    assert!(!reason.contains("woocommerce"), "{reason}");
    check(sandbox, "tea-shop", orders(&windows.first), "as before");
    fs::remove_file(sandbox.inbox().join("tea-shop/orders_export_1.csv")).expect("it is there");
    // Elsewhere the same orders are others.
    synced(sandbox, "pot-shop/orders_export_1.csv", &orders_csv(&windows.second));
    check(sandbox, "tea-shop", orders(&windows.first), "beside the same numbers");
    check(sandbox, "pot-shop", orders(&windows.second), "in its own folder");
}

scenario!(an_older_customers_export_has_the_same_customers);
fn an_older_customers_export_has_the_same_customers(sandbox: &Sandbox) {
    synced(sandbox, "tea-shop/customers_export.csv", &customers_csv(0..4, 1000));
    let columns = "customer_id, first_name, last_name, city, zip, total_spent, total_orders, accepts_email_marketing, note";
    let stored = || sandbox.rows(&format!("SELECT {columns} FROM customers ORDER BY 1"));
    let before = stored();
    let older = customers_csv(0..4, 1000).replace("Default Address ", "").replacen(
        "Customer ID,",
        "Former ID,",
        1,
    );
    synced(
        sandbox,
        "tea-shop/customers_export (1).csv",
        &older.replace("Accepts Email Marketing", "Accepts Marketing"),
    );
    assert_eq!(stored(), before);
    assert_eq!(before.len(), 4);
}

scenario!(members_that_nothing_declares_stay_out_when_told_to: sqlite);
fn members_that_nothing_declares_stay_out_when_told_to(sandbox: &Sandbox) {
    let sold = Windows::new(15).first;
    let configuration = "[datasets.shopify_api_orders]\nnew_columns = \"ignore\"\n";
    let columns =
        |sandbox: &Sandbox| [sandbox.columns("orders"), sandbox.columns("order_items")].concat();
    let file = synced_with(sandbox, configuration, "pot-shop/page.json", &orders_json(&sold));
    check(sandbox, "pot-shop", orders(&sold), "without them");
    assert!(
        file.counts["new"] > 0
            && !columns(sandbox).iter().any(|name| name.starts_with("client_details"))
    );
    assert!(
        !columns(sandbox).iter().any(|name| name.starts_with("line_items_")),
        "{:?}",
        columns(sandbox)
    );
}

/// Every text of an order as long as InnoDB still keeps it within the row, which takes most of one.
fn filled(value: &mut Value, name: &str) {
    const AS_THEY_ARE: [&str; 7] =
        ["name", "email", "currency", "currency_code", "financial_status", "sku", "phone"];
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| filled(value, name)),
        Value::Array(values) => values.iter_mut().for_each(|value| filled(value, name)),
        Value::String(text)
            if !AS_THEY_ARE.contains(&name) && !text.contains(|c: char| c.is_ascii_digit()) =>
        {
            *text = format!("{text:-<40}");
        }
        Value::Null
            if !name.ends_with("_at")
                && !["customer", "fulfillment_status", "cancel_reason"].contains(&name) =>
        {
            *value = json!("y".repeat(40));
        }
        _ => {}
    }
}

scenario!(an_order_that_is_full_of_texts_is_stored);
fn an_order_that_is_full_of_texts_is_stored(sandbox: &Sandbox) {
    let sold = Windows::new(16).first;
    let mut page: Value = serde_json::from_str(&orders_json(&sold)).expect("it is JSON");
    filled(&mut page, "");
    synced(sandbox, "tea-shop/orders_export_1.csv", &orders_csv(&sold));
    synced(sandbox, "pot-shop/page.json", &page.to_string());
    check(sandbox, "pot-shop", orders(&sold), "full of texts");
}
