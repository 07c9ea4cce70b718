//! Scripts of the model: what is dropped for a market, step by step: whole exports of a shop that
//! changes, and everything that goes wrong between a shop and an inbox.

use crate::model::feed::{Column, DAY_MS, EPOCH_MS, Feed, KEYS, Kind, Value};
use crate::model::file::{Export, File, correct, write};
use crate::model::state::{Drop, Rules};
use fastrand::Rng;
use std::collections::BTreeMap;

/// What happens in the inbox before one sync.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub drops: Vec<Drop>,
    /// Paths that vanish.
    pub gone: Vec<String>,
}

/// The day on which a market's files begin, so that there is room for late ones.
const FIRST_DAY: i64 = 10;

/// Text that makes files of several chunks out of few rows.
const BULK_CHARS: usize = 20_000;

/// A market's shop as it truly is, and what was dropped of it.
struct Shop<'a> {
    random: &'a mut Rng,
    market: &'a str,
    day: i64,
    /// Whether its texts are long.
    is_bulky: bool,
    records: BTreeMap<Feed, Vec<(String, Export)>>,
    dropped: BTreeMap<Feed, Vec<Drop>>,
}

/// The steps of one market.
pub fn script(random: &mut Rng, market: &str, steps: usize, rules: &Rules) -> Vec<Step> {
    let is_bulky = random.u8(..10) == 0;
    let mut shop = Shop {
        random,
        market,
        day: FIRST_DAY,
        is_bulky,
        records: BTreeMap::new(),
        dropped: BTreeMap::new(),
    };
    for feed in Feed::ALL {
        for _ in 0..shop.random.usize(1..6) {
            shop.add_record(feed);
        }
    }
    (0..steps).map(|number| shop.step(number, rules)).collect()
}

impl Shop<'_> {
    fn step(&mut self, number: usize, rules: &Rules) -> Step {
        let mut step = Step::default();
        for feed in Feed::ALL {
            // The first step has most of what there is, the others one or two drops.
            let drops = match number {
                0 => usize::from(self.random.u8(..8) > 0),
                _ => usize::from(self.random.bool()) + usize::from(self.random.u8(..5) == 0),
            };
            for _ in 0..drops {
                let drop = self.drop(feed, rules);
                // One path is written once between two syncs: nobody saw what was overwritten.
                step.drops.retain(|other| other.path != drop.path);
                step.drops.push(drop);
            }
        }
        for drops in self.dropped.values() {
            if self.random.u8(..20) == 0 {
                step.gone.extend(drops.last().map(|drop| drop.path.clone()));
            }
        }
        for drop in &step.drops {
            step.gone.retain(|path| *path != drop.path);
            if !drop.is_correction() {
                self.dropped.entry(drop.feed).or_default().push(drop.clone());
            }
        }
        step
    }

    fn drop(&mut self, feed: Feed, rules: &Rules) -> Drop {
        let dropped = self.dropped.get(&feed).map(Vec::as_slice).unwrap_or_default();
        let earlier =
            (!dropped.is_empty()).then(|| dropped[self.random.usize(..dropped.len())].clone());
        if self.random.bool()
            && let Some(correction) = self.correction(feed)
        {
            return correction;
        }
        match (self.random.u8(..20), earlier) {
            // The same again, or an older copy put back, with whatever times copying gives it.
            (0..=2, Some(earlier)) => Drop { modified: self.modified(self.day), ..earlier },
            (3, Some(earlier)) => self.named(feed, earlier.file, self.day),
            (4, Some(earlier)) => {
                let day = self.earlier_day();
                self.named(feed, earlier.file, day)
            }
            (5, _) => {
                let file = damaged(self.random);
                self.named(feed, file, self.day)
            }
            (6, _) => {
                let file = write(self.random, feed, &[]);
                self.named(feed, file, self.day)
            }
            // An export that comes late has records that nobody knows, and old states of others.
            (7..=9, _) => {
                let truth = self.records.clone();
                self.change(feed);
                self.add_record(feed);
                let (file, day) = (self.export(feed, rules), self.earlier_day());
                self.records = truth;
                self.named(feed, file, day)
            }
            _ => {
                self.change(feed);
                self.day += self.random.i64(0..2);
                let file = self.export(feed, rules);
                self.named(feed, file, self.day)
            }
        }
    }

    /// A corrected copy of what one of the last files left in doubt.
    fn correction(&mut self, feed: Feed) -> Option<Drop> {
        let dropped = self.dropped.get(&feed)?;
        let earlier = dropped[dropped.len().saturating_sub(1 + self.random.usize(..2))].clone();
        let file = correct(self.random, feed, &earlier.file)?;
        let path = format!("{}.{}", earlier.path.rsplit_once('.')?.0, file.extension);
        Some(Drop { feed, path, file, modified: self.modified(self.day), date: None })
    }

    fn earlier_day(&mut self) -> i64 {
        self.day - self.random.i64(1..6)
    }

    /// The whole export, or, of a delta, some of it.
    fn export(&mut self, feed: Feed, rules: &Rules) -> File {
        let mut records = self.records[&feed].clone();
        if rules.deltas.contains(&feed) {
            let random = &mut *self.random;
            records.retain(|_| random.bool());
        }
        write(self.random, feed, &records)
    }

    /// The file under a name that says so, of that day.
    fn named(&mut self, feed: Feed, file: File, day: i64) -> Drop {
        let (market, name, extension) = (self.market, feed.name(), file.extension);
        let midnight = EPOCH_MS + day * DAY_MS;
        let date = crate::model::feed::format_moment(midnight)[..10].to_owned();
        let (path, is_dated) = match self.random.u8(..6) {
            0 => (format!("market-{market}/{name}.{extension}"), false),
            1 => (format!("Market {market} {}.{extension}", name.to_uppercase()), false),
            2 => (format!("market-{market}/{name}-{date}.{extension}"), true),
            3 => (format!("in/{date} market {market} {name}.{extension}"), true),
            4 => (format!("market_{market}_{name}_{}.{extension}", date.replace('-', "")), true),
            _ => (format!("market-{market}/{name}-{}.{extension}", date.replace('-', "")), true),
        };
        let modified = self.modified(day);
        Drop { feed, path, file, modified, date: is_dated.then_some(midnight) }
    }

    /// A time of that day, often one that others have too.
    fn modified(&mut self, day: i64) -> i64 {
        EPOCH_MS + day * DAY_MS + [0, 0, 1, 3_600_000][self.random.usize(..4)]
    }

    fn add_record(&mut self, feed: Feed) {
        let key = KEYS[self.random.usize(..KEYS.len())].to_owned();
        let header = self.cells(feed, false);
        let lines = if feed == Feed::Customers { 0 } else { self.random.usize(1..4) };
        let lines = (0..lines).map(|_| self.cells(feed, true)).collect();
        let records = self.records.entry(feed).or_default();
        records.retain(|(other, _)| *other != key);
        records.push((key, Export { header, lines }));
    }

    fn cells(&mut self, feed: Feed, is_line: bool) -> BTreeMap<&'static str, Value> {
        let columns = feed.columns().iter().filter(|column| column.is_line == is_line);
        columns.map(|column| (column.name, self.value(column))).collect()
    }

    fn value(&mut self, column: &Column) -> Value {
        let is_text = matches!(column.kind, Kind::Words(_) | Kind::Ids(_) | Kind::OrderRef);
        if !is_text && column.is_declared && self.random.u8(..30) == 0 {
            return Value::Odd(
                ["about 5", "1.2.5", "2024-02-30"][self.random.usize(..3)].to_owned(),
            );
        }
        match Value::any(self.random, column.kind) {
            Value::Text(text)
                if self.is_bulky && matches!(column.name, "description" | "notes" | "language") =>
            {
                Value::Text(text + &"z".repeat(BULK_CHARS))
            }
            value => value,
        }
    }

    /// A few things happen in the shop.
    fn change(&mut self, feed: Feed) {
        for _ in 0..self.random.usize(1..4) {
            let count = self.records.entry(feed).or_default().len();
            if count == 0 {
                self.add_record(feed);
                continue;
            }
            let index = self.random.usize(..count);
            let kind = self.random.u8(..10);
            let cells = self.cells(feed, kind >= 6);
            let records = self.records.get_mut(&feed).expect("it was made above");
            match kind {
                0 => {
                    self.add_record(feed);
                    continue;
                }
                1 if count > 1 => {
                    records.remove(index);
                    continue;
                }
                2 => {
                    self.random.shuffle(records);
                    continue;
                }
                _ => {}
            }
            let Export { header, lines } = &mut records[index].1;
            match kind {
                0..=5 => header.extend(cells.into_iter().filter(|_| self.random.u8(..3) == 0)),
                6 => lines.truncate(1),
                7 if feed != Feed::Customers => lines.push(cells),
                8 => lines.reverse(),
                _ => lines.iter_mut().take(1).for_each(|line| line.extend(cells.clone())),
            }
        }
    }
}

/// A file that is refused as a whole.
fn damaged(random: &mut Rng) -> File {
    let (extension, bytes): (_, &[u8]) = match random.u8(..4) {
        0 => ("csv", b""),
        1 => ("csv", b"Some Column,Another\n1,2\n"),
        2 => ("json", b"[{\"Customer ID\": 1, \"Order ID\": 1, \"Task_ID\": 1}"),
        _ => (
            "json",
            b"[{\"Customer ID\": 1, \"Order ID\": 1, \"Task_ID\": 1} {\"Customer ID\": 2}]",
        ),
    };
    File { extension, bytes: bytes.to_vec(), rows: None }
}
