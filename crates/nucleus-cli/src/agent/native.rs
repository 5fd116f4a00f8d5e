//! From what stands in PATH to the program itself: npm installs launch scripts, and the programs in packages beside
//! them.

use std::path::{Path, PathBuf};

use super::Found;
use crate::args::Agent;

/// npm's name of this machine's kind, and the target triple Codex names its directory after.
#[cfg(target_arch = "x86_64")]
const MACHINE: (&str, &str) = ("linux-x64", "x86_64-unknown-linux-musl");
#[cfg(target_arch = "aarch64")]
const MACHINE: (&str, &str) = ("linux-arm64", "aarch64-unknown-linux-musl");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: (&str, &str) = ("unsupported", "unsupported");

/// File that marks the directory Codex's own helper programs lie in.
const CODEX_PACKAGE: &str = "codex-package.json";
/// Name of Gemini CLI's package.
const GEMINI_PACKAGE: &str = "@google/gemini-cli";
/// Largest `package.json` read, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// The program behind `real`, the file in PATH with links resolved; `None` when there is none.
pub(super) fn resolve(
    agent: Agent,
    real: &Path,
    node: impl Fn() -> Option<PathBuf>,
) -> Option<Found> {
    let (kind, triple) = MACHINE;
    let beside = |places: &[String]| program(real, places);
    match agent {
        Agent::Claude => {
            let native = format!("claude-code-{kind}/claude");
            Some(alone(beside(&[native.clone(), format!("node_modules/@anthropic-ai/{native}")])?))
        }
        Agent::Codex => {
            let native = format!("vendor/{triple}/bin/codex");
            let program = beside(&[
                format!("codex-{kind}/{native}"),
                format!("node_modules/@openai/codex-{kind}/{native}"),
                native,
            ])?;
            let package = program.parent().and_then(Path::parent);
            let package = package.filter(|dir| dir.join(CODEX_PACKAGE).is_file());
            Some(Found { package: package.map(Path::to_path_buf), ..alone(program) })
        }
        Agent::Opencode => {
            let native = |suffix: &str| format!("opencode-{kind}{suffix}/bin/opencode");
            let found = beside(&[
                native(""),
                format!("node_modules/{}", native("")),
                native("-baseline"),
                format!("node_modules/{}", native("-baseline")),
            ])?;
            Some(alone(found))
        }
        Agent::Gemini => {
            let package = real.ancestors().skip(1).find(|dir| is_package(dir, GEMINI_PACKAGE))?;
            let interpreter = node().filter(|path| is_elf(path))?;
            Some(Found {
                program: real.to_path_buf(),
                package: Some(package.to_path_buf()),
                interpreter: Some(interpreter),
            })
        }
        Agent::Scripted => None,
    }
}

fn alone(program: PathBuf) -> Found {
    Found { program, package: None, interpreter: None }
}

/// `real` itself when it is a program, else the nearest of `places` above it.
fn program(real: &Path, places: &[String]) -> Option<PathBuf> {
    if is_elf(real) {
        return Some(real.to_path_buf());
    }
    let candidates = real.ancestors().flat_map(|dir| places.iter().map(|place| dir.join(place)));
    // A package manager may keep its packages elsewhere and link them here.
    let real = candidates.filter_map(|candidate| std::fs::canonicalize(candidate).ok());
    real.into_iter().find(|candidate| is_elf(candidate))
}

fn is_package(dir: &Path, name: &str) -> bool {
    use std::io::Read;
    let Ok(file) = std::fs::File::open(dir.join("package.json")) else { return false };
    let mut text = String::new();
    if file.take(MANIFEST_BYTES_MAX).read_to_string(&mut text).is_err() {
        return false;
    }
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    manifest.get("name").and_then(serde_json::Value::as_str) == Some(name)
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0_u8; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(base: &Path, path: &str, text: &str) -> PathBuf {
        let file = base.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn npm_launch_scripts_lead_to_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let (kind, triple) = MACHINE;
        let script = "#!/usr/bin/env node\n";
        // Installed side by side, as npm does.
        let launch = put(&base, "lib/node_modules/@openai/codex/bin/codex.js", script);
        let vendor = format!("lib/node_modules/@openai/codex-{kind}/vendor/{triple}");
        let codex = put(&base, &format!("{vendor}/bin/codex"), "\x7fELF and so on");
        let found = resolve(Agent::Codex, &launch, || None).unwrap();
        assert_eq!((found.program, found.package), (codex.clone(), None));
        put(&base, &format!("{vendor}/{CODEX_PACKAGE}"), "{}");
        let found = resolve(Agent::Codex, &launch, || None).unwrap();
        assert_eq!(found.package, Some(base.join(vendor)));
        // Nested below the wrapper, as npm does with -g.
        let launch = put(&base, "g/opencode-ai/bin/opencode", script);
        let nested = format!("g/opencode-ai/node_modules/opencode-{kind}/bin/opencode");
        let opencode = put(&base, &nested, "\x7fELF and so on");
        assert_eq!(resolve(Agent::Opencode, &launch, || None).unwrap().program, opencode);
        // A script with nothing beside it is nothing to start.
        assert_eq!(resolve(Agent::Claude, &launch, || None), None);
        assert_eq!(resolve(Agent::Claude, &codex, || None).unwrap().program, codex);
    }

    #[test]
    fn gemini_is_its_package_and_an_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let launch = put(&base, "gemini-cli/bundle/gemini.js", "#!/usr/bin/env node\n");
        let node = put(&base, "node", "\x7fELF and so on");
        let with_node = || Some(node.clone());
        put(&base, "package.json", r#"{"name":"somebody's project"}"#);
        assert_eq!(resolve(Agent::Gemini, &launch, with_node), None, "any directory would do");
        put(&base, "gemini-cli/package.json", r#"{"name":"@google/gemini-cli"}"#);
        let found = resolve(Agent::Gemini, &launch, with_node).unwrap();
        assert_eq!(found.package, Some(base.join("gemini-cli")));
        assert_eq!(found.interpreter, Some(node.clone()));
        assert_eq!(resolve(Agent::Gemini, &launch, || None), None);
    }
}
