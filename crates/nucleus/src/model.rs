//! Model calls: effects like any other, through the same rooms.

use lattice_guard::{Action, Decision, Name, Request, decide};
use nucleus_log::{Durability, Phase};
use nucleus_wire::control::{FeedEvent, FeedStatus};
use nucleus_wire::display::escape_short;

use crate::budget::{Amount, Reservation};
use crate::caller::Caller;
use crate::digest::Digest;
use crate::executor::Executor;
use crate::limits::MAX_TARGET_CHARS;
use crate::open::{Open, Outcome};
use crate::recorder::CallRecord;
use crate::refusal::{Refusal, fail_closed};
use crate::room::{budget_view, over_budget};
use crate::session::Verdict;

/// Times a reservation is tried again when other calls take budget between the clamp and the reservation.
const MAX_CLAMPS: usize = 4;

/// What the gate wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCallRequest {
    /// Provider adapter, as in `[model] allow`.
    pub provider: String,
    /// Model id, as priced.
    pub model: String,
    /// Digest of the rebuilt request body.
    pub body: Digest,
}

/// What a model call really used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelUsage {
    /// Uncached input tokens, output tokens and price.
    pub spent: Amount,
    /// Input tokens read from or written to a cache: priced, not counted.
    pub cached_input_tokens: u64,
}

/// A model call whose intent is recorded and whose worst case is reserved. Dropped without [`ModelTicket::settle`] (an
/// aborted stream), it books the whole reservation.
#[derive(Debug)]
#[must_use = "a dropped ticket books the whole reservation"]
pub struct ModelTicket {
    open: Open,
}

impl ModelTicket {
    /// What is reserved: the call must not be able to use more.
    #[must_use]
    pub fn reserved(&self) -> Amount {
        self.open.reserved()
    }

    /// Request id, as in the log.
    #[must_use]
    pub fn id(&self) -> &str {
        self.open.id()
    }

    /// Books what the provider reported and gives the rest back.
    pub fn settle(self, usage: ModelUsage) {
        let mut extra = serde_json::Map::new();
        extra.insert("input_tokens".to_owned(), usage.spent.input_tokens.into());
        extra.insert("output_tokens".to_owned(), usage.spent.output_tokens.into());
        extra.insert("cached_input_tokens".to_owned(), usage.cached_input_tokens.into());
        let detail = format!(
            "{} in, {} out, {} cached",
            usage.spent.input_tokens, usage.spent.output_tokens, usage.cached_input_tokens
        );
        self.open.close(Outcome { cost: usage.spent, detail, extra, ..Outcome::default() });
    }

    /// The call never left: nothing is booked.
    pub fn not_sent(self, code: &'static str) {
        self.open.close(Outcome {
            code: Some(code),
            detail: "not sent".to_owned(),
            ..Outcome::default()
        });
    }
}

impl Executor {
    /// Admits one model call: decides, reserves what `clamp` makes of the budget that is left, and records the intent
    /// durably. Blocks for the log only; call it from a thread that may.
    ///
    /// `clamp` is given what is left and answers with the worst case of the call cut down to that, or refuses.
    ///
    /// # Errors
    /// The refusal, recorded already.
    pub fn model_call(
        &self,
        request: &ModelCallRequest,
        caller: &Caller,
        clamp: impl Fn(Amount) -> Result<Amount, Refusal>,
    ) -> Result<ModelTicket, Refusal> {
        let sandbox = self.sandbox();
        let (number, request_id) = sandbox.inner.next_call();
        let record = Box::new(CallRecord {
            request_id,
            principal: caller.principal().clone(),
            channel: caller.channel().name(),
            tool: "model",
            target: escape_short(
                &format!("{}/{}", request.provider, request.model),
                MAX_TARGET_CHARS,
            ),
            args_digest: request.body,
            policy_digest: self.policy_digest(),
        });
        match self.admit_model(request, &record, clamp) {
            Ok(reservation) => {
                Ok(ModelTicket { open: Open::new(sandbox, reservation, record, number, false) })
            }
            Err(refusal) => Err(self.refuse_model(number, &record, refusal)),
        }
    }

    /// Decide, reserve, record.
    fn admit_model(
        &self,
        request: &ModelCallRequest,
        record: &CallRecord,
        clamp: impl Fn(Amount) -> Result<Amount, Refusal>,
    ) -> Result<Reservation, Refusal> {
        let sandbox = self.sandbox();
        let action =
            Action::ModelCall { provider: name(&request.provider)?, model: name(&request.model)? };
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
        let reservation = self.reserve_model(clamp)?;
        {
            let mut label = sandbox.inner.session.label();
            *label = label.join(permit.label());
        }
        let mut event = record.event(sandbox.recorder(), Phase::Intent);
        event.decision = Some("allow".to_owned());
        let held = reservation.amount();
        event.detail.insert("reserved_micro_usd".to_owned(), held.cost_micro_usd.into());
        event.detail.insert("reserved_input_tokens".to_owned(), held.input_tokens.into());
        event.detail.insert("reserved_output_tokens".to_owned(), held.output_tokens.into());
        sandbox
            .recorder()
            .append(&event, Durability::Durable)
            .map_err(|error| fail_closed(&error))?;
        Ok(reservation)
    }

    fn reserve_model(
        &self,
        clamp: impl Fn(Amount) -> Result<Amount, Refusal>,
    ) -> Result<Reservation, Refusal> {
        let mut tries = 0;
        loop {
            let wanted = clamp(self.budget().left())?;
            match self.budget().reserve(wanted) {
                Ok(reservation) => return Ok(reservation),
                Err(exceeded) if tries >= MAX_CLAMPS => return Err(over_budget(exceeded)),
                Err(_) => tries += 1,
            }
        }
    }

    fn refuse_model(&self, number: u64, record: &CallRecord, refusal: Refusal) -> Refusal {
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

fn name(text: &str) -> Result<Name, Refusal> {
    Name::parse(text).map_err(|_| {
        let text = "Refused: a model's and a provider's name is 1 to 128 printable characters.";
        Refusal::new("deny.model.name", "policy", text)
    })
}
