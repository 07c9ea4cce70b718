//! Exports: a market's files in two versions, each of several chunks, with everything in them that
//! a restart could do twice or forget: changed and moved records, lost lines, repeated lines,
//! records whose rows stand apart, rejects, and new columns.

use crate::sandbox::{Report, Sandbox, wait_for};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The least memory, hence the smallest chunks: 512 KiB of text.
pub const SMALL_CHUNKS: (&str, &str) = ("TIDEGATE_MEMORY_MAX_MB", "64");

/// Orders of the first version; at [`REMARK_CHARS`] a row they make three to four chunks.
const ORDERS: usize = 140;

/// Orders that the second version adds.
const ORDERS_ADDED: usize = 12;

const REMARK_CHARS: usize = 5000;

/// The two versions of a market's exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The first one of the market.
    First,
    /// The whole export again, with new, changed and lost rows, and with another new column.
    Second,
}

/// A market that exports customers, orders and deliveries.
#[derive(Clone, Debug)]
pub struct Market {
    name: String,
    /// Part of the names of the columns that nobody declared.
    columns: String,
}

impl Market {
    /// A market with undeclared columns that every market has.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), columns: String::new() }
    }

    /// A market with undeclared columns that no other one has.
    pub fn with_own_columns(name: &str) -> Self {
        Self { name: name.to_owned(), columns: format!(" {name}") }
    }

    /// Writes the three files of a version, over those of the version before.
    pub fn drop_version(&self, sandbox: &Sandbox, version: Version) {
        for (name, text) in self.files(version) {
            sandbox.drop_file(&format!("market-{}/{name}", self.name), &text);
        }
    }

    /// Writes the three files of a version beside those of the others.
    pub fn drop_dated(&self, sandbox: &Sandbox, version: Version) {
        let date = if version == Version::First { "2024-03-01" } else { "2024-03-02" };
        for (name, text) in self.files(version) {
            let dated = name.replace('.', &format!("-{date}."));
            sandbox.drop_file(&format!("market-{}/market-{}-{dated}", self.name, self.name), &text);
        }
    }

    /// `tidegate sync` on the files of this market alone, not yet started.
    pub fn sync_command(&self, sandbox: &Sandbox) -> Command {
        let folder = sandbox.inbox().join(format!("market-{}", self.name));
        let mut command = sandbox.command(&["--json", "sync", &folder.to_string_lossy()]);
        command.env(SMALL_CHUNKS.0, SMALL_CHUNKS.1);
        command
    }

    /// Syncs the files of this market alone; `failpoints` as the crate `fail` reads them.
    pub fn sync(&self, sandbox: &Sandbox, failpoints: &str) -> Report {
        let output = self.sync_command(sandbox).env("FAILPOINTS", failpoints).output();
        Report::of(&output.expect("the built program starts"))
    }

    /// The files by name.
    pub fn files(&self, version: Version) -> [(&'static str, String); 3] {
        [
            ("customers.json", self.customers(version)),
            ("orders.csv", self.orders(version)),
            ("deliveries.csv", self.deliveries(version)),
        ]
    }

    fn customers(&self, version: Version) -> String {
        let extra = self.extra(version);
        let objects = (0..count(version)).map(|number| {
            let points =
                number * 10 + usize::from(version == Version::Second && number.is_multiple_of(4));
            let mut object =
                format!("{{\"Customer ID\": {}, \"Loyalty Points\": {points}", 7000 + number);
            // Absent is not NULL: most objects of the second version lack what those of the first
            // have.
            if version == Version::First || number.is_multiple_of(3) {
                write!(object, ", \"Remarks\": \"{}\"", remark(number))
                    .expect("a string takes everything");
            }
            if number.is_multiple_of(2) {
                write!(object, ", \"{extra}\": \"c{number}\"").expect("a string takes everything");
            }
            object + "}"
        });
        format!("[\n{}\n]\n", objects.collect::<Vec<_>>().join(",\n"))
    }

    fn orders(&self, version: Version) -> String {
        let mut text = format!(
            "Order ID,Order Status,Category Name,SKU,Quantity,Total Cost Price,Total Price,Order Total,\
             Currency Symbol,Customer ID,Merchant ID,Order Time,Redeemed Loyalty Points,Description,{}\n",
            self.extra(version)
        );
        // Rows that stand apart from the others of their order.
        let mut apart = String::new();
        for number in 0..count(version) {
            let order = Order { number, version };
            let lines = order.lines();
            for line in 0..lines {
                let is_apart = number % 17 == 5 && line + 1 == lines;
                let target = if is_apart { &mut apart } else { &mut text };
                target.push_str(&order.row(line));
                if number % 13 == 0 {
                    target.push_str(&order.row(line));
                }
            }
            if number == 40 {
                text.push_str(
                    "3.68E+29,COMPLETED,Oils,S1,1,1,2,2,KSh,7001,1,2024-02-01T00:00:00.000Z,1,lost digits,1\n",
                );
            }
        }
        text + &apart
    }

    fn deliveries(&self, version: Version) -> String {
        let mut text = format!(
            "Task_ID,Order_ID,Agent_ID,Distance(m),Total_Time_Taken(min),Task_Status,Rating,Task_Details_QTY,\
             Task_Details_AMOUNT,Notes,Subtotal,{}\n",
            self.extra(version)
        );
        for number in 0..count(version) {
            let order = Order { number, version };
            let status = if order.is_cancelled() { "Failed" } else { "Completed" };
            let agent =
                300 + (number + usize::from(version == Version::Second && number % 10 == 3)) % 7;
            let lines = order.lines().min(2);
            for line in 0..lines {
                let subtotal =
                    if line + 1 == lines { order.total().to_string() } else { "-".to_owned() };
                writeln!(
                    text,
                    "{},\"YR-{},0\",{agent},{}.25,{}.5,{status},{},1,KSh {},{},{subtotal},{}",
                    50_000 + number,
                    1000 + number,
                    number * 13 % 5000,
                    number % 90,
                    number % 6,
                    order.price(line),
                    remark(number),
                    number / 2,
                )
                .expect("a string takes everything");
            }
        }
        text
    }

    /// A column that nobody declared: one that the other version does not have.
    fn extra(&self, version: Version) -> String {
        format!("Extra {version:?}{}", self.columns)
    }
}

const fn count(version: Version) -> usize {
    match version {
        Version::First => ORDERS,
        Version::Second => ORDERS + ORDERS_ADDED,
    }
}

/// Text that fills chunks.
fn remark(number: usize) -> String {
    format!("remark {number} {}", ".".repeat(REMARK_CHARS))
}

struct Order {
    number: usize,
    version: Version,
}

impl Order {
    fn is_changed(&self, every: usize, remainder: usize) -> bool {
        self.version == Version::Second && self.number % every == remainder
    }

    fn is_cancelled(&self) -> bool {
        self.number % 19 == 3 || self.is_changed(14, 6)
    }

    fn lines(&self) -> usize {
        let lines = 1 + self.number % 4;
        if self.is_changed(8, 7) { lines - 1 } else { lines }
    }

    fn price(&self, line: usize) -> usize {
        10 + self.number * 7 % 90 + line * 5 + usize::from(self.is_changed(9, 2))
    }

    fn total(&self) -> usize {
        (0..self.lines()).map(|line| self.price(line)).sum()
    }

    fn row(&self, line: usize) -> String {
        let number = self.number;
        // Some orders go to another customer, and with him to another group of every mart.
        let customer = 7000 + (number + usize::from(self.is_changed(11, 4))) % 40;
        let day = 1 + (number / 12 + usize::from(self.is_changed(23, 1))) % 28;
        format!(
            "{},{},Oils,S{},{},{}.5,{},{},KSh,{customer},{},2024-02-{day:02}T08:00:00.000Z,{},{},{}\n",
            1000 + number,
            if self.is_cancelled() { "CANCELLED" } else { "COMPLETED" },
            (number + line * 3) % 25,
            1 + line,
            self.price(line) / 2,
            self.price(line),
            self.total(),
            900 + number % 3,
            number % 5,
            remark(number),
            number + line,
        )
    }
}

/// A `tidegate sync` that runs beside the test; dropping it kills it.
#[derive(Debug)]
pub struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts a command with these environment variables.
    pub fn start(sandbox: &Sandbox, mut command: Command, environment: &[(&str, &str)]) -> Self {
        let log = sandbox.path("sync.log");
        let stderr = fs::File::create(&log).expect("a writable temporary directory");
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(stderr);
        Self { child: command.spawn().expect("the built program starts"), log }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits for its end; returns the exit code, -1 for a signal.
    pub fn finish(&mut self) -> i32 {
        self.child.wait().expect("it is a child of this process").code().unwrap_or(-1)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of the sync:\n{}", self.log());
        }
    }
}

/// Waits until some file is committed in part.
pub fn wait_for_half_a_file(sandbox: &Sandbox) {
    let half_done =
        "SELECT id FROM tidegate_files WHERE state = 'syncing' AND position IS NOT NULL";
    wait_for("a file to be half done", || {
        sandbox.try_rows(half_done).is_ok_and(|files| !files.is_empty())
    });
}

/// All that a restart could get wrong: tables and marts, which file wrote which row, the ledger's
/// counts, rejects, schema changes, and groups that nobody recomputed.
pub fn everything(sandbox: &Sandbox) -> BTreeMap<&'static str, Vec<String>> {
    const COUNTS: &str = "rows_read, rows_accepted, rows_duplicate, rows_rejected, rows_repaired, rows_new, \
         rows_modified, rows_unchanged, rows_stale, rows_deleted";
    let mut everything = sandbox.dump();
    let mut add = |name, sql: &str| {
        let mut rows = sandbox.rows(sql);
        rows.sort();
        everything.insert(name, rows);
    };
    add("ledger", &format!("SELECT dataset, market, sha256, state, {COUNTS} FROM tidegate_files"));
    add(
        "rejects",
        "SELECT f.sha256, r.row_number, r.column_name, r.reason FROM tidegate_rejects r JOIN tidegate_files f ON f.id = r.file_id",
    );
    add(
        "schema changes",
        "SELECT table_name, column_name, change_kind, new_type FROM tidegate_schema_changes",
    );
    add("dirty groups", "SELECT mart, market, group_key FROM tidegate_dirty_groups");
    add("writers of customers", &writers("customers", "r.customer_id"));
    add("writers of orders", &writers("orders", "r.order_id"));
    add("writers of order_items", &writers("order_items", "r.order_id, r.line_no"));
    add("writers of deliveries", &writers("deliveries", "r.task_id"));
    add("writers of delivery_items", &writers("delivery_items", "r.task_id, r.line_no"));
    add(
        "enriched deliveries",
        "SELECT COUNT(*), COUNT(customer_id), COUNT(customer_loyalty_points) FROM enriched_deliveries",
    );
    everything
}

fn writers(table: &str, key: &str) -> String {
    format!(
        "SELECT r.market, {key}, f.sha256 FROM {table} r JOIN tidegate_files f ON f.id = r._file_id"
    )
}

/// Rows are long: that much of one is shown.
const ROW_CHARS_SHOWN: usize = 300;

/// Waits until the ledger has so many synced files; the database may be away meanwhile.
pub fn wait_for_synced(sandbox: &Sandbox, files: usize) {
    let sql = "SELECT id FROM tidegate_files WHERE state = 'synced'";
    wait_for("every file to be synced", || {
        sandbox.try_rows(sql).is_ok_and(|synced| synced.len() == files)
    });
}

/// Panics where the database differs from one that took these versions without any trouble.
pub fn is_as_after_a_clean_run(sandbox: &Sandbox, market: &Market, versions: &[Version]) {
    let clean = sandbox.sibling();
    for &version in versions {
        market.drop_version(&clean, version);
        let report = market.sync(&clean, "");
        assert_eq!(report.exit, 0, "{}", report.stderr);
    }
    assert_same(&everything(sandbox), &everything(&clean), "beside a clean run");
}

/// Compares what [`everything`] or [`Sandbox::dump`] found, part by part, and shows only what
/// differs.
pub fn assert_same(
    actual: &BTreeMap<&'static str, Vec<String>>,
    clean: &BTreeMap<&'static str, Vec<String>>,
    story: &str,
) {
    for (part, expected) in clean {
        let found = &actual[part];
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            let only = these.iter().filter(|row| !those.contains(row)).take(5);
            only.map(|row| row.replace("..", "").chars().take(ROW_CHARS_SHOWN).collect()).collect()
        };
        assert!(
            found == expected,
            "{story}: {part} has {} rows, a clean run {}; only here: {:#?}; only there: {:#?}",
            found.len(),
            expected.len(),
            only(found, expected),
            only(expected, found),
        );
    }
}
