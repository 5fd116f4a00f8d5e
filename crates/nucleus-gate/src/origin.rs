//! Where model calls go: one origin, fixed when the gate is made.

use crate::error::ConfigError;

/// An upstream: scheme, host, port and an optional path prefix. Nothing of a request can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
    prefix: String,
}

impl Origin {
    /// Parses `https://host[:port][/prefix]`, or `http://` to this machine.
    ///
    /// # Errors
    /// Misuse: another scheme, plain HTTP to another machine, credentials, query, fragment, or a path that is not plain.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(ConfigError::Upstream),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_authority(authority).ok_or(ConfigError::Upstream)?;
        if !tls && !is_loopback(&host) {
            return Err(ConfigError::PlainUpstream { host });
        }
        let path = path.trim_end_matches('/');
        let plain = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if !path.is_empty() && !path.split('/').all(plain) {
            return Err(ConfigError::Upstream);
        }
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }), prefix })
    }

    /// True when the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// True when the upstream is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The same scheme, host and port, wherever beneath.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The value of the `Host` field.
    pub(crate) fn host_field(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        let host = bracketed(&self.host);
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }

    /// `host:port` as CONNECT names it.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Splits `host[:port]` or `[v6][:port]`; `None` for anything else, credentials included.
pub(crate) fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (host, port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            let label = |l: &str| {
                !l.is_empty()
                    && l.len() <= 63
                    && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            };
            let name = host.strip_suffix('.').unwrap_or(host);
            if name.len() > 253 || !name.split('.').all(label) {
                return None;
            }
            (host, port)
        }
    };
    let port = match port {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|p| *p != 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_parsed_into_their_parts() {
        let origin = Origin::parse("https://API.anthropic.com").unwrap();
        assert_eq!(
            (origin.is_tls(), origin.host(), origin.port()),
            (true, "api.anthropic.com", 443)
        );
        assert_eq!(origin.host_field(), "api.anthropic.com");
        let origin = Origin::parse("https://gw.example:8443/anthropic/").unwrap();
        assert_eq!(
            (origin.prefix(), origin.host_field().as_str()),
            ("/anthropic", "gw.example:8443")
        );
        let origin = Origin::parse("http://[::1]:9").unwrap();
        assert_eq!((origin.authority().as_str(), origin.is_loopback()), ("[::1]:9", true));
        assert!(Origin::parse("http://127.0.0.1:80").is_ok());
        assert!(Origin::parse("http://localhost:80").is_ok());
    }

    #[test]
    fn plain_http_leaves_this_machine_never() {
        for text in ["http://api.anthropic.com", "http://10.0.0.1", "http://localhost.evil.example"]
        {
            assert!(
                matches!(Origin::parse(text), Err(ConfigError::PlainUpstream { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn odd_origins_are_refused() {
        for text in [
            "api.anthropic.com",
            "ftp://h",
            "https://",
            "https://u:p@h",
            "https://h:0",
            "https://h:99999",
            "https://h:+1",
            "https://h/../x",
            "https://h/a//b",
            "https://h/?q",
            "https://h/#f",
            "https://h /",
            "https://[::1",
            "https://h%2e",
            "https://h\r\nx: y",
        ] {
            assert!(matches!(Origin::parse(text), Err(ConfigError::Upstream)), "{text}");
        }
    }
}
