//! Stored: a row as the tables hold it, and what rows of a file make of it.

use crate::model::feed::{CURRENCIES, Feed, STATUSES, TASK_STATUSES, Value};
use crate::model::file::Row;
use crate::model::state::Record;
use crate::shop::{Item, Order, Task};
use std::collections::{BTreeMap, HashSet};

/// A row as it is stored: values and rescued texts by column; what is not here is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub values: BTreeMap<&'static str, String>,
    pub rescued: BTreeMap<&'static str, String>,
}

/// The rows that are lines of their own: an exact duplicate row of an order counts once.
pub(super) fn line_rows<'a>(feed: Feed, rows: &[&'a Row]) -> Vec<&'a Row> {
    match feed {
        Feed::Customers => Vec::new(),
        Feed::Deliveries => rows.to_vec(),
        Feed::Orders => {
            let mut seen = HashSet::new();
            // A column that a JSON object lacks is as good as a NULL here.
            let cells = |row: &Row| -> Vec<(&'static str, Value)> {
                row.cells
                    .iter()
                    .filter(|(_, value)| **value != Value::Null)
                    .map(|(name, v)| (*name, v.clone()))
                    .collect()
            };
            rows.iter().copied().filter(|row| seen.insert(cells(row))).collect()
        }
    }
}

/// The row of the record's table: without lines the last row, else of every column the last value
/// there is.
pub(super) fn header(
    feed: Feed,
    rows: &[&Row],
    lines: usize,
    before: Option<&Stored>,
    keeps: bool,
) -> Stored {
    if feed == Feed::Customers {
        return owned(feed, &rows[rows.len() - 1..], false, before, false);
    }
    let mut header = owned(feed, rows, false, before, keeps);
    header.values.insert("line_count", lines.to_string());
    header
}

/// The columns of a table out of some rows; what all of them lack stays as it was, and so does,
/// where a row may be missing, what none of them has a value for.
pub(super) fn owned(
    feed: Feed,
    rows: &[&Row],
    is_line: bool,
    before: Option<&Stored>,
    keeps: bool,
) -> Stored {
    let mut stored = Stored::default();
    for column in feed.columns().iter().filter(|column| column.is_line == is_line) {
        let name = column.name;
        let cells: Vec<&Value> = rows.iter().filter_map(|row| row.cells.get(name)).collect();
        let is_lacking =
            cells.is_empty() || (keeps && cells.iter().all(|value| **value == Value::Null));
        let (value, rescued) = if is_lacking {
            let before = before.map(|before| {
                (before.values.get(name).cloned(), before.rescued.get(name).cloned())
            });
            before.unwrap_or_default()
        } else {
            let value = cells.iter().rev().find_map(|value| value.stored());
            let rescued = cells.iter().rev().find_map(|value| match value {
                Value::Odd(text) => Some(text.clone()),
                _ => None,
            });
            (value, rescued)
        };
        stored.values.extend(value.map(|value| (name, value)));
        stored.rescued.extend(rescued.map(|text| (name, text)));
    }
    stored
}

impl Stored {
    /// A cell as [`crate::sandbox::Sandbox::rows`] writes it.
    pub fn cell(&self, column: &str) -> String {
        if column == "_rescued" {
            let json = serde_json::to_string(&self.rescued).expect("a map of texts is JSON");
            return if self.rescued.is_empty() { "-".to_owned() } else { json };
        }
        self.values.get(column).map_or("-", String::as_str).to_owned()
    }

    fn text(&self, column: &str) -> String {
        self.values.get(column).cloned().unwrap_or_default()
    }

    fn hundredths(&self, column: &str) -> Option<i64> {
        let value: f64 = self.values.get(column)?.parse().expect("amounts are numbers");
        Some((value * 100.0).round() as i64)
    }

    /// One of the texts that the model knows, or empty.
    fn one_of(&self, column: &str, texts: &[&'static str]) -> &'static str {
        self.values
            .get(column)
            .and_then(|value| texts.iter().find(|text| *text == value))
            .copied()
            .unwrap_or_default()
    }
}

pub(super) fn order(id: &str, record: &Record) -> Order {
    let header = &record.header;
    let item = |line: &Stored| Item {
        sku: line.text("sku"),
        quantity: line.hundredths("quantity"),
        price: line.hundredths("total_price").unwrap_or_default(),
        cost: line.hundredths("total_cost_price").unwrap_or_default(),
    };
    Order {
        id: id.to_owned(),
        status: header.one_of("order_status", STATUSES),
        currency: header.one_of("currency_symbol", CURRENCIES),
        customer: header.text("customer_id"),
        merchant: header.text("merchant_id"),
        time: header.text("order_time"),
        total: header.hundredths("order_total").unwrap_or_default(),
        redeemed: header.hundredths("redeemed_loyalty_points").unwrap_or_default(),
        consumed: header.hundredths("consumed_loyalty_points").unwrap_or_default(),
        items: record.lines.iter().map(item).collect(),
    }
}

pub(super) fn task(id: &str, header: &Stored) -> Task {
    Task {
        id: id.to_owned(),
        order: header.text("order_id"),
        agent: header.text("agent_id"),
        status: header.one_of("task_status", TASK_STATUSES),
        minutes: header.hundredths("total_time_taken_min"),
        distance: header.hundredths("distance_m"),
        rating: header.hundredths("rating").unwrap_or_default() / 100,
    }
}
