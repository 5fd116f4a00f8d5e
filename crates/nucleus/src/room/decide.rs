use lattice_guard::{BudgetView, Decision, Label, MicroUsd, Obligation, Permit, Tokens, decide};

use super::deny::Denied;
use super::identify::{Identified, Subject};
use super::park::Parked;
use super::prompt;
use crate::approval::{Operands, Presented};
use crate::digest::Digest;
use crate::executor::Executor;
use crate::refusal::Refusal;
use nucleus_wire::tool::{ToolCall, ToolName};

/// What the decision was.
#[derive(Debug)]
#[must_use]
pub enum Ruling {
    /// Let through.
    Allow(Permitted),
    /// A human has to say yes.
    NeedsApproval(Parked),
    /// Refused.
    Deny(Denied),
}

/// A call that is let through. Nothing is reserved or recorded yet.
#[derive(Debug)]
#[must_use = "a permitted call does nothing"]
pub struct Permitted {
    pub(super) identified: Identified,
    pub(super) clearance: Clearance,
}

/// Why it is let through.
#[derive(Debug)]
pub(super) enum Clearance {
    /// The lattice permits it, as things stood under this label.
    Permit { permit: Box<Permit>, decided_under: Label, grant: Option<GrantUse> },
    /// It only concerns what this task was already permitted.
    OwnTask,
}

/// A grant that the record room has to consume.
#[derive(Debug)]
pub(super) struct GrantUse {
    pub(super) presented: Presented,
    pub(super) request: Digest,
    /// The files the request was pinned to.
    pub(super) operands: Box<Operands>,
}

impl Identified {
    /// Judges the call by permissions, history, time and budget. Has no effect.
    pub fn decide(self, executor: &Executor) -> Ruling {
        let sandbox = executor.sandbox();
        // What the policy judges by itself needs no list; what is only asked about, or of the task's own, does.
        let by_itself = matches!(self.subject, Subject::Request(_))
            && self.call.name() != ToolName::PermissionPrompt;
        if !by_itself && !executor.tools().contains(&self.call.name()) {
            return Ruling::Deny(self.not_listed());
        }
        let request = match (&self.subject, &self.call) {
            (Subject::Request(request), _) => request,
            (Subject::Foreign, ToolCall::PermissionPrompt(prompt)) => {
                let refusal = prompt::foreign(prompt, executor);
                return Ruling::Deny(Denied::new(self.number, self.record, refusal));
            }
            (Subject::OwnTask | Subject::Foreign, _) => {
                let clearance = Clearance::OwnTask;
                return Ruling::Allow(Permitted { identified: self, clearance });
            }
        };
        let label = sandbox.label();
        let now_ms = sandbox.inner.now_ms();
        let view = budget_view(executor);
        match decide(executor.envelope(), label, request, now_ms, &view) {
            Decision::Allow(permit) => {
                let clearance = Clearance::Permit {
                    permit: Box::new(permit),
                    decided_under: label,
                    grant: None,
                };
                Ruling::Allow(Permitted { identified: self, clearance })
            }
            Decision::NeedsApproval(obligation) => Ruling::NeedsApproval(self.park(obligation)),
            Decision::Deny(reason) => {
                let refusal = Refusal::new(reason.code(), "policy", reason.agent_text());
                Ruling::Deny(Denied::new(self.number, self.record, refusal))
            }
        }
    }

    /// A tool about the task itself that the policy has no use for is refused like one it forbids.
    fn not_listed(self) -> Denied {
        let text = format!(
            "Refused (deny.capability.never): the policy of this task has no use for `{}`. Use the tools that are \
             listed.",
            self.call.name()
        );
        let refusal = Refusal::new("deny.capability.never", "policy", text);
        Denied::new(self.number, self.record, refusal)
    }

    fn park(self, obligation: Obligation) -> Parked {
        Parked { identified: self, obligation }
    }
}

/// What is left of the budget, as the lattice takes it.
pub(crate) fn budget_view(executor: &Executor) -> BudgetView {
    let left = executor.budget().left();
    BudgetView {
        cost: MicroUsd::new(left.cost_micro_usd),
        input: Tokens::new(left.input_tokens),
        output: Tokens::new(left.output_tokens),
    }
}
