//! Which package registries commands may fetch from.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A public registry of packages, reached by its client's own protocol and only to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Registry {
    /// crates.io.
    Cargo,
    /// The npm registry.
    Npm,
    /// The Python Package Index.
    Pip,
    /// The Go module mirror, with its checksum database.
    Go,
}

impl Registry {
    /// All registries.
    pub const ALL: [Self; 4] = [Self::Cargo, Self::Npm, Self::Pip, Self::Go];

    /// The name used in policy files and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Pip => "pip",
            Self::Go => "go",
        }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Registry {
    type Err = UnknownRegistry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|registry| registry.name() == text).ok_or(UnknownRegistry)
    }
}

/// The text names no registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRegistry;

impl fmt::Display for UnknownRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of cargo, npm, pip, go")
    }
}

impl std::error::Error for UnknownRegistry {}

/// A set of registries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packages(BTreeSet<Registry>);

impl Packages {
    /// Every registry.
    #[must_use]
    pub fn top() -> Self {
        Self(Registry::ALL.into())
    }

    /// None.
    #[must_use]
    pub const fn bottom() -> Self {
        Self(BTreeSet::new())
    }

    /// These and no other.
    #[must_use]
    pub fn only(registries: impl IntoIterator<Item = Registry>) -> Self {
        Self(registries.into_iter().collect())
    }

    /// True if nothing may be fetched.
    #[must_use]
    pub fn is_bottom(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the registry is named.
    #[must_use]
    pub fn permits(&self, registry: Registry) -> bool {
        self.0.contains(&registry)
    }

    /// The registries, in order.
    pub fn iter(&self) -> impl Iterator<Item = Registry> {
        self.0.iter().copied()
    }

    /// What both name.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// What either names.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// True if every registry here is in `other`.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}
