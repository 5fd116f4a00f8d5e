//! Intents and their outcomes.

use std::collections::HashMap;

use crate::json::EventFacts;
use crate::report::{Interrupted, Report};

const MAX_LISTED: usize = 1_000;

/// The intents without outcome so far, by request id.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    open: HashMap<Box<[u8]>, u64>,
    first_unpaired: Option<u64>,
}

impl Pairs {
    /// Looks at the next entry.
    pub(crate) fn see(&mut self, sequence: u64, facts: &EventFacts<'_>) {
        let joined = match (facts.phase, facts.request_id) {
            (Some(b"intent"), Some(id)) => self.open.insert(id.into(), sequence).is_none(),
            (Some(b"outcome"), Some(id)) => self.open.remove(id).is_some(),
            (Some(b"intent" | b"outcome"), None) => false,
            _ => true,
        };
        if !joined {
            self.first_unpaired.get_or_insert(sequence);
        }
    }

    /// Lists what was interrupted; returns the first entry that no crash can explain.
    pub(crate) fn finish(&mut self, report: &mut Report) -> Option<u64> {
        let mut open: Vec<(u64, Box<[u8]>)> =
            self.open.drain().map(|(id, sequence)| (sequence, id)).collect();
        open.sort_unstable();
        report.interrupted_total = u64::try_from(open.len()).unwrap_or(u64::MAX);
        report.interrupted = open
            .into_iter()
            .take(MAX_LISTED)
            .map(|(sequence, id)| Interrupted {
                sequence,
                request_id: String::from_utf8_lossy(&id).into_owned(),
            })
            .collect();
        self.first_unpaired
    }
}
