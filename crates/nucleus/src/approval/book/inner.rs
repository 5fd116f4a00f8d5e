//! What the book is made with, and how it writes things down.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nucleus_log::{Durability, Event, Phase};
use nucleus_wire::approvals::RequestView;
use nucleus_wire::control::{ApprovalMode, ApprovalView};
use nucleus_wire::display::escape_short;

use super::state::{Entry, State};
use crate::approval::canonical::ApprovalRequest;
use crate::approval::glass::BreakGlassKey;
use crate::approval::grant::{ApprovalKey, Claims, GrantError, Nonce, Token};
use crate::approval::state::SettledAs;
use crate::approval::webhook::WebhookKey;
use crate::digest::Digest;
use crate::limits::MAX_TARGET_CHARS;
use crate::port::{Approver, Clock};
use crate::recorder::Recorder;
use crate::refusal::Unexpected;

/// What an entry of the log says beside its fixed members.
pub(super) type Detail = serde_json::Map<String, serde_json::Value>;

pub(super) struct Inner {
    pub(super) mode: ApprovalMode,
    pub(super) key: ApprovalKey,
    pub(super) approver: Option<Arc<dyn Approver>>,
    pub(super) ttl: Duration,
    pub(super) wait: Duration,
    pub(super) session: String,
    pub(super) task: Digest,
    pub(super) recorder: Recorder,
    pub(super) clock: Arc<dyn Clock>,
    /// The latest wall time known when the book was made (the log's, if the clock was set back since), and the monotonic
    /// time of that moment.
    pub(super) began: (u64, u64),
    pub(super) break_glass: Option<BreakGlassKey>,
    pub(super) webhook: Option<Arc<WebhookKey>>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    /// The time tokens expire by: the wall clock, but never behind what the log has seen plus what has passed since.
    pub(super) fn now_ms(&self) -> u64 {
        let (wall_ms, monotonic_ns) = self.began;
        let passed_ms = self.now_ns().saturating_sub(monotonic_ns) / 1_000_000;
        self.clock.wall_ms().max(wall_ms.saturating_add(passed_ms))
    }

    pub(super) fn deadline_ns(&self) -> u64 {
        let ttl = u64::try_from(self.ttl.as_nanos()).unwrap_or(u64::MAX);
        self.now_ns().saturating_add(ttl)
    }

    pub(super) fn seconds_until(&self, moment_ns: u64) -> u64 {
        moment_ns.saturating_sub(self.now_ns()) / 1_000_000_000
    }

    pub(super) fn view(&self, id: &str, entry: &Entry) -> ApprovalView {
        ApprovalView {
            id: id.to_owned(),
            operation: entry.request.operation.to_owned(),
            rule: entry.request.rule.to_owned(),
            rendering: entry.request.rendering.text.as_ref().to_owned(),
            complete: entry.request.rendering.complete,
            digest: entry.request.digest.hex(),
            expires_in_s: if entry.is_open() { self.seconds_until(entry.expires_ns) } else { 0 },
            principal: entry.request.principal.as_str().to_owned(),
            target: escape_short(&entry.request.target, MAX_TARGET_CHARS),
            nonce: entry.nonce.hex(),
        }
    }

    pub(super) fn request_view(&self, id: &str, entry: &Entry) -> RequestView {
        let reason = match &entry.state {
            SettledAs::Refused { reason } => reason.clone(),
            _ => None,
        };
        let state = entry.state.word().to_owned();
        RequestView { view: self.view(id, entry), state, reason }
    }

    pub(super) fn mint(&self, request: &ApprovalRequest) -> Result<Token, Unexpected> {
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        Ok(self.key.mint(&Claims {
            request: request.digest,
            task: self.task,
            policy: request.policy,
            expires_ms: self.now_ms().saturating_add(ttl_ms),
            nonce: Nonce::random()?,
        }))
    }

    pub(super) fn verify(
        &self,
        token: &Token,
        request: Digest,
        policy: Digest,
        used: &BTreeSet<Nonce>,
    ) -> Result<Claims, GrantError> {
        let claims = self.key.verify(token)?;
        if claims.request != request {
            return Err(GrantError::OtherRequest);
        }
        if claims.task != self.task {
            return Err(GrantError::OtherTask);
        }
        if claims.policy != policy {
            return Err(GrantError::OtherPolicy);
        }
        if self.now_ms() >= claims.expires_ms {
            return Err(GrantError::Expired);
        }
        if used.contains(&claims.nonce) {
            return Err(GrantError::Used);
        }
        Ok(claims)
    }

    pub(super) fn record(
        &self,
        id: &str,
        request: &ApprovalRequest,
        state: &SettledAs,
        detail: &Detail,
        durability: Durability,
    ) -> Result<(), Unexpected> {
        let mut event: Event = self.recorder.event("approval");
        event.phase = Phase::Decision;
        event.tool = Some(request.operation.to_owned());
        event.target = Some(request.target.clone());
        event.result = Some(state.word().to_owned());
        event.principal = Some(request.principal.as_str().to_owned());
        event.rule = Some(request.rule.to_owned());
        event.policy_digest = Some(request.policy.hex());
        event.approval_id = Some(id.to_owned());
        event.args_digest = Some(request.digest.hex());
        event.detail = detail.clone();
        if let SettledAs::Refused { reason: Some(reason) } = state {
            event.detail.insert("reason".to_owned(), reason.as_str().into());
        }
        self.recorder.append(&event, durability).map(|_| ())
    }

    /// Writes down what became of a rule (`approval_rule`) or of the break-glass window (`break_glass`).
    pub(super) fn record_rule(
        &self,
        kind: &'static str,
        id: &str,
        result: &str,
        target: &str,
        detail: Detail,
    ) -> Result<(), Unexpected> {
        let mut event: Event = self.recorder.event(kind);
        event.phase = Phase::Decision;
        event.target = Some(target.to_owned());
        event.result = Some(result.to_owned());
        event.detail = detail;
        event.detail.insert("rule".to_owned(), id.into());
        self.recorder.append(&event, Durability::Durable).map(|_| ())
    }

    pub(super) fn announce(&self, ids: &[String], outcome: &'static str) {
        if ids.is_empty() {
            return;
        }
        self.changed.notify_all();
        for id in ids {
            self.tell_settled(id, outcome);
        }
    }

    pub(super) fn tell_settled(&self, id: &str, outcome: &'static str) {
        if let Some(approver) = &self.approver {
            approver.settled(id, outcome);
        }
    }
}
