//! Answers to the client: the provider's, or the gate's own in the provider's form.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use crate::error::UpstreamError;
use crate::price::PriceTable;
use crate::provider::Provider;
use crate::refusal::Refusal;

/// The answer broke off; the connection is closed so that the client cannot take it for complete.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer broke off")
    }
}

impl std::error::Error for BrokenOff {}

/// Body of an answer.
pub(crate) enum GateBody {
    /// The gate's own words.
    Own(Option<Bytes>),
    /// The provider's, chunk by chunk. It is complete only when its last message says so.
    Relayed(mpsc::Receiver<Relayed>),
    /// A relayed body whose end was seen.
    Complete,
}

/// What a relay sends.
pub(crate) enum Relayed {
    Chunk(Bytes),
    End,
}

impl Body for GateBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let received = match &mut *self {
            Self::Own(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Complete => return Poll::Ready(None),
            Self::Relayed(chunks) => std::task::ready!(chunks.poll_recv(context)),
        };
        Poll::Ready(match received {
            Some(Relayed::Chunk(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Relayed::End) => {
                *self = Self::Complete;
                None
            }
            None => Some(Err(BrokenOff)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Own(None) | Self::Complete)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Own(Some(bytes)) => {
                hyper::body::SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Own(None) | Self::Complete => hyper::body::SizeHint::with_exact(0),
            Self::Relayed(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// The answer to a refused request.
pub(super) fn refused(provider: Provider, refusal: &Refusal) -> Response<GateBody> {
    let (status, kind) = refusal.status();
    let mut response =
        own(provider, status, kind, &format!("Nucleus refused this request: {refusal}"));
    if let Ok(code) = HeaderValue::from_str(refusal.code()) {
        response.headers_mut().insert("x-nucleus-rule", code);
    }
    // What was refused once is refused again: clients must not try on their own.
    response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    // The rest of a refused body is not worth reading.
    response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    response
}

/// The answer when the provider could not be used.
pub(super) fn unavailable(provider: Provider, error: UpstreamError) -> Response<GateBody> {
    let retry =
        matches!(error, UpstreamError::Connect | UpstreamError::Timeout | UpstreamError::Broken);
    let mut response =
        own(provider, StatusCode::BAD_GATEWAY, "api_error", &format!("Nucleus: {error}"));
    let retry = HeaderValue::from_static(if retry { "true" } else { "false" });
    response.headers_mut().insert("x-should-retry", retry);
    response
}

/// The provider's answer.
pub(super) fn passed(status: StatusCode, headers: HeaderMap, body: GateBody) -> Response<GateBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Whether an answer is an event stream.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get("content-type").is_some_and(|value| {
        let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}

/// The models the gate has prices for: no others can be called.
pub(super) fn models(provider: Provider, prices: &PriceTable) -> Response<GateBody> {
    let names = prices.models(provider);
    let list = if provider == Provider::Gemini {
        let methods = ["generateContent", "streamGenerateContent", "countTokens"];
        let models: Vec<_> = names
            .map(|name| json!({"name": format!("models/{name}"), "displayName": name, "supportedGenerationMethods": methods}))
            .collect();
        json!({"models": models})
    } else {
        let models: Vec<_> = names
            .map(|name| json!({"id": name, "object": "model", "created": 0, "owned_by": "nucleus"}))
            .collect();
        json!({"object": "list", "data": models})
    };
    written(StatusCode::OK, &list)
}

/// The last event of a stream that the provider did not end, in the form its clients take for an error.
pub(super) fn broken_off(provider: Provider, error: UpstreamError) -> Bytes {
    let message = format!("Nucleus: {error}");
    let status = StatusCode::BAD_GATEWAY;
    // The line that broke off is ended first.
    let text = match provider {
        Provider::Anthropic => {
            format!(
                "\n\nevent: error\ndata: {}\n\n",
                error_body(provider, status, "api_error", &message)
            )
        }
        Provider::OpenAi => {
            let event =
                json!({"type": "error", "code": "server_error", "message": message, "param": null});
            format!("\n\nevent: error\ndata: {event}\n\n")
        }
        Provider::OpenAiChat | Provider::Gemini => {
            format!("\n\ndata: {}\n\n", error_body(provider, status, "server_error", &message))
        }
    };
    text.into()
}

/// An error in the provider's own form, so that its clients show the words.
fn own(provider: Provider, status: StatusCode, kind: &str, message: &str) -> Response<GateBody> {
    written(status, &error_body(provider, status, kind, message))
}

fn error_body(
    provider: Provider,
    status: StatusCode,
    kind: &str,
    message: &str,
) -> serde_json::Value {
    match provider {
        Provider::Anthropic => {
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
        Provider::OpenAi | Provider::OpenAiChat => {
            json!({"error": {"type": kind, "message": message, "param": null, "code": null}})
        }
        Provider::Gemini => {
            let name = match status {
                StatusCode::NOT_FOUND => "NOT_FOUND",
                StatusCode::BAD_GATEWAY => "UNAVAILABLE",
                _ => "INVALID_ARGUMENT",
            };
            json!({"error": {"code": status.as_u16(), "message": message, "status": name}})
        }
    }
}

fn written(status: StatusCode, body: &serde_json::Value) -> Response<GateBody> {
    let mut response = Response::new(GateBody::Own(Some(body.to_string().into())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}
