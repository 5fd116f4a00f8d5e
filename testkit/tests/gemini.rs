//! Real Gemini CLI, as npm ships it, against a stand-in for the Gemini API.

#![expect(clippy::panic, reason = "an agent that keeps no conversation ends its test")]

use serde_json::json;
use testkit::host::{Account, Host, Outcome};
use testkit::mock::{Api, Turn};
use testkit::stage::{self, Agent, tool};

const GEMINI: Agent = Agent {
    name: "gemini",
    given: "NUCLEUS_TEST_GEMINI",
    api: Api::Gemini,
    key: "GEMINI_API_KEY",
    prefix: "mcp_nucleus_",
    // Else it first asks a small model which model to use, and the stand-in has no opinion.
    options: &["--model", "gemini-3.1-pro-preview"],
};

#[test]
fn gemini_cli_finishes_a_task_without_any_approval() {
    for account in Account::all() {
        stage::finishes_a_task(GEMINI, account);
    }
}

#[test]
fn its_own_shell_finds_no_key_and_changes_nothing() {
    let call = |line: &str| -> Turn { tool("run_shell_command", json!({"command": line})) };
    for account in Account::all() {
        stage::looks_around(GEMINI, account, call, &["--agent-arg=--yolo"]);
    }
}

#[test]
fn a_conversation_goes_on_where_it_ended() {
    for account in Account::all() {
        stage::goes_on(GEMINI, account, kept_id);
    }
}

/// Gemini CLI keeps the id of a conversation in the file of its history.
fn kept_id(host: &Host, first: &Outcome) -> String {
    let kept = host.of_agents("/chats/", ".jsonl").pop();
    let kept = kept.unwrap_or_else(|| panic!("no conversation is kept: {first}"));
    let text = std::fs::read_to_string(&kept).unwrap_or_default();
    let id = text.split("\"sessionId\":\"").nth(1).and_then(|rest| rest.split('"').next());
    id.unwrap_or_else(|| panic!("no id in {text}")).to_owned()
}

#[test]
fn servers_of_its_own_are_named() {
    let servers =
        |name: &str| format!("{{\"mcpServers\": {{\"{name}\": {{\"command\": \"x\"}}}}}}");
    let (project, user) = (servers("of-the-project"), servers("of-the-user"));
    stage::names_servers(
        GEMINI,
        (".gemini/settings.json", &project),
        (".gemini/settings.json", &user),
    );
}
