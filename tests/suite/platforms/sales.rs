//! Sales: what shops sold, as plain data. Each platform writes its exports from it, and says which
//! rows they mean.

use crate::sandbox::Sandbox;
use crate::shop::{Item, Order, Shop};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// What became of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is paid yet.
    Open,
    Paid,
    /// Some of the money went back.
    PartlyRefunded,
    Refunded,
    Cancelled,
}

/// An order of any shop; amounts are hundredths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    pub number: u32,
    pub state: State,
    pub placed: DateTime<Utc>,
    pub currency: &'static str,
    /// Index of the buyer; `None` is a guest.
    pub buyer: Option<usize>,
    pub shipping: i64,
    pub refunded: i64,
    pub coupon: Option<&'static str>,
    pub city: &'static str,
    pub note: &'static str,
    pub lines: Vec<Line>,
}

/// A line of a sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub sku: &'static str,
    pub name: &'static str,
    pub quantity: i64,
    pub price: i64,
}

impl Sale {
    /// What it came to.
    pub fn total(&self) -> i64 {
        self.sub_total() + self.shipping
    }

    /// The same without shipping.
    pub fn sub_total(&self) -> i64 {
        self.lines.iter().map(Line::total).sum()
    }

    /// When it was placed, as the tables have it.
    pub fn time(&self) -> String {
        self.placed.format("%Y-%m-%dT%H:%M:%S.000Z").to_string()
    }

    /// When it was paid, if it was.
    pub fn paid(&self) -> Option<DateTime<Utc>> {
        (!matches!(self.state, State::Open | State::Cancelled))
            .then(|| self.placed + TimeDelta::minutes(7))
    }

    /// The order that a platform's export means.
    pub fn order(
        &self,
        status: &'static str,
        customer: String,
        total: i64,
        price: fn(&Line) -> i64,
    ) -> Order {
        let item = |line: &Line| Item {
            sku: line.sku.to_owned(),
            quantity: Some(line.quantity * 100),
            price: price(line),
            cost: 0,
        };
        Order {
            id: self.number.to_string(),
            status,
            currency: self.currency,
            customer,
            time: self.time(),
            total,
            items: self.lines.iter().map(item).collect(),
            ..Order::default()
        }
    }
}

impl Line {
    pub fn total(&self) -> i64 {
        self.quantity * self.price
    }
}

const PRODUCTS: [(&str, &str, i64); 6] = [
    ("00123", "Pan, 6\" wide", 1999),
    ("TEA-1", "Grüner Tee", 450),
    ("tea-1", "Thé «vert»", 475),
    ("", "Gift wrap", 0),
    ("3E5", "Kanne; blau", 3000),
    ("POT|7", "Pot's lid", 1250),
];

/// Texts with everything that dialects stumble over, as one platform or another may have them.
const NOTES: [&str; 5] =
    ["", "leave at the door, please", "say \"hi\"\nand go", "=SUM(A1)", "'quoted'"];
const CITIES: [&str; 4] = ["Köln", "São Paulo", "St. Paul, MN", "Łódź"];

/// A shop's sales, the same for the same seed, in the order of their numbers.
pub fn sales(seed: u64, numbers: std::ops::Range<u32>) -> Vec<Sale> {
    let mut random = fastrand::Rng::with_seed(seed);
    numbers.map(|number| sale(&mut random, number)).collect()
}

fn sale(random: &mut fastrand::Rng, number: u32) -> Sale {
    let start = DateTime::from_timestamp(1_647_900_000, 0).expect("a moment in March 2022");
    let mut lines: Vec<Line> = (0..random.usize(1..4)).map(|_| line(random)).collect();
    if number.is_multiple_of(5) {
        // The same once more is a line of its own.
        lines.push(lines[0].clone());
    }
    Sale {
        number,
        state: [State::Open, State::Paid, State::Paid, State::PartlyRefunded, State::Cancelled]
            [random.usize(..5)],
        placed: start + TimeDelta::seconds(random.i64(0..900_000)),
        currency: ["EUR", "USD"][random.usize(..2)],
        buyer: (!number.is_multiple_of(4)).then(|| random.usize(..6)),
        shipping: [0, 490, 1200][random.usize(..3)],
        refunded: 0,
        coupon: [None, Some("SPRING"), Some("ten,off")][random.usize(..3)],
        city: CITIES[random.usize(..CITIES.len())],
        note: NOTES[random.usize(..NOTES.len())],
        lines,
    }
}

fn line(random: &mut fastrand::Rng) -> Line {
    let (sku, name, price) = PRODUCTS[random.usize(..PRODUCTS.len())];
    Line { sku, name, quantity: random.i64(1..4), price }
}

/// What happens to sales between two exports: they are paid, refunded in part or whole, cancelled;
/// lines come and go.
pub fn go_on(sales: &mut [Sale]) {
    for sale in sales {
        match sale.number % 7 {
            0 => sale.state = State::Paid,
            1 => sale.state = State::Refunded,
            2 => (sale.state, sale.refunded) = (State::PartlyRefunded, sale.lines[0].price),
            3 => sale.state = State::Cancelled,
            4 if sale.lines.len() > 1 => drop(sale.lines.remove(0)),
            5 => sale.lines.push(Line { sku: "NEW-1", name: "Löffel", quantity: 2, price: 333 }),
            _ => {}
        }
        if matches!(sale.state, State::Refunded) {
            sale.refunded = sale.total();
        }
    }
}

/// Two exports of a shop whose windows overlap, and what they mean together.
#[derive(Clone, Debug)]
pub struct Windows {
    pub first: Vec<Sale>,
    pub second: Vec<Sale>,
}

impl Windows {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut all = sales(seed, 1001..1061);
        let first = all[..40].to_vec();
        // What changed before the second window is in no export, and nobody knows of it.
        go_on(&mut all);
        Self { first, second: all[25..].to_vec() }
    }

    /// The sales as the exports say them: where both have one, as the second does.
    pub fn both(&self) -> Vec<Sale> {
        let by_number =
            self.first.iter().chain(&self.second).map(|sale| (sale.number, sale.clone()));
        by_number.collect::<BTreeMap<u32, Sale>>().into_values().collect()
    }
}

/// Hundredths as exports write them.
pub fn amount(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The same as [`Sandbox::rows`] writes them.
pub fn stored_amount(hundredths: i64) -> String {
    amount(hundredths).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text as [`Sandbox::rows`] writes it.
pub fn stored_text(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Rows as CSV, by names: each has what it has, the other cells are empty.
pub fn csv(header: &[&str], rows: &[BTreeMap<&str, String>], delimiter: char) -> String {
    let quoted = |cell: &str| match cell.contains([delimiter, '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    };
    let line = |cells: Vec<String>| cells.join(&delimiter.to_string()) + "\n";
    let names = line(header.iter().map(|name| quoted(name)).collect());
    let cells = |row: &BTreeMap<&str, String>| {
        assert!(row.keys().all(|name| header.contains(name)), "{row:?}");
        line(header.iter().map(|name| quoted(row.get(name).map_or("", String::as_str))).collect())
    };
    names + &rows.iter().map(cells).collect::<String>()
}

/// Compares the rows of a query with those that it must have, in any order.
pub fn assert_rows(sandbox: &Sandbox, sql: &str, mut expected: Vec<String>, when: &str) {
    let mut rows = sandbox.rows(sql);
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected, "{when}: {sql}");
}

/// Compares what is stored of a market's orders and lines with what a shop means, and its marts.
pub fn check(sandbox: &Sandbox, market: &str, orders: Vec<Order>, when: &str) {
    let order = |order: &Order| {
        let Order { id, status, currency, customer, time, items, .. } = order;
        let [status, currency, customer] = [*status, *currency, customer.as_str()].map(stored_text);
        format!("{id}|{status}|{currency}|{customer}|{time}|{}", items.len())
    };
    let of_market = format!("WHERE market = '{market}'");
    let columns = "order_id, order_status, currency_symbol, customer_id, order_time, line_count";
    let expected = orders.iter().map(order).collect();
    assert_rows(sandbox, &format!("SELECT {columns} FROM orders {of_market}"), expected, when);
    let lines = orders.iter().flat_map(|order| {
        order.items.iter().enumerate().map(|(index, item)| {
            let quantity = item.quantity.map_or("-".to_owned(), stored_amount);
            format!("{}|{}|{}|{quantity}", order.id, index + 1, stored_text(&item.sku))
        })
    });
    let columns = "order_id, line_no, sku, quantity";
    assert_rows(
        sandbox,
        &format!("SELECT {columns} FROM order_items {of_market}"),
        lines.collect(),
        when,
    );
    crate::marts::check(sandbox, market, &Shop { orders, tasks: Vec::new() }, when);
    let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
    assert!(verified.status.success(), "{when}: {}", String::from_utf8_lossy(&verified.stdout));
}
