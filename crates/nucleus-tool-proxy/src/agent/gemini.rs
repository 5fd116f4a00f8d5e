//! Gemini CLI, a Node program, started in headless mode with the door as its only MCP server.

use nucleus_wire::control::Resume;
use serde_json::{Map, Value, json};

use super::{
    INTERPRETER_INSIDE, Intake, Launch, PLACEHOLDER_KEY, RELAY_INSIDE, SERVER, TOOL_TIMEOUT_S,
    base_env, gate, set,
};

/// Settings above those of the home and of the workspace.
const SETTINGS: &str = "/run/nucleus/gemini.json";
/// Built-in tools that could touch nothing here. Planning, skills and sub-agents stay.
const TOOLS_OFF: [&str; 12] = [
    "glob",
    "google_web_search",
    "grep_search",
    "list_directory",
    "read_file",
    "read_many_files",
    "replace",
    "run_shell_command",
    "save_memory",
    "search_file_content",
    "web_fetch",
    "write_file",
];

/// Builds the command line, environment and settings file.
pub(super) fn launch(intake: &Intake<'_>) -> Launch {
    let mut env = base_env(intake);
    set(
        &mut env,
        &[
            ("GEMINI_API_KEY", PLACEHOLDER_KEY),
            ("GEMINI_CLI_NO_RELAUNCH", "true"),
            ("GEMINI_CLI_SYSTEM_SETTINGS_PATH", SETTINGS),
            ("GOOGLE_GEMINI_BASE_URL", &gate()),
        ],
    );
    let mut argv = Vec::new();
    if intake.interpreted {
        argv.push(INTERPRETER_INSIDE.to_owned());
    }
    argv.extend([intake.program, "--skip-trust"].map(str::to_owned));
    match intake.resume {
        Some(Resume::Latest) => argv.extend(["--resume", "latest"].map(str::to_owned)),
        Some(Resume::Id(id)) => argv.extend(["--resume".to_owned(), id.clone()]),
        None => {}
    }
    if let Some(model) = intake.model_or("model.name") {
        argv.extend(["--model".to_owned(), model.to_owned()]);
    }
    argv.extend(intake.extra_args.iter().cloned());
    // One word: the prompt may begin with a dash.
    argv.push(format!("--prompt={}", intake.prompt));
    let files = vec![(SETTINGS.to_owned(), settings(intake).to_string().into_bytes())];
    Launch { argv, env, files }
}

/// Flags that restrict the client spare its model refusals; they hold nothing.
fn settings(intake: &Intake<'_>) -> Value {
    let server = json!({
        "command": RELAY_INSIDE,
        "timeout": TOOL_TIMEOUT_S.saturating_mul(1000),
        "trust": true,
    });
    let mut settings = json!({
        "general": {"disableAutoUpdate": true, "disableUpdateNag": true, "enableAutoUpdate": false},
        "mcp": {"allowed": [SERVER]},
        "mcpServers": {SERVER: server},
        "privacy": {"usageStatisticsEnabled": false},
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": false}},
        "telemetry": {"enabled": false},
    });
    let mut add = |key: &str, value: Value| {
        settings.as_object_mut().unwrap_or(&mut Map::new()).insert(key.to_owned(), value);
    };
    if let Some(theme) = intake.settings.get("ui.theme") {
        add("ui", json!({"theme": theme}));
    }
    // What the user says of them takes this one's place.
    if !["--yolo", "-y", "--approval-mode", "--allowed-tools"].iter().any(|flag| intake.has(flag)) {
        add("tools", json!({"exclude": TOOLS_OFF}));
    }
    settings
}
