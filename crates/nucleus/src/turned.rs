//! What is turned away beside the rooms: what was no call, and what a gate or the name service refuses. It is counted,
//! recorded and shown like a call that the rooms refuse.

use nucleus_log::{Durability, Phase};
use nucleus_wire::control::{FeedEvent, FeedStatus};
use nucleus_wire::display::escape_short;
use nucleus_wire::tool::ToolArgError;
use serde_json::Value;

use crate::caller::Caller;
use crate::executor::Executor;
use crate::limits::{MAX_TARGET_CHARS, MAX_TOOL_CHARS};
use crate::sandbox::Sandbox;
use crate::session::Verdict;

/// What stands for a call whose tool is not known.
const NO_TOOL: &str = "call";
/// Arguments that say what a call is about, those of tools that agents believe in included.
const SUBJECTS: [&str; 9] =
    ["path", "command", "argv", "pattern", "job", "id", "file_path", "url", "query"];
/// Arguments whose values are in no log.
const BODIES: [&str; 4] = ["content", "old_string", "new_string", "stdin"];
/// One argument keeps this much of a target, so that it hides no other, in characters.
const ARGUMENT_CHARS_MAX: usize = MAX_TARGET_CHARS / 2 - 64;

/// Something that a gate or the name service turned away.
#[derive(Debug, Clone, Copy)]
pub struct TurnedAway<'a> {
    /// Type of its entry.
    pub kind: &'static str,
    /// What it was to be done with.
    pub tool: &'a str,
    /// What it acts on, as it came.
    pub target: &'a str,
    /// Code of the refusal.
    pub rule: &'a str,
    /// Layer that held.
    pub layer: &'a str,
}

impl Sandbox {
    /// Counts, records and shows a refusal.
    pub fn turned_away(&self, what: &TurnedAway<'_>) {
        let target = escape_short(what.target, MAX_TARGET_CHARS);
        self.inner.session.count(Verdict::Denied);
        let mut event = self.recorder().event(what.kind);
        event.tool = Some(what.tool.to_owned());
        event.target = Some(target.clone());
        event.decision = Some("deny".to_owned());
        event.result = Some("denied".to_owned());
        event.rule = Some(what.rule.to_owned());
        event.detail.insert("layer".to_owned(), what.layer.into());
        // A log that cannot be written denies every call by itself; nothing was done here either way.
        let _ = self.recorder().note(&event);
        self.inner.show(FeedEvent {
            call: 0,
            status: FeedStatus::Denied,
            tool: what.tool.to_owned(),
            target,
            rule: Some(what.rule.to_owned()),
            layer: Some(what.layer.to_owned()),
            detail: None,
            duration_ms: None,
        });
    }
}

impl Executor {
    /// Records that `caller` sent something that is no call: a broken frame, a request that is none. Under flood only a part
    /// is written one by one and the rest is counted.
    pub fn malformed(&self, caller: &Caller, code: &'static str) {
        self.turned_back(caller, code, || (None, String::new()));
    }

    /// As [`Executor::malformed`], of a call with an unknown tool or bad arguments.
    pub(crate) fn malformed_call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: &Value,
        error: &ToolArgError,
    ) {
        self.turned_back(caller, error.code(), || {
            let tool = escape_short(name, MAX_TOOL_CHARS);
            (Some(tool).filter(|tool| !tool.is_empty()), target(arguments, error))
        });
    }

    fn turned_back(
        &self,
        caller: &Caller,
        code: &'static str,
        about: impl FnOnce() -> (Option<String>, String),
    ) {
        let sandbox = self.sandbox();
        let inner = &*sandbox.inner;
        inner.session.count(Verdict::Malformed);
        let now_ns = inner.clock.monotonic_ns();
        let Some(held_back) = inner.flood.admit(now_ns, Verdict::Malformed) else { return };
        let (tool, target) = about();
        let mut event = sandbox.recorder().event("malformed_call");
        event.phase = Phase::Decision;
        event.principal = Some(caller.principal().as_str().to_owned());
        event.tool.clone_from(&tool);
        event.target = Some(target.clone()).filter(|target| !target.is_empty());
        event.decision = Some("deny".to_owned());
        event.result = Some("denied".to_owned());
        event.rule = Some(code.to_owned());
        event.detail.insert("channel".to_owned(), caller.channel().name().into());
        event.detail.insert("layer".to_owned(), "wire".into());
        held_back.tell(&mut event);
        // Nothing was done; a log that fails denies the next call.
        let _ = sandbox.recorder().append(&event, Durability::Written);
        let suppressed = held_back.total();
        inner.show(FeedEvent {
            call: inner.session.next_call(),
            status: FeedStatus::Denied,
            tool: tool.unwrap_or_else(|| NO_TOOL.to_owned()),
            target,
            rule: Some(code.to_owned()),
            layer: Some("wire".to_owned()),
            detail: (suppressed > 0).then(|| format!("{suppressed} more before it")),
            duration_ms: None,
        });
    }
}

/// What the call was about, and the argument that is wrong with it where that is another one.
fn target(arguments: &Value, error: &ToolArgError) -> String {
    let named = |name: &str| arguments.get(name).filter(|value| !value.is_null());
    let subject = SUBJECTS.into_iter().find(|name| named(name).is_some());
    let mut parts: Vec<String> = subject.and_then(named).map(shown).into_iter().collect();
    match error {
        ToolArgError::Unknown { argument, .. } => parts.push(format!("with {argument}")),
        _ => {
            let wrong = error.argument().filter(|name| Some(*name) != subject);
            let value = wrong.filter(|name| !BODIES.contains(name)).and_then(named);
            if let (Some(name), Some(value)) = (wrong, value) {
                parts.push(format!("with {name} {}", shown(value)));
            }
        }
    }
    parts.join(" ")
}

/// A value as it came, escaped and bounded.
fn shown(value: &Value) -> String {
    let words = value.as_array().and_then(|items| {
        items.iter().map(Value::as_str).collect::<Option<Vec<&str>>>().map(|words| words.join(" "))
    });
    let text = match (value, words) {
        (Value::String(text), _) => text.clone(),
        (_, Some(words)) => words,
        (other, None) => other.to_string(),
    };
    escape_short(&text, ARGUMENT_CHARS_MAX)
}
