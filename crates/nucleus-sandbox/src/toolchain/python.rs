//! Python: the interpreter behind pyenv's shims, or the one on `PATH`.

use std::fs;
use std::path::{Path, PathBuf};

use super::base::{bind, directories_in, forbidden};
use super::data::data;
use super::discover::{CACHE, HostEnv, PREFIX, is_system, leaves};
use super::{CacheOverlay, RoBind, Toolchain};

/// Largest version file read.
const VERSION_BYTES: u64 = 4096;

pub(super) fn find(env: &HostEnv, system: &[RoBind]) -> Option<Toolchain> {
    let program = env.program("python3").or_else(|| env.program("python"))?;
    let pyenv = env.dir(Some("PYENV_ROOT"), Some("~/.pyenv"));
    let behind = pyenv.as_deref().filter(|root| program.starts_with(root.join("shims")));
    let real = match behind {
        Some(root) => match version(root, env) {
            Some(prefix) => fs::canonicalize(prefix.join("bin/python3")).ok()?,
            // pyenv's own fallback: the system's interpreter.
            None => fs::canonicalize("/usr/bin/python3").ok()?,
        },
        None => fs::canonicalize(&program).ok()?,
    };
    let mut found = Toolchain {
        name: "python".to_owned(),
        detail: real.display().to_string(),
        ..Toolchain::default()
    };
    if !is_system(&real, system) {
        // At its own path: scripts such as pip and pytest, and virtual environments, name their interpreter by it.
        let prefix = real.parent()?.parent()?.to_owned();
        found.binds = leaves(&prefix, &prefix, &data().python.leaves, env)?;
        found.path.push(prefix.join("bin").to_string_lossy().into_owned());
    }
    user_packages(&mut found, &real, env);
    let inside = Path::new(CACHE).join("pip");
    for (name, value) in &data().python.env {
        found.env.push((name.clone(), value.replace("{cache}", &inside.to_string_lossy())));
    }
    let wheels = env.dir(None, Some("~/.cache/pip/wheels")).and_then(|d| fs::canonicalize(d).ok());
    let lowers =
        wheels.filter(|w| w.is_dir()).map(|w| vec![(w, "wheels".to_owned())]).unwrap_or_default();
    found.overlays.push(CacheOverlay { name: "pip".to_owned(), inside, lowers });
    found.forbidden = forbidden(&data().python.forbidden, &env.home());
    Some(found)
}

/// Packages installed with `pip install --user`.
fn user_packages(found: &mut Toolchain, interpreter: &Path, env: &HostEnv) {
    let lib = env.home().join(".local/lib");
    let series = interpreter
        .file_name()
        .and_then(|n| n.to_str())
        .filter(|n| n.starts_with("python3."))
        .map(str::to_owned);
    let series = series.or_else(|| {
        let lib = interpreter.parent()?.parent()?.join("lib");
        directories_in(&lib).into_iter().map(|(name, _)| name).find(|n| n.starts_with("python3."))
    });
    let Some(series) = series else { return };
    let base = Path::new(PREFIX).join("python-user");
    let inside = base.join("lib").join(&series).join("site-packages");
    if let Some(packages) =
        bind(&lib.join(&series).join("site-packages"), &inside).filter(|b| b.directory)
    {
        found.binds.push(packages);
        found.env.push(("PYTHONUSERBASE".to_owned(), base.to_string_lossy().into_owned()));
    }
}

/// The prefix of the version that pyenv would choose in the workspace: variable, `.python-version` upwards, global.
fn version(root: &Path, env: &HostEnv) -> Option<PathBuf> {
    let mut asked: Vec<String> = Vec::new();
    asked.extend(
        env.var("PYENV_VERSION")
            .map(|v| v.split(':').map(str::to_owned).collect::<Vec<_>>())
            .unwrap_or_default(),
    );
    for dir in env.workspace.ancestors() {
        asked.extend(lines(&dir.join(".python-version")));
    }
    asked.extend(lines(&root.join("version")));
    let installed = directories_in(&root.join("versions"));
    asked.iter().find_map(|version| {
        if version == "system" {
            return None;
        }
        let exact = installed.iter().find(|(name, _)| name == version);
        let series = format!("{version}.");
        let newest = || {
            let of_series = installed.iter().filter(|(name, _)| name.starts_with(&series));
            of_series.max_by_key(|(name, _)| numbers(name))
        };
        exact.or_else(newest).map(|(_, path)| path.clone())
    })
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

fn lines(path: &Path) -> Vec<String> {
    let small = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() <= VERSION_BYTES);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect()
}
