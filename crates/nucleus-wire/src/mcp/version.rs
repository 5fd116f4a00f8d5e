use std::fmt;

/// A revision of the protocol this server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// 2025-06-18.
    V2025_06_18,
    /// 2025-11-25.
    V2025_11_25,
}

impl ProtocolVersion {
    /// The newest revision spoken here.
    pub const LATEST: Self = Self::V2025_11_25;

    /// The revision as it stands in `protocolVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
        }
    }

    /// What to answer a client that asks for `requested`: the same revision when it is spoken here, else the
    /// newest one, which the client may decline by leaving.
    #[must_use]
    pub fn negotiate(requested: &str) -> Self {
        [Self::V2025_06_18, Self::V2025_11_25]
            .into_iter()
            .find(|version| version.as_str() == requested)
            .unwrap_or(Self::LATEST)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
