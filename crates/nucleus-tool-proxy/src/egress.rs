//! What leaves a pod: model calls through the gate, and names that get no answer. The only async code of the proxy.

use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nucleus::{Feed, Sandbox, TurnedAway};
use nucleus_gate::{
    DnsStub, GateConfig, Ledger, LoginFile, ModelGate, Origin, PackageGate, PriceTable, Provider,
    ProxyRules, Roots, Secret,
};
use nucleus_wire::control::{Failure, FailureClass, FeedEvent, FeedStatus, ModelUpstream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::publish::{self, Published, Relay};

/// Largest key accepted, in bytes.
const KEY_BYTES_MAX: u64 = 16 * 1024;
/// How long open calls may take to book what they used when the task ends.
const DRAIN: Duration = Duration::from_secs(10);

/// The servers of one task.
pub(crate) struct Egress {
    runtime: Runtime,
    stop: watch::Sender<bool>,
    servers: Vec<tokio::task::JoinHandle<()>>,
}

impl Egress {
    /// Starts the threads the servers run on.
    ///
    /// # Errors
    /// The host gives no threads.
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("egress")
            .enable_all()
            .build()?;
        Ok(Self { runtime, stop: watch::channel(false).0, servers: Vec::new() })
    }

    /// Serves the model gate on a pod's listener.
    pub(crate) fn serve_gate(
        &mut self,
        gate: Arc<ModelGate>,
        listener: TcpListener,
        control: Arc<dyn Feed>,
    ) {
        let stop = stopped(self.stop.subscribe());
        self.servers.push(self.runtime.spawn(async move {
            if let Err(error) = gate.serve(listener, stop).await {
                control.event(trouble("gate", &error));
            }
        }));
    }

    /// Answers a pod's name queries: no name exists.
    pub(crate) fn serve_names(
        &mut self,
        sockets: (UdpSocket, TcpListener),
        sandbox: Sandbox,
        feed: Arc<dyn Feed>,
    ) {
        let stop = stopped(self.stop.subscribe());
        let stub = DnsStub::new(Arc::new(move |name, kind| refuse_name(&sandbox, name, kind)));
        let (udp, tcp) = sockets;
        self.servers.push(self.runtime.spawn(async move {
            if let Err(error) = stub.serve(udp, Some(tcp), stop).await {
                feed.event(trouble("dns", &error));
            }
        }));
    }

    /// Serves the package gate among the tool pods.
    pub(crate) fn serve_packages(
        &mut self,
        gate: Arc<PackageGate>,
        listener: TcpListener,
        feed: Arc<dyn Feed>,
    ) {
        let stop = stopped(self.stop.subscribe());
        self.servers.push(self.runtime.spawn(async move {
            if let Err(error) = gate.serve(listener, stop).await {
                feed.event(trouble("packages", &error));
            }
        }));
    }

    /// Serves the ports that the user asked for.
    pub(crate) fn serve_published(&mut self, published: Vec<Published>, relay: Relay) {
        let relay = Arc::new(relay);
        for one in published {
            let stop = stopped(self.stop.subscribe());
            let relay = Arc::clone(&relay);
            self.servers.push(self.runtime.spawn(async move {
                let feed = Arc::clone(&relay.feed);
                if let Err(error) = publish::serve(one, relay, stop).await {
                    feed.event(trouble("publish", &error));
                }
            }));
        }
    }

    /// Stops serving and waits until every open call is booked.
    pub(crate) fn finish(self) {
        self.stop.send_replace(true);
        let servers = self.servers;
        self.runtime.block_on(async {
            let all = async {
                for server in servers {
                    // A server that panicked has nothing left to book: its tickets were dropped, which books them.
                    let _ended = server.await;
                }
            };
            let _in_time = tokio::time::timeout(DRAIN, all).await;
        });
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// Builds the gate of a task.
///
/// # Errors
/// The upstream, the proxy, the roots, the prices or the key are not usable.
pub(crate) fn model_gate(
    upstream: &ModelUpstream,
    key: Option<OwnedFd>,
    ledger: Arc<dyn Ledger>,
) -> Result<Arc<ModelGate>, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Usage,
        message: error.to_string(),
        hint: None,
    };
    let provider = upstream.provider.parse::<Provider>().map_err(|error| usage(&error))?;
    let origin = Origin::parse(&upstream.base_url)
        .map_err(|error| usage(&format!("the model upstream: {error}")))?;
    let secret = key.map(read_key).transpose().map_err(|error| usage(&error))?;
    let mut prices = PriceTable::builtin().map_err(|error| usage(&error))?;
    if let Some(text) = &upstream.prices {
        prices = prices.with_overrides(text).map_err(|error| Failure {
            class: FailureClass::Policy,
            message: format!("price table: {error}"),
            hint: None,
        })?;
    }
    let login = upstream.login.as_deref().map(LoginFile::open).transpose();
    let login = login.map_err(|error| usage(&error))?;
    let roots = |tls: bool| -> Result<Roots, Failure> {
        if !tls {
            return Ok(Roots::none());
        }
        let extra = upstream.extra_roots.as_ref().map(std::fs::read).transpose();
        Roots::load(extra.map_err(|error| usage(&error))?.as_deref()).map_err(|error| usage(&error))
    };
    let token_roots = roots(login.as_ref().is_some_and(LoginFile::is_tls))?;
    let roots = roots(origin.is_tls())?;
    let proxy = ProxyRules::parse(upstream.https_proxy.as_deref(), upstream.no_proxy.as_deref())
        .map_err(|error| usage(&error))?;
    let config = GateConfig::new(origin, secret, prices, roots);
    let mut config = config.for_provider(provider).with_proxy(proxy);
    if let Some(login) = login {
        config = config.with_login(login, token_roots);
    }
    ModelGate::new(config, ledger).map_err(|error| usage(&error))
}

fn read_key(fd: OwnedFd) -> Result<Secret, Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    // The user's side wrote it from the start; a sealed memory file keeps its place between processes.
    let mut file = File::from(fd);
    std::io::Seek::rewind(&mut file)?;
    file.take(KEY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Secret::from_bytes(bytes)?)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ended = stop.wait_for(|stopped| *stopped).await;
}

fn refuse_name(sandbox: &Sandbox, name: &str, kind: &str) {
    sandbox.turned_away(&TurnedAway {
        kind: "name_query",
        tool: "dns",
        target: &format!("{name} {kind}"),
        rule: "deny.network.name",
        layer: "network",
    });
}

fn trouble(tool: &str, error: &std::io::Error) -> FeedEvent {
    FeedEvent {
        call: 0,
        status: FeedStatus::Failed,
        tool: tool.to_owned(),
        target: "stopped serving".to_owned(),
        rule: None,
        layer: None,
        detail: Some(error.to_string()),
        duration_ms: None,
    }
}
