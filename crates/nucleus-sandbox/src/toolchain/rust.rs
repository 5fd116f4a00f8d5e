//! Rust: the active toolchain of rustup, and the public part of cargo's home.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::base::{bind, directories_in, forbidden};
use super::data::data;
use super::discover::{CACHE, HostEnv, PREFIX, is_system, leaves};
use super::git_checkout::is_public;
use super::{CacheOverlay, RoBind, Toolchain};

/// Largest settings file read.
const SETTINGS_BYTES: u64 = 64 * 1024;

pub(super) fn find(env: &HostEnv, system: &[RoBind]) -> Option<Toolchain> {
    let cargo = env.program("cargo");
    let rustup = env.dir(Some("RUSTUP_HOME"), Some("~/.rustup"));
    let active = rustup.as_deref().and_then(|home| active(home, env));
    let mut found = Toolchain { name: "rust".to_owned(), ..Toolchain::default() };
    if let Some((name, dir)) = active {
        let inside = Path::new(PREFIX).join("rust");
        // rustup's own `cargo` is a proxy that needs rustup's home; the toolchain's needs nothing.
        found.binds = leaves(&dir, &inside, &[], env)?;
        found.path.push(inside.join("bin").to_string_lossy().into_owned());
        found.detail = name;
    } else {
        let real = fs::canonicalize(cargo?).ok()?;
        if !is_system(&real, system) || real.file_name().is_some_and(|n| n == "rustup") {
            return None;
        }
        found.detail = real.display().to_string();
    }
    let home = env.dir(Some("CARGO_HOME"), Some("~/.cargo"));
    if let Some(home) = &home {
        // Programs such as cargo-nextest. The proxies in it come after the toolchain's own programs.
        let inside = Path::new(PREFIX).join("cargo-bin");
        if let Some(programs) =
            bind(&home.join("bin"), &inside).filter(|b| b.directory && !is_system(&b.host, system))
        {
            found.path.push(inside.to_string_lossy().into_owned());
            found.binds.push(programs);
        }
    }
    let inside = Path::new(CACHE).join("cargo");
    for (name, value) in &data().rust.env {
        found.env.push((name.clone(), value.replace("{cache}", &inside.to_string_lossy())));
    }
    let lowers = home.as_deref().map(lowers).unwrap_or_default();
    found.overlays.push(CacheOverlay { name: "cargo".to_owned(), inside, lowers });
    found.forbidden = forbidden(&data().rust.forbidden, &env.home());
    Some(found)
}

/// The leaves of cargo's home that are public: registries by name, git dependencies by address.
fn lowers(home: &Path) -> Vec<(PathBuf, String)> {
    let mut out = Vec::new();
    let mut add = |path: &Path, name: String| {
        out.extend(fs::canonicalize(path).ok().filter(|r| r.is_dir()).map(|real| (real, name)));
    };
    for kind in ["index", "cache", "src"] {
        for (name, path) in directories_in(&home.join("registry").join(kind)) {
            if data().rust.public_registries.iter().any(|prefix| name.starts_with(prefix)) {
                add(&path, format!("registry/{kind}/{name}"));
            }
        }
    }
    for (name, path) in directories_in(&home.join("git/db")) {
        if is_public(&path, &data().rust.public_hosts) {
            add(&path, format!("git/db/{name}"));
            add(&home.join("git/checkouts").join(&name), format!("git/checkouts/{name}"));
        }
    }
    out
}

#[derive(Deserialize, Default)]
struct Settings {
    default_toolchain: Option<String>,
    #[serde(default)]
    overrides: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ToolchainFile {
    toolchain: Option<ToolchainSection>,
}

#[derive(Deserialize)]
struct ToolchainSection {
    channel: Option<String>,
}

/// The toolchain that rustup would choose in the workspace, by rustup's own order: variable, directory override,
/// toolchain file, default. A choice that is not installed falls back to the next.
fn active(rustup: &Path, env: &HostEnv) -> Option<(String, PathBuf)> {
    let settings: Settings = read(&rustup.join("settings.toml"))
        .and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default();
    let mut asked = Vec::new();
    asked.extend(env.var("RUSTUP_TOOLCHAIN").map(str::to_owned));
    for dir in env.workspace.ancestors() {
        asked.extend(dir.to_str().and_then(|d| settings.overrides.get(d)).cloned());
        asked.extend(from_file(dir));
    }
    asked.extend(settings.default_toolchain);
    let installed = directories_in(&rustup.join("toolchains"));
    asked.iter().find_map(|channel| installed_as(channel, &installed)).or_else(|| only(&installed))
}

/// What a `rust-toolchain.toml` (or the older `rust-toolchain`) asks for. Its `path` key is not followed: a file that an
/// agent can write must not choose which directory of the host a pod sees.
fn from_file(dir: &Path) -> Option<String> {
    for name in ["rust-toolchain", "rust-toolchain.toml"] {
        let Some(text) = read(&dir.join(name)) else { continue };
        if let Ok(file) = toml::from_str::<ToolchainFile>(&text) {
            return file.toolchain.and_then(|t| t.channel);
        }
        let line = text.trim();
        if name == "rust-toolchain" && !line.contains(char::is_whitespace) {
            return Some(line.to_owned());
        }
    }
    None
}

/// The installed toolchain of a name, with or without the host's triple.
fn installed_as(channel: &str, installed: &[(String, PathBuf)]) -> Option<(String, PathBuf)> {
    let host = format!("{channel}-{}-unknown-linux-", std::env::consts::ARCH);
    let with_cargo = |(_, path): &&(String, PathBuf)| path.join("bin/cargo").is_file();
    installed
        .iter()
        .filter(with_cargo)
        .find(|(name, _)| name == channel)
        .or_else(|| installed.iter().filter(with_cargo).find(|(name, _)| name.starts_with(&host)))
        .cloned()
}

fn only(installed: &[(String, PathBuf)]) -> Option<(String, PathBuf)> {
    installed.first().filter(|_| installed.len() == 1).cloned()
}

/// A small regular file, links not followed.
fn read(path: &Path) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > SETTINGS_BYTES {
        return None;
    }
    fs::read_to_string(path).ok()
}
