//! What a task may spend.

use serde::{Deserialize, Serialize};

use crate::amount::{MicroUsd, Tokens};

/// Ceilings of a task, from its first call to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetLimits {
    /// Money, for models and for everything else.
    pub max_cost: MicroUsd,
    /// Uncached input tokens. Cached input is priced, not counted.
    pub max_input_tokens: Tokens,
    /// Output tokens.
    pub max_output_tokens: Tokens,
}

impl BudgetLimits {
    /// As much as can be written.
    #[must_use]
    pub const fn top() -> Self {
        Self {
            max_cost: MicroUsd::MAX,
            max_input_tokens: Tokens::MAX,
            max_output_tokens: Tokens::MAX,
        }
    }

    /// Nothing.
    #[must_use]
    pub const fn bottom() -> Self {
        Self {
            max_cost: MicroUsd::ZERO,
            max_input_tokens: Tokens::ZERO,
            max_output_tokens: Tokens::ZERO,
        }
    }

    /// The lower ceiling of each.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            max_cost: self.max_cost.min(other.max_cost),
            max_input_tokens: self.max_input_tokens.min(other.max_input_tokens),
            max_output_tokens: self.max_output_tokens.min(other.max_output_tokens),
        }
    }

    /// True if no ceiling is higher than in `other`.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.max_cost <= other.max_cost
            && self.max_input_tokens <= other.max_input_tokens
            && self.max_output_tokens <= other.max_output_tokens
    }
}

/// What is left of a budget when a decision is taken. A view only: the reservation that follows is what holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetView {
    /// Money left.
    pub cost: MicroUsd,
    /// Uncached input tokens left.
    pub input: Tokens,
    /// Output tokens left.
    pub output: Tokens,
}

impl BudgetView {
    /// The view of a budget of which nothing is spent.
    #[must_use]
    pub const fn whole(limits: &BudgetLimits) -> Self {
        Self {
            cost: limits.max_cost,
            input: limits.max_input_tokens,
            output: limits.max_output_tokens,
        }
    }
}
