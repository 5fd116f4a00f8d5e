//! Where requests stand, as others see it.

use nucleus_wire::approvals::Similar;

use super::similar::RuleError;
use crate::refusal::Unexpected;

/// A human's answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(crate) approve: bool,
    pub(crate) reason: Option<String>,
    pub(crate) similar: Option<Similar>,
    pub(crate) via: &'static str,
}

impl Answer {
    /// Yes, once. `via` names the channel for the log: `terminal`, `socket`, `webhook`.
    #[must_use]
    pub fn approve(via: &'static str) -> Self {
        Self { approve: true, reason: None, similar: None, via }
    }

    /// Yes, and to similar calls too.
    #[must_use]
    pub fn approve_similar(via: &'static str, similar: Similar) -> Self {
        Self { similar: Some(similar), ..Self::approve(via) }
    }

    /// No, with words for the agent or without.
    #[must_use]
    pub fn refuse(via: &'static str, reason: Option<String>) -> Self {
        Self { approve: false, reason, similar: None, via }
    }
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettledAs {
    /// A human is asked.
    Pending,
    /// Granted and not yet used: the same call made again goes through, once.
    Granted,
    /// Granted and used.
    Used,
    /// Refused, with the human's words.
    Refused {
        /// The human's words, escaped.
        reason: Option<String>,
    },
    /// Nobody answered in time, or nobody used the grant in time.
    Expired,
    /// The caller took the call back.
    Withdrawn,
}

impl SettledAs {
    /// One word for feed, log and `approvals_status`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Used => "used",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One request as `approvals_status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalState {
    /// Id of the request.
    pub id: String,
    /// Operation that needs approval.
    pub operation: &'static str,
    /// Where it stands.
    pub state: SettledAs,
    /// Seconds until a pending request is refused or a grant is lost.
    pub expires_in_s: u64,
}

/// A decision that came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// No request of this task has the id.
    #[error("no approval request has this id")]
    Unknown,
    /// It is decided, expired or withdrawn already; the first terminal decision stands.
    #[error("the request is already {}", .0.word())]
    Settled(SettledAs),
    /// The rule asked for cannot be made, so nothing was decided.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The decision could not be recorded, so it does not hold.
    #[error("the decision could not be recorded")]
    Unexpected(#[from] Unexpected),
}
