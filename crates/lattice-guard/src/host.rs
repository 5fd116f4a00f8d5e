//! Which hosts, by name and port.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clause::{Atom, Clauses};
use crate::limits::{
    HOST_BYTES_MAX, HOST_LABEL_BYTES_MAX, HOST_WILDCARD_LABEL_BYTES_MAX, HOST_WILDCARD_LABELS_MAX,
};

/// The port of a host that is written without one. Not "every port": what is not named is not open.
const PORT_DEFAULT: u16 = 443;

/// A DNS name and a port, as a request names them. Names are lower case and never IP addresses: addresses are checked
/// where they are dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// Reads `name` or `name:port`; without a port it is 443.
    ///
    /// # Errors
    /// Refuses IP addresses in every spelling, empty or long labels, a trailing dot, and any character a DNS name of
    /// the Internet does not have.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (name, port) = name_and_port(text)?;
        Ok(Self { name: dns_name(name)?, port })
    }

    /// The name in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl TryFrom<String> for Host {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

/// A host, or `*.` and a suffix.
///
/// `*.` stands for one to [`HOST_WILDCARD_LABELS_MAX`] labels of at most [`HOST_WILDCARD_LABEL_BYTES_MAX`] bytes each:
/// a name looked up is a message sent, and short names carry little.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    wildcard: bool,
    name: String,
    port: u16,
}

impl HostPattern {
    /// Reads `name`, `name:port`, `*.suffix` or `*.suffix:port`; without a port it is 443.
    ///
    /// # Errors
    /// As [`Host::parse`]; and a wildcard anywhere but in front, or over a whole top-level domain, is refused.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (name, port) = name_and_port(text)?;
        let (wildcard, name) = match name.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, name),
        };
        let name = dns_name(name)?;
        if wildcard && !name.contains('.') {
            return Err(HostError::TooWide);
        }
        Ok(Self { wildcard, name, port })
    }

    /// True if the pattern covers the host.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        if self.port != host.port {
            return false;
        }
        if !self.wildcard {
            return self.name == host.name;
        }
        let Some(labels) = host
            .name
            .strip_suffix(self.name.as_str())
            .and_then(|front| front.strip_suffix('.'))
            .filter(|labels| !labels.is_empty())
        else {
            return false;
        };
        labels.split('.').count() <= HOST_WILDCARD_LABELS_MAX
            && labels.split('.').all(|label| label.len() <= HOST_WILDCARD_LABEL_BYTES_MAX)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let front = if self.wildcard { "*." } else { "" };
        write!(f, "{front}{}:{}", self.name, self.port)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostError {
    /// An IP address; addresses cannot be named.
    Address,
    /// Not a DNS name.
    Name,
    /// Not a port from 1 to 65535.
    Port,
    /// A wildcard over a whole top-level domain.
    TooWide,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "an IP address; name the host",
            Self::Name => "not a host name such as `api.github.com` or `*.crates.io`",
            Self::Port => "not a port from 1 to 65535",
            Self::TooWide => "a wildcard needs at least two labels behind it",
        })
    }
}

impl std::error::Error for HostError {}

/// The network dimension. The default of a policy file is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hosts(Clauses<HostPattern>);

impl Hosts {
    /// Every host.
    #[must_use]
    pub const fn top() -> Self {
        Self(Clauses::top())
    }

    /// No host: pods get no network.
    #[must_use]
    pub fn bottom() -> Self {
        Self(Clauses::bottom())
    }

    /// The named hosts. None named: no host.
    #[must_use]
    pub fn only(patterns: impl IntoIterator<Item = HostPattern>) -> Self {
        Self(Clauses::only(patterns))
    }

    /// Every host but the named ones.
    #[must_use]
    pub fn except(patterns: impl IntoIterator<Item = HostPattern>) -> Self {
        Self(Clauses::except(patterns))
    }

    /// The rules behind the list.
    #[must_use]
    pub const fn clauses(&self) -> &Clauses<HostPattern> {
        &self.0
    }

    /// True if no host is named at all, so that pods need no network.
    #[must_use]
    pub fn is_bottom(&self) -> bool {
        self.0.is_bottom()
    }

    /// True if the host may be reached.
    #[must_use]
    pub fn permits(&self, host: &Host) -> bool {
        self.0.hold(|atom| match atom {
            Atom::Is(pattern) => pattern.matches(host),
            Atom::Not(pattern) => !pattern.matches(host),
        })
    }

    /// What both reach.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self(self.0.meet(&other.0))
    }

    /// True if this reaches no more than `other` (sound, not complete).
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.0.leq(&other.0)
    }
}

fn name_and_port(text: &str) -> Result<(&str, u16), HostError> {
    if text.starts_with('[') {
        return Err(HostError::Address);
    }
    let Some((name, port)) = text.split_once(':') else { return Ok((text, PORT_DEFAULT)) };
    if name.contains("::") || port.contains(':') {
        return Err(HostError::Address);
    }
    let plain =
        !port.is_empty() && !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(port) if plain => Ok((name, port)),
        _ => Err(HostError::Port),
    }
}

fn dns_name(text: &str) -> Result<String, HostError> {
    if text.is_empty() || text.len() > HOST_BYTES_MAX {
        return Err(HostError::Name);
    }
    let label_is_plain = |label: &str| {
        !label.is_empty()
            && label.len() <= HOST_LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !text.split('.').all(label_is_plain) {
        return Err(HostError::Name);
    }
    // A last label that reads as a number is an address in some resolver's eyes (`127.1`, `0x7f.1`, `2130706433`).
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if numeric {
        return Err(HostError::Address);
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_name_without_port_opens_one_port() {
        assert!(pattern("example.com").matches(&host("Example.com:443")));
        assert!(!pattern("example.com").matches(&host("example.com:22")));
        assert!(pattern("example.com:8080").matches(&host("example.com:8080")));
    }

    #[test]
    fn a_wildcard_is_bounded_and_ends_at_a_dot() {
        let wildcard = pattern("*.crates.io");
        assert!(wildcard.matches(&host("api.crates.io")));
        assert!(wildcard.matches(&host("a.b.c.crates.io")));
        assert!(!wildcard.matches(&host("crates.io")));
        assert!(!wildcard.matches(&host("evil-crates.io")));
        assert!(!wildcard.matches(&host("a.b.c.d.crates.io")), "too many labels");
        let long = format!("{}.crates.io", "x".repeat(41));
        assert!(!wildcard.matches(&host(&long)), "too long a label");
    }

    #[test]
    fn addresses_and_spoofs_are_refused() {
        for text in [
            "127.0.0.1",
            "127.1",
            "0",
            "2130706433",
            "0x7f000001",
            "0X7f.1",
            "[::1]",
            "::1",
            "1:2:3",
        ] {
            assert_eq!(Host::parse(text), Err(HostError::Address), "{text}");
            assert_eq!(HostPattern::parse(text), Err(HostError::Address), "{text}");
        }
        for text in [
            "",
            "a..b",
            "a.",
            ".a",
            "a_b.c",
            "a b",
            "evil\0.example.com",
            "exämple.com",
            "a@b.c",
            "*",
            "a.*.b",
        ] {
            assert_eq!(Host::parse(text), Err(HostError::Name), "{text:?}");
        }
        assert_eq!(HostPattern::parse("*.com"), Err(HostError::TooWide));
        for text in ["a.b:", "a.b:0", "a.b:65536", "a.b:+1", "a.b:080"] {
            assert_eq!(Host::parse(text), Err(HostError::Port), "{text}");
        }
    }

    #[test]
    fn no_host_named_means_no_host() {
        let none = Hosts::only([]);
        assert!(none.is_bottom());
        assert!(!none.permits(&host("example.com")));
        let met = Hosts::only([pattern("a.com")]).meet(&Hosts::only([pattern("b.com")]));
        assert!(!met.permits(&host("a.com")) && !met.permits(&host("b.com")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9.*:x\\[\\]-]{0,24}|.{0,24}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
            }
            if let Ok(pattern) = HostPattern::parse(&text) {
                prop_assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern));
            }
        }
    }
}
