//! One admitted call's money: settled with what the answer shows, or booked whole.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::error::UpstreamError;
use crate::ledger::{CallKind, Ledger, ModelCall, Note, Ticket};
use crate::price::Price;
use crate::usage::{Bounds, Meter, Unbelieved, Usage};

/// How a call is paid for.
pub(super) struct Terms {
    pub(super) price: Price,
    pub(super) kind: CallKind,
    pub(super) us_percent: u64,
    pub(super) bounds: Bounds,
}

/// Holds the ticket of a call. Dropped once the request may have left, it books the whole reservation; before, nothing.
pub(super) struct Booking {
    ticket: Option<Box<dyn Ticket>>,
    ledger: Arc<dyn Ledger>,
    terms: Terms,
    sent: bool,
    why_whole: Unbelieved,
    alive: mpsc::Sender<()>,
}

impl Booking {
    pub(super) fn new(
        ticket: Box<dyn Ticket>,
        ledger: Arc<dyn Ledger>,
        terms: Terms,
        alive: mpsc::Sender<()>,
    ) -> Self {
        Self {
            ticket: Some(ticket),
            ledger,
            terms,
            sent: false,
            why_whole: Unbelieved::Aborted,
            alive,
        }
    }

    /// From here on the provider may have done work.
    pub(super) fn is_sent(&mut self) {
        self.sent = true;
    }

    /// The call cost nothing.
    pub(super) async fn free(mut self) {
        self.settle(Usage::default()).await;
    }

    /// The request failed before an answer: free when it was never sent.
    pub(super) async fn after_failure(self, error: UpstreamError) {
        match error {
            UpstreamError::Connect
            | UpstreamError::Address
            | UpstreamError::Proxy { .. }
            | UpstreamError::Tls => {
                self.free().await;
            }
            // Some of it may have arrived and be charged.
            _ => drop(self),
        }
    }

    /// The answer ended; `paid` when its status says that work was done.
    pub(super) async fn finish(mut self, meter: Meter, paid: bool) {
        if self.terms.kind == CallKind::CountTokens || !paid {
            return self.free().await;
        }
        match meter.finish(&self.terms.bounds) {
            Ok((mut usage, us)) => {
                let percent = if us { self.terms.us_percent } else { 0 };
                usage.cost_micro_usd = ModelCall::cost(&self.terms.price, &usage, percent);
                self.settle(usage).await;
            }
            Err(why) => self.why_whole = why,
        }
    }

    async fn settle(&mut self, usage: Usage) {
        if let Some(ticket) = self.ticket.take() {
            let alive = self.alive.clone();
            // Settling may wait for the log. The thread owns it to the end, whatever becomes of this task.
            let settled = tokio::task::spawn_blocking(move || {
                ticket.settle(usage);
                drop(alive);
            });
            // A ticket that panics while it settles is its owner's defect; nothing is left to do for it here.
            settled.await.ok();
        }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let (ledger, alive) = (Arc::clone(&self.ledger), self.alive.clone());
        let (sent, why) = (self.sent, self.why_whole);
        let book = move || {
            if sent {
                drop(ticket);
                ledger.noted(&Note::WholeReservation(why));
            } else {
                ticket.settle(Usage::default());
            }
            drop(alive);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn_blocking(book);
            }
            Err(_) => book(),
        }
    }
}
