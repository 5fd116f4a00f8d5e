//! Who calls: fixed by the listener a connection came through, never by what the caller says of itself.

use std::fmt;

/// A way into the enforcement point that exists in one place only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// The door: a listener in the agent pod's private root.
    Door,
    /// A connection handed to the enforcement process by the user's side, for an MCP client outside of any pod.
    Client,
    /// The model gate's listener in the agent pod.
    ModelGate,
    /// The package gate's listener among the tool pods.
    PackageGate,
    /// The enforcement process itself, for the command a user named.
    Operator,
    /// A program that embeds this library.
    Embedded,
}

impl Channel {
    /// Name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Client => "client",
            Self::ModelGate => "model_gate",
            Self::PackageGate => "package_gate",
            Self::Operator => "operator",
            Self::Embedded => "embedded",
        }
    }
}

/// Longest name of an agent or session, in bytes.
const NAME_BYTES: usize = 64;

/// The principal behind a channel, as it stands in the log: `agent:<name>@<session>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal(String);

impl Principal {
    /// The agent `name` of `session`.
    ///
    /// # Errors
    /// [`BadPrincipal`] unless both are 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub fn agent(name: &str, session: &str) -> Result<Self, BadPrincipal> {
        Self::of("agent", name, session)
    }

    /// The user's own command in `session`.
    ///
    /// # Errors
    /// As [`Principal::agent`].
    pub fn user(name: &str, session: &str) -> Result<Self, BadPrincipal> {
        Self::of("user", name, session)
    }

    fn of(kind: &str, name: &str, session: &str) -> Result<Self, BadPrincipal> {
        for part in [name, session] {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if part.is_empty() || part.len() > NAME_BYTES || !part.chars().all(known) {
                return Err(BadPrincipal);
            }
        }
        Ok(Self(format!("{kind}:{name}@{session}")))
    }

    /// Whoever embeds the library without naming anybody.
    #[must_use]
    pub fn embedded() -> Self {
        Self("user:embedded@local".to_owned())
    }

    /// The text in the log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that cannot be part of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a principal's name and session are 1 to 64 of A-Z a-z 0-9 . _ -")]
pub struct BadPrincipal;

/// A caller: made by whoever owns the listener, one per connection.
#[derive(Debug, Clone)]
pub struct Caller {
    channel: Channel,
    principal: Principal,
}

impl Caller {
    /// The principal that alone can reach `channel`.
    #[must_use]
    pub fn new(channel: Channel, principal: Principal) -> Self {
        Self { channel, principal }
    }

    /// The way in.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

#[cfg(test)]
mod tests {
    use super::Principal;

    #[test]
    fn a_principal_cannot_be_forged_by_its_name() {
        assert_eq!(Principal::agent("claude", "s-1").unwrap().as_str(), "agent:claude@s-1");
        for bad in ["", "a@b", "a:b", "a b", "a\n", "é", &"a".repeat(65)] {
            assert!(Principal::agent(bad, "s-1").is_err(), "{bad:?}");
            assert!(Principal::agent("claude", bad).is_err(), "{bad:?}");
        }
    }
}
