//! The port to the enforcement point: it decides, reserves, records and settles; the gate only asks and reports.

use std::fmt;

use crate::price::{Price, Rate};
use crate::refusal::Refusal;
use crate::usage::Usage;

/// What decides about model calls and pays for them.
///
/// Every method is called on a thread that may block, so an implementation can wait for a durable log entry.
pub trait Ledger: Send + Sync + 'static {
    /// Decides a call, reserves its worst case and records the intent. Nothing reaches the provider before this returns.
    ///
    /// # Errors
    /// The denial, in words for the agent.
    fn admit(&self, call: &ModelCall) -> Result<Admission, Denial>;

    /// A request the gate refused, this ledger's own denials included. `request` is an escaped method and target.
    fn refused(&self, refusal: &Refusal, request: &str);

    /// Something worth a line in the log that stopped nothing.
    fn noted(&self, note: &Note);
}

/// A reservation that waits for its real cost. Dropped without [`Ticket::settle`] it must book everything it holds.
pub trait Ticket: Send {
    /// Books what the call really used.
    fn settle(self: Box<Self>, usage: Usage);
}

/// An admitted call.
pub struct Admission {
    /// Most output tokens the call may ask for; the gate lowers the request to it.
    pub max_output_tokens: u64,
    /// The reservation.
    pub ticket: Box<dyn Ticket>,
}

/// A denial of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Stable code of the rule.
    pub code: String,
    /// Words for the agent, without anything of the host.
    pub text: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a call does at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Generates output and is paid for.
    Generate,
    /// Counts the tokens of a prompt; free of charge.
    CountTokens,
}

/// A call as it stands before the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelCall {
    /// What it does.
    pub kind: CallKind,
    /// Provider, as [`crate::Provider::name`] says it.
    pub provider: &'static str,
    /// Model, as in the price table.
    pub model: String,
    /// Output tokens asked for, already lowered to the gate's limit for one call.
    pub max_output_tokens: u64,
    /// Upper estimate of the whole prompt, cached parts included.
    pub estimated_input_tokens: u64,
    /// SHA-256 of the rebuilt body, before the ledger lowers its output.
    pub body_digest: [u8; 32],
    /// Bytes of that body.
    pub body_bytes: u64,
    /// The rate that is the worst for this request.
    pub(crate) worst: Rate,
    /// Fewest output tokens worth a call.
    pub(crate) least_output_tokens: u64,
    /// Added to worst cases, in percent.
    pub(crate) surcharge_percent: u64,
}

/// What a budget still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Micro-dollars.
    pub cost_micro_usd: u64,
    /// Uncached input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// What to reserve for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Worst case in micro-dollars.
    pub cost_micro_usd: u64,
    /// Estimate of the input, at most what remains: part of it may be cached, which a budget does not count.
    pub input_tokens: u64,
    /// The output limit to send.
    pub max_output_tokens: u64,
}

impl ModelCall {
    /// Cost in micro-dollars if the prompt is as large as estimated, nothing of it is cached, and the output is this long.
    #[must_use]
    pub fn worst_cost_micro_usd(&self, max_output_tokens: u64) -> u64 {
        if self.kind == CallKind::CountTokens {
            return 0;
        }
        self.worst.worst_cost(
            self.estimated_input_tokens,
            max_output_tokens,
            self.surcharge_percent,
        )
    }

    /// Lowers the output to what `remaining` can pay for and says what to reserve.
    ///
    /// # Errors
    /// The budget cannot pay for the prompt and a useful answer; the code names the limit.
    pub fn clamp(&self, remaining: &Remaining) -> Result<Reservation, Denial> {
        if self.kind == CallKind::CountTokens {
            return Ok(Reservation { cost_micro_usd: 0, input_tokens: 0, max_output_tokens: 0 });
        }
        if remaining.input_tokens == 0 {
            return Err(used_up("input_tokens", "input tokens"));
        }
        let wanted = self.max_output_tokens;
        let floor = wanted.min(self.least_output_tokens);
        if remaining.output_tokens < floor {
            return Err(used_up("output_tokens", "output tokens"));
        }
        let upper = wanted.min(remaining.output_tokens);
        let affordable = self.affordable(remaining.cost_micro_usd, upper);
        match affordable.filter(|tokens| *tokens >= floor) {
            Some(max_output_tokens) => Ok(Reservation {
                cost_micro_usd: self.worst_cost_micro_usd(max_output_tokens),
                input_tokens: self.estimated_input_tokens.min(remaining.input_tokens),
                max_output_tokens,
            }),
            None => Err(used_up("cost", "money")),
        }
    }

    /// Most output tokens, up to `upper`, whose worst case stays within `cost`. The cost grows with the output.
    fn affordable(&self, cost: u64, upper: u64) -> Option<u64> {
        if self.worst_cost_micro_usd(0) > cost {
            return None;
        }
        let (mut low, mut high) = (0, upper);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.worst_cost_micro_usd(middle) <= cost {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Some(low)
    }

    /// Cost of what the provider reported.
    pub(crate) fn cost(price: &Price, usage: &Usage, us_percent: u64) -> u64 {
        price.rate(usage.prompt_tokens()).cost(usage, us_percent)
    }
}

fn used_up(limit: &str, words: &str) -> Denial {
    Denial {
        code: format!("deny.budget.{limit}"),
        text: format!(
            "the task's budget has not enough {words} left for this call; finish with what you have, or send a shorter prompt"
        ),
    }
}

/// Something worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Fields no list names were left out of a request; each set is noted once.
    UnknownFields(Vec<String>),
    /// Beta headers that are not listed were left out; each set is noted once.
    UnlistedBetas(Vec<String>),
    /// Credentials or account choices of the client were discarded; each name is noted once.
    ClientCredentials(Vec<String>),
    /// The subscription's token was renewed on the host.
    LoginRenewed,
    /// The upstream could not be used.
    Upstream(crate::error::UpstreamError),
    /// A call broke off or reported no believable usage, so its whole reservation is booked.
    WholeReservation(crate::usage::Unbelieved),
}
