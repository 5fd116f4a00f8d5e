//! The client side: one origin, TLS by rustls, the host's proxy, connections used again, redirects never followed.

mod connect;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use tokio::time::timeout;

use crate::error::{ConfigError, UpstreamError};
use crate::limits::{CONNECT_TIME, IDLE_CONNECTION_TIME, IDLE_CONNECTIONS_COUNT};
use crate::origin::Origin;
use crate::proxy::ProxyRules;

pub use connect::Roots;

pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Connections to the one upstream.
pub(crate) struct Upstream {
    origin: Origin,
    proxy: Arc<ProxyRules>,
    tls: connect::Tls,
    /// Only addresses of the Internet are dialled.
    public_only: bool,
    idle: Mutex<VecDeque<(Sender, Instant)>>,
}

/// An answer and the connection it came on.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    sender: Sender,
}

impl Upstream {
    pub(crate) fn new(
        origin: Origin,
        proxy: impl Into<Arc<ProxyRules>>,
        roots: Roots,
    ) -> Result<Self, ConfigError> {
        let tls = connect::Tls::new(roots, &origin)?;
        let idle = Mutex::new(VecDeque::new());
        Ok(Self { origin, proxy: proxy.into(), tls, public_only: false, idle })
    }

    /// The same, for an origin that no operator named: its name must not lead into a network of the host's.
    pub(crate) fn public_only(mut self) -> Self {
        self.public_only = true;
        self
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends one request. It is sent a second time only when the first connection provably took nothing of it.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Answer, UpstreamError> {
        let mut request = request;
        while let Some(mut sender) = self.take_idle() {
            match timeout(patience, sender.try_send_request(request)).await {
                Err(_) => return Err(UpstreamError::Timeout),
                Ok(Ok(response)) => return Ok(Answer { response, sender }),
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(UpstreamError::Broken),
                },
            }
        }
        let connecting = connect::connect(&self.origin, &self.proxy, &self.tls, self.public_only);
        let mut sender =
            timeout(CONNECT_TIME, connecting).await.map_err(|_| UpstreamError::Timeout)??;
        match timeout(patience, sender.send_request(request)).await {
            Err(_) => Err(UpstreamError::Timeout),
            Ok(Err(_)) => Err(UpstreamError::Broken),
            Ok(Ok(response)) => Ok(Answer { response, sender }),
        }
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((sender, since)) = idle.pop_back() {
            if sender.is_ready() && since.elapsed() < IDLE_CONNECTION_TIME {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end.
    pub(crate) async fn give_back(self: &Arc<Self>, mut sender: Sender) {
        if timeout(CONNECT_TIME, sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() >= IDLE_CONNECTIONS_COUNT {
                idle.pop_front();
            }
            idle.push_back((sender, Instant::now()));
        }
    }
}

impl Answer {
    pub(crate) fn into_parts(self) -> (Response<Incoming>, Sender) {
        (self.response, self.sender)
    }
}
