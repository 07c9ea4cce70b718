//! Feeds of the model: the columns of the three exports, what their cells may hold, and what
//! tidegate is to make of it.

use fastrand::Rng;

/// What kind of export a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feed {
    Customers,
    Orders,
    Deliveries,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text as it is, one of these.
    Words(&'static [&'static str]),
    /// An identifier, one of these.
    Ids(&'static [&'static str]),
    /// The identifier of an order, as deliveries spell it.
    OrderRef,
    /// A whole number.
    Count,
    /// Money, or a quantity.
    Amount,
    /// A binary floating point number.
    Measure,
    /// A time.
    Moment,
}

/// A column of a feed.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    /// Its names in files.
    pub spellings: &'static [&'static str],
    pub kind: Kind,
    /// Whether it belongs to a line rather than to the record.
    pub is_line: bool,
    /// Whether it may swallow delimiters.
    pub swallows: bool,
    /// Whether the profile declares it.
    pub is_declared: bool,
}

/// A cell: what it means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Null,
    Text(String),
    Id(String),
    Count(i64),
    /// Ten-thousandths.
    Amount(i64),
    /// Milliseconds since 1970.
    Moment(i64),
    /// Text that does not fit the column.
    Odd(String),
}

/// Keys that only careless comparisons merge.
pub const KEYS: &[&str] = &[
    "ab",
    "AB",
    "áb",
    "a\u{301}b",
    "a\u{200b}b",
    "a b",
    "straße",
    "strasse",
    "😀",
    "😁",
    "007",
    "7",
    "12345678901234567890",
    LONG_KEY,
];

/// The longest one that is allowed.
const LONG_KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\
    kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

pub const STATUSES: &[&str] = &["COMPLETED", "CANCELLED", "ORDERED", "completed"];
pub const TASK_STATUSES: &[&str] = &["Completed", "Completed", "Failed", "Assigned", "COMPLETED"];
pub const CURRENCIES: &[&str] = &["KSh", "₦", "ksh"];
const MERCHANTS: &[&str] = &["1", "01", "2"];
const SKUS: &[&str] = &["A", "a", "B", "C", "Å"];
const WORDS: &[&str] = &[
    "x",
    "two  words",
    " spaced ",
    "by 12,30pm",
    "6\" pipe",
    "\"said\"",
    "line\nbreak",
    "größer",
    "a,b,c",
    "none",
];

/// When the model's markets began: 2024-03-01.
pub const EPOCH_MS: i64 = 1_709_251_200_000;
pub const DAY_MS: i64 = 86_400_000;

const fn record(name: &'static str, spellings: &'static [&'static str], kind: Kind) -> Column {
    Column { name, spellings, kind, is_line: false, swallows: false, is_declared: true }
}

const fn line(name: &'static str, spellings: &'static [&'static str], kind: Kind) -> Column {
    Column { is_line: true, ..record(name, spellings, kind) }
}

const fn swallowing(name: &'static str, spellings: &'static [&'static str]) -> Column {
    Column { swallows: true, ..record(name, spellings, Kind::Words(WORDS)) }
}

const fn new(
    is_line: bool,
    name: &'static str,
    spellings: &'static [&'static str],
    kind: Kind,
) -> Column {
    Column { is_line, is_declared: false, ..record(name, spellings, kind) }
}

const CUSTOMERS: &[Column] = &[
    record("last_used_platform", &["Last Used Platform", "last_used_platform"], Kind::Words(WORDS)),
    record("is_blocked", &["Is Blocked", "IS_BLOCKED"], Kind::Count),
    record("created_at", &["Created At", "created-at"], Kind::Moment),
    record("language", &["Language", "LANGUAGE "], Kind::Words(WORDS)),
    record("outstanding_amount", &["Outstanding Amount"], Kind::Amount),
    record("loyalty_points", &["Loyalty Points", "Loyalty points"], Kind::Amount),
    record("number_of_employees", &["Number of Employees", "Number of employees"], Kind::Count),
    new(false, "c_note", &["C Note", "c.note"], Kind::Words(WORDS)),
    new(false, "c_since", &["C Since"], Kind::Moment),
];

const ORDERS: &[Column] = &[
    record("order_status", &["Order Status", "order_status"], Kind::Words(STATUSES)),
    record("order_total", &["Order Total", "ORDER TOTAL"], Kind::Amount),
    record("tip", &["Tip"], Kind::Amount),
    record("currency_symbol", &["Currency Symbol", "currency symbol"], Kind::Ids(CURRENCIES)),
    record("customer_id", &["Customer ID", "Customer Id"], Kind::Ids(KEYS)),
    record("merchant_id", &["Merchant ID"], Kind::Ids(MERCHANTS)),
    record("order_time", &["Order Time", "Order_Time"], Kind::Moment),
    record("redeemed_loyalty_points", &["Redeemed Loyalty Points"], Kind::Amount),
    record("consumed_loyalty_points", &["Consumed Loyalty Points"], Kind::Amount),
    record("distance_in_km", &["Distance (in km)"], Kind::Measure),
    swallowing("description", &["Description", "DESCRIPTION"]),
    swallowing("reviews", &["Reviews"]),
    line("category_name", &["Category Name"], Kind::Words(WORDS)),
    line("sku", &["SKU", "Sku"], Kind::Ids(SKUS)),
    line("quantity", &["Quantity"], Kind::Amount),
    line("unit_price", &["Unit Price"], Kind::Amount),
    line("total_cost_price", &["Total Cost Price"], Kind::Amount),
    line("total_price", &["Total Price", "total  price"], Kind::Amount),
    new(true, "o_fee", &["O Fee", "o-fee"], Kind::Amount),
    new(true, "o_note", &["O Note"], Kind::Words(WORDS)),
    new(true, "o_voucher_id", &["O Voucher ID"], Kind::Ids(KEYS)),
];

const DELIVERIES: &[Column] = &[
    record("order_id", &["Order_ID", "Order Id"], Kind::OrderRef),
    swallowing("notes", &["Notes"]),
    record("agent_id", &["Agent_ID"], Kind::Ids(MERCHANTS)),
    record("distance_m", &["Distance(m)", "Distance M"], Kind::Measure),
    record("total_time_taken_min", &["Total_Time_Taken(min)"], Kind::Measure),
    record("task_status", &["Task_Status"], Kind::Words(TASK_STATUSES)),
    record("rating", &["Rating"], Kind::Count),
    swallowing("special_instructions", &["Special_Instructions"]),
    record("tip", &["Tip"], Kind::Amount),
    record("subtotal", &["Subtotal"], Kind::Amount),
    line("task_details_qty", &["Task_Details_QTY"], Kind::Amount),
    line("task_details_amount", &["Task_Details_AMOUNT"], Kind::Amount),
    new(true, "d_count", &["D Count", "d_COUNT"], Kind::Count),
];

impl Feed {
    pub const ALL: [Self; 3] = [Self::Customers, Self::Orders, Self::Deliveries];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Orders => "orders",
            Self::Deliveries => "deliveries",
        }
    }

    /// The columns besides the key.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Customers => CUSTOMERS,
            Self::Orders => ORDERS,
            Self::Deliveries => DELIVERIES,
        }
    }

    pub const fn key(self) -> &'static str {
        match self {
            Self::Customers => "customer_id",
            Self::Orders => "order_id",
            Self::Deliveries => "task_id",
        }
    }

    /// The key's names in files.
    pub const fn key_spellings(self) -> &'static [&'static str] {
        match self {
            Self::Customers => &["Customer ID", "customer id", "CUSTOMER_ID"],
            Self::Orders => &["Order ID", "order_id", "Order Id"],
            Self::Deliveries => &["Task_ID", "task id"],
        }
    }

    pub const fn lines_table(self) -> Option<&'static str> {
        match self {
            Self::Customers => None,
            Self::Orders => Some("order_items"),
            Self::Deliveries => Some("delivery_items"),
        }
    }
}

impl Value {
    /// Any value of a column.
    pub fn any(random: &mut Rng, kind: Kind) -> Self {
        if random.u8(..6) == 0 {
            return Self::Null;
        }
        let one_of =
            |random: &mut Rng, texts: &[&str]| texts[random.usize(..texts.len())].to_owned();
        match kind {
            Kind::Words(words) => Self::Text(one_of(random, words)),
            Kind::Ids(ids) => Self::Id(one_of(random, ids)),
            Kind::OrderRef => Self::Id(one_of(random, KEYS)),
            Kind::Count => Self::Count(random.i64(0..6)),
            // Hundredths, because the marts are checked in them; odd ones, so that a column of them
            // is never one of whole numbers.
            Kind::Amount | Kind::Measure => Self::Amount(100 * (2 * random.i64(-500..100_000) + 1)),
            Kind::Moment => {
                Self::Moment(EPOCH_MS + random.i64(0..3) * DAY_MS + random.i64(0..86_400) * 1000)
            }
        }
    }

    /// As [`crate::sandbox::Sandbox::rows`] writes it; `None` is NULL.
    pub fn stored(&self) -> Option<String> {
        match self {
            Self::Null | Self::Odd(_) => None,
            Self::Text(text) | Self::Id(text) => Some(text.clone()),
            Self::Count(count) => Some(count.to_string()),
            Self::Amount(units) => Some(decimal(*units)),
            Self::Moment(moment) => Some(format_moment(*moment)),
        }
    }

    /// One of the ways to write it. A plain one has no delimiters or line ends in it and can stand
    /// beside any format.
    pub fn written(&self, random: &mut Rng, kind: Kind, is_plain: bool) -> String {
        let form = if is_plain { 0 } else { random.u8(..6) };
        match self {
            Self::Null => ["", "-", "null", "N/A", " - ", "NaN"][usize::from(form)].to_owned(),
            Self::Text(text) | Self::Odd(text) => text.clone(),
            Self::Id(id) => match (form, kind) {
                (1 | 2, Kind::OrderRef) => format!("YR-{id},0"),
                (3, _) => format!(" {id}\u{a0}"),
                _ => id.clone(),
            },
            Self::Count(count) if form == 1 => format!("{count}.0"),
            Self::Count(count) => count.to_string(),
            Self::Amount(units) => match (form, kind) {
                (1, Kind::Amount) if *units < 0 => format!("({})", decimal(-*units)),
                (2, Kind::Amount) => grouped(*units).replace(',', "\u{202f}"),
                (3, Kind::Amount) if *units < 0 => format!(" {}- ", grouped(-*units)),
                (4, _) => grouped(*units),
                _ => decimal(*units),
            },
            Self::Moment(moment) => match form {
                1 => format_moment(*moment).replace('T', " ").replace(".000Z", ""),
                2 => format_moment(*moment + 3 * 3_600_000).replace(".000Z", "+03:00"),
                3 => format_moment(*moment).replace(".000Z", ".0009Z"),
                _ => format_moment(*moment),
            },
        }
    }
}

impl Column {
    /// Whether a cell written so could stand in this column, as far as the repair of shifted rows
    /// asks.
    pub fn takes(&self, feed: Feed, value: &Value, written: &str) -> bool {
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match (value, feed, self.name) {
            (Value::Null, _, _) => true,
            (Value::Odd(_), _, _) => false,
            (_, Feed::Orders, "order_status") => written.chars().all(|c| c.is_ascii_uppercase()),
            (_, Feed::Deliveries, "task_status") => written != "COMPLETED",
            (_, Feed::Orders, "merchant_id") | (_, Feed::Deliveries, "agent_id") => {
                is_digits(written.trim())
            }
            (_, Feed::Deliveries, "tip" | "task_details_amount") => {
                let amount = written.trim();
                let number = amount.trim_start_matches(|c: char| !c.is_ascii_digit());
                number.len() < amount.len()
                    && number.chars().all(|c| c.is_ascii_digit() || "., ".contains(c))
            }
            _ => true,
        }
    }
}

/// Ten-thousandths as the shortest decimal.
pub fn decimal(units: i64) -> String {
    let (whole, rest) = (units.abs() / 10_000, units.abs() % 10_000);
    let text = format!("{}{whole}.{rest:04}", if units < 0 { "-" } else { "" });
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// With two decimals and a comma between thousands.
fn grouped(units: i64) -> String {
    let (whole, cents) = (units.abs() / 10_000, units.abs() % 10_000 / 100);
    let sign = if units < 0 { "-" } else { "" };
    match whole / 1000 {
        0 => format!("{sign}{whole}.{cents:02}"),
        thousands => format!("{sign}{thousands},{:03}.{cents:02}", whole % 1000),
    }
}

pub fn format_moment(moment: i64) -> String {
    let moment = chrono::DateTime::from_timestamp_millis(moment).expect("a moment of this century");
    moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
