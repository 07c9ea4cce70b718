//! A server: a private PostgreSQL or MariaDB on a loopback port, its data in a temporary folder.
//! Its one job is to give each test an empty database, and to be gone when the test process is.
//!
//! What ends a server: its drop, for a private one; `remove_everything`, when the process exits;
//! the kernel, when the process is killed (`die_with_this_process`). A killed process leaves only
//! its folder, which the next run removes (`sweep_stale_folders`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry, File, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{env, io, mem, process, thread};

/// A busy two-core machine starts a server in a few seconds; one that needs longer never will.
const READY_MAX: Duration = Duration::from_secs(30);
/// PostgreSQL grants its own processes five seconds before it kills them; then it is its turn.
const STOP_MAX: Duration = Duration::from_secs(10);
/// About what one question to a server takes, so that asking leaves it room to start.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A port is seldom lost between probing and binding; this often in a row, something else is wrong.
const PORT_ATTEMPTS_MAX: usize = 5;
/// Below Linux's ephemeral ports (32768 and up): no outgoing connection takes a stopped server's.
const PORT_FIRST: u32 = 20_000;
const PORT_COUNT: u32 = 12_000;
const LOG_TAIL_LINES: usize = 40;
const FOLDER_PREFIX: &str = "tidegate-servers-";

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

/// Everything in which the two programs differ. The commands are words; `Server::command` fills in
/// `$folder` and `$port`. Those that end by themselves run under `timeout`, far above their need.
/// In its foreground it ends them without their children, so that what an installer runs reads the
/// end of its input and leaves in order; killed, it would leave shared memory behind.
#[derive(Debug)]
struct Program {
    name: &'static str,
    /// Whom to run as instead of root, which PostgreSQL refuses: the Debian package's account.
    account: &'static str,
    /// A file that its commands read, and the text in it.
    file: (&'static str, &'static str),
    /// Writes the data folder.
    install: &'static str,
    /// Runs the server, without waiting for the disk: a killed one loses nothing that it wrote to
    /// its files, and if the machine stops, nobody uses them. What some versions lack is `loose`.
    serve: &'static str,
    /// Runs the SQL that follows, as administrator on the server's socket.
    client: &'static str,
    create_user: &'static str,
    create_database: &'static str,
    /// Removes it, whoever is still connected.
    drop_database: &'static str,
    url_scheme: &'static str,
    /// Ends the server at once, flushing nothing.
    stop_signal: libc::c_int,
}

static POSTGRES: Program = Program {
    name: "postgres",
    account: "postgres",
    file: ("password", "pw"),
    install: "timeout --foreground 60 initdb --pgdata=$folder/data
        --username=admin --pwfile=$folder/password --auth=scram-sha-256 --encoding=UTF8
        --locale=C.UTF-8 --no-sync",
    serve: "postgres -D $folder/data -k $folder --port=$port --listen-addresses=127.0.0.1
        --timezone=UTC --max-connections=200 --shared-buffers=32MB --fsync=off",
    client: "timeout --foreground 60 psql -XqAt -U admin -d postgres -h $folder -p $port -c",
    create_user: "CREATE ROLE tidegate LOGIN PASSWORD 'pw'",
    create_database: "CREATE DATABASE $name OWNER tidegate",
    drop_database: "DROP DATABASE IF EXISTS $name WITH (FORCE)",
    url_scheme: "postgres",
    // Its "immediate shutdown" takes the processes of its connections along. Killed outright, it
    // would leave them behind, and no successor starts beside them.
    stop_signal: libc::SIGQUIT,
};

static MARIADB: Program = Program {
    name: "mariadb",
    account: "mysql",
    // The server runs it at each start, before it answers.
    file: (
        "administrator.sql",
        "CREATE USER IF NOT EXISTS admin@localhost IDENTIFIED BY 'pw';
         GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION;",
    ),
    install: "timeout --foreground 60 mariadb-install-db --no-defaults --datadir=$folder/data
        --skip-test-db --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0",
    serve: "mariadbd --no-defaults --datadir=$folder/data --socket=$folder/server.sock
        --port=$port --bind-address=127.0.0.1 --init-file=$folder/administrator.sql
        --default-time-zone=+00:00 --character-set-server=utf8mb4 --local-infile=1
        --skip-name-resolve --skip-log-bin --max-connections=200
        --innodb-buffer-pool-size=32M --innodb-log-file-size=16M
        --loose-debug-no-sync --loose-innodb-flush-method=nosync",
    client: "timeout --foreground 60 mariadb --no-defaults --batch --skip-column-names --user=admin
        --socket=$folder/server.sock -e",
    create_user: "CREATE USER tidegate IDENTIFIED BY 'pw'",
    create_database: "CREATE DATABASE $name; GRANT ALL ON $name.* TO tidegate",
    drop_database: "DROP DATABASE IF EXISTS $name",
    url_scheme: "mysql",
    stop_signal: libc::SIGKILL,
};

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
        let place = process::id() * 41 + TRIED.fetch_add(1, Ordering::Relaxed);
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

/// The account of a program when we are root: user and group.
fn account(program: &Program) -> Option<(u32, u32)> {
    let process_folder = fs::metadata(process_folder()).expect("it is there until exit");
    if process_folder.uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("every Linux has this file");
    let account = accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let ours = fields[0] == program.account;
        ours.then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?
    });
    account.or_else(|| missing(&format!("the account `{}`", program.account)))
}

/// Where programs are: Debian's newest PostgreSQL, `PATH`, and the folder of servers, which an
/// ordinary user's `PATH` leaves out.
fn program_path() -> OsString {
    let version = |entry: &DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let has_server = |entry: &DirEntry| entry.path().join("bin/initdb").exists();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions.flatten().filter(has_server).max_by_key(version);
    let newest = newest.map(|entry| entry.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).chain(["/usr/sbin".into()]);
    env::join_paths(newest.into_iter().chain(others)).expect("these came from paths")
}

fn missing(what: &str) -> ! {
    panic!(
        "{what} is missing: the tests need the Debian packages mariadb-server, mariadb-client and \
         postgresql; `tests/run` installs them"
    )
}

/// Runs a command to its end. Returns what it printed; a failure as text.
fn run(mut command: Command) -> Result<String, String> {
    const NOT_FOUND_BY_TIMEOUT: i32 = 127;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(command, libc::SIGTERM);
    let output = child.wait_with_output().expect("pipes can be read");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(stdout.trim_end().to_owned()),
        Some(NOT_FOUND_BY_TIMEOUT) => missing(stderr.trim_end()),
        _ => Err(format!("{}: {stdout}{stderr}", output.status)),
    }
}

/// Starts a child, from the one thread that lives as long as the process: the kernel ties
/// `die_with_this_process` to the starting thread, and a test's own ends with the test.
fn spawn(mut command: Command, death_signal: libc::c_int) -> Child {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Request>> = LazyLock::new(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, reply) in receiver {
                let sent = reply.send(command.spawn());
                sent.expect("`spawn` waits for the reply");
            }
        });
        sender
    });
    die_with_this_process(&mut command, death_signal);
    let program = command.get_program().to_owned();
    let (reply, child) = mpsc::channel();
    let sent = SPAWNER.send((command, reply));
    sent.expect("the spawner lives as long as the process");
    let child = child.recv().expect("the spawner answers every request");
    child.unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => missing(&program.to_string_lossy()),
        _ => panic!("starting {}: {error}", program.display()),
    })
}

/// Has the kernel signal the child when the thread that starts it ends.
#[expect(unsafe_code, reason = "a child can ask only before its exec")]
fn die_with_this_process(command: &mut Command, death_signal: libc::c_int) {
    let parent = process::id().cast_signed();
    let ask = move || {
        // SAFETY: a system call without pointers.
        let status = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, death_signal) };
        // SAFETY: the same. A parent that died before we asked will send no signal anymore.
        if status == 0 && unsafe { libc::getppid() } == parent {
            return Ok(());
        }
        Err(io::ErrorKind::Interrupted.into())
    };
    // SAFETY: `ask` does nothing that is forbidden between fork and exec, such as allocating.
    unsafe { command.pre_exec(ask) };
}

/// Ends a server, and returns when it has let go of its port and its files.
fn end(program: &Program, mut child: Child) {
    signal(&child, program.stop_signal);
    let deadline = Instant::now() + STOP_MAX;
    while poll(&mut child).is_none() {
        if Instant::now() > deadline {
            signal(&child, libc::SIGKILL);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn poll(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("our own child can be waited for")
}

#[expect(unsafe_code, reason = "std sends no signal but SIGKILL")]
fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: no pointers; and until it is waited for, a child's id is nobody else's.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}

type Running = BTreeMap<u16, (&'static Program, Child)>;

/// The servers that run now, by port, for the exit of the process to find.
fn running() -> MutexGuard<'static, Running> {
    static RUNNING: Mutex<Running> = Mutex::new(BTreeMap::new());
    // Each change is one insert or remove: a test that panics leaves nothing half done.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of this process's servers. Its lock says that it is in use, and ends with us.
fn process_folder() -> &'static Path {
    static FOLDER: LazyLock<(PathBuf, File)> = LazyLock::new(|| {
        sweep_stale_folders();
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir();
        let folder = folder.expect("the temporary folder can be written").keep();
        let lock = File::open(&folder).expect("it is ours");
        lock.lock().expect("a local folder can be locked");
        // The servers' accounts must get through to their own folders.
        fs::set_permissions(&folder, Permissions::from_mode(0o711)).expect("it is ours");
        call_at_exit(remove_everything);
        (folder, lock)
    });
    &FOLDER.0
}

/// Removes what killed test processes left.
fn sweep_stale_folders() {
    let entries = fs::read_dir(env::temp_dir()).expect("the temporary folder can be read");
    for folder in entries.flatten().map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(FOLDER_PREFIX) && has_lost_its_owner(&folder) {
            // What resists is another user's, or has a server that is still ending: not for us.
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// A process locks its folder before it puts anything in. So one with contents that is unlocked
/// afterwards (not before) has a dead owner; an empty one may have an owner about to lock it.
fn has_lost_its_owner(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| entries.count() > 0)
        && File::open(folder).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// libtest leaves through `process::exit`, which drops no static but does call exit handlers.
#[expect(unsafe_code, reason = "std has no exit handlers")]
fn call_at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a plain function, there until the end.
    let status = unsafe { libc::atexit(handler) };
    assert_eq!(status, 0, "the C library has room for an exit handler");
}

extern "C" fn remove_everything() {
    let servers = mem::take(&mut *running());
    for (program, child) in servers.into_values() {
        end(program, child);
    }
    let _ = fs::remove_dir_all(process_folder());
}
