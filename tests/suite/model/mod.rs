//! The model: after any sequence of drops, crashes and retries, tables, marts and ledger are what a
//! simple model in memory says.
//!
//! A world is a database with several markets, each with a script of its own ([`script`]). After
//! every sync all of them are compared with the model ([`state`]). When one differs, its script is
//! cut down to the drops that matter. `TIDEGATE_MODEL_SEED=… cargo test --features failpoints
//! --test suite -- model::` repeats a world.

pub mod feed;
pub mod file;
mod lines;
mod script;
pub mod state;
mod stored;

use crate::exports::SMALL_CHUNKS;
use crate::marts;
use crate::model::feed::Feed;
use crate::model::script::{Step, script};
use crate::model::state::{Counts, Deletes, Market, Record, Rules};
use crate::model::stored::Stored;
use crate::sandbox::{Engine, Report, Sandbox};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// Scripts of one world: several share a process, whose start costs more than a small file.
const MARKETS: usize = 26;

/// Worlds on SQLite: more than 200 scripts.
const WORLDS: usize = 8;

/// Scripts on each server.
const SERVER_MARKETS: usize = 12;

const STEPS: usize = 6;

/// Approvals of one step: each is a process.
const APPROVALS_MAX: usize = 4;

/// Worlds that failed once.
const REGRESSIONS: [u64; 2] = [8_582_207_108_384_308_038, 470_635_653_756_926_470];

/// Where a process may die, and at which of its visits there.
const CRASHES: [&str; 10] = [
    "before_commit",
    "after_commit",
    "before_checkpoint",
    "after_checkpoint",
    "during_parts",
    "during_refresh",
    "after_refresh",
    "during_schema_change",
    "before_delete",
    "during_deletes",
];

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

mod tables_and_marts_equal_the_model {
    use super::{Engine, MARKETS, SERVER_MARKETS, WORLDS, play};

    #[test]
    fn sqlite() {
        play(WORLDS, Engine::Sqlite, MARKETS);
    }

    #[test]
    fn mariadb() {
        play(1, Engine::Mariadb, SERVER_MARKETS);
    }

    #[test]
    fn postgres() {
        play(1, Engine::Postgres, SERVER_MARKETS);
    }
}

#[test]
fn scripts_correct_rows_of_unknown_records_often_enough() {
    let corrections = (1..=WORLDS as u64).map(|seed| {
        let world = World::new(seed, Engine::Sqlite, MARKETS);
        let drops = world.scripts.values().flatten().flat_map(|step| &step.drops);
        drops.filter(|drop| drop.is_correction()).count()
    });
    let corrections: Vec<usize> = corrections.collect();
    assert!(corrections.iter().all(|&corrections| corrections > MARKETS / 2), "{corrections:?}");
}

/// Plays worlds, and tells of all that differ.
fn play(worlds: usize, engine: Engine, markets: usize) {
    let differences: Vec<String> = seeds(worlds)
        .into_iter()
        .filter_map(|seed| World::new(seed, engine, markets).difference())
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The one that was asked for; else those that failed once, and the same ones in every run: what
/// fails then is a change.
fn seeds(count: usize) -> Vec<u64> {
    let seeds = match std::env::var("TIDEGATE_MODEL_SEED") {
        Ok(seed) => vec![seed.parse().expect("TIDEGATE_MODEL_SEED is a number that a run printed")],
        Err(_) => REGRESSIONS.into_iter().chain((1..).take(count)).collect(),
    };
    eprintln!("TIDEGATE_MODEL_SEED is one of {seeds:?}");
    seeds
}

/// A database, and the scripts of its markets.
struct World {
    seed: u64,
    engine: Engine,
    rules: Rules,
    scripts: BTreeMap<String, Vec<Step>>,
    random: Rng,
}

/// What is not as the model says.
struct Difference {
    market: String,
    what: String,
}

impl World {
    fn new(seed: u64, engine: Engine, markets: usize) -> Self {
        let mut random = Rng::with_seed(seed);
        let rules = Rules {
            deltas: Feed::ALL.into_iter().filter(|_| random.u8(..4) == 0).collect(),
            rejects_max_percent: [100, 60, 30][random.usize(..3)],
            deletes: Feed::ALL
                .into_iter()
                .filter_map(|feed| {
                    Some((
                        feed,
                        [None, Some(Deletes::Mark), Some(Deletes::Remove)][random.usize(..3)]?,
                    ))
                })
                .collect(),
            deletes_max_percent: [100, 50, 20][random.usize(..3)],
        };
        // Half of the names differ from others by their case alone.
        let name = |number: usize| {
            format!("{}{}", if number.is_multiple_of(2) { "x" } else { "X" }, number / 2)
        };
        let scripts = (0..markets).map(|number| {
            let (name, mut random) =
                (name(number), Rng::with_seed(seed.wrapping_add(number as u64)));
            let script = script(&mut random, &name, STEPS, &rules);
            (name, script)
        });
        Self { seed, engine, scripts: scripts.collect(), rules, random }
    }

    /// What differs from the model, and how to see it again.
    fn difference(mut self) -> Option<String> {
        let Difference { market, what } = self.play(true)?;
        let script = self.scripts.remove(&market).unwrap_or_default();
        let shortest = self.shortest(&market, script.clone());
        let (which, script) = match shortest {
            Some(script) => ("These drops alone show it", script),
            None => ("Alone, without crashes, its drops do not show it; all of them", script),
        };
        Some(format!(
            "market {market} differs from the model on {:?}: {what}\nRepeat it with TIDEGATE_MODEL_SEED={}; {:?}\n{which}:\n{}",
            self.engine,
            self.seed,
            self.rules,
            story(&script)
        ))
    }

    /// Plays all scripts on a new database; the first difference there is.
    fn play(&mut self, with_crashes: bool) -> Option<Difference> {
        let sandbox = Sandbox::new(self.engine);
        fs::write(sandbox.path("tidegate.toml"), self.configuration())
            .expect("a writable temporary directory");
        let mut markets: BTreeMap<String, Market> = BTreeMap::new();
        for number in 0..STEPS {
            for (name, script) in &self.scripts {
                let Some(step) = script.get(number) else { continue };
                put(&sandbox, step);
                let market = markets.entry(name.clone()).or_default();
                market.see(&step.gone, &step.drops);
                market.take(&step.drops, &self.rules);
            }
            if let Some(difference) = self.sync_and_compare(&sandbox, &markets, with_crashes) {
                let what = format!("after step {number}, {}", difference.what);
                return Some(Difference { what, ..difference });
            }
            if !approve(&sandbox, &mut markets, &self.rules, number) {
                continue;
            }
            if let Some(difference) = self.sync_and_compare(&sandbox, &markets, with_crashes) {
                let what = format!("after step {number} and approvals, {}", difference.what);
                return Some(Difference { what, ..difference });
            }
        }
        let verified =
            configured(&sandbox, &["verify"]).output().expect("the built program starts");
        (!verified.status.success()).then(|| {
            let what = format!("verify says\n{}", String::from_utf8_lossy(&verified.stdout));
            Difference { market: String::new(), what }
        })
    }

    fn sync_and_compare(
        &mut self,
        sandbox: &Sandbox,
        markets: &BTreeMap<String, Market>,
        with_crashes: bool,
    ) -> Option<Difference> {
        if with_crashes {
            self.crash(sandbox);
        }
        let report = self.sync(sandbox, "");
        if !matches!(report.exit, 0 | 1) {
            return Some(Difference {
                market: String::new(),
                what: format!("sync ended with {report:?}"),
            });
        }
        compare(sandbox, markets)
    }

    fn configuration(&self) -> String {
        let mut text = format!("rejects_max_percent = {}\n", self.rules.rejects_max_percent);
        writeln!(text, "deletes_max_percent = {}", self.rules.deletes_max_percent)
            .expect("a string takes everything");
        for feed in Feed::ALL {
            let kind = if self.rules.deltas.contains(&feed) { "delta" } else { "full" };
            let deletes = match self.rules.deletes.get(&feed) {
                None => "keep",
                Some(Deletes::Mark) => "mark",
                Some(Deletes::Remove) => "remove",
            };
            writeln!(
                text,
                "[datasets.{}]\nkind = \"{kind}\"\ndeletes = \"{deletes}\"",
                feed.name()
            )
            .expect("a string takes everything");
        }
        text
    }

    /// Up to two processes die at what they do.
    fn crash(&mut self, sandbox: &Sandbox) {
        for _ in 0..self.random.u8(..3) {
            let point = CRASHES[self.random.usize(..CRASHES.len())];
            let visits = self.random.usize(..2 * self.scripts.len());
            let report = self.sync(sandbox, &format!("{point}={visits}*off->return"));
            assert!(matches!(report.exit, 0 | 1 | KILLED), "{report:?}");
        }
    }

    fn sync(&self, sandbox: &Sandbox, failpoints: &str) -> Report {
        let inbox = sandbox.inbox();
        let mut command = configured(sandbox, &["--json", "sync", &inbox.to_string_lossy()]);
        Report::of(
            &command.env("FAILPOINTS", failpoints).output().expect("the built program starts"),
        )
    }

    /// The fewest drops of a market that still differ from the model; `None` when all of them do
    /// not.
    fn shortest(&self, market: &str, mut script: Vec<Step>) -> Option<Vec<Step>> {
        let differs = |script: &[Step]| {
            let scripts = BTreeMap::from([(market.to_owned(), script.to_vec())]);
            let mut world =
                Self { scripts, rules: self.rules.clone(), random: self.random.clone(), ..*self };
            world.play(false).is_some()
        };
        if market.is_empty() || !differs(&script) {
            return None;
        }
        while script.len() > 1 && differs(&script[..script.len() - 1]) {
            script.pop();
        }
        for step in (0..script.len()).rev() {
            for drop in (0..script[step].drops.len()).rev() {
                let mut shorter = script.clone();
                shorter[step].drops.remove(drop);
                if differs(&shorter) {
                    script = shorter;
                }
            }
        }
        Some(script)
    }
}

/// A command with the world's configuration, not yet started.
fn configured(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command
        .env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml"))
        .env(SMALL_CHUNKS.0, SMALL_CHUNKS.1);
    command
}

/// Does to the inbox what a step says.
fn put(sandbox: &Sandbox, step: &Step) {
    for path in &step.gone {
        // It may be gone already.
        let _ = fs::remove_file(sandbox.inbox().join(path));
    }
    for drop in &step.drops {
        sandbox.drop_file(&drop.path, &drop.file.bytes);
        let file = File::options()
            .append(true)
            .open(sandbox.inbox().join(&drop.path))
            .expect("it was dropped");
        let modified = UNIX_EPOCH + Duration::from_millis(drop.modified.unsigned_abs());
        file.set_modified(modified).expect("it is ours");
    }
}

/// After every other step an operator approves some of the deletions that are held back; whether
/// there was one.
fn approve(
    sandbox: &Sandbox,
    markets: &mut BTreeMap<String, Market>,
    rules: &Rules,
    step: usize,
) -> bool {
    let held = markets
        .iter()
        .flat_map(|(market, model)| model.held().map(|path| (market.clone(), path.clone())));
    let is_there = |path: &str| sandbox.inbox().join(path).exists();
    let mut held: Vec<(String, String)> = held.filter(|(_, path)| is_there(path)).collect();
    held.truncate(if step.is_multiple_of(2) { APPROVALS_MAX } else { 0 });
    for (market, path) in &held {
        let file = sandbox.inbox().join(path);
        let approved = configured(sandbox, &["approve", &file.to_string_lossy()]).output();
        let approved = approved.expect("the built program starts");
        assert!(approved.status.success(), "{path}: {approved:?}");
        markets.get_mut(market).expect("it has a held file").approve(path, rules);
    }
    !held.is_empty()
}

/// The first difference between the database and the model.
fn compare(sandbox: &Sandbox, markets: &BTreeMap<String, Market>) -> Option<Difference> {
    tables(sandbox, markets)
        .or_else(|| ledger(sandbox, markets))
        .or_else(|| marts(sandbox, markets))
}

/// The first difference between tables and marts and the model, whatever the ledger says of how
/// they came about.
pub fn difference_of_tables(
    sandbox: &Sandbox,
    markets: &BTreeMap<String, Market>,
) -> Option<String> {
    let difference = tables(sandbox, markets).or_else(|| marts(sandbox, markets));
    difference.map(|Difference { market, what }| {
        format!("market {market} differs from the model: {what}")
    })
}

fn tables(sandbox: &Sandbox, markets: &BTreeMap<String, Market>) -> Option<Difference> {
    for feed in Feed::ALL {
        let header = |record: &Record| {
            let mut header = record.header.clone();
            if record.is_marked {
                header.values.insert("_deleted_at", "deleted".to_owned());
            }
            vec![header]
        };
        let record_table = table(sandbox, markets, feed.name(), feed, header);
        let lines = feed
            .lines_table()
            .and_then(|lines| table(sandbox, markets, lines, feed, |record| record.lines.clone()));
        if let Some(difference) = record_table.or(lines) {
            return Some(difference);
        }
    }
    None
}

/// Compares one table of a feed.
fn table(
    sandbox: &Sandbox,
    markets: &BTreeMap<String, Market>,
    table: &str,
    feed: Feed,
    rows: impl Fn(&Record) -> Vec<Stored>,
) -> Option<Difference> {
    let has_lines = feed.lines_table() == Some(table);
    let mut columns = sandbox.columns(table);
    let leading: &[&str] =
        if has_lines { &["market", feed.key(), "line_no"] } else { &["market", feed.key()] };
    columns.retain(|column| {
        !leading.contains(&column.as_str()) && !["_file_id", "_row_hash"].contains(&column.as_str())
    });
    let mut expected = Vec::new();
    for (market, model) in markets {
        for (key, record) in model.records(feed) {
            for (number, row) in (1..).zip(rows(record)) {
                let mut cells = vec![market.clone(), key.clone()];
                cells.extend(has_lines.then(|| number.to_string()));
                cells.extend(columns.iter().map(|column| row.cell(column)));
                expected.push(cells.join("|"));
            }
        }
    }
    let quote = if sandbox.engine == Engine::Mariadb { "`" } else { "\"" };
    let list: Vec<String> = leading
        .iter()
        .copied()
        .chain(columns.iter().map(String::as_str))
        .map(|name| match name {
            // When it was deleted only the clock knows.
            "_deleted_at" => "CASE WHEN _deleted_at IS NOT NULL THEN 'deleted' END".to_owned(),
            _ => format!("{quote}{name}{quote}"),
        })
        .collect();
    let stored = sandbox.rows(&format!("SELECT {} FROM {table}", list.join(", ")));
    differ(&format!("{table} ({})", list.join("|").replace(quote, "")), stored, expected)
}

fn ledger(sandbox: &Sandbox, markets: &BTreeMap<String, Market>) -> Option<Difference> {
    let sql = "SELECT f.market, f.path, f.state, f.rows_read, f.rows_accepted, f.rows_duplicate, f.rows_rejected, f.rows_skipped, f.rows_repaired, \
         f.rows_new, f.rows_modified, f.rows_unchanged, f.rows_stale, f.rows_deleted FROM tidegate_files f \
         WHERE f.id = (SELECT MAX(o.id) FROM tidegate_files o WHERE o.path = f.path)";
    let inbox = sandbox.inbox().to_string_lossy().into_owned() + "/";
    let stored = sandbox.rows(sql).into_iter().map(|row| row.replacen(&inbox, "", 1)).collect();
    let line = |market: &str, path: &str, state: &str, counts: &Counts| {
        let Counts {
            read,
            accepted,
            duplicate,
            rejected,
            skipped,
            repaired,
            new,
            modified,
            unchanged,
            stale,
            deleted,
        } = counts;
        format!(
            "{market}|{path}|{state}|{read}|{accepted}|{duplicate}|{rejected}|{skipped}|{repaired}|{new}|{modified}|{unchanged}|{stale}|{deleted}"
        )
    };
    let expected = markets.iter().flat_map(|(market, model)| {
        model.ledger.iter().map(move |(path, (state, counts))| line(market, path, state, counts))
    });
    differ("tidegate_files", stored, expected.collect())
}

fn marts(sandbox: &Sandbox, markets: &BTreeMap<String, Market>) -> Option<Difference> {
    let shops: Vec<_> =
        markets.iter().map(|(market, model)| (market, model.shop().marts())).collect();
    marts::COLUMNS.into_iter().find_map(|(mart, columns)| {
        let expected = shops.iter().flat_map(|(market, marts)| {
            marts[mart].iter().map(move |row| format!("{market}|{row}"))
        });
        let stored = sandbox.rows(&format!("SELECT market, {columns} FROM {mart}"));
        differ(mart, stored, expected.collect())
    })
}

/// Rows, of which each begins with its market.
fn differ(what: &str, mut stored: Vec<String>, mut expected: Vec<String>) -> Option<Difference> {
    stored.sort();
    expected.sort();
    if stored == expected {
        return None;
    }
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|row| !those.contains(row)).cloned().collect()
    };
    let (surplus, missing) = (only(&stored, &expected), only(&expected, &stored));
    let first = surplus.iter().chain(&missing).chain(&stored).next()?;
    let market = first.split('|').next().unwrap_or_default().to_owned();
    let of_market = |rows: &[String]| {
        let rows = rows.iter().filter(|row| row.starts_with(&format!("{market}|")));
        rows.map(|row| shown(row)).collect::<Vec<_>>().join("\n  ")
    };
    let what =
        format!("{what}:\nstored\n  {}\nexpected\n  {}", of_market(&surplus), of_market(&missing));
    Some(Difference { market, what })
}

/// The drops of a script, as a person would make them.
fn story(script: &[Step]) -> String {
    let mut story = String::new();
    for (number, step) in script.iter().enumerate() {
        for path in &step.gone {
            writeln!(story, "step {number}: {path} vanishes").expect("a string takes everything");
        }
        for drop in &step.drops {
            let modified = feed::format_moment(drop.modified);
            let bytes = shown(&drop.file.bytes.escape_ascii().to_string().replace("\\n", "\n"));
            writeln!(story, "step {number}: {} of {modified}:\n{bytes}", drop.path)
                .expect("a string takes everything");
        }
    }
    story
}

/// Long runs of filling text are cut.
fn shown(text: &str) -> String {
    text.replace(&"z".repeat(100), "").replace(&"k".repeat(100), "k…")
}
