//! Where requests stand, as others see it.

use crate::refusal::Unexpected;

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
    /// The decision could not be recorded, so it does not hold.
    #[error("the decision could not be recorded")]
    Unexpected(#[from] Unexpected),
}
