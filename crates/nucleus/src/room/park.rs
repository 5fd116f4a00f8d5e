use lattice_guard::{Decision, Obligation, decide_with_grant};
use nucleus_wire::control::{FeedEvent, FeedStatus};

use super::decide::{Clearance, GrantUse, Permitted, budget_view};
use super::deny::Denied;
use super::identify::{Identified, Subject};
use crate::approval;
use crate::approval::{ApprovalRequest, Operands, SettledAs, Submitted};
use crate::cancel::Cancel;
use crate::executor::Executor;
use crate::limits::MAX_RENDERED_BYTES;
use crate::refusal::{Refusal, Unexpected};

/// Times a granted call is judged again when the obligation changes while it waits. The label has two bits that only
/// ever get set, so an honest call needs no more.
const MAX_ROUNDS: usize = 4;

/// A call that needs a human's yes. It holds data only; nobody waits for it until it is asked.
#[derive(Debug)]
#[must_use = "a parked call does nothing"]
pub struct Parked {
    pub(super) identified: Identified,
    pub(super) obligation: Obligation,
}

/// What came of asking.
#[derive(Debug)]
#[must_use]
pub enum Asked {
    /// A human granted exactly this call, once.
    Granted(Permitted),
    /// Refused, expired, withdrawn, or still waiting: answered with the reason or the id.
    NotGranted(Denied),
}

impl Parked {
    /// Looks for an unused grant for exactly this call, and asks a human when there is none. Waits for the answer only as
    /// long as the book's limit and `cancel` allow.
    ///
    /// The operand files are hashed again in each round, so a file that was swapped after the approval makes another
    /// request, which nobody has granted.
    pub fn ask(mut self, executor: &Executor, cancel: &Cancel) -> Asked {
        let book = executor.sandbox().approvals();
        let mut waited = false;
        for _ in 0..MAX_ROUNDS {
            let request = match self.request(executor) {
                Ok(request) => request,
                Err(error) => return Asked::NotGranted(self.failed(&error)),
            };
            let digest = request.digest;
            if let Some(presented) = book.present(digest, executor.policy_digest()) {
                let operands = Box::new(request.shape.operands);
                let grant = GrantUse { presented, request: digest, operands };
                match self.redeem(executor, grant) {
                    Redeemed::Permitted(permitted) => return Asked::Granted(permitted),
                    Redeemed::Denied(denied) => return Asked::NotGranted(denied),
                    Redeemed::Again(parked) => {
                        self = parked;
                        continue;
                    }
                }
            }
            let id = match book.submit(request) {
                Ok(Submitted::Pending { id }) => id,
                Ok(Submitted::Granted) => continue,
                Ok(Submitted::Nobody) => return Asked::NotGranted(self.nobody()),
                Ok(Submitted::Refused { id, reason }) => {
                    return Asked::NotGranted(self.refused(&id, reason.as_deref()));
                }
                Ok(Submitted::TooLong) => return Asked::NotGranted(self.too_long()),
                Ok(Submitted::Full) => return Asked::NotGranted(self.full()),
                Err(error) => return Asked::NotGranted(self.failed(&error)),
            };
            // One wait per call: what was swapped while a human looked is answered with the new request's id.
            if waited {
                return Asked::NotGranted(self.pending(id));
            }
            waited = true;
            self.show_waiting(executor, &id);
            match book.wait(&id, cancel) {
                SettledAs::Granted => {}
                SettledAs::Refused { reason } => {
                    return Asked::NotGranted(self.refused(&id, reason.as_deref()));
                }
                SettledAs::Expired => return Asked::NotGranted(self.expired(&id)),
                SettledAs::Withdrawn => return Asked::NotGranted(self.withdrawn()),
                SettledAs::Pending | SettledAs::Used => {
                    return Asked::NotGranted(self.pending(id));
                }
            }
        }
        Asked::NotGranted(self.full())
    }

    /// The request in its canonical form, with everything it would use as it is now.
    fn request(&self, executor: &Executor) -> Result<ApprovalRequest, Unexpected> {
        let inner = &*executor.sandbox().inner;
        let identified = &self.identified;
        let argv = (!identified.argv.is_empty()).then_some(identified.argv.as_slice());
        let (operands, before) =
            Operands::with_before(&identified.call, argv, &inner.workspace, inner.runner.as_ref())?;
        let because = self.obligation.operator_text();
        let subject = approval::Subject {
            task: &inner.task,
            principal: &identified.record.principal,
            policy: executor.policy_digest(),
            call: &identified.call,
            argv,
            target: &identified.record.target,
            operation: self.obligation.operation().name(),
            rule: self.obligation.code(),
            because: &because,
        };
        ApprovalRequest::new(&subject, &operands, &before)
    }

    /// Decides again, with the grant. The lattice's own grant is made here and nowhere else, from one whose MAC, task,
    /// policy, expiry and nonce the book has just verified.
    fn redeem(self, executor: &Executor, grant: GrantUse) -> Redeemed {
        let Self { identified, obligation } = self;
        let Subject::Request(request) = identified.subject else {
            let refusal = Refusal::new("deny.internal", "pipeline", "Refused: nothing to approve.");
            return Redeemed::Denied(Denied::new(identified.number, identified.record, refusal));
        };
        let request = request.with_digest(*grant.request.as_bytes());
        let cleared = executor.authority().grant(&request, &obligation);
        let label = executor.sandbox().label();
        let now_ms = executor.sandbox().inner.now_ms();
        let view = budget_view(executor);
        let decision =
            decide_with_grant(executor.envelope(), label, &request, now_ms, &view, cleared);
        let identified = Identified { subject: Subject::Request(Box::new(request)), ..identified };
        match decision {
            Decision::Allow(permit) => {
                let clearance = Clearance::Permit {
                    permit: Box::new(permit),
                    decided_under: label,
                    grant: Some(grant),
                };
                Redeemed::Permitted(Permitted { identified, clearance })
            }
            // The label changed since: another rule asks now, which the human has not seen.
            Decision::NeedsApproval(obligation) => Redeemed::Again(Self { identified, obligation }),
            Decision::Deny(reason) => {
                let refusal = Refusal::new(reason.code(), "policy", reason.agent_text());
                Redeemed::Denied(Denied::new(identified.number, identified.record, refusal))
            }
        }
    }

    fn show_waiting(&self, executor: &Executor, id: &str) {
        executor.sandbox().inner.show(FeedEvent {
            call: self.identified.number,
            status: FeedStatus::Waiting,
            tool: self.identified.record.tool.to_owned(),
            target: self.identified.record.target.clone(),
            rule: Some(self.obligation.code().to_owned()),
            layer: Some("approval".to_owned()),
            detail: Some(format!("request {id}")),
            duration_ms: None,
        });
    }

    fn deny(self, code: &'static str, text: String) -> Denied {
        let Identified { number, record, .. } = self.identified;
        Denied::new(number, record, Refusal::new(code, "approval", text))
    }

    fn failed(self, error: &Unexpected) -> Denied {
        let Identified { number, record, .. } = self.identified;
        Denied::failed(number, record, error)
    }

    fn nobody(self) -> Denied {
        let text = format!(
            "Needs approval: {}. Nobody can approve in this run, so it is refused. Do not retry; do the rest of the \
             task without it and say what is left for the user to do.",
            self.obligation.operator_text()
        );
        self.required(None, text)
    }

    fn pending(self, id: String) -> Denied {
        let text = format!(
            "Needs approval: {}. A person is being asked: pending {id}. Go on with other work, then make the same \
             call again unchanged; approvals_status tells where it stands.",
            self.obligation.operator_text()
        );
        self.required(Some(id), text)
    }

    fn required(self, id: Option<String>, text: String) -> Denied {
        let (operation, rule) = (self.obligation.operation().name(), self.obligation.code());
        let Identified { number, record, .. } = self.identified;
        Denied::approval(number, record, operation, rule, id, text)
    }

    fn refused(self, id: &str, reason: Option<&str>) -> Denied {
        let words = reason.map(|reason| format!(" Their words: \"{reason}\".")).unwrap_or_default();
        let text = format!(
            "Refused by the user (request {id}).{words} Do not retry this call in this task; find another way or \
             leave it out and say so."
        );
        self.deny("deny.approval.refused", text)
    }

    fn expired(self, id: &str) -> Denied {
        let text = format!(
            "Refused: nobody answered request {id} in time. Go on without it and say what is left for the user to do."
        );
        self.deny("deny.approval.expired", text)
    }

    fn withdrawn(self) -> Denied {
        self.deny("deny.approval.withdrawn", "Refused: the call was taken back.".to_owned())
    }

    fn too_long(self) -> Denied {
        let text = format!(
            "Refused: this needs a person's approval, and what it would do is too long for one to read (over {} KiB as \
             it is shown). Make several smaller calls of it.",
            MAX_RENDERED_BYTES / 1024
        );
        self.deny("deny.approval.too_long", text)
    }

    fn full(self) -> Denied {
        let text =
            "Refused: too many requests wait for a person already. Wait until they are answered \
                    (approvals_status), and ask for less."
                .to_owned();
        self.deny("deny.approval.too_many", text)
    }
}

/// What a grant led to.
enum Redeemed {
    Permitted(Permitted),
    Denied(Denied),
    Again(Parked),
}
