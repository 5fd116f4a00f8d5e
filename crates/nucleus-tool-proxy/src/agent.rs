//! Agent adapters: how each agent program is started inside its pod.
//!
//! An adapter only arranges; flags that restrict the client are a convenience for the model (it is not offered
//! tools that cannot work), never enforcement.

mod claude;
mod scripted;

use std::path::Path;

use nucleus_wire::control::{Failure, FailureClass};

/// The relay's place inside every agent pod.
pub(crate) const RELAY_INSIDE: &str = "/opt/nucleus/nucleus-mcp";
/// The agent program's directory inside its pod.
pub(crate) const AGENT_DIR_INSIDE: &str = "/opt/nucleus/agent";
/// Home of the agent inside its pod.
pub(crate) const HOME_INSIDE: &str = "/home/agent";
/// Port of the model gate inside the agent pod.
pub(crate) const GATE_PORT: u16 = 8080;

/// What the pod needs to start the agent.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Program (inside path) and arguments.
    pub argv: Vec<String>,
    /// Environment, complete.
    pub env: Vec<(String, String)>,
    /// Read-only files made for this task: inside path and content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Input of an adapter.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    /// Program on the host; bound read-only at [`program_inside`].
    pub program: &'a Path,
    /// The task in words.
    pub prompt: &'a str,
    /// The user's extra arguments.
    pub extra_args: &'a [String],
    /// The script of a scripted agent.
    pub input: Option<&'a str>,
    /// Names of the tools the door offers.
    pub tools: &'a [String],
    /// Locale and terminal of the host, passed through when set.
    pub lang: Option<&'a str>,
}

/// Where the agent program is inside its pod.
pub(crate) fn program_inside(program: &Path) -> String {
    let name = program
        .file_name()
        .map_or_else(|| "agent".into(), |name| name.to_string_lossy().into_owned());
    format!("{AGENT_DIR_INSIDE}/{name}")
}

/// Makes the launch of `agent`.
///
/// # Errors
/// [`FailureClass::Usage`] for an agent this build has no adapter for.
pub(crate) fn launch(agent: &str, intake: &Intake<'_>) -> Result<Launch, Failure> {
    match agent {
        "claude" => Ok(claude::launch(intake)),
        "scripted" => scripted::launch(intake),
        other => Err(Failure {
            class: FailureClass::Usage,
            message: format!("no adapter for agent {other:?}"),
            hint: Some("agents: claude, scripted".to_owned()),
        }),
    }
}

/// Environment every agent gets.
fn base_env(intake: &Intake<'_>) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = [
        ("HOME", HOME_INSIDE),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("SHELL", "/bin/sh"),
        ("TERM", "dumb"),
        ("TMPDIR", "/tmp"),
        ("USER", "agent"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if let Some(lang) = intake.lang {
        env.push(("LANG".to_owned(), lang.to_owned()));
    }
    env
}
