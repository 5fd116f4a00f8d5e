//! What leaves a pod through a gate: effects like any other, through the same rooms.

use lattice_guard::{Action, Decision, Request, decide};
use nucleus_log::{Durability, Phase};
use nucleus_wire::control::{FeedEvent, FeedStatus};

use crate::budget::Reservation;
use crate::executor::Executor;
use crate::recorder::CallRecord;
use crate::refusal::{Refusal, fail_closed};
use crate::room::budget_view;
use crate::session::Verdict;

impl Executor {
    /// Decides, reserves by `reserve`, joins the label, and records the intent durably.
    pub(crate) fn admit_egress(
        &self,
        action: Action,
        record: &CallRecord,
        reserve: impl FnOnce() -> Result<Reservation, Refusal>,
    ) -> Result<Reservation, Refusal> {
        let sandbox = self.sandbox();
        let judged = Request::new(action, sandbox.inner.pod);
        let now_ms = sandbox.inner.now_ms();
        let view = budget_view(self);
        let permit = match decide(self.envelope(), sandbox.label(), &judged, now_ms, &view) {
            Decision::Allow(permit) => permit,
            Decision::Deny(reason) => {
                return Err(Refusal::new(reason.code(), "policy", reason.agent_text()));
            }
            Decision::NeedsApproval(obligation) => {
                return Err(Refusal::new(obligation.code(), "policy", obligation.agent_text()));
            }
        };
        let reservation = reserve()?;
        {
            let mut label = sandbox.inner.session.label();
            *label = label.join(permit.label());
        }
        let mut event = record.event(sandbox.recorder(), Phase::Intent);
        event.decision = Some("allow".to_owned());
        let held = reservation.amount();
        for (name, amount) in [
            ("reserved_micro_usd", held.cost_micro_usd),
            ("reserved_input_tokens", held.input_tokens),
            ("reserved_output_tokens", held.output_tokens),
        ] {
            event.detail.insert(name.to_owned(), amount.into());
        }
        sandbox
            .recorder()
            .append(&event, Durability::Durable)
            .map_err(|error| fail_closed(&error))?;
        Ok(reservation)
    }

    /// Records a refusal and shows it.
    pub(crate) fn refuse_egress(
        &self,
        number: u64,
        record: &CallRecord,
        refusal: Refusal,
    ) -> Refusal {
        let sandbox = self.sandbox();
        let refusal = refusal.shown(|text| sandbox.clean(text));
        let mut event = record.event(sandbox.recorder(), Phase::Decision);
        event.decision = Some("deny".to_owned());
        event.result = Some("denied".to_owned());
        event.rule = Some(refusal.code().to_owned());
        event.detail.insert("layer".to_owned(), refusal.layer().into());
        // Nothing was sent; a log that fails denies the next call too.
        let _ = sandbox.recorder().append(&event, Durability::Written);
        sandbox.inner.session.count(Verdict::Denied);
        sandbox.inner.show(FeedEvent {
            call: number,
            status: FeedStatus::Denied,
            tool: record.tool.to_owned(),
            target: record.target.clone(),
            rule: Some(refusal.code().to_owned()),
            layer: Some(refusal.layer().to_owned()),
            detail: None,
            duration_ms: None,
        });
        refusal
    }
}
