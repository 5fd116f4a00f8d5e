//! TCP, the proxy's CONNECT, TLS.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::address::is_public;
use crate::error::{ConfigError, UpstreamError};
use crate::limits::{PROXY_HEAD_BYTES, RESPONSE_HEAD_BYTES};
use crate::origin::Origin;
use crate::proxy::{Proxy, ProxyRules};

/// Certificates the upstream's TLS is checked against.
#[derive(Clone)]
pub struct Roots(RootCertStore);

impl Roots {
    /// The platform's roots and, in addition, the certificates of a PEM text.
    ///
    /// # Errors
    /// Malformed: the extra text is not PEM or holds no certificate. Unavailable: no root at all.
    pub fn load(extra_pem: Option<&[u8]>) -> Result<Self, ConfigError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = extra_pem {
            add_pem(&mut store, pem)?;
        }
        if store.is_empty() { Err(ConfigError::NoRoots) } else { Ok(Self(store)) }
    }

    /// Only the certificates of a PEM text, for an upstream with a CA of its own.
    ///
    /// # Errors
    /// Malformed: not PEM, or no certificate in it.
    pub fn only(pem: &[u8]) -> Result<Self, ConfigError> {
        let mut store = RootCertStore::empty();
        add_pem(&mut store, pem)?;
        Ok(Self(store))
    }

    /// No roots: enough for a plain upstream on this machine, and nothing else.
    #[must_use]
    pub fn none() -> Self {
        Self(RootCertStore::empty())
    }
}

fn add_pem(store: &mut RootCertStore, pem: &[u8]) -> Result<(), ConfigError> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| ConfigError::ExtraRoots)?;
        store.add(certificate).map_err(|_| ConfigError::ExtraRoots)?;
        count += 1;
    }
    if count == 0 { Err(ConfigError::ExtraRoots) } else { Ok(()) }
}

/// TLS towards one origin.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl Tls {
    pub(crate) fn new(roots: Roots, origin: &Origin) -> Result<Self, ConfigError> {
        if origin.is_tls() && roots.0.is_empty() {
            return Err(ConfigError::NoRoots);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ConfigError::Tls)?
            .with_root_certificates(roots.0)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = match origin.is_tls() {
            true => Some(
                ServerName::try_from(origin.host().to_owned())
                    .map_err(|_| ConfigError::Upstream)?,
            ),
            false => None,
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// A new connection, ready for requests.
pub(crate) async fn connect(
    origin: &Origin,
    proxy: &ProxyRules,
    tls: &Tls,
    public_only: bool,
) -> Result<http1::SendRequest<Full<Bytes>>, UpstreamError> {
    let stream = match proxy.for_origin(origin) {
        Some(proxy) => through_proxy(proxy, origin).await?,
        None if public_only => public(origin).await?,
        None => TcpStream::connect((origin.host(), origin.port()))
            .await
            .map_err(|_| UpstreamError::Connect)?,
    };
    // Small events must leave at once; a socket that refuses the option still works.
    stream.set_nodelay(true).ok();
    match &tls.name {
        Some(name) => {
            let stream = tls.connector.connect(name.clone(), stream).await;
            handshake(stream.map_err(|_| UpstreamError::Tls)?).await
        }
        None => handshake(stream).await,
    }
}

async fn handshake<S>(stream: S) -> Result<http1::SendRequest<Full<Bytes>>, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(RESPONSE_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| UpstreamError::Broken)?;
    // The connection ends with its sender; its error reaches the request that waits on it.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

/// Resolves once, checks every address, and dials one that was checked.
async fn public(origin: &Origin) -> Result<TcpStream, UpstreamError> {
    let resolved = lookup_host((origin.host(), origin.port())).await;
    let addresses: Vec<_> = resolved.map_err(|_| UpstreamError::Connect)?.collect();
    if !addresses.iter().all(|address| is_public(address.ip())) {
        return Err(UpstreamError::Address);
    }
    TcpStream::connect(addresses.as_slice()).await.map_err(|_| UpstreamError::Connect)
}

async fn through_proxy(proxy: &Proxy, origin: &Origin) -> Result<TcpStream, UpstreamError> {
    let failed = |_| UpstreamError::Proxy { status: 0 };
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await.map_err(failed)?;
    let authority = origin.authority();
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    let mut request = Zeroizing::new(head.into_bytes());
    if let Some(credentials) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: Basic ");
        request.extend_from_slice(credentials.expose());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(failed)?;
    // Read byte by byte: what follows the head already belongs to TLS.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= PROXY_HEAD_BYTES {
            return Err(UpstreamError::Proxy { status: 0 });
        }
        head.push(stream.read_u8().await.map_err(failed)?);
    }
    let status = proxy_status(&head);
    if (200..300).contains(&status) { Ok(stream) } else { Err(UpstreamError::Proxy { status }) }
}

/// Status of an answer's head, 0 when it has none.
fn proxy_status(head: &[u8]) -> u16 {
    let text = std::str::from_utf8(head).unwrap_or_default();
    let mut words = text.split(' ');
    match (words.next(), words.next()) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some(status)) => status.trim().parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_public_name_must_not_lead_to_this_machine() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1"] {
            let origin = Origin::parse(&format!("https://{host}:{port}")).unwrap();
            assert!(matches!(public(&origin).await, Err(UpstreamError::Address)), "{host}");
        }
        // Control: an operator's mirror may be there.
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    }
}
