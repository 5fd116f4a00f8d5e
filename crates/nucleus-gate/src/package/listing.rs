//! Lists of versions: read from a registry, remembered by where their files are, written again for the client.

mod anchor;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lattice_guard::Registry;
use serde::Deserialize;
use serde_json::{Value, json};

use anchor::{Anchor, anchors};

use super::name;
use super::refusal::PackageRefusal;
use super::source::{Place, Sources};

/// Where the files of a package are, by name (of crates: by version).
pub(super) type Places = BTreeMap<String, Place>;

/// A list of versions.
pub(super) struct Listing {
    pub(super) places: Arc<Places>,
    shown: Shown,
}

enum Shown {
    /// As it came.
    Crates(Bytes),
    /// With the addresses that clients of npm expect.
    Npm(Vec<u8>),
    /// A page of links.
    Pip(Vec<Wheel>),
}

/// One version of a crate; the rest of its line is cargo's affair.
#[derive(Deserialize)]
struct Crate {
    name: String,
    vers: String,
    cksum: String,
}

#[derive(Deserialize)]
struct Project {
    name: String,
    files: Vec<Wheel>,
}

/// A file of a Python project, as PEP 691 and its successors have it.
#[derive(Deserialize)]
struct Wheel {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default, rename = "requires-python")]
    requires_python: Option<String>,
    #[serde(default)]
    yanked: Value,
    #[serde(default, rename = "core-metadata")]
    metadata: Value,
}

/// The settings of the index of crates that pods see.
pub(super) fn cargo_settings(base: &str) -> Value {
    json!({"dl": format!("{base}/cargo/crates/{{crate}}/{{version}}/download")})
}

impl Listing {
    /// Reads what a registry answered about `package`.
    pub(super) fn read(
        sources: &Sources,
        package: &str,
        bytes: &Bytes,
    ) -> Result<Self, PackageRefusal> {
        match sources.registry() {
            Registry::Npm => npm(sources, package, bytes),
            Registry::Pip => pip(sources, package, bytes),
            _ => cargo(sources, bytes),
        }
    }

    /// Content type and body for a client that reached us at `base`.
    pub(super) fn shown(self, package: &str, base: &str) -> (&'static str, Bytes) {
        match self.shown {
            Shown::Crates(lines) => ("text/plain", lines),
            Shown::Npm(json) => ("application/json", json.into()),
            Shown::Pip(files) => ("text/html; charset=utf-8", page(package, &files, base).into()),
        }
    }
}

fn cargo(sources: &Sources, bytes: &Bytes) -> Result<Listing, PackageRefusal> {
    let mut places = Places::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let entry: Crate = serde_json::from_slice(line).map_err(|_| PackageRefusal::Listing)?;
        if name::package(Registry::Cargo, &entry.name).is_none() || !name::is_file(&entry.vers) {
            continue;
        }
        if let Some(place) = sources.crate_place(&entry.name, &entry.vers, &entry.cksum) {
            places.insert(entry.vers, place);
        }
    }
    Ok(Listing { places: Arc::new(places), shown: Shown::Crates(bytes.clone()) })
}

fn npm(sources: &Sources, package: &str, bytes: &Bytes) -> Result<Listing, PackageRefusal> {
    let mut list: Value = serde_json::from_slice(bytes).map_err(|_| PackageRefusal::Listing)?;
    let mut places = Places::new();
    let versions = list.get_mut("versions").and_then(Value::as_object_mut);
    // A version whose file is somewhere else is not offered.
    versions.ok_or(PackageRefusal::Listing)?.retain(|_, version| {
        let Some(address) = version.pointer_mut("/dist/tarball") else { return false };
        let text = address.as_str().unwrap_or_default();
        let file = text.rsplit('/').next().unwrap_or_default().to_owned();
        let Some(place) = sources.place(package, text) else { return false };
        if !name::is_file(&file) {
            return false;
        }
        // Clients put their registry's address in place of the public one, and lock files keep the public one.
        *address = format!("https://registry.npmjs.org/{package}/-/{file}").into();
        places.insert(file, place);
        true
    });
    let text = serde_json::to_vec(&list).map_err(|_| PackageRefusal::Listing)?;
    Ok(Listing { places: Arc::new(places), shown: Shown::Npm(text) })
}

fn pip(sources: &Sources, package: &str, bytes: &Bytes) -> Result<Listing, PackageRefusal> {
    let mut places = Places::new();
    let mut files = Vec::new();
    for file in listed(package, bytes)? {
        let Some(place) = sources.place(package, &file.url) else { continue };
        if !name::is_file(&file.filename) {
            continue;
        }
        if has_metadata(&file.metadata) {
            let beside = sources.place(package, &format!("{}.metadata", place.url()));
            places.extend(beside.map(|beside| (format!("{}.metadata", file.filename), beside)));
        }
        places.insert(file.filename.clone(), place);
        files.push(file);
    }
    Ok(Listing { places: Arc::new(places), shown: Shown::Pip(files) })
}

/// Files of a project, from either form that indexes have.
fn listed(package: &str, bytes: &Bytes) -> Result<Vec<Wheel>, PackageRefusal> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        let read: Result<Project, _> = serde_json::from_slice(bytes);
        let project = read.ok().filter(|project| name::normalised(&project.name) == package);
        return project.map(|project| project.files).ok_or(PackageRefusal::Listing);
    }
    let page = std::str::from_utf8(bytes).map_err(|_| PackageRefusal::Listing)?;
    Ok(anchors(page).into_iter().filter_map(linked).collect())
}

/// A file as a link says it.
fn linked(anchor: Anchor) -> Option<Wheel> {
    let Anchor { mut attributes, text } = anchor;
    let url = attributes.remove("href")?;
    let sum = url.split_once("#sha256=").map(|(_, sum)| ("sha256".to_owned(), sum.to_owned()));
    let beside = ["data-core-metadata", "data-dist-info-metadata"];
    let metadata = beside.iter().find_map(|name| attributes.get(*name)).map(|value| {
        match value.strip_prefix("sha256=") {
            Some(sum) => json!({"sha256": sum}),
            None => Value::Bool(value != "false"),
        }
    });
    Some(Wheel {
        filename: text,
        hashes: sum.into_iter().collect(),
        requires_python: attributes.remove("data-requires-python"),
        yanked: attributes.remove("data-yanked").map_or(Value::Null, Value::String),
        metadata: metadata.unwrap_or_default(),
        url,
    })
}

fn has_metadata(value: &Value) -> bool {
    matches!(value, Value::Bool(true) | Value::Object(_))
}

/// The page of links that every pip reads.
fn page(package: &str, files: &[Wheel], base: &str) -> String {
    let mut page = format!("<!DOCTYPE html><html><body><h1>{}</h1>\n", escaped(package));
    for file in files {
        let name = escaped(&file.filename);
        let sum = file.hashes.get("sha256").filter(|sum| is_hex(sum));
        let fragment = sum.map(|sum| format!("#sha256={sum}")).unwrap_or_default();
        let mut more = String::new();
        if let Some(python) = &file.requires_python {
            more.push_str(&format!(" data-requires-python=\"{}\"", escaped(python)));
        }
        match &file.yanked {
            Value::Bool(true) => more.push_str(" data-yanked=\"\""),
            Value::String(why) => more.push_str(&format!(" data-yanked=\"{}\"", escaped(why))),
            _ => {}
        }
        if has_metadata(&file.metadata) {
            let sum = file.metadata.get("sha256").and_then(Value::as_str);
            let value = sum.filter(|sum| is_hex(sum)).map(|sum| format!("sha256={sum}"));
            let value = value.unwrap_or_else(|| "true".to_owned());
            more.push_str(&format!(
                " data-core-metadata=\"{value}\" data-dist-info-metadata=\"{value}\""
            ));
        }
        let href = format!("{base}/pip/files/{package}/{name}{fragment}");
        page.push_str(&format!("<a href=\"{href}\"{more}>{name}</a><br/>\n"));
    }
    page.push_str("</body></html>\n");
    page
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ProxyRules;
    use crate::upstream::Roots;

    fn sources(registry: Registry) -> Sources {
        let roots = Roots::load(None).unwrap();
        Sources::new(registry, None, &Arc::new(ProxyRules::none()), &roots).unwrap()
    }

    fn read(registry: Registry, package: &str, text: &str) -> (Vec<String>, String) {
        let listing =
            Listing::read(&sources(registry), package, &Bytes::from(text.to_owned())).unwrap();
        let files = listing.places.keys().cloned().collect();
        let (_, body) = listing.shown(package, "http://127.0.0.1:7");
        (files, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn versions_of_npm_whose_files_are_elsewhere_are_not_offered() {
        let (files, body) = read(
            Registry::Npm,
            "@s/p",
            r#"{"versions":{"1.0.0":{"dist":{"tarball":"https://registry.npmjs.org/@s/p/-/p-1.0.0.tgz"}},
                "2.0.0":{"dist":{"tarball":"https://evil.example/p-2.0.0.tgz"}},"3.0.0":{"dist":{}}}}"#,
        );
        assert_eq!(files, ["p-1.0.0.tgz"]);
        assert!(
            body.contains("\"https://registry.npmjs.org/@s/p/-/p-1.0.0.tgz\"")
                && !body.contains("evil"),
            "{body}"
        );
        assert!(!body.contains("3.0.0"));
    }

    #[test]
    fn a_page_of_links_leads_back_to_the_gate_and_carries_nothing_else() {
        let sum = "ab".repeat(32);
        let text = format!(
            r#"{{"name":"P.q","files":[
                {{"filename":"p-1.tar.gz","url":"https://files.pythonhosted.org/x/p-1.tar.gz","hashes":{{"sha256":"{sum}"}},
                  "requires-python":">=3.8","yanked":"\"><script>","core-metadata":{{"sha256":"{sum}"}}}},
                {{"filename":"p-2.tar.gz","url":"https://evil.example/p-2.tar.gz"}},
                {{"filename":"../p-3.tar.gz","url":"https://files.pythonhosted.org/x/p-3.tar.gz"}}]}}"#
        );
        let (files, body) = read(Registry::Pip, "p-q", &text);
        assert_eq!(files, ["p-1.tar.gz", "p-1.tar.gz.metadata"]);
        let href = format!("href=\"http://127.0.0.1:7/pip/files/p-q/p-1.tar.gz#sha256={sum}\"");
        assert!(
            body.contains(&href) && body.contains("data-requires-python=\"&gt;=3.8\""),
            "{body}"
        );
        assert!(
            !body.contains("<script>") && !body.contains("evil") && !body.contains("p-3"),
            "{body}"
        );
    }

    #[test]
    fn every_version_of_a_crate_is_known() {
        let (files, body) = read(
            Registry::Cargo,
            "a",
            "{\"name\":\"a\",\"vers\":\"1.0.0\",\"cksum\":\"00\",\"deps\":[]}\n{\"name\":\"a\",\"vers\":\"../2\",\"cksum\":\"00\"}\n",
        );
        assert_eq!(files, ["1.0.0"]);
        assert!(body.contains("\"deps\":[]"), "cargo reads the rest itself");
        let broken = Listing::read(&sources(Registry::Cargo), "a", &Bytes::from_static(b"<html>"));
        assert!(matches!(broken, Err(PackageRefusal::Listing)));
    }
    #[test]
    fn a_page_of_links_is_read_like_json() {
        let sum = "cd".repeat(32);
        let (files, body) = read(
            Registry::Pip,
            "p",
            &format!(
                "<!DOCTYPE html><html><a href=\"https://files.pythonhosted.org/x/p-1.whl#sha256={sum}\" \
                 data-requires-python=\"&gt;=3\" data-dist-info-metadata=\"sha256={sum}\">p-1.whl</a>\
                 <a href=\"../../x/p-2.whl\" data-yanked=\"bad\">p-2.whl</a><a href=\"http://evil.example/p-3.whl\">p-3.whl</a>"
            ),
        );
        assert_eq!(files, ["p-1.whl", "p-1.whl.metadata", "p-2.whl"]);
        assert!(body.contains(&format!("/pip/files/p/p-1.whl#sha256={sum}\"")), "{body}");
        assert!(body.contains("data-yanked=\"bad\"") && !body.contains("p-3"), "{body}");
    }
}
