//! The few paths that clients of registries need to fetch packages.
//!
//! ```text
//! /cargo/config.json   /cargo/se/rd/serde   /cargo/crates/serde/1.0.0/download
//! /npm/left-pad   /npm/@scope%2fname   [/npm]/left-pad/-/left-pad-1.3.0.tgz
//! /pip/simple/requests/   /pip/files/requests/requests-2.32.0.tar.gz
//! /go/github.com/!azure/x/@v/list   …/@latest   …/@v/v1.0.0.{info,mod,zip}   /go/sumdb/sum.golang.org/…
//! ```

use hyper::Method;
use hyper::http::request::Parts;
use lattice_guard::Registry;

use super::go;
use super::name;
use super::refusal::PackageRefusal;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) registry: Registry,
    /// Empty for settings, and for the checksum database.
    pub(super) name: String,
    pub(super) asked: Asked,
}

/// What of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Where its files are; ours to say.
    Settings,
    /// The list of a package's versions.
    Versions,
    /// A file, or for crates a version.
    File(String),
    /// Something of a Go module.
    Module(go::Part),
    /// Something of Go's checksum database.
    Sums(go::Sums),
}

impl Route {
    /// Reads the head of a request.
    pub(super) fn of(parts: &Parts) -> Result<Self, PackageRefusal> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(PackageRefusal::Method);
        }
        let headers = &parts.headers;
        let announced = headers.get("content-length").is_some_and(|length| length != "0");
        if announced || headers.contains_key("transfer-encoding") {
            return Err(PackageRefusal::Body);
        }
        let uri = &parts.uri;
        let absolute = uri.scheme().is_some() || uri.authority().is_some();
        if absolute || uri.query().is_some() {
            return Err(PackageRefusal::Form);
        }
        Self::of_path(uri.path())
    }

    fn of_path(path: &str) -> Result<Self, PackageRefusal> {
        let path = path.strip_prefix('/').ok_or(PackageRefusal::Form)?;
        let first = path.split('/').next().unwrap_or_default();
        let rest = path.get(first.len()..).and_then(|rest| rest.strip_prefix('/'));
        match (first, rest) {
            // npm takes the path of a file's address and drops that of its registry's.
            _ if path.contains("/-/") => npm(path.strip_prefix("npm/").unwrap_or(path)),
            ("npm", Some(rest)) => npm(rest),
            ("cargo", Some(rest)) => cargo(rest),
            ("pip", Some(rest)) => pip(rest),
            ("go", Some(rest)) => go::route(rest),
            _ => Err(PackageRefusal::Path),
        }
    }
}

fn cargo(path: &str) -> Result<Route, PackageRefusal> {
    let registry = Registry::Cargo;
    let words: Vec<&str> = path.split('/').collect();
    let route = |name: &str, asked| {
        let name = name::package(registry, name).ok_or(PackageRefusal::Name)?;
        Ok(Route { registry, name, asked })
    };
    match words.as_slice() {
        ["config.json"] => Ok(Route { registry, name: String::new(), asked: Asked::Settings }),
        ["crates", name, version, "download"] => {
            if !name::is_file(version) {
                return Err(PackageRefusal::Name);
            }
            route(name, Asked::File((*version).to_owned()))
        }
        [_, .., name] => {
            let route = route(name, Asked::Versions)?;
            if name::cargo_path(&route.name) == path {
                Ok(route)
            } else {
                Err(PackageRefusal::Path)
            }
        }
        _ => Err(PackageRefusal::Path),
    }
}

fn npm(path: &str) -> Result<Route, PackageRefusal> {
    let registry = Registry::Npm;
    let (name, file) = match path.split_once("/-/") {
        Some((name, file)) => (name, Some(file)),
        None => (path, None),
    };
    // The one escape clients use: the slash of a scope.
    let name = name.replacen("%2f", "/", 1).replacen("%2F", "/", 1);
    if name.starts_with('-') || name.contains("/-") && !name.starts_with('@') {
        return Err(PackageRefusal::Path);
    }
    let name = name::package(registry, &name).ok_or(PackageRefusal::Name)?;
    let asked = match file {
        Some(file) if name::is_file(file) && file.ends_with(".tgz") => Asked::File(file.to_owned()),
        Some(_) => return Err(PackageRefusal::Name),
        None => Asked::Versions,
    };
    Ok(Route { registry, name, asked })
}

fn pip(path: &str) -> Result<Route, PackageRefusal> {
    let registry = Registry::Pip;
    let words: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let (name, asked) = match words.as_slice() {
        ["simple", name] => (*name, Asked::Versions),
        ["files", name, file] if name::is_file(file) => (*name, Asked::File((*file).to_owned())),
        ["files", _, _] => return Err(PackageRefusal::Name),
        _ => return Err(PackageRefusal::Path),
    };
    let name = name::package(registry, name).ok_or(PackageRefusal::Name)?;
    Ok(Route { registry, name, asked })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> Option<(Registry, String, Asked)> {
        Route::of_path(path).ok().map(|route| (route.registry, route.name, route.asked))
    }

    #[test]
    fn the_paths_of_the_three_clients_are_read() {
        let file = |text: &str| Asked::File(text.to_owned());
        for (path, registry, name, what) in [
            ("/cargo/config.json", Registry::Cargo, "", Asked::Settings),
            ("/cargo/se/rd/serde", Registry::Cargo, "serde", Asked::Versions),
            ("/cargo/3/l/log", Registry::Cargo, "log", Asked::Versions),
            (
                "/cargo/crates/Inflector/0.11.4/download",
                Registry::Cargo,
                "inflector",
                file("0.11.4"),
            ),
            ("/npm/left-pad", Registry::Npm, "left-pad", Asked::Versions),
            ("/npm/@types%2fnode", Registry::Npm, "@types/node", Asked::Versions),
            (
                "/npm/left-pad/-/left-pad-1.3.0.tgz",
                Registry::Npm,
                "left-pad",
                file("left-pad-1.3.0.tgz"),
            ),
            (
                "/@types/node/-/node-20.0.0.tgz",
                Registry::Npm,
                "@types/node",
                file("node-20.0.0.tgz"),
            ),
            ("/pip/simple/Requests/", Registry::Pip, "requests", Asked::Versions),
            (
                "/pip/files/requests/requests-2.0.tar.gz",
                Registry::Pip,
                "requests",
                file("requests-2.0.tar.gz"),
            ),
        ] {
            assert_eq!(asked(path), Some((registry, name.to_owned(), what)), "{path}");
        }
    }

    #[test]
    fn nothing_else_of_a_registry_is_served() {
        for path in [
            "/",
            "/cargo",
            "/cargo/",
            "/cargo/api/v1/crates/new",
            "/cargo/me",
            "/cargo/se/rd/other",
            "/cargo/serde",
            "/cargo/SE/RD/serde",
            "/cargo/crates/a/../b/download",
            "/cargo/crates/a/1.0/owners",
            "/npm/",
            "/npm/-/v1/search",
            "/npm/-/whoami",
            "/npm/-/user/org.couchdb.user:x",
            "/-/npm/v1/security/audits",
            "/npm/-/npm/v1/security/advisories/bulk",
            "/npm/left-pad/-/left-pad-1.3.0.tgz/-rev/1",
            "/npm/left-pad/-/x.txt",
            "/npm/a/b",
            "/npm/@a/b/c",
            "/npm/a%2e%2e",
            "/npm/%40a%2fb",
            "/npm/@a%2fb%2fc",
            "/npm/-/package/left-pad/dist-tags",
            "/pip/simple/",
            "/pip/simple/a/b/",
            "/pip/legacy/",
            "/pip/files/a",
            "/pip/files/a/../b",
            "/pip/pypi/a/json",
            "/etc/passwd",
            "//cargo/config.json",
            "/go",
            "/go/x/@v/list",
            "/go/example.org/x",
        ] {
            assert_eq!(asked(path), None, "{path}");
        }
    }
}
