//! A sandbox: an inbox, a state directory and an empty database, and the built program to work on
//! them.

mod daemon;
mod database;
mod report;

pub use daemon::Daemon;
pub use report::{FileReport, Report};

use crate::{fast_folder, servers};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// An inbox, a state directory and an empty database.
#[derive(Debug)]
pub struct Sandbox {
    /// Which database it is.
    pub engine: Engine,
    /// Its URL.
    pub url: String,
    directory: tempfile::TempDir,
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

    /// An empty one on SQLite.
    pub fn sqlite() -> Self {
        Self::new(Engine::Sqlite)
    }

    /// An empty one on MariaDB.
    pub fn mariadb() -> Self {
        Self::new(Engine::Mariadb)
    }

    /// An empty one on PostgreSQL.
    pub fn postgres() -> Self {
        Self::new(Engine::Postgres)
    }

    /// One on a database that the test brings.
    pub fn on(engine: Engine, url: String) -> Self {
        let directory = tempfile::tempdir_in(fast_folder::path()).expect("a temporary directory");
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
            let name =
                path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
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
            // Small files have no index by default; here all have one, so that every test shows
            // that nothing depends on it.
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
    pub fn start(
        &self,
        mut command: Command,
        address: &str,
        environment: &[(&str, &str)],
    ) -> Daemon {
        let log =
            fs::File::create(self.path("daemon.log")).expect("a writable temporary directory");
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("the built program starts");
        Daemon { child, address: address.to_owned(), log: self.path("daemon.log") }
    }
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
