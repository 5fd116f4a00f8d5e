//! Finds the agent programs on the host.

mod native;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::args::Agent;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::provider::Provider;
use crate::proxy;

/// What the pod needs of an agent's installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The program, as a real file.
    pub program: PathBuf,
    /// The directory it lies in and cannot do without.
    pub package: Option<PathBuf>,
    /// Its interpreter.
    pub interpreter: Option<PathBuf>,
}

/// What is known of an agent that people install.
struct Known {
    agent: Agent,
    title: &'static str,
    command: &'static str,
    install: &'static str,
}

const KNOWN: [Known; 4] = [
    Known {
        agent: Agent::Claude,
        title: "Claude Code",
        command: "claude",
        install: "npm install -g @anthropic-ai/claude-code",
    },
    Known {
        agent: Agent::Codex,
        title: "Codex",
        command: "codex",
        install: "npm install -g @openai/codex",
    },
    Known {
        agent: Agent::Gemini,
        title: "Gemini CLI",
        command: "gemini",
        install: "npm install -g @google/gemini-cli",
    },
    Known {
        agent: Agent::Opencode,
        title: "OpenCode",
        command: "opencode",
        install: "npm install -g opencode-ai",
    },
];

impl Agent {
    /// Name on the command line, in configuration files and in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Scripted => "scripted",
        }
    }

    /// The provider of its model; `None` when the user chooses.
    pub(crate) fn provider(self) -> Option<Provider> {
        match self {
            Self::Claude => Some(Provider::Anthropic),
            Self::Codex => Some(Provider::Openai),
            Self::Gemini => Some(Provider::Gemini),
            Self::Opencode | Self::Scripted => None,
        }
    }
}

/// The agent to start: the one that is named, else the configured one, else the only one that is installed.
pub(crate) fn choose(
    named: Option<Agent>,
    configured: Option<&str>,
    env: &Environment,
) -> Result<Agent, CliFailure> {
    if let Some(agent) = named {
        return Ok(agent);
    }
    if let Some(name) = configured {
        return Agent::from_str(name, false).map_err(|_| {
            CliFailure::policy(format!(
                "the configuration names agent {name:?}, which this version cannot start"
            ))
            .hint(format!("agents: {}", names()))
        });
    }
    let installed: Vec<&Known> =
        KNOWN.iter().filter(|known| in_path(known.command, env).is_some()).collect();
    match installed.as_slice() {
        [one] => Ok(one.agent),
        [] => {
            let installs: Vec<String> =
                KNOWN.iter().map(|k| format!("  {:<12} {}", k.title, k.install)).collect();
            Err(CliFailure::usage("no agent is installed").hint(format!(
                "install one:\n{}\nor run a command instead of an agent: nucleus run --allow-local-driver -- CMD",
                installs.join("\n")
            )))
        }
        several => {
            let found: Vec<&str> = several.iter().map(|known| known.agent.name()).collect();
            let (all, first) = (found.join(", "), found.first().copied().unwrap_or("claude"));
            Err(CliFailure::usage(format!("several agents are installed: {all}")).hint(format!(
                "choose one: --agent {first}\nor for good, in config.toml of the configuration directory: agent = \"{first}\""
            )))
        }
    }
}

/// The program of an agent, as a real file, and what goes with it.
pub(crate) fn find(agent: Agent, env: &Environment) -> Result<Found, CliFailure> {
    let Some(known) = KNOWN.iter().find(|known| known.agent == agent) else {
        let program = proxy::companion(&proxy::bin_dir()?, "nucleus-scripted-agent")?;
        return Ok(Found { program, package: None, interpreter: None });
    };
    let found = in_path(known.command, env).ok_or_else(|| {
        CliFailure::usage(format!(
            "{} is not installed (no `{}` in PATH)",
            known.title, known.command
        ))
        .hint(format!(
            "{}\nor run a command instead of an agent: nucleus run --allow-local-driver -- CMD",
            known.install
        ))
    })?;
    let real = std::fs::canonicalize(&found).map_err(|error| {
        CliFailure::unavailable(format!("cannot resolve {}: {error}", found.display()))
    })?;
    let node = || in_path("node", env).and_then(|path| std::fs::canonicalize(path).ok());
    native::resolve(agent, &real, node).ok_or_else(|| {
        let needs = if agent == Agent::Gemini { " with Node beside it in PATH" } else { "" };
        CliFailure::usage(format!(
            "{} is no {} this version knows how to start{needs}",
            real.display(),
            known.title
        ))
        .hint(known.install)
    })
}

fn names() -> String {
    let all: Vec<&str> = Agent::value_variants().iter().map(|agent| agent.name()).collect();
    all.join(", ")
}

fn in_path(command: &str, env: &Environment) -> Option<PathBuf> {
    let path = env.get("PATH")?;
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(command))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
