//! What a task remembers between calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lattice_guard::Label;

use crate::approved::Approved;

/// How a call ended, for the closing summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let through by policy.
    Allowed,
    /// Let through by a human's grant.
    Approved,
    /// Refused, by policy, by a human, or because something failed before the effect.
    Denied,
    /// Answered with the id of a request that waits.
    Waiting,
    /// Malformed: refused before anybody was asked.
    Malformed,
    /// Let through, and then the effect itself failed.
    Failed,
    /// Let through, and ended on purpose before it was done.
    Stopped,
}

impl Verdict {
    const ALL: [Self; 7] = [
        Self::Allowed,
        Self::Approved,
        Self::Denied,
        Self::Waiting,
        Self::Malformed,
        Self::Failed,
        Self::Stopped,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Waiting => "waiting",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Label and counters of one task, shared by everything that shares its workspace.
#[derive(Debug)]
pub(crate) struct Session {
    label: Mutex<Label>,
    calls: AtomicU64,
    verdicts: [AtomicU64; Verdict::ALL.len()],
    approved: Approved,
}

impl Session {
    pub(crate) fn new(label: Label) -> Self {
        Self {
            label: Mutex::new(label),
            calls: AtomicU64::new(0),
            verdicts: std::array::from_fn(|_| AtomicU64::new(0)),
            approved: Approved::default(),
        }
    }

    /// The label, held: whoever joins it while recording keeps others from deciding on the old one.
    pub(crate) fn label(&self) -> MutexGuard<'_, Label> {
        self.label.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a person let it write.
    pub(crate) fn approved(&self) -> &Approved {
        &self.approved
    }

    /// Number of the next call, from 1.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    pub(crate) fn count(&self, verdict: Verdict) {
        for (known, counter) in Verdict::ALL.into_iter().zip(&self.verdicts) {
            if known == verdict {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn verdicts(&self) -> BTreeMap<String, u64> {
        Verdict::ALL
            .into_iter()
            .zip(&self.verdicts)
            .map(|(verdict, counter)| (verdict.name().to_owned(), counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
