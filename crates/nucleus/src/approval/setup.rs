//! How a task asks humans.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nucleus_wire::control::ApprovalMode;

use super::glass::BreakGlassKey;
use super::grant::ApprovalKey;
use super::past::Past;
use super::webhook::WebhookKey;
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
    /// What the log of this task says of earlier processes of it.
    pub past: Past,
    /// Public half of the user's break-glass key; without it the glass cannot be broken.
    pub break_glass: Option<BreakGlassKey>,
    /// Key that answers from a webhook are proved with; without it none is taken.
    pub webhook: Option<Arc<WebhookKey>>,
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
            past: Past::default(),
            break_glass: None,
            webhook: None,
            ttl: APPROVAL_TTL,
            wait: APPROVAL_WAIT,
        })
    }

    /// `approver` is told, and a human answers.
    ///
    /// # Errors
    /// When the host gives no random numbers.
    pub fn asking(mode: ApprovalMode, approver: Arc<dyn Approver>) -> Result<Self, Unexpected> {
        Ok(Self { mode, approver: Some(approver), ..Self::none()? })
    }
}

impl fmt::Debug for ApprovalSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalSetup").field("mode", &self.mode).finish_non_exhaustive()
    }
}
