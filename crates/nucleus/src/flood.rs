//! Refusals before the decision, coalesced: an agent that sends garbage as fast as it can must not fill the disk.

use std::sync::{Mutex, PoisonError};

use nucleus_log::Event;

use crate::limits::{FLOOD_WINDOW, MAX_FLOOD_ENTRIES};
use crate::session::Verdict;

/// How many calls were held back, by how they ended.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct HeldBack {
    total: u64,
    denied: u64,
    failed: u64,
}

impl HeldBack {
    /// All of them.
    pub(crate) fn total(self) -> u64 {
        self.total
    }

    /// Puts them into an entry: the sum, and how many of it were no malformed calls.
    pub(crate) fn tell(self, event: &mut Event) {
        let sums = [
            ("suppressed", self.total),
            ("suppressed_denied", self.denied),
            ("suppressed_failed", self.failed),
        ];
        for (name, sum) in sums.into_iter().filter(|(_, sum)| *sum > 0) {
            event.detail.insert(name.to_owned(), sum.into());
        }
    }

    fn count(&mut self, verdict: Verdict) {
        let add = |sum: &mut u64| *sum = sum.saturating_add(1);
        add(&mut self.total);
        match verdict {
            Verdict::Denied => add(&mut self.denied),
            Verdict::Failed => add(&mut self.failed),
            _ => {}
        }
    }
}

/// Lets a bounded number of entries through in each window and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window_start_ns: u64,
    written: u32,
    held_back: HeldBack,
}

impl Flood {
    /// `Some` when the entry of a call that ended so may be written now, with what was held back before it.
    pub(crate) fn admit(&self, now_ns: u64, verdict: Verdict) -> Option<HeldBack> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let window_ns = u64::try_from(FLOOD_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        if now_ns.saturating_sub(state.window_start_ns) >= window_ns {
            state.window_start_ns = now_ns;
            state.written = 0;
        }
        if state.written >= MAX_FLOOD_ENTRIES {
            state.held_back.count(verdict);
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.held_back))
    }

    /// What was held back and is in no entry yet.
    pub(crate) fn drain(&self) -> HeldBack {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::{FLOOD_WINDOW, Flood, MAX_FLOOD_ENTRIES, Verdict};

    #[test]
    fn every_refusal_is_written_or_counted() {
        let flood = Flood::default();
        let window = u64::try_from(FLOOD_WINDOW.as_nanos()).unwrap();
        let written = (0..1_000).filter(|_| flood.admit(window, Verdict::Denied).is_some()).count();
        assert_eq!(written, usize::try_from(MAX_FLOOD_ENTRIES).unwrap());
        let next = flood.admit(window * 2, Verdict::Malformed).unwrap();
        let expected = 1_000 - u64::from(MAX_FLOOD_ENTRIES);
        assert_eq!((next.total(), next.denied, next.failed), (expected, expected, 0));
        assert_eq!(flood.drain().total(), 0);
    }
}
