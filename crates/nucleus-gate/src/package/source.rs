//! Where a registry's lists and files are: origins fixed when the gate is made.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_ENCODING, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use lattice_guard::Registry;
use serde::Deserialize;
use tokio::time::timeout;

use super::refusal::PackageRefusal;
use super::{go, name};
use crate::error::{ConfigError, UpstreamError};
use crate::limits::{
    PACKAGE_LISTING_BYTES, PACKAGE_MODULE_BYTES, PACKAGE_PLACE_BYTES, PACKAGE_WAIT_TIME,
};
use crate::origin::Origin;
use crate::proxy::ProxyRules;
use crate::upstream::{Roots, Sender, Upstream};

/// What the gate calls itself; registries ask clients for a name.
const AGENT: &str = concat!("nucleus-gate/", env!("CARGO_PKG_VERSION"));

/// The checksum database of Go.
pub(super) const SUMS: &str = "sum.golang.org";
/// Its public address.
const SUMS_ORIGIN: &str = "https://sum.golang.org";

/// One registry as the operator or nobody in particular has it.
pub(super) struct Sources {
    registry: Registry,
    /// Lists of versions.
    index: Arc<Upstream>,
    /// Origins whose files are fetched.
    files: Vec<Arc<Upstream>>,
    /// Address of a crate's file, with marks for its name and version.
    crates: OnceLock<String>,
    /// The checksum database of Go, where no mirror stands for it.
    sums: Option<Arc<Upstream>>,
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
        // Large archives are kept elsewhere, and the mirror leads there.
        Registry::Go => {
            ("https://proxy.golang.org", "https://storage.googleapis.com/proxy-golang-org-prod")
        }
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
        let sums = match (registry, mirror) {
            (Registry::Go, None) => Some(Arc::new(upstream(SUMS_ORIGIN)?.public_only())),
            _ => None,
        };
        Ok(Self { registry, files: vec![Arc::clone(&index), files], index, crates, sums })
    }

    pub(super) fn registry(&self) -> Registry {
        self.registry
    }

    /// True until a mirror of crates has said where its files are.
    pub(super) fn needs_settings(&self) -> bool {
        self.registry == Registry::Cargo && self.crates.get().is_none()
    }

    /// Where a mirror of crates says where its files are.
    pub(super) fn settings(&self) -> Place {
        self.at_index("config.json")
    }

    /// Takes what a mirror of crates said there.
    pub(super) fn take_settings(&self, bytes: &Bytes) -> Result<(), PackageRefusal> {
        let settings: Settings =
            serde_json::from_slice(bytes).map_err(|_| PackageRefusal::Listing)?;
        // Asked twice at the same time, both answers are the mirror's.
        let _first = self.crates.set(settings.dl);
        Ok(())
    }

    /// Where the list of a package's versions is.
    pub(super) fn listing(&self, package: &str) -> Place {
        Place { upstream: Arc::clone(&self.index), path: self.listing_path(package) }
    }

    /// Where the index has a plain path.
    pub(super) fn at_index(&self, rest: &str) -> Place {
        Place { upstream: Arc::clone(&self.index), path: self.index_path(rest) }
    }

    /// Where something of Go's checksum database is: a mirror serves it beneath itself.
    pub(super) fn sums(&self, rest: &str) -> Place {
        match &self.sums {
            Some(sums) => Place { upstream: Arc::clone(sums), path: format!("/{rest}") },
            None => self.at_index(&format!("sumdb/{SUMS}/{rest}")),
        }
    }

    /// True where a mirror has to say whether it serves the checksum database.
    pub(super) fn needs_sums(&self) -> bool {
        self.sums.is_none()
    }

    fn listing_path(&self, package: &str) -> String {
        match self.registry {
            Registry::Npm => self.index_path(&package.replacen('/', "%2f", 1)),
            Registry::Pip => self.index_path(&format!("{package}/")),
            Registry::Go => self.index_path(&format!("{}/@v/list", go::escaped(package))),
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

    /// Where Go's public mirror keeps what it led to: its own part of one other origin, and nowhere else. The address
    /// carries a signature of the mirror's and nothing of a pod's.
    fn stored(&self, address: &str) -> Option<Place> {
        let upstream = self.sums.as_ref().and(self.files.last())?;
        let start = url(upstream, &format!("{}/", upstream.origin().prefix()));
        let rest = address.strip_prefix(&start)?;
        let path = format!("{}/{rest}", upstream.origin().prefix());
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>".contains(&byte);
        let above = rest.split(['/', '?']).any(|name| name == "." || name == "..");
        (path.len() <= PACKAGE_PLACE_BYTES && path.bytes().all(plain) && !above)
            .then(|| Place { upstream: Arc::clone(upstream), path })
    }

    /// Asks for a file.
    pub(super) async fn open(
        &self,
        place: &Place,
        method: &Method,
        accept: &'static str,
    ) -> Result<Opened, PackageRefusal> {
        let (response, sender) = ask(place, method.clone(), accept).await?;
        if response.status().is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|at| at.to_str().ok());
            let stored = location.and_then(|address| self.stored(address));
            let place = stored.ok_or(UpstreamError::Redirect)?;
            let (response, sender) = ask(&place, method.clone(), accept).await?;
            return opened(&place.upstream, response, sender);
        }
        opened(&place.upstream, response, sender)
    }

    /// Something small, whole.
    pub(super) async fn read(
        &self,
        place: &Place,
        accept: &'static str,
    ) -> Result<Bytes, PackageRefusal> {
        let most = match self.registry {
            Registry::Go => PACKAGE_MODULE_BYTES,
            _ => PACKAGE_LISTING_BYTES,
        };
        let Opened { response, after } = self.open(place, &Method::GET, accept).await?;
        let mut body = response.into_body();
        let mut whole = BytesMut::new();
        loop {
            let frame = timeout(PACKAGE_WAIT_TIME, body.frame()).await;
            let Some(frame) = frame.map_err(|_| PackageRefusal::Broken)? else { break };
            let Ok(chunk) = frame.map_err(|_| PackageRefusal::Broken)?.into_data() else {
                continue;
            };
            if whole.len().saturating_add(chunk.len()) > most {
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
async fn ask(
    place: &Place,
    method: Method,
    accept: &'static str,
) -> Result<(Response<Incoming>, Sender), PackageRefusal> {
    let Place { upstream, path } = place;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| PackageRefusal::Listing)?;
    let host = HeaderValue::from_str(&upstream.origin().host_field())
        .map_err(|_| UpstreamError::Broken)?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    Ok(upstream.send(request, PACKAGE_WAIT_TIME).await?.into_parts())
}

/// An answer, if it is one.
fn opened(
    upstream: &Arc<Upstream>,
    response: Response<Incoming>,
    sender: Sender,
) -> Result<Opened, PackageRefusal> {
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

    #[test]
    fn go_is_led_to_its_own_archive_and_nowhere_else() {
        let public = sources(Registry::Go, None);
        let stored = |address: &str| public.stored(address).map(|place| place.url());
        let archive = "https://storage.googleapis.com/proxy-golang-org-prod/3a-x-v1.0.0.zip?Expires=1&Signature=a%2Fb";
        assert_eq!(stored(archive).as_deref(), Some(archive));
        for bad in [
            "https://storage.googleapis.com/other/x.zip",
            "https://storage.googleapis.com/proxy-golang-org-prod",
            "https://storage.googleapis.com/proxy-golang-org-prod/../other/x.zip",
            "https://storage.googleapis.com/proxy-golang-org-prod-2/x.zip",
            "https://storage.googleapis.com.evil.example/proxy-golang-org-prod/x.zip",
            "https://storage.googleapis.com:8443/proxy-golang-org-prod/x.zip",
            "http://storage.googleapis.com/proxy-golang-org-prod/x.zip",
            "https://u@storage.googleapis.com/proxy-golang-org-prod/x.zip",
            "https://storage.googleapis.com/proxy-golang-org-prod/x y.zip",
            "/proxy-golang-org-prod/x.zip",
        ] {
            assert_eq!(stored(bad), None, "{bad}");
        }
        assert_eq!(public.sums("latest").url(), "https://sum.golang.org/latest");
        assert!(!public.needs_sums());
        let mirror = sources(Registry::Go, Some("http://127.0.0.1:9/go"));
        assert!(mirror.stored(archive).is_none() && mirror.needs_sums());
        let sums = "http://127.0.0.1:9/go/sumdb/sum.golang.org/latest";
        assert_eq!(mirror.sums("latest").url(), sums);
        let npm = sources(Registry::Npm, None);
        assert!(npm.stored("https://registry.npmjs.org/x").is_none());
    }

    #[tokio::test]
    async fn one_redirect_of_gos_public_mirror_is_followed() {
        use testkit::registry::{Answer, Registry as StandIn};
        let (mirror, archive) = (StandIn::start().unwrap(), StandIn::start().unwrap());
        let away = |path: &str| Answer::redirect(&format!("{}{path}", archive.origin()));
        mirror.serve("/x/@v/v1.0.0.zip", away("/kept/x.zip?signed=1"));
        mirror.serve("/x/@v/v1.1.0.zip", away("/other/x.zip"));
        mirror.serve("/x/@v/v1.2.0.zip", away("/kept/again.zip"));
        archive.serve("/kept/x.zip?signed=1", Answer::new("application/zip", "zip"));
        archive.serve("/other/x.zip", Answer::new("application/zip", "zip"));
        archive.serve("/kept/again.zip", away("/kept/x.zip?signed=1"));
        // The public addresses stood in for, and an operator's mirror as control.
        let mut public = sources(Registry::Go, Some(&mirror.origin()));
        let roots = Roots::load(None).unwrap();
        let kept = Origin::parse(&format!("{}/kept", archive.origin())).unwrap();
        let kept = Upstream::new(kept, Arc::new(ProxyRules::none()), roots).unwrap();
        public.files = vec![Arc::clone(&public.index), Arc::new(kept)];
        public.sums = Some(Arc::clone(&public.index));
        let moved = PackageRefusal::Upstream(UpstreamError::Redirect);
        let read = async |sources: &Sources, version: &str| {
            sources.read(&sources.at_index(&format!("x/@v/{version}.zip")), "*/*").await
        };
        assert_eq!(read(&public, "v1.0.0").await.unwrap(), "zip");
        assert_eq!(read(&public, "v1.1.0").await.unwrap_err(), moved);
        assert_eq!(read(&public, "v1.2.0").await.unwrap_err(), moved, "one step, not two");
        assert_eq!(archive.lines(), ["GET /kept/x.zip?signed=1", "GET /kept/again.zip"]);
        let operators = sources(Registry::Go, Some(&mirror.origin()));
        assert_eq!(read(&operators, "v1.0.0").await.unwrap_err(), moved);
        assert_eq!(archive.asked().len(), 2);
    }
}
