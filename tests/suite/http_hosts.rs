//! The daemon answers only under its own names, and its answers do nothing but say what they say.

use crate::sandbox::{DEADLINE, Daemon, Engine, Sandbox, free_port, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Status, headers and body of what is answered to this text.
fn ask(daemon: &Daemon, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(&daemon.address).expect("the daemon listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout is set");
    stream.write_all(request.as_bytes()).expect("the daemon reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("{answer}"));
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn an_address_that_other_machines_reach_must_be_meant() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let port = free_port();
    let start = |environment: &[(&str, &str)]| {
        let address = format!("0.0.0.0:{port}");
        let inbox = sandbox.inbox().to_string_lossy().into_owned();
        let command = sandbox.command(&["run", &inbox, "--listen", &address]);
        sandbox.start(command, &address, environment)
    };
    let mut refused = start(&[]);
    assert_eq!(refused.wait_for_end(), 2);
    assert!(refused.log().contains("set `open = true`"), "{}", refused.log());
    let mut meant = start(&[("TIDEGATE_OPEN", "true")]);
    wait_for("the daemon", || meant.log().contains("may read what the page shows"));
    wait_for("its server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(meant.terminate().0, 0);
}

#[test]
fn requests_for_other_hosts_are_refused() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon =
        sandbox.start_daemon(&[("TIDEGATE_ALLOWED_HOSTS", "tidegate.example, metrics:9090")]);
    daemon.wait_until_ready();
    let port = daemon.address.rsplit_once(':').expect("an address has a port").1;
    let cases = [
        (format!("Host: 127.0.0.1:{port}"), 200),
        (format!("Host: localhost:{port}"), 200),
        (format!("Host: LOCALHOST:{port}"), 200),
        (format!("Host: [::1]:{port}"), 200),
        ("Host: tidegate.example".to_owned(), 200),
        ("Host: Tidegate.Example:8443".to_owned(), 200),
        ("Host: metrics:9090".to_owned(), 200),
        ("Host: metrics".to_owned(), 421),
        ("Host: localhost".to_owned(), 421),
        ("Host: localhost:1".to_owned(), 421),
        (format!("Host: evil.example:{port}"), 421),
        (format!("Host: 127.0.0.1.evil.example:{port}"), 421),
        (format!("Host: evil@127.0.0.1:{port}"), 400),
        (format!("Host: 10.0.0.5:{port}"), 421),
        (format!("Host: 0.0.0.0:{port}"), 421),
        ("Host: ".to_owned(), 400),
        ("Host: a b".to_owned(), 400),
        ("X: y".to_owned(), 400),
        (format!("Host: 127.0.0.1:{port}\r\nHost: evil.example"), 400),
        (format!("Host: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}"), 400),
        (format!("Host: evil.example\r\nX-Forwarded-Host: 127.0.0.1:{port}"), 421),
    ];
    for (headers, expected) in cases {
        for path in ["/", "/healthz", "/readyz", "/metrics", "/api/status", "/page.css"] {
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                let (status, _, body) = ask(
                    &daemon,
                    &format!("GET {path} {version}\r\n{headers}\r\nConnection: close\r\n\r\n"),
                );
                assert_eq!(status, expected, "{path} {version} {headers}: {body}");
                assert!(status == 200 || !body.contains("evil"), "{body}");
            }
        }
    }
    // Where the target is a whole URL its host counts, and the header is no way around it.
    for (target, host, expected) in [
        (format!("http://localhost:{port}/healthz"), format!("localhost:{port}"), 200),
        (format!("http://evil.example:{port}/healthz"), format!("localhost:{port}"), 421),
        (format!("http://localhost:{port}/healthz"), "evil.example".to_owned(), 421),
    ] {
        let (status, _, _) = ask(
            &daemon,
            &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        );
        assert_eq!(status, expected, "{target} for {host}");
    }
}

#[test]
fn a_wrong_allowed_host_is_told_at_the_start() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    for wrong in ["http://tidegate.example", "*", "a/b"] {
        let mut command = sandbox.command(&["check"]);
        let output = command
            .env("TIDEGATE_ALLOWED_HOSTS", wrong)
            .output()
            .expect("the built program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && said.contains("allowed_hosts"),
            "{wrong}: {said}"
        );
    }
}

#[test]
fn every_answer_keeps_browsers_from_doing_more_with_it() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let host = daemon.address.clone();
    for (request, expected, kind) in [
        ("GET /", 200, "text/html; charset=utf-8"),
        ("GET /page.css", 200, "text/css; charset=utf-8"),
        ("GET /healthz", 200, "application/json"),
        ("GET /readyz", 200, "application/json"),
        ("GET /api/status", 200, "application/json"),
        ("GET /metrics", 200, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("GET /%3Cscript%3Ealert(1)%3C/script%3E", 404, ""),
        ("POST /", 405, ""),
        ("DELETE /api/status", 405, ""),
    ] {
        let (status, head, body) = ask(
            &daemon,
            &format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        );
        assert_eq!(status, expected, "{request}");
        assert_safe(request, &head);
        assert!(
            kind.is_empty() || head.contains(&format!("content-type: {kind}")),
            "{request}: {head}"
        );
        assert!(!body.contains("alert(1)"), "{body}");
    }
    for (host, expected) in [("evil.example", 421), ("", 400)] {
        let (status, head, _) =
            ask(&daemon, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(status, expected);
        assert_safe(host, &head);
    }
    // What is no request at all is answered without a word.
    let (status, _, body) =
        ask(&daemon, &format!("GET /<script> HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!((status, body.as_str()), (400, ""));
    // The page asks for nothing that its policy forbids.
    let (_, page) = daemon.get("/").expect("the daemon listens");
    for forbidden in ["<style", "style=", "<script", "onload", "onclick", "http://", "https://"] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
}

fn assert_safe(what: &str, head: &str) {
    for header in [
        "content-security-policy: default-src 'none'; style-src 'self'; ",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header} is not in the answer to {what}: {head}");
    }
}
