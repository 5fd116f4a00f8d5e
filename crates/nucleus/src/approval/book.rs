//! The state of every approval request of a task: one machine, whatever channel a decision comes through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nucleus_log::{Durability, Event, Phase};
use nucleus_wire::control::{ApprovalMode, ApprovalView};
use nucleus_wire::display::escape_short;

use super::canonical::ApprovalRequest;
use super::grant::{ApprovalKey, Claims, GrantError, Nonce, Token, random};
use super::setup::ApprovalSetup;
use super::state::{ApprovalState, DecideError, SettledAs};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::limits::{
    MAX_APPROVAL_WAITERS, MAX_PENDING_APPROVALS, MAX_REASON_CHARS, MAX_REMEMBERED_REFUSALS,
    MAX_SETTLED_APPROVALS,
};
use crate::port::{Approver, Clock};
use crate::recorder::Recorder;
use crate::refusal::Unexpected;

/// Characters of a request id: easy to type, hard to confuse.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID_LEN: usize = 4;
/// How often a waiting call looks whether its client took it back.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// What became of a request for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// A human is asked, or was already being asked the same.
    Pending { id: String },
    /// The human refused exactly this before.
    Refused { id: String, reason: Option<String> },
    /// Too many requests wait.
    Full,
}

/// A grant that fits a request and is about to be used. Not `Clone`.
#[derive(Debug)]
#[must_use]
pub(crate) struct Presented {
    id: String,
    token: Token,
}

/// A grant that is used up: its nonce belongs into the intent.
#[derive(Debug)]
#[must_use]
pub(crate) struct Consumed {
    pub(crate) id: String,
    pub(crate) nonce: Nonce,
}

/// All approval requests of one task. Clones are the same book.
#[derive(Clone)]
pub struct ApprovalBook {
    inner: Arc<Inner>,
}

struct Inner {
    mode: ApprovalMode,
    key: ApprovalKey,
    approver: Option<Arc<dyn Approver>>,
    ttl: Duration,
    wait: Duration,
    task: Digest,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    settled: VecDeque<String>,
    used: BTreeSet<Nonce>,
    refused: VecDeque<(Digest, String, Option<String>)>,
    waiters: usize,
}

struct Entry {
    request: ApprovalRequest,
    state: SettledAs,
    token: Option<Token>,
    waiters: usize,
    expires_ns: u64,
}

impl ApprovalBook {
    pub(crate) fn new(
        setup: ApprovalSetup,
        task: &str,
        recorder: Recorder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let ApprovalSetup { mode, key, approver, used, ttl, wait } = setup;
        Self {
            inner: Arc::new(Inner {
                mode,
                key,
                approver,
                ttl,
                wait,
                task: Digest::of(task.as_bytes()),
                recorder,
                clock,
                state: Mutex::new(State { used, ..State::default() }),
                changed: Condvar::new(),
            }),
        }
    }

    /// Who can answer.
    #[must_use]
    pub fn mode(&self) -> ApprovalMode {
        self.inner.mode
    }

    /// The human's answer. The first terminal decision stands; a late one is refused.
    ///
    /// # Errors
    /// [`DecideError`]; the request is then as it was.
    pub fn decide(&self, id: &str, approve: bool, reason: Option<&str>) -> Result<(), DecideError> {
        self.expire_due();
        let inner = &*self.inner;
        let mut state = inner.lock();
        let entry = state.entries.get_mut(id).ok_or(DecideError::Unknown)?;
        if entry.state != SettledAs::Pending {
            return Err(DecideError::Settled(entry.state.clone()));
        }
        let reason = reason.map(|reason| escape_short(reason, MAX_REASON_CHARS));
        let next = if approve { SettledAs::Granted } else { SettledAs::Refused { reason } };
        let token = if approve { Some(inner.mint(&entry.request)?) } else { None };
        // Under the lock, so that no call can use a grant that is not in the log.
        inner.record(id, &entry.request, &next, Durability::Durable)?;
        entry.token = token;
        entry.state = next.clone();
        entry.expires_ns = inner.deadline_ns();
        if let SettledAs::Refused { reason } = next.clone() {
            let digest = entry.request.digest;
            state.remember_refusal(digest, id, reason);
            state.settle(id);
        }
        drop(state);
        inner.changed.notify_all();
        inner.tell_settled(id, next.word());
        Ok(())
    }

    /// Ends every request whose time is over. Called before each look at the book; a task with a human at the terminal
    /// also calls it every second, so that a stale prompt disappears.
    pub fn expire_due(&self) {
        let inner = &*self.inner;
        let now = inner.clock.monotonic_ns();
        let mut state = inner.lock();
        let due: Vec<String> = state
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_open() && now >= entry.expires_ns)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &due {
            state.close(inner, id, SettledAs::Expired);
        }
        drop(state);
        inner.announce(&due, "expired");
    }

    /// Takes back every request that waits: the task ends.
    pub fn withdraw_all(&self) {
        let inner = &*self.inner;
        let mut state = inner.lock();
        let open: Vec<String> = state
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_open())
            .map(|(id, _)| id.clone())
            .collect();
        for id in &open {
            state.close(inner, id, SettledAs::Withdrawn);
        }
        drop(state);
        inner.announce(&open, "withdrawn");
    }

    /// The requests that wait for a human.
    #[must_use]
    pub fn pending(&self) -> Vec<ApprovalView> {
        self.expire_due();
        let state = self.inner.lock();
        let pending = state.entries.iter().filter(|(_, entry)| entry.state == SettledAs::Pending);
        pending.map(|(id, entry)| self.inner.view(id, entry)).collect()
    }

    /// Where requests stand: the one with this id, or all that are remembered.
    #[must_use]
    pub fn states(&self, id: Option<&str>) -> Vec<ApprovalState> {
        self.expire_due();
        let state = self.inner.lock();
        let wanted = state.entries.iter().filter(|(known, _)| id.is_none_or(|id| id == *known));
        wanted
            .map(|(id, entry)| ApprovalState {
                id: id.clone(),
                operation: entry.request.operation,
                state: entry.state.clone(),
                expires_in_s: if entry.is_open() { self.inner.seconds_left(entry) } else { 0 },
            })
            .collect()
    }

    /// Asks a human, unless the same is being asked or was refused.
    pub(crate) fn submit(&self, request: ApprovalRequest) -> Result<Submitted, Unexpected> {
        self.expire_due();
        let inner = &*self.inner;
        let mut state = inner.lock();
        if let Some((id, _)) = state
            .entries
            .iter()
            .find(|(_, entry)| entry.is_open() && entry.request.digest == request.digest)
        {
            return Ok(Submitted::Pending { id: id.clone() });
        }
        if let Some((_, id, reason)) =
            state.refused.iter().find(|(digest, ..)| *digest == request.digest)
        {
            return Ok(Submitted::Refused { id: id.clone(), reason: reason.clone() });
        }
        let pending =
            state.entries.values().filter(|entry| entry.state == SettledAs::Pending).count();
        if pending >= MAX_PENDING_APPROVALS {
            return Ok(Submitted::Full);
        }
        let id = state.new_id()?;
        inner.record(&id, &request, &SettledAs::Pending, Durability::Written)?;
        let entry = Entry {
            request,
            state: SettledAs::Pending,
            token: None,
            waiters: 0,
            expires_ns: inner.deadline_ns(),
        };
        let view = inner.view(&id, &entry);
        state.entries.insert(id.clone(), entry);
        drop(state);
        if let Some(approver) = &inner.approver {
            approver.requested(view);
        }
        Ok(Submitted::Pending { id })
    }

    /// Waits for a human, not longer than this book's limit. At most
    /// [`MAX_APPROVAL_WAITERS`] calls wait at a time: the others are told at once that the request is pending.
    ///
    /// When the client takes the call back and no other call waits for the same request, the request is withdrawn.
    pub(crate) fn wait(&self, id: &str, cancel: &Cancel) -> SettledAs {
        let inner = &*self.inner;
        let deadline = Instant::now() + inner.wait;
        let mut state = inner.lock();
        let may_wait = state.waiters < MAX_APPROVAL_WAITERS;
        let Some(entry) = state.entries.get_mut(id) else { return SettledAs::Withdrawn };
        if !may_wait || entry.state != SettledAs::Pending {
            return entry.state.clone();
        }
        entry.waiters += 1;
        state.waiters += 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let over = left.is_zero() || cancel.is_cancelled();
            let settled = state.entries.get(id).is_none_or(|e| e.state != SettledAs::Pending);
            if over || settled {
                break;
            }
            let step = left.min(CANCEL_POLL);
            let woken = inner.changed.wait_timeout(state, step);
            drop(woken.unwrap_or_else(PoisonError::into_inner).0);
            self.expire_due();
            state = inner.lock();
        }
        state.waiters -= 1;
        let Some(entry) = state.entries.get_mut(id) else { return SettledAs::Withdrawn };
        entry.waiters -= 1;
        let alone = entry.waiters == 0;
        if alone && cancel.is_cancelled() && entry.state == SettledAs::Pending {
            state.close(inner, id, SettledAs::Withdrawn);
            drop(state);
            inner.announce(&[id.to_owned()], "withdrawn");
            return SettledAs::Withdrawn;
        }
        entry.state.clone()
    }

    /// The unused grant for exactly this request under exactly this policy.
    pub(crate) fn present(&self, request: Digest, policy: Digest) -> Option<Presented> {
        self.expire_due();
        let state = self.inner.lock();
        let (id, token) = state.entries.iter().find_map(|(id, entry)| {
            let fits = entry.state == SettledAs::Granted && entry.request.digest == request;
            entry.token.as_ref().filter(|_| fits).map(|token| (id, token))
        })?;
        self.inner.verify(token, request, policy, &state.used).ok()?;
        Some(Presented { id: id.clone(), token: token.clone() })
    }

    /// Uses a grant up. Of two calls that present the same grant one gets it.
    pub(crate) fn consume(
        &self,
        presented: Presented,
        request: Digest,
        policy: Digest,
    ) -> Result<Consumed, GrantError> {
        self.expire_due();
        let inner = &*self.inner;
        let mut state = inner.lock();
        let claims = inner.verify(&presented.token, request, policy, &state.used)?;
        let Presented { id, .. } = presented;
        match state.entries.get_mut(&id) {
            Some(entry) if entry.state == SettledAs::Granted => {
                entry.state = SettledAs::Used;
                entry.token = None;
            }
            Some(Entry { state: SettledAs::Expired, .. }) => return Err(GrantError::Expired),
            _ => return Err(GrantError::Used),
        }
        state.used.insert(claims.nonce);
        state.settle(&id);
        Ok(Consumed { id, nonce: claims.nonce })
    }
}

impl fmt::Debug for ApprovalBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalBook").field("mode", &self.inner.mode).finish_non_exhaustive()
    }
}

impl Entry {
    /// Waits for a human or for its use.
    fn is_open(&self) -> bool {
        matches!(self.state, SettledAs::Pending | SettledAs::Granted)
    }
}

impl State {
    fn new_id(&self) -> Result<String, Unexpected> {
        loop {
            let mut bytes = [0_u8; ID_LEN];
            random(&mut bytes)?;
            let id: String = bytes
                .iter()
                .filter_map(|byte| ID_ALPHABET.get(usize::from(byte % 32)))
                .map(|byte| char::from(*byte))
                .collect();
            if !self.entries.contains_key(&id) {
                return Ok(id);
            }
        }
    }

    /// Moves a request into the bounded history.
    fn settle(&mut self, id: &str) {
        self.settled.push_back(id.to_owned());
        while self.settled.len() > MAX_SETTLED_APPROVALS {
            if let Some(oldest) = self.settled.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    fn remember_refusal(&mut self, digest: Digest, id: &str, reason: Option<String>) {
        self.refused.push_back((digest, id.to_owned(), reason));
        while self.refused.len() > MAX_REMEMBERED_REFUSALS {
            self.refused.pop_front();
        }
    }

    /// Ends an open request without a human's decision. That it is not granted needs no durable entry.
    fn close(&mut self, inner: &Inner, id: &str, state: SettledAs) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = state;
        entry.token = None;
        // A log that takes nothing denies every later call anyway.
        let _ = inner.record(id, &entry.request, &entry.state, Durability::Written);
        self.settle(id);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deadline_ns(&self) -> u64 {
        let ttl = u64::try_from(self.ttl.as_nanos()).unwrap_or(u64::MAX);
        self.clock.monotonic_ns().saturating_add(ttl)
    }

    fn seconds_left(&self, entry: &Entry) -> u64 {
        entry.expires_ns.saturating_sub(self.clock.monotonic_ns()) / 1_000_000_000
    }

    fn view(&self, id: &str, entry: &Entry) -> ApprovalView {
        ApprovalView {
            id: id.to_owned(),
            operation: entry.request.operation.to_owned(),
            rule: entry.request.rule.to_owned(),
            rendering: entry.request.rendering.clone(),
            digest: entry.request.digest.hex(),
            expires_in_s: self.seconds_left(entry),
        }
    }

    fn mint(&self, request: &ApprovalRequest) -> Result<Token, Unexpected> {
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        Ok(self.key.mint(&Claims {
            request: request.digest,
            task: self.task,
            policy: request.policy,
            expires_ms: self.clock.wall_ms().saturating_add(ttl_ms),
            nonce: Nonce::random()?,
        }))
    }

    fn verify(
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
        if self.clock.wall_ms() >= claims.expires_ms {
            return Err(GrantError::Expired);
        }
        if used.contains(&claims.nonce) {
            return Err(GrantError::Used);
        }
        Ok(claims)
    }

    fn record(
        &self,
        id: &str,
        request: &ApprovalRequest,
        state: &SettledAs,
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
        if let SettledAs::Refused { reason: Some(reason) } = state {
            event.detail.insert("reason".to_owned(), reason.as_str().into());
        }
        self.recorder.append(&event, durability).map(|_| ())
    }

    fn announce(&self, ids: &[String], outcome: &'static str) {
        if ids.is_empty() {
            return;
        }
        self.changed.notify_all();
        for id in ids {
            self.tell_settled(id, outcome);
        }
    }

    fn tell_settled(&self, id: &str, outcome: &'static str) {
        if let Some(approver) = &self.approver {
            approver.settled(id, outcome);
        }
    }
}

#[cfg(test)]
mod tests;
