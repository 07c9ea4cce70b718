//! A server: a private PostgreSQL or MariaDB on a loopback port, its data in a temporary folder.
//! Its one job is to give each test an empty database, and to be gone when the test process is.
//!
//! What ends a server: its drop, for a private one; `folder::remove_everything`, when the process
//! exits; the kernel, when the process is killed (`process::die_with_this_process`). A killed
//! process leaves only its folder, which the next run removes (`folder::sweep_stale_folders`).

mod folder;
mod process;
mod program;

use folder::{process_folder, running};
use process::{end, poll, run, spawn};
use program::{MARIADB, POSTGRES, Program, account, program_path};
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A busy two-core machine starts a server in a few seconds; one that needs longer never will.
const READY_MAX: Duration = Duration::from_secs(30);
/// About what one question to a server takes, so that asking leaves it room to start.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A port is seldom lost between probing and binding; this often in a row, something else is wrong.
const PORT_ATTEMPTS_MAX: usize = 5;
/// Below Linux's ephemeral ports (32768 and up): no outgoing connection takes a stopped server's.
const PORT_FIRST: u32 = 20_000;
const PORT_COUNT: u32 = 12_000;
const LOG_TAIL_LINES: usize = 40;

static SHARED_POSTGRES: OnceLock<Server> = OnceLock::new();
static SHARED_MARIADB: OnceLock<Server> = OnceLock::new();

/// The PostgreSQL that the tests of this process share, started by the first that asks.
pub fn postgres() -> &'static Server {
    SHARED_POSTGRES.get_or_init(|| Server::start_private(Kind::Postgres))
}

/// The MariaDB that the tests of this process share, started by the first that asks.
pub fn mariadb() -> &'static Server {
    SHARED_MARIADB.get_or_init(|| Server::start_private(Kind::Mariadb))
}

/// Removes a database of a shared server, by its URL; one elsewhere goes with its server.
///
/// A run makes hundreds of them, and those of tests that are over would fill the disk.
pub fn remove_database(url: &str) {
    let shared = [&SHARED_POSTGRES, &SHARED_MARIADB];
    for server in shared.into_iter().filter_map(OnceLock::get) {
        let address = format!("@127.0.0.1:{}/", server.port);
        if let Some((_, name)) = url.split_once(&address) {
            // What resists goes with the server.
            let _ = run(server.client(&server.program.drop_database.replace("$name", name)));
        }
    }
}

/// One database server of ours. Dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Server {
    program: &'static Program,
    /// Data, log and socket. Nobody else writes here: who answers on the socket is this server.
    folder: PathBuf,
    /// Stays the same when the server is stopped and started again. Also its key in `running`.
    port: u16,
}

/// Which program a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `postgres`
    Postgres,
    /// `mariadbd`
    Mariadb,
}

impl Server {
    /// Starts a server of the test's own, to stop and start without disturbing other tests.
    pub fn start_private(kind: Kind) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let program = match kind {
            Kind::Postgres => &POSTGRES,
            Kind::Mariadb => &MARIADB,
        };
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = process_folder().join(format!("{}-{number}", program.name));
        let port = free_port();
        let mut server = Self { program, folder, port };
        server.install();
        for _ in 0..PORT_ATTEMPTS_MAX {
            if server.launch() == Launch::Ready {
                server.administer(program.create_user);
                return server;
            }
            server.port = free_port();
        }
        panic!("{} lost {PORT_ATTEMPTS_MAX} ports in a row", program.name)
    }

    /// Creates an empty database that the ordinary user `tidegate` owns, and returns its URL.
    pub fn fresh_database(&self) -> String {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", CREATED.fetch_add(1, Ordering::Relaxed));
        self.administer(&self.program.create_database.replace("$name", &name));
        let scheme = self.program.url_scheme;
        format!("{scheme}://tidegate:pw@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs SQL as administrator, outside the tests' databases. Returns what the client prints:
    /// bare values, a row a line.
    pub fn administer(&self, sql: &str) -> String {
        run(self.client(sql)).unwrap_or_else(|failure| panic!("{sql}: {failure}"))
    }

    /// Stops the server as a crash would: connections break, nothing is flushed. Does nothing to a
    /// server that is stopped.
    pub fn stop(&self) {
        let child = running().remove(&self.port);
        if let Some((program, child)) = child {
            end(program, child);
        }
    }

    /// Starts a stopped server on its old port and data, and waits until it has recovered.
    pub fn start_again(&self) {
        let (name, port) = (self.program.name, self.port);
        let is_running = running().contains_key(&port);
        assert!(!is_running, "start_again() without stop(): {name}");
        let deadline = Instant::now() + READY_MAX;
        while self.launch() == Launch::PortTaken {
            let in_time = Instant::now() < deadline;
            assert!(in_time, "another program keeps port {port} of {name}");
        }
    }

    fn install(&self) {
        fs::create_dir(&self.folder).expect("the process folder is ours, the name is new");
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700)).expect("it is ours");
        if let Some((uid, gid)) = account(self.program) {
            chown(&self.folder, Some(uid), Some(gid)).expect("root may give a folder away");
        }
        let (name, text) = self.program.file;
        fs::write(self.folder.join(name), text).expect("the folder is ours");
        let installed = run(self.command(self.program.install));
        installed.unwrap_or_else(|failure| panic!("installing {}: {failure}", self.program.name));
    }

    /// Starts the program and waits until it answers on its own socket, which it opens after its
    /// port: what answers on the port by then is not another process's server that was quicker.
    fn launch(&self) -> Launch {
        let name = self.program.name;
        let log_path = self.folder.join("server.log");
        let log = File::create(&log_path).expect("the folder is ours");
        let mut command = self.command(self.program.serve);
        command.stderr(log);
        let mut child = spawn(command, self.program.stop_signal);
        let deadline = Instant::now() + READY_MAX;
        loop {
            if let Some(status) = poll(&mut child) {
                let tail = log_tail(&log_path);
                let port_taken = tail.contains("Address already in use");
                assert!(port_taken, "{name} ended with {status}:\n{tail}");
                return Launch::PortTaken;
            }
            if run(self.client("SELECT 1")).is_ok() {
                running().insert(self.port, (self.program, child));
                return Launch::Ready;
            }
            if Instant::now() > deadline {
                end(self.program, child);
                let tail = log_tail(&log_path);
                panic!("{name} gave no answer in {READY_MAX:?}:\n{tail}");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn client(&self, sql: &str) -> Command {
        let mut command = self.command(self.program.client);
        let password = [("PGPASSWORD", "pw"), ("MYSQL_PWD", "pw")];
        command.arg(sql).envs(password);
        command
    }

    /// A command from words, which this machine's settings (`PGHOST`, a language) cannot steer.
    fn command(&self, words: &str) -> Command {
        let folder = self.folder.to_string_lossy();
        let port = self.port.to_string();
        let words = words.split_whitespace();
        let mut words = words.map(|word| word.replace("$folder", &folder).replace("$port", &port));
        let mut command = Command::new(words.next().expect("a command has a program"));
        command.args(words).env_clear().env("PATH", program_path());
        command.env("LC_ALL", "C.UTF-8").env("TMPDIR", &self.folder);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(Stdio::null());
        // Ctrl-C, or a kill of our group, then reaches only us, and the death signal does the rest.
        command.process_group(0);
        if let Some((uid, gid)) = account(self.program) {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        // What resists goes with the process folder, at exit or in a later run's sweep.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[derive(PartialEq, Eq)]
enum Launch {
    Ready,
    PortTaken,
}

/// A port that is free now and was never given out here, so that no server finds a stopped one's.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORT_COUNT {
        // Processes that run side by side start at different places.
        let place = std::process::id() * 41 + TRIED.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(PORT_FIRST + place % PORT_COUNT).expect("it is below 32,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("none of {PORT_COUNT} ports from {PORT_FIRST} is free")
}

fn log_tail(log_path: &Path) -> String {
    let log = fs::read(log_path).expect("we created the log");
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
