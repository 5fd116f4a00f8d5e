//! Gemini CLI, a Node program, started in headless mode with the door as its only MCP server.

use nucleus_wire::control::Resume;
use serde_json::{Value, json};

use super::{
    HOME_INSIDE, INTERPRETER_INSIDE, Intake, Launch, PLACEHOLDER_KEY, RELAY_INSIDE, SERVER,
    TOOL_TIMEOUT_S, base_env, gate, set,
};

/// Rules of the client's own, which take tools off the model's list.
const RULES: &str = "/run/nucleus/gemini-rules.toml";
/// Built-in tools that could touch nothing here. Planning, skills and sub-agents stay.
const TOOLS_OFF: [&str; 11] = [
    "glob",
    "google_web_search",
    "grep_search",
    "list_directory",
    "read_file",
    "read_many_files",
    "replace",
    "run_shell_command",
    "save_memory",
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
            ("GOOGLE_GEMINI_BASE_URL", &gate()),
        ],
    );
    // It complains of plain terminals even where it has none.
    env.retain(|(name, _)| name != "TERM");
    set(&mut env, &[("COLORTERM", "truecolor"), ("NO_COLOR", "1"), ("TERM", "xterm-256color")]);
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
    // What the user says of these takes their place: they spare the model refusals, and hold nothing.
    if !["--yolo", "-y", "--approval-mode", "--policy"].iter().any(|flag| intake.has(flag)) {
        argv.extend(["--policy", RULES].map(str::to_owned));
    }
    argv.extend(intake.extra_args.iter().cloned());
    // One word: the prompt may begin with a dash.
    argv.push(format!("--prompt={}", intake.prompt));
    // Settings of the system would come first, but it reads them only from a directory of root's, which no pod has.
    let file = format!("{HOME_INSIDE}/.gemini/settings.json");
    let rules: String = TOOLS_OFF
        .iter()
        .map(|tool| {
            format!("[[rule]]\ntoolName = \"{tool}\"\ndecision = \"deny\"\npriority = 900\n")
        })
        .collect();
    let files = vec![
        (file, settings(intake).to_string().into_bytes()),
        (RULES.to_owned(), rules.into_bytes()),
    ];
    Launch { argv, env, files }
}

fn settings(intake: &Intake<'_>) -> Value {
    let server = json!({
        "command": RELAY_INSIDE,
        "timeout": TOOL_TIMEOUT_S.saturating_mul(1000),
        "trust": true,
    });
    let mut settings = json!({
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
        "mcp": {"allowed": [SERVER]},
        "mcpServers": {SERVER: server},
        "privacy": {"usageStatisticsEnabled": false},
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": false}},
        "telemetry": {"enabled": false},
    });
    if let (Some(theme), Some(settings)) =
        (intake.settings.get("ui.theme"), settings.as_object_mut())
    {
        settings.insert("ui".to_owned(), json!({"theme": theme}));
    }
    settings
}
