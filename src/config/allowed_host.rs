//! Allowed host: a host name that HTTP requests may use, in addition to the address that the daemon
//! listens on.

use url::Host;

/// A host name or an address, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    /// Without a port, every port is allowed: a proxy in front of the daemon may have its own.
    port: Option<u16>,
}

impl AllowedHost {
    /// Parses a host such as `tidegate.example`, `tidegate.example:9464` or an address.
    ///
    /// # Errors
    ///
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parsed(text.trim()).ok_or_else(|| {
            format!("`{text}` is not a host; write one like tidegate.example or tidegate.example:9464, without http:// and without *")
        })
    }

    fn parsed(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // A colon in brackets belongs to an IPv6 address.
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let is_plain =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
        Host::parse(host).ok().filter(|_| is_plain)?;
        Some(Self { host: host.to_ascii_lowercase(), port })
    }

    /// Whether this entry allows requests for that host and port.
    pub fn is(&self, host: &str, port: u16) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port.is_none_or(|own| own == port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_hosts_are_names_with_or_without_a_port() {
        let allowed = |text| AllowedHost::parse(text).expect("a host");
        assert!(allowed("Tidegate.Example").is("tidegate.example", 80));
        assert!(allowed("tidegate.example").is("TIDEGATE.example", 8080));
        assert!(allowed("tidegate.example:8080").is("tidegate.example", 8080));
        assert!(
            allowed("[fd00::5]").is("[fd00::5]", 9464)
                && allowed("[fd00::5]:9464").is("[fd00::5]", 9464)
        );
        assert!(allowed("10.0.0.5").is("10.0.0.5", 9464));
        assert!(!allowed("tidegate.example:8080").is("tidegate.example", 80));
        assert!(!allowed("tidegate.example").is("tidegate.example.evil.example", 80));
        for wrong in [
            "",
            "*",
            "*.example",
            "http://tidegate.example",
            "a/b",
            "u@tidegate.example",
            "a b",
            "a:b",
            "fd00::5",
        ] {
            assert!(AllowedHost::parse(wrong).is_err(), "{wrong}");
        }
    }
}
