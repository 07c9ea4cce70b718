//! A sandbox: an inbox, a state directory and an empty database, and the built program to work on them.

use crate::servers;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, QueryResult, Statement,
    TransactionTrait, TryGetable,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// Longest wait for a condition: generous, because it is only ever waited for by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The three kinds of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Embedded.
    Sqlite,
    /// MariaDB.
    Mariadb,
    /// PostgreSQL.
    Postgres,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Mariadb, Self::Postgres];
}

/// Runs a scenario on every database, each in a sandbox of its own.
pub fn on_every_database(scenario: impl Fn(&Sandbox)) {
    for engine in Engine::ALL {
        eprintln!("on {engine:?}");
        scenario(&Sandbox::new(engine));
    }
}

/// An inbox, a state directory and an empty database.
#[derive(Debug)]
pub struct Sandbox {
    /// Which database it is.
    pub engine: Engine,
    /// Its URL.
    pub url: String,
    directory: tempfile::TempDir,
}

/// Locks of a transaction, until they are dropped.
#[derive(Debug)]
pub struct Lock(Option<DatabaseTransaction>);

impl Drop for Lock {
    fn drop(&mut self) {
        let rolled_back = self.0.take().map(|transaction| runtime().block_on(transaction.rollback()));
        assert!(std::thread::panicking() || matches!(rolled_back, Some(Ok(()))), "it was open");
    }
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Report {
    /// The exit code; -1 when a signal ended the process.
    pub exit: i32,
    /// A report per file, in no particular order.
    pub files: Vec<FileReport>,
    /// All that was printed as JSON.
    pub json: Value,
    /// Log lines.
    pub stderr: String,
}

/// What was done with a file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Name of the file.
    pub name: String,
    /// `synced`, `unchanged`, `unmatched`, `quarantined` or `failed`.
    pub outcome: String,
    /// Its counts by name: `read`, `accepted`, `duplicate`, `rejected`, `repaired`, `new`, `modified`, `unchanged`, `stale`, `deleted`.
    pub counts: BTreeMap<String, u64>,
    /// Why it is not synced.
    pub error: String,
}

impl FileReport {
    /// New, modified, unchanged and deleted table rows.
    pub fn changes(&self) -> (u64, u64, u64, u64) {
        let count = |name: &str| self.counts[name];
        (count("new"), count("modified"), count("unchanged"), count("deleted"))
    }
}

impl Report {
    /// The report on the file with that name.
    pub fn file(&self, name: &str) -> &FileReport {
        let found = self.files.iter().find(|file| file.name == name);
        found.unwrap_or_else(|| panic!("no report on {name} in {self:?}"))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        servers::remove_database(&self.url);
    }
}

impl Sandbox {
    /// An empty one.
    pub fn new(engine: Engine) -> Self {
        let url = match engine {
            Engine::Sqlite => String::new(),
            Engine::Mariadb => servers::mariadb().fresh_database(),
            Engine::Postgres => servers::postgres().fresh_database(),
        };
        let mut sandbox = Self::on(engine, url);
        if engine == Engine::Sqlite {
            sandbox.url = format!("sqlite://{}", sandbox.path("database.sqlite").display());
        }
        sandbox
    }

    /// One on a database that the test brings.
    pub fn on(engine: Engine, url: String) -> Self {
        let directory = tempfile::tempdir_in(fast_folder()).expect("a temporary directory");
        fs::create_dir(directory.path().join("inbox")).expect("a writable temporary directory");
        Self { engine, url, directory }
    }

    /// One with the same engine and another, empty database.
    pub fn sibling(&self) -> Self {
        Self::new(self.engine)
    }

    /// The watched directory.
    pub fn inbox(&self) -> PathBuf {
        self.directory.path().join("inbox")
    }

    /// Where local files are kept.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A path outside of inbox and state directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the inbox, in place, over what was there.
    pub fn drop_file(&self, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) {
        let path = self.inbox().join(name);
        fs::create_dir_all(path.parent().expect("below the inbox")).expect("a writable inbox");
        fs::write(path, content).expect("a writable inbox");
    }

    /// Copies files into the inbox.
    pub fn drop_files_of(&self, directory: &Path) {
        for entry in fs::read_dir(directory).expect("a directory of samples") {
            let path = entry.expect("a readable directory").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            self.drop_file(&name, &fs::read(&path).expect("a readable sample"));
        }
    }

    /// `tidegate ARGUMENTS` on this sandbox's database and state directory, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("TIDEGATE_DATABASE_URL", &self.url)
            .env("TIDEGATE_STATE_DIR", self.state_dir())
            // Small files have no index by default; here all have one, so that every test shows that nothing depends on it.
            .env("TIDEGATE_RECORD_INDEX_BYTES_MIN", "0")
            // The tests' own variables, which the program would take for keys of its configuration.
            .env_remove("TIDEGATE_MODEL_SEED")
            .env_remove("TIDEGATE_SOAK_SEED")
            .env_remove("TIDEGATE_SOAK_SECONDS")
            .stdin(Stdio::null());
        command
    }

    /// `tidegate sync` on the inbox.
    pub fn sync(&self) -> Report {
        self.sync_with(&[])
    }

    /// `tidegate sync` on the inbox with these environment variables.
    pub fn sync_with(&self, environment: &[(&str, &str)]) -> Report {
        let inbox = self.inbox();
        let mut command = self.command(&["--json", "sync", &inbox.to_string_lossy()]);
        command.envs(environment.iter().copied());
        Report::of(&command.output().expect("the built program starts"))
    }

    /// Starts `tidegate run` on the inbox.
    pub fn start_daemon(&self, environment: &[(&str, &str)]) -> Daemon {
        let address = format!("127.0.0.1:{}", free_port());
        let command = self.command(&["run", &self.inbox().to_string_lossy(), "--listen", &address]);
        self.start(command, &address, environment)
    }

    /// As [`Sandbox::start_daemon`], with so many files and connections as it may have open.
    pub fn start_daemon_within(&self, descriptors: u32, environment: &[(&str, &str)]) -> Daemon {
        let address = format!("127.0.0.1:{}", free_port());
        let plain = self.command(&["run", &self.inbox().to_string_lossy(), "--listen", &address]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")]);
        command.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
        command.current_dir(self.directory.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.start(command, &address, environment)
    }

    /// Starts a command that runs the daemon at this address.
    pub fn start(&self, mut command: Command, address: &str, environment: &[(&str, &str)]) -> Daemon {
        let log = fs::File::create(self.path("daemon.log")).expect("a writable temporary directory");
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("the built program starts");
        Daemon { child, address: address.to_owned(), log: self.path("daemon.log") }
    }

    /// Rows of a query, each as its cells joined by `|`, NULL as `-`, numbers without zeros at their end.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// As [`Sandbox::rows`], for a table that may not be there or a database that may be away.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<String>, sea_orm::DbErr> {
        runtime().block_on(async {
            let connection = self.connect().await?;
            let statement = Statement::from_string(connection.get_database_backend(), sql);
            let rows = connection.query_all_raw(statement).await?;
            let texts = rows.iter().map(row_text).collect();
            connection.close().await?;
            Ok(texts)
        })
    }

    /// Runs a statement.
    pub fn execute(&self, sql: &str) {
        runtime()
            .block_on(async {
                let connection = self.connect().await?;
                connection.execute_unprepared(sql).await?;
                connection.close().await
            })
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Keeps everybody else away from the SQLite file for a while.
    pub fn hold_exclusively(&self, pause: Duration) {
        let held = runtime().block_on(async {
            let mut options = ConnectOptions::new(self.url.as_str());
            options.max_connections(1);
            let connection = Database::connect(options).await?;
            connection.execute_unprepared("BEGIN EXCLUSIVE").await?;
            tokio::time::sleep(pause).await;
            connection.execute_unprepared("ROLLBACK").await?;
            connection.close().await
        });
        // Who writes just now has the file, and the pause with it: that is as good.
        if let Err(error) = held {
            eprintln!("{}: {error}", self.url);
        }
    }

    /// Ends what [`Sandbox::hold_a_snapshot`] began.
    pub fn release(&self, snapshot: DatabaseTransaction) {
        runtime().block_on(snapshot.rollback()).expect("the connection lives");
    }

    /// Begins to read on a connection of its own, which sees the database as it is now until it is released.
    pub fn hold_a_snapshot(&self) -> DatabaseTransaction {
        runtime()
            .block_on(async {
                let reading = self.connect().await?.begin().await?;
                reading.execute_unprepared("SELECT COUNT(*) FROM tidegate_files").await?;
                Ok::<_, sea_orm::DbErr>(reading)
            })
            .expect("the database can be read")
    }

    /// Runs a statement in a transaction that keeps its locks until it is dropped.
    pub fn lock(&self, sql: &str) -> Lock {
        let transaction = runtime().block_on(async {
            let transaction = self.connect().await?.begin().await?;
            transaction.execute_unprepared(sql).await?;
            Ok::<_, sea_orm::DbErr>(transaction)
        });
        Lock(Some(transaction.unwrap_or_else(|error| panic!("{sql}: {error}"))))
    }

    /// Every row of the market tables and the marts, without `_file_id`: what two databases must agree on.
    pub fn dump(&self) -> BTreeMap<&'static str, Vec<String>> {
        const TABLES: [&str; 10] = [
            "customers",
            "orders",
            "order_items",
            "deliveries",
            "delivery_items",
            "customer_metrics",
            "product_metrics",
            "merchant_metrics",
            "agent_metrics",
            "daily_metrics",
        ];
        TABLES
            .into_iter()
            .map(|table| {
                let mut columns = self.columns(table);
                columns.retain(|column| column != "_file_id");
                let quote = if self.engine == Engine::Mariadb { "`" } else { "\"" };
                let list: Vec<String> = columns
                    .iter()
                    .map(|column| match column.as_str() {
                        // Whether, not when.
                        "_deleted_at" => "CASE WHEN _deleted_at IS NULL THEN 'live' ELSE 'deleted' END".to_owned(),
                        column => format!("{quote}{column}{quote}"),
                    })
                    .collect();
                let mut rows = self.rows(&format!("SELECT {} FROM {table}", list.join(", ")));
                rows.sort();
                (table, rows)
            })
            .collect()
    }

    /// Names of a table's columns, in alphabetical order.
    pub fn columns(&self, table: &str) -> Vec<String> {
        let sql = match self.engine {
            Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            Engine::Mariadb => format!(
                "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{table}'"
            ),
            Engine::Postgres => format!(
                "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{table}'"
            ),
        };
        let mut columns = self.rows(&sql);
        columns.sort();
        columns
    }

    async fn connect(&self) -> Result<DatabaseConnection, sea_orm::DbErr> {
        Database::connect(self.url.as_str()).await
    }
}

impl Report {
    /// Reads what a command with `--json` printed.
    pub fn of(output: &Output) -> Self {
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let files = json["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let counts = |file: &Value| {
            let fields = file.as_object().into_iter().flatten();
            fields.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
        };
        let report = |file: &Value| FileReport {
            name: text(&file["name"]),
            outcome: text(&file["outcome"]),
            counts: counts(file),
            error: text(&file["error"]),
        };
        Self {
            exit: output.status.code().unwrap_or(-1),
            files: files.iter().map(report).collect(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            json,
        }
    }
}

/// A running `tidegate run`; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// Where it answers.
    pub address: String,
    log: PathBuf,
}

impl Daemon {
    /// Status and body of a GET, or `None` while nobody listens.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        let status = response.split(' ').nth(1)?.parse().ok()?;
        let body = response.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }

    /// Waits until `/readyz` says 200.
    pub fn wait_until_ready(&self) {
        wait_for("the daemon to be ready", || self.get("/readyz").is_some_and(|(status, _)| status == 200));
    }

    /// Sends SIGTERM and returns the exit code (-1 for a signal) and how long the end took.
    pub fn terminate(&mut self) -> (i32, Duration) {
        let started = Instant::now();
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "the daemon runs");
        let status = self.child.wait().expect("the daemon is a child of this process");
        (status.code().unwrap_or(-1), started.elapsed())
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself; returns the exit code, -1 for a signal.
    pub fn wait_for_end(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the daemon is a child of this process") {
                return status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < DEADLINE, "waited in vain for the daemon's end");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}

/// Where sandboxes lie: in memory, where there is room, else in the temporary folder. Tests kill processes, which loses
/// nothing that a file system holds; no test stops the machine, so that none needs a disk to flush to, and a disk that
/// others use takes longer for that than everything else together.
fn fast_folder() -> &'static Path {
    const MEMORY: &str = "/dev/shm";
    /// Far more than the sandboxes of a few tests at a time.
    const BYTES_FREE_MIN: u64 = 2 << 30;
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let has_room = rustix::fs::statvfs(MEMORY)
            .is_ok_and(|folder| folder.f_bavail.saturating_mul(folder.f_frsize) >= BYTES_FREE_MIN);
        let is_ours_to_write = rustix::fs::access(MEMORY, rustix::fs::Access::WRITE_OK).is_ok();
        if has_room && is_ours_to_write { MEMORY.into() } else { std::env::temp_dir() }
    });
    &FOLDER
}

/// Waits for a condition.
pub fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Lines with line ends.
pub fn table(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A port that nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    listener.local_addr().expect("a bound listener has an address").port()
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().expect("threads can be started"))
}

fn row_text(row: &QueryResult) -> String {
    let cells: Vec<String> = (0..row.column_names().len()).map(|index| cell_text(row, index)).collect();
    cells.join("|")
}

/// The first type that the driver reads the cell as decides how it is written.
fn cell_text(row: &QueryResult, index: usize) -> String {
    fn read<T: TryGetable>(row: &QueryResult, index: usize) -> Option<Option<T>> {
        row.try_get_by_index::<Option<T>>(index).ok()
    }
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    if let Some(integer) = read::<i64>(row, index) {
        return text(integer);
    }
    if let Some(integer) = read::<i32>(row, index) {
        return text(integer);
    }
    if let Some(decimal) = read::<sea_orm::prelude::Decimal>(row, index) {
        return text(decimal.map(|decimal| decimal.normalize()));
    }
    if let Some(real) = read::<f64>(row, index) {
        return text(real);
    }
    if let Some(moment) = read::<sea_orm::prelude::DateTimeUtc>(row, index) {
        return text(moment.map(|moment| moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)));
    }
    if let Some(moment) = read::<sea_orm::prelude::DateTime>(row, index) {
        return text(moment.map(|moment| moment.and_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)));
    }
    if let Some(day) = read::<sea_orm::prelude::Date>(row, index) {
        return text(day);
    }
    if let Some(string) = read::<String>(row, index) {
        return text(string);
    }
    let bytes =
        read::<Vec<u8>>(row, index).unwrap_or_else(|| panic!("column {index} is of no type that tidegate stores"));
    text(bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
