//! The tokens of a subscription, kept alive on the host: read from their file, renewed before they end or once refused.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use nucleus_wire::login::{LOGIN_BYTES_MAX, Login};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::{ConfigError, UpstreamError};
use crate::limits::{TOKEN_ANSWER_BYTES, TOKEN_LEAD_TIME, TOKEN_TIME};
use crate::origin::Origin;
use crate::proxy::ProxyRules;
use crate::secret::Secret;
use crate::upstream::{Roots, Upstream};

/// A login in a file of Nucleus.
#[derive(Debug)]
pub struct LoginFile {
    path: PathBuf,
    origin: Origin,
    target: String,
}

/// What one call is made with.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) key: Arc<Secret>,
    pub(crate) account: Option<String>,
}

/// The tokens of a login file and the way to new ones.
pub(crate) struct Tokens {
    path: PathBuf,
    target: String,
    upstream: Upstream,
    /// One renewal at a time; whoever waits finds the new token in the file.
    turn: Mutex<()>,
}

#[derive(Deserialize)]
struct Renewal {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

impl LoginFile {
    /// Looks at a login file.
    ///
    /// # Errors
    /// Unavailable or malformed: no such file, not a login, or an address for new tokens that is none.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let login = read(path).map_err(|_| ConfigError::Login)?;
        let url = login.token_url.as_str();
        let origin = Origin::parse(url)?;
        let target = if origin.prefix().is_empty() { "/" } else { origin.prefix() }.to_owned();
        Ok(Self { path: path.to_owned(), origin, target })
    }

    /// True when new tokens come over TLS, so that roots are needed.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.origin.is_tls()
    }
}

impl Tokens {
    pub(crate) fn new(
        file: LoginFile,
        proxy: Arc<ProxyRules>,
        roots: Roots,
    ) -> Result<Self, ConfigError> {
        let upstream = Upstream::new(file.origin, proxy, roots)?;
        Ok(Self { path: file.path, target: file.target, upstream, turn: Mutex::new(()) })
    }

    /// A token that is good for some time; another one than `refused`. The flag says that it was renewed for this.
    pub(crate) async fn held(
        &self,
        refused: Option<&Secret>,
    ) -> Result<(Held, bool), UpstreamError> {
        let login = self.read().await?;
        if is_good(&login, refused) {
            return Ok((held(&login)?, false));
        }
        let _turn = self.turn.lock().await;
        // Other tasks renew the same login: one of them at a time, across processes.
        let path = self.path.with_extension("lock");
        let lock = tokio::task::spawn_blocking(move || locked(&path)).await;
        let _lock = lock.map_err(|_| UpstreamError::Login)?.map_err(|_| UpstreamError::Login)?;
        let login = self.read().await?;
        if is_good(&login, refused) {
            return Ok((held(&login)?, false));
        }
        match timeout(TOKEN_TIME, self.renew(&login)).await {
            Ok(Ok(login)) => Ok((held(&login)?, true)),
            // The old one still is good for a while.
            _ if refused.is_none() && login.expires_s > now_s() => Ok((held(&login)?, false)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    async fn renew(&self, login: &Login) -> Result<Login, UpstreamError> {
        let body = serde_json::json!({
            "grant_type": "refresh_token",
            "refresh_token": login.refresh_token,
            "client_id": login.subscription.client_id(),
        });
        let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.parse().map_err(|_| UpstreamError::Login)?;
        let host = HeaderValue::from_str(&self.upstream.origin().host_field());
        let headers = request.headers_mut();
        headers.insert("host", host.map_err(|_| UpstreamError::Login)?);
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("accept", HeaderValue::from_static("application/json"));
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        headers.insert("user-agent", HeaderValue::from_static("nucleus"));
        let (response, _) = self.upstream.send(request, TOKEN_TIME).await?.into_parts();
        if !response.status().is_success() {
            return Err(UpstreamError::Login);
        }
        let body = Limited::new(response.into_body(), TOKEN_ANSWER_BYTES).collect().await;
        let bytes = body.map_err(|_| UpstreamError::Login)?.to_bytes();
        let new: Renewal = serde_json::from_slice(&bytes).map_err(|_| UpstreamError::Login)?;
        let expires = new.expires_in.map(|seconds| now_s().saturating_add(seconds));
        let login = login.renewed(new.access_token, new.refresh_token, expires);
        let login = login.map_err(|_| UpstreamError::Login)?;
        let (path, text) = (self.path.clone(), login.to_bytes());
        // The old refresh token may be spent: the new one has to be on disk before it is used.
        let kept = tokio::task::spawn_blocking(move || nucleus_sys::private::replace(&path, &text));
        kept.await.map_err(|_| UpstreamError::Login)?.map_err(|_| UpstreamError::Login)?;
        Ok(login)
    }

    async fn read(&self) -> Result<Login, UpstreamError> {
        let path = self.path.clone();
        let login = tokio::task::spawn_blocking(move || read(&path)).await;
        login.map_err(|_| UpstreamError::Login)?.map_err(|_| UpstreamError::Login)
    }
}

/// Why a login cannot be read is for the user's command to say, not for the agent.
struct Unreadable;

fn read(path: &Path) -> Result<Login, Unreadable> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|_| Unreadable)?;
    file.take(LOGIN_BYTES_MAX).read_to_end(&mut bytes).map_err(|_| Unreadable)?;
    Login::parse(&bytes).map_err(|_| Unreadable)
}

fn locked(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Good unless it was refused or ends soon; one that does not say when it ends is good until it is refused.
fn is_good(login: &Login, refused: Option<&Secret>) -> bool {
    let other = refused.is_none_or(|refused| refused.expose() != login.access_token.as_bytes());
    other && (login.expires_s == 0 || login.expires_s > now_s() + TOKEN_LEAD_TIME.as_secs())
}

fn held(login: &Login) -> Result<Held, UpstreamError> {
    let key = Secret::from_bytes(login.access_token.clone().into_bytes());
    let key = Arc::new(key.map_err(|_| UpstreamError::Login)?);
    Ok(Held { key, account: login.account.clone() })
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
