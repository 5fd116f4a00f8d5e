//! How a task asks humans.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nucleus_wire::control::ApprovalMode;

use super::grant::{ApprovalKey, Nonce};
use crate::limits::{APPROVAL_TTL, APPROVAL_WAIT};
use crate::port::Approver;
use crate::refusal::Unexpected;

/// Who is asked, how long, and with which key the answers are kept.
pub struct ApprovalSetup {
    /// Who can answer; with [`ApprovalMode::None`] every obligation denies.
    pub mode: ApprovalMode,
    /// Key of the grants.
    pub key: ApprovalKey,
    /// Who is told.
    pub approver: Option<Arc<dyn Approver>>,
    /// Nonces of grants that this task's log shows as consumed.
    pub used: BTreeSet<Nonce>,
    /// How long a request waits for a human, and a grant for its use.
    pub ttl: Duration,
    /// How long a call waits for a human before it is answered with the request's id.
    pub wait: Duration,
}

impl ApprovalSetup {
    /// Nobody can answer: obligations deny.
    ///
    /// # Errors
    /// When the host gives no random numbers.
    pub fn none() -> Result<Self, Unexpected> {
        Ok(Self {
            mode: ApprovalMode::None,
            key: ApprovalKey::generate()?,
            approver: None,
            used: BTreeSet::new(),
            ttl: APPROVAL_TTL,
            wait: APPROVAL_WAIT,
        })
    }

    /// A human answers through `approver`'s channel.
    ///
    /// # Errors
    /// When the host gives no random numbers.
    pub fn terminal(approver: Arc<dyn Approver>) -> Result<Self, Unexpected> {
        Ok(Self { mode: ApprovalMode::Terminal, approver: Some(approver), ..Self::none()? })
    }
}

impl fmt::Debug for ApprovalSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalSetup").field("mode", &self.mode).finish_non_exhaustive()
    }
}
