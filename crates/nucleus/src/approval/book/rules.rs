//! What answers requests without asking again: rules a human made, and the break-glass window. And answers that come
//! back from a webhook.

use nucleus_wire::approvals::{BreakGlass, RuleView, Similar, brief};

use super::ApprovalBook;
use super::inner::{Detail, Inner};
use super::state::State;
use crate::approval::canonical::ApprovalRequest;
use crate::approval::glass::{self, BreakGlassError, Challenge, Window};
use crate::approval::similar::{Rule, RuleError};
use crate::approval::state::{Answer, DecideError};
use crate::approval::webhook::AnswerError;
use crate::limits::MAX_APPROVAL_RULES;
use crate::refusal::Unexpected;

/// Kind of the entries about rules.
const RULE: &str = "approval_rule";
/// Kind of the entries about the window.
const GLASS: &str = "break_glass";

/// Why a signed answer decided nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerRefused {
    /// The document itself.
    #[error(transparent)]
    Proof(#[from] AnswerError),
    /// The request it is for.
    #[error(transparent)]
    Decide(#[from] DecideError),
}

impl ApprovalBook {
    /// What answers without asking, in force now.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleView> {
        self.expire_due();
        let inner = &*self.inner;
        let state = inner.lock();
        let rules = state.rules.iter().map(|rule| RuleView {
            id: rule.id.clone(),
            covers: rule.covers.clone(),
            left: Some(rule.left),
            expires_in_s: inner.seconds_until(rule.expires_ns),
        });
        let window = state.window.iter().map(|window| RuleView {
            id: window.id.clone(),
            covers: format!("break-glass, everything that asks: {}", window.reason),
            left: None,
            expires_in_s: inner.seconds_until(window.expires_ns),
        });
        rules.chain(window).collect()
    }

    /// Ends a rule or the break-glass window; false when none has the id.
    ///
    /// # Errors
    /// The log did not take the entry. The rule is gone all the same.
    pub fn revoke(&self, id: &str) -> Result<bool, Unexpected> {
        let inner = &*self.inner;
        let mut state = inner.lock();
        if let Some(place) = state.rules.iter().position(|rule| rule.id == id) {
            let rule = state.rules.remove(place);
            return inner
                .record_rule(RULE, id, "revoked", &rule.covers, Detail::new())
                .map(|()| true);
        }
        if let Some(window) = state.window.take_if(|window| window.id == id) {
            return inner
                .record_rule(GLASS, id, "revoked", &window.reason, Detail::new())
                .map(|()| true);
        }
        Ok(false)
    }

    /// A number that the next [`ApprovalBook::break_glass`] must be signed over. It replaces the one before.
    ///
    /// # Errors
    /// The host gives no random numbers.
    pub fn challenge(&self) -> Result<String, Unexpected> {
        let challenge = Challenge::new()?;
        let hex = challenge.hex();
        self.inner.lock().challenge = Some(challenge);
        Ok(hex)
    }

    /// Opens the break-glass window and gives its id.
    ///
    /// # Errors
    /// [`BreakGlassError`]; nothing is open then that was not before.
    pub fn break_glass(&self, demand: &BreakGlass) -> Result<String, BreakGlassError> {
        self.expire_due();
        let inner = &*self.inner;
        let mut state = inner.lock();
        let challenge = state.challenge.take();
        let checked = glass::check(demand, inner.break_glass.as_ref(), &inner.session, challenge);
        let reason = match checked {
            Ok(reason) => reason,
            Err(error) => {
                // Somebody tried: that much belongs into the log, and a log that takes nothing denies every call anyway.
                let _ = inner.record_rule(GLASS, "", "refused", &error.to_string(), Detail::new());
                return Err(error);
            }
        };
        if state.window.is_some() {
            return Err(BreakGlassError::Open);
        }
        let id = state.new_id().map_err(|_| BreakGlassError::Unrecorded)?;
        let mut detail = Detail::new();
        detail.insert("seconds".to_owned(), demand.seconds.into());
        if let Some(key) = &inner.break_glass {
            detail.insert("key".to_owned(), key.hex().into());
        }
        inner
            .record_rule(GLASS, &id, "opened", &reason, detail)
            .map_err(|_| BreakGlassError::Unrecorded)?;
        let life = demand.seconds.saturating_mul(1_000_000_000);
        let expires_ns = inner.now_ns().saturating_add(life);
        state.window = Some(Window { id: id.clone(), reason, expires_ns });
        Ok(id)
    }

    /// Takes a signed answer that came back from a webhook; gives the request's id and whether it was approved.
    ///
    /// # Errors
    /// [`AnswerRefused`]; nothing is decided then.
    pub fn answer(&self, document: &str) -> Result<(String, bool), AnswerRefused> {
        let inner = &*self.inner;
        let key = inner.webhook.as_ref().ok_or(AnswerError::NoKey)?;
        let signed = key.verify_answer(document, &inner.session, inner.now_ms())?;
        let approves = signed.approves();
        if let Some(entry) = inner.lock().entries.get(&signed.id) {
            if entry.request.digest.hex() != signed.digest || entry.nonce.hex() != signed.nonce {
                return Err(AnswerError::OtherRequest.into());
            }
            // Who answers there was sent the beginning of it, and nobody says yes to what they were not shown.
            if approves && brief(&entry.request.rendering.text, "").is_some() {
                return Err(AnswerError::NotShown.into());
            }
        }
        let answer = if approves {
            Answer::approve("webhook")
        } else {
            Answer::refuse("webhook", signed.reason)
        };
        // Used once: the first decision stands, and a request's id is not given twice.
        self.decide(&signed.id, answer)?;
        Ok((signed.id, approves))
    }
}

impl Inner {
    /// A recorded rule, not yet in force.
    pub(super) fn make_rule(
        &self,
        state: &State,
        origin: &ApprovalRequest,
        similar: &Similar,
    ) -> Result<Rule, DecideError> {
        if state.rules.len() >= MAX_APPROVAL_RULES {
            let text = format!("{MAX_APPROVAL_RULES} rules are in force already; revoke one");
            return Err(RuleError::new(text).into());
        }
        let rule = Rule::new(state.new_id()?, origin, similar, self.now_ns())?;
        let mut detail = Detail::new();
        detail.insert("count".to_owned(), rule.left.into());
        detail.insert("seconds".to_owned(), self.seconds_until(rule.expires_ns).into());
        self.record_rule(RULE, &rule.id, "made", &rule.covers, detail)?;
        Ok(rule)
    }

    /// The extra entry of a grant that nobody was asked about.
    pub(super) fn record_window_use(
        &self,
        id: &str,
        reason: &str,
        request: &str,
    ) -> Result<(), Unexpected> {
        let mut detail = Detail::new();
        detail.insert("request".to_owned(), request.into());
        self.record_rule(GLASS, id, "used", reason, detail)
    }

    /// Drops rules and a window whose time or count is over.
    pub(super) fn drop_spent(&self, state: &mut State) {
        let now = self.now_ns();
        state.rules.retain(|rule| {
            let lives = rule.left > 0 && now < rule.expires_ns;
            if !lives {
                let why = if rule.left == 0 { "used_up" } else { "expired" };
                // That it no longer holds needs no entry to be true.
                let _ = self.record_rule(RULE, &rule.id, why, &rule.covers, Detail::new());
            }
            lives
        });
        if let Some(window) = state.window.take_if(|window| now >= window.expires_ns) {
            let _ = self.record_rule(GLASS, &window.id, "expired", &window.reason, Detail::new());
        }
    }
}
