//! The host's own HTTPS proxy: which calls go through it, and how it is asked.

use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::origin::{Origin, split_authority};
use crate::secret::Secret;

/// `HTTPS_PROXY` and `NO_PROXY` of the host, given by the caller; this crate reads no environment.
pub struct ProxyRules {
    proxy: Option<Proxy>,
    bypass: Vec<Bypass>,
}

pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What follows `Basic `, when the URL holds credentials.
    pub(crate) authorization: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bypass {
    All,
    /// A name and all names below it, with an optional port.
    Name(String, Option<u16>),
    Address(std::net::IpAddr),
    Network(std::net::IpAddr, u32),
}

impl ProxyRules {
    /// No proxy.
    #[must_use]
    pub fn none() -> Self {
        Self { proxy: None, bypass: Vec::new() }
    }

    /// Parses the values of `HTTPS_PROXY` and `NO_PROXY`; empty values count as absent.
    ///
    /// # Errors
    /// Misuse: a proxy URL of another scheme than `http`, or one that cannot be read. The text never repeats the URL.
    pub fn parse(https_proxy: Option<&str>, no_proxy: Option<&str>) -> Result<Self, ConfigError> {
        let proxy = https_proxy.map(str::trim).filter(|text| !text.is_empty());
        let proxy = proxy.map(Proxy::parse).transpose()?;
        let bypass = no_proxy.unwrap_or_default().split([',', ' ']);
        Ok(Self { proxy, bypass: bypass.filter_map(Bypass::parse).collect() })
    }

    /// The proxy for an origin. Loopback upstreams are never proxied.
    pub(crate) fn for_origin(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let direct = origin.is_loopback() || self.bypass.iter().any(|rule| rule.covers(origin));
        (!direct).then_some(proxy)
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ConfigError::Proxy),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let (host, port) = split_authority(authority).ok_or(ConfigError::Proxy)?;
        let authorization = user.map(basic).transpose()?;
        Ok(Self { host, port: port.unwrap_or(80), authorization })
    }
}

/// `user:password` of a URL as it stands after `Basic ` in `Proxy-Authorization`.
fn basic(user: &str) -> Result<Secret, ConfigError> {
    let decoded = percent_decode(user).ok_or(ConfigError::Proxy)?;
    let mut value = Vec::new();
    base64(&decoded, &mut value);
    Secret::from_bytes(value).map_err(|_| ConfigError::Proxy)
}

fn percent_decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4_usize {
            if index > chunk.len() {
                out.push(b'=');
                continue;
            }
            let six = (word >> (18 - 6 * index)) & 63;
            out.extend(usize::try_from(six).ok().and_then(|i| ALPHABET.get(i)).copied());
        }
    }
}

impl Bypass {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: std::net::IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            return Some(Self::Network(address, bits.parse().ok().filter(|bits| *bits <= most)?));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse() {
            return Some(Self::Address(address));
        }
        let name = text.trim_start_matches("*.").trim_start_matches('.');
        let (name, port) = split_authority(name)?;
        Some(Self::Name(name, port))
    }

    fn covers(&self, origin: &Origin) -> bool {
        let address = origin.host().parse::<std::net::IpAddr>().ok();
        match self {
            Self::All => true,
            Self::Address(rule) => address == Some(*rule),
            Self::Network(rule, bits) => address.is_some_and(|a| in_network(a, *rule, *bits)),
            Self::Name(name, port) => {
                let host = origin.host().trim_end_matches('.');
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|r| r.is_empty() || r.ends_with('.'));
                below && port.is_none_or(|port| port == origin.port())
            }
        }
    }
}

fn in_network(address: std::net::IpAddr, network: std::net::IpAddr, bits: u32) -> bool {
    use std::net::IpAddr::{V4, V6};
    let (a, b, width) = match (address, network) {
        (V4(a), V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (V6(a), V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(no_proxy: &str, origin: &str) -> bool {
        let rules = ProxyRules::parse(Some("http://p:3128"), Some(no_proxy)).unwrap();
        rules.for_origin(&Origin::parse(origin).unwrap()).is_none()
    }

    #[test]
    fn no_proxy_rules_hold_as_written() {
        for (rule, origin, expected) in [
            ("", "https://api.anthropic.com", false),
            ("*", "https://api.anthropic.com", true),
            ("anthropic.com", "https://api.anthropic.com", true),
            (".anthropic.com", "https://api.anthropic.com", true),
            ("*.anthropic.com", "https://api.anthropic.com", true),
            ("thropic.com", "https://api.anthropic.com", false),
            ("api.anthropic.com:443", "https://api.anthropic.com", true),
            ("api.anthropic.com:444", "https://api.anthropic.com", false),
            ("other.example, anthropic.com", "https://api.anthropic.com", true),
            ("10.0.0.0/8", "https://10.9.8.7", true),
            ("10.0.0.0/8", "https://11.0.0.1", false),
            ("0.0.0.0/0", "https://11.0.0.1", true),
            ("fd00::/8", "https://[fd12::1]", true),
            ("fd00::/8", "https://[fe80::1]", false),
            ("10.1.2.3", "https://10.1.2.3", true),
            ("", "http://127.0.0.1:9", true),
            ("garbage//,;;", "https://api.anthropic.com", false),
        ] {
            assert_eq!(direct(rule, origin), expected, "{rule} {origin}");
        }
    }

    #[test]
    fn credentials_become_basic_and_never_show() {
        let proxy = Proxy::parse("http://us%40er:p%3Aw@proxy.example:8080/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 8080));
        // base64 of "us@er:p:w"
        assert_eq!(proxy.authorization.unwrap().expose(), b"dXNAZXI6cDp3");
        let error = Proxy::parse("socks5://user:hunter2@h:1").err().unwrap();
        assert!(!error.to_string().contains("hunter2"));
        assert!(Proxy::parse("http://h:1/path").is_err());
        assert!(Proxy::parse("http://a%zz@h:1").is_err());
        assert!(Proxy::parse("proxy.example:3128").is_ok());
    }

    #[test]
    fn base64_pads_every_length() {
        let encode = |text: &str| {
            let mut out = Vec::new();
            base64(text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(encode("f"), "Zg==");
        assert_eq!(encode("fo"), "Zm8=");
        assert_eq!(encode("foo"), "Zm9v");
        assert_eq!(encode("foobar"), "Zm9vYmFy");
    }
}
