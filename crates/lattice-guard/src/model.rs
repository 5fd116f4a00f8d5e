//! Which model providers, and what they may be shown.

use serde::{Deserialize, Serialize};

use crate::name::Names;
use crate::path::PathRules;

/// The model dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// Providers whose models may be called.
    pub providers: Names,
    /// Paths whose content may appear in a result a model sees.
    pub visible: PathRules,
}

impl Models {
    /// Every provider may be shown everything.
    #[must_use]
    pub fn top() -> Self {
        Self { providers: Names::top(), visible: PathRules::top() }
    }

    /// No provider, and nothing to show.
    #[must_use]
    pub fn bottom() -> Self {
        Self { providers: Names::bottom(), visible: PathRules::bottom() }
    }

    /// What both permit.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            providers: self.providers.meet(&other.providers),
            visible: self.visible.meet(&other.visible),
        }
    }

    /// True if this permits no more than `other`.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.providers.leq(&other.providers) && self.visible.leq(&other.visible)
    }
}
