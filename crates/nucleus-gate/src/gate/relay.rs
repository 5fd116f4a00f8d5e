//! Passes an answer on as it comes, reads its usage, and books the call at its end.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::{GateBody, Relayed};
use super::booking::Booking;
use crate::limits::{CLIENT_STALL_TIME, RESPONSE_BODY_BYTES, RESPONSE_IDLE_TIME};
use crate::provider::Provider;
use crate::scrub::Scrub;
use crate::secret::Secret;
use crate::usage::Meter;

/// Chunks on their way to the client; more would only buffer.
const CHUNKS_IN_FLIGHT: usize = 4;

/// An answer about to be passed on.
pub(super) struct Relay {
    pub(super) body: Incoming,
    pub(super) key: Option<Arc<Secret>>,
    pub(super) booking: Booking,
    pub(super) provider: Provider,
    /// The status says that the provider did work.
    pub(super) paid: bool,
    /// The answer is an event stream.
    pub(super) stream: bool,
}

impl Relay {
    /// Starts passing; `after` runs when the whole answer was read.
    pub(super) fn start(self, after: impl Future<Output = ()> + Send + 'static) -> GateBody {
        let (client, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        tokio::spawn(async move {
            if self.run(client).await.is_some() {
                after.await;
            }
        });
        GateBody::Relayed(chunks)
    }

    /// `None` when the answer broke off, was too slow or too large, or the client left: then the booking is dropped.
    async fn run(mut self, client: mpsc::Sender<Relayed>) -> Option<()> {
        let mut meter = match self.stream {
            true => Meter::stream(self.provider),
            false => Meter::object(self.provider),
        };
        let mut scrub = Scrub::new(self.key.take());
        let mut passed = 0_u64;
        loop {
            let next = tokio::select! {
                next = timeout(RESPONSE_IDLE_TIME, self.body.frame()) => next.ok()?,
                () = client.closed() => return None,
            };
            let Some(frame) = next else { break };
            // Trailers are not passed on.
            let Ok(chunk) = frame.ok()?.into_data() else { continue };
            passed = passed.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if passed > RESPONSE_BODY_BYTES {
                return None;
            }
            meter.feed(&chunk);
            send(&client, scrub.feed(chunk)).await?;
        }
        // Booked before the client sees the end: its next call finds the budget as it is.
        self.booking.finish(meter, self.paid).await;
        send(&client, scrub.finish()).await?;
        client.send(Relayed::End).await.ok()
    }
}

async fn send(client: &mpsc::Sender<Relayed>, chunk: Bytes) -> Option<()> {
    if chunk.is_empty() {
        return Some(());
    }
    timeout(CLIENT_STALL_TIME, client.send(Relayed::Chunk(chunk))).await.ok()?.ok()
}
