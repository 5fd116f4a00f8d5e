//! OpenAI Codex, started by `codex exec` or in its terminal interface, with the door as its only MCP server.

use nucleus_wire::control::{Failure, Resume};
use toml::{Table, Value};

use super::{
    HOME_INSIDE, INSTRUCTIONS, Intake, Launch, PLACEHOLDER_KEY, RELAY_INSIDE, SERVER,
    START_TIMEOUT_S, TOOL_TIMEOUT_S, base_env, defect, gate, set,
};

/// Built-in tools that could touch nothing here, or that speak to services of the provider's. Planning, skills and
/// sub-agents stay.
const FEATURES_OFF: [&str; 11] = [
    "apps",
    "browser_use",
    "computer_use",
    "hooks",
    "image_generation",
    "in_app_browser",
    "plugins",
    "remote_plugin",
    "shell_tool",
    "skill_mcp_dependency_install",
    "view_image",
];

/// Builds the command line, environment and settings file.
///
/// # Errors
/// A defect: the settings are no TOML.
pub(super) fn launch(intake: &Intake<'_>) -> Result<Launch, Failure> {
    let mut env = base_env(intake);
    set(&mut env, &[("OPENAI_API_KEY", PLACEHOLDER_KEY)]);
    let mut argv = vec![intake.program.to_owned()];
    // The interface would start a server of its own to talk to, and look for it where a pod has no such files.
    argv.push(if intake.terminal.is_some() { "--no-daemon" } else { "exec" }.to_owned());
    match intake.resume {
        Some(Resume::Latest) => argv.extend(["resume", "--last"].map(str::to_owned)),
        Some(Resume::Id(id)) => argv.extend(["resume".to_owned(), id.clone()]),
        None => {}
    }
    if intake.terminal.is_none() {
        argv.push("--skip-git-repo-check".to_owned());
    }
    argv.extend(intake.extra_args.iter().cloned());
    if intake.terminal.is_none() || !intake.prompt.is_empty() {
        argv.extend(["--".to_owned(), intake.prompt.to_owned()]);
    }
    let text = toml::to_string(&settings(intake)).map_err(|error| defect("settings", &error))?;
    let file = format!("{HOME_INSIDE}/.codex/config.toml");
    Ok(Launch { argv, env, files: vec![(file, text.into_bytes())] })
}

/// Flags that restrict the client spare its model refusals; they hold nothing.
fn settings(intake: &Intake<'_>) -> Table {
    let mut root = Table::new();
    // Plain values first: a table that is written before them would take them in.
    for (key, value) in intake.settings {
        put(&mut root, key, value.as_str());
    }
    if let Some(model) = intake.model {
        put(&mut root, "model", model);
    }
    put(&mut root, "approval_policy", "never");
    put(&mut root, "check_for_update_on_startup", false);
    put(&mut root, "developer_instructions", INSTRUCTIONS);
    put(&mut root, "model_provider", SERVER);
    put(&mut root, "sandbox_mode", "read-only");
    put(&mut root, "web_search", "disabled");
    let mut provider = Table::new();
    put(&mut provider, "name", "OpenAI by way of Nucleus");
    put(&mut provider, "base_url", format!("{}/v1", gate()));
    put(&mut provider, "env_key", "OPENAI_API_KEY");
    put(&mut provider, "supports_websockets", false);
    put(&mut provider, "wire_api", "responses");
    put(&mut root, "model_providers", table(SERVER, provider));
    let mut server = Table::new();
    put(&mut server, "command", RELAY_INSIDE);
    put(&mut server, "default_tools_approval_mode", "approve");
    put(&mut server, "required", true);
    put(&mut server, "startup_timeout_sec", START_TIMEOUT_S.cast_signed());
    put(&mut server, "tool_timeout_sec", TOOL_TIMEOUT_S.cast_signed());
    put(&mut root, "mcp_servers", table(SERVER, server));
    let mut features = Table::new();
    for name in FEATURES_OFF {
        put(&mut features, name, false);
    }
    // Else the newer models do not see the tools of MCP servers before they search for them.
    let direct = Value::Array(vec![format!("mcp__{SERVER}").into()]);
    put(&mut features, "code_mode", table("direct_only_tool_namespaces", direct));
    put(&mut root, "features", features);
    put(&mut root, "analytics", table("enabled", false));
    put(&mut root, "feedback", table("enabled", false));
    // The directory is a stand-in that Nucleus made; asking whether to trust it would only stop an interactive start.
    let trusted = table("trust_level", "trusted");
    put(&mut root, "projects", table(&intake.workspace.to_string_lossy(), trusted));
    root
}

fn put(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_owned(), value.into());
}

fn table(key: &str, value: impl Into<Value>) -> Value {
    let mut table = Table::new();
    put(&mut table, key, value);
    Value::Table(table)
}
