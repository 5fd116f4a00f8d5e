//! Finds the agent program on the host.

use std::path::{Path, PathBuf};

use crate::args::Agent;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::proxy;

/// Native package of Claude Code, beside the wrapper package npm installs.
const CLAUDE_NATIVE: &str = "claude-code-linux-x64/claude";

/// The program of an agent, as a real file.
pub(crate) fn find(agent: Agent, env: &Environment) -> Result<PathBuf, CliFailure> {
    match agent {
        Agent::Claude => claude(env),
        Agent::Scripted => proxy::companion(&proxy::bin_dir()?, "nucleus-scripted-agent"),
    }
}

/// The agent to use when none is named: the one that is installed.
pub(crate) fn default_agent(env: &Environment) -> Result<Agent, CliFailure> {
    claude(env).map(|_| Agent::Claude)
}

fn claude(env: &Environment) -> Result<PathBuf, CliFailure> {
    let missing = || {
        CliFailure::usage("Claude Code is not installed (no `claude` in PATH)").hint(
            "npm install -g @anthropic-ai/claude-code\n\
             or run a command instead of an agent: nucleus run --allow-local-driver -- CMD",
        )
    };
    let found = env
        .get("PATH")
        .into_iter()
        .flat_map(std::env::split_paths)
        .map(|dir| dir.join("claude"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(missing)?;
    let real = std::fs::canonicalize(&found).map_err(|error| {
        CliFailure::unavailable(format!("cannot resolve {}: {error}", found.display()))
    })?;
    if is_elf(&real) {
        return Ok(real);
    }
    // npm's wrapper is a script; the program itself is in a package beside it.
    real.ancestors()
        .flat_map(|dir| {
            [dir.join(CLAUDE_NATIVE), dir.join("node_modules/@anthropic-ai").join(CLAUDE_NATIVE)]
        })
        .find(|candidate| is_elf(candidate))
        .ok_or_else(|| {
            CliFailure::usage(format!(
                "{} is not a native Claude Code and none is beside it",
                real.display()
            ))
            .hint("npm install -g @anthropic-ai/claude-code")
        })
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

    #[test]
    fn a_script_is_not_a_program_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("claude");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(!is_elf(&script));
        assert!(is_elf(&std::env::current_exe().unwrap()));
    }
}
