//! Toolchain types until `toolchain` lands.
#![expect(missing_docs, reason = "interim")]
use std::path::PathBuf;
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoBind {
    pub host: PathBuf,
    pub inside: PathBuf,
    pub directory: bool,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheOverlay {
    pub name: String,
    pub inside: PathBuf,
    pub lowers: Vec<(PathBuf, String)>,
}
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    pub name: String,
    pub detail: String,
    pub binds: Vec<RoBind>,
    pub overlays: Vec<CacheOverlay>,
    pub path: Vec<String>,
    pub env: Vec<(String, String)>,
    pub forbidden: Vec<String>,
}
#[derive(Debug)]
pub struct BaseLink {
    pub inside: PathBuf,
    pub target: String,
}
#[derive(Debug)]
pub struct Base {
    pub binds: Vec<RoBind>,
    pub links: Vec<BaseLink>,
    pub path: Vec<String>,
    pub forbidden: Vec<String>,
}
pub fn base() -> Base {
    let mut binds = Vec::new();
    for p in [
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/usr/lib64",
        "/usr/libexec",
        "/usr/share",
        "/usr/include",
        "/etc/alternatives",
        "/etc/ssl/certs",
        "/etc/ld.so.cache",
    ] {
        let path = PathBuf::from(p);
        if path.exists() {
            binds.push(RoBind {
                host: path.clone(),
                inside: path.clone(),
                directory: path.is_dir(),
            });
        }
    }
    let links = ["bin", "sbin", "lib", "lib64"]
        .iter()
        .map(|n| BaseLink { inside: PathBuf::from(format!("/{n}")), target: format!("usr/{n}") })
        .collect();
    Base { binds, links, path: vec!["/usr/bin".into()], forbidden: vec![] }
}
