//! Market exports to try tidegate with: two moments of two markets, in the shape of real exports
//! and with their dirt (repeated lines, rows shifted by unquoted commas, nulls in several
//! spellings). All invented.
//!
//! `cargo run --release --example generate -- --out exports --order-lines 1000000`
//!
//! An order is a pure function of (seed, market, number, moment), and nothing is kept from one to
//! the next. So any number of order lines streams to disk in a few megabytes of memory, and the
//! orders, the deliveries and the second moment agree with one another without being compared.
//!
//! All money, kilometres and minutes are whole hundredths, all times seconds since 2023-01-01.

mod market;

use market::{
    DAY, HOUR, Line, Market, Order, Product, Stage, Subject, chance, pick, pick_nth, time_of,
};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Parser;

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

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
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

/// Market 1's columns, followed there by two unnamed ones. Market 2 has neither those nor
/// `Agent_Name`.
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
    let picked_up_at =
        if chance(&mut rng, 17) { midnight + 13 * HOUR } else { order.ordered_at + 50 };
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
fn write_task(
    out: &mut impl Write,
    market: &Market,
    order: &Order,
    id: u64,
    stage: Stage,
) -> io::Result<()> {
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
    let agent =
        (!chance(&mut rng, 5)).then_some(market.either(1_450_001, 1_560_001) + rng.u64(..15));
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
