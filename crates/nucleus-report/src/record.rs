//! A session as its log tells it.

use std::collections::BTreeMap;

use nucleus_log::Verdict as LogVerdict;
use nucleus_log::{Entry, Report};
use serde::Serialize;

use crate::amount::duration;
use crate::gather::Gather;
use crate::proof::reaches_end;
use crate::step::{Step, Verdict};

/// The budget that the session began with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Millionths of a dollar.
    pub cost_micro_usd: Option<u64>,
    /// Uncached input tokens.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
}

/// Sums over the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Calls by verdict, with those that were only counted.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Of these, how many were counted and not written one by one.
    pub suppressed: u64,
    /// Cost booked, in millionths of a dollar.
    pub cost_micro_usd: u64,
    /// Uncached input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Tokens read from or written to a cache.
    pub cached_input_tokens: u64,
}

/// What the log says of the session's changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// SHA-256 of the record of changes beside the log, in hexadecimal.
    pub sha256: Option<String>,
    /// Carried to the workspace when the task ended.
    pub applied: Option<u64>,
    /// Held for review when the task ended.
    pub held: Option<u64>,
    /// In conflict when the task ended.
    pub conflicts: Option<u64>,
}

/// A session as its log tells it.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Session id.
    pub session: Option<String>,
    /// Name of the policy.
    pub policy: Option<String>,
    /// Digest of the policy.
    pub policy_digest: Option<String>,
    /// Driver of the pods.
    pub driver: Option<String>,
    /// What enforcement does not reach, in words; absent when everything the agent does passes the door.
    pub scope: Option<String>,
    /// Layer to level, as probed when the session began.
    pub layers: BTreeMap<String, String>,
    /// Time of the first entry.
    pub started: Option<String>,
    /// Time of the last entry.
    pub ended: Option<String>,
    /// Microseconds between the two, by the clock that cannot be set.
    pub duration_us: Option<u64>,
    /// How the task ended; absent when the log does not say.
    pub ending: Option<String>,
    /// The budget it began with.
    pub limits: Limits,
    /// Sums over the steps that verified.
    pub totals: Totals,
    /// Its changes.
    pub changes: Changes,
    /// What verification found.
    pub verification: Report,
    /// Entries that can be relied on, from the first on.
    pub trusted_entries: u64,
    /// Entries that were read, the others included.
    pub read_entries: u64,
    /// Why reading ended before the log did.
    pub unreadable: Option<String>,
    /// What happened, in the order of the log.
    pub steps: Vec<Step>,
}

impl Record {
    /// The record of a session: what `verification` found, and the log's entries as they were read. Reading may have ended
    /// early, for the reason in `unreadable`.
    #[must_use]
    pub fn of(
        verification: Report,
        entries: impl IntoIterator<Item = Entry>,
        unreadable: Option<String>,
    ) -> Self {
        let trusted_entries = trusted(&verification);
        let mut gather = Gather::new(trusted_entries);
        for entry in entries {
            gather.entry(&entry);
        }
        gather.finish(verification, unreadable)
    }

    /// Whether the log verified, with or without its MACs.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self.verification.verdict, LogVerdict::Ok | LogVerdict::OkWithoutMacKey)
    }

    /// Whether what verified reaches to the end of the log.
    #[must_use]
    pub fn reaches_end(&self) -> bool {
        reaches_end(&self.verification)
    }

    /// How the session ended, in words; what stands behind a fault is not how it ended.
    #[must_use]
    pub fn ending_words(&self) -> String {
        match &self.ending {
            Some(ending) => ending.replace('_', " "),
            None if !self.reaches_end() => "the end is not proved".to_owned(),
            None if self.verification.live => "not over yet".to_owned(),
            None => "no end recorded".to_owned(),
        }
    }

    /// How long it took, as far as that is proved; empty when nothing is.
    #[must_use]
    pub fn duration_words(&self) -> String {
        match self.duration_us.map(|us| duration(us / 1_000)) {
            Some(took) if self.reaches_end() => format!("after {took}"),
            Some(took) if self.trusted_entries > 1 => format!("proved for the first {took}"),
            _ => String::new(),
        }
    }
}

/// How many entries, from the first on, a verdict leaves standing.
fn trusted(report: &Report) -> u64 {
    match report.verdict {
        LogVerdict::Empty | LogVerdict::MissingSidecar | LogVerdict::WrongKey => 0,
        // Two histories: only what a checkpoint covers is known to be one of them.
        LogVerdict::Fork { .. } | LogVerdict::RolledBack { .. } => {
            report.proved.as_ref().map_or(0, |proved| proved.size).min(report.entries)
        }
        _ => report.entries,
    }
}
