//! Model calls: effects like any other, through the same rooms.

use lattice_guard::{Action, Name};
use nucleus_wire::display::escape_short;

use crate::budget::{Amount, Reservation};
use crate::caller::Caller;
use crate::digest::Digest;
use crate::executor::Executor;
use crate::limits::MAX_TARGET_CHARS;
use crate::open::{Open, Outcome};
use crate::recorder::CallRecord;
use crate::refusal::Refusal;
use crate::room::over_budget;

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
            quiet: false,
        });
        let admitted = model_action(request)
            .and_then(|action| self.admit_egress(action, &record, || self.reserve_model(clamp)));
        match admitted {
            Ok(reservation) => {
                Ok(ModelTicket { open: Open::new(sandbox, reservation, record, number, false) })
            }
            Err(refusal) => Err(self.refuse_egress(number, &record, refusal)),
        }
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
}

fn model_action(request: &ModelCallRequest) -> Result<Action, Refusal> {
    Ok(Action::ModelCall { provider: name(&request.provider)?, model: name(&request.model)? })
}

fn name(text: &str) -> Result<Name, Refusal> {
    Name::parse(text).map_err(|_| {
        let text = "Refused: a model's and a provider's name is 1 to 128 printable characters.";
        Refusal::new("deny.model.name", "policy", text)
    })
}
