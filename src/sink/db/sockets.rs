//! Sockets: sets TCP options by which the kernel notices that a server is gone. The pool's driver
//! neither sets socket options nor gives access to its sockets, so the process looks for its
//! connections among its own descriptors.

use rustix::fd::BorrowedFd;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
    set_tcp_user_timeout,
};
use rustix::net::{SocketAddrAny, getpeername};
use std::net::SocketAddr;
use std::time::Duration;

/// TCP keepalive: idle time before the first probe, interval of probes, and how many may stay
/// unanswered. Half a minute in all: longer than a change of routes takes, and far below the idle
/// timeout of proxies and firewalls.
const IDLE: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// How long sent bytes may stay unacknowledged, in milliseconds: the same half minute.
const UNACKNOWLEDGED_MS: u32 = 30_000;

/// Sets the options of every connection of this process to this port. Failures are ignored, because
/// the limits on statements notice a lost server too, only later.
pub(crate) fn watch_over(port: u16) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number > 2) {
        watch_over_descriptor(number, port);
    }
}

#[expect(unsafe_code, reason = "the driver owns its sockets and lends them to nobody")]
fn watch_over_descriptor(number: i32, port: u16) {
    // SAFETY: the descriptor was open a moment ago, and is used only for socket options. If it was
    // closed since, the kernel returns an error; if it is another socket now, these options do not
    // change what that one sends or receives.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let peer = getpeername(descriptor).ok().flatten().and_then(|peer| address(&peer));
    if peer.is_none_or(|peer| peer.port() != port) {
        return;
    }
    let _ = set_socket_keepalive(descriptor, true);
    let _ = set_tcp_keepidle(descriptor, IDLE);
    let _ = set_tcp_keepintvl(descriptor, INTERVAL);
    let _ = set_tcp_keepcnt(descriptor, PROBES);
    let _ = set_tcp_user_timeout(descriptor, UNACKNOWLEDGED_MS);
}

/// `None` for a socket of another family, which is local to this machine.
fn address(peer: &SocketAddrAny) -> Option<SocketAddr> {
    SocketAddr::try_from(peer.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle, tcp_user_timeout};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_to_the_port_are_watched_over_and_no_others() {
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [server, other] = [0, 1].map(|at: usize| {
            TcpStream::connect(listeners[at].local_addr().expect("bound")).expect("it listens")
        });
        watch_over(listeners[0].local_addr().expect("bound").port());
        assert!(socket_keepalive(&server).expect("a socket"));
        assert_eq!(tcp_keepidle(&server).expect("a socket"), IDLE);
        assert_eq!(tcp_user_timeout(&server).expect("a socket"), UNACKNOWLEDGED_MS);
        assert!(!socket_keepalive(&other).expect("a socket"));
    }
}
