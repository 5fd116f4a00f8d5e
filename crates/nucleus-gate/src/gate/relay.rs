//! Passes an answer on as it comes, reads its usage, and books the call at its end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::Patience;
use super::answer::{self, GateBody, Relayed};
use super::booking::Booking;
use crate::error::UpstreamError;
use crate::limits::{CLIENT_STALL_TIME, RESPONSE_BODY_BYTES};
use crate::provider::Provider;
use crate::scrub::Scrub;
use crate::secret::Secret;
use crate::usage::Meter;

/// Chunks on their way to the client; more would only buffer.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Time to write the last chunk once the connection has taken it.
const LAST_WORDS_TIME: Duration = Duration::from_millis(100);

/// An answer about to be passed on.
pub(super) struct Relay {
    pub(super) body: Incoming,
    pub(super) key: Option<Arc<Secret>>,
    pub(super) booking: Booking,
    pub(super) provider: Provider,
    pub(super) patience: Patience,
    /// The status says that the provider did work.
    pub(super) paid: bool,
    /// The answer is an event stream.
    pub(super) stream: bool,
}

/// Why a relay ended before the answer did.
enum Cut {
    /// The client left, or reads nothing.
    Client,
    /// The provider: the client is told.
    Upstream(UpstreamError),
}

impl Relay {
    /// Starts passing; `after` runs when the whole answer was read.
    pub(super) fn start(self, after: impl Future<Output = ()> + Send + 'static) -> GateBody {
        let (client, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        tokio::spawn(async move {
            let (provider, stream) = (self.provider, self.stream);
            match self.run(&client).await {
                Ok(()) => after.await,
                // A stream still has room for words; the missing end says the rest, here as for an object.
                Err(Cut::Upstream(error)) if stream => {
                    last_words(&client, answer::broken_off(provider, error)).await;
                }
                Err(_) => {}
            }
        });
        GateBody::Relayed(chunks)
    }

    /// When the answer broke off, was too slow or too large, or the client left, the booking is dropped: it books all.
    async fn run(mut self, client: &mpsc::Sender<Relayed>) -> Result<(), Cut> {
        let mut meter =
            if self.stream { Meter::stream(self.provider) } else { Meter::object(self.provider) };
        let mut scrub = Scrub::new(self.key.take());
        let mut passed = 0_u64;
        let end = Instant::now() + self.patience.total;
        loop {
            let late = end.min(Instant::now() + self.patience.idle);
            let next = tokio::select! {
                next = timeout_at(late, self.body.frame()) => next,
                () = client.closed() => return Err(Cut::Client),
            };
            let Some(frame) = next.map_err(|_| Cut::Upstream(UpstreamError::Timeout))? else {
                break;
            };
            let frame = frame.map_err(|_| Cut::Upstream(UpstreamError::Broken))?;
            // Trailers are not passed on.
            let Ok(chunk) = frame.into_data() else { continue };
            passed = passed.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if passed > RESPONSE_BODY_BYTES {
                return Err(Cut::Upstream(UpstreamError::TooLarge));
            }
            meter.feed(&chunk);
            send(client, scrub.feed(chunk)).await?;
        }
        // Booked before the client sees the end: its next call finds the budget as it is.
        self.booking.finish(meter, self.paid).await;
        send(client, scrub.finish()).await?;
        client.send(Relayed::End).await.map_err(|_| Cut::Client)
    }
}

/// Sends a last chunk and leaves the connection time to write it: a body that breaks off takes with it what was not written.
async fn last_words(client: &mpsc::Sender<Relayed>, words: Bytes) {
    if send(client, words).await.is_err() {
        return;
    }
    let taken = async {
        while client.capacity() < client.max_capacity() && !client.is_closed() {
            tokio::time::sleep(LAST_WORDS_TIME / 10).await;
        }
    };
    timeout(CLIENT_STALL_TIME, taken).await.ok();
    tokio::time::sleep(LAST_WORDS_TIME).await;
}

async fn send(client: &mpsc::Sender<Relayed>, chunk: Bytes) -> Result<(), Cut> {
    if chunk.is_empty() {
        return Ok(());
    }
    let sent = timeout(CLIENT_STALL_TIME, client.send(Relayed::Chunk(chunk))).await;
    sent.map_err(|_| Cut::Client)?.map_err(|_| Cut::Client)
}
