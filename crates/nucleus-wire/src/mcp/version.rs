use std::fmt;

/// A revision of the protocol this server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// 2025-06-18: a handshake opens the connection.
    V2025_06_18,
    /// 2025-11-25: likewise.
    V2025_11_25,
    /// 2026-07-28: no handshake; every request says all that is needed to serve it.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All revisions spoken here, newest first.
    pub const ALL: [Self; 3] = [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18];
    /// The newest revision that begins with `initialize`.
    pub const HANDSHAKE: Self = Self::V2025_11_25;

    /// The revision as it stands in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == name)
    }

    /// True for revisions whose requests carry their own metadata instead of relying on a handshake.
    #[must_use]
    pub fn is_stateless(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// What to answer an `initialize` that asks for `requested`: the same revision when it is spoken here and begins
    /// with a handshake, else the newest that does, which the client may decline by leaving.
    #[must_use]
    pub fn negotiate(requested: &str) -> Self {
        Self::by_name(requested)
            .filter(|version| !version.is_stateless())
            .unwrap_or(Self::HANDSHAKE)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
