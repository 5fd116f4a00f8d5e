//! The system every pod gets: programs, libraries and a few leaves of `/etc`.

use std::fs;
use std::path::{Path, PathBuf};

use super::RoBind;
use super::data::data;

/// What every pod sees of the system. There is no `/root`, `/var`, `/sys` or `/run` in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// Read-only binds.
    pub binds: Vec<RoBind>,
    /// Symbolic links of the root directory.
    pub links: Vec<BaseLink>,
    /// Directories of `PATH`, after those of toolchains.
    pub path: Vec<String>,
    /// Paths, as seen inside, that must not exist.
    pub forbidden: Vec<String>,
}

/// A symbolic link in a pod's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLink {
    /// Where.
    pub inside: PathBuf,
    /// Its target, as on the host.
    pub target: String,
}

/// Finds the base system of this host.
#[must_use]
pub fn base() -> Base {
    let data = &data().base;
    let mut base = Base { path: data.path.clone(), ..Base::default() };
    for dir in &data.directories {
        base.binds.extend(bind(Path::new(dir), Path::new(dir)));
    }
    for parent in &data.below {
        for (name, path) in directories_in(Path::new(parent)) {
            if !data.below_except.contains(&name) {
                base.binds.extend(bind(&path, &path));
            }
        }
    }
    for link in data.links.iter().map(Path::new) {
        match fs::read_link(link) {
            Ok(target) => {
                let target = target.to_string_lossy().into_owned();
                base.links.push(BaseLink { inside: link.to_owned(), target });
            }
            Err(_) => base.binds.extend(bind(link, link)),
        }
    }
    for leaf in &data.etc {
        for path in expand(Path::new("/etc"), leaf) {
            base.binds.extend(bind(&path, &path));
        }
    }
    base.forbidden = data.forbidden.iter().filter(|p| !p.starts_with('~')).cloned().collect();
    base
}

/// Replaces `~` by the host's home in paths that must not exist inside.
pub(super) fn forbidden(paths: &[String], home: &Path) -> Vec<String> {
    let home = home.to_str().unwrap_or("/root");
    paths
        .iter()
        .map(|p| p.strip_prefix('~').map_or_else(|| p.clone(), |rest| format!("{home}{rest}")))
        .collect()
}

/// A bind of what really lies at `host`, if anything usable does.
pub(super) fn bind(host: &Path, inside: &Path) -> Option<RoBind> {
    let real = fs::canonicalize(host).ok()?;
    let metadata = fs::metadata(&real).ok()?;
    let directory = metadata.is_dir();
    (directory || metadata.is_file()).then(|| RoBind {
        host: real,
        inside: inside.to_owned(),
        directory,
    })
}

/// Real directories below one, by name.
pub(super) fn directories_in(parent: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut out: Vec<(String, PathBuf)> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
        .collect();
    out.sort();
    out
}

/// Existing paths that a leaf names; a `*` at its end stands for the rest of a name.
fn expand(parent: &Path, leaf: &str) -> Vec<PathBuf> {
    let Some(prefix) = leaf.strip_suffix('*') else {
        let path = parent.join(leaf);
        return if path.exists() { vec![path] } else { Vec::new() };
    };
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut out: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with(prefix)))
        .map(|e| e.path())
        .collect();
    out.sort();
    out
}
