//! Whoever asks over HTTP, and however badly, costs the sync nothing, and `/healthz` answers
//! meanwhile.

use crate::sandbox::{Daemon, Engine, Sandbox, table, wait_for};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Files and connections that the daemon may have open: far fewer than a stranger can.
const DESCRIPTORS: u32 = 256;

/// What a stranger opens.
const CONNECTIONS: usize = 1000;

/// Connections that the daemon may hold, with some descriptors of other kinds for the database, the
/// watch and the log.
const HELD_MAX: usize = 64 + 40;

/// What a thousand greedy connections may add to the daemon's memory. Without a bound it was 422
/// MB.
const GROWTH_MAX_KB: u64 = 64 << 10;

const EAGER: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "1");

fn started(sandbox: &Sandbox) -> Daemon {
    // The test itself has both ends of nothing, but all of its own.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("a soft limit may be raised");
    let daemon = sandbox.start_daemon_within(DESCRIPTORS, &[EAGER]);
    daemon.wait_until_ready();
    daemon
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(&daemon.address).expect("the daemon listens");
    stream.set_read_timeout(Some(crate::sandbox::DEADLINE)).expect("a timeout is set");
    stream
}

/// Sends as much as the daemon takes.
fn send(mut stream: &TcpStream, text: &[u8]) -> bool {
    stream.write_all(text).is_ok()
}

/// What comes back until the daemon closes the connection.
fn answer(mut stream: &TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        // It closes with unread bytes in hand, which resets the connection.
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("it was left open: {error}")
        }
        _ => String::from_utf8_lossy(&text).into_owned(),
    }
}

fn assert_healthy(daemon: &Daemon) {
    assert_eq!(daemon.get("/healthz").expect("there is room for it").0, 200);
}

/// Drops a file and waits until it is in the database.
fn assert_syncs(sandbox: &Sandbox, daemon: &Daemon, market: u32) {
    sandbox.drop_file(&format!("Market {market} Orders.csv"), &table(&["Order ID,SKU", "1,A"]));
    wait_for("the file to be synced", || {
        assert_healthy(daemon);
        sandbox.rows(&format!("SELECT state FROM tidegate_files WHERE market = '{market}'"))
            == ["synced"]
    });
}

fn open_descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.id())).expect("the daemon runs").count()
}

fn memory_kb(daemon: &Daemon) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn half_open_requests_keep_nobody_out() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    assert_syncs(&sandbox, &daemon, 1);
    let strangers: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(&daemon)).collect();
    for stranger in &strangers {
        send(stranger, b"GET /api/status HTTP/1.1\r\nHost: ");
    }
    assert_syncs(&sandbox, &daemon, 2);
    assert!(open_descriptors(&daemon) <= HELD_MAX, "{}", open_descriptors(&daemon));
    assert_eq!(daemon.get("/api/status").expect("the daemon listens").0, 200);
    assert!(!daemon.log().contains("\"level\":\"WARN\""), "{}", daemon.log());
    drop(strangers);
}

#[test]
fn whoever_sends_no_request_is_cut_off() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    let (silent, half, idle) = (connect(&daemon), connect(&daemon), connect(&daemon));
    send(&half, b"GET /healthz HTTP/1.1\r\n");
    send(&idle, format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address).as_bytes());
    assert_eq!((answer(&silent), answer(&half)), (String::new(), String::new()));
    assert!(answer(&idle).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn long_headers_and_bodies_are_refused_before_they_take_memory() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    assert_syncs(&sandbox, &daemon, 1);
    let before_kb = memory_kb(&daemon);
    let host = format!("Host: {}\r\n", daemon.address);
    let long = connect(&daemon);
    let is_taken =
        send(&long, format!("GET / HTTP/1.1\r\n{host}X: {}", "x".repeat(10 << 20)).as_bytes());
    let refusal = answer(&long);
    assert!(!is_taken && (refusal.is_empty() || refusal.starts_with("HTTP/1.1 431 ")), "{refusal}");
    let many = connect(&daemon);
    send(&many, format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(200)).as_bytes());
    assert!(answer(&many).starts_with("HTTP/1.1 431 "));
    // Each as much as is kept of it, and all at once.
    let strangers: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(&daemon)).collect();
    for stranger in &strangers {
        send(stranger, format!("GET / HTTP/1.1\r\n{host}X: {}", "x".repeat(300_000)).as_bytes());
    }
    for (method, path, expected) in
        [("POST", "/healthz", "405"), ("GET", "/healthz", "200"), ("PUT", "/nowhere", "404")]
    {
        let body = connect(&daemon);
        send(
            &body,
            format!("{method} {path} HTTP/1.1\r\n{host}Content-Length: 10000000000\r\n\r\n")
                .as_bytes(),
        );
        let block = vec![b'x'; 1 << 20];
        // It says what is wrong and hangs up, rather than read all of it.
        let sent = (0..1000).take_while(|_| send(&body, &block)).count();
        assert!(sent < 100, "{sent} MB of {method} were taken");
        let said = answer(&body);
        assert!(said.is_empty() || said.starts_with(&format!("HTTP/1.1 {expected} ")), "{said}");
    }
    assert_syncs(&sandbox, &daemon, 2);
    let growth_kb = memory_kb(&daemon).saturating_sub(before_kb);
    assert!(growth_kb < GROWTH_MAX_KB, "it grew by {growth_kb} kB");
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    let kept: Vec<TcpStream> = (0..CONNECTIONS / 4)
        .map(|_| {
            let mut stream = connect(&daemon);
            send(
                &stream,
                format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address).as_bytes(),
            );
            let mut start = [0; 15];
            stream.read_exact(&mut start).expect("an answer");
            assert_eq!(&start, b"HTTP/1.1 200 OK");
            stream
        })
        .collect();
    assert!(open_descriptors(&daemon) <= HELD_MAX, "{}", open_descriptors(&daemon));
    assert_syncs(&sandbox, &daemon, 1);
    drop(kept);
}

#[test]
fn more_requests_than_can_be_answered_are_refused_at_once() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    assert_syncs(&sandbox, &daemon, 1);
    let asked: Vec<TcpStream> = (0..60)
        .map(|_| {
            let stream = connect(&daemon);
            let request = format!(
                "GET /api/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                daemon.address
            );
            send(&stream, request.as_bytes());
            stream
        })
        .collect();
    assert_syncs(&sandbox, &daemon, 2);
    let answers: Vec<String> = asked.iter().map(answer).collect();
    assert!(answers.iter().any(|answer| answer.starts_with("HTTP/1.1 200 ")), "{answers:?}");
    for answer in answers {
        let is_answer = answer.starts_with("HTTP/1.1 200 ")
            || answer.contains("too many requests wait for an answer");
        assert!(is_answer || answer.is_empty(), "{answer}");
    }
}

scenario!(an_answer_that_the_database_owes_is_not_waited_for_for_ever: postgres);
fn an_answer_that_the_database_owes_is_not_waited_for_for_ever(sandbox: &Sandbox) {
    let daemon = started(sandbox);
    assert_syncs(sandbox, &daemon, 1);
    let lock =
        "BEGIN; LOCK TABLE tidegate_files IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(25); COMMIT";
    std::thread::scope(|threads| {
        threads.spawn(|| sandbox.execute(lock));
        let locks = "SELECT COUNT(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                     AND relation = 'tidegate_files'::regclass";
        wait_for("the lock", || sandbox.rows(locks) == ["1"]);
        let asked = Instant::now();
        let (status, said) = daemon.get("/api/status").expect("the daemon listens");
        assert_eq!(status, 200, "{said}");
        assert!(said.contains("the database did not answer"), "{said}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        assert_healthy(&daemon);
    });
    assert_syncs(sandbox, &daemon, 2);
    assert_eq!(daemon.get("/api/status").expect("the daemon listens").0, 200);
}

#[test]
fn head_says_what_get_would() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/api/status", 200),
        ("/", 200),
        ("/x", 404),
    ] {
        let ask = |method: &str| {
            let stream = connect(&daemon);
            let host = &daemon.address;
            send(
                &stream,
                format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            );
            answer(&stream)
        };
        let head = ask("HEAD");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        assert!(head.ends_with("\r\n\r\n"), "a body of {path}: {head}");
        assert!(ask("GET").starts_with(&format!("HTTP/1.1 {status} ")), "{path}");
    }
}

#[test]
fn out_of_descriptors_it_waits_for_some_and_says_so_once() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = started(&sandbox);
    let pid = Pid::from_raw(daemon.id().cast_signed());
    let limited =
        |current| Rlimit { current: Some(current), maximum: Some(u64::from(DESCRIPTORS)) };
    prlimit(pid, Resource::Nofile, limited(3)).expect("a child of our own");
    let waiting = connect(&daemon);
    send(
        &waiting,
        format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", daemon.address)
            .as_bytes(),
    );
    wait_for("it to be said", || daemon.log().contains("cannot accept connections"));
    let (spent, started) = (processor_ticks(&daemon), Instant::now());
    wait_for("a second to pass", || started.elapsed() > Duration::from_secs(1));
    let spent = processor_ticks(&daemon) - spent;
    assert!(spent < 50, "it spins: {spent} hundredths of a second");
    prlimit(pid, Resource::Nofile, limited(u64::from(DESCRIPTORS))).expect("a child of our own");
    assert!(answer(&waiting).starts_with("HTTP/1.1 200 "));
    assert_eq!(daemon.log().matches("cannot accept connections").count(), 1, "{}", daemon.log());
}

/// Hundredths of a second of the processor.
fn processor_ticks(daemon: &Daemon) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id())).expect("the daemon runs");
    let fields: Vec<&str> =
        stat.rsplit_once(')').expect("the name ends").1.split_whitespace().collect();
    fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
}
