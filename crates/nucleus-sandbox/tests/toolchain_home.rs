//! The agent's home and its context files.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails, fails the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nucleus_sandbox::home::context::{self, ContextPlace};
use nucleus_sandbox::home::{HomeError, seed};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

struct Ground {
    _dir: tempfile::TempDir,
    home: PathBuf,
    state: PathBuf,
    workspace: PathBuf,
}

fn ground() -> Ground {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let (home, state, workspace) = (base.join("home"), base.join("state"), base.join("ws"));
    fs::create_dir_all(&workspace).unwrap();
    write(
        &home.join(".claude/commands/fix.md"),
        "---\nallowed-tools: Bash(*)\ndescription: d\n---\nbody\n",
    );
    write(&home.join(".claude/agents/a.md"), "---\nname: a\nhooks:\n  PreToolUse: evil\n---\n");
    write(&home.join(".claude/skills/s/run.sh"), "#!/bin/sh\n");
    write(&home.join(".claude/.credentials.json"), "SECRET-credential");
    write(
        &home.join(".claude/settings.json"),
        "{\"hooks\":{\"x\":\"SECRET-hook\"},\"mcpServers\":{\"third\":{}}}",
    );
    let state_file = format!(
        "{{\"theme\":\"light\",\"oauthAccount\":{{\"t\":\"SECRET-oauth\"}},\"mcpServers\":{{\"one\":{{\"env\":\"SECRET-mcp\"}}}},\
         \"projects\":{{\"{}\":{{\"mcpServers\":{{\"two\":{{}}}},\"allowedTools\":[\"SECRET-tool\"]}}}}}}",
        workspace.display()
    );
    write(&home.join(".claude.json"), &state_file);
    Ground { _dir: dir, home, state, workspace }
}

fn everything(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            everything(&path, out);
        } else {
            out.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn only_the_allowlist_reaches_the_home() {
    let ground = ground();
    let made = seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    let mut all = String::new();
    everything(&made.path, &mut all);
    assert!(!all.contains("SECRET"), "{all}");
    assert!(!all.contains("allowed-tools") && !all.contains("PreToolUse"), "{all}");
    assert!(all.contains("description: d\n---\nbody"), "positive control");
    assert!(made.path.join(".claude/skills/s/run.sh").exists());
    let state: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(made.path.join(".claude.json")).unwrap()).unwrap();
    assert_eq!(state["theme"], "light");
    assert_eq!(state["hasCompletedOnboarding"], true);
    assert_eq!(
        state["projects"][ground.workspace.to_str().unwrap()]["hasTrustDialogAccepted"],
        true
    );
    for name in ["one", "two", "third"] {
        assert!(
            made.notes.iter().any(|n| n.contains(&format!("MCP server {name} "))),
            "{:?}",
            made.notes
        );
    }
}

#[test]
fn the_home_persists_and_the_seed_is_refreshed() {
    let ground = ground();
    let made = seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    write(&made.path.join(".claude/projects/p/session.jsonl"), "history");
    write(&made.path.join(".claude/commands/of-agent.md"), "x");
    fs::remove_file(ground.home.join(".claude/commands/fix.md")).unwrap();
    let again = seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    assert_eq!(again.path, made.path);
    assert!(made.path.join(".claude/projects/p/session.jsonl").exists());
    assert!(!made.path.join(".claude/commands/fix.md").exists());
    let other = seed("claude", Path::new("/elsewhere"), &ground.state, &ground.home, None).unwrap();
    assert_ne!(other.path, made.path, "one home per workspace");
    assert!(matches!(
        seed("nobody", &ground.workspace, &ground.state, &ground.home, None),
        Err(HomeError::UnknownAgent { .. })
    ));
}

#[test]
fn links_the_agent_left_lead_nowhere() {
    let ground = ground();
    let made = seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    let outside = ground.state.join("outside");
    write(&outside.join("canary"), "canary");
    for (place, target) in
        [(".claude/commands", &outside), (".claude.json", &outside.join("canary"))]
    {
        let at = made.path.join(place);
        if at.is_dir() {
            fs::remove_dir_all(&at).unwrap()
        } else {
            fs::remove_file(&at).unwrap()
        }
        symlink(target, &at).unwrap();
    }
    seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "canary");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(
        made.path.join(".claude/commands/fix.md").exists(),
        "positive control: seeded in its own place"
    );
    // The whole client directory.
    fs::remove_dir_all(made.path.join(".claude")).unwrap();
    symlink(&outside, made.path.join(".claude")).unwrap();
    seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn context_files_are_copies_of_plain_unwithheld_files() {
    let ground = ground();
    let ws = &ground.workspace;
    write(&ws.join("CLAUDE.md"), "top");
    write(&ws.join("sub/AGENTS.md"), "nested");
    write(&ws.join("private/CLAUDE.md"), "withheld");
    write(&ws.join("node_modules/p/CLAUDE.md"), "not ours");
    write(&ws.join("big/CLAUDE.md"), &"x".repeat(300 * 1024));
    write(&ground.home.join("elsewhere"), "SECRET");
    fs::create_dir(ws.join("linked")).unwrap();
    symlink(ground.home.join("elsewhere"), ws.join("linked/CLAUDE.md")).unwrap();
    write(&ground.home.join(".claude/CLAUDE.md"), "user");
    let files = context::collect(ws, &ground.home, &|path| path.starts_with("private"));
    let mut found: Vec<(String, String)> = files
        .iter()
        .map(|f| {
            let place = match &f.place {
                ContextPlace::Workspace(path) => path.to_string(),
                ContextPlace::Home(path) => format!("~/{path}"),
            };
            (place, String::from_utf8(f.bytes.clone()).unwrap())
        })
        .collect();
    found.sort();
    let expect = |place: &str, text: &str| (place.to_owned(), text.to_owned());
    assert_eq!(
        found,
        [
            expect("CLAUDE.md", "top"),
            expect("sub/AGENTS.md", "nested"),
            expect("~/.claude/CLAUDE.md", "user"),
        ]
    );
}

#[test]
fn other_agents_bring_what_is_harmless_and_name_what_is_not() {
    let ground = ground();
    let home = &ground.home;
    write(&home.join(".codex/prompts/p.md"), "---\nallowed-tools: SECRET\ndescription: d\n---\n");
    write(
        &home.join(".codex/agents/a.toml"),
        "name = 'a'\nsandbox_mode = 'SECRET-mode'\n[mcp_servers.x]\nenv = { K = 'SECRET-env' }\n",
    );
    write(&home.join(".codex/auth.json"), "SECRET-token");
    write(
        &home.join(".codex/config.toml"),
        "model = 'gpt-5.5'\napproval_policy = 'SECRET-policy'\n[mcp_servers.one]\ncommand = 'SECRET'\n",
    );
    write(&ground.workspace.join(".codex/config.toml"), "[mcp_servers.two]\ncommand = 'x'\n");
    write(&home.join(".gemini/commands/c.toml"), "prompt = 'p'\nhooks = ['SECRET']\n");
    write(&home.join(".gemini/oauth_creds.json"), "SECRET-oauth");
    write(
        &home.join(".gemini/settings.json"),
        "{ // mine\n\"model\": {\"name\": \"gemini-3.8-flash\"}, \"mcpServers\": {\"one\": {\"env\": \"SECRET\"}}, }",
    );
    write(
        &home.join(".config/opencode/agents/a.md"),
        "---\npermission:\n  bash: SECRET\n---\nbody\n",
    );
    write(&home.join(".config/opencode/opencode.jsonc"), "{\"mcp\": {\"one\": {}}}");
    write(&home.join(".config/opencode/opencode.json"), "{\"model\": \"openai/gpt-5.5\"}");
    write(&home.join(".local/share/opencode/auth.json"), "SECRET-key");
    for (agent, servers, model) in [
        ("codex", &["one", "two"][..], ("model", "gpt-5.5")),
        ("gemini", &["one"], ("model.name", "gemini-3.8-flash")),
        ("opencode", &["one"], ("model", "openai/gpt-5.5")),
    ] {
        let made = seed(agent, &ground.workspace, &ground.state, home, None).unwrap();
        let mut all = String::new();
        everything(&made.path, &mut all);
        assert!(!all.contains("SECRET"), "{agent}: {all}");
        assert!(!all.is_empty(), "{agent}: positive control");
        for name in servers {
            let named = |note: &String| note.contains(&format!("MCP server {name} "));
            assert!(made.notes.iter().any(named), "{agent} {name}: {:?}", made.notes);
        }
        assert_eq!(made.settings.get(model.0).map(String::as_str), Some(model.1), "{agent}");
        assert!(made.settings.values().all(|value| !value.contains("SECRET")), "{agent}");
    }
}

#[test]
fn what_an_earlier_task_would_have_run_is_gone_and_its_conversation_is_not() {
    let ground = ground();
    let start = || seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    let home = start().path;
    write(&home.join(".claude/settings.json"), "{\"hooks\": {\"SessionStart\": \"evil\"}}");
    write(&home.join(".claude/plugins/p/hooks/hooks.json"), "evil");
    write(&home.join(".claude/CLAUDE.md"), "evil");
    write(&home.join(".bashrc"), "evil");
    // As a mount of the host's file leaves it.
    write(&home.join(".profile"), "");
    write(&home.join(".local/bin/git"), "evil");
    write(&home.join(".claude/projects/p/session.jsonl"), "history");
    let workspace = ground.workspace.display();
    write(
        &home.join(".claude.json"),
        &format!(
            "{{\"mcpServers\": {{\"x\": \"evil\"}}, \"numStartups\": 3, \"projects\": {{\"{workspace}\": {{\"mcpServers\": {{\"y\": \"evil\"}}, \"lastCost\": 1}}}}}}"
        ),
    );
    start();
    let mut all = String::new();
    everything(&home, &mut all);
    assert!(!all.contains("evil"), "{all}");
    assert!(home.join(".profile").exists(), "another task's pod may have something mounted there");
    for kept in ["history", "numStartups", "lastCost", "hasTrustDialogAccepted"] {
        assert!(all.contains(kept), "control: {kept} in {all}");
    }
}

#[test]
fn a_home_that_a_task_closed_or_nested_is_made_whole() {
    use std::os::unix::fs::PermissionsExt as _;
    let ground = ground();
    let start = || seed("claude", &ground.workspace, &ground.state, &ground.home, None).unwrap();
    let home = start().path;
    let client = home.join(".claude");
    fs::rename(&client, home.join("moved")).unwrap();
    for place in [".claude/CLAUDE.md", ".claude/commands"] {
        // Deeper than any limit of a walk, in steps that a path can name.
        fs::create_dir_all(home.join(place)).unwrap();
        let mut nested = PathBuf::new();
        for _ in 0..700 {
            nested.push("d");
        }
        fs::create_dir_all(home.join(place).join(nested)).unwrap();
    }
    for closed in [&client, &home] {
        fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    }
    start();
    for open in [&home, &client] {
        let mode = fs::metadata(open).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", open.display());
    }
    assert!(!client.join("CLAUDE.md").exists());
    assert!(client.join("commands/fix.md").exists() && !client.join("commands/d").exists());
}
