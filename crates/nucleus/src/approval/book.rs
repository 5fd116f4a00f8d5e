//! The state of every approval request of a task: one machine, whatever channel a decision comes through.

mod inner;
mod rules;
mod state;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nucleus_log::Durability;
use nucleus_wire::approvals::RequestView;
use nucleus_wire::control::{ApprovalMode, ApprovalView};
use nucleus_wire::display::escape_short;

use self::inner::{Detail, Inner};
use self::state::{Cover, Entry, State};
use super::canonical::ApprovalRequest;
use super::grant::{GrantError, Nonce, Token};
use super::setup::ApprovalSetup;
use super::state::{Answer, ApprovalState, DecideError, SettledAs};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::limits::{MAX_APPROVAL_WAITERS, MAX_REASON_CHARS};
use crate::port::Clock;
use crate::recorder::Recorder;
use crate::refusal::Unexpected;

pub use self::rules::AnswerRefused;

/// How often a waiting call looks whether its client took it back.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// What became of a request for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// A human is asked, or was already being asked the same.
    Pending { id: String },
    /// A rule a human made, or the break-glass window, answered: the grant waits to be used.
    Granted,
    /// The human refused exactly this before.
    Refused { id: String, reason: Option<String> },
    /// Longer than a person can be shown.
    TooLong,
    /// Too many requests wait, or too many were asked lately.
    Full,
    /// Nobody can be asked.
    Nobody,
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

impl ApprovalBook {
    pub(crate) fn new(
        setup: ApprovalSetup,
        task: &str,
        recorder: Recorder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let ApprovalSetup { mode, key, approver, past, break_glass, webhook, ttl, wait } = setup;
        let began = (clock.wall_ms().max(past.latest_ms), clock.monotonic_ns());
        Self {
            inner: Arc::new(Inner {
                mode,
                key,
                approver,
                ttl,
                wait,
                session: task.to_owned(),
                task: Digest::of(task.as_bytes()),
                recorder,
                clock,
                began,
                break_glass,
                webhook,
                state: Mutex::new(State::after(past)),
                changed: Condvar::new(),
            }),
        }
    }

    /// Who can answer.
    #[must_use]
    pub fn mode(&self) -> ApprovalMode {
        self.inner.mode
    }

    /// The human's answer. The first terminal decision stands; a late one is refused. Gives the id of the rule that was
    /// made with it, if any.
    ///
    /// # Errors
    /// [`DecideError`]; the request is then as it was.
    pub fn decide(&self, id: &str, answer: Answer) -> Result<Option<String>, DecideError> {
        self.expire_due();
        let inner = &*self.inner;
        let mut state = inner.lock();
        let Some(entry) = state.entries.get(id) else {
            let gone = state.gone.get(id).cloned();
            return Err(gone.map_or(DecideError::Unknown, DecideError::Settled));
        };
        if entry.state != SettledAs::Pending {
            return Err(DecideError::Settled(entry.state.clone()));
        }
        let request = entry.request.clone();
        let Answer { approve, reason, similar, via } = answer;
        let reason = reason.map(|reason| escape_short(&reason, MAX_REASON_CHARS));
        let next = if approve { SettledAs::Granted } else { SettledAs::Refused { reason } };
        let token = if approve { Some(inner.mint(&request)?) } else { None };
        let rule = match similar.filter(|_| approve) {
            Some(similar) => Some(inner.make_rule(&state, &request, &similar)?),
            None => None,
        };
        // Under the lock, so that no call can use a grant that is not in the log.
        let detail = Detail::from_iter([("via".to_owned(), via.into())]);
        inner.record(id, &request, &next, &detail, Durability::Durable)?;
        let rule_id = rule.as_ref().map(|rule| rule.id.clone());
        state.rules.extend(rule);
        if let Some(entry) = state.entries.get_mut(id) {
            entry.token = token;
            entry.state = next.clone();
            entry.expires_ns = inner.deadline_ns();
        }
        if let SettledAs::Refused { reason } = next.clone() {
            state.remember_refusal(request.digest, id, reason);
            state.settle(id);
        }
        drop(state);
        inner.changed.notify_all();
        inner.tell_settled(id, next.word());
        Ok(rule_id)
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
        inner.drop_spent(&mut state);
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

    /// One request with all of its rendering.
    #[must_use]
    pub fn request(&self, id: &str) -> Option<RequestView> {
        self.expire_due();
        let state = self.inner.lock();
        state.entries.get(id).map(|entry| self.inner.request_view(id, entry))
    }

    /// Every request that is remembered, in the order they were made, each with the beginning of its rendering.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestView> {
        self.expire_due();
        let state = self.inner.lock();
        let mut entries: Vec<_> = state.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.number);
        entries
            .into_iter()
            .map(|(id, entry)| {
                let RequestView { view, state, reason } = self.inner.request_view(id, entry);
                RequestView { view: view.shortened(), state, reason }
            })
            .collect()
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
                expires_in_s: if entry.is_open() {
                    self.inner.seconds_until(entry.expires_ns)
                } else {
                    0
                },
            })
            .collect()
    }

    /// Asks a human, unless the same is being asked, was refused, or is answered by what a human said before.
    pub(crate) fn submit(&self, request: ApprovalRequest) -> Result<Submitted, Unexpected> {
        self.expire_due();
        let inner = &*self.inner;
        let mut state = inner.lock();
        if let Some((id, entry)) = state.duplicate(request.digest) {
            return Ok(match entry.state {
                SettledAs::Granted => Submitted::Granted,
                _ => Submitted::Pending { id: id.clone() },
            });
        }
        if let Some((id, reason)) = state.refusal(request.digest) {
            return Ok(Submitted::Refused { id, reason });
        }
        let now_ns = inner.now_ns();
        if let Some(cover) = state.cover(&request, now_ns) {
            return inner.grant_covered(&mut state, request, cover);
        }
        if inner.mode == ApprovalMode::None {
            return Ok(Submitted::Nobody);
        }
        if !request.rendering.complete {
            return Ok(Submitted::TooLong);
        }
        if state.is_flooded(now_ns) {
            return Ok(Submitted::Full);
        }
        let id = state.new_id()?;
        inner.record(&id, &request, &SettledAs::Pending, &Detail::new(), Durability::Written)?;
        state.count_question(now_ns);
        let entry = inner.entry(&mut state, request, SettledAs::Pending, None)?;
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

impl Inner {
    fn entry(
        &self,
        state: &mut State,
        request: ApprovalRequest,
        settled: SettledAs,
        token: Option<Token>,
    ) -> Result<Entry, Unexpected> {
        let (expires_ns, nonce, number) =
            (self.deadline_ns(), Nonce::random()?, state.next_number());
        Ok(Entry { request, state: settled, token, waiters: 0, expires_ns, nonce, number })
    }

    /// A grant of its own for what a rule or the window covers: minted and recorded like a human's yes.
    fn grant_covered(
        &self,
        state: &mut State,
        mut request: ApprovalRequest,
        cover: Cover,
    ) -> Result<Submitted, Unexpected> {
        // Nobody is asked to read it.
        request.rendering.let_go();
        let id = state.new_id()?;
        let token = self.mint(&request)?;
        let (name, by) = match &cover {
            Cover::Rule(_, rule) => ("by_rule", rule),
            Cover::Window(window, reason) => {
                self.record_window_use(window, reason, &id)?;
                ("break_glass", window)
            }
        };
        let detail = Detail::from_iter([(name.to_owned(), by.as_str().into())]);
        self.record(&id, &request, &SettledAs::Granted, &detail, Durability::Durable)?;
        if let Cover::Rule(place, _) = cover
            && let Some(rule) = state.rules.get_mut(place)
        {
            rule.left = rule.left.saturating_sub(1);
        }
        let entry = self.entry(state, request, SettledAs::Granted, Some(token))?;
        state.entries.insert(id, entry);
        Ok(Submitted::Granted)
    }
}

impl fmt::Debug for ApprovalBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalBook").field("mode", &self.inner.mode).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
