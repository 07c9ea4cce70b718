//! A shop: orders and tasks as plain data, the files that export them, and the marts they mean,
//! computed here without a database.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// An order; empty text is NULL, and amounts are hundredths.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub id: String,
    pub status: &'static str,
    pub currency: &'static str,
    pub customer: String,
    pub merchant: String,
    /// As `2022-02-17T16:36:27.000Z`.
    pub time: String,
    pub total: i64,
    pub redeemed: i64,
    pub consumed: i64,
    pub items: Vec<Item>,
}

/// A line of an order.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub sku: String,
    pub quantity: Option<i64>,
    pub price: i64,
    pub cost: i64,
}

/// A delivery task.
#[derive(Clone, Debug, Default)]
pub struct Task {
    pub id: String,
    pub order: String,
    pub agent: String,
    pub status: &'static str,
    pub minutes: Option<i64>,
    pub distance: Option<i64>,
    pub rating: i64,
}

/// Everything of one market.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    pub orders: Vec<Order>,
    pub tasks: Vec<Task>,
}

/// The rows of each mart, as [`crate::sandbox::Sandbox::rows`] writes them, without the market.
pub type Marts = BTreeMap<&'static str, Vec<String>>;

impl Shop {
    /// A shop of any kind of order and task, the same for the same seed.
    pub fn any(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let orders = (0..60).map(|id| any_order(&mut random, id)).collect();
        let tasks = (0..60).map(|id| any_task(&mut random, id, 70)).collect();
        Self { orders, tasks }
    }

    /// A shop of that size, of which each customer has a few orders.
    pub fn large(orders: u32, tasks: u32) -> Self {
        let mut random = fastrand::Rng::with_seed(u64::from(orders));
        let mut order = |id| Order {
            customer: format!("c{:06}", id % (orders / 3 + 1)),
            ..any_order(&mut random, id)
        };
        let all_orders = (0..orders).map(&mut order).collect();
        Self {
            orders: all_orders,
            tasks: (0..tasks).map(|id| any_task(&mut random, id, orders + 10)).collect(),
        }
    }

    /// The order with that number.
    pub fn order(&mut self, id: &str) -> &mut Order {
        self.orders.iter_mut().find(|order| order.id == id).expect("the shop has it")
    }

    /// The export of orders.
    pub fn orders_csv(&self) -> String {
        let mut csv = "Order ID,Order Status,SKU,Quantity,Total Price,Total Cost Price,Order Total,Currency Symbol,\
            Customer ID,Merchant ID,Order Time,Redeemed Loyalty Points,Consumed Loyalty Points\n"
            .to_owned();
        for order in &self.orders {
            for Item { sku, quantity, price, cost } in &order.items {
                let Order { id, status, currency, customer, merchant, time, .. } = order;
                let quantity = quantity.map_or("-".to_owned(), |quantity| money(quantity.into()));
                let (price, cost) = (money((*price).into()), money((*cost).into()));
                let (total, redeemed) = (money(order.total.into()), money(order.redeemed.into()));
                let consumed = money(order.consumed.into());
                writeln!(
                    csv,
                    "{id},{status},{sku},{quantity},{price},{cost},{total},{currency},{customer},{merchant},{time},{redeemed},{consumed}"
                )
                .expect("memory");
            }
        }
        csv
    }

    /// The export of deliveries.
    pub fn deliveries_csv(&self) -> String {
        let mut csv =
            "Task_ID,Order_ID,Agent_ID,Task_Status,Total_Time_Taken(min),Distance(m),Rating\n"
                .to_owned();
        let measure =
            |value: Option<i64>| value.map_or("-".to_owned(), |value| money(value.into()));
        for Task { id, order, agent, status, minutes, distance, rating } in &self.tasks {
            let (minutes, distance) = (measure(*minutes), measure(*distance));
            writeln!(csv, "{id},\"YR-{order},0\",{agent},{status},{minutes},{distance},{rating}")
                .expect("memory");
        }
        csv
    }

    /// What the marts must hold.
    pub fn marts(&self) -> Marts {
        BTreeMap::from([
            ("customer_metrics", self.customers()),
            ("product_metrics", self.products()),
            ("merchant_metrics", self.merchants()),
            ("agent_metrics", self.agents()),
            ("daily_metrics", self.days()),
        ])
    }

    fn customers(&self) -> Vec<String> {
        let tasks_of = grouped(self.tasks.iter(), |task| &task.order);
        let row = |(customer, currency): &(&str, &str), orders: &[&Order]| {
            let items: Vec<&Item> = sold(orders).flat_map(|order| &order.items).collect();
            let products: BTreeSet<&String> =
                items.iter().map(|item| &item.sku).filter(|sku| !sku.is_empty()).collect();
            let tasks: Vec<&Task> = orders
                .iter()
                .filter_map(|order| tasks_of.get(&order.id))
                .flatten()
                .copied()
                .collect();
            let completed: Vec<&&Task> =
                tasks.iter().filter(|task| task.status == "Completed").collect();
            [
                customer.to_string(),
                currency.to_string(),
                orders.len().to_string(),
                with_status(orders, "COMPLETED").to_string(),
                with_status(orders, "CANCELLED").to_string(),
                money(total(orders)),
                average(sold(orders).map(|order| order.total)),
                money(items.iter().filter_map(|item| item.quantity).map(i128::from).sum()),
                products.len().to_string(),
                first(orders),
                last(orders),
                money(orders.iter().map(|order| i128::from(order.redeemed)).sum()),
                money(orders.iter().map(|order| i128::from(order.consumed)).sum()),
                tasks.len().to_string(),
                completed.len().to_string(),
                average(completed.iter().filter_map(|task| task.minutes)),
                average(completed.iter().filter_map(|task| task.distance)),
            ]
            .join("|")
        };
        let with_customer = self.orders.iter().filter(|order| !order.customer.is_empty());
        rows(&grouped(with_customer, |order| (order.customer.as_str(), order.currency)), row)
    }

    fn products(&self) -> Vec<String> {
        let row = |(sku, currency): &(&str, &str), lines: &[(&Order, &Item)]| {
            let orders: Vec<&Order> = lines.iter().map(|(order, _)| *order).collect();
            let ids: BTreeSet<&String> = orders.iter().map(|order| &order.id).collect();
            let revenue: i128 = lines.iter().map(|(_, item)| i128::from(item.price)).sum();
            let cost: i128 = lines.iter().map(|(_, item)| i128::from(item.cost)).sum();
            [
                sku.to_string(),
                currency.to_string(),
                ids.len().to_string(),
                customers(&orders).to_string(),
                money(lines.iter().filter_map(|(_, item)| item.quantity).map(i128::from).sum()),
                money(revenue),
                money(cost),
                money(revenue - cost),
                first(&orders),
                last(&orders),
            ]
            .join("|")
        };
        let sold = self.orders.iter().filter(|order| order.status != "CANCELLED");
        let lines = sold.flat_map(|order| order.items.iter().map(move |item| (order, item)));
        let known = lines.filter(|(_, item)| !item.sku.is_empty());
        rows(&grouped(known, |(order, item)| (item.sku.as_str(), order.currency)), row)
    }

    fn merchants(&self) -> Vec<String> {
        let row = |(merchant, currency): &(&str, &str), orders: &[&Order]| {
            [
                merchant.to_string(),
                currency.to_string(),
                orders.len().to_string(),
                with_status(orders, "CANCELLED").to_string(),
                customers(orders).to_string(),
                money(total(orders)),
                average(sold(orders).map(|order| order.total)),
                first(orders),
                last(orders),
            ]
            .join("|")
        };
        let with_merchant = self.orders.iter().filter(|order| !order.merchant.is_empty());
        rows(&grouped(with_merchant, |order| (order.merchant.as_str(), order.currency)), row)
    }

    fn agents(&self) -> Vec<String> {
        let row = |agent: &&str, tasks: &[&Task]| {
            let completed: Vec<&&Task> =
                tasks.iter().filter(|task| task.status == "Completed").collect();
            [
                agent.to_string(),
                tasks.len().to_string(),
                completed.len().to_string(),
                tasks.iter().filter(|task| task.status == "Failed").count().to_string(),
                average(completed.iter().filter_map(|task| task.minutes)),
                money(completed.iter().filter_map(|task| task.distance).map(i128::from).sum()),
                average(tasks.iter().map(|task| task.rating * 100).filter(|&rating| rating > 0)),
            ]
            .join("|")
        };
        rows(
            &grouped(self.tasks.iter().filter(|task| !task.agent.is_empty()), |task| {
                task.agent.as_str()
            }),
            row,
        )
    }

    fn days(&self) -> Vec<String> {
        let row = |(currency, day): &(&str, &str), orders: &[&Order]| {
            let items = sold(orders).flat_map(|order| &order.items);
            [
                currency.to_string(),
                day.to_string(),
                orders.len().to_string(),
                with_status(orders, "CANCELLED").to_string(),
                customers(orders).to_string(),
                money(total(orders)),
                money(items.filter_map(|item| item.quantity).map(i128::from).sum()),
                average(sold(orders).map(|order| order.total)),
            ]
            .join("|")
        };
        let with_time = self.orders.iter().filter(|order| !order.time.is_empty());
        rows(&grouped(with_time, |order| (order.currency, &order.time[..10])), row)
    }
}

fn any_order(random: &mut fastrand::Rng, id: u32) -> Order {
    let mut one_of = |texts: &[&'static str]| texts[random.usize(..texts.len())];
    let status = one_of(&["COMPLETED", "CANCELLED", "ORDERED", "completed", ""]);
    let currency = one_of(&["KSh", "₦", "", "ksh"]);
    let customer = one_of(&["c1", "c2", "C1", "c3", "c4", "c5", ""]).to_owned();
    let merchant = one_of(&["m1", "m2", ""]).to_owned();
    let time = one_of(&[
        "2022-02-15T23:59:59.999Z",
        "2022-02-16T00:00:00.000Z",
        "2022-03-01T12:00:00.000Z",
        "",
    ]);
    let items = (0..random.i64(1..4)).map(|line| any_item(random, line)).collect();
    let (total, redeemed) = (random.i64(-500..100_000), random.i64(0..500));
    let (id, time, consumed) = (id.to_string(), time.to_owned(), random.i64(0..500));
    Order { id, status, currency, customer, merchant, time, total, redeemed, consumed, items }
}

/// The price tells the lines of an order apart: equal ones would count once.
fn any_item(random: &mut fastrand::Rng, line: i64) -> Item {
    let sku = ["A", "a", "B", "C", "D", ""][random.usize(..6)].to_owned();
    let quantity = (random.u8(..10) > 0).then(|| random.i64(1..1000));
    Item { sku, quantity, price: random.i64(0..10_000) * 10 + line, cost: random.i64(0..10_000) }
}

fn any_task(random: &mut fastrand::Rng, id: u32, orders: u32) -> Task {
    // Some orders have several tasks, and some tasks an order that nobody knows.
    let order = random.u32(..orders).to_string();
    let agent = ["1", "2", "3", ""][random.usize(..4)].to_owned();
    let status = ["Completed", "Completed", "Failed", "Assigned", "COMPLETED"][random.usize(..5)];
    let minutes = (random.u8(..4) > 0).then(|| random.i64(0..10_000));
    let distance = (random.u8(..4) > 0).then(|| random.i64(0..1_000_000));
    Task { id: id.to_string(), order, agent, status, minutes, distance, rating: random.i64(0..6) }
}

fn grouped<T, K: Ord>(
    things: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> BTreeMap<K, Vec<T>> {
    let mut groups: BTreeMap<K, Vec<T>> = BTreeMap::new();
    things.for_each(|thing| groups.entry(key(&thing)).or_default().push(thing));
    groups
}

fn rows<K, T>(groups: &BTreeMap<K, Vec<T>>, row: impl Fn(&K, &[T]) -> String) -> Vec<String> {
    let mut rows: Vec<String> = groups.iter().map(|(key, things)| row(key, things)).collect();
    rows.sort();
    rows
}

fn sold<'a>(orders: &'a [&'a Order]) -> impl Iterator<Item = &'a Order> {
    orders.iter().copied().filter(|order| order.status != "CANCELLED")
}

fn total(orders: &[&Order]) -> i128 {
    sold(orders).map(|order| i128::from(order.total)).sum()
}

fn with_status(orders: &[&Order], status: &str) -> usize {
    orders.iter().filter(|order| order.status == status).count()
}

fn customers(orders: &[&Order]) -> usize {
    orders
        .iter()
        .map(|order| &order.customer)
        .filter(|customer| !customer.is_empty())
        .collect::<BTreeSet<_>>()
        .len()
}

fn first(orders: &[&Order]) -> String {
    orders
        .iter()
        .map(|order| &order.time)
        .filter(|time| !time.is_empty())
        .min()
        .map_or("-", |time| time)
        .to_owned()
}

fn last(orders: &[&Order]) -> String {
    orders
        .iter()
        .map(|order| &order.time)
        .filter(|time| !time.is_empty())
        .max()
        .map_or("-", |time| time)
        .to_owned()
}

/// Hundredths as the shortest decimal.
fn money(hundredths: i128) -> String {
    decimal(hundredths * 100)
}

/// The average of hundredths, rounded to 4 places, half away from zero.
fn average(hundredths: impl Iterator<Item = i64>) -> String {
    let values: Vec<i128> = hundredths.map(i128::from).collect();
    if values.is_empty() {
        return "-".to_owned();
    }
    let (sum, count) = (values.iter().sum::<i128>() * 100, values.len() as i128);
    decimal(sum.signum() * ((sum.abs() * 2 + count) / (count * 2)))
}

fn decimal(ten_thousandths: i128) -> String {
    let (whole, rest) = (ten_thousandths.abs() / 10_000, ten_thousandths.abs() % 10_000);
    let text = format!("{}{whole}.{rest:04}", if ten_thousandths < 0 { "-" } else { "" });
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
