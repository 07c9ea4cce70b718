//! Amazon: the flat file of all orders.

use super::sales::{Line, Sale, State, Windows, amount, assert_rows, check, sales};
use super::{synced, synced_with};
use crate::sandbox::Sandbox;
use crate::shop::Order;
use std::collections::BTreeMap;

const HEADER: &str = "amazon-order-id merchant-order-id purchase-date last-updated-date order-status fulfillment-channel sales-channel \
    order-channel ship-service-level product-name sku asin item-status quantity currency item-price item-tax shipping-price \
    shipping-tax gift-wrap-price gift-wrap-tax item-promotion-discount ship-promotion-discount ship-city ship-state \
    ship-postal-code ship-country promotion-ids cpf is-business-order purchase-order-number price-designation";

fn id(sale: &Sale) -> String {
    format!("302-{:07}-0000001", sale.number)
}

fn status(state: State) -> &'static str {
    match state {
        State::Open => "Pending",
        State::Paid | State::PartlyRefunded => "Shipped",
        State::Refunded => "Shipped - Returned to Seller",
        State::Cancelled => "Cancelled",
    }
}

/// Whether the report says what the items cost.
fn has_prices(sale: &Sale) -> bool {
    !matches!(sale.state, State::Open | State::Cancelled)
}

/// A place whose letters any encoding of Western Europe has.
fn city(sale: &Sale) -> &'static str {
    if sale.city == "Łódź" { "Nîmes" } else { sale.city }
}

/// The report: tabs, and no quotes.
pub fn report(sales: &[Sale]) -> String {
    let names: Vec<&str> = HEADER.split_whitespace().collect();
    let row = |sale: &Sale, line: &Line| -> String {
        let priced = |text: String| if has_prices(sale) { text } else { String::new() };
        let cells = BTreeMap::from([
            ("amazon-order-id", id(sale)),
            ("purchase-date", sale.placed.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()),
            ("last-updated-date", sale.placed.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()),
            ("order-status", status(sale.state).to_owned()),
            ("sales-channel", "Amazon.de".to_owned()),
            ("product-name", line.name.to_owned()),
            ("sku", line.sku.to_owned()),
            ("asin", "B000123456".to_owned()),
            ("item-status", "Shipped".to_owned()),
            ("quantity", line.quantity.to_string()),
            ("currency", priced(sale.currency.to_owned())),
            ("item-price", priced(amount(line.total()))),
            ("shipping-price", priced(amount(sale.shipping))),
            ("ship-city", city(sale).to_owned()),
            ("ship-postal-code", "01234".to_owned()),
            ("is-business-order", "false".to_owned()),
        ]);
        names
            .iter()
            .map(|name| cells.get(name).map_or("", String::as_str))
            .collect::<Vec<_>>()
            .join("\t")
    };
    let rows = sales.iter().flat_map(|sale| sale.lines.iter().map(move |line| row(sale, line)));
    [names.join("\t")].into_iter().chain(rows).map(|row| row + "\r\n").collect()
}

/// The same in windows-1252.
fn in_windows_1252(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(letter).expect("a letter of Western Europe")).collect()
}

pub fn orders(sales: &[Sale]) -> Vec<Order> {
    let order = |sale: &Sale| {
        let status = match sale.state {
            State::Open => "Pending",
            State::Paid | State::PartlyRefunded => "COMPLETED",
            State::Refunded | State::Cancelled => "CANCELLED",
        };
        let price = if has_prices(sale) { Line::total } else { |_: &Line| 0 };
        let order = sale.order(status, String::new(), 0, price);
        Order { id: id(sale), currency: if has_prices(sale) { sale.currency } else { "" }, ..order }
    };
    sales.iter().map(order).collect()
}

scenario!(reports_are_stored_as_the_shop_has_its_orders);
fn reports_are_stored_as_the_shop_has_its_orders(sandbox: &Sandbox) {
    let windows = Windows::new(31);
    synced(sandbox, "amazon-de/50186018684.txt", &report(&windows.first));
    check(sandbox, "amazon-de", orders(&windows.first), "after the first report");
    synced(sandbox, "amazon-de/50187018684.txt", &in_windows_1252(&report(&windows.second)));
    check(sandbox, "amazon-de", orders(&windows.both()), "after the second report");
    let row = |sale: &Sale| format!("{}|{}|{}|01234|0|-", id(sale), status(sale.state), city(sale));
    let columns = "order_id, status, ship_city, ship_postal_code, is_business_order, order_total";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM orders"),
        windows.both().iter().map(row).collect(),
        "orders",
    );
    let sales = windows.both();
    let line = |sale: &Sale, line: &Line| format!("{}|{}|B000123456", id(sale), line.name);
    let lines = sales.iter().flat_map(|sale| sale.lines.iter().map(move |one| line(sale, one)));
    assert_rows(
        sandbox,
        "SELECT order_id, product_name, asin FROM order_items",
        lines.collect(),
        "lines",
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders WHERE _rescued IS NOT NULL"), ["0"]);
}

scenario!(what_the_page_says_to_write_for_another_marketplace_is_right);
/// Japan's encoding, and orders that Amazon only ships.
fn what_the_page_says_to_write_for_another_marketplace_is_right(sandbox: &Sandbox) {
    let page = include_str!("../../../docs/platforms/amazon.md");
    let configuration = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect::<String>();
    let sold = sales(32, 1001..1011);
    let report = report(&sold).replace("Pan, 6\" wide", "急須");
    let report = report
        .replace("São Paulo", "東京")
        .replace("Köln", "大阪")
        .replace("Nîmes", "京都")
        .replace('ü', "u");
    let report = report.replace(['«', '»'], "").replace('é', "e");
    let not_sold =
        report.lines().nth(1).expect("a first order").replace("302-0001001", "999-0000001");
    let report = report + &not_sold.replace("Amazon.de", "Non-Amazon JP") + "\r\n";
    let (bytes, _, is_lossy) = encoding_rs::SHIFT_JIS.encode(&report);
    assert!(!is_lossy);
    let file = synced_with(sandbox, &configuration, "amazon-jp/50186018684.txt", &bytes);
    assert_eq!(file.counts["skipped"], 1);
    check(sandbox, "amazon-jp", orders(&sold), "from Japan");
    let cities = sandbox.rows("SELECT DISTINCT ship_city FROM orders");
    assert!(cities.contains(&"東京".to_owned()), "{cities:?}");
    let products =
        sandbox.rows("SELECT DISTINCT product_name FROM order_items WHERE sku = '00123'");
    assert_eq!(products, ["急須"]);
}
