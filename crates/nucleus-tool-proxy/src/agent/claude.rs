//! Claude Code, started in print mode or in its terminal interface, with the door as its only MCP server.
//!
//! In print mode it asks Nucleus where its own rules would ask its user (`--permission-prompt-tool`). That concerns tools
//! of its own, which it has only if the user says so; what holds them is the pod.

use nucleus_wire::control::Resume;
use nucleus_wire::tool::{PROMPT_TOOL, ToolName};
use serde_json::json;

use super::{
    Intake, Launch, PLACEHOLDER_KEY, RELAY_INSIDE, SERVER, START_TIMEOUT_S, TOOL_TIMEOUT_S,
    base_env, gate, set,
};

/// Where the server list is inside the pod.
const MCP_CONFIG: &str = "/run/nucleus/mcp.json";
/// Built-in tools that touch nothing: planning and sub-agents stay (DESIGN section 6).
const BUILT_IN_TOOLS: &str = "Agent,TodoWrite";

const PROMPT_FLAG: &str = "--permission-prompt-tool";

/// True when it asks about its own tools through the door: in print mode, unless the user named somebody else.
pub(super) fn asks(extra_args: &[String], in_terminal: bool) -> bool {
    let mut args = extra_args.iter().map(String::as_str);
    let named = args.find_map(|arg| match arg.strip_prefix(PROMPT_FLAG) {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(Some),
        None => None,
    });
    let asked = match named {
        Some(Some(tool)) => tool == PROMPT_TOOL,
        Some(None) => args.next() == Some(PROMPT_TOOL),
        None => true,
    };
    asked && !in_terminal
}

/// Builds the command line and environment.
pub(super) fn launch(intake: &Intake<'_>) -> Launch {
    let mut env = base_env(intake);
    set(
        &mut env,
        &[
            ("ANTHROPIC_API_KEY", PLACEHOLDER_KEY),
            ("ANTHROPIC_BASE_URL", &gate()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("MCP_TIMEOUT", &format!("{START_TIMEOUT_S}000")),
            ("MCP_TOOL_TIMEOUT", &format!("{TOOL_TIMEOUT_S}000")),
        ],
    );
    let servers =
        json!({"mcpServers": {SERVER: {"type": "stdio", "command": RELAY_INSIDE, "args": []}}});
    let is_prompt = |tool: &&String| *tool == ToolName::PermissionPrompt.as_str();
    let asks = intake.tools.iter().any(|tool| is_prompt(&tool));
    let allowed: Vec<String> = intake
        .tools
        .iter()
        .filter(|tool| !is_prompt(tool))
        .map(|tool| format!("mcp__{SERVER}__{tool}"))
        .collect();
    let mut argv = vec![intake.program.to_owned()];
    if intake.terminal.is_none() {
        argv.extend(["-p", intake.prompt].map(str::to_owned));
    }
    argv.extend(["--mcp-config", MCP_CONFIG, "--strict-mcp-config"].map(str::to_owned));
    match intake.resume {
        Some(Resume::Latest) => argv.push("--continue".to_owned()),
        Some(Resume::Id(id)) => argv.extend(["--resume".to_owned(), id.clone()]),
        None => {}
    }
    if let Some(model) = intake.model {
        argv.extend(["--model".to_owned(), model.to_owned()]);
    }
    // What the user says of these takes their place: they spare the model refusals, and hold nothing.
    // In the mode `dontAsk` it asks nobody, not the prompt tool either. `default` is what every version takes; this one
    // lists it as `manual`.
    let mode = if asks { "default" } else { "dontAsk" };
    for (flag, value) in [
        ("--tools", BUILT_IN_TOOLS),
        ("--allowedTools", allowed.join(",").as_str()),
        ("--permission-mode", mode),
    ]
    .into_iter()
    .chain(asks.then_some((PROMPT_FLAG, PROMPT_TOOL)))
    {
        if !intake.has(flag) {
            argv.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    argv.extend(intake.extra_args.iter().cloned());
    if intake.terminal.is_some() && !intake.prompt.is_empty() {
        argv.extend(["--", intake.prompt].map(str::to_owned));
    }
    Launch { argv, env, files: vec![(MCP_CONFIG.to_owned(), servers.to_string().into_bytes())] }
}
