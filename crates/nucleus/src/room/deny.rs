use nucleus_log::{Durability, Phase};
use nucleus_wire::control::{FeedEvent, FeedStatus};

use crate::executor::Executor;
use crate::flood::HeldBack;
use crate::recorder::CallRecord;
use crate::refusal::{Refusal, Unexpected, fail_closed};
use crate::result::{Ending, ToolResult};
use crate::session::Verdict;
use crate::tools::ToolError;

/// A call that is not let through. It can only be recorded and answered.
#[derive(Debug)]
#[must_use = "a refusal must be recorded and answered"]
pub struct Denied {
    number: u64,
    record: Box<CallRecord>,
    why: Why,
    /// Refused before anybody decided: recorded one by one only as long as there are few.
    coalesced: bool,
}

#[derive(Debug)]
enum Why {
    /// Policy, a human or a limit said no.
    Refused(Refusal),
    /// A human has to say yes.
    Approval { operation: &'static str, rule: &'static str, id: Option<String>, text: String },
    /// The call names something that is not there; nobody refused anything.
    Fault { code: &'static str, text: String },
}

impl Denied {
    pub(super) fn new(number: u64, record: Box<CallRecord>, refusal: Refusal) -> Self {
        Self { number, record, why: Why::Refused(refusal), coalesced: false }
    }

    pub(super) fn failed(number: u64, record: Box<CallRecord>, error: &Unexpected) -> Self {
        Self::new(number, record, fail_closed(error))
    }

    pub(super) fn unresolved(number: u64, record: Box<CallRecord>, error: &ToolError) -> Self {
        let why = match error.refusal() {
            Some(refusal) => Why::Refused(refusal),
            None => Why::Fault { code: error.code(), text: error.agent_text() },
        };
        Self { number, record, why, coalesced: true }
    }

    /// For a caller whose channel serves no tools.
    pub(super) fn unidentified(number: u64, record: Box<CallRecord>, refusal: Refusal) -> Self {
        Self { coalesced: true, ..Self::new(number, record, refusal) }
    }

    pub(super) fn approval(
        number: u64,
        record: Box<CallRecord>,
        operation: &'static str,
        rule: &'static str,
        id: Option<String>,
        text: String,
    ) -> Self {
        Self { number, record, why: Why::Approval { operation, rule, id, text }, coalesced: false }
    }

    /// Records the refusal and makes the answer. A log that fails changes nothing about it: it is a refusal still.
    pub fn settle(self, executor: &Executor) -> ToolResult {
        let sandbox = executor.sandbox();
        let Self { number, record, why, coalesced } = self;
        let (code, layer, status, verdict, ending, text) = match why {
            Why::Refused(refusal) => {
                let refusal = refusal.shown(|text| sandbox.clean(text));
                let (code, layer) = (refusal.code(), Some(refusal.layer()));
                let text = refusal.to_string();
                (code, layer, FeedStatus::Denied, Verdict::Denied, Ending::Denied(refusal), text)
            }
            Why::Approval { operation, rule, id, text } => {
                let (status, verdict) = match id {
                    Some(_) => (FeedStatus::Waiting, Verdict::Waiting),
                    None => (FeedStatus::Denied, Verdict::Denied),
                };
                let text = sandbox.clean(&text);
                let ending = Ending::ApprovalRequired { operation, id };
                (rule, Some("approval"), status, verdict, ending, text)
            }
            Why::Fault { code, text } => {
                let text = sandbox.clean(&text);
                (code, None, FeedStatus::Failed, Verdict::Failed, Ending::Failed { code }, text)
            }
        };
        sandbox.inner.session.count(verdict);
        let inner = &*sandbox.inner;
        let held_back = if coalesced {
            match inner.flood.admit(inner.clock.monotonic_ns(), verdict) {
                Some(held_back) => held_back,
                None => return ToolResult { text, image: None, structured: None, ending },
            }
        } else {
            HeldBack::default()
        };
        let mut event = record.event(sandbox.recorder(), Phase::Decision);
        held_back.tell(&mut event);
        let (decision, result) = match verdict {
            Verdict::Waiting => ("needs_approval", "pending"),
            Verdict::Failed => ("none", "error"),
            _ => ("deny", "denied"),
        };
        event.decision = Some(decision.to_owned());
        event.result = Some(result.to_owned());
        event.rule = Some(code.to_owned());
        if let Some(layer) = layer {
            event.detail.insert("layer".to_owned(), layer.into());
        }
        if let Ending::ApprovalRequired { id: Some(id), .. } = &ending {
            event.approval_id = Some(id.clone());
        }
        // Nothing was done, so nothing has to be stopped when the log fails: every later intent will fail too.
        let _ = sandbox.recorder().append(&event, Durability::Written);
        inner.show(FeedEvent {
            call: number,
            status,
            tool: record.tool.to_owned(),
            target: record.target,
            rule: Some(code.to_owned()),
            layer: layer.map(str::to_owned),
            detail: None,
            duration_ms: None,
        });
        ToolResult { text, image: None, structured: None, ending }
    }
}
