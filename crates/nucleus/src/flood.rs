//! Refusals of malformed calls, coalesced: an agent that sends garbage as fast as it can must not fill the disk.

use std::sync::{Mutex, PoisonError};

use crate::limits::{FLOOD_WINDOW, MAX_FLOOD_ENTRIES};

/// Lets a bounded number of entries through in each window and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window_start_ns: u64,
    written: u32,
    suppressed: u64,
}

impl Flood {
    /// `Some` when an entry may be written now, with how many were held back before it.
    pub(crate) fn admit(&self, now_ns: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let window_ns = u64::try_from(FLOOD_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        if now_ns.saturating_sub(state.window_start_ns) >= window_ns {
            state.window_start_ns = now_ns;
            state.written = 0;
        }
        if state.written >= MAX_FLOOD_ENTRIES {
            state.suppressed = state.suppressed.saturating_add(1);
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.suppressed))
    }

    /// What was held back and is in no entry yet.
    pub(crate) fn drain(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::{FLOOD_WINDOW, Flood, MAX_FLOOD_ENTRIES};

    #[test]
    fn every_refusal_is_written_or_counted() {
        let flood = Flood::default();
        let window = u64::try_from(FLOOD_WINDOW.as_nanos()).unwrap();
        let written = (0..1_000).filter(|_| flood.admit(window).is_some()).count();
        assert_eq!(written, usize::try_from(MAX_FLOOD_ENTRIES).unwrap());
        let next = flood.admit(window * 2).unwrap();
        assert_eq!(next, 1_000 - u64::from(MAX_FLOOD_ENTRIES));
        assert_eq!(flood.drain(), 0);
    }
}
