//! A proxy on loopback between the program and a server that can fall silent, as a frozen proxy or
//! a firewall that has forgotten a connection: it closes nothing, takes what is sent, and passes
//! nothing on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    server_port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Connections made before this many are silent for good.
    silenced: AtomicI64,
    made: AtomicI64,
    /// Whether new connections are silent too, until they are not.
    is_silent: AtomicBool,
    /// Bytes from the program after which everything falls silent; negative when nobody counts.
    bytes_left: AtomicI64,
    is_over: AtomicBool,
}

impl Proxy {
    /// One in front of the server of that URL.
    pub fn before(url: &str) -> Self {
        let server_port = port_of(url);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { bytes_left: AtomicI64::new(i64::MAX), ..Shared::default() });
        let of_thread = Arc::clone(&shared);
        listener.set_nonblocking(true).expect("a listener");
        thread::spawn(move || accept(&listener, server_port, &of_thread));
        Self { port, server_port, shared }
    }

    /// The URL with the proxy in the place of the server.
    pub fn url(&self, url: &str) -> String {
        url.replace(&format!(":{}/", self.server_port), &format!(":{}/", self.port))
    }

    /// Falls silent, on all connections and on those to come.
    pub fn fall_silent(&self) {
        self.shared.fall_silent();
    }

    /// Falls silent once the program has sent so many bytes more.
    pub fn fall_silent_after(&self, bytes: i64) {
        self.shared.bytes_left.store(bytes, Ordering::SeqCst);
    }

    /// Whether it is silent.
    pub fn is_silent(&self) -> bool {
        self.shared.is_silent.load(Ordering::SeqCst)
    }

    /// Passes on what comes on new connections. Those before stay silent.
    pub fn take_new_connections(&self) {
        self.shared.bytes_left.store(i64::MAX, Ordering::SeqCst);
        self.shared.silenced.store(self.shared.made.load(Ordering::SeqCst), Ordering::SeqCst);
        self.shared.is_silent.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
        self.silenced.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn is_silent_for(&self, number: i64) -> bool {
        self.is_silent.load(Ordering::SeqCst) || number < self.silenced.load(Ordering::SeqCst)
    }
}

fn port_of(url: &str) -> u16 {
    let (_, place) = url.rsplit_once(':').expect("a URL with a port");
    place.split('/').next().expect("a split has a first part").parse().expect("a port")
}

fn accept(listener: &TcpListener, server_port: u16, shared: &Arc<Shared>) {
    while !shared.is_over.load(Ordering::SeqCst) {
        let Ok((program, _)) = listener.accept() else {
            thread::sleep(POLL_INTERVAL);
            continue;
        };
        let number = shared.made.fetch_add(1, Ordering::SeqCst);
        // A server that is stopped is no concern of this one.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)) else { continue };
        let both = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
        let (from, to, of_thread) = (both(&program), both(&server), Arc::clone(shared));
        thread::spawn(move || pass_on(from, to, number, true, &of_thread));
        let of_thread = Arc::clone(shared);
        thread::spawn(move || pass_on(server, program, number, false, &of_thread));
    }
}

/// Passes bytes on until one side closes; while it is silent, it keeps both sides open.
fn pass_on(mut from: TcpStream, mut to: TcpStream, number: i64, is_counted: bool, shared: &Shared) {
    from.set_nonblocking(false).expect("a socket");
    from.set_read_timeout(Some(POLL_INTERVAL)).expect("a socket");
    let mut bytes = vec![0; 16 << 10];
    while !shared.is_over.load(Ordering::SeqCst) {
        if shared.is_silent_for(number) {
            thread::sleep(POLL_INTERVAL);
            continue;
        }
        let read = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        if is_counted && shared.bytes_left.fetch_sub(read as i64, Ordering::SeqCst) < read as i64 {
            shared.bytes_left.store(i64::MAX, Ordering::SeqCst);
            shared.fall_silent();
        }
        // What was read when it fell silent is lost with all that comes after.
        if shared.is_silent_for(number) {
            continue;
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
