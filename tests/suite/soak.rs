//! The soak: a daemon at work for as long as one likes, while all feeds are dropped at random times
//! and sizes, files are overwritten and removed, the daemon is stopped and killed, and the database
//! goes away. What is dropped last is the complete state of every market, so in the end tables and
//! marts must equal the model, whatever came before.
//!
//! `TIDEGATE_SOAK_SECONDS=3600 tests/run soak -- --test-threads 3` soaks each database for an hour,
//! side by side.

use crate::exports::SMALL_CHUNKS;
use crate::model::difference_of_tables;
use crate::model::feed::{Feed, KEYS, Value};
use crate::model::file::{Export, write, write_complete};
use crate::model::state::{Drop, Market, Rules};
use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use crate::servers::{Kind, Server};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the suite soaks each database: enough for some of everything.
const SECONDS_DEFAULT: u64 = 12;

/// Two of them differ by their case alone.
const MARKETS: [&str; 4] = ["1", "2", "x1", "X1"];

/// Records of an export: most are small, one in ten has up to as many as this.
const RECORDS_MAX: usize = 1500;

/// Longest pause between two things that happen, in a short soak and in a long one, which need not
/// hurry.
const PAUSE_MAX_MS: [u64; 2] = [1200, 5000];

/// With work in the backlog, the daemon either gets on or says within this time what it waits for.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Longest wait for the last files: the whole backlog of a long soak comes before them.
const END_MAX: Duration = Duration::from_secs(900);

const SETTINGS: [(&str, &str); 4] = [
    SMALL_CHUNKS,
    ("TIDEGATE_SETTLE_SCAN_MS", "1000"),
    ("TIDEGATE_SCAN_INTERVAL_MS", "2000"),
    // Every row that cannot be loaded is a reject here, never the end of its file.
    ("TIDEGATE_REJECTS_MAX_PERCENT", "100"),
];

mod a_long_day_ends_in_the_right_tables {
    use super::{Engine, Kind, Sandbox, Server, soak};

    #[test]
    fn sqlite() {
        soak(&Sandbox::new(Engine::Sqlite), None);
    }

    #[test]
    fn mariadb() {
        let server = Server::start_private(Kind::Mariadb);
        soak(&Sandbox::on(Engine::Mariadb, server.fresh_database()), Some(&server));
    }

    #[test]
    fn postgres() {
        let server = Server::start_private(Kind::Postgres);
        soak(&Sandbox::on(Engine::Postgres, server.fresh_database()), Some(&server));
    }
}

fn soak(sandbox: &Sandbox, server: Option<&Server>) {
    let seed = setting("TIDEGATE_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    let seconds = setting("TIDEGATE_SOAK_SECONDS").unwrap_or(SECONDS_DEFAULT);
    eprintln!("TIDEGATE_SOAK_SEED={seed} on {:?}", sandbox.engine);
    let mut day = Day {
        sandbox,
        server,
        random: Rng::with_seed(seed),
        daemon: sandbox.start_daemon(&SETTINGS),
        silence: Silence::default(),
        happened: BTreeMap::new(),
    };
    let pause_max_ms = PAUSE_MAX_MS[usize::from(seconds > SECONDS_DEFAULT)];
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds) {
        day.something_happens();
        sleep(Duration::from_millis(day.random.u64(..pause_max_ms)));
        day.check_progress();
    }
    eprintln!("{:?}: {:?}", sandbox.engine, day.happened);
    day.end();
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}

struct Day<'a> {
    sandbox: &'a Sandbox,
    server: Option<&'a Server>,
    random: Rng,
    daemon: Daemon,
    silence: Silence,
    /// How often each kind of thing happened, for who reads the output.
    happened: BTreeMap<&'static str, u64>,
}

/// When the daemon last got on, or said something.
#[derive(Default)]
struct Silence {
    seen: String,
    since: Option<Instant>,
}

impl Day<'_> {
    fn something_happens(&mut self) {
        let what = match self.random.u8(..100) {
            0..=2 => {
                // Before it has said anything, a signal ends it as any process.
                wait_for("the daemon's first line", || !self.daemon.log().is_empty());
                let (exit, _) = self.daemon.terminate();
                assert_eq!(exit, 0, "{}", self.daemon.log());
                self.start_daemon();
                "stops"
            }
            3..=5 => {
                self.daemon.kill();
                self.start_daemon();
                "kills"
            }
            6..=8 => {
                self.database_goes_away();
                "outages"
            }
            9..=12 => {
                self.a_file_vanishes();
                "files gone"
            }
            13..=16 => {
                self.a_file_is_touched();
                "files touched"
            }
            _ => {
                for _ in 0..self.random.usize(1..4) {
                    self.a_file_is_dropped();
                }
                "drops"
            }
        };
        *self.happened.entry(what).or_default() += 1;
    }

    /// The log begins anew with each daemon.
    fn start_daemon(&mut self) {
        self.daemon = self.sandbox.start_daemon(&SETTINGS);
        self.silence = Silence::default();
    }

    fn database_goes_away(&mut self) {
        let pause = Duration::from_millis(self.random.u64(100..4000));
        match self.server {
            Some(server) => {
                server.stop();
                sleep(pause);
                server.start_again();
            }
            None => self.sandbox.hold_exclusively(pause),
        }
    }

    fn a_file_is_dropped(&mut self) {
        let feed = Feed::ALL[self.random.usize(..Feed::ALL.len())];
        let market = MARKETS[self.random.usize(..MARKETS.len())];
        let records = records(&mut self.random, feed);
        let file = write(&mut self.random, feed, &records);
        let (name, extension) = (feed.name(), file.extension);
        let date = chrono::Utc::now().format("%Y-%m-%d");
        let path = match self.random.u8(..4) {
            0 => format!("market-{market}/{name}.{extension}"),
            1 => format!("market-{market}/{name}-{date}.{extension}"),
            2 => format!("{date} market {market} {name}.{extension}"),
            _ => format!("market_{market}_{name}_{}.{extension}", self.random.u8(1..5)),
        };
        let target = self.sandbox.inbox().join(path);
        fs::create_dir_all(target.parent().expect("it is below the inbox"))
            .expect("the inbox is ours");
        match self.random.u8(..3) {
            0 => move_into_place(&target, &file.bytes),
            1 => fs::write(&target, &file.bytes).expect("the inbox is ours"),
            _ => self.write_slowly(&target, &file.bytes),
        }
    }

    fn write_slowly(&mut self, target: &Path, bytes: &[u8]) {
        let mut file = fs::File::create(target).expect("the inbox is ours");
        for part in bytes.chunks(bytes.len() / 2 + 1) {
            file.write_all(part).expect("the inbox is ours");
            sleep(Duration::from_millis(self.random.u64(..400)));
        }
    }

    fn any_file(&mut self) -> Option<std::path::PathBuf> {
        let entries = fs::read_dir(self.sandbox.inbox()).expect("the inbox is ours");
        let files: Vec<_> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        (!files.is_empty()).then(|| files[self.random.usize(..files.len())].clone())
    }

    fn a_file_vanishes(&mut self) {
        if let Some(path) = self.any_file() {
            fs::remove_file(path).expect("the inbox is ours");
        }
    }

    fn a_file_is_touched(&mut self) {
        if let Some(path) = self.any_file() {
            let bytes = fs::read(&path).expect("the inbox is ours");
            fs::write(path, bytes).expect("the inbox is ours");
        }
    }

    /// Nothing waits for long without a line in the log.
    fn check_progress(&mut self) {
        assert!(self.daemon.is_running(), "the daemon ended:\n{}", self.daemon.log());
        let Some((_, status)) = self.daemon.get("/api/status") else { return };
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let is_idle = status["backlog"].as_u64() == Some(0);
        let seen = format!("{} {} {}", status["files"], status["backlog"], self.daemon.log().len());
        if is_idle || seen != self.silence.seen {
            self.silence = Silence { seen, since: None };
        }
        let silent = self.silence.since.get_or_insert_with(Instant::now).elapsed();
        assert!(
            silent < SILENCE_MAX,
            "nothing moved and nothing was said for {silent:?}: {status}"
        );
    }

    /// Drops the complete state of every market, and compares what becomes of it.
    fn end(mut self) {
        let mut markets: BTreeMap<String, Market> = BTreeMap::new();
        let rules = Rules {
            deltas: Vec::new(),
            rejects_max_percent: 100,
            deletes: BTreeMap::new(),
            deletes_max_percent: 100,
        };
        let mut paths = Vec::new();
        for market in MARKETS {
            for feed in Feed::ALL {
                let keys: Vec<String> = all_keys().collect();
                let records: Vec<_> =
                    keys.into_iter().map(|key| record(&mut self.random, feed, key)).collect();
                let file = write_complete(&mut self.random, feed, &records);
                let path = format!("Market {market} {}.csv", feed.name());
                move_into_place(&self.sandbox.inbox().join(&path), &file.bytes);
                let drop = Drop { feed, path: path.clone(), file, modified: 0, date: None };
                markets.entry(market.to_owned()).or_default().take(&[drop], &rules);
                paths.push(path);
            }
        }
        let is_synced = |path: &String| {
            let path = self.sandbox.inbox().join(path);
            let sql = format!("SELECT state FROM tidegate_files WHERE path = '{}'", path.display());
            self.sandbox.try_rows(&sql).is_ok_and(|states| states == ["synced"])
        };
        let started = Instant::now();
        while !paths.iter().all(is_synced) {
            assert!(self.daemon.is_running(), "the daemon ended:\n{}", self.daemon.log());
            assert!(
                started.elapsed() < END_MAX,
                "the last files are not synced after {END_MAX:?}:\n{}",
                self.daemon.log()
            );
            sleep(Duration::from_millis(200));
        }
        let (exit, _) = self.daemon.terminate();
        assert_eq!(exit, 0, "{}", self.daemon.log());
        let sandbox = self.sandbox;
        // A daemon prints its log where a test fails. It says nothing of what the tables hold.
        drop(self.daemon);
        let difference = difference_of_tables(sandbox, &markets);
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
        let verified = sandbox.command(&["verify"]).output().expect("the built program starts");
        let said = [verified.stdout, verified.stderr].concat();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// As a careful sender does it: under another name, then renamed.
fn move_into_place(target: &Path, bytes: &[u8]) {
    let written = target.with_extension("part");
    fs::write(&written, bytes).expect("the inbox is ours");
    fs::rename(written, target).expect("the inbox is ours");
}

/// Every key there may be: those that careless comparisons merge, and plain ones.
fn all_keys() -> impl Iterator<Item = String> {
    KEYS.iter()
        .map(|&key| key.to_owned())
        .chain((0..RECORDS_MAX).map(|number| format!("n{number}")))
}

/// Any records of a feed, few or many.
fn records(random: &mut Rng, feed: Feed) -> Vec<(String, Export)> {
    let count =
        if random.u8(..10) == 0 { random.usize(1..RECORDS_MAX) } else { random.usize(1..30) };
    let mut keys: Vec<String> = all_keys().collect();
    random.shuffle(&mut keys);
    keys.truncate(count);
    keys.into_iter().map(|key| record(random, feed, key)).collect()
}

fn record(random: &mut Rng, feed: Feed, key: String) -> (String, Export) {
    let lines = if feed == Feed::Customers { 0 } else { random.usize(1..4) };
    let lines = (0..lines).map(|_| cells(random, feed, true)).collect();
    (key, Export { header: cells(random, feed, false), lines })
}

fn cells(random: &mut Rng, feed: Feed, is_line: bool) -> BTreeMap<&'static str, Value> {
    let columns = feed.columns().iter().filter(|column| column.is_line == is_line);
    columns.map(|column| (column.name, Value::any(random, column.kind))).collect()
}
