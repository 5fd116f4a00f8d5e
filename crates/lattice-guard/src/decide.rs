//! The decision, and the permit that proves it was taken.

use std::sync::Arc;

use crate::budget::BudgetView;
use crate::classifier::{Classifier, Risk};
use crate::gate::{Gate, GateMode, Label};
use crate::judge::judge;
use crate::level::Level;
use crate::operation::Operation;
use crate::permissions::Permissions;
use crate::reason::Reason;
use crate::rel_path::RelPath;
use crate::request::{Action, Request};
use crate::verdict::{Obligation, Verdict};

/// Everything that holds for a task: permissions, classifier, and the gate of the operator's envelope.
#[derive(Debug, Clone)]
pub struct Envelope {
    permissions: Permissions,
    classifier: Classifier,
    gate: Gate,
    /// Known to the authority that was made with the envelope, and to nobody else.
    seal: Arc<Seal>,
}

/// Not zero-sized, so that two seals never share an address.
#[derive(Debug)]
struct Seal(#[expect(dead_code, reason = "what counts is the address")] u8);

impl Envelope {
    /// The envelope of an operator, and the only authority that can grant what it asks approval for. Keep the authority
    /// where approvals are verified, and nowhere else.
    #[must_use]
    pub fn new(
        permissions: Permissions,
        classifier: Classifier,
        mode: GateMode,
    ) -> (Self, GrantAuthority) {
        let gate = Gate::new(&permissions, mode);
        let seal = Arc::new(Seal(0));
        (Self { permissions, classifier, gate, seal: Arc::clone(&seal) }, GrantAuthority { seal })
    }

    /// The same envelope with less permission: for project files, delegation and live updates. The gate stays the
    /// operator's.
    #[must_use]
    pub fn tighten(&self, ceiling: &Permissions) -> Self {
        Self { permissions: self.permissions.meet(ceiling), ..self.clone() }
    }

    /// The permissions.
    #[must_use]
    pub const fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// The classifier.
    #[must_use]
    pub const fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// The gate.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Judges the resolved name a file operation is about to act on.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn admits_path(&self, operation: Operation, path: &RelPath) -> Result<(), Reason> {
        self.permissions.admit_path(&self.classifier, operation, path)
    }

    /// True if a search by `operation` may show the path without anybody being asked about it: it is admitted, and the
    /// operation is `always` or the path is low risk. A search must not show what a read would need approval for, and an
    /// approved search was approved for where it starts, not for each secret it comes across.
    #[must_use]
    pub fn visible(&self, operation: Operation, path: &RelPath) -> bool {
        let unasked = self.permissions.levels.get(operation) == Level::Always
            || self.classifier.path_risk(operation, path) == Risk::Low;
        unasked && self.admits_path(operation, path).is_ok()
    }
}

/// The right to turn an obligation into a grant. Made once with an [`Envelope`], never copied.
#[derive(Debug)]
pub struct GrantAuthority {
    seal: Arc<Seal>,
}

impl GrantAuthority {
    /// Grants one request what an obligation asks. Call it when a human's approval of exactly this request has been
    /// verified, and its single use is about to be consumed.
    pub fn grant(&self, request: &Request, obligation: &Obligation) -> Grant {
        Grant {
            seal: Arc::clone(&self.seal),
            request: request.clone(),
            obligation: obligation.clone(),
        }
    }
}

/// A human's approval of one request, for the causes it was shown. Used up by [`decide_with_grant`].
#[derive(Debug)]
#[must_use = "a grant does nothing until it is decided with"]
pub struct Grant {
    seal: Arc<Seal>,
    request: Request,
    obligation: Obligation,
}

/// The answer of [`decide`].
#[derive(Debug)]
pub enum Decision {
    /// Go on with this permit.
    Allow(Permit),
    /// Park the request until a human has approved.
    NeedsApproval(Obligation),
    /// Answer with this reason.
    Deny(Reason),
}

/// Proof that a request was decided and allowed. Only [`decide`] and [`decide_with_grant`] make one, it cannot be copied,
/// and whoever acts on it takes it away.
///
/// ```compile_fail
/// let permit = lattice_guard::Permit { request: todo!(), granted: None, label: Default::default() };
/// ```
///
/// ```compile_fail
/// fn twice(permit: lattice_guard::Permit) -> (lattice_guard::Permit, lattice_guard::Permit) {
///     (permit.clone(), permit)
/// }
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped permits nothing"]
pub struct Permit {
    request: Request,
    granted: Option<Obligation>,
    label: Label,
}

impl Permit {
    /// The request that is permitted.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// What a human approved for it, if that was needed.
    #[must_use]
    pub const fn granted(&self) -> Option<&Obligation> {
        self.granted.as_ref()
    }

    /// What the task will have seen. To be joined to the task's label before the effect, not after.
    #[must_use]
    pub const fn label(&self) -> Label {
        self.label
    }
}

/// Decides a request: the strictest of [`judge`](crate::judge()), budget and gate. Pure and total.
#[must_use]
pub fn decide(
    envelope: &Envelope,
    label: Label,
    request: &Request,
    now_ms: u64,
    budget: &BudgetView,
) -> Decision {
    match verdict(envelope, label, request, now_ms, budget) {
        Verdict::Deny(reason) => Decision::Deny(reason),
        Verdict::NeedsApproval(obligation) => Decision::NeedsApproval(obligation),
        Verdict::Allow => Decision::Allow(permit(envelope, label, request, None)),
    }
}

/// Decides a request for which a human's approval was granted. The grant is used up whatever the answer.
///
/// It counts only if the authority of this envelope made it, for an equal request, and for every cause that asks *now*: a
/// gate that closed since then asks again. It turns nothing denied into anything.
#[must_use]
pub fn decide_with_grant(
    envelope: &Envelope,
    label: Label,
    request: &Request,
    now_ms: u64,
    budget: &BudgetView,
    grant: Grant,
) -> Decision {
    let Grant { seal, request: approved, obligation: granted } = grant;
    match verdict(envelope, label, request, now_ms, budget) {
        Verdict::NeedsApproval(obligation)
            if Arc::ptr_eq(&seal, &envelope.seal)
                && approved == *request
                && obligation.is_covered_by(&granted) =>
        {
            Decision::Allow(permit(envelope, label, request, Some(obligation)))
        }
        Verdict::NeedsApproval(obligation) => Decision::NeedsApproval(obligation),
        Verdict::Deny(reason) => Decision::Deny(reason),
        Verdict::Allow => Decision::Allow(permit(envelope, label, request, None)),
    }
}

fn verdict(
    envelope: &Envelope,
    label: Label,
    request: &Request,
    now_ms: u64,
    budget: &BudgetView,
) -> Verdict {
    let judged = judge(&envelope.permissions, &envelope.classifier, request, now_ms);
    if matches!(judged, Verdict::Deny(_)) {
        return judged;
    }
    match spent(request, budget) {
        Some(reason) => Verdict::Deny(reason),
        None => judged.strictest(envelope.gate.verdict(label, request)),
    }
}

/// What a budget has run out of for this request. The reservation that follows checks the amount.
fn spent(request: &Request, budget: &BudgetView) -> Option<Reason> {
    let model = matches!(request.action(), Action::ModelCall { .. });
    if budget.cost.micros() == 0 {
        Some(Reason::BudgetCost)
    } else if model && budget.input.count() == 0 {
        Some(Reason::BudgetInputTokens)
    } else if model && budget.output.count() == 0 {
        Some(Reason::BudgetOutputTokens)
    } else {
        None
    }
}

fn permit(
    envelope: &Envelope,
    label: Label,
    request: &Request,
    granted: Option<Obligation>,
) -> Permit {
    Permit { request: request.clone(), granted, label: envelope.gate.after(label, request) }
}

#[cfg(test)]
mod tests;
