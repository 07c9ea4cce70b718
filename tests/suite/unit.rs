//! The unit file, and what the daemon tells systemd.

use crate::sandbox::{Daemon, Engine, Sandbox, wait_for};
use regex::Regex;
use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};

/// Of 10; systemd itself calls anything below 5 medium.
const EXPOSURE_MAX: f64 = 2.0;

/// Everything the daemon may need from the signal to its end: the drain, two farewells, HTTP and
/// threads.
const STOP_SECONDS: u64 = 12;

fn path(name: &str) -> String {
    format!("{}/systemd/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn systemd_analyze(arguments: &[&str]) -> Output {
    match Command::new("systemd-analyze").args(arguments).env("SYSTEMD_COLORS", "0").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("systemd-analyze is missing; tests/run installs it (package systemd)")
        }
        output => output.expect("systemd-analyze starts"),
    }
}

/// The values of a setting of the unit, in order.
fn settings(name: &str) -> Vec<String> {
    let unit =
        fs::read_to_string(path("tidegate.service")).expect("the unit file is part of the project");
    let prefix = format!("{name}=");
    unit.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect()
}

#[test]
fn the_service_is_exposed_to_little() {
    let report =
        systemd_analyze(&["security", "--offline=true", "--no-pager", &path("tidegate.service")]);
    let text = String::from_utf8_lossy(&report.stdout);
    let pattern = Regex::new(r"Overall exposure level for tidegate\.service: (\d+\.\d+)")
        .expect("a valid pattern");
    let Some(found) = pattern.captures(&text) else {
        panic!("no score in {text}{}", String::from_utf8_lossy(&report.stderr))
    };
    let exposure: f64 = found[1].parse().expect("a number");
    assert!(exposure <= EXPOSURE_MAX, "{text}");
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() {
    // The program is not installed here, so another one stands in for it.
    let sandbox = Sandbox::new(Engine::Sqlite);
    let unit =
        fs::read_to_string(path("tidegate.service")).expect("the unit file is part of the project");
    let copy = sandbox.path("tidegate.service");
    fs::write(&copy, unit.replace("/usr/bin/tidegate", env!("CARGO_BIN_EXE_tidegate")))
        .expect("a writable directory");
    let report = systemd_analyze(&["verify", "--man=no", &copy.to_string_lossy()]);
    let said = String::from_utf8_lossy(&report.stderr);
    // What it says about other units of this machine is not about ours.
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("tidegate")).collect();
    assert!(about_ours.is_empty(), "{about_ours:?}");
}

#[test]
fn the_unit_gives_the_daemon_time_to_end_and_a_watchdog() {
    assert_eq!(settings("Type"), ["notify"]);
    // For systemd an end by SIGHUP, or with 0, is none to start it again after.
    assert_eq!(settings("Restart"), ["always"]);
    // Only what no restart mends: exit code 2 may be a lease or a full disk, which pass.
    assert_eq!(settings("RestartPreventExitStatus"), ["203 216 217"]);
    let seconds = |name: &str| -> u64 {
        let value = settings(name).pop().unwrap_or_else(|| panic!("{name} is not set"));
        value
            .trim_end_matches('s')
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not in seconds"))
    };
    assert!(seconds("TimeoutStopSec") >= 2 * STOP_SECONDS);
    assert!(
        seconds("WatchdogSec") >= 30,
        "the daemon tells every second, but a busy machine may be late"
    );
}

#[test]
fn a_missing_credential_falls_back_to_an_empty_one() {
    assert_eq!(settings("LoadCredential"), ["database-url:/etc/tidegate/database-url"]);
    // systemd.exec(5): the latter is the default if the former cannot be retrieved. The line end is
    // what an empty file holds; the program trims it.
    assert_eq!(settings("SetCredential"), ["database-url:\\n"]);
    // The place of the default inbox and of the SQLite file, which must be the one directory that
    // can be written.
    assert_eq!(settings("WorkingDirectory"), ["/var/lib/tidegate"]);
    assert_eq!(settings("StateDirectory"), ["tidegate"]);
    let tmpfiles = fs::read_to_string(path("tidegate.tmpfiles")).expect("a part of the project");
    assert!(
        tmpfiles
            .lines()
            .any(|line| line.starts_with("d  /var/lib/tidegate/inbox 3770 tidegate tidegate"))
    );
}

/// systemd's end of the socket, and everything that came through it.
struct Manager {
    socket: UnixDatagram,
    told: RefCell<Vec<String>>,
}

impl Manager {
    fn listen(sandbox: &Sandbox) -> (Self, String) {
        let path = sandbox.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a writable directory");
        socket.set_nonblocking(true).expect("a socket of our own");
        (Self { socket, told: RefCell::default() }, path.to_string_lossy().into_owned())
    }

    fn count(&self, what: &str) -> usize {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            self.told.borrow_mut().extend(text.lines().map(str::to_owned));
        }
        self.told.borrow().iter().filter(|told| *told == what).count()
    }
}

fn start(sandbox: &Sandbox, environment: &[(&str, &str)]) -> (Daemon, Manager) {
    let (manager, socket) = Manager::listen(sandbox);
    let daemon =
        sandbox.start_daemon(&[&[("NOTIFY_SOCKET", socket.as_str())], environment].concat());
    (daemon, manager)
}

#[test]
fn systemd_hears_of_the_start_of_every_second_and_of_the_end() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let (mut daemon, manager) = start(&sandbox, &[]);
    wait_for("READY=1", || manager.count("READY=1") == 1);
    wait_for("WATCHDOG=1", || manager.count("WATCHDOG=1") >= 3);
    assert_eq!(manager.count("STOPPING=1"), 0);
    let (exit, took) = daemon.terminate();
    assert_eq!(exit, 0);
    assert!(took.as_secs() < STOP_SECONDS, "{took:?}");
    assert_eq!(manager.count("STOPPING=1"), 1);
    assert_eq!(manager.count("READY=1"), 1);
}

#[test]
fn a_database_that_is_away_is_no_hang() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let away = format!("postgres://nobody@127.0.0.1:{}/x", crate::sandbox::free_port());
    let (mut daemon, manager) = start(&sandbox, &[("TIDEGATE_DATABASE_URL", &away)]);
    wait_for("READY=1", || manager.count("READY=1") == 1);
    wait_for("WATCHDOG=1", || manager.count("WATCHDOG=1") >= 3);
    assert_eq!(daemon.terminate().0, 0);
    assert_eq!(manager.count("STOPPING=1"), 1);
}
