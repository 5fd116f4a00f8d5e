//! The package gate: a small HTTP/1.1 server in a pod that fetches from package registries, and only fetches.
//!
//! What leaves is written here: a method, a fixed origin, and the name of a package. Whatever else a client sends (header
//! fields, queries, bodies, credentials) goes nowhere. Files are fetched from where a registry's own list of versions
//! says they are, so that no address is of the pod's making.

mod answer;
mod go;
mod ledger;
mod listing;
mod name;
mod refusal;
mod route;
mod source;
mod words;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use lattice_guard::Registry;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::ConfigError;
use crate::escape::shown;
use crate::ledger::Denial;
use crate::limits::{
    CONNECTIONS_COUNT, PACKAGE_LISTINGS_COUNT, PACKAGE_NAMES_COUNT, REQUEST_HEAD_BYTES,
    REQUEST_HEAD_TIME, REQUEST_HEADERS_COUNT, SHUTDOWN_TIME,
};
use crate::proxy::ProxyRules;
use crate::upstream::Roots;
use answer::{PackageBody, Pump};
use bytes::Bytes;
use ledger::Held;
use listing::{Listing, Places};
use route::{Asked, Route};
use source::{Place, Sources};
use words::{Word, Words};

pub use ledger::{FetchTicket, PackageFetch, PackageLedger};
pub use refusal::PackageRefusal;

/// What a package gate is made of.
#[non_exhaustive]
pub struct PackageGateConfig {
    /// Base URL of each registry that may be used; `None` = the public one.
    pub registries: BTreeMap<Registry, Option<String>>,
    /// The host's proxy.
    pub proxy: ProxyRules,
    /// Trusted certificates.
    pub roots: Roots,
}

impl PackageGateConfig {
    /// A gate to these registries.
    #[must_use]
    pub fn new(
        registries: BTreeMap<Registry, Option<String>>,
        proxy: ProxyRules,
        roots: Roots,
    ) -> Self {
        Self { registries, proxy, roots }
    }
}

/// The way from tool pods to package registries.
pub struct PackageGate {
    sources: BTreeMap<Registry, Sources>,
    ledger: Arc<dyn PackageLedger>,
    /// What registries listed, by name of the package.
    known: Mutex<BTreeMap<(Registry, String), Arc<Places>>>,
    /// Lists that are read at the same time.
    reading: Semaphore,
    /// Names that no registry knew.
    words: Words,
    /// What the registry of Go modules named.
    go: go::Known,
}

impl PackageGate {
    /// Makes a gate.
    ///
    /// # Errors
    /// Misuse: a mirror's address is not usable, or TLS has no roots.
    pub fn new(
        config: PackageGateConfig,
        ledger: Arc<dyn PackageLedger>,
    ) -> Result<Arc<Self>, ConfigError> {
        let proxy = Arc::new(config.proxy);
        let sources: Result<_, ConfigError> = config
            .registries
            .iter()
            .map(|(registry, mirror)| {
                let sources = Sources::new(*registry, mirror.as_deref(), &proxy, &config.roots)?;
                Ok((*registry, sources))
            })
            .collect();
        Ok(Arc::new(Self {
            sources: sources?,
            ledger,
            known: Mutex::default(),
            reading: Semaphore::new(PACKAGE_LISTINGS_COUNT),
            words: Words::new(),
            go: go::Known::default(),
        }))
    }

    /// Serves `listener` until `shutdown` is ready. Open fetches are then cut off, and recorded as that.
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
        // Every admitted fetch holds a sender; the receiver ends when the last one is recorded.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let mut connections = JoinSet::new();
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
                        let (gate, alive) = (Arc::clone(&self), alive.clone());
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
        // A socket that refuses the option still works.
        stream.set_nodelay(true).ok();
        let service = service_fn(move |request| {
            let visit = Visit { gate: Arc::clone(&self), alive: alive.clone() };
            async move { Ok::<_, std::convert::Infallible>(visit.handle(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_HEAD_TIME)
            .max_buf_size(REQUEST_HEAD_BYTES)
            .max_headers(REQUEST_HEADERS_COUNT)
            .serve_connection(TokioIo::new(stream), service);
        // Whatever breaks a client's connection is the client's affair.
        connection.await.ok();
    }

    async fn tell_refused(&self, refusal: &PackageRefusal, request: String) {
        let (ledger, refusal) = (Arc::clone(&self.ledger), refusal.clone());
        // A ledger that panics while it is told something is its owner's defect; the refusal stands.
        tokio::task::spawn_blocking(move || ledger.refused(&refusal, &request)).await.ok();
    }
}

/// One request to a registry.
struct Asking {
    fetch: PackageFetch,
    place: Place,
    accept: &'static str,
    /// It carries a name that the registry may not know.
    counts: bool,
}

/// One request.
struct Visit {
    gate: Arc<PackageGate>,
    alive: mpsc::Sender<()>,
}

impl Visit {
    async fn handle(&self, request: Request<Incoming>) -> Response<PackageBody> {
        // A body is never read; the connection is closed behind the answer that refuses it.
        let (parts, _) = request.into_parts();
        match self.fetch(&parts).await {
            Ok(response) => response,
            Err(refusal) => {
                if refusal.is_own() {
                    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
                    let request = format!("{} {}", shown(parts.method.as_str()), shown(target));
                    self.gate.tell_refused(&refusal, request).await;
                }
                answer::refused(&refusal)
            }
        }
    }

    async fn fetch(&self, parts: &Parts) -> Result<Response<PackageBody>, PackageRefusal> {
        let route = Route::of(parts)?;
        let sources = self.gate.sources.get(&route.registry).ok_or(PackageRefusal::Registry)?;
        let base = base(parts)?;
        match route.asked {
            Asked::Settings => Ok(answer::json(&listing::cargo_settings(&base))),
            Asked::Versions => {
                let listing = self.list(sources, route.registry, &route.name).await?;
                let (kind, body) = listing.shown(&route.name, &base);
                Ok(answer::whole(kind, body))
            }
            Asked::File(file) => {
                self.file(sources, route.registry, &route.name, &file, &parts.method).await
            }
            Asked::Module(part) => self.module(sources, &route.name, &part, &parts.method).await,
            Asked::Sums(sums) => self.sums(sources, &sums).await,
        }
    }

    /// The list of a package's versions, from its registry.
    async fn list(
        &self,
        sources: &Sources,
        registry: Registry,
        name: &str,
    ) -> Result<Listing, PackageRefusal> {
        if sources.needs_settings() {
            let place = sources.settings();
            let fetch = PackageFetch::listing(registry, "config.json", place.url());
            let accept = "application/json";
            let asking = Asking { fetch, place, accept, counts: false };
            sources.take_settings(&self.whole(sources, asking).await?)?;
        }
        let place = sources.listing(name);
        let accept = match registry {
            Registry::Npm => "application/vnd.npm.install-v1+json",
            Registry::Pip => "application/vnd.pypi.simple.v1+json",
            _ => "text/plain",
        };
        let fetch = PackageFetch::listing(registry, name, place.url());
        let asking = Asking { fetch, place, accept, counts: true };
        let listing = Listing::read(sources, name, &self.whole(sources, asking).await?)?;
        let mut known = self.gate.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PACKAGE_NAMES_COUNT {
            // What is still needed is asked for again.
            known.clear();
        }
        known.insert((registry, name.to_owned()), Arc::clone(&listing.places));
        Ok(listing)
    }

    /// One file of a package, if its registry lists it.
    async fn file(
        &self,
        sources: &Sources,
        registry: Registry,
        name: &str,
        file: &str,
        method: &Method,
    ) -> Result<Response<PackageBody>, PackageRefusal> {
        let known = {
            let known = self.gate.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&(registry, name.to_owned())).cloned()
        };
        let places = match known.filter(|places| places.contains_key(file)) {
            Some(places) => places,
            None => self.list(sources, registry, name).await?.places,
        };
        let place = places.get(file).ok_or(PackageRefusal::NotListed)?;
        let fetch = PackageFetch::file(registry, name, file, place.url());
        let asking = Asking { fetch, place: place.clone(), accept: "*/*", counts: false };
        self.pass(sources, asking, method).await
    }

    /// Something small, whole.
    async fn whole(&self, sources: &Sources, asking: Asking) -> Result<Bytes, PackageRefusal> {
        let Asking { fetch, place, accept, counts } = asking;
        let _reading = self.gate.reading.acquire().await.map_err(|_| PackageRefusal::Broken)?;
        let (held, word) = self.begin(fetch, &place, counts).await?;
        let read = sources.read(&place, accept).await;
        let bytes = read.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        held.settle(bytes, read.as_ref().err()).await;
        weigh(word, &place, read.as_ref().err());
        read
    }

    /// A file, chunk by chunk.
    async fn pass(
        &self,
        sources: &Sources,
        asking: Asking,
        method: &Method,
    ) -> Result<Response<PackageBody>, PackageRefusal> {
        let Asking { fetch, place, accept, counts } = asking;
        let (held, word) = self.begin(fetch, &place, counts).await?;
        let opened = sources.open(&place, method, accept).await;
        weigh(word, &place, opened.as_ref().err());
        match opened {
            Ok(opened) => Ok(Pump { opened, held }.start()),
            Err(refusal) => {
                held.settle(0, Some(&refusal)).await;
                Err(refusal)
            }
        }
    }

    /// Leave to send one request: of the ledger, and of the words that are left.
    async fn begin(
        &self,
        fetch: PackageFetch,
        place: &Place,
        counts: bool,
    ) -> Result<(Held, Option<Word<'_>>), PackageRefusal> {
        let word = match counts {
            true => Some(self.gate.words.take(&place.url()).await?),
            false => None,
        };
        match self.admit(fetch).await {
            Ok(held) => Ok((held, word)),
            Err(refusal) => {
                weigh(word, place, Some(&refusal));
                Err(refusal)
            }
        }
    }

    /// Asks the ledger on a thread that may block.
    async fn admit(&self, fetch: PackageFetch) -> Result<Held, PackageRefusal> {
        let ledger = Arc::clone(&self.gate.ledger);
        let admitted = tokio::task::spawn_blocking(move || ledger.admit(&fetch)).await;
        // When the ledger itself failed, that is a denial like any error.
        let failed = |_| {
            PackageRefusal::Denied(Denial {
                code: "deny.internal".to_owned(),
                text: "the fetch could not be recorded and was not made".to_owned(),
            })
        };
        let ticket = admitted.map_err(failed)?.map_err(PackageRefusal::Denied)?;
        Ok(Held { ticket, alive: self.alive.clone() })
    }
}

/// A name that the registry does not know is spent.
fn weigh(word: Option<Word<'_>>, place: &Place, fault: Option<&PackageRefusal>) {
    match (word, fault) {
        (Some(word), Some(PackageRefusal::NotFound)) => word.not_found(&place.url()),
        (Some(word), _) => word.give_back(),
        (None, _) => {}
    }
}

/// Where the client reached us: addresses in answers lead back here.
fn base(parts: &Parts) -> Result<String, PackageRefusal> {
    let mut fields = parts.headers.get_all("host").iter();
    let (Some(host), None) = (fields.next(), fields.next()) else {
        return Err(PackageRefusal::Form);
    };
    let host = host.to_str().unwrap_or_default();
    let port = host.strip_prefix("127.0.0.1:").or_else(|| host.strip_prefix("localhost:"));
    match port.and_then(|port| port.parse::<u16>().ok()) {
        Some(port) => Ok(format!("http://127.0.0.1:{port}")),
        None => Err(PackageRefusal::Form),
    }
}
