//! Agent adapters: how each agent program is started inside its pod.
//!
//! An adapter only arranges; flags that restrict the client are a convenience for the model (it is not offered
//! tools that cannot work), never enforcement.

mod claude;
mod codex;
mod gemini;
mod opencode;
mod scripted;

use std::collections::BTreeMap;
use std::path::Path;

use nucleus_wire::control::{Failure, FailureClass, Resume, TerminalSpec};

/// The relay's place inside every agent pod.
pub(crate) const RELAY_INSIDE: &str = "/opt/nucleus/nucleus-mcp";
/// The agent program's directory inside its pod.
pub(crate) const AGENT_DIR_INSIDE: &str = "/opt/nucleus/agent";
/// Home of the agent inside its pod.
pub(crate) const HOME_INSIDE: &str = "/home/agent";
/// An agent's interpreter inside its pod.
pub(crate) const INTERPRETER_INSIDE: &str = "/opt/nucleus/interpreter";
/// Port of the model gate inside the agent pod.
pub(crate) const GATE_PORT: u16 = 8080;

/// Agents whose own terminal interface is served.
const WITH_TERMINAL: [&str; 3] = ["claude", "codex", "scripted"];
/// MCP server name of the door, as clients show it.
const SERVER: &str = "nucleus";
/// Placeholder: the gate discards it and injects the real key outside.
const PLACEHOLDER_KEY: &str = "held-outside-this-sandbox";
/// Longest MCP call a client waits for, in seconds; the door answers long before.
const TOOL_TIMEOUT_S: u64 = 120;
/// Longest start of the relay a client waits for, in seconds.
const START_TIMEOUT_S: u64 = 30;
/// What a client without instructions of its own about the door tells its model.
const INSTRUCTIONS: &str = "The files of this workspace are reached only through the tools of the MCP server \
    `nucleus`: read, write, edit, search and run with them. What built-in file, patch and shell tools see here is an \
    empty, read-only stand-in.";

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
    /// Where the program is inside the pod.
    pub program: &'a str,
    /// True when its interpreter is at [`INTERPRETER_INSIDE`].
    pub interpreted: bool,
    /// The task in words.
    pub prompt: &'a str,
    /// The user's extra arguments.
    pub extra_args: &'a [String],
    /// The script of a scripted agent.
    pub input: Option<&'a str>,
    /// Names of the tools the door offers.
    pub tools: &'a [String],
    /// Locale of the host, passed through when set.
    pub lang: Option<&'a str>,
    /// The model to ask for.
    pub model: Option<&'a str>,
    /// The conversation to go on with.
    pub resume: Option<&'a Resume>,
    /// Provider of the gate.
    pub provider: Option<&'a str>,
    /// Plain values of the user's own settings file, by dotted key.
    pub settings: &'a BTreeMap<String, String>,
    /// The workspace.
    pub workspace: &'a Path,
    /// The terminal the agent gets, when a user works with it.
    pub terminal: Option<&'a TerminalSpec>,
}

impl Intake<'_> {
    /// The model asked for, or the one of the user's settings.
    fn model_or(&self, key: &str) -> Option<&str> {
        self.model.or_else(|| self.settings.get(key).map(String::as_str))
    }

    /// True when the user gave this argument, alone or with its value.
    fn has(&self, flag: &str) -> bool {
        let with_value = format!("{flag}=");
        self.extra_args.iter().any(|arg| arg == flag || arg.starts_with(&with_value))
    }
}

/// Where the agent program is inside its pod: in its package when it has one.
pub(crate) fn program_inside(program: &Path, package: Option<&Path>) -> String {
    let relative = package
        .and_then(|package| program.strip_prefix(package).ok())
        .or_else(|| program.file_name().map(Path::new))
        .unwrap_or(Path::new("agent"));
    format!("{AGENT_DIR_INSIDE}/{}", relative.display())
}

/// True when `agent` asks about its own tools through the door.
pub(crate) fn asks(agent: &str, extra_args: &[String], in_terminal: bool) -> bool {
    agent == "claude" && claude::asks(extra_args, in_terminal)
}

/// Makes the launch of `agent`.
///
/// # Errors
/// [`FailureClass::Usage`] for an agent this build has no adapter for, or one that cannot do what is asked.
pub(crate) fn launch(agent: &str, intake: &Intake<'_>) -> Result<Launch, Failure> {
    if intake.terminal.is_some() && !WITH_TERMINAL.contains(&agent) {
        return Err(Failure {
            class: FailureClass::Usage,
            message: format!("{agent} cannot be worked with in its own terminal interface yet"),
            hint: Some(format!("agents that can: {}", WITH_TERMINAL.join(", "))),
        });
    }
    match agent {
        "claude" => Ok(claude::launch(intake)),
        "codex" => codex::launch(intake),
        "gemini" => Ok(gemini::launch(intake)),
        "opencode" => opencode::launch(intake),
        "scripted" => scripted::launch(intake),
        other => Err(Failure {
            class: FailureClass::Usage,
            message: format!("no adapter for agent {other:?}"),
            hint: Some("agents: claude, codex, gemini, opencode, scripted".to_owned()),
        }),
    }
}

/// The origin of the gate inside the pod.
fn gate() -> String {
    format!("http://127.0.0.1:{GATE_PORT}")
}

/// Adds variables.
fn set(env: &mut Vec<(String, String)>, variables: &[(&str, &str)]) {
    env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
}

/// A failure that is nobody's but Nucleus's own.
pub(crate) fn defect(what: &str, error: &impl std::fmt::Display) -> Failure {
    Failure {
        class: FailureClass::Internal,
        message: format!("the agent's {what}: {error}"),
        hint: None,
    }
}

/// Environment every agent gets.
fn base_env(intake: &Intake<'_>) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = [
        ("HOME", HOME_INSIDE),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("SHELL", "/bin/sh"),
        ("TMPDIR", "/tmp"),
        ("USER", "agent"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let term = intake.terminal.map_or("dumb", |terminal| terminal.term.as_str());
    env.push(("TERM".to_owned(), term.to_owned()));
    if let Some(colour) = intake.terminal.and_then(|terminal| terminal.colour.as_ref()) {
        env.push(("COLORTERM".to_owned(), colour.clone()));
    }
    if let Some(lang) = intake.lang {
        env.push(("LANG".to_owned(), lang.to_owned()));
    }
    env
}

#[cfg(test)]
mod tests {
    use nucleus_wire::tool::PROMPT_TOOL;

    use super::*;

    fn intake<'a>(
        agent: &str,
        tools: &'a [String],
        settings: &'a BTreeMap<String, String>,
    ) -> Intake<'a> {
        Intake {
            program: "/opt/nucleus/agent/program",
            interpreted: agent == "gemini",
            prompt: "-- fix it",
            extra_args: &[],
            input: None,
            tools,
            lang: None,
            terminal: None,
            model: Some("some-model"),
            resume: None,
            provider: Some("openai"),
            settings,
            workspace: Path::new("/work"),
        }
    }

    fn launched(agent: &str, resume: Option<&Resume>) -> Launch {
        let (tools, settings) = (vec!["read".to_owned()], BTreeMap::new());
        launch(agent, &Intake { resume, ..intake(agent, &tools, &settings) }).unwrap()
    }

    #[test]
    fn no_key_but_the_placeholder_reaches_the_pod() {
        for agent in ["claude", "codex", "gemini", "opencode"] {
            let launch = launched(agent, None);
            let named: Vec<&str> = launch
                .env
                .iter()
                .filter(|(name, _)| name.contains("KEY") || name.contains("TOKEN"))
                .map(|(_, value)| value.as_str())
                .collect();
            let files: Vec<String> = launch
                .files
                .iter()
                .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
                .collect();
            let all = format!("{named:?} {}", files.join("\n"));
            assert!(all.contains(PLACEHOLDER_KEY), "{agent}: {all}");
            assert!(named.iter().all(|value| *value == PLACEHOLDER_KEY), "{agent}: {all}");
            let talks = format!("{all} {:?} {:?}", launch.env, launch.argv);
            for part in [RELAY_INSIDE, "some-model", "127.0.0.1:8080"] {
                assert!(talks.contains(part), "{agent}: {part} in {talks}");
            }
        }
    }

    #[test]
    fn claude_code_asks_through_the_door_unless_the_user_says_otherwise() {
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let flag = "--permission-prompt-tool";
        for (given, expected) in [
            (args(&[]), true),
            (args(&["--tools", "default"]), true),
            (args(&["--permission-prompt-toolbox", "x"]), true),
            (args(&[flag, PROMPT_TOOL]), true),
            (args(&[&format!("{flag}={PROMPT_TOOL}")]), true),
            (args(&["--verbose", flag, "mcp__other__ask"]), false),
            (args(&[&format!("{flag}=mcp__other__ask")]), false),
            (args(&[flag]), false),
        ] {
            assert_eq!(asks("claude", &given, false), expected, "{given:?}");
            assert!(!asks("claude", &given, true), "its own interface asks its user: {given:?}");
            assert!(!asks("codex", &given, false), "{given:?}");
        }
    }

    #[test]
    fn claude_code_gets_a_mode_that_asks_and_the_tool_to_ask() {
        let (listed, settings) = (["read", "permission_prompt"], BTreeMap::new());
        let line = |tools: usize, extra: &[&str]| {
            let tools: Vec<String> = listed.iter().take(tools).map(|t| (*t).to_owned()).collect();
            let extra_args: Vec<String> = extra.iter().map(|arg| (*arg).to_owned()).collect();
            let intake = Intake {
                tools: &tools,
                extra_args: &extra_args,
                ..intake("claude", &[], &settings)
            };
            launch("claude", &intake).unwrap().argv.join(" ")
        };
        let asking = line(2, &[]);
        let flags = format!("--permission-mode default --permission-prompt-tool {PROMPT_TOOL}");
        assert!(asking.contains(&flags), "{asking}");
        assert!(asking.contains("--allowedTools mcp__nucleus__read --"), "{asking}");
        let silent = line(1, &[]);
        assert!(silent.contains("--permission-mode dontAsk"), "{silent}");
        assert!(!silent.contains("--permission-prompt-tool"), "{silent}");
        let theirs = line(2, &["--permission-mode", "plan", "--permission-prompt-tool", "x"]);
        assert!(theirs.ends_with("--permission-mode plan --permission-prompt-tool x"), "{theirs}");
        assert_eq!(theirs.matches("--permission-").count(), 2, "{theirs}");
    }

    #[test]
    fn each_agent_goes_on_in_its_own_way() {
        let id = Resume::Id("abc".to_owned());
        for (agent, latest, by_id) in [
            ("claude", vec!["--continue"], vec!["--resume", "abc"]),
            ("codex", vec!["resume", "--last"], vec!["resume", "abc"]),
            ("gemini", vec!["--resume", "latest"], vec!["--resume", "abc"]),
            ("opencode", vec!["--continue"], vec!["--session", "abc"]),
        ] {
            let has = |resume: Option<&Resume>, words: &[&str]| {
                launched(agent, resume).argv.windows(words.len()).any(|at| at == words)
            };
            assert!(has(Some(&Resume::Latest), &latest) && !has(None, &latest), "{agent}");
            assert!(has(Some(&id), &by_id) && !has(None, &by_id), "{agent}");
        }
    }
}
