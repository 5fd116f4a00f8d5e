//! Real OpenCode, as npm ships it, against stand-ins for every API it speaks.

#![expect(clippy::panic, reason = "an agent that keeps no conversation ends its test")]

use serde_json::json;
use testkit::host::{Account, Host, Outcome};
use testkit::mock::{Api, Turn};
use testkit::stage::{self, Agent, tool};

const OPENCODE: Agent = Agent {
    name: "opencode",
    given: "NUCLEUS_TEST_OPENCODE",
    api: Api::Anthropic,
    key: "ANTHROPIC_API_KEY",
    prefix: "nucleus_",
    options: &["--model", "claude-sonnet-5"],
};

#[test]
fn opencode_finishes_a_task_without_any_approval() {
    for account in Account::all() {
        stage::finishes_a_task(OPENCODE, account);
    }
}

#[test]
fn it_speaks_to_every_provider() {
    let account = Account::all().remove(0);
    let (openai, key) = (Api::OpenAi, "OPENAI_API_KEY");
    let options = &["--provider", "openai", "--model", "gpt-5.5"];
    stage::finishes_a_task(Agent { api: openai, key, options, ..OPENCODE }, account);
    let options = &["--provider", "openai-chat", "--model", "gpt-5.5"];
    stage::finishes_a_task(Agent { api: openai, key, options, ..OPENCODE }, account);
    let options = &["--provider", "gemini", "--model", "gemini-3.1-pro-preview"];
    let key = "GEMINI_API_KEY";
    stage::finishes_a_task(Agent { api: Api::Gemini, key, options, ..OPENCODE }, account);
}

#[test]
fn its_own_shell_finds_no_key_and_changes_nothing() {
    let call = |line: &str| -> Turn {
        tool("bash", json!({"command": line, "description": "look around"}))
    };
    for account in Account::all() {
        stage::looks_around(OPENCODE, account, call, &["--agent-arg=--auto"]);
    }
}

#[test]
fn a_conversation_goes_on_where_it_ended() {
    for account in Account::all() {
        stage::goes_on(OPENCODE, account, logged_id);
    }
}

/// OpenCode keeps conversations in a database, and their ids in its log too.
fn logged_id(host: &Host, first: &Outcome) -> String {
    let log = host.of_agents("/opencode/log/", ".log").pop();
    let log = log.unwrap_or_else(|| panic!("no log is kept: {first}"));
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let id = text.split("id=ses_").nth(1).and_then(|rest| rest.split_whitespace().next());
    format!("ses_{}", id.unwrap_or_else(|| panic!("no id in {text}")))
}

#[test]
fn servers_of_its_own_are_named() {
    let servers =
        |name: &str| format!("{{ // mine\n \"mcp\": {{\"{name}\": {{\"type\": \"local\"}}}}}}");
    let (project, user) = (servers("of-the-project"), servers("of-the-user"));
    stage::names_servers(
        OPENCODE,
        ("opencode.json", &project),
        (".config/opencode/opencode.json", &user),
    );
}
