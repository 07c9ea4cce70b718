//! A market: its catalogue, customers and orders, each a pure function of a number.

use super::{Arguments, Moment};
use fastrand::Rng;

/// A market of a given seed and size, which makes an order of its number. Numbers start at 0.
///
/// Market 2 has fewer lines and notes. Its deliveries reach back further than its orders, and some
/// orders take it two attempts.
pub struct Market {
    pub number: u64,
    pub seed: u64,
    pub changed_percent: u64,
    pub currency: &'static str,
    /// What a redeemed loyalty point takes off an order; earning one costs 100 times as much.
    pub point_value: u64,
    /// Equally likely numbers of lines in an order.
    pub line_counts: &'static [u64],
    pub catalogue: Vec<Product>,
    /// Orders before this number are too old for the orders export, while their tasks are exported.
    pub history: u64,
    /// How many orders (history included) there are at each moment.
    pub orders: [u64; 2],
    /// How many customers there are at each moment.
    pub customers: [u64; 2],
}

/// What a stream of random numbers is for.
#[derive(Clone, Copy)]
pub enum Subject {
    Customer,
    Order,
    OrderColumns,
    Task,
}

impl Market {
    pub fn new(number: u64, arguments: &Arguments) -> Self {
        let one_or_two = |one, two| if number == 1 { one } else { two };
        let line_counts: &[u64] = match number {
            1 => &[1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 6, 9],
            _ => &[1, 1, 1, 1, 1, 1, 2, 2, 3, 4],
        };
        let share_percent = if arguments.markets == 1 { 100 } else { one_or_two(90, 10) };
        // One order in a hundred is a bulk order, of 22 lines on average.
        let lines_of_100_orders =
            99 * line_counts.iter().sum::<u64>() / line_counts.len() as u64 + 22;
        let orders = (arguments.order_lines * share_percent / lines_of_100_orders).max(1);
        let history = orders * one_or_two(0, 18) / 100;
        let customers = orders.div_ceil(6);
        let added = |count: u64| (count * arguments.new_percent).div_ceil(100);
        let point_value = one_or_two(100, 500);
        Self {
            number,
            seed: arguments.seed,
            changed_percent: arguments.changed_percent,
            currency: if number == 1 { "KSh" } else { "₦" },
            point_value,
            line_counts,
            catalogue: (0..one_or_two(200, 100))
                .map(|nth| product(number, nth, point_value))
                .collect(),
            history,
            orders: [history + orders, history + orders + added(orders)],
            customers: [customers, customers + added(customers)],
        }
    }

    /// What market 1 has here, or what market 2 has.
    pub fn either<T>(&self, one: T, two: T) -> T {
        if self.number == 1 { one } else { two }
    }

    /// The same random numbers whenever the same subject is asked for.
    pub fn rng(&self, subject: Subject, number: u64) -> Rng {
        let stream = self.seed.wrapping_mul(8).wrapping_add(self.number * 4 + subject as u64);
        let stream = stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Rng::with_seed(stream ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Rising ids with gaps, none of which the other market has.
    pub fn id(&self, first_id: u64, number: u64) -> u64 {
        first_id + number * 6 + self.number * 3 + number % 3
    }

    pub fn customer_id(&self, number: u64) -> u64 {
        self.id(4_100_000, number)
    }

    /// Market 2's first moment spans the ids of many months, however many tasks it has.
    pub fn task_id(&self, number: u64) -> u64 {
        let months_step = (68_000_000 / self.orders[0]).max(7);
        self.either(370_000_000 + number * 13, 300_000_005 + number * months_step)
    }
}

pub struct Product {
    pub category: &'static str,
    pub sku: String,
    pub price: u64,
    pub cost: Option<u64>,
}

/// The catalogue is the same for every seed. One of its products has no category, one no cost.
pub fn product(market: u64, nth: u64, point_value: u64) -> Product {
    let categories = [
        ("Flour & Baking", "FL"),
        ("Oils", "OI"),
        ("Spices & Sauces", "SP"),
        ("Pulses & Grains", "PU"),
        ("Drinks", "DR"),
        ("Household", "HO"),
    ];
    let (category, code) = pick_nth(&categories, nth);
    let price = 5 * point_value * (4 + nth * nth * 37 % 491);
    Product {
        category: if nth == 41 { "" } else { category },
        sku: format!("M{}{code}{:04}", if market == 1 { "A" } else { "B" }, nth * 4),
        price,
        cost: (nth != 23).then_some(price * (860 + nth % 120) / 1000),
    }
}

pub struct Order<'market> {
    pub number: u64,
    pub id: u64,
    pub stage: Stage,
    /// A failed attempt precedes the task that the order's stage tells of.
    pub is_retried: bool,
    /// What was ordered, each product once.
    pub lines: Vec<Line<'market>>,
    /// The export's fault: a line that stands there a second time, and where.
    pub repeated: Option<(usize, usize)>,
    pub sub_total: u64,
    pub total: u64,
    pub payment: &'static str,
    pub redeemed_points: Option<u64>,
    pub consumed_points: Option<u64>,
    pub customer_id: u64,
    pub ordered_at: u64,
    pub note: Option<&'static str>,
    /// Stars and review. Market 1 has them with its orders, market 2 with its tasks.
    pub rating: Option<(u64, &'static str)>,
}

pub struct Line<'market> {
    pub product: &'market Product,
    pub quantity: u64,
}

impl Line<'_> {
    pub fn total(&self) -> u64 {
        self.product.price * self.quantity
    }
}

/// What the second moment does to an order of the first.
#[derive(Clone, Copy, PartialEq)]
pub enum Change {
    Nothing,
    /// It was under way, and is completed.
    Settles,
    LosesLine,
}

/// How far an order has come, or one attempt to deliver it.
#[derive(Clone, Copy, PartialEq)]
pub enum Stage {
    Ordered,
    Dispatched,
    Completed,
    Cancelled,
    Failed,
}

impl Stage {
    /// The order's and the task's.
    pub fn statuses(self) -> (&'static str, &'static str) {
        match self {
            Self::Ordered => ("ORDERED", "Assigned"),
            Self::Dispatched => ("DISPATCHED", "In Transit"),
            Self::Completed => ("COMPLETED", "Completed"),
            Self::Cancelled => ("CANCELLED", "Cancelled"),
            Self::Failed => ("CANCELLED", "Failed"),
        }
    }
}

/// No part between commas looks like an agent's id or an amount, so that shifted rows can be
/// repaired.
pub const NOTES: [&str; 7] = [
    "Leave it with the guard",
    "Phone me from the junction",
    "Before 9AM please",
    "Second floor, door on the left",
    "Not before 10,30am",
    "Kiosk 14, behind the clinic, ask for Amina",
    "Green gate, no bell, please knock",
];

pub const REVIEWS: [&str; 3] =
    ["", "Fresh and well packed, will order again", "On time, polite rider"];

impl Market {
    /// The same is drawn at both moments, so that only those orders change that are meant to.
    pub fn order(&self, number: u64, moment: Moment) -> Order<'_> {
        let mut rng = self.rng(Subject::Order, number);
        let change = self.change(&mut rng);
        let stage = self.stage(number, moment, change, &mut rng);
        let note = chance(&mut rng, self.either(50, 10)).then(|| pick(&mut rng, &NOTES));
        let rating = chance(&mut rng, 2).then(|| (rng.u64(3..=5), pick(&mut rng, &REVIEWS)));
        let pays_later = chance(&mut rng, self.either(7, 0));
        let is_retried = chance(&mut rng, self.either(0, 2));
        let points_offered = chance(&mut rng, 50).then(|| rng.u64(1..=40) * 5);
        let ordered_at = time_of(number, self.orders, FIRST_MOMENT - 60 * DAY, &mut rng);
        let customer_id = self.ordering_customer_id(&mut rng);

        let mut lines = self.lines(change, &mut rng);
        if change == Change::LosesLine && moment == Moment::Second {
            lines.pop();
        }
        let sub_total = lines.iter().map(Line::total).sum();
        let redeemed_points =
            points_offered.map(|points| points.min(sub_total / self.point_value / 2));
        let paid = sub_total - redeemed_points.unwrap_or(0) * self.point_value;
        let earns_points = matches!(stage, Stage::Dispatched | Stage::Completed);
        Order {
            number,
            id: self.id(12_400_000, number),
            stage,
            is_retried,
            repeated: repeated(lines.len(), &mut rng),
            lines,
            sub_total,
            // Paying later costs 2 % more.
            total: if pays_later { paid * 102 / 100 } else { paid },
            payment: if pays_later { "Pay Later" } else { "CASH" },
            redeemed_points,
            consumed_points: earns_points.then_some(sub_total / self.point_value / 100),
            customer_id,
            ordered_at,
            note,
            rating,
        }
    }

    pub fn change(&self, rng: &mut Rng) -> Change {
        match (chance(rng, self.changed_percent), rng.bool()) {
            (false, _) => Change::Nothing,
            (true, true) => Change::Settles,
            (true, false) => Change::LosesLine,
        }
    }

    pub fn stage(&self, number: u64, moment: Moment, change: Change, rng: &mut Rng) -> Stage {
        let under_way = pick(rng, &[Stage::Ordered, Stage::Dispatched]);
        let is_cancelled = chance(rng, 6);
        match (change, moment) {
            (Change::Settles, Moment::First) => under_way,
            (Change::Settles, Moment::Second) => Stage::Completed,
            _ if number >= self.orders[0] => under_way,
            _ if is_cancelled => self.either(Stage::Cancelled, Stage::Failed),
            _ => Stage::Completed,
        }
    }

    /// Some customers order often. One order in a hundred is of the newest customer, whom only the
    /// second moment's customers file knows.
    pub fn ordering_customer_id(&self, rng: &mut Rng) -> u64 {
        let (usual, newest) = (skewed(rng, self.customers[0]), self.customers[1] - 1);
        self.customer_id(if chance(rng, 1) { newest } else { usual })
    }

    pub fn lines(&self, change: Change, rng: &mut Rng) -> Vec<Line<'_>> {
        let (usual, bulk) = (pick(rng, self.line_counts), rng.u64(8..=36));
        let count = if chance(rng, 1) { bulk } else { usual };
        // One of two lines can be lost; the only one cannot.
        let count = if change == Change::LosesLine { count.max(2) } else { count };
        let mut lines: Vec<Line> = Vec::new();
        while (lines.len() as u64) < count {
            let product = pick_nth(&self.catalogue, skewed(rng, self.catalogue.len() as u64));
            if lines.iter().all(|line| line.product.sku != product.sku) {
                let quantity = pick(rng, &[1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 10, 12]);
                lines.push(Line { product, quantity });
            }
        }
        lines
    }
}

/// Two orders in a hundred show a line twice, mostly in a row.
pub fn repeated(line_count: usize, rng: &mut Rng) -> Option<(usize, usize)> {
    if !chance(rng, 2) {
        return None;
    }
    let line = rng.usize(..line_count);
    let elsewhere = rng.usize(line + 1..=line_count);
    Some((line, if chance(rng, 60) { line + 1 } else { elsewhere }))
}

pub fn chance(rng: &mut Rng, percent: u64) -> bool {
    rng.u64(..100) < percent
}

pub fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

/// The nth of the choices, which start over when they are used up.
pub fn pick_nth<T>(choices: &[T], nth: u64) -> &T {
    &choices[usize::try_from(nth % choices.len() as u64).expect("an index below a length")]
}

/// A number below `count`, more often a low one.
pub fn skewed(rng: &mut Rng, count: u64) -> u64 {
    rng.u64(..count) * rng.u64(..count) / count
}

pub const HOUR: u64 = 3600;
pub const DAY: u64 = 24 * HOUR;

/// 2024-03-01.
pub const FIRST_MOMENT: u64 = (365 + 31 + 29) * DAY;

/// Higher numbers are never earlier: those that the first moment knows are spread evenly from
/// `start` to it, the others over the day between the moments.
pub fn time_of(number: u64, [known, all]: [u64; 2], start: u64, rng: &mut Rng) -> u64 {
    let (start, seconds, position, count) = if number < known {
        (start, FIRST_MOMENT - start, number, known)
    } else {
        (FIRST_MOMENT, DAY, number - known, all - known)
    };
    start + position * seconds / count + rng.u64(..(seconds / count).max(1))
}
