//! Real Claude Code, as npm ships it, against a stand-in for the Messages API.

#![expect(clippy::panic, reason = "an agent that keeps no conversation ends its test")]

use serde_json::{Value, json};
use testkit::host::{Account, Host, Outcome};
use testkit::mock::{Api, Turn};
use testkit::stage::{self, Agent, Stage, say, tool};

const CLAUDE: Agent = Agent {
    name: "claude",
    given: "NUCLEUS_TEST_CLAUDE",
    api: Api::Anthropic,
    key: "ANTHROPIC_API_KEY",
    prefix: "mcp__nucleus__",
    options: &[],
};
const SHELL_ON: [&str; 4] = [
    "--agent-arg=--tools",
    "--agent-arg=default",
    "--agent-arg=--allowedTools",
    "--agent-arg=Bash",
];

#[test]
fn claude_code_finishes_a_task_without_any_approval() {
    for account in Account::all() {
        stage::finishes_a_task(CLAUDE, account);
    }
}

#[test]
fn its_own_shell_finds_no_key_and_changes_nothing() {
    for account in Account::all() {
        stage::looks_around(CLAUDE, account, shell, &SHELL_ON);
    }
}

fn shell(line: &str) -> Turn {
    tool("Bash", json!({"command": line, "description": "look around"}))
}

#[test]
fn its_context_file_is_there_and_nothing_else_of_the_repository() {
    let turns = vec![shell("find . -type f; cat CLAUDE.md"), say("Over.")];
    let stage = Stage::new(CLAUDE, Account::all().remove(0), turns);
    stage.run(&SHELL_ON, "List").expect_code(0);
    let body = stage.last();
    let messages = body.get("messages").and_then(Value::as_array);
    let seen = messages.and_then(|messages| messages.last()).unwrap_or(&body).to_string();
    assert!(seen.contains("Answer briefly."), "{seen}");
    assert!(!seen.contains("Cargo.toml"), "{seen}");
}

#[test]
fn a_conversation_goes_on_where_it_ended() {
    for account in Account::all() {
        stage::goes_on(CLAUDE, account, kept_id);
    }
}

/// Claude Code keeps a conversation in a file of its name.
fn kept_id(host: &Host, first: &Outcome) -> String {
    let kept = host.of_agents("/.claude/projects/", ".jsonl").pop();
    let name = kept.as_ref().and_then(|path| path.file_stem());
    name.unwrap_or_else(|| panic!("no conversation is kept: {first}"))
        .to_string_lossy()
        .into_owned()
}

#[test]
fn servers_of_its_own_are_named() {
    let servers =
        |name: &str| format!("{{\"mcpServers\": {{\"{name}\": {{\"command\": \"x\"}}}}}}");
    let (project, user) = (servers("of-the-project"), servers("of-the-user"));
    stage::names_servers(CLAUDE, (".mcp.json", &project), (".claude.json", &user));
}
