use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use lattice_guard::{Action, Envelope, Level, Operation, Permit, RelPath, Risk};
use nucleus_sys::weaken::{self, Weak};
use nucleus_wire::tool::{ApprovalsStatus, ToolCall};

use super::prompt;
use super::record::Recorded;
use crate::approval::{ApprovalBook, SettledAs};
use crate::cancel::Cancel;
use crate::effect::{EffectContext, EffectReport, PathGuard, Warrant};
use crate::executor::Executor;
use crate::limits::FILE_CALL_TIMEOUT;
use crate::open::Open;
use crate::port::Progress;
use crate::refusal::{Refusal, Unexpected, fail_closed};
use crate::tools::{self, ToolError};

/// A call whose effect is over, one way or another. It still has to be settled.
#[derive(Debug)]
#[must_use = "an effect that is over must be settled"]
pub struct Acted {
    pub(super) call: ToolCall,
    pub(super) open: Open,
    pub(super) outcome: Result<EffectReport, ToolError>,
}

impl Recorded {
    /// Does the effect: within its deadline, with bounded output, until `cancel` is set.
    pub fn act(self, executor: &Executor, cancel: &Cancel, progress: &dyn Progress) -> Acted {
        if let Err(refusal) = self.unchanged(executor) {
            return self.refuse(refusal);
        }
        let Self { call, permit, open, .. } = self;
        if cancel.is_cancelled() {
            return Acted { call, open, outcome: Err(ToolError::Cancelled) };
        }
        let answer = match &call {
            ToolCall::ApprovalsStatus(status) => {
                Some(approvals_status(executor.sandbox().approvals(), status))
            }
            ToolCall::PermissionPrompt(asks) => Some(prompt::allowed(asks)),
            _ => None,
        };
        if let Some(report) = answer {
            return Acted { call, open, outcome: Ok(report) };
        }
        let inner = &*executor.sandbox().inner;
        let guard = Guard::new(executor.envelope(), permit.as_deref());
        let context = EffectContext {
            workspace: &inner.workspace,
            runner: &inner.runner,
            jobs: &inner.jobs,
            paths: &guard,
            cancel,
            progress,
            deadline: Instant::now() + FILE_CALL_TIMEOUT,
        };
        let warrant = Warrant { call: call.clone() };
        // A build that unwinds turns a panic into a refusal; one that aborts ends the task with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| tools::perform(warrant, &context)))
            .unwrap_or_else(|_| Err(ToolError::Refused(fail_closed(&Unexpected::Panicked))));
        Acted { call, open, outcome }
    }
}

impl Recorded {
    /// The call ends here: its effect must not begin.
    pub(crate) fn refuse(self, refusal: Refusal) -> Acted {
        let Self { call, open, .. } = self;
        Acted { call, open, outcome: Err(ToolError::Refused(refusal)) }
    }
}

/// The policy of one call on paths after resolution: the path that was decided on, and otherwise what this operation
/// may touch without a human.
struct Guard<'a> {
    envelope: &'a Envelope,
    operation: Option<Operation>,
    /// The path the decision was about, by its real name.
    decided: Option<&'a RelPath>,
    /// A human granted exactly that path.
    granted: bool,
}

impl<'a> Guard<'a> {
    fn new(envelope: &'a Envelope, permit: Option<&'a Permit>) -> Self {
        let (operation, decided) = match permit.map(|permit| permit.request().action()) {
            Some(Action::Read { path }) => (Some(Operation::ReadFiles), Some(path)),
            Some(Action::Write { path }) => (Some(Operation::WriteFiles), Some(path)),
            Some(Action::Edit { path }) => (Some(Operation::EditFiles), Some(path)),
            // A search is decided on where it begins; what it finds is judged file by file.
            Some(Action::Glob { .. }) => (Some(Operation::GlobSearch), None),
            Some(Action::Grep { .. }) => (Some(Operation::GrepSearch), None),
            _ => (None, None),
        };
        let granted = permit.and_then(Permit::granted).is_some();
        Self { envelope, operation, decided, granted }
    }

    /// True if the operation may touch the path without asking anybody about it.
    fn asks_nobody(&self, operation: Operation, path: &RelPath) -> bool {
        let always = self.envelope.permissions().levels.get(operation) == Level::Always;
        always || self.envelope.classifier().path_risk(operation, path) == Risk::Low
    }
}

impl PathGuard for Guard<'_> {
    fn admit(&self, path: &RelPath) -> Result<(), Refusal> {
        let Some(operation) = self.operation else {
            let text = "Refused: this call was not permitted to touch files by itself.";
            return Err(Refusal::new("deny.path.not_permitted", "policy", text));
        };
        let decided = self.decided == Some(path);
        if decided && self.granted {
            return Ok(());
        }
        self.envelope
            .admits_path(operation, path)
            .map_err(|reason| Refusal::new(reason.code(), "policy", reason.agent_text()))?;
        if decided || self.asks_nobody(operation, path) {
            return Ok(());
        }
        let text = "Refused: the path now leads to a file that needs a person's approval. Name that file itself.";
        Err(Refusal::new("deny.path.changed", "policy", text))
    }

    fn visible(&self, path: &RelPath) -> bool {
        // Test builds only: searches that ask no policy about what they find.
        if weaken::off(Weak::PathPolicy) {
            return self.operation.is_some();
        }
        self.operation.is_some_and(|operation| {
            self.envelope.admits_path(operation, path).is_ok() && self.asks_nobody(operation, path)
        })
    }
}

/// The answer of `approvals_status`: this task's requests and nothing of how they are decided.
fn approvals_status(book: &ApprovalBook, status: &ApprovalsStatus) -> EffectReport {
    let states = book.states(status.id.as_deref());
    let mut lines: Vec<String> = Vec::new();
    for state in &states {
        let next = match &state.state {
            SettledAs::Pending => {
                format!("a person is being asked, {} s left", state.expires_in_s)
            }
            SettledAs::Granted => format!(
                "granted: make the same call again unchanged within {} s",
                state.expires_in_s
            ),
            SettledAs::Used => "granted and used".to_owned(),
            SettledAs::Refused { reason: Some(reason) } => {
                format!("refused by the user: {reason}. Do not retry")
            }
            SettledAs::Refused { reason: None } => "refused by the user. Do not retry".to_owned(),
            SettledAs::Expired => "nobody answered or used it in time".to_owned(),
            SettledAs::Withdrawn => "the call was taken back".to_owned(),
        };
        lines.push(format!("{} {}: {next}", state.id, state.operation));
    }
    if lines.is_empty() {
        lines.push(match &status.id {
            Some(_) => "No request of this task has this id.".to_owned(),
            None => "No call of this task needs or needed approval.".to_owned(),
        });
    }
    EffectReport {
        text: lines.join("\n"),
        detail: format!("{} requests", states.len()),
        results: states.len() as u64,
        ..EffectReport::default()
    }
}
