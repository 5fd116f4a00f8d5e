//! Finding toolchains.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::base::{base, bind, directories_in, forbidden};
use super::data::{CacheData, ToolchainData, data};
use super::{CacheOverlay, RoBind, Toolchain, python, rust};

/// Where prefixes of toolchains outside the base system appear in a pod.
pub(super) const PREFIX: &str = "/opt/toolchain";
/// Where writable caches appear in a pod.
pub(super) const CACHE: &str = "/opt/nucleus/cache";

/// The host as far as discovery looks at it.
#[derive(Debug, Clone, Default)]
pub struct HostEnv {
    /// The user's environment: `PATH`, `HOME`, `CARGO_HOME`, `RUSTUP_HOME`, `PYENV_ROOT`, ….
    pub vars: BTreeMap<String, String>,
    /// The workspace, whose `rust-toolchain.toml` and `.python-version` choose among installed versions.
    pub workspace: PathBuf,
}

impl HostEnv {
    /// The user's home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        PathBuf::from(self.vars.get("HOME").map_or("/root", String::as_str))
    }

    /// A variable that is set and not empty.
    pub(super) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A directory named by a variable, or one below the home.
    pub(super) fn dir(&self, var: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        if let Some(dir) =
            var.and_then(|v| self.var(v)).map(PathBuf::from).filter(|d| d.is_absolute())
        {
            return Some(dir);
        }
        let rest = home?.strip_prefix("~/")?;
        Some(self.home().join(rest))
    }

    /// The first executable of that name on `PATH`, as named there. Entries inside the workspace are passed over: what
    /// an agent can write does not choose a toolchain.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.var("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin");
        path.split(':')
            .map(Path::new)
            .filter(|d| d.is_absolute() && !d.starts_with(&self.workspace))
            .find_map(|dir| {
                let file = dir.join(name);
                let metadata = fs::metadata(&file).ok()?;
                (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(file)
            })
    }
}

/// Finds every toolchain of the host, as the user's own shell would choose it.
#[must_use]
pub fn discover(env: &HostEnv) -> Vec<Toolchain> {
    let system = base().binds;
    let mut out: Vec<Toolchain> = Vec::new();
    out.extend(rust::find(env, &system));
    for entry in &data().toolchain {
        out.extend(find(entry, env, &system));
    }
    out.extend(python::find(env, &system));
    // Only here is the user's home known; one toolchain carries the list for all.
    let of_home: Vec<String> =
        data().base.forbidden.iter().filter(|p| p.starts_with('~')).cloned().collect();
    if let Some(first) = out.first_mut() {
        first.forbidden.extend(forbidden(&of_home, &env.home()));
    }
    out
}

fn find(entry: &ToolchainData, env: &HostEnv, system: &[RoBind]) -> Option<Toolchain> {
    let program = entry.programs.iter().find_map(|name| env.program(name))?;
    let real = fs::canonicalize(&program).ok()?;
    let prefix = real.parent()?.parent()?.to_owned();
    let mut found = Toolchain {
        name: entry.name.clone(),
        detail: real.display().to_string(),
        ..Toolchain::default()
    };
    let inside = if is_system(&real, system) {
        prefix.clone()
    } else {
        let inside = Path::new(PREFIX).join(&entry.name);
        found.binds = leaves(&prefix, &inside, &entry.leaves, env)?;
        found.path.push(inside.join("bin").to_string_lossy().into_owned());
        inside
    };
    for (name, value) in &entry.env {
        let value = value.replace("{inside}", &inside.to_string_lossy());
        // A toolchain of the base system knows its own root.
        if is_system(&real, system) && value == inside.to_string_lossy() && value == "/usr" {
            continue;
        }
        found.env.push((name.clone(), value));
    }
    for cache in &entry.cache {
        add_cache(&mut found, cache, env);
    }
    found.forbidden = forbidden(&entry.forbidden, &env.home());
    Some(found)
}

/// Whether the base system already shows a path.
pub(super) fn is_system(path: &Path, system: &[RoBind]) -> bool {
    system.iter().any(|bind| bind.directory && path.starts_with(&bind.host))
}

/// Binds the leaves of a prefix, or the prefix whole when none are named. A prefix that is the home, holds the workspace
/// or lies in it is refused.
pub(super) fn leaves(
    prefix: &Path,
    inside: &Path,
    names: &[String],
    env: &HostEnv,
) -> Option<Vec<RoBind>> {
    let broad = prefix.parent().is_none() || env.home().starts_with(prefix);
    if broad || env.workspace.starts_with(prefix) || prefix.starts_with(&env.workspace) {
        return None;
    }
    if names.is_empty() {
        return bind(prefix, inside).map(|b| vec![b]);
    }
    let binds = names.iter().filter_map(|name| {
        let leaf = prefix.join(name);
        let stays = fs::canonicalize(&leaf).is_ok_and(|real| real.starts_with(prefix));
        stays.then(|| bind(&leaf, &inside.join(name)))?
    });
    Some(binds.collect())
}

fn add_cache(found: &mut Toolchain, cache: &CacheData, env: &HostEnv) {
    let inside = Path::new(CACHE).join(&cache.name);
    let host = env.dir(cache.from_env.as_deref(), cache.home.as_deref());
    let mut except = cache.except.clone();
    let private = cache.except_env.as_deref().and_then(|name| env.var(name)).unwrap_or_default();
    except.extend(
        private
            .split(',')
            .filter_map(|p| p.split('/').next())
            .filter(|p| !p.is_empty())
            .map(str::to_owned),
    );
    let mut lowers = Vec::new();
    for leaf in host.iter().flat_map(|host| cache.leaves.iter().map(move |leaf| (host, leaf))) {
        let (host, leaf) = leaf;
        let named = if leaf == "*" {
            // A pattern of private names such as `*.corp.example` cannot be told from its first name: nothing then.
            if except.iter().any(|e| e.contains('*') && e.len() > 1) {
                continue;
            }
            directories_in(host).into_iter().filter(|(name, _)| !except.contains(name)).collect()
        } else {
            vec![(leaf.clone(), host.join(leaf))]
        };
        for (name, path) in named {
            let real = fs::canonicalize(&path).ok().filter(|r| r.is_dir());
            lowers.extend(real.map(|real| (real, name)));
        }
    }
    let text = inside.to_string_lossy().into_owned();
    if let Some(variable) = &cache.env {
        found.env.push((variable.clone(), text.clone()));
    }
    for (name, value) in &cache.extra_env {
        found.env.push((name.clone(), value.replace("{cache}", &text)));
    }
    found.overlays.push(CacheOverlay { name: cache.name.clone(), inside, lowers });
}
