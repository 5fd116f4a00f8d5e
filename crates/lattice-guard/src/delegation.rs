//! How many generations of agents.

use serde::{Deserialize, Serialize};

/// How deep below this agent others may be started: 0 means none, 1 means children without children.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DelegationDepth(u32);

impl DelegationDepth {
    /// So many generations.
    #[must_use]
    pub const fn new(generations: u32) -> Self {
        Self(generations)
    }

    /// Any number of generations.
    #[must_use]
    pub const fn top() -> Self {
        Self(u32::MAX)
    }

    /// No other agent.
    #[must_use]
    pub const fn bottom() -> Self {
        Self(0)
    }

    /// The number of generations.
    #[must_use]
    pub const fn generations(self) -> u32 {
        self.0
    }

    /// The smaller depth.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        *self.min(other)
    }

    /// True if this is no deeper than `other`.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self <= other
    }
}
