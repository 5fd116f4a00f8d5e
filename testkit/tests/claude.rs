//! Real Claude Code, as npm ships it, against a stand-in for the Messages API.

#![expect(clippy::panic, reason = "an agent that keeps no conversation ends its test")]

#[path = "claude/prompt.rs"]
mod prompt;

use std::time::Duration;

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
/// What its interface shows when it can be typed at.
const READY: &str = "shift+tab to cycle";
const SHELL_ON: [&str; 4] = [
    "--agent-arg=--tools",
    "--agent-arg=default",
    "--agent-arg=--allowedTools",
    "--agent-arg=Bash",
];

/// A picture of one point.
const PICTURE: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0dIDATx\xdacd`\xf8_\x0f\x00\x02\x87\x01\x80\xebG\xba\x92\x00\x00\x00\x00IEND\xaeB`\x82";
const ASKS: &str = "[capabilities]\nread_files = \"always\"\nwrite_files = \"always\"\nrun_bash = \"always\"\n[obligations]\napprovals = [\"run_bash\"]\n";

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
fn it_is_worked_with_in_its_own_interface() {
    for account in Account::all() {
        stage::is_worked_with(CLAUDE, account, READY, &["/exit", "\r"]);
    }
}

#[test]
fn killed_at_work_it_leaves_the_terminal_usable_and_nothing_running() {
    for account in Account::all() {
        stage::is_killed_at_work(CLAUDE, account, READY);
    }
}

#[test]
fn servers_of_its_own_are_named() {
    let servers =
        |name: &str| format!("{{\"mcpServers\": {{\"{name}\": {{\"command\": \"x\"}}}}}}");
    let (project, user) = (servers("of-the-project"), servers("of-the-user"));
    stage::names_servers(CLAUDE, (".mcp.json", &project), (".claude.json", &user));
}

#[test]
fn a_picture_it_reads_reaches_its_model() {
    let turns = vec![tool("mcp__nucleus__read", json!({"path": "point.png"})), say("A point.")];
    let stage = Stage::new(CLAUDE, Account::all().remove(0), turns);
    stage.host.file("point.png", PICTURE);
    let outcome = stage.run(&[], "What is in point.png?").expect_code(0);
    let seen = stage.last().to_string();
    assert!(seen.contains("\"media_type\":\"image/"), "{seen}\n{outcome}");
    assert!(seen.contains("PNG picture"), "{seen}");
}

#[test]
fn a_call_whose_person_takes_longer_than_a_call_waits_goes_through_all_the_same() {
    let turns = vec![tool("mcp__nucleus__run", json!({"command": "echo it ran"})), say("Over.")];
    let stage = Stage::new(CLAUDE, Account::all().remove(0), turns);
    stage.host.put(stage.host.place(), "permissions.toml", ASKS.as_bytes());
    let policy = stage.host.place().join("permissions.toml").display().to_string();
    let command = stage.command(&["--config", &policy], &[], "Run it");
    let mut terminal = stage.host.at_terminal(&command);
    let shown = terminal.read_until(" to approve once");
    let id = shown.rsplit("  type ").next().and_then(|rest| rest.split_whitespace().next());
    let answer = format!("{}\n", id.unwrap_or_default());
    // One call waits half a minute: the client has been told to make it again before this is over.
    std::thread::sleep(Duration::from_secs(36));
    terminal.enter(&answer);
    let outcome = terminal.outcome().expect_code(0);
    let seen = stage.last().to_string();
    assert!(seen.contains("[exit 0 after"), "{seen}\n{outcome}");
    // The model was not bothered while it waited: its call, and what came of it.
    assert_eq!(stage.mock.requests().len(), 2, "{outcome}");
}
