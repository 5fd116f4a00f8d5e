//! Toolchains of the host, as named read-only leaves for pods.
//!
//! What exists where is versioned data (`data/toolchains.toml`); the code here only resolves what needs resolving: which
//! rustup toolchain is active, where pyenv's interpreter really is, which cached checkouts are public. Parents such as
//! `~/.cargo` are never given whole, and files that hold credentials are listed as forbidden so that the self-test can
//! look for them.

mod base;
mod data;
mod discover;
mod git_checkout;
mod hint;
mod python;
mod rust;

pub use base::{Base, BaseLink, base};
pub use discover::{HostEnv, discover};
pub use hint::{Hint, offline_hint};

use std::path::PathBuf;

/// A toolchain that pods get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Name, e.g. `rust`.
    pub name: String,
    /// Version or other detail for people, e.g. `1.95.0-x86_64-unknown-linux-gnu`.
    pub detail: String,
    /// Read-only binds.
    pub binds: Vec<RoBind>,
    /// Writable places: an overlay over host directories, or empty when there is none on the host.
    pub overlays: Vec<CacheOverlay>,
    /// Directories put on `PATH`, in order, as seen inside.
    pub path: Vec<String>,
    /// Environment inside.
    pub env: Vec<(String, String)>,
    /// Paths, as seen inside, that must not exist in a pod.
    pub forbidden: Vec<String>,
}

/// One read-only bind. Taken by handle before privilege is dropped, so the parents may be closed to the pod's uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoBind {
    /// Real path on the host (no symbolic link in it).
    pub host: PathBuf,
    /// Absolute path inside.
    pub inside: PathBuf,
    /// Whether it is a directory (else a regular file).
    pub directory: bool,
}

/// A writable directory of a pod that belongs to one workspace and one policy digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheOverlay {
    /// Name of the directory below the session's cache directory, e.g. `cargo`.
    pub name: String,
    /// Absolute path inside.
    pub inside: PathBuf,
    /// Host directories bound as lower layers: `(host directory, relative directory inside)`. Each is a leaf such as
    /// `registry/index`; an empty relative path means that the directory is the lower layer of the whole.
    pub lowers: Vec<(PathBuf, String)>,
}
