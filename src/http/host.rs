//! Host: answers only requests for host names of this daemon. Otherwise a foreign web page could
//! point its own host name at this address (DNS rebinding) and read the answers through a visitor's
//! browser.

use crate::config::allowed_host::AllowedHost;
use crate::http::connections::ReachedAt;
use axum::extract::{Extension, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The answer to a request for another host. It quotes nothing of the request.
const MISDIRECTED: &str =
    "this host is not served here; name it in allowed_hosts if it should be\n";

/// The answer to a request that does not name its host exactly once.
const NO_HOST: &str = "a request names its host once\n";

/// The port of a host without one.
const HTTP_PORT: u16 = 80;

/// Lets a request pass only if its host is the local address of the connection or one of the
/// allowed hosts.
pub(super) async fn check(
    State(allowed): State<Arc<[AllowedHost]>>,
    Extension(ReachedAt(address)): Extension<ReachedAt>,
    request: Request,
    next: Next,
) -> Response {
    let Some(asked) = host_header(request.headers()) else {
        return (StatusCode::BAD_REQUEST, NO_HOST).into_response();
    };
    // The target of a request may be a full URL; then the host in it is checked as well.
    let is_served = |asked: &Authority| {
        is_this(address, asked)
            || allowed.iter().any(|allowed| allowed.is(asked.host(), port_of(asked)))
    };
    if !is_served(&asked) || !request.uri().authority().is_none_or(is_served) {
        return (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response();
    }
    next.run(request).await
}

/// The host of a request, if it names exactly one.
fn host_header(headers: &HeaderMap) -> Option<Authority> {
    let mut values = headers.get_all(header::HOST).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    Authority::try_from(value.as_bytes()).ok().filter(|host| !host.as_str().contains('@'))
}

/// Whether a host is the local address of the connection. Unlike a name, an address cannot be
/// redirected to another machine. If `listen` covers all addresses of the machine, this is the one
/// that the client used.
fn is_this(address: SocketAddr, asked: &Authority) -> bool {
    let ip = address.ip().to_canonical();
    let host = asked.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback_name = host.eq_ignore_ascii_case("localhost");
    let is_host = match host.parse::<IpAddr>() {
        Ok(host) => host == ip || (ip.is_loopback() && host.is_loopback()),
        Err(_) => ip.is_loopback() && is_loopback_name,
    };
    is_host && port_of(asked) == address.port()
}

fn port_of(asked: &Authority) -> u16 {
    asked.port_u16().unwrap_or(HTTP_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str) -> Authority {
        Authority::try_from(host).expect("a host")
    }

    #[test]
    fn an_address_is_known_under_its_own_name_alone() {
        let is =
            |address: &str, host: &str| is_this(address.parse().expect("an address"), &asked(host));
        for host in ["127.0.0.1:9464", "localhost:9464", "LocalHost:9464", "[::1]:9464"] {
            assert!(
                is("127.0.0.1:9464", host)
                    && is("[::1]:9464", host)
                    && is("[::ffff:127.0.0.1]:9464", host),
                "{host}"
            );
            assert!(!is("10.0.0.5:9464", host), "{host}");
        }
        for host in [
            "localhost",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost.evil.example:9464",
            "10.0.0.5:9464",
            "0.0.0.0:9464",
        ] {
            assert!(!is("127.0.0.1:9464", host), "{host}");
        }
        assert!(is("10.0.0.5:9464", "10.0.0.5:9464") && is("[fd00::5]:9464", "[fd00::5]:9464"));
        assert!(is("127.0.0.1:80", "localhost") && is("127.0.0.1:80", "localhost:80"));
    }
}
