//! The daemon of a sandbox: asked, ended and killed.

use super::{DEADLINE, POLL_INTERVAL, wait_for};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A running `tidegate run`; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    pub(super) child: Child,
    /// Where it answers.
    pub address: String,
    pub(super) log: PathBuf,
}

impl Daemon {
    /// Status and body of a GET, or `None` while nobody listens.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )
        .ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        let status = response.split(' ').nth(1)?.parse().ok()?;
        let body = response.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }

    /// Waits until `/readyz` says 200.
    pub fn wait_until_ready(&self) {
        wait_for("the daemon to be ready", || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
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
            if let Some(status) =
                self.child.try_wait().expect("the daemon is a child of this process")
            {
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
