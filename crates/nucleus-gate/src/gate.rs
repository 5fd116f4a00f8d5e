//! The model gate: a small HTTP/1.1 server in front of one upstream.

mod answer;
mod booking;
mod credential;
mod relay;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::adapter::{Adapter, Fields, Found, Prepared};
use crate::error::{ConfigError, UpstreamError};
use crate::escape::shown;
use crate::ledger::{Admission, Denial, Ledger, Note};
use crate::limits::{
    BODIES_IN_FLIGHT_KIB, CONNECTIONS_COUNT, REQUEST_BODY_BYTES, REQUEST_BODY_TIME,
    REQUEST_HEAD_BYTES, REQUEST_HEAD_TIME, REQUEST_HEADERS_COUNT, RESPONSE_HEAD_TIME,
    RESPONSE_IDLE_TIME, RESPONSE_TOTAL_TIME, SHUTDOWN_TIME,
};
use crate::login::{LoginFile, Tokens};
use crate::origin::Origin;
use crate::price::PriceTable;
use crate::provider::Provider;
use crate::proxy::ProxyRules;
use crate::refusal::Refusal;
use crate::secret::Secret;
use crate::upstream::{Roots, Upstream};
use crate::usage::Bounds;
use answer::GateBody;
use booking::{Booking, Terms};
use credential::Credential;

/// What a gate is made of.
#[non_exhaustive]
pub struct GateConfig {
    /// Whose API is served.
    pub provider: Provider,
    /// Where calls go.
    pub origin: Origin,
    /// The host's key; `None` only for an upstream on this machine.
    pub key: Option<Secret>,
    /// Prices; a model that is not in them is refused.
    pub prices: PriceTable,
    /// The host's proxy.
    pub proxy: ProxyRules,
    /// Trusted certificates.
    pub roots: Roots,
    /// How long the provider may take.
    pub patience: Patience,
    /// A subscription in the place of a key, and the certificates its address for new tokens is checked against.
    pub login: Option<(LoginFile, Roots)>,
}

/// How long a provider may take with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the head of the answer.
    pub head: Duration,
    /// Without a byte of the body.
    pub idle: Duration,
    /// For the whole body.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: RESPONSE_HEAD_TIME, idle: RESPONSE_IDLE_TIME, total: RESPONSE_TOTAL_TIME }
    }
}

impl GateConfig {
    /// A gate for Anthropic's API at `origin`, without a proxy.
    #[must_use]
    pub fn new(origin: Origin, key: Option<Secret>, prices: PriceTable, roots: Roots) -> Self {
        let provider = Provider::Anthropic;
        let patience = Patience::default();
        Self {
            provider,
            origin,
            key,
            prices,
            proxy: ProxyRules::none(),
            roots,
            patience,
            login: None,
        }
    }

    /// The same for another provider's API.
    #[must_use]
    pub fn for_provider(mut self, provider: Provider) -> Self {
        self.provider = provider;
        self
    }

    /// The same, paid by a subscription.
    #[must_use]
    pub fn with_login(mut self, login: LoginFile, roots: Roots) -> Self {
        self.login = Some((login, roots));
        self
    }

    /// The same with other limits of time.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same, through the host's proxy where its rules say so.
    #[must_use]
    pub fn with_proxy(mut self, proxy: ProxyRules) -> Self {
        self.proxy = proxy;
        self
    }
}

/// The way from an agent's pod to its model provider.
pub struct ModelGate {
    adapter: Adapter,
    upstream: Arc<Upstream>,
    credential: Credential,
    prices: PriceTable,
    patience: Patience,
    ledger: Arc<dyn Ledger>,
    bodies: Semaphore,
    noted: Mutex<BTreeSet<String>>,
}

/// Most distinct notes of one kind; an agent can invent names without end.
const NOTES_COUNT: usize = 256;

impl ModelGate {
    /// Makes a gate.
    ///
    /// # Errors
    /// Misuse: a key is missing for an upstream beyond this machine, or TLS has no roots.
    pub fn new(config: GateConfig, ledger: Arc<dyn Ledger>) -> Result<Arc<Self>, ConfigError> {
        let proxy = Arc::new(config.proxy);
        let credential = match (config.login, config.key) {
            (Some((login, roots)), _) => {
                Credential::Login(Box::new(Tokens::new(login, Arc::clone(&proxy), roots)?))
            }
            (None, Some(key)) => Credential::Key(Arc::new(key)),
            (None, None) if config.origin.is_loopback() => Credential::None,
            (None, None) => return Err(ConfigError::NoKey),
        };
        let subscription = matches!(credential, Credential::Login(_));
        let upstream = Upstream::new(config.origin, proxy, config.roots)?;
        Ok(Arc::new(Self {
            adapter: Adapter::new(config.provider, subscription)?,
            upstream: Arc::new(upstream),
            credential,
            prices: config.prices,
            patience: config.patience,
            ledger,
            bodies: Semaphore::new(BODIES_IN_FLIGHT_KIB),
            noted: Mutex::new(BTreeSet::new()),
        }))
    }

    /// Version of the allow list and of the price table, for the log.
    #[must_use]
    pub fn data_versions(&self) -> (String, String) {
        (self.adapter.version().to_owned(), self.prices.version().to_owned())
    }

    /// Serves `listener` until `shutdown` is ready. Open calls are then cut off, and their bookings waited for.
    ///
    /// # Errors
    /// Unavailable: the listener cannot be used.
    pub async fn serve(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let permits = Arc::new(Semaphore::new(CONNECTIONS_COUNT));
        // Every connection and every open booking holds a sender; the receiver ends when the last one is gone.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let mut connections = tokio::task::JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accept = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = &mut shutdown => break,
                (accepted, permit) = accept => match accepted {
                    Ok((stream, _)) => {
                        let gate = Arc::clone(&self);
                        let alive = alive.clone();
                        connections.spawn(async move {
                            gate.connection(stream, alive).await;
                            drop(permit);
                        });
                    }
                    // Out of descriptors or a connection reset before accept: go on, but do not spin.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                },
            }
            while connections.try_join_next().is_some() {}
        }
        connections.shutdown().await;
        drop(alive);
        timeout(SHUTDOWN_TIME, all_gone.recv()).await.ok();
        Ok(())
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, alive: mpsc::Sender<()>) {
        // Small events must leave at once; a socket that refuses the option still works.
        stream.set_nodelay(true).ok();
        let service = service_fn(move |request| {
            let gate = Arc::clone(&self);
            let alive = alive.clone();
            async move { Ok::<_, std::convert::Infallible>(gate.handle(request, alive).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_HEAD_TIME)
            .max_buf_size(REQUEST_HEAD_BYTES)
            .max_headers(REQUEST_HEADERS_COUNT)
            .serve_connection(TokioIo::new(stream), service);
        // Whatever breaks a client's connection is the client's affair; its call is booked by its relay.
        connection.await.ok();
    }

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        alive: mpsc::Sender<()>,
    ) -> Response<GateBody> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let shown_request = format!("{} {}", shown(parts.method.as_str()), shown(target));
        match self.serve_call(&parts, body, alive).await {
            Ok(response) => response,
            Err(Failure::Refused(refusal)) => {
                let response = answer::refused(self.adapter.provider(), &refusal);
                self.on_ledger(move |ledger| ledger.refused(&refusal, &shown_request)).await;
                response
            }
            Err(Failure::Upstream(error)) => {
                self.on_ledger(move |ledger| ledger.noted(&Note::Upstream(error))).await;
                answer::unavailable(self.adapter.provider(), error)
            }
        }
    }

    async fn serve_call(
        self: &Arc<Self>,
        parts: &hyper::http::request::Parts,
        body: Incoming,
        alive: mpsc::Sender<()>,
    ) -> Result<Response<GateBody>, Failure> {
        check_form(parts)?;
        let found = self.adapter.route(&parts.method, &parts.uri)?;
        let fields = self.adapter.fields(&parts.headers, !found.lists_models())?;
        if found.lists_models() {
            return Ok(answer::models(self.adapter.provider(), &self.prices));
        }
        let room = body_kib(&body)?;
        let room = self.bodies.acquire_many(room).await.map_err(|_| Refusal::Incomplete)?;
        let bytes = read_body(body).await?;
        let prepared = self.adapter.prepare(&found, &bytes, &self.prices)?;
        drop(bytes);
        self.note_left_out(&fields, &prepared).await;
        let mut held = self.held(None).await?;
        let (max_output_tokens, mut booking) = self.admit(&prepared, alive).await?;
        let stream = prepared.stream;
        let outgoing = self.outgoing(&found, fields, prepared, max_output_tokens)?;
        booking.is_sent();
        let sent = self.send(outgoing, &mut held).await;
        drop(room);
        let (response, sender) = match sent {
            Ok(answer) => answer.into_parts(),
            Err(error) => {
                booking.after_failure(error).await;
                return Err(error.into());
            }
        };
        let (head, body) = response.into_parts();
        if let Err(error) = check_answer(&head) {
            // A redirect did no work at the provider; anything else may have.
            if error == UpstreamError::Redirect {
                booking.free().await;
            }
            return Err(error.into());
        }
        let key = held.as_ref().map(|held| held.key.as_ref());
        let answered = self.adapter.answer_fields(&head.headers, key);
        let upstream = Arc::clone(&self.upstream);
        let body = relay::Relay {
            body,
            key: held.map(|held| held.key),
            booking,
            paid: head.status.is_success(),
            provider: self.adapter.provider(),
            patience: self.patience,
            stream: stream && answer::is_event_stream(&head.headers),
        }
        .start(async move { upstream.give_back(sender).await });
        Ok(answer::passed(head.status, answered, body))
    }

    /// Asks the ledger on a thread that may block. What it admitted is held by a booking from that moment.
    async fn admit(
        self: &Arc<Self>,
        prepared: &Prepared,
        alive: mpsc::Sender<()>,
    ) -> Result<(u64, Booking), Refusal> {
        let (gate, call, price) = (Arc::clone(self), prepared.call.clone(), prepared.price.clone());
        let answer = tokio::task::spawn_blocking(move || {
            let Admission { max_output_tokens, ticket } = gate.ledger.admit(&call)?;
            let us_percent = gate.prices.us_inference_percent();
            let ledger = Arc::clone(&gate.ledger);
            let bounds = Bounds {
                prompt_tokens: gate.adapter.context_tokens(),
                output_tokens: gate.adapter.most_output(max_output_tokens),
            };
            let terms = Terms { price, kind: call.kind, us_percent, bounds };
            let booking = Booking::new(ticket, ledger, terms, alive);
            Ok::<_, Denial>((max_output_tokens, booking))
        });
        // When the ledger itself failed, that is a denial like any error.
        let denied = |code: &str, text: &str| {
            Refusal::Denied(Denial { code: code.to_owned(), text: text.to_owned() })
        };
        match answer.await {
            Ok(answer) => answer.map_err(Refusal::Denied),
            Err(_) => {
                Err(denied("deny.internal", "the call could not be recorded and was not made"))
            }
        }
    }

    fn outgoing(
        &self,
        found: &Found<'_>,
        fields: Fields,
        prepared: Prepared,
        max_output_tokens: u64,
    ) -> Result<Request<Full<Bytes>>, UpstreamError> {
        let origin = self.upstream.origin();
        let target = self.adapter.target(origin, found);
        let body = self.adapter.body(prepared, max_output_tokens);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        // Both are made of parts that were checked when the gate was made.
        *request.uri_mut() = target.parse().map_err(|_| UpstreamError::Broken)?;
        let host =
            HeaderValue::from_str(&origin.host_field()).map_err(|_| UpstreamError::Broken)?;
        *request.headers_mut() = fields.headers;
        request.headers_mut().insert("host", host);
        Ok(request)
    }

    /// Reports what was left out of a request, each name once.
    async fn note_left_out(self: &Arc<Self>, fields: &Fields, prepared: &Prepared) {
        let mut notes = Vec::new();
        let unknown = self.first_time("field", &prepared.unknown);
        let betas = self.first_time("beta", &fields.unlisted_betas);
        let credentials = self.first_time("credential", &fields.credentials);
        notes.extend((!unknown.is_empty()).then_some(Note::UnknownFields(unknown)));
        notes.extend((!betas.is_empty()).then_some(Note::UnlistedBetas(betas)));
        notes.extend((!credentials.is_empty()).then_some(Note::ClientCredentials(credentials)));
        if !notes.is_empty() {
            self.on_ledger(move |ledger| notes.iter().for_each(|note| ledger.noted(note))).await;
        }
    }

    fn first_time(&self, kind: &str, names: &BTreeSet<String>) -> Vec<String> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            |name: &&String| noted.len() < NOTES_COUNT && noted.insert(format!("{kind} {name}"));
        names.iter().filter(new).cloned().collect()
    }

    async fn on_ledger(&self, report: impl FnOnce(&dyn Ledger) + Send + 'static) {
        let ledger = Arc::clone(&self.ledger);
        // A ledger that panics while it is told something is its owner's defect; the refusal stands.
        tokio::task::spawn_blocking(move || report(ledger.as_ref())).await.ok();
    }
}

/// Why a call got no answer from the provider.
enum Failure {
    Refused(Refusal),
    Upstream(UpstreamError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// Refuses everything that is not a plain request to this server.
fn check_form(parts: &hyper::http::request::Parts) -> Result<(), Refusal> {
    let uri = &parts.uri;
    if parts.method == Method::CONNECT || uri.scheme().is_some() || uri.authority().is_some() {
        return Err(Refusal::Form);
    }
    if !uri.path().starts_with('/') {
        return Err(Refusal::Form);
    }
    // Two readers may each believe another one.
    if parts.headers.get_all("host").iter().count() > 1 {
        return Err(Refusal::Host);
    }
    if parts.headers.contains_key("upgrade") {
        return Err(Refusal::Upgrade);
    }
    let mut codings = parts.headers.get_all("transfer-encoding").iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || parts.headers.contains_key("trailer")
    {
        return Err(Refusal::Encoding);
    }
    Ok(())
}

/// Room a body needs, in KiB: what it announces, or the most there may be.
fn body_kib(body: &Incoming) -> Result<u32, Refusal> {
    let limit = u64::try_from(REQUEST_BODY_BYTES).unwrap_or(u64::MAX);
    let bytes = body.size_hint().exact().unwrap_or(limit);
    if bytes > limit {
        return Err(Refusal::TooLarge);
    }
    u32::try_from(bytes.div_ceil(1024).max(1)).map_err(|_| Refusal::TooLarge)
}

async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    let limited = Limited::new(body, REQUEST_BODY_BYTES).collect();
    match timeout(REQUEST_BODY_TIME, limited).await {
        Err(_) => Err(Refusal::Incomplete),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) => Err(Refusal::Incomplete),
    }
}

/// Refuses answers the gate will not pass on.
fn check_answer(head: &hyper::http::response::Parts) -> Result<(), UpstreamError> {
    if head.status.is_redirection() {
        return Err(UpstreamError::Redirect);
    }
    let encoded = head.headers.get_all("content-encoding").iter();
    if encoded.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(UpstreamError::Encoding);
    }
    Ok(())
}
