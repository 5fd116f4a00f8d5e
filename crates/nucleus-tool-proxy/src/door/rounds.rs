//! Calls that were answered `input_required` and may be made again, of revision 2026-07-28.
//!
//! The answer carries a state that means nothing outside this process: a random name of an entry here. The entry says
//! which call it is for, and is taken by whoever presents it, once. It grants nothing. It says only that the client waits
//! for a person who is asked elsewhere, so the call made again waits a little more instead of bothering the model.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nucleus::Digest;
use nucleus_wire::mcp::CallTool;
use rustix::rand::{GetRandomFlags, getrandom};

/// Times one call is answered so before the model is told what it waits for. Each waits as long as any call does for a
/// person, and all of them together stay below the patience of the clients that are started here.
const ROUNDS_MAX: u8 = 2;
/// How long a client may take to make its call again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Entries held at a time; more than may be pending.
const ENTRIES_MAX: usize = 64;

/// A state that is of no call, of another one, used or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknown;

/// How often a call was answered so already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round(u8);

impl Round {
    /// Of a call that comes without a state.
    pub(super) const FIRST: Self = Self(0);
}

/// The entries.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    call: Digest,
    round: Round,
    until: Instant,
}

impl Rounds {
    /// Takes the entry that `state` names.
    pub(super) fn take(&self, call: &CallTool, now: Instant) -> Result<Round, Unknown> {
        let Some(state) = &call.request_state else { return Ok(Round::FIRST) };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.remove(state).ok_or(Unknown)?;
        if entry.until < now || entry.call != digest(call) {
            return Err(Unknown);
        }
        Ok(entry.round)
    }

    /// A state for one more round of `call`; `None` when it had enough, or too many wait.
    pub(super) fn issue(&self, call: &CallTool, round: Round, now: Instant) -> Option<String> {
        let next = Round(round.0.saturating_add(1));
        if next.0 > ROUNDS_MAX {
            return None;
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.until >= now);
        if entries.len() >= ENTRIES_MAX {
            return None;
        }
        let state = random()?;
        let until = now + PATIENCE;
        entries.insert(state.clone(), Entry { call: digest(call), round: next, until });
        Some(state)
    }
}

fn digest(call: &CallTool) -> Digest {
    // Text and JSON have no failing case here.
    Digest::of(&serde_json::to_vec(&(&call.name, &call.arguments)).unwrap_or_default())
}

fn random() -> Option<String> {
    let mut bytes = [0_u8; 16];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    if filled < bytes.len() {
        return None;
    }
    Some(bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(path: &str, request_state: Option<String>) -> CallTool {
        CallTool {
            name: "read".to_owned(),
            arguments: json!({ "path": path }),
            progress_token: None,
            tool_use_id: None,
            request_state,
        }
    }

    #[test]
    fn a_state_is_good_once_for_its_own_call_and_not_for_ever() {
        let (rounds, now) = (Rounds::default(), Instant::now());
        assert_eq!(rounds.take(&call("a", None), now), Ok(Round::FIRST));
        let issue = || rounds.issue(&call("a", None), Round::FIRST, now);
        let state = issue();
        assert_eq!(rounds.take(&call("b", state.clone()), now), Err(Unknown), "of another call");
        assert_eq!(rounds.take(&call("a", state), now), Err(Unknown), "tried once already");
        let state = issue();
        assert_eq!(rounds.take(&call("a", state.clone()), now + PATIENCE * 2), Err(Unknown));
        let state = issue().filter(|fresh| Some(fresh) != state.as_ref());
        assert_eq!(rounds.take(&call("a", state.clone()), now), Ok(Round(1)));
        assert_eq!(rounds.take(&call("a", state), now), Err(Unknown), "used");
        assert_eq!(rounds.take(&call("a", Some("made up".to_owned())), now), Err(Unknown));
    }

    #[test]
    fn rounds_and_entries_are_bounded() {
        let (rounds, now) = (Rounds::default(), Instant::now());
        assert_eq!(rounds.issue(&call("a", None), Round(ROUNDS_MAX), now), None);
        for n in 0..ENTRIES_MAX {
            assert!(rounds.issue(&call("a", None), Round::FIRST, now).is_some(), "{n}");
        }
        assert_eq!(rounds.issue(&call("a", None), Round::FIRST, now), None);
        let later = now + PATIENCE * 2;
        assert!(rounds.issue(&call("a", None), Round::FIRST, later).is_some(), "old ones go");
    }
}
