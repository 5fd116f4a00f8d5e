//! The gate's ledger over the enforcement point: a model call is an effect and walks the same rooms.

use std::sync::{Mutex, PoisonError};

use nucleus::{
    Amount, Caller, Digest, Executor, ModelCallRequest, ModelTicket, ModelUsage, Recorder,
    TurnedAway,
};
use nucleus_gate::{
    Admission, Denial, Ledger, ModelCall, Note, Refusal, Remaining, Reservation, Ticket, Usage,
};
use nucleus_wire::display::escape_short;

/// Decides, reserves and records model calls.
pub(crate) struct ModelLedger {
    executor: Executor,
    caller: Caller,
    recorder: Recorder,
}

impl ModelLedger {
    /// A ledger for the agent behind `caller`.
    pub(crate) fn new(executor: Executor, caller: Caller, recorder: Recorder) -> Self {
        Self { executor, caller, recorder }
    }
}

impl Ledger for ModelLedger {
    fn admit(&self, call: &ModelCall) -> Result<Admission, Denial> {
        let request = ModelCallRequest {
            provider: call.provider.to_owned(),
            model: call.model.clone(),
            body: Digest::from_bytes(call.body_digest),
        };
        let reserved: Mutex<Option<Reservation>> = Mutex::new(None);
        let ticket = self
            .executor
            .model_call(&request, &self.caller, |left: Amount| {
                let remaining = Remaining {
                    cost_micro_usd: left.cost_micro_usd,
                    input_tokens: left.input_tokens,
                    output_tokens: left.output_tokens,
                };
                let reservation = call.clamp(&remaining).map_err(refusal_of)?;
                *reserved.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
                Ok(Amount {
                    cost_micro_usd: reservation.cost_micro_usd,
                    input_tokens: reservation.input_tokens,
                    output_tokens: reservation.max_output_tokens,
                })
            })
            .map_err(|refusal| Denial {
                code: refusal.code().to_owned(),
                text: refusal.text().to_owned(),
            })?;
        let max_output_tokens = reserved
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(call.max_output_tokens, |reservation| reservation.max_output_tokens);
        Ok(Admission { max_output_tokens, ticket: Box::new(BookedCall { ticket }) })
    }

    fn refused(&self, refusal: &Refusal, request: &str) {
        self.executor.sandbox().turned_away(&TurnedAway {
            kind: "gate_refusal",
            tool: "model",
            target: request,
            rule: refusal.code(),
            layer: refusal.layer(),
        });
    }

    fn noted(&self, note: &Note) {
        let mut event = self.recorder.event("gate_note");
        event.tool = Some("model".to_owned());
        event.result = Some(escape_short(&format!("{note:?}"), 1_000));
        let _poisoned = self.recorder.note(&event);
    }
}

fn refusal_of(denial: Denial) -> nucleus::Refusal {
    let code: &'static str = match denial.code.as_str() {
        "deny.budget.cost" => "deny.budget.cost",
        "deny.budget.input_tokens" => "deny.budget.input_tokens",
        "deny.budget.output_tokens" => "deny.budget.output_tokens",
        _ => "deny.budget",
    };
    nucleus::Refusal::new(code, "budget", denial.text)
}

/// One admitted call.
struct BookedCall {
    ticket: ModelTicket,
}

impl Ticket for BookedCall {
    fn settle(self: Box<Self>, usage: Usage) {
        let spent = Amount {
            cost_micro_usd: usage.cost_micro_usd,
            input_tokens: usage.uncached_input_tokens(),
            output_tokens: usage.output_tokens,
        };
        self.ticket.settle(ModelUsage { spent, cached_input_tokens: usage.cache_read_tokens });
    }
}
