//! Where a registry's lists and files are: origins fixed when the gate is made.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_ENCODING, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use lattice_guard::Registry;
use serde::Deserialize;
use tokio::time::timeout;

use super::name;
use super::refusal::PackageRefusal;
use crate::error::{ConfigError, UpstreamError};
use crate::limits::{PACKAGE_LISTING_BYTES, PACKAGE_PLACE_BYTES, PACKAGE_WAIT_TIME};
use crate::origin::Origin;
use crate::proxy::ProxyRules;
use crate::upstream::{Roots, Upstream};

/// What the gate calls itself; registries ask clients for a name.
const AGENT: &str = concat!("nucleus-gate/", env!("CARGO_PKG_VERSION"));

/// One registry as the operator or nobody in particular has it.
pub(super) struct Sources {
    registry: Registry,
    /// Lists of versions.
    index: Arc<Upstream>,
    /// Origins whose files are fetched.
    files: Vec<Arc<Upstream>>,
    /// Address of a crate's file, with marks for its name and version.
    crates: OnceLock<String>,
}

/// Where a file is.
#[derive(Clone)]
pub(super) struct Place {
    upstream: Arc<Upstream>,
    path: String,
}

/// A file on its way.
pub(super) struct Opened {
    pub(super) response: Response<Incoming>,
    /// What to do when all of it was read.
    pub(super) after: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Index and files of a public registry.
fn public(registry: Registry) -> (&'static str, &'static str) {
    match registry {
        Registry::Npm => ("https://registry.npmjs.org", "https://registry.npmjs.org"),
        Registry::Pip => ("https://pypi.org/simple", "https://files.pythonhosted.org"),
        _ => ("https://index.crates.io", "https://static.crates.io"),
    }
}

/// The settings of an index of crates.
#[derive(Deserialize)]
struct Settings {
    dl: String,
}

impl Sources {
    pub(super) fn new(
        registry: Registry,
        mirror: Option<&str>,
        proxy: &Arc<ProxyRules>,
        roots: &Roots,
    ) -> Result<Self, ConfigError> {
        let (index, files) = public(registry);
        let upstream = |url: &str| -> Result<Upstream, ConfigError> {
            Upstream::new(Origin::parse(url)?, Arc::clone(proxy), roots.clone())
        };
        let (index, crates) = match mirror {
            Some(mirror) => (Arc::new(upstream(mirror)?), OnceLock::new()),
            None => {
                let crates = OnceLock::from(format!("{files}/crates"));
                (Arc::new(upstream(index)?.public_only()), crates)
            }
        };
        let files = Arc::new(upstream(files)?.public_only());
        Ok(Self { registry, files: vec![Arc::clone(&index), files], index, crates })
    }

    pub(super) fn registry(&self) -> Registry {
        self.registry
    }

    /// True until a mirror of crates has said where its files are.
    pub(super) fn needs_settings(&self) -> bool {
        self.registry == Registry::Cargo && self.crates.get().is_none()
    }

    pub(super) fn settings_url(&self) -> String {
        url(&self.index, &self.index_path("config.json"))
    }

    /// Asks a mirror of crates where its files are. Returns the bytes read.
    pub(super) async fn read_settings(&self) -> Result<u64, PackageRefusal> {
        let bytes = self.read(&self.index_path("config.json"), "application/json").await?;
        let settings: Settings =
            serde_json::from_slice(&bytes).map_err(|_| PackageRefusal::Listing)?;
        // Asked twice at the same time, both answers are the mirror's.
        let _first = self.crates.set(settings.dl);
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    pub(super) fn listing_url(&self, package: &str) -> String {
        url(&self.index, &self.listing_path(package))
    }

    /// The list of a package's versions, whole.
    pub(super) async fn read_listing(&self, package: &str) -> Result<Bytes, PackageRefusal> {
        let accept = match self.registry {
            Registry::Npm => "application/vnd.npm.install-v1+json",
            Registry::Pip => "application/vnd.pypi.simple.v1+json",
            _ => "text/plain",
        };
        self.read(&self.listing_path(package), accept).await
    }

    fn listing_path(&self, package: &str) -> String {
        match self.registry {
            Registry::Npm => self.index_path(&package.replacen('/', "%2f", 1)),
            Registry::Pip => self.index_path(&format!("{package}/")),
            _ => self.index_path(&name::cargo_path(package)),
        }
    }

    fn index_path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.index.origin().prefix())
    }

    /// Where the index says that a file of `package` is, if that is an origin files are fetched from.
    pub(super) fn place(&self, package: &str, address: &str) -> Option<Place> {
        let address = address.split('#').next().unwrap_or_default();
        let (upstream, path) = match address.find("://") {
            Some(scheme) => {
                let from = scheme.checked_add(3)?;
                let slash = address.get(from..)?.find('/')?.checked_add(from)?;
                let (origin, path) = address.split_at_checked(slash)?;
                let origin = Origin::parse(origin).ok()?;
                let upstream = self.files.iter().find(|known| known.origin().is_same(&origin))?;
                (Arc::clone(upstream), path.to_owned())
            }
            None => (Arc::clone(&self.index), joined(&self.listing_path(package), address)?),
        };
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte);
        (path.len() <= PACKAGE_PLACE_BYTES && path.bytes().all(plain))
            .then_some(Place { upstream, path })
    }

    /// Where a crate is, by what its index says of it.
    pub(super) fn crate_place(&self, package: &str, version: &str, sum: &str) -> Option<Place> {
        let template = self.crates.get()?;
        let address = if template.contains('{') {
            let directory = |name: &str| {
                let path = name::cargo_path(name);
                path.rsplit_once('/').map(|(directory, _)| directory.to_owned())
            };
            template
                .replace("{crate}", package)
                .replace("{version}", version)
                .replace("{prefix}", &directory(package)?)
                .replace("{lowerprefix}", &directory(&package.to_ascii_lowercase())?)
                .replace("{sha256-checksum}", sum)
        } else {
            format!("{}/{package}/{version}/download", template.trim_end_matches('/'))
        };
        self.place(package, &address)
    }

    /// Asks for a file.
    pub(super) async fn open(
        &self,
        place: &Place,
        method: &Method,
    ) -> Result<Opened, PackageRefusal> {
        get(&place.upstream, method.clone(), &place.path, "*/*").await
    }

    async fn read(&self, path: &str, accept: &'static str) -> Result<Bytes, PackageRefusal> {
        let Opened { response, after } = get(&self.index, Method::GET, path, accept).await?;
        let mut body = response.into_body();
        let mut whole = BytesMut::new();
        loop {
            let frame = timeout(PACKAGE_WAIT_TIME, body.frame()).await;
            let Some(frame) = frame.map_err(|_| PackageRefusal::Broken)? else { break };
            let Ok(chunk) = frame.map_err(|_| PackageRefusal::Broken)?.into_data() else {
                continue;
            };
            if whole.len().saturating_add(chunk.len()) > PACKAGE_LISTING_BYTES {
                return Err(PackageRefusal::TooLarge);
            }
            whole.extend_from_slice(&chunk);
        }
        after.await;
        Ok(whole.freeze())
    }
}

impl Place {
    pub(super) fn url(&self) -> String {
        url(&self.upstream, &self.path)
    }
}

fn url(upstream: &Upstream, path: &str) -> String {
    let scheme = if upstream.origin().is_tls() { "https" } else { "http" };
    format!("{scheme}://{}{path}", upstream.origin().host_field())
}

/// A relative address against the path of the list it stands in.
fn joined(list: &str, address: &str) -> Option<String> {
    if address.starts_with("//") {
        return None;
    }
    if address.starts_with('/') {
        return Some(address.to_owned());
    }
    let (directory, _) = list.rsplit_once('/')?;
    let mut names: Vec<&str> = directory.split('/').filter(|name| !name.is_empty()).collect();
    for name in address.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(format!("/{}", names.join("/")))
}

/// One request, with nothing of a client's in it.
async fn get(
    upstream: &Arc<Upstream>,
    method: Method,
    path: &str,
    accept: &'static str,
) -> Result<Opened, PackageRefusal> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| PackageRefusal::Listing)?;
    let host = HeaderValue::from_str(&upstream.origin().host_field())
        .map_err(|_| UpstreamError::Broken)?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let (response, sender) = upstream.send(request, PACKAGE_WAIT_TIME).await?.into_parts();
    let encodings = response.headers().get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(UpstreamError::Encoding.into());
    }
    match response.status() {
        StatusCode::OK => {
            let upstream = Arc::clone(upstream);
            Ok(Opened {
                response,
                after: Box::pin(async move { upstream.give_back(sender).await }),
            })
        }
        status if status.is_redirection() => Err(UpstreamError::Redirect.into()),
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            Err(PackageRefusal::NotFound)
        }
        status => Err(PackageRefusal::Status(status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(registry: Registry, mirror: Option<&str>) -> Sources {
        // Plain upstreams need no roots; the public ones get some that are never used.
        let roots = Roots::load(None).unwrap();
        Sources::new(registry, mirror, &Arc::new(ProxyRules::none()), &roots).unwrap()
    }

    #[test]
    fn files_come_from_the_named_origins_alone() {
        let pip = sources(Registry::Pip, None);
        let place = |address: &str| pip.place("requests", address).map(|place| place.url());
        assert_eq!(
            place("https://files.pythonhosted.org/packages/aa/r.whl#sha256=00").as_deref(),
            Some("https://files.pythonhosted.org/packages/aa/r.whl")
        );
        assert_eq!(place("../../files/r.whl").as_deref(), Some("https://pypi.org/files/r.whl"));
        assert_eq!(place("/files/r.whl").as_deref(), Some("https://pypi.org/files/r.whl"));
        for bad in [
            "https://evil.example/r.whl",
            "https://files.pythonhosted.org.evil.example/r.whl",
            "https://files.pythonhosted.org:8443/r.whl",
            "http://files.pythonhosted.org/r.whl",
            "http://127.0.0.1/r.whl",
            "https://u@files.pythonhosted.org/r.whl",
            "//evil.example/r.whl",
            "../../../../r.whl",
            "https://files.pythonhosted.org/r.whl?x=y",
            "https://files.pythonhosted.org/r whl",
            "https://files.pythonhosted.org",
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn crates_are_where_the_index_says() {
        let public = sources(Registry::Cargo, None);
        let at = |sources: &Sources| sources.crate_place("Serde", "1.0.0", "ab").map(|p| p.url());
        assert!(!public.needs_settings());
        assert_eq!(
            at(&public).as_deref(),
            Some("https://static.crates.io/crates/Serde/1.0.0/download")
        );
        let mirror = sources(Registry::Cargo, Some("http://127.0.0.1:9/index"));
        assert!(mirror.needs_settings() && at(&mirror).is_none());
        let template = "http://127.0.0.1:9/files/{lowerprefix}/{crate}-{version}.crate";
        mirror.crates.set(template.to_owned()).unwrap();
        assert_eq!(
            at(&mirror).as_deref(),
            Some("http://127.0.0.1:9/files/se/rd/Serde-1.0.0.crate")
        );
        let elsewhere = sources(Registry::Cargo, Some("http://127.0.0.1:9/index"));
        elsewhere.crates.set("http://127.0.0.1:10/files".to_owned()).unwrap();
        assert!(at(&elsewhere).is_none());
    }
}
