//! The door over streamable HTTP, revision 2026-07-28 only: one request, one answer or one stream of events.
//!
//! It listens on loopback alone. A page in a browser cannot use it (`Host`, `Origin`), and neither can whoever has not the
//! token. What is done is what the body says; headers that say something else are refused.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Frame as Piece, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request as Posted, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nucleus::{Cancel, Progress};
use nucleus_wire::limits::FRAME_MAX_BYTES;
use nucleus_wire::mcp::{
    CallTool, Envelope, Frame, Headers, ProgressToken, Reply, Request, RequestId,
    ServerNotification,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::answer::{Era, Step};
use super::{CONNECTIONS_MAX, Door};

/// Longest a client may take for the head of a request, and again for its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The one path.
const PATH: &str = "/mcp";
/// Events that may wait for a client that reads slowly; progress beyond them is left out.
const EVENTS_MAX: usize = 64;

type Answer = Response<Either<Full<Bytes>, Events>>;

/// What every request is held to.
struct HttpDoor {
    door: Arc<Door>,
    token: Vec<u8>,
    port: u16,
}

/// Serves the listener on a thread of its own, until the process ends.
///
/// # Errors
/// The listener does not work, or the host gives no thread.
pub(crate) fn serve(door: Arc<Door>, listener: TcpListener, token: Vec<u8>) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = Arc::new(HttpDoor { door, token, port });
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                accept(http, listener).await;
            }
        });
    })?;
    Ok(())
}

async fn accept(http: Arc<HttpDoor>, listener: tokio::net::TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Descriptors ran out: waiting costs nothing and may help.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let http = Arc::clone(&http);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let http = Arc::clone(&http);
                async move { Ok::<_, Infallible>(http.handle(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever breaks a client's connection takes its call back, and is no more of our affair.
            connection.await.ok();
            drop(place);
        });
    }
}

impl HttpDoor {
    async fn handle(&self, request: Posted<Incoming>) -> Answer {
        if let Err((status, code)) =
            self.admit(request.method(), request.uri().path(), request.headers())
        {
            self.door.malformed(code);
            return refused(status);
        }
        let headers = request.headers().clone();
        let body = Limited::new(request.into_body(), FRAME_MAX_BYTES).collect();
        let body = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                self.door.malformed("frame.oversize");
                return refused(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Err(_) => return refused(StatusCode::REQUEST_TIMEOUT),
        };
        match Frame::parse(&body) {
            Ok(Frame::Request { id, method, params }) => {
                match self.step(&id, &method, params, &headers) {
                    Ok(Step::Call(call)) => self.call(id, call).await,
                    Ok(Step::Listen) => listening(&id),
                    Ok(Step::Reply(reply)) if reply.is_error() => {
                        json(StatusCode::NOT_FOUND, &reply)
                    }
                    Ok(Step::Reply(reply)) => json(StatusCode::OK, &reply),
                    Err((code, reply)) => {
                        self.door.malformed(code);
                        json(StatusCode::BAD_REQUEST, &reply)
                    }
                }
            }
            // The revision has no notification for this way, and a call is taken back by closing its connection.
            Ok(Frame::Notification { .. }) => refused(StatusCode::ACCEPTED),
            Ok(Frame::Response { .. }) => {
                self.door.malformed("frame.response");
                refused(StatusCode::BAD_REQUEST)
            }
            Err(error) => {
                self.door.malformed("frame.malformed");
                json(StatusCode::BAD_REQUEST, &error.reply())
            }
        }
    }

    /// Lets in who is not a page of a browser and has the token.
    fn admit(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), (StatusCode, &'static str)> {
        let own = |text: &str| {
            ["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|name| text == format!("{name}:{}", self.port))
        };
        if !one(headers, header::HOST.as_str()).is_some_and(own) {
            return Err((StatusCode::FORBIDDEN, "http.host"));
        }
        let origin = one(headers, header::ORIGIN.as_str());
        let foreign = origin.is_some_and(|from| !from.strip_prefix("http://").is_some_and(own));
        if foreign {
            return Err((StatusCode::FORBIDDEN, "http.origin"));
        }
        let token = one(headers, header::AUTHORIZATION.as_str())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        // Digests are compared in constant time.
        if nucleus::Digest::of(token.as_bytes()) != nucleus::Digest::of(&self.token) {
            return Err((StatusCode::UNAUTHORIZED, "http.token"));
        }
        if path != PATH {
            return Err((StatusCode::NOT_FOUND, "http.path"));
        }
        if method != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "http.method"));
        }
        let kind = one(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "http.content_type"));
        }
        Ok(())
    }

    fn step(
        &self,
        id: &RequestId,
        method: &str,
        params: serde_json::Map<String, serde_json::Value>,
        headers: &HeaderMap,
    ) -> Result<Step, (&'static str, Reply)> {
        if method == "initialize" {
            // Its client has to hear which revision is spoken here; it cannot ask.
            let reply = Reply::unsupported_version(id.clone(), "", self.door.versions());
            return Err(("frame.metadata", reply));
        }
        let said = Headers {
            version: one(headers, "mcp-protocol-version"),
            method: one(headers, "mcp-method"),
            name: one(headers, "mcp-name"),
        };
        said.check(method, &params).map_err(|error| ("http.headers", error.reply(id.clone())))?;
        let refuse = |error: nucleus_wire::mcp::EnvelopeError| {
            ("frame.metadata", error.reply(id.clone(), self.door.versions()))
        };
        if Envelope::of(&params).map_err(refuse)?.is_none() {
            return Err(refuse(Envelope::missing()));
        }
        let request = Request::parse(method, params)
            .map_err(|error| ("frame.params", error.reply(id.clone())))?;
        Ok(self.door.step(id, request, Era::Stateless))
    }

    async fn call(&self, id: RequestId, call: CallTool) -> Answer {
        let cancel = Cancel::new();
        let guard = TakenBack(cancel.clone());
        let door = Arc::clone(&self.door);
        if let Some(token) = call.progress_token.clone() {
            let (events, received) = mpsc::channel(EVENTS_MAX);
            let submitted = self.door.pool.submit(move || {
                let progress =
                    Told { events: events.clone(), token, cancel: cancel.clone(), sent: 0.into() };
                let reply = door.answer(id, &call, Era::Stateless, &cancel, &progress);
                // Nobody waits for the answer to a call that was taken back.
                let _gone = events.blocking_send(event(&reply.to_line()));
            });
            return match submitted {
                Ok(()) => stream(Events { received, _guard: Some(guard), _kept: None }),
                Err(_) => self.busy(),
            };
        }
        let (answer, answered) = oneshot::channel();
        let submitted = self.door.pool.submit(move || {
            let reply = door.answer(id, &call, Era::Stateless, &cancel, &nucleus::NoProgress);
            let _gone = answer.send(reply);
        });
        if submitted.is_err() {
            return self.busy();
        }
        // Dropped with this future when the client closes its connection.
        let reply = answered.await;
        drop(guard);
        match reply {
            Ok(reply) if reply.is_error() => json(StatusCode::BAD_REQUEST, &reply),
            Ok(reply) => json(StatusCode::OK, &reply),
            Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn busy(&self) -> Answer {
        self.door.malformed("door.busy");
        refused(StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Takes a call back when nobody waits for it any more.
struct TakenBack(Cancel);

impl Drop for TakenBack {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Progress of one call, as events.
struct Told {
    events: mpsc::Sender<Bytes>,
    token: ProgressToken,
    cancel: Cancel,
    sent: std::sync::atomic::AtomicU64,
}

impl Progress for Told {
    fn report(&self, message: &str) {
        if self.cancel.is_cancelled() {
            return;
        }
        let sent = self.sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed).saturating_add(1);
        let progress =
            nucleus_wire::mcp::Progress { progress: sent, total: None, message: Some(message) };
        let line = ServerNotification::progress(&self.token, &progress).to_line();
        // A client that reads slowly misses progress, not its answer.
        let _full = self.events.try_send(event(&line));
    }
}

/// A stream of server-sent events.
struct Events {
    received: mpsc::Receiver<Bytes>,
    _guard: Option<TakenBack>,
    /// Held where nothing more will come and the stream stays open all the same.
    _kept: Option<mpsc::Sender<Bytes>>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece<Bytes>, Infallible>>> {
        self.received.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Piece::data(bytes))))
    }
}

fn listening(id: &RequestId) -> Answer {
    let (events, received) = mpsc::channel(1);
    // The channel is new and has room.
    let _sent = events.try_send(event(&ServerNotification::acknowledged(id).to_line()));
    stream(Events { received, _guard: None, _kept: Some(events) })
}

/// The only value of a header; a text that is nobody's name when there are several or it is no text.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    Some(first.to_str().unwrap_or_default())
}

fn event(line: &[u8]) -> Bytes {
    Bytes::from([b"event: message\ndata: ", line, b"\n"].concat())
}

fn stream(events: Events) -> Answer {
    let mut response = Response::new(Either::Right(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

fn json(status: StatusCode, reply: &Reply) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(reply.to_line()))));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn refused(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(Bytes::new())));
    *response.status_mut() = status;
    let said = match status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "POST")),
        _ => None,
    };
    if let Some((name, value)) = said {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}
