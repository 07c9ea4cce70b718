//! Sockets: the kernel is asked to notice that a server is gone. The pool's driver sets no option of its sockets and gives
//! nobody a way to, so the process looks for its connections to the server among its own descriptors.

use rustix::fd::BorrowedFd;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};
use rustix::net::{SocketAddrAny, getpeername};
use std::net::SocketAddr;
use std::time::Duration;

/// Silence after which the kernel asks whether the other side is there, how often it repeats that, and how many questions
/// may stay unanswered: half a minute in all, longer than a switch of routes takes, and far below what a proxy or firewall forgets.
const IDLE: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// How long sent bytes may stay unacknowledged, in milliseconds: as long as all of that takes.
const UNACKNOWLEDGED_MS: u32 = 30_000;

/// Sets the options of every connection of this process to that port. What cannot be set is left: the bounds on statements hold
/// without it, later.
pub(crate) fn watch_over(port: u16) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number > 2) {
        watch_over_descriptor(number, port);
    }
}

#[expect(unsafe_code, reason = "the driver owns its sockets and lends them to nobody")]
fn watch_over_descriptor(number: i32, port: u16) {
    // SAFETY: the number was open a moment ago, and is used for nothing but options of sockets. If it was closed meanwhile
    // the kernel says so; if it is another socket by now, no such option changes what that one sends or receives.
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

/// `None` for a socket of another family, which is of this machine.
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
        let [server, other] =
            [0, 1].map(|at: usize| TcpStream::connect(listeners[at].local_addr().expect("bound")).expect("it listens"));
        watch_over(listeners[0].local_addr().expect("bound").port());
        assert!(socket_keepalive(&server).expect("a socket"));
        assert_eq!(tcp_keepidle(&server).expect("a socket"), IDLE);
        assert_eq!(tcp_user_timeout(&server).expect("a socket"), UNACKNOWLEDGED_MS);
        assert!(!socket_keepalive(&other).expect("a socket"));
    }
}
