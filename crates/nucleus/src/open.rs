//! An effect whose intent is in the log and whose outcome is not yet.

use std::fmt;

use nucleus_log::{Durability, Phase};
use nucleus_wire::control::{FeedEvent, FeedStatus};
use serde_json::Value;

use crate::budget::{Amount, Reservation};
use crate::recorder::CallRecord;
use crate::sandbox::Sandbox;
use crate::session::Verdict;

/// Whoever holds it owes the log an outcome and the budget a booking. Dropped, it pays both: the whole reservation
/// is booked, and the outcome says that nobody knows how the effect ended.
pub(crate) struct Open {
    sandbox: Sandbox,
    reservation: Option<Reservation>,
    record: Box<CallRecord>,
    number: u64,
    approved: bool,
    started_ns: u64,
}

/// How an effect ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was really spent.
    pub(crate) cost: Amount,
    /// Code of the fault or of the rule that refused.
    pub(crate) code: Option<&'static str>,
    /// Somebody ended it on purpose.
    pub(crate) stopped: bool,
    /// Layer that refused.
    pub(crate) layer: Option<&'static str>,
    /// A few words for the feed.
    pub(crate) detail: String,
    /// Bytes returned.
    pub(crate) bytes: u64,
    /// More for the log.
    pub(crate) extra: serde_json::Map<String, Value>,
}

impl Open {
    pub(crate) fn new(
        sandbox: &Sandbox,
        reservation: Reservation,
        record: Box<CallRecord>,
        number: u64,
        approved: bool,
    ) -> Self {
        let started_ns = sandbox.inner.clock.monotonic_ns();
        let open = Self {
            sandbox: sandbox.clone(),
            reservation: Some(reservation),
            record,
            number,
            approved,
            started_ns,
        };
        open.show(FeedStatus::Allowed, None, None, None, None);
        open
    }

    /// Request id.
    pub(crate) fn id(&self) -> &str {
        &self.record.request_id
    }

    /// A person let it through.
    pub(crate) fn is_approved(&self) -> bool {
        self.approved
    }

    /// Time since the intent was recorded.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        let now = self.sandbox.inner.clock.monotonic_ns();
        now.saturating_sub(self.started_ns) / 1_000_000
    }

    /// What is held for it.
    pub(crate) fn reserved(&self) -> Amount {
        self.reservation.as_ref().map_or(Amount::ZERO, Reservation::amount)
    }

    /// The effect goes on in the background as `job`: says so, and stays open.
    pub(crate) fn detached(&self, job: &str) {
        let mut event = self.record.event(self.sandbox.recorder(), Phase::Note);
        event.result = Some("background".to_owned());
        event.detail.insert("job".to_owned(), job.into());
        // The effect is running and its intent is recorded; a failing log stops the next one.
        let _ = self.sandbox.recorder().note(&event);
        let detail = format!("{job} goes on in the background");
        self.show(FeedStatus::Progress, None, None, Some(detail), Some(self.elapsed_ms()));
    }

    /// Books the real cost, gives the rest back, and appends the outcome.
    pub(crate) fn close(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(reservation) = self.reservation.take() else { return };
        reservation.settle(outcome.cost);
        let duration_ms = self.elapsed_ms();
        let refused = outcome.layer.is_some();
        let (result, status, verdict) = match outcome.code {
            None if self.approved => ("success", FeedStatus::Done, Verdict::Approved),
            None => ("success", FeedStatus::Done, Verdict::Allowed),
            Some(_) if refused => ("denied", FeedStatus::Denied, Verdict::Denied),
            Some(_) if outcome.stopped => ("stopped", FeedStatus::Stopped, Verdict::Stopped),
            Some(_) => ("error", FeedStatus::Failed, Verdict::Failed),
        };
        let mut event = self.record.event(self.sandbox.recorder(), Phase::Outcome);
        event.result = Some(result.to_owned());
        event.rule = outcome.code.map(str::to_owned);
        event.duration_ms = Some(duration_ms);
        event.bytes_returned = Some(outcome.bytes);
        event.cost_micro_usd = Some(outcome.cost.cost_micro_usd);
        event.detail = outcome.extra;
        if let Some(layer) = outcome.layer {
            event.detail.insert("layer".to_owned(), layer.into());
        }
        // The effect is over. A log that does not take its outcome is poisoned and denies the next intent.
        let _ = self.sandbox.recorder().append(&event, Durability::Written);
        self.sandbox.inner.session.count(verdict);
        let detail = Some(outcome.detail).filter(|detail| !detail.is_empty());
        self.show(status, outcome.code, outcome.layer, detail, Some(duration_ms));
    }

    fn show(
        &self,
        status: FeedStatus,
        rule: Option<&'static str>,
        layer: Option<&'static str>,
        detail: Option<String>,
        duration_ms: Option<u64>,
    ) {
        let went_well = matches!(status, FeedStatus::Allowed | FeedStatus::Done);
        if self.record.quiet && went_well {
            return;
        }
        self.sandbox.inner.show(FeedEvent {
            call: self.number,
            status,
            tool: self.record.tool.to_owned(),
            target: self.record.target.clone(),
            rule: rule.map(str::to_owned),
            layer: layer.map(str::to_owned),
            detail,
            duration_ms,
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let lost = Outcome {
            cost: self.reserved(),
            code: Some("effect.lost"),
            detail: "ended without an outcome".to_owned(),
            ..Outcome::default()
        };
        self.finish(lost);
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("record", &self.record).finish_non_exhaustive()
    }
}
