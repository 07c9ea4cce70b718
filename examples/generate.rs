//! Market exports to try tidegate with: two moments of two markets, in the shape of real exports and with
//! their dirt (repeated lines, rows shifted by unquoted commas, nulls in several spellings). All invented.
//!
//! `cargo run --release --example generate -- --out exports --order-lines 1000000`
//!
//! An order is a pure function of (seed, market, number, moment), and nothing is kept from one to the next.
//! So any number of order lines streams to disk in a few megabytes of memory, and the orders, the deliveries
//! and the second moment agree with one another without being compared.
//!
//! All money, kilometres and minutes are whole hundredths, all times seconds since 2023-01-01.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use fastrand::Rng;

/// Makes market exports for tidegate: invented, and always the same for the same arguments.
#[derive(Parser)]
struct Arguments {
    /// Directory that gets the files
    #[arg(long, default_value = "exports")]
    out: PathBuf,
    /// About how many order lines a moment has, over all markets
    #[arg(long, default_value_t = 10_000)]
    order_lines: u64,
    /// Other seeds give other exports
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many markets; of two, the first gets about 90 % of the order lines
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    markets: u8,
    /// Percentage of orders and customers that the second moment changes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=100))]
    changed_percent: u64,
    /// Percentage of orders and customers that the second moment adds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=100))]
    new_percent: u64,
    /// `first/Market 1 Orders.csv` instead of `market-1-orders-2024-03-01.csv`
    #[arg(long)]
    undated: bool,
    /// first, second or both
    #[arg(long = "moment", default_value = "both", value_parser = parse_moments)]
    moments: &'static [Moment],
}

/// When an export was taken. The second is the whole export again, a day later.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    First,
    Second,
}

fn parse_moments(text: &str) -> Result<&'static [Moment], &'static str> {
    match text {
        "first" => Ok(&[Moment::First]),
        "second" => Ok(&[Moment::Second]),
        "both" => Ok(&[Moment::First, Moment::Second]),
        _ => Err("say first, second or both"),
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    for number in 1..=arguments.markets {
        let market = Market::new(number.into(), &arguments);
        for &moment in arguments.moments {
            let path = |dataset| export_path(&arguments, number, moment, dataset);
            write_file(&path("Customers.json"), |out| write_customers(out, &market, moment))?;
            write_file(&path("Orders.csv"), |out| write_orders(out, &market, moment))?;
            write_file(&path("Deliveries.csv"), |out| write_deliveries(out, &market, moment))?;
        }
    }
    Ok(())
}

fn export_path(arguments: &Arguments, market: u8, moment: Moment, dataset: &str) -> PathBuf {
    let (folder, date) = match moment {
        Moment::First => ("first", "2024-03-01"),
        Moment::Second => ("second", "2024-03-02"),
    };
    if arguments.undated {
        return arguments.out.join(folder).join(format!("Market {market} {dataset}"));
    }
    let dated = dataset.to_lowercase().replace('.', &format!("-{date}."));
    arguments.out.join(format!("market-{market}-{dated}"))
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let written = fs::create_dir_all(path.parent().unwrap_or(path)).and_then(|()| {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|e| io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display())))
}

/// Market 1's columns. Market 2 has no `Debt Amount`.
const ORDER_COLUMNS: &str = "Order ID,Order Status,Category Name,SKU,Customization Group,\
    Customization Option,Quantity,Unit Price,Cost Price,Total Cost Price,Total Price,Order Total,\
    Sub Total,Tax,Delivery Charge,Tip,Discount,Remaining Balance,Payment Method,Additional Charge,\
    Taxable Amount,Transaction ID,Currency Symbol,Transaction Status,Promo Code,Customer ID,\
    Merchant ID,Description,Distance (in km),Order Time,Pickup Time,Delivery Time,Ratings,Reviews,\
    Merchant Earning,Commission Amount,Commission Payout Status,Order Preparation Time,Debt Amount,\
    Redeemed Loyalty Points,Consumed Loyalty Points,Cancellation Reason,Flat Discount,\
    Checkout Template Name,Checkout Template Value";

/// Market 1's columns, followed there by two unnamed ones. Market 2 has neither those nor `Agent_Name`.
const DELIVERY_COLUMNS: &str = "Task_ID,Order_ID,Relationship,Team_Name,Task_Type,Notes,Agent_ID,\
    Agent_Name,Distance(m),Total_Time_Taken(min),Task_Status,Ref_Images,Rating,Review,Latitude,\
    Longitude,Tags,Promo_Applied,Custom_Template_ID,Task_Details_QTY,Task_Details_AMOUNT,\
    Special_Instructions,Tip,Delivery_Charges,Discount,Subtotal,Payment_Type,Task_Category,Earning,\
    Pricing";

/// A pretty-printed array, oldest customer first, without a final newline.
fn write_customers(out: &mut impl Write, market: &Market, moment: Moment) -> io::Result<()> {
    let employees_key = market.either("Number of employees", "Number of Employees");
    for number in 0..market.customers[moment as usize] {
        let mut rng = market.rng(Subject::Customer, number);
        let is_changed = chance(&mut rng, market.changed_percent) && moment == Moment::Second;
        let points = if chance(&mut rng, 40) { 0 } else { rng.u64(1..400) };
        writeln!(out, "{}\n {{", if number == 0 { "[" } else { "," })?;
        writeln!(out, "  \"Customer ID\": {},", market.customer_id(number))?;
        writeln!(out, "  \"Last Used Platform\": \"WEB\",")?;
        writeln!(out, "  \"Is Blocked\": {},", u8::from(chance(&mut rng, 2)))?;
        let created_at = time_of(number, market.customers, 0, &mut rng);
        writeln!(out, "  \"Created At\": \"{}\",", written_time(created_at))?;
        writeln!(out, "  \"Language\": \"en\",\n  \"Outstanding Amount\": 0,")?;
        writeln!(out, "  \"Loyalty Points\": {},", if is_changed { points + 10 } else { points })?;
        let employees = (!chance(&mut rng, 30)).then(|| rng.u64(1..=8));
        write!(out, "  \"{employees_key}\": {}\n }}", given(employees, "null"))?;
    }
    write!(out, "\n]")
}

/// Newest order first, a row for each line.
fn write_orders(out: &mut impl Write, market: &Market, moment: Moment) -> io::Result<()> {
    writeln!(out, "{}", ORDER_COLUMNS.replace(market.either("", "Debt Amount,"), ""))?;
    for number in (market.history..market.orders[moment as usize]).rev() {
        write_order(out, market, &market.order(number, moment))?;
    }
    Ok(())
}

fn write_order(out: &mut impl Write, market: &Market, order: &Order) -> io::Result<()> {
    let (id, (status, _)) = (order.id, order.stage.statuses());
    let order_columns = order_columns(market, order);
    let mut rows: Vec<&Line> = order.lines.iter().collect();
    if let Some((line, position)) = order.repeated {
        rows.insert(position, &order.lines[line]);
    }
    for line in rows {
        let Product { category, sku, price, cost } = line.product;
        let total_cost = cost.map(|cost| trimmed(cost * line.quantity));
        write!(out, "{id},{status},{category},{sku},,,{},{},", line.quantity, trimmed(*price))?;
        write!(out, "{},{},", given(cost.map(trimmed), "-"), given(total_cost, "-"))?;
        writeln!(out, "{},{order_columns}", trimmed(line.total()))?;
    }
    Ok(())
}

/// What belongs to the order and not to the line, and yet stands on every line.
fn order_columns(market: &Market, order: &Order) -> String {
    let mut rng = market.rng(Subject::OrderColumns, order.number);
    let description = order.note.unwrap_or_else(|| pick(&mut rng, &["null", "null", ""]));
    let midnight = order.ordered_at - order.ordered_at % DAY;
    let picked_up_at = if chance(&mut rng, 17) { midnight + 13 * HOUR } else { order.ordered_at + 50 };
    let (stars, review) = order.rating.filter(|_| market.number == 1).unzip();
    format!(
        "{total},{sub_total},-,-,-,-,0,{payment},-,-,0,{currency},,,{customer_id},{merchant_id},{description},\
         {distance_km},{ordered_at},{picked_up_at},{due_at},{stars},{review},,,,0,{debt}{redeemed},{consumed},,0,-,-",
        total = trimmed(order.total),
        sub_total = trimmed(order.sub_total),
        payment = order.payment,
        currency = market.currency,
        customer_id = order.customer_id,
        merchant_id = market.either(700_101, 1_200_202),
        description = quoted(description),
        // Real exports measure market 2's distances from another continent.
        distance_km = trimmed(market.either(100, 1_198_000) + rng.u64(..2_900)),
        ordered_at = written_time(order.ordered_at),
        picked_up_at = written_time(picked_up_at),
        due_at = written_time(midnight + DAY + 8 * HOUR),
        stars = given(stars, ""),
        review = quoted(review.unwrap_or("")),
        debt = market.either("-,", ""),
        redeemed = given(order.redeemed_points, "-"),
        consumed = given(order.consumed_points, "-"),
    )
}

/// Newest task first, a row for each distinct line of its order.
fn write_deliveries(out: &mut impl Write, market: &Market, moment: Moment) -> io::Result<()> {
    let columns = DELIVERY_COLUMNS.replace(market.either("", "Agent_Name,"), "");
    writeln!(out, "{columns}{}", market.either(",,", ""))?;
    for number in (0..market.orders[moment as usize]).rev() {
        let order = market.order(number, moment);
        let id = market.task_id(number);
        write_task(out, market, &order, id, order.stage)?;
        if order.is_retried {
            write_task(out, market, &order, id - 5, Stage::Failed)?;
        }
    }
    Ok(())
}

/// `Tip,Delivery_Charges,Discount,Subtotal,Payment_Type` stand only on the task's last row.
fn write_task(out: &mut impl Write, market: &Market, order: &Order, id: u64, stage: Stage) -> io::Result<()> {
    let currency = market.currency;
    let task_columns = task_columns(market, order, id, stage);
    let payment_columns = payment_columns(market, order);
    let instructions = note_field(market, order.note.unwrap_or("-"));
    // Market 1 fills its rows up to 32 fields. Two equal notes with commas leave nothing to fill.
    let is_shifted = order.note.is_some_and(|note| note.contains(','));
    let padding = if is_shifted { "" } else { market.either(",,", "") };
    for (position, line) in order.lines.iter().enumerate() {
        let is_last = position + 1 == order.lines.len();
        let payment_columns = if is_last { &payment_columns } else { "-,-,-,-,-" };
        let amount = two_places(line.total());
        write!(out, "{task_columns},{},{currency} {amount},{instructions},", line.quantity)?;
        writeln!(out, "{payment_columns},-,-,-{padding}")?;
    }
    Ok(())
}

/// What belongs to the task, up to the columns of its lines.
fn task_columns(market: &Market, order: &Order, id: u64, stage: Stage) -> String {
    // All is drawn whatever the stage, so that a task keeps its place when it is completed.
    let mut rng = market.rng(Subject::Task, id);
    let kind = if chance(&mut rng, market.either(0, 1)) { "Pick-up" } else { "Delivery" };
    let agent = (!chance(&mut rng, 5)).then_some(market.either(1_450_001, 1_560_001) + rng.u64(..15));
    let agent = agent.filter(|_| stage != Stage::Ordered);
    let agent_name = given(agent.map(agent_name), "-") + ",";
    let distance_m = (!chance(&mut rng, market.either(0, 25))).then_some(rng.u64(50..20_000));
    let distance_m = distance_m.filter(|_| stage == Stage::Completed);
    let (stars, review) = order.rating.filter(|_| market.number == 2).unzip();
    format!(
        "{id},\"YR-{order_id},0\",{relationship},Default Team,{kind},{note},{agent},{agent_name}{distance_m},\
         {minutes},{status},-,{stars},{review},{north}.{latitude},{east}.{longitude},,-,Order_Details",
        order_id = order.id,
        // A long id that a spreadsheet has made a float of; little is left of it.
        relationship = market.either("3.7".to_owned(), two_places(id / 1_000_000)) + "E+29",
        note = note_field(market, order.note.unwrap_or("")),
        agent = given(agent, "-"),
        agent_name = market.either(agent_name.as_str(), ""),
        distance_m = given(distance_m, "-"),
        minutes = minutes_taken(market, stage, rng.u64(15..18_000)),
        status = stage.statuses().1,
        stars = stars.unwrap_or(0),
        review = quoted(review.unwrap_or("-")),
        north = market.either("-1", "6"),
        latitude = rng.u64(1_200_000..5_600_000),
        east = market.either("36", "3"),
        longitude = rng.u64(3_500_000..8_900_000),
    )
}

fn payment_columns(market: &Market, order: &Order) -> String {
    let currency = market.currency;
    // One tip of market 2 is what floats leave of nothing.
    let is_odd = market.number == 2 && order.number == market.orders[0] / 2;
    let tip = if is_odd { "0.0018315638888734179" } else { "0.00" };
    let discount = market.either(0, order.redeemed_points.unwrap_or(0) * market.point_value);
    let (discount, subtotal) = (two_places(discount), trimmed(order.total));
    format!("{currency} {tip},{currency} 0.00,{currency} {discount},{subtotal},{}", order.payment)
}

/// Market 1's deliveries forget to quote notes, so that their commas shift the row.
fn note_field(market: &Market, note: &str) -> String {
    market.either(note.to_owned(), quoted(note))
}

/// Market 1 measures what was completed; market 2 writes 0 for an attempt that failed.
fn minutes_taken(market: &Market, stage: Stage, minutes: u64) -> String {
    match stage {
        Stage::Completed => market.either(two_places(minutes), trimmed(minutes)),
        Stage::Failed => "0".to_owned(),
        _ => "-".to_owned(),
    }
}

fn agent_name(agent_id: u64) -> String {
    let first = pick_nth(&["Abel", "Baraka", "Esther", "Faraji", "Grace"], agent_id);
    format!("{first} {}", pick_nth(&["Rono", "Tembo", "Udo"], agent_id))
}

/// A market of a given seed and size, which makes an order of its number. Numbers start at 0.
///
/// Market 2 has fewer lines and notes. Its deliveries reach back further than its orders, and some
/// orders take it two attempts.
struct Market {
    number: u64,
    seed: u64,
    changed_percent: u64,
    currency: &'static str,
    /// What a redeemed loyalty point takes off an order; earning one costs 100 times as much.
    point_value: u64,
    /// Equally likely numbers of lines in an order.
    line_counts: &'static [u64],
    catalogue: Vec<Product>,
    /// Orders before this number are too old for the orders export, while their tasks are exported.
    history: u64,
    /// How many orders (history included) there are at each moment.
    orders: [u64; 2],
    /// How many customers there are at each moment.
    customers: [u64; 2],
}

/// What a stream of random numbers is for.
#[derive(Clone, Copy)]
enum Subject {
    Customer,
    Order,
    OrderColumns,
    Task,
}

impl Market {
    fn new(number: u64, arguments: &Arguments) -> Self {
        let one_or_two = |one, two| if number == 1 { one } else { two };
        let line_counts: &[u64] = match number {
            1 => &[1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 6, 9],
            _ => &[1, 1, 1, 1, 1, 1, 2, 2, 3, 4],
        };
        let share_percent = if arguments.markets == 1 { 100 } else { one_or_two(90, 10) };
        // One order in a hundred is a bulk order, of 22 lines on average.
        let lines_of_100_orders = 99 * line_counts.iter().sum::<u64>() / line_counts.len() as u64 + 22;
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
            catalogue: (0..one_or_two(200, 100)).map(|nth| product(number, nth, point_value)).collect(),
            history,
            orders: [history + orders, history + orders + added(orders)],
            customers: [customers, customers + added(customers)],
        }
    }

    /// What market 1 has here, or what market 2 has.
    fn either<T>(&self, one: T, two: T) -> T {
        if self.number == 1 { one } else { two }
    }

    /// The same random numbers whenever the same subject is asked for.
    fn rng(&self, subject: Subject, number: u64) -> Rng {
        let stream = self.seed.wrapping_mul(8).wrapping_add(self.number * 4 + subject as u64);
        let stream = stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Rng::with_seed(stream ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Rising ids with gaps, none of which the other market has.
    fn id(&self, first_id: u64, number: u64) -> u64 {
        first_id + number * 6 + self.number * 3 + number % 3
    }

    fn customer_id(&self, number: u64) -> u64 {
        self.id(4_100_000, number)
    }

    /// Market 2's first moment spans the ids of many months, however many tasks it has.
    fn task_id(&self, number: u64) -> u64 {
        let months_step = (68_000_000 / self.orders[0]).max(7);
        self.either(370_000_000 + number * 13, 300_000_005 + number * months_step)
    }
}

struct Product {
    category: &'static str,
    sku: String,
    price: u64,
    cost: Option<u64>,
}

/// The catalogue is the same for every seed. One of its products has no category, one no cost.
fn product(market: u64, nth: u64, point_value: u64) -> Product {
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

struct Order<'market> {
    number: u64,
    id: u64,
    stage: Stage,
    /// A failed attempt precedes the task that the order's stage tells of.
    is_retried: bool,
    /// What was ordered, each product once.
    lines: Vec<Line<'market>>,
    /// The export's fault: a line that stands there a second time, and where.
    repeated: Option<(usize, usize)>,
    sub_total: u64,
    total: u64,
    payment: &'static str,
    redeemed_points: Option<u64>,
    consumed_points: Option<u64>,
    customer_id: u64,
    ordered_at: u64,
    note: Option<&'static str>,
    /// Stars and review. Market 1 has them with its orders, market 2 with its tasks.
    rating: Option<(u64, &'static str)>,
}

struct Line<'market> {
    product: &'market Product,
    quantity: u64,
}

impl Line<'_> {
    fn total(&self) -> u64 {
        self.product.price * self.quantity
    }
}

/// What the second moment does to an order of the first.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    /// It was under way, and is completed.
    Settles,
    LosesLine,
}

/// How far an order has come, or one attempt to deliver it.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Ordered,
    Dispatched,
    Completed,
    Cancelled,
    Failed,
}

impl Stage {
    /// The order's and the task's.
    fn statuses(self) -> (&'static str, &'static str) {
        match self {
            Self::Ordered => ("ORDERED", "Assigned"),
            Self::Dispatched => ("DISPATCHED", "In Transit"),
            Self::Completed => ("COMPLETED", "Completed"),
            Self::Cancelled => ("CANCELLED", "Cancelled"),
            Self::Failed => ("CANCELLED", "Failed"),
        }
    }
}

/// No part between commas looks like an agent's id or an amount, so that shifted rows can be repaired.
const NOTES: [&str; 7] = [
    "Leave it with the guard",
    "Phone me from the junction",
    "Before 9AM please",
    "Second floor, door on the left",
    "Not before 10,30am",
    "Kiosk 14, behind the clinic, ask for Amina",
    "Green gate, no bell, please knock",
];

const REVIEWS: [&str; 3] = ["", "Fresh and well packed, will order again", "On time, polite rider"];

impl Market {
    /// The same is drawn at both moments, so that only those orders change that are meant to.
    fn order(&self, number: u64, moment: Moment) -> Order<'_> {
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
        let redeemed_points = points_offered.map(|points| points.min(sub_total / self.point_value / 2));
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

    fn change(&self, rng: &mut Rng) -> Change {
        match (chance(rng, self.changed_percent), rng.bool()) {
            (false, _) => Change::Nothing,
            (true, true) => Change::Settles,
            (true, false) => Change::LosesLine,
        }
    }

    fn stage(&self, number: u64, moment: Moment, change: Change, rng: &mut Rng) -> Stage {
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
    fn ordering_customer_id(&self, rng: &mut Rng) -> u64 {
        let (usual, newest) = (skewed(rng, self.customers[0]), self.customers[1] - 1);
        self.customer_id(if chance(rng, 1) { newest } else { usual })
    }

    fn lines(&self, change: Change, rng: &mut Rng) -> Vec<Line<'_>> {
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
fn repeated(line_count: usize, rng: &mut Rng) -> Option<(usize, usize)> {
    if !chance(rng, 2) {
        return None;
    }
    let line = rng.usize(..line_count);
    let elsewhere = rng.usize(line + 1..=line_count);
    Some((line, if chance(rng, 60) { line + 1 } else { elsewhere }))
}

fn chance(rng: &mut Rng, percent: u64) -> bool {
    rng.u64(..100) < percent
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

/// The nth of the choices, which start over when they are used up.
fn pick_nth<T>(choices: &[T], nth: u64) -> &T {
    &choices[usize::try_from(nth % choices.len() as u64).expect("an index below a length")]
}

/// A number below `count`, more often a low one.
fn skewed(rng: &mut Rng, count: u64) -> u64 {
    rng.u64(..count) * rng.u64(..count) / count
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// 2024-03-01.
const FIRST_MOMENT: u64 = (365 + 31 + 29) * DAY;

/// Higher numbers are never earlier: those that the first moment knows are spread evenly from `start` to
/// it, the others over the day between the moments.
fn time_of(number: u64, [known, all]: [u64; 2], start: u64, rng: &mut Rng) -> u64 {
    let (start, seconds, position, count) = if number < known {
        (start, FIRST_MOMENT - start, number, known)
    } else {
        (FIRST_MOMENT, DAY, number - known, all - known)
    };
    start + position * seconds / count + rng.u64(..(seconds / count).max(1))
}

/// `2024-02-15T13:07:09.000Z`
fn written_time(seconds: u64) -> String {
    let day = seconds / DAY;
    let (year, february, mut day) = if day < 365 { (2023, 28, day) } else { (2024, 29, day - 365) };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (seconds % DAY / HOUR, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.000Z", day + 1)
}

/// A value, or what the exports write where there is none.
fn given(value: Option<impl Display>, otherwise: &str) -> String {
    value.map_or_else(|| otherwise.to_owned(), |value| value.to_string())
}

/// `10925.00`
fn two_places(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `10925`, `208.5`, `21.11`
fn trimmed(hundredths: u64) -> String {
    two_places(hundredths).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text as a CSV field.
fn quoted(text: &str) -> String {
    if text.contains(',') { format!("\"{text}\"") } else { text.to_owned() }
}
