//! What the book remembers, and how it changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nucleus_log::Durability;

use super::inner::{Detail, Inner};
use crate::approval::canonical::ApprovalRequest;
use crate::approval::glass::{Challenge, Window};
use crate::approval::grant::{Nonce, Token, random};
use crate::approval::past::Past;
use crate::approval::similar::Rule;
use crate::approval::state::SettledAs;
use crate::digest::Digest;
use crate::limits::{
    APPROVAL_QUESTION_WINDOW, MAX_APPROVAL_QUESTIONS, MAX_PENDING_APPROVALS,
    MAX_REMEMBERED_REFUSALS, MAX_SETTLED_APPROVALS,
};
use crate::refusal::Unexpected;

/// Characters of a request id: easy to type, hard to confuse.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID_LEN: usize = 4;

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<String, Entry>,
    /// Requests of earlier processes: known, and over.
    pub(super) gone: BTreeMap<String, SettledAs>,
    settled: VecDeque<String>,
    pub(super) used: BTreeSet<Nonce>,
    refused: VecDeque<(Digest, String, Option<String>)>,
    /// When humans were asked, within the window.
    asked_ns: VecDeque<u64>,
    pub(super) rules: Vec<Rule>,
    pub(super) window: Option<Window>,
    pub(super) challenge: Option<Challenge>,
    pub(super) waiters: usize,
    made: u64,
}

pub(super) struct Entry {
    pub(super) request: ApprovalRequest,
    pub(super) state: SettledAs,
    pub(super) token: Option<Token>,
    pub(super) waiters: usize,
    pub(super) expires_ns: u64,
    /// What a signed answer must carry.
    pub(super) nonce: Nonce,
    /// Order of the requests.
    pub(super) number: u64,
}

/// What answers a request without asking.
pub(super) enum Cover {
    /// A rule a human made, by its place and id.
    Rule(usize, String),
    /// The open break-glass window: id and reason.
    Window(String, String),
}

impl Entry {
    /// Waits for a human or for its use.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, SettledAs::Pending | SettledAs::Granted)
    }
}

impl State {
    pub(super) fn after(past: Past) -> Self {
        let mut state = Self { used: past.used.clone(), ..Self::default() };
        for (digest, id, reason) in past.refusals() {
            state.remember_refusal(digest, id, reason.map(str::to_owned));
        }
        state.gone = past.requests.into_iter().map(|(id, gone)| (id, gone.state)).collect();
        state
    }

    pub(super) fn new_id(&self) -> Result<String, Unexpected> {
        loop {
            let mut bytes = [0_u8; ID_LEN];
            random(&mut bytes)?;
            let id: String = bytes
                .iter()
                .filter_map(|byte| ID_ALPHABET.get(usize::from(byte % 32)))
                .map(|byte| char::from(*byte))
                .collect();
            let rule = self.rules.iter().any(|rule| rule.id == id);
            let known = self.entries.contains_key(&id) || self.gone.contains_key(&id) || rule;
            if !known {
                return Ok(id);
            }
        }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.made = self.made.saturating_add(1);
        self.made
    }

    /// An open request for exactly this.
    pub(super) fn duplicate(&self, digest: Digest) -> Option<(&String, &Entry)> {
        self.entries.iter().find(|(_, entry)| entry.is_open() && entry.request.digest == digest)
    }

    pub(super) fn refusal(&self, digest: Digest) -> Option<(String, Option<String>)> {
        let known = self.refused.iter().find(|(refused, ..)| *refused == digest);
        known.map(|(_, id, reason)| (id.clone(), reason.clone()))
    }

    /// Whether another human question is too many: waiting at a time, or asked in the window.
    pub(super) fn is_flooded(&mut self, now_ns: u64) -> bool {
        let window = u64::try_from(APPROVAL_QUESTION_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        while self.asked_ns.front().is_some_and(|at| now_ns.saturating_sub(*at) >= window) {
            self.asked_ns.pop_front();
        }
        let pending = self.entries.values().filter(|e| e.state == SettledAs::Pending).count();
        pending >= MAX_PENDING_APPROVALS || self.asked_ns.len() >= MAX_APPROVAL_QUESTIONS
    }

    pub(super) fn count_question(&mut self, now_ns: u64) {
        self.asked_ns.push_back(now_ns);
    }

    /// What answers this request without asking anybody.
    pub(super) fn cover(&self, request: &ApprovalRequest, now_ns: u64) -> Option<Cover> {
        let rule = self.rules.iter().enumerate().find(|(_, rule)| rule.covers(request, now_ns));
        if let Some((place, rule)) = rule {
            return Some(Cover::Rule(place, rule.id.clone()));
        }
        let open = self.window.as_ref().filter(|window| now_ns < window.expires_ns)?;
        Some(Cover::Window(open.id.clone(), open.reason.clone()))
    }

    /// Moves a request into the bounded history.
    pub(super) fn settle(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.request.rendering.let_go();
        }
        self.settled.push_back(id.to_owned());
        while self.settled.len() > MAX_SETTLED_APPROVALS {
            if let Some(oldest) = self.settled.pop_front()
                && let Some(entry) = self.entries.remove(&oldest)
            {
                self.gone.insert(oldest, entry.state);
            }
        }
    }

    pub(super) fn remember_refusal(&mut self, digest: Digest, id: &str, reason: Option<String>) {
        self.refused.push_back((digest, id.to_owned(), reason));
        while self.refused.len() > MAX_REMEMBERED_REFUSALS {
            self.refused.pop_front();
        }
    }

    /// Ends an open request without a human's decision. That it is not granted needs no durable entry.
    pub(super) fn close(&mut self, inner: &Inner, id: &str, state: SettledAs) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = state;
        entry.token = None;
        // A log that takes nothing denies every later call anyway.
        let _ = inner.record(id, &entry.request, &entry.state, &Detail::new(), Durability::Written);
        self.settle(id);
    }
}
