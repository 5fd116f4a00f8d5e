//! OpenCode, started by `opencode run` with the door as its only MCP server. It speaks to every provider of the gate.

use nucleus_wire::control::{Failure, FailureClass, Resume};
use serde_json::{Map, Value, json};

use super::{
    INSTRUCTIONS, Intake, Launch, PLACEHOLDER_KEY, RELAY_INSIDE, SERVER, TOOL_TIMEOUT_S, base_env,
    gate, set,
};

/// Settings above those of the home.
const SETTINGS: &str = "/run/nucleus/opencode.json";
/// What the model is told beside the door's own instructions.
const INSTRUCTIONS_FILE: &str = "/run/nucleus/instructions.md";
/// Built-in tools that could touch nothing here. Planning, skills and sub-agents stay.
const TOOLS_OFF: [&str; 12] = [
    "apply_patch",
    "bash",
    "edit",
    "glob",
    "grep",
    "list",
    "lsp",
    "patch",
    "read",
    "webfetch",
    "websearch",
    "write",
];

/// Builds the command line, environment and settings file.
///
/// # Errors
/// A provider this adapter has no settings for.
pub(super) fn launch(intake: &Intake<'_>) -> Result<Launch, Failure> {
    let mut env = base_env(intake);
    set(
        &mut env,
        &[
            ("OPENCODE_CONFIG", SETTINGS),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1"),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ],
    );
    let mut argv = vec![intake.program.to_owned(), "run".to_owned()];
    match intake.resume {
        Some(Resume::Latest) => argv.push("--continue".to_owned()),
        Some(Resume::Id(id)) => argv.extend(["--session".to_owned(), id.clone()]),
        None => {}
    }
    argv.extend(intake.extra_args.iter().cloned());
    argv.extend(["--".to_owned(), intake.prompt.to_owned()]);
    let files = vec![
        (SETTINGS.to_owned(), settings(intake)?.to_string().into_bytes()),
        (INSTRUCTIONS_FILE.to_owned(), INSTRUCTIONS.as_bytes().to_vec()),
    ];
    Ok(Launch { argv, env, files })
}

/// Flags that restrict the client spare its model refusals; they hold nothing.
fn settings(intake: &Intake<'_>) -> Result<Value, Failure> {
    // The client's name of the provider, what follows the gate's origin in its base URL, and the client's own adapter
    // where the provider is one that it does not know by name.
    let (name, version, adapter) = match intake.provider {
        Some("anthropic") => ("anthropic", "/v1", None),
        Some("openai") => ("openai", "/v1", None),
        Some("openai-chat") => ("compatible", "/v1", Some("@ai-sdk/openai-compatible")),
        Some("gemini") => ("google", "/v1beta", None),
        other => {
            return Err(Failure {
                class: FailureClass::Usage,
                message: format!("OpenCode has no settings here for provider {other:?}"),
                hint: Some("--provider anthropic, openai, openai-chat or gemini".to_owned()),
            });
        }
    };
    let options = json!({"apiKey": PLACEHOLDER_KEY, "baseURL": format!("{}{version}", gate())});
    let mut provider = json!({"options": options});
    if let (Some(adapter), Some(provider)) = (adapter, provider.as_object_mut()) {
        let Some(model) = intake.model else {
            return Err(Failure {
                class: FailureClass::Usage,
                message: "a compatible service does not say which of its models to use".to_owned(),
                hint: Some("name one: --model NAME".to_owned()),
            });
        };
        provider.insert("npm".to_owned(), json!(adapter));
        provider.insert("name".to_owned(), json!("OpenAI-compatible service by way of Nucleus"));
        provider.insert("models".to_owned(), json!({model: {}}));
    }
    let server = json!({
        "type": "local",
        "command": [RELAY_INSIDE],
        "enabled": true,
        "timeout": TOOL_TIMEOUT_S.saturating_mul(1000),
    });
    let mut settings = json!({
        "autoupdate": false,
        "enabled_providers": [name],
        "experimental": {"mcp_timeout": TOOL_TIMEOUT_S.saturating_mul(1000)},
        "instructions": [INSTRUCTIONS_FILE],
        "mcp": {SERVER: server},
        "permission": {format!("{SERVER}_*"): "allow"},
        "provider": {name: provider},
        "share": "disabled",
    });
    let mut add = |key: &str, value: Value| {
        settings.as_object_mut().unwrap_or(&mut Map::new()).insert(key.to_owned(), value);
    };
    for key in ["model", "small_model"] {
        // A model of another provider could not be reached.
        let own = |model: &&str| model.split('/').next() == Some(name);
        let chosen = intake.settings.get(key).map(String::as_str).filter(own).map(str::to_owned);
        let asked = intake.model.map(|model| format!("{name}/{model}"));
        if let Some(model) = asked.or(chosen) {
            add(key, json!(model));
        }
    }
    // What the user says of them takes this one's place.
    if !intake.has("--auto") {
        let off: Map<String, Value> =
            TOOLS_OFF.iter().map(|tool| ((*tool).to_owned(), json!(false))).collect();
        add("tools", Value::Object(off));
    }
    Ok(settings)
}
