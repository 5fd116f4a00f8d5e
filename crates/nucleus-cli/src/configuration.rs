//! `nucleus config`: every setting with where it comes from, and what is wrong with the files.

use std::path::Path;

use lattice_guard::Registry;
use nucleus_wire::config::{AdminConfig, Config};
use nucleus_wire::control::ApprovalMode;
use nucleus_wire::display::escape;
use nucleus_wire::profile;
use serde_json::{Value, json};

use crate::args::ConfigCommand;
use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::page::{Page, json_block, print};
use crate::screen::style::Tone;
use crate::state::State;
use crate::{gc, settings};

/// One setting.
struct Setting {
    key: String,
    value: Value,
    origin: String,
}

/// Shows, locates or checks.
pub(crate) fn run(command: &ConfigCommand, env: &Environment) -> Result<u8, CliFailure> {
    let state = State::locate(env)?;
    match command {
        ConfigCommand::Show { json } => show(&state, env, *json),
        ConfigCommand::Path { json } => {
            path(&state, *json);
            Ok(0)
        }
        ConfigCommand::Check { json } => check(&state, env, *json),
    }
}

fn show(state: &State, env: &Environment, as_json: bool) -> Result<u8, CliFailure> {
    let (admin, _) = settings::admin(state)?;
    let user = settings::user(state)?;
    let settings = all(state, env, &user, &admin);
    if as_json {
        let list: Vec<Value> = settings
            .iter()
            .map(|s| json!({"key": s.key, "value": s.value, "origin": s.origin}))
            .collect();
        print(&json_block(&json!({"settings": list, "forbidden": forbidden(&admin)})));
        return Ok(0);
    }
    let page = Page::new(env);
    for Setting { key, value, origin } in settings {
        let value = match value {
            Value::Null => "none".to_owned(),
            Value::String(text) => escape(&text),
            other => other.to_string(),
        };
        let origin = page.paint(Tone::Dim, &escape(&origin));
        print(&format!("{key:<24} {value:<32} {origin}\n"));
    }
    for rule in forbidden(&admin) {
        let origin = page.paint(Tone::Dim, &escape(&state.admin_config.display().to_string()));
        print(&format!("{:<24} {:<32} {origin}\n", "forbidden", escape(&rule)));
    }
    Ok(0)
}

fn all(state: &State, env: &Environment, user: &Config, admin: &AdminConfig) -> Vec<Setting> {
    let admin = &admin.settings;
    let (own, theirs) = (state.user_config.display(), state.admin_config.display());
    let from = |in_user: bool, in_admin: bool| match (in_user, in_admin) {
        (true, _) => own.to_string(),
        (_, true) => theirs.to_string(),
        _ => "default".to_owned(),
    };
    // The value of both files and what holds when neither says anything.
    macro_rules! setting {
        ($key:literal, $field:ident, $default:expr, $shown:expr) => {{
            let value = user.$field.clone().or_else(|| admin.$field.clone());
            Setting {
                key: $key.to_owned(),
                value: value.map_or($default, $shown),
                origin: from(user.$field.is_some(), admin.$field.is_some()),
            }
        }};
    }
    let approvals = |mode: ApprovalMode| {
        json!(match mode {
            ApprovalMode::Terminal => "terminal",
            ApprovalMode::Socket => "socket",
            ApprovalMode::None => "none",
        })
    };
    let mut upstream = setting!("model.upstream", upstream, Value::Null, |url| json!(url));
    if let Some(url) = env.first(&["ANTHROPIC_BASE_URL"]) {
        upstream.value = json!(url);
        upstream.origin = "ANTHROPIC_BASE_URL".to_owned();
    } else if upstream.value.is_null() {
        upstream.value = json!("the provider's own");
    }
    let mut colour = setting!("colour", colour, json!("auto"), |colour| json!(colour.as_str()));
    if env.get("NO_COLOR").is_some() {
        colour.value = json!("never");
        colour.origin = "NO_COLOR".to_owned();
    }
    let mut settings = vec![
        setting!("allow_local_driver", allow_local_driver, json!(false), |flag| json!(flag)),
        setting!("default_profile", default_profile, json!(profile::DEFAULT_PROFILE), |name| {
            json!(name)
        }),
        setting!("agent", agent, json!("the one installed"), |name| json!(name)),
        colour,
        setting!("quiet", quiet, json!(false), |flag| json!(flag)),
        upstream,
        setting!("model.prices", prices, json!("built in"), |path| json!(path)),
        setting!("approvals.mode", approvals, json!("terminal"), approvals),
        setting!("storage.max_bytes", storage_max_bytes, json!(gc::MAX_BYTES), |n| json!(n)),
        setting!("approvals.webhook", webhook, Value::Null, |url| json!(url)),
        setting!("approvals.webhook_key", webhook_key, Value::Null, |path| json!(path)),
        setting!("storage.max_bytes", storage_max_bytes, json!(gc::MAX_BYTES), |n| json!(n)),
        setting!("storage.keep_days", storage_keep_days, json!(gc::KEEP_DAYS), |n| json!(n)),
    ];
    settings.extend(Registry::ALL.map(|registry| {
        let mirror = user.registries.get(&registry).or_else(|| admin.registries.get(&registry));
        Setting {
            key: format!("network.registries.{registry}"),
            value: mirror.map_or(json!("the public one"), |url| json!(url)),
            origin: from(
                user.registries.contains_key(&registry),
                admin.registries.contains_key(&registry),
            ),
        }
    }));
    settings
}

fn forbidden(admin: &AdminConfig) -> Vec<String> {
    let mut rules = Vec::new();
    if admin.forbid.local_driver {
        rules.push("local driver".to_owned());
    }
    rules.extend(admin.forbid.profiles.iter().map(|name| format!("profile {name}")));
    rules.extend(admin.forbid.operations.iter().map(|op| format!("operation {}", op.name())));
    if admin.has_ceiling() {
        rules.push("whatever [ceiling] of that file does not allow".to_owned());
    }
    rules
}

/// The two files: whose, where.
fn files(state: &State) -> [(&'static str, &Path); 2] {
    [("user", state.user_config.as_path()), ("administrator", state.admin_config.as_path())]
}

fn path(state: &State, as_json: bool) {
    if as_json {
        let rows: Vec<Value> = files(state)
            .iter()
            .map(|(whose, path)| json!({"whose": whose, "path": path, "exists": path.exists()}))
            .collect();
        print(&json_block(&json!({"files": rows, "state": state.dir})));
        return;
    }
    for (whose, path) in files(state) {
        let note = if path.exists() { "" } else { "  (not there)" };
        print(&format!("{whose:<14} {}{note}\n", path.display()));
    }
    print(&format!("{:<14} {}\n", "state", state.dir.display()));
}

fn check(state: &State, env: &Environment, as_json: bool) -> Result<u8, CliFailure> {
    let admin = settings::admin(state).map(|_| ());
    // What is wrong with the administrator's file is said beside that one.
    let user = match &admin {
        Ok(()) => settings::usable(state, env).map(|_| ()),
        Err(_) => settings::user(state).map(|_| ()),
    };
    let results = [user, admin];
    let page = Page::new(env);
    let mut code = 0;
    let mut rows = Vec::new();
    for ((whose, path), result) in files(state).into_iter().zip(results) {
        let (verdict, problem) = match &result {
            Ok(()) if path.exists() => ("valid", None),
            Ok(()) => ("not there", None),
            Err(failure) => {
                code = failure.exit_code();
                ("wrong", Some(failure.message().to_owned()))
            }
        };
        if as_json {
            rows.push(
                json!({"whose": whose, "path": path, "verdict": verdict, "problem": problem}),
            );
            continue;
        }
        let tone = if problem.is_some() { Tone::Bad } else { Tone::Good };
        print(&format!("{} {}\n", page.cell(tone, verdict, 9), path.display()));
        for line in problem.iter().flat_map(|problem| problem.lines()) {
            print(&format!("  {}\n", escape(line)));
        }
    }
    if as_json {
        print(&json_block(&json!({ "files": rows })));
    }
    Ok(code)
}
