//! A call through all seven rooms.

use nucleus::room::{Asked, NotRecorded, Parsed, Ruling};
use nucleus::{Caller, Cancel, Executor, NoProgress, ToolResult};

fn walk(parsed: Parsed, caller: &Caller, executor: &Executor) -> Option<ToolResult> {
    let identified = parsed.identify(caller, executor).ok()?;
    let permitted = match identified.decide(executor) {
        Ruling::Allow(permitted) => permitted,
        Ruling::NeedsApproval(parked) => match parked.ask(executor, &Cancel::new()) {
            Asked::Granted(permitted) => permitted,
            Asked::NotGranted(denied) => return Some(denied.settle(executor)),
        },
        Ruling::Deny(denied) => return Some(denied.settle(executor)),
    };
    let reserved = permitted.reserve(executor).ok()?;
    match reserved.record(executor) {
        Ok(recorded) => Some(recorded.act(executor, &Cancel::new(), &NoProgress).settle(executor)),
        Err(NotRecorded::Denied(denied)) => Some(denied.settle(executor)),
        Err(NotRecorded::Stale(_)) => None,
    }
}

pub(crate) fn main() {
    let _ = walk;
}
