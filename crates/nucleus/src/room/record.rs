use lattice_guard::{Operation, Permit};
use nucleus_log::{Durability, Phase};

use super::decide::{Clearance, GrantUse};
use super::deny::Denied;
use super::identify::{Identified, changes_something};
use super::reserve::Reserved;
use crate::approval::{Consumed, Operands};
use crate::executor::Executor;
use crate::open::Open;
use crate::refusal::Refusal;
use nucleus_wire::tool::{ToolCall, ToolName};

/// A call whose intent is in the log. Its effect may start, once; whatever happens, it will be settled.
#[derive(Debug)]
#[must_use = "a recorded call must be acted on and settled"]
pub struct Recorded {
    pub(super) call: ToolCall,
    pub(super) permit: Option<Box<Permit>>,
    pub(super) open: Open,
    /// What a human's grant is bound to.
    pinned: Option<Pinned>,
}

/// Words and files of a granted call, as the human was shown them.
#[derive(Debug)]
struct Pinned {
    argv: Vec<String>,
    operands: Box<Operands>,
}

/// Why nothing was recorded.
#[derive(Debug)]
#[must_use]
pub enum NotRecorded {
    /// The task's label changed since the decision: decide again.
    Stale(Box<Identified>),
    /// Refused.
    Denied(Denied),
}

impl Reserved {
    /// Joins the task's label, consumes the grant, and appends the intent: durable before this returns when the call
    /// changes something, written when it only looks.
    ///
    /// # Errors
    /// [`NotRecorded`]; then nothing has been done and nothing may be.
    pub fn record(self, executor: &Executor) -> Result<Recorded, NotRecorded> {
        let Self { identified, clearance, reservation } = self;
        let sandbox = executor.sandbox();
        let (permit, grant) = match clearance {
            Clearance::OwnTask => (None, None),
            Clearance::Permit { permit, decided_under, grant } => {
                let mut label = sandbox.inner.session.label();
                if *label != decided_under {
                    return Err(NotRecorded::Stale(Box::new(identified)));
                }
                let consumed = match grant.map(|grant| consume(executor, grant)).transpose() {
                    Ok(consumed) => consumed,
                    Err(refusal) => {
                        let Identified { number, record, .. } = identified;
                        return Err(NotRecorded::Denied(Denied::new(number, record, refusal)));
                    }
                };
                // Before the entry: an intent that then fails to be written leaves the label too high, never too low.
                *label = label.join(permit.label());
                (Some(permit), consumed)
            }
        };
        let Identified { number, call, argv, record, .. } = identified;
        let mut event = record.event(sandbox.recorder(), Phase::Intent);
        event.decision = Some("allow".to_owned());
        event.rule = permit
            .as_deref()
            .and_then(Permit::granted)
            .map(|obligation| obligation.code().to_owned());
        if let Some((Consumed { id, nonce }, _)) = &grant {
            event.approval_id = Some(id.clone());
            event.grant_nonce = Some(nonce.hex());
        }
        let durability =
            if changes_something(call.name()) { Durability::Durable } else { Durability::Written };
        if let Err(error) = sandbox.recorder().append(&event, durability) {
            return Err(NotRecorded::Denied(Denied::failed(number, record, &error)));
        }
        let commits =
            |permit: &Permit| permit.request().operations().contains(&Operation::GitCommit);
        // A yes to a tool of the client's own is none to what a command writes in the workspace.
        let here = call.name() != ToolName::PermissionPrompt;
        if here && grant.is_some() && permit.as_deref().is_some_and(commits) {
            sandbox.inner.session.approved().add_commit();
        }
        let open = Open::new(sandbox, reservation, record, number, grant.is_some());
        let pinned = grant.map(|(_, operands)| Pinned { argv, operands });
        Ok(Recorded { call, permit, open, pinned })
    }
}

impl Recorded {
    /// Looks once more at the files a grant is bound to, right before the effect.
    ///
    /// # Errors
    /// One of them is not what the human was shown, or cannot be looked at any more.
    pub(crate) fn unchanged(&self, executor: &Executor) -> Result<(), Refusal> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        let inner = &*executor.sandbox().inner;
        let argv = (!pinned.argv.is_empty()).then_some(pinned.argv.as_slice());
        match Operands::of(&self.call, argv, &inner.workspace, inner.runner.as_ref()) {
            Ok(now) if now == *pinned.operands => Ok(()),
            Ok(_) | Err(_) => {
                let text = "Refused: a file of this call changed after it was approved. Make the call again to ask for a new approval.";
                Err(Refusal::new("deny.approval.changed", "approval", text))
            }
        }
    }

    /// For an effect that is done elsewhere.
    pub(crate) fn into_open(self) -> Open {
        self.open
    }
}

fn consume(executor: &Executor, grant: GrantUse) -> Result<(Consumed, Box<Operands>), Refusal> {
    let book = executor.sandbox().approvals();
    let GrantUse { presented, request, operands } = grant;
    match book.consume(presented, request, executor.policy_digest()) {
        Ok(consumed) => Ok((consumed, operands)),
        Err(error) => {
            let text = format!("Refused: {error}. Make the call again to ask for a new approval.");
            Err(Refusal::new("deny.approval.used", "approval", text))
        }
    }
}
