//! The installation and the user's own things: programs, agents, keys, toolchains, configuration.

use std::path::Path;

use nucleus_sandbox::toolchain::{self, HostEnv};

use super::check::{Check, Verdict};
use crate::agent;
use crate::args::Agent;
use crate::environment::Environment;
use crate::proxy;
use crate::settings;
use crate::state::State;

/// Agents that people install.
const AGENTS: [Agent; 4] = [Agent::Claude, Agent::Codex, Agent::Gemini, Agent::Opencode];

/// The checks.
pub(super) fn checks(state: &State, bin_dir: &Path, env: &Environment) -> Vec<Check> {
    vec![programs(bin_dir), agents(env), keys(env), toolchains(env), configuration(state, env)]
}

fn programs(bin_dir: &Path) -> Check {
    let missing: Vec<&str> = ["nucleus-tool-proxy", "nucleus-mcp", "nucleus-audit"]
        .into_iter()
        .filter(|name| proxy::companion(bin_dir, name).is_err())
        .collect();
    if missing.is_empty() {
        return Check::good("programs", format!("complete, in {}", bin_dir.display()));
    }
    // Only verification is lost without the auditor.
    let verdict = if missing == ["nucleus-audit"] { Verdict::Weaker } else { Verdict::Broken };
    Check::new("programs", verdict, format!("not beside nucleus: {}", missing.join(", ")))
        .mend(format!("cargo install {}", missing.join(" ")))
}

fn agents(env: &Environment) -> Check {
    let found: Vec<&str> = AGENTS
        .into_iter()
        .filter(|agent| agent::find(*agent, env).is_ok())
        .map(Agent::name)
        .collect();
    if found.is_empty() {
        return Check::new("agents", Verdict::Weaker, "none found in PATH")
            .without("`nucleus run -- CMD` works, `nucleus run \"task\"` has nobody to do it")
            .mend("npm install -g @anthropic-ai/claude-code (or codex, gemini, opencode)");
    }
    Check::good("agents", found.join(", "))
}

/// Which keys are there; never what they are.
fn keys(env: &Environment) -> Check {
    let set: Vec<&str> = AGENTS
        .into_iter()
        .filter_map(Agent::provider)
        .flat_map(|provider| provider.key_names().iter().copied())
        .filter(|name| env.get(name).is_some())
        .collect();
    if set.is_empty() {
        return Check::note(
            "model key",
            "none in the environment; an agent needs one, or --model-key-file",
        );
    }
    Check::good("model key", format!("set: {}", set.join(", ")))
}

fn toolchains(env: &Environment) -> Check {
    let workspace = std::env::current_dir().unwrap_or_default();
    let found = toolchain::discover(&HostEnv { vars: env.for_proxy(), workspace });
    let names: Vec<String> = found.iter().map(|t| format!("{} ({})", t.name, t.detail)).collect();
    if names.is_empty() {
        return Check::note("toolchains", "none found: pods have the system's own programs only");
    }
    Check::good("toolchains", names.join(", "))
}

fn configuration(state: &State, env: &Environment) -> Check {
    match settings::usable(state, env) {
        Ok(config) if config.allow_local_driver == Some(true) => {
            Check::good("configuration", "valid; the local driver is accepted for good")
        }
        Ok(_) => Check::good("configuration", "valid; runs need --allow-local-driver"),
        Err(failure) => Check::new("configuration", Verdict::Broken, one_line(failure.message()))
            .mend("nucleus config check says where"),
    }
}

/// Errors of a file have a line each; here there is room for one.
fn one_line(message: &str) -> String {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    match lines.count() {
        0 => first.to_owned(),
        more => format!("{first} (and {more} more)"),
    }
}
