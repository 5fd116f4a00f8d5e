//! Claude Code, started in print mode with the door as its only MCP server.

use serde_json::json;

use super::{GATE_PORT, Intake, Launch, RELAY_INSIDE, base_env, program_inside};

/// MCP server name: tools appear to the model as `mcp__nucleus__read` and so on.
const SERVER: &str = "nucleus";
/// Where the server list is inside the pod.
const MCP_CONFIG: &str = "/run/nucleus/mcp.json";
/// Placeholder: the gate discards it and injects the real key outside.
const PLACEHOLDER_KEY: &str = "held-outside-this-sandbox";
/// Built-in tools that touch nothing: planning and sub-agents stay (DESIGN section 6).
const BUILT_IN_TOOLS: &str = "Agent,TodoWrite";
/// Longest MCP call the client waits for, in milliseconds; the door answers long before.
const TOOL_TIMEOUT_MS: &str = "120000";

/// Builds the command line and environment.
pub(super) fn launch(intake: &Intake<'_>) -> Launch {
    let mut env = base_env(intake);
    for (name, value) in [
        ("ANTHROPIC_API_KEY", PLACEHOLDER_KEY.to_owned()),
        ("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{GATE_PORT}")),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
        ("DISABLE_AUTOUPDATER", "1".to_owned()),
        ("MCP_TIMEOUT", "30000".to_owned()),
        ("MCP_TOOL_TIMEOUT", TOOL_TIMEOUT_MS.to_owned()),
    ] {
        env.push((name.to_owned(), value));
    }
    let servers =
        json!({"mcpServers": {SERVER: {"type": "stdio", "command": RELAY_INSIDE, "args": []}}});
    let allowed: Vec<String> =
        intake.tools.iter().map(|tool| format!("mcp__{SERVER}__{tool}")).collect();
    let mut argv = vec![program_inside(intake.program)];
    argv.extend(
        ["-p", intake.prompt, "--mcp-config", MCP_CONFIG, "--strict-mcp-config"].map(str::to_owned),
    );
    // What the user says of these takes their place: they spare the model refusals, and hold nothing.
    for (flag, value) in [
        ("--tools", BUILT_IN_TOOLS),
        ("--allowedTools", allowed.join(",").as_str()),
        ("--permission-mode", "dontAsk"),
    ] {
        if !intake.extra_args.iter().any(|arg| arg == flag) {
            argv.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    argv.extend(intake.extra_args.iter().cloned());
    Launch { argv, env, files: vec![(MCP_CONFIG.to_owned(), servers.to_string().into_bytes())] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn no_key_but_the_placeholder_reaches_the_pod() {
        let tools = vec!["read".to_owned()];
        let intake = Intake {
            program: Path::new("/somewhere/claude"),
            prompt: "fix it",
            extra_args: &[],
            input: None,
            tools: &tools,
            lang: None,
        };
        let launch = launch(&intake);
        let keys: Vec<&str> = launch
            .env
            .iter()
            .filter(|(n, _)| n.contains("KEY") || n.contains("TOKEN"))
            .map(|(_, v)| v.as_str())
            .collect();
        assert_eq!(keys, [PLACEHOLDER_KEY]);
        assert!(launch.argv.contains(&"mcp__nucleus__read".to_owned()));
    }
}
