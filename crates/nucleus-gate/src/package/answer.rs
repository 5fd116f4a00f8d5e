//! Answers to clients in the pod, and files on their way to them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ledger::Held;
use super::refusal::PackageRefusal;
use super::source::Opened;
use crate::limits::{CLIENT_STALL_TIME, PACKAGE_BYTES, PACKAGE_WAIT_TIME};

/// Chunks on their way to the client; more would only buffer.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Body of an answer.
pub(super) enum PackageBody {
    /// Held in memory.
    Whole(Option<Bytes>),
    /// Chunk by chunk, of a length that is known or not. It is complete only when its last message says so.
    Passed { chunks: mpsc::Receiver<Passed>, length: Option<u64>, complete: bool },
}

/// What a pump sends.
pub(super) enum Passed {
    Chunk(Bytes),
    End,
}

/// The file broke off; the connection is closed so that the client cannot take it for complete.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the file broke off")
    }
}

impl std::error::Error for BrokenOff {}

impl Body for PackageBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passed { complete: true, .. } => Poll::Ready(None),
            Self::Passed { chunks, complete, .. } => {
                Poll::Ready(match std::task::ready!(chunks.poll_recv(context)) {
                    Some(Passed::Chunk(bytes)) => Some(Ok(Frame::data(bytes))),
                    Some(Passed::End) => {
                        *complete = true;
                        None
                    }
                    None => Some(Err(BrokenOff)),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None) | Self::Passed { complete: true, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Passed { length: Some(length), complete: false, .. } => {
                SizeHint::with_exact(*length)
            }
            Self::Passed { .. } => SizeHint::default(),
        }
    }
}

/// A file that is being passed on.
pub(super) struct Pump {
    pub(super) opened: Opened,
    pub(super) held: Held,
}

impl Pump {
    /// Starts passing; the fetch is settled at its end, however that comes.
    pub(super) fn start(self) -> Response<PackageBody> {
        let Self { opened: Opened { response, after }, held } = self;
        let (head, body) = response.into_parts();
        let (client, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        tokio::spawn(async move {
            let mut passed = 0;
            let ended = pass(body, &client, &mut passed).await;
            // Before the client sees the end: whoever looks at the log then finds it there.
            held.settle(passed, ended.as_ref().err()).await;
            if ended.is_ok() {
                client.send(Passed::End).await.ok();
                after.await;
            }
        });
        let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse().ok());
        let mut answer = Response::new(PackageBody::Passed { chunks, length, complete: false });
        let octets = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(CONTENT_TYPE, octets);
        if let Some(length) = length {
            answer.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        answer
    }
}

async fn pass(
    mut body: hyper::body::Incoming,
    client: &mpsc::Sender<Passed>,
    passed: &mut u64,
) -> Result<(), PackageRefusal> {
    let gone = PackageRefusal::Broken;
    loop {
        let next = tokio::select! {
            next = timeout(PACKAGE_WAIT_TIME, body.frame()) => next.map_err(|_| gone.clone())?,
            () = client.closed() => return Err(gone),
        };
        let Some(frame) = next else { return Ok(()) };
        // Trailers are not passed on.
        let Ok(chunk) = frame.map_err(|_| gone.clone())?.into_data() else { continue };
        *passed = passed.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if *passed > PACKAGE_BYTES {
            return Err(PackageRefusal::TooLarge);
        }
        let sent = timeout(CLIENT_STALL_TIME, client.send(Passed::Chunk(chunk))).await;
        sent.map_err(|_| gone.clone())?.map_err(|_| gone.clone())?;
    }
}

/// The answer to a refused request.
pub(super) fn refused(refusal: &PackageRefusal) -> Response<PackageBody> {
    let mut answer = whole("text/plain; charset=utf-8", format!("Nucleus: {refusal}\n").into());
    *answer.status_mut() = refusal.status();
    if let Ok(code) = HeaderValue::from_str(refusal.code()) {
        answer.headers_mut().insert("x-nucleus-rule", code);
    }
    if refusal.status() != StatusCode::NOT_FOUND {
        // The rest of a refused request is not worth reading.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// JSON of our own.
pub(super) fn json(value: &Value) -> Response<PackageBody> {
    whole("application/json", value.to_string().into())
}

/// A body that is there.
pub(super) fn whole(kind: &'static str, body: Bytes) -> Response<PackageBody> {
    let mut answer = Response::new(PackageBody::Whole(Some(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
